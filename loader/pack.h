/* SPDX-License-Identifier: MIT */
#ifndef _INCFS_PACK_H
#define _INCFS_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct stat;

/**
 * struct incfs_pack_options - how to make a list
 * @skip:        device and inode of a file to leave out, or NULL
 * @dereference: follow symbolic links, so that what they lead to is there in their place
 */
struct incfs_pack_options {
	const struct stat *skip;
	bool dereference;
};

/* What was found below a directory. */
struct incfs_pack_count {
	size_t files;
	size_t links;
	size_t symlinks;
	size_t dirs;
	size_t skipped;
	unsigned long long bytes;
};

/**
 * incfs_pack_directory - make the list of a directory
 * @dir:   the directory
 * @text:  set to the list, which the caller frees
 * @size:  set to its length
 * @count: set to what it holds
 *
 * Times are no later than SOURCE_DATE_EPOCH of the environment, if that is set. Returns
 * 0, or -1 after saying what is wrong.
 */
int incfs_pack_directory(const char *dir, const struct incfs_pack_options *options, char **text,
			 size_t *size, struct incfs_pack_count *count);

#endif /* _INCFS_PACK_H */
