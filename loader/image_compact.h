/* SPDX-License-Identifier: MIT */
/* An image written anew, with what is used of it. */
#ifndef _INCFS_IMAGE_COMPACT_H
#define _INCFS_IMAGE_COMPACT_H

#include "image_model.h"

/* struct incfs_compact_count - what came of it */
struct incfs_compact_count {
	__u64 size;
	__u64 dropped_nodes;
	__u64 dropped_blocks;	/* damaged ones */
};

/*
 * Write the image to the empty file @fd: the same bytes each time. Returns 0,
 * or -1 after saying what is wrong.
 */
int incfs_image_compact(struct incfs_model *model, int fd, struct incfs_compact_count *count);

#endif /* _INCFS_IMAGE_COMPACT_H */
