// SPDX-License-Identifier: MIT
/* The image and its mount. */
#include "mount.h"

#include <incfs/incfs.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "log.h"

static bool type_known(void)
{
	FILE *file = fopen("/proc/filesystems", "re");
	char line[128];
	bool known = false;

	if (!file)
		return true;
	while (!known && fgets(line, sizeof(line), file))
		known = !strcmp(line, "nodev\t" INCFS_NAME "\n");
	fclose(file);
	return known;
}

bool incfs_module_ready(void)
{
	char *argv[] = { "modprobe", "-q", "incfs", NULL };
	int err, status;
	pid_t pid;

	if (type_known())
		return true;
	err = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
	if (!err && waitpid(pid, &status, 0) == pid && type_known())
		return true;
	incfs_error("the kernel knows no file system '%s': 'modprobe incfs' did not load the module",
		    INCFS_NAME);
	return false;
}

bool incfs_mount_may_exist(const char *path, const char *image)
{
	struct statfs fs;
	struct stat st;

	return (!stat(image, &st) && st.st_size) ||
	       (!statfs(path, &fs) &&
		fs.f_type == (__typeof__(fs.f_type))INCFS_MAGIC_NUMBER);
}

/* What the library says went wrong. */
static int mount_fail(const struct incfs_mount *mount)
{
	incfs_error("%s", libincfs_message(mount->fs));
	return -1;
}

int incfs_mount_get_info(struct incfs_mount *mount)
{
	struct libincfs_info info;

	if (libincfs_get_info(mount->fs, &info))
		return mount_fail(mount);
	mount->info = (struct incfs_mount_info){
		.mount_id = info.mount_id, .read_timeout_ms = info.read_timeout_ms,
		.max_files = info.max_files, .nr_files = info.nr_files,
	};
	memcpy(mount->info.policy, info.policy, sizeof(mount->info.policy));
	return 0;
}

int incfs_mount_open(struct incfs_mount *mount, const struct incfs_mount_params *params)
{
	struct libincfs_params how = {
		.struct_size = sizeof(how), .image = params->image, .path = params->path,
		.policy = params->policy, .read_timeout_ms = params->timeout_ms,
		.max_files = params->max_files,
	};
	int opened;

	*mount = (struct incfs_mount){
		.fs = libincfs_new(), .path = params->path,
		.image_fd = -1, .root_fd = -1, .cmd_fd = -1,
	};
	if (!mount->fs) {
		incfs_error("out of memory");
		return -1;
	}
	opened = libincfs_open(mount->fs, &how);
	if (opened < 0) {
		mount_fail(mount);
		incfs_mount_close(mount, false);
		return -1;
	}
	mount->was_mounted = opened;
	if (opened)
		incfs_info("going on with what is mounted on '%s'", params->path);
	mount->cmd_fd = libincfs_fd(mount->fs);
	mount->root_fd = libincfs_root_fd(mount->fs);
	mount->image_fd = libincfs_image_fd(mount->fs);
	mount->at = realpath(params->path, NULL);
	if (incfs_mount_get_info(mount)) {
		incfs_mount_close(mount, !opened);
		return -1;
	}
	mount->fresh = mount->info.nr_files <= 1;
	return 0;
}

void incfs_mount_close(struct incfs_mount *mount, bool unmount)
{
	if (mount->cmd_fd >= 0 && libincfs_close(mount->fs, unmount ? LIBINCFS_UNMOUNT : 0))
		incfs_warn("%s", libincfs_message(mount->fs));
	libincfs_free(mount->fs);
	free(mount->at);
	mount->fs = NULL;
	mount->at = NULL;
	mount->image_fd = mount->root_fd = mount->cmd_fd = -1;
}
