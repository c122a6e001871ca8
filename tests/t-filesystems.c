// SPDX-License-Identifier: GPL-2.0-only
/*
 * An image on each file system that it may lie on: made, filled, read in every
 * way, synced, mounted again together with what it lies on.
 * timeout: 240
 */
#define _GNU_SOURCE
#include "lib/incfs.h"
#include "lib/tap.h"

#define BLOCKS 96
#define HUGE_SIZE (1ull << 32)

struct backing {
	const char *type;
	const char *mkfs;	/* NULL: it has no disk, and keeps nothing */
	unsigned int mib;
};

static const struct backing backings[] = {
	{ "ext4", "mkfs.ext4 -q", 64 },
	{ "xfs", "mkfs.xfs -q", 320 },
	{ "btrfs", "mkfs.btrfs -q", 160 },
	{ "f2fs", "mkfs.f2fs -q", 96 },
	{ "tmpfs", NULL, 64 },
};

static int mount_backing(const struct backing *backing)
{
	if (!backing->mkfs)
		return run_shell("mount -t tmpfs -o size=%uM tmpfs disk", backing->mib);
	return run_shell("mount -t %s -o loop %s.disk disk", backing->type, backing->type);
}

static void drop_caches(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	sync();
	if (write(fd, "3", 1) != 1)
		bail_out("drop_caches");
	close(fd);
}

/* One block after the other, as a copy does: with readahead. */
static bool reads_through(const struct test_fs *fs, __u64 ino)
{
	int fd = fs_open(fs, "file");
	char buf[BLOCK];
	bool right = true;
	__u32 block;

	for (block = 0; block < BLOCKS; block++)
		right &= read(fd, buf, BLOCK) == BLOCK && is_expected(ino, block, buf, BLOCK);
	close(fd);
	return right;
}

static bool maps(const struct test_fs *fs, __u64 ino)
{
	struct reader reader;
	bool right = true;
	__u32 block;

	for (block = 0; block < BLOCKS; block += 5) {
		reader_run(&reader, fs, "file", block, READ_MAPPED);
		right &= reader.got == BLOCK && is_expected(ino, block, reader.data, BLOCK);
	}
	return right;
}

/*
 * A write to the image from a mapping of one of its files: its file system holds the
 * lock of the image's inode while it takes the page fault.
 */
static bool feeds_itself(const struct test_fs *fs, __u64 ino)
{
	int fd = fs_open(fs, "file"), image = open(fs->image, O_RDWR | O_CLOEXEC);
	char *map = mmap(NULL, BLOCKS * BLOCK, PROT_READ, MAP_SHARED, fd, 0), buf[BLOCK];
	bool right = image >= 0 && map != MAP_FAILED;
	__u32 block;
	off_t end;

	for (block = 4; right && block < BLOCKS; block += 7) {
		end = lseek(image, 0, SEEK_END);
		right = pwrite(image, map + block * BLOCK, BLOCK, end) == BLOCK &&
			pread(image, buf, BLOCK, end) == BLOCK &&
			is_expected(ino, block, buf, BLOCK);
	}
	munmap(map, BLOCKS * BLOCK);
	close(image);
	close(fd);
	return right;
}

static void fill_half(const struct test_fs *fs, __u64 ino, __u32 first)
{
	__u32 block;

	for (block = first; block < BLOCKS; block += 2) {
		if (block % 3)
			fill_raw(fs, ino, block, BLOCK);
		else
			fill_lz4(fs, ino, block, BLOCK);
	}
}

static void test_waiting(struct test_fs *fs, const char *type, __u64 ino)
{
	struct incfs_pending_read_info info;
	int cmd = fs_open_cmd(fs, O_RDONLY);
	struct reader reader;

	reader_start(&reader, fs, "file", 1, READ_PREAD);
	take_pending(cmd, &info, 1);
	fill_half(fs, ino, 1);
	ok(reader_join(&reader) == BLOCK && is_expected(ino, 1, reader.data, BLOCK),
	   "%s: a reader waits, and gets its block", type);
	close(cmd);
}

static void test_sparse(const struct test_fs *fs, const char *type)
{
	__u64 ino = make_file(fs, INCFS_ROOT_INODE, "huge", HUGE_SIZE);
	struct stat st;

	fill_raw(fs, ino, HUGE_SIZE / BLOCK - 1, BLOCK);
	fsync(fs->cmd);
	if (stat(fs->image, &st))
		bail_out("stat %s", fs->image);
	diag("%s: an image of %lu KiB has %lu KiB on it", type, st.st_size / 1024, st.st_blocks / 2);
	ok(st.st_size > (off_t)(HUGE_SIZE / BLOCK * 14) && st.st_blocks * 512 < st.st_size / 4,
	   "%s: the map of a file of 4 GiB takes room in the image, and none on the disk", type);
	ok(block_reads(fs, "huge", ino, HUGE_SIZE / BLOCK - 1, BLOCK),
	   "%s: its last block reads right", type);
}

static void test_backing(const struct backing *backing)
{
	const char *type = backing->type;
	struct test_fs fs = { .image = "disk/image", .dir = "incfs", .options = "read_timeout_ms=0" };
	char out[64];
	__u64 ino;

	run_shell("modprobe -q %s", type);
	if (backing->mkfs && run_shell("truncate -s %uM %s.disk && %s %s.disk > mkfs.out 2>&1",
				       backing->mib, type, backing->mkfs, type))
		bail_out("%s", backing->mkfs);
	if (mount_backing(backing))
		bail_out("mount %s", type);

	fs_mount(&fs);
	ino = make_file(&fs, INCFS_ROOT_INODE, "file", BLOCKS * BLOCK);
	fill_half(&fs, ino, 0);
	ok(block_reads(&fs, "file", ino, 0, BLOCK) && block_reads(&fs, "file", ino, 2, BLOCK),
	   "%s: raw and compressed blocks read right", type);
	test_waiting(&fs, type, ino);
	ok(!fsync(fs.cmd) && !ioctl(fs.cmd, INCFS_IOC_SYNC), "%s: it can be synced", type);
	test_sparse(&fs, type);
	drop_caches();
	ok(reads_through(&fs, ino), "%s: all blocks read right, cold, in a row", type);
	drop_caches();
	ok(maps(&fs, ino), "%s: and through mappings", type);
	drop_caches();
	ok(feeds_itself(&fs, ino), "%s: a write to the image takes its bytes from there", type);
	is_errno(umount("disk"), EBUSY, "%s: it is busy while the image is mounted", type);
	fs_unmount(&fs);

	if (backing->mkfs) {
		if (umount("disk") || mount_backing(backing))
			bail_out("mount %s again", type);
	} else {
		diag("%s keeps nothing without its mount: the image alone is mounted again", type);
	}
	fs_mount(&fs);
	show_present(&fs, ino, out, sizeof(out));
	is_str(out, "0-95", "%s: all blocks are there after a remount of both", type);
	ok(reads_through(&fs, ino) && maps(&fs, ino), "%s: and right", type);
	fs_unmount(&fs);
	is_int(umount("disk"), 0, "%s: it can be unmounted then", type);
}

int main(void)
{
	unsigned int i;

	run_shell("modprobe -q loop");
	mkdir("disk", 0755);
	for (i = 0; i < sizeof(backings) / sizeof(backings[0]); i++)
		test_backing(&backings[i]);
	return done();
}
