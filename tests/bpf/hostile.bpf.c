// SPDX-License-Identifier: GPL-2.0-only
/*
 * Policies that do what they can to keep readers, loaders and the machine busy.
 * The kernel takes them; one is loaded at a time.
 */
#include <incfs/policy.bpf.h>

char LICENSE[] SEC("license") = "GPL";

#define CLOCK_MONOTONIC 1

/* Read by the test. */
__u64 asked, told, ticks;
int worst;

#define HOSTILE(policy, ...)				\
	SEC("?.struct_ops.link")			\
	struct incfs_policy_ops policy = {		\
		.name = #policy,			\
		__VA_ARGS__				\
	}

/*
 * Never of one mind: a reader is told to wait and, when it does, that it need not.
 * With zeros there is nothing to be read from the image, where a signal would be
 * noticed.
 */
SEC("?struct_ops/block_presence")
int BPF_PROG(fickle_block_presence, struct incfs_read *read)
{
	if (read->why == INCFS_READ_READAHEAD)
		return INCFS_VERDICT_WAIT;
	return __sync_fetch_and_add(&asked, 1) & 1 ? INCFS_VERDICT_ZERO : INCFS_VERDICT_WAIT;
}

HOSTILE(fickle, .block_presence = (void *)fickle_block_presence);

/* Has readers ask again from within the answer. */
SEC("?struct_ops/block_presence")
int BPF_PROG(nagging_block_presence, struct incfs_read *read)
{
	__sync_fetch_and_add(&asked, 1);
	bpf_incfs_recheck(read->mount_id, read->ino, read->block, 1);
	return INCFS_VERDICT_WAIT;
}

SEC("?struct_ops/pending")
void BPF_PROG(nagging_pending, struct incfs_read *read)
{
	__sync_fetch_and_add(&told, 1);
	bpf_incfs_recheck(read->mount_id, 0, 0, 0);
}

SEC("?struct_ops/prefetch")
void BPF_PROG(nagging_prefetch, struct incfs_read *read)
{
	bpf_incfs_recheck(read->mount_id, 0, 0, 0);
}

SEC("?struct_ops/filled")
void BPF_PROG(nagging_filled, struct incfs_read *fill)
{
	bpf_incfs_recheck(fill->mount_id, 0, 0, 0);
}

SEC("?struct_ops/attach")
int BPF_PROG(nagging_attach, struct incfs_policy_mount *mount)
{
	bpf_incfs_recheck(mount->mount_id, 0, 0, 0);
	return 0;
}

SEC("?struct_ops/detach")
void BPF_PROG(nagging_detach, struct incfs_policy_mount *mount)
{
	bpf_incfs_recheck(mount->mount_id, 0, 0, 0);
}

HOSTILE(nagging,
	.block_presence = (void *)nagging_block_presence,
	.pending = (void *)nagging_pending,
	.prefetch = (void *)nagging_prefetch,
	.filled = (void *)nagging_filled,
	.attach = (void *)nagging_attach,
	.detach = (void *)nagging_detach);

/* The same from pending() only, which is told anew after each recheck. */
SEC("?struct_ops/pending")
void BPF_PROG(restless_pending, struct incfs_read *read)
{
	__sync_fetch_and_add(&told, 1);
	bpf_incfs_recheck(read->mount_id, read->ino, read->block, 1);
}

HOSTILE(restless, .pending = (void *)restless_pending);

/* Wants the whole file, from each block of it. */
SEC("?struct_ops/block_presence")
int BPF_PROG(greedy_block_presence, struct incfs_read *read)
{
	__u32 i;

	__sync_fetch_and_add(&asked, 1);
	for (i = 0; i < 64; i++)
		bpf_incfs_read_ahead(read, read->ino, i * 1024, 1024);
	return INCFS_VERDICT_IMAGE;
}

HOSTILE(greedy, .block_presence = (void *)greedy_block_presence);

/* Lives on in a timer, whose callback interrupts what it likes. */
struct clock {
	struct bpf_timer timer;
	__u64 mount_id;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct clock);
} clocks SEC(".maps");

static int tick(void *map, __u32 *key, struct clock *clock)
{
	__sync_fetch_and_add(&ticks, 1);
	bpf_incfs_recheck(clock->mount_id, 0, 0, 0);
	bpf_timer_start(&clock->timer, 50000, 0);
	return 0;
}

SEC("?struct_ops/attach")
int BPF_PROG(ticking_attach, struct incfs_policy_mount *mount)
{
	struct clock *clock;
	__u32 zero = 0;

	clock = bpf_map_lookup_elem(&clocks, &zero);
	if (!clock)
		return -ENOENT;
	clock->mount_id = mount->mount_id;
	if (bpf_timer_init(&clock->timer, &clocks, CLOCK_MONOTONIC))
		return 0;
	bpf_timer_set_callback(&clock->timer, tick);
	bpf_timer_start(&clock->timer, 0, 0);
	return 0;
}

HOSTILE(ticking, .attach = (void *)ticking_attach);

/* Ends in the middle. */
extern void bpf_throw(__u64 cookie) __ksym;

SEC("?struct_ops/block_presence")
int BPF_PROG(throwing_block_presence, struct incfs_read *read)
{
	__sync_fetch_and_add(&asked, 1);
	bpf_throw(77);
	return INCFS_VERDICT_IMAGE;
}

HOSTILE(throwing, .block_presence = (void *)throwing_block_presence);

/* Calls everything with everything. */
static void keep_worst(int result)
{
	if (result > worst)
		worst = result;
}

static void call_all(struct incfs_read *read, __u64 ino, __u32 first, __u32 count)
{
	__u32 start = 0;

	keep_worst(bpf_incfs_find_absent(read, ino, first, count, &start));
	keep_worst(bpf_incfs_read_ahead(read, ino, first, count));
	keep_worst(bpf_incfs_recheck(ino, first, count, start));
	keep_worst(bpf_incfs_recheck(read->mount_id, ino, first, count));
}

SEC("?struct_ops.s/block_presence")
int BPF_PROG(absurd_block_presence, struct incfs_read *read)
{
	static const __u64 values[] = {
		0, 1, 2, 3, 4096, 4097, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000,
		0x7fffffffffffffff, 0xffffffffffffffff,
	};
	__u64 own = read->ino;
	__u32 i, k;

	__sync_fetch_and_add(&asked, 1);
	for (i = 0; i < 12; i++)
		for (k = 0; k < 12; k++)
			call_all(read, i & 1 ? own : values[i], values[k], values[i]);
	read->timeout_ms = ~0u;
	read->recheck_ms = ~0u;
	return INCFS_VERDICT_IMAGE;
}

SEC("?struct_ops.s/filled")
void BPF_PROG(absurd_filled, struct incfs_read *fill)
{
	call_all(fill, fill->ino, 0, ~0u);
	call_all(fill, fill->ino, ~0u, ~0u);
	call_all(fill, ~0ull, 0, 1);
}

HOSTILE(absurd,
	.block_presence = (void *)absurd_block_presence,
	.filled = (void *)absurd_filled);
