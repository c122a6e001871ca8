// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzzing of builders and parsers together: what is built from any values is
 * read back with these, or is refused exactly if docs/format.md does not allow
 * them; and with one bit flipped it is refused.
 *
 * Input: struct input, then a name or items.
 */
#include "fuzz.h"
#include "format.h"
#include "mutate.h"

struct input {
	__u8 what;
	__u8 action;
	__u16 mode;
	__u32 flip;
	__u64 prev, offset, next;
	__u64 a, b, c;
	__u32 nsec, uid, gid, count;
} __packed;

static struct {
	__u64 inputs, taken[5], refused[5], flipped;
} figures;

static void print_figures(void)
{
	static const char *const names[] = { "super", "inode", "map", "name", "attrs" };
	int i;

	printf("figures: inputs=%llu flipped=%llu", figures.inputs, figures.flipped);
	for (i = 0; i < 5; i++)
		printf(" %s=%llu not_%s=%llu", names[i], figures.taken[i], names[i],
		       figures.refused[i]);
	putchar('\n');
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	atexit(print_figures);
	return 0;
}

static int parse(const __u8 *bytes, size_t len, const struct input *in, struct incfs_record *record)
{
	const char *why = NULL;
	size_t size;
	int err;

	err = incfs_format_parse_header(bytes, len, in->offset, in->prev, &size, &why);
	if (!err && size > len)
		return -EINVAL;
	if (!err)
		err = incfs_format_parse_record(bytes, size, in->offset, INCFS_OFFSET_MAX, record,
						&why);
	fuzz_must(!err || (err == -EINVAL && why));
	return err;
}

/* Each bit but those of the link, which the CRC leaves out. */
static void check_flipped(__u8 *bytes, size_t len, const struct input *in)
{
	size_t bit = in->flip % (len * 8);
	struct incfs_record record;

	if (bit / 8 >= 7 && bit / 8 < 15)
		return;
	bytes[bit / 8] ^= 1 << bit % 8;
	fuzz_must(parse(bytes, len, in, &record));
	bytes[bit / 8] ^= 1 << bit % 8;
	figures.flipped++;
}

/* Parse, and see that it is refused if @right is false only. */
static bool is_read_back(__u8 *bytes, size_t len, const struct input *in,
			 struct incfs_record *record, bool right)
{
	unsigned int type = bytes[0];
	bool taken;

	incfs_format_set_next(bytes, in->next);
	right = right && (!in->next || (in->next > in->offset &&
					in->next - in->offset >= len &&
					in->next <= INCFS_OFFSET_MAX));
	taken = !parse(bytes, len, in, record);
	fuzz_must(taken == right);
	figures.taken[type] += taken;
	figures.refused[type] += !taken;
	if (!taken)
		return false;
	fuzz_must(record->type == type && record->offset == in->offset &&
		  record->next == in->next);
	/* What is whole is not taken for torn off, and a shorter one for nothing. */
	fuzz_must(!incfs_format_is_unwritten(bytes, len, in->offset));
	fuzz_must(parse(bytes, in->flip % len, in, record));
	fuzz_must(!parse(bytes, len, in, record));
	return true;
}

static void try_super(const struct input *in)
{
	struct incfs_super super = { .first = in->a, .features = in->count }, got;
	struct incfs_disk_super disk;
	const char *why;
	bool right = (!in->a || (in->a >= 32 && in->a < 1ull << 48)) && !(in->count & 0xfffe);
	int err;

	incfs_format_build_super(&disk, &super);
	err = incfs_format_parse_super(&disk, sizeof(disk), &got, &why);
	fuzz_must(!err == right);
	fuzz_must(err || (got.first == super.first && got.features == super.features));
	fuzz_must(incfs_format_parse_super(&disk, in->flip % sizeof(disk), &got, &why));
	figures.taken[0] += !err;
	figures.refused[0] += !!err;
}

static void try_inode(const struct input *in)
{
	struct incfs_record record;
	struct incfs_disk_inode *disk = malloc(sizeof(*disk));
	__u16 type = in->mode & 0170000;
	bool right = in->a >= 3 && in->a < 1ull << 32 && in->b <= 0xffffffffull << 12 &&
		     (type == S_IFREG || (type == S_IFDIR && !in->b) || type == S_IFLNK);

	/* Its target, of so many bytes, has to fit an attribute record. */
	if (type == S_IFLNK && (!in->b || in->b > 4096 - 53 - 1))
		right = false;
	incfs_format_build_inode(disk, in->prev, in->a, in->b, in->mode);
	if (is_read_back((void *)disk, sizeof(*disk), in, &record, right)) {
		fuzz_must(record.inode.ino == in->a && record.inode.size == in->b &&
			  record.inode.mode == in->mode);
		check_flipped((void *)disk, sizeof(*disk), in);
	}
	free(disk);
}

static void try_map(const struct input *in)
{
	struct incfs_disk_block_map *disk = malloc(sizeof(*disk));
	struct incfs_record record;
	bool right = in->b >= 32 &&
		     (unsigned __int128)in->b + (__u64)in->count * 14 <= INCFS_OFFSET_MAX;

	incfs_format_build_map(disk, in->prev, in->a, in->b, in->count);
	if (is_read_back((void *)disk, sizeof(*disk), in, &record, right)) {
		fuzz_must(record.map.ino == in->a && record.map.offset == in->b &&
			  record.map.count == in->count);
		check_flipped((void *)disk, sizeof(*disk), in);
	}
	free(disk);
}

static bool is_name(const char *name, size_t len)
{
	static const char *const reserved[] = { "", ".", "..", ".cmd" };
	size_t i;

	for (i = 0; i < 4; i++) {
		if (len == strlen(reserved[i]) && !memcmp(name, reserved[i], len))
			return false;
	}
	for (i = 0; i < len; i++) {
		if (!name[i] || name[i] == '/')
			return false;
	}
	return true;
}

static void try_dir(const struct input *in, const void *name, size_t len)
{
	struct incfs_disk_dir_action *disk = malloc(sizeof(*disk));
	struct incfs_record record;
	bool right;

	if (len > INCFS_NAME_MAX)
		len = INCFS_NAME_MAX;
	right = is_name(name, len) && (in->action == 1 || in->action == 2);
	incfs_format_build_dir(disk, in->prev, in->action, in->a, in->b, name, len);
	if (is_read_back((void *)disk, sizeof(*disk), in, &record, right)) {
		fuzz_must(record.dir.dir == in->a && record.dir.entry == in->b &&
			  record.dir.action == in->action && record.dir.len == len &&
			  !memcmp(record.dir.name, name, len));
		check_flipped((void *)disk, sizeof(*disk), in);
	}
	free(disk);
}

/* Items that are taken are what they should be, by their bytes alone. */
static void check_items(const __u8 *items, size_t len, __u16 mode)
{
	__u8 *copy = malloc(len);	/* to its exact size */
	const char *why;
	size_t at, other, targets = 0, keys = 0, count = 0;

	memcpy(copy, items, len);
	if (!incfs_format_check_items(copy, len, mode, &why)) {
		for (at = 0; at < len; at += 4 + copy[at + 1] + (copy[at + 2] | copy[at + 3] << 8)) {
			size_t value = copy[at + 2] | copy[at + 3] << 8;

			fuzz_must(len - at >= 4 && len - at >= 4 + copy[at + 1] + value);
			fuzz_must(copy[at] >= 1 && copy[at] <= 3);
			targets += copy[at] == 1;
			keys += copy[at] == 2;
			count++;
			fuzz_must(copy[at] != 2 || (value && value <= 512));
			fuzz_must(copy[at] != 1 || (value && !memchr(copy + at + 4, 0, value)));
			fuzz_must(copy[at] == 3 ? copy[at + 1] > 5 &&
				  !memcmp(copy + at + 4, "user.", 5) : !copy[at + 1]);
			for (other = 0; other < at;
			     other += 4 + copy[other + 1] +
				      (copy[other + 2] | copy[other + 3] << 8))
				fuzz_must(copy[other] != copy[at] ||
					  copy[other + 1] != copy[at + 1] ||
					  memcmp(copy + other + 4, copy + at + 4, copy[at + 1]));
		}
		fuzz_must(at == len && keys <= 1 && count <= 128);
		fuzz_must(targets == (S_ISLNK(mode) ? 1 : 0));
	}
	free(copy);
}

static void try_attrs(const struct input *in, const void *items, size_t len)
{
	struct incfs_attrs attrs = {
		.ino = in->a, .mtime_sec = in->b, .mtime_nsec = in->nsec, .uid = in->uid,
		.gid = in->gid, .mode = in->mode, .items = items,
	};
	bool right = in->nsec < 1000000000 && in->mode < 010000;
	struct incfs_record record;
	__u8 *disk;

	if (len > INCFS_ATTRS_ITEMS_MAX)
		len = INCFS_ATTRS_ITEMS_MAX;
	attrs.items_len = len;
	disk = malloc(incfs_format_attrs_size(len));
	incfs_format_build_attrs((void *)disk, in->prev, &attrs);
	if (is_read_back(disk, incfs_format_attrs_size(len), in, &record, right)) {
		fuzz_must(record.attrs.ino == in->a && record.attrs.mtime_sec == (__s64)in->b &&
			  record.attrs.mtime_nsec == in->nsec && record.attrs.uid == in->uid &&
			  record.attrs.gid == in->gid && record.attrs.mode == in->mode &&
			  record.attrs.items_len == len &&
			  !memcmp(record.attrs.items, items, len));
		check_flipped(disk, incfs_format_attrs_size(len), in);
	}
	free(disk);
	check_items(items, len, in->action << 8);
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	const __u8 *rest = data + sizeof(struct input);
	struct input in;

	figures.inputs++;
	if (size < sizeof(in))
		return 0;
	memcpy(&in, data, sizeof(in));
	size -= sizeof(in);
	/* A record lies within the numbers that the caller of the parser allows. */
	in.offset &= INCFS_OFFSET_MAX;
	switch (in.what % 5) {
	case 0:
		try_super(&in);
		break;
	case 1:
		try_inode(&in);
		break;
	case 2:
		try_map(&in);
		break;
	case 3:
		try_dir(&in, rest, size);
		break;
	case 4:
		try_attrs(&in, rest, size);
		break;
	}
	return 0;
}

/* Bring members within their limits, so that most of what is built is right. */
size_t LLVMFuzzerCustomMutator(__u8 *data, size_t size, size_t max, unsigned int seed)
{
	static const __u16 modes[] = { S_IFREG | 0444, S_IFDIR | 0555, S_IFLNK | 0777 };
	__u64 state = mutate_seed(seed);
	struct input in;

	size = LLVMFuzzerMutate(data, size, max);
	if (fuzz_plain() || max < sizeof(in))
		return size;
	if (size < sizeof(in)) {
		memset(data + size, 0, sizeof(in) - size);
		size = sizeof(in);
	}
	memcpy(&in, data, sizeof(in));
	if (mutate_below(&state, 2))
		in.what = mutate_below(&state, 5);
	if (mutate_below(&state, 4))
		in.next = mutate_below(&state, 2) ? 0 : (in.offset & (INCFS_OFFSET_MAX >> 1)) + 4096 +
							mutate_below(&state, 9999);
	if (mutate_below(&state, 4))
		in.a = mutate_random(&state) >> mutate_below(&state, 64);
	if (mutate_below(&state, 4))
		in.b = in.what == 1 ? mutate_below(&state, 4096) * mutate_below(&state, 2) :
				      mutate_random(&state) >> mutate_below(&state, 64);
	if (mutate_below(&state, 4))
		in.mode = in.what == 4 ? mutate_below(&state, 010000) :
					 modes[mutate_below(&state, 3)];
	if (mutate_below(&state, 4))
		in.action = in.what == 4 ? modes[mutate_below(&state, 3)] >> 8 :
					   1 + mutate_below(&state, 2);
	if (mutate_below(&state, 4))
		in.nsec %= 1000000000;
	in.flip = mutate_random(&state);
	memcpy(data, &in, sizeof(in));
	return size;
}
