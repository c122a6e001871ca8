/* SPDX-License-Identifier: MIT */
/* The tree of a mount: brought in line with the list. */
#ifndef _INCFS_TREE_H
#define _INCFS_TREE_H

#include <linux/types.h>
#include <stdbool.h>

struct incfs_file;
struct incfs_files;
struct incfs_list;
struct incfs_mount;

/*
 * Add what the list has and the mount has not, and set the inode number of every
 * entry. What is there already must be of the same type and size. Returns 0, or
 * -1 after saying what is wrong.
 */
int incfs_tree_declare(struct incfs_mount *mount, struct incfs_list *list);

/* Find out which blocks of the files are stored. */
int incfs_tree_read_present(struct incfs_mount *mount, struct incfs_files *files);

/* Whether this block is stored, as the file system has it now. */
bool incfs_tree_block_present(struct incfs_mount *mount, const struct incfs_file *file,
			      __u32 block);

#endif /* _INCFS_TREE_H */
