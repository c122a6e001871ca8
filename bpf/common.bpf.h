/* SPDX-License-Identifier: GPL-2.0-only */
/* What policies here have in common, on top of what every policy may have. */
#ifndef _INCFS_BPF_COMMON_BPF_H
#define _INCFS_BPF_COMMON_BPF_H

#include <stdbool.h>

#include <incfs/policy.bpf.h>

struct bpf_map;

/* Keys of maps begin with a mount's id, so that mounts have nothing in common. */

/* A file among those of all mounts. */
struct incfs_file_key {
	__u64 mount_id;
	__u64 ino;
};

/* The same for a block. */
struct incfs_block_key {
	__u64 mount_id;
	__u64 ino;
	__u32 block;
	__u32 reserved;
};

/* Ask for what a reader waits for. */
static __always_inline int incfs_demand(const struct incfs_read *read)
{
	return incfs_submit(read, INCFS_EVENT_DEMAND, read->block, read->count, 0);
}

/* Whether a block has to be fetched, if somebody wants it. */
static __always_inline bool incfs_is_absent(struct incfs_read *read, __u64 ino, __u32 block)
{
	__u32 start = 0;

	return bpf_incfs_find_absent(read, ino, block, block + 1, &start) > 0;
}

/*
 * Whether a mount that takes leave of its policy is on its way out. If not, it has
 * another policy from now on, or another version of this one, and what is
 * remembered of it in a pinned map is for that.
 */
static __always_inline bool incfs_mount_ends(const struct incfs_policy_mount *mount)
{
	return bpf_incfs_recheck(mount->mount_id, 0, 0, 1) == -ENOENT;
}

/* For bpf_for_each_map_elem(): delete what is of the mount. */
static __attribute__((unused)) int incfs_forget_mount(struct bpf_map *map, const __u64 *key,
						      const void *value, const __u64 *mount_id)
{
	if (*key == *mount_id)
		bpf_map_delete_elem(map, key);
	return 0;
}

/*
 * struct incfs_batch - blocks that are about to be asked for, side by side in a file
 *
 * From @first up to, not including, @end. The verifier would follow a number of
 * blocks that begins with 0 through each turn of a loop; these are all alike to it.
 */
struct incfs_batch {
	__u64 ino;
	__u32 first;
	__u32 end;
	__u32 priority;
};

static __always_inline void incfs_batch_send(const struct incfs_read *read,
					     struct incfs_batch *batch)
{
	if (batch->first != batch->end)
		incfs_submit_file(read, batch->ino, INCFS_EVENT_FETCH_AHEAD, batch->first,
				  batch->end - batch->first, batch->priority);
	batch->end = batch->first;
}

/**
 * incfs_batch_add - ask for one block ahead, unless it is stored
 * @read:     the read, as the callback got it
 * @batch:    zeroed at first; incfs_batch_send() has to follow in the end
 * @ino:      a regular file of the same mount
 * @block:    a block of it
 * @priority: among events of one type, greater is sooner
 *
 * Blocks that come in a row, up or down the file, make one event, which has the
 * priority of the first of them. For programs that may sleep.
 */
static __always_inline void incfs_batch_add(struct incfs_read *read, struct incfs_batch *batch,
					    __u64 ino, __u32 block, __u32 priority)
{
	if (!incfs_is_absent(read, ino, block))
		return;
	if (batch->first != batch->end && batch->ino == ino) {
		if (batch->end == block) {
			batch->end = block + 1;
			return;
		}
		if (batch->first == block + 1) {
			batch->first = block;
			return;
		}
	}
	incfs_batch_send(read, batch);
	batch->ino = ino;
	batch->first = block;
	batch->end = block + 1;
	batch->priority = priority;
}

#endif /* _INCFS_BPF_COMMON_BPF_H */
