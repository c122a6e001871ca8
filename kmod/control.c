// SPDX-License-Identifier: GPL-2.0-only
/*
 * Incremental FS: ".cmd", the file through which a loader works.
 *
 * read(2) and poll(2) tell of blocks that readers wait for, write(2) takes
 * blocks, ioctl(2) changes the tree and answers questions. Each open file
 * description has its own place in the list of waits.
 */
#include <linux/compat.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "internal.h"

#define INFO_BATCH 16
#define NAME_LEN_MAX 8192
/* Blocks that one INCFS_IOC_GET_PRESENT looks at. */
#define PRESENT_BLOCKS_MAX 65536

struct control {
	spinlock_t lock;
	u64 last_serial;		/* lock: newest wait that was read here */
};

static int control_open(struct inode *inode, struct file *file)
{
	struct control *control = kzalloc(sizeof(*control), GFP_KERNEL_ACCOUNT);

	if (!control)
		return -ENOMEM;
	spin_lock_init(&control->lock);
	file->private_data = control;
	return stream_open(inode, file);
}

static int control_release(struct inode *inode, struct file *file)
{
	kfree(file->private_data);
	return 0;
}

static struct incfs_mount *control_mount(const struct file *file)
{
	return incfs_sb_mount(file_inode(file)->i_sb);
}

static u64 last_serial(struct control *control)
{
	u64 serial;

	spin_lock(&control->lock);
	serial = control->last_serial;
	spin_unlock(&control->lock);
	return serial;
}

static void set_last_serial(struct control *control, u64 serial)
{
	spin_lock(&control->lock);
	control->last_serial = max(control->last_serial, serial);
	spin_unlock(&control->lock);
}

static __poll_t control_poll(struct file *file, poll_table *wait)
{
	struct incfs_mount *mnt = control_mount(file);

	poll_wait(file, &mnt->pending_wait, wait);
	if (incfs_pending_newer(mnt, last_serial(file->private_data)))
		return EPOLLIN | EPOLLRDNORM;
	return 0;
}

static ssize_t control_read(struct file *file, char __user *buf, size_t len, loff_t *pos)
{
	struct incfs_pending_read_info infos[INFO_BATCH];
	struct control *control = file->private_data;
	u64 serial = last_serial(control);
	size_t room = len / sizeof(infos[0]);
	size_t done = 0, n;

	while (done < room) {
		n = incfs_pending_list(control_mount(file), &serial, infos,
				       min_t(size_t, room - done, INFO_BATCH));
		if (!n)
			break;
		if (copy_to_user(buf + done * sizeof(infos[0]), infos, n * sizeof(infos[0])))
			return done ? done * sizeof(infos[0]) : -EFAULT;
		set_last_serial(control, serial);
		done += n;
	}
	return done * sizeof(infos[0]);
}

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

static ssize_t control_write(struct file *file, const char __user *ubuf, size_t len, loff_t *pos)
{
	const struct incfs_new_data_block __user *blocks = (const void __user *)ubuf;
	size_t n = len / sizeof(*blocks);
	size_t done;
	void *buf;
	int err = 0;

	if (!same_creds(file->f_cred, current_cred()))
		return -EPERM;
	buf = kmalloc(INCFS_MAX_BLOCK_DATA, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	for (done = 0; done < n; done++) {
		err = fatal_signal_pending(current) ? -EINTR :
		      fill_block(control_mount(file), &blocks[done], buf);
		if (err)
			break;
		cond_resched();
	}
	kfree(buf);
	return done ? done * sizeof(*blocks) : err;
}

static int copy_name(const struct incfs_dir_entry_instruction *entry, char *name)
{
	if (entry->name_len > NAME_LEN_MAX)
		return -E2BIG;
	if (entry->name_len > INCFS_NAME_MAX)
		return -ENAMETOOLONG;
	if (copy_from_user(name, u64_to_user_ptr(entry->name), entry->name_len))
		return -EFAULT;
	return 0;
}

static int change_entry(struct super_block *sb, u32 type,
			const struct incfs_dir_entry_instruction *entry)
{
	struct incfs_mount *mnt = incfs_sb_mount(sb);
	char name[INCFS_NAME_MAX];
	int err;

	err = copy_name(entry, name);
	if (err)
		return err;
	if (type == INCFS_INSTRUCTION_ADD_DIR_ENTRY)
		err = incfs_tree_add(mnt, entry->dir_ino, entry->child_ino, name,
				     entry->name_len);
	else
		err = incfs_tree_remove(mnt, entry->dir_ino, entry->child_ino, name,
					entry->name_len);
	if (!err)
		incfs_dir_forget(sb, entry->dir_ino, name, entry->name_len);
	return err;
}

static int new_file(struct incfs_mount *mnt, const struct incfs_new_file_instruction *file,
		    u64 __user *ino_out)
{
	u64 ino;
	int err;

	/* A file whose number can't be returned must not come to be. */
	if (put_user(0, ino_out))
		return -EFAULT;
	err = incfs_tree_new_file(mnt, file->size, file->mode, &ino);
	return err ?: put_user(ino, ino_out);
}

static int change_tree(struct file *file, struct incfs_instruction __user *uarg,
		       const struct incfs_instruction *arg)
{
	struct super_block *sb = file_inode(file)->i_sb;
	int err;

	err = mnt_want_write_file(file);
	if (err)
		return err;
	if (arg->type == INCFS_INSTRUCTION_NEW_FILE)
		err = new_file(incfs_sb_mount(sb), &arg->file, &uarg->file.ino_out);
	else
		err = change_entry(sb, arg->type, &arg->dir_entry);
	mnt_drop_write_file(file);
	return err;
}

static long process_instruction(struct file *file, struct incfs_instruction __user *uarg)
{
	struct incfs_instruction arg;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	if (arg.version != INCFS_HEADER_VER)
		return -EOPNOTSUPP;
	switch (arg.type) {
	case INCFS_INSTRUCTION_NOOP:
		return 0;
	case INCFS_INSTRUCTION_NEW_FILE:
	case INCFS_INSTRUCTION_ADD_DIR_ENTRY:
	case INCFS_INSTRUCTION_REMOVE_DIR_ENTRY:
		return change_tree(file, uarg, &arg);
	default:
		return -EINVAL;
	}
}

/* Give the caller as much of @kbuf as it knows, and zeros for what it knows more. */
static int copy_reply(void __user *ubuf, size_t usize, const void *kbuf, size_t ksize)
{
	if (copy_to_user(ubuf, kbuf, min(usize, ksize)))
		return -EFAULT;
	if (usize > ksize && clear_user(ubuf + ksize, usize - ksize))
		return -EFAULT;
	return 0;
}

static long get_info(struct incfs_mount *mnt, void __user *uarg, size_t size)
{
	struct incfs_mount_info info = {
		.mount_id = mnt->id,
		.read_timeout_ms = READ_ONCE(mnt->timeout_ms),
		.max_files = mnt->max_files,
	};

	if (size < sizeof(info))
		return -EINVAL;
	down_read(&mnt->tree_lock);
	info.nr_files = mnt->nr_nodes;
	up_read(&mnt->tree_lock);
	BUILD_BUG_ON(sizeof(info.policy) != INCFS_POLICY_NAME_MAX);
	incfs_policy_name(mnt, info.policy);
	return copy_reply(uarg, size, &info, sizeof(info));
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
	arg->first = first;
	arg->nr_ranges = present.written;
	arg->nr_blocks = node->nr_blocks;
	return err;
}

static long get_present(struct incfs_mount *mnt, void __user *uarg, size_t size)
{
	struct incfs_block_ranges arg;
	struct incfs_node *node;
	int err;

	if (size < sizeof(arg))
		return -EINVAL;
	err = copy_struct_from_user(&arg, sizeof(arg), uarg, size);
	if (err)
		return err;
	if (!arg.nr_ranges || arg.reserved)
		return -EINVAL;
	node = incfs_tree_node(mnt, arg.ino);
	if (!node)
		return -ENOENT;
	if (!S_ISREG(node->mode))
		return -EISDIR;
	err = collect_present(node, &arg);
	return err ?: copy_reply(uarg, size, &arg, sizeof(arg));
}

static long control_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct incfs_mount *mnt = control_mount(file);
	void __user *uarg = (void __user *)arg;
	unsigned int size = _IOC_SIZE(cmd);

	if (cmd == INCFS_IOC_PROCESS_INSTRUCTION)
		return process_instruction(file, uarg);
	/* The others may have been compiled with a structure of another size. */
	switch (cmd & ~IOCSIZE_MASK) {
	case INCFS_IOC_GET_INFO & ~IOCSIZE_MASK:
		return get_info(mnt, uarg, size);
	case INCFS_IOC_GET_PRESENT & ~IOCSIZE_MASK:
		return get_present(mnt, uarg, size);
	default:
		return -ENOTTY;
	}
}

static int control_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	return incfs_image_sync(&control_mount(file)->image);
}

const struct file_operations incfs_control_fops = {
	.owner = THIS_MODULE,
	.open = control_open,
	.release = control_release,
	.poll = control_poll,
	.read = control_read,
	.write = control_write,
	.unlocked_ioctl = control_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.fsync = control_fsync,
};
