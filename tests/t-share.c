// SPDX-License-Identifier: GPL-2.0-only
/*
 * INCFS_IOC_SHARE: blocks of a file refer to the stored bytes of another. What is
 * stored already never changes, nothing is copied, and nobody sees a byte that is
 * not the other's.
 */
#define _GNU_SOURCE
#include "lib/incfs.h"
#include "lib/tap.h"

#define MANY 5000	/* blocks: more than one call looks at */

static struct test_fs fs;

static struct incfs_share share_arg(__u64 from, __u32 from_block, __u64 to, __u32 to_block,
				    __u32 count)
{
	return (struct incfs_share) {
		.from_ino = from,
		.to_ino = to,
		.from_block = from_block,
		.to_block = to_block,
		.count = count,
	};
}

/* How many came to be shared by one call, or -1. */
static int share(__u64 from, __u32 from_block, __u64 to, __u32 to_block, __u32 count)
{
	struct incfs_share arg = share_arg(from, from_block, to, to_block, count);

	if (ioctl(fs.cmd, INCFS_IOC_SHARE, &arg))
		return -1;
	if (arg.done != count)
		diag("done is %u of %u", arg.done, count);
	return arg.shared;
}

static off_t image_size(void)
{
	struct stat st;

	if (stat(fs.image, &st))
		bail_out("stat %s", fs.image);
	return st.st_size;
}

static void is_present(__u64 ino, const char *want, const char *what)
{
	char present[256];

	show_present(&fs, ino, present, sizeof(present));
	is_str(present, want, "%s", what);
}

/* Does block @block of @name read as @from_block of inode @from? */
static bool reads_as(const char *name, __u32 block, __u64 from, __u32 from_block, size_t len)
{
	char buf[BLOCK] = {};

	return read_block(&fs, name, block, buf) > 0 && is_expected(from, from_block, buf, len);
}

static void test_files(void)
{
	__u64 from = make_file(&fs, INCFS_ROOT_INODE, "from", 8 * BLOCK);
	__u64 to = make_file(&fs, INCFS_ROOT_INODE, "to", 10 * BLOCK);
	char buf[BLOCK];
	off_t before;

	fill_blocks(&fs, from, 0, 3);
	fill_lz4(&fs, from, 3, BLOCK);
	fill_blocks(&fs, from, 6, 2);
	fill_raw(&fs, to, 4, BLOCK);
	before = image_size();
	is_int(share(from, 0, to, 2, 8), 5, "blocks that are there and are not here are shared");
	is_int(image_size(), before, "the image has not grown");
	is_present(to, "2-5,8-9", "they are present, others are not");
	is_present(from, "0-3,6-7", "nothing happens to the file that has them");
	ok(reads_as("to", 2, from, 0, BLOCK) && reads_as("to", 3, from, 1, BLOCK) &&
	   reads_as("to", 9, from, 7, BLOCK), "they read as those of the other file");
	ok(reads_as("to", 5, from, 3, BLOCK), "so does an LZ4 block");
	ok(reads_as("to", 4, to, 4, BLOCK), "a block that was present is as it was");
	is_errno(read_block(&fs, "to", 0, buf), ETIME, "a block that was not named is absent");
	is_int(share(from, 0, to, 2, 8), 0, "the second time nothing is left to share");
	is_int(share(from, 4, to, 0, 1), 0, "an absent block is not shared");
	fill_raw(&fs, to, 6, BLOCK);
	ok(reads_as("to", 6, to, 6, BLOCK), "it can be filled");
	is_int(share(from, 0, from, 4, 2), 2, "blocks of one file can be shared among themselves");
	ok(reads_as("from", 5, from, 1, BLOCK), "and read right");
	fs_cycle(&fs);
	is_present(to, "2-6,8-9", "after a remount the same blocks are present");
	ok(reads_as("to", 2, from, 0, BLOCK) && reads_as("to", 5, from, 3, BLOCK) &&
	   reads_as("to", 4, to, 4, BLOCK) && reads_as("from", 5, from, 1, BLOCK),
	   "and read the same");
}

static void test_tails(void)
{
	__u64 a = make_file(&fs, INCFS_ROOT_INODE, "tail-a", 2 * BLOCK + 100);
	__u64 b = make_file(&fs, INCFS_ROOT_INODE, "tail-b", BLOCK + 100);
	__u64 c = make_file(&fs, INCFS_ROOT_INODE, "tail-c", BLOCK + 99);
	__u64 d = make_file(&fs, INCFS_ROOT_INODE, "tail-d", 4 * BLOCK);

	fill_raw(&fs, a, 0, BLOCK);
	/* More than the tail is stored; no file may show it. */
	fill_raw(&fs, a, 2, BLOCK);
	is_int(share(a, 2, b, 1, 1), 1, "a tail is shared with one of the same length");
	ok(reads_as("tail-b", 1, a, 2, 100), "and reads right, with zeros behind it");
	is_int(share(a, 2, c, 1, 1), 0, "not with a shorter one");
	is_int(share(a, 2, d, 0, 1), 0, "nor with a whole block");
	is_int(share(a, 0, c, 1, 1), 0, "nor is a whole block with a tail");
	is_int(share(a, 0, d, 1, 3), 1, "of a range what fits is shared");
	is_present(d, "1-1", "and nothing else");
}

static void test_refused(void)
{
	__u64 from = make_file(&fs, INCFS_ROOT_INODE, "r-from", 4 * BLOCK);
	__u64 to = make_file(&fs, INCFS_ROOT_INODE, "r-to", 4 * BLOCK);
	__u64 dir = make_dir(&fs, INCFS_ROOT_INODE, "r-dir");
	struct incfs_share arg;
	int fd;

	fill_blocks(&fs, from, 0, 4);
	is_errno(share(from, 0, to, 0, 0), EINVAL, "no block at all is refused");
	arg = share_arg(from, 0, to, 0, 1);
	arg.reserved = 1;
	is_errno(ioctl(fs.cmd, INCFS_IOC_SHARE, &arg), EINVAL, "a reserved member is");
	is_errno(share(99999, 0, to, 0, 1), ENOENT, "an unknown file to share from is");
	is_errno(share(from, 0, 99999, 0, 1), ENOENT, "an unknown file to share with is");
	is_errno(share(~0ull, 0, to, 0, 1), ENOENT, "an inode number of 64 bits is");
	is_errno(share(dir, 0, to, 0, 1), EISDIR, "a directory to share from is");
	is_errno(share(from, 0, dir, 0, 1), EISDIR, "a directory to share with is");
	is_errno(share(from, 4, to, 0, 1), ERANGE, "a block past the end of the one is");
	is_errno(share(from, 0, to, 4, 1), ERANGE, "a block past the end of the other is");
	is_errno(share(from, 1, to, 0, 4), ERANGE, "a range that ends past it is");
	is_errno(share(from, 0, to, 1, ~0u), ERANGE, "a range that wraps around is");
	is_errno(share(from, 0, from, 1, 2), EINVAL, "a range that overlaps the other is");
	is_errno(share(from, 2, from, 1, 2), EINVAL, "also from the other side");
	is_errno(share(from, 1, from, 1, 1), EINVAL, "also itself");
	is_errno(ioctl(fs.cmd, INCFS_IOC_SHARE, 8), EFAULT, "a bad address is");
	is_errno(ioctl(fs.cmd, _IOWR(INCFS_IOCTL_BASE_CODE, 47, __u64[4]), &arg), EINVAL,
		 "a structure that never was so small is");
	arg = share_arg(from, 0, to, 0, 1);
	fd = fs_open_cmd(&fs, O_RDONLY);
	is_errno(ioctl(fd, INCFS_IOC_SHARE, &arg), EBADF, "a descriptor for reading is");
	close(fs.cmd);
	if (mount("any", fs.dir, NULL, MS_REMOUNT | MS_RDONLY, NULL))
		bail_out("remount read-only");
	is_errno(ioctl(fd, INCFS_IOC_SHARE, &arg), EROFS, "a read-only mount is");
	if (mount("any", fs.dir, NULL, MS_REMOUNT, NULL))
		bail_out("remount");
	close(fd);
	fs.cmd = fs_open_cmd(&fs, O_RDWR);
	is_present(to, "none", "nothing was shared");
	is_int(share(from, 0, from, 2, 2), 0, "ranges that only touch are not refused");
}

static void test_many(void)
{
	__u64 from = make_file(&fs, INCFS_ROOT_INODE, "many", (__u64)MANY * BLOCK);
	__u64 to = make_file(&fs, INCFS_ROOT_INODE, "more", (__u64)MANY * BLOCK);
	struct incfs_share arg = share_arg(from, 0, to, 0, MANY);
	struct incfs_stats before, after;
	__u32 done = 0, shared = 0;
	int calls = 0;

	fill_blocks(&fs, from, MANY - 40, 40);
	ioctl(fs.cmd, INCFS_IOC_GET_STATS, &before);
	while (done < MANY && calls < MANY) {
		arg = share_arg(from, done, to, done, MANY - done);
		if (ioctl(fs.cmd, INCFS_IOC_SHARE, &arg) || !arg.done)
			bail_out("INCFS_IOC_SHARE");
		done += arg.done;
		shared += arg.shared;
		calls++;
	}
	ok(calls > 1, "a call looks at a bounded number of blocks (%d calls)", calls);
	is_int(done, MANY, "the next one goes on where it stopped");
	is_int(shared, 40, "and all are shared in the end");
	ioctl(fs.cmd, INCFS_IOC_GET_STATS, &after);
	is_int(after.blocks_shared - before.blocks_shared, 40, "the mount counts them");
	is_int(after.blocks_filled - before.blocks_filled, 0, "and not as filled");
	ok(reads_as("more", MANY - 1, from, MANY - 1, BLOCK), "the last one reads right");
}

static void test_waiting(void)
{
	__u64 from = make_file(&fs, INCFS_ROOT_INODE, "w-from", BLOCK);
	__u64 to = make_file(&fs, INCFS_ROOT_INODE, "w-to", 2 * BLOCK);
	struct incfs_pending_read_info info;
	struct reader readers[2];
	int i;

	if (mount("any", fs.dir, NULL, MS_REMOUNT, "read_timeout_ms=0"))
		bail_out("remount");
	fill_raw(&fs, from, 0, BLOCK);
	for (i = 0; i < 2; i++)
		reader_start(&readers[i], &fs, "w-to", 1, i ? READ_MAPPED : READ_PREAD);
	take_pending(fs.cmd, &info, 1);
	is_int(share(from, 0, to, 1, 1), 1, "a block that is waited for is shared");
	for (i = 0; i < 2; i++) {
		is_int(reader_join(&readers[i]), BLOCK, "its reader wakes (%d)", i);
		ok(is_expected(from, 0, readers[i].data, BLOCK), "and has what is shared (%d)", i);
	}
	if (mount("any", fs.dir, NULL, MS_REMOUNT, "read_timeout_ms=50"))
		bail_out("remount");
}

/* One byte on the disk, two blocks that have it. */
static void test_damage(void)
{
	__u64 a = make_file(&fs, INCFS_ROOT_INODE, "bad-a", 2 * BLOCK);
	__u64 b = make_file(&fs, INCFS_ROOT_INODE, "bad-b", 2 * BLOCK);
	__u64 c = make_file(&fs, INCFS_ROOT_INODE, "bad-c", 2 * BLOCK);
	char want[BLOCK], *map, *found;
	off_t size;
	int fd;

	fill_blocks(&fs, a, 0, 2);
	is_int(share(a, 0, b, 0, 2), 2, "two blocks are shared");
	fd = open(fs.image, O_RDWR);
	size = image_size();
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	expected_block(a, 1, want);
	found = memmem(map, size, want, BLOCK);
	if (!found || memmem(found + 1, size - (found + 1 - map), want, BLOCK))
		bail_out("the stored bytes are not there once");
	found[7] ^= 1;
	is_errno(read_block(&fs, "bad-a", 1, want), ETIME,
		 "a shared block that is damaged is not read in the one file");
	is_present(a, "0-0", "it counts as absent there");
	is_int(share(a, 0, c, 0, 2), 1, "and is not shared any more");
	is_int(share(b, 1, a, 1, 1), 0, "not back either, from where nobody has noticed");
	is_errno(read_block(&fs, "bad-b", 1, want), ETIME, "nor is it read in the other");
	is_present(b, "0-0", "where it counts as absent, too");
	fill_raw(&fs, a, 1, BLOCK);
	ok(reads_as("bad-a", 1, a, 1, BLOCK), "it heals in the one when it is filled");
	is_errno(read_block(&fs, "bad-b", 1, want), ETIME, "which does not heal the other");
	is_int(share(a, 1, b, 1, 1), 1, "that heals when it is shared again");
	ok(reads_as("bad-b", 1, a, 1, BLOCK), "and reads right");
	munmap(map, size);
	close(fd);
	fs_cycle(&fs);
	ok(reads_as("bad-a", 1, a, 1, BLOCK) && reads_as("bad-b", 1, a, 1, BLOCK) &&
	   reads_as("bad-b", 0, a, 0, BLOCK), "both are right after a remount");
}

/* A file that its image has no block map for gets one. */
static void test_no_map(void)
{
	struct test_fs old = fs;
	char text[4096];
	__u64 from;

	fs = (struct test_fs) { .image = "foreign.img", .dir = "foreign",
				.options = "read_timeout_ms=50" };
	if (image_tool("write", fs.image, text, sizeof(text)))
		bail_out("image.py: %s", text);
	fs_mount(&fs);
	is_int(share(77, 3, 61, 0, 1), 0, "nothing is shared with a file without a block map");
	from = make_file(&fs, INCFS_ROOT_INODE, "from", 3 * BLOCK);
	fill_blocks(&fs, from, 0, 3);
	is_int(share(from, 1, 61, 1, 1), 1, "the block map is made when there is something");
	ok(reads_as("no-map", 1, from, 1, BLOCK), "and the block reads right");
	fs_cycle(&fs);
	ok(reads_as("no-map", 1, from, 1, BLOCK), "also after a remount");
	is_present(61, "1-1", "and it alone is present");
	fs_unmount(&fs);
	fs = old;
}

#define ROUNDS 40
#define RACE 64

static __u64 race_a, race_b;

static void *share_both_ways(void *arg)
{
	int round;
	bool flip = arg;

	for (round = 0; round < ROUNDS * 4; round++) {
		if (share(flip ? race_a : race_b, 0, flip ? race_b : race_a, 0, RACE) < 0)
			bail_out("INCFS_IOC_SHARE");
	}
	return NULL;
}

/* Two files whose blocks are filled with the same while each is shared with the other. */
static void test_race(void)
{
	pthread_t threads[2];
	char buf[BLOCK];
	__u32 i, right = 0;

	race_a = make_file(&fs, INCFS_ROOT_INODE, "race-a", RACE * BLOCK);
	race_b = make_file(&fs, INCFS_ROOT_INODE, "race-b", RACE * BLOCK);
	for (i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, share_both_ways, i ? &race_a : NULL);
	for (i = 0; i < RACE; i++) {
		struct incfs_new_data_block block =
			raw_block(i % 2 ? race_a : race_b, i, buf, BLOCK);

		expected_block(race_a, i, buf);
		if (try_fill(fs.cmd, &block))
			bail_out("fill");
		read_block(&fs, i % 2 ? "race-b" : "race-a", i / 2, buf);
	}
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	share_both_ways(NULL);
	share_both_ways(&race_a);
	for (i = 0; i < RACE; i++)
		right += reads_as("race-a", i, race_a, i, BLOCK) &&
			 reads_as("race-b", i, race_a, i, BLOCK);
	is_int(right, RACE, "blocks that are filled and shared both ways at once are right");
}

int main(void)
{
	fs_mount_new(&fs, "share", "read_timeout_ms=50");
	test_files();
	test_tails();
	test_refused();
	test_many();
	test_waiting();
	test_damage();
	test_no_map();
	test_race();
	fs_unmount(&fs);
	return done();
}
