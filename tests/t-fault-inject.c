// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that is not to be had, at each place where the kernel asks for some: every
 * call of the interface is made with its first request failing, then the second,
 * until one goes through untouched (/proc/thread-self/fail-nth). After each the
 * state is as before the call or as after it, and it can be made again. Where the
 * kernel has them, failing copies from and to user space are among the requests.
 *
 * t-fault-inject [NAME]: those calls alone in whose names that is
 *
 * timeout: 400
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "lib/incfs.h"
#include "lib/inject.h"
#include "lib/tap.h"

#define BLOCKS 4096

static struct test_fs fs;
static __u64 ino;		/* of "file" */
static const char *only = "";	/* of the names of trials */

/* State */

static const char *name_of(const char *what)
{
	static char names[4][32];
	static int next;
	char *name = names[next++ % 4];

	snprintf(name, 32, "%s-%u", what, inject_turn);
	return name;
}

static bool is_present(__u64 of, __u32 block)
{
	struct incfs_block_range range;
	struct incfs_block_ranges arg = { .ino = of, .ranges = (unsigned long)&range,
		.first = block, .nr_ranges = 1 };

	return !ioctl(fs.cmd, INCFS_IOC_GET_PRESENT, &arg) && arg.nr_ranges &&
	       range.first == block;
}

static __u32 next_block;	/* of "file", absent */

static bool filled(bool done)
{
	/* A fault after the block was stored is told as an error, too. */
	if (is_present(ino, next_block) != done)
		return false;
	return !done || block_reads(&fs, "file", ino, next_block, BLOCK);
}

/* Past those of a batch. */
static void new_block(void)
{
	next_block += 8;
	if (next_block >= BLOCKS)
		bail_out("the file is full");
}

/* Mounts */

static struct test_fs other;

static int image_fd = -1;	/* of its image */

static void prepare_image(void)
{
	close(image_fd);
	image_fd = open(other.image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (image_fd < 0)
		bail_out("open %s", other.image);
}

static int call_mount(void)
{
	char options[32];

	snprintf(options, sizeof(options), "backing_fd=%d", image_fd);
	return mount("any", other.dir, INCFS_NAME, 0, options);
}

static void prepare_new_image(void)
{
	unlink(other.image);
	prepare_image();
}

static bool mounted(bool done)
{
	char device[1024], options[1024];

	if (fs_proc_mounts(other.dir, device, options, sizeof(device)) != done)
		return false;
	if (done)
		return !umount(other.dir);
	/* What is left is an image, or as empty as it was. */
	if (call_mount())
		return false;
	return !umount(other.dir);
}

static void prepare_mounted(void)
{
	prepare_image();
	if (call_mount())
		bail_out("mount %s", other.image);
}

static int call_umount(void)
{
	return umount(other.dir);
}

static bool unmounted(bool done)
{
	char device[1024], options[1024];
	bool there = fs_proc_mounts(other.dir, device, options, sizeof(device));

	return there == !done && (done || !umount(other.dir));
}

static int call_remount(void)
{
	char options[32];

	snprintf(options, sizeof(options), "read_timeout_ms=%u", 1000 + inject_turn);
	return mount("any", fs.dir, NULL, MS_REMOUNT, options);
}

static bool remounted(bool done)
{
	return (fs_info(&fs).read_timeout_ms == 1000 + inject_turn) == done;
}

/* One without an open .cmd. */
static int call_remount_ro(void)
{
	return mount("any", other.dir, NULL, MS_REMOUNT | MS_RDONLY, "");
}

static bool remounted_ro(bool done)
{
	char device[1024], options[1024];

	if (!fs_proc_mounts(other.dir, device, options, sizeof(device)))
		return false;
	return !strncmp(options, "ro", 2) == done && !umount(other.dir);
}

/* Instructions */

static __u32 files_before;

static void count_files(void)
{
	files_before = fs_info(&fs).nr_files;
}

static bool file_made(bool done)
{
	return fs_info(&fs).nr_files == files_before + done;
}

static int call_new_file(void)
{
	__u64 made;

	return try_new(fs.cmd, S_IFREG | 0444, 3 * BLOCK, &made);
}

static int call_new_dir(void)
{
	__u64 made;

	return try_new(fs.cmd, S_IFDIR | 0555, 0, &made);
}

static bool has_name(const char *name)
{
	bool listed = false, found;
	struct dirent *entry;
	struct stat st;
	DIR *dir;

	found = !lstat(fs_path(&fs, name), &st);
	dir = opendir(fs.dir);
	while (dir && (entry = readdir(dir)))
		listed |= !strcmp(entry->d_name, name);
	closedir(dir);
	return found && listed;
}

static bool lacks_name(const char *name)
{
	bool listed = false;
	struct dirent *entry;
	struct stat st;
	DIR *dir;

	dir = opendir(fs.dir);
	while (dir && (entry = readdir(dir)))
		listed |= !strcmp(entry->d_name, name);
	closedir(dir);
	return lstat(fs_path(&fs, name), &st) && errno == ENOENT && !listed;
}

static int call_add(void)
{
	return try_add(fs.cmd, INCFS_ROOT_INODE, ino, name_of("add"));
}

static bool added(bool done)
{
	return done ? has_name(name_of("add")) : lacks_name(name_of("add"));
}

static void prepare_remove(void)
{
	if (call_add())
		bail_out("add");
	/* So that there is a dentry to be dropped. */
	access(fs_path(&fs, name_of("add")), F_OK);
}

static int call_remove(void)
{
	return try_remove(fs.cmd, INCFS_ROOT_INODE, ino, name_of("add"));
}

static bool removed(bool done)
{
	return added(!done);
}

static int call_create(void)
{
	const struct incfs_attr_item item = { INCFS_ATTR_XATTR, 6, 5 };
	const char *name = name_of("create");
	__u8 items[15];
	struct incfs_create arg = {
		.mode = S_IFREG | 0644, .size = 5 * BLOCK, .dir_ino = INCFS_ROOT_INODE,
		.name = (unsigned long)name, .name_len = strlen(name),
		.items = (unsigned long)items, .items_len = sizeof(items),
	};

	memcpy(mempcpy(items, &item, sizeof(item)), "user.xvalue", 11);
	return ioctl(fs.cmd, INCFS_IOC_CREATE, &arg);
}

static bool created(bool done)
{
	char value[8];

	if (!done)
		return lacks_name(name_of("create")) && file_made(false);
	return has_name(name_of("create")) && file_made(true) &&
	       getxattr(fs_path(&fs, name_of("create")), "user.x", value, 8) == 5;
}

/* Blocks */

static char data[32][BLOCK];

static int call_write(void)
{
	struct incfs_new_data_block block = raw_block(ino, next_block, data[0], BLOCK);

	return try_fill(fs.cmd, &block);
}

static void prepare_fill(void)
{
	int i;

	new_block();
	for (i = 0; i < 8; i++)
		expected_block(ino, next_block + i, data[i]);
}

static int call_fill(void)
{
	struct incfs_fill_block block = { .ino = ino, .block = next_block, .len = BLOCK,
		.data = (unsigned long)data[0], .result = 1 };
	struct incfs_fill arg = { .blocks = (unsigned long)&block, .count = 1 };

	if (ioctl(fs.cmd, INCFS_IOC_FILL, &arg))
		return -1;
	errno = -block.result;
	return block.result ? -1 : 0;
}

static struct incfs_fill_block batch[8];

/* A batch is there in part. */
static int call_batch(void)
{
	struct incfs_fill arg = { .blocks = (unsigned long)batch, .count = 8 };
	int i, error = 0;

	for (i = 0; i < 8; i++)
		batch[i] = (struct incfs_fill_block) { .ino = ino, .block = next_block + i,
			.len = BLOCK, .data = (unsigned long)data[i], .result = 1 };
	if (ioctl(fs.cmd, INCFS_IOC_FILL, &arg))
		return -1;
	for (i = 0; i < 8; i++)
		error = batch[i].result ?: error;
	errno = -error;
	return error ? -1 : 0;
}

static bool batch_filled(bool done)
{
	int i;

	for (i = 0; i < 8; i++) {
		if (is_present(ino, next_block + i)) {
			if (!block_reads(&fs, "file", ino, next_block + i, BLOCK))
				return false;
		} else if (done || !batch[i].result) {
			return false;
		}
	}
	return true;
}

/* The first block of a file that has no map yet is one of 2019's; here all have one. */
static int call_share(void)
{
	struct incfs_share arg = { .from_ino = ino, .to_ino = ino, .from_block = 0,
		.to_block = next_block, .count = 1 };

	return ioctl(fs.cmd, INCFS_IOC_SHARE, &arg);
}

static bool is_shared(bool done)
{
	char buf[BLOCK];

	if (is_present(ino, next_block) != done)
		return false;
	return !done || (read_block(&fs, "file", next_block, buf) == BLOCK &&
			 is_expected(ino, 0, buf, BLOCK));
}

static int call_present(void)
{
	struct incfs_block_range ranges[4];
	struct incfs_block_ranges arg = { .ino = ino, .ranges = (unsigned long)ranges,
		.nr_ranges = 4 };

	return ioctl(fs.cmd, INCFS_IOC_GET_PRESENT, &arg);
}

static int call_info(void)
{
	struct incfs_mount_info info;

	return ioctl(fs.cmd, INCFS_IOC_GET_INFO, &info);
}

static int call_stats(void)
{
	struct incfs_stats stats;

	return ioctl(fs.cmd, INCFS_IOC_GET_STATS, &stats);
}

static int call_attrs(void)
{
	char items[64];
	struct incfs_get_attrs arg = { .ino = ino + 1, .items = (unsigned long)items,
		.items_len = sizeof(items) };

	return ioctl(fs.cmd, INCFS_IOC_GET_ATTRS, &arg);
}

static int call_sync(void)
{
	return ioctl(fs.cmd, INCFS_IOC_SYNC);
}

static int call_policy(void)
{
	struct incfs_policy_choice arg = {};

	strcpy(arg.policy, inject_turn & 1 ? "auto" : "none");
	return ioctl(fs.cmd, INCFS_IOC_SET_POLICY, &arg);
}

static bool policy_chosen(bool done)
{
	char device[1024], options[1024];

	fs_proc_mounts(fs.dir, device, options, sizeof(device));
	/* The trial before has chosen the other one, if it has not failed. */
	return !done || !!strstr(options, "policy=auto") == (inject_turn & 1);
}

/* Reads */

static void drop_caches(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	if (write(fd, "2", 1) != 1)
		bail_out("drop_caches");
	close(fd);
	drop_cached(&fs, "file");
}

static int file;		/* "file", open */
static bool read_wrong;

static int call_read(void)
{
	static char buf[8 * BLOCK];
	ssize_t got = pread(file, buf, sizeof(buf), 0);
	__u32 b;

	for (b = 0; got > 0 && b < got / BLOCK; b++)
		read_wrong |= !is_expected(ino, b, buf + b * BLOCK, BLOCK);
	return got == sizeof(buf) ? 0 : got < 0 ? -1 : (errno = ENODATA, -1);
}

static void prepare_read(void)
{
	drop_cached(&fs, "file");
}

static bool reads_right(bool done)
{
	(void)done;
	return !read_wrong;
}

/* An absent block: the wait ends by its time. */
static int call_wait(void)
{
	char buf[BLOCK];

	if (pread(file, buf, BLOCK, (BLOCKS - 1) * (off_t)BLOCK) >= 0)
		read_wrong = true;
	return errno == ETIME ? 0 : -1;
}

static bool waited(bool done)
{
	(void)done;
	return !count_pending(&fs) && !read_wrong;
}

static sigjmp_buf after_fault;

static void on_sigbus(int sig)
{
	siglongjmp(after_fault, sig);
}

static char *map;

static int touch(size_t at)
{
	volatile char *byte = map + at;

	if (sigsetjmp(after_fault, 1)) {
		errno = EFAULT;
		return -1;
	}
	(void)*byte;
	return 0;
}

static int call_fault(void)
{
	return touch(3 * BLOCK);
}

static void prepare_fault(void)
{
	madvise(map, 16 * BLOCK, MADV_DONTNEED);
	drop_cached(&fs, "file");
}

static bool fault_right(bool done)
{
	return !done || is_expected(ino, 3, map + 3 * BLOCK, BLOCK);
}

static int call_mmap(void)
{
	void *at = mmap(NULL, BLOCK, PROT_READ, MAP_SHARED, file, 0);

	if (at == MAP_FAILED)
		return -1;
	munmap(at, BLOCK);
	return 0;
}

static int call_open(void)
{
	int fd = open(fs_path(&fs, "file"), O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -1 : close(fd);
}

static int call_open_cmd(void)
{
	int fd = open(fs_path(&fs, ".cmd"), O_RDWR | O_CLOEXEC);

	return fd < 0 ? -1 : close(fd);
}

static int call_lookup(void)
{
	struct stat st;

	return stat(fs_path(&fs, "dir/below"), &st);
}

static int call_lookup_absent(void)
{
	struct stat st;

	return stat(fs_path(&fs, "nowhere"), &st) && errno == ENOENT ? 0 : -1;
}

static int call_stat(void)
{
	struct stat st;

	return fstat(file, &st);
}

static int call_statfs(void)
{
	char buf[256];

	return syscall(SYS_statfs, fs.dir, buf);
}

static int dir_fd;

static int call_readdir(void)
{
	char buf[4096];

	lseek(dir_fd, 0, SEEK_SET);
	return syscall(SYS_getdents64, dir_fd, buf, sizeof(buf)) > 0 ? 0 : -1;
}

static int call_getxattr(void)
{
	char value[16];

	return getxattr(fs_path(&fs, "attrs"), "user.x", value, 16) == 5 ? 0 : -1;
}

static int call_listxattr(void)
{
	char list[64];

	return listxattr(fs_path(&fs, "attrs"), list, 64) > 0 ? 0 : -1;
}

static int call_readlink(void)
{
	char target[64];

	return readlink(fs_path(&fs, "link"), target, 64) == 4 ? 0 : -1;
}

static int call_seek(void)
{
	return lseek(file, 0, SEEK_HOLE) > 0 ? 0 : -1;
}

static int call_poll(void)
{
	struct pollfd pfd = { .fd = fs.cmd, .events = POLLIN };

	return poll(&pfd, 1, 0) < 0 ? -1 : 0;
}

static int call_read_cmd(void)
{
	struct incfs_pending_read_info infos[16];

	return read(fs.cmd, infos, sizeof(infos)) < 0 ? -1 : 0;
}

static int call_pending(void)
{
	struct incfs_pending_read reads[4];
	struct incfs_pending_reads arg = { .reads = (unsigned long)reads, .count = 4 };

	return ioctl(fs.cmd, INCFS_IOC_GET_PENDING, &arg);
}

static int call_mounts(void)
{
	char buf[4096];
	int fd = open("/proc/self/mounts", O_RDONLY | O_CLOEXEC), ret, error;

	if (fd < 0)
		return -1;
	ret = read(fd, buf, sizeof(buf)) > 0 ? 0 : -1;
	error = errno;
	close(fd);
	errno = error;
	return ret;
}

static const struct trial trials[] = {
	{ "mount of a new image", prepare_new_image, call_mount, mounted, false },
	{ "mount", prepare_image, call_mount, mounted, false },
	{ "umount", prepare_mounted, call_umount, unmounted, false },
	{ "remount", NULL, call_remount, remounted, false },
	{ "remount, read-only", prepare_mounted, call_remount_ro, remounted_ro, false },
	{ "NEW_FILE of a file", count_files, call_new_file, file_made, false },
	{ "NEW_FILE of a directory", count_files, call_new_dir, file_made, false },
	{ "ADD_DIR_ENTRY", NULL, call_add, added, true },
	{ "REMOVE_DIR_ENTRY", prepare_remove, call_remove, removed, false },
	{ "CREATE", count_files, call_create, created, true },
	{ "write of .cmd", prepare_fill, call_write, filled, true },
	{ "FILL", prepare_fill, call_fill, filled, true },
	{ "FILL of a batch", prepare_fill, call_batch, batch_filled, true },
	{ "SHARE", new_block, call_share, is_shared, true },
	{ "GET_PRESENT", drop_caches, call_present, NULL, true },
	{ "GET_INFO", NULL, call_info, NULL, true },
	{ "GET_STATS", NULL, call_stats, NULL, true },
	{ "GET_ATTRS", NULL, call_attrs, NULL, true },
	{ "GET_PENDING", NULL, call_pending, NULL, true },
	{ "SYNC", prepare_fill, call_sync, NULL, true },
	{ "SET_POLICY", NULL, call_policy, policy_chosen, true },
	{ "read", prepare_read, call_read, reads_right, true },
	{ "read of an absent block", NULL, call_wait, waited, true },
	{ "page fault", prepare_fault, call_fault, fault_right, false },
	{ "mmap", NULL, call_mmap, NULL, true },
	{ "open", drop_caches, call_open, NULL, true },
	{ "open of .cmd", drop_caches, call_open_cmd, NULL, true },
	{ "look-up", drop_caches, call_lookup, NULL, true },
	{ "look-up of what is not there", drop_caches, call_lookup_absent, NULL, true },
	{ "stat", NULL, call_stat, NULL, true },
	{ "statfs", NULL, call_statfs, NULL, true },
	{ "readdir", NULL, call_readdir, NULL, true },
	{ "getxattr", drop_caches, call_getxattr, NULL, true },
	{ "listxattr", drop_caches, call_listxattr, NULL, true },
	{ "readlink", drop_caches, call_readlink, NULL, true },
	{ "lseek", NULL, call_seek, NULL, true },
	{ "poll of .cmd", NULL, call_poll, NULL, true },
	{ "read of .cmd", NULL, call_read_cmd, NULL, true },
	{ "/proc/mounts", NULL, call_mounts, NULL, true },
};

static void make_tree(void)
{
	struct incfs_attr_item item = { INCFS_ATTR_SYMLINK, 0, 4 };
	char items[32];
	struct incfs_create arg = { .mode = S_IFLNK | 0777, .dir_ino = INCFS_ROOT_INODE,
		.name = (unsigned long)"link", .name_len = 4, .items = (unsigned long)items,
		.items_len = 8 };
	__u64 dir;

	memcpy(mempcpy(items, &item, sizeof(item)), "file", 4);
	ino = make_file(&fs, INCFS_ROOT_INODE, "file", BLOCKS * BLOCK);
	if (ioctl(fs.cmd, INCFS_IOC_CREATE, &arg))
		bail_out("CREATE");
	item = (struct incfs_attr_item) { INCFS_ATTR_XATTR, 6, 5 };
	memcpy(mempcpy(items, &item, sizeof(item)), "user.xvalue", 11);
	arg.mode = S_IFREG | 0444;
	arg.name = (unsigned long)"attrs";
	arg.name_len = 5;
	arg.items_len = 15;
	if (ioctl(fs.cmd, INCFS_IOC_CREATE, &arg))
		bail_out("CREATE");
	dir = make_dir(&fs, INCFS_ROOT_INODE, "dir");
	make_file(&fs, dir, "below", 0);
	fill_blocks(&fs, ino, 0, 16);
	next_block = 16;
}

/* All trials on images of one file system. */
static void test_on(const char *where)
{
	unsigned int i;

	diag("images on %s", where);
	snprintf(fs.image, sizeof(fs.image), "%s/image", where);
	snprintf(fs.dir, sizeof(fs.dir), "on-%s", where);
	snprintf(fs.options, sizeof(fs.options), "read_timeout_ms=50,max_files=1000000");
	snprintf(other.image, sizeof(other.image), "%s/other", where);
	snprintf(other.dir, sizeof(other.dir), "other-%s", where);
	fs_mount(&fs);
	make_tree();
	mkdir(other.dir, 0755);
	prepare_image();
	if (call_mount() || umount(other.dir))
		bail_out("another mount");
	file = fs_open(&fs, "file");
	dir_fd = open(fs.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	map = mmap(NULL, 16 * BLOCK, PROT_READ, MAP_SHARED, file, 0);
	if (dir_fd < 0 || map == MAP_FAILED)
		bail_out("the directory, a mapping");
	for (i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
		if (strstr(trials[i].name, only))
			inject_try(&trials[i]);
	}
	for (i = 0; i < 16; i++) {
		if (!block_reads(&fs, "file", ino, i, BLOCK))
			break;
	}
	ok(inject_faults > 300 || *only, "%lu faults so far", inject_faults);
	is_int(i, 16, "the blocks from before are right");
	is_int(count_pending(&fs), 0, "nobody waits");
	munmap(map, 16 * BLOCK);
	close(file);
	close(dir_fd);
	fs_unmount(&fs);
	is_int(run_shell("incfs image check '%s'", fs.image), 0, "the tool finds no fault");
	fs_mount(&fs);
	for (i = 0; i < 16; i++) {
		if (!block_reads(&fs, "file", ino, i, BLOCK))
			break;
	}
	is_int(i, 16, "nor does another mount");
	fs_unmount(&fs);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_sigbus };

	only = argc > 1 ? argv[1] : only;
	inject_setup();
	sigaction(SIGBUS, &action, NULL);
	if (run_shell("mkdir tmpfs ext4 && mount -t tmpfs tmpfs tmpfs"))
		bail_out("tmpfs");
	test_on("tmpfs");
	test_on("ext4");
	run_shell("umount tmpfs");
	return done();
}
