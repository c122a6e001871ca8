// SPDX-License-Identifier: GPL-2.0-only
/*
 * The rows of docs/conformance.md that no other test guards: programs of 32 bits,
 * fields that the interface of 2019 did not look at, places in the list of waits,
 * listings, reads at the end of a file, and the bytes that reach the image.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <lz4.h>

#include "lib/incfs.h"
#include "lib/tap.h"

#define ROOT INCFS_ROOT_INODE
#define TAIL 1000

static struct test_fs fs;

/* A file that is not named yet can be filled; what it has not got can be named. */
static void test_nameless(void)
{
	__u64 file, dir, child;

	if (try_new(fs.cmd, S_IFREG | 0444, 2 * BLOCK, &file) ||
	    try_new(fs.cmd, S_IFDIR | 0555, 0, &dir) ||
	    try_new(fs.cmd, S_IFREG | 0444, 0, &child))
		bail_out("NEW_FILE");
	fill_raw(&fs, file, 1, BLOCK);
	is_int(try_add(fs.cmd, ROOT, file, "named"), 0, "a file is named after it was filled");
	ok(block_reads(&fs, "named", file, 1, BLOCK), "and reads as it was filled");
	is_int(try_add(fs.cmd, dir, child, "child"), 0, "a nameless directory takes an entry");
	is_int(try_add(fs.cmd, ROOT, dir, "late"), 0, "and a name later");
	is_int(access(fs_path(&fs, "late/child"), F_OK), 0, "which shows the entry");
}

/* Programs of 2019 were free to leave anything where nothing was looked at. */
static void test_reserved(void)
{
	struct incfs_instruction arg;
	struct incfs_new_data_block block;
	char data[BLOCK];
	__u64 file;

	memset(&arg, 0xff, sizeof(arg));
	arg.version = INCFS_HEADER_VER;
	arg.type = INCFS_INSTRUCTION_NEW_FILE;
	arg.file.size = BLOCK;
	arg.file.mode = S_IFREG | 0444;
	is_int(ioctl(fs.cmd, INCFS_IOC_PROCESS_INSTRUCTION, &arg), 0,
	       "NEW_FILE does not look at reserved members");
	file = arg.file.ino_out;
	ok(arg.file.size == BLOCK && arg.file.reserved7 == ~0ull,
	   "and changes nothing but the inode number");

	memset(&arg, 0xff, sizeof(arg));
	arg.version = INCFS_HEADER_VER;
	arg.type = INCFS_INSTRUCTION_ADD_DIR_ENTRY;
	arg.dir_entry.dir_ino = ROOT;
	arg.dir_entry.child_ino = file;
	arg.dir_entry.name = (unsigned long)"reserved, and more";
	arg.dir_entry.name_len = strlen("reserved");
	is_int(ioctl(fs.cmd, INCFS_IOC_PROCESS_INSTRUCTION, &arg), 0,
	       "nor does ADD_DIR_ENTRY");
	is_int(access(fs_path(&fs, "reserved"), F_OK), 0, "a name ends where its length says");

	expected_block(file, 0, data);
	block = raw_block(file, 0, data, BLOCK);
	block.reserved1 = ~0u;
	block.reserved2 = ~0ull;
	is_int(try_fill(fs.cmd, &block), 0, "nor does a write of blocks");
	ok(block_reads(&fs, "reserved", file, 0, BLOCK), "the block is what was written");
}

/* The format has directories of size 0 only: one of another size would not mount. */
static void test_directory_size(void)
{
	struct stat st;
	__u64 dir;

	is_int(try_new(fs.cmd, S_IFDIR | 0555, 5000, &dir), 0,
	       "NEW_FILE of a directory takes any size");
	if (try_add(fs.cmd, ROOT, dir, "sized") || stat(fs_path(&fs, "sized"), &st))
		bail_out("a directory");
	is_int(st.st_size, 0, "which it does not have");
	fs_cycle(&fs);
	is_int(access(fs_path(&fs, "sized"), F_OK), 0, "nor in the image");
}

/* What readdir(3) must say of entry @at in @path. */
static void check_entry(const char *path, int at, const char *name, __u64 ino, int type)
{
	DIR *dir = opendir(fs_path(&fs, path));
	struct dirent *entry = NULL;
	int i;

	for (i = 0; dir && i <= at; i++)
		entry = readdir(dir);
	if (ok(entry && !strcmp(entry->d_name, name) && entry->d_ino == ino &&
	       entry->d_type == type, "entry %d of '%s' is %s", at, path, name))
		goto out;
	if (entry)
		diag("it is %s, inode %lu, type %d", entry->d_name, entry->d_ino, entry->d_type);
out:
	closedir(dir);
}

static void test_listing(void)
{
	__u64 dir = make_dir(&fs, ROOT, "list"), sub = make_dir(&fs, dir, "sub");
	__u64 file = make_file(&fs, sub, "file", 1);
	struct stat st;

	check_entry("", 0, ".", ROOT, DT_DIR);
	check_entry("", 2, ".cmd", INCFS_COMMAND_INODE, DT_REG);
	check_entry("list/sub", 0, ".", sub, DT_DIR);
	check_entry("list/sub", 1, "..", dir, DT_DIR);
	check_entry("list/sub", 2, "file", file, DT_REG);
	if (stat(fs_path(&fs, "list/sub/.."), &st))
		bail_out("stat ..");
	is_int(st.st_ino, dir, "stat of .. is the parent");
}

static void test_end_of_file(void)
{
	__u64 file = make_file(&fs, ROOT, "end", 2 * BLOCK + TAIL);
	char data[2 * BLOCK];
	int fd = fs_open(&fs, "end");
	struct incfs_stats before, after;

	if (ioctl(fs.cmd, INCFS_IOC_GET_STATS, &before))
		bail_out("GET_STATS");
	is_int(pread(fd, data, BLOCK, 2 * BLOCK + TAIL), 0, "a read at the end has nothing");
	is_int(pread(fd, data, BLOCK, 100 * BLOCK), 0, "nor has one past it");
	is_int(pread(fd, data, 0, 0), 0, "nor one of nothing");
	if (ioctl(fs.cmd, INCFS_IOC_GET_STATS, &after))
		bail_out("GET_STATS");
	is_int(after.waits, before.waits, "none of them has waited for the blocks before it");
	fill_raw(&fs, file, 2, TAIL);
	is_int(pread(fd, data, sizeof(data), 2 * BLOCK), TAIL, "a read ends where the file does");
	is_int(pread(fd, data, 10, 2 * BLOCK + TAIL - 1), 1, "also from its last byte on");
	close(fd);
}

static int poll_now(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, 0);
}

/* A place in the list belongs to the open file description, not to the descriptor. */
static void test_positions(void)
{
	__u64 file = make_file(&fs, ROOT, "waits", 4 * BLOCK);
	int one = fs_open_cmd(&fs, O_RDONLY), same = dup(one), other = fs_open_cmd(&fs, O_RDONLY);
	struct incfs_pending_read_info infos[4];
	struct reader readers[2];
	int i;

	if (mount("any", fs.dir, NULL, MS_REMOUNT, "read_timeout_ms=0"))
		bail_out("remount");
	for (i = 0; i < 2; i++) {
		reader_start(&readers[i], &fs, "waits", i, READ_PREAD);
		if (!wait_until(count_pending(&fs) == i + 1))
			bail_out("a reader that waits");
	}
	is_int(read(one, infos, sizeof(infos[0]) + 5), sizeof(infos[0]),
	       "one wait is read where there is room for one and a part");
	is_int(infos[0].block_index, 0, "the first");
	is_int(poll_now(one), 1, "poll tells that there is another one");
	is_int(read(same, infos, sizeof(infos)), sizeof(infos[0]), "a duplicate reads the rest");
	is_int(infos[0].block_index, 1, "which is the second");
	is_int(poll_now(one), 0, "poll has nothing more to tell of either");
	is_int(read(one, infos, sizeof(infos)), 0, "and there is nothing to read");
	is_int(poll_now(other), 1, "another description has it all before it");
	is_int(read(other, infos, sizeof(infos)), 2 * sizeof(infos[0]), "and reads it");
	close(other);
	other = fs_open_cmd(&fs, O_RDONLY);
	is_int(read(other, infos, sizeof(infos)), 2 * sizeof(infos[0]),
	       "so does one that is opened later");
	fill_blocks(&fs, file, 0, 2);
	for (i = 0; i < 2; i++)
		is_int(reader_join(&readers[i]), BLOCK, "reader %d gets its block", i);
	close(one);
	close(same);
	close(other);
	if (mount("any", fs.dir, NULL, MS_REMOUNT, "read_timeout_ms=100"))
		bail_out("remount");
}

/* An LZ4 block has to expand to the block's own length: that of the tail, in the last. */
static void test_lz4_length(void)
{
	__u64 file = make_file(&fs, ROOT, "lz4", BLOCK + TAIL);
	char data[BLOCK], packed[LZ4_COMPRESSBOUND(BLOCK)];
	struct incfs_new_data_block block;
	__u32 i;

	for (i = 0; i < 2; i++) {
		/* Of the first block too little, of the tail too much. */
		expected_block(file, i, data);
		block = raw_block(file, i, packed,
				  LZ4_compress_default(data, packed, i ? BLOCK : TAIL,
						       sizeof(packed)));
		block.compression = COMPRESSION_LZ4;
		try_fill(fs.cmd, &block);
		is_errno(read_block(&fs, "lz4", i, data), ETIME,
			 "LZ4 data that is too %s for its block is not shown",
			 i ? "long" : "short");
		fill_lz4(&fs, file, i, i ? TAIL : BLOCK);
		ok(block_reads(&fs, "lz4", file, i, i ? TAIL : BLOCK), "and can be put right");
	}
}

/* Offsets of more than 32 bits: the image is a hole up to there. */
static void test_far(void)
{
	__u64 far_end = (5ull << 30) + 123, file;
	char present[64];
	struct stat st;

	fs_unmount(&fs);
	if (truncate(fs.image, far_end))
		bail_out("truncate the image to 5 GiB");
	fs_mount(&fs);
	file = make_file(&fs, ROOT, "far", 3 * BLOCK);
	fill_raw(&fs, file, 0, BLOCK);
	fill_lz4(&fs, file, 2, BLOCK);
	stat(fs.image, &st);
	ok((__u64)st.st_size > far_end, "records and blocks lie past 4 GiB of the image");
	fs_cycle(&fs);
	show_present(&fs, file, present, sizeof(present));
	is_str(present, "0-0,2-2", "after a remount, they are there");
	ok(block_reads(&fs, "far", file, 0, BLOCK) && block_reads(&fs, "far", file, 2, BLOCK),
	   "and read right");
}

/* What the instructions of 2019 leave in an image, by the document alone. */

#define SUPER_SIZE 32
#define HEADER_SIZE 23

static unsigned char image[1 << 20];

static __u64 number(__u64 at, int bytes)
{
	__u64 value = 0;

	while (bytes--)
		value = value << 8 | image[at + bytes];
	return value;
}

/* The CRC of the format, bit by bit. */
static __u32 crc(const unsigned char *data, size_t len)
{
	__u32 value = 0;
	int bit;

	while (len--) {
		value ^= *data++;
		for (bit = 0; bit < 8; bit++)
			value = value >> 1 ^ (value & 1 ? 0xedb88320 : 0);
	}
	return value;
}

/* Check what all records have in common; returns the offset of the next one. */
static __u64 check_record(__u64 at, __u64 before, unsigned int type, unsigned int size,
			  const char *what)
{
	unsigned char copy[512];
	__u64 next = number(at + 7, 8);

	ok(number(at, 1) == type && number(at + 1, 2) == size, "%s: type and size", what);
	is_int(number(at + 15, 8), before, "%s: it links back", what);
	ok(!next || next >= at + size, "%s: it links on, or ends", what);
	memcpy(copy, image + at, size);
	memset(copy + 3, 0, 12);
	is_int(number(at + 3, 4), crc(copy, size), "%s: its CRC", what);
	return next;
}

static void check_name(__u64 at, __u64 dir, __u64 entry, int action, const char *name)
{
	static const unsigned char zeros[255];
	size_t len = strlen(name);
	__u64 body = at + HEADER_SIZE;

	ok(number(body, 8) == dir && number(body + 8, 8) == entry &&
	   number(body + 16, 1) == (unsigned int)action && number(body + 17, 1) == len &&
	   !memcmp(image + body + 18, name, len) &&
	   !memcmp(image + body + 18 + len, zeros, 255 - len),
	   "'%s' is what was asked for, with zeros after it", name);
}

static void load_image(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	memset(image, 0, sizeof(image));
	if (fd < 0 || read(fd, image, sizeof(image)) < SUPER_SIZE)
		bail_out("read %s", path);
	close(fd);
}

static void test_bytes(void)
{
	static const unsigned char fresh[SUPER_SIZE] = {
		0x49, 0x4e, 0x43, 0x46, 0x53, 0, 0, 0,	/* magic */
		1, 0, 0, 0, 0, 0, 0, 0,			/* version */
		32, 0,					/* size */
		0, 0, 0, 0,				/* flags */
		0, 0, 0, 0, 0, 0, 0, 0,			/* first record */
		0, 16,					/* size of a block */
	};
	__u64 file, dir, at[6], map, entry, offset;
	struct test_fs small;
	char data[BLOCK];

	fs_mount_new(&small, "bytes", "");
	load_image(small.image);
	ok(!memcmp(image, fresh, sizeof(fresh)),
	   "the superblock of an empty image is as it should be");
	if (try_new(small.cmd, S_IFREG | 0754, BLOCK + TAIL, &file) ||
	    try_add(small.cmd, ROOT, file, "a file") ||
	    try_new(small.cmd, S_IFDIR | 0777, 0, &dir) ||
	    try_remove(small.cmd, ROOT, 0, "a file"))
		bail_out("instructions");
	fill_raw(&small, file, 1, TAIL);
	fs_unmount(&small);
	load_image(small.image);

	ok(!memcmp(image, fresh, 22) && !memcmp(image + 30, fresh + 30, 2),
	   "instructions change nothing in the superblock but where the records begin");
	at[0] = number(22, 8);
	at[1] = check_record(at[0], 0, 1, 45, "inode of the file");
	at[2] = check_record(at[1], at[0], 2, 43, "block map");
	at[3] = check_record(at[2], at[1], 3, 296, "name");
	at[4] = check_record(at[3], at[2], 1, 45, "inode of the directory");
	is_int(check_record(at[4], at[3], 3, 296, "removal"), 0, "there are no more");

	entry = at[0] + HEADER_SIZE;
	ok(number(entry, 8) == file && number(entry + 8, 8) == BLOCK + TAIL &&
	   number(entry + 16, 2) == (S_IFREG | 0554) && number(entry + 18, 4) == 0,
	   "number, size and mode of the file, no flags");
	entry = at[3] + HEADER_SIZE;
	ok(number(entry, 8) == dir && number(entry + 8, 8) == 0 &&
	   number(entry + 16, 2) == (S_IFDIR | 0555) && number(entry + 18, 4) == 0,
	   "those of the directory");
	check_name(at[2], ROOT, file, 1, "a file");
	check_name(at[4], ROOT, file, 2, "a file");

	entry = at[1] + HEADER_SIZE;
	map = number(entry + 8, 8);
	ok(number(entry, 8) == file && number(entry + 16, 4) == 2 && map >= SUPER_SIZE &&
	   map + 28 <= sizeof(image), "the block map is the file's, of two entries");
	ok(!number(map, 8) && !number(map + 8, 6), "the entry of an absent block is zeros");
	entry = map + 14;
	offset = number(entry, 4) | number(entry + 4, 2) << 32;
	ok(number(entry + 6, 2) == TAIL && number(entry + 8, 2) == 0,
	   "that of a raw tail has its size");
	expected_block(file, 1, data);
	ok(offset + TAIL <= sizeof(image) && !memcmp(image + offset, data, TAIL),
	   "and points at its bytes");
	is_int(number(entry + 10, 4), crc(image + offset, TAIL), "of which it has the CRC");
}

/* Programs of 32 bits */

#ifdef __x86_64__
enum {
	READ32 = 3,
	WRITE32 = 4,
	OPEN32 = 5,
	GETPID32 = 20,
	MOUNT32 = 21,
	IOCTL32 = 54,
	POLL32 = 168,
};

/* A system call as a program of 32 bits makes it. */
static int call32(int call, unsigned long a, unsigned long b, unsigned long c, unsigned long d,
		  unsigned long e)
{
	long ret;

	asm volatile("int $0x80" : "=a" (ret)
		     : "a" ((long)call), "b" (a), "c" (b), "d" (c), "S" (d), "D" (e)
		     : "memory", "r8", "r9", "r10", "r11");
	if ((int)ret < 0) {
		errno = -(int)ret;
		return -1;
	}
	return ret;
}

static bool have_32(void)
{
	pid_t pid;

	pid = must_fork();
	if (!pid)
		_exit(call32(GETPID32, 0, 0, 0, 0, 0) != getpid());
	return !wait_exit(pid);
}

/* All that a call points at, below 4 GiB. */
struct low {
	char type[16], dir[16], options[64], cmd[16], name[16];
	struct incfs_instruction instruction;
	struct incfs_new_data_block block;
	struct incfs_pending_read_info info;
	struct incfs_mount_info mount_info;
	struct pollfd poll;
	char data[BLOCK];
};

#define LOW(member) ((unsigned long)&low->member)

static void test_32(void)
{
	struct low *low = mmap(NULL, sizeof(*low), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	struct test_fs old = { .dir = "old", .image = "old.img" };
	int backing = open(old.image, O_RDWR | O_CREAT | O_CLOEXEC, 0600), cmd;
	struct reader reader;
	__u64 file;

	if (low == MAP_FAILED || backing < 0 || mkdir("old", 0755))
		bail_out("memory below 4 GiB");
	strcpy(low->type, INCFS_NAME);
	strcpy(low->dir, old.dir);
	strcpy(low->cmd, "old/.cmd");
	strcpy(low->name, "file");
	snprintf(low->options, sizeof(low->options), "backing_fd=%d,read_timeout_ms=0", backing);
	is_int(call32(MOUNT32, LOW(type), LOW(dir), LOW(type), 0, LOW(options)), 0,
	       "a program of 32 bits mounts an image");
	close(backing);
	cmd = call32(OPEN32, LOW(cmd), O_RDWR, 0, 0, 0);
	ok(cmd >= 0, "opens .cmd");
	old.cmd = cmd;

	low->instruction.version = INCFS_HEADER_VER;
	low->instruction.type = INCFS_INSTRUCTION_NEW_FILE;
	low->instruction.file.mode = S_IFREG | 0444;
	low->instruction.file.size = BLOCK;
	is_int(call32(IOCTL32, cmd, INCFS_IOC_PROCESS_INSTRUCTION, LOW(instruction), 0, 0), 0,
	       "makes a file");
	file = low->instruction.file.ino_out;
	memset(&low->instruction, 0, sizeof(low->instruction));
	low->instruction.version = INCFS_HEADER_VER;
	low->instruction.type = INCFS_INSTRUCTION_ADD_DIR_ENTRY;
	low->instruction.dir_entry.dir_ino = ROOT;
	low->instruction.dir_entry.child_ino = file;
	low->instruction.dir_entry.name = LOW(name);
	low->instruction.dir_entry.name_len = strlen(low->name);
	is_int(call32(IOCTL32, cmd, INCFS_IOC_PROCESS_INSTRUCTION, LOW(instruction), 0, 0), 0,
	       "names it");
	is_int(call32(IOCTL32, cmd, INCFS_IOC_GET_INFO, LOW(mount_info), 0, 0), 0, "asks");
	is_int(low->mount_info.nr_files, 2, "and is answered");
	is_errno(call32(IOCTL32, cmd, _IO('T', 30), 0, 0, 0), ENOTTY,
		 "an ioctl of others is refused to it");

	reader_start(&reader, &old, "file", 0, READ_PREAD);
	low->poll = (struct pollfd) { .fd = cmd, .events = POLLIN };
	is_int(call32(POLL32, LOW(poll), 1, SOON, 0, 0), 1, "polls for a reader");
	is_int(call32(READ32, cmd, LOW(info), sizeof(low->info), 0, 0), sizeof(low->info),
	       "reads of it");
	ok(low->info.file_ino == file && low->info.block_index == 0, "which block it waits for");
	expected_block(file, 0, low->data);
	low->block = raw_block(file, 0, low->data, BLOCK);
	is_int(call32(WRITE32, cmd, LOW(block), sizeof(low->block), 0, 0), sizeof(low->block),
	       "writes it");
	ok(reader_join(&reader) == BLOCK && is_expected(file, 0, reader.data, BLOCK),
	   "and the reader has it");
	munmap(low, sizeof(*low));
	fs_unmount(&old);
}
#else
static bool have_32(void)
{
	return false;
}

static void test_32(void)
{
}
#endif

int main(void)
{
	fs_mount_new(&fs, "fs", "read_timeout_ms=100");
	test_nameless();
	test_reserved();
	test_directory_size();
	test_listing();
	test_end_of_file();
	test_positions();
	test_lz4_length();
	test_far();
	fs_unmount(&fs);
	test_bytes();
	if (have_32())
		test_32();
	else
		skip(1, "no system calls of 32 bits here");
	return done();
}
