// SPDX-License-Identifier: GPL-2.0-only
/*
 * Incremental FS: reading an image at mount time.
 *
 * Whatever is wrong is refused with its offset in the log, and nothing of the
 * image is used. A list of records that a crash has cut off is used as far as
 * it goes, and the log says what is lost.
 */
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "internal.h"
#include "walk.h"

static int scan_read(void *arg, void *buf, size_t len, u64 offset)
{
	struct incfs_mount *mnt = arg;

	return incfs_image_pread(&mnt->image, buf, len, offset);
}

static int scan_record(void *arg, const struct incfs_record *record, const char **why)
{
	struct incfs_mount *mnt = arg;

	cond_resched();
	if (fatal_signal_pending(current))
		return -EINTR;
	switch (record->type) {
	case INCFS_RECORD_INODE:
		return incfs_tree_load_node(mnt, record->inode.ino, record->inode.size,
					    record->inode.mode, why);
	case INCFS_RECORD_BLOCK_MAP:
		return incfs_tree_load_map(mnt, record->map.ino, record->map.offset,
					   record->map.count, why);
	case INCFS_RECORD_DIR_ACTION:
		return incfs_tree_load_name(mnt, record, why);
	case INCFS_RECORD_ATTRS:
		return incfs_tree_load_attrs(mnt, record, why);
	default:
		*why = "unknown record type";
		return -EINVAL;
	}
}

static int scan_records(struct incfs_mount *mnt, struct incfs_walk *walk)
{
	int err = incfs_walk_image(walk);

	if (err) {
		/* A damaged list; what is wrong with the superblock is EINVAL. */
		if (err == -EINVAL && walk->offset)
			err = -EUCLEAN;
		incfs_err(mnt, "image offset %llu: %s: %d", walk->offset,
			  walk->why ?: "can't read record", err);
		return err;
	}
	if (walk->torn)
		incfs_warn(mnt, "image offset %llu: the record here was never written in whole: "
			   "%llu records before it are kept, those from it on are lost",
			   walk->torn, walk->records);
	mnt->image.last_record = walk->last;
	mnt->image.torn = walk->torn;
	mnt->image.features = walk->super.features;
	return 0;
}

int incfs_scan_image(struct incfs_mount *mnt)
{
	struct incfs_walk walk = {
		.read = scan_read,
		.record = scan_record,
		.arg = mnt,
		.image_size = incfs_image_size(&mnt->image),
	};
	int err;

	if (!walk.image_size && sb_rdonly(mnt->sb)) {
		incfs_err(mnt, "an empty file can't become an image read-only: %d", -EROFS);
		return -EROFS;
	}
	if (!walk.image_size)
		return incfs_image_format(&mnt->image);
	walk.buf = kvmalloc(INCFS_WALK_BUFFER, GFP_KERNEL);
	if (!walk.buf)
		return -ENOMEM;
	err = scan_records(mnt, &walk);
	kvfree(walk.buf);
	return err;
}
