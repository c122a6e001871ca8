// SPDX-License-Identifier: GPL-2.0-only
/*
 * What readers get done side by side: scaling DIR SUFFIX, or scaling --cold|--warm
 * DIR, which has as many as there are processors read so and prints nothing.
 *
 * They read 4 KiB at a time, each on a processor of its own: files of their own,
 * DIR/part-0 and so on, or each its part of DIR/file. The figures are what all of
 * them get done in some time, relative to what one gets done alone, so the clock
 * must be one that goes on while several processors work. SUFFIX is put behind the
 * names of the measures.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/bench.h"
#include "lib/tap.h"

#define READERS 8
#define ROUNDS 5
/* How often a warm reader goes over its bytes: it has to last for a while. */
#define WARM_PASSES 4

struct reader {
	pthread_t thread;
	pthread_barrier_t *start;
	int cpu;
	int fd;
	__u64 from;
	__u64 size;
	int passes;
};

static const char *dir;

static int open_file(const char *name, __u64 *size)
{
	char path[PATH_MAX];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		bail_out("open %s", path);
	*size = st.st_size;
	return fd;
}

static void *read_part(void *arg)
{
	struct reader *reader = arg;
	char buffer[BENCH_BLOCK];
	cpu_set_t cpus;
	__u64 at;
	int i;

	CPU_ZERO(&cpus);
	CPU_SET(reader->cpu, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		bail_out("processor %d", reader->cpu);
	pthread_barrier_wait(reader->start);
	for (i = 0; i < reader->passes; i++)
		for (at = reader->from; at < reader->from + reader->size; at += BENCH_BLOCK)
			if (pread(reader->fd, buffer, BENCH_BLOCK, at) != BENCH_BLOCK)
				bail_out("pread");
	return NULL;
}

/* Bytes in a nanosecond that @nr of them read. */
static double run_readers(int nr, bool one_file, bool warm)
{
	struct reader readers[READERS];
	pthread_barrier_t barrier;
	__u64 size, start, sum = 0;
	char name[16];
	int i;

	pthread_barrier_init(&barrier, NULL, nr + 1);
	if (!warm)
		bench_forget();
	for (i = 0; i < nr; i++) {
		snprintf(name, sizeof(name), "part-%d", i);
		readers[i] = (struct reader) {
			.start = &barrier,
			.cpu = i,
			.fd = open_file(one_file ? "file" : name, &size),
			.passes = warm ? WARM_PASSES : 1,
		};
		readers[i].size = one_file ? size / nr : size;
		readers[i].from = one_file ? i * readers[i].size : 0;
		sum += readers[i].size * readers[i].passes;
		if (pthread_create(&readers[i].thread, NULL, read_part, &readers[i]))
			bail_out("thread");
	}
	pthread_barrier_wait(&barrier);
	start = bench_now();
	for (i = 0; i < nr; i++)
		pthread_join(readers[i].thread, NULL);
	start = bench_now() - start;
	for (i = 0; i < nr; i++)
		close(readers[i].fd);
	pthread_barrier_destroy(&barrier);
	return (double)sum / start;
}

static void measure(const char *suffix)
{
	static const int numbers[] = { 1, 2, 4, 8 };
	double best[2][4][2] = {}, got;
	char setup[32], name[32];
	int round, one, i, warm;

	/* Others need the processors as well: what was got when they did not counts. */
	for (round = 0; round < ROUNDS; round++) {
		for (one = 0; one < 2; one++) {
			for (i = 0; i < 4; i++) {
				for (warm = 0; warm < 2; warm++) {
					got = run_readers(numbers[i], one, warm);
					if (got > best[one][i][warm])
						best[one][i][warm] = got;
				}
			}
		}
	}
	for (one = 0; one < 2; one++) {
		for (i = 0; i < 4; i++) {
			if (one)
				snprintf(setup, sizeof(setup), "%d readers, one file", numbers[i]);
			else
				snprintf(setup, sizeof(setup), "%d readers, %d files", numbers[i],
					 numbers[i]);
			for (warm = 0; warm < 2; warm++) {
				snprintf(name, sizeof(name), "%s%s", warm ? "warm" : "cold", suffix);
				bench_figure("scaling", setup, name,
					     best[one][i][warm] / best[one][0][warm]);
			}
		}
	}
}

int main(int argc, char **argv)
{
	int cpus = sysconf(_SC_NPROCESSORS_ONLN);
	bool cold, warm;

	if (argc != 3) {
		fprintf(stderr, "usage: scaling DIR SUFFIX, scaling --cold|--warm DIR\n");
		return 2;
	}
	cold = !strcmp(argv[1], "--cold");
	warm = !strcmp(argv[1], "--warm");
	dir = argv[1 + (cold || warm)];
	if (cold || warm) {
		cpus = cpus < READERS ? cpus : READERS;
		run_readers(cpus, false, warm);
		run_readers(cpus, true, warm);
	} else {
		measure(argv[2]);
	}
	return 0;
}
