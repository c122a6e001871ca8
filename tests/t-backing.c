// SPDX-License-Identifier: GPL-2.0-only
// timeout: 300
/*
 * The file system below fails: it is full, it limits the file, its disk has
 * errors, somebody cuts the image off or punches holes into it. What hits that
 * fails with its errno, nothing else changes, and work goes on when it is over.
 * No byte that is read is ever wrong.
 */
#define _GNU_SOURCE
#include <linux/falloc.h>
#include <signal.h>
#include <sys/resource.h>

#include "lib/incfs.h"
#include "lib/tap.h"

#define BLOCKS 4000
#define BATCH 8

static char tree[1 << 16];

__attribute__((format(printf, 1, 2))) static bool run(const char *format, ...)
{
	char command[1024] = "(";
	va_list args;
	size_t len;

	va_start(args, format);
	len = 1 + vsnprintf(command + 1, sizeof(command) - 32, format, args);
	va_end(args);
	snprintf(command + len, sizeof(command) - len, ") > run.log 2>&1");
	fflush(stdout);
	if (!system(command))
		return true;
	diag("%s", command);
	if (system("sed 's/^/# /' run.log"))
		diag("no output");
	return false;
}

static void need(bool done, const char *what)
{
	if (!done)
		bail_out("%s", what);
}

/* One fill of @count blocks; the results are in @blocks. Returns how many are 0. */
static int fill_batch(const struct test_fs *fs, __u64 ino, __u32 first, int count,
		      struct incfs_fill_block *blocks)
{
	static char data[BATCH][BLOCK];
	struct incfs_fill arg = { .blocks = (unsigned long)blocks, .count = count };
	int i;

	for (i = 0; i < count; i++) {
		expected_block(ino, first + i, data[i]);
		blocks[i] = (struct incfs_fill_block) { .ino = ino, .block = first + i,
			.len = BLOCK, .data = (unsigned long)data[i], .result = 1 };
	}
	if (ioctl(fs->cmd, INCFS_IOC_FILL, &arg))
		bail_out("INCFS_IOC_FILL");
	return arg.filled;
}

/* Fill until it fails: how many were stored, and the errno of what was not. */
static __u32 fill_up(const struct test_fs *fs, __u64 ino, int *error)
{
	struct incfs_fill_block blocks[BATCH];
	__u32 done = 0;
	int filled, i;

	do {
		filled = fill_batch(fs, ino, done, BATCH, blocks);
		for (i = 0; i < BATCH && !blocks[i].result; i++)
			done++;
	} while (filled == BATCH && done < BLOCKS);
	*error = filled == BATCH ? 0 : -blocks[i].result;
	return done;
}

/* Are blocks @first to @end - 1 as they should be, and read from the image? */
static bool all_read(const struct test_fs *fs, const char *name, __u64 ino, __u32 first,
		     __u32 end)
{
	for (; first < end; first++) {
		if (!block_reads(fs, name, ino, first, BLOCK))
			return false;
	}
	return true;
}

/* @dir is a file system with a file "filler" that takes most of it. */
static void test_full(const char *dir, const char *what)
{
	struct test_fs fs = { .options = "read_timeout_ms=0" };
	struct incfs_pending_read_info info;
	struct incfs_fill_block blocks[BATCH];
	char present[256], after[256];
	struct reader reader;
	__u64 ino, other;
	int error, made;
	__u32 done;

	snprintf(fs.image, sizeof(fs.image), "%s/image", dir);
	snprintf(fs.dir, sizeof(fs.dir), "on-%s", dir);
	fs_mount(&fs);
	ino = make_file(&fs, INCFS_ROOT_INODE, "file", (__u64)BLOCKS * BLOCK);
	reader_start(&reader, &fs, "file", BLOCKS - 1, READ_PREAD);
	take_pending(fs.cmd, &info, 1);
	done = fill_up(&fs, ino, &error);
	is_int(error, ENOSPC, "%s: a block for which there is no room fails with ENOSPC", what);
	ok(done > BATCH, "%s: those before it are stored (%u)", what, done);
	show_present(&fs, ino, present, sizeof(present));
	fill_batch(&fs, ino, 0, BATCH, blocks);
	ok(!blocks[0].result && !blocks[BATCH - 1].result,
	   "%s: blocks that are there are not affected", what);
	fill_batch(&fs, ino, BLOCKS - BATCH, BATCH, blocks);
	for (made = 0; made < BATCH && blocks[made].result == -ENOSPC; made++)
		;
	is_int(made, BATCH, "%s: each block of a batch has its own result", what);
	for (made = 0, error = 0; made < 500 && !error; made++) {
		if (try_new(fs.cmd, S_IFREG | 0444, BLOCK, &other))
			error = errno;
	}
	is_int(error, ENOSPC, "%s: a file for which there is no room is not made", what);
	is_int(fs_info(&fs).nr_files, 2 + made - 1, "%s: and does not count", what);
	show_present(&fs, ino, after, sizeof(after));
	is_str(after, present, "%s: the same blocks are present", what);
	ok(all_read(&fs, "file", ino, 0, done), "%s: and read right", what);
	ok(!reader_done(&reader), "%s: who waits for a block goes on waiting", what);

	need(run("rm %s/filler", dir), "rm");
	fill_raw(&fs, ino, BLOCKS - 1, BLOCK);
	is_int(reader_join(&reader), BLOCK, "%s: and gets it when there is room again", what);
	fill_blocks(&fs, ino, done, BATCH);
	other = make_file(&fs, INCFS_ROOT_INODE, "other", BLOCK);
	fill_raw(&fs, other, 0, BLOCK);
	is_int(ioctl(fs.cmd, INCFS_IOC_SYNC), 0, "%s: what comes then is synced", what);
	fs_cycle(&fs);
	ok(all_read(&fs, "file", ino, 0, done + BATCH) && all_read(&fs, "other", other, 0, 1),
	   "%s: all of it is right after a remount", what);
	fs_unmount(&fs);
	is_int(image_tool("check", fs.image, tree, sizeof(tree)), 0,
	       "%s: the script finds no fault in the image", what);
}

static void test_limit(void)
{
	struct rlimit limit = { 1 << 20, RLIM_INFINITY };
	struct test_fs fs;
	__u64 ino;
	int error;
	__u32 done;

	signal(SIGXFSZ, SIG_IGN);
	fs_mount_new(&fs, "limit", "read_timeout_ms=20");
	ino = make_file(&fs, INCFS_ROOT_INODE, "file", (__u64)BLOCKS * BLOCK);
	setrlimit(RLIMIT_FSIZE, &limit);
	done = fill_up(&fs, ino, &error);
	is_int(error, EFBIG, "a block past the limit of the file's size fails with EFBIG");
	is_errno(try_new(fs.cmd, S_IFREG | 0444, BLOCK, &ino), EFBIG, "so does a new file");
	limit.rlim_cur = RLIM_INFINITY;
	setrlimit(RLIMIT_FSIZE, &limit);
	ino = 3;
	fill_blocks(&fs, ino, done, BATCH);
	fs_cycle(&fs);
	ok(all_read(&fs, "file", ino, 0, done + BATCH), "without the limit it goes on");
	fs_unmount(&fs);
}

static void set_table(const char *table)
{
	need(run("dmsetup suspend --noflush --nolockfs --noudevsync incfs-test && "
		 "dmsetup load incfs-test --table '%s' && "
		 "dmsetup resume --noudevsync incfs-test", table), "dmsetup");
}

/* The disk fails all requests for a while. */
static void test_disk(void)
{
	struct test_fs fs = { .image = "disk/image", .dir = "on-disk",
			      .options = "read_timeout_ms=50" };
	char linear[128], device[64] = "", buf[BLOCK];
	int second, fd, bad = 0;
	FILE *pipe;
	__u64 ino;
	__u32 b;

	if (!run("modprobe dm-mod && modprobe loop && truncate -s 64M disk.img")) {
		skip(8, "no device mapper here");
		return;
	}
	pipe = popen("losetup -f --show disk.img", "re");
	if (!pipe || fscanf(pipe, "%63s", device) != 1 || pclose(pipe))
		bail_out("losetup");
	snprintf(linear, sizeof(linear), "0 131072 linear %s 0", device);
	need(run("dmsetup create incfs-test --noudevsync --table '%s' && dmsetup mknodes && "
		 "mkfs.ext4 -q /dev/mapper/incfs-test && mkdir -p disk && "
		 "mount /dev/mapper/incfs-test disk", linear), "a disk that fails");
	fs_mount(&fs);
	ino = make_file(&fs, INCFS_ROOT_INODE, "file", 64 * BLOCK);
	fill_blocks(&fs, ino, 0, 16);
	is_int(ioctl(fs.cmd, INCFS_IOC_SYNC), 0, "blocks are synced");
	fd = open(fs.image, O_RDONLY);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);

	set_table("0 131072 error");
	is_errno(read_block(&fs, "file", 3, buf), EIO, "a disk that can't be read is EIO");
	is_errno(read_block(&fs, "file", 4, buf), EIO, "each time");
	set_table(linear);
	ok(all_read(&fs, "file", ino, 0, 16), "the blocks are there when it can");

	second = fs_open_cmd(&fs, O_RDWR);
	fill_blocks(&fs, ino, 16, 16);
	set_table("0 131072 error");
	/* Somebody else may be the first to see it. */
	sync();
	is_errno(ioctl(fs.cmd, INCFS_IOC_SYNC), EIO, "a sync that can't be written is EIO");
	is_errno(fsync(second), EIO, "to each descriptor that was open");
	close(second);
	for (b = 0; b < 32; b++) {
		if (read_block(&fs, "file", b, buf) == BLOCK && !is_expected(ino, b, buf, BLOCK))
			bad++;
	}
	is_int(bad, 0, "no block is wrong meanwhile");
	set_table(linear);
	fs_unmount(&fs);
	need(run("umount disk && mount /dev/mapper/incfs-test disk"), "mount again");
	fs_mount(&fs);
	ok(all_read(&fs, "file", ino, 0, 16), "what was synced before is there afterwards");
	for (b = 16; b < 32; b++)
		fill_raw(&fs, ino, b, BLOCK);
	is_int(ioctl(fs.cmd, INCFS_IOC_SYNC), 0, "the others can be filled and synced again");
	fs_cycle(&fs);
	ok(all_read(&fs, "file", ino, 0, 32), "and are right");
	fs_unmount(&fs);
	need(run("umount disk && dmsetup remove --noudevsync incfs-test && losetup -d %s", device),
	     "remove the disk");
}

/* How many blocks are neither right nor an error. */
static int wrong_blocks(const struct test_fs *fs, __u64 ino, __u32 count)
{
	char buf[BLOCK];
	int wrong = 0;
	__u32 b;

	for (b = 0; b < count; b++) {
		if (read_block(fs, "file", b, buf) == BLOCK && !is_expected(ino, b, buf, BLOCK))
			wrong++;
	}
	return wrong;
}

/* Somebody writes to the image that is mounted. */
static void test_meddling(void)
{
	struct incfs_new_data_block block;
	char data[BLOCK];
	struct test_fs fs;
	struct stat st;
	off_t at, size;
	__u64 ino;
	int fd, i;

	fs_mount_new(&fs, "meddled", "read_timeout_ms=20");
	ino = make_file(&fs, INCFS_ROOT_INODE, "file", 400 * BLOCK);
	block = raw_block(ino, 0, data, BLOCK);
	fill_blocks(&fs, ino, 0, 30);
	fsync(fs.cmd);
	fd = open(fs.image, O_RDWR);
	fstat(fd, &st);
	size = st.st_size;
	for (at = BLOCK, i = 0; at < size; at += 7 * BLOCK, i++)
		need(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, BLOCK + 100),
		     "punch");
	is_int(wrong_blocks(&fs, ino, 30), 0, "%d holes in a mounted image: no block is wrong", i);
	fill_blocks(&fs, ino, 0, 30);
	ok(all_read(&fs, "file", ino, 0, 30), "blocks that were in them can be filled again");
	need(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 2 * BLOCK), "punch");
	is_int(wrong_blocks(&fs, ino, 30), 0,
	       "a hole in superblock, records and block map: nor then");
	fill_blocks(&fs, ino, 0, 30);
	ok(all_read(&fs, "file", ino, 0, 30), "which does not keep them from being filled again");
	for (at = size; at > 0; at = at / 3 * 2) {
		need(!ftruncate(fd, at), "ftruncate");
		if (wrong_blocks(&fs, ino, 30))
			break;
	}
	is_int(at, 0, "an image that becomes shorter and shorter: no block is wrong");
	need(!ftruncate(fd, 0), "ftruncate");
	is_int(wrong_blocks(&fs, ino, 30), 0, "nor without any image");
	expected_block(ino, 0, data);
	is_errno(try_fill(fs.cmd, &block), EIO, "where there is no block map, nothing is stored");
	fs_unmount(&fs);
	need(!ftruncate(fd, BLOCK), "ftruncate");
	is_errno(try_mount(fs.image, fs.dir, ""), EINVAL, "what is left is refused");
	close(fd);
}

int main(void)
{
	need(run("mkdir tmpfs && mount -t tmpfs -o size=4M tmpfs tmpfs && "
		 "head -c 3M /dev/zero > tmpfs/filler"), "tmpfs");
	test_full("tmpfs", "tmpfs");
	need(run("umount tmpfs"), "umount");
	need(run("modprobe loop; truncate -s 16M ext4.img && mkfs.ext4 -q ext4.img && "
		 "mkdir ext4 && mount -o loop ext4.img ext4 && "
		 "head -c $(($(stat -f -c %%f*%%S ext4) - (2 << 20))) /dev/zero > ext4/filler && "
		 "sync"), "ext4");
	test_full("ext4", "ext4");
	need(run("umount ext4"), "umount");
	test_limit();
	test_disk();
	test_meddling();
	return done();
}
