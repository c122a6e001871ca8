// SPDX-License-Identifier: GPL-2.0-only
/*
 * Incremental FS: the blocks of a file, through its block map.
 *
 * The map is read through the page cache of the image file, so that reclaim
 * can take it back. A fill writes the bytes first and the entry after them.
 *
 * Readers of the map take no lock. A page fault may come from a write to the
 * image's file system, with locks held there that the writer of an entry, under
 * map_lock, is going to take. Instead a writer says which entry it is at, and
 * counts: a reader takes that block for absent, and reads again when an entry
 * was written meanwhile, so that none sees half of one.
 *
 * Where bytes that failed their check lie is remembered in incfs_node.bad: an
 * entry that points there counts as absent, until it has been supplied again.
 */
#include <linux/fs.h>
#include <linux/lz4.h>
#include <linux/math64.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "internal.h"
#include "trace.h"

/* What tells stored bytes from others; a value of an xarray has a bit less. */
static void *bad_mark(const struct incfs_extent *extent)
{
	return xa_mk_value((unsigned long)extent->offset & LONG_MAX);
}

static bool extent_is_bad(struct incfs_node *node, u32 block, const struct incfs_extent *extent)
{
	return !xa_empty(&node->bad) &&
	       xa_load(&node->bad, block) == bad_mark(extent);
}

static int read_entries(struct incfs_node *node, u32 first, u32 count,
			struct incfs_disk_extent *disk)
{
	u64 map_offset = READ_ONCE(node->map_offset);

	if (!map_offset) {
		memset(disk, 0, count * sizeof(*disk));
		return 0;
	}
	return incfs_image_pread(&node->mnt->image, disk, count * sizeof(*disk),
				 map_offset + incfs_format_map_size(first));
}

/*
 * Read entries, all of them whole. *@writing is the block whose entry is not
 * to be trusted, as it is being written. Pairs with write_entry().
 */
static int read_stable_entries(struct incfs_node *node, u32 first, u32 count,
			       struct incfs_disk_extent *disk, u32 *writing)
{
	u32 written;
	int err;

	do {
		written = READ_ONCE(node->written);
		smp_rmb();	/* the count before the entries */
		err = read_entries(node, first, count, disk);
		if (err)
			return err;
		smp_rmb();	/* the entries before which one was being written */
		*writing = READ_ONCE(node->writing);
		smp_rmb();	/* and that before the count */
	} while (READ_ONCE(node->written) != written);
	return 0;
}

static void parse_entry(struct incfs_node *node, u32 block, const struct incfs_disk_extent *disk,
			struct incfs_extent *extent)
{
	incfs_format_parse_extent(disk, incfs_image_size(&node->mnt->image), extent);
	if (extent_is_bad(node, block, extent))
		extent->size = 0;
}

int incfs_blocks_lookup(struct incfs_node *node, u32 first, u32 count,
			struct incfs_extent *extents)
{
	struct incfs_disk_extent disk[INCFS_EXTENT_BATCH];
	u32 writing, i;
	int err;

	err = read_stable_entries(node, first, count, disk, &writing);
	if (err)
		return err;
	for (i = 0; i < count; i++) {
		parse_entry(node, first + i, &disk[i], &extents[i]);
		if (first + i == writing)
			extents[i].size = 0;
	}
	return 0;
}

u32 incfs_blocks_skip_hole(struct incfs_node *node, u32 block)
{
	u64 map_offset = READ_ONCE(node->map_offset);
	u64 at = map_offset + incfs_format_map_size(block);
	u64 data;

	if (!map_offset || block >= node->nr_blocks)
		return node->nr_blocks;
	data = incfs_image_next_data(&node->mnt->image, at);
	if (data <= at)
		return block;
	data = div_u64(data - at, sizeof(struct incfs_disk_extent));
	return min_t(u64, block + data, node->nr_blocks);
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

/*
 * Count the block as absent from now on. One that was supplied again meanwhile
 * lies elsewhere, and is none the worse for it.
 */
static int mark_bad(struct incfs_node *node, u32 block, const struct incfs_extent *failed)
{
	void *mark = bad_mark(failed), *old;

	incfs_warn(node->mnt, "inode %llu, block %u: stored bytes at offset %llu are damaged",
		   node->ino, block, failed->offset);
	incfs_count(node->mnt, INCFS_STAT_BLOCKS_DAMAGED, 1);
	old = xa_store(&node->bad, block, mark, GFP_KERNEL);
	if (xa_is_err(old))
		return xa_err(old);
	if (old != mark)
		atomic64_sub(failed->size, &node->stored);
	return 0;
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
	if (old.size && extent_is_bad(node, block, &old))
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
	err = read_entries(node, block, 1, &now);
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

int incfs_blocks_store(struct incfs_node *node, u32 block, const void *buf, u16 len, u16 flags)
{
	struct incfs_disk_extent before;
	struct incfs_extent extent;
	int err, stored;

	mutex_lock(&node->map_lock);
	err = read_entries(node, block, 1, &before);
	mutex_unlock(&node->map_lock);
	if (err)
		return err;
	parse_entry(node, block, &before, &extent);
	if (extent.size) {
		err = check_stored(node, block, &extent);
		if (err != -EBADMSG)
			return err;
	}

	extent.size = len;
	extent.flags = flags;
	extent.crc = incfs_format_crc(buf, len);
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
	return extent->size && !extent_is_bad(to, to_block, extent) &&
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
	*err = read_entries(to, to_block, count, before);
	for (i = 0; i < count; i++) {
		parse_entry(to, to_block + i, &before[i], &now);
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
int incfs_blocks_share(struct incfs_node *from, u32 from_block, struct incfs_node *to,
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

/*
 * Blocks that were found bad before have been taken off the sum already, so they
 * are counted here as if they were not.
 */
static int count_blocks(struct incfs_node *node)
{
	struct incfs_disk_extent disk[INCFS_EXTENT_BATCH];
	u64 size = incfs_image_size(&node->mnt->image);
	struct incfs_extent extent;
	u32 first, n, i;
	u64 sum = 0, before;
	int err;

	lockdep_assert_held(&node->map_lock);
	for (first = incfs_blocks_skip_hole(node, 0); first < node->nr_blocks; ) {
		n = min_t(u32, node->nr_blocks - first, INCFS_EXTENT_BATCH);
		err = read_entries(node, first, n, disk);
		if (err)
			return err;
		before = sum;
		for (i = 0; i < n; i++) {
			incfs_format_parse_extent(&disk[i], size, &extent);
			sum += extent.size;
		}
		first += n;
		if (sum == before)
			first = incfs_blocks_skip_hole(node, first);
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	atomic64_add(sum, &node->stored);
	smp_store_release(&node->counted, true);	/* pairs with incfs_blocks_stored() */
	return 0;
}

int incfs_blocks_stored(struct incfs_node *node, u64 *bytes)
{
	int err = 0;

	if (!smp_load_acquire(&node->counted)) {	/* the sum after it */
		mutex_lock(&node->map_lock);
		if (!node->counted)
			err = count_blocks(node);
		mutex_unlock(&node->map_lock);
	}
	/* An entry may have pointed outside the image, and into it when that has grown. */
	*bytes = max_t(s64, atomic64_read(&node->stored), 0);
	return err;
}
