/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Policies: the struct_ops type (policy.c), and which mount uses which policy
 * (policy_call.c). What a policy may do is in include/incfs/policy.h.
 */
#ifndef _INCFS_KMOD_POLICY_H
#define _INCFS_KMOD_POLICY_H

#include <linux/list.h>
#include <linux/types.h>
#include <linux/xarray.h>

#include <incfs/policy.h>

struct incfs_access;
struct incfs_mount;
struct incfs_policy;
struct seq_file;

/* Choices of a mount that are not the name of a policy. */
#define INCFS_POLICY_AUTO "auto"
#define INCFS_POLICY_NONE "none"

/*
 * struct incfs_policy_use - a mount's choice, and the policy that it uses now
 *
 * Locks: L incfs_policy_lock; S written under it, read under incfs_policy_srcu.
 */
struct incfs_policy_use {
	struct list_head list;			/* L: incfs_policy_uses */
	struct incfs_policy __rcu *cur;		/* S: NULL is the built-in behaviour */
	char choice[INCFS_POLICY_NAME_MAX];	/* L: "" is none */
	struct xarray dropped;			/* its own lock: by address of the ops */
};

/* policy.c APIs: */

int incfs_policy_init(void);

/* policy_call.c APIs: the registry, called by policy.c alone */

int incfs_policy_add(struct incfs_policy_ops *ops);
int incfs_policy_replace(struct incfs_policy_ops *ops, struct incfs_policy_ops *old);
void incfs_policy_remove(struct incfs_policy_ops *ops);

/* policy_call.c APIs: mounts and reads */

/**
 * incfs_policy_bind - make a mount known to the policies
 * @mnt:    mount whose id is set and whose waiting readers can be rechecked;
 *          zeroed otherwise
 * @choice: "auto", the name of a policy, or NULL, "" or "none" for none
 *
 * Return: 0; -ENOENT no policy of that name; -EPERM it is for another mount.
 * After an error there is nothing to unbind.
 */
int incfs_policy_bind(struct incfs_mount *mnt, const char *choice);

/**
 * incfs_policy_choose - change a mount's choice while it is in use
 * @mnt:    mount that is bound
 * @choice: as for incfs_policy_bind()
 *
 * The choice that stands is kept on an error. Choosing a policy, even the same
 * one, takes back one that was dropped for its verdicts.
 *
 * Return: as incfs_policy_bind().
 */
int incfs_policy_choose(struct incfs_mount *mnt, const char *choice);

/* The counterpart of incfs_policy_bind(), when no read can be under way. */
void incfs_policy_unbind(struct incfs_mount *mnt);

/* Show the choice as a mount option; nothing when there is none. */
void incfs_policy_show(struct incfs_mount *mnt, struct seq_file *m);

/* The name of the policy in use; "" for the built-in behaviour. */
void incfs_policy_name(struct incfs_mount *mnt, char name[INCFS_POLICY_NAME_MAX]);

/**
 * incfs_policy_presence - ask the mount's policy about one block
 * @mnt:    mount of the file
 * @access: the read; @access->read.timeout_ms may change
 *
 * The caller may hold folio locks, the mapping's invalidate_lock and the mmap
 * lock, no spinlock and no RCU. A reader that is going to wait must have noted the
 * state of incfs_pending_recheck() before it asks, or it could wait on the word
 * of a policy that has gone since.
 *
 * Return: an enum incfs_verdict or one of the errnos that policies may use.
 */
int incfs_policy_presence(struct incfs_mount *mnt, struct incfs_access *access);

/* Tell the mount's policy; context as above. */
void incfs_policy_pending(struct incfs_mount *mnt, const struct incfs_access *access);
void incfs_policy_prefetch(struct incfs_mount *mnt, const struct incfs_access *access);

#endif /* _INCFS_KMOD_POLICY_H */
