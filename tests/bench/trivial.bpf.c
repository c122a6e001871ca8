// SPDX-License-Identifier: GPL-2.0-only
/*
 * Policies that do as good as nothing, to be measured: what remains is the cost
 * of the call. And one that holds all blocks back, to have its readers ask again.
 */
#include <incfs/policy.bpf.h>

char LICENSE[] SEC("license") = "GPL";

SEC("struct_ops/block_presence")
int BPF_PROG(atomic_block_presence, struct incfs_read *read)
{
	return INCFS_VERDICT_IMAGE;
}

SEC("struct_ops.s/block_presence")
int BPF_PROG(sleepable_block_presence, struct incfs_read *read)
{
	return INCFS_VERDICT_IMAGE;
}

SEC("struct_ops/filled")
void BPF_PROG(told_filled, struct incfs_read *fill)
{
}

__u64 asked;

SEC("struct_ops/block_presence")
int BPF_PROG(holding_block_presence, struct incfs_read *read)
{
	if (read->why == INCFS_READ_DEMAND)
		__sync_fetch_and_add(&asked, 1);
	return INCFS_VERDICT_WAIT;
}

__u64 mount_id;

/* Returns how many blocks are waited for. */
SEC("syscall")
int ask_again(void *ctx)
{
	return bpf_incfs_recheck(mount_id, 0, 0, 0);
}

SEC(".struct_ops.link")
struct incfs_policy_ops atomic = {
	.name = "atomic",
	.block_presence = (void *)atomic_block_presence,
};

SEC(".struct_ops.link")
struct incfs_policy_ops sleepable = {
	.name = "sleepable",
	.block_presence = (void *)sleepable_block_presence,
};

SEC(".struct_ops.link")
struct incfs_policy_ops told = {
	.name = "told",
	.filled = (void *)told_filled,
};

SEC(".struct_ops.link")
struct incfs_policy_ops holding = {
	.name = "holding",
	.block_presence = (void *)holding_block_presence,
};
