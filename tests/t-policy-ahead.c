// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpf_incfs_read_ahead(): stored blocks come into the page cache without being
 * read. bpf_incfs_find_absent(): of files other than the one being read.
 */
#include "t-policy.h"

#include "bpf/ahead.skel.h"

#define FILE_BLOCKS 512

static struct ahead_bpf *policy;

/* Which blocks of a file are in the page cache, of the first @count. */
static int count_cached(const struct test_mount *mnt, const char *name, __u32 first, __u32 count)
{
	unsigned char cached[FILE_BLOCKS];
	int fd = fs_open(&mnt->fs, name), n = 0;
	char *map = mmap(NULL, (first + count) * BLOCK, PROT_READ, MAP_SHARED, fd, 0);
	__u32 i;

	if (map == MAP_FAILED || mincore(map, (first + count) * BLOCK, cached))
		bail_out("mincore");
	for (i = first; i < first + count; i++)
		n += cached[i] & 1;
	munmap(map, (first + count) * BLOCK);
	close(fd);
	return n;
}

static __u64 blocks_read(const struct test_mount *mnt)
{
	struct incfs_stats stats;

	if (ioctl(mnt->fs.cmd, INCFS_IOC_GET_STATS, &stats))
		bail_out("INCFS_IOC_GET_STATS");
	return stats.blocks_read;
}

static void reset(const struct test_mount *mnt)
{
	memset(policy->bss, 0, sizeof(*policy->bss));
	policy->bss->at = mnt->ino;
}

static void add_call(bool ahead, __u64 ino, __u32 first, __u32 count)
{
	int i = policy->bss->nr_calls++;

	policy->bss->calls[i].ahead = ahead;
	policy->bss->calls[i].ino = ino;
	policy->bss->calls[i].first = first;
	policy->bss->calls[i].count = count;
}

/* Have the policy make its calls, when block 0 is read. */
static void run_calls(const struct test_mount *mnt)
{
	__u64 before = policy->bss->ran;

	policy->bss->armed = 1;
	if (read_one(mnt, 0) != GOT_BLOCK || policy->bss->ran == before)
		bail_out("the policy was not asked");
}

/* bpf_incfs_read_ahead() once; what it returns. */
static int read_ahead(const struct test_mount *mnt, __u64 ino, __u32 first, __u32 count)
{
	reset(mnt);
	add_call(true, ino, first, count);
	run_calls(mnt);
	return policy->bss->calls[0].result;
}

static int find_absent(const struct test_mount *mnt, __u64 ino, __u32 first, __u32 end,
		       __u32 *start)
{
	reset(mnt);
	add_call(false, ino, first, end);
	run_calls(mnt);
	*start = policy->bss->calls[0].start;
	return policy->bss->calls[0].result;
}

static void test_ahead(const struct test_mount *mnt)
{
	__u64 before;

	fill(mnt, 0, 1);
	fill(mnt, 8, 24);
	drop_cached(&mnt->fs, "file");
	is_int(count_cached(mnt, "file", 8, 24), 0, "blocks that are stored, and not in memory");
	before = blocks_read(mnt);
	is_int(read_ahead(mnt, mnt->ino, 8, 16), 0, "are asked for");
	ok(wait_until(count_cached(mnt, "file", 8, 16) == 16), "and come into the page cache");
	is_int(count_cached(mnt, "file", 24, 8), 0, "but not those after them");
	is_int(blocks_read(mnt) - before, 17, "they have been read, and the one before");
	is_int(policy->bss->asked_ahead - 1, 16, "the policy was asked about each");
	is_int(policy->bss->prefetched, 0, "and not what to fetch ahead for it");
	before = blocks_read(mnt);
	is_int(block_reads(&mnt->fs, "file", mnt->ino, 8, BLOCK), 1, "they are right");
}

static void test_absent(const struct test_mount *mnt)
{
	/* 40-43 and 50 are stored. */
	fill(mnt, 40, 4);
	fill(mnt, 50, 1);
	drop_cached(&mnt->fs, "file");
	is_int(read_ahead(mnt, mnt->ino, 36, 20), 0, "a range with absent blocks");
	ok(wait_until(count_cached(mnt, "file", 40, 4) == 4 &&
		      count_cached(mnt, "file", 50, 1) == 1), "those that are stored come");
	is_int(count_cached(mnt, "file", 36, 20), 5, "and no others");
	is_int(count_pending(&mnt->fs), 0, "nobody waits for them");
	is_int(read_ahead(mnt, mnt->ino, 100, 100), 0, "a range of absent blocks only");
	fill(mnt, 110, 1);
	is_int(block_reads(&mnt->fs, "file", mnt->ino, 110, BLOCK), 1,
	       "a block that comes later is read as it should");
}

static void test_other_file(const struct test_mount *mnt)
{
	__u64 ino = make_file(&mnt->fs, INCFS_ROOT_INODE, "other", 64 * BLOCK - 10);

	fill_blocks(&mnt->fs, ino, 0, 63);
	fill_raw(&mnt->fs, ino, 63, BLOCK - 10);
	is_int(read_ahead(mnt, ino, 0, 8), 0, "blocks of a file that nobody has opened");
	ok(wait_until(count_cached(mnt, "other", 0, 8) == 8), "come");
	is_int(read_ahead(mnt, ino, 60, INCFS_READ_AHEAD_MAX), 0, "more than the file has");
	ok(wait_until(count_cached(mnt, "other", 60, 4) == 4), "are those that it has");
	ok(block_reads(&mnt->fs, "other", ino, 63, BLOCK - 10), "and its tail is right");
}

static void test_held(const struct test_mount *mnt)
{
	__u64 before;

	drop_cached(&mnt->fs, "file");
	reset(mnt);
	policy->bss->held = 1;
	add_call(true, mnt->ino, 8, 16);
	run_calls(mnt);
	ok(wait_until(peek(&policy->bss->asked_ahead) == 17), "what the policy holds is asked about");
	before = blocks_read(mnt);
	usleep(200000);
	is_int(blocks_read(mnt), before, "and not read");
	policy->bss->held = 0;
	is_int(block_reads(&mnt->fs, "file", mnt->ino, 9, BLOCK), 1, "until somebody needs it");
}

static void test_filled(const struct test_mount *mnt)
{
	reset(mnt);
	policy->bss->when = 200;
	add_call(true, mnt->ino, 200, 1);
	policy->bss->armed = 2;
	fill(mnt, 200, 1);
	is_int(policy->bss->calls[0].result, 0, "filled() has read ahead what has come");
	ok(wait_until(count_cached(mnt, "file", 200, 1) == 1), "it is in memory");
}

static void test_arguments(const struct test_mount *mnt)
{
	__u64 dir = make_dir(&mnt->fs, INCFS_ROOT_INODE, "dir");
	__u64 empty = make_file(&mnt->fs, INCFS_ROOT_INODE, "empty", 0);

	is_int(read_ahead(mnt, mnt->ino, 8, 0), -EINVAL, "read_ahead of no blocks");
	is_int(read_ahead(mnt, mnt->ino, 8, INCFS_READ_AHEAD_MAX + 1), -EINVAL, "of too many");
	is_int(read_ahead(mnt, mnt->ino, 8, ~0u), -EINVAL, "of far too many");
	is_int(read_ahead(mnt, mnt->ino, FILE_BLOCKS, 1), -ERANGE, "past the end");
	is_int(read_ahead(mnt, mnt->ino, ~0u, 1), -ERANGE, "far past the end");
	is_int(read_ahead(mnt, empty, 0, 1), -ERANGE, "of an empty file");
	is_int(read_ahead(mnt, dir, 0, 1), -ENOENT, "of a directory");
	is_int(read_ahead(mnt, INCFS_ROOT_INODE, 0, 1), -ENOENT, "of the root");
	is_int(read_ahead(mnt, INCFS_COMMAND_INODE, 0, 1), -ENOENT, "of .cmd");
	is_int(read_ahead(mnt, 0, 0, 1), -ENOENT, "of no file");
	is_int(read_ahead(mnt, 12345, 0, 1), -ENOENT, "of one that is not there");
	is_int(read_ahead(mnt, mnt->ino | 1ull << 32, 0, 1), -ENOENT, "of one that differs above");
}

static void test_find(const struct test_mount *mnt)
{
	__u64 ino = make_file(&mnt->fs, INCFS_ROOT_INODE, "holes", 6000ull * BLOCK);
	__u64 empty = make_file(&mnt->fs, INCFS_ROOT_INODE, "empty2", 0);
	__u32 start;

	fill_blocks(&mnt->fs, ino, 0, 2);
	fill_blocks(&mnt->fs, ino, 10, 1);
	is_int(find_absent(mnt, ino, 0, 20, &start), 8, "find_absent looks into another file");
	is_int(start, 2, "and says where its absent blocks begin");
	is_int(find_absent(mnt, ino, 5, 8, &start), 3, "within the bounds");
	is_int(start, 5, "from the first one on");
	is_int(find_absent(mnt, ino, 10, 11, &start), 0, "there are none among those stored");
	is_int(find_absent(mnt, ino, 11, ~0u, &start), INCFS_FIND_ABSENT_MAX,
	       "no more are looked at than it says");
	is_int(find_absent(mnt, ino, 5990, ~0u, &start), 10, "and none past the end");
	is_int(find_absent(mnt, ino, 6000, ~0u, &start), 0, "nor beyond it");
	is_int(find_absent(mnt, ino, 9, 3, &start), 0, "nor between bounds the wrong way round");
	is_int(find_absent(mnt, empty, 0, 1, &start), 0, "nor in an empty file");
	is_int(find_absent(mnt, mnt->ino, 0, 8, &start), 7, "it looks into the file itself");
	is_int(start, 1, "as well");
	is_int(find_absent(mnt, INCFS_ROOT_INODE, 0, 1, &start), -ENOENT, "but into no directory");
	is_int(find_absent(mnt, INCFS_COMMAND_INODE, 0, 1, &start), -ENOENT, "nor .cmd");
	is_int(find_absent(mnt, 12345, 0, 1, &start), -ENOENT, "nor what is not there");
	is_int(find_absent(mnt, ~0ull, 0, 1, &start), -ENOENT, "nor what can't be there");
}

/* What does not fit the queue is refused, and nothing else. */
static void test_flood(const struct test_mount *mnt)
{
	int i;

	fill(mnt, 256, 256);
	reset(mnt);
	policy->bss->flood = 512;
	add_call(true, mnt->ino, 0, 256);
	policy->bss->nr_calls = 0;
	for (i = 0; i < 20; i++)
		run_calls(mnt);
	is_int(policy->bss->taken + policy->bss->refused, 20 * 512, "thousands of requests at once");
	is_int(policy->bss->failed, 0, "are taken, or refused with EAGAIN");
	ok(policy->bss->taken && policy->bss->refused, "and some of them are either");
	diag("%llu taken, %llu refused", policy->bss->taken, policy->bss->refused);
	ok(wait_until(!read_ahead(mnt, mnt->ino, 256, 256)), "one is taken again after that");
	ok(wait_until(count_cached(mnt, "file", 256, 256) == 256), "and comes");
}

/* The mount goes while there is much to be read. */
static void test_unmount(void)
{
	struct test_mount mnt = make_mount("going", "policy=ahead", FILE_BLOCKS);
	int i, failed = 0;

	fill(&mnt, 0, FILE_BLOCKS);
	for (i = 0; i < 20; i++) {
		reset(&mnt);
		policy->bss->flood = 64;
		add_call(true, mnt.ino, 0, 448);
		policy->bss->nr_calls = 0;
		run_calls(&mnt);
		failed += !policy->bss->taken;
		fs_cycle(&mnt.fs);
	}
	is_int(failed, 0, "a mount can go right after blocks have been asked for");
	ok(block_reads(&mnt.fs, "file", mnt.ino, 100, BLOCK), "and is right when it is back");
	end_mount(&mnt);
}

int main(void)
{
	struct test_mount mnt;

	libbpf_set_print(NULL);
	policy = ahead_bpf__open_and_load();
	if (!policy || ahead_bpf__attach(policy))
		bail_out("ahead");
	mnt = make_mount("ahead", "read_timeout_ms=0,policy=ahead", FILE_BLOCKS);
	test_ahead(&mnt);
	test_absent(&mnt);
	test_other_file(&mnt);
	test_held(&mnt);
	test_filled(&mnt);
	test_arguments(&mnt);
	test_find(&mnt);
	test_flood(&mnt);
	end_mount(&mnt);
	test_unmount();
	ahead_bpf__destroy(policy);
	return done();
}
