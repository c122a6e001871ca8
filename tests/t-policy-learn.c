// SPDX-License-Identifier: GPL-2.0-only
/*
 * Policies that fetch ahead: what they ask for, and what they learn it from.
 *
 * Most reads here are of absent blocks, and give up: that is as good as a wait for
 * a policy, and a block that is not there can be asked for again.
 *
 * timeout: 240
 */
#include "t-policy.h"

#include "bpf/budget.skel.h"
#include "bpf/sequential.skel.h"
#include "bpf/stride.skel.h"
#include "bpf/successor.skel.h"

#define AHEAD 32
#define IMPATIENT "read_timeout_ms=50,policy=auto"

/* Whether event @index is this one, for a file that need not be the mount's first. */
static bool is_event_of(const struct test_ring *ring, int index, __u64 ino, __u32 type,
			__u32 block, __u32 count)
{
	const struct incfs_event *event = &ring->events[index];

	if (event->ino == ino && event->type == type && event->block == block &&
	    event->count == count)
		return true;
	diag("event %d: ino %llu type %u block %u count %u", index, event->ino, event->type,
	     event->block, event->count);
	return false;
}

/* Whether from @index on there is an event for each of @count single blocks. */
static bool are_steps(const struct test_ring *ring, int index, __u32 block, int step, int count)
{
	bool are = true;

	for (int i = 0; i < count; i++)
		are = are && is_event(ring, index + i, INCFS_EVENT_FETCH_AHEAD,
				      block + i * step, 1);
	return are;
}

static void serve(const struct test_mount *mnt, struct reader *reader, __u32 block)
{
	fill(mnt, block, 1);
	is_int(end_reader(reader, mnt), GOT_BLOCK, "block %u is read", block);
}

static void test_sequential(void)
{
	struct sequential_bpf *policy = sequential_bpf__open();
	struct test_mount mnt = make_mount("seq", "read_timeout_ms=0", 512);
	struct reader reader;
	struct test_ring ring;

	if (!policy)
		bail_out("open sequential");
	policy->rodata->ahead = AHEAD;
	if (sequential_bpf__load(policy) || sequential_bpf__attach(policy))
		bail_out("load sequential");
	is_int(change_options(&mnt, "policy=sequential"), 0, "sequential is chosen");
	open_ring(&ring, &mnt, policy->obj, 65536);
	fill(&mnt, 4, 3);

	/* The page cache reads ahead, if only the block itself, before it waits. */
	start_reader(&reader, &mnt, 1);
	ok(take_events(&ring, 3), "a wait makes three events");
	ok(is_event(&ring, 0, INCFS_EVENT_FETCH_AHEAD, 1, 3),
	   "what is absent from the block on, up to what is there");
	ok(is_event(&ring, 1, INCFS_EVENT_FETCH_AHEAD, 7, AHEAD - 3),
	   "what follows that, up to the number that was set");
	ok(is_event(&ring, 2, INCFS_EVENT_DEMAND, 1, 1), "and the block itself");
	ok(ring.events[0].priority > ring.events[1].priority, "the nearer ones are more urgent");
	serve(&mnt, &reader, 1);

	start_reader(&reader, &mnt, 2);
	ok(take_events(&ring, 4) &&
	   is_event(&ring, 3, INCFS_EVENT_DEMAND, 2, 1),
	   "the next block is asked for, but nothing ahead for a second time");
	serve(&mnt, &reader, 2);

	start_reader(&reader, &mnt, 30);
	ok(take_events(&ring, 6) &&
	   is_event(&ring, 4, INCFS_EVENT_FETCH_AHEAD, 7 + AHEAD - 3, AHEAD) &&
	   is_event(&ring, 5, INCFS_EVENT_DEMAND, 30, 1),
	   "half of the way through, the next part is asked for");
	serve(&mnt, &reader, 30);

	start_reader(&reader, &mnt, 511);
	ok(take_events(&ring, 8) &&
	   is_event(&ring, 6, INCFS_EVENT_FETCH_AHEAD, 511, 1),
	   "nothing is asked for past the end of the file");
	serve(&mnt, &reader, 511);
	close_ring(&ring);
	end_mount(&mnt);

	mnt = make_mount("places", "read_timeout_ms=50,policy=sequential", 512);
	open_ring(&ring, &mnt, policy->obj, 65536);
	read_one(&mnt, 0);
	read_one(&mnt, 300);
	ok(take_events(&ring, 4) && is_event(&ring, 2, INCFS_EVENT_FETCH_AHEAD, 300, AHEAD),
	   "two places of a file are asked for");
	read_one(&mnt, 2);
	read_one(&mnt, 302);
	ok(take_events(&ring, 6), "and neither for a second time, when they are read in turns");
	close_ring(&ring);
	sequential_bpf__destroy(policy);
	end_mount(&mnt);
}

#define STEPS 4

static struct stride_bpf *start_stride(void)
{
	struct stride_bpf *policy = stride_bpf__open();

	if (!policy)
		bail_out("open stride");
	policy->rodata->ahead = STEPS;
	policy->rodata->equal = 3;
	if (stride_bpf__load(policy) || stride_bpf__attach(policy))
		bail_out("load stride");
	return policy;
}

static void read_steps(const struct test_mount *mnt, __u32 block, int step, int count)
{
	for (int i = 0; i < count; i++)
		read_one(mnt, block + i * step);
}

static void test_stride_up(const struct stride_bpf *policy)
{
	struct test_mount mnt = make_mount("up", IMPATIENT, 512);
	struct test_ring ring;

	open_ring(&ring, &mnt, policy->obj, 65536);
	read_steps(&mnt, 0, 10, 3);
	ok(take_events(&ring, 3) && is_event(&ring, 2, INCFS_EVENT_DEMAND, 20, 1),
	   "two equal steps are no habit");
	read_one(&mnt, 30);
	ok(take_events(&ring, 4 + STEPS) && are_steps(&ring, 4, 40, 10, STEPS),
	   "three are: the next steps are asked for");
	ok(ring.events[4].priority > ring.events[5].priority, "the nearer ones are more urgent");
	read_one(&mnt, 40);
	ok(take_events(&ring, 5 + STEPS) && is_event(&ring, 4 + STEPS, INCFS_EVENT_DEMAND, 40, 1),
	   "a block that does not come in time is asked for, but nothing ahead anew");
	fill(&mnt, 50, 1);
	is_int(read_one(&mnt, 50), GOT_BLOCK, "one that has come is read");
	ok(take_events(&ring, 7 + STEPS) && are_steps(&ring, 5 + STEPS, 80, 10, 2),
	   "and half of the way through, the next part is asked for");
	fill(&mnt, 60, 14);
	read_one(&mnt, 60);
	read_one(&mnt, 63);
	read_one(&mnt, 73);
	is_int(read_one(&mnt, 70), GOT_BLOCK, "blocks off the way are read, which are there");
	read_one(&mnt, 505);
	ok(take_events(&ring, 10 + STEPS) &&
	   are_steps(&ring, 7 + STEPS, 100, 10, 2) &&
	   is_event(&ring, 9 + STEPS, INCFS_EVENT_DEMAND, 505, 1),
	   "they do not count as steps, and what lies far off the way ends it");
	close_ring(&ring);
	end_mount(&mnt);
}

static void test_stride_down(const struct stride_bpf *policy)
{
	struct test_mount mnt = make_mount("down", IMPATIENT, 512);
	struct test_ring ring;

	open_ring(&ring, &mnt, policy->obj, 65536);
	read_steps(&mnt, 55, -15, 4);
	ok(take_events(&ring, 4), "at the start of the file nothing is before it");
	read_steps(&mnt, 100, -1, 4);
	ok(take_events(&ring, 9) && is_event(&ring, 8, INCFS_EVENT_FETCH_AHEAD, 93, STEPS),
	   "steps down the file are learned, and neighbours asked for together");
	read_steps(&mnt, 490, 7, 4);
	ok(take_events(&ring, 13), "nothing is asked for past the end of the file");
	close_ring(&ring);
	end_mount(&mnt);
}

static void test_stride_who(const struct stride_bpf *policy)
{
	struct test_mount mnt = make_mount("who", IMPATIENT, 512);
	struct reader reader;
	struct test_ring ring;
	int i;

	open_ring(&ring, &mnt, policy->obj, 65536);
	read_steps(&mnt, 0, 10, 2);
	is_int(wait_exit(reader_fork(&mnt.fs, "file", mnt.ino, 300, READ_PREAD)), ETIME,
	       "another process reads elsewhere");
	read_steps(&mnt, 20, 10, 2);
	ok(take_events(&ring, 5 + STEPS) && are_steps(&ring, 5, 40, 10, STEPS),
	   "which does not disturb the steps of this one");
	close_ring(&ring);
	end_mount(&mnt);

	mnt = make_mount("mapped", IMPATIENT, 512);
	open_ring(&ring, &mnt, policy->obj, 65536);
	for (i = 0; i < 4; i++)
		reader_run(&reader, &mnt.fs, "file", 100 + 20 * i, READ_MAPPED);
	ok(take_events(&ring, 4 + STEPS) && are_steps(&ring, 3, 180, 20, STEPS) &&
	   is_event(&ring, 3 + STEPS, INCFS_EVENT_DEMAND, 160, 1),
	   "steps of page faults are learned");
	close_ring(&ring);
	end_mount(&mnt);
}

static void test_stride(void)
{
	struct stride_bpf *policy = start_stride();

	test_stride_up(policy);
	test_stride_down(policy);
	test_stride_who(policy);
	stride_bpf__destroy(policy);
}

/* struct step - a read of a process; of several blocks when count is not 1 */
struct step {
	const char *name;
	__u32 block;
	__u32 count;
};

/* A process that makes these reads, up to one without a name, whatever they give. */
static void run_process(const struct test_mount *mnt, const struct step *steps)
{
	static char data[16 * BLOCK];
	struct reader reader;
	pid_t pid;
	int fd;

	pid = must_fork();
	if (pid) {
		if (wait_exit(pid))
			bail_out("a process has failed");
		return;
	}
	for (; steps->name; steps++) {
		if (steps->count == 1) {
			reader_run(&reader, &mnt->fs, steps->name, steps->block, READ_PREAD);
			continue;
		}
		/* With the windows of the page cache. */
		fd = fs_open(&mnt->fs, steps->name);
		pread(fd, data, steps->count * BLOCK, (off_t)steps->block * BLOCK);
		close(fd);
	}
	_exit(0);
}

#define READS(mnt, ...) run_process((mnt), (const struct step[]) { __VA_ARGS__, {} })

static struct successor_bpf *start_successor(bool across_mounts, __u32 fallback, __u32 sure)
{
	struct successor_bpf *policy = successor_bpf__open();

	if (!policy)
		bail_out("open successor");
	policy->rodata->ahead = 8;
	policy->rodata->fallback = fallback;
	policy->rodata->sure = sure;
	policy->rodata->across_mounts = across_mounts;
	if (successor_bpf__load(policy) || successor_bpf__attach(policy))
		bail_out("load successor");
	return policy;
}

static __u64 make_other(const struct test_mount *mnt)
{
	return make_file(&mnt->fs, INCFS_ROOT_INODE, "other", 64 * BLOCK);
}

static void test_successor_chain(void)
{
	struct successor_bpf *policy = start_successor(false, 0, 1);
	struct test_mount mnt = make_mount("chain", IMPATIENT, 512);
	__u64 other = make_other(&mnt);
	struct test_ring ring;

	open_ring(&ring, &mnt, policy->obj, 65536);
	READS(&mnt, { "file", 1, 1 }, { "other", 5, 1 }, { "file", 9, 1 }, { "file", 10, 1 });
	ok(take_events(&ring, 4), "of a first run nothing is known");
	READS(&mnt, { "file", 1, 1 });
	ok(take_events(&ring, 7) &&
	   is_event_of(&ring, 5, other, INCFS_EVENT_FETCH_AHEAD, 5, 1) &&
	   is_event_of(&ring, 6, mnt.ino, INCFS_EVENT_FETCH_AHEAD, 9, 2),
	   "the next time what followed is asked for, across files");
	ok(is_event(&ring, 4, INCFS_EVENT_DEMAND, 1, 1), "after the block itself");
	ok(ring.events[5].priority > ring.events[6].priority, "the nearer ones are more urgent");
	READS(&mnt, { "file", 1, 1 }, { "other", 5, 1 }, { "file", 9, 1 });
	ok(take_events(&ring, 12), "a reader who goes on has nothing asked for anew");

	fill(&mnt, 9, 1);
	READS(&mnt, { "other", 5, 1 });
	ok(take_events(&ring, 14) &&
	   is_event_of(&ring, 13, mnt.ino, INCFS_EVENT_FETCH_AHEAD, 10, 1),
	   "what is stored is left out");
	close_ring(&ring);
	end_mount(&mnt);
	successor_bpf__destroy(policy);
}

static void test_successor_doubt(void)
{
	struct successor_bpf *policy = start_successor(false, 0, 2);
	struct test_mount mnt = make_mount("doubt", IMPATIENT, 512);
	struct test_ring ring;

	open_ring(&ring, &mnt, policy->obj, 65536);
	READS(&mnt, { "file", 1, 1 }, { "file", 20, 1 });
	READS(&mnt, { "file", 1, 1 }, { "file", 20, 1 });
	ok(take_events(&ring, 4), "what was seen once is not believed, if twice is asked for");
	READS(&mnt, { "file", 1, 1 }, { "file", 20, 1 });
	ok(take_events(&ring, 7) && is_event(&ring, 5, INCFS_EVENT_FETCH_AHEAD, 20, 1),
	   "what was seen twice is");
	READS(&mnt, { "file", 1, 1 }, { "file", 40, 1 });
	READS(&mnt, { "file", 1, 1 });
	ok(take_events(&ring, 12) && is_event(&ring, 11, INCFS_EVENT_FETCH_AHEAD, 20, 1),
	   "an exception does not change it");
	READS(&mnt, { "file", 1, 1 }, { "file", 40, 1 });
	READS(&mnt, { "file", 1, 1 }, { "file", 40, 1 });
	READS(&mnt, { "file", 1, 1 }, { "file", 40, 1 });
	ring.nr_events = 0;
	ring_buffer__consume(ring.buffer);
	ring.nr_events = 0;
	READS(&mnt, { "file", 1, 1 });
	ok(take_events(&ring, 2) && is_event(&ring, 1, INCFS_EVENT_FETCH_AHEAD, 40, 1),
	   "a new habit does");
	close_ring(&ring);
	end_mount(&mnt);
	successor_bpf__destroy(policy);
}

static void test_successor_guesses(void)
{
	struct successor_bpf *policy = start_successor(false, 0, 1);
	struct test_mount mnt = make_mount("guesses", IMPATIENT, 512);
	struct test_ring ring;

	open_ring(&ring, &mnt, policy->obj, 65536);
	READS(&mnt, { "file", 19, 1 }, { "file", 20, 4 }, { "file", 40, 1 });
	ok(take_events(&ring, 3), "the page cache reads ahead what nobody waits for");
	READS(&mnt, { "file", 20, 1 });
	ok(take_events(&ring, 5) && is_event(&ring, 4, INCFS_EVENT_FETCH_AHEAD, 40, 1),
	   "which is not learned");
	close_ring(&ring);
	end_mount(&mnt);
	successor_bpf__destroy(policy);
}

static void test_successor_across(bool across)
{
	struct successor_bpf *policy = start_successor(across, 3, 1);
	struct test_mount a = make_mount("a", IMPATIENT, 512);
	struct test_mount b = make_mount("b", IMPATIENT, 512);
	__u64 other = make_other(&a);
	struct test_ring ring;

	if (make_other(&b) != other || a.ino != b.ino)
		bail_out("two mounts differ");
	open_ring(&ring, &a, policy->obj, 65536);
	READS(&a, { "file", 1, 1 });
	ok(take_events(&ring, 2) && is_event(&ring, 1, INCFS_EVENT_FETCH_AHEAD, 2, 3),
	   "where nothing is known the next blocks are asked for");
	fill(&a, 1, 2);
	READS(&a, { "file", 1, 1 }, { "file", 2, 1 }, { "other", 9, 1 });
	READS(&a, { "file", 3, 1 }, { "other", 9, 1 });
	close_ring(&ring);

	open_ring(&ring, &b, policy->obj, 65536);
	READS(&b, { "file", 3, 1 });
	if (across)
		ok(take_events(&ring, 2) &&
		   is_event_of(&ring, 1, other, INCFS_EVENT_FETCH_AHEAD, 9, 1),
		   "another mount has the same asked for, if that is set");
	else
		ok(take_events(&ring, 2) &&
		   is_event(&ring, 1, INCFS_EVENT_FETCH_AHEAD, 4, 3),
		   "what is learned on a mount stays there by default");
	close_ring(&ring);
	end_mount(&a);
	end_mount(&b);
	successor_bpf__destroy(policy);
}

/* What was fetched ahead in time, and read without a wait, belongs to the order. */
static void test_successor_hits(void)
{
	struct successor_bpf *policy = start_successor(true, 0, 1);
	struct test_mount a = make_mount("a", IMPATIENT, 512);
	struct test_mount b = make_mount("b", IMPATIENT, 512);
	struct reader reader;
	struct test_ring ring;

	fill(&a, 51, 2);
	READS(&a, { "file", 50, 1 }, { "file", 51, 1 }, { "file", 52, 1 }, { "file", 90, 1 });
	fill(&a, 200, 1);
	reader_run(&reader, &a.fs, "file", 200, READ_MAPPED);
	reader_run(&reader, &a.fs, "file", 300, READ_MAPPED);

	open_ring(&ring, &b, policy->obj, 65536);
	READS(&b, { "file", 50, 1 });
	ok(take_events(&ring, 3) && is_event(&ring, 1, INCFS_EVENT_FETCH_AHEAD, 51, 2) &&
	   is_event(&ring, 2, INCFS_EVENT_FETCH_AHEAD, 90, 1),
	   "stored blocks that are read one after the other are learned");
	READS(&b, { "file", 200, 1 });
	ok(take_events(&ring, 5) && is_event(&ring, 4, INCFS_EVENT_FETCH_AHEAD, 300, 1),
	   "so are page faults of stored blocks");
	close_ring(&ring);
	end_mount(&a);
	end_mount(&b);
	successor_bpf__destroy(policy);
}

#define IN_FLIGHT 8

static struct budget_bpf *start_budget(__u32 expire_ms)
{
	struct budget_bpf *policy = budget_bpf__open();

	if (!policy)
		bail_out("open budget");
	policy->rodata->in_flight = IN_FLIGHT;
	policy->rodata->ahead = 64;
	policy->rodata->expire_ms = expire_ms;
	if (budget_bpf__load(policy) || budget_bpf__attach(policy))
		bail_out("load budget");
	return policy;
}

static void test_budget(void)
{
	struct budget_bpf *policy = start_budget(600000);
	struct test_mount mnt = make_mount("budget", IMPATIENT, 512);
	struct test_mount next = make_mount("next", IMPATIENT, 512);
	struct test_ring ring, next_ring;

	open_ring(&ring, &mnt, policy->obj, 65536);
	open_ring(&next_ring, &next, policy->obj, 65536);
	read_one(&mnt, 0);
	ok(take_events(&ring, 2) && is_event(&ring, 0, INCFS_EVENT_FETCH_AHEAD, 0, IN_FLIGHT),
	   "no more than the budget is asked for ahead");
	read_one(&mnt, 100);
	ok(take_events(&ring, 3) && is_event(&ring, 2, INCFS_EVENT_DEMAND, 100, 1),
	   "a demand does not wait for it, what is ahead of it does");
	read_one(&next, 100);
	ok(take_events(&next_ring, 2) &&
	   is_event(&next_ring, 0, INCFS_EVENT_FETCH_AHEAD, 100, IN_FLIGHT),
	   "another mount has a budget of its own");

	fill(&mnt, 100, 2);
	ok(take_events(&ring, 3), "what was not asked for ahead makes no room when it comes");
	fill(&mnt, 0, 1);
	ok(take_events(&ring, 4) && is_event(&ring, 3, INCFS_EVENT_FETCH_AHEAD, IN_FLIGHT, 1),
	   "what was does, and as much more is asked for");
	fill(&mnt, 0, 1);
	ok(take_events(&ring, 4), "but once only");

	is_int(change_options(&mnt, "policy=none"), 0, "the mount leaves the policy");
	is_int(change_options(&mnt, "policy=budget"), 0, "and comes back");
	read_one(&mnt, 200);
	ok(take_events(&ring, 6) && is_event(&ring, 4, INCFS_EVENT_FETCH_AHEAD, 200, IN_FLIGHT),
	   "which starts it anew");
	close_ring(&ring);
	close_ring(&next_ring);
	end_mount(&mnt);
	end_mount(&next);
	budget_bpf__destroy(policy);
}

static void test_budget_expires(void)
{
	struct budget_bpf *policy = start_budget(1000);
	struct test_mount mnt = make_mount("expires", IMPATIENT, 512);
	struct test_ring ring;

	open_ring(&ring, &mnt, policy->obj, 65536);
	read_one(&mnt, 0);
	ok(take_events(&ring, 2) && is_event(&ring, 0, INCFS_EVENT_FETCH_AHEAD, 0, IN_FLIGHT),
	   "the budget is used up");
	usleep(1500000);
	read_one(&mnt, 300);
	ok(take_events(&ring, 4) && is_event(&ring, 2, INCFS_EVENT_FETCH_AHEAD, 300, IN_FLIGHT),
	   "blocks that do not come take no room after a time");
	close_ring(&ring);
	end_mount(&mnt);
	budget_bpf__destroy(policy);
}

int main(void)
{
	libbpf_set_print(NULL);
	test_sequential();
	test_stride();
	test_successor_chain();
	test_successor_doubt();
	test_successor_guesses();
	test_successor_across(true);
	test_successor_across(false);
	test_successor_hits();
	test_budget();
	test_budget_expires();
	return done();
}
