// SPDX-License-Identifier: GPL-2.0-only
/*
 * Incremental FS: storing the blocks of a file.
 *
 * The bytes are written first and the entry of the block map after them. Readers
 * take no lock (blocks.c): the writer says which entry it is at, and counts.
 */
#include <linux/fs.h>
#include <linux/slab.h>

#include "internal.h"
#include "trace.h"

static int reserve_map(struct incfs_node *node)
{
	u64 offset;
	int err;

	lockdep_assert_held(&node->map_lock);
	if (node->map_offset)
		return 0;
	err = incfs_image_append_map(&node->mnt->image, node->ino, node->nr_blocks, &offset);
	if (!err)
		WRITE_ONCE(node->map_offset, offset);
	return err;
}

/*
 * Pages of the image are written when it pleases the file system, each in whole.
 * Where an entry crosses the end of one, a part of it may be lost in a crash.
 * Without its offset or its size it is absent. But without its CRC, which is 0
 * then, it would be taken for zeros that were never stored, and without half of
 * its size for a short block of them. So if the size begins in the first page,
 * what is in the second one has to be on the disk first. If not, a half entry has
 * no size, or a CRC that does not fit what its offset, cut off, points at.
 */
static int write_entry_at(struct incfs_image *image, const struct incfs_disk_extent *disk, u64 at)
{
	size_t head = INCFS_BLOCK_SIZE - at % INCFS_BLOCK_SIZE;
	int err;

	if (head >= sizeof(*disk) || head <= offsetof(struct incfs_disk_extent, me_data_size))
		return incfs_image_pwrite(image, disk, sizeof(*disk), at);
	err = incfs_image_pwrite(image, (const u8 *)disk + head, sizeof(*disk) - head, at + head);
	if (!err)
		err = incfs_image_sync_range(image, at + head, at + sizeof(*disk) - 1);
	return err ?: incfs_image_pwrite(image, disk, head, at);
}

static int write_entry(struct incfs_node *node, u32 block, const struct incfs_extent *extent)
{
	struct incfs_disk_extent disk;
	int err;

	err = reserve_map(node);
	if (err)
		return err;
	incfs_format_build_extent(&disk, extent);
	WRITE_ONCE(node->writing, block);
	smp_wmb();	/* readers that see a part of the entry see that it is being written */
	err = write_entry_at(&node->mnt->image, &disk,
			     node->map_offset + incfs_format_map_size(block));
	smp_wmb();	/* readers that see the count see the entry */
	WRITE_ONCE(node->written, node->written + 1);
	smp_wmb();	/* readers that see it is not being written any more see the count */
	WRITE_ONCE(node->writing, INCFS_NO_BLOCK);
	return err;
}

/* An entry has replaced @before. What was bad of it has not been in the sum. */
static void count_stored(struct incfs_node *node, u32 block,
			 const struct incfs_disk_extent *before,
			 const struct incfs_extent *extent)
{
	struct incfs_extent old;
	s64 more = 0;

	lockdep_assert_held(&node->map_lock);
	incfs_format_parse_extent(before, incfs_image_size(&node->mnt->image), &old);
	if (node->counted)
		more = extent->size - old.size;
	if (old.size && incfs_blocks_is_bad(node, block, &old))
		more += old.size;
	atomic64_add(more, &node->stored);
}

/*
 * An entry that cannot be right counts as absent, but may look right when the
 * image has grown. So whether another fill was faster is told by the bytes of
 * the entry: its bytes stay then, and ours are lost. Returns whether ours stay.
 */
static int replace_entry(struct incfs_node *node, u32 block,
			 const struct incfs_disk_extent *before,
			 const struct incfs_extent *extent)
{
	struct incfs_disk_extent now;
	int err, stored = 0;

	mutex_lock(&node->map_lock);
	err = incfs_blocks_read_entries(node, block, 1, &now);
	if (!err && !memcmp(&now, before, sizeof(now))) {
		err = write_entry(node, block, extent);
		if (!err) {
			count_stored(node, block, before, extent);
			incfs_count(node->mnt, INCFS_STAT_BLOCKS_FILLED, 1);
			incfs_count(node->mnt, INCFS_STAT_BYTES_FILLED, extent->size);
			stored = 1;
		}
	}
	mutex_unlock(&node->map_lock);
	return err ?: stored;
}

/*
 * An entry may have survived a crash without its bytes, or lead behind the end of
 * the image until that has grown. Who fills the block and has that synced wants
 * to find it: so what is there is left only if it is right.
 */
static int check_stored(struct incfs_node *node, u32 block, const struct incfs_extent *extent)
{
	void *page = kmalloc(INCFS_BLOCK_SIZE, GFP_KERNEL);
	int err;

	if (!page)
		return -ENOMEM;
	err = incfs_blocks_read(node, block, extent, page);
	kfree(page);
	return err;
}

int incfs_store_block(struct incfs_node *node, u32 block, const void *buf, u16 len, u16 flags)
{
	struct incfs_disk_extent before;
	struct incfs_extent extent;
	int err, stored;

	mutex_lock(&node->map_lock);
	err = incfs_blocks_read_entries(node, block, 1, &before);
	mutex_unlock(&node->map_lock);
	if (err)
		return err;
	incfs_blocks_parse_entry(node, block, &before, &extent);
	if (extent.size) {
		err = check_stored(node, block, &extent);
		if (err != -EBADMSG)
			return err;
	}

	extent.size = len;
	extent.flags = flags;
	extent.crc = incfs_crc(buf, len);
	err = incfs_image_append_data(&node->mnt->image, buf, len, &extent.offset);
	if (err)
		return err;
	stored = replace_entry(node, block, &before, &extent);
	if (stored < 0)
		return stored;
	trace_incfs_block_filled(node, block, len, flags);
	incfs_pending_complete(node, block);
	return stored;
}

/* A block that failed its check where it lies is not to be had from there again. */
static bool can_share(struct incfs_node *from, u32 from_block, struct incfs_node *to, u32 to_block,
		      const struct incfs_extent *extent)
{
	return extent->size && !incfs_blocks_is_bad(to, to_block, extent) &&
	       incfs_block_len(from, from_block) == incfs_block_len(to, to_block);
}

/*
 * Share up to INCFS_EXTENT_BATCH blocks. Returns which of them came to be stored, a
 * bit for each; *@err ends it early.
 */
static u32 share_batch(struct incfs_node *from, u32 from_block, struct incfs_node *to,
		       u32 to_block, u32 count, struct incfs_extent *extents, int *err)
{
	struct incfs_disk_extent before[INCFS_EXTENT_BATCH];
	struct incfs_extent now;
	u32 i, shared = 0;

	lockdep_assert_held(&to->map_lock);
	*err = incfs_blocks_read_entries(to, to_block, count, before);
	for (i = 0; i < count; i++) {
		incfs_blocks_parse_entry(to, to_block + i, &before[i], &now);
		if (*err || now.size ||
		    !can_share(from, from_block + i, to, to_block + i, &extents[i]))
			continue;
		*err = write_entry(to, to_block + i, &extents[i]);
		if (*err)
			continue;
		count_stored(to, to_block + i, &before[i], &extents[i]);
		incfs_count(to->mnt, INCFS_STAT_BLOCKS_SHARED, 1);
		shared |= BIT(i);
	}
	return shared;
}

/*
 * The entries of @from are read without its lock, so that two calls may share
 * between two files in both directions.
 */
int incfs_store_share(struct incfs_node *from, u32 from_block, struct incfs_node *to,
		    u32 to_block, u32 count, u32 *shared)
{
	struct incfs_extent extents[INCFS_EXTENT_BATCH];
	int err;
	u32 i;

	BUILD_BUG_ON(INCFS_EXTENT_BATCH > 32);
	*shared = 0;
	err = incfs_blocks_lookup(from, from_block, count, extents);
	if (err)
		return err;
	mutex_lock(&to->map_lock);
	*shared = share_batch(from, from_block, to, to_block, count, extents, &err);
	mutex_unlock(&to->map_lock);
	for (i = 0; i < count; i++) {
		if (!(*shared & BIT(i)))
			continue;
		trace_incfs_block_filled(to, to_block + i, extents[i].size, extents[i].flags);
		incfs_pending_complete(to, to_block + i);
	}
	return err;
}
