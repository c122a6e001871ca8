// SPDX-License-Identifier: GPL-2.0-only
/* Incremental FS: changes of the tree and the mount through ".cmd". */
#include <linux/fs.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "internal.h"

#define NAME_LEN_MAX 8192

static int copy_name(char *name, u64 uname, u32 len)
{
	if (len > NAME_LEN_MAX)
		return -E2BIG;
	if (len > INCFS_NAME_MAX)
		return -ENAMETOOLONG;
	if (copy_from_user(name, u64_to_user_ptr(uname), len))
		return -EFAULT;
	return 0;
}

static int change_entry(struct super_block *sb, u32 type,
			const struct incfs_dir_entry_instruction *entry)
{
	struct incfs_mount *mnt = incfs_sb_mount(sb);
	char name[INCFS_NAME_MAX];
	int err;

	err = copy_name(name, entry->name, entry->name_len);
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
	struct incfs_new_node fresh = {
		.mode = file->mode,
		.size = S_ISREG(file->mode) ? file->size : 0,
	};
	int err;

	/* A file whose number can't be returned must not come to be. */
	if (put_user(0, ino_out))
		return -EFAULT;
	err = incfs_tree_new(mnt, &fresh);
	return err ?: put_user(fresh.ino, ino_out);
}

int incfs_change_instruction(struct file *file, const struct incfs_instruction *arg,
			     struct incfs_instruction __user *uarg)
{
	struct super_block *sb = file_inode(file)->i_sb;

	switch (arg->type) {
	case INCFS_INSTRUCTION_NEW_FILE:
		return new_file(incfs_sb_mount(sb), &arg->file, &uarg->file.ino_out);
	case INCFS_INSTRUCTION_ADD_DIR_ENTRY:
	case INCFS_INSTRUCTION_REMOVE_DIR_ENTRY:
		return change_entry(sb, arg->type, &arg->dir_entry);
	default:
		return -EINVAL;
	}
}

static int check_create(const struct incfs_create *create)
{
	if (create->reserved[0] || create->reserved[1])
		return -EINVAL;
	if (create->items_len > INCFS_ITEMS_MAX)
		return -E2BIG;
	if (create->mode & ~(S_IFMT | S_IALLUGO) || create->mtime_nsec >= NSEC_PER_SEC)
		return -EINVAL;
	if (!uid_valid(KUIDT_INIT(create->uid)) || !gid_valid(KGIDT_INIT(create->gid)))
		return -EINVAL;
	if (create->size && !S_ISREG(create->mode))
		return -EINVAL;
	return !create->dir_ino == !create->name_len ? 0 : -EINVAL;
}

static int create_node(struct super_block *sb, struct incfs_create *create, const char *name,
		       const void *items)
{
	struct incfs_attrs attrs = {
		.mtime_sec = create->mtime_sec,
		.mtime_nsec = create->mtime_nsec,
		.uid = create->uid,
		.gid = create->gid,
		.mode = create->mode & S_IALLUGO,
		.items_len = create->items_len,
		.items = items,
	};
	struct incfs_new_node fresh = {
		.size = create->size,
		.mode = create->mode,
		.attrs = &attrs,
		.dir = create->dir_ino,
		.name = name,
		.name_len = create->name_len,
	};
	struct incfs_item target;
	int err;

	if (S_ISLNK(create->mode) && incfs_attrs_find(&attrs, INCFS_ITEM_SYMLINK, "", &target))
		fresh.size = target.value_len;
	err = incfs_tree_new(incfs_sb_mount(sb), &fresh);
	if (err)
		return err;
	create->ino = fresh.ino;
	if (fresh.name_len)
		incfs_dir_forget(sb, fresh.dir, name, fresh.name_len);
	return 0;
}

int incfs_change_create(struct file *file, void *arg)
{
	struct incfs_create *create = arg;
	char name[INCFS_NAME_MAX];
	void *items;
	int err;

	err = check_create(create);
	if (!err)
		err = copy_name(name, create->name, create->name_len);
	if (err)
		return err;
	items = memdup_user(u64_to_user_ptr(create->items), create->items_len);
	if (IS_ERR(items))
		return PTR_ERR(items);
	err = create_node(file_inode(file)->i_sb, create, name, items);
	kfree(items);
	return err;
}

int incfs_change_policy(struct file *file, void *arg)
{
	struct incfs_policy_choice *choice = arg;

	BUILD_BUG_ON(sizeof(choice->policy) != INCFS_POLICY_NAME_MAX);
	if (choice->reserved ||
	    strnlen(choice->policy, sizeof(choice->policy)) == sizeof(choice->policy))
		return -EINVAL;
	return incfs_policy_choose(incfs_file_mount(file), choice->policy);
}
