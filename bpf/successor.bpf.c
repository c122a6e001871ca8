// SPDX-License-Identifier: GPL-2.0-only
/*
 * successor - what was needed next the last time
 *
 * Shows a memory that grows with what programs do, in bounds. For each block it is
 * remembered which one the same process needed after it, in whatever file, and
 * how sure that is. A reader who waits for a block then has those asked for that
 * follow, "ahead" steps along the chain, and more as it goes on. Where nothing is
 * known, the next "fallback" blocks of the file are asked for.
 *
 * Within one mount a block that was needed once has come, and stays: there the
 * memory is of use for reads that gave up only. With "across_mounts" all mounts
 * learn from each other: what is learned on one makes others fast that were packed
 * from the same list, so that files have the same inode numbers. It is off by
 * default, because it also has one tenant decide what is fetched for another, and
 * is nonsense where trees differ.
 *
 * It learns from blocks that are waited for, once each (prefetch()), and from page
 * faults of stored ones (block_presence()). A read(2) of a stored block shows as
 * readahead only, among blocks that nobody has asked for: there counts what is the
 * expected one, or the next in the file when none is. What block_presence() is
 * asked for read(2) itself, several times for each wait, is ignored. The price is a
 * program for each block that comes into the page cache, with two looks into
 * maps, and some six megabytes of memory.
 *
 * A bad choice for a mount of its own kind, where "sequential" does the same for
 * less, and for programs whose threads read side by side: the order in which they
 * happen to do so is learned. A program that starts others is learned in pieces,
 * one for each process. "replay" is better where a run can be recorded.
 */
#include "sequence.bpf.h"

char LICENSE[] SEC("license") = "GPL";

/* A step that was taken that often is taken again with the next two exceptions. */
#define SEEN_MAX 3

/* How many steps of the chain to ask for. */
const volatile __u32 ahead = 64;
/* How many blocks of the file where no chain is known; 0: none. */
const volatile __u32 fallback = 8;
/* How often a step must have been seen to be believed, 1 to SEEN_MAX. */
const volatile __u32 sure = 1;
/* One memory for all mounts. */
const volatile bool across_mounts;

struct successor {
	__u64 ino;
	__u32 block;
	__u32 seen;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct incfs_block_key);
	__type(value, struct successor);
} successors SEC(".maps");

struct process_key {
	__u64 mount_id;
	__u32 tgid;
	__u32 reserved;
};

/* The block that a process needed last, and how much of what follows was asked for. */
struct place {
	__u64 ino;
	__u32 block;
	__u32 asked;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct process_key);
	__type(value, struct place);
} places SEC(".maps");

static __always_inline struct incfs_block_key successor_key(const struct incfs_read *read,
							    __u64 ino, __u32 block)
{
	return (struct incfs_block_key) {
		.mount_id = across_mounts ? 0 : read->mount_id, .ino = ino, .block = block,
	};
}

/* The block of @read was needed after that of @key; @known is what was thought. */
static __always_inline void learn(const struct incfs_read *read, struct incfs_block_key *key,
				  struct successor *known, bool expected)
{
	struct successor next = { .ino = read->ino, .block = read->block, .seen = 1 };

	if (expected) {
		if (known->seen < SEEN_MAX)
			known->seen++;
	} else if (known && known->seen > 1) {
		known->seen--;
	} else {
		bpf_map_update_elem(&successors, key, &next, BPF_ANY);
	}
}

/* Ask for the steps from here on that were not asked for yet. */
static __always_inline void look_ahead(struct incfs_read *read, struct place *place)
{
	struct incfs_block_key key = successor_key(read, read->ino, read->block);
	struct incfs_batch batch = {};
	struct successor *next;
	__u32 i, steps = 0;

	bpf_for(i, 0, ahead) {
		next = bpf_map_lookup_elem(&successors, &key);
		if (!next || next->seen < sure)
			break;
		key = successor_key(read, next->ino, next->block);
		/* Round in a circle. */
		if (key.ino == read->ino && key.block == read->block)
			break;
		if (i >= place->asked)
			incfs_batch_add(read, &batch, key.ino, key.block, ahead - i);
		steps = i + 1;
	}
	incfs_batch_send(read, &batch);
	place->asked = steps;
}

/* The process has come to the block of @read. */
static __always_inline void advance(struct incfs_read *read, struct place *place)
{
	struct incfs_block_key key = successor_key(read, place->ino, place->block);
	struct successor *known = bpf_map_lookup_elem(&successors, &key);
	bool expected = known && known->ino == read->ino && known->block == read->block;
	bool next = place->ino == read->ino && place->block + 1 == read->block;

	if (read->why == INCFS_READ_READAHEAD &&
	    ((!expected && (known || !next)) ||
	     incfs_is_absent(read, read->ino, read->block)))
		return;
	learn(read, &key, known, expected);
	place->asked = expected && place->asked ? place->asked - 1 : 0;
	place->ino = read->ino;
	place->block = read->block;
	if (place->asked <= ahead / 2)
		look_ahead(read, place);
}

/* Returns whether it is known what comes next. */
static bool follow(struct incfs_read *read)
{
	struct process_key key = { .mount_id = read->mount_id, .tgid = read->tgid };
	struct place *place, first = { .ino = read->ino, .block = read->block };

	place = bpf_map_lookup_elem(&places, &key);
	if (!place) {
		if (read->why == INCFS_READ_READAHEAD)
			return false;
		look_ahead(read, &first);
		bpf_map_update_elem(&places, &key, &first, BPF_NOEXIST);
		return first.asked;
	}
	/* Unless it is the same read that asks again. */
	if (place->ino != read->ino || place->block != read->block)
		advance(read, place);
	return place->asked;
}

SEC("struct_ops.s/block_presence")
int BPF_PROG(successor_block_presence, struct incfs_read *read)
{
	if (read->why != INCFS_READ_DEMAND)
		follow(read);
	return INCFS_VERDICT_IMAGE;
}

SEC("struct_ops/pending")
void BPF_PROG(successor_pending, struct incfs_read *read)
{
	incfs_demand(read);
}

SEC("struct_ops.s/prefetch")
void BPF_PROG(successor_prefetch, struct incfs_read *read)
{
	if (read->why == INCFS_READ_READAHEAD || follow(read))
		return;
	if (fallback)
		incfs_sequence_follow(read, fallback, NULL);
}

SEC(".struct_ops.link")
struct incfs_policy_ops successor = {
	.name = "successor",
	.block_presence = (void *)successor_block_presence,
	.pending = (void *)successor_pending,
	.prefetch = (void *)successor_prefetch,
};
