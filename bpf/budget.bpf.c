// SPDX-License-Identifier: GPL-2.0-only
/*
 * budget - like sequential, but with so many blocks under way at most
 *
 * Shows filled(), detach(), and an account that can't leak. A mount may have "in_flight"
 * blocks under way that were asked for ahead. Each of them is an element of a map:
 * whoever adds one takes room, whoever deletes it gives room back, be it that the
 * block was stored, that it did not come within "expire_ms" (the loader was
 * started again, its source failed), or that the mount has gone. What comes makes
 * room, which is used at once: a reader who stays behind has up to "ahead" blocks
 * fetched, "in_flight" at a time.
 *
 * Demand never waits behind it: blocks that readers wait for take no room, and
 * of what was asked for ahead no more than the budget is in their way.
 *
 * A bad choice for a link that is fast but far away: what it can carry while the
 * first answer is on its way should fit into the budget. And for a source that
 * answers a few large requests faster than many small ones.
 */
#include "sequence.bpf.h"

char LICENSE[] SEC("license") = "GPL";

/* Blocks in flight for a mount; 64 are 256 KiB. */
const volatile __u32 in_flight = 64;
/* How many absent blocks to ask for ahead of a reader. */
const volatile __u32 ahead = 256;
const volatile __u32 expire_ms = 10000;

/* Blocks in flight, of all mounts, and when they were asked for. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct incfs_block_key);
	__type(value, __u64);
} flights SEC(".maps");

struct account {
	__s64 taken;	/* how many elements of the map are the mount's */
	__u64 swept;	/* when it was looked for blocks that did not come */
};

/* By mount id. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, INCFS_RINGS_MAX);
	__type(key, __u64);
	__type(value, struct account);
} accounts SEC(".maps");

static __always_inline struct account *get_account(__u64 mount_id)
{
	struct account *account, empty = {};

	account = bpf_map_lookup_elem(&accounts, &mount_id);
	if (account)
		return account;
	bpf_map_update_elem(&accounts, &mount_id, &empty, BPF_NOEXIST);
	return bpf_map_lookup_elem(&accounts, &mount_id);
}

/* Of several who give the same block back, one succeeds. */
static __always_inline void give_back(struct incfs_block_key *key)
{
	struct account *account;

	if (bpf_map_delete_elem(&flights, key))
		return;
	account = bpf_map_lookup_elem(&accounts, &key->mount_id);
	if (account)
		__sync_fetch_and_add(&account->taken, -1);
}

static int expire(struct bpf_map *map, struct incfs_block_key *key, __u64 *asked, __u64 *now)
{
	/* The element is not to be looked at once it is deleted. */
	struct incfs_block_key copy = *key;

	if ((__s64)(*now - *asked) >= expire_ms * 1000000ll)
		give_back(&copy);
	return 0;
}

/* Look for blocks that did not come, but not at each read that finds no room. */
static __always_inline void sweep(struct account *account, __u64 now)
{
	if (now - account->swept < expire_ms * 1000000ull / 4)
		return;
	account->swept = now;
	bpf_for_each_map_elem(&flights, expire, &now, 0);
}

/* Take room for up to @count blocks; returns for how many there was. */
static __u32 claim(struct incfs_read *read, __u32 first, __u32 count)
{
	struct incfs_block_key key = { .mount_id = read->mount_id, .ino = read->ino };
	struct account *account = get_account(read->mount_id);
	__u64 now = bpf_ktime_get_ns();
	__u32 i, granted = 0;
	int err;

	if (!account)
		return 0;
	if (account->taken >= in_flight)
		sweep(account, now);
	bpf_for(i, 0, count) {
		if (__sync_fetch_and_add(&account->taken, 1) >= in_flight) {
			__sync_fetch_and_add(&account->taken, -1);
			break;
		}
		key.block = first + i;
		err = bpf_map_update_elem(&flights, &key, &now, BPF_NOEXIST);
		if (err)
			__sync_fetch_and_add(&account->taken, -1);
		/* What is in flight already may be asked for again. */
		if (err && err != -EEXIST)
			break;
		granted = i + 1;
	}
	return granted;
}

SEC("struct_ops/pending")
void BPF_PROG(budget_pending, struct incfs_read *read)
{
	incfs_demand(read);
}

SEC("struct_ops.s/prefetch")
void BPF_PROG(budget_prefetch, struct incfs_read *read)
{
	incfs_sequence_follow(read, ahead, claim);
}

SEC("struct_ops.s/filled")
void BPF_PROG(budget_filled, struct incfs_read *fill)
{
	struct incfs_block_key key = { .mount_id = fill->mount_id, .ino = fill->ino };
	struct incfs_file_key file = { .mount_id = fill->mount_id, .ino = fill->ino };
	struct incfs_sequence *sequence;
	struct incfs_stretch *stretch;
	__u32 i;

	bpf_for(i, 0, fill->count) {
		key.block = fill->block + i;
		give_back(&key);
	}
	sequence = bpf_map_lookup_elem(&sequences, &file);
	if (!sequence)
		return;
	bpf_for(i, 0, INCFS_STRETCHES) {
		stretch = &sequence->stretches[i & (INCFS_STRETCHES - 1)];
		if (stretch->when && !incfs_stretch_lasts(stretch, ahead))
			incfs_stretch_extend(fill, stretch, ahead, claim);
	}
}

SEC("struct_ops/detach")
void BPF_PROG(budget_detach, struct incfs_policy_mount *mount)
{
	__u64 mount_id = mount->mount_id;

	bpf_for_each_map_elem(&flights, incfs_forget_mount, &mount_id, 0);
	bpf_map_delete_elem(&accounts, &mount_id);
}

SEC(".struct_ops.link")
struct incfs_policy_ops budget = {
	.name = "budget",
	.pending = (void *)budget_pending,
	.prefetch = (void *)budget_prefetch,
	.filled = (void *)budget_filled,
	.detach = (void *)budget_detach,
};
