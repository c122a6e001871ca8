// SPDX-License-Identifier: GPL-2.0-only
/*
 * Policies in use: the registry, each mount's choice, the calls, the fall-back.
 *
 * A mount points at the entry of a policy, an entry at the operations: a link
 * update is one store for all mounts. Whatever changes a mount's policy tells
 * its waiting readers to ask again, at once and under the lock that keeps the
 * mount alive; only then, without the lock, the calls that are still in the
 * old program are waited for. So a program that sleeps for long delays who
 * removes it, and neither readers nor other mounts.
 *
 * A policy that is dropped for a verdict is marked by the address of its
 * operations inside the same SRCU section as the call, and the mark is erased
 * after the grace period that lets the operations go: a mark can't outlive
 * them and hit another policy at the same address.
 */
#include "internal.h"

#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/uaccess.h>

/* Nothing allocates under it: a reader takes it with folios locked. */
static DEFINE_MUTEX(incfs_policy_lock);
DEFINE_STATIC_SRCU(incfs_policy_srcu);

static LIST_HEAD(incfs_policies);	/* incfs_policy_lock; the newest first */
static LIST_HEAD(incfs_policy_uses);	/* incfs_policy_lock */

/* struct incfs_policy - a registered policy; locks as in policy.h */
struct incfs_policy {
	struct list_head list;			/* L */
	struct incfs_policy_ops __rcu *ops;	/* S */
};

static struct incfs_policy_ops *policy_ops(const struct incfs_policy *policy)
{
	return rcu_dereference_protected(policy->ops,
					 lockdep_is_held(&incfs_policy_lock));
}

static struct incfs_policy *policy_find(const char *name)
{
	struct incfs_policy *policy;

	list_for_each_entry(policy, &incfs_policies, list)
		if (!strcmp(policy_ops(policy)->name, name))
			return policy;
	return NULL;
}

static bool policy_accepts(const struct incfs_policy *policy, const struct incfs_mount *mnt)
{
	u64 only = policy_ops(policy)->mount_id;

	return !only || only == mnt->id;
}

/* The policy that @mnt is to use by its choice and by what is registered. */
static struct incfs_policy *policy_pick(struct incfs_mount *mnt)
{
	struct incfs_policy_use *use = &mnt->policy;
	bool any = !strcmp(use->choice, INCFS_POLICY_AUTO);
	struct incfs_policy *policy;

	list_for_each_entry(policy, &incfs_policies, list) {
		struct incfs_policy_ops *ops = policy_ops(policy);

		if (!policy_accepts(policy, mnt) || (!any && strcmp(ops->name, use->choice)))
			continue;
		return xa_load(&use->dropped, (unsigned long)ops) ? NULL : policy;
	}
	return NULL;
}

/* Return: whether the mount's policy has changed. */
static bool policy_rebind(struct incfs_mount *mnt)
{
	struct incfs_policy *policy = policy_pick(mnt);

	lockdep_assert_held(&incfs_policy_lock);
	if (policy == rcu_access_pointer(mnt->policy.cur))
		return false;
	rcu_assign_pointer(mnt->policy.cur, policy);
	incfs_pending_recheck(mnt);
	return true;
}

static void policy_rebind_all(void)
{
	struct incfs_mount *mnt;

	list_for_each_entry(mnt, &incfs_policy_uses, policy.list)
		policy_rebind(mnt);
}

/* Wait for the calls that are in @ops, and erase what refers to it. */
static void policy_drain(struct incfs_policy_ops *ops)
{
	struct incfs_mount *mnt;

	synchronize_srcu(&incfs_policy_srcu);
	mutex_lock(&incfs_policy_lock);
	list_for_each_entry(mnt, &incfs_policy_uses, policy.list)
		xa_erase(&mnt->policy.dropped, (unsigned long)ops);
	mutex_unlock(&incfs_policy_lock);
}

int incfs_policy_add(struct incfs_policy_ops *ops)
{
	struct incfs_policy *policy = kzalloc(sizeof(*policy), GFP_KERNEL);

	if (!policy)
		return -ENOMEM;
	RCU_INIT_POINTER(policy->ops, ops);

	mutex_lock(&incfs_policy_lock);
	if (policy_find(ops->name)) {
		mutex_unlock(&incfs_policy_lock);
		kfree(policy);
		return -EEXIST;
	}
	list_add(&policy->list, &incfs_policies);
	policy_rebind_all();
	mutex_unlock(&incfs_policy_lock);
	return 0;
}

/*
 * Put @ops in the place of @old. What mounts know the policy by stays as it is,
 * or a mount could be found using what it never chose.
 */
int incfs_policy_replace(struct incfs_policy_ops *ops, struct incfs_policy_ops *old)
{
	struct incfs_policy *policy;
	struct incfs_mount *mnt;

	if (strcmp(ops->name, old->name) || ops->mount_id != old->mount_id) {
		pr_warn_ratelimited("incremental-fs: policy %s for mount %llu can't replace %s for mount %llu\n",
				    ops->name, ops->mount_id, old->name, old->mount_id);
		return -EINVAL;
	}
	if (ops == old)
		return 0;

	mutex_lock(&incfs_policy_lock);
	policy = policy_find(old->name);
	rcu_assign_pointer(policy->ops, ops);
	list_for_each_entry(mnt, &incfs_policy_uses, policy.list) {
		/* A mount that had dropped the old one takes the new one. */
		if (!policy_rebind(mnt) && rcu_access_pointer(mnt->policy.cur) == policy)
			incfs_pending_recheck(mnt);
	}
	mutex_unlock(&incfs_policy_lock);
	policy_drain(old);
	return 0;
}

void incfs_policy_remove(struct incfs_policy_ops *ops)
{
	struct incfs_policy *policy;

	mutex_lock(&incfs_policy_lock);
	policy = policy_find(ops->name);
	list_del(&policy->list);
	policy_rebind_all();
	mutex_unlock(&incfs_policy_lock);
	policy_drain(ops);
	kfree(policy);
}

static int policy_choose(struct incfs_mount *mnt, const char *choice)
{
	struct incfs_policy_use *use = &mnt->policy;
	struct incfs_policy *policy;

	lockdep_assert_held(&incfs_policy_lock);
	if (!choice || !strcmp(choice, INCFS_POLICY_NONE))
		choice = "";
	if (*choice && strcmp(choice, INCFS_POLICY_AUTO)) {
		policy = policy_find(choice);
		if (!policy) {
			incfs_err(mnt, "no policy %.*s is registered",
				  INCFS_POLICY_NAME_MAX, choice);
			return -ENOENT;
		}
		if (!policy_accepts(policy, mnt)) {
			incfs_err(mnt, "policy %s is for mount %llu only",
				  choice, policy_ops(policy)->mount_id);
			return -EPERM;
		}
	}
	strscpy(use->choice, choice);
	xa_destroy(&use->dropped);
	return 0;
}

int incfs_policy_bind(struct incfs_mount *mnt, const char *choice)
{
	int err;

	xa_init(&mnt->policy.dropped);
	mutex_lock(&incfs_policy_lock);
	err = policy_choose(mnt, choice);
	if (!err) {
		RCU_INIT_POINTER(mnt->policy.cur, policy_pick(mnt));
		list_add(&mnt->policy.list, &incfs_policy_uses);
	}
	mutex_unlock(&incfs_policy_lock);
	return err;
}

int incfs_policy_choose(struct incfs_mount *mnt, const char *choice)
{
	int err;

	mutex_lock(&incfs_policy_lock);
	err = policy_choose(mnt, choice);
	if (!err)
		policy_rebind(mnt);
	mutex_unlock(&incfs_policy_lock);
	return err;
}

void incfs_policy_unbind(struct incfs_mount *mnt)
{
	mutex_lock(&incfs_policy_lock);
	list_del(&mnt->policy.list);
	mutex_unlock(&incfs_policy_lock);
	xa_destroy(&mnt->policy.dropped);
}

void incfs_policy_show(struct incfs_mount *mnt, struct seq_file *m)
{
	mutex_lock(&incfs_policy_lock);
	if (*mnt->policy.choice)
		seq_show_option(m, "policy", mnt->policy.choice);
	mutex_unlock(&incfs_policy_lock);
}

void incfs_policy_name(struct incfs_mount *mnt, char name[INCFS_POLICY_NAME_MAX])
{
	struct incfs_policy *policy;

	mutex_lock(&incfs_policy_lock);
	policy = rcu_dereference_protected(mnt->policy.cur,
					   lockdep_is_held(&incfs_policy_lock));
	strscpy_pad(name, policy ? policy_ops(policy)->name : "", INCFS_POLICY_NAME_MAX);
	mutex_unlock(&incfs_policy_lock);
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
	struct incfs_policy *policy;

	if (likely(!rcu_access_pointer(mnt->policy.cur)))
		return NULL;

	*idx = srcu_read_lock(&incfs_policy_srcu);
	policy = srcu_dereference(mnt->policy.cur, &incfs_policy_srcu);
	if (policy) {
		pagefault_disable();
		return srcu_dereference(policy->ops, &incfs_policy_srcu);
	}
	srcu_read_unlock(&incfs_policy_srcu, *idx);
	return NULL;
}

static void policy_leave(int idx)
{
	pagefault_enable();
	srcu_read_unlock(&incfs_policy_srcu, idx);
}

/*
 * What a policy gets to see. The verifier keeps a program from writing anything
 * but the timeout; that it has a copy makes it not matter for the rest of the
 * read.
 */
static struct incfs_read policy_read(const struct incfs_access *access)
{
	struct incfs_read read = access->read;

	read.file = access->node;
	return read;
}

static bool policy_verdict_allowed(int verdict)
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

int incfs_policy_presence(struct incfs_mount *mnt, struct incfs_access *access)
{
	struct incfs_policy_ops *ops;
	struct incfs_read copy;
	int idx, verdict = INCFS_VERDICT_IMAGE;
	bool allowed = true;

	ops = policy_enter(mnt, &idx);
	if (!ops)
		return verdict;
	if (ops->block_presence) {
		copy = policy_read(access);
		verdict = ops->block_presence(&copy);
		allowed = policy_verdict_allowed(verdict);
		if (allowed)
			access->read.timeout_ms = copy.timeout_ms;
	}
	if (!allowed) {
		incfs_err(mnt, "policy %s is dropped: verdict %d on inode %llu block %u is not allowed",
			  ops->name, verdict, access->read.ino, access->read.block);
		xa_store(&mnt->policy.dropped, (unsigned long)ops, ops, GFP_NOFS);
	}
	policy_leave(idx);

	if (!allowed) {
		verdict = INCFS_VERDICT_IMAGE;
		mutex_lock(&incfs_policy_lock);
		policy_rebind(mnt);
		mutex_unlock(&incfs_policy_lock);
	}
	return verdict;
}

void incfs_policy_pending(struct incfs_mount *mnt, const struct incfs_access *access)
{
	struct incfs_policy_ops *ops;
	struct incfs_read copy;
	int idx;

	ops = policy_enter(mnt, &idx);
	if (!ops)
		return;
	if (ops->pending) {
		copy = policy_read(access);
		ops->pending(&copy);
	}
	policy_leave(idx);
}

void incfs_policy_prefetch(struct incfs_mount *mnt, const struct incfs_access *access)
{
	struct incfs_policy_ops *ops;
	struct incfs_read copy;
	int idx;

	ops = policy_enter(mnt, &idx);
	if (!ops)
		return;
	if (ops->prefetch) {
		copy = policy_read(access);
		ops->prefetch(&copy);
	}
	policy_leave(idx);
}
