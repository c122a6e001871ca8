// SPDX-License-Identifier: GPL-2.0-only
/*
 * Policies that mean harm. What they may do to readers of their own mount is
 * theirs; but readers can be killed, others are served, mounts can be unmounted
 * and the policy detached.
 *
 * timeout: 300
 */
#include "t-policy.h"

#include "bpf/hostile.skel.h"

/* The kernel's own, which user space has no name for. */
#define ENOTSUPP 524

/* NULL: the kernel has no such functions. */
static struct hostile_bpf *try_hostile(const char *name)
{
	struct hostile_bpf *hostile = hostile_bpf__open();
	struct bpf_program *program;
	char prefix[64];
	struct bpf_map *map;
	int err;

	if (!hostile)
		bail_out("open hostile");
	snprintf(prefix, sizeof(prefix), "%s_", name);
	bpf_object__for_each_program(program, hostile->obj)
		bpf_program__set_autoload(program, !strncmp(bpf_program__name(program), prefix,
							    strlen(prefix)));
	/* libbpf 1.5 heeds the "?" of a section for the first map in it only. */
	bpf_object__for_each_map(map, hostile->obj)
		if (bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS)
			bpf_map__set_autocreate(map, !strcmp(bpf_map__name(map), name));
	err = hostile_bpf__load(hostile);
	if (err == -ENOTSUPP) {
		hostile_bpf__destroy(hostile);
		return NULL;
	}
	if (err || hostile_bpf__attach(hostile))
		bail_out("load hostile policy %s", name);
	return hostile;
}

static struct hostile_bpf *start_hostile(const char *name)
{
	struct hostile_bpf *hostile = try_hostile(name);

	if (!hostile)
		bail_out("load hostile policy %s", name);
	return hostile;
}

/* What the machine has to be able to do meanwhile: another mount is filled and read. */
static bool others_are_served(void)
{
	struct test_mount mnt = make_mount("bystander", "read_timeout_ms=0", 4);
	struct reader reader;
	bool served;

	start_reader(&reader, &mnt, 1);
	fill(&mnt, 1, 1);
	served = end_reader(&reader, &mnt) == GOT_BLOCK;
	end_mount(&mnt);
	return served;
}

/* A process that reads a block through its own memory's file. */
static pid_t fork_peeker(const struct test_mount *mnt, __u32 block)
{
	char byte, *map;
	int fd, mem;
	pid_t pid;

	pid = must_fork();
	if (pid)
		return pid;
	fd = fs_open(&mnt->fs, "file");
	mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	map = mmap(NULL, BLOCK, PROT_READ, MAP_SHARED, fd, (off_t)block * BLOCK);
	if (mem < 0 || map == MAP_FAILED)
		_exit(99);
	_exit(pread(mem, &byte, 1, (unsigned long)map) == 1 ? 0 : errno);
}

static bool killed(pid_t pid)
{
	__u64 end = now_ms() + SOON;
	int status;

	kill(pid, SIGKILL);
	while (!waitpid(pid, &status, WNOHANG)) {
		if (now_ms() > end)
			return false;
		usleep(2000);
	}
	return WIFSIGNALED(status);
}

#define GREEDY_BLOCKS 65536

enum { PEEK = READ_MAPPED + 1 };

/* A reader of a stored block who asks and asks. */
static void test_fickle(int how, const char *what)
{
	struct hostile_bpf *fickle = start_hostile("fickle");
	struct test_mount mnt = make_mount("fickle", "read_timeout_ms=0,policy=fickle", 4);
	pid_t pid;

	fill(&mnt, 0, 4);
	/* Of the two questions of a fault that can't be repeated, the second is the reader's. */
	fickle->bss->asked = how == PEEK;
	pid = how == PEEK ? fork_peeker(&mnt, 1) :
			    reader_fork(&mnt.fs, "file", mnt.ino, 1, how);
	ok(wait_until(peek(&fickle->bss->asked) > 200), "%s asks a fickle policy on and on", what);
	ok(others_are_served(), "others are served");
	ok(killed(pid), "it can be killed");
	hostile_bpf__destroy(fickle);
	end_mount(&mnt);
}

/* As many readers as there are processors, and one more. */
#define NAGGED 3

static void test_nagging(const char *name, bool stored)
{
	struct hostile_bpf *nagging = start_hostile(name);
	struct test_mount mnt = make_mount("nagging", "read_timeout_ms=0", 8);
	struct reader reader;
	pid_t pids[NAGGED];
	__u64 start;
	int i, ended = 0;

	if (stored)
		fill(&mnt, 0, 8);
	if (set_policy(&mnt, name))
		bail_out("SET_POLICY");
	for (i = 0; i < NAGGED; i++)
		pids[i] = reader_fork(&mnt.fs, "file", mnt.ino, i, i & 1 ? READ_MAPPED : READ_PREAD);
	ok(wait_until(peek(&nagging->bss->asked) + peek(&nagging->bss->told) > 1000),
	   "readers are had to ask %s on and on", name);
	ok(others_are_served(), "others are served");
	for (i = 0; i < NAGGED; i++)
		ended += killed(pids[i]);
	is_int(ended, NAGGED, "they can be killed");
	ok(wait_until(count_pending(&mnt.fs) == 0), "and are gone then");

	change_options(&mnt, "read_timeout_ms=600");
	start = now_ms();
	is_int(read_one(&mnt, 5), -ETIME, "one that has a timeout ends with it");
	ok(now_ms() - start >= 300, "and not much before");

	change_options(&mnt, "read_timeout_ms=0");
	start_reader(&reader, &mnt, 6);
	ok(wait_until(count_pending(&mnt.fs) == 1), "one waits");
	if (!stored)
		fill(&mnt, 6, 1);
	is_int(set_policy(&mnt, "none"), 0, "the mount can be rid of the policy");
	is_int(end_reader(&reader, &mnt), GOT_BLOCK, "and its reader is served");
	hostile_bpf__destroy(nagging);
	end_mount(&mnt);
}

/* A file whose blocks are stored, all at the same place. */
static void store_all(const struct test_mount *mnt, __u32 blocks)
{
	struct incfs_share share = {};
	__u32 done;

	fill(mnt, 0, 1);
	for (done = 1; done < blocks; done += share.done) {
		share = (struct incfs_share) {
			.from_ino = mnt->ino,
			.to_ino = mnt->ino,
			.to_block = done,
			.count = done < blocks - done ? done : blocks - done,
		};
		if (ioctl(mnt->fs.cmd, INCFS_IOC_SHARE, &share) || !share.done)
			bail_out("INCFS_IOC_SHARE");
	}
}

static void test_greedy(void)
{
	struct hostile_bpf *greedy = start_hostile("greedy");
	struct test_mount mnt = make_mount("greedy", "", GREEDY_BLOCKS);

	store_all(&mnt, GREEDY_BLOCKS);
	if (set_policy(&mnt, "greedy"))
		bail_out("SET_POLICY");
	is_int(read_one(&mnt, 0), GOT_BLOCK, "a policy wants all of a large file");
	ok(wait_until(peek(&greedy->bss->asked) > 10), "which is read");
	ok(others_are_served(), "others are served");
	fs_unmount(&mnt.fs);
	ok(greedy->bss->asked < GREEDY_BLOCKS, "an unmount does not wait for all of it");
	diag("%llu of %d blocks", greedy->bss->asked, GREEDY_BLOCKS);
	hostile_bpf__destroy(greedy);
}

/* Readers come and go, and hold the lock that the timer's callback wants. */
static void test_ticking(void)
{
	struct hostile_bpf *ticking = start_hostile("ticking");
	struct test_mount mnt = make_mount("ticking", "read_timeout_ms=0,policy=ticking", 4096);
	struct reader readers[8];
	int i, k, served = 0;

	ok(wait_until(peek(&ticking->bss->ticks) > 10), "a timer of a policy ticks");
	for (i = 0; i < 200; i++) {
		for (k = 0; k < 8; k++)
			start_reader(&readers[k], &mnt, i * 8 + k);
		fill(&mnt, i * 8, 8);
		for (k = 0; k < 8; k++)
			served += end_reader(&readers[k], &mnt) == GOT_BLOCK;
	}
	is_int(served, 200 * 8, "and has all readers ask again, who are served");
	diag("%llu ticks", ticking->bss->ticks);
	end_mount(&mnt);
	hostile_bpf__destroy(ticking);
}

static void test_throwing(void)
{
	struct hostile_bpf *throwing = try_hostile("throwing");
	struct test_mount mnt;
	char record[512];

	/* It takes an unwinder that is not in every kernel. */
	if (!throwing) {
		skip(3, "the kernel has no exceptions of BPF");
		return;
	}
	mnt = make_mount("throwing", "policy=throwing", 4);
	fill(&mnt, 0, 2);
	is_int(read_one(&mnt, 1), GOT_BLOCK, "a read with a policy that throws is served");
	ok(uses(&mnt, ""), "the policy is dropped");
	sysfs_read(mnt.id, "policy_failure", record, sizeof(record));
	ok(strstr(record, "code=77\n"), "for what it has thrown");
	hostile_bpf__destroy(throwing);
	end_mount(&mnt);
}

static void test_absurd(void)
{
	struct hostile_bpf *absurd = start_hostile("absurd");
	struct test_mount mnt = make_mount("absurd", "policy=absurd", 16);
	struct reader reader;

	fill(&mnt, 0, 4);
	is_int(read_one(&mnt, 1), GOT_BLOCK, "all functions may be called with any numbers");
	start_reader(&reader, &mnt, 9);
	ok(wait_until(count_pending(&mnt.fs) == 1), "a reader may wait for months");
	ok(reader_waits(&reader), "and does");
	fill(&mnt, 8, 2);
	is_int(end_reader(&reader, &mnt), GOT_BLOCK, "until it is served");
	ok(absurd->bss->asked && absurd->bss->worst <= 16, "no function finds more than there is");
	end_mount(&mnt);
	hostile_bpf__destroy(absurd);
}

int main(void)
{
	libbpf_set_print(NULL);
	test_fickle(READ_PREAD, "a reader");
	test_fickle(READ_MAPPED, "a mapped reader");
	test_nagging("nagging", true);
	test_nagging("restless", false);
	test_throwing();
	test_absurd();
	test_fickle(PEEK, "who reads /proc/self/mem");
	test_greedy();
	test_ticking();
	return done();
}
