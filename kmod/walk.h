/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Incremental FS: the walk through the records of an image, from the first to
 * the last (walk.c). As format.h, it holds no kernel call.
 */
#ifndef _INCFS_WALK_H
#define _INCFS_WALK_H

#include "format.h"

/* Room that a walk needs: some records at once, and the largest of them. */
#define INCFS_WALK_BUFFER (4 * INCFS_RECORD_SIZE_MAX)

/*
 * struct incfs_walk - a walk, and what it has found
 * @read:       read exactly @len bytes of the image; 0 or a negative errno
 * @record:     take a record in; -EINVAL and a reason in *@why refuse the image,
 *              as any other negative errno, with or without a reason, ends the
 *              walk. The pointers in the record are good until it returns.
 * @arg:        first argument of both
 * @image_size: length of the image file
 * @buf:        INCFS_WALK_BUFFER bytes
 *
 * Set by the walk:
 * @super:      the superblock
 * @last:       offset of the last record that was taken in, 0 for none
 * @records:    how many were
 * @torn:       where the list broke off: a record that was linked but never
 *              written, or not in whole, as a crash leaves it; 0 if it is whole
 * @offset:     where in the image the walk has ended
 * @why:        the reason of a failure, or NULL
 */
struct incfs_walk {
	int (*read)(void *arg, void *buf, size_t len, __u64 offset);
	int (*record)(void *arg, const struct incfs_record *record, const char **why);
	void *arg;
	__u64 image_size;
	void *buf;

	struct incfs_super super;
	__u64 last;
	__u64 records;
	__u64 torn;
	__u64 offset;
	const char *why;

	/* Private: what of the image is in @buf. */
	__u64 start;
	size_t len;
};

/*
 * Walk through the image: its superblock, then all records in order. Returns 0
 * or a negative errno: -EINVAL when the image is refused.
 */
int incfs_walk_image(struct incfs_walk *walk);

#endif /* _INCFS_WALK_H */
