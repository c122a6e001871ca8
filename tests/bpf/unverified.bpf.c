// SPDX-License-Identifier: GPL-2.0-only
/* unverified - a policy that the verifier refuses, for the tool to say why */
#include <incfs/policy.bpf.h>

char LICENSE[] SEC("license") = "GPL";

SEC("struct_ops/pending")
void BPF_PROG(unverified_pending, struct incfs_read *read)
{
	read->timeout_ms = 1;
}

SEC(".struct_ops.link")
struct incfs_policy_ops unverified = {
	.name = "unverified",
	.pending = (void *)unverified_pending,
};
