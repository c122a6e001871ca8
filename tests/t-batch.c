// SPDX-License-Identifier: GPL-2.0-only
/*
 * INCFS_IOC_FILL: many blocks in one call, a result for each, and many loaders
 * at once.
 *
 * timeout: 240
 */
#define _GNU_SOURCE
#include <lz4.h>
#include <signal.h>

#include "lib/incfs.h"
#include "lib/tap.h"

#define MANY INCFS_FILL_MAX
#define LOADERS 6
#define RACED 192

static struct test_fs fs;	/* waits for ever */
static __u64 file;
static char data[MANY][BLOCK];
static struct incfs_fill_block blocks[MANY + 1];

static unsigned long fill_of_size(unsigned int size)
{
	return _IOC(_IOC_READ | _IOC_WRITE, INCFS_IOCTL_BASE_CODE, 42, size);
}

static struct incfs_fill_block fill_block(__u64 ino, __u32 block, void *to)
{
	expected_block(ino, block, to);
	return (struct incfs_fill_block) {
		.ino = ino, .block = block, .len = BLOCK, .data = (unsigned long)to,
		.result = 12345,
	};
}

static int try_batch(int cmd, struct incfs_fill_block *array, __u32 count, __u32 *filled)
{
	struct incfs_fill fill = {
		.blocks = (unsigned long)array, .count = count, .filled = 12345,
	};
	int ret = ioctl(cmd, INCFS_IOC_FILL, &fill);

	*filled = fill.filled;
	return ret;
}

static void test_forms(void)
{
	char packed[LZ4_COMPRESSBOUND(BLOCK)];
	struct reader readers[2];
	__u32 filled;

	reader_start(&readers[0], &fs, "file", 1, READ_PREAD);
	reader_start(&readers[1], &fs, "file", 1, READ_MAPPED);
	blocks[0] = fill_block(file, 0, data[0]);
	blocks[1] = fill_block(file, 1, data[1]);
	blocks[1].len = LZ4_compress_default(data[1], packed, BLOCK, sizeof(packed));
	blocks[1].data = (unsigned long)packed;
	blocks[1].compression = COMPRESSION_LZ4;
	is_int(try_batch(fs.cmd, blocks, 2, &filled), 0, "a batch of a raw and an LZ4 block");
	is_int(filled, 2, "it tells that both were filled");
	ok(!blocks[0].result && !blocks[1].result, "so do their results");
	ok(block_reads(&fs, "file", file, 0, BLOCK), "the raw block reads as it was");
	ok(block_reads(&fs, "file", file, 1, BLOCK), "the LZ4 block reads as it was");
	ok(reader_join(&readers[0]) == BLOCK && reader_join(&readers[1]) == BLOCK &&
	   is_expected(file, 1, readers[0].data, BLOCK) &&
	   is_expected(file, 1, readers[1].data, BLOCK), "readers have been woken");
}

static void test_results(void)
{
	static const int want[] = {
		0, -E2BIG, -EINVAL, -EINVAL, -EINVAL, -EFAULT, -ENOENT, -ENOENT, -EISDIR,
		-ERANGE, 0, 0,
	};
	char other[BLOCK] = "other", present[128];
	struct stat before, after;
	__u32 filled, i;

	for (i = 0; i < 12; i++)
		blocks[i] = fill_block(file, 10 + i, data[i]);
	blocks[1].len = INCFS_MAX_BLOCK_DATA + 1;
	blocks[2].len = BLOCK + 1;
	blocks[3].len = 0;
	blocks[4].compression = 2;
	blocks[5].data = 8;
	blocks[6].ino = 999;
	blocks[7].ino = INCFS_COMMAND_INODE;
	blocks[8].ino = INCFS_ROOT_INODE;
	blocks[9].block = 1 << 20;
	is_int(try_batch(fs.cmd, blocks, 12, &filled), 0, "a batch with bad blocks is tried");
	is_int(filled, 3, "it tells how many were good");
	for (i = 0; i < 12; i++)
		is_int(blocks[i].result, want[i], "block %u has its own result", i);
	show_present(&fs, file, present, sizeof(present));
	is_str(present, "0-1,10-10,20-21", "the good ones are stored, the others not");

	blocks[0] = fill_block(file, 0, data[0]);
	blocks[0].data = (unsigned long)other;
	stat(fs.image, &before);
	is_int(try_batch(fs.cmd, blocks, 1, &filled), 0, "a block that is present is no fault");
	stat(fs.image, &after);
	ok(filled == 1 && !blocks[0].result, "its result is 0");
	ok(block_reads(&fs, "file", file, 0, BLOCK) && before.st_size == after.st_size,
	   "its data is what it was, and the image does not grow");
}

static void test_refusals(void)
{
	struct incfs_fill fill, good = { .blocks = (unsigned long)blocks, .count = 1 };
	struct {
		struct incfs_fill fill;
		__u64 more;
	} larger = { .fill = good };
	int fd = fs_open_cmd(&fs, O_RDONLY);
	char *page = mmap(NULL, 3 * BLOCK, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct incfs_fill_block *edge;
	char present[128];
	__u32 filled;

	blocks[0] = fill_block(file, 30, data[0]);
	fill = good;
	fill.count = 0;
	is_errno(ioctl(fs.cmd, INCFS_IOC_FILL, &fill), EINVAL, "a batch of nothing is refused");
	fill.count = MANY + 1;
	is_errno(ioctl(fs.cmd, INCFS_IOC_FILL, &fill), EINVAL, "one block too many is refused");
	fill = good;
	fill.reserved = 1;
	is_errno(ioctl(fs.cmd, INCFS_IOC_FILL, &fill), EINVAL,
		 "a reserved member that is set is refused");
	fill = good;
	fill.blocks = 8;
	is_errno(ioctl(fs.cmd, INCFS_IOC_FILL, &fill), EFAULT,
		 "blocks at a bad address are refused");
	is_errno(ioctl(fs.cmd, INCFS_IOC_FILL, NULL), EFAULT,
		 "an argument at a bad address is refused");
	is_errno(try_batch(fd, blocks, 1, &filled), EBADF,
		 "a descriptor that is open for reading only is refused");
	is_errno(ioctl(fs.cmd, fill_of_size(16), &good), EINVAL,
		 "a structure that never was so small is refused");
	larger.more = 1;
	is_errno(ioctl(fs.cmd, fill_of_size(sizeof(larger)), &larger), E2BIG,
		 "a member that the kernel does not know must be 0");
	memcpy(page, &good, sizeof(good));
	mprotect(page, BLOCK, PROT_READ);
	is_errno(ioctl(fs.cmd, INCFS_IOC_FILL, page), EFAULT,
		 "an argument that can't take the reply is refused");
	show_present(&fs, file, present, sizeof(present));
	is_str(present, "0-1,10-10,20-21", "nothing was stored by what was refused");
	larger.more = 0;
	is_int(ioctl(fs.cmd, fill_of_size(sizeof(larger)), &larger), 0,
	       "a larger structure is taken");
	is_int(larger.fill.filled, 1, "and answered");

	/* The second block is where nothing can be read. */
	edge = (struct incfs_fill_block *)(page + 2 * BLOCK) - 1;
	*edge = fill_block(file, 31, data[0]);
	mprotect(page + 2 * BLOCK, BLOCK, PROT_NONE);
	is_errno(try_batch(fs.cmd, edge, 2, &filled), EFAULT, "an array that ends early is refused");
	ok(filled == 1 && !edge->result, "after what there was of it");
	*edge = fill_block(file, 32, data[0]);
	mprotect(page + BLOCK, BLOCK, PROT_READ);
	is_errno(try_batch(fs.cmd, edge, 1, &filled), EFAULT,
		 "a result that can't be told fails the call");
	is_int(filled, 0, "and is not counted");
	munmap(page, 3 * BLOCK);
	close(fd);
}

static void test_many(void)
{
	__u64 ino = make_file(&fs, INCFS_ROOT_INODE, "many", (__u64)MANY * BLOCK);
	bool right = true;
	__u32 filled, i;

	for (i = 0; i < MANY; i++)
		blocks[i] = fill_block(ino, i, data[i]);
	is_int(try_batch(fs.cmd, blocks, MANY, &filled), 0, "as many blocks as there may be");
	is_int(filled, MANY, "are all filled");
	for (i = 0; i < MANY; i++)
		right &= block_reads(&fs, "many", ino, i, BLOCK);
	ok(right, "and read as they were");
}

/* The descriptor of another user is what allows it: that is what it is for. */
static void test_credentials(void)
{
	__u32 filled;
	pid_t pid;

	blocks[0] = fill_block(file, 40, data[0]);
	pid = must_fork();
	if (!pid) {
		if (setgid(65534) || setuid(65534))
			_exit(99);
		_exit(try_batch(fs.cmd, blocks, 1, &filled) ? errno : -blocks[0].result);
	}
	is_int(wait_exit(pid), 0, "whoever has the descriptor may fill by ioctl");
	ok(block_reads(&fs, "file", file, 40, BLOCK), "what it filled is stored");
}

/* What is to be filled may itself be waited for. */
static void test_killed(void)
{
	int fd = fs_open(&fs, "file"), cmd = fs_open_cmd(&fs, O_RDONLY);
	struct incfs_pending_read_info info;
	__u32 filled;
	pid_t pid;
	void *map;

	map = mmap(NULL, BLOCK, PROT_READ, MAP_SHARED, fd, 50 * BLOCK);
	madvise(map, BLOCK, MADV_RANDOM);
	blocks[0] = fill_block(file, 51, data[0]);
	blocks[0].data = (unsigned long)map;
	blocks[1] = fill_block(file, 52, data[1]);
	pid = must_fork();
	if (!pid)
		_exit(try_batch(fs.cmd, blocks, 2, &filled) ? errno : 0);
	take_pending(cmd, &info, 1);
	is_int(info.block_index, 50, "a fill may have to wait for its data");
	kill(pid, SIGKILL);
	is_int(wait_exit(pid), 128 + SIGKILL, "and can be killed then");
	is_errno(ioctl(fd, INCFS_IOC_FILL, NULL), ENOTTY, "files other than .cmd know no fills");
	is_int(count_pending(&fs), 0, "nothing is left of the wait");
	munmap(map, BLOCK);
	close(cmd);
	close(fd);
}

static void test_full(void)
{
	struct test_fs full = { .image = "full/image", .dir = "full-mnt" };
	__u32 filled, again, i, stored = 0;
	bool right = true;
	__u64 ino;

	mkdir("full", 0755);
	if (mount("tmpfs", "full", "tmpfs", 0, "size=1m"))
		bail_out("tmpfs");
	fs_mount(&full);
	ino = make_file(&full, INCFS_ROOT_INODE, "file", 512 * BLOCK);
	for (i = 0; i < 512; i++)
		blocks[i] = fill_block(ino, i, data[i]);
	is_int(try_batch(full.cmd, blocks, 512, &filled), 0,
	       "a batch that the image has no room for is tried");
	for (i = 0; i < 512; i++) {
		right &= !blocks[i].result || blocks[i].result == -ENOSPC;
		stored += !blocks[i].result;
	}
	ok(right && filled == stored && stored > 100 && stored < 256,
	   "as many blocks are stored as fit, for the others it is ENOSPC (%u)", stored);
	if (mount("tmpfs", "full", "tmpfs", MS_REMOUNT, "size=8m"))
		bail_out("remount tmpfs");
	is_int(try_batch(full.cmd, blocks, 512, &again), 0, "with room again the same batch");
	is_int(again, 512, "is filled as a whole");
	for (i = 0; i < 512; i++)
		right &= block_reads(&full, "file", ino, i, BLOCK);
	ok(right, "each block reads as it was");
	fs_unmount(&full);
	umount("full");
}

/* Neighbours are stored together, whatever lies between them. */
static void test_runs(void)
{
	char packed[48][LZ4_COMPRESSBOUND(BLOCK)], present[64];
	__u64 ino = make_file(&fs, INCFS_ROOT_INODE, "runs", 64 * BLOCK);
	__u32 filled, n = 0, i, raw = 0;
	struct stat before, after;
	bool right = true;
	off_t sum = 0;

	fill_raw(&fs, ino, 5, BLOCK);
	fill_lz4(&fs, ino, 9, BLOCK);
	for (i = 0; i < 48; i++) {
		if (i == 11)
			continue;
		blocks[n] = fill_block(ino, i, data[n]);
		/* What is stored already must not change. */
		if (i == 5 || i == 9)
			memset(data[n], 'x', BLOCK);
		if (i == 20)
			blocks[n].data = 8;
		if (i % 3 == 1) {
			blocks[n].len = LZ4_compress_default(data[n], packed[i], BLOCK,
							     sizeof(packed[i]));
			blocks[n].data = (unsigned long)packed[i];
			blocks[n].compression = COMPRESSION_LZ4;
		}
		if (i != 5 && i != 9 && i != 20) {
			sum += blocks[n].len;
			raw += blocks[n].len == BLOCK;
		}
		n++;
	}
	stat(fs.image, &before);
	is_int(try_batch(fs.cmd, blocks, n, &filled), 0, "a batch of runs, raw and LZ4");
	is_int(filled, n - 1, "all but one are filled");
	for (i = 0; i < n; i++)
		right &= blocks[i].result == (blocks[i].block == 20 ? -EFAULT : 0);
	ok(right, "the one in their middle that could not be read has its result");
	stat(fs.image, &after);
	/* Each piece begins at a block: of 48 there are two, or three where one ends early. */
	ok(after.st_size - before.st_size <= sum + 4 * BLOCK,
	   "they lie together in the image (%u raw)", raw);
	show_present(&fs, ino, present, sizeof(present));
	is_str(present, "0-10,12-19,21-47", "what was not handed over is absent");
	for (i = 0; i < 48; i++)
		right &= i == 11 || i == 20 || block_reads(&fs, "runs", ino, i, BLOCK);
	ok(right, "each block reads as it was, those stored before as they were");
	fs_cycle(&fs);
	for (i = 0; i < 48; i++)
		right &= i == 11 || i == 20 || block_reads(&fs, "runs", ino, i, BLOCK);
	ok(right, "after a remount, too");
}

/* What a call hands over may have to be read from what it has handed over before. */
static void test_own_data(void)
{
	__u64 ino = make_file(&fs, INCFS_ROOT_INODE, "own", 4 * BLOCK);
	char *map, got[BLOCK];
	__u32 filled;
	int fd = fs_open(&fs, "own");

	map = mmap(NULL, BLOCK, PROT_READ, MAP_SHARED, fd, 0);
	madvise(map, BLOCK, MADV_RANDOM);
	blocks[0] = fill_block(ino, 0, data[0]);
	blocks[1] = fill_block(ino, 1, data[1]);
	blocks[1].data = (unsigned long)map;
	is_int(try_batch(fs.cmd, blocks, 2, &filled), 0,
	       "the data of a block is that of its neighbour in the same call");
	is_int(filled, 2, "both are filled");
	ok(read_block(&fs, "own", 1, got) == BLOCK && is_expected(ino, 0, got, BLOCK),
	   "and the second is as the first");
	munmap(map, BLOCK);
	close(fd);
}

/* A loader with a descriptor of its own; its exit code is 0 if all went well. */
static pid_t fork_loader(__u64 ino, int number)
{
	static char packed[RACED][LZ4_COMPRESSBOUND(BLOCK)];
	__u32 filled, i, index;
	pid_t pid;
	int cmd;

	pid = must_fork();
	if (pid)
		return pid;
	cmd = fs_open_cmd(&fs, O_RDWR);
	for (i = 0; i < RACED; i++) {
		/* Runs that overlap, and blocks one by one. */
		index = number % 2 ? RACED - 1 - i : (i + 5 * number) % RACED;
		blocks[i] = fill_block(ino, index, data[i]);
		if (number % 3)
			continue;
		blocks[i].len = LZ4_compress_default(data[i], packed[i], BLOCK,
						     sizeof(packed[i]));
		blocks[i].data = (unsigned long)packed[i];
		blocks[i].compression = COMPRESSION_LZ4;
	}
	for (i = 0; i < RACED; i += 16) {
		if (try_batch(cmd, &blocks[i], 16, &filled))
			_exit(errno);
		if (filled != 16)
			_exit(99);
	}
	_exit(0);
}

static void test_loaders(void)
{
	__u64 ino = make_file(&fs, INCFS_ROOT_INODE, "raced", (__u64)RACED * BLOCK);
	struct incfs_stats before, after;
	struct reader readers[16];
	pid_t pids[LOADERS];
	bool right = true;
	__u32 i;

	for (i = 0; i < 16; i++)
		reader_start(&readers[i], &fs, "raced", i * (RACED / 16),
			     i % 2 ? READ_MAPPED : READ_PREAD);
	if (ioctl(fs.cmd, INCFS_IOC_GET_STATS, &before))
		bail_out("GET_STATS");
	for (i = 0; i < LOADERS; i++)
		pids[i] = fork_loader(ino, i);
	for (i = 0; i < LOADERS; i++)
		is_int(wait_exit(pids[i]), 0, "of many loaders at once, number %u succeeds", i);
	ioctl(fs.cmd, INCFS_IOC_GET_STATS, &after);
	is_int(after.blocks_filled - before.blocks_filled, RACED, "each block is stored once");
	for (i = 0; i < 16; i++)
		right &= reader_join(&readers[i]) == BLOCK &&
			 is_expected(ino, readers[i].block, readers[i].data, BLOCK);
	ok(right, "readers that waited meanwhile read what it is");
	for (i = 0; i < RACED; i++)
		right &= block_reads(&fs, "raced", ino, i, BLOCK);
	ok(right, "each block reads as it was");
	fs_cycle(&fs);
	for (i = 0; i < RACED; i++)
		right &= block_reads(&fs, "raced", ino, i, BLOCK);
	ok(right, "after a remount, too");
}

int main(void)
{
	fs_mount_new(&fs, "fs", "read_timeout_ms=0");
	file = make_file(&fs, INCFS_ROOT_INODE, "file", 64 * BLOCK);
	test_forms();
	test_results();
	test_refusals();
	test_many();
	test_credentials();
	test_killed();
	test_runs();
	test_own_data();
	test_loaders();
	fs_unmount(&fs);
	test_full();
	return done();
}
