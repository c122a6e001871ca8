// SPDX-License-Identifier: GPL-2.0-only
/*
 * Everything at once for some seconds: readers of all kinds, fills, names that
 * come and go, memory that is reclaimed, options that change. Then all that is
 * there must be right.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <signal.h>

#include "lib/incfs.h"
#include "lib/tap.h"

#define SECONDS 8
#define FILES 4
#define BLOCKS 128
#define READERS 6

static struct test_fs slow;		/* waits for ever */
static struct test_fs quick;		/* 20 ms */
static __u64 inos[FILES];		/* the same in both */
static bool stop;
static unsigned long reads, wrong, expired, fills;
static __u32 filled[2];			/* how far the fillers are: slow, quick */

static bool stopped(void)
{
	return __atomic_load_n(&stop, __ATOMIC_RELAXED);
}

static void count(unsigned long *what)
{
	__atomic_add_fetch(what, 1, __ATOMIC_RELAXED);
}

static const char *file_name(int i)
{
	static const char *const names[FILES] = { "f0", "f1", "f2", "f3" };

	return names[i];
}

/* The blocks of a file, each once, in an order of its own. */
static __u32 shuffled(int file, __u32 i)
{
	return (i * 67 + file * 41) % BLOCKS;
}

static void *filler(void *arg)
{
	struct test_fs *fs = arg;
	__u32 *at = &filled[fs == &quick], i, file;

	for (i = 0; i < BLOCKS; i++) {
		for (file = 0; file < FILES; file++) {
			if (i & 1)
				fill_lz4(fs, inos[file], shuffled(file, i), BLOCK);
			else
				fill_raw(fs, inos[file], shuffled(file, i), BLOCK);
			count(&fills);
		}
		__atomic_store_n(at, i + 1, __ATOMIC_RELAXED);
		/* Spread over the time there is. */
		usleep(SECONDS * 1000000 / BLOCKS / 2);
	}
	return NULL;
}

static void check_read(struct test_fs *fs, int file, __u32 block, enum read_how how)
{
	struct reader reader;

	reader_run(&reader, fs, file_name(file), block, how);
	if (reader.got == BLOCK) {
		count(&reads);
		if (!is_expected(inos[file], block, reader.data, BLOCK))
			count(&wrong);
	} else if (fs == &quick && (reader.error == ETIME || reader.error == EFAULT)) {
		count(&expired);
	} else {
		diag("reader: %zd, %s", reader.got, strerror(reader.error));
		count(&wrong);
	}
}

static void *reading(void *arg)
{
	unsigned int seed = (long)arg;
	__u32 n = 0;

	while (!stopped()) {
		bool patient = n++ % 4 == 0;
		__u32 there = __atomic_load_n(&filled[!patient], __ATOMIC_RELAXED);
		/* Most of the time one that is stored, or the next that will be. */
		__u32 i = rand_r(&seed) % 16 ? rand_r(&seed) % (there + 1) : (__u32)rand_r(&seed);
		int file = rand_r(&seed) % FILES;

		check_read(patient ? &slow : &quick, file, shuffled(file, i % BLOCKS),
			   rand_r(&seed) % 2 ? READ_MAPPED : READ_PREAD);
	}
	return NULL;
}

static void *renaming(void *arg)
{
	__u64 dir = make_dir(&slow, INCFS_ROOT_INODE, "names");
	char name[16], path[32];
	int i = 0;

	(void)arg;
	for (; !stopped(); i++) {
		snprintf(name, sizeof(name), "n%d", i % 32);
		snprintf(path, sizeof(path), "names/%s", name);
		if (i < 32) {
			if (try_add(slow.cmd, dir, inos[i % FILES], name))
				count(&wrong);
			continue;
		}
		if (try_remove(slow.cmd, dir, 0, name) || !access(fs_path(&slow, path), F_OK) ||
		    try_add(slow.cmd, dir, inos[i % FILES], name) ||
		    access(fs_path(&slow, path), F_OK))
			count(&wrong);
		usleep(1000);
	}
	return NULL;
}

static void *listing(void *arg)
{
	(void)arg;
	while (!stopped()) {
		DIR *dir = opendir(fs_path(&slow, "names"));
		struct dirent *entry;
		struct stat st;

		while (dir && (entry = readdir(dir)))
			fstatat(dirfd(dir), entry->d_name, &st, 0);
		if (dir)
			closedir(dir);
		usleep(2000);
	}
	return NULL;
}

static void *reclaiming(void *arg)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);
	char options[64];
	int i;

	(void)arg;
	for (i = 0; !stopped(); i++) {
		if (write(fd, i % 4 ? "1" : "3", 1) != 1)
			bail_out("drop_caches");
		snprintf(options, sizeof(options), "read_timeout_ms=%d", 5 + i % 30);
		if (mount("any", quick.dir, NULL, MS_REMOUNT, options))
			bail_out("remount");
		usleep(200000);
	}
	close(fd);
	return NULL;
}

/* Readers that are killed at any moment. */
static void *killing(void *arg)
{
	unsigned int seed = 7;

	(void)arg;
	while (!stopped()) {
		int file = rand_r(&seed) % FILES;
		pid_t pid = reader_fork(&slow, file_name(file), inos[file],
					rand_r(&seed) % BLOCKS, rand_r(&seed) % 2);

		usleep(rand_r(&seed) % 20000);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return NULL;
}

static bool all_right(struct test_fs *fs)
{
	bool right = true;
	__u32 file, block;

	for (file = 0; file < FILES; file++) {
		for (block = 0; block < BLOCKS; block++)
			right &= block_reads(fs, file_name(file), inos[file], block, BLOCK);
	}
	return right;
}

int main(void)
{
	static void *(*const others[])(void *) = { renaming, listing, reclaiming, killing };
	pthread_t threads[READERS + 4], fillers[2];
	char out[256], want[32];
	__u64 end;
	long i;

	fs_mount_new(&slow, "slow", "read_timeout_ms=0");
	fs_mount_new(&quick, "quick", "read_timeout_ms=20");
	for (i = 0; i < FILES; i++) {
		inos[i] = make_file(&slow, INCFS_ROOT_INODE, file_name(i), BLOCKS * BLOCK);
		if (make_file(&quick, INCFS_ROOT_INODE, file_name(i), BLOCKS * BLOCK) != inos[i])
			bail_out("inode numbers");
	}
	end = now_ms() + SECONDS * 1000;
	pthread_create(&fillers[0], NULL, filler, &slow);
	pthread_create(&fillers[1], NULL, filler, &quick);
	for (i = 0; i < READERS; i++)
		pthread_create(&threads[i], NULL, reading, (void *)i);
	for (i = 0; i < 4; i++)
		pthread_create(&threads[READERS + i], NULL, others[i], NULL);
	while (now_ms() < end)
		usleep(50000);
	pthread_join(fillers[0], NULL);
	pthread_join(fillers[1], NULL);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < READERS + 4; i++)
		pthread_join(threads[i], NULL);
	diag("%lu fills, %lu reads, %lu timed out", fills, reads, expired);
	is_int(wrong, 0, "nothing wrong was read or found while all was going on");
	ok(reads, "readers were served meanwhile");
	is_int(count_pending(&slow) + count_pending(&quick), 0, "nobody waits in the end");
	snprintf(want, sizeof(want), "0-%d", BLOCKS - 1);
	for (i = 0; i < FILES; i++) {
		show_present(&slow, inos[i], out, sizeof(out));
		is_str(out, want, "file %ld is complete", i);
	}
	ok(all_right(&slow) && all_right(&quick), "every block is right");
	fs_cycle(&slow);
	fs_cycle(&quick);
	ok(all_right(&slow) && all_right(&quick), "every block is right after a remount");
	fs_unmount(&slow);
	fs_unmount(&quick);
	return done();
}
