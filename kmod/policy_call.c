// SPDX-License-Identifier: GPL-2.0-only
/*
 * Policies in use: the calls, the check of what they say, and the fall-back.
 *
 * A policy that breaks the rules is marked by the address of its operations, in
 * the SRCU section of the call: from then on this mount does without it, and the
 * registry takes it off the mount in good order, a moment later. The registry erases the mark
 * after the grace period that lets the operations go, so that it can't outlive
 * them and hit another policy at the same address.
 */
#include "internal.h"

#include <linux/srcu.h>
#include <linux/uaccess.h>

/* The operations of the mount's policy; NULL: none, or one that has been dropped. */
static struct incfs_policy_ops *policy_ops(struct incfs_mount *mnt)
{
	struct incfs_policy *policy = srcu_dereference(mnt->policy.cur, &incfs_policy_srcu);
	struct incfs_policy_ops *ops;

	if (!policy)
		return NULL;
	ops = srcu_dereference(policy->ops, &incfs_policy_srcu);
	return ops == READ_ONCE(mnt->policy.failed) ? NULL : ops;
}

/*
 * The mount's policy to be called, until policy_leave(), or NULL.
 *
 * Meanwhile user memory that is not there is not faulted in: the reader may be
 * in a page fault itself, with the mmap lock or a folio locked, and what a
 * program wants to see may be in the block that the reader is after.
 */
static struct incfs_policy_ops *policy_enter(struct incfs_mount *mnt, int *idx)
{
	struct incfs_policy_ops *ops;

	*idx = srcu_read_lock(&incfs_policy_srcu);
	ops = policy_ops(mnt);
	if (ops)
		pagefault_disable();
	else
		srcu_read_unlock(&incfs_policy_srcu, *idx);
	return ops;
}

static void policy_leave(int idx)
{
	pagefault_enable();
	srcu_read_unlock(&incfs_policy_srcu, idx);
}

/*
 * What a policy gets to see. The verifier keeps a program from writing anything
 * but two numbers; that it has a copy makes it not matter for the rest of the read.
 */
static struct incfs_read policy_read(const struct incfs_access *access)
{
	struct incfs_read read = access->read;

	read.uid = from_kuid(&init_user_ns, current_fsuid());
	read.tgid = task_tgid_nr(current);
	read.file = access->node;
	return read;
}

static bool verdict_allowed(int verdict)
{
	switch (verdict) {
	case INCFS_VERDICT_IMAGE:
	case INCFS_VERDICT_WAIT:
	case INCFS_VERDICT_ZERO:
	case -EIO:
	case -EACCES:
	case -EPERM:
	case -ENODATA:
	case -ETIME:
	case -EAGAIN:
		return true;
	}
	return false;
}

/* The first of several readers that meet the fault records it. */
static void policy_drop(struct incfs_mount *mnt, const struct incfs_policy_ops *ops, int verdict,
			const struct incfs_access *access)
{
	struct incfs_policy_use *use = &mnt->policy;
	bool first;

	spin_lock(&use->lock);
	first = use->failed != ops;
	if (first) {
		use->failure = (struct incfs_policy_failure) {
			.kind = INCFS_POLICY_BAD_VERDICT,
			.code = verdict,
			.ino = access->read.ino,
			.block = access->read.block,
			.when = ktime_get_ns(),
		};
		strscpy(use->failure.policy, ops->name);
		WRITE_ONCE(use->failed, ops);
	}
	spin_unlock(&use->lock);
	if (!first)
		return;
	incfs_err(mnt, "policy %s is dropped: verdict %d on inode %llu block %u is not allowed",
		  ops->name, verdict, access->read.ino, access->read.block);
	incfs_pending_recheck(mnt);
	incfs_policy_retire();
}

void incfs_policy_refused(struct incfs_mount *mnt, const char *name, int err)
{
	struct incfs_policy_use *use = &mnt->policy;

	spin_lock(&use->lock);
	use->failure = (struct incfs_policy_failure) {
		.kind = INCFS_POLICY_REFUSED,
		.code = err,
		.when = ktime_get_ns(),
	};
	strscpy(use->failure.policy, name);
	spin_unlock(&use->lock);
	incfs_err(mnt, "policy %s refuses the mount: %d", name, err);
}

int incfs_policy_presence(struct incfs_mount *mnt, struct incfs_access *access)
{
	struct incfs_policy_ops *ops;
	struct incfs_read copy;
	int idx, verdict = INCFS_VERDICT_IMAGE;

	ops = policy_enter(mnt, &idx);
	if (!ops)
		return verdict;
	if (ops->block_presence) {
		copy = policy_read(access);
		verdict = ops->block_presence(&copy);
		if (verdict_allowed(verdict)) {
			access->read.timeout_ms = copy.timeout_ms;
			access->read.recheck_ms = copy.recheck_ms;
		} else {
			policy_drop(mnt, ops, verdict, access);
			verdict = INCFS_VERDICT_IMAGE;
		}
	}
	policy_leave(idx);
	return verdict;
}

void incfs_policy_tell(struct incfs_mount *mnt, enum incfs_call call,
		       const struct incfs_access *access)
{
	struct incfs_policy_ops *ops;
	void (*callback)(struct incfs_read *read);
	struct incfs_read copy;
	int idx;

	ops = policy_enter(mnt, &idx);
	if (!ops)
		return;
	callback = call == INCFS_CALL_PENDING ? ops->pending :
		   call == INCFS_CALL_PREFETCH ? ops->prefetch : ops->filled;
	if (callback) {
		copy = policy_read(access);
		callback(&copy);
	}
	policy_leave(idx);
}

void incfs_policy_name(struct incfs_mount *mnt, char name[INCFS_POLICY_NAME_MAX])
{
	struct incfs_policy_ops *ops;
	int idx;

	idx = srcu_read_lock(&incfs_policy_srcu);
	ops = policy_ops(mnt);
	strscpy_pad(name, ops ? ops->name : "", INCFS_POLICY_NAME_MAX);
	srcu_read_unlock(&incfs_policy_srcu, idx);
}

void incfs_policy_failure(struct incfs_mount *mnt, struct incfs_policy_failure *failure)
{
	spin_lock(&mnt->policy.lock);
	*failure = mnt->policy.failure;
	spin_unlock(&mnt->policy.lock);
}
