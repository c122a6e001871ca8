// SPDX-License-Identifier: GPL-2.0-only
/*
 * A policy for the tests: calls bpf_incfs_find_absent() and bpf_incfs_read_ahead()
 * as it is told to, when a certain block is asked about or filled.
 */
#include <incfs/policy.bpf.h>

char LICENSE[] SEC("license") = "GPL";

#define CALLS_MAX 16

/* Set by the test: what to call, when block @when of inode @at is looked at. */
__u64 at;
__u32 when;
int armed;	/* 1: in block_presence, 2: in filled; once */
int held;	/* blocks are not let be read ahead */
__u32 nr_calls;
struct {
	__u64 ino;
	__u32 first, count, ahead;
	int result;
	__u32 start;
} calls[CALLS_MAX];
/* This many times the first of them, all at once. */
__u32 flood;
__u64 taken, refused, failed;

/* Read by the test. */
__u64 ran, asked_ahead, prefetched;

static void flood_with(struct incfs_read *read)
{
	__u32 i;
	int ret;

	for (i = 0; i < 512 && i < flood; i++) {
		ret = bpf_incfs_read_ahead(read, calls[0].ino, calls[0].first + i, calls[0].count);
		if (!ret)
			__sync_fetch_and_add(&taken, 1);
		else if (ret == -EAGAIN)
			__sync_fetch_and_add(&refused, 1);
		else
			__sync_fetch_and_add(&failed, 1);
	}
}

static void run(struct incfs_read *read, int place)
{
	__u32 i, start;

	if (read->ino != at || read->block != when ||
	    __sync_val_compare_and_swap(&armed, place, 0) != place)
		return;
	if (flood)
		flood_with(read);
	for (i = 0; i < CALLS_MAX && i < nr_calls; i++) {
		start = ~0u;
		if (calls[i].ahead)
			calls[i].result = bpf_incfs_read_ahead(read, calls[i].ino, calls[i].first,
							       calls[i].count);
		else
			calls[i].result = bpf_incfs_find_absent(read, calls[i].ino,
								calls[i].first,
								calls[i].count, &start);
		calls[i].start = start;
	}
	__sync_fetch_and_add(&ran, 1);
}

SEC("struct_ops.s/block_presence")
int BPF_PROG(ahead_block_presence, struct incfs_read *read)
{
	run(read, 1);
	if (read->why != INCFS_READ_READAHEAD)
		return INCFS_VERDICT_IMAGE;
	__sync_fetch_and_add(&asked_ahead, 1);
	return held ? INCFS_VERDICT_WAIT : INCFS_VERDICT_IMAGE;
}

SEC("struct_ops.s/filled")
void BPF_PROG(ahead_filled, struct incfs_read *fill)
{
	run(fill, 2);
}

SEC("struct_ops/prefetch")
void BPF_PROG(ahead_prefetch, struct incfs_read *read)
{
	__sync_fetch_and_add(&prefetched, 1);
}

SEC(".struct_ops.link")
struct incfs_policy_ops ahead = {
	.block_presence = (void *)ahead_block_presence,
	.filled = (void *)ahead_filled,
	.prefetch = (void *)ahead_prefetch,
	.name = "ahead",
};
