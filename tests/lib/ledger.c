// SPDX-License-Identifier: GPL-2.0-only
/* A fill of an image that keeps books: see ledger.h. */
#define _GNU_SOURCE
#include <dirent.h>

#include "ledger.h"
#include "tap.h"

/* Of files with attributes; others cannot be writable. */
#define LEDGER_MODE 0640

static unsigned int next_random(struct ledger *ledger)
{
	ledger->random ^= ledger->random << 13;
	ledger->random ^= ledger->random >> 7;
	ledger->random ^= ledger->random << 17;
	return ledger->random >> 24;
}

void ledger_init(struct ledger *ledger, unsigned int seed)
{
	memset(ledger, 0, sizeof(*ledger));
	ledger->random = (seed + 1) * 0x9e3779b97f4a7c15ull;
}

static __u32 block_len(const struct ledger_file *file, __u32 block)
{
	__u64 left = file->size - (__u64)block * BLOCK;

	return left < BLOCK ? left : BLOCK;
}

static struct ledger_file *make(struct ledger *ledger)
{
	unsigned int n = ledger->nr_files++, r = next_random(ledger);
	struct ledger_file *file = &ledger->files[n];

	/* Long names, so that records come to lie across pages. */
	snprintf(file->name, sizeof(file->name), "%.*s%u", (int)(r % 24),
		 "a-name-of-some-length-or", n);
	file->blocks = 1 + r / 32 % LEDGER_BLOCKS;
	file->size = (__u64)file->blocks * BLOCK - (n % 3 ? 0 : r % BLOCK);
	file->made = ledger->steps;
	file->attrs = r % 2;
	return file;
}

struct ledger_step ledger_next(struct ledger *ledger)
{
	unsigned int r = next_random(ledger), i;
	struct ledger_step step = { .what = LEDGER_SYNC };

	ledger->steps++;
	if (r % 12 == 1) {
		step.first = ledger->steps % 2;
		return step;
	}
	if (!ledger->nr_files || (r % 6 == 0 && ledger->nr_files < LEDGER_FILES)) {
		step.what = LEDGER_MAKE;
		step.file = make(ledger);
		return step;
	}
	step.file = &ledger->files[next_random(ledger) % ledger->nr_files];
	if (r % 64 == 2 && !step.file->removed) {
		step.what = LEDGER_REMOVE;
		step.file->removed = ledger->steps;
		return step;
	}
	step.what = LEDGER_FILL;
	step.first = next_random(ledger) % step.file->blocks;
	step.count = 1 + next_random(ledger) % 8;
	if (step.count > step.file->blocks - step.first)
		step.count = step.file->blocks - step.first;
	for (i = step.first; i < step.first + step.count; i++) {
		if (!step.file->filled[i])
			step.file->filled[i] = ledger->steps;
	}
	return step;
}

/* The inode that a name refers to; 0 if there is no such name. */
static __u64 look_up(const struct test_fs *fs, const char *name)
{
	struct stat st;

	return lstat(fs_path(fs, name), &st) ? 0 : st.st_ino;
}

static int do_make(const struct test_fs *fs, struct ledger_file *file)
{
	struct incfs_create create = {
		.dir_ino = INCFS_ROOT_INODE,
		.name = (unsigned long)file->name,
		.name_len = strlen(file->name),
		.size = file->size,
		.mtime_sec = file->made,
		.mode = S_IFREG | LEDGER_MODE,
	};

	file->ino = look_up(fs, file->name);
	if (file->ino)
		return 0;
	if (file->attrs) {
		if (ioctl(fs->cmd, INCFS_IOC_CREATE, &create))
			return -1;
		file->ino = create.ino;
		return 0;
	}
	if (try_new(fs->cmd, S_IFREG | 0444, file->size, &file->ino))
		return -1;
	return try_add(fs->cmd, INCFS_ROOT_INODE, file->ino, file->name);
}

static int do_fill(const struct test_fs *fs, const struct ledger_file *file, __u32 first,
		   __u32 count)
{
	__u32 block;

	/* It had its name removed, and is not known by another way since a crash. */
	if (!file->ino)
		return 0;
	if (first % 2) {
		fill_run(fs, file->ino, file->size, first, count);
		return 0;
	}
	for (block = first; block < first + count; block++) {
		if ((file->ino + block) % 3)
			fill_raw(fs, file->ino, block, block_len(file, block));
		else
			fill_lz4(fs, file->ino, block, block_len(file, block));
	}
	return 0;
}

int ledger_do(const struct test_fs *fs, const struct ledger_step *step)
{
	switch (step->what) {
	case LEDGER_MAKE:
		return do_make(fs, step->file);
	case LEDGER_REMOVE:
		if (!try_remove(fs->cmd, INCFS_ROOT_INODE, 0, step->file->name) || errno == ENOENT)
			return 0;
		return -1;
	case LEDGER_FILL:
		return do_fill(fs, step->file, step->first, step->count);
	case LEDGER_SYNC:
		return step->first ? fsync(fs->cmd) : ioctl(fs->cmd, INCFS_IOC_SYNC);
	}
	return 0;
}

void ledger_write_back(int image, unsigned int step)
{
	off_t size = lseek(image, 0, SEEK_END);
	off_t at = size ? (step * 2654435761u) % size / BLOCK * BLOCK : 0;

	if (step % 3 == 0)
		sync_file_range(image, at, 8 * BLOCK, SYNC_FILE_RANGE_WRITE);
	if (step % 31 == 0)
		sync_file_range(image, 0, 0, SYNC_FILE_RANGE_WRITE |
				SYNC_FILE_RANGE_WAIT_AFTER);
}

__attribute__((format(printf, 3, 4))) static void
wrong(struct ledger_result *result, const struct ledger_file *file, const char *format, ...)
{
	char text[128];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	diag("%s, made in step %u: %s", file->name, file->made, text);
	result->wrong++;
}

static void find_present(const struct test_fs *fs, __u64 ino, bool *present)
{
	struct incfs_block_range ranges[LEDGER_BLOCKS];
	struct incfs_block_ranges arg = { .ino = ino, .ranges = (unsigned long)ranges };
	__u32 i;

	memset(present, 0, LEDGER_BLOCKS);
	do {
		arg.nr_ranges = LEDGER_BLOCKS;
		if (ioctl(fs->cmd, INCFS_IOC_GET_PRESENT, &arg))
			bail_out("INCFS_IOC_GET_PRESENT");
		for (i = 0; i < arg.nr_ranges; i++)
			memset(present + ranges[i].first, 1, ranges[i].count);
	} while (arg.first < arg.nr_blocks);
}

/* Is a block that has an entry there, and right? A damaged one is made so again. */
static bool block_there(const struct test_fs *fs, const struct ledger_file *file, int fd,
			__u32 block, struct ledger_result *result)
{
	char data[BLOCK] = {};
	__u32 len = block_len(file, block);
	ssize_t got = pread(fd, data, BLOCK, (off_t)block * BLOCK);

	if (got == len && is_expected(file->ino, block, data, len))
		return true;
	if (got >= 0) {
		wrong(result, file, "block %u: %zd bytes, not what was filled", block, got);
		return false;
	}
	if (errno != ETIME) {
		wrong(result, file, "block %u: %s", block, strerror(errno));
		return false;
	}
	result->damaged++;
	fill_raw(fs, file->ino, block, len);
	if (!block_reads(fs, file->name, file->ino, block, len))
		wrong(result, file, "block %u cannot be filled again", block);
	return false;
}

static void check_blocks(const struct test_fs *fs, const struct ledger_file *file,
			 unsigned int synced, struct ledger_result *result)
{
	bool present[LEDGER_BLOCKS];
	int fd = fs_open(fs, file->name);
	__u32 block;

	posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	find_present(fs, file->ino, present);
	for (block = 0; block < file->blocks; block++) {
		bool kept = file->filled[block] && file->filled[block] <= synced;

		if (present[block] && block_there(fs, file, fd, block, result)) {
			result->blocks++;
			result->kept += kept;
			if (!file->filled[block])
				wrong(result, file, "block %u was never filled", block);
		} else if (kept) {
			diag("%s: block %u of step %u, synced, is lost", file->name, block,
			     file->filled[block]);
			result->lost++;
		}
	}
	close(fd);
}

/* Is it there? */
static bool check_file(const struct test_fs *fs, struct ledger_file *file, unsigned int synced,
		       struct ledger_result *result)
{
	bool gone = file->removed && file->removed <= synced;
	struct stat st;

	if (lstat(fs_path(fs, file->name), &st)) {
		if (errno != ENOENT)
			wrong(result, file, "%s", strerror(errno));
		if (file->made <= synced && !file->removed) {
			diag("%s of step %u, synced, is lost", file->name, file->made);
			result->lost++;
		}
		return false;
	}
	if (gone)
		wrong(result, file, "removed in step %u, and back", file->removed);
	if (file->ino && file->ino != st.st_ino)
		wrong(result, file, "inode %lu, not %llu", st.st_ino, file->ino);
	if (file->attrs && (st.st_mtime != file->made || st.st_mode != (S_IFREG | LEDGER_MODE)))
		wrong(result, file, "mode %o, time %ld", st.st_mode, st.st_mtime);
	if ((__u64)st.st_size != file->size)
		wrong(result, file, "size %lu, not %llu", st.st_size, file->size);
	else
		check_blocks(fs, file, synced, result);
	return true;
}

void ledger_fill(const struct test_fs *fs, struct ledger *ledger, unsigned int steps,
		 void (*synced)(unsigned int steps))
{
	int image = open(fs->image, O_RDWR | O_CLOEXEC);
	struct ledger_step step;

	while (ledger->steps < steps) {
		step = ledger_next(ledger);
		if (ledger_do(fs, &step))
			bail_out("step %u", ledger->steps);
		if (step.what == LEDGER_SYNC)
			synced(ledger->steps);
		ledger_write_back(image, ledger->steps);
	}
	close(image);
}

static unsigned int count_names(const struct test_fs *fs)
{
	DIR *dir = opendir(fs->dir);
	struct dirent *entry;
	unsigned int names = 0;

	while (dir && (entry = readdir(dir)))
		names += !!strncmp(entry->d_name, ".", 1);
	closedir(dir);
	return names;
}

void ledger_check(const struct test_fs *fs, struct ledger *ledger, unsigned int synced,
		  struct ledger_result *result)
{
	unsigned int names = 0, i;

	for (i = 0; i < ledger->nr_files; i++) {
		struct ledger_file *file = &ledger->files[i];

		if (!file->ino)
			file->ino = look_up(fs, file->name);
		names += check_file(fs, file, synced, result);
	}
	if (names != count_names(fs)) {
		diag("%u names, %u of them of the books", count_names(fs), names);
		result->wrong++;
	}
	result->names += names;
}
