// SPDX-License-Identifier: GPL-2.0-only
/*
 * ends - the first and the last blocks of a file, when it is missed first
 *
 * Many formats have what a program needs to make sense of a file at one of its
 * ends: section headers of ELF files, directories of zip archives, indexes of media
 * files. The first reader who has to wait in a file has both asked for.
 *
 * A bad choice for trees of many small files, which it fetches whole, and for
 * readers who go through a file: combine it with what bpf/sequential.bpf.c does.
 */
#include <incfs/policy.bpf.h>

char LICENSE[] SEC("license") = "GPL";

/* The most events for one end, of which every other block may be there. */
#define MAX_RUNS 8

/* How many blocks an end has: 16 are 64 KiB. */
const volatile __u32 end_blocks = 16;

struct file_key {
	__u64 mount_id;
	__u64 ino;
};

/* The files whose ends have been asked for. Ids of mounts are not used again. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct file_key);
	__type(value, __u8);
} files SEC(".maps");

SEC("struct_ops/pending")
void BPF_PROG(ends_pending, struct incfs_read *read)
{
	incfs_submit(read, INCFS_EVENT_DEMAND, read->block, read->count, 0);
}

/* Ask for what is absent of the blocks from @first up to, not including, @end. */
static void ask(struct incfs_read *read, __u32 first, __u32 end, __u32 priority)
{
	__u32 start = 0;
	int i, run;

	for (i = 0; i < MAX_RUNS; i++) {
		run = bpf_incfs_find_absent(read, read->ino, first, end, &start);
		if (run <= 0)
			return;
		incfs_submit(read, INCFS_EVENT_FETCH_AHEAD, start, run, priority);
		first = start + run;
	}
}

/* Sleeps: bpf_incfs_find_absent() may have to read the file's block map. */
SEC("struct_ops.s/prefetch")
void BPF_PROG(ends_prefetch, struct incfs_read *read)
{
	struct file_key key = { .mount_id = read->mount_id, .ino = read->ino };
	__u32 size = read->file_blocks, tail;
	__u8 asked = 1;

	if (bpf_map_update_elem(&files, &key, &asked, BPF_NOEXIST))
		return;
	tail = size > 2 * end_blocks ? size - end_blocks : end_blocks;
	ask(read, 0, end_blocks, 2);
	ask(read, tail, size, 1);
}

SEC(".struct_ops.link")
struct incfs_policy_ops ends = {
	.name = "ends",
	.pending = (void *)ends_pending,
	.prefetch = (void *)ends_prefetch,
};
