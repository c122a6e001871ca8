// SPDX-License-Identifier: GPL-2.0-only
/*
 * The image format, against an implementation that shares nothing with ours:
 * tests/image.py writes what the module reads, and reads what it writes.
 */
#define _GNU_SOURCE
#include "lib/incfs.h"
#include "lib/tap.h"

#define ROOT INCFS_ROOT_INODE
#define SHARED 62	/* as in image.py */

static char want[1 << 16], got[1 << 16];

/* What the module shows of a mounted image is what the script shows of the file. */
static void same_tree(const struct test_fs *fs, __u64 exempt, const char *what)
{
	bool right;

	if (image_tool("check", fs->image, want, sizeof(want)))
		diag("%s", want);
	right = fs_show(fs, exempt, got, sizeof(got));
	ok(right, "%s: each present block reads right", what);
	is_str(got, want, "%s: the tree is the same to the module and the script", what);
}

static void test_foreign(void)
{
	struct test_fs fs = { .image = "foreign.img", .dir = "foreign",
			      .options = "read_timeout_ms=100" };
	char data[BLOCK], block[BLOCK];
	__u64 ino;

	is_int(image_tool("write", fs.image, got, sizeof(got)), 0, "the script writes an image");
	fs_mount(&fs);
	same_tree(&fs, SHARED, "foreign image");
	memset(data, 's', BLOCK);
	ok(read_block(&fs, "shared", 0, block) == BLOCK && !memcmp(block, data, BLOCK) &&
	   read_block(&fs, "shared", 1, block) == BLOCK && !memcmp(block, data, BLOCK),
	   "two blocks that share their bytes read right");
	is_errno(read_block(&fs, "no-map", 0, block), ETIME,
		 "blocks of a file without a block map are absent");

	fill_blocks(&fs, 77, 3, 2);
	fill_lz4(&fs, 77, 6, BLOCK);
	fill_blocks(&fs, 61, 1, 2);
	ino = make_file(&fs, 51, "new", 5 * BLOCK);
	fill_raw(&fs, ino, 4, BLOCK);
	is_int(ino, 78, "a new inode number is above all there are");
	if (try_remove(fs.cmd, ROOT, 77, "file"))
		bail_out("REMOVE_DIR_ENTRY");
	same_tree(&fs, SHARED, "foreign image that was changed");
	fs_cycle(&fs);
	same_tree(&fs, SHARED, "foreign image after a remount");
	fs_unmount(&fs);
	is_int(image_tool("check", fs.image, got, sizeof(got)), 0,
	       "the script finds no fault in what was appended");
}

static void test_ours(void)
{
	__u64 dir, sub, file, tail;
	struct test_fs fs;
	__u32 i;

	fs_mount_new(&fs, "ours", "");
	dir = make_dir(&fs, ROOT, "dir");
	sub = make_dir(&fs, dir, "sub");
	file = make_file(&fs, sub, "file", 40 * BLOCK);
	tail = make_file(&fs, dir, "tail", 3 * BLOCK + 17);
	make_file(&fs, dir, "empty", 0);
	for (i = 0; i < 40; i += 3)
		i & 1 ? fill_lz4(&fs, file, i, BLOCK) : fill_raw(&fs, file, i, BLOCK);
	fill_raw(&fs, tail, 3, 17);
	fill_lz4(&fs, tail, 0, BLOCK);
	if (try_add(fs.cmd, ROOT, file, "link") || try_remove(fs.cmd, sub, 0, "file") ||
	    try_remove(fs.cmd, dir, 0, "sub"))
		bail_out("instructions");
	is_int(fsync(fs.cmd), 0, "the image is synced");
	same_tree(&fs, 0, "our image while it is mounted");
	fs_unmount(&fs);
	is_int(image_tool("check", fs.image, got, sizeof(got)), 0,
	       "the script finds no fault in our image");
	is_str(got, want, "it is the same after the unmount");
}

int main(void)
{
	test_foreign();
	test_ours();
	return done();
}
