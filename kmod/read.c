// SPDX-License-Identifier: GPL-2.0-only
/*
 * Incremental FS: reads of file data into the page cache.
 *
 * Nobody holds a page lock while a block is waited for. read_folio() that
 * meets an absent block unlocks the page, waits, and returns
 * AOP_TRUNCATED_PAGE, on which the page cache looks the page up again and
 * calls once more. So readers of one page wait side by side, each with its own
 * timeout. Readahead takes what is there and leaves out the rest.
 *
 * A page fault waits before the page cache is asked, without the mmap lock,
 * and has the fault taken again afterwards.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched.h>

#include "internal.h"
#include "trace.h"

#define BLOCKS_PER_PAGE (PAGE_SIZE >> INCFS_BLOCK_SHIFT)

void incfs_access_init(struct incfs_access *access, struct incfs_node *node, u32 block,
		       u32 count, enum incfs_read_why why)
{
	access->node = node;
	access->read = (struct incfs_read) {
		.mount_id = node->mnt->id,
		.ino = node->ino,
		.block = block,
		.count = count,
		.file_blocks = node->nr_blocks,
		.why = why,
	};
}

/* Ask the policy about access->read.block: INCFS_STORED is "as the image says". */
static int ask_policy(struct incfs_access *access)
{
	struct incfs_mount *mnt = access->node->mnt;
	int verdict;

	access->read.timeout_ms = READ_ONCE(mnt->timeout_ms);
	access->read.recheck_ms = 0;
	if (!incfs_policy_wants(&mnt->policy, INCFS_CALL_PRESENCE))
		return INCFS_STORED;
	verdict = incfs_policy_presence(mnt, access);
	if (verdict < 0)
		return verdict;
	if (verdict == INCFS_VERDICT_ZERO)
		return INCFS_ZERO;
	return verdict == INCFS_VERDICT_WAIT ? INCFS_ABSENT : INCFS_STORED;
}

int incfs_access_decide(struct incfs_access *access, struct incfs_extent *extent)
{
	int state = ask_policy(access);
	int err;

	if (state != INCFS_STORED)
		return state;
	err = incfs_blocks_lookup(access->node, access->read.block, 1, extent);
	if (err)
		return err;
	return extent->size ? INCFS_STORED : INCFS_ABSENT;
}

/* Blocks of the file that are in a folio. */
static u32 folio_blocks(const struct incfs_access *access, struct folio *folio)
{
	return min_t(u32, folio_size(folio) >> INCFS_BLOCK_SHIFT,
		     access->read.file_blocks - (folio_pos(folio) >> INCFS_BLOCK_SHIFT));
}

/*
 * What a reader finds of each of @count blocks, policy and image taken together.
 * Returns 0, INCFS_ABSENT or an errno, with access->read.block set to the block.
 */
static int decide(struct incfs_access *access, struct incfs_extent *extents, u32 count)
{
	u32 first = access->read.block;
	bool nobody = !incfs_policy_wants(&access->node->mnt->policy, INCFS_CALL_PRESENCE) &&
		      !trace_incfs_block_read_enabled();
	int state;
	u32 i;

	for (i = 0; i < count; i++) {
		if (nobody && extents[i].size)
			continue;
		access->read.block = first + i;
		state = ask_policy(access);
		if (state == INCFS_STORED && !extents[i].size)
			state = INCFS_ABSENT;
		trace_incfs_block_read(access, state);
		if (state == INCFS_ABSENT || state < 0)
			return state;
		if (state == INCFS_ZERO)
			extents[i].size = 0;
	}
	return 0;
}

/* Have all blocks of a locked folio read by @io. Returns as decide(). */
static int add_folio(struct incfs_access *access, struct incfs_io *io, struct folio *folio)
{
	u32 count = folio_blocks(access, folio);
	size_t end = (size_t)count << INCFS_BLOCK_SHIFT;
	int ret;

	access->read.block = folio_pos(folio) >> INCFS_BLOCK_SHIFT;
	ret = decide(access, incfs_io_extents(io, access->read.block, count), count);
	if (ret)
		return ret;
	if (end < folio_size(folio))
		folio_zero_segment(folio, end, folio_size(folio));
	incfs_io_add(io, folio, count);
	return 0;
}

/* Read a locked folio. Returns as decide(). */
static int read_folio(struct incfs_access *access, struct folio *folio)
{
	struct incfs_io *io;
	int ret;

	io = incfs_io_begin(access->node, folio_pos(folio) >> INCFS_BLOCK_SHIFT,
			    folio_blocks(access, folio));
	if (IS_ERR(io))
		return PTR_ERR(io);
	ret = add_folio(access, io, folio);
	if (ret) {
		incfs_io_abandon(io);
		return ret;
	}
	ret = incfs_io_read(io, &access->read.block);
	return ret == -EBADMSG ? INCFS_ABSENT : ret;
}

static int incfs_read_folio(struct file *file, struct folio *folio)
{
	struct incfs_access access;
	int ret;

	incfs_access_init(&access, incfs_inode_node(folio->mapping->host), 0, 1,
			  INCFS_READ_DEMAND);
	ret = read_folio(&access, folio);
	if (!ret) {
		flush_dcache_folio(folio);
		folio_end_read(folio, true);
		return 0;
	}
	if (folio_test_large(folio)) {
		incfs_io_fail_folio(folio);
		return AOP_TRUNCATED_PAGE;
	}
	folio_unlock(folio);
	if (ret != INCFS_ABSENT)
		return ret;
	if (incfs_faulting_is(access.node->mnt))
		return AOP_TRUNCATED_PAGE;
	ret = incfs_pending_wait(&access);
	return ret ?: AOP_TRUNCATED_PAGE;
}

/*
 * Find room for the blocks of a folio in @io, which is submitted first if it has
 * none. Returns an ERR_PTR() on failure.
 */
static struct incfs_io *make_room(struct incfs_access *access, struct incfs_io *io,
				  struct folio *folio, u32 left)
{
	u32 first = folio_pos(folio) >> INCFS_BLOCK_SHIFT;

	if (!IS_ERR_OR_NULL(io)) {
		if (incfs_io_extents(io, first, folio_blocks(access, folio)))
			return io;
		incfs_io_submit(io);
	}
	return incfs_io_begin(access->node, first, left);
}

static void incfs_readahead(struct readahead_control *rac)
{
	struct incfs_node *node = incfs_inode_node(rac->mapping->host);
	u32 first = readahead_pos(rac) >> INCFS_BLOCK_SHIFT;
	u32 count = readahead_length(rac) >> INCFS_BLOCK_SHIFT;
	struct incfs_access access;
	struct incfs_io *io = NULL;
	struct folio *folio;
	bool absent = false;
	int ret;

	incfs_access_init(&access, node, first, 1, INCFS_READ_READAHEAD);
	while ((folio = readahead_folio(rac))) {
		io = make_room(&access, io, folio,
			       first + count - (folio_pos(folio) >> INCFS_BLOCK_SHIFT));
		ret = IS_ERR(io) ? PTR_ERR(io) : add_folio(&access, io, folio);
		if (!ret)
			continue;
		incfs_io_fail_folio(folio);
		absent |= ret == INCFS_ABSENT;
	}
	if (!IS_ERR_OR_NULL(io))
		incfs_io_submit(io);
	/* A policy that has asked for this itself (ahead.c) is not asked what for. */
	if (!absent || !rac->file || !incfs_policy_wants(&node->mnt->policy, INCFS_CALL_PREFETCH))
		return;
	access.read.block = first;
	access.read.count = min(count, node->nr_blocks - first);
	incfs_policy_tell(node->mnt, INCFS_CALL_PREFETCH, &access);
}

const struct address_space_operations incfs_file_aops = {
	.read_folio = incfs_read_folio,
	.readahead = incfs_readahead,
};

static bool page_is_cached(struct address_space *mapping, pgoff_t index)
{
	struct folio *folio = filemap_get_folio(mapping, index);
	bool uptodate;

	if (IS_ERR(folio))
		return false;
	uptodate = folio_test_uptodate(folio);
	folio_put(folio);
	return uptodate;
}

/* State of the first block of a page that is not there; INCFS_STORED if all are. */
static int decide_page(struct incfs_access *access, u32 first)
{
	u32 end = min_t(u64, (u64)first + BLOCKS_PER_PAGE, access->read.file_blocks);
	struct incfs_extent extent;
	int state = INCFS_STORED;
	u32 block;

	for (block = first; block < end; block++) {
		access->read.block = block;
		state = incfs_access_decide(access, &extent);
		if (state < 0 || state == INCFS_ABSENT)
			return state;
	}
	return state;
}

/*
 * The kernel takes a fault again after VM_FAULT_RETRY, and can't be told of an
 * error with it. So an error of the wait is kept for the next time round, which
 * then does not wait again. That may look like a fault of its own: a signal
 * that came during the wait is handled first, and the access starts anew. When
 * the block is absent without an error, because it turned out to be damaged or
 * the policy changed, it is waited for once more, and without the lock.
 */
static vm_fault_t wait_and_retry(struct vm_fault *vmf, struct incfs_access *access)
{
	struct file *file = get_file(vmf->vma->vm_file);
	int err;

	release_fault_lock(vmf);
	err = incfs_pending_wait(access);
	if (err && err != -EINTR)
		incfs_expired_add(access);
	fput(file);
	return VM_FAULT_RETRY | VM_FAULT_MAJOR;
}

/*
 * A fault of a stored block. The page cache will drop the lock for a first
 * attempt that may be repeated, whose error it forgets: such a one never waits
 * there. Others wait under their lock.
 */
static vm_fault_t fault_stored(struct vm_fault *vmf, struct incfs_mount *mnt)
{
	struct incfs_faulting faulting;
	struct file *file;
	vm_fault_t ret;

	if (!fault_flag_allow_retry_first(vmf->flags) || vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		return filemap_fault(vmf);
	file = get_file(vmf->vma->vm_file);
	incfs_faulting_begin(mnt, &faulting);
	ret = filemap_fault(vmf);
	incfs_faulting_end(mnt, &faulting);
	fput(file);
	return ret;
}

static vm_fault_t incfs_fault(struct vm_fault *vmf)
{
	struct address_space *mapping = vmf->vma->vm_file->f_mapping;
	struct incfs_node *node = incfs_inode_node(mapping->host);
	struct incfs_access access;
	int state;

	if (vmf->pgoff >= DIV_ROUND_UP(node->size, PAGE_SIZE) ||
	    page_is_cached(mapping, vmf->pgoff))
		return filemap_fault(vmf);

	incfs_access_init(&access, node, 0, 1, INCFS_READ_MAPPED);
	state = decide_page(&access, vmf->pgoff * BLOCKS_PER_PAGE);
	if (state < 0)
		return vmf_error(state);
	if (state != INCFS_ABSENT)
		return fault_stored(vmf, node->mnt);
	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		return VM_FAULT_RETRY;
	if (incfs_expired_take(&access))
		return VM_FAULT_SIGBUS;
	if (vmf->flags & FAULT_FLAG_ALLOW_RETRY)
		return wait_and_retry(vmf, &access);
	/* A caller that can't retry: read_folio() waits under its lock. */
	return filemap_fault(vmf);
}

const struct vm_operations_struct incfs_file_vm_ops = {
	.fault = incfs_fault,
	.map_pages = filemap_map_pages,
};
