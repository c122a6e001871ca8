// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hostile and damaged images: each fault of the format is refused at mount time
 * with its offset in the log; damaged blocks are absent, never wrong.
 */
#include "lib/incfs.h"
#include "lib/tap.h"

static char text[1 << 16];

static void test_faults(const char *verb, int least)
{
	int number = 0, log = klog_open(), ret;
	char image[32], want[64], name[128];
	char *line, *rest = NULL;
	unsigned long offset;

	mkdir(verb, 0755);
	if (image_tool(verb, verb, text, sizeof(text)))
		bail_out("image.py: %s", text);
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		if (sscanf(line, "%lu\t%127[^\n]", &offset, name) != 2)
			bail_out("%s", line);
		if (number % 8 == 7)
			reload_module();
		snprintf(image, sizeof(image), "%s/%d.img", verb, number++);
		ret = try_mount(image, "mnt", "");
		ok(ret == -1 && (errno == EUCLEAN || errno == EINVAL), "%s: refused", name);
		if (!ret)
			umount("mnt");
		snprintf(want, sizeof(want), "image offset %lu:", offset);
		ok(klog_has(log, want), "%s: the log tells where", name);
	}
	ok(number > least, "%s: there are images for all faults (%d)", verb, number);
	close(log);
	reload_module();
}

static void test_garbage(void)
{
	char junk[BLOCK];
	int fd = open("junk", O_RDWR | O_CREAT, 0600);

	memset(junk, 'j', BLOCK);
	if (write(fd, junk, BLOCK) != BLOCK)
		bail_out("junk");
	is_errno(try_mount("junk", "mnt", ""), EINVAL, "a file that is no image is refused");
	is_int(pread(fd, text, BLOCK + 1, 0), BLOCK, "and not changed");
	ok(!memcmp(text, junk, BLOCK), "not in a byte");
	if (ftruncate(fd, 0) || ftruncate(fd, 1 << 20))
		bail_out("ftruncate");
	is_errno(try_mount("junk", "mnt", ""), EINVAL, "a file of zeros is refused");
	close(fd);
}

static void test_block(const struct test_fs *fs, __u32 block, const char *what)
{
	struct incfs_pending_read_info info;
	int cmd = fs_open_cmd(fs, O_RDONLY);
	enum read_how how = block % 2 ? READ_PREAD : READ_MAPPED;
	struct reader reader;
	char buf[BLOCK];

	/* Timeouts are short at first: nothing must come out. */
	is_errno(read_block(fs, "file", block, buf), ETIME, "%s: nobody reads it", what);
	if (mount("any", fs->dir, NULL, MS_REMOUNT, "read_timeout_ms=0"))
		bail_out("remount");
	reader_start(&reader, fs, "file", block, how);
	take_pending(cmd, &info, 1);
	is_int(info.block_index, block, "%s: it is waited for", what);
	fill_raw(fs, 3, block, BLOCK);
	is_int(reader_join(&reader), BLOCK, "%s: it can be filled again", what);
	ok(is_expected(3, block, reader.data, BLOCK), "%s: and reads right then", what);
	if (mount("any", fs->dir, NULL, MS_REMOUNT, "read_timeout_ms=50"))
		bail_out("remount");
	close(cmd);
}

static void test_blocks(void)
{
	static const char *const what[] = {
		[1] = "raw block with a wrong CRC",
		[2] = "LZ4 block with a wrong CRC",
		[3] = "LZ4 stream of nonsense",
		[4] = "LZ4 stream that is short of a byte",
		[5] = "LZ4 stream with a byte too many",
		[6] = "LZ4 match before the start",
		[7] = "entry that points outside the image",
		[8] = "entry that points into the superblock",
		[9] = "entry with an unknown flag",
		[10] = "raw block that is too large",
		[13] = "entry without an offset",
		[14] = "entry without a size",
		[15] = "entry that ends outside the image",
	};
	struct test_fs fs = { .image = "blocks.img", .dir = "blocks",
			      .options = "read_timeout_ms=50" };
	int log = klog_open(), fd;
	char buf[BLOCK];
	__u32 i;

	if (image_tool("blocks", fs.image, text, sizeof(text)))
		bail_out("image.py: %s", text);
	fs_mount(&fs);
	ok(block_reads(&fs, "file", 3, 0, BLOCK),
	   "a sound raw block among damaged ones reads right");
	ok(block_reads(&fs, "file", 3, 12, BLOCK), "a sound LZ4 block does");
	ok(block_reads(&fs, "file", 3, 11, 2000), "a sound short block does");
	fd = fs_open(&fs, "file");
	is_int(posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED), 0,
	       "readahead over damaged blocks returns");
	close(fd);
	show_present(&fs, 3, text, sizeof(text));
	is_str(text + strlen(text) - 5, "11-12", "blocks that can't be right are not present");
	for (i = 0; i < sizeof(what) / sizeof(what[0]); i++) {
		if (what[i])
			test_block(&fs, i, what[i]);
	}
	ok(klog_has(log, "inode 3, block 1:"), "the log tells of a damaged block");
	fs_cycle(&fs);
	for (i = 0; i < 16; i++) {
		if (read_block(&fs, "file", i, buf) != BLOCK ||
		    !is_expected(3, i, buf, i == 11 ? 2000 : BLOCK))
			break;
	}
	is_int(i, 16, "blocks that were filled again are right after a remount");
	fs_unmount(&fs);
	close(log);
}

/* A block that goes bad while it is mounted: a disk that lies. */
static void test_rot(void)
{
	struct test_fs fs;
	char buf[BLOCK], *found;
	struct stat st;
	__u64 ino;
	void *map;
	int fd;

	fs_mount_new(&fs, "rot", "read_timeout_ms=50");
	ino = make_file(&fs, INCFS_ROOT_INODE, "file", 4 * BLOCK);
	fill_blocks(&fs, ino, 0, 4);
	fsync(fs.cmd);
	fd = open(fs.image, O_RDWR);
	fstat(fd, &st);
	map = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	expected_block(ino, 2, buf);
	found = memmem(map, st.st_size, buf, BLOCK);
	if (!found)
		bail_out("the block is not in the image");
	ok(block_reads(&fs, "file", ino, 2, BLOCK), "a sound block is read");
	found[99] ^= 4;
	is_errno(read_block(&fs, "file", 2, buf), ETIME,
		 "a block that rots in the image is not read any more");
	ok(block_reads(&fs, "file", ino, 1, BLOCK) && block_reads(&fs, "file", ino, 3, BLOCK),
	   "its neighbours are");
	fill_lz4(&fs, ino, 2, BLOCK);
	ok(block_reads(&fs, "file", ino, 2, BLOCK), "it is when it was filled again");
	expected_block(ino, 0, buf);
	found = memmem(map, st.st_size, buf, BLOCK);
	if (!found)
		bail_out("the block is not in the image");
	found[99] ^= 4;
	fill_raw(&fs, ino, 0, BLOCK);
	ok(block_reads(&fs, "file", ino, 0, BLOCK),
	   "so is one that was filled again before anybody had read it");
	munmap(map, st.st_size);

	/* The image loses its end under the mount. */
	if (ftruncate(fd, st.st_size / BLOCK * BLOCK - 2 * BLOCK))
		bail_out("ftruncate");
	ok(read_block(&fs, "file", 3, buf) == -1, "a block that is cut off is not read");
	fill_raw(&fs, ino, 3, BLOCK);
	ok(block_reads(&fs, "file", ino, 3, BLOCK), "it is when it was filled again");
	close(fd);
	fs_unmount(&fs);
}

/* The first touch of a damaged block waits as any other: once. */
static void test_first_touch(void)
{
	struct test_fs fs = { .image = "touch.img", .dir = "touch",
			      .options = "read_timeout_ms=300" };
	enum read_how how;
	struct incfs_stats stats;
	struct reader reader;

	for (how = READ_PREAD; how <= READ_MAPPED; how++) {
		if (image_tool("blocks", fs.image, text, sizeof(text)))
			bail_out("image.py: %s", text);
		fs_mount(&fs);
		reader_run(&reader, &fs, "file", 1, how);
		if (ioctl(fs.cmd, INCFS_IOC_GET_STATS, &stats))
			bail_out("GET_STATS");
		ok(reader.got == -1 && reader.error == (how == READ_MAPPED ? EFAULT : ETIME),
		   "the first %s of a damaged block times out",
		   how == READ_MAPPED ? "touch" : "read");
		is_int(stats.waits, 1, "after one wait");
		is_int(stats.waits_expired, 1, "and no other");
		ok(stats.blocks_damaged >= 1, "the damage is counted");
		fs_unmount(&fs);
	}
}

int main(void)
{
	test_faults("damage", 60);
	test_faults("damage-attrs", 20);
	test_garbage();
	test_blocks();
	test_first_touch();
	test_rot();
	return done();
}
