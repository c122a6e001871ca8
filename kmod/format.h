/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Incremental FS: the image format, v1 (docs/format.md).
 *
 *   0          32
 *   +----------+--------+-----------+--------+--------+-----------+---
 *   | super    | record | block map | record | blocks | record    | ...
 *   +----------+--------+-----------+--------+--------+-----------+---
 *      |         ^   |                ^    |             ^
 *      +- first -+   +----- next -----+    +--- next ----+
 *
 * Records form a list in file order, linked both ways. Block maps and the
 * stored bytes of blocks lie anywhere; records and block maps point at them.
 *
 * This header, format.c and walk.c hold no kernel call: the module, the image
 * tools and the fuzzers compile the same files.
 */
#ifndef _INCFS_FORMAT_H
#define _INCFS_FORMAT_H

#ifdef __KERNEL__
#include <linux/build_bug.h>
#include <linux/crc32.h>
#include <linux/errno.h>
#include <linux/stat.h>
#include <linux/string.h>
#include <linux/types.h>
#include <asm/byteorder.h>
#else
#include "format_user.h"
#endif

#define INCFS_FORMAT_MAGIC 0x5346434e49ull
#define INCFS_FORMAT_VERSION 1
#define INCFS_BLOCK_SHIFT 12
#define INCFS_BLOCK_SIZE (1u << INCFS_BLOCK_SHIFT)
#define INCFS_NAME_MAX 255
#define INCFS_STORED_MAX 8192		/* bytes of a block as it is stored */
#define INCFS_FIRST_INO 3		/* 1 and 2 are .cmd and the root */
#define INCFS_LAST_INO 0xffffffffull
#define INCFS_FILE_SIZE_MAX (0xffffffffull << INCFS_BLOCK_SHIFT)
#define INCFS_OFFSET_MAX ((1ull << 48) - 1)
#define INCFS_RECORD_SIZE_MAX 4096
#define INCFS_SECTOR_SIZE 512u		/* no record header crosses a multiple of it */

/*
 * s_flags. A reader refuses an image with a bit of the lower half that it does
 * not know; bits of the upper half it may ignore.
 */
#define INCFS_FEATURE_ATTRS 1u		/* attribute records, symbolic links */
#define INCFS_FEATURES_INCOMPAT 0xffffu
#define INCFS_FEATURES_KNOWN INCFS_FEATURE_ATTRS

enum incfs_record_type {
	INCFS_RECORD_NONE = 0,
	INCFS_RECORD_INODE = 1,
	INCFS_RECORD_BLOCK_MAP = 2,
	INCFS_RECORD_DIR_ACTION = 3,
	INCFS_RECORD_ATTRS = 4,		/* with INCFS_FEATURE_ATTRS only */
};

enum incfs_dir_action {
	INCFS_DIR_NONE = 0,
	INCFS_DIR_ADD = 1,
	INCFS_DIR_REMOVE = 2,
};

struct incfs_disk_super {
	__le64 s_magic;
	__le64 s_version;
	__le16 s_super_block_size;
	__le32 s_flags;
	__le64 s_first_md_offset;
	__le16 s_data_block_size;
} __packed;

struct incfs_disk_header {
	__u8 h_md_entry_type;
	__le16 h_record_size;
	__le32 h_record_crc;
	__le64 h_next_md_offset;
	__le64 h_prev_md_offset;
} __packed;

struct incfs_disk_inode {
	struct incfs_disk_header header;
	__le64 i_no;
	__le64 i_size;
	__le16 i_mode;
	__le32 i_flags;
} __packed;

struct incfs_disk_block_map {
	struct incfs_disk_header header;
	__le64 m_inode;
	__le64 m_base_offset;
	__le32 m_block_count;
} __packed;

struct incfs_disk_dir_action {
	struct incfs_disk_header header;
	__le64 da_dir_inode;
	__le64 da_entry_inode;
	__u8 da_type;
	__u8 da_name_len;
	__u8 da_name[INCFS_NAME_MAX];
} __packed;

/* Followed by a_items, as many as fit, and a last byte of INCFS_ATTRS_END. */
struct incfs_disk_attrs {
	struct incfs_disk_header header;
	__le64 a_ino;
	__le64 a_mtime_sec;
	__le32 a_mtime_nsec;
	__le32 a_uid;
	__le32 a_gid;
	__le16 a_mode;
	__u8 a_items[];
} __packed;

/* Followed by the name and the value; type as in the UAPI header. */
struct incfs_disk_item {
	__u8 type;
	__u8 name_len;
	__le16 value_len;
} __packed;

#define INCFS_ATTRS_END 1
#define INCFS_ATTRS_ITEMS_MAX \
	(INCFS_RECORD_SIZE_MAX - sizeof(struct incfs_disk_attrs) - 1)
#define INCFS_ATTRS_COUNT_MAX 128	/* items of an inode */

/* One of m_block_count, from m_base_offset on. */
struct incfs_disk_extent {
	__le32 me_data_offset_lo;
	__le16 me_data_offset_hi;
	__le16 me_data_size;
	__le16 me_flags;
	__le32 me_data_crc;
} __packed;

#define INCFS_EXTENT_LZ4 1		/* me_flags */

/* struct incfs_extent - where the stored bytes of a block lie */
struct incfs_extent {
	__u64 offset;
	__u32 crc;
	__u16 size;			/* 0: the block is absent */
	__u16 flags;
};

/* struct incfs_attrs - what an attribute record says of an inode */
struct incfs_attrs {
	__u64 ino;
	__s64 mtime_sec;
	__u32 mtime_nsec;
	__u32 uid;
	__u32 gid;
	__u16 mode;			/* permission bits, all twelve */
	size_t items_len;
	const void *items;		/* into the caller's buffer; checked */
};

/* Items of an inode: what the UAPI header calls INCFS_ATTR_. */
enum incfs_item_type {
	INCFS_ITEM_SYMLINK = 1,
	INCFS_ITEM_KEY = 2,
	INCFS_ITEM_XATTR = 3,
};

#define INCFS_ITEM_KEY_MAX 512

/* struct incfs_item - one item of them; the pointers are into the items */
struct incfs_item {
	__u8 type;
	__u8 name_len;
	__u16 value_len;
	const char *name;
	const void *value;
};

/* struct incfs_super - the superblock, checked and decoded */
struct incfs_super {
	__u64 first;			/* the first record, 0 for none */
	__u32 features;
};

/* struct incfs_record - a record, checked and decoded */
struct incfs_record {
	enum incfs_record_type type;
	__u64 offset;
	__u64 next;			/* 0 in the last */
	union {
		struct {
			__u64 ino;
			__u64 size;
			__u16 mode;
		} inode;
		struct {
			__u64 ino;
			__u64 offset;
			__u32 count;
		} map;
		struct {
			__u64 dir;
			__u64 entry;
			__u8 action;
			__u8 len;
			const char *name;	/* into the caller's buffer */
		} dir;
		struct incfs_attrs attrs;
	};
};

static inline __u32 incfs_format_blocks(__u64 size)
{
	return (size + INCFS_BLOCK_SIZE - 1) >> INCFS_BLOCK_SHIFT;
}

static inline size_t incfs_format_attrs_size(size_t items_len)
{
	return sizeof(struct incfs_disk_attrs) + items_len + 1;
}

static inline __u64 incfs_format_map_size(__u32 blocks)
{
	return (__u64)blocks * sizeof(struct incfs_disk_extent);
}

/*
 * Parsers. Each returns 0, or -EINVAL and a reason in *why; none trusts a byte
 * of @buf. @image_size is the length of the image file.
 */
int incfs_format_parse_super(const void *buf, size_t len, struct incfs_super *super,
			     const char **why);
/*
 * Check the header at the start of @buf for a record at @offset whose
 * predecessor is at @prev. On success *@size is how many bytes the record has.
 * That the record, and the next one, lie within the image is up to the caller.
 */
int incfs_format_parse_header(const void *buf, size_t len, __u64 offset, __u64 prev,
			      size_t *size, const char **why);
/* Check and decode the whole record of *size bytes that parse_header found. */
int incfs_format_parse_record(const void *buf, size_t size, __u64 offset, __u64 image_size,
			      struct incfs_record *record, const char **why);
/*
 * Has the record at the start of @buf, which no parser takes, been cut off by a
 * crash? What of it was not written yet is zeros: its whole header, the member at
 * its end that is never zero, or all that lies on one side of a multiple of 4096.
 * Anything else is damage.
 */
bool incfs_format_is_unwritten(const void *buf, size_t len, __u64 offset);
/* Check the items of an inode of type @mode (S_IFMT). */
int incfs_format_check_items(const void *items, size_t len, __u16 mode, const char **why);
/* Take the item at the start of *@items off; false at the end, or if it is cut off. */
bool incfs_format_next_item(const void **items, size_t *len, struct incfs_item *item);
/* Check a name; *why says what is wrong with it. */
int incfs_format_check_name(const char *name, size_t len, const char **why);
/*
 * Decode @count block-map entries. One that is empty, or that cannot be right
 * (outside the image, unknown flags), gets a size of 0: absent.
 */
void incfs_format_parse_extents(const struct incfs_disk_extent *disk, __u32 count,
				__u64 image_size, struct incfs_extent *extents);

/*
 * Builders: fill @disk in whole, its CRC included, as the last record. The CRC
 * does not cover the link to the next one, which incfs_format_set_next() sets.
 */
void incfs_format_build_super(struct incfs_disk_super *disk, const struct incfs_super *super);
void incfs_format_build_inode(struct incfs_disk_inode *disk, __u64 prev, __u64 ino, __u64 size,
			      __u16 mode);
void incfs_format_build_map(struct incfs_disk_block_map *disk, __u64 prev, __u64 ino,
			    __u64 offset, __u32 count);
void incfs_format_build_dir(struct incfs_disk_dir_action *disk, __u64 prev,
			    enum incfs_dir_action action, __u64 dir, __u64 entry,
			    const char *name, size_t len);
/* @disk has room for incfs_format_attrs_size(). */
void incfs_format_build_attrs(struct incfs_disk_attrs *disk, __u64 prev,
			      const struct incfs_attrs *attrs);
void incfs_format_set_next(void *record, __u64 next);
void incfs_format_build_extent(struct incfs_disk_extent *disk,
			       const struct incfs_extent *extent);

/* CRC of the stored bytes of a block. */
static inline __u32 incfs_format_crc(const void *buf, size_t len)
{
	return crc32_le(0, buf, len);
}

#endif /* _INCFS_FORMAT_H */
