// SPDX-License-Identifier: GPL-2.0-only
/*
 * timeouts - how long each user waits, at least and at most
 *
 * Shows the two numbers that a policy may set for a read. The map incfs_timeouts has
 * them for the users of a mount: a maximum, after which a read of a block that has
 * not come fails, and a minimum, before which it does not end, even if the block
 * comes sooner. A minimum evens out what a reader could tell from the time a block
 * takes, and shows what a program is like on a slow link. It is for blocks that are
 * absent when they are asked for: what is stored is read at once.
 *
 * Each reader is asked about several times in the course of one wait: before it,
 * when it begins, when the block has come, and when the minimum is over. So for each
 * thread it is remembered for what it waits, and since when. It is the same wait
 * until the maximum is over.
 *
 * What is in the map stays when the policy is swapped, and is forgotten when the
 * mount ends that uses the policy. A change is for reads that begin later. A minimum
 * should be less than its maximum.
 *
 * A bad choice for speed, with a minimum: nothing is fetched ahead, and who waits
 * for the minimum to be over is listed by ".cmd" among those who wait, so that a
 * loader may supply the block a second time. As a secret it is a weak one: what
 * another user has read is in the page cache, and is there at once.
 */
#include "common.bpf.h"

#include <incfs/policy_maps.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, INCFS_TIMEOUTS_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct incfs_timeout_key);
	__type(value, struct incfs_timeout);
} incfs_timeouts SEC(".maps");

/* The last block that a thread had to wait for, and when it came for it. */
struct wait {
	__u64 mount_id;
	__u64 ino;
	__u64 since;
	__u32 block;
	__u32 reserved;
};

/* By thread id. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct wait);
} waits SEC(".maps");

static __always_inline struct incfs_timeout *find_timeout(const struct incfs_read *read)
{
	struct incfs_timeout_key key = { .mount_id = read->mount_id, .uid = read->uid };
	struct incfs_timeout *timeout = bpf_map_lookup_elem(&incfs_timeouts, &key);

	if (timeout)
		return timeout;
	key.uid = INCFS_TIMEOUT_OTHERS;
	return bpf_map_lookup_elem(&incfs_timeouts, &key);
}

/* Milliseconds until the reader may have the block; 0: now. */
static __always_inline __u64 left_to_wait(struct incfs_read *read, __u32 min_ms, __u32 max_ms)
{
	__u32 thread = bpf_get_current_pid_tgid();
	struct wait *wait = bpf_map_lookup_elem(&waits, &thread);
	struct wait now = {
		.mount_id = read->mount_id, .ino = read->ino, .block = read->block,
		.since = bpf_ktime_get_ns(),
	};
	__u64 ms;

	if (wait && wait->mount_id == now.mount_id && wait->ino == now.ino &&
	    wait->block == now.block) {
		ms = (now.since - wait->since) / 1000000;
		if (ms < min_ms)
			return min_ms - ms;
		if (!max_ms || ms < max_ms)
			return 0;
	}
	/* The page cache does not wait. */
	if (read->why == INCFS_READ_READAHEAD || !incfs_is_absent(read, read->ino, read->block))
		return 0;
	bpf_map_update_elem(&waits, &thread, &now, BPF_ANY);
	return min_ms;
}

SEC("struct_ops.s/block_presence")
int BPF_PROG(timeouts_block_presence, struct incfs_read *read)
{
	struct incfs_timeout *timeout = find_timeout(read);
	__u64 left;

	if (!timeout)
		return INCFS_VERDICT_IMAGE;
	read->timeout_ms = timeout->max_ms;
	if (!timeout->min_ms)
		return INCFS_VERDICT_IMAGE;
	left = left_to_wait(read, timeout->min_ms, timeout->max_ms);
	if (!left)
		return INCFS_VERDICT_IMAGE;
	read->recheck_ms = left;
	return INCFS_VERDICT_WAIT;
}

/* Also for readers whose block has come and whose minimum is not over. */
SEC("struct_ops.s/pending")
void BPF_PROG(timeouts_pending, struct incfs_read *read)
{
	if (incfs_is_absent(read, read->ino, read->block))
		incfs_demand(read);
}

SEC("struct_ops/detach")
void BPF_PROG(timeouts_detach, struct incfs_policy_mount *mount)
{
	__u64 mount_id = mount->mount_id;

	if (incfs_mount_ends(mount))
		bpf_for_each_map_elem(&incfs_timeouts, incfs_forget_mount, &mount_id, 0);
}

SEC(".struct_ops.link")
struct incfs_policy_ops timeouts = {
	.name = "timeouts",
	.block_presence = (void *)timeouts_block_presence,
	.pending = (void *)timeouts_pending,
	.detach = (void *)timeouts_detach,
};
