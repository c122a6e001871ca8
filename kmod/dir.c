// SPDX-License-Identifier: GPL-2.0-only
/*
 * Incremental FS: directories, as the VFS sees them.
 *
 * Instructions change the tree without the directory's inode lock, which a
 * reader of the directory holds while it writes to its own memory, and that
 * may be a mapping of an absent block. Instead a lookup hashes its dentry
 * under tree_lock: whoever changes the tree finds, afterwards, every dentry
 * that was made from what the tree was before, and drops it.
 */
#include <linux/dcache.h>
#include <linux/fs.h>

#include "internal.h"

#define COMMAND_NAME ".cmd"

/* Positions in a listing: ".", "..", ".cmd" in the root, then the cookies. */
#define POS_COMMAND 2
#define POS_NAMES 3

static bool is_command(const struct incfs_node *dir, const struct qstr *name)
{
	return dir == dir->mnt->root && name->len == strlen(COMMAND_NAME) &&
	       !memcmp(name->name, COMMAND_NAME, name->len);
}

struct dentry *incfs_lookup(struct inode *inode, struct dentry *dentry, unsigned int flags)
{
	struct incfs_node *dir = incfs_inode_node(inode);
	const struct qstr *name = &dentry->d_name;
	struct inode *found = NULL;
	struct incfs_name *entry;
	struct dentry *alias;

	if (name->len > INCFS_NAME_MAX)
		return ERR_PTR(-ENAMETOOLONG);
	if (is_command(dir, name))
		return d_splice_alias(incfs_inode_get_command(inode->i_sb), dentry);

	down_read(&dir->mnt->tree_lock);
	entry = incfs_name_find(dir, name->name, name->len);
	if (entry)
		found = incfs_inode_get(inode->i_sb, entry->node);
	alias = d_splice_alias(found, dentry);
	up_read(&dir->mnt->tree_lock);
	return alias;
}

void incfs_dir_forget(struct super_block *sb, u64 dir_ino, const char *name, size_t len)
{
	struct inode *inode = ilookup(sb, dir_ino);
	struct qstr qstr = QSTR_INIT(name, len);
	struct dentry *dir, *dentry;

	if (!inode)
		return;
	dir = d_find_any_alias(inode);
	iput(inode);
	if (!dir)
		return;
	qstr.hash = full_name_hash(dir, name, len);
	dentry = d_lookup(dir, &qstr);
	if (dentry) {
		d_invalidate(dentry);
		dput(dentry);
	}
	dput(dir);
}

static int incfs_iterate(struct file *file, struct dir_context *ctx)
{
	struct incfs_node *dir = incfs_inode_node(file_inode(file));
	struct incfs_tree_entry entry;
	u64 cookie;

	if (!dir_emit_dots(file, ctx))
		return 0;
	if (ctx->pos == POS_COMMAND) {
		if (dir == dir->mnt->root &&
		    !dir_emit(ctx, COMMAND_NAME, strlen(COMMAND_NAME), INCFS_COMMAND_INODE,
			      DT_REG))
			return 0;
		ctx->pos = POS_NAMES;
	}
	cookie = ctx->pos - POS_NAMES;
	while (incfs_names_list(dir, &cookie, &entry)) {
		ctx->pos = cookie + POS_NAMES;
		if (!dir_emit(ctx, entry.name, entry.len, entry.ino, fs_umode_to_dtype(entry.mode)))
			return 0;
		cookie++;
	}
	ctx->pos = cookie + POS_NAMES;
	return 0;
}

const struct file_operations incfs_dir_fops = {
	.owner = THIS_MODULE,
	.llseek = generic_file_llseek,
	.read = generic_read_dir,
	.iterate_shared = incfs_iterate,
};
