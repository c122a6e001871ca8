// SPDX-License-Identifier: GPL-2.0-only
/*
 * Incremental FS: page faults whose wait has failed, and those that are on.
 *
 * A fault that drops its locks to wait has to be taken again, whatever came of
 * the wait. What failed is kept here for that moment, by task and block. The
 * table is small and the newest entry replaces the oldest: an entry that is
 * lost costs its task a second wait, nothing else. An entry that its task
 * never came back for, because it was killed, is too old soon.
 *
 * A fault of a stored block goes through the page cache. Where the block turns
 * out to be damaged there, it is not waited for in that place, whose error is
 * lost: read_folio() knows by the list that it was called by a fault, which is
 * taken again and then waits as above.
 */
#include <linux/jiffies.h>
#include <linux/sched.h>

#include "internal.h"

void incfs_expired_add(const struct incfs_access *access)
{
	struct incfs_mount *mnt = access->node->mnt;
	struct incfs_expired *entry;
	unsigned long flags;

	spin_lock_irqsave(&mnt->pending_lock, flags);
	entry = &mnt->expired[mnt->next_expired++ % INCFS_EXPIRED_MAX];
	entry->task = task_pid_nr(current);
	entry->ino = access->read.ino;
	entry->block = access->read.block;
	entry->when = jiffies;
	spin_unlock_irqrestore(&mnt->pending_lock, flags);
}

bool incfs_expired_take(const struct incfs_access *access)
{
	struct incfs_mount *mnt = access->node->mnt;
	struct incfs_expired *entry;
	unsigned long flags;
	bool found = false;
	unsigned int i;

	spin_lock_irqsave(&mnt->pending_lock, flags);
	for (i = 0; i < INCFS_EXPIRED_MAX; i++) {
		entry = &mnt->expired[i];
		if (entry->task != task_pid_nr(current) || entry->ino != access->read.ino ||
		    entry->block != access->read.block)
			continue;
		found |= time_before(jiffies, entry->when + HZ);
		entry->task = 0;
	}
	spin_unlock_irqrestore(&mnt->pending_lock, flags);
	return found;
}

void incfs_faulting_begin(struct incfs_mount *mnt, struct incfs_faulting *faulting)
{
	unsigned long flags;

	faulting->task = current;
	spin_lock_irqsave(&mnt->pending_lock, flags);
	list_add(&faulting->list, &mnt->faulting);
	spin_unlock_irqrestore(&mnt->pending_lock, flags);
}

void incfs_faulting_end(struct incfs_mount *mnt, struct incfs_faulting *faulting)
{
	unsigned long flags;

	spin_lock_irqsave(&mnt->pending_lock, flags);
	list_del(&faulting->list);
	spin_unlock_irqrestore(&mnt->pending_lock, flags);
}

bool incfs_faulting_is(struct incfs_mount *mnt)
{
	struct incfs_faulting *faulting;
	unsigned long flags;
	bool found = false;

	spin_lock_irqsave(&mnt->pending_lock, flags);
	list_for_each_entry(faulting, &mnt->faulting, list)
		found |= faulting->task == current;
	spin_unlock_irqrestore(&mnt->pending_lock, flags);
	return found;
}
