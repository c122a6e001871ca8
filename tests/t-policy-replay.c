// SPDX-License-Identifier: GPL-2.0-only
/*
 * The policy "replay": what it asks for along a profile, when, and what not.
 *
 * Reads are of absent blocks, and give up after a moment.
 */
#include "t-policy.h"

#include <incfs/policy_maps.h>

#include "bpf/replay.skel.h"

#define WINDOW 4
#define IMPATIENT "read_timeout_ms=50,policy=replay"

/* Give the mount a profile of these steps in its file, as incfs_profile_attach() does. */
static void set_profile(const struct replay_bpf *policy, const struct test_mount *mnt,
			struct incfs_profile_step *steps, __u32 nr)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_INNER_MAP);
	int profile = bpf_map_create(BPF_MAP_TYPE_ARRAY, "profile", 4, sizeof(*steps), nr, &opts);
	int index = bpf_map_create(BPF_MAP_TYPE_HASH, "index", sizeof(struct incfs_profile_key), 4,
				   1024, NULL);
	struct incfs_profile_key key = {};

	if (profile < 0 || index < 0)
		bail_out("maps of a profile");
	for (__u32 i = 0; i < nr; i++) {
		key.ino = steps[i].ino;
		if (bpf_map_update_elem(profile, &i, &steps[i], BPF_ANY))
			bail_out("step %u", i);
		for (__u32 j = 0; j < steps[i].count; j++) {
			key.block = steps[i].block + j;
			if (bpf_map_update_elem(index, &key, &i, BPF_ANY))
				bail_out("index of step %u", i);
		}
	}
	if (bpf_map_update_elem(bpf_map__fd(policy->maps.incfs_profile_index), &mnt->id, &index,
				BPF_ANY) ||
	    bpf_map_update_elem(bpf_map__fd(policy->maps.incfs_profiles), &mnt->id, &profile,
				BPF_ANY))
		bail_out("install the profile");
	close(profile);
	close(index);
}

/* Steps of one block, ten apart. */
static void set_row(const struct replay_bpf *policy, const struct test_mount *mnt, __u32 nr)
{
	struct incfs_profile_step steps[64];

	for (__u32 i = 0; i < nr; i++)
		steps[i] = (struct incfs_profile_step){ mnt->ino, 10 * i, 1 };
	set_profile(policy, mnt, steps, nr);
}

static void drop_profile(const struct replay_bpf *policy, const struct test_mount *mnt)
{
	bpf_map_delete_elem(bpf_map__fd(policy->maps.incfs_profile_index), &mnt->id);
	bpf_map_delete_elem(bpf_map__fd(policy->maps.incfs_profiles), &mnt->id);
}

/* Events ahead that came so far, without those of demand; how many there are. */
static int ahead_events(const struct test_ring *ring, struct incfs_event *ahead)
{
	int nr = 0;

	for (int i = 0; i < ring->nr_events; i++)
		if (ring->events[i].type == INCFS_EVENT_FETCH_AHEAD)
			ahead[nr++] = ring->events[i];
	return nr;
}

/* Whether exactly the rows from @first up to @end were asked for ahead, in this order. */
static bool asked_rows(struct test_ring *ring, __u32 first, __u32 end)
{
	struct incfs_event ahead[64];
	bool right;
	int nr;

	ring_buffer__consume(ring->buffer);
	nr = ahead_events(ring, ahead);
	right = nr == (int)(end - first);
	for (int i = 0; i < nr; i++) {
		right = right && ahead[i].block == 10 * (first + i) && ahead[i].count == 1 &&
			ahead[i].ino == ring->mnt->ino;
		right = right && (!i || ahead[i].priority < ahead[i - 1].priority);
	}
	for (int i = 0; i < nr && !right; i++)
		diag("event %d: block %u count %u priority %u", i, ahead[i].block, ahead[i].count,
		     ahead[i].priority);
	ring->nr_events = 0;
	return right;
}

static bool asked_nothing(struct test_ring *ring)
{
	return asked_rows(ring, 0, 0);
}

static void test_follow(const struct replay_bpf *policy)
{
	struct test_mount mnt = make_mount("follow", IMPATIENT, 512);
	struct test_ring ring;

	open_ring(&ring, &mnt, policy->obj, 65536);
	set_row(policy, &mnt, 20);
	read_one(&mnt, 0);
	ok(asked_rows(&ring, 0, WINDOW), "a miss has a window of steps asked for, in order");
	fill(&mnt, 0, 1);
	ok(asked_nothing(&ring), "what arrives at the start of the window moves nothing");
	fill(&mnt, 10, 1);
	ok(asked_rows(&ring, WINDOW, WINDOW + 1), "each that arrives after it lets one more be asked for");
	fill(&mnt, 20, 1);
	fill(&mnt, 30, 1);
	ok(asked_rows(&ring, WINDOW + 1, WINDOW + 3), "and so on, without a miss");
	fill(&mnt, 30, 1);
	ok(asked_nothing(&ring), "what is stored already is no news");
	fill(&mnt, 5, 1);
	ok(asked_nothing(&ring), "nor is what is not in the profile");
	read_one(&mnt, 7);
	ok(asked_nothing(&ring), "a miss outside the profile has nothing asked for ahead");
	fill(&mnt, 190, 1);
	ok(asked_rows(&ring, WINDOW + 3, 2 * WINDOW + 3), "a window at a time, if a later one comes");
	fill(&mnt, 90, 1);
	fill(&mnt, 100, 1);
	ok(asked_rows(&ring, 2 * WINDOW + 3, 19), "to the end of the profile, without what is stored");
	close_ring(&ring);
	drop_profile(policy, &mnt);
	end_mount(&mnt);
}

static void test_demand(const struct replay_bpf *policy)
{
	struct test_mount mnt = make_mount("demand", IMPATIENT, 512);
	struct test_ring ring;
	int demands = 0;

	open_ring(&ring, &mnt, policy->obj, 65536);
	read_one(&mnt, 7);
	ok(take_events(&ring, 1) && is_event(&ring, 0, INCFS_EVENT_DEMAND, 7, 1),
	   "without a profile a miss is demand, and nothing else");
	ring.nr_events = 0;
	set_row(policy, &mnt, 20);
	read_one(&mnt, 100);
	ring_buffer__consume(ring.buffer);
	for (int i = 0; i < ring.nr_events; i++)
		demands += ring.events[i].type == INCFS_EVENT_DEMAND && ring.events[i].block == 100;
	is_int(demands, 1, "with one it is demand as well");
	ok(asked_rows(&ring, 10, 10 + WINDOW), "a miss far ahead has the profile followed from there");
	read_one(&mnt, 20);
	ok(asked_nothing(&ring), "one behind it does not at once have all asked for again");
	close_ring(&ring);
	drop_profile(policy, &mnt);
	end_mount(&mnt);
}

static void test_stored(const struct replay_bpf *policy)
{
	struct test_mount mnt = make_mount("stored", IMPATIENT, 512);
	struct incfs_profile_step steps[] = {
		{ mnt.ino, 100, 8 }, { mnt.ino, 200, 4 }, { 4711, 0, 4 }, { mnt.ino, 300, 1 },
	};
	struct incfs_event ahead[64];
	struct test_ring ring;

	open_ring(&ring, &mnt, policy->obj, 65536);
	fill(&mnt, 100, 2);
	fill(&mnt, 200, 4);
	set_profile(policy, &mnt, steps, 4);
	read_one(&mnt, 104);
	ring_buffer__consume(ring.buffer);
	is_int(ahead_events(&ring, ahead), 2,
	       "what is stored is not asked for, nor a file that is not there");
	ok(ahead[0].block == 102 && ahead[0].count == 6,
	   "of a step that is stored in part the rest is, from its first absent block on");
	ok(ahead[1].block == 300 && ahead[1].count == 1, "and the step after them");
	close_ring(&ring);
	drop_profile(policy, &mnt);
	end_mount(&mnt);
}

static void test_two_mounts(const struct replay_bpf *policy)
{
	struct test_mount mnt = make_mount("one", IMPATIENT, 512);
	struct test_mount next = make_mount("two", IMPATIENT, 512);
	struct test_ring ring, next_ring;

	open_ring(&ring, &mnt, policy->obj, 65536);
	open_ring(&next_ring, &next, policy->obj, 65536);
	set_row(policy, &mnt, 20);
	read_one(&next, 0);
	ok(asked_nothing(&next_ring) && asked_nothing(&ring), "a profile is of one mount only");
	read_one(&mnt, 0);
	ok(asked_rows(&ring, 0, WINDOW), "which follows it");
	is_int(change_options(&mnt, "policy=none"), 0, "the mount leaves the policy");
	is_int(change_options(&mnt, "policy=replay"), 0, "and comes back");
	read_one(&mnt, 0);
	ok(asked_rows(&ring, 0, WINDOW), "where it is in the profile has been forgotten");
	close_ring(&ring);
	close_ring(&next_ring);
	drop_profile(policy, &mnt);
	end_mount(&mnt);
	end_mount(&next);
}

int main(void)
{
	struct replay_bpf *policy;

	libbpf_set_print(NULL);
	policy = replay_bpf__open();
	if (!policy)
		bail_out("open replay");
	policy->rodata->window = WINDOW;
	if (replay_bpf__load(policy) || replay_bpf__attach(policy))
		bail_out("load replay");
	test_follow(policy);
	test_demand(policy);
	test_stored(policy);
	test_two_mounts(policy);
	replay_bpf__destroy(policy);
	return done();
}
