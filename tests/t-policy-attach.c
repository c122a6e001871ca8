// SPDX-License-Identifier: GPL-2.0-only
/*
 * Policies that come and go: which one a mount uses, and that its readers
 * notice.
 *
 * timeout: 240
 */
#include <stdatomic.h>
#include <sys/syscall.h>

#include "t-policy.h"

static int attach_named(const char *name)
{
	struct probe_bpf *probe = load_probe(name, 0);
	int ret = attach_probe(probe), error = errno;

	probe_bpf__destroy(probe);
	errno = error;
	return ret;
}

static void test_names(void)
{
	static const char *const bad[] = {
		"", "a b", "a/b", "a\n", "caf\xc3\xa9", "auto", "none",
	};
	char longest[INCFS_POLICY_NAME_MAX + 1] = "";
	int log = klog_open();
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		is_errno(attach_named(bad[i]), EINVAL,
			 "a bad name is refused (%zu)", i);
	ok(klog_has(log, "policy refused: its name must be"), "which the kernel's log explains");
	close(log);
	memset(longest, 'x', INCFS_POLICY_NAME_MAX);
	is_errno(attach_named(longest), EINVAL, "a name without an end is refused");
	is_int(attach_named(longest + 1), 0, "the longest name is taken");
	is_int(attach_named("A-z_0.9"), 0, "a name of all kinds of characters is taken");
}

static void test_flags(void)
{
	struct probe_bpf *probe = open_probe("flags", 0);

	policy_members(probe->maps.probe)->flags = 1;
	if (probe_bpf__load(probe))
		bail_out("load probe");
	is_errno(attach_probe(probe), EINVAL, "an unknown flag is refused");
	probe_bpf__destroy(probe);
}

static void test_duplicate(void)
{
	struct probe_bpf *first = start_probe("twin", 0), *second = load_probe("twin", 0);

	is_errno(attach_probe(second), EEXIST, "a name that is taken is refused");
	stop_probe(first);
	is_int(attach_probe(second), 0, "and may be used once it is free");
	stop_probe(second);
}

static void test_choice(void)
{
	struct probe_bpf *older = start_probe("older", 0), *newer;
	struct test_mount none = make_mount("none", "read_timeout_ms=100", 4);
	struct test_mount any = make_mount("any", "policy=auto", 4);
	struct test_mount named = make_mount("named", "policy=older", 4);

	is_errno(try_mount("unknown.img", "unknown", "policy=unknown"), ENOENT,
		 "a mount with the name of no policy fails");
	is_errno(change_options(&none, "policy=unknown"), ENOENT, "and so does a remount");

	newer = start_probe("newer", 0);
	ok(uses(&none, ""), "a mount that chose none uses none");
	ok(uses(&any, "newer"), "auto is the newest");
	ok(uses(&named, "older"), "a name is what has this name");
	stop_probe(newer);
	ok(uses(&any, "older"), "auto is the one before when the newest goes");
	stop_probe(older);
	ok(uses(&any, ""), "auto is none when all are gone");
	ok(uses(&named, ""), "a name is none when its policy is gone");
	older = start_probe("older", 0);
	ok(uses(&named, "older"), "and takes it when it is back");

	is_int(change_options(&none, "policy=older"), 0, "a remount chooses");
	ok(uses(&none, "older"), "and it is used");
	is_int(change_options(&none, "policy=none"), 0, "a remount chooses none");
	ok(uses(&none, ""), "and none is used");

	newer = start_probe("newer", any.id);
	ok(uses(&any, "newer"), "auto takes a policy that is for this mount");
	is_errno(change_options(&named, "policy=newer"), EPERM,
		 "a policy for another mount can't be chosen");
	is_int(change_options(&named, "policy=auto"), 0, "auto can");
	ok(uses(&named, "older"), "and passes over it");
	stop_probe(newer);
	stop_probe(older);
	end_mount(&none);
	end_mount(&any);
	end_mount(&named);
}

static void test_ioctl(void)
{
	struct test_mount mnt = make_mount("ioctl", "read_timeout_ms=0", 4);
	struct probe_bpf *here = start_probe("here", mnt.id), *there = start_probe("there", 999);
	struct reader reader;

	start_reader(&reader, &mnt, 1);
	ok(wait_until(count_pending(&mnt.fs) == 1), "a reader waits");
	is_int(here->bss->pended, 0, "no policy is told");
	is_errno(set_policy(&mnt, "there"), EPERM,
		 "SET_POLICY to a policy for another mount is refused");
	ok(uses(&mnt, ""), "and changes nothing");
	is_int(set_policy(&mnt, "here"), 0, "SET_POLICY chooses");
	ok(uses(&mnt, "here"), "and it is used");
	ok(wait_until(peek(&here->bss->pended) == 1), "it learns of the reader that waits");
	is_int(set_policy(&mnt, "none"), 0, "SET_POLICY chooses none");
	ok(uses(&mnt, ""), "and none is used");
	ok(reader_waits(&reader), "the reader waits on");
	fill(&mnt, 1, 1);
	is_int(end_reader(&reader, &mnt), GOT_BLOCK, "until it is served");
	is_int(here->bss->pended, 1, "the policy is told nothing any more");
	stop_probe(here);
	stop_probe(there);
	end_mount(&mnt);
}

static void test_waiting(void)
{
	struct test_mount mnt = make_mount("waiting", "read_timeout_ms=0,policy=auto", 8);
	struct probe_bpf *first, *second;
	struct test_ring ring;
	struct reader reader;

	start_reader(&reader, &mnt, 3);
	ok(wait_until(count_pending(&mnt.fs) == 1), "a reader waits without a policy");
	first = load_probe("first", 0);
	second = load_probe("first", 0);
	open_ring(&ring, &mnt, first->obj, 4096);
	first->bss->mark = 1;
	second->bss->mark = 2;
	if (attach_probe(first))
		bail_out("attach");
	ok(take_events(&ring, 1) && ring.events[0].priority == 1 &&
	   is_event(&ring, 0, INCFS_EVENT_DEMAND, 3, 1),
	   "a policy that is attached learns of it");

	is_int(bpf_link__update_map(first->links.probe, second->maps.probe), 0,
	       "the link is updated");
	ok(take_events(&ring, 2) && ring.events[1].priority == 2 &&
	   is_event(&ring, 1, INCFS_EVENT_DEMAND, 3, 1),
	   "the policy in its place learns of it");
	ok(reader_waits(&reader), "the reader waits on");
	is_int(first->bss->pended, 1, "the old policy is told nothing any more");
	fill(&mnt, 3, 1);
	is_int(end_reader(&reader, &mnt), GOT_BLOCK, "the block that it asks for serves it");

	start_reader(&reader, &mnt, 4);
	ok(take_events(&ring, 3) && ring.events[2].priority == 2, "the next wait is the new one's");
	stop_probe(first);
	ok(reader_waits(&reader), "the reader waits on when the policy is detached");
	fill(&mnt, 4, 1);
	is_int(end_reader(&reader, &mnt), GOT_BLOCK, "and is served without one");
	close_ring(&ring);
	probe_bpf__destroy(second);
	end_mount(&mnt);
}

static void test_update_rules(void)
{
	struct probe_bpf *old = start_probe("same", 0), *other = load_probe("other", 0);
	struct probe_bpf *narrow = load_probe("same", 77);

	is_int(bpf_link__update_map(old->links.probe, other->maps.probe), -EINVAL,
	       "an update to another name is refused");
	is_int(bpf_link__update_map(old->links.probe, narrow->maps.probe), -EINVAL,
	       "an update to another mount is refused");
	is_int(bpf_link__update_map(old->links.probe, old->maps.probe), 0,
	       "an update to itself changes nothing");
	stop_probe(old);
	probe_bpf__destroy(other);
	probe_bpf__destroy(narrow);
}

static void test_drain(void)
{
	struct test_mount mnt = make_mount("drain", "policy=auto", 1);
	struct probe_bpf *slow = start_probe("slow", 0);
	struct reader reader;

	fill(&mnt, 0, 1);
	slow->bss->spins = 1 << 22;
	start_reader(&reader, &mnt, 0);
	if (!wait_until(peek(&slow->bss->asked)))
		bail_out("the policy was not asked");
	detach_probe(slow);
	is_int(slow->bss->answered, slow->bss->asked, "detaching waits for a call under way");
	is_int(end_reader(&reader, &mnt), GOT_BLOCK, "whose reader is served");
	probe_bpf__destroy(slow);
	end_mount(&mnt);
}

struct load {
	const struct test_mount *mnt;
	atomic_bool stop;
	atomic_int reads, faults;
};

static void *read_on(void *arg)
{
	struct load *load = arg;
	__u32 block = 0;

	while (!atomic_load(&load->stop)) {
		if (read_one(load->mnt, block) != GOT_BLOCK)
			atomic_fetch_add(&load->faults, 1);
		atomic_fetch_add(&load->reads, 1);
		block = (block + 1) % 64;
	}
	return NULL;
}

static void test_load(void)
{
	struct test_mount mnt = make_mount("load", "policy=auto", 64);
	struct probe_bpf *one = start_probe("swapped", 0), *two = load_probe("swapped", 0);
	struct load load = { .mnt = &mnt };
	pthread_t threads[4];
	int i, failed = 0;

	fill(&mnt, 0, 64);
	for (i = 0; i < 4; i++)
		if (pthread_create(&threads[i], NULL, read_on, &load))
			bail_out("thread");
	for (i = 0; i < 20; i++) {
		failed += !!bpf_link__update_map(one->links.probe,
						 i % 2 ? one->maps.probe : two->maps.probe);
		usleep(20000);
	}
	is_int(failed, 0, "a link is updated again and again while blocks are read");
	for (i = 0; i < 10; i++) {
		stop_probe(start_probe("passing", 0));
		usleep(5000);
	}
	atomic_store(&load.stop, true);
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	is_int(atomic_load(&load.faults), 0, "every read is served");
	ok(one->bss->asked && two->bss->asked, "both policies were asked");
	diag("%d reads, %llu and %llu questions", atomic_load(&load.reads), one->bss->asked,
	     two->bss->asked);
	stop_probe(one);
	probe_bpf__destroy(two);
	end_mount(&mnt);
}

static void test_apart(void)
{
	struct probe_bpf *here = start_probe("here", 0), *there = start_probe("there", 0);
	struct test_mount left = make_mount("left", "policy=here", 2);
	struct test_mount right = make_mount("right", "policy=there", 2);

	here->bss->my_mount = left.id;
	there->bss->my_mount = right.id;
	fill(&left, 0, 2);
	fill(&right, 0, 2);
	is_int(read_one(&left, 1), GOT_BLOCK, "a mount is read with its policy");
	is_int(read_one(&right, 1), GOT_BLOCK, "another with another");
	ok(here->bss->asked && there->bss->asked, "both policies were asked");
	ok(!here->bss->strangers && !there->bss->strangers, "each about its own mount only");
	stop_probe(here);
	stop_probe(there);
	end_mount(&left);
	end_mount(&right);
}

static int unload(void)
{
	return syscall(SYS_delete_module, "incfs", O_NONBLOCK);
}

static void test_unload(void)
{
	struct probe_bpf *probe = load_probe("held", 0);

	is_errno(unload(), EWOULDBLOCK, "the module stays while a policy is loaded only");
	if (attach_probe(probe))
		bail_out("attach");
	if (bpf_link__pin(probe->links.probe, "/sys/fs/bpf/incfs_test_link"))
		bail_out("pin");
	probe_bpf__destroy(probe);
	is_errno(unload(), EWOULDBLOCK, "the module stays while a policy is pinned");
	unlink("/sys/fs/bpf/incfs_test_link");
	ok(wait_until(!unload()), "the module goes after the last policy");
}

int main(void)
{
	libbpf_set_print(NULL);
	test_names();
	test_flags();
	test_duplicate();
	test_choice();
	test_ioctl();
	test_waiting();
	test_update_rules();
	test_drain();
	test_load();
	test_apart();
	test_unload();
	return done();
}
