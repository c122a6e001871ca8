// SPDX-License-Identifier: GPL-2.0-only
/*
 * Images made wrong on purpose, by somebody who knows the format.
 *
 * An image is taken apart into its records and the rest, which is the
 * superblock, block maps and stored bytes. Some of it is changed, and all is put
 * together again: the rest, and behind it the records, with links and CRCs that
 * are right. Half of the times what is refused is left out and all changes are
 * sound, so that images grow that are right and have everything in them; else
 * changes are what comes, and a broken link, CRC or tail is one of them, but a
 * rare one.
 *
 * What is taken apart was changed before, by this or by flipped bits: it is
 * read as far as it goes.
 */
#include <stdlib.h>

#include "model.h"
#include "mutate.h"

#define RECORDS_MAX 256
#define REST_MAX (1 << 18)
#define BLOCKS_MAX 4	/* of a file that is added */

struct piece {
	size_t size;
	__u8 data[INCFS_RECORD_SIZE_MAX];
};

struct parts {
	__u64 random;
	bool sound;	/* nothing is to be made wrong */
	__u8 *rest;
	size_t rest_len;
	size_t rest_max;
	unsigned int nr;
	struct piece *records[RECORDS_MAX];
};

static __u64 below(struct parts *parts, __u64 limit)
{
	return mutate_below(&parts->random, limit);
}

/* Once in @n times. */
static bool one_in(struct parts *parts, unsigned int n)
{
	return !below(parts, n);
}

/* The same for what makes an image wrong. */
static bool wrong(struct parts *parts, unsigned int n)
{
	return !parts->sound && one_in(parts, n);
}

static struct piece *add_piece(struct parts *parts)
{
	struct piece *piece = calloc(1, sizeof(*piece));
	unsigned int at;

	if (!piece || parts->nr == RECORDS_MAX)
		abort();
	/* Mostly at the end: what refers to it comes after it. */
	at = wrong(parts, 8) ? below(parts, parts->nr + 1) : parts->nr;
	memmove(parts->records + at + 1, parts->records + at,
		(parts->nr - at) * sizeof(parts->records[0]));
	parts->records[at] = piece;
	parts->nr++;
	return piece;
}

static struct piece *any(struct parts *parts)
{
	return parts->nr ? parts->records[below(parts, parts->nr)] : NULL;
}

static struct piece *any_of(struct parts *parts, enum incfs_record_type type)
{
	unsigned int i, start;

	if (!parts->nr)
		return NULL;
	start = below(parts, parts->nr);
	for (i = 0; i < parts->nr; i++) {
		struct piece *piece = parts->records[(start + i) % parts->nr];

		if (piece->data[0] == type)
			return piece;
	}
	return NULL;
}

static __u64 get(const __u8 *at, size_t width)
{
	__u64 value = 0;

	memcpy(&value, at, width);
	return le64toh(value);
}

static void put(__u8 *at, size_t width, __u64 value)
{
	value = htole64(value);
	memcpy(at, &value, width);
}

/* Taking apart */

struct hole {
	__u64 start, size;
};

/* Where a byte lies when the records are gone; of one in a record, where that was. */
static __u64 moved(const struct hole *holes, unsigned int nr, __u64 offset)
{
	__u64 shift = 0;
	unsigned int i;

	for (i = 0; i < nr && holes[i].start < offset; i++)
		shift += offset - holes[i].start < holes[i].size ? offset - holes[i].start :
								   holes[i].size;
	return offset - shift;
}

static void move_entries(struct parts *parts, __u64 base, __u64 count, const struct hole *holes,
			 unsigned int nr)
{
	__u64 i, offset;
	__u8 *entry;

	for (i = 0; i < count && base + (i + 1) * 14 <= parts->rest_len; i++) {
		entry = parts->rest + base + i * 14;
		offset = get(entry, 6);
		if (offset)
			put(entry, 6, moved(holes, nr, offset));
	}
}

static void move_maps(struct parts *parts, const struct hole *holes, unsigned int nr)
{
	unsigned int i;
	__u64 base;

	for (i = 0; i < parts->nr; i++) {
		__u8 *data = parts->records[i]->data;

		if (data[0] != INCFS_RECORD_BLOCK_MAP || parts->records[i]->size != 43)
			continue;
		base = get(data + 31, 8);
		if (base >= 32 && base < REST_MAX) {
			base = moved(holes, nr, base);
			put(data + 31, 8, base);
			move_entries(parts, base, get(data + 39, 4), holes, nr);
		}
	}
}

static void take_apart(struct parts *parts, const __u8 *data, size_t size, size_t max, __u64 seed)
{
	struct hole holes[RECORDS_MAX / 2];
	size_t done = 0, next, len;
	unsigned int nr = 0;

	memset(parts, 0, sizeof(*parts));
	parts->random = mutate_seed(seed);
	parts->rest_max = max < REST_MAX ? max : REST_MAX;
	parts->rest = calloc(1, parts->rest_max + sizeof(struct incfs_disk_super));
	if (!parts->rest)
		abort();
	if (size < sizeof(struct incfs_disk_super)) {
		incfs_format_build_super((void *)parts->rest, &(struct incfs_super){ 0 });
		parts->rest_len = sizeof(struct incfs_disk_super);
		return;
	}
	next = get(data + 22, 8);
	while (nr < RECORDS_MAX / 2 && next >= done && next >= 32 && next < size &&
	       size - next >= 23) {
		len = get(data + next + 1, 2);
		if (len < 23 || len > size - next || len > INCFS_RECORD_SIZE_MAX)
			break;
		memcpy(parts->rest + parts->rest_len, data + done, next - done);
		parts->rest_len += next - done;
		parts->records[nr] = calloc(1, sizeof(struct piece));
		if (!parts->records[nr])
			abort();
		parts->records[nr]->size = len;
		memcpy(parts->records[nr]->data, data + next, len);
		holes[nr++] = (struct hole){ next, len };
		parts->nr = nr;
		done = next + len;
		next = get(data + next + 7, 8);
	}
	memcpy(parts->rest + parts->rest_len, data + done, size - done);
	parts->rest_len += size - done;
	move_maps(parts, holes, nr);
}

/* Putting together */

static void seal(struct piece *piece)
{
	put(piece->data + 3, 4, 0);
	put(piece->data + 7, 8, 0);
	put(piece->data + 3, 4, incfs_format_crc(piece->data, piece->size));
}

/* What a crash may leave of the end, or not. */
static size_t tear(struct parts *parts, __u8 *data, size_t size)
{
	size_t at = size - below(parts, size < 600 ? size : 600);

	if (one_in(parts, 2))
		return at;
	memset(data + at, 0, size - at);
	return size;
}

static size_t put_together(struct parts *parts, __u8 *data, size_t max)
{
	size_t size = parts->rest_len, prev = 0;
	unsigned int i, broken = ~0u;
	struct piece *piece;

	memcpy(data, parts->rest, size);
	if (parts->nr && wrong(parts, 16))
		broken = below(parts, parts->nr);
	put(data + 22, 8, 0);
	for (i = 0; i < parts->nr && parts->records[i]->size <= max - size; i++) {
		piece = parts->records[i];
		put(piece->data + 15, 8,
		    i == broken && one_in(parts, 3) ? below(parts, size) : prev);
		seal(piece);
		if (i == broken && one_in(parts, 3))
			piece->data[below(parts, piece->size)] ^= 1 << below(parts, 8);
		put(data + (prev ? prev + 7 : 22), 8,
		    i == broken && one_in(parts, 3) ? below(parts, 2 * size) : size);
		memcpy(data + size, piece->data, piece->size);
		prev = size;
		size += piece->size;
	}
	for (i = 0; i < parts->nr; i++)
		free(parts->records[i]);
	free(parts->rest);
	return wrong(parts, 12) ? tear(parts, data, size) : size;
}

/* Values */

static __u64 any_ino(struct parts *parts)
{
	const struct piece *piece = any_of(parts, INCFS_RECORD_INODE);

	if (!piece || one_in(parts, 6))
		return INCFS_ROOT_INO;
	return get(piece->data + 23, 8);
}

static __u64 fresh_ino(struct parts *parts)
{
	__u64 ino = INCFS_FIRST_INO;
	unsigned int i;

	for (i = 0; i < parts->nr; i++) {
		const __u8 *data = parts->records[i]->data;

		if (data[0] == INCFS_RECORD_INODE && get(data + 23, 8) >= ino)
			ino = get(data + 23, 8) + 1;
	}
	return ino;
}

static __u64 any_value(struct parts *parts, __u64 old)
{
	switch (below(parts, 9)) {
	case 0:
		return below(parts, 17);
	case 1:
		return 1ull << below(parts, 64);
	case 2:
		return (1ull << below(parts, 64)) - 1;
	case 3:
		return any_ino(parts);
	case 4:
		return parts->rest_len - below(parts, 20);
	case 5:
		return old + 1;
	case 6:
		return old - 1;
	case 7:
		return mutate_random(&parts->random);
	default:
		return old ^ 1ull << below(parts, 64);
	}
}

static __u16 any_mode(struct parts *parts)
{
	static const __u16 modes[] = { S_IFREG | 0444, S_IFDIR | 0555, S_IFLNK | 0777 };

	return wrong(parts, 8) ? mutate_random(&parts->random) : modes[below(parts, 3)];
}

static size_t any_name(struct parts *parts, char *name)
{
	static const char *const names[] = { "a", "b", "c", "dir", "file", "sub", "hard link",
					     ".", "..", ".cmd", ".cmdx", "a/b", "", "..." };
	const char *chosen = names[below(parts, wrong(parts, 3) ? 14 : 7)];
	size_t len = strlen(chosen);

	memcpy(name, chosen, len);
	if ((parts->sound || one_in(parts, 2)) && len) {
		do {
			name[len++] = '0' + below(parts, 10);
		} while (parts->sound && !one_in(parts, 8));
	} else if (one_in(parts, 12)) {
		len = INCFS_NAME_MAX;
		memset(name, 'a' + below(parts, 26), len);
	}
	return len;
}

/* Records */

/* One item, mostly one that may be; returns its size. */
static size_t build_item(struct parts *parts, __u8 *at, size_t room, bool link, size_t len)
{
	static const char names[][8] = { "user.a", "user.b", "user.", "other", "user.c" };
	__u8 type = link ? INCFS_ITEM_SYMLINK : 2 + below(parts, wrong(parts, 12) ? 4 : 2);
	const char *name = names[below(parts, parts->sound ? 2 : 5)];
	size_t name_len = type == INCFS_ITEM_XATTR || wrong(parts, 20) ? strlen(name) : 0;
	size_t value_len = 1 + below(parts, wrong(parts, 8) ? 700 : 20);

	if (link && !wrong(parts, 8))
		value_len = len;
	if (4 + name_len + value_len > room)
		return 0;
	at[0] = type;
	at[1] = name_len;
	put(at + 2, 2, value_len);
	memcpy(at + 4, name, name_len);
	memset(at + 4 + name_len, wrong(parts, 20) ? 0 : 'v', value_len);
	if (type == INCFS_ITEM_XATTR && name_len > 5)
		at[4 + name_len - 1] = 'a' + below(parts, 26);
	return 4 + name_len + value_len;
}

static void build_attrs(struct parts *parts, struct piece *piece, __u64 ino, bool link,
			size_t len)
{
	__u8 items[INCFS_ATTRS_ITEMS_MAX];
	struct incfs_attrs attrs = {
		.ino = ino,
		.mtime_sec = mutate_random(&parts->random) >> below(parts, 64),
		.mtime_nsec = wrong(parts, 16) ? 1000000000 : below(parts, 1000000000),
		.uid = below(parts, 70000),
		.gid = below(parts, 70000),
		.mode = wrong(parts, 16) ? 010000 : below(parts, 010000),
		.items = items,
	};
	unsigned int i, count = below(parts, parts->sound ? 2 : 5);

	if (wrong(parts, 30))
		count = 130;
	if (link)
		attrs.items_len = build_item(parts, items, sizeof(items), true, len);
	for (i = 0; i < count; i++)
		attrs.items_len += build_item(parts, items + attrs.items_len,
					      sizeof(items) - attrs.items_len, wrong(parts, 40),
					      len);
	if (attrs.items_len && wrong(parts, 16))
		attrs.items_len--;
	piece->size = incfs_format_attrs_size(attrs.items_len);
	incfs_format_build_attrs((void *)piece->data, 0, &attrs);
}

static struct piece *add_inode(struct parts *parts, __u64 ino, __u64 size, __u16 mode)
{
	struct piece *piece = add_piece(parts);

	piece->size = sizeof(struct incfs_disk_inode);
	incfs_format_build_inode((void *)piece->data, 0, ino, size, mode);
	return piece;
}

static void add_name(struct parts *parts, enum incfs_dir_action action, __u64 dir, __u64 ino)
{
	struct piece *piece = add_piece(parts);
	char name[INCFS_NAME_MAX];
	size_t len = any_name(parts, name);

	piece->size = sizeof(struct incfs_disk_dir_action);
	incfs_format_build_dir((void *)piece->data, 0, action, dir, ino, name, len);
}

static __u64 any_dir(struct parts *parts)
{
	unsigned int tries;
	struct piece *piece;

	for (tries = 0; tries < 4; tries++) {
		piece = any_of(parts, INCFS_RECORD_INODE);
		if (piece && S_ISDIR(get(piece->data + 39, 2)))
			return get(piece->data + 23, 8);
	}
	return INCFS_ROOT_INO;
}

/* Room at the end of the rest; NULL if there is none. */
static __u8 *add_rest(struct parts *parts, size_t len)
{
	__u8 *at = parts->rest + parts->rest_len;

	if (len > parts->rest_max - parts->rest_len)
		return NULL;
	memset(at, 0, len);
	parts->rest_len += len;
	return at;
}

/* The bytes of a block, and an entry for it: raw, or LZ4 that is all literals. */
static void add_block(struct parts *parts, __u8 *entry, size_t len)
{
	bool lz4 = one_in(parts, 2);
	size_t more = lz4 && len >= 15 ? (len - 15) / 255 + 1 : 0;
	size_t size = len + (lz4 ? 1 + more : 0);
	struct incfs_extent extent = { .offset = parts->rest_len, .size = size, .flags = lz4 };
	__u8 *at = add_rest(parts, size), *start = at;

	if (!at)
		return;
	if (lz4) {
		*at++ = (len < 15 ? len : 15) << 4;
		if (more) {
			memset(at, 255, more);
			at[more - 1] = (len - 15) % 255;
			at += more;
		}
	}
	memset(at, 'a' + below(parts, 26), len);
	extent.crc = incfs_format_crc(start, size);
	incfs_format_build_extent((void *)entry, &extent);
}

/* All that makes a file, or a directory or a symbolic link. */
static void add_file(struct parts *parts)
{
	__u64 ino = fresh_ino(parts), size = below(parts, BLOCKS_MAX * INCFS_BLOCK_SIZE);
	__u16 mode = any_mode(parts);
	struct piece *piece;
	__u32 i, blocks;
	__u64 offset;
	__u8 *map;

	if (!S_ISREG(mode))
		size = S_ISLNK(mode) ? 1 + below(parts, 20) : 0;
	add_inode(parts, ino, size, mode);
	if (S_ISLNK(mode) || one_in(parts, 2))
		build_attrs(parts, add_piece(parts), ino, S_ISLNK(mode), size);
	blocks = S_ISREG(mode) ? incfs_format_blocks(size) : 0;
	offset = parts->rest_len;
	map = blocks ? add_rest(parts, blocks * 14) : NULL;
	if (map) {
		for (i = 0; i < blocks; i++) {
			if (!one_in(parts, 4))
				add_block(parts, map + i * 14,
					  i == blocks - 1 ? size - i * 4096 : 4096);
		}
		piece = add_piece(parts);
		piece->size = sizeof(struct incfs_disk_block_map);
		incfs_format_build_map((void *)piece->data, 0, ino, offset, blocks);
	}
	add_name(parts, INCFS_DIR_ADD, any_dir(parts), ino);
}

static void insert(struct parts *parts)
{
	struct piece *piece;

	switch (below(parts, 6)) {
	case 0:
		add_inode(parts, one_in(parts, 4) ? any_ino(parts) : fresh_ino(parts),
			  one_in(parts, 2) ? 0 : any_value(parts, 4096), any_mode(parts));
		break;
	case 1:
		piece = add_piece(parts);
		piece->size = sizeof(struct incfs_disk_block_map);
		incfs_format_build_map((void *)piece->data, 0, any_ino(parts),
				       any_value(parts, parts->rest_len), below(parts, 6));
		break;
	case 2:
		add_name(parts, 1 + below(parts, one_in(parts, 8) ? 4 : 2), any_dir(parts),
			 any_ino(parts));
		break;
	case 3:
		build_attrs(parts, add_piece(parts), any_ino(parts), one_in(parts, 3), 5);
		break;
	default:
		add_file(parts);
	}
}

/* Members: their offset and width, by record type; the header's are common. */
static const struct member {
	__u8 type, offset, width;
} members[] = {
	{ INCFS_RECORD_INODE, 23, 8 }, { INCFS_RECORD_INODE, 31, 8 },
	{ INCFS_RECORD_INODE, 39, 2 }, { INCFS_RECORD_INODE, 41, 4 },
	{ INCFS_RECORD_BLOCK_MAP, 23, 8 }, { INCFS_RECORD_BLOCK_MAP, 31, 8 },
	{ INCFS_RECORD_BLOCK_MAP, 39, 4 }, { INCFS_RECORD_DIR_ACTION, 23, 8 },
	{ INCFS_RECORD_DIR_ACTION, 31, 8 }, { INCFS_RECORD_DIR_ACTION, 39, 1 },
	{ INCFS_RECORD_DIR_ACTION, 40, 1 }, { INCFS_RECORD_ATTRS, 23, 8 },
	{ INCFS_RECORD_ATTRS, 31, 8 }, { INCFS_RECORD_ATTRS, 39, 4 },
	{ INCFS_RECORD_ATTRS, 43, 4 }, { INCFS_RECORD_ATTRS, 47, 4 },
	{ INCFS_RECORD_ATTRS, 51, 2 }, { INCFS_RECORD_ATTRS, 53, 1 },
	{ INCFS_RECORD_ATTRS, 54, 1 }, { INCFS_RECORD_ATTRS, 55, 2 },
};

#define NR_MEMBERS (sizeof(members) / sizeof(members[0]))

static void change_member(struct parts *parts, struct piece *piece)
{
	const struct member *member;
	__u8 *at;

	if (one_in(parts, 20)) {
		/* Type or size, and what is behind it stays. */
		at = piece->data + below(parts, 2);
		put(at, 1, any_value(parts, *at));
		return;
	}
	do {
		member = &members[below(parts, NR_MEMBERS)];
	} while (member->type != piece->data[0] && !one_in(parts, 50));
	if (member->offset + member->width > piece->size)
		return;
	at = piece->data + member->offset;
	put(at, member->width, any_value(parts, get(at, member->width)));
}

static void change_entry(struct parts *parts)
{
	static const __u8 offsets[] = { 0, 4, 6, 8, 10 }, widths[] = { 4, 2, 2, 2, 4 };
	struct piece *piece = any_of(parts, INCFS_RECORD_BLOCK_MAP);
	__u64 base, count, offset, size;
	unsigned int field = below(parts, 5);
	__u8 *entry;

	if (!piece || piece->size != sizeof(struct incfs_disk_block_map))
		return;
	base = get(piece->data + 31, 8);
	count = get(piece->data + 39, 4);
	if (!count || base < 32 || base > parts->rest_len)
		return;
	base += below(parts, count < 64 ? count : 64) * 14;
	if (base + 14 > parts->rest_len)
		return;
	entry = parts->rest + base;
	put(entry + offsets[field], widths[field],
	    any_value(parts, get(entry + offsets[field], widths[field])));
	offset = get(entry, 6);
	size = get(entry + 6, 2);
	if (offset < parts->rest_len && size <= parts->rest_len - offset && !one_in(parts, 8)) {
		/* Its bytes changed as well, and a CRC that says they are right. */
		if (size && one_in(parts, 2))
			parts->rest[offset + below(parts, size < 40 ? size : 40)] =
				any_value(parts, 0);
		put(entry + 10, 4, incfs_format_crc(parts->rest + offset, size));
	}
}

static void change_super(struct parts *parts)
{
	static const __u8 offsets[] = { 0, 8, 16, 18, 30 }, widths[] = { 8, 8, 2, 4, 2 };
	unsigned int field = one_in(parts, 2) ? 3 : below(parts, 5);
	__u8 *at = parts->rest + offsets[field];

	put(at, widths[field], any_value(parts, get(at, widths[field])));
}

static void change_name(struct parts *parts)
{
	struct piece *piece = any_of(parts, INCFS_RECORD_DIR_ACTION);
	char name[INCFS_NAME_MAX] = "";

	if (!piece || piece->size != sizeof(struct incfs_disk_dir_action))
		return;
	piece->data[40] = any_name(parts, name);
	memcpy(piece->data + 41, name, sizeof(name));
}

static void swap(struct parts *parts)
{
	unsigned int a = below(parts, parts->nr), b = below(parts, parts->nr);
	struct piece *piece = parts->records[a];

	if (one_in(parts, 2))
		b = a ? a - 1 : 0;
	parts->records[a] = parts->records[b];
	parts->records[b] = piece;
}

static void drop(struct parts *parts)
{
	unsigned int at = below(parts, parts->nr);

	free(parts->records[at]);
	parts->nr--;
	memmove(parts->records + at, parts->records + at + 1,
		(parts->nr - at) * sizeof(parts->records[0]));
}

/* A copy, mostly with something else in it: the same name in another directory. */
static void duplicate(struct parts *parts)
{
	const struct piece *from = any(parts);
	struct piece *to = add_piece(parts);

	*to = *from;
	if (to->data[0] == INCFS_RECORD_DIR_ACTION && one_in(parts, 2))
		to->data[39] ^= 3;
	else if (!one_in(parts, 4))
		change_member(parts, to);
}

/* Take a name away again that was given; another removal of it is wrong. */
static void remove_name(struct parts *parts)
{
	const struct piece *from = any_of(parts, INCFS_RECORD_DIR_ACTION);
	struct piece *to;

	if (!from || from->data[39] != INCFS_DIR_ADD)
		return;
	to = add_piece(parts);
	*to = *from;
	to->data[39] = INCFS_DIR_REMOVE;
}

static void change_soundly(struct parts *parts)
{
	unsigned int what = below(parts, 8);

	if (what < 5 && parts->nr < RECORDS_MAX / 2)
		add_file(parts);
	else if (what == 5 && parts->nr < RECORDS_MAX / 2)
		remove_name(parts);
	else
		change_entry(parts);
}

static void change(struct parts *parts)
{
	unsigned int what = below(parts, 16);

	if (parts->sound)
		change_soundly(parts);
	else if (!parts->nr || (what < 4 && parts->nr < RECORDS_MAX / 2))
		insert(parts);
	else if (what < 8)
		change_member(parts, any(parts));
	else if (what < 10)
		change_entry(parts);
	else if (what == 10)
		change_name(parts);
	else if (what == 11)
		swap(parts);
	else if (what == 12)
		drop(parts);
	else if (what == 13 && parts->nr < RECORDS_MAX / 2)
		duplicate(parts);
	else if (what == 14)
		parts->rest[below(parts, parts->rest_len)] ^= 1 << below(parts, 8);
	else if (one_in(parts, 4))
		change_super(parts);
}

/* Leave out the records that a mount would not take. */
static void make_sound(struct parts *parts, const __u8 *data, size_t size)
{
	struct model model;

	parts->sound = true;
	if (model_load(&model, data, size, MUTATE_MAX_FILES) && !model.walk.offset)
		incfs_format_build_super((void *)parts->rest, &(struct incfs_super){
			.features = INCFS_FEATURE_ATTRS });
	while (parts->nr > model.walk.records)
		free(parts->records[--parts->nr]);
	model_free(&model);
}

static size_t finish(struct parts *parts, __u8 *data, size_t size, size_t max)
{
	unsigned int changes = 1 + below(parts, 3);
	bool attrs = any_of(parts, INCFS_RECORD_ATTRS);

	if (one_in(parts, 2))
		make_sound(parts, data, size);
	while (changes--)
		change(parts);
	/* What is new among the records has its bit, or most would end there. */
	if (!attrs && any_of(parts, INCFS_RECORD_ATTRS) && !wrong(parts, 16))
		parts->rest[18] |= INCFS_FEATURE_ATTRS;
	return put_together(parts, data, max);
}

size_t mutate_image(__u8 *data, size_t size, size_t max, __u64 seed)
{
	struct parts parts;

	if (max < sizeof(struct incfs_disk_super))
		return size;
	take_apart(&parts, data, size, max, seed);
	return finish(&parts, data, size, max);
}

size_t mutate_cross(__u8 *data, size_t size, size_t max, const __u8 *other, size_t other_size,
		    __u64 seed)
{
	struct parts parts, from;
	unsigned int i;

	if (max < sizeof(struct incfs_disk_super))
		return size;
	take_apart(&parts, data, size, max, seed);
	take_apart(&from, other, other_size, other_size + 1, seed);
	for (i = 0; i < from.nr; i++) {
		if (parts.nr < RECORDS_MAX / 2 && one_in(&parts, 3))
			*add_piece(&parts) = *from.records[i];
		free(from.records[i]);
	}
	free(from.rest);
	return finish(&parts, data, size, max);
}
