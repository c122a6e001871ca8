// SPDX-License-Identifier: GPL-2.0-only
/*
 * Incremental FS: the walk through the records of an image.
 *
 * Links only point forward, so the walk ends. A link may lead to what never
 * reached the disk: nothing orders the writing of a record and of the link to
 * it but a sync. The list ends before such a record, and whatever was
 * acknowledged by a sync lies in front of it. All else that is wrong refuses
 * the image.
 */
#include "walk.h"

/* Have up to @want bytes from @offset on in the buffer, fewer at the end of the image. */
static int fetch(struct incfs_walk *walk, __u64 offset, size_t want, const void **at, size_t *len)
{
	__u64 left = walk->image_size - offset;
	int err;

	if (want > left)
		want = left;
	if (offset < walk->start || offset - walk->start > walk->len ||
	    walk->len - (offset - walk->start) < want) {
		walk->start = offset;
		walk->len = left < INCFS_WALK_BUFFER ? left : INCFS_WALK_BUFFER;
		err = walk->read(walk->arg, walk->buf, walk->len, offset);
		if (err) {
			walk->len = 0;
			walk->why = "can't be read";
			return err;
		}
	}
	*at = walk->buf + (offset - walk->start);
	*len = walk->len - (offset - walk->start);
	return 0;
}

/* Bytes that the record may have, by what its header says; a header at least. */
static size_t wanted(const void *buf, size_t len)
{
	const struct incfs_disk_header *header = buf;
	size_t size;

	if (len < sizeof(*header))
		return sizeof(*header);
	size = le16_to_cpu(header->h_record_size);
	return size < INCFS_RECORD_SIZE_MAX ? size : INCFS_RECORD_SIZE_MAX;
}

static int check_features(struct incfs_walk *walk, const struct incfs_record *record)
{
	if (walk->super.features & INCFS_FEATURE_ATTRS)
		return 0;
	if (record->type == INCFS_RECORD_ATTRS)
		walk->why = "attributes in an image without this feature";
	else if (record->type == INCFS_RECORD_INODE && S_ISLNK(record->inode.mode))
		walk->why = "symbolic link in an image without this feature";
	return walk->why ? -EINVAL : 0;
}

/* Find the whole record at walk->offset in the buffer, and check it. */
static int fetch_record(struct incfs_walk *walk, struct incfs_record *record)
{
	size_t len, size;
	const void *buf;
	int err;

	err = fetch(walk, walk->offset, sizeof(struct incfs_disk_header), &buf, &len);
	if (!err)
		err = fetch(walk, walk->offset, wanted(buf, len), &buf, &len);
	if (err)
		return err;
	err = incfs_format_parse_header(buf, len, walk->offset, walk->last, &size, &walk->why);
	if (!err && size > len)
		err = -EINVAL;
	if (!err)
		err = incfs_format_parse_record(buf, size, walk->offset, walk->image_size,
						record, &walk->why);
	if (err && incfs_format_is_unwritten(buf, len, walk->offset)) {
		walk->torn = walk->offset;
		walk->why = NULL;
		err = 0;
	}
	return err;
}

/* Take in the record at walk->offset; *@next is where the next one is. */
static int walk_record(struct incfs_walk *walk, __u64 *next)
{
	struct incfs_record record;
	int err;

	*next = 0;
	err = fetch_record(walk, &record);
	if (err || walk->torn)
		return err;
	err = check_features(walk, &record);
	if (!err)
		err = walk->record(walk->arg, &record, &walk->why);
	if (err)
		return err;
	walk->last = walk->offset;
	walk->records++;
	*next = record.next;
	return 0;
}

int incfs_walk_image(struct incfs_walk *walk)
{
	__u64 next;
	const void *buf;
	size_t len;
	int err;

	walk->last = walk->records = walk->torn = walk->offset = 0;
	walk->start = walk->len = 0;
	walk->why = NULL;
	err = fetch(walk, 0, sizeof(struct incfs_disk_super), &buf, &len);
	if (!err)
		err = incfs_format_parse_super(buf, len, &walk->super, &walk->why);
	if (err)
		return err;
	for (next = walk->super.first; next && !err; ) {
		walk->offset = next;
		if (next >= walk->image_size) {
			walk->torn = next;
			return 0;
		}
		err = walk_record(walk, &next);
	}
	return err;
}
