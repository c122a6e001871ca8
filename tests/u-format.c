// SPDX-License-Identifier: GPL-2.0-only
/*
 * The parser of the image format, as user space compiles it, under the address
 * and the undefined-behaviour sanitizer: what it builds it reads back, whatever
 * is wrong it refuses, and it never looks past what it was given. Buffers are
 * allocated to their exact size for that.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "format.h"
#include "walk.h"
#include "lib/tap.h"

#define IMAGE_SIZE (1ull << 40)
#define AT 1000		/* offset of the record under test */
#define PREV 500

struct bytes {
	unsigned char *data;
	size_t size;
};

static struct bytes copy(const void *data, size_t size)
{
	struct bytes bytes = { malloc(size), size };

	memcpy(bytes.data, data, size);
	return bytes;
}

/* Parse a record at AT the way a mount does; 0 and *@record, or -EINVAL. */
static int parse(const struct bytes *bytes, struct incfs_record *record)
{
	const char *why = NULL;
	size_t size;
	int err;

	err = incfs_format_parse_header(bytes->data, bytes->size, AT, PREV, &size, &why);
	if (!err && size > bytes->size)
		err = -EINVAL;
	if (!err)
		err = incfs_format_parse_record(bytes->data, size, AT, IMAGE_SIZE, record, &why);
	if (err && err != -EINVAL)
		bail_out("error %d", err);
	return err;
}

static struct bytes inode_record(void)
{
	struct incfs_disk_inode disk;

	incfs_format_build_inode(&disk, PREV, 7, 123456, S_IFREG | 0444);
	incfs_format_set_next(&disk, 2000);
	return copy(&disk, sizeof(disk));
}

static struct bytes map_record(void)
{
	struct incfs_disk_block_map disk;

	incfs_format_build_map(&disk, PREV, 7, 600, 31);
	return copy(&disk, sizeof(disk));
}

static struct bytes dir_record(void)
{
	struct incfs_disk_dir_action disk;

	incfs_format_build_dir(&disk, PREV, INCFS_DIR_ADD, 2, 7, "name", 4);
	return copy(&disk, sizeof(disk));
}

static void test_crc(void)
{
	is_int(incfs_format_crc("abc", 3), 0xca6598d0, "the CRC is the one of the format");
	is_int(incfs_format_crc("", 0), 0, "of nothing it is 0");
}

static void test_round_trip(void)
{
	struct bytes inode = inode_record(), map = map_record(), dir = dir_record();
	struct incfs_record record;

	is_int(parse(&inode, &record), 0, "an inode record is read back");
	ok(record.type == INCFS_RECORD_INODE && record.offset == AT && record.next == 2000 &&
	   record.inode.ino == 7 && record.inode.size == 123456 &&
	   record.inode.mode == (S_IFREG | 0444), "with all its members");
	is_int(parse(&map, &record), 0, "a block map record is read back");
	ok(record.type == INCFS_RECORD_BLOCK_MAP && record.next == 0 && record.map.ino == 7 &&
	   record.map.offset == 600 && record.map.count == 31, "with all its members");
	is_int(parse(&dir, &record), 0, "a directory record is read back");
	ok(record.type == INCFS_RECORD_DIR_ACTION && record.dir.dir == 2 &&
	   record.dir.entry == 7 && record.dir.action == INCFS_DIR_ADD && record.dir.len == 4 &&
	   !memcmp(record.dir.name, "name", 4), "with all its members");
	free(inode.data);
	free(map.data);
	free(dir.data);
}

/* Bytes 7 to 14 are the link to the next record, which the CRC leaves out. */
static bool in_link(size_t i)
{
	return i >= 7 && i < 15;
}

static void test_bits(struct bytes bytes, const char *what)
{
	struct incfs_record record;
	size_t i, taken = 0;
	int bit;

	for (i = 0; i < bytes.size; i++) {
		for (bit = 0; bit < 8; bit++) {
			bytes.data[i] ^= 1 << bit;
			if (!parse(&bytes, &record) && !in_link(i))
				taken++;
			bytes.data[i] ^= 1 << bit;
		}
	}
	is_int(taken, 0, "%s record: each changed bit is refused", what);
	is_int(parse(&bytes, &record), 0, "%s record: the same without is taken", what);
	free(bytes.data);
}

static void test_lengths(struct bytes bytes, const char *what)
{
	struct incfs_record record;
	struct bytes part;
	size_t taken = 0;

	for (part.size = 0; part.size < bytes.size; part.size++) {
		part = copy(bytes.data, part.size);
		taken += !parse(&part, &record);
		free(part.data);
	}
	is_int(taken, 0, "%s record: each shorter one is refused", what);
	free(bytes.data);
}

/* Random bytes, and random bytes with a CRC that is right. */
static void test_noise(void)
{
	struct bytes builders[] = { inode_record(), map_record(), dir_record() };
	struct incfs_disk_header *header;
	struct incfs_record record;
	struct bytes bytes;
	int round, taken = 0;
	size_t i;
	__u32 crc;

	srandom(1);
	for (round = 0; round < 200000; round++) {
		bytes = copy(builders[round % 3].data, builders[round % 3].size);
		header = (struct incfs_disk_header *)bytes.data;
		for (i = sizeof(*header); i < bytes.size; i++) {
			if (random() % 4 == 0)
				bytes.data[i] = random();
		}
		header->h_record_crc = 0;
		header->h_next_md_offset = 0;
		crc = incfs_format_crc(bytes.data, bytes.size);
		header->h_record_crc = cpu_to_le32(crc);
		if (!parse(&bytes, &record)) {
			taken++;
			if (record.type == INCFS_RECORD_DIR_ACTION &&
			    (memchr(record.dir.name, '/', record.dir.len) ||
			     memchr(record.dir.name, 0, record.dir.len)))
				bail_out("a bad name was taken");
		}
		free(bytes.data);
	}
	ok(taken < round, "random records with a right CRC do no harm (%d of %d taken)", taken,
	   round);
	for (i = 0; i < 3; i++)
		free(builders[i].data);
}

static void test_super(void)
{
	struct incfs_super super = { .first = 32, .features = 0x10001 };
	struct incfs_disk_super disk;
	const char *why;
	struct bytes bytes;
	size_t i, taken = 0;
	int bit;

	incfs_format_build_super(&disk, &super);
	bytes = copy(&disk, sizeof(disk));
	memset(&super, 0, sizeof(super));
	is_int(incfs_format_parse_super(bytes.data, bytes.size, &super, &why), 0,
	       "a superblock is read back");
	is_int(super.first, 32, "with its link");
	is_int(super.features, 0x10001, "with its features, also compatible ones nobody knows");
	for (i = 0; i < bytes.size; i++) {
		for (bit = 0; bit < 8; bit++) {
			/* It has no CRC: compatible features and other links may be right. */
			if (i >= 20 && i < 22)
				continue;
			bytes.data[i] ^= 1 << bit;
			if (incfs_format_parse_super(bytes.data, bytes.size, &super, &why))
				;
			else if (i < 22 || i >= 30)
				taken += i != 18 || bit != 0;
			else
				taken += super.first && super.first < 32;
			bytes.data[i] ^= 1 << bit;
		}
	}
	is_int(taken, 0, "each changed bit of a superblock is refused, or is one that may be");
	free(bytes.data);
	for (i = 0, taken = 0; i < sizeof(disk); i++) {
		bytes = copy(&disk, i);
		taken += !incfs_format_parse_super(bytes.data, i, &super, &why);
		free(bytes.data);
	}
	is_int(taken, 0, "each shorter superblock is refused");
}

static bool bad_name(const char *name, size_t len)
{
	struct bytes bytes = copy(name, len);
	const char *why = NULL;
	bool bad = incfs_format_check_name((char *)bytes.data, len, &why) && why;

	free(bytes.data);
	return bad;
}

static void test_names(void)
{
	char name[300];

	memset(name, 'n', sizeof(name));
	ok(bad_name("", 0), "an empty name is refused");
	ok(bad_name(".", 1) && bad_name("..", 2), ". and .. are refused");
	ok(bad_name(".cmd", 4), ".cmd is refused");
	ok(bad_name("a/", 2) && bad_name("/", 1), "/ is refused");
	ok(bad_name("a\0", 2) && bad_name("\0", 1), "NUL is refused");
	ok(bad_name(name, 256), "256 bytes are refused");
	ok(!bad_name(name, 255), "255 bytes are taken");
	ok(!bad_name("...", 3) && !bad_name(".cmdx", 5) && !bad_name(".cm", 3) &&
	   !bad_name("\xff\n", 2), "names that are merely odd are taken");
}

static struct incfs_extent parse_extent(__u64 offset, __u16 size, __u16 flags, __u64 image)
{
	struct incfs_extent extent = { .offset = offset, .crc = 5, .size = size, .flags = flags };
	struct incfs_disk_extent disk;

	incfs_format_build_extent(&disk, &extent);
	incfs_format_parse_extent(&disk, image, &extent);
	return extent;
}

static void test_extents(void)
{
	struct incfs_extent extent = parse_extent(0x123456789abc, 4096, 0, 1ull << 47);

	ok(extent.offset == 0x123456789abc && extent.size == 4096 && extent.crc == 5 &&
	   !extent.flags, "an entry is read back");
	is_int(parse_extent(0, 4096, 0, IMAGE_SIZE).size, 0, "without an offset it is absent");
	is_int(parse_extent(4096, 0, 0, IMAGE_SIZE).size, 0, "without a size it is absent");
	is_int(parse_extent(31, 10, 0, IMAGE_SIZE).size, 0, "in the superblock it is absent");
	is_int(parse_extent(4096, 4097, 0, IMAGE_SIZE).size, 0, "raw and too large it is absent");
	is_int(parse_extent(4096, 4097, 1, IMAGE_SIZE).size, 4097,
	       "LZ4 may be larger than a block");
	is_int(parse_extent(4096, 8193, 1, IMAGE_SIZE).size, 0, "LZ4 and too large it is absent");
	is_int(parse_extent(4096, 100, 2, IMAGE_SIZE).size, 0, "with an unknown flag it is absent");
	is_int(parse_extent(4096, 100, 0x8001, IMAGE_SIZE).size, 0, "with another it is absent");
	is_int(parse_extent(4096, 4096, 0, 8192).size, 4096,
	       "at the end of the image it is there");
	is_int(parse_extent(4096, 4096, 0, 8191).size, 0, "past the end it is absent");
	is_int(parse_extent((1ull << 48) - 1, 4096, 0, 8191).size, 0, "far past it, too");
}

static struct bytes load(const char *path)
{
	struct bytes bytes = { malloc(1 << 20), 0 };
	int fd = open(path, O_RDONLY);
	ssize_t got = read(fd, bytes.data, 1 << 20);

	if (got < 0)
		bail_out("%s", path);
	close(fd);
	bytes.size = got;
	return bytes;
}

static int read_image(void *arg, void *buf, size_t len, __u64 offset)
{
	const struct bytes *image = arg;

	if (offset > image->size || len > image->size - offset)
		bail_out("a walk that reads %zu bytes at %llu", len, offset);
	memcpy(buf, image->data + offset, len);
	return 0;
}

static int take_record(void *arg __attribute__((unused)),
		       const struct incfs_record *record __attribute__((unused)),
		       const char **why __attribute__((unused)))
{
	return 0;
}

/* Walk an image as a mount does; -1, or the offset at which it is refused. */
static long walk_image(const struct bytes *image)
{
	struct incfs_walk walk = {
		.read = read_image,
		.record = take_record,
		.arg = (void *)image,
		.image_size = image->size,
		.buf = malloc(INCFS_WALK_BUFFER),
	};
	int err = incfs_walk_image(&walk);

	free(walk.buf);
	return err ? (long)walk.offset : -1;
}

static FILE *image_tool(const char *verb, const char *path)
{
	char command[512];

	snprintf(command, sizeof(command), "python3 '%s/tests/image.py' %s '%s'",
		 getenv("INCFS_TOP"), verb, path);
	return popen(command, "r");
}

static void test_images(void)
{
	char line[256], path[64];
	unsigned long offset;
	int refused = 0, misplaced = 0, number;
	struct bytes image;
	FILE *list;

	if (pclose(image_tool("write", "good.img")))
		bail_out("image.py");
	image = load("good.img");
	is_int(walk_image(&image), -1, "an image by an independent writer is read");
	free(image.data);

	if (mkdir("faults", 0755))
		bail_out("faults");
	list = image_tool("damage", "faults");
	for (number = 0; fgets(line, sizeof(line), list) && sscanf(line, "%lu", &offset) == 1;
	     number++) {
		long at;

		snprintf(path, sizeof(path), "faults/%d.img", number);
		image = load(path);
		at = walk_image(&image);
		free(image.data);
		refused += at >= 0;
		if (at >= 0 && at != (long)offset) {
			misplaced++;
			diag("refused at %ld: %s", at, line);
		}
	}
	pclose(list);
	/* What is left are faults of the tree, which the parser does not know. */
	ok(refused >= 40, "damaged images are refused by the parser alone (%d of %d)", refused,
	   number);
	is_int(misplaced, 0, "each where its fault is");
}

int main(void)
{
	test_crc();
	test_round_trip();
	test_bits(inode_record(), "inode");
	test_bits(map_record(), "block map");
	test_bits(dir_record(), "directory");
	test_lengths(inode_record(), "inode");
	test_lengths(map_record(), "block map");
	test_lengths(dir_record(), "directory");
	test_noise();
	test_super();
	test_names();
	test_extents();
	test_images();
	return done();
}
