// SPDX-License-Identifier: GPL-2.0-only
/*
 * Incremental FS: the tree of files and directories, as the image has it.
 *
 * Nodes and names are made by the records of the image at mount time, and by
 * instructions after that. An instruction writes its record first and changes
 * the tree after it, so that a failed one leaves nothing behind in either.
 *
 * A node stays until unmount.
 */
#include <linux/err.h>
#include <linux/slab.h>

#include "internal.h"

/* A cache of its own, so that a node left behind is noticed at unload. */
static struct kmem_cache *node_cache;

/* Nodes stay until unmount, so the result needs no lock. */
struct incfs_node *incfs_tree_node(struct incfs_mount *mnt, u64 ino)
{
	return ino > INCFS_LAST_INO ? NULL : xa_load(&mnt->nodes, ino);
}

static struct incfs_node *node_alloc(struct incfs_mount *mnt, u64 ino, u64 size, umode_t mode)
{
	struct incfs_node *node = kmem_cache_zalloc(node_cache, GFP_KERNEL_ACCOUNT);

	if (!node)
		return NULL;
	node->mnt = mnt;
	node->ino = ino;
	node->size = size;
	node->mode = (mode & S_IFMT) | (mode & 0555);
	if (S_ISREG(mode)) {
		node->nr_blocks = incfs_format_blocks(size);
		mutex_init(&node->map_lock);
		xa_init(&node->bad);
		xa_init(&node->checked);
	} else if (S_ISDIR(mode)) {
		xa_init(&node->names);
	}
	return node;
}

static void set_attrs(struct incfs_node *node, const struct incfs_attrs *attrs, u64 offset)
{
	node->mode = (node->mode & S_IFMT) | attrs->mode;
	node->uid = attrs->uid;
	node->gid = attrs->gid;
	node->mtime_sec = attrs->mtime_sec;
	node->mtime_nsec = attrs->mtime_nsec;
	node->items_len = attrs->items_len;
	node->attrs_offset = offset;
}

/* Take @node into the tree; its slot is there, or is made now. */
static int insert_node(struct incfs_mount *mnt, struct incfs_node *node)
{
	int err = xa_err(xa_store(&mnt->nodes, node->ino, node, GFP_KERNEL));

	if (err)
		return err;
	mnt->nr_nodes++;
	mnt->next_ino = max(mnt->next_ino, node->ino + 1);
	return 0;
}

int incfs_tree_load_node(struct incfs_mount *mnt, u64 ino, u64 size, umode_t mode,
			 const char **why)
{
	struct incfs_node *node;
	int err;

	if (incfs_tree_node(mnt, ino)) {
		*why = "inode number is taken";
		return -EUCLEAN;
	}
	if (mnt->nr_nodes >= mnt->max_files) {
		*why = "image has more inodes than max_files allows";
		return -ENFILE;
	}
	node = node_alloc(mnt, ino, size, mode);
	if (!node)
		return -ENOMEM;
	err = insert_node(mnt, node);
	if (err)
		kmem_cache_free(node_cache, node);
	return err;
}

int incfs_tree_load_map(struct incfs_mount *mnt, u64 ino, u64 offset, u32 count,
			const char **why)
{
	struct incfs_node *node = incfs_tree_node(mnt, ino);

	*why = NULL;
	if (!node || !S_ISREG(node->mode))
		*why = "block map of no file";
	else if (node->map_offset)
		*why = "second block map of a file";
	else if (!count || count != node->nr_blocks)
		*why = "block map does not match the size of its file";
	if (*why)
		return -EUCLEAN;
	node->map_offset = offset;
	return 0;
}

int incfs_tree_load_attrs(struct incfs_mount *mnt, const struct incfs_record *record,
			  const char **why)
{
	struct incfs_node *node = incfs_tree_node(mnt, record->attrs.ino);

	*why = NULL;
	if (!node)
		*why = "attributes of no inode";
	else if (node->attrs_offset)
		*why = "second attributes of an inode";
	else if (node->nr_names)
		*why = "attributes of an inode that has a name already";
	if (*why || incfs_attrs_check(&record->attrs, node->mode, node->size, why))
		return -EUCLEAN;
	set_attrs(node, &record->attrs, record->offset);
	return 0;
}

/* A directory without entries has nothing below it. */
static bool is_below(const struct incfs_node *dir, const struct incfs_node *node)
{
	if (xa_empty(&node->names))
		return dir == node;
	for (; dir; dir = dir->parent) {
		if (dir == node)
			return true;
	}
	return false;
}

static int check_add(struct incfs_node *dir, struct incfs_node *node, const char *name,
		     size_t len, const char **why)
{
	*why = "no such inode";
	if (!dir || !node)
		return -ENOENT;
	*why = "entry of something that is not a directory";
	if (!S_ISDIR(dir->mode))
		return -ENOTDIR;
	*why = "the root as an entry";
	if (node == dir->mnt->root)
		return -EINVAL;
	*why = "symbolic link without a target";
	if (S_ISLNK(node->mode) && !node->attrs_offset)
		return -EINVAL;
	*why = "directory would be its own ancestor";
	if (S_ISDIR(node->mode) && is_below(dir, node))
		return -EINVAL;
	*why = "second parent for a directory";
	if (S_ISDIR(node->mode) && node->parent)
		return -EMLINK;
	*why = "name is taken";
	if (incfs_name_find(dir, name, len))
		return -EEXIST;
	return 0;
}

static void show_links(struct incfs_node *node)
{
	if (S_ISDIR(node->mode))
		return;
	incfs_inode_set_links(node->mnt->sb, node);
}

/* Make a name that the tree does not count yet. */
static int prepare_name(struct incfs_node *dir, struct incfs_node *node, const char *str,
			size_t len, struct incfs_name **name, const char **why)
{
	int err;

	err = check_add(dir, node, str, len, why);
	if (err)
		return err;
	*why = NULL;
	*name = incfs_name_create(dir, node, str, len);
	return PTR_ERR_OR_ZERO(*name);
}

static void count_name(const struct incfs_name *name)
{
	name->dir->next_cookie++;
	name->node->nr_names++;
	if (S_ISDIR(name->node->mode))
		name->node->parent = name->dir;
}

/* @commit: also write it to the image; false while the image is being read */
static int add_name(struct incfs_mount *mnt, u64 dir_ino, u64 ino, const char *str, size_t len,
		    bool commit, const char **why)
{
	struct incfs_node *dir = incfs_tree_node(mnt, dir_ino);
	struct incfs_node *node = incfs_tree_node(mnt, ino);
	struct incfs_name *name;
	int err;

	lockdep_assert_held_write(&mnt->tree_lock);
	err = prepare_name(dir, node, str, len, &name, why);
	if (err)
		return err;
	if (commit) {
		err = incfs_image_append_dir(&mnt->image, INCFS_DIR_ADD, dir_ino, ino, str, len);
		if (err) {
			incfs_name_destroy(name);
			return err;
		}
	}
	count_name(name);
	if (commit)
		show_links(node);
	return 0;
}

static int remove_name(struct incfs_mount *mnt, u64 dir_ino, u64 ino, const char *str,
		       size_t len, bool commit, const char **why)
{
	struct incfs_node *dir = incfs_tree_node(mnt, dir_ino);
	struct incfs_name *name;
	struct incfs_node *node;
	int err;

	lockdep_assert_held_write(&mnt->tree_lock);
	*why = "removal of what is not there";
	if (!dir)
		return -ENOENT;
	if (!S_ISDIR(dir->mode))
		return -ENOTDIR;
	name = incfs_name_find(dir, str, len);
	if (!name || (ino && name->node->ino != ino))
		return -ENOENT;
	node = name->node;
	*why = "removal of a directory that is not empty";
	if (S_ISDIR(node->mode) && !xa_empty(&node->names))
		return -ENOTEMPTY;
	*why = NULL;
	if (commit) {
		err = incfs_image_append_dir(&mnt->image, INCFS_DIR_REMOVE, dir_ino, node->ino,
					     str, len);
		if (err)
			return err;
	}
	incfs_name_destroy(name);
	node->nr_names--;
	if (S_ISDIR(node->mode))
		node->parent = NULL;
	if (commit)
		show_links(node);
	return 0;
}

int incfs_tree_load_name(struct incfs_mount *mnt, const struct incfs_record *record,
			 const char **why)
{
	int err;

	down_write(&mnt->tree_lock);
	if (record->dir.action == INCFS_DIR_ADD)
		err = add_name(mnt, record->dir.dir, record->dir.entry, record->dir.name,
			       record->dir.len, false, why);
	else
		err = remove_name(mnt, record->dir.dir, record->dir.entry, record->dir.name,
				  record->dir.len, false, why);
	up_write(&mnt->tree_lock);
	return err == -ENOMEM ? err : err ? -EUCLEAN : 0;
}

static int check_new(const struct incfs_new_node *fresh)
{
	const char *why;

	if (!S_ISREG(fresh->mode) && !S_ISDIR(fresh->mode) &&
	    !(S_ISLNK(fresh->mode) && fresh->attrs))
		return -EINVAL;
	if (fresh->size > INCFS_FILE_SIZE_MAX)
		return -EFBIG;
	if (fresh->attrs && incfs_attrs_check(fresh->attrs, fresh->mode, fresh->size, &why))
		return -EINVAL;
	if (fresh->name_len && incfs_format_check_name(fresh->name, fresh->name_len, &why))
		return fresh->name_len > INCFS_NAME_MAX ? -ENAMETOOLONG : -EINVAL;
	return 0;
}

/* Write @node to the image, and have it in the tree; its slot is reserved. */
static int commit_node(struct incfs_mount *mnt, struct incfs_node *node,
		       struct incfs_new_node *fresh)
{
	struct incfs_name *name = NULL;
	const char *why;
	int err;

	if (fresh->name_len) {
		err = prepare_name(incfs_tree_node(mnt, fresh->dir), node, fresh->name,
				   fresh->name_len, &name, &why);
		if (err)
			return err;
	}
	err = incfs_image_append_node(&mnt->image, fresh);
	if (err) {
		if (name)
			incfs_name_destroy(name);
		return err;
	}
	if (S_ISREG(node->mode))
		node->map_offset = fresh->map_offset;
	node->attrs_offset = fresh->attrs_offset;
	if (name)
		count_name(name);
	return insert_node(mnt, node);
}

/* Nothing may fail once the records are written, so all room is made before. */
static int new_node(struct incfs_mount *mnt, struct incfs_new_node *fresh)
{
	struct incfs_node *node;
	int err;

	lockdep_assert_held_write(&mnt->tree_lock);
	if (mnt->nr_nodes >= mnt->max_files || mnt->next_ino > INCFS_LAST_INO)
		return -ENFILE;
	node = node_alloc(mnt, mnt->next_ino, fresh->size, fresh->mode);
	if (!node)
		return -ENOMEM;
	fresh->ino = node->ino;
	fresh->mode = node->mode;
	/* Any offset but 0 does until it is known: a symbolic link needs one to get a name. */
	if (fresh->attrs)
		set_attrs(node, fresh->attrs, INCFS_OFFSET_MAX);
	err = xa_reserve(&mnt->nodes, node->ino, GFP_KERNEL);
	if (err)
		goto err_free_node;
	err = commit_node(mnt, node, fresh);
	if (err)
		goto err_release;
	return 0;

err_release:
	xa_release(&mnt->nodes, node->ino);
err_free_node:
	kmem_cache_free(node_cache, node);
	return err;
}

int incfs_tree_new(struct incfs_mount *mnt, struct incfs_new_node *fresh)
{
	int err = check_new(fresh);

	if (err)
		return err;
	down_write(&mnt->tree_lock);
	err = new_node(mnt, fresh);
	up_write(&mnt->tree_lock);
	return err;
}

int incfs_tree_add(struct incfs_mount *mnt, u64 dir, u64 ino, const char *name, size_t len)
{
	const char *why;
	int err;

	if (incfs_format_check_name(name, len, &why))
		return len > INCFS_NAME_MAX ? -ENAMETOOLONG : -EINVAL;
	down_write(&mnt->tree_lock);
	err = add_name(mnt, dir, ino, name, len, true, &why);
	up_write(&mnt->tree_lock);
	return err;
}

int incfs_tree_remove(struct incfs_mount *mnt, u64 dir, u64 ino, const char *name, size_t len)
{
	const char *why;
	int err;

	if (incfs_format_check_name(name, len, &why))
		return len > INCFS_NAME_MAX ? -ENAMETOOLONG : -EINVAL;
	down_write(&mnt->tree_lock);
	err = remove_name(mnt, dir, ino, name, len, true, &why);
	up_write(&mnt->tree_lock);
	return err;
}

int incfs_tree_create(struct incfs_mount *mnt)
{
	int err;

	init_rwsem(&mnt->tree_lock);
	xa_init(&mnt->nodes);
	mnt->next_ino = INCFS_FIRST_INO;
	err = incfs_names_create(mnt);
	if (err)
		return err;
	mnt->root = node_alloc(mnt, INCFS_ROOT_INODE, 0, S_IFDIR | 0555);
	if (!mnt->root)
		goto err_free_names;
	mnt->root->nr_names = 1;
	err = insert_node(mnt, mnt->root);
	if (err)
		goto err_free_root;
	return 0;

err_free_root:
	kmem_cache_free(node_cache, mnt->root);
	mnt->root = NULL;
err_free_names:
	incfs_names_destroy(mnt);
	return -ENOMEM;
}

void incfs_tree_destroy(struct incfs_mount *mnt)
{
	struct incfs_node *node;
	unsigned long ino;

	if (!mnt->root)
		return;
	incfs_names_destroy(mnt);
	xa_for_each(&mnt->nodes, ino, node) {
		if (S_ISDIR(node->mode))
			xa_destroy(&node->names);
		else if (S_ISREG(node->mode))
			incfs_blocks_destroy(node);
		kmem_cache_free(node_cache, node);
	}
	xa_destroy(&mnt->nodes);
}

int __init incfs_tree_init(void)
{
	node_cache = KMEM_CACHE(incfs_node, SLAB_ACCOUNT | SLAB_NO_MERGE);
	return node_cache ? 0 : -ENOMEM;
}

void incfs_tree_exit(void)
{
	kmem_cache_destroy(node_cache);
}
