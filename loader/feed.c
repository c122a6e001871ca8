// SPDX-License-Identifier: MIT
/* Hands blocks over to the file system. */
#include "feed.h"

#include <errno.h>
#include <linux/incrementalfs.h>
#include <lz4.h>
#include <stdlib.h>
#include <unistd.h>

#include "list.h"
#include "util.h"

/* Blocks in one write(2): the module keeps together what comes together. */
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

static void prepare_block(struct incfs_feed *feed, struct incfs_new_data_block *block,
			  const unsigned char *data, __u32 len, char *room)
{
	int packed = 0;

	/* Gives up, and returns 0, as soon as it would need more. */
	if (feed->compress)
		packed = LZ4_compress_default((const char *)data, room, len, len - len / 8);
	block->data = packed > 0 ? (__u64)(unsigned long)room : (__u64)(unsigned long)data;
	block->data_len = packed > 0 ? (__u32)packed : len;
	block->compression = packed > 0 ? COMPRESSION_LZ4 : COMPRESSION_NONE;
}

/* Returns how many of the blocks were taken; fewer only with an error. */
static __u32 write_blocks(struct incfs_feed *feed, const struct incfs_new_data_block *blocks,
			  __u32 nr, int *err)
{
	__u32 taken = 0;

	*err = 0;
	while (taken < nr && !*err) {
		ssize_t wrote = write(feed->cmd_fd, blocks + taken,
				      (nr - taken) * sizeof(*blocks));

		if (wrote >= (ssize_t)sizeof(*blocks))
			taken += wrote / sizeof(*blocks);
		else if (wrote >= 0)
			*err = EIO;
		else if (errno != EINTR)
			*err = errno;
	}
	return taken;
}

__u32 incfs_feed_blocks(struct incfs_feed *feed, __u64 ino, __u32 first,
			const unsigned char *data, size_t size, int *err)
{
	struct incfs_new_data_block blocks[BATCH];
	__u32 nr, taken, total = 0;

	*err = 0;
	while (size && !*err) {
		for (nr = 0; nr < BATCH && size; nr++) {
			__u32 len = incfs_min(size, INCFS_BLOCK_SIZE);

			blocks[nr] = (struct incfs_new_data_block){
				.file_ino = ino, .block_index = first + total + nr,
			};
			prepare_block(feed, &blocks[nr], data, len,
				      feed->room + nr * INCFS_BLOCK_SIZE);
			data += len;
			size -= len;
			feed->bytes += len;
		}
		taken = write_blocks(feed, blocks, nr, err);
		for (__u32 i = 0; i < taken; i++)
			feed->stored += blocks[i].data_len;
		total += taken;
	}
	return total;
}
