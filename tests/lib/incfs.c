// SPDX-License-Identifier: GPL-2.0-only
/* Helpers of the C tests: see incfs.h. */
#define _GNU_SOURCE
#include <dirent.h>
#include <limits.h>
#include <lz4.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>

#include "incfs.h"
#include "tap.h"

__u64 now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

__u64 now_ms(void)
{
	return now_ns() / 1000000;
}

static __u64 step_since;

void step_begin(void)
{
	step_since = now_ns();
}

void step_end(const char *what, unsigned long n)
{
	__u64 ns = now_ns() - step_since;

	diag("%s: %llu ms, %llu ns each", what, ns / 1000000, ns / n);
	step_begin();
}

int try_mount(const char *image, const char *dir, const char *options)
{
	char data[256];
	int fd, ret, error;

	mkdir(dir, 0755);
	fd = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		bail_out("open %s", image);
	snprintf(data, sizeof(data), "backing_fd=%d%s%s", fd, *options ? "," : "", options);
	ret = mount("any", dir, INCFS_NAME, 0, data);
	error = errno;
	close(fd);
	errno = error;
	return ret;
}

int fs_open_cmd(const struct test_fs *fs, int flags)
{
	int fd = open(fs_path(fs, ".cmd"), flags | O_CLOEXEC);

	if (fd < 0)
		bail_out("open .cmd of %s", fs->dir);
	return fd;
}

void fs_mount(struct test_fs *fs)
{
	if (try_mount(fs->image, fs->dir, fs->options))
		bail_out("mount %s with '%s'", fs->image, fs->options);
	fs->cmd = fs_open_cmd(fs, O_RDWR);
}

void fs_mount_new(struct test_fs *fs, const char *name, const char *options)
{
	snprintf(fs->image, sizeof(fs->image), "%s.img", name);
	snprintf(fs->dir, sizeof(fs->dir), "%s", name);
	snprintf(fs->options, sizeof(fs->options), "%s", options);
	unlink(fs->image);
	fs_mount(fs);
}

void fs_unmount(struct test_fs *fs)
{
	close(fs->cmd);
	fs->cmd = -1;
	if (umount(fs->dir))
		bail_out("umount %s", fs->dir);
}

void fs_cycle(struct test_fs *fs)
{
	fs_unmount(fs);
	fs_mount(fs);
}

const char *fs_path(const struct test_fs *fs, const char *name)
{
	static __thread char paths[8][2048];
	static __thread unsigned int next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", fs->dir, name);
	return path;
}

int fs_open(const struct test_fs *fs, const char *name)
{
	int fd = open(fs_path(fs, name), O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		bail_out("open %s of %s", name, fs->dir);
	return fd;
}

struct incfs_mount_info fs_info(const struct test_fs *fs)
{
	struct incfs_mount_info info;

	if (ioctl(fs->cmd, INCFS_IOC_GET_INFO, &info))
		bail_out("INCFS_IOC_GET_INFO");
	return info;
}

bool fs_proc_mounts(const char *dir, char *device, char *options, size_t size)
{
	char line[4096], at[1024], type[64], dev[1024], opts[1024], full[PATH_MAX];
	FILE *file = fopen("/proc/self/mounts", "re");
	bool found = false;

	if (!file || !realpath(dir, full))
		bail_out("/proc/self/mounts, %s", dir);
	while (!found && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%1023s %1023s %63s %1023s", dev, at, type, opts) != 4)
			continue;
		found = !strcmp(at, full) && !strcmp(type, INCFS_NAME);
	}
	fclose(file);
	if (found) {
		snprintf(device, size, "%s", dev);
		snprintf(options, size, "%s", opts);
	}
	return found;
}

int try_new(int cmd, mode_t mode, __u64 size, __u64 *ino)
{
	struct incfs_instruction arg = {
		.version = INCFS_HEADER_VER,
		.type = INCFS_INSTRUCTION_NEW_FILE,
		.file = { .size = size, .mode = mode },
	};
	int ret = ioctl(cmd, INCFS_IOC_PROCESS_INSTRUCTION, &arg);

	*ino = arg.file.ino_out;
	return ret;
}

static int change_name(int cmd, __u32 type, __u64 dir, __u64 ino, const char *name, __u32 len)
{
	struct incfs_instruction arg = {
		.version = INCFS_HEADER_VER,
		.type = type,
		.dir_entry = {
			.dir_ino = dir,
			.child_ino = ino,
			.name_len = len,
			.name = (unsigned long)name,
		},
	};

	return ioctl(cmd, INCFS_IOC_PROCESS_INSTRUCTION, &arg);
}

int try_add_len(int cmd, __u64 dir, __u64 ino, const char *name, __u32 len)
{
	return change_name(cmd, INCFS_INSTRUCTION_ADD_DIR_ENTRY, dir, ino, name, len);
}

int try_add(int cmd, __u64 dir, __u64 ino, const char *name)
{
	return try_add_len(cmd, dir, ino, name, strlen(name));
}

int try_remove(int cmd, __u64 dir, __u64 ino, const char *name)
{
	return change_name(cmd, INCFS_INSTRUCTION_REMOVE_DIR_ENTRY, dir, ino, name, strlen(name));
}

static __u64 make_node(const struct test_fs *fs, __u64 dir, const char *name, mode_t mode,
		       __u64 size)
{
	__u64 ino;

	if (try_new(fs->cmd, mode, size, &ino) || try_add(fs->cmd, dir, ino, name))
		bail_out("make %s", name);
	return ino;
}

__u64 make_file(const struct test_fs *fs, __u64 dir, const char *name, __u64 size)
{
	return make_node(fs, dir, name, S_IFREG | 0444, size);
}

__u64 make_dir(const struct test_fs *fs, __u64 dir, const char *name)
{
	return make_node(fs, dir, name, S_IFDIR | 0555, 0);
}

/* Unlike any other block, and yet LZ4 makes it smaller. */
void expected_block(__u64 ino, __u32 block, void *buf)
{
	__u64 *words = buf;
	unsigned int i;

	for (i = 0; i < BLOCK / sizeof(*words); i++)
		words[i] = (ino << 32 | block) * 0x9e3779b97f4a7c15ull + i / 16;
}

bool is_expected(__u64 ino, __u32 block, const void *buf, size_t len)
{
	__u64 want[BLOCK / sizeof(__u64)];
	const char *zeros = (const char *)buf + len;
	size_t i;

	expected_block(ino, block, want);
	if (memcmp(buf, want, len))
		return false;
	for (i = 0; i < BLOCK - len; i++) {
		if (zeros[i])
			return false;
	}
	return true;
}

struct incfs_new_data_block raw_block(__u64 ino, __u32 block, const void *data, __u32 len)
{
	return (struct incfs_new_data_block) {
		.file_ino = ino,
		.block_index = block,
		.data_len = len,
		.data = (unsigned long)data,
	};
}

int try_fill(int cmd, const struct incfs_new_data_block *block)
{
	ssize_t ret = write(cmd, block, sizeof(*block));

	if (ret >= 0 && ret != sizeof(*block)) {
		errno = EPROTO;
		return -1;
	}
	return ret < 0 ? -1 : 0;
}

void fill_raw(const struct test_fs *fs, __u64 ino, __u32 index, __u32 len)
{
	__u64 data[BLOCK / sizeof(__u64)];
	struct incfs_new_data_block block = raw_block(ino, index, data, len);

	expected_block(ino, index, data);
	if (try_fill(fs->cmd, &block))
		bail_out("fill block %u of inode %llu", index, ino);
}

void fill_lz4(const struct test_fs *fs, __u64 ino, __u32 index, __u32 len)
{
	__u64 data[BLOCK / sizeof(__u64)];
	char packed[LZ4_COMPRESSBOUND(BLOCK)];
	struct incfs_new_data_block block = raw_block(ino, index, packed, 0);

	expected_block(ino, index, data);
	block.compression = COMPRESSION_LZ4;
	block.data_len = LZ4_compress_default((char *)data, packed, len, sizeof(packed));
	if (try_fill(fs->cmd, &block))
		bail_out("fill block %u of inode %llu, LZ4", index, ino);
}

void fill_blocks(const struct test_fs *fs, __u64 ino, __u32 first, __u32 count)
{
	char data[FILL_RUN][BLOCK] __attribute__((aligned(8)));
	struct incfs_new_data_block blocks[FILL_RUN];
	__u32 n, i;

	for (; count; first += n, count -= n) {
		n = count < FILL_RUN ? count : FILL_RUN;
		for (i = 0; i < n; i++) {
			expected_block(ino, first + i, data[i]);
			blocks[i] = raw_block(ino, first + i, data[i], BLOCK);
		}
		if (write(fs->cmd, blocks, n * sizeof(blocks[0])) != (ssize_t)(n * sizeof(blocks[0])))
			bail_out("fill %u blocks from %u of inode %llu", n, first, ino);
	}
}

void fill_run(const struct test_fs *fs, __u64 ino, __u64 size, __u32 first, __u32 count)
{
	char data[BLOCK] __attribute__((aligned(8)));
	char stored[FILL_RUN][LZ4_COMPRESSBOUND(BLOCK)];
	struct incfs_fill_block blocks[FILL_RUN] = {};
	struct incfs_fill fill = { .blocks = (unsigned long)blocks, .count = count };
	__u64 left;
	__u32 i;

	if (count > FILL_RUN)
		bail_out("a run of %u", count);
	for (i = 0; i < count; i++) {
		left = size - (first + i) * (__u64)BLOCK;
		expected_block(ino, first + i, data);
		blocks[i].ino = ino;
		blocks[i].block = first + i;
		blocks[i].data = (unsigned long)stored[i];
		blocks[i].len = left < BLOCK ? left : BLOCK;
		if ((ino + first + i) % 3) {
			memcpy(stored[i], data, blocks[i].len);
			continue;
		}
		blocks[i].compression = COMPRESSION_LZ4;
		blocks[i].len = LZ4_compress_default(data, stored[i], blocks[i].len,
						     sizeof(stored[i]));
	}
	if (ioctl(fs->cmd, INCFS_IOC_FILL, &fill) || fill.filled != count)
		bail_out("fill a run of %u from %u of inode %llu", count, first, ino);
}

void drop_cached(const struct test_fs *fs, const char *name)
{
	int fd = fs_open(fs, name);

	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
}

ssize_t read_block(const struct test_fs *fs, const char *name, __u32 block, void *buf)
{
	int fd = fs_open(fs, name), error;
	ssize_t got;

	/* The folio that has it may have others, too. */
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	got = pread(fd, buf, BLOCK, (off_t)block * BLOCK);
	error = errno;
	close(fd);
	errno = error;
	return got;
}

bool block_reads(const struct test_fs *fs, const char *name, __u64 ino, __u32 block, size_t len)
{
	char buf[BLOCK] = {};
	ssize_t got = read_block(fs, name, block, buf);

	if (got > 0 && is_expected(ino, block, buf, len))
		return true;
	diag("%s, block %u: read %zd (%s)", name, block, got, got < 0 ? strerror(errno) : "-");
	return false;
}

void take_pending(int fd, struct incfs_pending_read_info *infos, int want)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	__u64 end = now_ms() + SOON;
	ssize_t got;

	while (want > 0) {
		if (now_ms() >= end || poll(&pfd, 1, SOON) <= 0)
			bail_out("%d waits have not come", want);
		got = read(fd, infos, want * sizeof(*infos));
		if (got < 0)
			bail_out("read .cmd");
		infos += got / sizeof(*infos);
		want -= got / sizeof(*infos);
	}
}

int count_pending(const struct test_fs *fs)
{
	struct incfs_pending_read_info infos[256];
	int fd = fs_open_cmd(fs, O_RDONLY);
	ssize_t got = read(fd, infos, sizeof(infos));

	close(fd);
	if (got < 0)
		bail_out("read .cmd");
	return got / sizeof(infos[0]);
}

static __thread sigjmp_buf after_fault;

static void on_sigbus(int sig)
{
	siglongjmp(after_fault, sig);
}

static ssize_t read_mapped(struct reader *reader)
{
	char *map = mmap(NULL, BLOCK, PROT_READ, MAP_SHARED, reader->fd,
			 (off_t)reader->block * BLOCK);
	ssize_t got = BLOCK;

	if (map == MAP_FAILED)
		bail_out("mmap");
	if (sigsetjmp(after_fault, 1)) {
		errno = EFAULT;
		got = -1;
	} else {
		memcpy(reader->data, map, BLOCK);
	}
	munmap(map, BLOCK);
	return got;
}

static void *reader_thread(void *arg)
{
	struct reader *reader = arg;
	__u64 start = now_ms();

	errno = 0;
	if (reader->how == READ_MAPPED)
		reader->got = read_mapped(reader);
	else
		reader->got = pread(reader->fd, reader->data, BLOCK,
				    (off_t)reader->block * BLOCK);
	reader->error = errno;
	reader->ms = now_ms() - start;
	close(reader->fd);
	__atomic_store_n(&reader->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void reader_init(struct reader *reader, const struct test_fs *fs, const char *name,
			__u32 block, enum read_how how)
{
	struct sigaction action = { .sa_handler = on_sigbus };

	sigaction(SIGBUS, &action, NULL);
	memset(reader, 0, sizeof(*reader));
	reader->how = how;
	reader->block = block;
	reader->fd = fs_open(fs, name);
	/* The block alone, without a window around it. */
	posix_fadvise(reader->fd, 0, 0, POSIX_FADV_RANDOM);
}

void reader_run(struct reader *reader, const struct test_fs *fs, const char *name,
		__u32 block, enum read_how how)
{
	reader_init(reader, fs, name, block, how);
	reader_thread(reader);
}

void reader_start(struct reader *reader, const struct test_fs *fs, const char *name,
		  __u32 block, enum read_how how)
{
	reader_init(reader, fs, name, block, how);
	errno = pthread_create(&reader->thread, NULL, reader_thread, reader);
	if (errno)
		bail_out("pthread_create");
}

bool reader_done(const struct reader *reader)
{
	return __atomic_load_n(&reader->done, __ATOMIC_ACQUIRE);
}

ssize_t reader_join(struct reader *reader)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += SOON / 1000;
	errno = pthread_timedjoin_np(reader->thread, NULL, &end);
	if (errno)
		bail_out("a reader of block %u does not end", reader->block);
	return reader->got;
}

pid_t must_fork(void)
{
	pid_t pid;

	/* What is printed and not written yet would be written twice. */
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		bail_out("fork");
	return pid;
}

pid_t reader_fork(const struct test_fs *fs, const char *name, __u64 ino, __u32 block,
		  enum read_how how)
{
	struct reader reader;
	pid_t pid;

	pid = must_fork();
	if (pid)
		return pid;
	reader_run(&reader, fs, name, block, how);
	_exit(reader.got != BLOCK ? reader.error :
	      !is_expected(ino, block, reader.data, BLOCK));
}

int wait_exit(pid_t pid)
{
	__u64 end = now_ms() + SOON;
	int status;

	while (!waitpid(pid, &status, WNOHANG)) {
		if (now_ms() > end)
			bail_out("process %d does not end", pid);
		usleep(2000);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int run_shell(const char *format, ...)
{
	char command[512];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	fflush(stdout);
	return system(command);
}

int image_tool(const char *verb, const char *path, char *out, size_t size)
{
	const char *top = getenv("INCFS_TOP");
	char command[512];
	size_t len;
	FILE *pipe;
	int status;

	snprintf(command, sizeof(command), "python3 '%s/tests/image.py' %s '%s' 2>&1",
		 top ? top : ".", verb, path);
	fflush(stdout);
	pipe = popen(command, "re");
	if (!pipe)
		bail_out("%s", command);
	len = fread(out, 1, size - 1, pipe);
	out[len] = 0;
	status = pclose(pipe);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

void show_present(const struct test_fs *fs, __u64 ino, char *out, size_t size)
{
	struct incfs_block_range ranges[16];
	struct incfs_block_ranges arg = { .ino = ino, .ranges = (unsigned long)ranges };
	size_t len = 0;
	__u32 i;

	snprintf(out, size, "none");
	do {
		arg.nr_ranges = 16;
		if (ioctl(fs->cmd, INCFS_IOC_GET_PRESENT, &arg))
			bail_out("INCFS_IOC_GET_PRESENT");
		for (i = 0; i < arg.nr_ranges && len < size; i++)
			len += snprintf(out + len, size - len, "%s%u-%u", len ? "," : "",
					ranges[i].first, ranges[i].first + ranges[i].count - 1);
	} while (arg.first < arg.nr_blocks);
}

static bool blocks_right(const struct test_fs *fs, const char *name, __u64 ino, __u64 size,
			 const char *present)
{
	const char *at = present;
	bool right = true;
	__u32 first, last;
	__u64 left;

	while (sscanf(at, "%u-%u", &first, &last) == 2) {
		for (; first <= last; first++) {
			left = size - (__u64)first * BLOCK;
			right &= block_reads(fs, name, ino, first, left < BLOCK ? left : BLOCK);
		}
		at = strchr(at, ',');
		if (!at)
			break;
		at++;
	}
	return right;
}

static bool show_dir(const struct test_fs *fs, const char *path, __u64 exempt, char *out,
		     size_t size)
{
	char full[1024], present[1024];
	struct dirent *entry;
	bool right = true;
	struct stat st;
	DIR *dir = opendir(fs_path(fs, path));

	while (dir && (entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
		    !strcmp(entry->d_name, ".cmd"))
			continue;
		snprintf(full, sizeof(full), "%s/%s", path, entry->d_name);
		if (stat(fs_path(fs, full), &st))
			bail_out("stat %s", full);
		out += strlen(out);
		if (S_ISDIR(st.st_mode)) {
			snprintf(out, size, "d %lu %o %s\n", st.st_ino, st.st_mode & 0777, full);
			right &= show_dir(fs, full, exempt, out, size);
			continue;
		}
		show_present(fs, st.st_ino, present, sizeof(present));
		snprintf(out, size, "f %lu %o %lu %s %s\n", st.st_ino, st.st_mode & 0777,
			 st.st_size, full, present);
		if (st.st_ino != exempt)
			right &= blocks_right(fs, full, st.st_ino, st.st_size, present);
	}
	closedir(dir);
	return right;
}

bool fs_show(const struct test_fs *fs, __u64 exempt, char *out, size_t size)
{
	out[0] = 0;
	return show_dir(fs, "", exempt, out, size / 2);
}

int klog_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || lseek(fd, 0, SEEK_END) < 0)
		bail_out("/dev/kmsg");
	return fd;
}

bool klog_has(int fd, const char *text)
{
	char record[8192];
	bool found = false;
	ssize_t got;

	while ((got = read(fd, record, sizeof(record) - 1)) > 0 || errno == EPIPE) {
		if (got <= 0)
			continue;
		record[got] = 0;
		found |= !!strstr(record, text);
	}
	return found;
}

void reload_module(void)
{
	const char *path = getenv("INCFS_MODULE");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0 || !wait_until(!syscall(SYS_delete_module, "incfs", O_NONBLOCK)) ||
	    syscall(SYS_finit_module, fd, "", 0))
		bail_out("load the module again");
	close(fd);
}
