// SPDX-License-Identifier: GPL-2.0-only
/* Incremental FS: blocks that a loader hands over through ".cmd". */
#include <linux/bitops.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/mount.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "internal.h"

/* Blocks that one INCFS_IOC_SHARE looks at. */
#define SHARE_BLOCKS_MAX 4096

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

/* struct run - neighbours that have been stored and of which no policy knows yet */
struct run {
	struct incfs_node *node;
	u32 first;
	u32 count;
};

/* Tell the policy. Called without a lock, like what led here. */
static void run_end(struct run *run)
{
	struct incfs_access access;

	if (run->count && incfs_policy_wants(&run->node->mnt->policy, INCFS_CALL_FILLED)) {
		incfs_access_init(&access, run->node, run->first, run->count, INCFS_READ_FILLED);
		incfs_policy_tell(run->node->mnt, INCFS_CALL_FILLED, &access);
	}
	run->count = 0;
}

static void run_add(struct run *run, struct incfs_node *node, u32 block)
{
	if (run->node != node || run->first + run->count != block)
		run_end(run);
	if (!run->count)
		*run = (struct run) { .node = node, .first = block };
	run->count++;
}

static int check_fill(struct incfs_mount *mnt, const struct incfs_fill_block *block,
		      struct incfs_node **node)
{
	if (block->len > INCFS_MAX_BLOCK_DATA)
		return -E2BIG;
	if (block->compression != COMPRESSION_NONE && block->compression != COMPRESSION_LZ4)
		return -EINVAL;
	if (!block->len)
		return -EINVAL;
	if (block->compression == COMPRESSION_NONE && block->len > INCFS_BLOCK_SIZE)
		return -EINVAL;
	*node = incfs_tree_node(mnt, block->ino);
	if (!*node)
		return -ENOENT;
	if (!S_ISREG((*node)->mode))
		return -EISDIR;
	if (block->block >= (*node)->nr_blocks)
		return -ERANGE;
	return 0;
}

/* @buf has room for the stored form of any block. */
static int fill_block(struct incfs_mount *mnt, const struct incfs_fill_block *block, void *buf,
		      struct run *run)
{
	struct incfs_node *node;
	int err, stored;

	err = check_fill(mnt, block, &node);
	if (err)
		return err;
	if (copy_from_user(buf, u64_to_user_ptr(block->data), block->len))
		return -EFAULT;
	stored = incfs_store_block(node, block->block, buf, block->len,
				    block->compression == COMPRESSION_LZ4 ? INCFS_EXTENT_LZ4 : 0);
	if (stored > 0)
		run_add(run, node, block->block);
	return min(stored, 0);
}

static int write_block(struct incfs_mount *mnt, const struct incfs_new_data_block __user *ublock,
		       void *buf, struct run *run)
{
	struct incfs_new_data_block block;

	if (fatal_signal_pending(current))
		return -EINTR;
	if (copy_from_user(&block, ublock, sizeof(block)))
		return -EFAULT;
	return fill_block(mnt, &(struct incfs_fill_block) {
			.ino = block.file_ino,
			.block = block.block_index,
			.len = block.data_len,
			.data = block.data,
			.compression = block.compression,
		}, buf, run);
}

ssize_t incfs_fill_write(struct file *file, const char __user *ubuf, size_t len, loff_t *pos)
{
	const struct incfs_new_data_block __user *blocks = (const void __user *)ubuf;
	size_t n = len / sizeof(*blocks);
	struct run run = {};
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
		err = write_block(incfs_file_mount(file), &blocks[done], buf, &run);
		if (err)
			break;
		cond_resched();
	}
	run_end(&run);
	kfree(buf);
	return done ? done * sizeof(*blocks) : err;
}

/* Returns the block's result, or sets *@err when the batch can't go on. */
static int try_block(struct incfs_mount *mnt, struct incfs_fill_block __user *ublock, void *buf,
		     struct run *run, int *err)
{
	struct incfs_fill_block block;
	int result;

	*err = -EINTR;
	if (fatal_signal_pending(current))
		return 0;
	*err = -EFAULT;
	if (copy_from_user(&block, ublock, sizeof(block)))
		return 0;
	result = fill_block(mnt, &block, buf, run);
	if (!put_user(result, &ublock->result))
		*err = 0;
	return result;
}

int incfs_fill_batch(struct file *file, void *arg)
{
	struct incfs_fill *fill = arg;
	struct incfs_fill_block __user *blocks = u64_to_user_ptr(fill->blocks);
	struct run run = {};
	int result, err = 0;
	void *buf;
	u32 i;

	if (!fill->count || fill->count > INCFS_FILL_MAX || fill->reserved)
		return -EINVAL;
	buf = kmalloc(INCFS_MAX_BLOCK_DATA, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	fill->filled = 0;
	for (i = 0; i < fill->count && !err; i++) {
		result = try_block(incfs_file_mount(file), &blocks[i], buf, &run, &err);
		fill->filled += !err && !result;
		cond_resched();
	}
	run_end(&run);
	kfree(buf);
	return err;
}

static int check_share(struct incfs_mount *mnt, const struct incfs_share *share,
		       struct incfs_node **from, struct incfs_node **to)
{
	u64 from_end = (u64)share->from_block + share->count;
	u64 to_end = (u64)share->to_block + share->count;

	if (!share->count || share->reserved)
		return -EINVAL;
	*from = incfs_tree_node(mnt, share->from_ino);
	*to = incfs_tree_node(mnt, share->to_ino);
	if (!*from || !*to)
		return -ENOENT;
	if (!S_ISREG((*from)->mode) || !S_ISREG((*to)->mode))
		return -EISDIR;
	if (from_end > (*from)->nr_blocks || to_end > (*to)->nr_blocks)
		return -ERANGE;
	if (*from == *to && share->from_block < to_end && share->to_block < from_end)
		return -EINVAL;
	return 0;
}

int incfs_fill_share(struct file *file, void *arg)
{
	struct incfs_share *share = arg;
	u32 end = min_t(u32, share->count, SHARE_BLOCKS_MAX);
	struct incfs_node *from, *to;
	struct run run = {};
	u32 n, i, shared;
	int err;

	share->shared = 0;
	share->done = 0;
	err = check_share(incfs_file_mount(file), share, &from, &to);
	while (!err && share->done < end) {
		err = -EINTR;
		if (fatal_signal_pending(current))
			break;
		n = min_t(u32, end - share->done, INCFS_EXTENT_BATCH);
		err = incfs_store_share(from, share->from_block + share->done,
					 to, share->to_block + share->done, n, &shared);
		for (i = 0; i < n; i++)
			if (shared & BIT(i))
				run_add(&run, to, share->to_block + share->done + i);
		share->shared += hweight32(shared);
		if (!err)
			share->done += n;
		cond_resched();
	}
	run_end(&run);
	return err;
}
