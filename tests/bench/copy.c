// SPDX-License-Identifier: GPL-2.0-only
/*
 * Have a mounted image hold what a tree does: copy [--lz4|--scattered] TREE MOUNT.
 *
 * Blocks are handed over as the loader does it, 64 in a call; compressed, where
 * that pays, with --lz4. With --scattered each comes alone, those of a file in a
 * random order, always the same.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <lz4.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/incrementalfs.h>

#include "bench/bench.h"
#include "lib/tap.h"

#define BATCH 64
/* As the loader: an eighth is the least that makes it worth while. */
#define PACKED_MAX (BENCH_BLOCK - BENCH_BLOCK / 8)

static int cmd;
static bool lz4, scattered;

static __u64 create(__u64 dir, const char *name, const struct stat *st)
{
	struct incfs_create create = {
		.dir_ino = dir,
		.name = (unsigned long)name,
		.name_len = strlen(name),
		.size = S_ISREG(st->st_mode) ? st->st_size : 0,
		.mtime_sec = st->st_mtime,
		.mode = st->st_mode,
	};

	if (ioctl(cmd, INCFS_IOC_CREATE, &create))
		bail_out("create %s", name);
	return create.ino;
}

static void fill(struct incfs_fill_block *blocks, __u32 count)
{
	static char packed[BATCH][BENCH_BLOCK];
	struct incfs_fill fill = { .blocks = (unsigned long)blocks, .count = count };
	__u32 i;
	int len;

	for (i = 0; lz4 && i < count; i++) {
		len = LZ4_compress_default((char *)(unsigned long)blocks[i].data, packed[i],
					   blocks[i].len, PACKED_MAX);
		if (!len)
			continue;
		blocks[i].data = (unsigned long)packed[i];
		blocks[i].len = len;
		blocks[i].compression = COMPRESSION_LZ4;
	}
	if (ioctl(cmd, INCFS_IOC_FILL, &fill) || fill.filled != count)
		bail_out("fill %u blocks of inode %llu", count, blocks[0].ino);
}

static void copy_file(const char *path, __u64 ino, __u64 size)
{
	__u32 nr = (size + BENCH_BLOCK - 1) / BENCH_BLOCK, batch = scattered ? 1 : BATCH, i, n;
	struct incfs_fill_block blocks[BATCH];
	const __u32 *order;
	char *data;
	__u64 at;
	int fd;

	if (!nr)
		return;
	order = bench_order(nr);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		bail_out("map %s", path);
	close(fd);
	for (i = 0; i < nr; i += n) {
		for (n = 0; n < batch && i + n < nr; n++) {
			at = (__u64)(scattered ? order[i] : i + n) * BENCH_BLOCK;
			blocks[n] = (struct incfs_fill_block) {
				.ino = ino,
				.block = at / BENCH_BLOCK,
				.len = size - at < BENCH_BLOCK ? size - at : BENCH_BLOCK,
				.data = (unsigned long)data + at,
			};
		}
		fill(blocks, n);
	}
	munmap(data, size);
}

static void copy_dir(const char *dir, __u64 ino)
{
	struct dirent **entries;
	char path[PATH_MAX];
	int i, n = scandir(dir, &entries, NULL, alphasort);
	struct stat st;
	__u64 child;

	if (n < 0)
		bail_out("list %s", dir);
	for (i = 0; i < n; i++) {
		if (*entries[i]->d_name != '.') {
			snprintf(path, sizeof(path), "%s/%s", dir, entries[i]->d_name);
			if (lstat(path, &st))
				bail_out("stat %s", path);
			child = create(ino, entries[i]->d_name, &st);
			if (S_ISDIR(st.st_mode))
				copy_dir(path, child);
			else
				copy_file(path, child, st.st_size);
		}
		free(entries[i]);
	}
	free(entries);
}

int main(int argc, char **argv)
{
	char path[PATH_MAX];

	lz4 = argc == 4 && !strcmp(argv[1], "--lz4");
	scattered = argc == 4 && !strcmp(argv[1], "--scattered");
	if (argc != 3 + (lz4 || scattered)) {
		fprintf(stderr, "usage: copy [--lz4|--scattered] TREE MOUNT\n");
		return 2;
	}
	snprintf(path, sizeof(path), "%s/.cmd", argv[argc - 1]);
	cmd = open(path, O_RDWR | O_CLOEXEC);
	if (cmd < 0)
		bail_out("open %s", path);
	copy_dir(argv[argc - 2], INCFS_ROOT_INODE);
	if (ioctl(cmd, INCFS_IOC_SYNC))
		bail_out("sync");
	return 0;
}
