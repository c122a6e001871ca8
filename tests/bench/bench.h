/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For the programs of the benchmark: a clock, ways of reading a file, and
 * figures, which go to standard output, one line of JSON each.
 *
 * In the guests that tests/vm/bench starts the clock counts instructions, one a
 * nanosecond (docs/benchmarks.md).
 */
#ifndef INCFS_TESTS_BENCH_H
#define INCFS_TESTS_BENCH_H

#include <linux/incrementalfs.h>
#include <linux/types.h>

#define BENCH_BLOCK 4096

__u64 bench_now(void);
/* What this thread has had of it. */
__u64 bench_cpu(void);

/**
 * bench_figure - report what was measured
 * @group:   what it belongs to
 * @setup:   how things were set up
 * @measure: what was measured
 * @value:   how much
 */
void bench_figure(const char *group, const char *setup, const char *measure, double value);

/*
 * Numbers from 0 on, @nr of them, not 0, in a random order that is the same each
 * time; until the next call.
 */
const __u32 *bench_order(__u32 nr);

/* Nanoseconds that INCFS_IOC_FILL takes for @nr blocks, @batch in each call. */
__u64 bench_fill(int cmd, struct incfs_fill_block *blocks, __u32 nr, __u32 batch);

/*
 * A way to read a file, with what it is called when cold and when warm; read()
 * returns how many blocks it has read.
 */
struct bench_way {
	const char *cold;
	const char *warm;
	__u32 (*read)(int fd, __u64 size);
};

#define BENCH_NR_WAYS 3
extern const struct bench_way bench_ways[BENCH_NR_WAYS];

/* Write out and forget all that is in the page cache. */
void bench_forget(void);
/* Nanoseconds per block that it takes to read the file at @path from its image. */
double bench_cold(const struct bench_way *way, const char *path, __u64 size);
/* And once it is in the page cache. */
double bench_warm(const struct bench_way *way, const char *path, __u64 size);
/*
 * Read the file in all ways, and have what that needs stay in memory: the first
 * measurement is to find things as the last one does.
 */
void bench_warm_up(const char *path, __u64 size);

#endif
