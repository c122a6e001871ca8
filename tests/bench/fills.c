// SPDX-License-Identifier: GPL-2.0-only
/*
 * What it takes to store a block: fills MOUNT ORIGINAL.
 *
 * New files get the blocks of ORIGINAL with INCFS_IOC_FILL, in their order and so
 * many in each call; raw, and compressed where that pays, which is done before
 * the clock starts. The figures are nanoseconds per block, the least of several
 * rounds, after each of which the file is compared with the original.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <lz4.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/incrementalfs.h>

#include "bench/bench.h"
#include "lib/tap.h"

#define ROUNDS 3
/* As the loader: an eighth is the least that makes it worth while. */
#define PACKED_MAX (BENCH_BLOCK - BENCH_BLOCK / 8)
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

static const __u32 batches[] = { 1, 16, 64, 256 };

static const char *mount_dir, *original;
static __u32 nr_blocks;
static int cmd;

static void map_original(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		bail_out("open %s", path);
	nr_blocks = st.st_size / BENCH_BLOCK;
	if (!nr_blocks || st.st_size % BENCH_BLOCK)
		bail_out("%s has %lld bytes", path, (long long)st.st_size);
	original = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (original == MAP_FAILED)
		bail_out("mmap %s", path);
	close(fd);
}

static struct incfs_fill_block *raw_blocks(void)
{
	struct incfs_fill_block *blocks = calloc(nr_blocks, sizeof(*blocks));
	__u32 i;

	if (!blocks)
		bail_out("memory");
	for (i = 0; i < nr_blocks; i++) {
		blocks[i].block = i;
		blocks[i].len = BENCH_BLOCK;
		blocks[i].data = (unsigned long)original + (__u64)i * BENCH_BLOCK;
	}
	return blocks;
}

static struct incfs_fill_block *packed_blocks(void)
{
	struct incfs_fill_block *blocks = raw_blocks();
	char *packed = malloc((size_t)nr_blocks * PACKED_MAX);
	__u32 i;
	int len;

	if (!packed)
		bail_out("memory");
	for (i = 0; i < nr_blocks; i++, packed += len) {
		len = LZ4_compress_default((char *)(unsigned long)blocks[i].data, packed,
					   BENCH_BLOCK, PACKED_MAX);
		if (!len)
			continue;
		blocks[i].data = (unsigned long)packed;
		blocks[i].len = len;
		blocks[i].compression = COMPRESSION_LZ4;
	}
	return blocks;
}

static __u64 create(const char *name)
{
	struct incfs_create create = {
		.dir_ino = INCFS_ROOT_INODE,
		.name = (unsigned long)name,
		.name_len = strlen(name),
		.size = (__u64)nr_blocks * BENCH_BLOCK,
		.mode = S_IFREG | 0444,
	};

	if (ioctl(cmd, INCFS_IOC_CREATE, &create))
		bail_out("create %s", name);
	return create.ino;
}

/* What comes back from the image. */
static void check(const char *name)
{
	char path[256], bytes[BENCH_BLOCK];
	__u32 i;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", mount_dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		bail_out("open %s", path);
	bench_forget();
	for (i = 0; i < nr_blocks; i++)
		if (pread(fd, bytes, sizeof(bytes), (off_t)i * BENCH_BLOCK) != BENCH_BLOCK ||
		    memcmp(bytes, original + (__u64)i * BENCH_BLOCK, BENCH_BLOCK))
			bail_out("block %u of %s is not what was stored", i, name);
	close(fd);
}

static double fill_file(struct incfs_fill_block *blocks, __u32 batch)
{
	static int nr;
	char name[16];
	__u64 ino, took;
	__u32 i;

	snprintf(name, sizeof(name), "file-%d", nr++);
	ino = create(name);
	for (i = 0; i < nr_blocks; i++)
		blocks[i].ino = ino;
	bench_forget();
	took = bench_fill(cmd, blocks, nr_blocks, batch);
	check(name);
	return (double)took / nr_blocks;
}

static void measure(const char *setup, struct incfs_fill_block *blocks)
{
	double value, least;
	char measure[16];
	size_t i;
	int round;

	for (i = 0; i < ARRAY_SIZE(batches); i++) {
		for (round = 0; round < ROUNDS; round++) {
			value = fill_file(blocks, batches[i]);
			least = !round || value < least ? value : least;
		}
		snprintf(measure, sizeof(measure), "%u a call", batches[i]);
		bench_figure("fill", setup, measure, least);
	}
}

int main(int argc, char **argv)
{
	char path[256];

	if (argc != 3) {
		fprintf(stderr, "usage: fills MOUNT ORIGINAL\n");
		return 2;
	}
	mount_dir = argv[1];
	map_original(argv[2]);
	snprintf(path, sizeof(path), "%s/.cmd", mount_dir);
	cmd = open(path, O_RDWR | O_CLOEXEC);
	if (cmd < 0)
		bail_out("open %s", path);
	measure("raw", raw_blocks());
	measure("lz4", packed_blocks());
	return 0;
}
