// SPDX-License-Identifier: GPL-2.0-only
/*
 * Incremental FS: VFS inodes, made from the nodes of the tree on demand.
 *
 * Users of the tree can read it and nothing else, whoever they are; only
 * ".cmd" may be opened for writing, by whom its mode allows.
 */
#include <linux/fs.h>
#include <linux/pagemap.h>

#include "internal.h"

static int incfs_permission(struct mnt_idmap *idmap, struct inode *inode, int mask)
{
	if ((mask & MAY_WRITE) && inode->i_ino != INCFS_COMMAND_INODE)
		return -EROFS;
	return generic_permission(idmap, inode, mask);
}

static int incfs_setattr(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr)
{
	return -EROFS;
}

static const struct inode_operations incfs_file_iops = {
	.permission = incfs_permission,
	.setattr = incfs_setattr,
};

static const struct inode_operations incfs_dir_iops = {
	.lookup = incfs_lookup,
	.permission = incfs_permission,
	.setattr = incfs_setattr,
};

static void init_times(struct inode *inode)
{
	struct timespec64 epoch = {};

	/* Format v1 keeps no times. */
	inode_set_atime_to_ts(inode, epoch);
	inode_set_mtime_to_ts(inode, epoch);
	inode_set_ctime_to_ts(inode, epoch);
}

static void init_node_inode(struct inode *inode, struct incfs_node *node)
{
	inode->i_private = node;
	inode->i_mode = node->mode;
	init_times(inode);
	if (S_ISDIR(node->mode)) {
		inode->i_op = &incfs_dir_iops;
		inode->i_fop = &incfs_dir_fops;
		/* Subdirectories are not counted, which 1 tells to find(1). */
		set_nlink(inode, 1);
		return;
	}
	inode->i_op = &incfs_file_iops;
	inode->i_fop = &incfs_file_fops;
	inode->i_mapping->a_ops = &incfs_file_aops;
	inode->i_size = node->size;
	inode->i_blocks = DIV_ROUND_UP_ULL(node->size, 512);
	set_nlink(inode, node->nr_names);
}

struct inode *incfs_inode_get(struct super_block *sb, struct incfs_node *node)
{
	struct inode *inode = iget_locked(sb, node->ino);

	if (!inode)
		return ERR_PTR(-ENOMEM);
	if (incfs_inode_is_new(inode)) {
		init_node_inode(inode, node);
		unlock_new_inode(inode);
	}
	return inode;
}

struct inode *incfs_inode_get_command(struct super_block *sb)
{
	struct incfs_mount *mnt = incfs_sb_mount(sb);
	struct inode *inode = iget_locked(sb, INCFS_COMMAND_INODE);

	if (!inode)
		return ERR_PTR(-ENOMEM);
	if (incfs_inode_is_new(inode)) {
		inode->i_mode = S_IFREG | mnt->cmd_mode;
		inode->i_uid = mnt->cmd_uid;
		inode->i_gid = mnt->cmd_gid;
		inode->i_op = &incfs_file_iops;
		inode->i_fop = &incfs_control_fops;
		init_times(inode);
		unlock_new_inode(inode);
	}
	return inode;
}

/* Called under tree_lock, which init_node_inode() is as well. */
void incfs_inode_set_links(struct super_block *sb, struct incfs_node *node)
{
	struct inode *inode = ilookup(sb, node->ino);

	if (!inode)
		return;
	set_nlink(inode, node->nr_names);
	iput(inode);
}
