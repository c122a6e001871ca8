// SPDX-License-Identifier: GPL-2.0-only
/*
 * Policies that are registered, and which mount uses which.
 *
 * A mount points at the entry of a policy, an entry at the operations: a link
 * update is one store for all mounts. Whatever changes a mount's policy first asks
 * the next one to accept it, then stores, then tells the mount's waiting readers
 * to ask again; only then the calls that are still in the old program are waited
 * for, and the old one is told that it has lost the mount.
 *
 * There is one such change at a time, by change_lock. A program that works for long
 * delays those who want another change, and nobody else: not readers, who take no
 * lock here, and not who mounts or unmounts.
 */
#include "internal.h"

#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/workqueue.h>

static DEFINE_MUTEX(change_lock);
/* Of all that is marked L in policy.h. attach() and detach() are called under it. */
static DEFINE_MUTEX(registry_lock);

static LIST_HEAD(policies);		/* L; the newest first */
static DEFINE_XARRAY(policy_mounts);	/* written L; struct incfs_mount by id */

DEFINE_SRCU(incfs_policy_srcu);
/* Each flip interrupts all processors: it is off a second after the last policy. */
DEFINE_STATIC_KEY_DEFERRED_FALSE(incfs_policies_exist, HZ);

static struct incfs_policy_ops *policy_ops(const struct incfs_policy *policy)
{
	return rcu_dereference_protected(policy->ops, lockdep_is_held(&registry_lock));
}

static struct incfs_policy *current_policy(const struct incfs_mount *mnt)
{
	return rcu_dereference_protected(mnt->policy.cur, lockdep_is_held(&registry_lock));
}

static struct incfs_policy *policy_find(const char *name)
{
	struct incfs_policy *policy;

	list_for_each_entry(policy, &policies, list)
		if (!strcmp(policy_ops(policy)->name, name))
			return policy;
	return NULL;
}

static struct incfs_policy_mount describe_mount(const struct incfs_mount *mnt)
{
	const struct inode *image = file_inode(mnt->image.file);

	return (struct incfs_policy_mount) {
		.mount_id = mnt->id,
		.image_dev = image->i_sb->s_dev,
		.image_ino = image->i_ino,
		.timeout_ms = READ_ONCE(mnt->timeout_ms),
		.uid = from_kuid(&init_user_ns, mnt->image.cred->fsuid),
	};
}

/* Has the policy accept the mount. What it may say is what user space understands. */
static int call_attach(struct incfs_policy_ops *ops, const struct incfs_mount *mnt)
{
	struct incfs_policy_mount context = describe_mount(mnt);
	int err = ops->attach ? ops->attach(&context) : 0;

	return err <= -ERESTARTSYS || err > 0 ? -EINVAL : err;
}

static void call_detach(struct incfs_policy_ops *ops, const struct incfs_mount *mnt)
{
	struct incfs_policy_mount context = describe_mount(mnt);

	if (ops->detach)
		ops->detach(&context);
}

static u32 calls_of(const struct incfs_policy_ops *ops)
{
	if (!ops)
		return 0;
	return (ops->block_presence ? BIT(INCFS_CALL_PRESENCE) : 0) |
	       (ops->prefetch ? BIT(INCFS_CALL_PREFETCH) : 0) |
	       (ops->pending ? BIT(INCFS_CALL_PENDING) : 0) |
	       (ops->filled ? BIT(INCFS_CALL_FILLED) : 0);
}

/*
 * The mount's policy has become @ops, which has accepted it; its readers ask anew.
 * settle() has to follow before the next time.
 */
static void mount_takes(struct incfs_mount *mnt, struct incfs_policy_ops *ops)
{
	struct incfs_policy_use *use = &mnt->policy;

	lockdep_assert_held(&registry_lock);
	use->left = use->attached;
	use->attached = ops;
	WRITE_ONCE(use->calls, calls_of(ops));
	incfs_pending_recheck(mnt);
}

/* No call is under way any more in what the mount has left. */
static void mount_leaves(struct incfs_mount *mnt)
{
	if (mnt->policy.left)
		call_detach(mnt->policy.left, mnt);
	mnt->policy.left = NULL;
}

/*
 * The end of a change: wait for the calls under way, then tell those who have lost a
 * mount, and forget about @gone, whose mark must not hit another policy at the
 * same address. Mounts may go meanwhile.
 */
static void settle(const struct incfs_policy_ops *gone)
	__must_hold(&registry_lock)
{
	struct incfs_mount *mnt;
	unsigned long id;
	bool wait = gone;

	lockdep_assert_held(&change_lock);
	xa_for_each(&policy_mounts, id, mnt)
		wait |= !!mnt->policy.left;
	if (!wait)
		return;
	mutex_unlock(&registry_lock);
	synchronize_srcu_expedited(&incfs_policy_srcu);
	mutex_lock(&registry_lock);
	xa_for_each(&policy_mounts, id, mnt) {
		mount_leaves(mnt);
		if (gone && mnt->policy.failed == gone)
			WRITE_ONCE(mnt->policy.failed, NULL);
	}
}

/* Whether the choice of @mnt admits the policy. */
static bool choice_admits(const struct incfs_mount *mnt, const char *choice,
			  const struct incfs_policy *policy)
{
	const struct incfs_policy_ops *ops = policy_ops(policy);

	if (ops->mount_id && ops->mount_id != mnt->id)
		return false;
	return !strcmp(choice, INCFS_POLICY_AUTO) || !strcmp(choice, ops->name);
}

/* Whether the mount has a policy that was dropped for its verdicts. */
static bool mount_has_dropped(const struct incfs_mount *mnt)
{
	struct incfs_policy *policy = current_policy(mnt);

	return policy && READ_ONCE(mnt->policy.failed) == policy_ops(policy);
}

/*
 * Has the policy accept the mount, unless it is in use there. One that was dropped
 * stays so, and is not asked, until the mount chooses again.
 */
static int policy_accept(struct incfs_policy *policy, struct incfs_mount *mnt, bool choosing)
{
	if (policy == current_policy(mnt) && !(choosing && mount_has_dropped(mnt)))
		return 0;
	if (policy_ops(policy) == mnt->policy.failed && !choosing)
		return 0;
	return call_attach(policy_ops(policy), mnt);
}

/*
 * The policy that @mnt is to use by @choice and by what is registered. An error is
 * that of the policy that was chosen by name.
 */
static int policy_pick(struct incfs_mount *mnt, const char *choice, bool choosing,
		       struct incfs_policy **pick)
{
	struct incfs_policy *policy;
	int err = 0;

	list_for_each_entry(policy, &policies, list) {
		if (!choice_admits(mnt, choice, policy))
			continue;
		err = policy_accept(policy, mnt, choosing);
		if (!err) {
			*pick = policy;
			return 0;
		}
	}
	*pick = NULL;
	return strcmp(choice, INCFS_POLICY_AUTO) ? err : 0;
}

static void mount_switch(struct incfs_mount *mnt, struct incfs_policy *policy)
{
	struct incfs_policy_ops *ops = policy ? policy_ops(policy) : NULL;

	if (policy == current_policy(mnt))
		return;
	rcu_assign_pointer(mnt->policy.cur, policy);
	mount_takes(mnt, ops && ops == mnt->policy.failed ? NULL : ops);
}

/* Has each mount use what it is to use now; settle() has to follow. */
static void rebind_all(void)
{
	struct incfs_policy *policy;
	struct incfs_mount *mnt;
	unsigned long id;
	int err;

	xa_for_each(&policy_mounts, id, mnt) {
		err = policy_pick(mnt, mnt->policy.choice, false, &policy);
		if (err)
			incfs_policy_refused(mnt, mnt->policy.choice, err);
		mount_switch(mnt, policy);
	}
}

/* One change after the other; a program that is being waited for may take its time. */
static int begin_change(void)
{
	if (mutex_lock_killable(&change_lock))
		return -EINTR;
	mutex_lock(&registry_lock);
	return 0;
}

static void end_change(void)
{
	mutex_unlock(&registry_lock);
	mutex_unlock(&change_lock);
}

int incfs_policy_add(struct incfs_policy_ops *ops)
{
	struct incfs_policy *policy = kzalloc(sizeof(*policy), GFP_KERNEL);
	int err;

	if (!policy)
		return -ENOMEM;
	RCU_INIT_POINTER(policy->ops, ops);

	err = begin_change();
	if (err)
		goto err_free;
	if (policy_find(ops->name)) {
		err = -EEXIST;
		goto err_end;
	}
	static_branch_deferred_inc(&incfs_policies_exist);
	list_add(&policy->list, &policies);
	rebind_all();
	settle(NULL);
	end_change();
	return 0;

err_end:
	end_change();
err_free:
	kfree(policy);
	return err;
}

/* Ask @ops to accept the mounts of @policy: all of them, or none. */
static int attach_mounts(struct incfs_policy *policy, struct incfs_policy_ops *ops)
{
	struct incfs_mount *mnt, *done;
	unsigned long id, done_id;
	int err;

	xa_for_each(&policy_mounts, id, mnt) {
		if (current_policy(mnt) != policy)
			continue;
		err = call_attach(ops, mnt);
		if (!err)
			continue;
		xa_for_each_range(&policy_mounts, done_id, done, 0, id - 1)
			if (current_policy(done) == policy)
				call_detach(ops, done);
		return err;
	}
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
	unsigned long id;
	int err;

	if (strcmp(ops->name, old->name) || ops->mount_id != old->mount_id) {
		pr_warn_ratelimited("incremental-fs: policy %s for mount %llu can't replace %s for mount %llu\n",
				    ops->name, ops->mount_id, old->name, old->mount_id);
		return -EINVAL;
	}
	if (ops == old)
		return 0;

	err = begin_change();
	if (err)
		return err;
	policy = policy_find(old->name);
	err = attach_mounts(policy, ops);
	if (err)
		goto out;
	rcu_assign_pointer(policy->ops, ops);
	xa_for_each(&policy_mounts, id, mnt)
		if (current_policy(mnt) == policy)
			mount_takes(mnt, ops);
	settle(old);
	/* It may accept what the old one has refused. */
	rebind_all();
	settle(NULL);
out:
	end_change();
	return err;
}

void incfs_policy_remove(struct incfs_policy_ops *ops)
{
	struct incfs_policy *policy;

	mutex_lock(&change_lock);
	mutex_lock(&registry_lock);
	policy = policy_find(ops->name);
	list_del(&policy->list);
	rebind_all();
	settle(ops);
	end_change();
	static_branch_slow_dec_deferred(&incfs_policies_exist);
	kfree(policy);
}

static void retire_all(struct work_struct *work)
{
	struct incfs_mount *mnt;
	unsigned long id;

	mutex_lock(&change_lock);
	mutex_lock(&registry_lock);
	xa_for_each(&policy_mounts, id, mnt)
		if (mount_has_dropped(mnt) && mnt->policy.attached)
			mount_takes(mnt, NULL);
	settle(NULL);
	end_change();
}

static DECLARE_WORK(retire_work, retire_all);

void incfs_policy_retire(void)
{
	queue_work(incfs_workqueue, &retire_work);
}

/* Whether there is such a policy for @mnt. */
static int check_choice(struct incfs_mount *mnt, const char *choice)
{
	struct incfs_policy *policy;

	if (!*choice || !strcmp(choice, INCFS_POLICY_AUTO))
		return 0;
	policy = policy_find(choice);
	if (!policy) {
		incfs_err(mnt, "no policy %.*s is registered", INCFS_POLICY_NAME_MAX, choice);
		return -ENOENT;
	}
	if (!choice_admits(mnt, choice, policy)) {
		incfs_err(mnt, "policy %s is for mount %llu only", choice,
			  policy_ops(policy)->mount_id);
		return -EPERM;
	}
	return 0;
}

static void set_choice(struct incfs_policy_use *use, const char *choice)
{
	spin_lock(&use->lock);
	strscpy(use->choice, choice);
	spin_unlock(&use->lock);
}

static const char *plain_choice(const char *choice)
{
	return !choice || !strcmp(choice, INCFS_POLICY_NONE) ? "" : choice;
}

/* Choose and have it accepted; *@pick is NULL for the built-in behaviour. */
static int choose(struct incfs_mount *mnt, const char *choice, struct incfs_policy **pick)
{
	int err = check_choice(mnt, choice);

	if (err)
		return err;
	err = policy_pick(mnt, choice, true, pick);
	if (err)
		incfs_err(mnt, "policy %s refuses the mount: %d", choice, err);
	return err;
}

int incfs_policy_bind(struct incfs_mount *mnt, const char *choice)
{
	struct incfs_policy_use *use = &mnt->policy;
	struct incfs_policy *policy;
	int err;

	choice = plain_choice(choice);
	spin_lock_init(&use->lock);
	mutex_lock(&registry_lock);
	err = choose(mnt, choice, &policy);
	if (err)
		goto out;
	set_choice(use, choice);
	mount_switch(mnt, policy);
	err = xa_err(xa_store(&policy_mounts, mnt->id, mnt, GFP_KERNEL));
	if (err && use->attached)
		call_detach(use->attached, mnt);
out:
	mutex_unlock(&registry_lock);
	return err;
}

int incfs_policy_choose(struct incfs_mount *mnt, const char *choice)
{
	struct incfs_policy_use *use = &mnt->policy;
	struct incfs_policy *policy;
	bool dropped;
	int err;

	choice = plain_choice(choice);
	err = begin_change();
	if (err)
		return err;
	/* One that was dropped has to have left before it is asked again. */
	dropped = mount_has_dropped(mnt);
	if (dropped && use->attached) {
		mount_takes(mnt, NULL);
		settle(NULL);
	}
	err = choose(mnt, choice, &policy);
	if (err)
		goto out;
	set_choice(use, choice);
	if (dropped)
		RCU_INIT_POINTER(use->cur, NULL);
	/* It has been asked; the mark of another one stays. */
	if (policy && policy_ops(policy) == use->failed)
		WRITE_ONCE(use->failed, NULL);
	mount_switch(mnt, policy);
	settle(NULL);
out:
	end_change();
	return err;
}

void incfs_policy_unbind(struct incfs_mount *mnt)
{
	mutex_lock(&registry_lock);
	xa_erase(&policy_mounts, mnt->id);
	/* No call is under way for it: nobody has to be waited for. */
	mount_leaves(mnt);
	if (mnt->policy.attached)
		call_detach(mnt->policy.attached, mnt);
	mutex_unlock(&registry_lock);
}

int incfs_policy_recheck(u64 mount_id, u64 ino, u32 first, u32 count)
{
	struct incfs_mount *mnt;
	int ret = -ENOENT;

	rcu_read_lock();
	mnt = xa_load(&policy_mounts, mount_id);
	if (mnt && mount_id == mnt->id)
		ret = incfs_pending_recheck_blocks(mnt, ino, first, count);
	rcu_read_unlock();
	return ret;
}

void incfs_policy_choice(struct incfs_mount *mnt, char choice[INCFS_POLICY_NAME_MAX])
{
	spin_lock(&mnt->policy.lock);
	strscpy_pad(choice, mnt->policy.choice, INCFS_POLICY_NAME_MAX);
	spin_unlock(&mnt->policy.lock);
}

void incfs_policy_show(struct incfs_mount *mnt, struct seq_file *m)
{
	char choice[INCFS_POLICY_NAME_MAX];

	incfs_policy_choice(mnt, choice);
	if (*choice)
		seq_show_option(m, "policy", choice);
}
