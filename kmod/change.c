// SPDX-License-Identifier: GPL-2.0-only
/* Incremental FS: changes of the tree and the mount through ".cmd". */
#include <linux/fs.h>
#include <linux/uaccess.h>

#include "internal.h"

#define NAME_LEN_MAX 8192

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

int incfs_change_policy(struct file *file, void *arg)
{
	struct incfs_policy_choice *choice = arg;

	BUILD_BUG_ON(sizeof(choice->policy) != INCFS_POLICY_NAME_MAX);
	if (choice->reserved ||
	    strnlen(choice->policy, sizeof(choice->policy)) == sizeof(choice->policy))
		return -EINVAL;
	return incfs_policy_choose(incfs_file_mount(file), choice->policy);
}
