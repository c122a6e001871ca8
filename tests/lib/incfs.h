/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For C tests of the module: images and mounts, instructions and fills, readers
 * that wait. What has to succeed for a test to make sense bails out; try_*
 * return what the system call did.
 *
 * What a block holds follows from its inode and index (expected_block()), so
 * any test can check any block.
 */
#ifndef INCFS_TESTS_INCFS_H
#define INCFS_TESTS_INCFS_H

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/incrementalfs.h>

#define BLOCK INCFS_DATA_FILE_BLOCK_SIZE
/* How long to wait for what is sure to happen, in ms. */
#define SOON 30000

/* A mounted image: IMAGE is on DIR, and cmd is its ".cmd". */
struct test_fs {
	char image[64];
	char dir[64];
	char options[128];
	int cmd;
};

__u64 now_ms(void);
__u64 now_ns(void);
/* The second says what a step took for each of @n, and begins the next one. */
void step_begin(void);
void step_end(const char *what, unsigned long n);

/* Try until @condition holds, for what has no event to wait for. */
#define wait_until(condition)                                          \
	({                                                             \
		__u64 end_ms = now_ms() + SOON;                        \
		bool met;                                              \
								       \
		while (!(met = (condition)) && now_ms() < end_ms)      \
			usleep(2000);                                  \
		met;                                                   \
	})

/* Mounts */

/* As mount(2); the image is made, empty, if it is not there. */
int try_mount(const char *image, const char *dir, const char *options);
/* Mount NAME.img on NAME. */
void fs_mount_new(struct test_fs *fs, const char *name, const char *options);
void fs_mount(struct test_fs *fs);
void fs_unmount(struct test_fs *fs);
/* Unmount and mount again. */
void fs_cycle(struct test_fs *fs);
int fs_open_cmd(const struct test_fs *fs, int flags);
/* A path in the mount; the string lives until the eighth call after this one. */
const char *fs_path(const struct test_fs *fs, const char *name);
int fs_open(const struct test_fs *fs, const char *name);
struct incfs_mount_info fs_info(const struct test_fs *fs);
/* The line of /proc/mounts for @dir: device, options; false if there is none. */
bool fs_proc_mounts(const char *dir, char *device, char *options, size_t size);

/* Instructions */
int try_new(int cmd, mode_t mode, __u64 size, __u64 *ino);
int try_add(int cmd, __u64 dir, __u64 ino, const char *name);
int try_add_len(int cmd, __u64 dir, __u64 ino, const char *name, __u32 len);
int try_remove(int cmd, __u64 dir, __u64 ino, const char *name);
__u64 make_file(const struct test_fs *fs, __u64 dir, const char *name, __u64 size);
__u64 make_dir(const struct test_fs *fs, __u64 dir, const char *name);

/* Blocks */
void expected_block(__u64 ino, __u32 block, void *buf);
bool is_expected(__u64 ino, __u32 block, const void *buf, size_t len);
struct incfs_new_data_block raw_block(__u64 ino, __u32 block, const void *data, __u32 len);
/* write(2) of one: 0, or -1 and errno. */
int try_fill(int cmd, const struct incfs_new_data_block *block);
/* @len bytes of what is expected there. */
void fill_raw(const struct test_fs *fs, __u64 ino, __u32 block, __u32 len);
void fill_lz4(const struct test_fs *fs, __u64 ino, __u32 block, __u32 len);
void fill_blocks(const struct test_fs *fs, __u64 ino, __u32 first, __u32 count);
/* In one call: raw and LZ4 blocks of a file of @size bytes, at most FILL_RUN. */
#define FILL_RUN 32
void fill_run(const struct test_fs *fs, __u64 ino, __u64 size, __u32 first, __u32 count);
/* Forget what the page cache has of a file. */
void drop_cached(const struct test_fs *fs, const char *name);
/* Read one block past the page cache; as pread(2). */
ssize_t read_block(const struct test_fs *fs, const char *name, __u32 block, void *buf);
/* Does the block read as expected_block(), @len bytes of it and zeros after? */
bool block_reads(const struct test_fs *fs, const char *name, __u64 ino, __u32 block, size_t len);

/* Waiting readers */

/* Read @want waits from ".cmd" @fd, as they come. */
void take_pending(int fd, struct incfs_pending_read_info *infos, int want);
/* How many blocks are waited for now. */
int count_pending(const struct test_fs *fs);

enum read_how {
	READ_PREAD,
	READ_MAPPED,	/* by a touch of a mapping */
};

/* struct reader - a thread that reads one block */
struct reader {
	pthread_t thread;
	enum read_how how;
	int fd;
	__u32 block;
	char data[BLOCK];
	ssize_t got;	/* bytes, or -1 */
	int error;	/* errno; EFAULT stands for SIGBUS */
	__u64 ms;	/* how long it took */
	bool done;	/* atomic */
};

/* Read in this thread: sets got, error, ms, data. */
void reader_run(struct reader *reader, const struct test_fs *fs, const char *name,
		__u32 block, enum read_how how);
void reader_start(struct reader *reader, const struct test_fs *fs, const char *name,
		  __u32 block, enum read_how how);
bool reader_done(const struct reader *reader);
/* Until it has ended; returns got. */
ssize_t reader_join(struct reader *reader);
/* As fork(2), which does not fail. */
pid_t must_fork(void);
/* A process that does it and exits: 0 if it has read @ino's expected bytes. */
pid_t reader_fork(const struct test_fs *fs, const char *name, __u64 ino, __u32 block,
		  enum read_how how);
/* The exit code of a process, or 128 and its signal. */
int wait_exit(pid_t pid);

/* Run a line for the shell; as system(3). */
int run_shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Run tests/image.py; its output is in @out. Returns its exit code. */
int image_tool(const char *verb, const char *path, char *out, size_t size);
/*
 * The tree as `image.py check` prints it, and whether each present block reads
 * as it should; @exempt has blocks that do not follow expected_block().
 */
bool fs_show(const struct test_fs *fs, __u64 exempt, char *out, size_t size);
/* Which blocks of a file are present, as "0-3,7-7" or "none". */
void show_present(const struct test_fs *fs, __u64 ino, char *out, size_t size);

/* The kernel's log, from klog_open() on. */
int klog_open(void);
bool klog_has(int fd, const char *text);
/* Load the module anew: each of its messages is rate-limited for its life. */
void reload_module(void);

#endif
