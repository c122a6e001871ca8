// SPDX-License-Identifier: GPL-2.0-only
/* Incremental FS: what a loader can ask through ".cmd". */
#include <linux/fs.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "internal.h"

/* Blocks that one INCFS_IOC_GET_PRESENT looks at. */
#define PRESENT_BLOCKS_MAX 65536
#define PENDING_BATCH 16

int incfs_query_info(struct file *file, void *arg)
{
	struct incfs_mount *mnt = incfs_file_mount(file);
	struct incfs_mount_info *info = arg;

	info->mount_id = mnt->id;
	info->read_timeout_ms = READ_ONCE(mnt->timeout_ms);
	info->max_files = mnt->max_files;
	down_read(&mnt->tree_lock);
	info->nr_files = mnt->nr_nodes;
	up_read(&mnt->tree_lock);
	BUILD_BUG_ON(sizeof(info->policy) != INCFS_POLICY_NAME_MAX);
	incfs_policy_name(mnt, info->policy);
	return 0;
}

/* struct present - ranges of present blocks on their way to user space */
struct present {
	struct incfs_block_range __user *ranges;
	struct incfs_block_range run;
	u32 room;
	u32 written;
};

static int put_run(struct present *present)
{
	if (!present->run.count)
		return 0;
	if (copy_to_user(&present->ranges[present->written], &present->run,
			 sizeof(present->run)))
		return -EFAULT;
	present->written++;
	present->run.count = 0;
	return 0;
}

/* Take the blocks of one batch in; returns how many, fewer when the room is used up. */
static int add_extents(struct present *present, u32 first, u32 count,
		       const struct incfs_extent *extents)
{
	u32 i;
	int err;

	for (i = 0; i < count; i++) {
		if (extents[i].size) {
			if (!present->run.count && present->written == present->room)
				break;
			if (!present->run.count++)
				present->run.first = first + i;
		} else {
			err = put_run(present);
			if (err)
				return err;
		}
	}
	return i;
}

static int collect_present(struct incfs_node *node, struct incfs_block_ranges *arg)
{
	struct present present = {
		.ranges = u64_to_user_ptr(arg->ranges),
		.room = arg->nr_ranges,
	};
	u32 first = min(arg->first, node->nr_blocks);
	u32 end = first + min_t(u32, node->nr_blocks - first, PRESENT_BLOCKS_MAX);
	struct incfs_extent extents[INCFS_EXTENT_BATCH];
	int n, taken, err;

	for (; first < end; first += taken) {
		n = min_t(u32, end - first, INCFS_EXTENT_BATCH);
		err = incfs_blocks_lookup(node, first, n, extents);
		if (err)
			return err;
		taken = add_extents(&present, first, n, extents);
		if (taken < 0)
			return taken;
		if (taken < n) {
			first += taken;
			break;
		}
		cond_resched();
	}
	err = put_run(&present);
	if (err)
		return err;
	arg->first = first;
	arg->nr_ranges = present.written;
	arg->nr_blocks = node->nr_blocks;
	return 0;
}

int incfs_query_present(struct file *file, void *arg)
{
	struct incfs_block_ranges *ranges = arg;
	struct incfs_node *node;

	if (!ranges->nr_ranges || ranges->reserved)
		return -EINVAL;
	node = incfs_tree_node(incfs_file_mount(file), ranges->ino);
	if (!node)
		return -ENOENT;
	if (!S_ISREG(node->mode))
		return -EISDIR;
	return collect_present(node, ranges);
}

int incfs_query_pending(struct file *file, void *arg)
{
	struct incfs_pending_reads *pending = arg;
	struct incfs_pending_read __user *ureads = u64_to_user_ptr(pending->reads);
	struct incfs_pending_read reads[PENDING_BATCH];
	u64 serial = pending->after;
	u32 done = 0;
	size_t n;

	if (!pending->count || pending->reserved)
		return -EINVAL;
	while (done < pending->count) {
		n = incfs_pending_list(incfs_file_mount(file), &serial, reads,
				       min(pending->count - done, PENDING_BATCH));
		if (!n)
			break;
		if (copy_to_user(&ureads[done], reads, n * sizeof(reads[0])))
			return -EFAULT;
		done += n;
	}
	pending->after = serial;
	pending->count = done;
	return 0;
}

int incfs_query_stats(struct file *file, void *arg)
{
	struct incfs_mount *mnt = incfs_file_mount(file);
	struct percpu_counter *counts = mnt->stats;
	struct incfs_stats *stats = arg;

	stats->blocks_filled = percpu_counter_sum(&counts[INCFS_STAT_BLOCKS_FILLED]);
	stats->bytes_filled = percpu_counter_sum(&counts[INCFS_STAT_BYTES_FILLED]);
	stats->blocks_shared = percpu_counter_sum(&counts[INCFS_STAT_BLOCKS_SHARED]);
	stats->blocks_read = percpu_counter_sum(&counts[INCFS_STAT_BLOCKS_READ]);
	stats->blocks_damaged = percpu_counter_sum(&counts[INCFS_STAT_BLOCKS_DAMAGED]);
	stats->waits = percpu_counter_sum(&counts[INCFS_STAT_WAITS]);
	stats->waits_expired = percpu_counter_sum(&counts[INCFS_STAT_WAITS_EXPIRED]);
	stats->wait_ns = percpu_counter_sum(&counts[INCFS_STAT_WAIT_NS]);
	stats->blocks_pending = incfs_pending_count(mnt);
	return 0;
}

static void describe_node(struct incfs_node *node, struct incfs_get_attrs *arg)
{
	arg->size = node->size;
	arg->mtime_sec = node->mtime_sec;
	arg->mtime_nsec = node->mtime_nsec;
	arg->uid = node->uid;
	arg->gid = node->gid;
	arg->mode = node->mode;
	down_read(&node->mnt->tree_lock);
	arg->nr_names = node->nr_names;
	up_read(&node->mnt->tree_lock);
}

int incfs_query_attrs(struct file *file, void *arg)
{
	struct incfs_get_attrs *get = arg;
	u32 room = get->items_len;
	struct incfs_attrs attrs;
	struct incfs_node *node;
	void *buf;
	int err;

	if (get->reserved)
		return -EINVAL;
	node = incfs_tree_node(incfs_file_mount(file), get->ino);
	if (!node)
		return -ENOENT;
	describe_node(node, get);
	get->items_len = node->items_len;
	if (room < node->items_len)
		return -ERANGE;
	err = incfs_attrs_read(node, &attrs, &buf);
	if (err)
		return err;
	if (copy_to_user(u64_to_user_ptr(get->items), attrs.items, attrs.items_len))
		err = -EFAULT;
	kfree(buf);
	return err;
}
