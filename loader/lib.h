/* SPDX-License-Identifier: MIT */
/* What the parts of libincfs share; include/incfs/incfs.h is what others see of it. */
#ifndef _INCFS_LIB_H
#define _INCFS_LIB_H

#include <incfs/incfs.h>
#include <stdbool.h>

/* Blocks in one call of the file system: it keeps together what comes together. */
#define INCFS_LIB_BATCH 256

/**
 * struct libincfs - a handle
 * @path:     the mount point, in the caller's words
 * @at:       the same, whatever becomes of the working directory
 * @cmd_fd:   ".cmd", -1 if the handle is not open
 * @fresh:    the tree was empty when the handle was opened
 * @dir_path: a directory whose number is known: that of the last entry; or NULL
 * @dir_ino:  its inode number
 * @room:     for what is compressed, a block for each of a batch; or NULL
 */
struct libincfs {
	char *path;
	char *at;
	int image_fd;
	int root_fd;
	int cmd_fd;
	bool fresh;
	char *dir_path;
	uint64_t dir_ino;
	char *room;
	char message[512];
};

/* Set the message; returns -@err. */
int incfs_lib_fail(struct libincfs *fs, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The start of every function: 0 if the handle is open, and without a message then. */
int incfs_lib_enter(struct libincfs *fs);

/* Forget the directory whose number is known. */
void incfs_lib_forget_dir(struct libincfs *fs);

/* Whether the mount that is gone on with is of this image, as far as that can be told. */
int incfs_lib_check_image(struct libincfs *fs, const char *image);

#endif /* _INCFS_LIB_H */
