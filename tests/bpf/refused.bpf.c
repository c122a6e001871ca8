// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs that the kernel must refuse. Each is tried alone; those in a map of
 * struct_ops together with their map.
 */
#include <incfs/policy.bpf.h>

char LICENSE[] SEC("license") = "GPL";

SEC("?struct_ops.s/block_presence")
int BPF_PROG(write_ino, struct incfs_read *read)
{
	read->ino = 2;
	return 0;
}

SEC("?struct_ops.s/block_presence")
int BPF_PROG(write_part, struct incfs_read *read)
{
	*(volatile __u8 *)&read->timeout_ms = 1;
	return 0;
}

SEC("?struct_ops.s/pending")
void BPF_PROG(write_late, struct incfs_read *read)
{
	read->timeout_ms = 1;
}

/* Past the end of struct incfs_read, where the module keeps its own. */
SEC("?struct_ops.s/block_presence")
int BPF_PROG(read_beyond, struct incfs_read *read)
{
	return *((volatile __u64 *)read + 16) != 0;
}

SEC("?struct_ops/prefetch")
void BPF_PROG(find_unsleepable, struct incfs_read *read)
{
	__u32 start;

	bpf_incfs_find_absent(read, read->ino, 0, 1, &start);
}

/* Through memory that only looks like a read. */
SEC("?struct_ops.s/prefetch")
void BPF_PROG(find_forged, struct incfs_read *read)
{
	struct incfs_read forged = {};
	__u32 start;

	bpf_incfs_find_absent(&forged, 2, 0, 1, &start);
}

SEC("?syscall")
int find_elsewhere(void *ctx)
{
	__u32 start;

	return bpf_incfs_find_absent(ctx, 2, 0, 1, &start);
}

#define REFUSED(prog, member)			\
	SEC("?.struct_ops.link")		\
	struct incfs_policy_ops prog##_ops = {	\
		.member = (void *)prog,		\
		.name = #prog,			\
	}

REFUSED(write_ino, block_presence);
REFUSED(write_part, block_presence);
REFUSED(write_late, pending);
REFUSED(read_beyond, block_presence);
REFUSED(find_unsleepable, prefetch);
REFUSED(find_forged, prefetch);

/* Another type of struct_ops has no business with our functions either. */
struct sock;

struct tcp_congestion_ops {
	__u32 (*ssthresh)(struct sock *sk);
	__u32 (*undo_cwnd)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	char name[16];
};

SEC("?struct_ops/ssthresh")
__u32 BPF_PROG(find_from_tcp, struct sock *sk)
{
	__u32 start;

	return bpf_incfs_find_absent((void *)sk, 2, 0, 1, &start);
}

SEC("?.struct_ops.link")
struct tcp_congestion_ops find_from_tcp_ops = {
	.ssthresh = (void *)find_from_tcp,
	.name = "incfs_refused",
};
