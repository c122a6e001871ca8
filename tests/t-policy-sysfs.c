// SPDX-License-Identifier: GPL-2.0-only
/*
 * /sys/fs/incremental-fs/mounts: what a mount has chosen, what it uses, and why it
 * does without.
 */
#include <sys/sysmacros.h>

#include "t-policy.h"

static const char *look(const struct test_mount *mnt, const char *name)
{
	static char text[1024];

	sysfs_read(mnt->id, name, text, sizeof(text));
	return text;
}

/* Whether the record of the mount's failure has these lines. */
static bool record_is(const struct test_mount *mnt, const char *kind, int code, const char *policy,
		      __u64 ino, __u32 block)
{
	const char *record = look(mnt, "policy_failure");
	char want[256];
	bool is;

	snprintf(want, sizeof(want), "kind=%s\ncode=%d\npolicy=%s\nino=%llu\nblock=%u\nage_ms=",
		 kind, code, policy, ino, block);
	is = !strncmp(record, want, strlen(want)) && strstr(record, "\ntext=");
	if (!is)
		diag("the record is: %s", record);
	return is;
}

static long long record_age(const struct test_mount *mnt)
{
	const char *age = strstr(look(mnt, "policy_failure"), "age_ms=");

	return age ? atoll(age + strlen("age_ms=")) : -1;
}

static void test_files(void)
{
	struct test_mount mnt = make_mount("files", "", 1);
	char dev[64];
	struct stat st;

	if (stat(fs_path(&mnt.fs, "file"), &st))
		bail_out("stat");
	snprintf(dev, sizeof(dev), "%u:%u", major(st.st_dev), minor(st.st_dev));
	is_str(look(&mnt, "dev"), dev, "dev is the device of the mount");
	is_str(look(&mnt, "policy"), "none", "policy is none");
	is_str(look(&mnt, "policy_in_use"), "", "none is in use");
	is_str(look(&mnt, "policy_failure"), "", "and none has failed");
	ok(!stat(sysfs_path(mnt.id, "policy"), &st) && (st.st_mode & 0777) == 0644 && !st.st_uid,
	   "root may write policy");
	ok(!stat(sysfs_path(mnt.id, "policy_in_use"), &st) && (st.st_mode & 0777) == 0444,
	   "and all may read");
	end_mount(&mnt);
	is_errno(access(sysfs_path(mnt.id, "dev"), F_OK), ENOENT,
		 "the directory goes with the mount");
}

static void test_write(void)
{
	struct probe_bpf *probe = start_probe("sys", 0), *other = start_probe("other", 99999);
	struct test_mount mnt = make_mount("write", "", 1);
	char device[256], options[256], name[64];

	is_int(sysfs_write(mnt.id, "policy", "sys"), 0, "a policy is chosen by its name");
	is_str(look(&mnt, "policy"), "sys", "which is the choice then");
	is_str(look(&mnt, "policy_in_use"), "sys", "and in use");
	ok(fs_proc_mounts(mnt.fs.dir, device, options, sizeof(options)) &&
	   strstr(options, ",policy=sys"), "and in /proc/mounts");
	is_int(sysfs_write(mnt.id, "policy", "auto\n"), 0, "auto, with a newline");
	is_str(look(&mnt, "policy"), "auto", "is the choice then");
	is_str(look(&mnt, "policy_in_use"), "sys", "and comes to the same");
	is_int(sysfs_write(mnt.id, "policy", "none\n"), 0, "none");
	is_str(look(&mnt, "policy"), "none", "is none");
	is_str(look(&mnt, "policy_in_use"), "", "and none is in use");
	sysfs_write(mnt.id, "policy", "sys");
	is_int(sysfs_write(mnt.id, "policy", "\n"), 0, "an empty line");
	is_str(look(&mnt, "policy"), "none", "is none as well");
	sysfs_write(mnt.id, "policy", "sys");

	is_errno(sysfs_write(mnt.id, "policy", "unknown\n"), ENOENT, "the name of no policy");
	is_errno(sysfs_write(mnt.id, "policy", "other\n"), EPERM, "one for another mount");
	memset(name, 'x', sizeof(name));
	name[INCFS_POLICY_NAME_MAX - 1] = 0;
	is_errno(sysfs_write(mnt.id, "policy", name), ENOENT, "the longest name");
	name[INCFS_POLICY_NAME_MAX - 1] = 'x';
	name[INCFS_POLICY_NAME_MAX] = 0;
	is_errno(sysfs_write(mnt.id, "policy", name), EINVAL, "one that is too long");
	name[INCFS_POLICY_NAME_MAX] = 'x';
	name[INCFS_POLICY_NAME_MAX + 1] = 0;
	is_errno(sysfs_write(mnt.id, "policy", name), EINVAL, "and one longer still");
	is_errno(sysfs_write(mnt.id, "policy", "sys\nsys"), ENOENT, "two lines");
	ok(!strcmp(look(&mnt, "policy"), "sys") && uses(&mnt, "sys"), "all of it changes nothing");
	end_mount(&mnt);
	stop_probe(probe);
	stop_probe(other);
}

static void test_nul(void)
{
	struct test_mount mnt = make_mount("nul", "", 1);
	int fd = open(sysfs_path(mnt.id, "policy"), O_WRONLY | O_CLOEXEC);

	is_errno(write(fd, "auto\0none", 9), EINVAL, "a name with a NUL in it is refused");
	is_str(look(&mnt, "policy"), "none", "and changes nothing");
	close(fd);
	end_mount(&mnt);
}

/* Who is not root, though root may have opened the file for him. */
static void test_not_root(void)
{
	struct test_mount mnt = make_mount("user", "", 1);
	int fd = open(sysfs_path(mnt.id, "policy"), O_WRONLY | O_CLOEXEC);
	pid_t pid;

	pid = must_fork();
	if (!pid) {
		if (setuid(1000) || open(sysfs_path(mnt.id, "policy"), O_WRONLY) >= 0)
			_exit(1);
		_exit(write(fd, "auto", 4) == 4 ? 2 : errno);
	}
	is_int(wait_exit(pid), EPERM, "who is not root may neither open nor write");
	is_str(look(&mnt, "policy"), "none", "and changes nothing");
	close(fd);
	end_mount(&mnt);
}

static void test_read_only(void)
{
	struct probe_bpf *probe = start_probe("fixed", 0);
	struct test_mount mnt = make_mount("fixed", "", 1);

	close(mnt.fs.cmd);
	if (mount("any", mnt.fs.dir, INCFS_NAME, MS_REMOUNT | MS_RDONLY, ""))
		bail_out("remount");
	mnt.fs.cmd = fs_open_cmd(&mnt.fs, O_RDONLY);
	ok(set_policy(&mnt, "fixed") && uses(&mnt, ""), "a read-only mount takes no ioctl");
	is_int(sysfs_write(mnt.id, "policy", "fixed"), 0, "but root may choose, as by a remount");
	is_str(look(&mnt, "policy_in_use"), "fixed", "which is in use then");
	end_mount(&mnt);
	stop_probe(probe);
}

/* A file that is open when its mount goes. */
static void test_open(void)
{
	struct test_mount mnt = make_mount("open", "", 1);
	int fd = open(sysfs_path(mnt.id, "policy"), O_RDWR | O_CLOEXEC);
	char text[64];

	if (fd < 0)
		bail_out("open");
	end_mount(&mnt);
	is_errno(read(fd, text, sizeof(text)), ENODEV, "a file that is open reads as gone");
	is_errno(write(fd, "auto", 4), ENODEV, "and can't be written");
	close(fd);
}

static void test_verdict(int verdict)
{
	struct probe_bpf *bad = start_probe("bad", 0), *next;
	struct test_mount mnt = make_mount("verdict", "policy=bad", 64);
	struct test_mount other = make_mount("other", "policy=bad", 1);
	long long age;

	fill(&mnt, 40, 4);
	bad->bss->verdict = verdict;
	read_one(&mnt, 42);
	ok(record_is(&mnt, "verdict", verdict, "bad", mnt.ino, 42),
	   "a verdict of %d is on record, with the block", verdict);
	is_str(look(&mnt, "policy_in_use"), "", "the policy is not in use");
	is_str(look(&mnt, "policy"), "bad", "but chosen as it was");
	is_str(look(&other, "policy_failure"), "", "another mount has no record");
	is_str(look(&other, "policy_in_use"), "bad", "and the policy");
	age = record_age(&mnt);
	usleep(50000);
	ok(age >= 0 && record_age(&mnt) >= age + 50, "the record grows old");

	bad->bss->verdict = INCFS_VERDICT_IMAGE;
	is_int(sysfs_write(mnt.id, "policy", "bad"), 0, "the policy is chosen again");
	is_str(look(&mnt, "policy_in_use"), "bad", "and in use");
	ok(wait_until(read_book(bad, mnt.id).attaches == 2), "and attached");
	ok(record_is(&mnt, "verdict", verdict, "bad", mnt.ino, 42), "the record stays");
	bad->bss->verdict = -ENOSYS;
	read_one(&mnt, 43);
	ok(record_is(&mnt, "verdict", -ENOSYS, "bad", mnt.ino, 43), "until there is another");

	next = load_probe("bad", 0);
	is_int(bpf_link__update_map(bad->links.probe, next->maps.probe), 0, "the policy is updated");
	is_str(look(&mnt, "policy_in_use"), "bad", "and in use");
	ok(wait_until(books_closed(bad)), "the old program is out of it");
	stop_probe(bad);
	ok(record_is(&mnt, "verdict", -ENOSYS, "bad", mnt.ino, 43),
	   "the record is there when the policy has gone");
	is_str(look(&mnt, "policy"), "bad", "and so is the choice");
	probe_bpf__destroy(next);
	end_mount(&other);
	end_mount(&mnt);
}

/*
 * Two readers hear nonsense at the same time: a policy that one has dropped is not
 * asked by the other any more. It takes luck, and so several tries.
 */
#define TRIES 20

static void test_at_once(void)
{
	struct probe_bpf *bad = load_probe("twice", 0);
	struct test_mount mnt = make_mount("twice", "", 64);
	int i, tries = 0, log = klog_open(), served = 0;
	struct reader readers[2];

	fill(&mnt, 0, 64);
	bad->bss->spins = 1 << 20;
	bad->bss->verdict = 1234;
	if (attach_probe(bad))
		bail_out("attach");
	while (tries++ < TRIES && bad->bss->asked < 2) {
		bad->bss->asked = 0;
		drop_cached(&mnt.fs, "file");
		if (set_policy(&mnt, "twice"))
			bail_out("SET_POLICY");
		for (i = 0; i < 2; i++)
			start_reader(&readers[i], &mnt, 10 * (i + 1));
		for (i = 0, served = 0; i < 2; i++)
			served += end_reader(&readers[i], &mnt) == GOT_BLOCK;
	}
	is_int(bad->bss->asked, 2, "a policy is asked about two blocks at a time");
	is_int(served, 2, "its nonsense does no harm");
	ok(record_is(&mnt, "verdict", 1234, "twice", mnt.ino, 10) ||
	   record_is(&mnt, "verdict", 1234, "twice", mnt.ino, 20), "one of them is on record");
	ok(wait_until(books_closed(bad)), "it loses the mount, once");
	ok(klog_has(log, "policy twice is dropped: verdict 1234"), "the log has it");
	close(log);
	end_mount(&mnt);
	ok(books_closed(bad), "in good order");
	stop_probe(bad);
}

/* The policy that a mount has chosen comes back, and does not want it any more. */
static void test_refused(void)
{
	struct probe_bpf *fussy = start_probe("fussy", 0);
	struct test_mount mnt = make_mount("fussy", "policy=fussy", 1);

	stop_probe(fussy);
	is_str(look(&mnt, "policy_in_use"), "", "a policy has gone");
	fussy = load_probe("fussy", 0);
	fussy->bss->refusal = -EUSERS;
	if (attach_probe(fussy))
		bail_out("attach");
	is_str(look(&mnt, "policy_in_use"), "", "is back, and refuses the mount");
	ok(record_is(&mnt, "refused", -EUSERS, "fussy", 0, 0), "which is on record");
	is_str(look(&mnt, "policy"), "fussy", "the choice stands");
	fussy->bss->refusal = 0;
	is_int(sysfs_write(mnt.id, "policy", "fussy"), 0, "it may be asked again");
	is_str(look(&mnt, "policy_in_use"), "fussy", "and accept");
	end_mount(&mnt);
	stop_probe(fussy);
}

int main(void)
{
	libbpf_set_print(NULL);
	test_files();
	test_write();
	test_nul();
	test_not_root();
	test_read_only();
	test_open();
	test_verdict(3);
	test_verdict(-ENOENT);
	test_verdict(-4096);
	test_at_once();
	test_refused();
	return done();
}
