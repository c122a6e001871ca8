// SPDX-License-Identifier: GPL-2.0-only
/* Incremental FS: blocks that a loader hands over through ".cmd". */
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/mount.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "internal.h"

/*
 * write(2) follows pointers, so a descriptor that is handed to a program with
 * other rights, as its output say, must not act with those.
 */
static bool same_creds(const struct cred *a, const struct cred *b)
{
	return a == b || (a->user_ns == b->user_ns && uid_eq(a->euid, b->euid) &&
			  uid_eq(a->fsuid, b->fsuid) && gid_eq(a->egid, b->egid) &&
			  gid_eq(a->fsgid, b->fsgid) &&
			  cap_issubset(a->cap_effective, b->cap_effective) &&
			  cap_issubset(b->cap_effective, a->cap_effective));
}

static int check_fill(struct incfs_mount *mnt, const struct incfs_new_data_block *block,
		      struct incfs_node **node)
{
	if (block->data_len > INCFS_MAX_BLOCK_DATA)
		return -E2BIG;
	if (block->compression != COMPRESSION_NONE && block->compression != COMPRESSION_LZ4)
		return -EINVAL;
	if (!block->data_len)
		return -EINVAL;
	if (block->compression == COMPRESSION_NONE && block->data_len > INCFS_BLOCK_SIZE)
		return -EINVAL;
	*node = incfs_tree_node(mnt, block->file_ino);
	if (!*node)
		return -ENOENT;
	if (!S_ISREG((*node)->mode))
		return -EISDIR;
	if (block->block_index >= (*node)->nr_blocks)
		return -ERANGE;
	return 0;
}

static int fill_block(struct incfs_mount *mnt, const struct incfs_new_data_block __user *ublock,
		      void *buf)
{
	struct incfs_new_data_block block;
	struct incfs_node *node;
	int err;

	if (copy_from_user(&block, ublock, sizeof(block)))
		return -EFAULT;
	err = check_fill(mnt, &block, &node);
	if (err)
		return err;
	if (copy_from_user(buf, u64_to_user_ptr(block.data), block.data_len))
		return -EFAULT;
	return incfs_blocks_store(node, block.block_index, buf, block.data_len,
				  block.compression == COMPRESSION_LZ4 ? INCFS_EXTENT_LZ4 : 0);
}

ssize_t incfs_fill_write(struct file *file, const char __user *ubuf, size_t len, loff_t *pos)
{
	const struct incfs_new_data_block __user *blocks = (const void __user *)ubuf;
	size_t n = len / sizeof(*blocks);
	size_t done;
	void *buf;
	int err = 0;

	/* The VFS has taken care of a freeze, but not of a forced remount. */
	if (__mnt_is_readonly(file->f_path.mnt))
		return -EROFS;
	if (!same_creds(file->f_cred, current_cred()))
		return -EPERM;
	buf = kmalloc(INCFS_MAX_BLOCK_DATA, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	for (done = 0; done < n; done++) {
		err = fatal_signal_pending(current) ? -EINTR :
		      fill_block(incfs_file_mount(file), &blocks[done], buf);
		if (err)
			break;
		cond_resched();
	}
	kfree(buf);
	return done ? done * sizeof(*blocks) : err;
}
