/* SPDX-License-Identifier: MIT */
/* Hands blocks over to the file system. */
#ifndef _INCFS_FEED_H
#define _INCFS_FEED_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

struct libincfs;

/**
 * struct incfs_feed
 * @compress: store blocks as LZ4 where that saves an eighth or more
 * @bytes:    contents handed over, before compression
 * @stored:   the same, after it
 */
struct incfs_feed {
	struct libincfs *fs;
	bool compress;
	__u64 bytes;
	__u64 stored;
};

/**
 * incfs_feed_blocks - hand over blocks of a file
 * @first: index of the first block
 * @data:  their contents
 * @size:  in bytes; whole blocks, save the last one of the file
 * @err:   set to the errno that stopped it, or to 0
 *
 * Returns how many blocks were taken.
 */
__u32 incfs_feed_blocks(struct incfs_feed *feed, __u64 ino, __u32 first,
			const unsigned char *data, size_t size, int *err);

#endif /* _INCFS_FEED_H */
