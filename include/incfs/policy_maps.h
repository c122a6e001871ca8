/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * For user space that tells the policies "gate", "timeouts" and "replay" what to do:
 * keys and values of their maps, which are pinned below the BPF file system by the
 * first of them that is loaded. Each begins with the mount's id
 * (INCFS_IOC_GET_INFO). And what the policy "record" tells user space.
 */
#ifndef _INCFS_POLICY_MAPS_H
#define _INCFS_POLICY_MAPS_H

#include <linux/types.h>

/* Of the policy "gate", a BPF_MAP_TYPE_HASH. */
#define INCFS_GATES_NAME "incfs_gates"
#define INCFS_GATES_MAX 16384

/* struct incfs_gate_key - a file of which blocks may be held back */
struct incfs_gate_key {
	__u64 mount_id;
	__u64 ino;
};

/*
 * struct incfs_gate - how far it is let through
 * @released: blocks below this one are read as they are, others are held
 * @reserved: 0
 *
 * Files that are not in the map are not held at all.
 */
struct incfs_gate {
	__u32 released;
	__u32 reserved;
};

/*
 * struct incfs_gate_args - argument of the programs gate_hold and gate_release
 * @mount_id: mount
 * @ino:      inode number of the file
 * @released: as in struct incfs_gate; INCFS_GATE_ALL: all
 * @reserved: 0
 */
struct incfs_gate_args {
	__u64 mount_id;
	__u64 ino;
	__u32 released;
	__u32 reserved;
};

#define INCFS_GATE_ALL 0xffffffffu

/* Of the policy "timeouts", a BPF_MAP_TYPE_HASH. */
#define INCFS_TIMEOUTS_NAME "incfs_timeouts"
#define INCFS_TIMEOUTS_MAX 16384

/*
 * struct incfs_timeout_key - whose reads
 * @mount_id: mount
 * @uid:      file-system user id, in the initial namespace, or INCFS_TIMEOUT_OTHERS
 * @reserved: 0
 */
struct incfs_timeout_key {
	__u64 mount_id;
	__u32 uid;
	__u32 reserved;
};

/* All users that have no element of their own. */
#define INCFS_TIMEOUT_OTHERS 0xffffffffu

/*
 * struct incfs_timeout - how long they wait for a block that is not there
 * @min_ms: at least, even if it comes sooner
 * @max_ms: at most; 0: for ever
 */
struct incfs_timeout {
	__u32 min_ms;
	__u32 max_ms;
};

/*
 * Of the policy "replay": a BPF_MAP_TYPE_HASH_OF_MAPS from a mount's id (__u64) to a
 * BPF_MAP_TYPE_ARRAY of struct incfs_profile_step, with BPF_F_INNER_MAP, in the order
 * in which they are to be fetched.
 */
#define INCFS_PROFILES_NAME "incfs_profiles"
/* And likewise to a BPF_MAP_TYPE_HASH from each block to the step that it is in. */
#define INCFS_PROFILE_INDEX_NAME "incfs_profile_index"
#define INCFS_PROFILES_MAX 4096

/* struct incfs_profile_step - @count blocks of a file, from @block on */
struct incfs_profile_step {
	__u64 ino;
	__u32 block;
	__u32 count;
};

/* struct incfs_profile_key - a block; @reserved is 0 */
struct incfs_profile_key {
	__u64 ino;
	__u32 block;
	__u32 reserved;
};

/* struct incfs_recorded - a block that a reader has needed; @reserved is 0 */
struct incfs_recorded {
	__u64 ino;
	__u32 block;
	__u32 reserved;
};

#endif /* _INCFS_POLICY_MAPS_H */
