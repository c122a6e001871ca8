/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Policies: the struct_ops type (policy.c), what programs may call (kfunc.c), which
 * mount uses which policy (registry.c), and the calls (policy_call.c). What a
 * policy may do is in include/incfs/policy.h.
 */
#ifndef _INCFS_KMOD_POLICY_H
#define _INCFS_KMOD_POLICY_H

#include <linux/bits.h>
#include <linux/jump_label_ratelimit.h>
#include <linux/list.h>
#include <linux/srcu.h>
#include <linux/types.h>

#include <incfs/policy.h>

struct bpf_prog;
struct btf;
struct incfs_access;
struct incfs_mount;
struct seq_file;

/* Choices of a mount that are not the name of a policy. */
#define INCFS_POLICY_AUTO "auto"
#define INCFS_POLICY_NONE "none"

/* The callbacks about blocks, as bits of what a policy has. */
enum incfs_call {
	INCFS_CALL_PRESENCE,
	INCFS_CALL_PREFETCH,
	INCFS_CALL_PENDING,
	INCFS_CALL_FILLED,
};

/*
 * Locks: L registry_lock of registry.c; S written under L, read under
 * incfs_policy_srcu; U incfs_policy_use.lock.
 */

/* struct incfs_policy - a policy that is registered */
struct incfs_policy {
	struct list_head list;			/* L */
	struct incfs_policy_ops __rcu *ops;	/* S */
};

enum incfs_policy_failure_kind {
	INCFS_POLICY_NO_FAILURE,
	INCFS_POLICY_BAD_VERDICT,	/* block_presence() broke the rules: dropped */
	INCFS_POLICY_REFUSED,		/* attach() refused a mount that had chosen it */
};

/* struct incfs_policy_failure - why a mount is without the policy that it chose */
struct incfs_policy_failure {
	enum incfs_policy_failure_kind kind;
	int code;				/* the verdict, or an errno */
	u32 block;				/* of a verdict */
	u64 ino;
	u64 when;				/* ktime_get_ns() */
	char policy[INCFS_POLICY_NAME_MAX];
};

/* struct incfs_policy_use - a mount's choice, and the policy that it uses now */
struct incfs_policy_use {
	struct incfs_policy __rcu *cur;		/* S: NULL is the built-in behaviour */
	u32 calls;				/* L, READ_ONCE: bits of what it has */
	struct incfs_policy_ops *attached;	/* L: has accepted the mount */
	struct incfs_policy_ops *left;		/* L: is to be told that it has lost it */
	spinlock_t lock;
	char choice[INCFS_POLICY_NAME_MAX];	/* written L and U: "" is none */
	struct incfs_policy_failure failure;	/* U: the last one */
	const struct incfs_policy_ops *failed;	/* written U or L, READ_ONCE: do without it */
};

extern struct srcu_struct incfs_policy_srcu;
extern struct static_key_false_deferred incfs_policies_exist;

/* Whether the mount's policy, if it has one, is to be called. */
static inline bool incfs_policy_wants(const struct incfs_policy_use *use, enum incfs_call call)
{
	return static_branch_unlikely(&incfs_policies_exist.key) &&
	       READ_ONCE(use->calls) & BIT(call);
}

/* policy.c APIs: */

int incfs_policy_init(void);
void incfs_policy_exit(void);
/* Whether the program is a callback of a policy. */
bool incfs_policy_is_callback(const struct bpf_prog *prog);

/* kfunc.c APIs: */

int incfs_kfunc_init(void);

/* registry.c APIs: what is registered, called by policy.c alone */

int incfs_policy_add(struct incfs_policy_ops *ops);
int incfs_policy_replace(struct incfs_policy_ops *ops, struct incfs_policy_ops *old);
void incfs_policy_remove(struct incfs_policy_ops *ops);

/* registry.c APIs: mounts */

/**
 * incfs_policy_bind - make a mount known to the policies
 * @mnt:    mount whose id is set and whose waiting readers can be rechecked;
 *          zeroed otherwise
 * @choice: "auto", the name of a policy, or NULL, "" or "none" for none
 *
 * Return: 0; -ENOENT no policy of that name; -EPERM it is for another mount; what
 * the policy refuses the mount with. After an error there is nothing to unbind.
 */
int incfs_policy_bind(struct incfs_mount *mnt, const char *choice);

/**
 * incfs_policy_choose - change a mount's choice while it is in use
 * @mnt:    mount that is bound
 * @choice: as for incfs_policy_bind()
 *
 * The choice that stands is kept on an error. Choosing a policy, even the same
 * one, takes back one that was dropped for its verdicts. Waits for calls that are
 * in the policy before.
 *
 * Return: as incfs_policy_bind(); -EINTR: killed while others were changing.
 */
int incfs_policy_choose(struct incfs_mount *mnt, const char *choice);

/*
 * The counterpart of incfs_policy_bind(), when no read can be under way. Who has
 * found the mount by its id may use it until a grace period of RCU has passed.
 */
void incfs_policy_unbind(struct incfs_mount *mnt);

/* Have policies that were dropped for their verdicts lose their mounts, soon. */
void incfs_policy_retire(void);

/* The choice; "" for none. */
void incfs_policy_choice(struct incfs_mount *mnt, char choice[INCFS_POLICY_NAME_MAX]);
/* Show it as a mount option; nothing when there is none. */
void incfs_policy_show(struct incfs_mount *mnt, struct seq_file *m);

/* incfs_pending_recheck_blocks() on a mount by its id; -ENOENT: no such mount. */
int incfs_policy_recheck(u64 mount_id, u64 ino, u32 first, u32 count);

/* policy_call.c APIs: */

/* The name of the policy in use; "" for the built-in behaviour. */
void incfs_policy_name(struct incfs_mount *mnt, char name[INCFS_POLICY_NAME_MAX]);
void incfs_policy_failure(struct incfs_mount *mnt, struct incfs_policy_failure *failure);
/* Record that the policy that the mount has chosen by name does not take it. */
void incfs_policy_refused(struct incfs_mount *mnt, const char *name, int err);

/**
 * incfs_policy_presence - ask the mount's policy about one block
 * @mnt:    mount of the file
 * @access: the read; @access->read.timeout_ms and recheck_ms may change
 *
 * For when incfs_policy_wants() INCFS_CALL_PRESENCE. The caller may hold folio
 * locks, the mapping's invalidate_lock and the mmap lock, no spinlock and no RCU. A
 * reader that is going to wait must have noted the state of
 * incfs_pending_recheck() before it asks, or it could wait on the word of a policy
 * that has gone since.
 *
 * Return: an enum incfs_verdict or one of the errnos that policies may use.
 */
int incfs_policy_presence(struct incfs_mount *mnt, struct incfs_access *access);

/* Tell the mount's policy, likewise; @call is one of the others. */
void incfs_policy_tell(struct incfs_mount *mnt, enum incfs_call call,
		       const struct incfs_access *access);

#endif /* _INCFS_KMOD_POLICY_H */
