// SPDX-License-Identifier: GPL-2.0-only
/*
 * Incremental FS: the blocks of a file, through its block map.
 *
 * The map is read through the page cache of the image file, so that reclaim
 * can take it back. store.c writes it.
 *
 * Readers of the map take no lock. A page fault may come from a write to the
 * image's file system, with locks held there that the writer of an entry, under
 * map_lock, is going to take. Instead a writer says which entries it is at, and
 * counts: a reader takes those blocks for absent, and reads again when entries
 * were written meanwhile, so that none sees half of one.
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

bool incfs_blocks_is_bad(struct incfs_node *node, u32 block, const struct incfs_extent *extent)
{
	return !xa_empty(&node->bad) &&
	       xa_load(&node->bad, block) == bad_mark(extent);
}

int incfs_blocks_read_entries(struct incfs_node *node, u32 first, u32 count,
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
 * Read entries, all of them whole. *@writing tells of which is not to be
 * trusted, as it is being written. Pairs with write_entries() in store.c.
 */
static int read_stable_entries(struct incfs_node *node, u32 first, u32 count,
			       struct incfs_disk_extent *disk, u64 *writing)
{
	u32 written;
	int err;

	do {
		written = READ_ONCE(node->written);
		smp_rmb();	/* the count before the entries */
		err = incfs_blocks_read_entries(node, first, count, disk);
		if (err)
			return err;
		smp_rmb();	/* the entries before which were being written */
		*writing = READ_ONCE(node->writing);
		smp_rmb();	/* and that before the count */
	} while (READ_ONCE(node->written) != written);
	return 0;
}

void incfs_blocks_parse_entry(struct incfs_node *node, u32 block,
			      const struct incfs_disk_extent *disk, struct incfs_extent *extent)
{
	incfs_format_parse_extents(disk, 1, incfs_image_size(&node->mnt->image), extent);
	if (incfs_blocks_is_bad(node, block, extent))
		extent->size = 0;
}

int incfs_blocks_lookup(struct incfs_node *node, u32 first, u32 count,
			struct incfs_extent *extents)
{
	/* Zeroing it, for safety of the stack, would cost more than parsing it does. */
	struct incfs_disk_extent disk[INCFS_EXTENT_BATCH] __uninitialized;
	u64 writing;
	int err;
	u32 i;

	err = read_stable_entries(node, first, count, disk, &writing);
	if (err)
		return err;
	incfs_format_parse_extents(disk, count, incfs_image_size(&node->mnt->image), extents);
	if (!writing && xa_empty(&node->bad))
		return 0;
	for (i = 0; i < count; i++)
		if (incfs_is_writing(writing, first + i) ||
		    incfs_blocks_is_bad(node, first + i, &extents[i]))
			extents[i].size = 0;
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

/* One that was supplied again meanwhile lies elsewhere, and is none the worse for it. */
int incfs_blocks_damaged(struct incfs_node *node, u32 block, const struct incfs_extent *extent)
{
	unsigned long *checked = incfs_blocks_checked(node, block, false);
	void *mark = bad_mark(extent), *old;

	incfs_warn(node->mnt, "inode %llu, block %u: stored bytes at offset %llu are damaged",
		   node->ino, block, extent->offset);
	incfs_count(node->mnt, INCFS_STAT_BLOCKS_DAMAGED, 1);
	if (checked)
		clear_bit(block % INCFS_CHECKED_BATCH, checked);
	old = xa_store(&node->bad, block, mark, GFP_KERNEL);
	if (xa_is_err(old))
		return xa_err(old);
	if (old != mark)
		atomic64_sub(extent->size, &node->stored);
	return -EBADMSG;
}

int incfs_blocks_expand(struct incfs_node *node, u32 block, const struct incfs_extent *extent,
			const void *stored, void *page)
{
	u32 len = incfs_block_len(node, block);

	if (extent->flags & INCFS_EXTENT_LZ4) {
		if (LZ4_decompress_safe(stored, page, extent->size, len) != len)
			return incfs_blocks_damaged(node, block, extent);
	} else {
		len = min_t(u32, extent->size, len);
		memcpy(page, stored, len);
	}
	memset(page + len, 0, INCFS_BLOCK_SIZE - len);
	return 0;
}

int incfs_blocks_read(struct incfs_node *node, u32 block, const struct incfs_extent *extent,
		      void *page)
{
	void *stored = kmalloc(extent->size, GFP_KERNEL);
	int err;

	if (!stored)
		return -ENOMEM;
	err = incfs_image_pread(&node->mnt->image, stored, extent->size, extent->offset);
	if (!err && incfs_crc(stored, extent->size) != extent->crc)
		err = incfs_blocks_damaged(node, block, extent);
	if (!err)
		err = incfs_blocks_expand(node, block, extent, stored, page);
	kfree(stored);
	return err;
}

/*
 * One bit a block, INCFS_CHECKED_BATCH of them in a page, which is made when the
 * first of them is set. A lack of memory costs another check.
 */
unsigned long *incfs_blocks_checked(struct incfs_node *node, u32 block, bool create)
{
	unsigned long index = block / INCFS_CHECKED_BATCH;
	unsigned long *bits = xa_load(&node->checked, index), *other;

	if (bits || !create)
		return bits;
	bits = kzalloc(INCFS_CHECKED_BATCH / BITS_PER_BYTE, GFP_KERNEL_ACCOUNT);
	if (!bits)
		return NULL;
	other = xa_cmpxchg(&node->checked, index, NULL, bits, GFP_KERNEL_ACCOUNT);
	if (!other)
		return bits;
	kfree(bits);
	return xa_is_err(other) ? NULL : other;
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
		err = incfs_blocks_read_entries(node, first, n, disk);
		if (err)
			return err;
		before = sum;
		for (i = 0; i < n; i++) {
			incfs_format_parse_extents(&disk[i], 1, size, &extent);
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

void incfs_blocks_destroy(struct incfs_node *node)
{
	unsigned long *checked;
	unsigned long index;

	xa_for_each(&node->checked, index, checked)
		kfree(checked);
	xa_destroy(&node->checked);
	xa_destroy(&node->bad);
}
