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

	if (size)
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

#define ITEMS "\2\0\3\0key\3\6\5\0user.avalue"

static struct bytes attrs_record(void)
{
	struct incfs_attrs attrs = {
		.ino = 7, .mtime_sec = -5, .mtime_nsec = 999999999, .uid = 1000, .gid = ~0u,
		.mode = 04755, .items_len = sizeof(ITEMS) - 1, .items = ITEMS,
	};
	struct bytes bytes = copy(NULL, 0);

	bytes.size = incfs_format_attrs_size(attrs.items_len);
	bytes.data = realloc(bytes.data, bytes.size);
	incfs_format_build_attrs((struct incfs_disk_attrs *)bytes.data, PREV, &attrs);
	return bytes;
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

static void test_attrs(void)
{
	struct bytes bytes = attrs_record();
	struct incfs_attrs attrs, *got;
	struct incfs_record record;
	unsigned char *items;
	size_t i, wrong = 0;

	is_int(parse(&bytes, &record), 0, "an attribute record is read back");
	got = &record.attrs;
	ok(record.type == INCFS_RECORD_ATTRS && got->ino == 7 && got->mtime_sec == -5 &&
	   got->mtime_nsec == 999999999 && got->uid == 1000 && got->gid == ~0u &&
	   got->mode == 04755, "with all its members");
	ok(got->items_len == sizeof(ITEMS) - 1 && !memcmp(got->items, ITEMS, got->items_len),
	   "and its items");
	attrs = *got;
	items = malloc(INCFS_ATTRS_ITEMS_MAX);
	memset(items, 'i', INCFS_ATTRS_ITEMS_MAX);
	attrs.items = items;
	for (i = 0; i <= INCFS_ATTRS_ITEMS_MAX; i++) {
		free(bytes.data);
		attrs.items_len = i;
		bytes.size = incfs_format_attrs_size(i);
		bytes.data = malloc(bytes.size);
		incfs_format_build_attrs((struct incfs_disk_attrs *)bytes.data, PREV, &attrs);
		wrong += parse(&bytes, &record) || got->items_len != i ||
			 memcmp(got->items, items, i);
	}
	is_int(wrong, 0, "so is one with items of any length");
	is_int(bytes.size, 4096, "the largest has 4096 bytes");
	free(bytes.data);
	free(items);
}

/* A record of attributes with one member out of range, its CRC right. */
static bool attrs_refused(__u32 nsec, __u16 mode, unsigned char end)
{
	struct bytes bytes = attrs_record();
	struct incfs_disk_attrs *disk = (struct incfs_disk_attrs *)bytes.data;
	struct incfs_record record;
	bool refused;

	disk->a_mtime_nsec = cpu_to_le32(nsec);
	disk->a_mode = cpu_to_le16(mode);
	bytes.data[bytes.size - 1] = end;
	disk->header.h_record_crc = 0;
	disk->header.h_record_crc = cpu_to_le32(incfs_format_crc(bytes.data, bytes.size));
	refused = parse(&bytes, &record);
	free(bytes.data);
	return refused;
}

static void test_attrs_refused(void)
{
	ok(!attrs_refused(999999999, 07777, 1), "attributes within their ranges are taken");
	ok(attrs_refused(1000000000, 0644, 1), "a second of nanoseconds is refused");
	ok(attrs_refused(~0u, 0644, 1), "more of them are");
	ok(attrs_refused(0, 010000, 1), "a mode of more than permissions is");
	ok(attrs_refused(0, 0100644, 1), "a mode with a type is");
	ok(attrs_refused(0, 0644, 0), "attributes without an end are");
	ok(attrs_refused(0, 0644, 2), "and with another one");
}

static bool items_taken(const char *items, size_t len, __u16 mode)
{
	struct bytes bytes = copy(items, len);
	const char *why = NULL;
	int err = incfs_format_check_items(bytes.data, len, mode, &why);

	if (err ? err != -EINVAL || !why : !!why)
		bail_out("check_items: %d", err);
	free(bytes.data);
	return !err;
}

#define TAKEN(items, mode) items_taken(items, sizeof(items) - 1, mode)

static void test_items(void)
{
	struct incfs_item item;
	const void *at = ITEMS;
	size_t len = sizeof(ITEMS) - 1, i, taken = 0;
	char many[4 * 200] = {}, key[4 + 600] = { 2 };

	ok(incfs_format_next_item(&at, &len, &item) && item.type == INCFS_ITEM_KEY &&
	   item.name_len == 0 && item.value_len == 3 && !memcmp(item.value, "key", 3),
	   "the first item is read back");
	ok(incfs_format_next_item(&at, &len, &item) && item.type == INCFS_ITEM_XATTR &&
	   item.name_len == 6 && !memcmp(item.name, "user.a", 6) && item.value_len == 5 &&
	   !memcmp(item.value, "value", 5), "the second one is");
	ok(!incfs_format_next_item(&at, &len, &item) && !len, "and there is no other");

	ok(TAKEN(ITEMS, S_IFREG), "items of a file are taken");
	ok(TAKEN("", S_IFDIR), "none of a directory");
	ok(TAKEN("\1\0\4\0a/bc", S_IFLNK), "the target of a symbolic link is");
	ok(TAKEN("\3\6\0\0user.a\3\6\0\0user.b", S_IFREG),
	   "extended attributes without values are");
	for (i = 1; i < sizeof(ITEMS) - 1; i++)
		taken += i != 7 && items_taken(ITEMS, i, S_IFREG);
	is_int(taken, 0, "items that are cut off are refused, wherever");
	ok(!TAKEN("", S_IFLNK), "a symbolic link without a target is");
	ok(!TAKEN("\1\0\1\0a", S_IFREG), "a target of a file is");
	ok(!TAKEN("\1\0\1\0a", S_IFDIR), "a target of a directory is");
	ok(!TAKEN("\1\0\1\0a\1\0\1\0b", S_IFLNK), "two targets are");
	ok(!TAKEN("\1\0\0\0", S_IFLNK), "an empty target is");
	ok(!TAKEN("\1\0\3\0a\0b", S_IFLNK), "a target with NUL is");
	ok(!TAKEN("\1\1\1\0xa", S_IFLNK), "a target with a name is");
	ok(!TAKEN("\2\0\0\0", S_IFREG), "an empty key is");
	ok(!TAKEN("\2\0\1\0a\2\0\1\0b", S_IFREG), "two keys are");
	ok(!TAKEN("\2\1\1\0xa", S_IFREG), "a key with a name is");
	ok(!TAKEN("\3\5\1\0user.a", S_IFREG), "an attribute with an empty name is");
	ok(!TAKEN("\3\0\1\0a", S_IFREG), "one without a name is");
	ok(!TAKEN("\3\11\1\0trusted.aa", S_IFREG), "one that is not a user's is");
	ok(!TAKEN("\3\7\1\0user.\0aa", S_IFREG), "one with NUL in its name is");
	ok(!TAKEN("\3\6\1\0user.ab\3\6\1\0user.ac", S_IFREG), "one that is there twice is");
	ok(!TAKEN("\0\0\0\0", S_IFREG) && !TAKEN("\4\0\1\0a", S_IFREG), "unknown items are");
	key[2] = 512 & 0xff;
	key[3] = 512 >> 8;
	ok(items_taken(key, 4 + 512, S_IFREG), "a key of 512 bytes is taken");
	key[2]++;
	ok(!items_taken(key, 4 + 513, S_IFREG), "a longer one is refused");
	for (i = 0; i < 2; i++) {
		char names[129 * 11];
		int n;

		for (n = 0; n < 129; n++)
			memcpy(names + n * 11, (char[]){ 3, 7, 0, 0, 'u', 's', 'e', 'r', '.',
							 'a' + n / 16, 'a' + n % 16 }, 11);
		ok(items_taken(names, (128 + i) * 11, S_IFREG) == !i, "%zu items are %s", 128 + i,
		   i ? "refused" : "taken");
	}
	ok(!items_taken(many, sizeof(many), S_IFREG), "items of zeros are refused");
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
	struct bytes builders[] = { inode_record(), map_record(), dir_record(), attrs_record() };
	struct incfs_disk_header *header;
	struct incfs_record record;
	struct bytes bytes;
	int round, taken = 0;
	size_t i;
	__u32 crc;

	srandom(1);
	for (round = 0; round < 200000; round++) {
		bytes = copy(builders[round % 4].data, builders[round % 4].size);
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
	for (i = 0; i < 4; i++)
		free(builders[i].data);
}

/*
 * What a crash leaves of a record, and what it does not. @fixed is how many of
 * its bytes are in front of the member that is never zero.
 */
static void test_unwritten(struct bytes bytes, size_t fixed, const char *what)
{
	struct incfs_record record;
	size_t i, damage = 0, whole = 0;
	struct bytes part;
	int bit;

	for (i = 0; i < bytes.size; i++) {
		part = copy(bytes.data, i);
		damage += !incfs_format_is_unwritten(part.data, i, AT);
		free(part.data);
	}
	is_int(damage, 0, "%s record: cut off anywhere it is one that was not written", what);
	for (i = 0, damage = 0; i <= bytes.size; i++) {
		part = copy(bytes.data, bytes.size);
		memset(part.data + i, 0, part.size - i);
		if (!parse(&part, &record))
			whole++;
		else
			damage += !incfs_format_is_unwritten(part.data, part.size, AT);
		free(part.data);
	}
	is_int(damage, 0, "%s record: zeros from anywhere on mean the same", what);
	ok(whole >= 1 && whole <= bytes.size - fixed, "%s record: but for those it ends with",
	   what);
	for (i = 1, damage = 0; i < bytes.size; i++) {
		part = copy(bytes.data, bytes.size);
		memset(part.data, 0, i);
		damage += !incfs_format_is_unwritten(part.data, part.size,
						     3 * INCFS_BLOCK_SIZE - i);
		free(part.data);
	}
	is_int(damage, 0, "%s record: zeros in front of a page mean the same", what);
	for (i = 0, damage = 0; i < fixed; i++) {
		for (bit = 0; bit < 8; bit++) {
			/* A record that is longer than the image is cut off. */
			if (in_link(i) || i == 1 || i == 2)
				continue;
			bytes.data[i] ^= 1 << bit;
			damage += incfs_format_is_unwritten(bytes.data, bytes.size, AT);
			bytes.data[i] ^= 1 << bit;
		}
	}
	is_int(damage, 0, "%s record: a changed bit is damage", what);
	ok(!incfs_format_is_unwritten(bytes.data, bytes.size, AT), "%s record: it is written",
	   what);
	free(bytes.data);
}

/* Values whose bytes the end of a page cuts in two, so that a part is not zero. */
static void test_cut_members(void)
{
	struct incfs_disk_block_map map;
	struct incfs_disk_dir_action dir;
	struct incfs_record record;
	struct bytes part;
	size_t i, damage = 0;

	incfs_format_build_map(&map, PREV, 7, 600, 0x01020304);
	for (i = 1; i < sizeof(map); i++) {
		part = copy(&map, sizeof(map));
		memset(part.data + i, 0, part.size - i);
		damage += !parse(&part, &record) ||
			  !incfs_format_is_unwritten(part.data, part.size,
						     3 * INCFS_BLOCK_SIZE - i);
		free(part.data);
	}
	is_int(damage, 0, "a count that is cut in two by a page was not written");
	incfs_format_build_dir(&dir, PREV, INCFS_DIR_ADD, 2, 7, "a/b", 3);
	ok(!incfs_format_is_unwritten(&dir, sizeof(dir), 3 * INCFS_BLOCK_SIZE - 100),
	   "a bad name is damage, whatever zeros lie behind it");
	incfs_format_build_dir(&dir, PREV, INCFS_DIR_ADD, 2, 7, "ab", 2);
	dir.da_name[0] ^= 1;
	ok(!incfs_format_is_unwritten(&dir, sizeof(dir), 3 * INCFS_BLOCK_SIZE - 100),
	   "so is a changed one in front of a page that it does not reach");
	dir.header.h_md_entry_type = 9;
	ok(!incfs_format_is_unwritten(&dir, sizeof(dir), AT), "so is an unknown type");
	memset(&dir, 0, sizeof(dir));
	dir.header.h_prev_md_offset = 1;
	ok(!incfs_format_is_unwritten(&dir, sizeof(dir), AT),
	   "and a header that begins with zeros");
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
	incfs_format_parse_extents(&disk, 1, image, &extent);
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

/* struct sample - an image in memory, and what a walk through it has found */
struct sample {
	struct bytes bytes;
	__u64 last;
	__u64 records;
	__u64 fail_at;		/* offset that can't be read */
	__u64 refuse;		/* number of a record that is refused, from 1 on */
	size_t largest;		/* read */
};

static void sample_init(struct sample *sample, __u32 features)
{
	struct incfs_super super = { .features = features };

	*sample = (struct sample) { .bytes = { malloc(sizeof(struct incfs_disk_super)),
					       sizeof(struct incfs_disk_super) } };
	incfs_format_build_super((struct incfs_disk_super *)sample->bytes.data, &super);
}

static void sample_link(struct sample *sample, __u64 at)
{
	__le64 link = cpu_to_le64(at);

	memcpy(sample->bytes.data + (sample->last ? sample->last + 7 : 22), &link, sizeof(link));
}

static void sample_add(struct sample *sample, const void *record, size_t size)
{
	size_t at = sample->bytes.size;

	sample->bytes.data = realloc(sample->bytes.data, at + size);
	memcpy(sample->bytes.data + at, record, size);
	sample->bytes.size += size;
	sample_link(sample, at);
	sample->last = at;
}

static void sample_inode(struct sample *sample, __u64 ino, __u16 mode)
{
	struct incfs_disk_inode disk;

	incfs_format_build_inode(&disk, sample->last, ino, S_ISLNK(mode), mode);
	sample_add(sample, &disk, sizeof(disk));
}

static void sample_attrs(struct sample *sample, __u64 ino, size_t items)
{
	size_t size = incfs_format_attrs_size(items);
	struct incfs_disk_attrs *disk = malloc(size);
	struct incfs_attrs attrs = { .ino = ino, .items_len = items, .items = malloc(items + 1) };

	memset((void *)attrs.items, 'i', items);
	incfs_format_build_attrs(disk, sample->last, &attrs);
	sample_add(sample, disk, size);
	free((void *)attrs.items);
	free(disk);
}

static int sample_read(void *arg, void *buf, size_t len, __u64 offset)
{
	struct sample *sample = arg;

	if (len > sample->largest)
		sample->largest = len;
	if (sample->fail_at && offset <= sample->fail_at && offset + len > sample->fail_at)
		return -EIO;
	return read_image(&sample->bytes, buf, len, offset);
}

static int sample_record(void *arg, const struct incfs_record *record, const char **why)
{
	struct sample *sample = arg;

	sample->records++;
	if (sample->records == sample->refuse) {
		*why = "refused";
		return -EINVAL;
	}
	if (record->type == INCFS_RECORD_INODE && record->inode.ino != 2 + sample->records)
		bail_out("record %llu is one of inode %llu", sample->records, record->inode.ino);
	return 0;
}

static struct incfs_walk sample_walk(struct sample *sample, int want)
{
	struct incfs_walk walk = {
		.read = sample_read,
		.record = sample_record,
		.arg = sample,
		.image_size = sample->bytes.size,
		.buf = malloc(INCFS_WALK_BUFFER),
	};
	int err;

	sample->records = 0;
	err = incfs_walk_image(&walk);
	free(walk.buf);
	if (err != want)
		diag("walk: %d, not %d: %s", err, want, walk.why ? walk.why : "-");
	if (err != want || (err && !walk.why))
		walk.offset = ~0ull;
	return walk;
}

static void test_walk(void)
{
	struct incfs_walk walk;
	struct sample sample;
	__u64 size;
	int i;

	sample_init(&sample, INCFS_FEATURE_ATTRS);
	walk = sample_walk(&sample, 0);
	ok(!walk.offset && !walk.records && !walk.last && !walk.torn, "an empty image is walked");
	sample_link(&sample, 32);
	walk = sample_walk(&sample, 0);
	ok(walk.torn == 32 && !walk.records, "a first record that is past the end was not written");
	for (i = 0; i < 3000; i++)
		sample_inode(&sample, 3 + i, S_IFREG | 0444);
	walk = sample_walk(&sample, 0);
	ok(walk.records == 3000 && sample.records == 3000 && walk.last == sample.last &&
	   walk.offset == sample.last && !walk.torn && walk.super.features == INCFS_FEATURE_ATTRS,
	   "thousands of records are walked, each once and in order");
	ok(sample.largest <= INCFS_WALK_BUFFER, "with the room that there is");
	sample.fail_at = 32 + 45 * 2000;
	walk = sample_walk(&sample, -EIO);
	ok(walk.offset <= sample.fail_at && walk.records > 1000, "a read that fails ends the walk");
	sample.fail_at = 0;
	sample.refuse = 2500;
	walk = sample_walk(&sample, -EINVAL);
	ok(walk.offset == 32 + 45 * 2499 && walk.records == 2499 && !strcmp(walk.why, "refused"),
	   "a record that is refused does, and it is told which");
	sample.refuse = 0;
	size = sample.bytes.size;
	sample_link(&sample, size);
	walk = sample_walk(&sample, 0);
	ok(walk.torn == size && walk.records == 3000,
	   "a link to the end of the image leads to nothing");
	sample_link(&sample, INCFS_OFFSET_MAX);
	walk = sample_walk(&sample, 0);
	ok(walk.torn == INCFS_OFFSET_MAX && walk.records == 3000, "so does one far past it");
	sample_link(&sample, INCFS_OFFSET_MAX + 1);
	walk = sample_walk(&sample, -EINVAL);
	is_int(walk.offset, sample.last, "one past the last offset of all is refused");
	sample_attrs(&sample, 3002, INCFS_ATTRS_ITEMS_MAX);
	walk = sample_walk(&sample, 0);
	ok(walk.records == 3001 && !walk.torn, "the largest record at the very end is taken");
	sample.bytes.size--;
	walk = sample_walk(&sample, 0);
	ok(walk.records == 3000 && walk.torn == sample.last, "a byte less, and it was not written");
	free(sample.bytes.data);

	sample_init(&sample, 0);
	sample_inode(&sample, 3, S_IFREG | 0444);
	sample_attrs(&sample, 3, 0);
	walk = sample_walk(&sample, -EINVAL);
	ok(walk.offset == sample.last && walk.records == 1,
	   "attributes in an image without this feature are refused");
	free(sample.bytes.data);
	sample_init(&sample, 0);
	sample_inode(&sample, 3, S_IFLNK | 0777);
	walk = sample_walk(&sample, -EINVAL);
	ok(walk.offset == sample.last && !walk.records, "so is a symbolic link");
	sample.bytes.data[18] = INCFS_FEATURE_ATTRS;
	walk = sample_walk(&sample, 0);
	is_int(walk.records, 1, "with it they are taken");
	free(sample.bytes.data);
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
	test_bits(attrs_record(), "attribute");
	test_lengths(inode_record(), "inode");
	test_lengths(map_record(), "block map");
	test_lengths(dir_record(), "directory");
	test_lengths(attrs_record(), "attribute");
	test_attrs();
	test_attrs_refused();
	test_items();
	test_unwritten(inode_record(), 39, "inode");
	test_unwritten(map_record(), 39, "block map");
	test_unwritten(dir_record(), 40, "directory");
	test_unwritten(attrs_record(), incfs_format_attrs_size(sizeof(ITEMS) - 1) - 1, "attribute");
	test_cut_members();
	test_noise();
	test_super();
	test_names();
	test_extents();
	test_walk();
	test_images();
	return done();
}
