// SPDX-License-Identifier: GPL-2.0-only
/* What a policy may say about a block, and what becomes of one that says more. */
#include "t-policy.h"

static struct probe_bpf *probe;

static void test_told(const struct test_mount *mnt)
{
	is_int(read_one(mnt, 1), GOT_BLOCK, "as the image says: a stored block is read");
	is_int(probe->bss->seen.ino, mnt->ino, "the policy was told the inode");
	is_int(probe->bss->seen.block, 1, "the block");
	is_int(probe->bss->seen.count, 1, "the count");
	is_int(probe->bss->seen.file_blocks, 8, "the size of the file");
	is_int(probe->bss->seen.uid, getuid(), "the user");
	is_int(probe->bss->seen.tgid, getpid(), "the process");
	is_int(probe->bss->seen.timeout_ms, 200, "the mount's timeout");
}

static void test_reasons(const struct test_mount *mnt)
{
	struct reader reader;
	char data[8 * BLOCK];
	int fd;

	probe->bss->reasons = 0;
	reader_run(&reader, &mnt->fs, "file", 6, READ_MAPPED);
	ok(reader.got < 0 && reader.error == EFAULT, "a mapped read of an absent block fails");
	ok(probe->bss->reasons & 1 << INCFS_READ_MAPPED, "and the policy knew that it was one");

	probe->bss->reasons = 0;
	probe->bss->window = 0;
	drop_cached(&mnt->fs, "file");
	fd = fs_open(&mnt->fs, "file");
	is_int(pread(fd, data, sizeof(data), 0), 4 * BLOCK, "a read ends where nothing is there");
	close(fd);
	ok(probe->bss->reasons & 1 << INCFS_READ_READAHEAD, "the policy was asked for readahead");
	ok(probe->bss->window > 1, "and told of the window");
}

/* A look at the very block that is being read would wait for itself. */
static void test_user_memory(const struct test_mount *mnt)
{
	int fd = fs_open(&mnt->fs, "file");
	char *map = mmap(NULL, BLOCK, PROT_READ, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		bail_out("mmap");
	probe->bss->user_result = 0;
	probe->bss->user_address = (unsigned long)map;
	is_int(read_one(mnt, 0), GOT_BLOCK, "a block is read whose mapping the policy looks at");
	is_int(probe->bss->user_result, -EFAULT, "which the policy can't see");
	probe->bss->user_address = 0;
	munmap(map, BLOCK);
	close(fd);
}

static void test_errnos(const struct test_mount *mnt)
{
	static const int allowed[] = { EIO, EACCES, EPERM, ENODATA, ETIME, EAGAIN };
	size_t i;

	for (i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
		probe->bss->verdict = -allowed[i];
		is_int(read_one(mnt, 1), -allowed[i], "the read of a stored block fails with %s",
		       strerror(allowed[i]));
		is_int(read_one(mnt, 5), -allowed[i], "and that of an absent one");
	}
	probe->bss->verdict = INCFS_VERDICT_IMAGE;
	is_int(read_one(mnt, 1), GOT_BLOCK, "the block is as it was afterwards");
}

static void test_zero(const struct test_mount *mnt)
{
	probe->bss->verdict = INCFS_VERDICT_ZERO;
	is_int(read_one(mnt, 2), GOT_ZEROS, "zeros for a stored block");
	is_int(read_one(mnt, 6), GOT_ZEROS, "zeros for an absent block, without a wait");
	probe->bss->verdict = INCFS_VERDICT_IMAGE;
	is_int(read_one(mnt, 2), GOT_BLOCK, "the stored block is as it was afterwards");
}

static void test_timeout(const struct test_mount *mnt)
{
	__u64 start = now_ms();

	is_int(read_one(mnt, 7), -ETIME, "an absent block: the mount's timeout");
	is_int(probe->bss->seen.why, INCFS_READ_DEMAND, "the policy was told why");
	ok(now_ms() - start < 2000, "after a short time");
	probe->bss->set_timeout = 1;
	probe->bss->timeout_ms = 2500;
	start = now_ms();
	is_int(read_one(mnt, 7), -ETIME, "an absent block: the policy's timeout");
	ok(now_ms() - start >= 2400, "after a longer time");
	probe->bss->set_timeout = 0;
}

static void test_wait(void)
{
	struct test_mount mnt = make_mount("held", "read_timeout_ms=0,policy=auto", 8);
	struct reader reader;

	fill(&mnt, 0, 4);
	probe->bss->verdict = INCFS_VERDICT_WAIT;
	start_reader(&reader, &mnt, 0);
	ok(wait_until(count_pending(&mnt.fs) == 1), "a reader of a stored block waits if it must");
	ok(reader_waits(&reader), "and goes on waiting");
	detach_probe(probe);
	is_int(end_reader(&reader, &mnt), GOT_BLOCK, "until the policy goes");
	probe_bpf__destroy(probe);
	end_mount(&mnt);
}

static void test_dropped(int verdict)
{
	struct test_mount mnt = make_mount("dropped", "read_timeout_ms=200,policy=auto", 4);
	struct test_mount other = make_mount("other", "read_timeout_ms=200,policy=auto", 4);
	struct probe_bpf *older = start_probe("older", 0), *next;
	struct probe_bpf *bad = start_probe("bad", 0);
	int log = klog_open();
	char reason[64];

	fill(&mnt, 0, 2);
	bad->bss->set_timeout = 1;
	bad->bss->verdict = verdict;
	is_int(read_one(&mnt, 0), GOT_BLOCK, "verdict %d: the read is served still", verdict);
	ok(uses(&mnt, ""), "the policy is dropped from the mount");
	snprintf(reason, sizeof(reason), "policy bad is dropped: verdict %d", verdict);
	ok(klog_has(log, reason), "which the kernel's log explains");
	close(log);
	ok(uses(&other, "bad"), "but not from another");
	is_int(read_one(&mnt, 3), -ETIME, "the built-in behaviour is in its place");
	is_int(bad->bss->asked, 1, "and the policy is asked no more");

	bad->bss->verdict = INCFS_VERDICT_IMAGE;
	is_int(change_options(&mnt, "policy=auto"), 0, "it is chosen again");
	ok(uses(&mnt, "bad"), "and is back");

	bad->bss->verdict = verdict;
	read_one(&mnt, 0);
	next = load_probe("bad", 0);
	is_int(bpf_link__update_map(bad->links.probe, next->maps.probe), 0,
	       "a better one takes its place");
	ok(uses(&mnt, "bad"), "and is used");
	next->bss->verdict = verdict;
	read_one(&mnt, 0);
	ok(uses(&mnt, ""), "as long as it behaves");
	detach_probe(bad);
	ok(uses(&mnt, "older"), "once it goes the one before is used");

	probe_bpf__destroy(bad);
	probe_bpf__destroy(next);
	stop_probe(older);
	end_mount(&mnt);
	end_mount(&other);
}

static void test_dropped_waiting(void)
{
	struct test_mount mnt = make_mount("release", "read_timeout_ms=0,policy=auto", 4);
	struct probe_bpf *fickle = start_probe("fickle", 0);
	struct reader reader;

	fill(&mnt, 0, 2);
	fickle->bss->verdict = INCFS_VERDICT_WAIT;
	start_reader(&reader, &mnt, 0);
	if (!wait_until(count_pending(&mnt.fs) == 1))
		bail_out("no reader waits");
	fickle->bss->verdict = 1000;
	is_int(read_one(&mnt, 1), GOT_BLOCK, "a policy is dropped while a reader waits for it");
	is_int(end_reader(&reader, &mnt), GOT_BLOCK, "which releases the reader");
	stop_probe(fickle);
	end_mount(&mnt);
}

int main(void)
{
	struct test_mount mnt;

	libbpf_set_print(NULL);
	probe = start_probe("probe", 0);
	mnt = make_mount("verdict", "read_timeout_ms=200,policy=probe", 8);
	fill(&mnt, 0, 4);
	test_told(&mnt);
	test_reasons(&mnt);
	test_user_memory(&mnt);
	test_errnos(&mnt);
	test_zero(&mnt);
	test_timeout(&mnt);
	end_mount(&mnt);
	test_wait();
	test_dropped(3);
	test_dropped(-ENOENT);
	test_dropped_waiting();
	return done();
}
