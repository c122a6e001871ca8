// SPDX-License-Identifier: GPL-2.0-only
/*
 * What this project adds to the interface of 2019: questions to ".cmd", and how
 * its ioctls are refused (t-batch.c has INCFS_IOC_FILL).
 */
#define _GNU_SOURCE
#include <signal.h>

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

static unsigned long pending_of_size(unsigned int size)
{
	return _IOC(_IOC_READ | _IOC_WRITE, INCFS_IOCTL_BASE_CODE, 43, size);
}

static void test_pending_empty(void)
{
	struct incfs_pending_read reads[4];
	struct incfs_pending_reads arg, good = { .reads = (unsigned long)reads, .count = 4 };
	struct {
		struct incfs_pending_reads arg;
		__u64 more;
	} larger = { .arg = good, .more = 1 };
	int fd = fs_open_cmd(&fs, O_RDONLY);

	arg = good;
	arg.after = 77;
	is_int(ioctl(fd, INCFS_IOC_GET_PENDING, &arg), 0, "GET_PENDING answers a reader of .cmd");
	ok(!arg.count && arg.after == 77, "when nobody waits there is nothing");
	arg = good;
	arg.count = 0;
	is_errno(ioctl(fd, INCFS_IOC_GET_PENDING, &arg), EINVAL, "GET_PENDING without room");
	arg = good;
	arg.reserved = 1;
	is_errno(ioctl(fd, INCFS_IOC_GET_PENDING, &arg), EINVAL,
		 "GET_PENDING with a reserved member that is set");
	is_errno(ioctl(fd, INCFS_IOC_GET_PENDING, NULL), EFAULT, "GET_PENDING at a bad address");
	is_errno(ioctl(fd, pending_of_size(16), &good), EINVAL,
		 "GET_PENDING with a structure that never was so small");
	is_errno(ioctl(fd, pending_of_size(sizeof(larger)), &larger), E2BIG,
		 "GET_PENDING with a member that the kernel does not know");
	close(fd);
}

static void test_pending(void)
{
	struct incfs_pending_read reads[4];
	struct incfs_pending_reads arg, good = { .reads = (unsigned long)reads, .count = 4 };
	__u64 ino = make_file(&fs, INCFS_ROOT_INODE, "waited", 64 * BLOCK);
	struct reader readers[5];
	pid_t pid;
	int i;

	pid = reader_fork(&fs, "waited", ino, 7, READ_PREAD);
	ok(wait_until(count_pending(&fs) == 1), "a process waits");
	usleep(100000);
	/* The blocks 9, 11, 13, and 7 once more. */
	for (i = 0; i < 5; i++) {
		reader_start(&readers[i], &fs, "waited", i < 3 ? 9 + 2 * i : 7,
			     i % 2 ? READ_MAPPED : READ_PREAD);
		ok(wait_until(count_pending(&fs) == 2 + (i < 3 ? i : 2)), "a thread waits (%d)", i);
	}
	/* Two that joined have no event to wait for. */
	ok(wait_until((arg = good, !ioctl(fs.cmd, INCFS_IOC_GET_PENDING, &arg)) &&
		      arg.count == 4 && reads[0].readers == 3),
	   "GET_PENDING counts the readers of a block");
	ok(reads[0].ino == ino && reads[0].block == 7 && reads[1].block == 9 &&
	   reads[2].block == 11 && reads[3].block == 13, "it tells of each block, in order");
	ok(reads[1].readers == 1 && reads[2].readers == 1 && reads[3].readers == 1,
	   "the others have one reader each");
	is_int(reads[0].tgid, pid, "it tells who came first");
	is_int(reads[1].tgid, getpid(), "for threads it is their process");
	ok(reads[0].age_ms >= 100 && reads[0].age_ms < SOON && reads[3].age_ms <= reads[0].age_ms,
	   "and how long ago (%u ms)", reads[0].age_ms);
	is_int(arg.after, reads[3].serial, "it says where to go on");

	arg = good;
	arg.count = 3;
	ioctl(fs.cmd, INCFS_IOC_GET_PENDING, &arg);
	ok(arg.count == 3 && arg.after == reads[2].serial, "a small array is filled to its end");
	arg.count = 3;
	ioctl(fs.cmd, INCFS_IOC_GET_PENDING, &arg);
	ok(arg.count == 1 && reads[0].block == 13, "the next call tells the rest");
	arg = good;
	ioctl(fs.cmd, INCFS_IOC_GET_PENDING, &arg);
	is_int(arg.count, 4, "it can be asked for all again");
	arg = good;
	arg.reads = 8;
	is_errno(ioctl(fs.cmd, INCFS_IOC_GET_PENDING, &arg), EFAULT,
		 "GET_PENDING to a bad address is refused");

	kill(pid, SIGKILL);
	wait_exit(pid);
	arg = good;
	ioctl(fs.cmd, INCFS_IOC_GET_PENDING, &arg);
	ok(arg.count == 4 && reads[0].readers == 2 && reads[0].tgid == (__u32)pid,
	   "when the first is killed, the others wait on");
	for (i = 7; i <= 13; i += 2)
		fill_raw(&fs, ino, i, BLOCK);
	for (i = 0; i < 5; i++)
		reader_join(&readers[i]);
	arg = good;
	ioctl(fs.cmd, INCFS_IOC_GET_PENDING, &arg);
	is_int(arg.count, 0, "nothing is told when all have been served");
}

static struct incfs_stats get_stats(const struct test_fs *of)
{
	struct incfs_stats stats;

	memset(&stats, 0xff, sizeof(stats));
	if (ioctl(of->cmd, INCFS_IOC_GET_STATS, &stats))
		bail_out("GET_STATS");
	return stats;
}

static void test_stats(void)
{
	static const struct incfs_stats zeros;
	struct incfs_stats stats;
	struct test_fs counted;
	struct reader reader;
	char buf[BLOCK];
	int fd, i;
	__u64 ino;

	fs_mount_new(&counted, "counted", "read_timeout_ms=0");
	stats = get_stats(&counted);
	ok(!memcmp(&stats, &zeros, sizeof(stats)), "the statistics of a new mount are all 0");
	ino = make_file(&counted, INCFS_ROOT_INODE, "file", 16 * BLOCK);
	fill_raw(&counted, ino, 0, BLOCK);
	fill_raw(&counted, ino, 1, 100);
	fill_raw(&counted, ino, 1, BLOCK);
	stats = get_stats(&counted);
	is_int(stats.blocks_filled, 2, "a block that is filled twice counts once");
	is_int(stats.bytes_filled, BLOCK + 100, "and with the bytes that were stored");
	is_int(stats.blocks_read, 0, "what was filled has not been read");
	for (i = 0; i < 3; i++) {
		drop_cached(&counted, "file");
		reader_run(&reader, &counted, "file", 0, READ_PREAD);
	}
	is_int(get_stats(&counted).blocks_read, 3, "blocks that are read from the image count");
	fd = fs_open(&counted, "file");
	for (i = 0; i < 3; i++)
		is_int(pread(fd, buf, BLOCK, 0), BLOCK, "a block in the page cache is read");
	close(fd);
	is_int(get_stats(&counted).blocks_read, 3, "those from the page cache do not");
	is_int(get_stats(&counted).waits, 0, "nobody has waited so far");

	reader_start(&reader, &counted, "file", 4, READ_PREAD);
	ok(wait_until(get_stats(&counted).blocks_pending == 1), "a reader that waits counts");
	is_int(get_stats(&counted).waits, 1, "as a wait");
	usleep(50000);
	fill_raw(&counted, ino, 4, BLOCK);
	reader_join(&reader);
	stats = get_stats(&counted);
	is_int(stats.blocks_pending, 0, "a reader that was served does not wait any more");
	ok(stats.waits == 1 && stats.waits_expired == 0, "its wait has not expired");
	ok(stats.wait_ns >= 50000000 && stats.wait_ns < SOON * 1000000ull,
	   "its time counts (%llu ns)", stats.wait_ns);
	if (mount("any", counted.dir, NULL, MS_REMOUNT, "read_timeout_ms=20"))
		bail_out("remount");
	read_block(&counted, "file", 8, buf);
	reader_run(&reader, &counted, "file", 9, READ_MAPPED);
	stats = get_stats(&counted);
	ok(stats.waits == 3 && stats.waits_expired == 2, "waits that expire are counted");
	is_int(stats.blocks_pending, 0, "and not pending any more");
	is_int(get_stats(&fs).waits_expired, 0, "another mount has its own");
	fs_unmount(&counted);
	is_errno(ioctl(fs.cmd, INCFS_IOC_GET_STATS, NULL), EFAULT,
		 "GET_STATS to a bad address is refused");
	is_errno(ioctl(fs.cmd, _IOC(_IOC_READ, INCFS_IOCTL_BASE_CODE, 46, 8), &stats), EINVAL,
		 "GET_STATS with a structure that never was so small is refused");
}

static unsigned long policy_of_size(unsigned int size)
{
	return _IOC(_IOC_WRITE, INCFS_IOCTL_BASE_CODE, 45, size);
}

/* What t-policy-attach.c does with policies, here without one. */
static void test_policy(void)
{
	struct incfs_policy_choice arg = {};
	int fd = fs_open_cmd(&fs, O_RDONLY);
	char device[1024], options[1024];

	is_int(ioctl(fs.cmd, INCFS_IOC_SET_POLICY, &arg), 0, "SET_POLICY to no name is taken");
	strcpy(arg.policy, "auto");
	is_int(ioctl(fs.cmd, INCFS_IOC_SET_POLICY, &arg), 0, "so is auto");
	fs_proc_mounts(fs.dir, device, options, sizeof(device));
	ok(strstr(options, "policy=auto"), "/proc/mounts follows");
	strcpy(arg.policy, "nothing-of-the-kind");
	is_errno(ioctl(fs.cmd, INCFS_IOC_SET_POLICY, &arg), ENOENT, "an unknown name is refused");
	fs_proc_mounts(fs.dir, device, options, sizeof(device));
	ok(strstr(options, "policy=auto"), "and changes nothing");
	strcpy(arg.policy, "none");
	is_int(ioctl(fs.cmd, INCFS_IOC_SET_POLICY, &arg), 0, "none is taken");
	fs_proc_mounts(fs.dir, device, options, sizeof(device));
	ok(!strstr(options, "policy="), "/proc/mounts follows again");
	memset(arg.policy, 'x', sizeof(arg.policy));
	is_errno(ioctl(fs.cmd, INCFS_IOC_SET_POLICY, &arg), EINVAL,
		 "a name without an end is refused");
	memset(&arg, 0, sizeof(arg));
	arg.reserved = 1;
	is_errno(ioctl(fs.cmd, INCFS_IOC_SET_POLICY, &arg), EINVAL,
		 "SET_POLICY with a reserved member that is set is refused");
	arg.reserved = 0;
	is_errno(ioctl(fd, INCFS_IOC_SET_POLICY, &arg), EBADF,
		 "SET_POLICY by a descriptor that is open for reading only is refused");
	is_errno(ioctl(fs.cmd, INCFS_IOC_SET_POLICY, NULL), EFAULT,
		 "SET_POLICY at a bad address is refused");
	is_errno(ioctl(fs.cmd, policy_of_size(32), &arg), EINVAL,
		 "SET_POLICY with a structure that never was so small is refused");
	close(fd);
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
	is_int(ioctl(fs.cmd, INCFS_IOC_SYNC), 0, "SYNC succeeds");
	fd = fs_open_cmd(&fs, O_RDONLY);
	is_int(ioctl(fd, INCFS_IOC_SYNC), 0, "by a descriptor that is open for reading, too");
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
	test_pending_empty();
	test_policy();
	if (mount("any", fs.dir, NULL, MS_REMOUNT, "read_timeout_ms=0"))
		bail_out("remount");
	test_pending();
	test_stats();
	test_others();
	fs_unmount(&fs);
	return done();
}
