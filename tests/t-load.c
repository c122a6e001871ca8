// SPDX-License-Identifier: GPL-2.0-only
/*
 * Much of everything: readers that wait at once, mounts, a file of 100 GiB, and with
 * INCFS_LONG=1 more mounts and a million files. All is right, and what each takes is
 * printed. A slow kernel, which INCFS_TIMEOUT_FACTOR tells, gets less. By hand, one of
 * them, of any number:
 *
 * t-load readers|mounts|sparse|files NUMBER
 *
 * timeout: 1800
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statfs.h>

#include "lib/incfs.h"
#include "lib/tap.h"

#define READERS 10000
#define MOUNTS 200
#define MOUNTS_LONG 1000
#define GIB 100
#define FILES 1000000
#define FILES_IN_DIR 1000

/* struct memory - in bytes; what a kernel does not tell is 0 */
struct memory {
	long long used;		/* all but what is free or in the page cache */
	long long cached;
	long long slab;
	long long percpu;
};

static struct memory memory_now(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	long long total = 0, free = 0, buffers = 0;
	struct memory memory = {};
	const struct {
		const char *name;
		long long *value;
	} wanted[] = {
		{ "MemTotal:", &total }, { "MemFree:", &free }, { "Buffers:", &buffers },
		{ "Cached:", &memory.cached }, { "Slab:", &memory.slab },
		{ "Percpu:", &memory.percpu },
	};
	char name[64], line[128];
	long long kb;
	size_t i;

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%63s %lld", name, &kb) != 2)
			continue;
		for (i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
			if (!strcmp(name, wanted[i].name))
				*wanted[i].value = kb * 1024;
	}
	if (!total)
		bail_out("/proc/meminfo");
	fclose(file);
	memory.cached += buffers;
	memory.used = total - free - memory.cached;
	return memory;
}

/* What has come to be used since @before, for each of @n. */
static void show_memory(const char *what, const struct memory *before, unsigned long n)
{
	struct memory now = memory_now();
	long long count = n;

	/* The kernel keeps some MiB of free pages that it does not call free. */
	if (n == 1)
		diag("%s: %lld KiB in slabs, %lld KiB of page cache", what,
		     (now.slab - before->slab) / 1024, (now.cached - before->cached) / 1024);
	else
		diag("%s: %lld bytes each, %lld of them in slabs, %lld per CPU", what,
		     (now.used - before->used) / count, (now.slab - before->slab) / count,
		     (now.percpu - before->percpu) / count);
}

static void drop_caches(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	sync();
	if (fd < 0 || write(fd, "3", 1) != 1)
		bail_out("drop_caches");
	close(fd);
}

static void raise_limits(void)
{
	struct rlimit limit = { 65536, 65536 };

	if (setrlimit(RLIMIT_NOFILE, &limit))
		bail_out("RLIMIT_NOFILE");
	limit = (struct rlimit) { RLIM_INFINITY, RLIM_INFINITY };
	if (setrlimit(RLIMIT_NPROC, &limit))
		bail_out("RLIMIT_NPROC");
}

/* Readers that wait at once */

/* struct crowd - a process of many readers, as its parent sees it */
struct crowd {
	unsigned int ready;	/* atomic: threads that are there */
	unsigned int wrong;	/* atomic */
	int gate[2];		/* they begin when its other end is closed */
	int fd;
	__u64 ino;
	__u32 first;		/* block */
};

static struct crowd *crowd;

static void *read_one(void *arg)
{
	__u32 block = crowd->first + (unsigned long)arg;
	char data[BLOCK];

	__atomic_add_fetch(&crowd->ready, 1, __ATOMIC_SEQ_CST);
	if (read(crowd->gate[0], data, 1) || pread(crowd->fd, data, BLOCK, (off_t)block * BLOCK) !=
	    BLOCK || !is_expected(crowd->ino, block, data, BLOCK))
		__atomic_add_fetch(&crowd->wrong, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void be_crowd(unsigned long n)
{
	pthread_t *threads = calloc(n, sizeof(*threads));
	pthread_attr_t attr;
	unsigned long i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(crowd->gate[1]);
	pthread_attr_init(&attr);
	/* With room for the variables of each thread. */
	pthread_attr_setstacksize(&attr, 96 << 10);
	for (i = 0; i < n; i++) {
		errno = pthread_create(&threads[i], &attr, read_one, (void *)i);
		if (errno)
			bail_out("thread %lu", i);
	}
	for (i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	_exit(crowd->wrong != 0);
}

/* How many blocks from @first on are waited for, each by one reader. */
static unsigned long count_waits(const struct test_fs *fs, __u32 first, unsigned long n)
{
	struct incfs_pending_read reads[256];
	struct incfs_pending_reads arg = {};
	unsigned long found = 0;
	__u32 i;

	do {
		arg.reads = (unsigned long)reads;
		arg.count = 256;
		if (ioctl(fs->cmd, INCFS_IOC_GET_PENDING, &arg))
			bail_out("GET_PENDING");
		for (i = 0; i < arg.count; i++)
			found += reads[i].readers == 1 && reads[i].block - first < n;
	} while (arg.count == 256);
	return found;
}

/* Emulated they take their time: as long as there are more of them. */
static bool all_wait(const struct test_fs *fs, __u32 first, unsigned long n)
{
	unsigned long before = 0, found;
	__u64 end = now_ms() + SOON;

	while ((found = count_waits(fs, first, n)) != n) {
		if (found != before)
			end = now_ms() + SOON;
		if (now_ms() > end)
			break;
		before = found;
		usleep(20000);
	}
	return found == n;
}

static void fill_batches(const struct test_fs *fs, __u64 ino, __u32 first, unsigned long n)
{
	static char data[INCFS_FILL_MAX][BLOCK] __attribute__((aligned(8)));
	static struct incfs_fill_block blocks[INCFS_FILL_MAX];
	struct incfs_fill fill = { .blocks = (unsigned long)blocks };
	__u32 i;

	for (; n; n -= fill.count, first += fill.count) {
		fill.count = n < INCFS_FILL_MAX ? n : INCFS_FILL_MAX;
		for (i = 0; i < fill.count; i++) {
			expected_block(ino, first + i, data[i]);
			blocks[i] = (struct incfs_fill_block) {
				.ino = ino, .block = first + i, .len = BLOCK,
				.data = (unsigned long)data[i],
			};
		}
		if (ioctl(fs->cmd, INCFS_IOC_FILL, &fill) || fill.filled != fill.count)
			bail_out("fill %u blocks", fill.count);
	}
}

static bool all_there(unsigned long n)
{
	unsigned long before = 0, there;
	__u64 end = now_ms() + SOON;

	while ((there = __atomic_load_n(&crowd->ready, __ATOMIC_SEQ_CST)) != n) {
		if (there != before)
			end = now_ms() + SOON;
		if (now_ms() > end)
			break;
		before = there;
		usleep(20000);
	}
	return there == n;
}

/* Start @n readers of the blocks from @first on, until all of them wait. */
static pid_t start_crowd(const struct test_fs *fs, __u32 first, unsigned long n)
{
	struct memory before = memory_now();
	pid_t pid;

	crowd->ready = 0;
	crowd->wrong = 0;
	crowd->first = first;
	if (pipe2(crowd->gate, O_CLOEXEC))
		bail_out("pipe");
	step_begin();
	pid = must_fork();
	if (!pid)
		be_crowd(n);
	if (!all_there(n))
		bail_out("%u of %lu threads are there", crowd->ready, n);
	usleep(500000);
	step_end("threads started", n);
	show_memory("a thread that waits for a pipe", &before, n);
	before = memory_now();
	step_begin();
	close(crowd->gate[1]);
	ok(all_wait(fs, first, n), "%lu readers wait, each for a block of its own", n);
	step_end("all readers wait", n);
	show_memory("more, when it waits for a block", &before, n);
	close(crowd->gate[0]);
	return pid;
}

static int end_crowd(pid_t pid, unsigned long n)
{
	__u64 end = now_ms() + SOON + n * 10;
	int status;

	while (!waitpid(pid, &status, WNOHANG)) {
		if (now_ms() > end)
			bail_out("readers do not end");
		usleep(2000);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void test_readers(unsigned long n)
{
	struct test_fs fs;
	pid_t pid;

	crowd = mmap(NULL, sizeof(*crowd), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	if (crowd == MAP_FAILED)
		bail_out("mmap");
	fs_mount_new(&fs, "readers", "read_timeout_ms=0");
	crowd->ino = make_file(&fs, INCFS_ROOT_INODE, "file", 2 * n * BLOCK);
	crowd->fd = fs_open(&fs, "file");
	pid = start_crowd(&fs, 0, n);
	step_begin();
	fill_batches(&fs, crowd->ino, 0, n);
	step_end("blocks filled", n);
	is_int(end_crowd(pid, n), 0, "all of them wake, with the right bytes");
	step_end("all have read, and ended", n);
	is_int(count_pending(&fs), 0, "nobody waits");

	pid = start_crowd(&fs, n, n);
	step_begin();
	kill(pid, SIGKILL);
	is_int(end_crowd(pid, n), 128 + SIGKILL, "all of them are killed");
	step_end("all killed", n);
	is_int(count_pending(&fs), 0, "and nobody waits");
	close(crowd->fd);
	fs_unmount(&fs);
	munmap(crowd, sizeof(*crowd));
}

/* Mounts */

static void test_mounts(unsigned long n)
{
	struct test_fs *mounts = calloc(n, sizeof(*mounts));
	struct reader *readers = calloc(n, sizeof(*readers));
	__u64 *inos = calloc(n, sizeof(*inos));
	unsigned long i, right = 0, waiting = 0, served = 0;
	struct memory before;
	char name[32];

	if (!mounts || !readers || !inos)
		bail_out("calloc");
	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "m%lu", i);
		if (mkdir(name, 0755))
			bail_out("mkdir %s", name);
	}
	drop_caches();
	before = memory_now();
	step_begin();
	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "m%lu", i);
		fs_mount_new(&mounts[i], name, "read_timeout_ms=0");
	}
	step_end("new images made and mounted", n);
	drop_caches();
	show_memory("a mount", &before, n);
	step_begin();
	for (i = 0; i < n; i++) {
		inos[i] = make_file(&mounts[i], INCFS_ROOT_INODE, "file", 2 * BLOCK + i);
		fill_raw(&mounts[i], inos[i], 0, BLOCK);
	}
	step_end("a file made in each, and a block filled", n);
	drop_caches();
	show_memory("a mount with a file", &before, n);
	step_begin();
	for (i = 0; i < n; i++)
		right += block_reads(&mounts[i], "file", inos[i], 0, BLOCK);
	is_int(right, n, "%lu images are mounted, and each is read", n);
	step_end("a block read of each", n);
	for (i = 0; i < n; i++)
		reader_start(&readers[i], &mounts[i], "file", 1, READ_PREAD);
	for (i = 0; i < n; i++)
		waiting += wait_until(count_pending(&mounts[i]) == 1);
	is_int(waiting, n, "a reader waits in each");
	step_end("a reader waits in each", n);
	for (i = 0; i < n; i++)
		fill_lz4(&mounts[i], inos[i], 1, BLOCK);
	for (i = 0; i < n; i++)
		served += reader_join(&readers[i]) == BLOCK &&
			  is_expected(inos[i], 1, readers[i].data, BLOCK);
	is_int(served, n, "and is served");
	step_end("a block filled in each, and its reader served", n);
	for (i = 0; i < n; i++)
		fs_unmount(&mounts[i]);
	step_end("all unmounted", n);
	step_begin();
	for (i = 0; i < n; i++)
		fs_mount(&mounts[i]);
	step_end("all mounted again", n);
	for (i = 0, right = 0; i < n; i++)
		right += block_reads(&mounts[i], "file", inos[i], 0, BLOCK) &&
			 block_reads(&mounts[i], "file", inos[i], 1, BLOCK);
	is_int(right, n, "each image has what it had");
	step_begin();
	for (i = 0; i < n; i++)
		fs_unmount(&mounts[i]);
	step_end("all unmounted", n);
	drop_caches();
	show_memory("what is left of a mount", &before, n);
	for (i = 0; i < n; i++) {
		unlink(mounts[i].image);
		rmdir(mounts[i].dir);
	}
	free(mounts);
	free(readers);
	free(inos);
}

/* A large file with little in it */

#define HOLES 3

static void show_image(const struct test_fs *fs, const char *when)
{
	struct stat st;

	if (stat(fs->image, &st))
		bail_out("stat %s", fs->image);
	diag("%s the image is %llu MiB long, and takes %llu KiB", when,
	     (unsigned long long)st.st_size >> 20, (unsigned long long)st.st_blocks >> 1);
}

/* The @i-th block that is filled; they are apart from each other. */
static __u32 sparse_block(__u32 i, __u32 n, __u32 nr_blocks)
{
	__u32 each = nr_blocks / n;

	return i == n - 1 ? nr_blocks - 1 : i * each + (i ? i * 7919u % (each - 8) : 0);
}

static void read_all(const struct test_fs *fs, __u64 ino, __u32 n, __u32 nr_blocks,
		     const char *when)
{
	__u32 i, right = 0;

	for (i = 0; i < n; i++)
		right += block_reads(fs, "huge", ino, sparse_block(i, n, nr_blocks), BLOCK);
	is_int(right, n, "%s %u blocks from start to end are right", when, n);
	step_end("a block read", n);
}

static void test_holes(const struct test_fs *fs, __u64 ino, __u32 n, __u32 nr_blocks)
{
	struct reader readers[HOLES];
	int i, served = 0;

	for (i = 0; i < HOLES; i++)
		reader_start(&readers[i], fs, "huge",
			     sparse_block(i * (n - 2) / (HOLES - 1), n, nr_blocks) + 1,
			     i % 2 ? READ_MAPPED : READ_PREAD);
	ok(wait_until(count_pending(fs) == HOLES), "holes are waited for, at start, middle, end");
	for (i = 0; i < HOLES; i++)
		fill_lz4(fs, ino, readers[i].block, BLOCK);
	for (i = 0; i < HOLES; i++)
		served += reader_join(&readers[i]) == BLOCK &&
			  is_expected(ino, readers[i].block, readers[i].data, BLOCK);
	is_int(served, HOLES, "and are served");
}

/* All of the block map. */
static unsigned long count_present(const struct test_fs *fs, __u64 ino)
{
	struct incfs_block_range ranges[64];
	struct incfs_block_ranges arg = { .ino = ino, .ranges = (unsigned long)ranges };
	unsigned long present = 0;
	__u32 i;

	do {
		arg.nr_ranges = 64;
		if (ioctl(fs->cmd, INCFS_IOC_GET_PRESENT, &arg))
			bail_out("GET_PRESENT");
		for (i = 0; i < arg.nr_ranges; i++)
			present += ranges[i].count;
	} while (arg.first < arg.nr_blocks);
	return present;
}

static void test_sparse(unsigned long gib)
{
	__u32 nr_blocks = gib << (30 - 12), n = 2 * gib + 1, i, last;
	struct memory before;
	struct test_fs fs;
	struct stat st;
	__u64 ino;
	int fd;

	fs_mount_new(&fs, "sparse", "read_timeout_ms=0");
	step_begin();
	ino = make_file(&fs, INCFS_ROOT_INODE, "huge", (__u64)gib << 30);
	step_end("a large file made", 1);
	show_image(&fs, "empty,");
	for (i = 0; i < n; i++)
		fill_raw(&fs, ino, sparse_block(i, n, nr_blocks), BLOCK);
	step_end("a block filled", n);
	fs_unmount(&fs);
	show_image(&fs, "with some blocks");
	drop_caches();
	before = memory_now();
	step_begin();
	fs_mount(&fs);
	step_end("mount", 1);
	read_all(&fs, ino, n, nr_blocks, "mounted again,");
	show_memory("the mount, and its blocks read", &before, 1);
	test_holes(&fs, ino, n, nr_blocks);
	step_begin();
	is_int(count_present(&fs, ino), n + HOLES, "as many blocks are present as were filled");
	step_end("GET_PRESENT of all blocks", nr_blocks);
	show_memory("then", &before, 1);
	drop_caches();
	show_memory("and when caches have been dropped", &before, 1);
	fd = fs_open(&fs, "huge");
	last = sparse_block(n - 2, n, nr_blocks) + 2;
	step_begin();
	is_int(lseek(fd, (off_t)last * BLOCK, SEEK_DATA), (off_t)(nr_blocks - 1) * BLOCK,
	       "lseek finds the last block");
	step_end("lseek over a hole", nr_blocks - 1 - last);
	is_int(fstat(fd, &st), 0, "stat");
	step_end("the first stat", 1);
	is_int(st.st_size, (off_t)gib << 30, "the file is %lu GiB long", gib);
	close(fd);
	drop_caches();
	step_begin();
	read_all(&fs, ino, n, nr_blocks, "once more");
	fs_unmount(&fs);
	drop_caches();
	show_memory("what is left", &before, 1);
	unlink(fs.image);
}

/* Files */

static __u64 create(const struct test_fs *fs, __u64 dir, mode_t mode, const char *name)
{
	struct incfs_create arg = {
		.mode = mode, .size = S_ISREG(mode) ? BLOCK : 0,
		.mtime_sec = 1700000000, .dir_ino = dir,
		.name = (unsigned long)name, .name_len = strlen(name),
	};

	if (ioctl(fs->cmd, INCFS_IOC_CREATE, &arg))
		bail_out("CREATE %s", name);
	return arg.ino;
}

static unsigned int list(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	unsigned int n = 0;

	while (dir && (entry = readdir(dir)))
		n += entry->d_name[0] == 'f';
	closedir(dir);
	return n;
}

static void test_files(unsigned long n)
{
	unsigned long nr_dirs = (n + FILES_IN_DIR - 1) / FILES_IN_DIR, i, found = 0, listed = 0;
	char options[32], name[64];
	struct memory before;
	struct test_fs fs;
	struct stat st;
	__u64 dir = 0;

	snprintf(options, sizeof(options), "max_files=%lu", n + nr_dirs + 1);
	fs_mount_new(&fs, "files", options);
	drop_caches();
	before = memory_now();
	step_begin();
	for (i = 0; i < n; i++) {
		if (i % FILES_IN_DIR == 0) {
			snprintf(name, sizeof(name), "d%lu", i / FILES_IN_DIR);
			dir = create(&fs, INCFS_ROOT_INODE, S_IFDIR | 0755, name);
		}
		snprintf(name, sizeof(name), "file-%lu", i);
		create(&fs, dir, S_IFREG | 0644, name);
	}
	step_end("a file made", n);
	if (ioctl(fs.cmd, INCFS_IOC_SYNC))
		bail_out("SYNC");
	step_end("all synced", 1);
	show_image(&fs, "with the files");
	fs_unmount(&fs);
	drop_caches();
	step_begin();
	fs_mount(&fs);
	step_end("mount", n);
	drop_caches();
	show_memory("a file", &before, n);
	is_int(fs_info(&fs).nr_files, n + nr_dirs + 1, "%lu files are there", n);
	step_begin();
	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "d%lu/file-%lu", i / FILES_IN_DIR, i);
		found += !stat(fs_path(&fs, name), &st) && st.st_size == BLOCK;
	}
	is_int(found, n, "all are found");
	step_end("look-up and stat, cold", n);
	show_memory("a file that was looked up", &before, n);
	for (i = 0; i < nr_dirs; i++) {
		snprintf(name, sizeof(name), "d%lu", i);
		listed += list(fs_path(&fs, name));
	}
	is_int(listed, n, "and listed");
	step_end("readdir", n);
	fs_unmount(&fs);
	step_end("umount", n);
	drop_caches();
	show_memory("what is left of a file", &before, n);
	unlink(fs.image);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(unsigned long n);
		unsigned long n, n_long;
	} tests[] = {
		{ "readers", test_readers, READERS, READERS },
		{ "mounts", test_mounts, MOUNTS, MOUNTS_LONG },
		{ "sparse", test_sparse, GIB, GIB },
		{ "files", test_files, 0, FILES },
	};
	const char *is_long = getenv("INCFS_LONG"), *factor = getenv("INCFS_TIMEOUT_FACTOR");
	unsigned long n, slow = factor && atoi(factor) > 1 ? atoi(factor) : 1;
	size_t i;

	raise_limits();
	for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		n = (is_long && *is_long ? tests[i].n_long : tests[i].n) / slow;
		if (argc == 3)
			n = strcmp(argv[1], tests[i].name) ? 0 : strtoul(argv[2], NULL, 0);
		if (!n)
			continue;
		diag("%s", tests[i].name);
		tests[i].run(n);
	}
	return done();
}
