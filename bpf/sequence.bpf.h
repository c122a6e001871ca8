/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fetching ahead of readers who go through files from block to block.
 *
 * How far a file has been asked for is remembered, so that a reader who goes
 * through it has the next part asked for when half of the last one is behind it,
 * and not anew at every block. That is remembered for a few places of a file: a
 * dynamic linker reads headers and sections of one library in turns.
 *
 * The memory is short: it is the loader that keeps what was asked for, and a
 * loader that was started again knows nothing of it. After INCFS_FORGET_NS the
 * same blocks may be asked for once more. Two readers of one file may change its
 * memory at the same time, which costs an event too many or too few.
 */
#ifndef _INCFS_BPF_SEQUENCE_BPF_H
#define _INCFS_BPF_SEQUENCE_BPF_H

#include "common.bpf.h"

#define INCFS_FORGET_NS 2000000000ull
/* The most events of one call, for files of which every other block is there. */
#define INCFS_RUNS_MAX 16
#define INCFS_STRETCHES 4

/*
 * Blocks from @first up to, not including, @end were asked for, the last @when. The
 * reader is about to need @at.
 */
struct incfs_stretch {
	__u64 when;
	__u32 first;
	__u32 end;
	__u32 at;
	__u32 reserved;
};

struct incfs_sequence {
	struct incfs_stretch stretches[INCFS_STRETCHES];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct incfs_file_key);
	__type(value, struct incfs_sequence);
} sequences SEC(".maps");

/*
 * Says how many of @count blocks, from @first on, may be asked for ahead. What it
 * grants is asked for at once. NULL: all.
 */
typedef __u32 incfs_claim_fn(struct incfs_read *read, __u32 first, __u32 count);

/* Ask for up to @ahead absent blocks from the end of the stretch on. */
static __always_inline void incfs_stretch_extend(struct incfs_read *read,
						 struct incfs_stretch *stretch, __u32 ahead,
						 incfs_claim_fn *claim)
{
	__u32 next = stretch->end, left = ahead, start = 0, run, i;
	int found;

	bpf_for(i, 0, INCFS_RUNS_MAX) {
		found = bpf_incfs_find_absent(read, read->ino, next, read->file_blocks, &start);
		if (found <= 0)
			break;
		run = found;
		if (run > left)
			run = left;
		if (claim)
			run = claim(read, start, run);
		/* What is nearer to the reader is wanted sooner. */
		if (!run || incfs_submit(read, INCFS_EVENT_FETCH_AHEAD, start, run, left))
			break;
		next = start + run;
		left -= run;
		if (!left)
			break;
	}
	/* Events that found the ring full are not remembered. */
	if (left == ahead)
		return;
	stretch->end = next;
	stretch->when = bpf_ktime_get_ns();
}

static __always_inline bool incfs_stretch_lasts(const struct incfs_stretch *stretch, __u32 ahead)
{
	return stretch->end - stretch->at > ahead / 2;
}

static __always_inline struct incfs_sequence *incfs_sequence_get(const struct incfs_read *read)
{
	struct incfs_file_key key = { .mount_id = read->mount_id, .ino = read->ino };
	struct incfs_sequence *sequence, none = {};

	sequence = bpf_map_lookup_elem(&sequences, &key);
	if (sequence)
		return sequence;
	bpf_map_update_elem(&sequences, &key, &none, BPF_NOEXIST);
	return bpf_map_lookup_elem(&sequences, &key);
}

/**
 * incfs_sequence_follow - ask for what follows a read in its file
 * @read:  the argument of prefetch()
 * @ahead: how many absent blocks
 * @claim: limits that, or NULL
 */
static __always_inline void incfs_sequence_follow(struct incfs_read *read, __u32 ahead,
						  incfs_claim_fn *claim)
{
	struct incfs_stretch *stretch, *old, fresh = { .first = read->block };
	struct incfs_sequence *sequence = incfs_sequence_get(read);
	__u64 now = bpf_ktime_get_ns();
	int i;

	if (!sequence)
		return;
	/* A block that is waited for has an event of its own. */
	fresh.at = read->block;
	if (read->why != INCFS_READ_READAHEAD)
		fresh.at += read->count;
	fresh.end = fresh.at;

	old = &sequence->stretches[0];
	for (i = 0; i < INCFS_STRETCHES; i++) {
		stretch = &sequence->stretches[i];
		if (now - stretch->when < INCFS_FORGET_NS && stretch->first <= fresh.at &&
		    fresh.at <= stretch->end) {
			stretch->at = fresh.at;
			if (!incfs_stretch_lasts(stretch, ahead))
				incfs_stretch_extend(read, stretch, ahead, claim);
			return;
		}
		if (stretch->when < old->when)
			old = stretch;
	}
	incfs_stretch_extend(read, &fresh, ahead, claim);
	if (fresh.when)
		*old = fresh;
}

#endif /* _INCFS_BPF_SEQUENCE_BPF_H */
