// SPDX-License-Identifier: MIT
/* Hands blocks over to the file system. */
#include "feed.h"

#include <errno.h>
#include <linux/incrementalfs.h>
#include <lz4.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "list.h"
#include "util.h"

/* Blocks in one call: the module keeps together what comes together. */
#define BATCH 64

int incfs_feed_init(struct incfs_feed *feed, int cmd_fd, bool compress)
{
	*feed = (struct incfs_feed){ .cmd_fd = cmd_fd, .compress = compress };
	feed->room = malloc(BATCH * INCFS_BLOCK_SIZE);
	return feed->room ? 0 : -ENOMEM;
}

void incfs_feed_exit(struct incfs_feed *feed)
{
	free(feed->room);
	feed->room = NULL;
}

static void prepare_block(struct incfs_feed *feed, struct incfs_fill_block *block,
			  const unsigned char *data, __u32 len, char *room)
{
	int packed = 0;

	/* Gives up, and returns 0, as soon as it would need more. */
	if (feed->compress)
		packed = LZ4_compress_default((const char *)data, room, len, len - len / 8);
	block->data = packed > 0 ? (__u64)(unsigned long)room : (__u64)(unsigned long)data;
	block->len = packed > 0 ? (__u32)packed : len;
	block->compression = packed > 0 ? COMPRESSION_LZ4 : COMPRESSION_NONE;
}

/*
 * Returns how many blocks were taken up to the first that was not; fewer than all
 * only with an error. Some behind that may have been taken, which does no harm.
 */
static __u32 fill_blocks(struct incfs_feed *feed, struct incfs_fill_block *blocks, __u32 nr,
			 int *err)
{
	struct incfs_fill fill = { .blocks = (unsigned long)blocks, .count = nr };
	__u32 taken;

	if (ioctl(feed->cmd_fd, INCFS_IOC_FILL, &fill)) {
		*err = errno;
		return 0;
	}
	for (taken = 0; taken < nr && !blocks[taken].result; taken++)
		feed->stored += blocks[taken].len;
	*err = taken < nr ? -blocks[taken].result : 0;
	return taken;
}

__u32 incfs_feed_blocks(struct incfs_feed *feed, __u64 ino, __u32 first,
			const unsigned char *data, size_t size, int *err)
{
	struct incfs_fill_block blocks[BATCH];
	__u32 nr, total = 0;

	*err = 0;
	while (size && !*err) {
		for (nr = 0; nr < BATCH && size; nr++) {
			__u32 len = incfs_min(size, INCFS_BLOCK_SIZE);

			blocks[nr] = (struct incfs_fill_block){
				.ino = ino, .block = first + total + nr,
			};
			prepare_block(feed, &blocks[nr], data, len,
				      feed->room + nr * INCFS_BLOCK_SIZE);
			data += len;
			size -= len;
			feed->bytes += len;
		}
		total += fill_blocks(feed, blocks, nr, err);
	}
	return total;
}
