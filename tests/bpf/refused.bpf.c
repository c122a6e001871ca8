// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs that the kernel must refuse. Each is tried alone; those in a map of
 * struct_ops together with their map.
 */
#include <incfs/policy.bpf.h>

char LICENSE[] SEC("license") = "GPL";

#define REFUSED(prog, member)			\
	SEC("?.struct_ops.link")		\
	struct incfs_policy_ops prog##_ops = {	\
		.member = (void *)prog,		\
		.name = #prog,			\
	}

/* Writes to a context. */

#define WRITES(what)							\
	SEC("?struct_ops.s/block_presence")				\
	int BPF_PROG(write_##what, struct incfs_read *read)		\
	{								\
		read->what = 0;						\
		return 0;						\
	}								\
	REFUSED(write_##what, block_presence)

WRITES(mount_id);
WRITES(ino);
WRITES(block);
WRITES(count);
WRITES(file_blocks);
WRITES(why);
WRITES(uid);
WRITES(tgid);
WRITES(file);

#define WRITES_LATE(member, what)					\
	SEC("?struct_ops.s/" #member)					\
	void BPF_PROG(write_##what##_in_##member, struct incfs_read *read) \
	{								\
		read->what = 1;						\
	}								\
	REFUSED(write_##what##_in_##member, member)

WRITES_LATE(prefetch, timeout_ms);
WRITES_LATE(pending, timeout_ms);
WRITES_LATE(filled, timeout_ms);
WRITES_LATE(prefetch, recheck_ms);
WRITES_LATE(pending, recheck_ms);
WRITES_LATE(filled, recheck_ms);

SEC("?struct_ops.s/block_presence")
int BPF_PROG(write_part, struct incfs_read *read)
{
	*(volatile __u8 *)&read->timeout_ms = 1;
	return 0;
}
REFUSED(write_part, block_presence);

SEC("?struct_ops.s/block_presence")
int BPF_PROG(write_part_of_recheck, struct incfs_read *read)
{
	*((volatile __u16 *)&read->recheck_ms + 1) = 1;
	return 0;
}
REFUSED(write_part_of_recheck, block_presence);

/* Both numbers at once. */
SEC("?struct_ops.s/block_presence")
int BPF_PROG(write_both, struct incfs_read *read)
{
	*(volatile __u64 *)&read->timeout_ms = 1;
	return 0;
}
REFUSED(write_both, block_presence);

SEC("?struct_ops/attach")
int BPF_PROG(write_mount, struct incfs_policy_mount *mount)
{
	mount->timeout_ms = 1;
	return 0;
}
REFUSED(write_mount, attach);

SEC("?struct_ops/detach")
void BPF_PROG(write_mount_late, struct incfs_policy_mount *mount)
{
	mount->mount_id = 1;
}
REFUSED(write_mount_late, detach);

/* By those who write where they are told to. */
SEC("?struct_ops/block_presence")
int BPF_PROG(copy_into_read, struct incfs_read *read)
{
	__u64 number = 0;

	return bpf_probe_read_kernel((void *)read, sizeof(number), &number);
}
REFUSED(copy_into_read, block_presence);

SEC("?struct_ops.s/block_presence")
int BPF_PROG(find_into_read, struct incfs_read *read)
{
	return bpf_incfs_find_absent(read, read->ino, 0, 1, &read->count);
}
REFUSED(find_into_read, block_presence);

extern int bpf_copy_from_user_str(void *dst, __u32 dst__sz, const void *unsafe_ptr__ign,
				  __u64 flags) __ksym;

SEC("?struct_ops.s/block_presence")
int BPF_PROG(text_into_read, struct incfs_read *read)
{
	return bpf_copy_from_user_str(read, 8, NULL, 0);
}
REFUSED(text_into_read, block_presence);

/* Past the end of struct incfs_read, where the module keeps its own. */
SEC("?struct_ops.s/block_presence")
int BPF_PROG(read_beyond, struct incfs_read *read)
{
	return *((volatile __u64 *)read + 16) != 0;
}
REFUSED(read_beyond, block_presence);

SEC("?struct_ops/attach")
int BPF_PROG(read_beyond_mount, struct incfs_policy_mount *mount)
{
	return *((volatile __u64 *)mount + 16) != 0;
}
REFUSED(read_beyond_mount, attach);

/* Before it. */
SEC("?struct_ops.s/block_presence")
int BPF_PROG(read_before, struct incfs_read *read)
{
	return *((volatile __u64 *)read - 1) != 0;
}
REFUSED(read_before, block_presence);

/* Sleep where it is not allowed. */

SEC("?struct_ops.s/attach")
int BPF_PROG(sleep_in_attach, struct incfs_policy_mount *mount)
{
	return 0;
}
REFUSED(sleep_in_attach, attach);

SEC("?struct_ops.s/detach")
void BPF_PROG(sleep_in_detach, struct incfs_policy_mount *mount)
{
}
REFUSED(sleep_in_detach, detach);

SEC("?struct_ops/prefetch")
void BPF_PROG(find_unsleepable, struct incfs_read *read)
{
	__u32 start;

	bpf_incfs_find_absent(read, read->ino, 0, 1, &start);
}
REFUSED(find_unsleepable, prefetch);

extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;

SEC("?struct_ops.s/prefetch")
void BPF_PROG(find_under_rcu, struct incfs_read *read)
{
	__u32 start;

	bpf_rcu_read_lock();
	bpf_incfs_find_absent(read, read->ino, 0, 1, &start);
	bpf_rcu_read_unlock();
}
REFUSED(find_under_rcu, prefetch);

/* A context that is none. */

/* Through memory that only looks like a read. */
SEC("?struct_ops.s/prefetch")
void BPF_PROG(find_forged, struct incfs_read *read)
{
	struct incfs_read forged = {};
	__u32 start;

	bpf_incfs_find_absent(&forged, 2, 0, 1, &start);
}
REFUSED(find_forged, prefetch);

SEC("?struct_ops/prefetch")
void BPF_PROG(ahead_forged, struct incfs_read *read)
{
	struct incfs_read forged = {};

	bpf_incfs_read_ahead(&forged, 2, 0, 1);
}
REFUSED(ahead_forged, prefetch);

SEC("?struct_ops/prefetch")
void BPF_PROG(ahead_null, struct incfs_read *read)
{
	bpf_incfs_read_ahead(NULL, 2, 0, 1);
}
REFUSED(ahead_null, prefetch);

/* What the context points at, for which only the module has a use. */
SEC("?struct_ops/prefetch")
void BPF_PROG(ahead_of_file, struct incfs_read *read)
{
	bpf_incfs_read_ahead((struct incfs_read *)read->file, 2, 0, 1);
}
REFUSED(ahead_of_file, prefetch);

SEC("?struct_ops/prefetch")
void BPF_PROG(ahead_shifted, struct incfs_read *read)
{
	bpf_incfs_read_ahead((void *)read + 8, 2, 0, 1);
}
REFUSED(ahead_shifted, prefetch);

SEC("?struct_ops/attach")
int BPF_PROG(ahead_of_mount, struct incfs_policy_mount *mount)
{
	return bpf_incfs_read_ahead((void *)mount, 2, 0, 1);
}
REFUSED(ahead_of_mount, attach);

/* A context that is kept for later, when it is gone. */
struct kept {
	struct incfs_read __attribute__((btf_type_tag("kptr_untrusted"))) *read;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kept);
} kept_reads SEC(".maps");

SEC("?struct_ops/prefetch")
void BPF_PROG(ahead_kept, struct incfs_read *read)
{
	struct incfs_read *old;
	struct kept *kept;
	__u32 zero = 0;

	kept = bpf_map_lookup_elem(&kept_reads, &zero);
	if (!kept)
		return;
	old = kept->read;
	kept->read = read;
	if (old)
		bpf_incfs_read_ahead(old, 2, 0, 1);
}
REFUSED(ahead_kept, prefetch);

/* Helpers that could do harm. */
SEC("?struct_ops/block_presence")
int BPF_PROG(write_user, struct incfs_read *read)
{
	__u64 zero = 0;

	return bpf_probe_write_user((void *)read->ino, &zero, sizeof(zero));
}
REFUSED(write_user, block_presence);

/* Into a program that may sleep, from one that may not. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} others SEC(".maps");

SEC("?struct_ops/pending")
void BPF_PROG(call_other, struct incfs_read *read)
{
	bpf_tail_call(ctx, &others, 0);
}
REFUSED(call_other, pending);

/* The module's functions from elsewhere. */

SEC("?syscall")
int find_elsewhere(void *ctx)
{
	__u32 start;

	return bpf_incfs_find_absent(ctx, 2, 0, 1, &start);
}

SEC("?syscall")
int ahead_elsewhere(void *ctx)
{
	return bpf_incfs_read_ahead(ctx, 2, 0, 1);
}

SEC("?tp_btf/sys_enter")
int find_from_tracing(__u64 *ctx)
{
	__u32 start;

	return bpf_incfs_find_absent((void *)ctx, 2, 0, 1, &start);
}

SEC("?tp_btf/sys_enter")
int ahead_from_tracing(__u64 *ctx)
{
	return bpf_incfs_read_ahead((void *)ctx, 2, 0, 1);
}

SEC("?tp_btf/sys_enter")
int recheck_from_tracing(__u64 *ctx)
{
	return bpf_incfs_recheck(1, 0, 0, 0);
}

SEC("?socket")
int recheck_from_socket(void *ctx)
{
	return bpf_incfs_recheck(1, 0, 0, 0);
}

/* Another type of struct_ops has no business with our functions either. */
struct sock;

struct tcp_congestion_ops {
	__u32 (*ssthresh)(struct sock *sk);
	__u32 (*undo_cwnd)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	char name[16];
};

#define FROM_TCP(prog)				\
	SEC("?.struct_ops.link")		\
	struct tcp_congestion_ops prog##_ops = {	\
		.ssthresh = (void *)prog,	\
		.name = "incfs_refused",	\
	}

SEC("?struct_ops/ssthresh")
__u32 BPF_PROG(find_from_tcp, struct sock *sk)
{
	__u32 start;

	return bpf_incfs_find_absent((void *)sk, 2, 0, 1, &start);
}
FROM_TCP(find_from_tcp);

SEC("?struct_ops/ssthresh")
__u32 BPF_PROG(ahead_from_tcp, struct sock *sk)
{
	return bpf_incfs_read_ahead((void *)sk, 2, 0, 1);
}
FROM_TCP(ahead_from_tcp);

SEC("?struct_ops/ssthresh")
__u32 BPF_PROG(recheck_from_tcp, struct sock *sk)
{
	return bpf_incfs_recheck(1, 0, 0, 0);
}
FROM_TCP(recheck_from_tcp);
