// SPDX-License-Identifier: GPL-2.0-only
/* What programs do with files beside reading them: holes, sizes, mounts, events. */
#define _GNU_SOURCE
#include <sys/inotify.h>
#include <sys/fanotify.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <linux/mount.h>
#include <sched.h>

#include "lib/incfs.h"
#include "lib/tap.h"

#define BLOCKS 100

static __u64 make_holey(const struct test_fs *fs)
{
	__u64 ino = make_file(fs, INCFS_ROOT_INODE, "holey", BLOCKS * BLOCK - 1000);

	fill_blocks(fs, ino, 10, 30);
	fill_blocks(fs, ino, 90, 9);
	return ino;
}

static void test_seek(const struct test_fs *fs, __u64 ino)
{
	const off_t size = BLOCKS * BLOCK - 1000;
	int fd = fs_open(fs, "holey"), whole;
	__u64 small;

	is_int(lseek(fd, 0, SEEK_DATA), 10 * BLOCK, "data begins at the first stored block");
	is_int(lseek(fd, 0, SEEK_CUR), 10 * BLOCK, "and the position is there");
	is_int(lseek(fd, 0, SEEK_HOLE), 0, "an absent block is a hole");
	is_int(lseek(fd, 5, SEEK_HOLE), 5, "in its middle too");
	is_int(lseek(fd, 10 * BLOCK + 7, SEEK_DATA), 10 * BLOCK + 7, "data within a block");
	is_int(lseek(fd, 10 * BLOCK + 7, SEEK_HOLE), 40 * BLOCK, "the end of a run");
	is_int(lseek(fd, 40 * BLOCK, SEEK_DATA), 90 * BLOCK, "the next run");
	is_int(lseek(fd, 90 * BLOCK, SEEK_HOLE), 99 * BLOCK, "its end");
	is_errno(lseek(fd, 99 * BLOCK, SEEK_DATA), ENXIO, "no data behind the last one");
	is_errno(lseek(fd, size, SEEK_DATA), ENXIO, "no data at the end");
	is_errno(lseek(fd, size, SEEK_HOLE), ENXIO, "no hole at the end");
	is_errno(lseek(fd, -1, SEEK_DATA), ENXIO, "no data before the start");
	is_errno(lseek(fd, -1, SEEK_HOLE), ENXIO, "no hole before the start");
	is_int(lseek(fd, -1, SEEK_END), size - 1, "SEEK_END is as it was");
	fill_raw(fs, ino, 99, BLOCK - 1000);
	is_int(lseek(fd, 99 * BLOCK, SEEK_HOLE), size, "a hole is at the end of a stored tail");
	close(fd);

	small = make_file(fs, INCFS_ROOT_INODE, "whole", 3 * BLOCK);
	fill_blocks(fs, small, 0, 3);
	whole = fs_open(fs, "whole");
	is_int(lseek(whole, 0, SEEK_HOLE), 3 * BLOCK, "a whole file has no hole before its end");
	close(whole);
	make_file(fs, INCFS_ROOT_INODE, "empty", 0);
	whole = fs_open(fs, "empty");
	is_errno(lseek(whole, 0, SEEK_DATA), ENXIO, "an empty file has no data");
	close(whole);
}

static void test_sizes(struct test_fs *fs)
{
	struct statfs below, stat_fs, other_fs;
	struct test_fs other;
	struct stat st;
	__u64 ino;

	ino = make_file(fs, INCFS_ROOT_INODE, "sized", 10 * BLOCK);
	stat(fs_path(fs, "sized"), &st);
	is_int(st.st_blocks, 0, "a file without blocks has none");
	fill_blocks(fs, ino, 2, 3);
	stat(fs_path(fs, "sized"), &st);
	is_int(st.st_blocks, 3 * BLOCK / 512, "stored blocks are counted");
	fill_lz4(fs, ino, 7, BLOCK);
	stat(fs_path(fs, "sized"), &st);
	ok(st.st_blocks > 3 * BLOCK / 512 && st.st_blocks < 4 * BLOCK / 512,
	   "compressed ones by what they take");
	is_int(st.st_size, 10 * BLOCK, "the size is that of the file");
	fs_cycle(fs);
	stat(fs_path(fs, "sized"), &st);
	ok(st.st_blocks > 3 * BLOCK / 512 && st.st_blocks < 4 * BLOCK / 512,
	   "a remount counts the same");

	fs_mount_new(&other, "other", "max_files=77");
	if (statfs(".", &below) || statfs(fs->dir, &stat_fs) || statfs(other.dir, &other_fs))
		bail_out("statfs");
	ok(stat_fs.f_bavail > 0 && stat_fs.f_bavail * stat_fs.f_bsize <=
	   below.f_bavail * below.f_bsize + (1 << 24), "free is what the file system below has");
	ok(stat_fs.f_blocks > stat_fs.f_bfree, "and the image is used");
	ok(memcmp(&stat_fs.f_fsid, &other_fs.f_fsid, sizeof(stat_fs.f_fsid)),
	   "two mounts have two ids");
	ok(other_fs.f_files == 77 && other_fs.f_ffree == 76, "inodes are those of max_files");
	fs_unmount(&other);
}

static void test_direct(const struct test_fs *fs, __u64 ino)
{
	int fd = open(fs_path(fs, "holey"), O_RDONLY | O_DIRECT);
	static char buf[BLOCK] __attribute__((aligned(BLOCK)));

	ok(fd >= 0, "a file opens with O_DIRECT");
	is_int(pread(fd, buf, BLOCK, 12 * BLOCK), BLOCK, "and reads");
	ok(is_expected(ino, 12, buf, BLOCK), "what it should");
	is_errno(pread(fd, buf, BLOCK, 0), ETIME, "an absent block is waited for");
	close(fd);
}

static void test_transfers(const struct test_fs *fs, __u64 ino)
{
	int fd = fs_open(fs, "holey"), out = open("copy", O_RDWR | O_CREAT | O_TRUNC, 0600);
	loff_t from = 20 * BLOCK;
	off_t at = 20 * BLOCK;
	char buf[BLOCK];
	int pipes[2];
	void *map;

	is_int(sendfile(out, fd, &at, BLOCK), BLOCK, "sendfile");
	ok(pread(out, buf, BLOCK, 0) == BLOCK && is_expected(ino, 20, buf, BLOCK),
	   "sends what is there");
	if (pipe(pipes))
		bail_out("pipe");
	is_int(splice(fd, &from, pipes[1], NULL, BLOCK, 0), BLOCK, "splice");
	ok(read(pipes[0], buf, BLOCK) == BLOCK && is_expected(ino, 20, buf, BLOCK),
	   "moves what is there");
	from = 20 * BLOCK;
	is_errno(copy_file_range(fd, &from, out, NULL, BLOCK, 0), EXDEV,
		 "copy_file_range to another file system, as the kernel has it");
	map = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 20 * BLOCK);
	ok(map != MAP_FAILED && is_expected(ino, 20, map, BLOCK), "a private mapping reads");
	memset(map, 'w', BLOCK);
	ok(pread(fd, buf, BLOCK, 20 * BLOCK) == BLOCK && is_expected(ino, 20, buf, BLOCK),
	   "writes to it do not reach the file");
	munmap(map, BLOCK);
	map = mmap(NULL, BLOCK, PROT_READ, MAP_SHARED, fd, 20 * BLOCK);
	ok(map != MAP_FAILED && is_expected(ino, 20, map, BLOCK), "a shared mapping reads");
	is_errno(mprotect(map, BLOCK, PROT_WRITE), EACCES, "and is never writable");
	munmap(map, BLOCK);
	close(fd);
	close(out);
	close(pipes[0]);
	close(pipes[1]);
}

static void test_events(const struct test_fs *fs)
{
	int notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), fan, fd;
	char buf[4096] __attribute__((aligned(8)));
	struct fanotify_event_metadata *event = (void *)buf;

	inotify_add_watch(notify, fs_path(fs, "whole"), IN_OPEN | IN_ACCESS);
	fan = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_CLOEXEC, O_RDONLY);
	is_int(fanotify_mark(fan, FAN_MARK_ADD, FAN_OPEN | FAN_ACCESS, AT_FDCWD,
			     fs_path(fs, "whole")), 0, "fanotify takes a file");
	fd = fs_open(fs, "whole");
	is_int(read(notify, buf, sizeof(buf)), sizeof(struct inotify_event), "inotify tells");
	is_int(((struct inotify_event *)buf)->mask, IN_OPEN, "of an open");
	is_int(read(fan, buf, sizeof(buf)), sizeof(*event), "fanotify tells");
	is_int(event->mask, FAN_OPEN, "of an open");
	close(event->fd);
	if (read(notify, buf, sizeof(buf)) != -1 || pread(fd, buf, 10, 0) != 10)
		bail_out("events");
	ok(read(notify, buf, sizeof(buf)) > 0, "inotify tells");
	is_int(((struct inotify_event *)buf)->mask, IN_ACCESS, "of an access");
	ok(read(fan, buf, sizeof(buf)) > 0, "fanotify tells");
	is_int(event->mask, FAN_ACCESS, "of an access");
	close(event->fd);
	close(fd);
	close(notify);
	close(fan);
}

/* A user namespace in which id 0 is 5000 outside. */
static int open_userns(pid_t *pid)
{
	int ready[2], fd;
	char path[64];

	if (pipe(ready))
		bail_out("pipe");
	*pid = fork();
	if (!*pid) {
		if (unshare(CLONE_NEWUSER) || write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	close(ready[1]);
	if (read(ready[0], path, 1) != 1)
		bail_out("unshare");
	close(ready[0]);
	snprintf(path, sizeof(path), "/proc/%d/uid_map", *pid);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, "0 5000 100", 10) != 10)
		bail_out("%s", path);
	close(fd);
	snprintf(path, sizeof(path), "/proc/%d/gid_map", *pid);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, "0 5000 100", 10) != 10)
		bail_out("%s", path);
	close(fd);
	snprintf(path, sizeof(path), "/proc/%d/ns/user", *pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static void test_idmapped(const struct test_fs *fs)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP };
	struct incfs_create create = {
		.mode = S_IFREG | 0600,
		.uid = 7,
		.gid = 8,
		.dir_ino = INCFS_ROOT_INODE,
		.name = (unsigned long)"owned",
		.name_len = 5,
	};
	int tree, fd;
	struct stat st;
	pid_t pid;

	if (access("/proc/self/ns/user", F_OK)) {
		skip(5, "the kernel has no user namespaces");
		return;
	}
	if (ioctl(fs->cmd, INCFS_IOC_CREATE, &create))
		bail_out("INCFS_IOC_CREATE");
	attr.userns_fd = open_userns(&pid);
	tree = syscall(SYS_open_tree, AT_FDCWD, fs->dir, OPEN_TREE_CLONE | O_CLOEXEC);
	is_int(syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)), 0,
	       "a mount can be idmapped");
	is_int(fstatat(tree, "owned", &st, 0), 0, "a file through it");
	ok(st.st_uid == 5007 && st.st_gid == 5008, "has a mapped owner (%u, %u)", st.st_uid,
	   st.st_gid);
	fstatat(tree, ".cmd", &st, 0);
	is_int(st.st_uid, 5000, "so has .cmd");
	if (!must_fork()) {
		if (setgid(5008) || setuid(5007))
			_exit(1);
		fd = openat(tree, "owned", O_RDONLY);
		_exit(fd < 0 || openat(tree, ".cmd", O_RDONLY) >= 0 ? 2 : 0);
	}
	is_int((wait(&fd), WIFEXITED(fd) ? WEXITSTATUS(fd) : -1), 0,
	       "that owner may read it, and not .cmd");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(tree);
	close(attr.userns_fd);
}

/* Put a program of the guest into the mount, and run it there. */
static void test_exec(const struct test_fs *fs)
{
	int from = open("/bin/busybox", O_RDONLY | O_CLOEXEC), status;
	struct incfs_create create = {
		.mode = S_IFREG | 0755,
		.dir_ino = INCFS_ROOT_INODE,
		.name = (unsigned long)"busybox",
		.name_len = 7,
	};
	struct incfs_new_data_block block;
	char buf[BLOCK];
	struct stat st;
	__u32 i = 0;
	ssize_t n;

	if (from < 0 || fstat(from, &st))
		bail_out("/bin/busybox");
	create.size = st.st_size;
	if (ioctl(fs->cmd, INCFS_IOC_CREATE, &create))
		bail_out("INCFS_IOC_CREATE");
	while ((n = read(from, buf, BLOCK)) > 0) {
		block = raw_block(create.ino, i++, buf, n);
		if (try_fill(fs->cmd, &block))
			bail_out("fill");
	}
	close(from);
	if (!must_fork()) {
		if (chroot(fs->dir) || chdir("/"))
			_exit(98);
		execl("/busybox", "busybox", "test", "-x", "/busybox", NULL);
		_exit(99);
	}
	wait(&status);
	is_int(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0,
	       "a program runs from the mount, as the root of it");
}

int main(void)
{
	struct test_fs fs;
	__u64 ino;

	fs_mount_new(&fs, "fs", "read_timeout_ms=50");
	ino = make_holey(&fs);
	test_seek(&fs, ino);
	test_sizes(&fs);
	test_direct(&fs, ino);
	test_transfers(&fs, ino);
	test_events(&fs);
	test_idmapped(&fs);
	test_exec(&fs);
	fs_unmount(&fs);
	return done();
}
