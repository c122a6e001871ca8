// SPDX-License-Identifier: GPL-2.0-only
/*
 * Incremental FS: storing the blocks of a file.
 *
 * The bytes are written first and the entry of the block map after them. Readers
 * take no lock (blocks.c): the writer says which entries it is at, and counts.
 */
#include <linux/bitops.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/log2.h>
#include <linux/pagemap.h>
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
 * Blocks of the image's file system are written when it pleases that, each in whole.
 * Where an entry crosses the end of one, a part of it may be lost in a crash.
 * Without its offset or its size it is absent. But without its CRC, which is 0
 * then, it would be taken for zeros that were never stored, and without half of
 * its size for a short block of them. So if the size begins in the first of the two,
 * what is in the second has to be on the disk first. If not, a half entry has
 * no size, or a CRC that does not fit what its offset, cut off, points at.
 * No more than one of @count entries, a batch at most, crosses.
 */
static int write_entries_at(struct incfs_image *image, const struct incfs_disk_extent *disk,
			    u32 count, u64 at)
{
	size_t len = count * sizeof(*disk);
	size_t head = image->write_unit - at % image->write_unit;
	int err;

	BUILD_BUG_ON(INCFS_EXTENT_BATCH * sizeof(*disk) > INCFS_SECTOR_SIZE);
	if (head >= len || head % sizeof(*disk) <= offsetof(struct incfs_disk_extent, me_data_size))
		return incfs_image_pwrite(image, disk, len, at);
	err = incfs_image_pwrite(image, (const u8 *)disk + head, len - head, at + head);
	if (!err)
		err = incfs_image_sync_range(image, at + head, at + len - 1);
	return err ?: incfs_image_pwrite(image, disk, head, at);
}

static int write_entries(struct incfs_node *node, u32 first, u32 count,
			 const struct incfs_disk_extent *disk)
{
	int err;

	lockdep_assert_held(&node->map_lock);
	WRITE_ONCE(node->writing, incfs_writing(first, count));
	smp_wmb();	/* readers that see a part of an entry see that it is being written */
	err = write_entries_at(&node->mnt->image, disk, count,
			       node->map_offset + incfs_format_map_size(first));
	smp_wmb();	/* readers that see the count see the entries */
	WRITE_ONCE(node->written, node->written + 1);
	smp_wmb();	/* readers that see they are not being written any more see the count */
	WRITE_ONCE(node->writing, 0);
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
	if (!node->counted && xa_empty(&node->bad))
		return;
	incfs_format_parse_extents(before, 1, incfs_image_size(&node->mnt->image), &old);
	if (node->counted)
		more = extent->size - old.size;
	if (old.size && incfs_blocks_is_bad(node, block, &old))
		more += old.size;
	atomic64_add(more, &node->stored);
}

/*
 * Write the entries of neighbours. When that fails as a whole each is tried alone,
 * so that what there is room for is not lost. Returns which have been written.
 */
static u32 write_run(struct incfs_node *node, u32 first, u32 count,
		     const struct incfs_disk_extent *disk, struct incfs_new_block *blocks)
{
	int err = write_entries(node, first, count, disk);
	u32 i, written = 0;

	for (i = 0; i < count; i++) {
		blocks[i].result = 1;
		if (err && count > 1)
			blocks[i].result = write_entries(node, first + i, 1, &disk[i]) ?: 1;
		else if (err)
			blocks[i].result = err;
		if (blocks[i].result > 0)
			written |= BIT(i);
	}
	return written;
}

/* A batch of blocks on its way into the image; bit by bit, what is left of it. */
struct batch {
	struct incfs_node *node;
	struct incfs_new_block *blocks;
	u32 first;
	u32 count;
	u32 which;
	u32 written;		/* incfs_node.written, as of @before */
	struct incfs_disk_extent before[INCFS_EXTENT_BATCH];
};

static void batch_drop(struct batch *batch, u32 i, int result)
{
	batch->blocks[i].result = result;
	batch->which &= ~BIT(i);
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

/* Leave out what is stored already. */
static void batch_look_up(struct batch *batch)
{
	struct incfs_node *node = batch->node;
	struct incfs_extent extent;
	int err;
	u32 i;

	mutex_lock(&node->map_lock);
	err = incfs_blocks_read_entries(node, batch->first, batch->count, batch->before);
	batch->written = node->written;
	mutex_unlock(&node->map_lock);
	for (i = 0; i < batch->count; i++) {
		if (err) {
			batch_drop(batch, i, err);
			continue;
		}
		incfs_blocks_parse_entry(node, batch->first + i, &batch->before[i], &extent);
		if (!extent.size)
			continue;
		err = check_stored(node, batch->first + i, &extent);
		if (err != -EBADMSG)
			batch_drop(batch, i, err);
		err = 0;
	}
}

/* Write the bytes: in one piece, or each block alone where there is room for it. */
static void batch_write_data(struct batch *batch)
{
	struct incfs_image *image = &batch->node->mnt->image;
	struct incfs_new_block *block = batch->blocks;
	bool alone = is_power_of_2(batch->which);
	int err, failed;
	u32 i;

	for (i = 0; i < batch->count; i++, block++)
		if (batch->which & BIT(i))
			block->extent.crc = incfs_crc(block->buf, block->extent.size);
	failed = incfs_image_append_blocks(image, batch->blocks, batch->count, batch->which);
	for (i = 0; failed && i < batch->count; i++) {
		if (!(batch->which & BIT(i)))
			continue;
		err = alone ? failed :
			      incfs_image_append_blocks(image, &batch->blocks[i], 1, 1);
		if (err)
			batch_drop(batch, i, err);
	}
}

/*
 * An entry that cannot be right counts as absent, but may look right when the
 * image has grown. So whether another fill was faster is told by the bytes of
 * the entry: its bytes stay then, and ours are lost.
 */
static int batch_drop_lost(struct batch *batch)
{
	struct incfs_disk_extent now[INCFS_EXTENT_BATCH];
	u32 i;
	int err;

	lockdep_assert_held(&batch->node->map_lock);
	if (batch->written == batch->node->written)
		return 0;
	err = incfs_blocks_read_entries(batch->node, batch->first, batch->count, now);
	for (i = 0; !err && i < batch->count; i++)
		if (batch->which & BIT(i) && memcmp(&now[i], &batch->before[i], sizeof(now[i])))
			batch_drop(batch, i, 0);
	return err;
}

static void batch_count(struct batch *batch)
{
	u64 bytes = 0;
	u32 i;

	for (i = 0; i < batch->count; i++) {
		if (!(batch->which & BIT(i)))
			continue;
		count_stored(batch->node, batch->first + i, &batch->before[i],
			     &batch->blocks[i].extent);
		bytes += batch->blocks[i].extent.size;
	}
	incfs_count(batch->node->mnt, INCFS_STAT_BLOCKS_FILLED, hweight32(batch->which));
	incfs_count(batch->node->mnt, INCFS_STAT_BYTES_FILLED, bytes);
}

static void batch_write_entries(struct batch *batch)
{
	struct incfs_disk_extent disk[INCFS_EXTENT_BATCH];
	struct incfs_node *node = batch->node;
	u32 i, n, written = 0;
	int err;

	mutex_lock(&node->map_lock);
	err = batch_drop_lost(batch);
	if (!err && batch->which)
		err = reserve_map(node);
	for (i = 0; i < batch->count; i += n) {
		n = 1;
		if (!(batch->which & BIT(i)))
			continue;
		if (err) {
			batch_drop(batch, i, err);
			continue;
		}
		for (n = 0; i + n < batch->count && batch->which & BIT(i + n); n++)
			incfs_format_build_extent(&disk[n], &batch->blocks[i + n].extent);
		written |= write_run(node, batch->first + i, n, disk, &batch->blocks[i]) << i;
	}
	batch->which = written;
	batch_count(batch);
	mutex_unlock(&node->map_lock);
}

/*
 * A page that is locked is left to who has it, as the other way round a fill would
 * wait for a reader. One that there is no memory for is left to its reader, too.
 */
static void show_block(struct address_space *mapping, struct incfs_node *node, u32 index,
		       const struct incfs_new_block *block)
{
	struct folio *folio = __filemap_get_folio(mapping, index,
						  FGP_LOCK | FGP_CREAT | FGP_NOWAIT,
						  mapping_gfp_mask(mapping));
	void *page;
	int err;

	if (IS_ERR(folio))
		return;
	if (folio_test_uptodate(folio) || folio_test_large(folio)) {
		folio_unlock(folio);
	} else {
		page = kmap_local_folio(folio, 0);
		err = incfs_blocks_expand(node, index, &block->extent, block->buf, page);
		kunmap_local(page);
		flush_dcache_folio(folio);
		folio_end_read(folio, !err);
	}
	folio_put(folio);
}

/*
 * Put blocks that are waited for where their readers are going to look, so that
 * these need not read them back. But a policy that decides on reads is to be asked
 * about this one again. No lock is held: the last reference to the inode may go.
 */
static void batch_show(struct batch *batch, u32 which)
{
	struct incfs_node *node = batch->node;
	struct inode *inode;
	u32 i;

	if (!which || PAGE_SIZE >> INCFS_BLOCK_SHIFT > 1 ||
	    incfs_policy_wants(&node->mnt->policy, INCFS_CALL_PRESENCE))
		return;
	inode = ilookup(node->mnt->sb, node->ino);
	if (!inode)
		return;
	for (; which; which &= which - 1) {
		i = __ffs(which);
		show_block(inode->i_mapping, node, batch->first + i, &batch->blocks[i]);
	}
	iput(inode);
}

void incfs_store_blocks(struct incfs_node *node, u32 first, struct incfs_new_block *blocks,
			u32 count)
{
	struct batch batch = {
		.node = node,
		.blocks = blocks,
		.first = first,
		.count = count,
		.which = GENMASK(count - 1, 0),
	};
	u32 i, waited;

	batch_look_up(&batch);
	if (batch.which)
		batch_write_data(&batch);
	if (batch.which)
		batch_write_entries(&batch);
	for (i = 0; i < count; i++)
		if (batch.which & BIT(i))
			trace_incfs_block_filled(node, first + i, blocks[i].extent.size,
						 blocks[i].extent.flags);
	waited = incfs_pending_find(node, first, count) & batch.which;
	batch_show(&batch, waited);
	incfs_pending_complete(node, first, waited);
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
	struct incfs_disk_extent before[INCFS_EXTENT_BATCH], disk;
	struct incfs_extent now;
	u32 i, shared = 0;

	lockdep_assert_held(&to->map_lock);
	*err = incfs_blocks_read_entries(to, to_block, count, before);
	for (i = 0; i < count; i++) {
		incfs_blocks_parse_entry(to, to_block + i, &before[i], &now);
		if (*err || now.size ||
		    !can_share(from, from_block + i, to, to_block + i, &extents[i]))
			continue;
		incfs_format_build_extent(&disk, &extents[i]);
		*err = reserve_map(to) ?: write_entries(to, to_block + i, 1, &disk);
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
	for (i = 0; i < count; i++)
		if (*shared & BIT(i))
			trace_incfs_block_filled(to, to_block + i, extents[i].size,
						 extents[i].flags);
	incfs_pending_complete(to, to_block, incfs_pending_find(to, to_block, count) & *shared);
	return err;
}
