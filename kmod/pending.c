// SPDX-License-Identifier: GPL-2.0-only
/*
 * Incremental FS: readers that wait for a block.
 *
 * All readers of one block share one struct incfs_pending, which lives from
 * the first of them to the last. A reader that joins looks at the block once
 * more before it sleeps, and a fill stores the block before it completes the
 * wait, so none sleeps through its block:
 *
 *   reader                          fill
 *   joins (pending_lock)            writes the entry (map_lock)
 *   looks at the block              looks for the wait, and completes it
 *   sleeps, or finds it stored
 *
 * A change of policy or timeout raises @recheck: each reader then asks the
 * policy again, and the first one to do so announces the wait to it.
 */
#include <linux/fs.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "internal.h"
#include "trace.h"

/* A cache of its own, so that a wait left behind is noticed at unload. */
static struct kmem_cache *pending_cache;

/* Locks: I never changes; P incfs_mount.pending_lock. */
struct incfs_pending {
	struct hlist_node hash;		/* P */
	struct list_head list;		/* P: in order of serial numbers */
	struct incfs_node *node;	/* I */
	u32 block;			/* I */
	u64 serial;			/* I */
	u64 start;			/* I: when the first reader came, in ns */
	pid_t tgid;			/* I: who that was */
	unsigned int waiters;		/* P */
	unsigned int announced;		/* P: recheck as of the last announcement */
	unsigned int recheck;		/* written P, READ_ONCE */
	bool done;			/* written P, READ_ONCE */
	wait_queue_head_t wait;
};

static struct hlist_head *pending_bucket(struct incfs_mount *mnt, const struct incfs_node *node,
					 u32 block)
{
	u64 key = node->ino << 32 | block;

	return &mnt->pending_hash[hash_64(key, INCFS_PENDING_BITS)];
}

static struct incfs_pending *pending_find(struct incfs_mount *mnt, const struct incfs_node *node,
					  u32 block)
{
	struct incfs_pending *pending;

	lockdep_assert_held(&mnt->pending_lock);
	hlist_for_each_entry(pending, pending_bucket(mnt, node, block), hash) {
		if (pending->node == node && pending->block == block)
			return pending;
	}
	return NULL;
}

static struct incfs_pending *pending_alloc(struct incfs_node *node, u32 block)
{
	struct incfs_pending *pending = kmem_cache_zalloc(pending_cache, GFP_KERNEL_ACCOUNT);

	if (!pending)
		return NULL;
	pending->node = node;
	pending->block = block;
	pending->start = ktime_get_ns();
	pending->tgid = task_tgid_nr(current);
	pending->recheck = 1;
	init_waitqueue_head(&pending->wait);
	return pending;
}

static struct incfs_pending *pending_join(struct incfs_node *node, u32 block)
{
	struct incfs_mount *mnt = node->mnt;
	struct incfs_pending *fresh = pending_alloc(node, block);
	struct incfs_pending *pending;
	unsigned long flags;

	if (!fresh)
		return NULL;
	spin_lock_irqsave(&mnt->pending_lock, flags);
	pending = pending_find(mnt, node, block);
	if (!pending) {
		pending = fresh;
		pending->serial = ++mnt->last_serial;
		hlist_add_head(&pending->hash, pending_bucket(mnt, node, block));
		list_add_tail(&pending->list, &mnt->pending);
		WRITE_ONCE(mnt->nr_pending, mnt->nr_pending + 1);
	}
	pending->waiters++;
	spin_unlock_irqrestore(&mnt->pending_lock, flags);
	smp_mb();	/* the wait before the entry; pairs with incfs_pending_find() */
	if (pending != fresh) {
		kmem_cache_free(pending_cache, fresh);
		return pending;
	}
	incfs_count(mnt, INCFS_STAT_WAITS, 1);
	/* Who polls is in the queue before it looks at the list. */
	if (waitqueue_active(&mnt->pending_wait))
		wake_up_interruptible(&mnt->pending_wait);
	return pending;
}

static void pending_unlink(struct incfs_pending *pending)
{
	struct incfs_mount *mnt = pending->node->mnt;

	/* Its block may have come before its last reader leaves. */
	if (list_empty(&pending->list))
		return;
	WRITE_ONCE(mnt->nr_pending, mnt->nr_pending - 1);
	hlist_del_init(&pending->hash);
	list_del_init(&pending->list);
}

static void pending_leave(struct incfs_pending *pending)
{
	struct incfs_mount *mnt = pending->node->mnt;
	unsigned long flags;
	bool last;

	spin_lock_irqsave(&mnt->pending_lock, flags);
	last = !--pending->waiters;
	if (last)
		pending_unlink(pending);
	spin_unlock_irqrestore(&mnt->pending_lock, flags);
	if (last)
		kmem_cache_free(pending_cache, pending);
}

/*
 * Tell the policy of the wait, once for all readers and each policy. If it has
 * changed since @seen, the reader is going to ask the new one first.
 */
static void pending_announce(struct incfs_pending *pending, struct incfs_access *access,
			     unsigned int seen)
{
	struct incfs_mount *mnt = pending->node->mnt;
	unsigned long flags;
	bool first;

	spin_lock_irqsave(&mnt->pending_lock, flags);
	first = pending->announced != seen && pending->recheck == seen;
	if (first)
		pending->announced = seen;
	spin_unlock_irqrestore(&mnt->pending_lock, flags);
	if (!first)
		return;
	if (incfs_policy_wants(&mnt->policy, INCFS_CALL_PENDING))
		incfs_policy_tell(mnt, INCFS_CALL_PENDING, access);
	if (incfs_policy_wants(&mnt->policy, INCFS_CALL_PREFETCH))
		incfs_policy_tell(mnt, INCFS_CALL_PREFETCH, access);
}

/* Jiffies that are left of the wait; 0 when it is over. They go on while we look. */
static long wait_left(const struct incfs_access *access, unsigned long start)
{
	long left;

	if (!access->read.timeout_ms)
		return MAX_SCHEDULE_TIMEOUT;
	left = start + msecs_to_jiffies(access->read.timeout_ms) - jiffies;
	return max(left, 0L);
}

/*
 * A policy may have its readers ask again and again: they can be killed all the
 * same, and their time runs out.
 */
static int pending_sleep(struct incfs_pending *pending, struct incfs_access *access)
{
	unsigned long start = jiffies;
	struct incfs_extent extent;
	long left, nap, ret;
	unsigned int seen;
	int state;

	for (;; cond_resched()) {
		seen = READ_ONCE(pending->recheck);
		state = incfs_access_decide(access, &extent);
		if (state != INCFS_ABSENT)
			return min(state, 0);
		pending_announce(pending, access, seen);
		left = wait_left(access, start);
		nap = access->read.recheck_ms ? msecs_to_jiffies(access->read.recheck_ms) : left;
		ret = wait_event_killable_timeout(pending->wait, READ_ONCE(pending->done) ||
						  READ_ONCE(pending->recheck) != seen,
						  min(left, nap));
		if (READ_ONCE(pending->done))
			return 0;
		if (ret < 0 || fatal_signal_pending(current))
			return -EINTR;
		if (!left || (!ret && left <= nap))
			return -ETIME;
	}
}

int incfs_pending_wait(struct incfs_access *access)
{
	struct incfs_mount *mnt = access->node->mnt;
	struct incfs_pending *pending;
	u64 start = ktime_get_ns();
	u64 wait_ns;
	int err;

	/* A policy that changes its mind all the time must not keep us. */
	if (fatal_signal_pending(current))
		return -EINTR;
	pending = pending_join(access->node, access->read.block);
	if (!pending)
		return -ENOMEM;
	trace_incfs_read_wait(access);
	err = pending_sleep(pending, access);
	wait_ns = ktime_get_ns() - start;
	trace_incfs_read_done(access, wait_ns, err);
	incfs_count(mnt, INCFS_STAT_WAIT_NS, wait_ns);
	if (err == -ETIME)
		incfs_count(mnt, INCFS_STAT_WAITS_EXPIRED, 1);
	pending_leave(pending);
	return err;
}

u32 incfs_pending_find(struct incfs_node *node, u32 first, u32 count)
{
	struct incfs_mount *mnt = node->mnt;
	unsigned long flags;
	u32 i, which = 0;

	smp_mb();	/* the entries before the waits; pairs with pending_join() */
	if (!READ_ONCE(mnt->nr_pending))
		return 0;
	spin_lock_irqsave(&mnt->pending_lock, flags);
	for (i = 0; i < count; i++)
		if (pending_find(mnt, node, first + i))
			which |= BIT(i);
	spin_unlock_irqrestore(&mnt->pending_lock, flags);
	return which;
}

void incfs_pending_complete(struct incfs_node *node, u32 first, u32 which)
{
	struct incfs_mount *mnt = node->mnt;
	struct incfs_pending *pending;
	unsigned long flags;

	if (!which)
		return;
	spin_lock_irqsave(&mnt->pending_lock, flags);
	for (; which; which &= which - 1) {
		pending = pending_find(mnt, node, first + __ffs(which));
		if (!pending)
			continue;
		pending_unlink(pending);
		WRITE_ONCE(pending->done, true);
		wake_up_all(&pending->wait);
	}
	spin_unlock_irqrestore(&mnt->pending_lock, flags);
}

int incfs_pending_recheck_blocks(struct incfs_mount *mnt, u64 ino, u32 first, u32 count)
{
	struct incfs_pending *pending;
	unsigned long flags;
	int n = 0;

	spin_lock_irqsave(&mnt->pending_lock, flags);
	list_for_each_entry(pending, &mnt->pending, list) {
		if ((ino && pending->node->ino != ino) || pending->block < first ||
		    (count && pending->block - first >= count))
			continue;
		WRITE_ONCE(pending->recheck, pending->recheck + 1);
		wake_up_all(&pending->wait);
		n++;
	}
	spin_unlock_irqrestore(&mnt->pending_lock, flags);
	return n;
}

void incfs_pending_recheck(struct incfs_mount *mnt)
{
	incfs_pending_recheck_blocks(mnt, 0, 0, 0);
}

bool incfs_pending_newer(struct incfs_mount *mnt, u64 serial)
{
	unsigned long flags;
	bool newer;

	spin_lock_irqsave(&mnt->pending_lock, flags);
	newer = !list_empty(&mnt->pending) &&
		list_last_entry(&mnt->pending, struct incfs_pending, list)->serial > serial;
	spin_unlock_irqrestore(&mnt->pending_lock, flags);
	return newer;
}

size_t incfs_pending_list(struct incfs_mount *mnt, u64 *serial,
			  struct incfs_pending_read *reads, size_t max)
{
	struct incfs_pending *pending;
	u64 now = ktime_get_ns();
	unsigned long flags;
	size_t n = 0;

	spin_lock_irqsave(&mnt->pending_lock, flags);
	/* What a loader has not read yet is at the end. */
	list_for_each_entry_reverse(pending, &mnt->pending, list) {
		if (pending->serial <= *serial)
			break;
	}
	list_for_each_entry_continue(pending, &mnt->pending, list) {
		if (n == max)
			break;
		reads[n++] = (struct incfs_pending_read) {
			.serial = pending->serial,
			.ino = pending->node->ino,
			.block = pending->block,
			.readers = pending->waiters,
			/* One that came after @now is listed as well. */
			.age_ms = max_t(s64, now - pending->start, 0) / NSEC_PER_MSEC,
			.tgid = pending->tgid,
		};
		*serial = pending->serial;
	}
	spin_unlock_irqrestore(&mnt->pending_lock, flags);
	return n;
}

u32 incfs_pending_count(struct incfs_mount *mnt)
{
	unsigned long flags;
	u32 count;

	spin_lock_irqsave(&mnt->pending_lock, flags);
	count = mnt->nr_pending;
	spin_unlock_irqrestore(&mnt->pending_lock, flags);
	return count;
}

void incfs_pending_setup(struct incfs_mount *mnt)
{
	spin_lock_init(&mnt->pending_lock);
	INIT_LIST_HEAD(&mnt->pending);
	hash_init(mnt->pending_hash);
	init_waitqueue_head(&mnt->pending_wait);
}

int __init incfs_pending_init(void)
{
	pending_cache = KMEM_CACHE(incfs_pending, SLAB_ACCOUNT | SLAB_NO_MERGE);
	return pending_cache ? 0 : -ENOMEM;
}

void incfs_pending_exit(void)
{
	kmem_cache_destroy(pending_cache);
}
