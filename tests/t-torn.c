// SPDX-License-Identifier: GPL-2.0-only
// timeout: 600
/*
 * Images as a crash leaves them: the list of records ends in one that was never
 * written, or not in whole. They mount and keep what lies in front of that, take
 * new files and blocks afterwards, and are whole again. No byte that is read is
 * ever wrong.
 */
#include "lib/incfs.h"
#include "lib/tap.h"

#define SUPER 32
#define SECTOR 512
#define MAX_RECORDS 256
#define TEXT 8192
#define ENTRIES 2000
/* A block that begins with zeros, and is shorter than a whole one. */
#define SHORT 300
#define SHORT_BLOCK { [SHORT - 1] = 'x' }

/*
 * struct image - an image in memory, and the offsets of its records
 * @ino:   a file "file" whose block @block is absent
 * @alike: a file whose blocks do not follow expected_block()
 */
struct image {
	__u64 ino;
	__u32 block;
	__u64 alike;
	unsigned char *data;
	size_t size;
	size_t records[MAX_RECORDS];
	int count;
};

static char text[TEXT], want[TEXT];

static __u64 get64(const struct image *image, size_t at)
{
	__u64 value = 0;

	if (at + sizeof(value) <= image->size)
		memcpy(&value, image->data + at, sizeof(value));
	return value;
}

static size_t record_size(const struct image *image, int record)
{
	return image->data[image->records[record] + 1] |
	       image->data[image->records[record] + 2] << 8;
}

/* Where the link to a record is. */
static size_t link_to(const struct image *image, int record)
{
	return record ? image->records[record - 1] + 7 : 22;
}

/* The members in front of data are left as they are. */
static void load(struct image *image, const char *path)
{
	int fd = open(path, O_RDONLY);
	struct stat st;
	size_t at;

	if (fd < 0 || fstat(fd, &st))
		bail_out("%s", path);
	image->size = st.st_size;
	image->data = malloc(image->size);
	if (read(fd, image->data, image->size) != (ssize_t)image->size)
		bail_out("read %s", path);
	close(fd);
	image->count = 0;
	for (at = get64(image, 22); at; at = get64(image, at + 7)) {
		if (image->count == MAX_RECORDS)
			bail_out("%s has too many records", path);
		image->records[image->count++] = at;
	}
}

/* Write the first @size bytes of an image, those from @zeros on as zeros. */
static void save(const struct image *image, const char *path, size_t size, size_t zeros)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	size_t len = zeros < size ? zeros : size;

	if (fd < 0 || write(fd, image->data, len) != (ssize_t)len || ftruncate(fd, size))
		bail_out("write %s", path);
	close(fd);
}

/* The tree of the first @records records, as an image that ends there shows it. */
static void tree_of(const struct image *image, int records)
{
	struct test_fs fs = { .image = "kept.img", .dir = "mnt", .options = "read_timeout_ms=20" };
	unsigned char link[8];

	memcpy(link, image->data + link_to(image, records), sizeof(link));
	memset(image->data + link_to(image, records), 0, sizeof(link));
	save(image, fs.image, image->size, image->size);
	memcpy(image->data + link_to(image, records), link, sizeof(link));
	fs_mount(&fs);
	if (!fs_show(&fs, image->alike, want, sizeof(want)))
		bail_out("a sound image reads wrong");
	fs_unmount(&fs);
}

/* As fs_show(), without the blocks: what a crash took of these is not told here. */
static void drop_blocks(char *tree)
{
	char *line = tree, *end, *out = tree;

	for (; *line; line = end + 1) {
		end = strchr(line, '\n');
		if (!end)
			break;
		*end = 0;
		if (*line == 'f')
			*strrchr(line, ' ') = 0;
		out = stpcpy(out, line);
		*out++ = '\n';
	}
	*out = 0;
}

/*
 * Mount torn.img: the tree is @want, blocks are right or absent. Give it a file
 * with a block at the very place where the lost record was, and one elsewhere.
 */
static bool is_healed(const struct image *image, bool files)
{
	struct test_fs fs = { .image = "torn.img", .dir = "mnt", .options = "read_timeout_ms=20" };
	__u64 ino = 0;
	bool right;

	if (try_mount(fs.image, fs.dir, fs.options)) {
		diag("mount: %s", strerror(errno));
		return false;
	}
	fs.cmd = fs_open_cmd(&fs, O_RDWR);
	right = fs_show(&fs, image->alike, text, sizeof(text));
	drop_blocks(text);
	if (strcmp(text, want)) {
		diag("the tree is\n%snot\n%s", text, want);
		right = false;
	}
	/* A compressed block is put at the end, whatever it is. */
	fill_lz4(&fs, image->ino, image->block, BLOCK);
	if (files) {
		ino = make_file(&fs, INCFS_ROOT_INODE, "after", 2 * BLOCK);
		fill_raw(&fs, ino, 1, BLOCK);
		fill_lz4(&fs, ino, 0, BLOCK);
	}
	fs_unmount(&fs);
	if (try_mount(fs.image, fs.dir, fs.options)) {
		diag("second mount: %s", strerror(errno));
		return false;
	}
	fs.cmd = fs_open_cmd(&fs, O_RDWR);
	right &= block_reads(&fs, "file", image->ino, image->block, BLOCK);
	if (files)
		right &= block_reads(&fs, "after", ino, 0, BLOCK) &&
			 block_reads(&fs, "after", ino, 1, BLOCK);
	right &= fs_show(&fs, image->alike, text, sizeof(text));
	fs_unmount(&fs);
	return right;
}

static bool is_zero(const unsigned char *bytes, size_t len)
{
	while (len && !*bytes) {
		bytes++;
		len--;
	}
	return !len;
}

/* Which bytes of a record to try: its header, its end, some of what is between. */
static bool is_tried(size_t at, size_t size)
{
	return at < 24 || at + 8 > size || at % 41 == 0;
}

/* The end of the image is lost from any byte of the records from @first on. */
static void test_records(const struct image *image, int first, const char *what)
{
	int record, cut = 0, zeroed = 0, tries = 0;
	size_t at, size;

	for (record = first; record < image->count; record++) {
		tree_of(image, record);
		drop_blocks(want);
		size = record_size(image, record);
		for (at = 0; at < size; at++) {
			if (!is_tried(at, size))
				continue;
			tries++;
			save(image, "torn.img", image->records[record] + at, image->size);
			cut += is_healed(image, at % 2);
			/* If what is lost were zeros anyway, the record is whole. */
			if (is_zero(image->data + image->records[record] + at, size - at)) {
				zeroed++;
				continue;
			}
			save(image, "torn.img", image->size, image->records[record] + at);
			zeroed += is_healed(image, at % 2);
		}
	}
	is_int(cut, tries, "%s: cut off anywhere in its last %d records it is used and heals",
	       what, image->count - first);
	is_int(zeroed, tries, "%s: so it is with zeros from there on", what);
}

/* @unit bytes, as a file system writes in whole, were not written; what lies behind was. */
static void test_lost(const struct image *image, int first, size_t unit, const char *what)
{
	size_t at = (image->records[first] + unit - 1) / unit * unit, end, len;
	unsigned char saved[BLOCK];
	int kept, tries, used = 0;

	for (tries = 0; at < image->size; at += unit, tries++) {
		for (kept = first; kept < image->count; kept++) {
			end = image->records[kept] + record_size(image, kept);
			if (end > at && !is_zero(image->data + at, end - at))
				break;
		}
		tree_of(image, kept);
		drop_blocks(want);
		len = image->size - at < unit ? image->size - at : unit;
		memcpy(saved, image->data + at, len);
		memset(image->data + at, 0, len);
		save(image, "torn.img", image->size, image->size);
		memcpy(image->data + at, saved, len);
		used += is_healed(image, true);
	}
	ok(tries > 1 && used == tries,
	   "%s: without any %zu bytes of its end it is used and heals (%d)", what, unit, tries);
}

static struct image make_ours(void)
{
	struct image image = { .ino = 3, .block = 5 };
	struct test_fs fs;
	char name[256];
	__u64 ino, dir;
	int i;

	fs_mount_new(&fs, "ours", "");
	make_file(&fs, INCFS_ROOT_INODE, "file", 6 * BLOCK);
	fill_blocks(&fs, 3, 0, 5);
	dir = make_dir(&fs, INCFS_ROOT_INODE, "dir");
	/* Records on several pages, and one that lies on two. */
	memset(name, 'n', 255);
	name[255] = 0;
	for (i = 0; i < 26; i++) {
		name[0] = 'a' + i;
		ino = make_file(&fs, i % 2 ? dir : INCFS_ROOT_INODE, name, BLOCK * (i % 3));
	}
	if (try_add(fs.cmd, dir, ino, "link") || try_remove(fs.cmd, dir, ino, "link"))
		bail_out("instructions");
	fs_unmount(&fs);
	load(&image, fs.image);
	return image;
}

static struct image make_foreign(void)
{
	struct image image = { .ino = 77, .block = 7, .alike = 62 };

	if (image_tool("write", "foreign.img", text, sizeof(text)))
		bail_out("image.py: %s", text);
	load(&image, "foreign.img");
	return image;
}

static void test_log(const struct image *image)
{
	int log = klog_open(), record = image->count - 2;
	struct test_fs fs = { .image = "torn.img", .dir = "mnt", .options = "read_timeout_ms=20" };
	char line[128];

	reload_module();
	save(image, fs.image, image->records[record] + 10, image->size);
	fs_mount(&fs);
	snprintf(line, sizeof(line), "image offset %zu: ", image->records[record]);
	ok(klog_has(log, line), "the log tells where the list of records ends");
	fs_cycle(&fs);
	snprintf(line, sizeof(line), "%d records before it are kept", record);
	ok(klog_has(log, line), "and how many are kept");
	while (klog_has(log, "image offset"))
		;
	make_file(&fs, INCFS_ROOT_INODE, "after", 0);
	fs_cycle(&fs);
	fs_unmount(&fs);
	ok(!klog_has(log, "image offset"), "it tells nothing when that was written over");
	is_int(image_tool("check", fs.image, text, sizeof(text)), 0,
	       "the script finds no fault in the image then");
	close(log);
}

/* The superblock's link, and an image of nothing but that. */
static void test_first(const struct image *image)
{
	struct test_fs fs = { .image = "torn.img", .dir = "mnt", .options = "" };
	__u64 ino;

	save(image, fs.image, SUPER, image->size);
	fs_mount(&fs);
	ok(fs_show(&fs, 0, text, sizeof(text)) && !*text,
	   "an image of which only the superblock is left is empty");
	ino = make_file(&fs, INCFS_ROOT_INODE, "new", BLOCK);
	fill_raw(&fs, ino, 0, BLOCK);
	fs_cycle(&fs);
	ok(block_reads(&fs, "new", ino, 0, BLOCK), "and can be used");
	fs_unmount(&fs);
	save(image, fs.image, SUPER - 1, image->size);
	is_errno(try_mount(fs.image, fs.dir, ""), EINVAL, "half a superblock is refused");
	save(image, fs.image, image->size, 0);
	is_errno(try_mount(fs.image, fs.dir, ""), EINVAL, "so is one of zeros");
}

/* A read-only mount must not repair what it finds, and shows the same. */
static void test_read_only(const struct image *image)
{
	struct test_fs fs = { .image = "torn.img", .dir = "mnt", .options = "read_timeout_ms=20" };
	int record = image->count - 1, fd;
	struct image after;
	char options[64];

	tree_of(image, record);
	save(image, fs.image, image->records[record] + 9, image->size);
	fd = open(fs.image, O_RDWR);
	snprintf(options, sizeof(options), "backing_fd=%d", fd);
	ok(!mount("any", fs.dir, INCFS_NAME, MS_RDONLY, options), "a torn image mounts read-only");
	close(fd);
	fs.cmd = fs_open_cmd(&fs, O_RDONLY);
	ok(fs_show(&fs, 0, text, sizeof(text)), "its blocks are right");
	is_str(text, want, "and its tree is what was kept");
	fs_unmount(&fs);
	load(&after, fs.image);
	ok(after.size == image->records[record] + 9 &&
	   !memcmp(after.data, image->data, after.size), "nothing is written to the image");
	free(after.data);
}

/* Blocks of which a part was not written: absent, and filled again for good. */
static void test_blocks(void)
{
	static const size_t lost[] = { 1, 100, BLOCK / 2, BLOCK - 1, BLOCK, BLOCK + 1,
				       2 * BLOCK, 2 * BLOCK + 100, 3 * BLOCK };
	struct image image;
	struct test_fs fs;
	int cut, right;
	char buf[BLOCK];
	__u64 ino;
	size_t i;
	__u32 b;

	fs_mount_new(&fs, "blocks", "read_timeout_ms=20");
	ino = make_file(&fs, INCFS_ROOT_INODE, "file", 8 * BLOCK);
	fill_blocks(&fs, ino, 0, 8);
	fs_unmount(&fs);
	load(&image, fs.image);
	for (i = 0; i < 2 * sizeof(lost) / sizeof(lost[0]); i++) {
		size_t end = image.size - lost[i / 2], gone = 0;

		cut = i % 2;
		save(&image, fs.image, cut ? end : image.size, end);
		fs_mount(&fs);
		for (b = 0, right = 0; b < 8; b++) {
			ssize_t got = read_block(&fs, "file", b, buf);

			right += got == BLOCK ? is_expected(ino, b, buf, BLOCK) :
				 errno == ETIME;
			gone += got != BLOCK;
		}
		ok(right == 8 && gone == (lost[i / 2] + BLOCK - 1) / BLOCK,
		   "%zu bytes %s: so many blocks are absent, none is wrong", lost[i / 2],
		   cut ? "cut off" : "zeroed");
		for (b = 0; b < 8; b++)
			fill_raw(&fs, ino, b, BLOCK);
		fs_cycle(&fs);
		for (b = 0, right = 0; b < 8; b++)
			right += block_reads(&fs, "file", ino, b, BLOCK);
		is_int(right, 8, "%zu bytes %s: filled again they are there for good",
		       lost[i / 2], cut ? "cut off" : "zeroed");
		fs_unmount(&fs);
	}
	free(image.data);
}

/*
 * Entries of a block map that cross the end of a page, with one page of the two
 * not written: the block is absent or right, even where its bytes are zeros and
 * so is what is left of its CRC.
 */
static bool entry_is_right(struct image *image, size_t start, size_t end, __u32 block)
{
	struct test_fs fs = { .image = "entries.img", .dir = "entries",
			      .options = "read_timeout_ms=20" };
	char buf[BLOCK], short_block[SHORT] = SHORT_BLOCK;
	unsigned char saved[14];
	bool right;

	memcpy(saved, image->data + start, end - start);
	memset(image->data + start, 0, end - start);
	save(image, fs.image, image->size, image->size);
	memcpy(image->data + start, saved, end - start);
	fs_mount(&fs);
	right = read_block(&fs, "file", block, buf) < 0 ||
		!memcmp(buf, short_block, sizeof(short_block));
	fs_unmount(&fs);
	return right;
}

static void test_entries(void)
{
	int right = 0, crossing = 0, halved = 0;
	struct incfs_new_data_block blocks[25];
	char data[SHORT] = SHORT_BLOCK;
	struct image image;
	struct test_fs fs;
	size_t map, at, end;
	ssize_t n;
	__u64 ino;
	__u32 b;
	int i;

	fs_mount_new(&fs, "entries", "");
	ino = make_file(&fs, INCFS_ROOT_INODE, "file", (__u64)ENTRIES * BLOCK);
	/* Some entries are written alone, others with their neighbours. */
	for (b = 0; b < ENTRIES; b += n) {
		n = b < ENTRIES / 2 ? 1 : 25;
		for (i = 0; i < n; i++)
			blocks[i] = raw_block(ino, b + i, data, sizeof(data));
		if (write(fs.cmd, blocks, n * sizeof(blocks[0])) !=
		    (ssize_t)(n * sizeof(blocks[0])))
			bail_out("fill");
	}
	fs_unmount(&fs);
	load(&image, fs.image);
	if (image.count < 2 || image.data[image.records[1]] != 2)
		bail_out("no block map record");
	map = get64(&image, image.records[1] + 31);
	for (b = 0; b < ENTRIES; b++) {
		at = map + b * 14;
		end = at / BLOCK * BLOCK + BLOCK;
		if (end >= at + 14)
			continue;
		crossing++;
		halved += end - at == 7;
		right += entry_is_right(&image, at, end, b);
		right += entry_is_right(&image, end, at + 14, b);
	}
	ok(crossing > 3, "there are entries that lie on two pages (%d)", crossing);
	is_int(halved, 0, "none of them with half its size on each");
	is_int(right, 2 * crossing,
	       "with one page of the two lost their blocks are absent or right");
	free(image.data);
}

int main(void)
{
	struct image ours = make_ours(), foreign = make_foreign();

	test_log(&ours);
	test_first(&ours);
	test_read_only(&ours);
	test_records(&ours, ours.count - 5, "our image");
	test_lost(&ours, ours.count - 70, BLOCK, "our image");
	test_lost(&ours, ours.count - 24, SECTOR, "our image");
	test_records(&foreign, foreign.count - 3, "foreign image");
	test_blocks();
	test_entries();
	free(ours.data);
	free(foreign.data);
	return done();
}
