// SPDX-License-Identifier: GPL-2.0-only
/*
 * stride - what a reader needs who takes equal steps through a file
 *
 * Shows how to learn from what happens. After "equal" steps of the same length,
 * forwards or backwards, the blocks that the next "ahead" steps lead to are asked
 * for, and more as the reader goes on.
 *
 * A step is learned from blocks that were not there: prefetch() tells once of each
 * that is waited for. Once a reader's step is known, most are there when they are
 * needed, so block_presence() has to say how far the reader has come. It is asked
 * about a mapped read at each page fault; a read(2) of a stored block shows as
 * readahead only, which brings in other blocks, too: there just the next one along
 * the step counts. What it is asked for read(2) itself, several times for each wait,
 * is ignored. The price is a program for each block that comes into the page
 * cache, with one look into a map.
 *
 * A policy is not told by which open file a program reads, so it is who reads
 * which file that has a step: a process that goes through one file twice at a time
 * has none that could be seen. So has one that reads several blocks at each step:
 * its steps are 1, 1, 1, 13.
 *
 * A bad choice for reads in file order: "sequential" asks for longer runs, and
 * after the first read already.
 */
#include "common.bpf.h"

char LICENSE[] SEC("license") = "GPL";

/* How many steps to look ahead. */
const volatile __u32 ahead = 16;
/* How many equal steps make a habit. */
const volatile __u32 equal = 3;

struct walk_key {
	__u64 mount_id;
	__u64 ino;
	__u32 tgid;
	__u32 reserved;
};

struct walk {
	__u32 block;		/* the last one that was read */
	__u32 step;		/* what led there; 0 at first */
	bool back;		/* down the file */
	__u32 seen;		/* how many such steps in turn, up to "equal" */
	__u32 asked;		/* how many more have been asked for */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct walk_key);
	__type(value, struct walk);
} walks SEC(".maps");

/* How many steps of the walk it is to @block; 0: it is not on the way. */
static __always_inline __u32 count_steps(const struct walk *walk, __u32 block)
{
	bool back = block < walk->block;
	__u32 way = back ? walk->block - block : block - walk->block;

	if (!walk->step || back != walk->back || way % walk->step)
		return 0;
	return way / walk->step;
}

static __always_inline void start_walk(struct walk *walk, __u32 block)
{
	walk->back = block < walk->block;
	walk->step = walk->back ? walk->block - block : block - walk->block;
	walk->block = block;
	walk->seen = 1;
	walk->asked = 0;
}

/* Ask for where the steps lead that have not been asked for yet. */
static __always_inline void look_ahead(struct incfs_read *read, struct walk *walk)
{
	struct incfs_batch batch = {};
	__u64 way;
	__u32 i;

	bpf_for(i, walk->asked + 1, ahead + 1) {
		way = (__u64)walk->step * i;
		if (walk->back ? way > walk->block : walk->block + way >= read->file_blocks)
			break;
		incfs_batch_add(read, &batch, read->ino,
				walk->back ? walk->block - way : walk->block + way, ahead - i);
	}
	incfs_batch_send(read, &batch);
	walk->asked = ahead;
}

static void follow(struct incfs_read *read)
{
	struct walk_key key = {
		.mount_id = read->mount_id, .ino = read->ino, .tgid = read->tgid,
	};
	struct walk *walk, first = { .block = read->block };
	bool guess = read->why == INCFS_READ_READAHEAD;
	__u32 steps, most = 1;

	walk = bpf_map_lookup_elem(&walks, &key);
	if (!walk) {
		if (!guess)
			bpf_map_update_elem(&walks, &key, &first, BPF_NOEXIST);
		return;
	}
	/* The same read asks again. */
	if (walk->block == read->block)
		return;
	steps = count_steps(walk, read->block);
	if (guess && (walk->seen < equal || steps != 1 ||
		      incfs_is_absent(read, read->ino, read->block)))
		return;
	/* Steps in between can't be seen when their pages were in memory. */
	if (walk->seen >= equal)
		most = ahead;
	if (!steps || steps > most) {
		start_walk(walk, read->block);
		return;
	}
	walk->block = read->block;
	walk->asked = walk->asked > steps ? walk->asked - steps : 0;
	if (walk->seen < equal)
		walk->seen++;
	if (walk->seen >= equal && walk->asked <= ahead / 2)
		look_ahead(read, walk);
}

SEC("struct_ops.s/block_presence")
int BPF_PROG(stride_block_presence, struct incfs_read *read)
{
	if (read->why != INCFS_READ_DEMAND)
		follow(read);
	return INCFS_VERDICT_IMAGE;
}

SEC("struct_ops/pending")
void BPF_PROG(stride_pending, struct incfs_read *read)
{
	incfs_demand(read);
}

SEC("struct_ops.s/prefetch")
void BPF_PROG(stride_prefetch, struct incfs_read *read)
{
	if (read->why == INCFS_READ_DEMAND)
		follow(read);
}

SEC(".struct_ops.link")
struct incfs_policy_ops stride = {
	.name = "stride",
	.block_presence = (void *)stride_block_presence,
	.pending = (void *)stride_pending,
	.prefetch = (void *)stride_prefetch,
};
