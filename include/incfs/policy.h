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
 * @INCFS_READ_READAHEAD: the page cache guesses, or a policy has asked for the
 *                        block with bpf_incfs_read_ahead(); nobody waits
 * @INCFS_READ_MAPPED:    a page fault needs it now
 * @INCFS_READ_FILLED:    nobody needs it: it has just been stored; of filled()
 */
enum incfs_read_why {
	INCFS_READ_DEMAND = 0,
	INCFS_READ_READAHEAD = 1,
	INCFS_READ_MAPPED = 2,
	INCFS_READ_FILLED = 3,
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
 * struct incfs_read - a read, or a fill, as a policy sees it
 * @mount_id:    mount that the file is on; key of the map of event rings
 * @ino:         inode number of the file
 * @block:       first block that is looked at
 * @count:       how many blocks, from @block on; 1 except in prefetch() and
 *               filled()
 * @file_blocks: size of the file, in blocks
 * @why:         enum incfs_read_why
 * @uid:         file-system user id of the reader, or of who fills, in the
 *               initial namespace
 * @tgid:        process id likewise
 * @timeout_ms:  how long the reader will wait if the block is absent, 0 for
 *               ever; block_presence() may write it
 * @recheck_ms:  0; how long the reader waits before it asks block_presence()
 *               again, 0 for not until something changes. block_presence() may
 *               write it, and nothing but these two
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
	__u32 recheck_ms;
	const void *file;
};

/**
 * struct incfs_policy_mount - a mount, as attach() and detach() see it
 * @mount_id:   never used again while the module stays loaded
 * @image_dev:  device that the image's file system is on, as stat(2) has it in
 *              st_dev, by the encoding of the kernel: major << 20 | minor
 * @image_ino:  inode number of the image there
 * @timeout_ms: how long a read waits for an absent block, 0 for ever
 * @uid:        file-system user id of who mounted it, in the initial namespace
 */
struct incfs_policy_mount {
	__u64 mount_id;
	__u64 image_dev;
	__u64 image_ino;
	__u32 timeout_ms;
	__u32 uid;
};

#ifdef __bpf__
#pragma clang attribute pop
#endif

/**
 * struct incfs_policy_ops - a policy
 *
 * Every callback is optional; a policy with a name only changes nothing. None may
 * assume that it is the only one running. All run under SRCU of the module, so a
 * call ends before its policy does, and nothing runs after that.
 *
 * @block_presence, @prefetch, @pending and @filled may sleep: a program that
 * needs to says "struct_ops.s/NAME", others "struct_ops/NAME". @attach and
 * @detach may not. Writes are limited to two members of struct incfs_read, in
 * @block_presence; the verifier's log says so.
 *
 * User memory can be copied as far as it is in memory: the reader may be in a
 * page fault already, so none is taken for a policy.
 */
struct incfs_policy_ops {
	/**
	 * @block_presence: decide whether a block counts as present.
	 *
	 * Called in the reader's context for each block before it is served and
	 * before a reader waits, and again when a waiting reader is woken by a
	 * change of policy, by bpf_incfs_recheck() or after recheck_ms. The reader may hold the
	 * lock of the block's folio. May sleep. Returns an enum incfs_verdict or
	 * an allowed errno; anything else has the policy dropped from the mount.
	 * Without it: as the image says.
	 */
	int (*block_presence)(struct incfs_read *read);

	/**
	 * @prefetch: choose what to fetch ahead, and in which order.
	 *
	 * Called in the reader's context, once when a block starts to be waited
	 * for, after @pending, with that block; and for a readahead window that
	 * is not all there, with the window. May sleep. Without it: nothing is
	 * fetched ahead on the policy's account.
	 */
	void (*prefetch)(struct incfs_read *read);

	/**
	 * @pending: a block starts to be waited for.
	 *
	 * Called in the context of the first reader that waits for it, and again
	 * after a change of policy. Meant to submit the demand event. May sleep.
	 * Without it: loaders learn of the wait through ".cmd" alone.
	 */
	void (*pending)(struct incfs_read *read);

	/**
	 * @filled: blocks have been stored.
	 *
	 * Called in the context of the loader that has handed them over, after
	 * their readers have been woken, with blocks that lie next to each other
	 * in one file; those of one call to the kernel come together. Not called
	 * for blocks that were stored already. May sleep. Without it: nothing is
	 * told.
	 */
	void (*filled)(struct incfs_read *fill);

	/**
	 * @attach: a mount is about to use the policy.
	 *
	 * Called before any other callback for this mount. Returns 0 to accept
	 * it, or a negative errno to refuse: a mount that chooses the policy by
	 * name then fails to do so with this errno, one that says "auto" goes on
	 * to the policy before, and an update of the link fails as a whole. May
	 * not sleep. Without it: every mount that @mount_id allows is accepted.
	 */
	int (*attach)(struct incfs_policy_mount *mount);

	/**
	 * @detach: a mount has stopped using the policy.
	 *
	 * The last call for a mount that was accepted, when no other is under
	 * way any more: it has gone, has chosen otherwise, has dropped the
	 * policy, or the policy itself goes or is replaced. May not sleep.
	 * Without it: nothing is told.
	 */
	void (*detach)(struct incfs_policy_mount *mount);

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
/* Most blocks that one call of bpf_incfs_read_ahead() takes. */
#define INCFS_READ_AHEAD_MAX 4096

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
