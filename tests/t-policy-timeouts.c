// SPDX-License-Identifier: GPL-2.0-only
/*
 * The policy "timeouts": who waits how long.
 *
 * A guest may be slow, so no read can be said to be quick; but one that takes less
 * than a minimum has not waited for it, and one that takes less than two has not
 * waited twice.
 */
#include "t-policy.h"

#include <incfs/policy_maps.h>
#include <sys/fsuid.h>

#include "bpf/timeouts.skel.h"

#define MINIMUM 3000
#define USER 1000

static struct timeouts_bpf *policy;

static void set_timeout(const struct test_mount *mnt, __u32 uid, __u32 min_ms, __u32 max_ms)
{
	struct incfs_timeout_key key = { .mount_id = mnt->id, .uid = uid };
	struct incfs_timeout value = { .min_ms = min_ms, .max_ms = max_ms };

	if (bpf_map_update_elem(bpf_map__fd(policy->maps.incfs_timeouts), &key, &value, BPF_ANY))
		bail_out("set a timeout");
}

/* Read a block as a user; @ms is how long it took. */
static int read_as(uid_t uid, const struct test_mount *mnt, __u32 block, enum read_how how,
		   __u64 *ms)
{
	struct reader reader;

	drop_cached(&mnt->fs, "file");
	setfsuid(uid);
	reader_run(&reader, &mnt->fs, "file", block, how);
	setfsuid(0);
	*ms = reader.ms;
	return reader_got(&reader, mnt);
}

/* struct filler - a thread that fills a block some time after it is waited for */
struct filler {
	pthread_t thread;
	const struct test_mount *mnt;
	__u32 block;
	__u32 after_ms;
	bool waited;
};

static void *filler_thread(void *arg)
{
	struct filler *filler = arg;

	filler->waited = wait_until(count_pending(&filler->mnt->fs) == 1);
	usleep(filler->after_ms * 1000);
	fill(filler->mnt, filler->block, 1);
	return NULL;
}

static void start_filler(struct filler *filler, const struct test_mount *mnt, __u32 block,
			 __u32 after_ms)
{
	*filler = (struct filler) { .mnt = mnt, .block = block, .after_ms = after_ms };
	errno = pthread_create(&filler->thread, NULL, filler_thread, filler);
	if (errno)
		bail_out("pthread_create");
}

static void end_filler(struct filler *filler)
{
	pthread_join(filler->thread, NULL);
	if (!filler->waited)
		bail_out("no reader waits");
}

static void test_maximum(void)
{
	struct test_mount mnt = make_mount("maximum", "read_timeout_ms=200,policy=timeouts", 8);
	struct reader reader;
	__u64 ms;

	is_int(read_as(0, &mnt, 1, READ_PREAD, &ms), -ETIME, "by default the mount's timeout");
	set_timeout(&mnt, 0, 0, 0);
	start_reader(&reader, &mnt, 2);
	set_timeout(&mnt, INCFS_TIMEOUT_OTHERS, 0, 700);
	is_int(read_as(USER, &mnt, 3, READ_PREAD, &ms), -ETIME, "a user without an own maximum");
	ok(ms >= 650, "has that of the others");
	set_timeout(&mnt, USER, 0, 1200);
	is_int(read_as(USER, &mnt, 3, READ_PREAD, &ms), -ETIME, "one with an own");
	ok(ms >= 1150, "has that");
	ok(!reader_done(&reader), "another one waits for ever");
	fill(&mnt, 2, 1);
	is_int(end_reader(&reader, &mnt), GOT_BLOCK, "that is, until the block comes");
	end_mount(&mnt);
}

static void test_minimum(enum read_how how, const char *what)
{
	struct test_mount mnt = make_mount("minimum", "read_timeout_ms=0,policy=timeouts", 16);
	struct filler filler;
	struct test_ring ring;
	__u64 ms;

	open_ring(&ring, &mnt, policy->obj, 4096);
	set_timeout(&mnt, 0, MINIMUM, 0);
	start_filler(&filler, &mnt, 1, 0);
	is_int(read_as(0, &mnt, 1, how, &ms), GOT_BLOCK, "%s: a block comes at once", what);
	end_filler(&filler);
	ok(ms >= MINIMUM - 50, "and is there after the minimum");
	ok(ms < 2 * MINIMUM, "after one of them");
	ok(take_events(&ring, 1) && is_event(&ring, 0, INCFS_EVENT_DEMAND, 1, 1),
	   "it was asked for once");

	start_filler(&filler, &mnt, 2, MINIMUM + 500);
	is_int(read_as(0, &mnt, 2, how, &ms), GOT_BLOCK, "%s: a block comes late", what);
	end_filler(&filler);
	ok(ms < 2 * MINIMUM, "and is there without another wait");

	is_int(read_as(0, &mnt, 1, how, &ms), GOT_BLOCK, "%s: a block is stored", what);
	ok(ms < MINIMUM, "and is there without a wait");
	close_ring(&ring);
	end_mount(&mnt);
}

static void test_minimum_of_whom(void)
{
	struct test_mount mnt = make_mount("whom", "read_timeout_ms=0,policy=timeouts", 16);
	struct reader reader;
	__u64 ms;

	set_timeout(&mnt, 0, 2 * MINIMUM, 0);
	start_reader(&reader, &mnt, 1);
	if (!wait_until(count_pending(&mnt.fs) == 1))
		bail_out("no reader waits");
	fill(&mnt, 1, 1);
	is_int(read_as(USER, &mnt, 1, READ_PREAD, &ms), GOT_BLOCK, "a user who has no minimum");
	ok(!reader_done(&reader), "is served before another who has");
	is_int(end_reader(&reader, &mnt), GOT_BLOCK, "and who gets the same block");
	ok(reader.ms >= 2 * MINIMUM - 50, "when his minimum is over");
	end_mount(&mnt);
}

/* The thread is the same, and so is the block; but it is another read. */
static void test_again(void)
{
	struct test_mount mnt = make_mount("again", "read_timeout_ms=0,policy=timeouts", 16);
	struct filler filler;
	__u64 ms;

	set_timeout(&mnt, 0, 800, 1600);
	is_int(read_as(0, &mnt, 1, READ_PREAD, &ms), -ETIME, "a block does not come");
	ok(ms >= 1550, "before the maximum is over");
	start_filler(&filler, &mnt, 1, 0);
	is_int(read_as(0, &mnt, 1, READ_PREAD, &ms), GOT_BLOCK, "when it is read again it comes");
	end_filler(&filler);
	ok(ms >= 750, "after the minimum");
	end_mount(&mnt);
}

static void test_forgotten(void)
{
	struct test_mount mnt = make_mount("forgotten", "read_timeout_ms=0,policy=timeouts", 8);
	struct incfs_timeout_key key = { .mount_id = mnt.id, .uid = USER };
	int map = bpf_map__fd(policy->maps.incfs_timeouts);
	struct incfs_timeout value;

	set_timeout(&mnt, USER, 0, 100);
	is_int(change_options(&mnt, "policy=none"), 0, "the mount leaves the policy");
	is_int(bpf_map_lookup_elem(map, &key, &value), 0, "its timeouts are kept");
	is_int(change_options(&mnt, "policy=timeouts"), 0, "it comes back");
	end_mount(&mnt);
	is_int(bpf_map_lookup_elem(map, &key, &value), -ENOENT, "they end with the mount");
}

int main(void)
{
	libbpf_set_print(NULL);
	policy = timeouts_bpf__open_and_load();
	if (!policy || timeouts_bpf__attach(policy))
		bail_out("load timeouts");
	test_maximum();
	test_minimum(READ_PREAD, "read");
	test_minimum(READ_MAPPED, "page fault");
	test_minimum_of_whom();
	test_again();
	test_forgotten();
	timeouts_bpf__destroy(policy);
	return done();
}
