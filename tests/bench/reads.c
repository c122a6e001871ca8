// SPDX-License-Identifier: GPL-2.0-only
/*
 * What it costs to read: reads [--calls] SETUP DIR.
 *
 * DIR/file is read in several ways, cold and then warm; with --calls, the files
 * of 4 KiB in DIR/files are looked at and opened, and the names in DIR/names are
 * listed. Which file system DIR is on is for SETUP to tell.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/bench.h"
#include "lib/tap.h"

#define ROUNDS 2

static const char *setup;

static void keep_least(double *least, double value)
{
	if (!*least || value < *least)
		*least = value;
}

static void measure_reads(const char *path, __u64 size)
{
	double cold[BENCH_NR_WAYS] = {}, warm[BENCH_NR_WAYS] = {};
	int round, i;

	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < BENCH_NR_WAYS; i++) {
			keep_least(&cold[i], bench_cold(&bench_ways[i], path, size));
			keep_least(&warm[i], bench_warm(&bench_ways[i], path, size));
		}
	}
	for (i = 0; i < BENCH_NR_WAYS; i++) {
		bench_figure("reads", setup, bench_ways[i].cold, cold[i]);
		bench_figure("reads", setup, bench_ways[i].warm, warm[i]);
	}
}

/* Bytes that the page cache has, of files and of disks. */
static __u64 page_cache(void)
{
	int fd = open("/proc/sys/vm/stat_refresh", O_WRONLY | O_CLOEXEC);
	FILE *file = fopen("/proc/meminfo", "re");
	__u64 kib = 0;
	char line[256];
	long value;

	/* What the processors have counted each for itself is added up by that. */
	if (!file || fd < 0 || write(fd, "1", 1) != 1)
		bail_out("memory statistics");
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "Cached: %ld", &value) == 1 ||
		    sscanf(line, "Buffers: %ld", &value) == 1)
			kib += value;
	fclose(file);
	close(fd);
	return kib << 10;
}

static void measure_memory(const char *path, __u64 size)
{
	__u64 before;
	int fd;

	bench_forget();
	before = page_cache();
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		bail_out("open %s", path);
	bench_ways[0].read(fd, size);
	close(fd);
	bench_figure("memory", setup, "page cache over size",
		     ((double)page_cache() - before) / size);
}

/* The paths of what is in a directory, in the order of their names. */
static char **list(const char *dir, int *nr)
{
	struct dirent **entries;
	char **paths;
	int i, n = scandir(dir, &entries, NULL, alphasort);

	if (n < 0)
		bail_out("list %s", dir);
	paths = calloc(n, sizeof(*paths));
	if (!paths)
		bail_out("memory");
	*nr = 0;
	for (i = 0; i < n; i++) {
		if (*entries[i]->d_name != '.' &&
		    asprintf(&paths[(*nr)++], "%s/%s", dir, entries[i]->d_name) < 0)
			bail_out("memory");
		free(entries[i]);
	}
	free(entries);
	return paths;
}

/* Each of these returns nanoseconds per file, or per name. */
static double stat_all(char **paths, int nr)
{
	__u64 start = bench_now();
	struct stat st;
	int i;

	for (i = 0; i < nr; i++)
		if (stat(paths[i], &st))
			bail_out("stat %s", paths[i]);
	return (double)(bench_now() - start) / nr;
}

static double open_all(char **paths, int nr)
{
	static char buffer[BENCH_BLOCK];
	__u64 start = bench_now();
	int i, fd;

	for (i = 0; i < nr; i++) {
		fd = open(paths[i], O_RDONLY);
		if (fd < 0 || read(fd, buffer, sizeof(buffer)) != sizeof(buffer))
			bail_out("read %s", paths[i]);
		close(fd);
	}
	return (double)(bench_now() - start) / nr;
}

static double list_names(const char *dir)
{
	__u64 start = bench_now();
	DIR *names = opendir(dir);
	int nr = 0;

	if (!names)
		bail_out("list %s", dir);
	while (readdir(names))
		nr++;
	closedir(names);
	return (double)(bench_now() - start) / nr;
}

static void measure_calls(const char *dir)
{
	double stats = 0, cold = 0, warm = 0, listing = 0;
	char path[PATH_MAX];
	int round, nr;
	char **paths;

	snprintf(path, sizeof(path), "%s/files", dir);
	paths = list(path, &nr);
	snprintf(path, sizeof(path), "%s/names", dir);
	/* The first time is that of other costs: it makes dentries. */
	stat_all(paths, nr);
	for (round = 0; round < ROUNDS; round++) {
		keep_least(&stats, stat_all(paths, nr));
		bench_forget();
		keep_least(&cold, open_all(paths, nr));
		keep_least(&warm, open_all(paths, nr));
		list_names(path);
		keep_least(&listing, list_names(path));
	}
	bench_figure("calls", setup, "stat", stats);
	bench_figure("calls", setup, "open, read, close", warm);
	bench_figure("calls", setup, "open, read, close, cold", cold);
	bench_figure("calls", setup, "readdir", listing);
}

int main(int argc, char **argv)
{
	bool calls = argc == 4 && !strcmp(argv[1], "--calls");
	char path[PATH_MAX];
	struct stat st;

	if (argc != 3 + calls) {
		fprintf(stderr, "usage: reads [--calls] SETUP DIR\n");
		return 2;
	}
	setup = argv[1 + calls];
	snprintf(path, sizeof(path), "%s/file", argv[2 + calls]);
	if (stat(path, &st))
		bail_out("stat %s", path);
	/* The program itself is not to be read anew after each bench_forget(). */
	if (mlockall(MCL_CURRENT))
		bail_out("mlockall");
	measure_reads(path, st.st_size);
	measure_memory(path, st.st_size);
	if (calls)
		measure_calls(argv[2 + calls]);
	return 0;
}
