// SPDX-License-Identifier: GPL-2.0-only
/*
 * Incremental FS: I/O on the image file.
 *
 * The image only grows. Space is handed out at its end under append_lock; the
 * bytes of a block are then written without a lock, and become visible by the
 * block-map entry that is written after them. A record is written whole before
 * the link to it, so a record that was cut off does not exist.
 *
 * Blocks that are handed over together lie in one piece. Raw ones are aligned and
 * come first, so that they can be read straight into pages; what the alignment
 * leaves free is used for the next compressed ones that fit.
 */
#include <linux/cred.h>
#include <linux/errseq.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/statfs.h>
#include <linux/swap.h>
#include <linux/uio.h>

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

/*
 * A folio of the image's page cache, for a read of up to @end. The image's read_iter() is
 * not asked: on XFS it takes the lock of the inode, and who holds that may be waiting for
 * us, in a page fault. NULL where there is no other way, as on tmpfs, which takes no lock.
 */
static struct folio *image_folio(struct incfs_image *image, u64 offset, u64 end)
{
	struct file *file = image->file;
	struct address_space *mapping = file->f_mapping;
	pgoff_t index = offset >> PAGE_SHIFT;
	struct folio *folio = filemap_get_folio(mapping, index);
	const struct cred *old;
	struct file_ra_state ra;

	if (!IS_ERR(folio)) {
		if (folio_test_uptodate(folio))
			return folio;
		folio_put(folio);
	}
	if (!mapping->a_ops->read_folio)
		return NULL;
	old = override_creds(image->cred);
	if (IS_ERR(folio)) {
		file_ra_state_init(&ra, mapping);
		page_cache_sync_readahead(mapping, &ra, file, index,
					  DIV_ROUND_UP(end, PAGE_SIZE) - index);
	}
	folio = read_mapping_folio(mapping, index, file);
	revert_creds(old);
	return folio;
}

int incfs_image_pread(struct incfs_image *image, void *buf, size_t len, u64 offset)
{
	u64 size = incfs_image_size(image);
	struct folio *folio;
	size_t n;

	if (len > size || offset > size - len)
		return -EIO;
	for (; len; buf += n, offset += n, len -= n) {
		folio = image_folio(image, offset, offset + len);
		if (!folio)
			return image_transfer(image, buf, len, offset, false);
		if (IS_ERR(folio))
			return PTR_ERR(folio);
		n = min(len, folio_size(folio) - offset_in_folio(folio, offset));
		memcpy_from_folio(buf, folio, offset_in_folio(folio, offset), n);
		folio_mark_accessed(folio);
		folio_put(folio);
	}
	return 0;
}

static int read_iter_locked(struct incfs_image *image, struct iov_iter *iter, u64 offset)
{
	const struct cred *old = override_creds(image->cred);
	struct kiocb iocb;
	ssize_t n = 0;

	init_sync_kiocb(&iocb, image->file);
	iocb.ki_pos = offset;
	while (iov_iter_count(iter)) {
		n = vfs_iocb_iter_read(image->file, &iocb, iter);
		if (n <= 0)
			break;
	}
	revert_creds(old);
	if (!iov_iter_count(iter))
		return 0;
	return n ?: -EIO;
}

int incfs_image_read_iter(struct incfs_image *image, struct iov_iter *iter, u64 offset)
{
	u64 size = incfs_image_size(image);
	struct folio *folio;
	size_t len, n;

	if (iov_iter_count(iter) > size || offset > size - iov_iter_count(iter))
		return -EIO;
	for (; (len = iov_iter_count(iter)); offset += n) {
		folio = image_folio(image, offset, offset + len);
		if (!folio)
			return read_iter_locked(image, iter, offset);
		if (IS_ERR(folio))
			return PTR_ERR(folio);
		n = min(len, folio_size(folio) - offset_in_folio(folio, offset));
		n = copy_folio_to_iter(folio, offset_in_folio(folio, offset), n, iter);
		folio_put(folio);
		if (!n)
			return -EFAULT;
	}
	return 0;
}

int incfs_image_pwrite(struct incfs_image *image, const void *buf, size_t len, u64 offset)
{
	return image_transfer(image, (void *)buf, len, offset, true);
}

int incfs_image_sync(struct incfs_image *image)
{
	return incfs_image_sync_range(image, 0, LLONG_MAX);
}

int incfs_image_sync_range(struct incfs_image *image, u64 first, u64 last)
{
	const struct cred *old = override_creds(image->cred);
	int err = 0;

	/* A file that can't be written needs no sync, and may know none. */
	if (incfs_image_writable(image))
		err = vfs_fsync_range(image->file, first, last, 0);
	revert_creds(old);
	if (err)
		errseq_set(&container_of(image, struct incfs_mount, image)->sb->s_wb_err, err);
	return err;
}

int incfs_image_room(struct incfs_image *image, u64 *bytes)
{
	const struct cred *old = override_creds(image->cred);
	struct kstatfs stat;
	int err;

	err = vfs_statfs(&image->file->f_path, &stat);
	revert_creds(old);
	if (!err)
		*bytes = stat.f_bavail * stat.f_bsize;
	return err;
}

u64 incfs_image_next_data(struct incfs_image *image, u64 offset)
{
	const struct cred *old = override_creds(image->cred);
	loff_t next = vfs_llseek(image->file, offset, SEEK_DATA);

	revert_creds(old);
	if (next == -ENXIO)
		return U64_MAX;
	return next < 0 ? offset : next;
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

/* How direct reads are to be aligned; 0: there are none, or they may have to wait (io.c). */
static u32 direct_align(const struct file *file)
{
	struct kstat stat;

	if (!(file->f_mode & FMODE_CAN_ODIRECT) || !(file->f_mode & FMODE_NOWAIT))
		return 0;
	/* It waits for the lock of the inode in each direct read, asked to or not. */
	if (file_inode(file)->i_sb->s_magic == BTRFS_SUPER_MAGIC)
		return 0;
	if (vfs_getattr_nosec(&file->f_path, &stat, STATX_DIOALIGN, 0) ||
	    !(stat.result_mask & STATX_DIOALIGN))
		return INCFS_BLOCK_SIZE;
	return stat.dio_offset_align > INCFS_BLOCK_SIZE ? 0 : stat.dio_offset_align;
}

int incfs_image_open(struct incfs_image *image, const struct file *given)
{
	bool write = (given->f_mode & FMODE_WRITE) && !__mnt_is_readonly(given->f_path.mnt);
	int err;

	image->cred = get_current_cred();
	image->file = dentry_open(&given->f_path, (write ? O_RDWR : O_RDONLY) |
				  O_LARGEFILE | O_NOATIME, image->cred);
	if (IS_ERR(image->file)) {
		err = PTR_ERR(image->file);
		goto err_put_cred;
	}
	err = image_claim(image);
	if (err)
		goto err_put_file;
	mutex_init(&image->append_lock);
	image->end = incfs_image_size(image);
	image->direct_align = direct_align(image->file);
	image->write_unit = min(i_blocksize(file_inode(image->file)), INCFS_BLOCK_SIZE);
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

/* An image that was once one stays one, whatever happens: its superblock is synced. */
int incfs_image_format(struct incfs_image *image)
{
	struct incfs_super super = {};
	struct incfs_disk_super disk;
	int err;

	incfs_format_build_super(&disk, &super);
	err = incfs_image_pwrite(image, &disk, sizeof(disk), 0);
	if (err)
		return err;
	image->end = sizeof(disk);
	return incfs_image_sync(image);
}

/* Where the link from the last record is, or the one from the superblock. */
static u64 link_offset(const struct incfs_image *image)
{
	if (!image->last_record)
		return offsetof(struct incfs_disk_super, s_first_md_offset);
	return image->last_record + offsetof(struct incfs_disk_header, h_next_md_offset);
}

static int write_link(struct incfs_image *image, u64 next)
{
	__le64 link = cpu_to_le64(next);

	lockdep_assert_held(&image->append_lock);
	return incfs_image_pwrite(image, &link, sizeof(link), link_offset(image));
}

/*
 * A link that a crash has left without its record must be gone before anything
 * new may come to lie where it points: bytes of a block would be taken for a
 * record.
 */
static int drop_dead_link(struct incfs_image *image)
{
	u64 at = link_offset(image);
	int err;

	lockdep_assert_held(&image->append_lock);
	if (!image->torn)
		return 0;
	err = write_link(image, 0);
	if (!err)
		err = incfs_image_sync_range(image, at, at + sizeof(__le64) - 1);
	if (!err)
		image->torn = false;
	return err;
}

/* @aligned: the first of the bytes are those of a raw block. */
static int reserve_data(struct incfs_image *image, size_t len, bool aligned, u64 *offset)
{
	u64 end = image->end;
	u64 start = aligned ? round_up(end, INCFS_BLOCK_SIZE) : end;

	lockdep_assert_held(&image->append_lock);
	if (image->gap_end - image->gap_start >= len) {
		*offset = image->gap_start;
		image->gap_start += len;
		return 0;
	}
	if (len > INCFS_OFFSET_MAX - start)
		return -EFBIG;
	if (start - end > image->gap_end - image->gap_start) {
		image->gap_start = end;
		image->gap_end = start;
	}
	*offset = start;
	image->end = start + len;
	return 0;
}

/* Give room back that was not written, if nothing was reserved behind it. */
static void unreserve_data(struct incfs_image *image, size_t len, u64 offset)
{
	mutex_lock(&image->append_lock);
	if (image->gap_start == offset + len)
		image->gap_start = offset;
	else if (image->end == offset + len)
		image->end = offset;
	mutex_unlock(&image->append_lock);
}

/* struct piece - bytes of blocks, in the order that they are going to have in the image */
struct piece {
	struct kvec vec[INCFS_EXTENT_BATCH];
	unsigned int nr;
	size_t len;
	bool aligned;
};

/* Blocks that lie next to each other in memory are one vector. Offsets are those in the piece. */
static void piece_add(struct piece *piece, struct incfs_new_block *block)
{
	struct kvec *last = piece->nr ? &piece->vec[piece->nr - 1] : NULL;

	block->extent.offset = piece->len;
	piece->len += block->extent.size;
	if (last && last->iov_base + last->iov_len == block->buf)
		last->iov_len += block->extent.size;
	else
		piece->vec[piece->nr++] = (struct kvec) {
			.iov_base = (void *)block->buf,
			.iov_len = block->extent.size,
		};
}

static void piece_build(struct piece *piece, struct incfs_new_block *blocks, u32 count, u32 which)
{
	u32 i;

	piece->nr = 0;
	piece->len = 0;
	for (i = 0; i < count; i++)
		if (which & BIT(i) && blocks[i].extent.size == INCFS_BLOCK_SIZE)
			piece_add(piece, &blocks[i]);
	piece->aligned = piece->nr;
	for (i = 0; i < count; i++)
		if (which & BIT(i) && blocks[i].extent.size != INCFS_BLOCK_SIZE)
			piece_add(piece, &blocks[i]);
}

static int piece_write(struct piece *piece, struct incfs_image *image, u64 offset)
{
	const struct cred *old = override_creds(image->cred);
	size_t left = piece->len;
	struct iov_iter iter;
	loff_t pos = offset;
	ssize_t n = 0;

	iov_iter_kvec(&iter, ITER_SOURCE, piece->vec, piece->nr, left);
	while (left) {
		/* A limit of the file's size cuts the iterator off. */
		iov_iter_reexpand(&iter, left);
		n = vfs_iter_write(image->file, &iter, &pos, 0);
		if (n <= 0)
			break;
		left -= n;
	}
	revert_creds(old);
	if (!left)
		return 0;
	return n ?: -EIO;
}

int incfs_image_append_blocks(struct incfs_image *image, struct incfs_new_block *blocks,
			      u32 count, u32 which)
{
	struct piece piece;
	u64 offset;
	int err;
	u32 i;

	piece_build(&piece, blocks, count, which);
	mutex_lock(&image->append_lock);
	err = drop_dead_link(image);
	if (!err)
		err = reserve_data(image, piece.len, piece.aligned, &offset);
	mutex_unlock(&image->append_lock);
	if (err)
		return err;
	err = piece_write(&piece, image, offset);
	if (err) {
		unreserve_data(image, piece.len, offset);
		return err;
	}
	for (i = 0; i < count; i++)
		blocks[i].extent.offset += offset;
	return 0;
}

/*
 * struct batch - records that are written in one go and linked by one link, so
 * that all of them come to be, or none
 */
struct batch {
	struct incfs_image *image;
	u8 *buf;
	u64 start;			/* where the bytes of @buf are going to be */
	size_t len;			/* how many there are */
	u64 first, last;		/* offsets of the first and the last record */
	void *record;			/* the last record */
};

/* What one record needs at most: its header is not cut by the end of a sector. */
#define BATCH_ROOM(size) ((size) + sizeof(struct incfs_disk_header) - 1)

/*
 * Where to reserve: past everything that was ever written, as a block map has to
 * be zero. append_lock is held until the batch is written or given up, so what
 * fails to be written takes no room.
 */
static int batch_begin(struct batch *batch, struct incfs_image *image, size_t room)
{
	int err;

	*batch = (struct batch) { .image = image };
	batch->buf = kzalloc(room, GFP_KERNEL);
	if (!batch->buf)
		return -ENOMEM;
	mutex_lock(&image->append_lock);
	err = drop_dead_link(image);
	if (err) {
		mutex_unlock(&image->append_lock);
		kfree(batch->buf);
		return err;
	}
	batch->start = max(image->end, incfs_image_size(image));
	batch->last = image->last_record;
	return 0;
}

/*
 * Leave room for a block map in front of the records: writing them makes the
 * file long enough to hold it, as a hole that reads as zeros. The map begins
 * such that the first two of its entries that cross the end of a page are cut
 * where it does no harm, after 6 and 0 bytes, and none is cut after an odd number
 * (see write_entries_at() in store.c).
 */
static u64 batch_add_map(struct batch *batch, u32 blocks)
{
	u64 size = incfs_format_map_size(blocks);
	u64 map = round_up(batch->start, 2);
	u32 left = INCFS_BLOCK_SIZE - map % INCFS_BLOCK_SIZE;

	if (size > left)
		map += (left + 8) % sizeof(struct incfs_disk_extent);
	batch->start = map + size;
	return map;
}

/* Room for the next record, linked to the one before; it is @batch->last then. */
static void *batch_add(struct batch *batch, size_t size)
{
	u64 at = batch->start + batch->len;
	u32 left = INCFS_SECTOR_SIZE - at % INCFS_SECTOR_SIZE;

	if (left < sizeof(struct incfs_disk_header))
		at += left;
	if (batch->record)
		incfs_format_set_next(batch->record, at);
	else
		batch->first = at;
	batch->last = at;
	batch->len = at - batch->start + size;
	batch->record = batch->buf + (at - batch->start);
	return batch->record;
}

/*
 * Write what is in the batch, unless @err says that it failed, and end it. A record
 * may have lost its beginning or its end in a crash, which can be told, but not what
 * is in between: longer ones are on the disk before the link to them.
 */
static int batch_end(struct batch *batch, int err)
{
	struct incfs_image *image = batch->image;

	if (!err && batch->start > INCFS_OFFSET_MAX - batch->len)
		err = -EFBIG;
	if (!err)
		err = incfs_image_pwrite(image, batch->buf, batch->len, batch->start);
	if (!err && batch->len > image->write_unit)
		err = incfs_image_sync_range(image, batch->start,
					     batch->start + batch->len - 1);
	if (!err) {
		image->end = batch->start + batch->len;
		err = write_link(image, batch->first);
	}
	if (!err)
		image->last_record = batch->last;
	mutex_unlock(&image->append_lock);
	kfree(batch->buf);
	return err;
}

/* Readers that don't know a feature must not find what it brings. */
static int add_feature(struct incfs_image *image, u32 feature)
{
	__le32 flags = cpu_to_le32(image->features | feature);
	u64 at = offsetof(struct incfs_disk_super, s_flags);
	int err;

	lockdep_assert_held(&image->append_lock);
	if (image->features & feature)
		return 0;
	err = incfs_image_pwrite(image, &flags, sizeof(flags), at);
	if (!err)
		err = incfs_image_sync_range(image, at, at + sizeof(flags) - 1);
	if (!err)
		image->features |= feature;
	return err;
}

static void batch_add_inode(struct batch *batch, struct incfs_new_node *node)
{
	u64 prev = batch->last;

	incfs_format_build_inode(batch_add(batch, sizeof(struct incfs_disk_inode)), prev,
				 node->ino, node->size, node->mode);
}

static void batch_add_map_record(struct batch *batch, u64 ino, u64 map, u32 blocks)
{
	u64 prev = batch->last;

	incfs_format_build_map(batch_add(batch, sizeof(struct incfs_disk_block_map)), prev,
			       ino, map, blocks);
}

static void batch_add_attrs(struct batch *batch, struct incfs_new_node *node)
{
	struct incfs_attrs attrs = *node->attrs;
	u64 prev = batch->last;

	attrs.ino = node->ino;
	incfs_format_build_attrs(batch_add(batch, incfs_format_attrs_size(attrs.items_len)),
				 prev, &attrs);
	node->attrs_offset = batch->last;
}

static void batch_add_dir(struct batch *batch, enum incfs_dir_action action, u64 dir, u64 entry,
			  const char *name, size_t len)
{
	u64 prev = batch->last;

	incfs_format_build_dir(batch_add(batch, sizeof(struct incfs_disk_dir_action)), prev,
			       action, dir, entry, name, len);
}

int incfs_image_append_node(struct incfs_image *image, struct incfs_new_node *node)
{
	u32 blocks = S_ISREG(node->mode) ? incfs_format_blocks(node->size) : 0;
	size_t room = BATCH_ROOM(sizeof(struct incfs_disk_inode)) +
		      BATCH_ROOM(sizeof(struct incfs_disk_block_map));
	struct batch batch;
	int err;

	node->map_offset = 0;
	node->attrs_offset = 0;
	if (node->attrs)
		room += BATCH_ROOM(incfs_format_attrs_size(node->attrs->items_len));
	if (node->name_len)
		room += BATCH_ROOM(sizeof(struct incfs_disk_dir_action));
	err = batch_begin(&batch, image, room);
	if (err)
		return err;
	if (blocks)
		node->map_offset = batch_add_map(&batch, blocks);
	batch_add_inode(&batch, node);
	if (blocks)
		batch_add_map_record(&batch, node->ino, node->map_offset, blocks);
	if (node->attrs) {
		err = add_feature(image, INCFS_FEATURE_ATTRS);
		batch_add_attrs(&batch, node);
	}
	if (node->name_len)
		batch_add_dir(&batch, INCFS_DIR_ADD, node->dir, node->ino, node->name,
			      node->name_len);
	return batch_end(&batch, err);
}

int incfs_image_append_map(struct incfs_image *image, u64 ino, u32 blocks, u64 *map_offset)
{
	struct batch batch;
	int err;

	err = batch_begin(&batch, image, BATCH_ROOM(sizeof(struct incfs_disk_block_map)));
	if (err)
		return err;
	*map_offset = batch_add_map(&batch, blocks);
	batch_add_map_record(&batch, ino, *map_offset, blocks);
	return batch_end(&batch, 0);
}

int incfs_image_append_dir(struct incfs_image *image, enum incfs_dir_action action, u64 dir,
			   u64 entry, const char *name, size_t len)
{
	struct batch batch;
	int err;

	err = batch_begin(&batch, image, BATCH_ROOM(sizeof(struct incfs_disk_dir_action)));
	if (err)
		return err;
	batch_add_dir(&batch, action, dir, entry, name, len);
	return batch_end(&batch, 0);
}
