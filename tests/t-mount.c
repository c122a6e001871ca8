// SPDX-License-Identifier: GPL-2.0-only
/* Mount options of .cmd, and images that are mounted read-only. */
#define _GNU_SOURCE
#include <glob.h>
#include <signal.h>

#include "lib/incfs.h"
#include "lib/tap.h"

static char before[1 << 20], after[1 << 20];

static int remount(const char *dir, unsigned long flags, const char *options)
{
	return mount("any", dir, NULL, MS_REMOUNT | flags, options);
}

static int mount_image(const char *image, int how, unsigned long flags, const char *more)
{
	int fd = open(image, how | O_CLOEXEC), ret, error;
	char options[128];

	if (fd < 0)
		bail_out("open %s", image);
	snprintf(options, sizeof(options), "backing_fd=%d%s", fd, more);
	ret = mount("any", "mnt", INCFS_NAME, flags, options);
	error = errno;
	close(fd);
	errno = error;
	return ret;
}

/* Set an option by the new interface; the message is in @text. */
static int set_option(const char *key, const char *value, char *text, size_t size)
{
	int context = fsopen(INCFS_NAME, FSOPEN_CLOEXEC), ret, error;
	ssize_t len;

	if (context < 0)
		bail_out("fsopen");
	ret = fsconfig(context, FSCONFIG_SET_STRING, key, value, 0);
	error = errno;
	len = read(context, text, size - 1);
	text[len > 0 ? len : 0] = 0;
	close(context);
	errno = error;
	return ret;
}

static void test_bad_values(void)
{
	static const struct {
		const char *key, *value;
	} bad[] = {
		{ "cmd_mode", "0777" }, { "cmd_mode", "0700" }, { "cmd_mode", "1600" },
		{ "cmd_mode", "100600" }, { "cmd_mode", "0800" }, { "cmd_mode", "rw" },
		{ "cmd_mode", "-1" }, { "cmd_mode", "" },
		{ "cmd_uid", "-1" }, { "cmd_uid", "4294967295" }, { "cmd_uid", "4294967296" },
		{ "cmd_uid", "root" }, { "cmd_uid", "" },
		{ "cmd_gid", "-1" }, { "cmd_gid", "4294967295" }, { "cmd_gid", "4294967296" },
		{ "cmd_gid", "root" }, { "cmd_gid", "" },
	};
	char text[256];
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		is_errno(set_option(bad[i].key, bad[i].value, text, sizeof(text)), EINVAL,
			 "%s=%s is refused", bad[i].key, bad[i].value);
		/* The kernel's own says "Invalid uid". */
		ok(text[0] == 'e' && strstr(text, bad[i].key + strlen("cmd_")),
		   "with a message that tells which it is");
	}
}

/* What a user gets who opens .cmd for reading and writing: 0 or an errno. */
static int open_as(const struct test_fs *fs, uid_t uid, gid_t gid, int flags)
{
	pid_t pid;

	pid = must_fork();
	if (!pid) {
		if (setgid(gid) || setuid(uid))
			_exit(99);
		_exit(open(fs_path(fs, ".cmd"), flags) < 0 ? errno : 0);
	}
	return wait_exit(pid);
}

static void test_owner(void)
{
	char device[1024], options[1024];
	struct test_fs fs;
	struct stat st;

	fs_mount_new(&fs, "plain", "");
	fs_proc_mounts(fs.dir, device, options, sizeof(device));
	ok(!strstr(options, "cmd_"), "/proc/mounts does not show what is the default");
	is_int(open_as(&fs, 65534, 65534, O_RDONLY), EACCES, "others can't open .cmd");
	fs_unmount(&fs);

	fs_mount_new(&fs, "owned", "cmd_uid=1234,cmd_gid=567,cmd_mode=0640");
	if (stat(fs_path(&fs, ".cmd"), &st))
		bail_out("stat .cmd");
	is_int(st.st_uid, 1234, "cmd_uid is the owner of .cmd");
	is_int(st.st_gid, 567, "cmd_gid is its group");
	is_int(st.st_mode, S_IFREG | 0640, "cmd_mode is its mode");
	fs_proc_mounts(fs.dir, device, options, sizeof(device));
	ok(strstr(options, ",cmd_uid=1234") && strstr(options, ",cmd_gid=567") &&
	   strstr(options, ",cmd_mode=0640"), "/proc/mounts shows them");
	is_int(open_as(&fs, 1234, 65534, O_RDWR), 0, "the owner opens .cmd");
	is_int(open_as(&fs, 65534, 567, O_RDONLY), 0, "the group does so for reading");
	is_int(open_as(&fs, 65534, 567, O_RDWR), EACCES, "but not for writing");
	is_int(open_as(&fs, 65534, 65534, O_RDONLY), EACCES, "others do not");

	is_int(remount(fs.dir, 0, "cmd_uid=1234,cmd_gid=567,cmd_mode=640,read_timeout_ms=5"), 0,
	       "a remount may repeat them");
	is_errno(remount(fs.dir, 0, "read_timeout_ms=6,cmd_uid=1235"), EINVAL,
		 "a remount with another cmd_uid is refused");
	is_errno(remount(fs.dir, 0, "read_timeout_ms=6,cmd_gid=568"), EINVAL,
		 "a remount with another cmd_gid is refused");
	is_errno(remount(fs.dir, 0, "read_timeout_ms=6,cmd_mode=0600"), EINVAL,
		 "a remount with another cmd_mode is refused");
	is_int(fs_info(&fs).read_timeout_ms, 5, "refused remounts change nothing");
	fs_unmount(&fs);

	fs_mount_new(&fs, "nobody", "cmd_mode=0");
	if (stat(fs_path(&fs, ".cmd"), &st))
		bail_out("stat .cmd");
	is_int(st.st_mode, S_IFREG, "cmd_mode may be 0");
	fs_unmount(&fs);
}

/* The readahead of a mount, by a number that the kernel gives; not that of @other. */
static void find_readahead(const char *other, char *path, size_t size)
{
	glob_t found;
	size_t i;

	path[0] = 0;
	if (glob("/sys/class/bdi/" INCFS_NAME "-*/read_ahead_kb", 0, NULL, &found))
		bail_out("readahead of mounts");
	for (i = 0; i < found.gl_pathc; i++) {
		if (strcmp(found.gl_pathv[i], other))
			snprintf(path, size, "%s", found.gl_pathv[i]);
	}
	globfree(&found);
}

static int read_number(const char *path)
{
	FILE *file = fopen(path, "re");
	int number;

	if (!file || fscanf(file, "%d", &number) != 1)
		bail_out("read '%s'", path);
	fclose(file);
	return number;
}

/* No option of a mount is another's. */
static void test_apart(void)
{
	char device[1024], options[1024], changed[1024], one_path[128], two_path[128];
	struct test_fs one, two;
	struct stat st;
	FILE *file;
	int kb;

	fs_mount_new(&one, "one", "");
	fs_proc_mounts(one.dir, device, options, sizeof(device));
	find_readahead("", one_path, sizeof(one_path));
	kb = read_number(one_path);
	fs_mount_new(&two, "two", "read_timeout_ms=5,max_files=7,policy=auto,cmd_mode=0644,cmd_uid=5");
	if (remount(two.dir, 0, "read_timeout_ms=6,policy=none"))
		bail_out("remount");
	find_readahead(one_path, two_path, sizeof(two_path));
	file = fopen(two_path, "we");
	if (!file || fprintf(file, "%d", kb + 64) < 0 || fclose(file))
		bail_out("write '%s'", two_path);
	is_int(read_number(two_path), kb + 64, "a mount's readahead can be changed");
	is_int(read_number(one_path), kb, "that of another mount stays what it is");
	fs_proc_mounts(one.dir, device, changed, sizeof(device));
	is_str(changed, options, "so do all options");
	stat(fs_path(&one, ".cmd"), &st);
	ok(st.st_mode == (S_IFREG | 0600) && st.st_uid == 0, "and its .cmd");
	is_int(fs_info(&one).max_files, 1000, "and its limit of inodes");
	fs_unmount(&two);
	fs_unmount(&one);
}

static ssize_t load(const char *path, char *to)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = read(fd, to, sizeof(before));

	close(fd);
	return len;
}

/* An image with a file of four blocks, of which the first is there. */
static void make_image(const char *name, __u64 *ino)
{
	struct test_fs fs;

	fs_mount_new(&fs, name, "");
	*ino = make_file(&fs, INCFS_ROOT_INODE, "file", 4 * BLOCK);
	fill_raw(&fs, *ino, 0, BLOCK);
	fs_unmount(&fs);
}

static bool is_read_only(const char *dir)
{
	char device[1024], options[1024];

	return fs_proc_mounts(dir, device, options, sizeof(device)) &&
	       !strncmp(options, "ro,", 3);
}

/* Nothing changes what is mounted read-only; all else goes on. */
static void test_use(const char *how, __u64 ino)
{
	struct test_fs fs = { .dir = "mnt" };
	struct incfs_policy_choice choice = {};
	struct incfs_share share = { .from_ino = ino, .to_ino = ino, .to_block = 1, .count = 1 };
	struct incfs_pending_read_info info;
	struct incfs_fill_block block = { .ino = ino, .block = 1, .len = BLOCK };
	struct incfs_fill fill = { .blocks = (unsigned long)&block, .count = 1 };
	struct reader reader;
	char data[BLOCK];
	__u64 other;
	pid_t pid;

	ok(is_read_only("mnt"), "%s: the mount is read-only", how);
	is_errno(open("mnt/.cmd", O_RDWR), EROFS, "%s: .cmd does not open for writing", how);
	fs.cmd = fs_open_cmd(&fs, O_RDONLY);
	expected_block(ino, 1, data);
	block.data = (unsigned long)data;
	is_errno(ioctl(fs.cmd, INCFS_IOC_FILL, &fill), EROFS, "%s: no block is filled", how);
	is_errno(try_new(fs.cmd, S_IFREG | 0444, 1, &other), EROFS, "%s: no file is made", how);
	is_errno(try_add(fs.cmd, INCFS_ROOT_INODE, ino, "new"), EROFS, "%s: no name is added", how);
	is_errno(try_remove(fs.cmd, INCFS_ROOT_INODE, 0, "file"), EROFS,
		 "%s: no name is removed", how);
	is_errno(ioctl(fs.cmd, INCFS_IOC_SHARE, &share), EROFS, "%s: no block is shared", how);
	is_errno(ioctl(fs.cmd, INCFS_IOC_SET_POLICY, &choice), EROFS,
		 "%s: no policy is chosen by ioctl", how);
	is_int(ioctl(fs.cmd, INCFS_IOC_SYNC), 0, "%s: there is nothing to sync", how);
	ok(block_reads(&fs, "file", ino, 0, BLOCK), "%s: a block that is there is read", how);

	is_int(remount("mnt", MS_RDONLY, "read_timeout_ms=50"), 0,
	       "%s: a remount takes another timeout", how);
	is_errno(read_block(&fs, "file", 1, data), ETIME, "%s: an absent block times out", how);
	reader_run(&reader, &fs, "file", 2, READ_MAPPED);
	is_int(reader.error, EFAULT, "%s: through a mapping, too", how);
	is_int(remount("mnt", MS_RDONLY, "read_timeout_ms=0"), 0,
	       "%s: a remount takes a timeout of 0", how);
	pid = reader_fork(&fs, "file", ino, 3, READ_PREAD);
	take_pending(fs.cmd, &info, 1);
	is_int(info.block_index, 3, "%s: a reader that waits is told", how);
	kill(pid, SIGKILL);
	is_int(wait_exit(pid), 128 + SIGKILL, "%s: and can be killed", how);
	close(fs.cmd);
}

static void test_descriptor(void)
{
	ssize_t len;
	__u64 ino;

	make_image("image", &ino);
	len = load("image.img", before);
	is_errno(mount_image("image.img", O_RDONLY, 0, ""), EBADFD,
		 "a descriptor for reading only is refused where it need not be one");
	is_errno(mount_image("image.img", O_WRONLY, MS_RDONLY, ""), EBADFD,
		 "a descriptor for writing only is refused for a read-only mount");
	is_int(mount_image("image.img", O_RDONLY, MS_RDONLY, ""), 0,
	       "a read-only mount takes a descriptor for reading only");
	test_use("by descriptor", ino);
	is_errno(remount("mnt", 0, NULL), EROFS, "it can't be remounted for writing");
	ok(is_read_only("mnt"), "and stays what it is");
	is_errno(mount_image("image.img", O_RDWR, 0, ",cmd_mode=600"), EBUSY,
		 "nor be mounted a second time");
	if (umount("mnt"))
		bail_out("umount");
	ok(load("image.img", after) == len && !memcmp(before, after, len),
	   "the image is what it was, to the byte");
}

static void test_file_system(void)
{
	__u64 ino;

	make_image("copied", &ino);
	mkdir("tmp", 0755);
	mkdir("bound", 0755);
	if (mount("tmpfs", "tmp", "tmpfs", 0, "size=2m") || mount("tmp", "bound", NULL, MS_BIND, NULL))
		bail_out("tmpfs");
	if (system("cp copied.img tmp/image") || remount("bound", MS_BIND | MS_RDONLY, NULL))
		bail_out("read-only bind mount");
	is_int(mount_image("bound/image", O_RDONLY, 0, ""), 0,
	       "an image below a read-only bind mount becomes a read-only mount");
	test_use("by bind mount", ino);
	is_errno(remount("mnt", 0, NULL), EROFS, "it can't be remounted for writing");
	if (umount("mnt") || umount("bound"))
		bail_out("umount");

	if (remount("tmp", MS_RDONLY, NULL))
		bail_out("read-only tmpfs");
	is_int(mount_image("tmp/image", O_RDONLY, 0, ""), 0,
	       "an image on a read-only file system becomes a read-only mount");
	test_use("by file system", ino);
	is_errno(remount("mnt", 0, NULL), EROFS, "it can't be remounted for writing");
	if (remount("tmp", 0, NULL))
		bail_out("writable tmpfs");
	is_errno(remount("mnt", 0, NULL), EROFS, "nor when its file system can be written again");
	if (umount("mnt"))
		bail_out("umount");
	is_int(mount_image("tmp/image", O_RDWR, 0, ""), 0, "but then it is mounted for writing");
	ok(!is_read_only("mnt"), "and that is what it is");
	if (umount("mnt") || umount("tmp"))
		bail_out("umount");
}

static void test_empty(void)
{
	int log = klog_open();

	close(open("empty", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	is_errno(mount_image("empty", O_RDONLY, MS_RDONLY, ""), EROFS,
		 "an empty file can't become an image read-only");
	is_errno(mount_image("empty", O_RDWR, MS_RDONLY, ""), EROFS,
		 "nor if it could be written");
	ok(klog_has(log, "an empty file"), "the log tells why");
	is_int(load("empty", after), 0, "it stays empty");
	close(log);
}

static void test_remount(void)
{
	struct incfs_new_data_block block;
	struct test_fs fs;
	char data[BLOCK];
	__u64 ino;

	make_image("remounted", &ino);
	is_int(mount_image("remounted.img", O_RDWR, MS_RDONLY, ""), 0,
	       "a descriptor for reading and writing mounts read-only as well");
	test_use("by flag", ino);
	is_int(remount("mnt", 0, "read_timeout_ms=50"), 0, "it can be remounted for writing");
	snprintf(fs.dir, sizeof(fs.dir), "mnt");
	fs.cmd = fs_open_cmd(&fs, O_RDWR);
	fill_raw(&fs, ino, 1, BLOCK);
	ok(block_reads(&fs, "file", ino, 1, BLOCK), "then blocks are filled");
	is_errno(remount("mnt", MS_RDONLY, NULL), EBUSY,
		 "while .cmd is open for writing it does not become read-only");
	fill_raw(&fs, ino, 2, BLOCK);
	close(fs.cmd);
	is_int(remount("mnt", MS_RDONLY, NULL), 0, "when it is closed it does");
	fs.cmd = fs_open_cmd(&fs, O_RDONLY);
	expected_block(ino, 3, data);
	block = raw_block(ino, 3, data, BLOCK);
	is_errno(try_fill(fs.cmd, &block), EBADF, "a write needs a descriptor that is for writing");
	ok(block_reads(&fs, "file", ino, 2, BLOCK), "what was filled before is read");
	close(fs.cmd);
	if (umount("mnt"))
		bail_out("umount");
}

int main(void)
{
	mkdir("mnt", 0755);
	test_bad_values();
	test_owner();
	test_apart();
	test_descriptor();
	test_file_system();
	test_empty();
	test_remount();
	return done();
}
