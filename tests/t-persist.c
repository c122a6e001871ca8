// SPDX-License-Identifier: GPL-2.0-only
/* What was acknowledged is there after each of several mounts, and grows. */
#define _GNU_SOURCE
#include "lib/incfs.h"
#include "lib/tap.h"

#define ROUNDS 5
#define BLOCKS 20

static char before[1 << 16], after[1 << 16];

int main(void)
{
	struct incfs_mount_info info;
	__u64 dir, file, last = 0, id = 0;
	struct test_fs fs;
	char name[32];
	struct stat st;
	int round, i;
	off_t size;

	fs_mount_new(&fs, "fs", "read_timeout_ms=100");
	dir = make_dir(&fs, INCFS_ROOT_INODE, "dir");
	file = make_file(&fs, INCFS_ROOT_INODE, "file", BLOCKS * BLOCK);
	for (round = 0; round < ROUNDS; round++) {
		info = fs_info(&fs);
		ok(info.mount_id != id, "round %d: the mount has an id of its own", round);
		id = info.mount_id;
		for (i = 0; i < 3; i++) {
			snprintf(name, sizeof(name), "%c-%d", 'z' - i, round);
			last = make_file(&fs, dir, name, 2 * BLOCK + round + 1);
			fill_raw(&fs, last, i, i == 2 ? round + 1 : BLOCK);
		}
		if (round) {
			snprintf(name, sizeof(name), "y-%d", round - 1);
			if (try_remove(fs.cmd, dir, 0, name))
				bail_out("REMOVE_DIR_ENTRY");
		}
		fill_raw(&fs, file, round * 4, BLOCK);
		fill_lz4(&fs, file, round * 4 + 1, BLOCK);
		ok(fs_show(&fs, 0, before, sizeof(before)), "round %d: all reads right", round);
		fs_cycle(&fs);
		ok(fs_show(&fs, 0, after, sizeof(after)),
		   "round %d: all reads right after a remount", round);
		is_str(after, before, "round %d: tree, order and present blocks are the same",
		       round);
	}
	show_present(&fs, file, after, sizeof(after));
	is_str(after, "0-1,4-5,8-9,12-13,16-17", "what was filled in each round is there");
	is_int(make_file(&fs, dir, "next", 1), last + 1, "inode numbers go on");

	stat(fs.image, &st);
	size = st.st_size;
	for (round = 0; round < 3; round++)
		fs_cycle(&fs);
	stat(fs.image, &st);
	is_int(st.st_size, size, "a mount alone adds nothing");
	fs_unmount(&fs);
	is_int(image_tool("check", fs.image, after, sizeof(after)), 0,
	       "an independent reader finds no fault in the image");
	return done();
}
