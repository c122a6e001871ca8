// SPDX-License-Identifier: MIT
/* Hands blocks over to the file system. */
#include "feed.h"

#include <incfs/incfs.h>

#include "list.h"
#include "util.h"

/* Blocks in one call: the module keeps together what comes together. */
#define BATCH 64

/*
 * Returns how many blocks were taken up to the first that was not; fewer than all
 * only with an error. Some behind that may have been taken, which does no harm.
 */
static __u32 fill_blocks(struct incfs_feed *feed, struct libincfs_block *blocks, __u32 nr,
			 int *err)
{
	int filled = libincfs_fill(feed->fs, blocks, nr);
	__u32 taken;

	if (filled < 0) {
		*err = -filled;
		return 0;
	}
	for (taken = 0; taken < nr && !blocks[taken].result; taken++)
		feed->stored += blocks[taken].stored;
	*err = taken < nr ? -blocks[taken].result : 0;
	return taken;
}

__u32 incfs_feed_blocks(struct incfs_feed *feed, __u64 ino, __u32 first,
			const unsigned char *data, size_t size, int *err)
{
	struct libincfs_block blocks[BATCH];
	__u32 nr, total = 0;

	*err = 0;
	while (size && !*err) {
		for (nr = 0; nr < BATCH && size; nr++) {
			__u32 len = incfs_min(size, INCFS_BLOCK_SIZE);

			blocks[nr] = (struct libincfs_block){
				.ino = ino, .block = first + total + nr, .len = len, .data = data,
				.flags = feed->compress ? LIBINCFS_COMPRESS : 0,
			};
			data += len;
			size -= len;
			feed->bytes += len;
		}
		total += fill_blocks(feed, blocks, nr, err);
	}
	return total;
}
