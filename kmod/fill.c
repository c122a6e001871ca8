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

/*
 * struct batch - blocks of a call that are stored together: neighbours of a file
 *
 * It holds memory of the kernel, as what is stored is what its CRC was made of.
 */
struct batch {
	struct incfs_mount *mnt;
	struct incfs_fill_block __user *results;	/* NULL: a write(2) */
	u32 done;			/* of the call's blocks; those after it are gathered */
	u32 filled;			/* of these */
	int err;			/* what has ended the call */
	struct incfs_node *node;
	u32 first, count;
	size_t used, room;		/* in @buf */
	void *buf;			/* @small, or larger */
	struct run run;
	struct incfs_new_block blocks[INCFS_EXTENT_BATCH];
	u8 small[INCFS_MAX_BLOCK_DATA];
};

static struct kmem_cache *batch_cache;

/* @count: blocks of the call. */
static struct batch *batch_create(struct file *file, u32 count,
				  struct incfs_fill_block __user *results)
{
	struct batch *batch = kmem_cache_alloc(batch_cache, GFP_KERNEL);

	if (!batch)
		return NULL;
	memset(batch, 0, offsetof(struct batch, blocks));
	batch->mnt = incfs_file_mount(file);
	batch->results = results;
	batch->room = sizeof(batch->small);
	batch->buf = batch->small;
	if (count <= sizeof(batch->small) / INCFS_BLOCK_SIZE)
		return batch;
	batch->room = min_t(u32, count, INCFS_EXTENT_BATCH) * INCFS_BLOCK_SIZE;
	batch->buf = kvmalloc(batch->room, GFP_KERNEL);
	if (batch->buf)
		return batch;
	kmem_cache_free(batch_cache, batch);
	return NULL;
}

static void batch_destroy(struct batch *batch)
{
	run_end(&batch->run);
	if (batch->buf != batch->small)
		kvfree(batch->buf);
	kmem_cache_free(batch_cache, batch);
}

/* Tell what became of the next block. Results are told in the order of the blocks. */
static void batch_tell(struct batch *batch, int result)
{
	if (batch->err)
		return;
	if (!batch->results)
		batch->err = result;
	else if (put_user(result, &batch->results[batch->done].result))
		batch->err = -EFAULT;
	if (batch->err)
		return;
	batch->done++;
	batch->filled += !result;
}

static void batch_store(struct batch *batch)
{
	u32 i, count = batch->count;

	batch->count = 0;
	if (!count || batch->err)
		return;
	incfs_store_blocks(batch->node, batch->first, batch->blocks, count);
	for (i = 0; i < count; i++) {
		if (batch->blocks[i].result > 0)
			run_add(&batch->run, batch->node, batch->first + i);
		batch_tell(batch, min(batch->blocks[i].result, 0));
	}
	cond_resched();
}

/*
 * Blocks that have been gathered don't wait until a page of the caller is there:
 * it may be that of a file that is being filled by the same call.
 */
static int batch_copy(struct batch *batch, void *to, const void __user *from, size_t len)
{
	if (batch->count) {
		if (!copy_from_user_nofault(to, from, len))
			return 0;
		batch_store(batch);
	}
	return copy_from_user(to, from, len) ? -EFAULT : 0;
}

static int batch_add(struct batch *batch, const struct incfs_fill_block *block)
{
	struct incfs_node *node;
	void *to;
	int err;

	err = check_fill(batch->mnt, block, &node);
	if (err)
		return err;
	if (!batch->count || node != batch->node ||
	    block->block != batch->first + batch->count ||
	    batch->count == INCFS_EXTENT_BATCH || block->len > batch->room - batch->used) {
		batch_store(batch);
		batch->used = 0;
	}
	to = batch->buf + batch->used;
	if (batch_copy(batch, to, u64_to_user_ptr(block->data), block->len))
		return -EFAULT;
	if (!batch->count) {
		batch->node = node;
		batch->first = block->block;
	}
	batch->blocks[batch->count++] = (struct incfs_new_block) {
		.buf = to,
		.extent.size = block->len,
		.extent.flags = block->compression == COMPRESSION_LZ4 ? INCFS_EXTENT_LZ4 : 0,
	};
	batch->used += block->len;
	return 0;
}

/* The next block of the call, or an errno that ends it when it can't be had. */
static int fetch_element(struct batch *batch, const void __user *from,
			 struct incfs_fill_block *block)
{
	struct incfs_new_data_block written;

	if (fatal_signal_pending(current))
		return -EINTR;
	if (batch->results)
		/* What could not be told is not done, either. */
		return batch_copy(batch, block, from, sizeof(*block)) ?:
		       put_user(block->result,
				&((struct incfs_fill_block __user *)from)->result);
	if (batch_copy(batch, &written, from, sizeof(written)))
		return -EFAULT;
	*block = (struct incfs_fill_block) {
		.ino = written.file_ino,
		.block = written.block_index,
		.len = written.data_len,
		.data = written.data,
		.compression = written.compression,
	};
	return 0;
}

/* Take @count elements of @size bytes. */
static void batch_fill(struct batch *batch, const void __user *from, u32 count, size_t size)
{
	struct incfs_fill_block block;
	int err = 0, result;

	for (; count && !batch->err; count--, from += size) {
		err = fetch_element(batch, from, &block);
		if (err)
			break;
		result = batch_add(batch, &block);
		if (result) {
			batch_store(batch);
			batch_tell(batch, result);
		}
	}
	batch_store(batch);
	batch->err = batch->err ?: err;
}

ssize_t incfs_fill_write(struct file *file, const char __user *ubuf, size_t len, loff_t *pos)
{
	size_t size = sizeof(struct incfs_new_data_block);
	struct batch *batch;
	ssize_t ret;

	/* The VFS has taken care of a freeze, but not of a forced remount. */
	if (__mnt_is_readonly(file->f_path.mnt))
		return -EROFS;
	if (!same_creds(file->f_cred, current_cred()))
		return -EPERM;
	batch = batch_create(file, len / size, NULL);
	if (!batch)
		return -ENOMEM;
	batch_fill(batch, ubuf, len / size, size);
	ret = batch->done ? batch->done * size : batch->err;
	batch_destroy(batch);
	return ret;
}

int incfs_fill_batch(struct file *file, void *arg)
{
	struct incfs_fill *fill = arg;
	struct incfs_fill_block __user *blocks = u64_to_user_ptr(fill->blocks);
	struct batch *batch;
	int err;

	if (!fill->count || fill->count > INCFS_FILL_MAX || fill->reserved)
		return -EINVAL;
	batch = batch_create(file, fill->count, blocks);
	if (!batch)
		return -ENOMEM;
	batch_fill(batch, blocks, fill->count, sizeof(*blocks));
	fill->filled = batch->filled;
	err = batch->err;
	batch_destroy(batch);
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

int __init incfs_fill_init(void)
{
	batch_cache = kmem_cache_create_usercopy("incfs_fill", sizeof(struct batch), 0,
						 SLAB_NO_MERGE, offsetof(struct batch, small),
						 sizeof_field(struct batch, small),
						 incfs_construct);
	return batch_cache ? 0 : -ENOMEM;
}

void incfs_fill_exit(void)
{
	kmem_cache_destroy(batch_cache);
}
