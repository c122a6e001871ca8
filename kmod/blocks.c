// SPDX-License-Identifier: GPL-2.0-only
/*
 * Incremental FS: the blocks of a file, through its block map.
 *
 * The map is read through the page cache of the image file, so that reclaim
 * can take it back. A fill writes the bytes first and the entry after them,
 * the entry under map_lock, so that no reader sees half of one.
 *
 * An entry whose bytes fail their check is remembered in incfs_node.bad and
 * counts as absent from then on, until it has been supplied again.
 */
#include <linux/fs.h>
#include <linux/lz4.h>
#include <linux/slab.h>

#include "internal.h"
#include "trace.h"

static bool block_is_bad(struct incfs_node *node, u32 block)
{
	return !xa_empty(&node->bad) && xa_load(&node->bad, block);
}

static int read_entries(struct incfs_node *node, u32 first, u32 count,
			struct incfs_disk_extent *disk)
{
	lockdep_assert_held(&node->map_lock);
	if (!node->map_offset) {
		memset(disk, 0, count * sizeof(*disk));
		return 0;
	}
	return incfs_image_pread(&node->mnt->image, disk, count * sizeof(*disk),
				 node->map_offset + incfs_format_map_size(first));
}

static void parse_entry(struct incfs_node *node, u32 block, const struct incfs_disk_extent *disk,
			struct incfs_extent *extent)
{
	incfs_format_parse_extent(disk, incfs_image_size(&node->mnt->image), extent);
	if (block_is_bad(node, block))
		extent->size = 0;
}

static int lookup_locked(struct incfs_node *node, u32 first, u32 count,
			 struct incfs_extent *extents)
{
	struct incfs_disk_extent disk[INCFS_EXTENT_BATCH];
	u32 i;
	int err;

	err = read_entries(node, first, count, disk);
	if (err)
		return err;
	for (i = 0; i < count; i++)
		parse_entry(node, first + i, &disk[i], &extents[i]);
	return 0;
}

int incfs_blocks_lookup(struct incfs_node *node, u32 first, u32 count,
			struct incfs_extent *extents)
{
	int err;

	down_read(&node->map_lock);
	err = lookup_locked(node, first, count, extents);
	up_read(&node->map_lock);
	return err;
}

int incfs_blocks_find_absent(struct incfs_node *node, u32 first, u32 end, u32 *start)
{
	struct incfs_extent extents[INCFS_EXTENT_BATCH];
	u32 run = 0, n, i;
	int err;

	end = min(end, node->nr_blocks);
	for (; first < end; first += n) {
		n = min_t(u32, end - first, INCFS_EXTENT_BATCH);
		err = incfs_blocks_lookup(node, first, n, extents);
		if (err)
			return err;
		for (i = 0; i < n; i++) {
			if (!extents[i].size && !run++)
				*start = first + i;
			else if (extents[i].size && run)
				return run;
		}
	}
	return run;
}

/* Count the block as absent from now on, if it is still what failed. */
static int mark_bad(struct incfs_node *node, u32 block, const struct incfs_extent *failed)
{
	struct incfs_extent now;
	int err;

	down_write(&node->map_lock);
	err = lookup_locked(node, block, 1, &now);
	if (!err && now.size && now.offset == failed->offset)
		err = xa_err(xa_store(&node->bad, block, xa_mk_value(1), GFP_KERNEL));
	up_write(&node->map_lock);
	incfs_warn(node->mnt, "inode %llu, block %u: stored bytes at offset %llu are damaged",
		   node->ino, block, failed->offset);
	return err;
}

/* A client may store a whole page for the tail: what lies past it is not shown. */
static int read_raw(struct incfs_node *node, u32 block, const struct incfs_extent *extent,
		    void *page)
{
	u32 len = min_t(u32, extent->size, incfs_block_len(node, block));
	int err;

	err = incfs_image_pread(&node->mnt->image, page, extent->size, extent->offset);
	if (err)
		return err;
	if (incfs_format_crc(page, extent->size) != extent->crc)
		return -EBADMSG;
	memset(page + len, 0, INCFS_BLOCK_SIZE - len);
	return 0;
}

static int read_lz4(struct incfs_node *node, u32 block, const struct incfs_extent *extent,
		    void *page)
{
	u32 len = incfs_block_len(node, block);
	void *stored;
	int err;

	stored = kmalloc(extent->size, GFP_KERNEL);
	if (!stored)
		return -ENOMEM;
	err = incfs_image_pread(&node->mnt->image, stored, extent->size, extent->offset);
	if (err)
		goto out_free;
	err = -EBADMSG;
	if (incfs_format_crc(stored, extent->size) != extent->crc)
		goto out_free;
	if (LZ4_decompress_safe(stored, page, extent->size, len) != len)
		goto out_free;
	memset(page + len, 0, INCFS_BLOCK_SIZE - len);
	err = 0;
out_free:
	kfree(stored);
	return err;
}

int incfs_blocks_read(struct incfs_node *node, u32 block, const struct incfs_extent *extent,
		      void *page)
{
	int err;

	if (extent->flags & INCFS_EXTENT_LZ4)
		err = read_lz4(node, block, extent, page);
	else
		err = read_raw(node, block, extent, page);
	if (err != -EBADMSG)
		return err;
	return mark_bad(node, block, extent) ?: -EBADMSG;
}

static int write_entry(struct incfs_node *node, u32 block, const struct incfs_extent *extent)
{
	struct incfs_image *image = &node->mnt->image;
	struct incfs_disk_extent disk;
	int err;

	lockdep_assert_held_write(&node->map_lock);
	if (!node->map_offset) {
		err = incfs_image_append_map(image, node->ino, node->nr_blocks,
					     &node->map_offset);
		if (err)
			return err;
	}
	incfs_format_build_extent(&disk, extent);
	err = incfs_image_pwrite(image, &disk, sizeof(disk),
				 node->map_offset + incfs_format_map_size(block));
	if (!err)
		xa_erase(&node->bad, block);
	return err;
}

/*
 * An entry that cannot be right counts as absent, but may look right when the
 * image has grown. So whether another fill was faster is told by the bytes of
 * the entry: its bytes stay then, and ours are lost.
 */
static int replace_entry(struct incfs_node *node, u32 block,
			 const struct incfs_disk_extent *before,
			 const struct incfs_extent *extent)
{
	struct incfs_disk_extent now;
	int err;

	down_write(&node->map_lock);
	err = read_entries(node, block, 1, &now);
	if (!err && !memcmp(&now, before, sizeof(now)))
		err = write_entry(node, block, extent);
	up_write(&node->map_lock);
	return err;
}

int incfs_blocks_store(struct incfs_node *node, u32 block, const void *buf, u16 len, u16 flags)
{
	struct incfs_disk_extent before;
	struct incfs_extent extent;
	int err;

	down_read(&node->map_lock);
	err = read_entries(node, block, 1, &before);
	if (!err)
		parse_entry(node, block, &before, &extent);
	up_read(&node->map_lock);
	if (err || extent.size)
		return err;

	extent.size = len;
	extent.flags = flags;
	extent.crc = incfs_format_crc(buf, len);
	err = incfs_image_append_data(&node->mnt->image, buf, len, &extent.offset);
	if (err)
		return err;
	err = replace_entry(node, block, &before, &extent);
	if (err)
		return err;
	trace_incfs_block_filled(node, block, len, flags);
	incfs_pending_complete(node, block);
	return 0;
}
