// SPDX-License-Identifier: GPL-2.0-only
/*
 * replay - what a recorded run has read, fetched in that order
 *
 * Shows how user space gives a policy something to work by (incfs record makes a
 * profile, incfs policy attach replay --profile FILE MOUNTPOINT puts it into maps),
 * and how fetch-ahead goes on without anybody who has to miss a block: each fill
 * that arrives lets the next steps be asked for.
 *
 * A profile is a row of steps, each a few neighbours in a file. Up to "window" steps
 * are asked for beyond the last one of which something has arrived or been needed.
 * A miss further ahead than that goes on from there; one that lies behind has been
 * asked for, unless nothing has moved for a while: then the loader may have been
 * started anew, and what follows is asked for again. Blocks of the profile that are
 * stored already are read into the page cache.
 *
 * A bad choice for runs that differ from the recorded one: what they need besides is
 * fetched only when somebody waits for it, and what they don't need is in the way.
 */
#include "common.bpf.h"

#include <incfs/policy_maps.h>

char LICENSE[] SEC("license") = "GPL";

#define FORGET_NS 2000000000ull

/* How many steps may be asked for ahead. */
const volatile __u32 window = 1024;

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, INCFS_PROFILES_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u64);
	__array(values, struct {
		__uint(type, BPF_MAP_TYPE_ARRAY);
		__uint(map_flags, BPF_F_INNER_MAP);
		__uint(max_entries, 1);
		__uint(key_size, sizeof(__u32));
		__uint(value_size, sizeof(struct incfs_profile_step));
	});
} incfs_profiles SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, INCFS_PROFILES_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u64);
	__array(values, struct {
		__uint(type, BPF_MAP_TYPE_HASH);
		__uint(max_entries, 1);
		__uint(key_size, sizeof(struct incfs_profile_key));
		__uint(value_size, sizeof(__u32));
	});
} incfs_profile_index SEC(".maps");

/* Where a mount is in its profile: steps below @asked were asked for. */
struct cursor {
	__u64 moved;	/* when something has arrived, or been needed, the last time */
	__u32 asked;
	__u32 reached;	/* the furthest step of which that is so */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, INCFS_PROFILES_MAX);
	__type(key, __u64);
	__type(value, struct cursor);
} cursors SEC(".maps");

/*
 * Ask for a step from its first absent block on; the loader leaves out what is there.
 * Returns an errno when the ring takes no more.
 */
static __always_inline int ask_step(struct incfs_read *read, const struct incfs_profile_step *step,
				    __u32 priority)
{
	__u32 end = step->block + step->count, start = 0;

	if (bpf_incfs_find_absent(read, step->ino, step->block, end, &start) > 0)
		return incfs_submit_file(read, step->ino, INCFS_EVENT_FETCH_AHEAD, start,
					 end - start, priority);
	bpf_incfs_read_ahead(read, step->ino, step->block, step->count);
	return 0;
}

/* Ask for the steps within the window. Others may be at it at the same time. */
static __always_inline void ask_ahead(struct incfs_read *read, void *profile,
				      struct cursor *cursor)
{
	struct incfs_profile_step step, *found;
	__u32 position, i;

	bpf_for(i, 0, window) {
		position = cursor->asked;
		if (position >= cursor->reached + window)
			break;
		found = bpf_map_lookup_elem(profile, &position);
		if (!found)
			break;
		step = *found;
		if (__sync_val_compare_and_swap(&cursor->asked, position, position + 1) != position)
			continue;
		/* What the ring has no room for is fetched when it is waited for. */
		if (ask_step(read, &step, -1 - position))
			break;
	}
}

/* The step that a block is in, or NULL. */
static __always_inline __u32 *find_step(__u64 mount_id, __u64 ino, __u32 block)
{
	struct incfs_profile_key key = { .ino = ino, .block = block };
	void *index = bpf_map_lookup_elem(&incfs_profile_index, &mount_id);

	return index ? bpf_map_lookup_elem(index, &key) : NULL;
}

static __always_inline struct cursor *get_cursor(__u64 mount_id)
{
	struct cursor *cursor = bpf_map_lookup_elem(&cursors, &mount_id), none = {};

	if (cursor)
		return cursor;
	bpf_map_update_elem(&cursors, &mount_id, &none, BPF_NOEXIST);
	return bpf_map_lookup_elem(&cursors, &mount_id);
}

/* Something of the step at @position has arrived, or is needed now. */
static __always_inline void reach(struct cursor *cursor, __u32 position, bool needed)
{
	__u64 now = bpf_ktime_get_ns();

	if (position > cursor->reached)
		cursor->reached = position;
	if (needed && (position >= cursor->asked + window ||
		       (position < cursor->asked && now - cursor->moved > FORGET_NS))) {
		cursor->asked = position;
		cursor->reached = position;
	}
	cursor->moved = now;
}

static __always_inline void follow(struct incfs_read *read, __u32 block, bool needed)
{
	__u64 mount_id = read->mount_id;
	struct cursor *cursor;
	void *profile;
	__u32 *step;

	profile = bpf_map_lookup_elem(&incfs_profiles, &mount_id);
	step = find_step(mount_id, read->ino, block);
	if (!profile || !step)
		return;
	cursor = get_cursor(mount_id);
	if (!cursor)
		return;
	reach(cursor, *step, needed);
	ask_ahead(read, profile, cursor);
}

SEC("struct_ops.s/pending")
void BPF_PROG(replay_pending, struct incfs_read *read)
{
	incfs_demand(read);
}

/* What the page cache guesses is not needed yet; what is needed comes next. */
SEC("struct_ops.s/prefetch")
void BPF_PROG(replay_prefetch, struct incfs_read *read)
{
	if (read->why != INCFS_READ_READAHEAD)
		follow(read, read->block, true);
}

SEC("struct_ops.s/filled")
void BPF_PROG(replay_filled, struct incfs_read *fill)
{
	follow(fill, fill->block + fill->count - 1, false);
}

SEC("struct_ops/detach")
void BPF_PROG(replay_detach, struct incfs_policy_mount *mount)
{
	__u64 mount_id = mount->mount_id;

	bpf_map_delete_elem(&cursors, &mount_id);
}

SEC(".struct_ops.link")
struct incfs_policy_ops replay = {
	.name = "replay",
	.pending = (void *)replay_pending,
	.prefetch = (void *)replay_prefetch,
	.filled = (void *)replay_filled,
	.detach = (void *)replay_detach,
};
