// SPDX-License-Identifier: MIT
/* Paths in an image, whole; and which image a path is meant to be. */
#include "image_path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <linux/incrementalfs.h>

#include "image_model.h"
#include "log.h"
#include "policy_mounts.h"

/* From its end to its start; without recursion, as images may be deep. */
char *incfs_model_full_path(const struct incfs_model_name *name)
{
	size_t len = 0;
	char *path, *at;

	for (const struct incfs_model_name *up = name; up; up = up->dir->a_name)
		len += up->len + 1;
	path = malloc(len);
	if (!path)
		return NULL;
	at = path + len;
	for (; name; name = name->dir->a_name) {
		at -= name->len + 1;
		memcpy(at, name->name, name->len);
		at[name->len] = '/';
	}
	path[len - 1] = 0;
	return path;
}

char *incfs_image_of(const char *path, __u64 *ino)
{
	struct incfs_mounts mounts = {};
	struct incfs_mounted *mount = NULL;
	char *image = NULL;
	struct statfs fs;
	struct stat st;

	if (statfs(path, &fs) || stat(path, &st)) {
		incfs_error("can't find '%s': %s", path, strerror(errno));
		return NULL;
	}
	if (ino)
		*ino = INCFS_IMAGE_ROOT;
	if (fs.f_type != (__typeof__(fs.f_type))INCFS_MAGIC_NUMBER) {
		image = strdup(path);
	} else if (!incfs_mounts_read(&mounts)) {
		mount = incfs_mounts_of(&mounts, path);
		if (ino)
			*ino = st.st_ino;
		if (mount && mount->source)
			image = strdup(mount->source);
		else if (mount)
			incfs_error("where the image of '%s' is can't be seen from here", path);
	}
	incfs_mounts_free(&mounts);
	return image;
}
