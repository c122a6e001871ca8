/* SPDX-License-Identifier: MIT */
/* Paths in an image, whole; and which image a path is meant to be. */
#ifndef _INCFS_IMAGE_PATH_H
#define _INCFS_IMAGE_PATH_H

#include <linux/types.h>

struct incfs_model_name;

/* The path of a name without a slash before it, to be freed; NULL without memory. */
char *incfs_model_full_path(const struct incfs_model_name *name);

/*
 * The image that is meant by @path: itself if that is a file, or the one that is mounted
 * where it is. To be freed; NULL after saying what is wrong. @ino, which may be NULL, is
 * set to the number of what @path is in the image.
 */
char *incfs_image_of(const char *path, __u64 *ino);

#endif /* _INCFS_IMAGE_PATH_H */
