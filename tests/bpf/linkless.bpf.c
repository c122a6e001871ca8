// SPDX-License-Identifier: GPL-2.0-only
/* linkless - a policy that is registered by its map alone */
#include <linux/types.h>
#include <bpf/bpf_helpers.h>

#include <incfs/policy.h>

char LICENSE[] SEC("license") = "GPL";

SEC(".struct_ops")
struct incfs_policy_ops linkless = {
	.name = "linkless",
};
