// SPDX-License-Identifier: GPL-2.0-only
/*
 * A policy for the tests: says what it is told to, and counts what it is asked.
 * Its demand events bear a mark, to tell which of several policies sent them.
 */
#include <incfs/policy.bpf.h>

char LICENSE[] SEC("license") = "GPL";

/* Set by the test. */
int verdict;
int set_timeout;
__u32 timeout_ms;
__u32 mark;
__u32 spins;

/* Read by the test. */
__u64 asked, answered, pended, prefetched, strangers;
__u64 my_mount;
struct {
	__u64 ino;
	__u32 block, count, file_blocks, why, uid, tgid, timeout_ms;
} seen;
int submit_result;
__u32 reasons;	/* a bit for each enum incfs_read_why */
__u32 window;	/* the most blocks that prefetch was told of */

/* Memory of the reader, to be looked at, and what came of it. */
__u64 user_address;
int user_result;

extern int bpf_copy_from_user_str(void *dst, __u32 dst__sz, const void *unsafe_ptr__ign,
				  __u64 flags) __ksym;

static int spin(__u32 i, void *ctx)
{
	return 0;
}

static void look(const struct incfs_read *read)
{
	seen.ino = read->ino;
	seen.block = read->block;
	seen.count = read->count;
	seen.file_blocks = read->file_blocks;
	seen.why = read->why;
	seen.uid = read->uid;
	seen.tgid = read->tgid;
	reasons |= 1 << (read->why & 31);
	seen.timeout_ms = read->timeout_ms;
	if (my_mount && my_mount != read->mount_id)
		__sync_fetch_and_add(&strangers, 1);
}

SEC("struct_ops.s/block_presence")
int BPF_PROG(probe_block_presence, struct incfs_read *read)
{
	char text[8];

	__sync_fetch_and_add(&asked, 1);
	look(read);
	if (spins)
		bpf_loop(spins, spin, NULL, 0);
	if (user_address)
		user_result = bpf_copy_from_user_str(text, sizeof(text),
						     (const void *)user_address, 0);
	if (set_timeout)
		read->timeout_ms = timeout_ms;
	__sync_fetch_and_add(&answered, 1);
	return verdict;
}

SEC("struct_ops/pending")
void BPF_PROG(probe_pending, struct incfs_read *read)
{
	look(read);
	submit_result = incfs_submit(read, INCFS_EVENT_DEMAND, read->block, read->count, mark);
	__sync_fetch_and_add(&pended, 1);
}

SEC("struct_ops.s/prefetch")
void BPF_PROG(probe_prefetch, struct incfs_read *read)
{
	if (read->count > window)
		window = read->count;
	__sync_fetch_and_add(&prefetched, 1);
}

SEC(".struct_ops.link")
struct incfs_policy_ops probe = {
	.block_presence = (void *)probe_block_presence,
	.pending = (void *)probe_pending,
	.prefetch = (void *)probe_prefetch,
	.name = "probe",
};

/* The same without a link: it stays until it is deleted. */
SEC("?.struct_ops")
struct incfs_policy_ops unlinked = {
	.block_presence = (void *)probe_block_presence,
	.pending = (void *)probe_pending,
	.name = "unlinked",
};
