// SPDX-License-Identifier: GPL-2.0-only
/*
 * Incremental FS: targets of symbolic links, keys and extended attributes.
 *
 * They are in the attribute record of an inode, and stay there: a node has only
 * where the record lies. It was checked when the image was mounted, and is
 * checked again whenever it is read, as the image may have been damaged since.
 */
#include <linux/fs.h>
#include <linux/slab.h>
#include <linux/xattr.h>

#include "internal.h"

bool incfs_attrs_find(const struct incfs_attrs *attrs, enum incfs_item_type type,
		      const char *name, struct incfs_item *item)
{
	const void *items = attrs->items;
	size_t left = attrs->items_len, len = strlen(name);

	while (incfs_format_next_item(&items, &left, item)) {
		if (item->type == type && item->name_len == len &&
		    !memcmp(item->name, name, len))
			return true;
	}
	return false;
}

int incfs_attrs_check(const struct incfs_attrs *attrs, umode_t mode, u64 size, const char **why)
{
	struct incfs_item target;
	int err;

	err = incfs_format_check_items(attrs->items, attrs->items_len, mode, why);
	if (!err && incfs_attrs_find(attrs, INCFS_ITEM_SYMLINK, "", &target) &&
	    target.value_len != size) {
		*why = "target of a symbolic link has not the size of its inode";
		err = -EINVAL;
	}
	return err;
}

/* Is what was read the record that the node was made with? */
static int check_record(struct incfs_node *node, const void *buf, size_t size,
			struct incfs_record *record, const char **why)
{
	int err;

	err = incfs_format_parse_record(buf, size, node->attrs_offset,
					incfs_image_size(&node->mnt->image), record, why);
	if (err)
		return err;
	if (record->type != INCFS_RECORD_ATTRS || record->attrs.ino != node->ino) {
		*why = "not the attributes of this inode";
		return -EINVAL;
	}
	return incfs_attrs_check(&record->attrs, node->mode, node->size, why);
}

int incfs_attrs_read(struct incfs_node *node, struct incfs_attrs *attrs, void **buf)
{
	size_t size = incfs_format_attrs_size(node->items_len);
	struct incfs_record record;
	const char *why;
	int err;

	*buf = NULL;
	*attrs = (struct incfs_attrs) {};
	if (!node->items_len)
		return 0;
	*buf = kmalloc(size, GFP_KERNEL);
	if (!*buf)
		return -ENOMEM;
	why = "can't be read";
	err = incfs_image_pread(&node->mnt->image, *buf, size, node->attrs_offset);
	if (!err && check_record(node, *buf, size, &record, &why))
		err = -EUCLEAN;
	if (err) {
		incfs_err(node->mnt, "inode %llu: attributes at image offset %llu: %s: %d",
			  node->ino, node->attrs_offset, why, err);
		kfree(*buf);
		*buf = NULL;
		return err;
	}
	*attrs = record.attrs;
	return 0;
}

char *incfs_attrs_target(struct incfs_node *node)
{
	struct incfs_attrs attrs;
	struct incfs_item item;
	char *target;
	void *buf;
	int err;

	err = incfs_attrs_read(node, &attrs, &buf);
	if (err)
		return ERR_PTR(err);
	target = ERR_PTR(-EUCLEAN);
	if (incfs_attrs_find(&attrs, INCFS_ITEM_SYMLINK, "", &item))
		target = kmemdup_nul(item.value, item.value_len, GFP_KERNEL) ?:
			 ERR_PTR(-ENOMEM);
	kfree(buf);
	return target;
}

static int get_xattr(const struct xattr_handler *handler, struct dentry *dentry,
		     struct inode *inode, const char *name, void *value, size_t size)
{
	struct incfs_attrs attrs;
	struct incfs_item item;
	void *buf;
	int ret;

	/* ".cmd" has no node. */
	if (!incfs_inode_node(inode))
		return -ENODATA;
	ret = incfs_attrs_read(incfs_inode_node(inode), &attrs, &buf);
	if (ret)
		return ret;
	if (!incfs_attrs_find(&attrs, INCFS_ITEM_XATTR, xattr_full_name(handler, name), &item)) {
		ret = -ENODATA;
	} else if (size && size < item.value_len) {
		ret = -ERANGE;
	} else {
		ret = item.value_len;
		if (size)
			memcpy(value, item.value, ret);
	}
	kfree(buf);
	return ret;
}

ssize_t incfs_attrs_list(struct dentry *dentry, char *list, size_t size)
{
	struct incfs_attrs attrs;
	struct incfs_item item;
	const void *items;
	ssize_t used = 0;
	void *buf;
	int err;

	err = incfs_attrs_read(incfs_inode_node(d_inode(dentry)), &attrs, &buf);
	if (err)
		return err;
	items = attrs.items;
	while (incfs_format_next_item(&items, &attrs.items_len, &item)) {
		if (item.type != INCFS_ITEM_XATTR)
			continue;
		used += item.name_len + 1;
		if (!size)
			continue;
		if (used > size) {
			used = -ERANGE;
			break;
		}
		memcpy(list + used - item.name_len - 1, item.name, item.name_len);
		list[used - 1] = '\0';
	}
	kfree(buf);
	return used;
}

/* Nothing sets them: the permission to write to an inode is refused before. */
static const struct xattr_handler user_handler = {
	.prefix = XATTR_USER_PREFIX,
	.get = get_xattr,
};

const struct xattr_handler *const incfs_xattr_handlers[] = {
	&user_handler,
	NULL
};
