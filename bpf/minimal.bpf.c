// SPDX-License-Identifier: GPL-2.0-only
/*
 * minimal - a policy that is a name only
 *
 * Shows how little a policy is: every callback is optional, and a mount that
 * uses this one behaves as without a policy. Good for taking a mount off another
 * policy, and for measuring what the hook itself costs.
 *
 * A bad choice for everything else: nothing is fetched ahead, and a loader
 * learns what is waited for from ".cmd" alone.
 */
#include <linux/types.h>
#include <bpf/bpf_helpers.h>

#include <incfs/policy.h>

char LICENSE[] SEC("license") = "GPL";

SEC(".struct_ops.link")
struct incfs_policy_ops minimal = {
	.name = "minimal",
};
