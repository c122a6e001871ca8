// SPDX-License-Identifier: MIT
/* The image and its mount. */
#include "mount.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"

#define MOUNT_FLAGS (MS_NOSUID | MS_NODEV)

extern char **environ;

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

/* Whether the root of a mount of our type is there. */
static bool is_mounted(const char *path)
{
	struct statfs fs;
	struct stat st;

	return !statfs(path, &fs) && fs.f_type == (__typeof__(fs.f_type))INCFS_MAGIC_NUMBER &&
	       !stat(path, &st) && st.st_ino == INCFS_ROOT_INODE;
}

static int open_image(struct incfs_mount *mount, const char *image)
{
	int create = mount->was_mounted ? 0 : O_CREAT;

	mount->image_fd = open(image, O_RDWR | O_CLOEXEC | create, 0600);
	if (mount->image_fd < 0) {
		/* What is mounted needs no name. */
		if (mount->was_mounted && errno == ENOENT)
			return 0;
		incfs_error("can't open image '%s': %s", image, strerror(errno));
		return -1;
	}
	if (flock(mount->image_fd, LOCK_EX | LOCK_NB)) {
		incfs_error("can't lock image '%s': %s", image, errno == EWOULDBLOCK ?
			    "another loader uses it" : strerror(errno));
		return -1;
	}
	return 0;
}

static const char *explain_mount(int err, const struct incfs_mount_params *params)
{
	switch (err) {
	case ENOENT:
		return params->policy ?
			"the mount point is not there, or no policy of this name is registered" :
			"the mount point is not there";
	case EPERM:
		return "not permitted; root is needed";
	case ENODEV:
		return "the module incfs is not loaded";
	case EINVAL:
	case EIO:
		return "the image is not valid, or an option not known; dmesg says more";
	case EBUSY:
		return "the image is mounted elsewhere";
	default:
		return strerror(err);
	}
}

static int do_mount(struct incfs_mount *mnt, const struct incfs_mount_params *params)
{
	char options[160];

	snprintf(options, sizeof(options), "backing_fd=%d,read_timeout_ms=%u,max_files=%u%s%s",
		 mnt->image_fd, params->timeout_ms, params->max_files,
		 params->policy ? ",policy=" : "", params->policy ?: "");
	if (!mount(params->image, params->path, INCFS_NAME, MOUNT_FLAGS, options))
		return 0;
	incfs_error("can't mount '%s' on '%s': %s", params->image, params->path,
		    explain_mount(errno, params));
	return -1;
}

static int remount(const struct incfs_mount_params *params)
{
	char options[160];

	incfs_info("going on with what is mounted on '%s'", params->path);
	snprintf(options, sizeof(options), "read_timeout_ms=%u,policy=%s", params->timeout_ms,
		 params->policy ?: "");
	if (!mount(NULL, params->path, NULL, MS_REMOUNT | MOUNT_FLAGS, options))
		return 0;
	incfs_error("can't change the options of '%s': %s", params->path,
		    explain_mount(errno, params));
	return -1;
}

int incfs_mount_get_info(struct incfs_mount *mount)
{
	if (!ioctl(mount->cmd_fd, INCFS_IOC_GET_INFO, &mount->info))
		return 0;
	incfs_error("can't ask '%s' what it is: %s", mount->path, strerror(errno));
	return -1;
}

static int open_control(struct incfs_mount *mount)
{
	mount->root_fd = open(mount->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mount->root_fd >= 0)
		mount->cmd_fd = openat(mount->root_fd, ".cmd", O_RDWR | O_CLOEXEC);
	if (mount->cmd_fd >= 0)
		return incfs_mount_get_info(mount);
	incfs_error("can't open '%s/.cmd': %s", mount->path, strerror(errno));
	return -1;
}

int incfs_mount_open(struct incfs_mount *mount, const struct incfs_mount_params *params)
{
	*mount = (struct incfs_mount){
		.path = params->path, .image_fd = -1, .root_fd = -1, .cmd_fd = -1,
		.was_mounted = is_mounted(params->path),
	};
	if (open_image(mount, params->image))
		goto err;
	if (mount->was_mounted ? remount(params) : do_mount(mount, params))
		goto err;
	if (open_control(mount)) {
		incfs_mount_close(mount, !mount->was_mounted);
		return -1;
	}
	mount->fresh = mount->info.nr_files <= 1;
	return 0;
err:
	incfs_mount_close(mount, false);
	return -1;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void incfs_mount_close(struct incfs_mount *mount, bool unmount)
{
	close_fd(&mount->cmd_fd);
	close_fd(&mount->root_fd);
	if (unmount && umount2(mount->path, UMOUNT_NOFOLLOW))
		incfs_warn("'%s' stays mounted: %s", mount->path, errno == EBUSY ?
			   "it is in use, and readers may wait for the next loader" :
			   strerror(errno));
	close_fd(&mount->image_fd);
}
