// SPDX-License-Identifier: GPL-2.0-only
/*
 * Incremental FS: stored blocks that a policy wants in the page cache.
 *
 * Its programs run in the middle of a read, with folios locked, so what they ask
 * for is noted, and read by a worker. What does not fit the list is refused: it is
 * a hint.
 */
#include <linux/fs.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "internal.h"

#define BLOCKS_PER_PAGE (PAGE_SIZE >> INCFS_BLOCK_SHIFT)
/* Blocks that are locked, and read, at a time. */
#define PIECE_BLOCKS 64u

struct workqueue_struct *incfs_workqueue;

int incfs_ahead_add(struct incfs_node *node, u32 first, u32 count)
{
	struct incfs_ahead *ahead = &node->mnt->ahead;
	bool room;

	spin_lock(&ahead->lock);
	/* What is asked for in the course of the work itself would never end. */
	room = ahead->nr < INCFS_AHEAD_MAX && !ahead->stopped && ahead->worker != current;
	if (room)
		ahead->ranges[(ahead->head + ahead->nr++) % INCFS_AHEAD_MAX] =
			(struct incfs_ahead_range) { node, first, count };
	spin_unlock(&ahead->lock);
	if (!room)
		return -EAGAIN;
	queue_work(incfs_workqueue, &ahead->work);
	return 0;
}

/* Take the next piece of what is to be read. */
static bool ahead_take(struct incfs_ahead *ahead, struct incfs_ahead_range *piece)
{
	struct incfs_ahead_range *range = &ahead->ranges[ahead->head];
	bool any;

	spin_lock(&ahead->lock);
	any = ahead->nr && !ahead->stopped;
	ahead->worker = any ? current : NULL;
	if (any) {
		*piece = *range;
		piece->count = min(range->count, PIECE_BLOCKS);
		range->first += piece->count;
		range->count -= piece->count;
		if (!range->count) {
			ahead->head = (ahead->head + 1) % INCFS_AHEAD_MAX;
			ahead->nr--;
		}
	}
	spin_unlock(&ahead->lock);
	return any;
}

static void read_stored(struct inode *inode, u32 first, u32 end)
{
	struct file_ra_state ra = {};
	pgoff_t index = first / BLOCKS_PER_PAGE;
	DEFINE_READAHEAD(rac, NULL, &ra, inode->i_mapping, index);

	file_ra_state_init(&ra, inode->i_mapping);
	page_cache_ra_unbounded(&rac, DIV_ROUND_UP(end, BLOCKS_PER_PAGE) - index, 0);
}

/* The runs of stored blocks between those that are absent. */
static void read_piece(struct inode *inode, const struct incfs_ahead_range *piece)
{
	u32 block = piece->first, end = piece->first + piece->count, absent;
	int run;

	while (block < end) {
		run = incfs_blocks_find_absent(piece->node, block, end, &absent);
		if (run < 0)
			return;
		if (!run)
			absent = end;
		if (absent > block)
			read_stored(inode, block, absent);
		block = absent + run;
	}
}

static void ahead_work(struct work_struct *work)
{
	struct incfs_ahead *ahead = container_of(work, struct incfs_ahead, work);
	struct incfs_ahead_range piece;
	struct incfs_mount *mnt;
	struct inode *inode;

	for (; ahead_take(ahead, &piece); cond_resched()) {
		mnt = piece.node->mnt;
		down_read(&mnt->tree_lock);
		inode = incfs_inode_get(mnt->sb, piece.node);
		up_read(&mnt->tree_lock);
		if (IS_ERR(inode))
			continue;
		read_piece(inode, &piece);
		iput(inode);
	}
}

void incfs_ahead_setup(struct incfs_mount *mnt)
{
	spin_lock_init(&mnt->ahead.lock);
	INIT_WORK(&mnt->ahead.work, ahead_work);
}

void incfs_ahead_stop(struct incfs_mount *mnt)
{
	spin_lock(&mnt->ahead.lock);
	mnt->ahead.stopped = true;
	spin_unlock(&mnt->ahead.lock);
	cancel_work_sync(&mnt->ahead.work);
}

int __init incfs_ahead_init(void)
{
	incfs_workqueue = alloc_workqueue("incfs", WQ_UNBOUND, 0);
	return incfs_workqueue ? 0 : -ENOMEM;
}

void incfs_ahead_exit(void)
{
	destroy_workqueue(incfs_workqueue);
}
