/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The policy interface: what the module, a policy and a loader agree on.
 *
 * One header serves all three. The module takes struct incfs_policy_ops from
 * here for its own BTF; a BPF program gets the same declarations, with CO-RE
 * relocations for struct incfs_read, so that a policy built today loads into a
 * module whose structures have grown; a loader reads struct incfs_event from
 * its ring.
 */
#ifndef _INCFS_POLICY_H
#define _INCFS_POLICY_H

#include <linux/types.h>

/* Longest name of a policy, its NUL included. */
#define INCFS_POLICY_NAME_MAX 32

/**
 * enum incfs_read_why - what made the file system look at a block
 * @INCFS_READ_DEMAND:    read(2) and the like need it now
 * @INCFS_READ_READAHEAD: the page cache guesses; nobody waits
 * @INCFS_READ_MAPPED:    a page fault needs it now
 */
enum incfs_read_why {
	INCFS_READ_DEMAND = 0,
	INCFS_READ_READAHEAD = 1,
	INCFS_READ_MAPPED = 2,
};

/**
 * enum incfs_verdict - what block_presence() may return, besides an errno
 * @INCFS_VERDICT_IMAGE: as the image says: stored is present
 * @INCFS_VERDICT_WAIT:  count the block as absent although it may be stored
 * @INCFS_VERDICT_ZERO:  serve zeros
 *
 * A negative value fails the read; allowed are -EIO, -EACCES, -EPERM,
 * -ENODATA, -ETIME and -EAGAIN. Anything else is a fault of the policy.
 */
enum incfs_verdict {
	INCFS_VERDICT_IMAGE = 0,
	INCFS_VERDICT_WAIT = 1,
	INCFS_VERDICT_ZERO = 2,
};

#ifdef __bpf__
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
#endif

/**
 * struct incfs_read - a read, as a policy sees it
 * @mount_id:    mount that the file is on; key of the map of event rings
 * @ino:         inode number of the file
 * @block:       first block that is looked at
 * @count:       how many blocks, from @block on; 1 except in prefetch()
 * @file_blocks: size of the file, in blocks
 * @why:         enum incfs_read_why
 * @uid:         file-system user id of the reader, in the initial namespace
 * @tgid:        process id of the reader, in the initial namespace
 * @timeout_ms:  how long the reader will wait if the block is absent, 0 for
 *               ever; block_presence() may write it, and nothing else here
 * @file:        of use to the functions bpf_incfs_*() only
 *
 * @file also keeps the verifier from mistaking a program's own memory for a
 * read, as it would if all members were numbers.
 */
struct incfs_read {
	__u64 mount_id;
	__u64 ino;
	__u32 block;
	__u32 count;
	__u32 file_blocks;
	__u32 why;
	__u32 uid;
	__u32 tgid;
	__u32 timeout_ms;
	const void *file;
};

#ifdef __bpf__
#pragma clang attribute pop
#endif

/**
 * struct incfs_policy_ops - a policy
 *
 * Every callback is optional. All of them run in the context of the reader,
 * under SRCU of the module, and may sleep (section "struct_ops.s/NAME"); a
 * program that need not sleep says "struct_ops/NAME". None may assume that it
 * is the only one running. A policy is detached when the last link to it goes;
 * no callback runs after that.
 *
 * User memory can be copied as far as it is in memory: the reader may be in a
 * page fault already, so none is taken for a policy.
 */
struct incfs_policy_ops {
	/**
	 * @block_presence: decide whether a block counts as present.
	 *
	 * Called for each block before it is served and before a reader waits,
	 * and again when a waiting reader is woken by a change of policy.
	 * Returns an enum incfs_verdict or an allowed errno. Without it: as
	 * the image says.
	 */
	int (*block_presence)(struct incfs_read *read);

	/**
	 * @prefetch: choose what to fetch ahead, and in which order.
	 *
	 * Called once when a reader starts to wait, after @pending, with the
	 * block it waits for; and for a readahead window that is not all
	 * there, with the window. Without it: nothing is fetched ahead on the
	 * policy's account.
	 */
	void (*prefetch)(struct incfs_read *read);

	/**
	 * @pending: a block starts to be waited for.
	 *
	 * Called once for a block, however many readers join, and again after
	 * a change of policy. Meant to submit the demand event. Without it:
	 * loaders learn of the wait through ".cmd" alone.
	 */
	void (*pending)(struct incfs_read *read);

	/**
	 * @name: letters, digits, '_', '-' and '.'; not "auto" or "none";
	 * unique; required. An update of the link must keep it.
	 */
	char name[INCFS_POLICY_NAME_MAX];

	/** @flags: none are defined; must be 0. */
	__u64 flags;

	/**
	 * @mount_id: the only mount that may use the policy; 0 for any. An
	 * update of the link must keep it.
	 */
	__u64 mount_id;
};

/* Most blocks that one call of bpf_incfs_find_absent() looks at. */
#define INCFS_FIND_ABSENT_MAX 4096

/**
 * enum incfs_event_type - what a policy asks its loader for
 * @INCFS_EVENT_DEMAND:      a reader waits for the blocks
 * @INCFS_EVENT_FETCH_AHEAD: nobody waits yet
 */
enum incfs_event_type {
	INCFS_EVENT_DEMAND = 1,
	INCFS_EVENT_FETCH_AHEAD = 2,
};

/**
 * struct incfs_event - one record in a mount's event ring
 * @ino:      inode number of the file
 * @block:    first block wanted
 * @count:    how many, at least 1
 * @type:     enum incfs_event_type; a loader skips types that it doesn't know
 * @priority: among events of one type, greater is sooner
 * @mount_id: the mount; a ring serves one mount, so this is a check
 */
struct incfs_event {
	__u64 ino;
	__u32 block;
	__u32 count;
	__u32 type;
	__u32 priority;
	__u64 mount_id;
};

/*
 * Name of the map of event rings, and of its pin below the BPF file system: a
 * BPF_MAP_TYPE_HASH_OF_MAPS from a mount's id (__u64) to the
 * BPF_MAP_TYPE_RINGBUF that the mount's loader put there.
 */
#define INCFS_RINGS_NAME "incfs_rings"
/* Most mounts with a ring at one time. */
#define INCFS_RINGS_MAX 4096

/*
 * Name of the map of losses, and of its pin: a BPF_MAP_TYPE_HASH from a mount's
 * id to how many events did not fit its ring, a __u64. The loader makes the
 * element beside the ring; without one nothing is counted.
 */
#define INCFS_LOST_NAME "incfs_lost"

#endif /* _INCFS_POLICY_H */
