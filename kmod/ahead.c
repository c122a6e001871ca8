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

struct workqueue_struct *incfs_workqueue;

int incfs_ahead_add(struct incfs_node *node, u32 first, u32 count)
{
	struct incfs_ahead *ahead = &node->mnt->ahead;
	bool room;

	/* Policies call this with interrupts on, but maybe under RCU. */
	spin_lock(&ahead->lock);
	room = ahead->nr < INCFS_AHEAD_MAX;
	if (room)
		ahead->ranges[(ahead->head + ahead->nr++) % INCFS_AHEAD_MAX] =
			(struct incfs_ahead_range) { node, first, count };
	spin_unlock(&ahead->lock);
	if (!room)
		return -EAGAIN;
	queue_work(incfs_workqueue, &ahead->work);
	return 0;
}

static bool ahead_take(struct incfs_ahead *ahead, struct incfs_ahead_range *range)
{
	bool any;

	spin_lock(&ahead->lock);
	any = ahead->nr;
	if (any) {
		*range = ahead->ranges[ahead->head];
		ahead->head = (ahead->head + 1) % INCFS_AHEAD_MAX;
		ahead->nr--;
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
static void read_range(struct inode *inode, const struct incfs_ahead_range *range)
{
	u32 block = range->first, end = range->first + range->count, absent;
	int run;

	while (block < end) {
		run = incfs_blocks_find_absent(range->node, block, end, &absent);
		if (run < 0)
			return;
		if (!run)
			absent = end;
		if (absent > block)
			read_stored(inode, block, absent);
		block = absent + run;
		cond_resched();
	}
}

static void ahead_work(struct work_struct *work)
{
	struct incfs_ahead *ahead = container_of(work, struct incfs_ahead, work);
	struct incfs_ahead_range range;
	struct incfs_mount *mnt;
	struct inode *inode;

	while (ahead_take(ahead, &range)) {
		mnt = range.node->mnt;
		down_read(&mnt->tree_lock);
		inode = incfs_inode_get(mnt->sb, range.node);
		up_read(&mnt->tree_lock);
		if (IS_ERR(inode))
			continue;
		read_range(inode, &range);
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
