// SPDX-License-Identifier: GPL-2.0-only
/* Incremental FS: open files; the page cache does the rest (read.c). */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>

#include "internal.h"

/* O_DIRECT is taken, as programs insist on it, and served from the page cache. */
static int incfs_file_open(struct inode *inode, struct file *file)
{
	file->f_mode |= FMODE_CAN_ODIRECT;
	return generic_file_open(inode, file);
}

static ssize_t incfs_file_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	return filemap_read(iocb, to, 0);
}

/*
 * The first block from *@block on that is stored, or that is not, as @stored
 * says; nr_blocks if there is none.
 */
static int seek_block(struct incfs_node *node, u32 *block, bool stored)
{
	struct incfs_extent extents[INCFS_EXTENT_BATCH];
	u32 n, i;
	int err;

	while (*block < node->nr_blocks) {
		n = min_t(u32, node->nr_blocks - *block, INCFS_EXTENT_BATCH);
		err = incfs_blocks_lookup(node, *block, n, extents);
		if (err)
			return err;
		for (i = 0; i < n; i++) {
			if (!!extents[i].size == stored) {
				*block += i;
				return 0;
			}
		}
		*block += n;
		if (stored)
			*block = incfs_blocks_skip_hole(node, *block);
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

/*
 * Absent blocks are holes to who asks, but not to overlayfs: it leaves holes out
 * when it copies a file, and what had not arrived would be zeros for ever. Its
 * lower layers are mounts that are both read-only and noatime.
 */
static bool shows_holes(const struct file *file)
{
	int layer = MNT_READONLY | MNT_NOATIME;

	return (file->f_path.mnt->mnt_flags & layer) != layer;
}

static loff_t incfs_file_llseek(struct file *file, loff_t offset, int whence)
{
	struct incfs_node *node = incfs_inode_node(file_inode(file));
	u32 block = offset >> INCFS_BLOCK_SHIFT;
	int err;

	if ((whence != SEEK_DATA && whence != SEEK_HOLE) || !shows_holes(file))
		return generic_file_llseek(file, offset, whence);
	if (offset < 0 || offset >= node->size)
		return -ENXIO;
	err = seek_block(node, &block, whence == SEEK_DATA);
	if (err)
		return err;
	if (block == node->nr_blocks && whence == SEEK_DATA)
		return -ENXIO;
	offset = max_t(loff_t, offset, (loff_t)block << INCFS_BLOCK_SHIFT);
	return vfs_setpos(file, min_t(loff_t, offset, node->size), node->size);
}

static int incfs_file_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (vma_is_shared_maywrite(vma))
		return -EACCES;
	file_accessed(file);
	vma->vm_ops = &incfs_file_vm_ops;
	return 0;
}

const struct file_operations incfs_file_fops = {
	.owner = THIS_MODULE,
	.open = incfs_file_open,
	.llseek = incfs_file_llseek,
	.read_iter = incfs_file_read_iter,
	.mmap = incfs_file_mmap,
	.get_unmapped_area = thp_get_unmapped_area,
	.splice_read = filemap_splice_read,
};
