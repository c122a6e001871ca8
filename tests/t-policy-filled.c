// SPDX-License-Identifier: GPL-2.0-only
/* filled(): what a policy is told of blocks that have been stored. */
#include <sys/fsuid.h>

#include "t-policy.h"

static struct probe_bpf *probe;

/* Forget what has been told. */
static void reset(void)
{
	memset(probe->bss->fills, 0, sizeof(probe->bss->fills));
	probe->bss->fills_begun = 0;
	probe->bss->fills_ended = 0;
}

/* Whether call @index, in the order of their coming, was this one. */
static bool told(int index, __u64 ino, __u32 block, __u32 count)
{
	bool is = probe->bss->fills[index].ino == ino && probe->bss->fills[index].block == block &&
		  probe->bss->fills[index].count == count;

	if (!is)
		diag("call %d: ino %llu block %u count %u", index, probe->bss->fills[index].ino,
		     probe->bss->fills[index].block, probe->bss->fills[index].count);
	return is;
}

/* A batch for INCFS_IOC_FILL. */
struct batch {
	struct incfs_fill_block blocks[32];
	char data[32][BLOCK];
	__u32 count;
};

static struct batch batch;

static void add_to_batch(__u64 ino, __u32 first, __u32 count)
{
	struct incfs_fill_block *block;

	for (; count; first++, count--) {
		block = &batch.blocks[batch.count];
		*block = (struct incfs_fill_block) {
			.ino = ino,
			.block = first,
			.len = BLOCK,
			.data = (unsigned long)batch.data[batch.count],
		};
		expected_block(ino, first, batch.data[batch.count]);
		batch.count++;
	}
}

/* Returns how many have been filled. */
static int fill_batch(const struct test_mount *mnt)
{
	struct incfs_fill arg = {
		.blocks = (unsigned long)batch.blocks,
		.count = batch.count,
	};

	if (ioctl(mnt->fs.cmd, INCFS_IOC_FILL, &arg))
		bail_out("INCFS_IOC_FILL");
	batch.count = 0;
	return arg.filled;
}

static void test_run(const struct test_mount *mnt)
{
	reset();
	add_to_batch(mnt->ino, 4, 16);
	is_int(fill_batch(mnt), 16, "16 neighbours are filled by one call");
	is_int(probe->bss->fills_ended, 1, "of which the policy is told once");
	ok(told(0, mnt->ino, 4, 16), "all together");
	is_int(probe->bss->fills[0].why, INCFS_READ_FILLED, "and why");
	is_int(probe->bss->fills[0].file_blocks, 256, "how large the file is");
	is_int(probe->bss->fills[0].uid, 0, "who has filled");
	is_int(probe->bss->fills[0].tgid, getpid(), "and which process");
}

static void test_stored(const struct test_mount *mnt)
{
	reset();
	add_to_batch(mnt->ino, 4, 16);
	is_int(fill_batch(mnt), 16, "they are filled again");
	is_int(probe->bss->fills_begun, 0, "which is no news");
	add_to_batch(mnt->ino, 2, 20);
	is_int(fill_batch(mnt), 20, "and again with their neighbours");
	is_int(probe->bss->fills_ended, 2, "of which the policy is told");
	ok(told(0, mnt->ino, 2, 2) && told(1, mnt->ino, 20, 2), "without what was there before");
}

static void test_gaps(const struct test_mount *mnt)
{
	reset();
	add_to_batch(mnt->ino, 30, 3);
	add_to_batch(mnt->ino, 40, 1);
	add_to_batch(mnt->ino, 39, 1);
	is_int(fill_batch(mnt), 5, "blocks with a gap, and in another order");
	is_int(probe->bss->fills_ended, 3, "are told of one by one");
	ok(told(0, mnt->ino, 30, 3) && told(1, mnt->ino, 40, 1) && told(2, mnt->ino, 39, 1),
	   "as they came");
}

/* A block that fails in the middle is no part of it. */
static void test_failed(const struct test_mount *mnt)
{
	reset();
	add_to_batch(mnt->ino, 50, 4);
	batch.blocks[1].len = 0;
	is_int(fill_batch(mnt), 3, "a block that can't be stored");
	is_int(probe->bss->fills_ended, 2, "parts its neighbours");
	ok(told(0, mnt->ino, 50, 1) && told(1, mnt->ino, 52, 2), "and is not told of");
	add_to_batch(mnt->ino, 1000, 1);
	reset();
	is_int(fill_batch(mnt), 0, "where no block is stored");
	is_int(probe->bss->fills_begun, 0, "nothing is told");
}

static void test_two_files(const struct test_mount *mnt)
{
	__u64 second = make_file(&mnt->fs, INCFS_ROOT_INODE, "second", 8 * BLOCK - 100);

	reset();
	add_to_batch(mnt->ino, 60, 2);
	add_to_batch(second, 0, 7);
	add_to_batch(mnt->ino, 62, 2);
	is_int(fill_batch(mnt), 11, "blocks of two files in one batch");
	is_int(probe->bss->fills_ended, 3, "are told of apart");
	ok(told(0, mnt->ino, 60, 2) && told(1, second, 0, 7) && told(2, mnt->ino, 62, 2),
	   "with the file of each");
	is_int(probe->bss->fills[1].file_blocks, 8, "and its size");
	reset();
	fill_raw(&mnt->fs, second, 7, BLOCK - 100);
	ok(told(0, second, 7, 1), "and the last block, which is short");
}

static void test_write(const struct test_mount *mnt)
{
	struct incfs_new_data_block blocks[8];
	int i;

	reset();
	for (i = 0; i < 8; i++) {
		expected_block(mnt->ino, 70 + i, batch.data[i]);
		blocks[i] = raw_block(mnt->ino, 70 + i, batch.data[i], BLOCK);
	}
	blocks[5].file_ino = 999;
	is_int(write(mnt->fs.cmd, blocks, sizeof(blocks)), 5 * sizeof(blocks[0]),
	       "a write that ends early");
	ok(probe->bss->fills_ended == 1 && told(0, mnt->ino, 70, 5), "is told of as one");
	is_errno(write(mnt->fs.cmd, &blocks[5], sizeof(blocks[5])), ENOENT, "one that fails");
	is_int(probe->bss->fills_ended, 1, "is not");
}

static void test_share(const struct test_mount *mnt)
{
	__u64 ino = make_file(&mnt->fs, INCFS_ROOT_INODE, "third", 200 * BLOCK);
	struct incfs_share share = { .from_ino = mnt->ino, .to_ino = ino, .count = 200 };

	/* From what the tests before have stored: 2-21, 30-32, 39-40 and so on. */
	fill_blocks(&mnt->fs, mnt->ino, 80, 100);
	fill_blocks(&mnt->fs, ino, 10, 1);
	reset();
	is_int(ioctl(mnt->fs.cmd, INCFS_IOC_SHARE, &share), 0, "blocks are shared");
	ok(told(0, ino, 2, 8) && told(1, ino, 11, 11) && told(2, ino, 30, 3) && told(3, ino, 39, 2),
	   "which is told of the file that gets them, but for those that are there");
	ok(told(probe->bss->fills_ended - 1, ino, 80, 100), "and in runs as long as they are");
}

static void *fill_one(void *arg)
{
	const struct test_mount *mnt = arg;

	fill(mnt, 200, 1);
	return NULL;
}

/* The reader has its block although the policy is busy with the news. */
static void test_after_readers(struct test_mount *mnt)
{
	struct reader reader;
	pthread_t thread;

	start_reader(&reader, mnt, 200);
	if (!wait_until(count_pending(&mnt->fs) == 1))
		bail_out("no reader waits");
	reset();
	probe->bss->hold_fills = 1;
	if (pthread_create(&thread, NULL, fill_one, mnt))
		bail_out("thread");
	is_int(end_reader(&reader, mnt), GOT_BLOCK, "a reader is served");
	is_int(peek(&probe->bss->fills_ended), 0, "before the policy has taken notice");
	probe->bss->hold_fills = 0;
	pthread_join(thread, NULL);
	is_int(probe->bss->fills_ended, 1, "it does, before the fill is over");
}

/* A batch by another process, of another user. */
static void test_who(const struct test_mount *mnt)
{
	pid_t pid;

	reset();
	pid = must_fork();
	if (!pid) {
		setfsuid(4321);
		add_to_batch(mnt->ino, 210, 1);
		_exit(fill_batch(mnt) != 1);
	}
	is_int(wait_exit(pid), 0, "another process fills");
	is_int(probe->bss->fills[0].tgid, pid, "the policy is told which");
	is_int(probe->bss->fills[0].uid, 4321, "and of which user");
}

/* Not for those who have come to the policy since. */
static void test_choice(const struct test_mount *mnt)
{
	reset();
	set_policy(mnt, "none");
	fill(mnt, 220, 1);
	set_policy(mnt, "filled");
	is_int(probe->bss->fills_begun, 0, "a mount without the policy tells it nothing");
	fill(mnt, 221, 1);
	ok(told(0, mnt->ino, 221, 1), "and with it again it does");
}

int main(void)
{
	struct test_mount mnt;

	libbpf_set_print(NULL);
	probe = start_probe("filled", 0);
	mnt = make_mount("filled", "read_timeout_ms=0,policy=filled", 256);
	test_run(&mnt);
	test_stored(&mnt);
	test_gaps(&mnt);
	test_failed(&mnt);
	test_two_files(&mnt);
	test_write(&mnt);
	test_share(&mnt);
	test_after_readers(&mnt);
	test_who(&mnt);
	test_choice(&mnt);
	end_mount(&mnt);
	is_int(probe->bss->asked, probe->bss->answered, "no call was left");
	ok(books_closed(probe), "and none came too early or too late");
	stop_probe(probe);
	return done();
}
