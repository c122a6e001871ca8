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
#include <linux/hash.h>
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

static struct incfs_faults *faults_of_current(struct incfs_mount *mnt)
{
	return &mnt->faults[hash_ptr(current, INCFS_FAULTS_BITS)];
}

void incfs_faulting_begin(struct incfs_mount *mnt, struct incfs_faulting *faulting)
{
	struct incfs_faults *faults = faults_of_current(mnt);

	faulting->task = current;
	spin_lock(&faults->lock);
	list_add(&faulting->list, &faults->list);
	spin_unlock(&faults->lock);
}

void incfs_faulting_end(struct incfs_mount *mnt, struct incfs_faulting *faulting)
{
	struct incfs_faults *faults = faults_of_current(mnt);

	spin_lock(&faults->lock);
	list_del(&faulting->list);
	spin_unlock(&faults->lock);
}

bool incfs_faulting_is(struct incfs_mount *mnt)
{
	struct incfs_faults *faults = faults_of_current(mnt);
	struct incfs_faulting *faulting;
	bool found = false;

	spin_lock(&faults->lock);
	list_for_each_entry(faulting, &faults->list, list)
		found |= faulting->task == current;
	spin_unlock(&faults->lock);
	return found;
}

void incfs_expired_setup(struct incfs_mount *mnt)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(mnt->faults); i++) {
		spin_lock_init(&mnt->faults[i].lock);
		INIT_LIST_HEAD(&mnt->faults[i].list);
	}
}
