// SPDX-License-Identifier: GPL-2.0-only
/*
 * Cold reads of files whose blocks are stored in all ways, side by side: joined
 * reads have to part them, and large folios must not keep what is there from its
 * readers. And the option verify=.
 */
#define _GNU_SOURCE
#include <lz4.h>
#include <sys/statfs.h>

#include "lib/incfs.h"
#include "lib/tap.h"

#define NR_BLOCKS 199
#define TAIL 1234
#define SIZE ((NR_BLOCKS - 1ull) * BLOCK + TAIL)

enum kind {
	RAW,
	LZ4,
	ABSENT,
	SHARED,			/* refers to the bytes of another file */
	DAMAGED,
	NR_KINDS,
};

static const char *const mixes[] = { "raw", "LZ4", "raw and LZ4", "raw and absent",
				     "LZ4 and absent", "all kinds" };
static enum kind kinds[NR_BLOCKS];
static __u32 order[NR_BLOCKS];
static unsigned short seed[3];

static __u32 random_below(__u32 limit)
{
	return nrand48(seed) % limit;
}

/* Runs of kinds, most of them short, and an order that is mostly the file's. */
static void choose(int mix, bool scattered)
{
	static const __u32 allowed[] = { 1 << RAW, 1 << LZ4, 1 << RAW | 1 << LZ4,
					 1 << RAW | 1 << ABSENT, 1 << LZ4 | 1 << ABSENT,
					 (1 << NR_KINDS) - 1 };
	__u32 i, j, swap, left = 0;
	enum kind kind = RAW;

	for (i = 0; i < NR_BLOCKS; i++, left--) {
		if (!left) {
			left = 1 + random_below(random_below(4) ? 5 : 70);
			do
				kind = random_below(NR_KINDS);
			while (!(allowed[mix] & 1 << kind));
		}
		kinds[i] = kind;
		order[i] = i;
	}
	for (i = NR_BLOCKS - 1; scattered && i; i--) {
		j = random_below(i + 1);
		swap = order[i];
		order[i] = order[j];
		order[j] = swap;
	}
}

static __u32 block_len(__u32 block)
{
	return block == NR_BLOCKS - 1 ? TAIL : BLOCK;
}

/* Flip a bit of the stored bytes of a block, which is in the image as it is. */
static void damage(const struct test_fs *fs, __u64 ino, __u32 block, bool lz4)
{
	int fd = open(fs->image, O_RDWR | O_CLOEXEC);
	__u64 data[BLOCK / sizeof(__u64)];
	char packed[LZ4_COMPRESSBOUND(BLOCK)];
	size_t len = block_len(block);
	struct stat st;
	char *map, *found;

	expected_block(ino, block, data);
	memcpy(packed, data, BLOCK);
	if (lz4)
		len = LZ4_compress_default((char *)data, packed, len, sizeof(packed));
	if (fd < 0 || fstat(fd, &st))
		bail_out("open %s", fs->image);
	map = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	found = map == MAP_FAILED ? NULL : memmem(map, st.st_size, packed, len);
	if (!found)
		bail_out("block %u is not in the image", block);
	found[len / 2] ^= 16;
	if (msync(map, st.st_size, MS_SYNC))
		bail_out("msync");
	munmap(map, st.st_size);
	close(fd);
}

/* Blocks of SHARED have those of the file before, which has the same content. */
static void fill(const struct test_fs *fs, __u64 ino, __u64 twin)
{
	struct incfs_share share;
	__u32 i, block;

	for (i = 0; i < NR_BLOCKS; i++) {
		block = order[i];
		switch (kinds[block]) {
		case LZ4:
			fill_lz4(fs, ino, block, block_len(block));
			break;
		case ABSENT:
			break;
		case SHARED:
			share = (struct incfs_share) { .from_ino = twin, .to_ino = ino, .count = 1,
						       .from_block = block, .to_block = block };
			if (ioctl(fs->cmd, INCFS_IOC_SHARE, &share) || share.shared != 1)
				bail_out("INCFS_IOC_SHARE");
			break;
		default:
			fill_raw(fs, ino, block, block_len(block));
		}
	}
	for (i = 0; i < NR_BLOCKS; i++)
		if (kinds[i] == DAMAGED)
			damage(fs, ino, i, false);
}

/* The first block that does not read as it should; NR_BLOCKS if all do. */
static __u32 wrong_block(const struct test_fs *fs, __u64 ino, __u64 twin)
{
	char buf[BLOCK];
	int fd = fs_open(fs, "file");
	ssize_t got;
	__u32 i;

	for (i = 0; i < NR_BLOCKS; i++) {
		errno = 0;
		memset(buf, 0, sizeof(buf));
		got = pread(fd, buf, BLOCK, (off_t)i * BLOCK);
		if (kinds[i] == ABSENT || kinds[i] == DAMAGED) {
			if (got != -1 || errno != ETIME)
				break;
		} else if (got != block_len(i) ||
			   !is_expected(kinds[i] == SHARED ? twin : ino, i, buf, got)) {
			break;
		}
	}
	if (i < NR_BLOCKS)
		diag("block %u, kind %d: %zd, errno %d", i, kinds[i], got, errno);
	close(fd);
	return i;
}

/* Past the end of a file that is mapped are zeros. */
static bool tail_is_clean(const struct test_fs *fs)
{
	int fd = fs_open(fs, "file");
	char *map = mmap(NULL, NR_BLOCKS * BLOCK, PROT_READ, MAP_SHARED, fd, 0);
	bool clean = true;
	__u32 i;

	if (map == MAP_FAILED)
		bail_out("mmap");
	for (i = TAIL; i < BLOCK; i++)
		clean &= !map[(NR_BLOCKS - 1) * BLOCK + i];
	munmap(map, NR_BLOCKS * BLOCK);
	close(fd);
	return clean;
}

static void read_ahead(const struct test_fs *fs, int advice)
{
	int fd = fs_open(fs, "file");

	posix_fadvise(fd, 0, 0, advice);
	close(fd);
}

static void test_mix(const char *where, int mix, bool scattered)
{
	const char *how = scattered ? "scattered" : "in order";
	struct test_fs fs;
	__u64 ino, twin;
	char name[64];
	__u32 i;

	seed[0] = mix * 2 + scattered;
	choose(mix, scattered);
	snprintf(name, sizeof(name), "%s%d%d", where, mix, scattered);
	fs_mount_new(&fs, name, "read_timeout_ms=1");
	twin = make_file(&fs, INCFS_ROOT_INODE, "twin", SIZE);
	ino = make_file(&fs, INCFS_ROOT_INODE, "file", SIZE);
	for (i = 0; i < NR_BLOCKS; i++)
		if (kinds[i] == SHARED)
			fill_raw(&fs, twin, i, block_len(i));
	fill(&fs, ino, twin);
	drop_cached(&fs, "file");
	is_int(wrong_block(&fs, ino, twin), NR_BLOCKS, "%s, %s: read as they were stored",
	       mixes[mix], how);
	fs_cycle(&fs);
	read_ahead(&fs, POSIX_FADV_WILLNEED);
	is_int(wrong_block(&fs, ino, twin), NR_BLOCKS, "after readahead from a clean cache");
	is_int(wrong_block(&fs, ino, twin), NR_BLOCKS, "and from a warm one");
	ok(kinds[NR_BLOCKS - 1] == ABSENT || kinds[NR_BLOCKS - 1] == DAMAGED ||
	   tail_is_clean(&fs), "with zeros past the end");
	fs_unmount(&fs);
}

/* The same where the image's file system has no direct I/O that need not wait. */
static void test_mixes(const char *where)
{
	size_t i;

	for (i = 0; i < sizeof(mixes) / sizeof(mixes[0]); i++) {
		test_mix(where, i, false);
		test_mix(where, i, true);
	}
}

static void remount(const struct test_fs *fs, const char *options)
{
	if (mount("incremental-fs", fs->dir, NULL, MS_REMOUNT, options))
		bail_out("remount %s", options);
}

static bool shows(const struct test_fs *fs, const char *option)
{
	char device[256], options[256];

	return fs_proc_mounts(fs->dir, device, options, sizeof(options)) &&
	       strstr(options, option);
}

static bool reads_damage(const struct test_fs *fs, __u64 ino, __u32 block)
{
	char buf[BLOCK];

	return read_block(fs, "file", block, buf) == BLOCK && !is_expected(ino, block, buf, BLOCK);
}

static void test_verify(void)
{
	struct test_fs fs;
	char buf[BLOCK];
	__u64 ino, other;

	fs_mount_new(&fs, "verify", "read_timeout_ms=1,verify=once");
	ok(shows(&fs, "verify=once"), "verify=once is shown");
	ino = make_file(&fs, INCFS_ROOT_INODE, "file", 4 * BLOCK);
	fill_blocks(&fs, ino, 0, 2);
	fill_lz4(&fs, ino, 2, BLOCK);
	fill_raw(&fs, ino, 3, BLOCK);
	ok(block_reads(&fs, "file", ino, 0, BLOCK), "a block is read");
	ok(block_reads(&fs, "file", ino, 2, BLOCK), "a compressed one is");
	damage(&fs, ino, 0, false);
	ok(reads_damage(&fs, ino, 0), "its damage is not looked for again");
	other = make_file(&fs, INCFS_ROOT_INODE, "other", BLOCK);
	fill_blocks(&fs, other, 0, 1);
	damage(&fs, other, 0, false);
	is_errno(read_block(&fs, "other", 0, buf), ETIME,
		 "that of one that was not read is found");
	fill_raw(&fs, other, 0, BLOCK);
	ok(block_reads(&fs, "other", other, 0, BLOCK), "until it is filled again");
	remount(&fs, "verify=always");
	ok(!shows(&fs, "verify="), "verify=always is the default");
	is_errno(read_block(&fs, "file", 0, buf), ETIME, "then all damage is found");
	fill_raw(&fs, ino, 0, BLOCK);
	remount(&fs, "verify=once");
	damage(&fs, ino, 0, false);
	is_errno(read_block(&fs, "file", 0, buf), ETIME,
		 "a block that was damaged once is checked when it is there again");
	damage(&fs, ino, 3, false);
	fs_cycle(&fs);
	is_errno(read_block(&fs, "file", 3, buf), ETIME, "each mount checks anew");
	fs_unmount(&fs);
	is_errno(try_mount(fs.image, fs.dir, "verify=never"), EINVAL, "there is no verify=never");
}

int main(void)
{
	test_mixes("disk");
	if (mkdir("tmp", 0700) || mount("tmpfs", "tmp", "tmpfs", 0, NULL) || chdir("tmp"))
		bail_out("tmpfs");
	test_mixes("memory");
	if (chdir("..") || umount("tmp"))
		bail_out("umount");
	test_verify();
	return done();
}
