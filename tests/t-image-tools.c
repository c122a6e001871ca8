// SPDX-License-Identifier: GPL-2.0-only
/*
 * The image tools and the module on the same image: what one has made the other
 * finds sound, shows alike, and goes on with.
 */
#define _GNU_SOURCE
#include <stdarg.h>

#include "lib/incfs.h"
#include "lib/tap.h"

#define ROOT INCFS_ROOT_INODE

static char want[1 << 16], got[1 << 16];
static __u64 whole, partial;

/* Exit code of a command; what it says is in @got. */
__attribute__((format(printf, 1, 2)))
static int run(const char *fmt, ...)
{
	char command[512];
	va_list args;
	size_t len;
	FILE *pipe;
	int n;

	va_start(args, fmt);
	n = vsnprintf(command, sizeof(command) - 5, fmt, args);
	va_end(args);
	strcpy(command + n, " 2>&1");
	pipe = popen(command, "r");
	if (!pipe)
		bail_out("popen");
	len = fread(got, 1, sizeof(got) - 1, pipe);
	got[len] = 0;
	return WEXITSTATUS(pclose(pipe));
}

static void says(const char *text, const char *what)
{
	ok(strstr(got, text), "%s", what);
	if (!strstr(got, text))
		diag("%s", got);
}

static void make_image(struct test_fs *fs)
{
	__u64 dir, sub, gone;
	__u32 i;

	fs_mount_new(fs, "made", "read_timeout_ms=50");
	dir = make_dir(fs, ROOT, "dir");
	sub = make_dir(fs, dir, "sub");
	whole = make_file(fs, sub, "whole", 20 * BLOCK + 77);
	for (i = 0; i < 20; i++)
		i % 3 ? fill_lz4(fs, whole, i, BLOCK) : fill_raw(fs, whole, i, BLOCK);
	fill_raw(fs, whole, 20, 77);
	partial = make_file(fs, dir, "partial", 30 * BLOCK);
	fill_blocks(fs, partial, 4, 9);
	gone = make_file(fs, dir, "gone", 8 * BLOCK);
	fill_blocks(fs, gone, 0, 8);
	make_file(fs, ROOT, "empty", 0);
	if (try_add(fs->cmd, ROOT, whole, "link") || try_remove(fs->cmd, dir, gone, "gone"))
		bail_out("instructions");
	fs_show(fs, 0, want, sizeof(want));
}

/* An image belongs to its mount. */
static void test_mounted(const struct test_fs *fs)
{
	is_int(run("incfs image check %s", fs->image), 2, "a mounted image is not checked");
	says("is mounted: unmount it first", "that is said");
	is_int(run("incfs image check --repair %s", fs->image), 2, "nor repaired");
	is_int(run("incfs image extract %s out", fs->image), 1, "nor extracted");
	is_int(run("incfs image compact %s", fs->image), 1, "nor compacted");
	if (link(fs->image, "other name"))
		bail_out("link");
	is_int(run("incfs image check 'other name'"), 2, "under no name");
	is_int(run("incfs image info %s", fs->image), 0, "it can be looked at");
}

static void test_extract(struct test_fs *fs)
{
	is_int(run("incfs image check %s", fs->image), 0, "the module's image is sound");
	is_int(run("incfs image extract %s out", fs->image), 1, "not all of it is there");
	says("'dir/partial' is not complete: 21 of 30 blocks are absent", "that is said");
	is_int(run("incfs image extract -p %s out", fs->image), 0, "it is extracted");
	is_int(run("%s/tests/image.py compare %s out", getenv("INCFS_TOP"), fs->image), 0,
	       "to what the script finds in it");
	fs_mount(fs);
	is_int(run("cmp %s/dir/sub/whole out/dir/sub/whole", fs->dir), 0,
	       "what is read through the mount is what was extracted");
	is_int(run("[ out/link -ef out/dir/sub/whole ]"), 0, "hard links are hard links");
	is_int(run("list() { (cd $1 && find . -mindepth 1 ! -name .cmd "
		   "\\( -type d -printf '%%m %%P\\n' -o -printf '%%m %%n %%s %%P\\n' \\) | sort); }; "
		   "list out > a; list %s > b; diff a b", fs->dir), 0,
	       "names, modes, sizes and links are the same");
	is_str(got, "", "there is no difference");
	fs_unmount(fs);
}

static void test_compact(const struct test_fs *fs)
{
	struct test_fs new = { .image = "new.img", .dir = "new" };
	char block[BLOCK];

	strcpy(new.options, fs->options);
	is_int(run("incfs image compact -o %s %s", new.image, fs->image), 0,
	       "an image is compacted");
	says("1 inodes without a name dropped", "without what has no name");
	fs_mount(&new);
	fs_show(&new, 0, got, sizeof(got));
	is_str(got, want, "the new one mounts with the same tree and blocks");
	is_errno(read_block(&new, "dir/partial", 0, block), ETIME, "absent blocks are absent");
	fill_raw(&new, partial, 0, BLOCK);
	fill_lz4(&new, partial, 1, BLOCK);
	ok(block_reads(&new, "dir/partial", partial, 0, BLOCK) &&
	   block_reads(&new, "dir/partial", partial, 1, BLOCK), "and fill");
	make_file(&new, ROOT, "new", 3 * BLOCK);
	fs_cycle(&new);
	ok(block_reads(&new, "dir/partial", partial, 0, BLOCK), "they stay");
	fs_unmount(&new);
	is_int(run("incfs image check %s", new.image), 0, "what was appended is sound");
}

/* Change a byte of a stored block. */
static void damage(const char *image, __u64 ino, __u32 block)
{
	int fd = open(image, O_RDWR);
	char data[BLOCK], *map, *found;
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		bail_out("%s", image);
	map = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	expected_block(ino, block, data);
	found = map == MAP_FAILED ? NULL : memmem(map, st.st_size, data, BLOCK);
	if (!found)
		bail_out("the block is not in the image");
	found[1234] ^= 1;
	munmap(map, st.st_size);
	close(fd);
}

static void test_repair(struct test_fs *fs)
{
	char block[BLOCK], line[64];

	damage(fs->image, partial, 7);
	is_int(run("incfs image check %s", fs->image), 1, "a damaged block can be repaired");
	snprintf(line, sizeof(line), "inode %llu, block 7: stored bytes have a bad CRC", partial);
	says(line, "it is told which");
	is_int(run("incfs image check --repair %s", fs->image), 1, "it is repaired");
	is_int(run("incfs image check %s", fs->image), 0, "and sound then");

	fs_mount(fs);
	show_present(fs, partial, got, sizeof(got));
	is_str(got, "4-6,8-12", "the damaged block is absent, its neighbours are not");
	is_errno(read_block(fs, "dir/partial", 7, block), ETIME, "it is waited for");
	fill_raw(fs, partial, 7, BLOCK);
	ok(block_reads(fs, "dir/partial", partial, 7, BLOCK), "it fills");
	fs_unmount(fs);
	is_int(run("incfs image check %s", fs->image), 0, "the image is sound again");
}

static void test_torn(void)
{
	struct test_fs fs;
	struct stat st;
	__u64 ino;

	fs_mount_new(&fs, "torn", "read_timeout_ms=50");
	ino = make_file(&fs, ROOT, "file", 2 * BLOCK);
	fill_blocks(&fs, ino, 0, 2);
	make_dir(&fs, ROOT, "lost");
	fs_unmount(&fs);
	if (stat(fs.image, &st) || truncate(fs.image, st.st_size - 10))
		bail_out("truncate");
	is_int(run("incfs image check --repair %s", fs.image), 1, "a torn tail is repaired");
	is_int(run("incfs image check %s", fs.image), 0, "and gone");
	fs_mount(&fs);
	ok(block_reads(&fs, "file", ino, 1, BLOCK), "what was before it reads");
	is_int(access(fs_path(&fs, "lost"), F_OK), -1, "what was cut off is not there");
	make_dir(&fs, ROOT, "lost");
	fs_cycle(&fs);
	is_int(access(fs_path(&fs, "lost"), F_OK), 0, "it can be made again");
	fs_unmount(&fs);
	is_int(run("incfs image check %s", fs.image), 0, "and the image is sound");
}

/* Links, owners, times and extended attributes, through compact and extract. */
static void test_attrs(void)
{
	struct test_fs fs = { .image = "attrs.new", .dir = "attrs" };
	const char *top = getenv("INCFS_TOP");

	if (run("%s/tests/image.py attrs attrs.img", top))
		bail_out("image.py: %s", got);
	is_int(run("incfs image compact -o %s attrs.img", fs.image), 0,
	       "an image with attributes is compacted");
	fs_mount(&fs);
	is_int(run("%s/tests/image.py compare attrs.img %s", top, fs.dir), 0,
	       "the new one mounts with all of them");
	is_str(got, "", "the script finds no difference");
	fs_unmount(&fs);
	is_int(run("incfs image extract %s attrs.out", fs.image), 0, "it is extracted");
	is_int(run("%s/tests/image.py compare attrs.img attrs.out", top), 0,
	       "with the same attributes");
}

int main(void)
{
	struct test_fs fs;

	make_image(&fs);
	test_mounted(&fs);
	fs_unmount(&fs);
	test_extract(&fs);
	test_compact(&fs);
	test_repair(&fs);
	test_torn();
	test_attrs();
	return done();
}
