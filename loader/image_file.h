/* SPDX-License-Identifier: MIT */
/* The file that an image is in: opened, locked, read. */
#ifndef _INCFS_IMAGE_FILE_H
#define _INCFS_IMAGE_FILE_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

enum incfs_image_use {
	INCFS_IMAGE_LOOK,	/* it may be mounted, and change meanwhile */
	INCFS_IMAGE_READ,	/* nobody else may change it */
	INCFS_IMAGE_CHANGE,	/* nobody else may use it */
};

struct incfs_image_file {
	const char *path;
	int fd;
	struct stat st;
	__u64 size;
};

/*
 * Open and lock the file. A loader, or another tool, that has it locked is
 * refused, and so is a mount, where that can be told. Returns 0, or -1 after
 * saying what is wrong.
 */
int incfs_image_file_open(struct incfs_image_file *file, const char *path,
			  enum incfs_image_use use);
void incfs_image_file_close(struct incfs_image_file *file);

/* All of @len bytes: 0 or a negative errno. A file that ends before is -EIO. */
int incfs_image_file_read(const struct incfs_image_file *file, void *buf, size_t len,
			  __u64 offset);
int incfs_file_write(int fd, const void *buf, size_t len, __u64 offset);

#endif /* _INCFS_IMAGE_FILE_H */
