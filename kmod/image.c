// SPDX-License-Identifier: GPL-2.0-only
/*
 * Incremental FS: I/O on the image file.
 *
 * The image only grows. Space is handed out at its end under append_lock; the
 * bytes of a block are then written without a lock, and become visible by the
 * block-map entry that is written after them. A record is written whole before
 * the link to it, so a record that was cut off does not exist.
 *
 * Raw blocks are aligned, so that they can be read straight into a page; what
 * the alignment leaves free is used for the next compressed blocks that fit.
 */
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/fs.h>

#include "internal.h"

static DEFINE_MUTEX(images_lock);
static LIST_HEAD(images);

u64 incfs_image_size(const struct incfs_image *image)
{
	return i_size_read(file_inode(image->file));
}

/* Transfer all of @len bytes: a file that ends, or takes no more, is an error. */
static int image_transfer(struct incfs_image *image, void *buf, size_t len, u64 offset,
			  bool write)
{
	const struct cred *old = override_creds(image->cred);
	loff_t pos = offset;
	ssize_t n = 0;

	while (len) {
		n = write ? kernel_write(image->file, buf, len, &pos) :
			    kernel_read(image->file, buf, len, &pos);
		if (n <= 0)
			break;
		buf += n;
		len -= n;
	}
	revert_creds(old);
	if (!len)
		return 0;
	return n ?: -EIO;
}

int incfs_image_pread(struct incfs_image *image, void *buf, size_t len, u64 offset)
{
	return image_transfer(image, buf, len, offset, false);
}

int incfs_image_pwrite(struct incfs_image *image, const void *buf, size_t len, u64 offset)
{
	return image_transfer(image, (void *)buf, len, offset, true);
}

int incfs_image_sync(struct incfs_image *image)
{
	const struct cred *old = override_creds(image->cred);
	int err = vfs_fsync(image->file, 0);

	revert_creds(old);
	return err;
}

/* One mount an image: two would append over each other. */
static int image_claim(struct incfs_image *image)
{
	struct incfs_image *other;
	int err = 0;

	mutex_lock(&images_lock);
	list_for_each_entry(other, &images, list) {
		if (file_inode(other->file) == file_inode(image->file))
			err = -EBUSY;
	}
	if (!err)
		list_add(&image->list, &images);
	mutex_unlock(&images_lock);
	return err;
}

int incfs_image_open(struct incfs_image *image, const struct file *given)
{
	int err;

	image->cred = get_current_cred();
	image->file = dentry_open(&given->f_path, O_RDWR | O_LARGEFILE, image->cred);
	if (IS_ERR(image->file)) {
		err = PTR_ERR(image->file);
		goto err_put_cred;
	}
	err = image_claim(image);
	if (err)
		goto err_put_file;
	mutex_init(&image->append_lock);
	image->end = incfs_image_size(image);
	return 0;

err_put_file:
	fput(image->file);
err_put_cred:
	put_cred(image->cred);
	image->file = NULL;
	return err;
}

void incfs_image_close(struct incfs_image *image)
{
	if (!image->file)
		return;
	mutex_lock(&images_lock);
	list_del(&image->list);
	mutex_unlock(&images_lock);
	fput(image->file);
	put_cred(image->cred);
}

int incfs_image_format(struct incfs_image *image)
{
	struct incfs_super super = {};
	struct incfs_disk_super disk;
	int err;

	incfs_format_build_super(&disk, &super);
	err = incfs_image_pwrite(image, &disk, sizeof(disk), 0);
	if (!err)
		image->end = sizeof(disk);
	return err;
}

/* Reserve @len bytes past everything that was ever written: they are zero. */
static int reserve_end(struct incfs_image *image, u64 len, u64 *offset)
{
	u64 start = max(image->end, incfs_image_size(image));

	lockdep_assert_held(&image->append_lock);
	if (len > INCFS_OFFSET_MAX - start)
		return -EFBIG;
	*offset = start;
	image->end = start + len;
	return 0;
}

static int reserve_data(struct incfs_image *image, size_t len, u64 *offset)
{
	u64 end = image->end;
	u64 aligned = round_up(end, INCFS_BLOCK_SIZE);

	lockdep_assert_held(&image->append_lock);
	if (image->gap_end - image->gap_start >= len) {
		*offset = image->gap_start;
		image->gap_start += len;
		return 0;
	}
	if (len != INCFS_BLOCK_SIZE)
		return reserve_end(image, len, offset);
	if (len > INCFS_OFFSET_MAX - aligned)
		return -EFBIG;
	if (aligned - end > image->gap_end - image->gap_start) {
		image->gap_start = end;
		image->gap_end = aligned;
	}
	*offset = aligned;
	image->end = aligned + len;
	return 0;
}

int incfs_image_append_data(struct incfs_image *image, const void *buf, size_t len, u64 *offset)
{
	int err;

	mutex_lock(&image->append_lock);
	err = reserve_data(image, len, offset);
	mutex_unlock(&image->append_lock);
	return err ?: incfs_image_pwrite(image, buf, len, *offset);
}

/* Make the record at @first, and those it links to up to @last, exist. */
static int link_records(struct incfs_image *image, u64 first, u64 last)
{
	u64 at = offsetof(struct incfs_disk_super, s_first_md_offset);
	__le64 link = cpu_to_le64(first);
	int err;

	lockdep_assert_held(&image->append_lock);
	if (image->last_record)
		at = image->last_record + offsetof(struct incfs_disk_header, h_next_md_offset);
	err = incfs_image_pwrite(image, &link, sizeof(link), at);
	if (!err)
		image->last_record = last;
	return err;
}

/*
 * The block map lies in front of the records: writing them makes the file long
 * enough to hold it, as a hole that reads as zeros.
 */
int incfs_image_append_file(struct incfs_image *image, u64 ino, u64 size, umode_t mode,
			    u64 *map_offset)
{
	struct {
		struct incfs_disk_inode inode;
		struct incfs_disk_block_map map;
	} __packed records;
	u32 blocks = incfs_format_blocks(size);
	u64 map_size = incfs_format_map_size(blocks);
	size_t len = blocks ? sizeof(records) : sizeof(records.inode);
	u64 start, first, last;
	int err;

	mutex_lock(&image->append_lock);
	err = reserve_end(image, map_size + len, &start);
	if (err)
		goto out_unlock;
	first = start + map_size;
	last = blocks ? first + sizeof(records.inode) : first;
	incfs_format_build_inode(&records.inode, image->last_record, ino, size, mode);
	if (blocks)
		incfs_format_set_next(&records.inode, last);
	incfs_format_build_map(&records.map, first, ino, start, blocks);
	err = incfs_image_pwrite(image, &records, len, first);
	if (!err)
		err = link_records(image, first, last);
	if (!err)
		*map_offset = blocks ? start : 0;
out_unlock:
	mutex_unlock(&image->append_lock);
	return err;
}

int incfs_image_append_map(struct incfs_image *image, u64 ino, u32 blocks, u64 *map_offset)
{
	u64 map_size = incfs_format_map_size(blocks);
	struct incfs_disk_block_map record;
	u64 start;
	int err;

	mutex_lock(&image->append_lock);
	err = reserve_end(image, map_size + sizeof(record), &start);
	if (err)
		goto out_unlock;
	incfs_format_build_map(&record, image->last_record, ino, start, blocks);
	err = incfs_image_pwrite(image, &record, sizeof(record), start + map_size);
	if (!err)
		err = link_records(image, start + map_size, start + map_size);
	if (!err)
		*map_offset = start;
out_unlock:
	mutex_unlock(&image->append_lock);
	return err;
}

int incfs_image_append_dir(struct incfs_image *image, enum incfs_dir_action action, u64 dir,
			   u64 entry, const char *name, size_t len)
{
	struct incfs_disk_dir_action record;
	u64 start;
	int err;

	mutex_lock(&image->append_lock);
	err = reserve_end(image, sizeof(record), &start);
	if (err)
		goto out_unlock;
	incfs_format_build_dir(&record, image->last_record, action, dir, entry, name, len);
	err = incfs_image_pwrite(image, &record, sizeof(record), start);
	if (!err)
		err = link_records(image, start, start);
out_unlock:
	mutex_unlock(&image->append_lock);
	return err;
}
