/* SPDX-License-Identifier: MIT */
/* The tree of a mount: brought in line with the list. */
#ifndef _INCFS_TREE_H
#define _INCFS_TREE_H

#include <linux/types.h>
#include <stdbool.h>

struct incfs_digest;
struct incfs_file;
struct incfs_files;
struct incfs_list;
struct incfs_mount;

/*
 * Add what the list has and the mount has not, and set the inode number of every
 * entry. What is there already must be of the same type and size. With @subdir, all of
 * it is in this directory, whose key says of which bundle it is: @key, NULL if it is of
 * none. Returns 0, or -1 after saying what is wrong, or if the program is to end (idle.h).
 */
int incfs_tree_declare(struct incfs_mount *mount, struct incfs_list *list, const char *subdir,
		       const struct incfs_digest *key);

/* Find out which blocks of the files are stored. Returns as the above. */
int incfs_tree_read_present(struct incfs_mount *mount, struct incfs_files *files);

/* Whether this block is stored, as the file system has it now. */
bool incfs_tree_block_present(struct incfs_mount *mount, const struct incfs_file *file,
			      __u32 block);

#endif /* _INCFS_TREE_H */
