// SPDX-License-Identifier: GPL-2.0-only
/*
 * attach() and detach(): a policy accepts each mount before it is asked anything
 * about it, or refuses, and is told when it has lost it.
 */
#include <limits.h>
#include <sys/fsuid.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>

#include "t-policy.h"

static bool chosen(const struct test_mount *mnt, const char *name)
{
	char text[64];

	sysfs_read(mnt->id, "policy", text, sizeof(text));
	return !strcmp(text, name);
}

/* A mount with one stored block, which has been read. */
static struct test_mount make_read_mount(const char *name, const char *options)
{
	struct test_mount mnt = make_mount(name, options, 8);

	fill(&mnt, 0, 1);
	if (read_one(&mnt, 0) != GOT_BLOCK)
		bail_out("read %s", name);
	return mnt;
}

static void test_context(void)
{
	struct probe_bpf *probe = start_probe("context", 0);
	struct test_mount mnt = make_mount("context", "read_timeout_ms=1234,policy=context", 1);
	struct stat st;

	if (stat(mnt.fs.image, &st))
		bail_out("stat");
	is_int(probe->bss->mount_seen.mount_id, mnt.id, "attach is told the mount");
	is_int(probe->bss->mount_seen.image_ino, st.st_ino, "the inode of the image");
	is_int(probe->bss->mount_seen.image_dev,
	       (__u64)major(st.st_dev) << 20 | minor(st.st_dev), "its device");
	is_int(probe->bss->mount_seen.timeout_ms, 1234, "the timeout");
	is_int(probe->bss->mount_seen.uid, 0, "who has mounted it");

	if (change_options(&mnt, "read_timeout_ms=77"))
		bail_out("remount");
	set_policy(&mnt, "none");
	set_policy(&mnt, "context");
	is_int(probe->bss->mount_seen.timeout_ms, 77, "the timeout of now, after a remount");
	end_mount(&mnt);
	stop_probe(probe);
}

static void test_user(void)
{
	struct probe_bpf *probe = start_probe("user", 0);
	int fd = open("user.img", O_RDWR | O_CREAT | O_CLOEXEC, 0666), ret;
	char options[64];

	if (fd < 0 || fchmod(fd, 0666))
		bail_out("user.img");
	mkdir("user", 0755);
	snprintf(options, sizeof(options), "backing_fd=%d,policy=user", fd);
	setfsuid(4321);
	ret = mount("any", "user", INCFS_NAME, 0, options);
	setfsuid(0);
	is_int(ret, 0, "another user mounts");
	is_int(probe->bss->mount_seen.uid, 4321, "attach is told who");
	close(fd);
	umount("user");
	stop_probe(probe);
}

static void test_order(void)
{
	struct probe_bpf *probe = start_probe("order", 0);
	struct test_mount mnt = make_mount("order", "read_timeout_ms=50,policy=order", 8);

	ok(book_is(probe, mnt.id, 1, 0, 0), "a mount is attached once");
	is_int(probe->bss->asked, 0, "before anything is asked about it");
	fill(&mnt, 0, 2);
	read_one(&mnt, 0);
	read_one(&mnt, 5);
	ok(probe->bss->asked && probe->bss->pended && probe->bss->prefetched &&
	   probe->bss->fills_begun, "then all other calls come");
	end_mount(&mnt);
	ok(book_is(probe, mnt.id, 1, 1, 0), "and detach when it is unmounted");
	ok(books_closed(probe), "as the last one");
	detach_probe(probe);
	ok(book_is(probe, mnt.id, 1, 1, 0), "and none when the policy goes");
	probe_bpf__destroy(probe);
}

/* What a mount may do to lose its policy; each has to bring one detach(). */
static void lose_by_remount(struct test_mount *mnt)
{
	if (change_options(mnt, "policy=none"))
		bail_out("remount");
}

static void lose_by_ioctl(struct test_mount *mnt)
{
	if (set_policy(mnt, "none"))
		bail_out("SET_POLICY");
}

static void lose_by_sysfs(struct test_mount *mnt)
{
	if (sysfs_write(mnt->id, "policy", "none"))
		bail_out("sysfs");
}

static void lose_by_verdict(struct test_mount *mnt)
{
	if (read_one(mnt, 0) != GOT_BLOCK)
		bail_out("read");
}

static void test_lose(const char *how, void (*lose)(struct test_mount *mnt))
{
	struct probe_bpf *probe = start_probe("lose", 0);
	struct test_mount mnt = make_read_mount("lose", "policy=lose");

	if (lose == lose_by_verdict)
		probe->bss->verdict = 1000;
	lose(&mnt);
	ok(wait_until(read_book(probe, mnt.id).detaches == 1), "detach after %s", how);
	ok(books_closed(probe), "with nothing after it");
	probe->bss->verdict = 0;
	ok(uses(&mnt, ""), "the mount is without a policy");
	is_int(set_policy(&mnt, "lose"), 0, "it chooses the policy again");
	is_int(read_one(&mnt, 0), GOT_BLOCK, "reads");
	ok(book_is(probe, mnt.id, 2, 1, 0), "and is attached again");
	end_mount(&mnt);
	ok(book_is(probe, mnt.id, 2, 2, 0), "and detached again");
	ok(books_closed(probe), "with nothing after it");
	stop_probe(probe);
}

static void test_same_choice(void)
{
	struct probe_bpf *probe = start_probe("same", 0);
	struct test_mount mnt = make_read_mount("same", "policy=same");

	is_int(set_policy(&mnt, "same"), 0, "the policy in use is chosen");
	is_int(change_options(&mnt, "policy=auto"), 0, "and is what auto comes to");
	is_int(change_options(&mnt, "read_timeout_ms=5"), 0, "and other options change");
	ok(book_is(probe, mnt.id, 1, 0, 0), "which is no news to it");
	end_mount(&mnt);
	stop_probe(probe);
}

static void test_unregister(void)
{
	struct probe_bpf *older = start_probe("older", 0), *newer = load_probe("newer", 0);
	struct test_mount a = make_read_mount("a", "policy=auto");
	struct test_mount b = make_read_mount("b", "policy=auto");
	struct test_mount none = make_read_mount("none", "");

	if (attach_probe(newer))
		bail_out("attach");
	ok(book_is(newer, a.id, 1, 0, 0) && book_is(newer, b.id, 1, 0, 0),
	   "a policy that is registered is attached by the mounts that it concerns");
	ok(book_is(older, a.id, 1, 1, 0) && book_is(older, b.id, 1, 1, 0),
	   "and the one before is detached");
	ok(book_is(newer, none.id, 0, 0, 0) && book_is(older, none.id, 0, 0, 0),
	   "it does not concern a mount that wants none");
	read_one(&a, 0);
	detach_probe(newer);
	ok(book_is(newer, a.id, 1, 1, 0) && book_is(newer, b.id, 1, 1, 0),
	   "it is detached from each when it goes");
	ok(book_is(older, a.id, 2, 1, 0) && book_is(older, b.id, 2, 1, 0),
	   "and the one before attached again");
	read_one(&b, 0);
	end_mount(&a);
	end_mount(&b);
	end_mount(&none);
	ok(books_closed(older) && books_closed(newer), "in good order");
	probe_bpf__destroy(newer);
	stop_probe(older);
}

static void test_bound(void)
{
	struct test_mount mine = make_read_mount("mine", "policy=auto");
	struct test_mount other = make_read_mount("other", "policy=auto");
	struct probe_bpf *probe = start_probe("bound", mine.id);

	ok(book_is(probe, mine.id, 1, 0, 0), "a policy for one mount is attached by it");
	ok(book_is(probe, other.id, 0, 0, 0), "and not asked whether it wants others");
	read_one(&mine, 0);
	read_one(&other, 0);
	stop_probe(probe);
	end_mount(&mine);
	end_mount(&other);
}

static void test_refused_mount(void)
{
	struct probe_bpf *probe = load_probe("refuses", 0);

	probe->bss->refusal = -EUSERS;
	if (attach_probe(probe))
		bail_out("attach");
	is_errno(try_mount("refused.img", "refused", "policy=refuses"), EUSERS,
		 "a mount that the policy refuses fails with what it says");
	is_int(probe->bss->refused, 1, "it was asked once");
	ok(!probe->bss->attached && !probe->bss->detached, "and no detach comes for it");
	is_int(try_mount("refused.img", "refused", "policy=auto"), 0, "auto does without it");
	umount("refused");
	stop_probe(probe);
}

static void test_refused_choice(void)
{
	struct probe_bpf *used = start_probe("used", 0), *probe = load_probe("refuses", 0);
	struct test_mount mnt = make_read_mount("choice", "read_timeout_ms=50,policy=used");

	probe->bss->refusal = -EXDEV;
	if (attach_probe(probe))
		bail_out("attach");
	is_errno(set_policy(&mnt, "refuses"), EXDEV, "SET_POLICY tells what the policy says");
	ok(uses(&mnt, "used") && chosen(&mnt, "used"), "and changes nothing");
	is_errno(change_options(&mnt, "read_timeout_ms=60,policy=refuses"), EXDEV,
		 "and so does a remount");
	ok(uses(&mnt, "used") && chosen(&mnt, "used"), "which changes nothing");
	is_int(fs_info(&mnt.fs).read_timeout_ms, 50, "nor any other option");
	is_errno(sysfs_write(mnt.id, "policy", "refuses\n"), EXDEV, "and so does sysfs");
	ok(uses(&mnt, "used") && chosen(&mnt, "used"), "which changes nothing");
	is_int(read_one(&mnt, 0), GOT_BLOCK, "the policy in use goes on");
	ok(book_is(used, mnt.id, 1, 0, 0), "without a break");
	ok(book_is(probe, mnt.id, 0, 0, 3), "the other one was asked each time");
	probe->bss->refusal = 0;
	is_int(set_policy(&mnt, "refuses"), 0, "it may accept the mount later");
	ok(book_is(used, mnt.id, 1, 1, 0) && book_is(probe, mnt.id, 1, 0, 3), "and has it then");
	end_mount(&mnt);
	stop_probe(probe);
	stop_probe(used);
}

static void test_refused_auto(void)
{
	struct probe_bpf *old = start_probe("old", 0), *middle = load_probe("middle", 0), *young;
	struct test_mount mnt = make_read_mount("auto", "policy=auto");

	middle->bss->refusal = -EPERM;
	if (attach_probe(middle))
		bail_out("attach");
	ok(uses(&mnt, "old"), "auto stays with the one before if the newest refuses");
	ok(book_is(old, mnt.id, 1, 0, 0), "without a break");
	ok(middle->bss->refused && !middle->bss->detached, "it was asked, and that is all");
	young = start_probe("young", 0);
	ok(uses(&mnt, "young"), "auto takes the next one that accepts");
	stop_probe(young);
	ok(uses(&mnt, "old"), "and passes over the one that refuses when that goes");
	read_one(&mnt, 0);
	stop_probe(old);
	ok(uses(&mnt, ""), "and uses none when there is none left that accepts");
	is_int(middle->bss->asked, 0, "what refuses is never asked about blocks");
	stop_probe(middle);
	end_mount(&mnt);
}

static void test_refused_update(void)
{
	struct probe_bpf *old = start_probe("update", 0), *new = load_probe("update", 0);
	struct test_mount mounts[3] = {
		make_read_mount("m0", "policy=update"),
		make_read_mount("m1", "policy=auto"),
		make_read_mount("m2", "policy=update"),
	};
	__u64 asked;
	int i;

	new->bss->refusal = -ENOSPC;
	new->bss->refused_mount = mounts[2].id;
	is_int(bpf_link__update_map(old->links.probe, new->maps.probe), -ENOSPC,
	       "an update fails with what the new policy says to one of the mounts");
	ok(book_is(new, mounts[0].id, 1, 1, 0) && book_is(new, mounts[1].id, 1, 1, 0),
	   "which is detached from those that it had accepted");
	ok(book_is(new, mounts[2].id, 0, 0, 1), "but not from the one that it has refused");
	asked = old->bss->asked;
	for (i = 0; i < 3; i++) {
		ok(uses(&mounts[i], "update") && read_one(&mounts[i], 0) == GOT_BLOCK,
		   "mount %d is read", i);
		ok(book_is(old, mounts[i].id, 1, 0, 0), "with the old policy, without a break");
	}
	is_int(old->bss->asked, asked + 3, "which was asked");
	is_int(new->bss->asked, 0, "and the new one was not");

	new->bss->refusal = 0;
	is_int(bpf_link__update_map(old->links.probe, new->maps.probe), 0, "it may accept later");
	ok(book_is(old, mounts[2].id, 1, 1, 0) && book_is(new, mounts[2].id, 1, 0, 1),
	   "and has all mounts then");
	read_one(&mounts[2], 0);
	ok(new->bss->asked, "and is asked");
	for (i = 0; i < 3; i++)
		end_mount(&mounts[i]);
	ok(books_closed(old) && books_closed(new), "both have lost every mount in the end");
	stop_probe(old);
	probe_bpf__destroy(new);
}

/* An auto mount that the old one had refused. */
static void test_update_accepts(void)
{
	struct probe_bpf *old = load_probe("picky", 0), *new = load_probe("picky", 0);
	struct test_mount mnt = make_read_mount("picky", "policy=auto");

	old->bss->refusal = -EPERM;
	if (attach_probe(old))
		bail_out("attach");
	ok(uses(&mnt, ""), "a policy refuses a mount");
	is_int(bpf_link__update_map(old->links.probe, new->maps.probe), 0, "it is updated");
	ok(uses(&mnt, "picky"), "the new one is asked, and accepts");
	ok(book_is(new, mnt.id, 1, 0, 0), "once");
	end_mount(&mnt);
	ok(books_closed(old) && books_closed(new), "in good order");
	stop_probe(old);
	probe_bpf__destroy(new);
}

/* The mount is lost twice by one update: to the new program, and to another policy. */
static void test_update_yields(void)
{
	struct probe_bpf *old = start_probe("yields", 0), *new = load_probe("yields", 0);
	struct probe_bpf *newer = load_probe("newer", 0);
	struct test_mount mnt = make_read_mount("yields", "policy=auto");

	newer->bss->refusal = -EPERM;
	if (attach_probe(newer))
		bail_out("attach");
	newer->bss->refusal = 0;
	ok(uses(&mnt, "yields"), "a newer policy has refused a mount, and would accept it now");
	is_int(bpf_link__update_map(old->links.probe, new->maps.probe), 0,
	       "the older one is updated");
	ok(uses(&mnt, "newer"), "the newer one is asked once more, and has the mount");
	ok(book_is(old, mnt.id, 1, 1, 0), "the old program is detached");
	ok(book_is(new, mnt.id, 1, 1, 0), "and so is the one in its place");
	ok(book_is(newer, mnt.id, 1, 0, 1), "the newer one is attached");
	end_mount(&mnt);
	ok(books_closed(old) && books_closed(new) && books_closed(newer), "in good order");
	stop_probe(newer);
	stop_probe(old);
	probe_bpf__destroy(new);
}

/* A policy that was dropped stays so, whatever comes and goes beside it. */
static void test_dropped(void)
{
	struct probe_bpf *bad = start_probe("bad", 0), *other;
	struct test_mount mnt = make_read_mount("dropped", "policy=auto");

	bad->bss->verdict = 1000;
	read_one(&mnt, 0);
	bad->bss->verdict = 0;
	ok(wait_until(read_book(bad, mnt.id).detaches == 1), "a policy is dropped");
	other = start_probe("other", 0);
	ok(uses(&mnt, "other"), "a newer one comes");
	stop_probe(other);
	ok(uses(&mnt, ""), "and goes, which does not bring it back");
	ok(book_is(bad, mnt.id, 1, 1, 0), "it was not asked");

	other = load_probe("other", 0);
	other->bss->refusal = -EPERM;
	if (attach_probe(other))
		bail_out("attach");
	is_errno(set_policy(&mnt, "other"), EPERM, "a choice that fails");
	ok(uses(&mnt, "") && chosen(&mnt, "auto"), "does not bring it back either");
	stop_probe(other);
	ok(uses(&mnt, ""), "nor does anything that follows");
	is_int(set_policy(&mnt, "auto"), 0, "a choice does");
	ok(uses(&mnt, "bad") && book_is(bad, mnt.id, 2, 1, 0), "after it was asked");
	end_mount(&mnt);
	ok(books_closed(bad), "in good order");
	stop_probe(bad);
}

static void test_absurd(void)
{
	/* The last but one is the kernel's own ERESTARTSYS. */
	static const int absurd[] = { 1, 2, 4096, INT_MAX, -4096, -512, INT_MIN };
	struct probe_bpf *probe = start_probe("absurd", 0), *next = load_probe("absurd", 0);
	struct test_mount mnt = make_read_mount("absurd", "");
	size_t i;

	for (i = 0; i < sizeof(absurd) / sizeof(absurd[0]); i++) {
		probe->bss->refusal = absurd[i];
		is_errno(set_policy(&mnt, "absurd"), EINVAL,
			 "what is no errno, %d, is a refusal with EINVAL", absurd[i]);
		is_errno(try_mount("absurd2.img", "absurd2", "policy=absurd"), EINVAL,
			 "and a mount fails with it");
	}
	ok(uses(&mnt, ""), "the mount is without the policy");
	probe->bss->refusal = 0;
	if (set_policy(&mnt, "absurd"))
		bail_out("SET_POLICY");
	next->bss->refusal = 7;
	is_int(bpf_link__update_map(probe->links.probe, next->maps.probe), -EINVAL,
	       "and so does an update");
	end_mount(&mnt);
	ok(books_closed(probe) && books_closed(next), "and no detach came for any of it");
	stop_probe(probe);
	probe_bpf__destroy(next);
}

static void *choose_none(void *arg)
{
	return set_policy(arg, "none") ? arg : NULL;
}

/* detach() is the last call: one that takes long is waited for. */
static void test_waits(void)
{
	struct probe_bpf *slow = start_probe("slow", 0);
	struct test_mount mnt = make_read_mount("slow", "policy=slow");
	struct reader reader;
	pthread_t thread;
	void *failed;

	drop_cached(&mnt.fs, "file");
	slow->bss->asked = 0;
	slow->bss->hold_answers = 1;
	start_reader(&reader, &mnt, 0);
	if (!wait_until(peek(&slow->bss->asked)) ||
	    pthread_create(&thread, NULL, choose_none, &mnt))
		bail_out("the policy was not asked");
	ok(wait_until(uses(&mnt, "")), "a choice while the policy is being asked");
	usleep(300000);
	ok(book_is(slow, mnt.id, 1, 0, 0), "does not bring detach");
	slow->bss->hold_answers = 0;
	pthread_join(thread, &failed);
	ok(!failed && book_is(slow, mnt.id, 1, 1, 0), "as long as it has not answered");
	is_int(slow->bss->strays, 0, "detach comes after that");
	is_int(end_reader(&reader, &mnt), GOT_BLOCK, "the reader is served");
	end_mount(&mnt);
	stop_probe(slow);
}

/*
 * Whether a policy that spins can be preempted. Where not, as with Debian's kernel for
 * arm64, RCU waits for it, and so does umount(), of whatever file system.
 */
static bool is_preemptible(void)
{
	struct utsname name;

	return !uname(&name) && strstr(name.version, "PREEMPT");
}

/* What is waited for holds up neither other mounts nor readers. */
static void test_others(void)
{
	struct test_mount mnt, other;
	struct probe_bpf *slow;
	struct reader reader;
	pthread_t thread;

	if (!is_preemptible()) {
		skip(4, "this kernel does not preempt a policy that spins");
		return;
	}
	slow = start_probe("slow", 0);
	mnt = make_read_mount("slow", "policy=slow");
	drop_cached(&mnt.fs, "file");
	slow->bss->asked = 0;
	slow->bss->hold_answers = 1;
	start_reader(&reader, &mnt, 0);
	if (!wait_until(peek(&slow->bss->asked)) ||
	    pthread_create(&thread, NULL, choose_none, &mnt))
		bail_out("the policy was not asked");
	ok(wait_until(uses(&mnt, "")), "while a policy is waited for");
	other = make_mount("other", "policy=slow", 4);
	ok(uses(&other, "slow"), "an image is mounted, and uses it");
	fill(&other, 0, 1);
	end_mount(&other);
	ok(book_is(slow, other.id, 1, 1, 0), "and unmounted");
	ok(!reader_done(&reader), "all that time it has not answered");
	slow->bss->hold_answers = 0;
	pthread_join(thread, NULL);
	end_reader(&reader, &mnt);
	end_mount(&mnt);
	stop_probe(slow);
}

int main(void)
{
	libbpf_set_print(NULL);
	test_context();
	test_user();
	test_order();
	test_lose("a remount", lose_by_remount);
	test_lose("SET_POLICY", lose_by_ioctl);
	test_lose("a write to sysfs", lose_by_sysfs);
	test_lose("a bad verdict", lose_by_verdict);
	test_same_choice();
	test_unregister();
	test_bound();
	test_refused_mount();
	test_refused_choice();
	test_refused_auto();
	test_refused_update();
	test_update_accepts();
	test_update_yields();
	test_dropped();
	test_absurd();
	test_waits();
	test_others();
	return done();
}
