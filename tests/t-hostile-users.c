// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who may do what: other users, with descriptors that they were given, in
 * namespaces of their own, within limits; and signals wherever somebody waits. What
 * must be refused is, nobody is stuck, and everybody can be killed.
 *
 * timeout: 300
 */
#define _GNU_SOURCE
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "lib/incfs.h"
#include "lib/tap.h"

#define USER 1000
#define BLOCKS 2048

static struct test_fs fs;
static __u64 ino;
static __u32 next_block;	/* of "file", absent */

/*
 * Run @run in a process, as user @uid. Its result is what it returns: 0, or an
 * errno below 128; more is how it died.
 */
static int as_user(uid_t uid, int (*run)(int fd), int fd)
{
	pid_t pid;

	pid = must_fork();
	if (pid)
		return wait_exit(pid);
	if (uid && (setgroups(0, NULL) || setresgid(uid, uid, uid) || setresuid(uid, uid, uid)))
		_exit(127);
	/* What it has in /proc is root's otherwise. */
	prctl(PR_SET_DUMPABLE, 1);
	_exit(run(fd));
}

static int error_of(long ret)
{
	return ret < 0 ? errno : 0;
}

/* A block that belongs there, by write(2) or FILL. */
static int write_block(int fd)
{
	struct incfs_new_data_block block;
	char data[BLOCK];

	expected_block(ino, next_block, data);
	block = raw_block(ino, next_block, data, BLOCK);
	return error_of(try_fill(fd, &block));
}

static int fill_block(int fd)
{
	char data[BLOCK];
	struct incfs_fill_block block = { .ino = ino, .block = next_block, .len = BLOCK,
		.data = (unsigned long)data };
	struct incfs_fill arg = { .blocks = (unsigned long)&block, .count = 1 };

	expected_block(ino, next_block, data);
	return error_of(ioctl(fd, INCFS_IOC_FILL, &arg)) ?: -block.result;
}

static int new_file(int fd)
{
	__u64 made;

	return error_of(try_new(fd, S_IFREG | 0444, 1, &made));
}

static int choose_policy(int fd)
{
	struct incfs_policy_choice arg = {};

	return error_of(ioctl(fd, INCFS_IOC_SET_POLICY, &arg));
}

static int get_info(int fd)
{
	struct incfs_mount_info info;

	return error_of(ioctl(fd, INCFS_IOC_GET_INFO, &info));
}

static int open_to_write(int fd)
{
	(void)fd;
	return error_of(open(fs_path(&fs, ".cmd"), O_RDWR));
}

static int open_to_read(int fd)
{
	(void)fd;
	return error_of(open(fs_path(&fs, ".cmd"), O_RDONLY));
}

static int open_again(int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return error_of(open(path, O_RDWR));
}

static int write_opened(int fd)
{
	fd = open(fs_path(&fs, ".cmd"), O_RDWR);
	return fd < 0 ? errno : write_block(fd);
}

static int read_file(int fd)
{
	char buf[BLOCK];

	fd = open(fs_path(&fs, "file"), O_RDONLY);
	return fd < 0 ? errno : error_of(pread(fd, buf, BLOCK, 0));
}

static int remount(int fd)
{
	(void)fd;
	return error_of(mount("any", fs.dir, NULL, MS_REMOUNT, "read_timeout_ms=1"));
}

static int unmount(int fd)
{
	(void)fd;
	return error_of(umount2(fs.dir, MNT_DETACH));
}

static int mount_own(int fd)
{
	char options[32];

	fd = memfd_create("image", 0);
	snprintf(options, sizeof(options), "backing_fd=%d", fd);
	return error_of(mount("any", "/tmp", INCFS_NAME, 0, options));
}

static int sysfs_policy(int fd)
{
	struct incfs_mount_info info;
	char path[128];

	if (ioctl(fd, INCFS_IOC_GET_INFO, &info))
		return errno;
	snprintf(path, sizeof(path), "/sys/fs/incremental-fs/mounts/%llu/policy", info.mount_id);
	fd = open(path, O_WRONLY);
	return fd < 0 ? errno : error_of(write(fd, "none", 4));
}

static bool is_absent(__u32 block)
{
	struct incfs_block_range range;
	struct incfs_block_ranges arg = { .ino = ino, .ranges = (unsigned long)&range,
		.first = block, .nr_ranges = 1 };

	if (ioctl(fs.cmd, INCFS_IOC_GET_PRESENT, &arg))
		bail_out("GET_PRESENT");
	return !arg.nr_ranges || range.first != block;
}

/* A descriptor through a socket, as a program would get it. */
static int send_and_run(int fd, uid_t uid, int (*run)(int fd))
{
	char control[CMSG_SPACE(sizeof(int))] = {}, byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
		.msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	int pair[2], got;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		bail_out("socketpair");
	pid = must_fork();
	if (!pid) {
		close(fd);
		if (setgroups(0, NULL) || setresgid(uid, uid, uid) || setresuid(uid, uid, uid) ||
		    recvmsg(pair[1], &msg, 0) != 1)
			_exit(127);
		memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(got));
		_exit(run(got));
	}
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	if (sendmsg(pair[0], &msg, 0) != 1)
		bail_out("sendmsg");
	close(pair[0]);
	close(pair[1]);
	return wait_exit(pid);
}

static void test_descriptors(void)
{
	int reader = fs_open_cmd(&fs, O_RDONLY);

	is_int(as_user(USER, open_to_write, -1), EACCES, ".cmd opens for writing for its owner");
	is_int(as_user(USER, open_to_read, -1), EACCES, "and for reading, too");
	is_int(as_user(USER, read_file, -1), 0, "files are for who may read them");
	is_int(as_user(USER, remount, -1), EPERM, "a user can't remount");
	is_int(as_user(USER, unmount, -1), EPERM, "nor unmount");
	is_int(as_user(USER, mount_own, -1), EPERM, "nor mount an image of his own");
	is_int(as_user(USER, sysfs_policy, fs.cmd), EACCES, "nor choose a policy in sysfs");

	is_int(as_user(USER, write_block, fs.cmd), EPERM,
	       "write by a descriptor that root has opened is refused");
	is_int(send_and_run(fs.cmd, USER, write_block), EPERM,
	       "so it is when it came through a socket");
	ok(is_absent(next_block), "and stores nothing");
	is_int(as_user(USER, open_again, fs.cmd), EACCES, "it can't be opened anew");
	is_int(as_user(USER, write_block, reader), EBADF,
	       "one that was opened for reading can't be written by");
	is_int(as_user(USER, fill_block, reader), EBADF, "nor is FILL taken by it");
	is_int(as_user(USER, new_file, reader), EBADF, "nor an instruction");
	is_int(as_user(USER, choose_policy, reader), EBADF, "nor SET_POLICY");
	is_int(as_user(0, fill_block, reader), EBADF, "whoever has it");
	is_int(as_user(USER, open_again, reader), EACCES, "nor can it be opened for writing");
	is_int(send_and_run(reader, USER, get_info), 0, "but asked");
	is_int(send_and_run(fs.cmd, USER, fill_block), 0,
	       "FILL by a descriptor for writing is for whoever was given it");
	ok(!is_absent(next_block), "and stores the block");
	next_block++;
	close(reader);
}

/* ".cmd" for everybody: what a user opens does not get root's rights by root's writing. */
static void test_open_to_all(void)
{
	struct test_fs open_fs;
	struct test_fs saved = fs;
	int fd;

	fs_mount_new(&open_fs, "open", "cmd_mode=0666,read_timeout_ms=50");
	if (make_file(&open_fs, INCFS_ROOT_INODE, "file", BLOCKS * BLOCK) != ino)
		bail_out("inode numbers");
	fs = open_fs;
	is_int(as_user(USER, write_opened, -1), 0, "with cmd_mode=0666 a user can fill");
	next_block++;
	if (seteuid(USER))
		bail_out("seteuid");
	fd = open(fs_path(&fs, ".cmd"), O_RDWR);
	if (fd < 0 || seteuid(0))
		bail_out("open .cmd as a user");
	is_int(write_block(fd), EPERM, "what a user has opened does not take root's writes");
	ok(is_absent(next_block), "nor stores them");
	is_int(as_user(USER, remount, -1), EPERM, "the mount is root's all the same");
	close(fd);
	fs_unmount(&open_fs);
	fs = saved;
}

/* Namespaces */

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY), ret;

	if (fd < 0)
		return -1;
	ret = write(fd, text, strlen(text));
	close(fd);
	return ret < 0 ? -1 : 0;
}

/* Root of a user namespace, and of a mount namespace in it. */
static int become_root(void)
{
	char map[32];
	uid_t uid = getuid();

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
		return errno;
	snprintf(map, sizeof(map), "0 %u 1", uid);
	write_file("/proc/self/setgroups", "deny");
	if (write_file("/proc/self/uid_map", map))
		return 126;
	return 0;
}

static int userns_works(int fd)
{
	(void)fd;
	return become_root();
}

static int in_userns(int (*run)(int fd), int fd)
{
	int error = become_root();

	if (error)
		return error;
	/* Its root may mount what it is allowed to. */
	if (mount("tmpfs", "/tmp", "tmpfs", 0, NULL))
		return 125;
	return run(fd);
}

static int ns_mount(int fd)
{
	return in_userns(mount_own, fd);
}

/* The same by the calls of today, up to the last. */
static int ns_fsconfig(int fd)
{
	int error = become_root(), image, made;

	if (error)
		return error;
	fd = syscall(SYS_fsopen, INCFS_NAME, 0);
	if (fd < 0)
		return errno;
	image = memfd_create("image", 0);
	if (syscall(SYS_fsconfig, fd, 5 /* SET_FD */, "backing_fd", NULL, image))
		return errno;
	made = syscall(SYS_fsconfig, fd, 6 /* CMD_CREATE */, NULL, NULL, 0);
	return error_of(made);
}

static int ns_remount(int fd)
{
	return in_userns(remount, fd);
}

static int ns_unmount(int fd)
{
	return in_userns(unmount, fd);
}

static int ns_open(int fd)
{
	return in_userns(open_to_write, fd);
}

static int ns_write(int fd)
{
	return in_userns(write_block, fd);
}

static int ns_sysfs(int fd)
{
	return in_userns(sysfs_policy, fd);
}

/* A mount of a mount namespace goes with its last process. */
static int mount_and_leave(int fd)
{
	(void)fd;
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return 126;
	return error_of(try_mount("own.img", "own", ""));
}

static void test_namespaces(void)
{
	int error = as_user(USER, userns_works, -1), tries = 0;

	if (error) {
		skip(1, "no user namespaces here");
	} else {
		is_int(as_user(USER, ns_mount, -1), EPERM,
		       "root of a user namespace can't mount an image");
		is_int(as_user(USER, ns_fsconfig, -1), EPERM, "nor by fsconfig(2)");
		is_int(as_user(0, ns_mount, -1), EPERM, "also if that was made by root");
		is_int(as_user(USER, ns_remount, -1), EPERM, "it can't remount one");
		is_int(as_user(USER, ns_unmount, -1), EINVAL, "nor take it off");
		is_int(as_user(USER, ns_open, -1), EACCES, "nor open .cmd");
		is_int(as_user(USER, ns_write, fs.cmd), EPERM, "nor write by a descriptor");
		is_int(as_user(0, ns_write, fs.cmd), EPERM, "also if that was made by root");
		ok(is_absent(next_block), "nothing is stored");
		is_int(as_user(0, ns_sysfs, fs.cmd), EPERM, "nor choose a policy in sysfs");
	}
	is_int(as_user(0, mount_and_leave, -1), 0, "an image is mounted in a mount namespace");
	while (try_mount("own.img", "own", "") && errno == EBUSY && tries++ < 1000)
		usleep(10000);
	is_int(umount("own"), 0, "when that has gone it can be mounted here");
}

/* Limits */

static int limited(int fd)
{
	struct rlimit none = { 0, 0 }, few = { 3, 3 };
	char options[64];
	void *map;
	int own;

	/* What a mount needs is open already. */
	own = open("limited.img", O_RDWR | O_CREAT, 0600);
	mkdir("limited", 0755);
	snprintf(options, sizeof(options), "backing_fd=%d", own);
	if (setrlimit(RLIMIT_NOFILE, &few) || mount("any", "limited", INCFS_NAME, 0, options))
		return 1;
	if (open("limited/.cmd", O_RDWR) >= 0 || errno != EMFILE || umount("limited"))
		return 2;
	/* Memory of the caller is not what a fill takes. */
	if (setrlimit(RLIMIT_AS, &none) || setrlimit(RLIMIT_MEMLOCK, &none))
		return 3;
	map = mmap(NULL, BLOCK, PROT_READ, MAP_SHARED, fd, 0);
	if (map != MAP_FAILED)
		return 4;
	return write_block(fs.cmd);
}

static int locked(int fd)
{
	struct rlimit pages = { 4 * BLOCK, 4 * BLOCK };
	char *map;

	fd = open(fs_path(&fs, "file"), O_RDONLY);
	map = mmap(NULL, 8 * BLOCK, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED || setrlimit(RLIMIT_MEMLOCK, &pages) || setresuid(USER, USER, USER))
		return 1;
	if (!mlock(map, 8 * BLOCK) || errno != ENOMEM)
		return 2;
	if (mlock(map, 4 * BLOCK) || !is_expected(ino, 3, map + 3 * BLOCK, BLOCK))
		return 3;
	munlock(map, 4 * BLOCK);
	/* One that does not come: an error, not a page without its contents. */
	map = mmap(NULL, BLOCK, PROT_READ, MAP_SHARED, fd, (BLOCKS - 1) * (off_t)BLOCK);
	return map != MAP_FAILED && mlock(map, BLOCK) ? 0 : 4;
}

static void test_limits(void)
{
	int fd = fs_open(&fs, "file");

	is_int(as_user(0, limited, fd), 0, "without descriptors or memory to be had it works on");
	ok(!is_absent(next_block), "and stores");
	next_block++;
	is_int(as_user(0, locked, fd), 0, "pages can be locked, if they come and are not too many");
	close(fd);
}

/* Signals */

static void on_signal(int sig)
{
	(void)sig;
}

static void handle(int sig, int flags)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = flags };

	sigaction(sig, &action, NULL);
}

/* Sends SIGUSR1, SIGUSR2, SIGSTOP and SIGCONT until told to stop. */
struct storm {
	pthread_t thread;
	pid_t pid;
	bool stop;
	unsigned int sent;
};

static void *storming(void *arg)
{
	static const int signals[] = { SIGUSR1, SIGUSR2, SIGUSR1, SIGSTOP, SIGCONT };
	struct storm *storm = arg;

	while (!__atomic_load_n(&storm->stop, __ATOMIC_RELAXED)) {
		kill(storm->pid, signals[storm->sent++ % 5]);
		usleep(500);
	}
	kill(storm->pid, SIGCONT);
	return NULL;
}

static void storm_begin(struct storm *storm, pid_t pid)
{
	*storm = (struct storm) { .pid = pid };
	pthread_create(&storm->thread, NULL, storming, storm);
}

static void storm_end(struct storm *storm)
{
	__atomic_store_n(&storm->stop, true, __ATOMIC_RELAXED);
	pthread_join(storm->thread, NULL);
}

/* A read and a page fault of an absent block. */
static void test_waiting_reader(enum read_how how)
{
	const char *what = how == READ_MAPPED ? "page fault" : "read";
	struct storm storm;
	pid_t pid;

	pid = reader_fork(&fs, "file", ino, next_block, how);
	ok(wait_until(count_pending(&fs) == 1), "%s: a process waits", what);
	storm_begin(&storm, pid);
	usleep(500000);
	storm_end(&storm);
	ok(!waitpid(pid, NULL, WNOHANG) && count_pending(&fs) == 1,
	   "%s: signals that are handled do not end it (%u of them)", what, storm.sent);
	if (write_block(fs.cmd))
		bail_out("fill");
	is_int(wait_exit(pid), 0, "%s: it gets what it has waited for", what);
	next_block++;

	pid = reader_fork(&fs, "file", ino, next_block, how);
	wait_until(count_pending(&fs) == 1);
	kill(pid, SIGSTOP);
	kill(pid, SIGKILL);
	is_int(wait_exit(pid), 128 + SIGKILL, "%s: SIGKILL does, stopped or not", what);
	is_int(count_pending(&fs), 0, "%s: and nobody waits any more", what);
}

/* @run in a process, under a storm: its exit code; or it is killed after @kill_ms. */
static int under_storm(int (*run)(int fd), int fd, int kill_ms)
{
	struct storm storm;
	int status;
	pid_t pid;

	pid = must_fork();
	if (!pid)
		_exit(run(fd));
	storm_begin(&storm, pid);
	if (kill_ms >= 0) {
		usleep(kill_ms * 1000);
		kill(pid, SIGKILL);
	}
	status = wait_exit(pid);
	storm_end(&storm);
	return status;
}

static int poll_pending(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	int ret = poll(&pfd, 1, SOON);

	return ret < 0 && errno == EINTR ? 0 : 1;
}

/* 1024 blocks in a call, as often as there is one. */
static int fill_many(int fd)
{
	static char data[INCFS_FILL_MAX][BLOCK];
	static struct incfs_fill_block blocks[INCFS_FILL_MAX];
	struct incfs_fill arg = { .blocks = (unsigned long)blocks, .count = INCFS_FILL_MAX };
	__u32 i;

	for (i = 0; i < INCFS_FILL_MAX; i++) {
		expected_block(ino, 1000 + i, data[i]);
		blocks[i] = (struct incfs_fill_block) { .ino = ino, .block = 1000 + i,
			.len = BLOCK, .data = (unsigned long)data[i] };
	}
	return ioctl(fd, INCFS_IOC_FILL, &arg) || arg.filled != INCFS_FILL_MAX;
}

static int write_many(int fd)
{
	static char data[INCFS_FILL_MAX][BLOCK];
	static struct incfs_new_data_block blocks[INCFS_FILL_MAX];
	__u32 i;

	fd = open(fs_path(&fs, ".cmd"), O_RDWR);
	for (i = 0; i < INCFS_FILL_MAX; i++) {
		expected_block(ino, 1000 + i, data[i]);
		blocks[i] = raw_block(ino, 1000 + i, data[i], BLOCK);
	}
	return write(fd, blocks, sizeof(blocks)) != sizeof(blocks);
}

static int sync_often(int fd)
{
	int i;

	for (i = 0; i < 50; i++) {
		if (ioctl(fd, INCFS_IOC_SYNC) || fsync(fd))
			return 1;
	}
	return 0;
}

static int mount_often(int fd)
{
	int i;

	(void)fd;
	for (i = 0; i < 30; i++) {
		if (try_mount("storm.img", "storm", "") || umount("storm"))
			return errno;
	}
	return 0;
}

/* However fast the machine is, these are at it when they are killed. */
static int sync_on(int fd)
{
	while (!sync_often(fd))
		;
	return 1;
}

static int mount_on(int fd)
{
	int err;

	do {
		err = mount_often(fd);
	} while (!err);
	return err;
}

static bool many_right(void)
{
	__u32 i, stored = 0;

	for (i = 1000; i < 1000 + INCFS_FILL_MAX; i++) {
		if (is_absent(i))
			continue;
		stored++;
		if (!block_reads(&fs, "file", ino, i, BLOCK))
			return false;
	}
	diag("%u of %u blocks are there", stored, INCFS_FILL_MAX);
	return true;
}

static void test_signals(void)
{
	int i, killed = 0;

	handle(SIGUSR1, SA_RESTART);
	handle(SIGUSR2, 0);
	test_waiting_reader(READ_PREAD);
	test_waiting_reader(READ_MAPPED);
	is_int(under_storm(poll_pending, fs.cmd, -1), 0, "poll of .cmd ends with EINTR");
	for (i = 0; i < 16; i++)
		killed += under_storm(i % 2 ? fill_many : write_many, fs.cmd, 2 * i) ==
			  128 + SIGKILL;
	ok(many_right(), "what a fill has stored that was killed is right (%d of %d)", killed, i);
	is_int(under_storm(fill_many, fs.cmd, -1), 0, "a fill that is not killed is whole");
	is_int(under_storm(write_many, fs.cmd, -1), 0, "so is a write");
	ok(many_right(), "and right");
	is_int(under_storm(sync_often, fs.cmd, -1), 0, "syncs succeed under signals");
	is_int(under_storm(sync_on, fs.cmd, 20), 128 + SIGKILL, "and can be killed");
	is_int(under_storm(mount_often, -1, -1), 0, "mount and umount succeed under signals");
	killed = under_storm(mount_on, -1, 50);
	umount("storm");
	ok(killed == 128 + SIGKILL && !mount_often(-1),
	   "who mounts can be killed, and the image mounts again");
}

/* Readers that come and are killed, of a mount that is taken off meanwhile. */
static void test_detached(void)
{
	struct incfs_pending_read_info info;
	struct test_fs gone;
	pid_t pids[8];
	__u64 file;
	int i, right = 0;

	fs_mount_new(&gone, "gone", "read_timeout_ms=0");
	file = make_file(&gone, INCFS_ROOT_INODE, "file", 64 * BLOCK);
	for (i = 0; i < 8; i++)
		pids[i] = reader_fork(&gone, "file", file, i, i % 2);
	ok(wait_until(count_pending(&gone) == 8), "eight processes wait");
	is_errno(umount(gone.dir), EBUSY, "umount is refused meanwhile");
	is_int(umount2(gone.dir, MNT_FORCE) ? errno : 0, EBUSY, "by force as well");
	is_int(umount2(gone.dir, MNT_DETACH), 0, "a lazy one is not");
	is_int(read(gone.cmd, &info, sizeof(info)), sizeof(info), ".cmd goes on telling of them");
	for (i = 0; i < 4; i++)
		kill(pids[i], SIGKILL);
	for (i = 4; i < 8; i++)
		fill_raw(&gone, file, i, BLOCK);
	for (i = 0; i < 8; i++)
		right += wait_exit(pids[i]) == (i < 4 ? 128 + SIGKILL : 0);
	is_int(right, 8, "those that wait are served, or killed");
	is_errno(try_mount(gone.image, gone.dir, ""), EBUSY,
		 "as long as .cmd is open it is in use");
	close(gone.cmd);
	ok(wait_until(!try_mount(gone.image, gone.dir, "read_timeout_ms=20")),
	   "then it can be mounted again");
	ok(block_reads(&gone, "file", file, 6, BLOCK), "with what was filled");
	umount(gone.dir);
}

int main(void)
{
	static char tree[1 << 16];

	chmod(".", 0755);
	fs_mount_new(&fs, "fs", "read_timeout_ms=50");
	ino = make_file(&fs, INCFS_ROOT_INODE, "file", BLOCKS * BLOCK);
	fill_blocks(&fs, ino, 0, 16);
	next_block = 16;
	test_descriptors();
	test_open_to_all();
	test_namespaces();
	test_limits();
	if (mount("any", fs.dir, NULL, MS_REMOUNT, "read_timeout_ms=0"))
		bail_out("remount");
	test_signals();
	test_detached();
	fs_unmount(&fs);
	is_int(run_shell("incfs image check '%s'", fs.image), 0, "the tool finds no fault");
	is_int(image_tool("check", fs.image, tree, sizeof(tree)), 0, "nor does the script");
	return done();
}
