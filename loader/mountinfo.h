/* SPDX-License-Identifier: MIT */
/* What mount(2) and /proc/self/mountinfo take and say, for the library and the tools. */
#ifndef _INCFS_MOUNTINFO_H
#define _INCFS_MOUNTINFO_H

#include <stdbool.h>
#include <stdio.h>

/**
 * struct incfs_mountinfo - a line
 * @major:  of the device, as @minor
 * @path:   where it is mounted
 * @source: what was mounted; NULL if the line does not say
 */
struct incfs_mountinfo {
	unsigned int major, minor;
	char *path;
	char *source;
};

/* The next line of @file; false at its end. What it has given before is to be freed. */
bool incfs_mountinfo_next(FILE *file, struct incfs_mountinfo *entry);
void incfs_mountinfo_free(struct incfs_mountinfo *entry);

/* Mount an image. Returns 0, or an errno. */
int incfs_mount_image(const char *image, const char *dir, unsigned long flags,
		      const char *options);

/* That errno in words; @policy: whether one was named in the options. */
const char *incfs_mount_explain(int err, bool policy);

#endif /* _INCFS_MOUNTINFO_H */
