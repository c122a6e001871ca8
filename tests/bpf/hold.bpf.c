// SPDX-License-Identifier: GPL-2.0-only
/*
 * A policy for the tests: holds the first 64 blocks of each file until their bits
 * are set, and has ways to tell the readers.
 */
#include <incfs/policy.bpf.h>

char LICENSE[] SEC("license") = "GPL";

/* Set by the test. */
__u64 released;
__u32 recheck_ms;
__u32 timeout_ms;
int set_timeout;
/* The block that filled() has to see to release another one, and that one. */
__u64 key_ino;
__u32 key_block;
__u32 freed_block;

/* Read by the test. */
__u64 asked[64];
__u64 pended;
int filled_result;

static __u64 bit(__u32 block)
{
	return 1ull << (block & 63);
}

SEC("struct_ops/block_presence")
int BPF_PROG(hold_block_presence, struct incfs_read *read)
{
	/* Readahead is of no interest: nobody waits for it. */
	if (read->why != INCFS_READ_READAHEAD)
		__sync_fetch_and_add(&asked[read->block & 63], 1);
	read->recheck_ms = recheck_ms;
	if (set_timeout)
		read->timeout_ms = timeout_ms;
	return released & bit(read->block) ? INCFS_VERDICT_IMAGE : INCFS_VERDICT_WAIT;
}

SEC("struct_ops/pending")
void BPF_PROG(hold_pending, struct incfs_read *read)
{
	__sync_fetch_and_add(&pended, 1);
}

SEC("struct_ops/filled")
void BPF_PROG(hold_filled, struct incfs_read *fill)
{
	if (fill->ino != key_ino || fill->block != key_block)
		return;
	__sync_fetch_and_or(&released, bit(freed_block));
	filled_result = bpf_incfs_recheck(fill->mount_id, fill->ino, freed_block, 1);
}

SEC(".struct_ops.link")
struct incfs_policy_ops hold = {
	.block_presence = (void *)hold_block_presence,
	.pending = (void *)hold_pending,
	.filled = (void *)hold_filled,
	.name = "hold",
};

struct recheck_args {
	__u64 mount_id;
	__u64 ino;
	__u32 first;
	__u32 count;
};

SEC("syscall")
int recheck(struct recheck_args *args)
{
	return bpf_incfs_recheck(args->mount_id, args->ino, args->first, args->count);
}
