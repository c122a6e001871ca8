// SPDX-License-Identifier: GPL-2.0-only
/*
 * Incremental FS: parser and builder of the image format.
 *
 * Pure functions over bytes in memory. Everything that is read is taken for
 * hostile: lengths and bounds first, then the CRC, then what the members say.
 */
#include "format.h"

static_assert(sizeof(struct incfs_disk_super) == 32);
static_assert(sizeof(struct incfs_disk_header) == 23);
static_assert(sizeof(struct incfs_disk_inode) == 45);
static_assert(sizeof(struct incfs_disk_block_map) == 43);
static_assert(sizeof(struct incfs_disk_dir_action) == 296);
static_assert(sizeof(struct incfs_disk_attrs) == 53);
static_assert(sizeof(struct incfs_disk_item) == 4);
static_assert(sizeof(struct incfs_disk_extent) == 14);

static int refuse(const char **why, const char *reason)
{
	*why = reason;
	return -EINVAL;
}

int incfs_format_parse_super(const void *buf, size_t len, struct incfs_super *super,
			     const char **why)
{
	const struct incfs_disk_super *disk = buf;

	if (len < sizeof(*disk))
		return refuse(why, "image is shorter than a superblock");
	if (le64_to_cpu(disk->s_magic) != INCFS_FORMAT_MAGIC)
		return refuse(why, "wrong magic number");
	if (le64_to_cpu(disk->s_version) != INCFS_FORMAT_VERSION)
		return refuse(why, "unknown format version");
	if (le16_to_cpu(disk->s_super_block_size) != sizeof(*disk))
		return refuse(why, "wrong superblock size");
	if (le16_to_cpu(disk->s_data_block_size) != INCFS_BLOCK_SIZE)
		return refuse(why, "wrong block size");
	super->features = le32_to_cpu(disk->s_flags);
	if (super->features & INCFS_FEATURES_INCOMPAT & ~INCFS_FEATURES_KNOWN)
		return refuse(why, "unknown feature flags");
	super->first = le64_to_cpu(disk->s_first_md_offset);
	if (super->first && (super->first < sizeof(*disk) || super->first > INCFS_OFFSET_MAX))
		return refuse(why, "first record lies outside the image");
	return 0;
}

/* Of a record of this type; *max differs from *min when the size varies. */
static bool record_sizes(__u8 type, size_t *min, size_t *max)
{
	switch (type) {
	case INCFS_RECORD_INODE:
		*min = *max = sizeof(struct incfs_disk_inode);
		return true;
	case INCFS_RECORD_BLOCK_MAP:
		*min = *max = sizeof(struct incfs_disk_block_map);
		return true;
	case INCFS_RECORD_DIR_ACTION:
		*min = *max = sizeof(struct incfs_disk_dir_action);
		return true;
	case INCFS_RECORD_ATTRS:
		*min = incfs_format_attrs_size(0);
		*max = INCFS_RECORD_SIZE_MAX;
		return true;
	default:
		return false;
	}
}

static int check_size(const struct incfs_disk_header *disk, const char **why)
{
	size_t size = le16_to_cpu(disk->h_record_size);
	size_t min, max;

	if (!record_sizes(disk->h_md_entry_type, &min, &max))
		return refuse(why, "unknown record type");
	if (size < min || size > max)
		return refuse(why, "record has not the size of its type");
	return 0;
}

int incfs_format_parse_header(const void *buf, size_t len, __u64 offset, __u64 prev,
			      size_t *size, const char **why)
{
	const struct incfs_disk_header *disk = buf;
	__u64 next;

	if (len < sizeof(*disk))
		return refuse(why, "record header does not fit the image");
	if (check_size(disk, why))
		return -EINVAL;
	*size = le16_to_cpu(disk->h_record_size);
	if (le64_to_cpu(disk->h_prev_md_offset) != prev)
		return refuse(why, "record does not link to the one before");
	next = le64_to_cpu(disk->h_next_md_offset);
	if (next && next <= offset)
		return refuse(why, "link to the next record points back");
	if (next && next < offset + *size)
		return refuse(why, "link to the next record points into this one");
	if (next > INCFS_OFFSET_MAX)
		return refuse(why, "link to the next record points outside the image");
	return 0;
}

/* The CRC covers the record with its CRC and its forward link taken as 0. */
static __u32 record_crc(const void *buf, size_t size)
{
	struct incfs_disk_header header;
	__u32 crc;

	memcpy(&header, buf, sizeof(header));
	header.h_record_crc = 0;
	header.h_next_md_offset = 0;
	crc = crc32_le(0, (const void *)&header, sizeof(header));
	return crc32_le(crc, (const unsigned char *)buf + sizeof(header), size - sizeof(header));
}

static int parse_inode(const struct incfs_disk_inode *disk, struct incfs_record *record,
		       const char **why)
{
	__u64 ino = le64_to_cpu(disk->i_no);
	__u64 size = le64_to_cpu(disk->i_size);
	__u16 mode = le16_to_cpu(disk->i_mode);

	if (ino < INCFS_FIRST_INO || ino > INCFS_LAST_INO)
		return refuse(why, "inode number is out of range");
	if (!S_ISREG(mode) && !S_ISDIR(mode) && !S_ISLNK(mode))
		return refuse(why, "inode is neither file, directory nor symbolic link");
	if (size > INCFS_FILE_SIZE_MAX)
		return refuse(why, "file is too large for the format");
	if (S_ISDIR(mode) && size)
		return refuse(why, "directory has a size");
	if (S_ISLNK(mode) && (!size || size > INCFS_ATTRS_ITEMS_MAX))
		return refuse(why, "symbolic link has a size that no target has");
	if (disk->i_flags)
		return refuse(why, "unknown inode flags");
	record->inode.ino = ino;
	record->inode.size = size;
	record->inode.mode = mode;
	return 0;
}

static int parse_map(const struct incfs_disk_block_map *disk, __u64 image_size,
		     struct incfs_record *record, const char **why)
{
	__u64 offset = le64_to_cpu(disk->m_base_offset);
	__u32 count = le32_to_cpu(disk->m_block_count);

	if (offset < sizeof(struct incfs_disk_super) || offset > image_size ||
	    image_size - offset < incfs_format_map_size(count))
		return refuse(why, "block map lies outside the image");
	record->map.ino = le64_to_cpu(disk->m_inode);
	record->map.offset = offset;
	record->map.count = count;
	return 0;
}

int incfs_format_check_name(const char *name, size_t len, const char **why)
{
	if (!len)
		return refuse(why, "name is empty");
	if (len > INCFS_NAME_MAX)
		return refuse(why, "name is too long");
	if (memchr(name, '/', len) || memchr(name, '\0', len))
		return refuse(why, "name holds '/' or NUL");
	if ((len == 1 && name[0] == '.') || (len == 2 && name[0] == '.' && name[1] == '.') ||
	    (len == 4 && !memcmp(name, ".cmd", 4)))
		return refuse(why, "name is reserved");
	return 0;
}

static int parse_dir(const struct incfs_disk_dir_action *disk, struct incfs_record *record,
		     const char **why)
{
	if (disk->da_type != INCFS_DIR_ADD && disk->da_type != INCFS_DIR_REMOVE)
		return refuse(why, "unknown directory action");
	record->dir.dir = le64_to_cpu(disk->da_dir_inode);
	record->dir.entry = le64_to_cpu(disk->da_entry_inode);
	record->dir.action = disk->da_type;
	record->dir.len = disk->da_name_len;
	record->dir.name = (const char *)disk->da_name;
	return incfs_format_check_name(record->dir.name, record->dir.len, why);
}

bool incfs_format_next_item(const void **items, size_t *len, struct incfs_item *item)
{
	const struct incfs_disk_item *disk = *items;
	size_t size;

	if (*len < sizeof(*disk))
		return false;
	item->type = disk->type;
	item->name_len = disk->name_len;
	item->value_len = le16_to_cpu(disk->value_len);
	size = sizeof(*disk) + item->name_len + item->value_len;
	if (*len < size)
		return false;
	item->name = *items + sizeof(*disk);
	item->value = item->name + item->name_len;
	*items += size;
	*len -= size;
	return true;
}

static int check_xattr(const struct incfs_item *item, const char **why)
{
	static const char prefix[] = "user.";
	size_t prefix_len = sizeof(prefix) - 1;

	if (item->name_len <= prefix_len || memcmp(item->name, prefix, prefix_len) ||
	    memchr(item->name, '\0', item->name_len))
		return refuse(why, "name of an extended attribute is not one of a user");
	return 0;
}

static int check_item(const struct incfs_item *item, const char **why)
{
	if (item->type == INCFS_ITEM_XATTR)
		return check_xattr(item, why);
	if (item->name_len)
		return refuse(why, "item with a name that has none");
	switch (item->type) {
	case INCFS_ITEM_SYMLINK:
		if (!item->value_len || memchr(item->value, '\0', item->value_len))
			return refuse(why, "target of a symbolic link is empty or holds NUL");
		return 0;
	case INCFS_ITEM_KEY:
		if (!item->value_len || item->value_len > INCFS_ITEM_KEY_MAX)
			return refuse(why, "key is empty or too long");
		return 0;
	default:
		return refuse(why, "unknown item");
	}
}

static bool same_item(const struct incfs_item *a, const struct incfs_item *b)
{
	return a->type == b->type && a->name_len == b->name_len &&
	       !memcmp(a->name, b->name, a->name_len);
}

/* Is there another like @item among the @len bytes in front of it? */
static bool has_item(const void *items, size_t len, const struct incfs_item *item)
{
	struct incfs_item other;

	while (incfs_format_next_item(&items, &len, &other)) {
		if (same_item(&other, item))
			return true;
	}
	return false;
}

int incfs_format_check_items(const void *items, size_t len, __u16 mode, const char **why)
{
	const void *rest = items, *start = items;
	struct incfs_item item;
	size_t left = len;
	bool target = false;
	int count = 0;

	while (incfs_format_next_item(&rest, &left, &item)) {
		if (check_item(&item, why))
			return -EINVAL;
		if (++count > INCFS_ATTRS_COUNT_MAX)
			return refuse(why, "too many items");
		if (has_item(items, start - items, &item))
			return refuse(why, "item is there twice");
		target |= item.type == INCFS_ITEM_SYMLINK;
		start = rest;
	}
	if (left)
		return refuse(why, "item is cut off");
	if (target != !!S_ISLNK(mode))
		return refuse(why, "symbolic link without a target, or a target of something else");
	return 0;
}

static int parse_attrs(const struct incfs_disk_attrs *disk, size_t size,
		       struct incfs_record *record, const char **why)
{
	struct incfs_attrs *attrs = &record->attrs;

	attrs->ino = le64_to_cpu(disk->a_ino);
	attrs->mtime_sec = le64_to_cpu(disk->a_mtime_sec);
	attrs->mtime_nsec = le32_to_cpu(disk->a_mtime_nsec);
	attrs->uid = le32_to_cpu(disk->a_uid);
	attrs->gid = le32_to_cpu(disk->a_gid);
	attrs->mode = le16_to_cpu(disk->a_mode);
	attrs->items = disk->a_items;
	attrs->items_len = size - incfs_format_attrs_size(0);
	if (attrs->mtime_nsec > 999999999)
		return refuse(why, "time is out of range");
	if (attrs->mode & ~07777)
		return refuse(why, "mode is out of range");
	if (disk->a_items[attrs->items_len] != INCFS_ATTRS_END)
		return refuse(why, "attributes have no end");
	return 0;
}

int incfs_format_parse_record(const void *buf, size_t size, __u64 offset, __u64 image_size,
			      struct incfs_record *record, const char **why)
{
	const struct incfs_disk_header *header = buf;

	if (size < sizeof(*header) || size != le16_to_cpu(header->h_record_size))
		return refuse(why, "record does not fit the image");
	if (check_size(header, why))
		return -EINVAL;
	if (le32_to_cpu(header->h_record_crc) != record_crc(buf, size))
		return refuse(why, "record has a bad CRC");
	memset(record, 0, sizeof(*record));
	record->type = header->h_md_entry_type;
	record->offset = offset;
	record->next = le64_to_cpu(header->h_next_md_offset);
	switch (record->type) {
	case INCFS_RECORD_INODE:
		return parse_inode(buf, record, why);
	case INCFS_RECORD_BLOCK_MAP:
		return parse_map(buf, image_size, record, why);
	case INCFS_RECORD_DIR_ACTION:
		return parse_dir(buf, record, why);
	case INCFS_RECORD_ATTRS:
		return parse_attrs(buf, size, record, why);
	default:
		return refuse(why, "unknown record type");
	}
}

static void parse_extent(const struct incfs_disk_extent *disk, __u64 image_size,
			 struct incfs_extent *extent)
{
	__u64 offset = (__u64)le16_to_cpu(disk->me_data_offset_hi) << 32 |
		       le32_to_cpu(disk->me_data_offset_lo);
	__u16 size = le16_to_cpu(disk->me_data_size);
	__u16 flags = le16_to_cpu(disk->me_flags);

	extent->offset = offset;
	extent->crc = le32_to_cpu(disk->me_data_crc);
	extent->size = size;
	extent->flags = flags;
	if (flags & ~INCFS_EXTENT_LZ4 || offset < sizeof(struct incfs_disk_super))
		extent->size = 0;
	if (size > (flags & INCFS_EXTENT_LZ4 ? INCFS_STORED_MAX : INCFS_BLOCK_SIZE))
		extent->size = 0;
	if (offset > image_size || image_size - offset < size)
		extent->size = 0;
}

void incfs_format_parse_extents(const struct incfs_disk_extent *disk, __u32 count,
				__u64 image_size, struct incfs_extent *extents)
{
	__u32 i;

	for (i = 0; i < count; i++)
		parse_extent(&disk[i], image_size, &extents[i]);
}

static bool is_zero(const void *buf, size_t len)
{
	const __u8 *bytes = buf;

	while (len && !*bytes) {
		bytes++;
		len--;
	}
	return !len;
}

bool incfs_format_is_unwritten(const void *buf, size_t len, __u64 offset)
{
	size_t cut = INCFS_SECTOR_SIZE - offset % INCFS_SECTOR_SIZE;
	const struct incfs_disk_header *header = buf;
	const struct incfs_disk_block_map *map = buf;
	const struct incfs_disk_dir_action *dir = buf;
	const struct incfs_disk_inode *inode = buf;
	const __u8 *bytes = buf;
	const char *why;
	size_t size;

	if (len < sizeof(*header) || is_zero(buf, cut < sizeof(*header) ? cut : sizeof(*header)))
		return true;
	/* The size may be cut in two, if there is nothing behind it. */
	if (check_size(header, &why))
		return is_zero(&header->h_record_crc, sizeof(*header) -
			       offsetof(struct incfs_disk_header, h_record_crc));
	size = le16_to_cpu(header->h_record_size);
	if (len < size)
		return true;
	if (le32_to_cpu(header->h_record_crc) == record_crc(buf, size))
		return false;
	switch (header->h_md_entry_type) {
	case INCFS_RECORD_INODE:
		return !(le16_to_cpu(inode->i_mode) & S_IFMT);
	case INCFS_RECORD_BLOCK_MAP:
		/* The count itself may be cut in two. */
		return !map->m_block_count || (cut < size && is_zero(bytes + cut, size - cut));
	case INCFS_RECORD_DIR_ACTION:
		return !dir->da_name_len || !dir->da_name[dir->da_name_len - 1];
	default:
		return !bytes[size - 1];
	}
}

void incfs_format_build_super(struct incfs_disk_super *disk, const struct incfs_super *super)
{
	memset(disk, 0, sizeof(*disk));
	disk->s_magic = cpu_to_le64(INCFS_FORMAT_MAGIC);
	disk->s_version = cpu_to_le64(INCFS_FORMAT_VERSION);
	disk->s_super_block_size = cpu_to_le16(sizeof(*disk));
	disk->s_flags = cpu_to_le32(super->features);
	disk->s_first_md_offset = cpu_to_le64(super->first);
	disk->s_data_block_size = cpu_to_le16(INCFS_BLOCK_SIZE);
}

static void build_header(void *buf, size_t size, enum incfs_record_type type, __u64 prev)
{
	struct incfs_disk_header *header = buf;

	memset(buf, 0, size);
	header->h_md_entry_type = type;
	header->h_record_size = cpu_to_le16(size);
	header->h_prev_md_offset = cpu_to_le64(prev);
}

static void seal_record(void *buf, size_t size)
{
	struct incfs_disk_header *header = buf;

	header->h_record_crc = cpu_to_le32(record_crc(buf, size));
}

void incfs_format_set_next(void *record, __u64 next)
{
	struct incfs_disk_header *header = record;

	header->h_next_md_offset = cpu_to_le64(next);
}

void incfs_format_build_inode(struct incfs_disk_inode *disk, __u64 prev, __u64 ino, __u64 size,
			      __u16 mode)
{
	build_header(disk, sizeof(*disk), INCFS_RECORD_INODE, prev);
	disk->i_no = cpu_to_le64(ino);
	disk->i_size = cpu_to_le64(size);
	disk->i_mode = cpu_to_le16(mode);
	seal_record(disk, sizeof(*disk));
}

void incfs_format_build_map(struct incfs_disk_block_map *disk, __u64 prev, __u64 ino,
			    __u64 offset, __u32 count)
{
	build_header(disk, sizeof(*disk), INCFS_RECORD_BLOCK_MAP, prev);
	disk->m_inode = cpu_to_le64(ino);
	disk->m_base_offset = cpu_to_le64(offset);
	disk->m_block_count = cpu_to_le32(count);
	seal_record(disk, sizeof(*disk));
}

void incfs_format_build_dir(struct incfs_disk_dir_action *disk, __u64 prev,
			    enum incfs_dir_action action, __u64 dir, __u64 entry,
			    const char *name, size_t len)
{
	build_header(disk, sizeof(*disk), INCFS_RECORD_DIR_ACTION, prev);
	disk->da_dir_inode = cpu_to_le64(dir);
	disk->da_entry_inode = cpu_to_le64(entry);
	disk->da_type = action;
	disk->da_name_len = len;
	memcpy(disk->da_name, name, len);
	seal_record(disk, sizeof(*disk));
}

void incfs_format_build_attrs(struct incfs_disk_attrs *disk, __u64 prev,
			      const struct incfs_attrs *attrs)
{
	size_t size = incfs_format_attrs_size(attrs->items_len);

	build_header(disk, size, INCFS_RECORD_ATTRS, prev);
	disk->a_ino = cpu_to_le64(attrs->ino);
	disk->a_mtime_sec = cpu_to_le64(attrs->mtime_sec);
	disk->a_mtime_nsec = cpu_to_le32(attrs->mtime_nsec);
	disk->a_uid = cpu_to_le32(attrs->uid);
	disk->a_gid = cpu_to_le32(attrs->gid);
	disk->a_mode = cpu_to_le16(attrs->mode);
	memcpy(disk->a_items, attrs->items, attrs->items_len);
	disk->a_items[attrs->items_len] = INCFS_ATTRS_END;
	seal_record(disk, size);
}

void incfs_format_build_extent(struct incfs_disk_extent *disk,
			       const struct incfs_extent *extent)
{
	disk->me_data_offset_lo = cpu_to_le32(extent->offset);
	disk->me_data_offset_hi = cpu_to_le16(extent->offset >> 32);
	disk->me_data_size = cpu_to_le16(extent->size);
	disk->me_flags = cpu_to_le16(extent->flags);
	disk->me_data_crc = cpu_to_le32(extent->crc);
}
