// SPDX-License-Identifier: GPL-2.0-only
/*
 * Incremental FS: ".cmd", the file through which a loader works.
 *
 * read(2) and poll(2) tell of blocks that readers wait for, write(2) takes
 * blocks (fill.c), ioctl(2) does so too, changes the tree (change.c) and answers
 * questions (query.c). Each open file description has its own place in the list
 * of waits.
 */
#include <linux/compat.h>
#include <linux/errseq.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "internal.h"

#define INFO_BATCH 16

struct control {
	spinlock_t lock;		/* of last_serial */
	u64 last_serial;		/* newest wait that was read here */
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
	struct incfs_mount *mnt = incfs_file_mount(file);

	poll_wait(file, &mnt->pending_wait, wait);
	if (incfs_pending_newer(mnt, last_serial(file->private_data)))
		return EPOLLIN | EPOLLRDNORM;
	return 0;
}

static size_t list_infos(struct incfs_mount *mnt, u64 *serial,
			 struct incfs_pending_read_info *infos, size_t max)
{
	struct incfs_pending_read reads[INFO_BATCH];
	size_t n = incfs_pending_list(mnt, serial, reads, min_t(size_t, max, INFO_BATCH));
	size_t i;

	for (i = 0; i < n; i++) {
		infos[i].file_ino = reads[i].ino;
		infos[i].block_index = reads[i].block;
		infos[i].serial_number = reads[i].serial;
	}
	return n;
}

static ssize_t control_read(struct file *file, char __user *buf, size_t len, loff_t *pos)
{
	struct incfs_pending_read_info infos[INFO_BATCH];
	struct control *control = file->private_data;
	u64 serial = last_serial(control);
	size_t room = len / sizeof(infos[0]);
	size_t done = 0, n;

	while (done < room) {
		n = list_infos(incfs_file_mount(file), &serial, infos, room - done);
		if (!n)
			break;
		if (copy_to_user(buf + done * sizeof(infos[0]), infos, n * sizeof(infos[0])))
			return done ? done * sizeof(infos[0]) : -EFAULT;
		set_last_serial(control, serial);
		done += n;
	}
	return done * sizeof(infos[0]);
}

/* The caller may write to the image; until end_change(). */
static int begin_change(struct file *file)
{
	int err = mnt_want_write_file(file);

	if (!err && !(file->f_mode & FMODE_WRITE)) {
		mnt_drop_write_file(file);
		err = -EBADF;
	}
	return err;
}

static void end_change(struct file *file)
{
	mnt_drop_write_file(file);
}

/* Apart from the others: it is as it was in 2019. */
static long process_instruction(struct file *file, struct incfs_instruction __user *uarg)
{
	struct incfs_instruction arg;
	int err;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	if (arg.version != INCFS_HEADER_VER)
		return -EOPNOTSUPP;
	if (arg.type == INCFS_INSTRUCTION_NOOP)
		return 0;
	err = begin_change(file);
	if (err)
		return err;
	err = incfs_change_instruction(file, &arg, uarg);
	end_change(file);
	return err;
}

/*
 * What could not be written is told to each descriptor that was open then, also if
 * it was somebody else's sync that has met the error, or one of our own.
 */
static int control_sync(struct file *file, void *arg)
{
	struct super_block *sb = file_inode(file)->i_sb;
	int err = incfs_image_sync(&incfs_sb_mount(sb)->image);

	return errseq_check_and_advance(&sb->s_wb_err, &file->f_sb_err) ?: err;
}

/*
 * struct control_ioctl - an ioctl with an argument that can grow
 * @cmd:     request; the structure that it names is the first version still
 * @changes: changes the image, and needs a descriptor that is open for writing
 * @call:    gets the kernel's copy of the structure, and sets its members that
 *	     are replies; these reach the caller whatever @call returns
 */
struct control_ioctl {
	unsigned int cmd;
	bool changes;
	int (*call)(struct file *file, void *arg);
};

static const struct control_ioctl control_ioctls[] = {
	{ INCFS_IOC_GET_INFO, false, incfs_query_info },
	{ INCFS_IOC_GET_PRESENT, false, incfs_query_present },
	{ INCFS_IOC_FILL, true, incfs_fill_batch },
	{ INCFS_IOC_GET_PENDING, false, incfs_query_pending },
	{ INCFS_IOC_SYNC, false, control_sync },
	{ INCFS_IOC_SET_POLICY, true, incfs_change_policy },
	{ INCFS_IOC_GET_STATS, false, incfs_query_stats },
	{ INCFS_IOC_SHARE, true, incfs_fill_share },
	{ INCFS_IOC_CREATE, true, incfs_change_create },
	{ INCFS_IOC_GET_ATTRS, false, incfs_query_attrs },
};

union control_arg {
	struct incfs_mount_info info;
	struct incfs_block_ranges present;
	struct incfs_fill fill;
	struct incfs_pending_reads pending;
	struct incfs_policy_choice policy;
	struct incfs_stats stats;
	struct incfs_share share;
	struct incfs_create create;
	struct incfs_get_attrs attrs;
};

/* Programs may have been compiled with a structure of another size. */
static const struct control_ioctl *find_ioctl(unsigned int cmd)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(control_ioctls); i++) {
		if (!((control_ioctls[i].cmd ^ cmd) & ~IOCSIZE_MASK))
			return &control_ioctls[i];
	}
	return NULL;
}

/* Give the caller as much of @arg as it knows, and zeros for what it knows more. */
static int copy_reply(void __user *uarg, size_t usize, const void *arg, size_t ksize)
{
	if (copy_to_user(uarg, arg, min(usize, ksize)))
		return -EFAULT;
	if (usize > ksize && clear_user(uarg + ksize, usize - ksize))
		return -EFAULT;
	return 0;
}

static int call_ioctl(struct file *file, const struct control_ioctl *ioctl,
		      void __user *uarg, size_t usize)
{
	size_t ksize = _IOC_SIZE(ioctl->cmd);
	bool reply = _IOC_DIR(ioctl->cmd) & _IOC_READ;
	union control_arg arg = {};
	int err = 0, reply_err;

	if (usize < ksize)
		return -EINVAL;
	if (_IOC_DIR(ioctl->cmd) & _IOC_WRITE)
		err = copy_struct_from_user(&arg, ksize, uarg, usize);
	/* What can't be told must not be done. */
	if (!err && reply && ioctl->changes)
		err = copy_reply(uarg, usize, &arg, ksize);
	if (err)
		return err;
	err = ioctl->call(file, &arg);
	if (!reply)
		return err;
	reply_err = copy_reply(uarg, usize, &arg, ksize);
	return err ?: reply_err;
}

static long control_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	const struct control_ioctl *ioctl = find_ioctl(cmd);
	void __user *uarg = (void __user *)arg;
	int err;

	if (cmd == INCFS_IOC_PROCESS_INSTRUCTION)
		return process_instruction(file, uarg);
	if (!ioctl)
		return -ENOTTY;
	if (!ioctl->changes)
		return call_ioctl(file, ioctl, uarg, _IOC_SIZE(cmd));
	err = begin_change(file);
	if (err)
		return err;
	err = call_ioctl(file, ioctl, uarg, _IOC_SIZE(cmd));
	end_change(file);
	return err;
}

static int control_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	return control_sync(file, NULL);
}

const struct file_operations incfs_control_fops = {
	.owner = THIS_MODULE,
	.open = control_open,
	.release = control_release,
	.poll = control_poll,
	.read = control_read,
	.write = incfs_fill_write,
	.unlocked_ioctl = control_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.fsync = control_fsync,
};
