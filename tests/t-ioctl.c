// SPDX-License-Identifier: GPL-2.0-only
/* What this project adds to the interface of 2019: questions to ".cmd". */
#define _GNU_SOURCE
#include "lib/incfs.h"
#include "lib/tap.h"

#define SPARSE (65536 * 2 + 100)	/* blocks: more than one call looks at */

static struct test_fs fs;

static unsigned long info_of_size(unsigned int size)
{
	return _IOC(_IOC_READ, INCFS_IOCTL_BASE_CODE, 40, size);
}

static unsigned long present_of_size(unsigned int size)
{
	return _IOC(_IOC_READ | _IOC_WRITE, INCFS_IOCTL_BASE_CODE, 41, size);
}

static void test_info(void)
{
	struct {
		struct incfs_mount_info info;
		__u64 more[2];
	} larger;
	struct incfs_mount_info info, before;
	struct test_fs other;

	memset(&info, 0xff, sizeof(info));
	is_int(ioctl(fs.cmd, INCFS_IOC_GET_INFO, &info), 0, "GET_INFO answers");
	ok(info.mount_id, "a mount has an id");
	is_int(info.read_timeout_ms, 500, "it tells the timeout");
	is_int(info.max_files, 50, "it tells the limit of inodes");
	is_int(info.nr_files, 1, "it counts the root");
	is_int(info.flags, 0, "flags are 0");
	is_str(info.policy, "", "no policy is in use");
	before = info;
	make_file(&fs, INCFS_ROOT_INODE, "counted", 1);
	ioctl(fs.cmd, INCFS_IOC_GET_INFO, &info);
	is_int(info.nr_files, before.nr_files + 1, "it counts a new file");

	fs_mount_new(&other, "other", "");
	ok(fs_info(&other).mount_id > before.mount_id, "another mount has a greater id");
	fs_unmount(&other);

	memset(&larger, 0xff, sizeof(larger));
	is_int(ioctl(fs.cmd, info_of_size(sizeof(larger)), &larger), 0,
	       "GET_INFO with a larger structure answers");
	ok(!memcmp(&larger.info, &info, sizeof(info)), "with the same");
	ok(!larger.more[0] && !larger.more[1], "and zeros for what the kernel does not know");
	is_errno(ioctl(fs.cmd, info_of_size(8), &info), EINVAL,
		 "GET_INFO with a structure that never was so small is refused");
	is_errno(ioctl(fs.cmd, info_of_size(0), &info), EINVAL, "and with none at all");
	is_errno(ioctl(fs.cmd, INCFS_IOC_GET_INFO, 8), EFAULT,
		 "GET_INFO to a bad address is refused");
}

static void test_present(void)
{
	struct incfs_block_range ranges[8];
	struct incfs_block_ranges arg, good;
	struct {
		struct incfs_block_ranges arg;
		__u64 more;
	} larger = {};
	__u64 ino = make_file(&fs, INCFS_ROOT_INODE, "file", 99 * BLOCK + 1);
	__u64 empty = make_file(&fs, INCFS_ROOT_INODE, "empty", 0);
	char present[256];
	int i;

	show_present(&fs, ino, present, sizeof(present));
	is_str(present, "none", "a new file has no blocks");
	fill_blocks(&fs, ino, 31, 3);
	fill_blocks(&fs, ino, 63, 1);
	for (i = 0; i < 20; i += 2)
		fill_raw(&fs, ino, 70 + i, BLOCK);
	fill_raw(&fs, ino, 99, 1);
	show_present(&fs, ino, present, sizeof(present));
	is_str(present, "31-33,63-63,70-70,72-72,74-74,76-76,78-78,80-80,82-82,84-84,86-86,"
	       "88-88,99-99", "present blocks are told as ranges");

	good = (struct incfs_block_ranges) {
		.ino = ino, .ranges = (unsigned long)ranges, .nr_ranges = 2,
	};
	arg = good;
	is_int(ioctl(fs.cmd, INCFS_IOC_GET_PRESENT, &arg), 0, "a small array is filled");
	is_int(arg.nr_ranges, 2, "to its end");
	is_int(arg.nr_blocks, 100, "it tells how many blocks the file has");
	ok(arg.first > 63 && arg.first <= 70, "and where to go on (%u)", arg.first);
	arg.nr_ranges = 1;
	ioctl(fs.cmd, INCFS_IOC_GET_PRESENT, &arg);
	ok(arg.nr_ranges == 1 && ranges[0].first == 70 && ranges[0].count == 1,
	   "the next call goes on there");
	arg = good;
	arg.first = 32;
	ioctl(fs.cmd, INCFS_IOC_GET_PRESENT, &arg);
	ok(ranges[0].first == 32 && ranges[0].count == 2, "a range may be entered in its middle");
	arg = good;
	arg.first = 100;
	is_int(ioctl(fs.cmd, INCFS_IOC_GET_PRESENT, &arg), 0, "at the end of the file");
	ok(arg.nr_ranges == 0 && arg.first == 100, "there are no ranges");
	arg = good;
	arg.first = ~0u;
	is_int(ioctl(fs.cmd, INCFS_IOC_GET_PRESENT, &arg), 0, "nor far past it");
	is_int(arg.nr_ranges, 0, "where there are none either");
	arg = good;
	arg.ino = empty;
	is_int(ioctl(fs.cmd, INCFS_IOC_GET_PRESENT, &arg), 0, "an empty file is looked at");
	ok(arg.nr_ranges == 0 && arg.nr_blocks == 0, "and has no blocks");

	for (i = 0; i < 100; i++)
		fill_raw(&fs, ino, i, i == 99 ? 1 : BLOCK);
	show_present(&fs, ino, present, sizeof(present));
	is_str(present, "0-99", "a complete file is one range");

	arg = good;
	arg.ino = 12345;
	is_errno(ioctl(fs.cmd, INCFS_IOC_GET_PRESENT, &arg), ENOENT,
		 "an unknown inode is refused");
	arg.ino = INCFS_ROOT_INODE;
	is_errno(ioctl(fs.cmd, INCFS_IOC_GET_PRESENT, &arg), EISDIR, "a directory is refused");
	arg = good;
	arg.nr_ranges = 0;
	is_errno(ioctl(fs.cmd, INCFS_IOC_GET_PRESENT, &arg), EINVAL, "no room is refused");
	arg = good;
	arg.reserved = 1;
	is_errno(ioctl(fs.cmd, INCFS_IOC_GET_PRESENT, &arg), EINVAL,
		 "a reserved member that is set is refused");
	arg = good;
	arg.ranges = 8;
	is_errno(ioctl(fs.cmd, INCFS_IOC_GET_PRESENT, &arg), EFAULT,
		 "ranges at a bad address are refused");
	is_errno(ioctl(fs.cmd, INCFS_IOC_GET_PRESENT, NULL), EFAULT,
		 "an argument at a bad address is refused");
	is_errno(ioctl(fs.cmd, present_of_size(16), &good), EINVAL,
		 "a structure that never was so small is refused");

	larger.arg = good;
	is_int(ioctl(fs.cmd, present_of_size(sizeof(larger)), &larger), 0,
	       "a larger structure is taken");
	ok(larger.arg.nr_ranges == 1 && ranges[0].count == 100, "and answered");
	larger.arg = good;
	larger.more = 1;
	is_errno(ioctl(fs.cmd, present_of_size(sizeof(larger)), &larger), E2BIG,
		 "a member that the kernel does not know must be 0");
}

static void test_sparse(void)
{
	struct incfs_block_range range;
	struct incfs_block_ranges arg = {
		.ino = make_file(&fs, INCFS_ROOT_INODE, "sparse", (__u64)SPARSE * BLOCK),
		.ranges = (unsigned long)&range,
	};
	int calls = 0, ranges = 0;

	fill_raw(&fs, arg.ino, SPARSE - 1, BLOCK);
	do {
		arg.nr_ranges = 1;
		if (ioctl(fs.cmd, INCFS_IOC_GET_PRESENT, &arg))
			bail_out("GET_PRESENT");
		calls++;
		ranges += arg.nr_ranges;
	} while (arg.first < arg.nr_blocks && calls < 100);
	ok(calls > 1 && calls < 100,
	   "a call looks at a bounded number of blocks (%d calls)", calls);
	ok(ranges == 1 && range.first == SPARSE - 1 && range.count == 1,
	   "the last block of a large file is found");
}

static void test_others(void)
{
	struct incfs_instruction arg = { .version = INCFS_HEADER_VER };
	int fd = fs_open(&fs, "file");

	is_errno(ioctl(fs.cmd, _IO(INCFS_IOCTL_BASE_CODE, 99)), ENOTTY,
		 "an unknown ioctl is refused");
	is_errno(ioctl(fs.cmd, _IO('T', 30)), ENOTTY, "an ioctl of others is refused");
	is_errno(ioctl(fs.cmd, _IOW(INCFS_IOCTL_BASE_CODE, 40, struct incfs_mount_info), &arg),
		 ENOTTY, "an ioctl of another direction is refused");
	is_errno(ioctl(fd, INCFS_IOC_PROCESS_INSTRUCTION, &arg), ENOTTY,
		 "files other than .cmd know no instructions");
	close(fd);
	is_int(fsync(fs.cmd), 0, "fsync of .cmd succeeds");
	is_int(fdatasync(fs.cmd), 0, "fdatasync of .cmd succeeds");
	is_int(syncfs(fs.cmd), 0, "syncfs succeeds");
	is_errno(lseek(fs.cmd, 0, SEEK_SET), ESPIPE, ".cmd has no position");
	is_errno(pread(fs.cmd, &arg, sizeof(arg), 0), ESPIPE, "pread of .cmd is refused");
	ok(mmap(NULL, BLOCK, PROT_READ, MAP_SHARED, fs.cmd, 0) == MAP_FAILED,
	   ".cmd can't be mapped");
}

int main(void)
{
	fs_mount_new(&fs, "fs", "read_timeout_ms=500,max_files=50");
	test_info();
	test_present();
	test_sparse();
	test_others();
	fs_unmount(&fs);
	return done();
}
