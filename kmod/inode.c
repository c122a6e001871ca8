// SPDX-License-Identifier: GPL-2.0-only
/*
 * Incremental FS: VFS inodes, made from the nodes of the tree on demand.
 *
 * Users of the tree can read it and nothing else, whoever they are; only
 * ".cmd" may be opened for writing, by whom its mode allows.
 */
#include <linux/fs.h>
#include <linux/pagemap.h>
#include <linux/stat.h>

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

/* Blocks are those that the image has; to count them may take a read of its map. */
static int incfs_file_getattr(struct mnt_idmap *idmap, const struct path *path,
			      struct kstat *stat, u32 request_mask, unsigned int flags)
{
	struct inode *inode = d_inode(path->dentry);
	u64 bytes;
	int err;

	generic_fillattr(idmap, request_mask, inode, stat);
	if (!(request_mask & STATX_BLOCKS))
		return 0;
	err = incfs_blocks_stored(incfs_inode_node(inode), &bytes);
	if (err == -EINTR)
		return err;
	if (err)
		stat->result_mask &= ~STATX_BLOCKS;
	else
		stat->blocks = DIV_ROUND_UP_ULL(bytes, 512);
	return 0;
}

static const char *incfs_get_link(struct dentry *dentry, struct inode *inode,
				  struct delayed_call *done)
{
	char *target;

	/* Without a reference to anything, nothing may be waited for. */
	if (!dentry)
		return ERR_PTR(-ECHILD);
	target = incfs_attrs_target(incfs_inode_node(inode));
	if (!IS_ERR(target))
		set_delayed_call(done, kfree_link, target);
	return target;
}

static const struct inode_operations command_iops = {
	.permission = incfs_permission,
	.setattr = incfs_setattr,
};

static const struct inode_operations file_iops = {
	.permission = incfs_permission,
	.getattr = incfs_file_getattr,
	.setattr = incfs_setattr,
	.listxattr = incfs_attrs_list,
};

static const struct inode_operations dir_iops = {
	.lookup = incfs_lookup,
	.permission = incfs_permission,
	.setattr = incfs_setattr,
	.listxattr = incfs_attrs_list,
};

static const struct inode_operations symlink_iops = {
	.get_link = incfs_get_link,
	.setattr = incfs_setattr,
};

static void init_times(struct inode *inode, struct timespec64 time)
{
	inode_set_atime_to_ts(inode, time);
	inode_set_mtime_to_ts(inode, time);
	inode_set_ctime_to_ts(inode, time);
}

/*
 * Programs with another's rights are for who could have them anyway: what a file
 * holds comes from who may write to ".cmd".
 */
static umode_t inode_mode(const struct incfs_node *node)
{
	const struct incfs_mount *mnt = node->mnt;

	if (!S_ISREG(node->mode) ||
	    (uid_eq(mnt->cmd_uid, GLOBAL_ROOT_UID) && !(mnt->cmd_mode & 0022)))
		return node->mode;
	return node->mode & ~(S_ISUID | S_ISGID);
}

static void init_node_inode(struct inode *inode, struct incfs_node *node)
{
	inode->i_private = node;
	inode->i_mode = inode_mode(node);
	i_uid_write(inode, node->uid);
	i_gid_write(inode, node->gid);
	init_times(inode, (struct timespec64) { node->mtime_sec, node->mtime_nsec });
	if (S_ISDIR(node->mode)) {
		inode->i_op = &dir_iops;
		inode->i_fop = &incfs_dir_fops;
		/* Subdirectories are not counted, which 1 tells to find(1). */
		set_nlink(inode, 1);
		return;
	}
	inode->i_size = node->size;
	set_nlink(inode, node->nr_names);
	if (S_ISLNK(node->mode)) {
		inode->i_op = &symlink_iops;
		return;
	}
	inode->i_op = &file_iops;
	inode->i_fop = &incfs_file_fops;
	inode->i_mapping->a_ops = &incfs_file_aops;
	/* No folio has more blocks than are read together. */
	mapping_set_folio_order_range(inode->i_mapping, 0, INCFS_FOLIO_ORDER_MAX);
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
		inode->i_op = &command_iops;
		inode->i_fop = &incfs_control_fops;
		init_times(inode, (struct timespec64) {});
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
