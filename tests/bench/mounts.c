// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a mount takes, and what the kernel keeps for files: mounts ORIGINAL [EROFS],
 * in a directory of the file system that is to hold the images. EROFS is an image
 * with the same names as those that are made here for the largest mount.
 *
 * Memory is what is in slabs, and large tables: after the mount, once all files have
 * been looked at, and when their names and inodes have been dropped.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/bench.h"
#include "lib/incfs.h"
#include "lib/tap.h"

#define FILES_PER_DIR 1000
#define MANY 100000
#define ROUNDS 3
#define BATCH 64
/* A large file repeats the original so often. */
#define COPIES 4

/* In slabs, where large allocations are counted as well, and in vmalloc's area; in bytes. */
static long long memory_now(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	long long kb, sum = 0;
	char line[128];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "Slab: %lld", &kb) == 1 ||
		    sscanf(line, "VmallocUsed: %lld", &kb) == 1)
			sum += kb * 1024;
	if (!sum)
		bail_out("/proc/meminfo");
	fclose(file);
	return sum;
}

/* Forget the page cache, and with it names and inodes that nobody uses. */
static void forget_names(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	sync();
	if (fd < 0 || write(fd, "3", 1) != 1)
		bail_out("drop_caches");
	close(fd);
}

static void tell_memory(const char *setup, const char *measure, double n, long long before)
{
	bench_figure("memory", setup, measure, (memory_now() - before) / n);
}

static const char *path_of(__u32 nr)
{
	static char path[64];

	snprintf(path, sizeof(path), "dir-%u/file-%u", nr / FILES_PER_DIR, nr % FILES_PER_DIR);
	return path;
}

static __u64 create(const struct test_fs *fs, __u64 dir, mode_t mode, const char *name, __u64 size)
{
	struct incfs_create create = {
		.dir_ino = dir,
		.name = (unsigned long)name,
		.name_len = strlen(name),
		.size = size,
		.mode = mode,
	};

	if (ioctl(fs->cmd, INCFS_IOC_CREATE, &create))
		bail_out("create %s", name);
	return create.ino;
}

static void make_files(const struct test_fs *fs, __u32 nr)
{
	__u64 dir = 0;
	char name[32];
	__u32 i;

	for (i = 0; i < nr; i++) {
		if (i % FILES_PER_DIR == 0) {
			snprintf(name, sizeof(name), "dir-%u", i / FILES_PER_DIR);
			dir = create(fs, INCFS_ROOT_INODE, S_IFDIR | 0755, name, 0);
		}
		snprintf(name, sizeof(name), "file-%u", i % FILES_PER_DIR);
		create(fs, dir, S_IFREG | 0644, name, BLOCK);
	}
	if (ioctl(fs->cmd, INCFS_IOC_SYNC))
		bail_out("INCFS_IOC_SYNC");
}

static void stat_all(const char *dir, __u32 nr)
{
	int fd = open(dir, O_PATH | O_CLOEXEC);
	struct stat st;
	__u32 i;

	for (i = 0; i < nr; i++)
		if (fstatat(fd, path_of(i), &st, 0) || !S_ISREG(st.st_mode))
			bail_out("stat %s/%s", dir, path_of(i));
	close(fd);
}

static void tell_memory_of_files(const char *setup, const char *dir, long long before)
{
	tell_memory(setup, "slab bytes per file, mounted", MANY, before);
	stat_all(dir, MANY);
	tell_memory(setup, "slab bytes per file", MANY, before);
	forget_names();
	tell_memory(setup, "slab bytes per file, forgotten", MANY, before);
}

/* mount(2) of @image on @dir; 0 if it is not possible. */
static __u64 time_mount(const char *image, const char *dir, const char *type, const char *options)
{
	__u64 start = bench_now();

	return mount(image, dir, type, MS_RDONLY, options) ? 0 : bench_now() - start;
}

static __u64 time_mount_incfs(const struct test_fs *fs, __u32 nr)
{
	char options[64];
	int fd = open(fs->image, O_RDWR | O_CLOEXEC);
	__u64 took;

	snprintf(options, sizeof(options), "backing_fd=%d,max_files=%u", fd, 2 * nr + 2);
	took = time_mount("any", fs->dir, INCFS_NAME, options);
	if (fd < 0 || !took)
		bail_out("mount %s", fs->image);
	close(fd);
	return took;
}

static void measure_mount(const char *setup, __u32 nr)
{
	__u64 least = 0, took;
	long long before;
	struct test_fs fs;
	char options[32];
	int round;

	snprintf(options, sizeof(options), "max_files=%u", 2 * nr + 2);
	fs_mount_new(&fs, "mount", options);
	make_files(&fs, nr);
	fs_unmount(&fs);
	for (round = 0; round < (nr == MANY ? 1 : ROUNDS); round++) {
		forget_names();
		before = memory_now();
		took = time_mount_incfs(&fs, nr);
		least = !round || took < least ? took : least;
		if (nr == MANY)
			tell_memory_of_files("incfs, 100,000 files", fs.dir, before);
		else
			stat_all(fs.dir, nr);
		if (umount(fs.dir))
			bail_out("umount");
	}
	bench_figure("mount", setup, "instructions", least);
	unlink(fs.image);
}

static void measure_erofs(const char *image)
{
	long long before;
	__u64 took;

	mkdir("erofs", 0755);
	forget_names();
	before = memory_now();
	took = time_mount(image, "erofs", "erofs", NULL);
	if (!took) {
		perror("mounts: a mount of EROFS is left out");
		return;
	}
	tell_memory_of_files("erofs, 100,000 files", "erofs", before);
	bench_figure("mount", "erofs, 100,000 files", "instructions", took);
	if (umount("erofs"))
		bail_out("umount");
}

static const char *map_original(const char *path, __u64 *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *map;

	if (fd < 0 || fstat(fd, &st) || !st.st_size || st.st_size % BLOCK)
		bail_out("open %s", path);
	*size = st.st_size;
	map = mmap(NULL, *size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (map == MAP_FAILED)
		bail_out("mmap %s", path);
	close(fd);
	return map;
}

static void fill_large(const struct test_fs *fs, const char *original, __u64 size)
{
	__u32 nr = size / BLOCK, i;
	struct incfs_fill_block *blocks = calloc(nr, sizeof(*blocks));
	__u64 ino = make_file(fs, INCFS_ROOT_INODE, "large", size * COPIES);
	int copy;

	if (!blocks)
		bail_out("memory");
	for (copy = 0; copy < COPIES; copy++) {
		for (i = 0; i < nr; i++)
			blocks[i] = (struct incfs_fill_block) {
				.ino = ino,
				.block = copy * nr + i,
				.len = BLOCK,
				.data = (unsigned long)original + (__u64)i * BLOCK,
			};
		bench_fill(fs->cmd, blocks, nr, BATCH);
	}
	free(blocks);
}

static void read_large(int fd, const char *original, __u64 size)
{
	static char bytes[128 << 10];
	__u64 at = 0;
	ssize_t got;

	while ((got = read(fd, bytes, sizeof(bytes))) > 0) {
		__u64 rest = size - at % size;
		ssize_t first = rest < (__u64)got ? (ssize_t)rest : got;

		if (memcmp(bytes, original + at % size, first) ||
		    memcmp(bytes + first, original, got - first))
			bail_out("what is read at %llu is not what was stored", at);
		at += got;
	}
	if (at != size * COPIES)
		bail_out("read of the large file");
}

/* After a read of a large file, as long as it stays open, but without its pages. */
static void measure_large(const struct test_fs *fs, const char *original, __u64 size,
			  const char *option, const char *setup)
{
	long long before;
	int fd;

	if (try_mount(fs->image, fs->dir, option)) {
		fprintf(stderr, "mounts: %s is left out: no mount option %s\n", setup, option);
		return;
	}
	fd = fs_open(fs, "large");
	forget_names();
	before = memory_now();
	read_large(fd, original, size);
	bench_forget();
	tell_memory(setup, "slab bytes per GiB", (double)size * COPIES / (1 << 30), before);
	close(fd);
	if (umount(fs->dir))
		bail_out("umount");
}

static void measure_memory_of_data(const char *path)
{
	struct test_fs fs;
	__u64 size;
	const char *original = map_original(path, &size);

	fs_mount_new(&fs, "large", "");
	fill_large(&fs, original, size);
	fs_unmount(&fs);
	measure_large(&fs, original, size, "", "incfs raw");
	measure_large(&fs, original, size, "verify=once", "incfs raw, verify=once");
	unlink(fs.image);
}

int main(int argc, char **argv)
{
	if (argc != 2 && argc != 3) {
		fprintf(stderr, "usage: mounts ORIGINAL [EROFS]\n");
		return 2;
	}
	measure_mount("1 file", 1);
	measure_mount("1,000 files", 1000);
	measure_mount("100,000 files", MANY);
	if (argc == 3)
		measure_erofs(argv[2]);
	measure_memory_of_data(argv[1]);
	return 0;
}
