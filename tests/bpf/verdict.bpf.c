// SPDX-License-Identifier: GPL-2.0-only
/*
 * verdict - returns what it is told to
 *
 * For the tests of the tool: what variables are set to can be seen from what reads
 * get, and there is one of each kind.
 */
#include <incfs/policy.bpf.h>

char LICENSE[] SEC("license") = "GPL";

/* What block_presence() returns, unless asleep. */
const volatile int verdict = INCFS_VERDICT_ZERO;
const volatile _Bool asleep;
/* What attach() returns. */
const volatile __s8 refuse;
const volatile __u64 unused = 1ull << 40;
/* Not to be set: it is no number. */
const volatile char text[8] = "text";

SEC("struct_ops/block_presence")
int BPF_PROG(verdict_block_presence, struct incfs_read *read)
{
	return asleep || text[7] || unused == 3 ? INCFS_VERDICT_IMAGE : verdict;
}

SEC("struct_ops/attach")
int BPF_PROG(verdict_attach, struct incfs_policy_mount *mount)
{
	return refuse;
}

SEC(".struct_ops.link")
struct incfs_policy_ops verdict_ops = {
	.name = "verdict",
	.block_presence = (void *)verdict_block_presence,
	.attach = (void *)verdict_attach,
};
