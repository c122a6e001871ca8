// SPDX-License-Identifier: GPL-2.0-only
/*
 * Policies that are registered, and which mount uses which.
 *
 * A mount points at the entry of a policy, an entry at the operations: a link
 * update is one store for all mounts. Whatever changes a mount's policy first asks
 * the next one to accept it, then stores, then tells the mount's waiting readers
 * to ask again; only then the calls that are still in the old program are waited
 * for, and the old one is told that it has lost the mount. All of that is under
 * one lock, which neither readers nor fills take.
 */
#include "internal.h"

#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/srcu.h>

/* Of all that is marked L in policy.h; programs are called under it. */
static DEFINE_MUTEX(registry_lock);

static LIST_HEAD(policies);		/* L; the newest first */
static DEFINE_XARRAY(policy_mounts);	/* written L; struct incfs_mount by id */

DEFINE_SRCU(incfs_policy_srcu);
DEFINE_STATIC_KEY_FALSE(incfs_policies_exist);

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

/* Has the policy accept the mount. */
static int call_attach(struct incfs_policy_ops *ops, const struct incfs_mount *mnt)
{
	struct incfs_policy_mount context = describe_mount(mnt);
	int err = ops->attach ? ops->attach(&context) : 0;

	return err < -MAX_ERRNO || err > 0 ? -EINVAL : err;
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

/* The mount's policy has become @ops, which has accepted it; its readers ask anew. */
static void mount_takes(struct incfs_mount *mnt, struct incfs_policy_ops *ops)
{
	struct incfs_policy_use *use = &mnt->policy;

	lockdep_assert_held(&registry_lock);
	use->left = use->attached;
	use->attached = ops;
	/* That it has failed here before is past. */
	if (ops && use->failed == ops)
		WRITE_ONCE(use->failed, NULL);
	WRITE_ONCE(use->calls, calls_of(ops));
	incfs_pending_recheck(mnt);
}

/*
 * Wait for the calls under way, then tell those who have lost a mount, and forget
 * about @gone: no mark may hit another policy at the same address.
 */
static void settle(const struct incfs_policy_ops *gone)
{
	struct incfs_mount *mnt;
	unsigned long id;
	bool wait = gone;

	lockdep_assert_held(&registry_lock);
	xa_for_each(&policy_mounts, id, mnt)
		wait |= !!mnt->policy.left;
	if (!wait)
		return;
	synchronize_srcu_expedited(&incfs_policy_srcu);
	xa_for_each(&policy_mounts, id, mnt) {
		struct incfs_policy_use *use = &mnt->policy;

		if (use->left)
			call_detach(use->left, mnt);
		use->left = NULL;
		if (gone && use->failed == gone)
			WRITE_ONCE(use->failed, NULL);
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

/*
 * The policy that @mnt is to use by @choice and by what is registered, accepted if
 * it is not the one in use. An error is that of the policy that was chosen by name.
 */
static int policy_pick(struct incfs_mount *mnt, const char *choice, struct incfs_policy **pick)
{
	struct incfs_policy *policy;
	int err = 0;

	list_for_each_entry(policy, &policies, list) {
		if (!choice_admits(mnt, choice, policy))
			continue;
		err = policy == current_policy(mnt) ? 0 : call_attach(policy_ops(policy), mnt);
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
	if (policy == current_policy(mnt))
		return;
	rcu_assign_pointer(mnt->policy.cur, policy);
	mount_takes(mnt, policy ? policy_ops(policy) : NULL);
}

/* Has each mount use what it is to use now; settle() has to follow. */
static void rebind_all(void)
{
	struct incfs_policy *policy;
	struct incfs_mount *mnt;
	unsigned long id;
	int err;

	xa_for_each(&policy_mounts, id, mnt) {
		err = policy_pick(mnt, mnt->policy.choice, &policy);
		if (err)
			incfs_policy_refused(mnt, mnt->policy.choice, err);
		mount_switch(mnt, policy);
	}
}

int incfs_policy_add(struct incfs_policy_ops *ops)
{
	struct incfs_policy *policy = kzalloc(sizeof(*policy), GFP_KERNEL);

	if (!policy)
		return -ENOMEM;
	RCU_INIT_POINTER(policy->ops, ops);

	mutex_lock(&registry_lock);
	if (policy_find(ops->name)) {
		mutex_unlock(&registry_lock);
		kfree(policy);
		return -EEXIST;
	}
	static_branch_inc(&incfs_policies_exist);
	list_add(&policy->list, &policies);
	rebind_all();
	settle(NULL);
	mutex_unlock(&registry_lock);
	return 0;
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

	mutex_lock(&registry_lock);
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
	mutex_unlock(&registry_lock);
	return err;
}

void incfs_policy_remove(struct incfs_policy_ops *ops)
{
	struct incfs_policy *policy;

	mutex_lock(&registry_lock);
	policy = policy_find(ops->name);
	list_del(&policy->list);
	rebind_all();
	settle(ops);
	static_branch_dec(&incfs_policies_exist);
	mutex_unlock(&registry_lock);
	kfree(policy);
}

/*
 * If the policy in use has been dropped for its verdicts, it loses the mount.
 * Return: whether it has been.
 */
static bool retire_failed(struct incfs_mount *mnt)
{
	struct incfs_policy *policy = current_policy(mnt);

	if (!policy || READ_ONCE(mnt->policy.failed) != policy_ops(policy))
		return false;
	if (mnt->policy.attached) {
		mount_takes(mnt, NULL);
		settle(NULL);
	}
	return true;
}

static void retire_work(struct work_struct *work)
{
	struct incfs_mount *mnt = container_of(work, struct incfs_mount, policy.work);

	mutex_lock(&registry_lock);
	retire_failed(mnt);
	mutex_unlock(&registry_lock);
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

static int policy_choose(struct incfs_mount *mnt, const char *choice)
{
	struct incfs_policy_use *use = &mnt->policy;
	struct incfs_policy *policy;
	int err;

	lockdep_assert_held(&registry_lock);
	if (!choice || !strcmp(choice, INCFS_POLICY_NONE))
		choice = "";
	err = check_choice(mnt, choice);
	if (err)
		return err;
	/* What was dropped may be taken again, and is asked whether it accepts. */
	if (retire_failed(mnt))
		RCU_INIT_POINTER(use->cur, NULL);
	err = policy_pick(mnt, choice, &policy);
	if (err) {
		incfs_err(mnt, "policy %s refuses the mount: %d", choice, err);
		return err;
	}
	spin_lock(&use->lock);
	strscpy(use->choice, choice);
	spin_unlock(&use->lock);
	mount_switch(mnt, policy);
	settle(NULL);
	return 0;
}

int incfs_policy_bind(struct incfs_mount *mnt, const char *choice)
{
	int err;

	spin_lock_init(&mnt->policy.lock);
	INIT_WORK(&mnt->policy.work, retire_work);
	mutex_lock(&registry_lock);
	err = policy_choose(mnt, choice);
	if (!err) {
		err = xa_err(xa_store(&policy_mounts, mnt->id, mnt, GFP_KERNEL));
		if (err && mnt->policy.attached)
			call_detach(mnt->policy.attached, mnt);
	}
	mutex_unlock(&registry_lock);
	return err;
}

int incfs_policy_choose(struct incfs_mount *mnt, const char *choice)
{
	int err;

	mutex_lock(&registry_lock);
	err = policy_choose(mnt, choice);
	mutex_unlock(&registry_lock);
	return err;
}

void incfs_policy_unbind(struct incfs_mount *mnt)
{
	cancel_work_sync(&mnt->policy.work);
	mutex_lock(&registry_lock);
	xa_erase(&policy_mounts, mnt->id);
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
