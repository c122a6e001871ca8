// SPDX-License-Identifier: GPL-2.0-only
/*
 * What it takes to read a block that is not there yet: miss SETUP FILE ORIGINAL
 * [MOUNT].
 *
 * The blocks of the first half of FILE are read with pread(2) in a random order
 * and without readahead, one at a time; those of the second half are mapped, and
 * touched. Where mmap(2) itself brings the blocks, --map-each has each touch be
 * preceded by a mapping of that block alone. The figures are nanoseconds from the
 * start of an access to its data. Who brings the blocks is another process, which
 * has them in memory; for a mount of this file system, MOUNT, that is a child of
 * this program, and a server of FILE otherwise. Each block is compared with that
 * of ORIGINAL.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/incrementalfs.h>

#include "bench/bench.h"
#include "lib/tap.h"

static __u64 size;
static const char *original;
static bool map_each;

/* A file, which is in memory from then on. */
static const char *map_original(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *map;

	if (fd < 0 || fstat(fd, &st))
		bail_out("open %s", path);
	size = st.st_size;
	if (!size || size % (2 * BENCH_BLOCK))
		bail_out("%s has %llu bytes", path, size);
	map = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (map == MAP_FAILED)
		bail_out("mmap %s", path);
	close(fd);
	return map;
}

/* With two processors the one that wakes the other would be waited for, too. */
static void stay_here(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		bail_out("sched_setaffinity");
}

/* The loader: whatever is waited for is filled, block by block. */
static void load(int cmd)
{
	struct incfs_pending_read_info wanted;
	struct incfs_fill_block block = { .len = BENCH_BLOCK };
	struct incfs_fill fill = { .blocks = (unsigned long)&block, .count = 1 };
	struct pollfd pollfd = { .fd = cmd, .events = POLLIN };

	for (;;) {
		if (poll(&pollfd, 1, -1) != 1)
			bail_out("poll");
		if (read(cmd, &wanted, sizeof(wanted)) != sizeof(wanted))
			continue;
		block.ino = wanted.file_ino;
		block.block = wanted.block_index;
		block.data = (unsigned long)original + (__u64)block.block * BENCH_BLOCK;
		if (ioctl(cmd, INCFS_IOC_FILL, &fill) || fill.filled != 1)
			bail_out("INCFS_IOC_FILL");
	}
}

/* A file that has nothing yet, and a child that fills it. */
static pid_t start_loader(const char *mount, const char *file)
{
	struct incfs_create create = {
		.dir_ino = INCFS_ROOT_INODE,
		.name = (unsigned long)strrchr(file, '/') + 1,
		.name_len = strlen(strrchr(file, '/') + 1),
		.size = size,
		.mode = S_IFREG | 0444,
	};
	char path[256];
	pid_t child;
	int cmd;

	snprintf(path, sizeof(path), "%s/.cmd", mount);
	cmd = open(path, O_RDWR | O_CLOEXEC);
	if (cmd < 0 || ioctl(cmd, INCFS_IOC_CREATE, &create))
		bail_out("create %s", file);
	child = fork();
	if (child < 0)
		bail_out("fork");
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		load(cmd);
	}
	close(cmd);
	return child;
}

static void check(__u32 block, const void *bytes)
{
	if (memcmp(bytes, original + (__u64)block * BENCH_BLOCK, BENCH_BLOCK))
		bail_out("block %u is not what the original has", block);
}

static __u64 miss_by_read(int fd, __u32 block)
{
	static char bytes[BENCH_BLOCK];
	__u64 start = bench_now(), took;

	if (pread(fd, bytes, BENCH_BLOCK, (off_t)block * BENCH_BLOCK) != BENCH_BLOCK)
		bail_out("pread of block %u", block);
	took = bench_now() - start;
	check(block, bytes);
	return took;
}

static __u64 miss_by_touch(const volatile char *map, __u32 block)
{
	const volatile char *at = map + (__u64)block * BENCH_BLOCK;
	__u64 start = bench_now(), took;

	(void)*at;
	took = bench_now() - start;
	check(block, (const void *)at);
	return took;
}

static __u64 miss_by_mapping(int fd, __u32 block)
{
	off_t offset = (off_t)block * BENCH_BLOCK;
	__u64 start = bench_now(), took;
	const volatile char *map = mmap(NULL, BENCH_BLOCK, PROT_READ, MAP_SHARED, fd, offset);

	if (map == MAP_FAILED)
		bail_out("mmap of block %u", block);
	(void)*map;
	took = bench_now() - start;
	check(block, (const void *)map);
	munmap((void *)map, BENCH_BLOCK);
	return took;
}

/* A half of the file each; the order is that of a half. */
static void measure(const char *setup, const char *file)
{
	__u32 half = size / BENCH_BLOCK / 2, i;
	const __u32 *order = bench_order(half);
	__u64 reads = 0, faults = 0;
	char name[64];
	char *map;
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		bail_out("open %s", file);
	posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	for (i = 0; i < half; i++)
		reads += miss_by_read(fd, order[i]);
	if (map_each) {
		for (i = 0; i < half; i++)
			faults += miss_by_mapping(fd, half + order[i]);
	} else {
		map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
		if (map == MAP_FAILED || madvise(map, size, MADV_RANDOM))
			bail_out("mmap %s", file);
		for (i = 0; i < half; i++)
			faults += miss_by_touch(map, half + order[i]);
		munmap(map, size);
	}
	close(fd);
	snprintf(name, sizeof(name), "%s, read", setup);
	bench_figure("miss", name, "instructions", (double)reads / half);
	snprintf(name, sizeof(name), "%s, fault", setup);
	bench_figure("miss", name, "instructions", (double)faults / half);
}

int main(int argc, char **argv)
{
	pid_t loader = 0;

	map_each = argc > 1 && !strcmp(argv[1], "--map-each");
	argc -= map_each;
	argv += map_each;
	if (argc != 4 && argc != 5) {
		fprintf(stderr, "usage: miss [--map-each] SETUP FILE ORIGINAL [MOUNT]\n");
		return 2;
	}
	stay_here();
	original = map_original(argv[3]);
	if (argc == 5)
		loader = start_loader(argv[4], argv[2]);
	measure(argv[1], argv[2]);
	if (loader) {
		kill(loader, SIGKILL);
		waitpid(loader, NULL, 0);
	}
	return 0;
}
