/* SPDX-License-Identifier: MIT */
#ifndef _INCFS_PACK_H
#define _INCFS_PACK_H

#include <stddef.h>
#include <sys/types.h>

/* What was found below a directory. */
struct incfs_pack_count {
	size_t files;
	size_t links;
	size_t dirs;
	size_t skipped;
	unsigned long long bytes;
};

/**
 * incfs_pack_directory - make the list of a directory
 * @dir:   the directory
 * @skip:  device and inode of a file to leave out, or NULL
 * @text:  set to the list, which the caller frees
 * @size:  set to its length
 * @count: set to what it holds
 *
 * Returns 0, or -1 after saying what is wrong.
 */
struct stat;
int incfs_pack_directory(const char *dir, const struct stat *skip, char **text, size_t *size,
			 struct incfs_pack_count *count);

#endif /* _INCFS_PACK_H */
