// SPDX-License-Identifier: GPL-2.0-only
/* Clock, ways of reading, figures: see bench.h. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench.h"
#include "lib/tap.h"

/* What is handed to read(2) at a time. */
#define CHUNK (128 << 10)

static __u64 read_clock(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

__u64 bench_now(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

__u64 bench_cpu(void)
{
	return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

void bench_figure(const char *group, const char *setup, const char *measure, double value)
{
	printf("{\"group\": \"%s\", \"setup\": \"%s\", \"measure\": \"%s\", \"value\": %.3f}\n",
	       group, setup, measure, value);
	fflush(stdout);
}

__u64 bench_fill(int cmd, struct incfs_fill_block *blocks, __u32 nr, __u32 batch)
{
	struct incfs_fill fill = {};
	__u64 start = bench_now();
	__u32 at;

	for (at = 0; at < nr; at += fill.count) {
		fill.blocks = (unsigned long)(blocks + at);
		fill.count = nr - at < batch ? nr - at : batch;
		if (ioctl(cmd, INCFS_IOC_FILL, &fill) || fill.filled != fill.count)
			bail_out("INCFS_IOC_FILL");
	}
	return bench_now() - start;
}

static char buffer[CHUNK];

static __u32 read_sequential(int fd, __u64 size)
{
	__u64 done = 0;
	ssize_t got;

	while ((got = read(fd, buffer, sizeof(buffer))) > 0)
		done += got;
	if (done != size)
		bail_out("read");
	return size / BENCH_BLOCK;
}

const __u32 *bench_order(__u32 nr)
{
	static __u32 *order, nr_made;
	unsigned short seed[3] = { 1, 2, 3 };
	__u32 i, j, swap;

	if (nr == nr_made)
		return order;
	free(order);
	order = malloc(nr * sizeof(*order));
	if (!order)
		bail_out("memory");
	nr_made = nr;
	for (i = 0; i < nr; i++)
		order[i] = i;
	for (i = nr - 1; i; i--) {
		j = nrand48(seed) % (i + 1);
		swap = order[i];
		order[i] = order[j];
		order[j] = swap;
	}
	return order;
}

/*
 * One block in eight, so that what had to be read along with one of them rarely is
 * what another needs.
 */
static __u32 read_random(int fd, __u64 size)
{
	const __u32 *order = bench_order(size / BENCH_BLOCK);
	__u32 nr = size / BENCH_BLOCK / 8, i;

	posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	for (i = 0; i < nr; i++)
		if (pread(fd, buffer, BENCH_BLOCK, (off_t)order[i] * BENCH_BLOCK) != BENCH_BLOCK)
			bail_out("pread");
	return nr;
}

static __u32 read_mapped(int fd, __u64 size)
{
	const volatile char *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	__u64 at;

	if (map == MAP_FAILED)
		bail_out("mmap");
	for (at = 0; at < size; at += BENCH_BLOCK)
		(void)map[at];
	munmap((void *)map, size);
	return size / BENCH_BLOCK;
}

const struct bench_way bench_ways[BENCH_NR_WAYS] = {
	{ "cold sequential", "warm sequential", read_sequential },
	{ "cold random 4 KiB", "warm random 4 KiB", read_random },
	{ "cold mmap", "warm mmap", read_mapped },
};

void bench_forget(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	sync();
	if (fd < 0 || write(fd, "1", 1) != 1)
		bail_out("drop_caches");
	close(fd);
}

/*
 * Marks for tests/vm/profile.c around the measure that BENCH_PROFILE names, and, with
 * the first of them, what the functions of the kernel are.
 */
static bool profiled(const char *measure)
{
	const char *wanted = getenv("BENCH_PROFILE");
	static bool told;

	if (!wanted || strcmp(wanted, measure))
		return false;
	if (!told && system("sed 's/^/symbol /' /proc/kallsyms"))
		bail_out("symbols");
	told = true;
	return true;
}

static void mark_begin(void)
{
#ifdef __x86_64__
	asm volatile(".byte 0x0f, 0x1f, 0x80, 0x11, 0x22, 0x33, 0x44");
#endif
}

static void mark_end(void)
{
#ifdef __x86_64__
	asm volatile(".byte 0x0f, 0x1f, 0x80, 0x55, 0x66, 0x77, 0x08");
#endif
}

static double read_file(const struct bench_way *way, const char *path, __u64 size, bool forget)
{
	bool profile = profiled(forget ? way->cold : way->warm);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	__u64 start;
	__u32 nr;

	if (fd < 0)
		bail_out("open %s", path);
	if (forget)
		bench_forget();
	if (profile)
		mark_begin();
	start = bench_now();
	nr = way->read(fd, size);
	start = bench_now() - start;
	if (profile) {
		mark_end();
		bench_figure("profile", path, "blocks", nr);
	}
	close(fd);
	return (double)start / nr;
}

double bench_cold(const struct bench_way *way, const char *path, __u64 size)
{
	return read_file(way, path, size, true);
}

double bench_warm(const struct bench_way *way, const char *path, __u64 size)
{
	return read_file(way, path, size, false);
}

void bench_warm_up(const char *path, __u64 size)
{
	int i;

	for (i = 0; i < BENCH_NR_WAYS; i++)
		bench_cold(&bench_ways[i], path, size);
	if (mlockall(MCL_CURRENT))
		bail_out("mlockall");
}
