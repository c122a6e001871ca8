// SPDX-License-Identifier: GPL-2.0-only
/*
 * sequential - what is waited for now, then what follows it in the file
 *
 * Shows both kinds of events. A block that a reader waits for becomes a demand
 * event; a read of what is not there yet becomes fetch-ahead events for the next
 * "ahead" absent blocks, as runs. How far a file has been asked for is
 * remembered, so that a reader who goes through it has the next part asked for
 * when half of the last one is behind it, and not anew at every block.
 *
 * The memory is short: it is the loader that keeps what was asked for, and a
 * loader that was started again knows nothing of it. After FORGET_NS the same
 * blocks may be asked for once more. Events that found the ring full are not
 * remembered in the first place.
 *
 * A bad choice for programs that read here and there in large files, such as
 * databases: most of what is fetched ahead then competes with other readers and
 * is of no use to this one. And it knows nothing of the order in which a program
 * opens its files.
 */
#include <incfs/policy.bpf.h>

char LICENSE[] SEC("license") = "GPL";

#define FORGET_NS 2000000000ull
/* The most events of one call, for files of which every other block is there. */
#define MAX_RUNS 16

/* How many absent blocks to ask for ahead of a reader: 32 are 128 KiB. */
const volatile __u32 ahead = 32;

struct file_key {
	__u64 mount_id;
	__u64 ino;
};

/* Blocks from @first up to, not including, @end were asked for, the last @when. */
struct file_asked {
	__u64 when;
	__u32 first;
	__u32 end;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct file_key);
	__type(value, struct file_asked);
} files SEC(".maps");

SEC("struct_ops.s/pending")
void BPF_PROG(sequential_pending, struct incfs_read *read)
{
	incfs_submit(read, INCFS_EVENT_DEMAND, read->block, read->count, 0);
}

SEC("struct_ops.s/prefetch")
void BPF_PROG(sequential_prefetch, struct incfs_read *read)
{
	struct file_key key = { .mount_id = read->mount_id, .ino = read->ino };
	struct file_asked now = { .when = bpf_ktime_get_ns(), .first = read->block };
	__u32 next = read->block, left = ahead, start = 0;
	struct file_asked *asked;
	int i, run;

	/* The block that is waited for has an event of its own. */
	if (read->why != INCFS_READ_READAHEAD)
		next += read->count;

	asked = bpf_map_lookup_elem(&files, &key);
	if (asked && now.when - asked->when < FORGET_NS &&
	    asked->first <= next && next <= asked->end) {
		if (asked->end - next > ahead / 2)
			return;
		now.first = asked->first;
		next = asked->end;
	}

	for (i = 0; i < MAX_RUNS && left; i++) {
		run = bpf_incfs_find_absent(read, read->ino, next, read->file_blocks,
					    &start);
		if (run <= 0)
			break;
		if ((__u32)run > left)
			run = left;
		/* What is nearer to the reader is wanted sooner. */
		if (incfs_submit(read, INCFS_EVENT_FETCH_AHEAD, start, run, left))
			break;
		next = start + run;
		left -= run;
	}
	if (left == ahead)
		return;
	now.end = next;
	bpf_map_update_elem(&files, &key, &now, BPF_ANY);
}

SEC(".struct_ops.link")
struct incfs_policy_ops sequential = {
	.name = "sequential",
	.pending = (void *)sequential_pending,
	.prefetch = (void *)sequential_prefetch,
};
