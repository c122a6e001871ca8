// SPDX-License-Identifier: GPL-2.0-only
/*
 * sequential - what is waited for now, then what follows it in the file
 *
 * Shows both kinds of events. A block that a reader waits for becomes a demand
 * event; a read of what is not there yet becomes fetch-ahead events for the next
 * "ahead" absent blocks, as runs. sequence.bpf.h says how it keeps from asking for
 * the same blocks at every read.
 *
 * A bad choice for programs that read here and there in large files, such as
 * databases: most of what is fetched ahead then competes with other readers and
 * is of no use to this one. And it knows nothing of the order in which a program
 * opens its files.
 */
#include "sequence.bpf.h"

char LICENSE[] SEC("license") = "GPL";

/* How many absent blocks to ask for ahead of a reader: 32 are 128 KiB. */
const volatile __u32 ahead = 32;

SEC("struct_ops/pending")
void BPF_PROG(sequential_pending, struct incfs_read *read)
{
	incfs_demand(read);
}

SEC("struct_ops.s/prefetch")
void BPF_PROG(sequential_prefetch, struct incfs_read *read)
{
	incfs_sequence_follow(read, ahead, NULL);
}

SEC(".struct_ops.link")
struct incfs_policy_ops sequential = {
	.name = "sequential",
	.pending = (void *)sequential_pending,
	.prefetch = (void *)sequential_prefetch,
};
