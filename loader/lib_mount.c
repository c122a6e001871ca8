// SPDX-License-Identifier: MIT
/* libincfs: what is mounted, what has happened there, and which image it is of. */
#include <errno.h>
#include <fcntl.h>
#include <linux/incrementalfs.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lib.h"
#include "mountinfo.h"

_Static_assert(sizeof(struct libincfs_info) == sizeof(struct incfs_mount_info) &&
	       offsetof(struct libincfs_info, policy) == offsetof(struct incfs_mount_info, policy),
	       "what is told of a mount");

/* What the handle's mount was mounted from, to be freed; NULL if that can't be seen. */
static char *mounted_from(struct libincfs *fs)
{
	struct incfs_mountinfo entry;
	char *source = NULL;
	struct stat st;
	FILE *file;

	if (fstat(fs->root_fd, &st))
		return NULL;
	file = fopen("/proc/self/mountinfo", "re");
	while (file && !source && incfs_mountinfo_next(file, &entry)) {
		if (entry.major == major(st.st_dev) && entry.minor == minor(st.st_dev)) {
			source = entry.source;
			entry.source = NULL;
		}
		incfs_mountinfo_free(&entry);
	}
	if (file)
		fclose(file);
	return source;
}

int incfs_lib_check_image(struct libincfs *fs, const char *image)
{
	char *source = mounted_from(fs);
	struct stat of_mount, given;
	int err = 0;

	/* An image without its name may be any. */
	if (source && *source == '/' && !stat(source, &of_mount) &&
	    (fs->image_fd < 0 || (!fstat(fs->image_fd, &given) &&
	     (given.st_dev != of_mount.st_dev || given.st_ino != of_mount.st_ino))))
		err = incfs_lib_fail(fs, EEXIST,
				     "what is mounted on '%s' is the image '%s', not '%s'",
				     fs->path, source, image);
	free(source);
	return err;
}

int libincfs_get_info(struct libincfs *fs, struct libincfs_info *info)
{
	int err = incfs_lib_enter(fs);

	if (err)
		return err;
	if (!info)
		return incfs_lib_fail(fs, EINVAL, "there is no room for what is asked for");
	if (!ioctl(fs->cmd_fd, INCFS_IOC_GET_INFO, info))
		return 0;
	return incfs_lib_fail(fs, errno, "can't ask '%s' what it is: %s", fs->path,
			      strerror(errno));
}

int libincfs_get_stats(struct libincfs *fs, struct libincfs_stats *stats)
{
	int err = incfs_lib_enter(fs);
	struct incfs_stats now = {};
	uint32_t size;

	if (err)
		return err;
	if (!stats || stats->struct_size < sizeof(*stats) || stats->struct_size > 65536 ||
	    stats->reserved)
		return incfs_lib_fail(fs, EINVAL, "there is no room for what is asked for");
	if (ioctl(fs->cmd_fd, INCFS_IOC_GET_STATS, &now))
		return incfs_lib_fail(fs, errno, "can't ask '%s' what has happened: %s", fs->path,
				      strerror(errno));
	size = stats->struct_size;
	memset(stats, 0, size);
	*stats = (struct libincfs_stats){
		.struct_size = size,
		.blocks_filled = now.blocks_filled, .bytes_filled = now.bytes_filled,
		.blocks_shared = now.blocks_shared, .blocks_read = now.blocks_read,
		.blocks_damaged = now.blocks_damaged, .waits = now.waits,
		.waits_expired = now.waits_expired, .wait_ns = now.wait_ns,
		.blocks_pending = now.blocks_pending,
	};
	return 0;
}

int libincfs_set_policy(struct libincfs *fs, const char *policy)
{
	struct incfs_policy_choice choice = {};
	int err = incfs_lib_enter(fs);

	if (err)
		return err;
	if (!policy || strlen(policy) >= sizeof(choice.policy))
		return incfs_lib_fail(fs, EINVAL, "'%s' is no name of a policy", policy ?: "");
	memcpy(choice.policy, policy, strlen(policy));
	if (!ioctl(fs->cmd_fd, INCFS_IOC_SET_POLICY, &choice))
		return 0;
	return incfs_lib_fail(fs, errno, "'%s' can't use the policy '%s': %s", fs->path, policy,
			      errno == ENOENT ? "none of this name is registered" :
			      strerror(errno));
}

int libincfs_sync(struct libincfs *fs)
{
	int err = incfs_lib_enter(fs);

	if (err || !ioctl(fs->cmd_fd, INCFS_IOC_SYNC))
		return err;
	return incfs_lib_fail(fs, errno, "can't write what '%s' has to the disk: %s", fs->path,
			      strerror(errno));
}
