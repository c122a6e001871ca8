/* SPDX-License-Identifier: MIT */
/* The image and its mount. */
#ifndef _INCFS_MOUNT_H
#define _INCFS_MOUNT_H

#include <linux/incrementalfs.h>
#include <stdbool.h>

struct libincfs;

/**
 * struct incfs_mount
 * @fs:          the library's handle, whose descriptors the others are; NULL if not open
 * @path:        where it is, in the words of who started us
 * @at:          the same, for others; NULL without memory
 * @image_fd:    the image, locked so that it has one loader; -1 if the mount was
 *               there before and the image has no name any more
 * @was_mounted: it was there before
 * @fresh:       the image was empty
 */
struct incfs_mount {
	struct libincfs *fs;
	const char *path;
	char *at;
	int image_fd;
	int root_fd;
	int cmd_fd;
	bool was_mounted;
	bool fresh;
	struct incfs_mount_info info;
};

/* What to mount, and how. @policy is NULL for none. */
struct incfs_mount_params {
	const char *path;
	const char *image;
	const char *policy;
	unsigned int timeout_ms;
	unsigned int max_files;
};

/* Whether the kernel knows the file system, if need be after modprobe. */
bool incfs_module_ready(void);

/* Whether an image is mounted on @path, or @image is something that could be. */
bool incfs_mount_may_exist(const char *path, const char *image);

/*
 * Mount the image, which is made if it isn't there, or go on with what is mounted
 * there, with this policy and timeout. Returns 0, or -1 after saying what is wrong.
 */
int incfs_mount_open(struct incfs_mount *mount, const struct incfs_mount_params *params);

/* Ask again for what can change in @mount->info. */
int incfs_mount_get_info(struct incfs_mount *mount);

void incfs_mount_close(struct incfs_mount *mount, bool unmount);

#endif /* _INCFS_MOUNT_H */
