// SPDX-License-Identifier: GPL-2.0-only
/* Incremental FS: superblocks; a mount's life from image to unmount. */
#include <linux/backing-dev.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/module.h>
#include <linux/percpu_counter.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/statfs.h>

#include "internal.h"

static atomic64_t last_mount_id = ATOMIC64_INIT(0);

static void mount_destroy(struct incfs_mount *mnt)
{
	incfs_sysfs_remove(mnt);
	incfs_policy_unbind(mnt);
	incfs_tree_destroy(mnt);
	incfs_image_close(&mnt->image);
	percpu_counter_destroy_many(mnt->stats, INCFS_NR_STATS);
	kfree_rcu(mnt, rcu);
}

static struct incfs_mount *mount_create(struct super_block *sb, const struct incfs_params *params)
{
	struct incfs_mount *mnt = kzalloc(sizeof(*mnt), GFP_KERNEL_ACCOUNT);
	int err;

	if (!mnt)
		return ERR_PTR(-ENOMEM);
	mnt->sb = sb;
	mnt->id = atomic64_inc_return(&last_mount_id);
	mnt->max_files = params->max_files ?: INCFS_MAX_FILES;
	mnt->timeout_ms = params->has_timeout ? params->timeout_ms : INCFS_DEFAULT_TIMEOUT_MS;
	mnt->verify_once = params->verify_once;
	mnt->cmd_uid = uid_valid(params->cmd_uid) ? params->cmd_uid : current_fsuid();
	mnt->cmd_gid = gid_valid(params->cmd_gid) ? params->cmd_gid : current_fsgid();
	mnt->cmd_mode = params->has_cmd_mode ? params->cmd_mode : INCFS_DEFAULT_CMD_MODE;
	incfs_pending_setup(mnt);
	incfs_expired_setup(mnt);
	incfs_ahead_setup(mnt);
	err = percpu_counter_init_many(mnt->stats, 0, GFP_KERNEL_ACCOUNT, INCFS_NR_STATS);
	if (err)
		goto err_free;
	err = incfs_image_open(&mnt->image, params->backing);
	if (err)
		goto err_destroy_stats;
	if (!incfs_image_writable(&mnt->image))
		sb->s_flags |= SB_RDONLY;
	err = incfs_tree_create(mnt);
	if (err)
		goto err_close_image;
	err = incfs_scan_image(mnt);
	if (err)
		goto err_destroy_tree;
	err = incfs_policy_bind(mnt, params->policy);
	if (err)
		goto err_destroy_tree;
	err = incfs_sysfs_add(mnt);
	if (err)
		goto err_unbind_policy;
	return mnt;

err_unbind_policy:
	incfs_policy_unbind(mnt);
err_destroy_tree:
	incfs_tree_destroy(mnt);
err_close_image:
	incfs_image_close(&mnt->image);
err_destroy_stats:
	percpu_counter_destroy_many(mnt->stats, INCFS_NR_STATS);
err_free:
	kfree_rcu(mnt, rcu);
	return ERR_PTR(err);
}

static int incfs_sync_fs(struct super_block *sb, int wait)
{
	return wait ? incfs_image_sync(&incfs_sb_mount(sb)->image) : 0;
}

static int incfs_statfs(struct dentry *dentry, struct kstatfs *stat)
{
	struct incfs_mount *mnt = incfs_sb_mount(dentry->d_sb);
	u32 nr_files;
	u64 room;
	int err;

	err = incfs_image_room(&mnt->image, &room);
	if (err)
		return err;
	down_read(&mnt->tree_lock);
	nr_files = mnt->nr_nodes;
	up_read(&mnt->tree_lock);
	stat->f_type = INCFS_MAGIC_NUMBER;
	stat->f_bsize = INCFS_BLOCK_SIZE;
	stat->f_bfree = room >> INCFS_BLOCK_SHIFT;
	stat->f_bavail = stat->f_bfree;
	stat->f_blocks = (incfs_image_size(&mnt->image) >> INCFS_BLOCK_SHIFT) + stat->f_bfree;
	stat->f_files = mnt->max_files;
	stat->f_ffree = mnt->max_files - nr_files;
	stat->f_namelen = INCFS_NAME_MAX;
	/* A device number is used again when its mount has gone; together they are not. */
	stat->f_fsid = u64_to_fsid(mnt->id << 32 | new_encode_dev(dentry->d_sb->s_dev));
	return 0;
}

static int incfs_show_options(struct seq_file *m, struct dentry *root)
{
	struct incfs_mount *mnt = incfs_sb_mount(root->d_sb);
	const struct cred *mounter = mnt->image.cred;

	seq_printf(m, ",read_timeout_ms=%u", READ_ONCE(mnt->timeout_ms));
	if (READ_ONCE(mnt->verify_once))
		seq_puts(m, ",verify=once");
	if (mnt->max_files != INCFS_MAX_FILES)
		seq_printf(m, ",max_files=%u", mnt->max_files);
	if (!uid_eq(mnt->cmd_uid, mounter->fsuid))
		seq_printf(m, ",cmd_uid=%u", from_kuid_munged(&init_user_ns, mnt->cmd_uid));
	if (!gid_eq(mnt->cmd_gid, mounter->fsgid))
		seq_printf(m, ",cmd_gid=%u", from_kgid_munged(&init_user_ns, mnt->cmd_gid));
	if (mnt->cmd_mode != INCFS_DEFAULT_CMD_MODE)
		seq_printf(m, ",cmd_mode=%04o", mnt->cmd_mode);
	incfs_policy_show(mnt, m);
	return 0;
}

static int incfs_show_devname(struct seq_file *m, struct dentry *root)
{
	return seq_file_path(m, incfs_sb_mount(root->d_sb)->image.file, " \t\n\\") < 0 ?
	       -ENAMETOOLONG : 0;
}

static const struct super_operations super_ops = {
	.statfs = incfs_statfs,
	.sync_fs = incfs_sync_fs,
	.show_options = incfs_show_options,
	.show_devname = incfs_show_devname,
};

/* The image's file system is below this one. */
static int stack_on(struct super_block *sb, const struct file *backing)
{
	sb->s_stack_depth = file_inode(backing)->i_sb->s_stack_depth + 1;
	return sb->s_stack_depth > FILESYSTEM_MAX_STACK_DEPTH ? -ELOOP : 0;
}

int incfs_fill_super(struct super_block *sb, struct fs_context *fc)
{
	struct incfs_params *params = fc->fs_private;
	struct incfs_mount *mnt;
	struct inode *root;
	int err;

	err = stack_on(sb, params->backing);
	if (err) {
		errorf(fc, "too many file systems below each other");
		return err;
	}
	sb->s_magic = INCFS_MAGIC_NUMBER;
	sb->s_op = &super_ops;
	sb->s_blocksize = INCFS_BLOCK_SIZE;
	sb->s_blocksize_bits = INCFS_BLOCK_SHIFT;
	sb->s_maxbytes = MAX_LFS_FILESIZE;
	sb->s_time_gran = 1;
	sb->s_flags |= SB_NOATIME;
	sb->s_xattr = incfs_xattr_handlers;
	err = super_setup_bdi(sb);
	if (err)
		return err;

	mnt = mount_create(sb, params);
	if (IS_ERR(mnt)) {
		err = PTR_ERR(mnt);
		errorf(fc, "can't use the image: %d (see the kernel's log)", err);
		return err;
	}
	sb->s_fs_info = mnt;
	root = incfs_inode_get(sb, mnt->root);
	if (IS_ERR(root))
		return PTR_ERR(root);
	sb->s_root = d_make_root(root);
	return sb->s_root ? 0 : -ENOMEM;
}

static void incfs_kill_sb(struct super_block *sb)
{
	struct incfs_mount *mnt = incfs_sb_mount(sb);

	if (mnt)
		incfs_ahead_stop(mnt);
	kill_anon_super(sb);
	if (mnt)
		mount_destroy(mnt);
}

struct file_system_type incfs_fs_type = {
	.owner = THIS_MODULE,
	.name = INCFS_NAME,
	.init_fs_context = incfs_init_context,
	.kill_sb = incfs_kill_sb,
	.fs_flags = FS_ALLOW_IDMAP,
};
MODULE_ALIAS_FS(INCFS_NAME);
