// SPDX-License-Identifier: GPL-2.0-only
/* Blocks that are handed over: what is stored of them, and what is refused. */
#define _GNU_SOURCE
#include <lz4.h>
#include <sys/fsuid.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "lib/incfs.h"
#include "lib/tap.h"

#define TAIL 1234
#define SIZE (63 * BLOCK + TAIL)	/* 64 blocks */

static struct test_fs fs;
static __u64 file;

static void test_forms(void)
{
	struct incfs_new_data_block block;
	char data[BLOCK], noise[BLOCK], packed[LZ4_COMPRESSBOUND(BLOCK)], got[BLOCK];
	int len, i;
	__u64 one;
	void *map;

	fill_raw(&fs, file, 0, BLOCK);
	ok(block_reads(&fs, "file", file, 0, BLOCK), "a raw block reads as it was");
	fill_lz4(&fs, file, 1, BLOCK);
	ok(block_reads(&fs, "file", file, 1, BLOCK), "an LZ4 block reads as it was");
	fill_raw(&fs, file, 2, 100);
	ok(block_reads(&fs, "file", file, 2, 100), "bytes missing from a raw block are zeros");
	fill_raw(&fs, file, 3, 1);
	ok(block_reads(&fs, "file", file, 3, 1), "a raw block may be one byte");

	for (i = 0; i < BLOCK; i++)
		noise[i] = random();
	len = LZ4_compress_default(noise, packed, BLOCK, sizeof(packed));
	block = raw_block(file, 4, packed, len);
	block.compression = COMPRESSION_LZ4;
	is_int(try_fill(fs.cmd, &block), 0, "an LZ4 block longer than its data is taken (%d)", len);
	ok(read_block(&fs, "file", 4, got) == BLOCK && !memcmp(got, noise, BLOCK),
	   "and reads as it was");

	fill_raw(&fs, file, 63, TAIL);
	ok(read_block(&fs, "file", 63, got) == TAIL, "a raw tail is as long as the file says");
	memset(got + TAIL, 0, BLOCK - TAIL);
	ok(is_expected(file, 63, got, TAIL), "and reads as it was");
	one = make_file(&fs, INCFS_ROOT_INODE, "tails", TAIL);
	fill_lz4(&fs, one, 0, TAIL);
	ok(block_reads(&fs, "tails", one, 0, TAIL), "an LZ4 tail reads as it was");
	one = make_file(&fs, INCFS_ROOT_INODE, "whole", TAIL);
	expected_block(one, 0, data);
	block = raw_block(one, 0, data, BLOCK);
	is_int(try_fill(fs.cmd, &block), 0, "a whole page for the tail is taken");
	ok(block_reads(&fs, "whole", one, 0, TAIL), "and shows no more than the tail");
	i = fs_open(&fs, "whole");
	map = mmap(NULL, BLOCK, PROT_READ, MAP_PRIVATE, i, 0);
	ok(is_expected(one, 0, map, TAIL), "nor does a mapping show more");
	munmap(map, BLOCK);
	close(i);
}

static void test_present(void)
{
	char data[BLOCK] = "other";
	struct incfs_new_data_block block = raw_block(file, 0, data, BLOCK);
	struct stat before, after;

	stat(fs.image, &before);
	is_int(try_fill(fs.cmd, &block), 0, "a block that is present is ignored without an error");
	stat(fs.image, &after);
	ok(block_reads(&fs, "file", file, 0, BLOCK), "its data is what it was");
	is_int(after.st_size, before.st_size, "and the image does not grow by it");
}

static void test_refusals(void)
{
	struct incfs_new_data_block good, block;
	char data[8193] = "";
	__u64 dir = make_dir(&fs, INCFS_ROOT_INODE, "dir");
	__u64 empty = make_file(&fs, INCFS_ROOT_INODE, "empty", 0);

	good = raw_block(file, 10, data, BLOCK);
	block = good;
	block.data_len = 8193;
	is_errno(try_fill(fs.cmd, &block), E2BIG, "more than 8192 bytes are refused");
	block.data_len = 8192;
	block.block_index = 12;
	block.compression = COMPRESSION_LZ4;
	is_int(try_fill(fs.cmd, &block), 0, "8192 bytes are not, whatever they expand to");
	block = good;
	block.data_len = BLOCK + 1;
	is_errno(try_fill(fs.cmd, &block), EINVAL, "more raw bytes than a block are refused");
	block = good;
	block.data_len = 0;
	is_errno(try_fill(fs.cmd, &block), EINVAL, "a block of no bytes is refused");
	block = good;
	block.compression = 2;
	is_errno(try_fill(fs.cmd, &block), EINVAL, "unknown compression is refused");
	block = good;
	block.data = 8;
	is_errno(try_fill(fs.cmd, &block), EFAULT, "data at a bad address is refused");
	block = good;
	block.data = -1ull << 47;
	is_errno(try_fill(fs.cmd, &block), EFAULT, "data at a kernel address is refused");
	block = good;
	block.file_ino = 999;
	is_errno(try_fill(fs.cmd, &block), ENOENT, "a block of an unknown inode is refused");
	block.file_ino = file | 1ull << 32;
	is_errno(try_fill(fs.cmd, &block), ENOENT, "a block of an inode above 2^32 is refused");
	block.file_ino = INCFS_COMMAND_INODE;
	is_errno(try_fill(fs.cmd, &block), ENOENT, "a block of .cmd is refused");
	block.file_ino = dir;
	is_errno(try_fill(fs.cmd, &block), EISDIR, "a block of a directory is refused");
	block.file_ino = INCFS_ROOT_INODE;
	is_errno(try_fill(fs.cmd, &block), EISDIR, "a block of the root is refused");
	block = good;
	block.block_index = 64;
	is_errno(try_fill(fs.cmd, &block), ERANGE, "a block past the end is refused");
	block.block_index = ~0u;
	is_errno(try_fill(fs.cmd, &block), ERANGE, "the last index of all is refused");
	block.file_ino = empty;
	block.block_index = 0;
	is_errno(try_fill(fs.cmd, &block), ERANGE, "a block of an empty file is refused");
	is_errno(syscall(SYS_write, fs.cmd, 8, sizeof(block)), EFAULT,
		 "an array at a bad address is refused");
	block = good;
	is_int(try_fill(fs.cmd, &block), 0, "the same block without a fault is taken");
}

static void test_arrays(void)
{
	struct incfs_new_data_block blocks[4];
	__u64 data[4][BLOCK / 8];
	int i;

	for (i = 0; i < 4; i++) {
		expected_block(file, 20 + i, data[i]);
		blocks[i] = raw_block(file, 20 + i, data[i], BLOCK);
	}
	is_int(write(fs.cmd, blocks, 0), 0, "a write of nothing takes nothing");
	is_int(write(fs.cmd, blocks, sizeof(blocks[0]) - 1), 0,
	       "a write of less than a structure takes nothing");
	is_int(write(fs.cmd, blocks, sizeof(blocks[0]) * 2 + 7), sizeof(blocks[0]) * 2,
	       "part of a structure at the end is not taken");
	blocks[3].file_ino = 999;
	is_int(write(fs.cmd, &blocks[1], sizeof(blocks[0]) * 3), sizeof(blocks[0]) * 2,
	       "a fault after the first returns what was taken before it");
	ok(block_reads(&fs, "file", file, 20, BLOCK) && block_reads(&fs, "file", file, 21, BLOCK) &&
	   block_reads(&fs, "file", file, 22, BLOCK), "what was taken is stored");
	blocks[2].file_ino = 999;
	is_errno(write(fs.cmd, &blocks[2], sizeof(blocks[0]) * 2), ENOENT,
		 "a fault in the first is an error");
}

static void test_many(void)
{
	static struct incfs_new_data_block blocks[256];
	static char data[256][BLOCK];
	__u64 many = make_file(&fs, INCFS_ROOT_INODE, "many", 256 * BLOCK);
	bool right = true;
	int i, fd;

	for (i = 0; i < 256; i++) {
		expected_block(many, i, data[i]);
		blocks[i] = raw_block(many, i, data[i], BLOCK);
	}
	is_int(write(fs.cmd, blocks, sizeof(blocks)), sizeof(blocks), "256 blocks in one write");
	drop_cached(&fs, "many");
	fd = fs_open(&fs, "many");
	memset(data, 0, sizeof(data));
	is_int(read(fd, data, sizeof(data)), sizeof(data), "are read in one read");
	close(fd);
	for (i = 0; i < 256; i++)
		right &= is_expected(many, i, data[i], BLOCK);
	ok(right, "and are what they were");
}

/* The largest file there may be; its block map alone is a hole of 56 GiB. */
static void test_largest(void)
{
	__u32 last = 0xfffffffe;
	struct test_fs large;
	struct reader reader;
	struct stat st;
	__u64 ino;
	int fd;

	fs_mount_new(&large, "large", "read_timeout_ms=50");
	ino = make_file(&large, INCFS_ROOT_INODE, "file", 0xffffffffull * BLOCK);
	stat(fs_path(&large, "file"), &st);
	is_int(st.st_size, 0xffffffffll * BLOCK, "the largest file has its size");
	is_int(st.st_blocks, 0, "and no blocks, which takes no reading of all its map");
	fill_raw(&large, ino, last, BLOCK);
	fill_lz4(&large, ino, last - 2, BLOCK);
	ok(block_reads(&large, "file", ino, last, BLOCK), "its last block is read");
	reader_run(&reader, &large, "file", last - 2, READ_MAPPED);
	ok(reader.got == BLOCK && is_expected(ino, last - 2, reader.data, BLOCK),
	   "another is read through a mapping");
	reader_run(&reader, &large, "file", last - 1, READ_PREAD);
	ok(reader.got == -1 && reader.error == ETIME, "the one between is absent");
	fd = fs_open(&large, "file");
	is_int(lseek(fd, BLOCK, SEEK_DATA), (last - 2ll) * BLOCK, "data is found far behind a hole");
	close(fd);
	fs_cycle(&large);
	ok(block_reads(&large, "file", ino, last, BLOCK), "the last is there after a remount");
	stat(fs_path(&large, "file"), &st);
	ok(st.st_blocks > 8 && st.st_blocks <= 16, "its two blocks are counted");
	fs_unmount(&large);
	unlink(large.image);
}

/* A child that keeps the descriptor and tries a fill: its errno, or 0. */
static int fill_as(void (*change)(void), __u32 index)
{
	struct incfs_new_data_block block;
	__u64 data[BLOCK / 8];
	pid_t pid;

	expected_block(file, index, data);
	block = raw_block(file, index, data, BLOCK);
	pid = must_fork();
	if (!pid) {
		if (change)
			change();
		_exit(try_fill(fs.cmd, &block) ? errno : 0);
	}
	return wait_exit(pid);
}

static void be_nobody(void)
{
	if (setgid(65534) || setuid(65534))
		_exit(99);
}

static void be_fs_nobody(void)
{
	setfsuid(65534);
}

static void be_group_nobody(void)
{
	if (setegid(65534))
		_exit(99);
}

static void test_credentials(void)
{
	is_int(fill_as(be_nobody, 30), EPERM, "a process of another user may not fill");
	is_int(fill_as(be_fs_nobody, 30), EPERM, "nor one with another fsuid");
	is_int(fill_as(be_group_nobody, 30), EPERM, "nor one with another group");
	is_int(fill_as(NULL, 30), 0, "a child of the process that opened .cmd may");
	ok(block_reads(&fs, "file", file, 30, BLOCK), "what it filled is stored");
}

/* The image can't grow: the fill fails, and nothing else. */
static void test_full(void)
{
	struct test_fs full = { .image = "full/image", .dir = "full-mnt",
				.options = "read_timeout_ms=0" };
	struct incfs_new_data_block block;
	struct reader reader;
	__u64 data[BLOCK / 8], ino;
	__u32 i = 0;
	int err;

	mkdir("full", 0755);
	if (mount("tmpfs", "full", "tmpfs", 0, "size=1m"))
		bail_out("tmpfs");
	fs_mount(&full);
	ino = make_file(&full, INCFS_ROOT_INODE, "file", 1024 * BLOCK);
	do {
		expected_block(ino, i, data);
		block = raw_block(ino, i, data, BLOCK);
		err = try_fill(full.cmd, &block) ? errno : 0;
	} while (!err && ++i < 1024);
	is_int(err, ENOSPC, "a fill fails when the image's file system is full");
	ok(i && block_reads(&full, "file", ino, i - 1, BLOCK), "what was stored before is there");
	reader_start(&reader, &full, "file", i, READ_PREAD);
	ok(wait_until(count_pending(&full) == 1), "the block that failed is waited for");
	if (mount("tmpfs", "full", "tmpfs", MS_REMOUNT, "size=8m"))
		bail_out("remount tmpfs");
	is_int(try_fill(full.cmd, &block), 0, "with room again the same fill is taken");
	is_int(reader_join(&reader), BLOCK, "and wakes the reader");
	ok(is_expected(ino, i, reader.data, BLOCK), "who reads what it is");
	fs_unmount(&full);
	umount("full");
}

/* Fills go on while a loader's fills of the same block race: one wins. */
static void *racer(void *arg)
{
	struct incfs_new_data_block *blocks = arg;

	return (void *)(long)write(fs.cmd, blocks, 16 * sizeof(*blocks));
}

static void test_race(void)
{
	struct incfs_new_data_block blocks[4][16];
	char data[4][BLOCK], got[BLOCK];
	__u64 ino = make_file(&fs, INCFS_ROOT_INODE, "race", 16 * BLOCK);
	pthread_t threads[4];
	bool whole = true;
	void *ret;
	int i, j;

	for (i = 0; i < 4; i++) {
		memset(data[i], 'a' + i, BLOCK);
		for (j = 0; j < 16; j++)
			blocks[i][j] = raw_block(ino, j, data[i], BLOCK);
	}
	for (i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, racer, blocks[i]);
	for (i = 0; i < 4; i++) {
		pthread_join(threads[i], &ret);
		whole &= (long)ret == sizeof(blocks[0]);
	}
	ok(whole, "fills of the same blocks at once succeed all");
	for (j = 0, whole = true; j < 16; j++) {
		whole &= read_block(&fs, "race", j, got) == BLOCK && got[0] >= 'a' &&
			 got[0] <= 'd' && !memcmp(got, data[got[0] - 'a'], BLOCK);
	}
	ok(whole, "each block is what one of them was");
}

int main(void)
{
	/* A read of what is not there fails soon. */
	fs_mount_new(&fs, "fs", "read_timeout_ms=2000");
	file = make_file(&fs, INCFS_ROOT_INODE, "file", SIZE);
	test_forms();
	test_present();
	test_refusals();
	test_arrays();
	test_many();
	test_credentials();
	test_race();
	test_largest();
	fs_unmount(&fs);
	test_full();
	return done();
}
