// SPDX-License-Identifier: GPL-2.0-only
/*
 * Incremental FS: reading an image at mount time.
 *
 * Links only point forward, so the walk ends. Whatever is wrong is refused
 * with its offset in the log, and nothing of the image is used.
 */
#include <linux/sched/signal.h>

#include "internal.h"

static int scan_super(struct incfs_mount *mnt, u64 size, u64 *first)
{
	struct incfs_disk_super super;
	size_t len = min_t(u64, size, sizeof(super));
	const char *why;
	int err;

	err = incfs_image_pread(&mnt->image, &super, len, 0);
	if (err) {
		incfs_err(mnt, "can't read the superblock: %d", err);
		return err;
	}
	err = incfs_format_parse_super(&super, len, size, first, &why);
	if (err)
		incfs_err(mnt, "image offset 0: %s: %d", why, err);
	return err;
}

static int apply_record(struct incfs_mount *mnt, const struct incfs_record *record,
			const char **why)
{
	switch (record->type) {
	case INCFS_RECORD_INODE:
		return incfs_tree_load_node(mnt, record->inode.ino, record->inode.size,
					    record->inode.mode, why);
	case INCFS_RECORD_BLOCK_MAP:
		return incfs_tree_load_map(mnt, record->map.ino, record->map.offset,
					   record->map.count, why);
	default:
		return incfs_tree_load_name(mnt, record, why);
	}
}

static int scan_record(struct incfs_mount *mnt, u64 size, u64 offset, u64 *next)
{
	u8 buf[INCFS_RECORD_SIZE_MAX];
	size_t len = min_t(u64, size - offset, sizeof(buf));
	struct incfs_record record;
	const char *why = NULL;
	size_t record_len;
	int err;

	err = incfs_image_pread(&mnt->image, buf, len, offset);
	if (err)
		goto out;
	err = incfs_format_parse_header(buf, len, offset, mnt->image.last_record, size,
					&record_len, &why);
	if (!err)
		err = incfs_format_parse_record(buf, record_len, offset, size, &record, &why);
	if (err) {
		err = -EUCLEAN;
		goto out;
	}
	err = apply_record(mnt, &record, &why);
	if (err)
		goto out;
	mnt->image.last_record = offset;
	*next = record.next;
	return 0;
out:
	incfs_err(mnt, "image offset %llu: %s: %d", offset, why ?: "can't read record", err);
	return err;
}

int incfs_scan_image(struct incfs_mount *mnt)
{
	u64 size = incfs_image_size(&mnt->image);
	u64 offset;
	int err;

	if (!size)
		return incfs_image_format(&mnt->image);
	err = scan_super(mnt, size, &offset);
	while (!err && offset) {
		cond_resched();
		if (fatal_signal_pending(current))
			return -EINTR;
		err = scan_record(mnt, size, offset, &offset);
	}
	return err;
}
