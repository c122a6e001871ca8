// SPDX-License-Identifier: MIT
/* libincfs: the handle, and the mount that it stands for. */
#include "lib.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/incrementalfs.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "mountinfo.h"

#define MOUNT_FLAGS (MS_NOSUID | MS_NODEV)

_Static_assert(LIBINCFS_BLOCK_SIZE == INCFS_DATA_FILE_BLOCK_SIZE, "size of a block");
_Static_assert(LIBINCFS_ROOT == INCFS_ROOT_INODE, "number of the root");
_Static_assert(LIBINCFS_KEY_MAX == INCFS_KEY_MAX, "length of a key");

int incfs_lib_fail(struct libincfs *fs, int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(fs->message, sizeof(fs->message), fmt, args);
	va_end(args);
	return -err;
}

int incfs_lib_enter(struct libincfs *fs)
{
	if (!fs)
		return -EINVAL;
	fs->message[0] = '\0';
	return fs->cmd_fd >= 0 ? 0 : incfs_lib_fail(fs, EBADF, "the handle is not open");
}

struct libincfs *libincfs_new(void)
{
	struct libincfs *fs = calloc(1, sizeof(*fs));

	if (fs)
		*fs = (struct libincfs){ .image_fd = -1, .root_fd = -1, .cmd_fd = -1 };
	return fs;
}

void libincfs_free(struct libincfs *fs)
{
	if (!fs)
		return;
	libincfs_close(fs, 0);
	free(fs->room);
	free(fs);
}

const char *libincfs_message(const struct libincfs *fs)
{
	return fs ? fs->message : "there is no handle";
}

void incfs_lib_forget_dir(struct libincfs *fs)
{
	free(fs->dir_path);
	fs->dir_path = NULL;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* All but the image, whose lock keeps other loaders away until the mount is gone. */
static void leave_mount(struct libincfs *fs)
{
	close_fd(&fs->cmd_fd);
	close_fd(&fs->root_fd);
	incfs_lib_forget_dir(fs);
}

static void forget_mount(struct libincfs *fs)
{
	leave_mount(fs);
	close_fd(&fs->image_fd);
	free(fs->path);
	free(fs->at);
	fs->path = NULL;
	fs->at = NULL;
}

/* Whether the root of a mount of our type is there. */
static bool is_mounted(const char *path)
{
	struct statfs at;
	struct stat st;

	return !statfs(path, &at) && at.f_type == (__typeof__(at.f_type))INCFS_MAGIC_NUMBER &&
	       !stat(path, &st) && st.st_ino == INCFS_ROOT_INODE;
}

static int set_path(struct libincfs *fs, const char *path)
{
	fs->path = strdup(path);
	fs->at = realpath(path, NULL);
	if (fs->path && fs->at)
		return 0;
	return incfs_lib_fail(fs, errno, "can't find the mount point '%s': %s", path,
			      strerror(errno));
}

static int open_image(struct libincfs *fs, const struct libincfs_params *params, bool mounted)
{
	int create = mounted || params->flags & LIBINCFS_MUST_EXIST ? 0 : O_CREAT;

	fs->image_fd = open(params->image, O_RDWR | O_CLOEXEC | create, 0600);
	if (fs->image_fd < 0) {
		/* What is mounted needs no name. */
		if (mounted && errno == ENOENT)
			return 0;
		return incfs_lib_fail(fs, errno, "can't open image '%s': %s", params->image,
				      strerror(errno));
	}
	if (!flock(fs->image_fd, LOCK_EX | LOCK_NB))
		return 0;
	if (errno == EWOULDBLOCK)
		return incfs_lib_fail(fs, EBUSY, "can't lock image '%s': another loader uses it",
				      params->image);
	return incfs_lib_fail(fs, errno, "can't lock image '%s': %s", params->image,
			      strerror(errno));
}

static int do_mount(struct libincfs *fs, const struct libincfs_params *params)
{
	char options[160], max_files[32] = "";
	int err;

	if (params->max_files)
		snprintf(max_files, sizeof(max_files), ",max_files=%u", params->max_files);
	snprintf(options, sizeof(options), "backing_fd=%d,read_timeout_ms=%u%s%s%s", fs->image_fd,
		 params->read_timeout_ms, max_files, params->policy ? ",policy=" : "",
		 params->policy ?: "");
	err = incfs_mount_image(params->image, fs->at, MOUNT_FLAGS, options);
	if (!err)
		return 0;
	return incfs_lib_fail(fs, err, "can't mount '%s' on '%s': %s", params->image, fs->path,
			      incfs_mount_explain(err, params->policy));
}

static int remount(struct libincfs *fs, const struct libincfs_params *params)
{
	char options[160];

	if (params->flags & LIBINCFS_KEEP_OPTIONS)
		return 0;
	snprintf(options, sizeof(options), "read_timeout_ms=%u,policy=%s", params->read_timeout_ms,
		 params->policy ?: "");
	if (!mount(NULL, fs->at, NULL, MS_REMOUNT | MOUNT_FLAGS, options))
		return 0;
	return incfs_lib_fail(fs, errno, "can't change the options of '%s': %s", fs->path,
			      incfs_mount_explain(errno, params->policy));
}

/* @else_flags: what to try when there is no writing, or 0. */
static int open_control(struct libincfs *fs, int else_flags)
{
	struct incfs_mount_info info = {};

	fs->root_fd = open(fs->at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fs->root_fd >= 0)
		fs->cmd_fd = openat(fs->root_fd, ".cmd", O_RDWR | O_CLOEXEC);
	if (fs->root_fd >= 0 && fs->cmd_fd < 0 && (errno == EROFS || errno == EACCES) &&
	    else_flags)
		fs->cmd_fd = openat(fs->root_fd, ".cmd", else_flags);
	if (fs->cmd_fd < 0)
		return incfs_lib_fail(fs, errno, "can't open '%s/.cmd': %s", fs->path,
				      strerror(errno));
	if (ioctl(fs->cmd_fd, INCFS_IOC_GET_INFO, &info))
		return incfs_lib_fail(fs, errno, "can't ask '%s' what it is: %s", fs->path,
				      strerror(errno));
	fs->fresh = info.nr_files <= 1;
	return 0;
}

/* A mount has one loader, whatever name its image has by now, or had all the time. */
static int lock_mount(struct libincfs *fs)
{
	if (!flock(fs->root_fd, LOCK_EX | LOCK_NB))
		return 0;
	if (errno == EWOULDBLOCK)
		return incfs_lib_fail(fs, EBUSY, "another loader uses the mount on '%s'",
				      fs->path);
	return incfs_lib_fail(fs, errno, "can't lock the mount on '%s': %s", fs->path,
			      strerror(errno));
}

/* What a later version of the caller's header has must not be asked for. */
static bool is_zero(const char *bytes, size_t size)
{
	while (size && !bytes[size - 1])
		size--;
	return !size;
}

static int check_params(struct libincfs *fs, const struct libincfs_params *params)
{
	if (!params || !params->image || !params->path)
		return incfs_lib_fail(fs, EINVAL, "an image and a mount point must be given");
	if (params->struct_size < sizeof(*params))
		return incfs_lib_fail(fs, EINVAL, "struct_size is %u, less than %zu",
				      params->struct_size, sizeof(*params));
	if (params->struct_size > 65536 ||
	    !is_zero((const char *)(params + 1), params->struct_size - sizeof(*params)) ||
	    params->flags & ~(LIBINCFS_MUST_EXIST | LIBINCFS_KEEP_OPTIONS))
		return incfs_lib_fail(fs, EINVAL,
				      "not all that is asked for is known to this version");
	/* It becomes part of a line of options. */
	if (params->policy && (strlen(params->policy) >= LIBINCFS_POLICY_LEN ||
			       strchr(params->policy, ',')))
		return incfs_lib_fail(fs, EINVAL, "'%s' is no name of a policy", params->policy);
	return 0;
}

static int enter_closed(struct libincfs *fs)
{
	if (!fs)
		return -EINVAL;
	fs->message[0] = '\0';
	if (fs->cmd_fd >= 0)
		return incfs_lib_fail(fs, EINVAL, "the handle is open already, on '%s'", fs->path);
	return 0;
}

int libincfs_open(struct libincfs *fs, const struct libincfs_params *params)
{
	int err = enter_closed(fs);
	bool mounted;

	err = err ?: check_params(fs, params);
	if (err)
		return err;
	mounted = is_mounted(params->path);
	err = set_path(fs, params->path) ?: open_image(fs, params, mounted);
	if (!err && !mounted)
		err = do_mount(fs, params);
	if (err)
		goto err;
	err = open_control(fs, 0) ?: lock_mount(fs);
	if (!err && mounted)
		err = incfs_lib_check_image(fs, params->image) ?: remount(fs, params);
	if (err) {
		leave_mount(fs);
		if (!mounted)
			umount2(fs->at, UMOUNT_NOFOLLOW);
		goto err;
	}
	return mounted;
err:
	forget_mount(fs);
	return err;
}

int libincfs_attach(struct libincfs *fs, const char *path)
{
	int err = enter_closed(fs);

	if (err)
		return err;
	if (!path)
		return incfs_lib_fail(fs, EINVAL, "a mount point must be given");
	err = set_path(fs, path);
	if (!err && !is_mounted(path))
		err = incfs_lib_fail(fs, ENODEV, "no image is mounted on '%s'", path);
	err = err ?: open_control(fs, O_RDONLY | O_CLOEXEC);
	if (err)
		forget_mount(fs);
	return err;
}

int libincfs_close(struct libincfs *fs, unsigned int flags)
{
	int err = incfs_lib_enter(fs);

	if (err)
		return err;
	if (flags & ~LIBINCFS_UNMOUNT)
		return incfs_lib_fail(fs, EINVAL, "0x%x are no flags", flags);
	leave_mount(fs);
	if (flags & LIBINCFS_UNMOUNT && umount2(fs->at, UMOUNT_NOFOLLOW))
		err = incfs_lib_fail(fs, errno, "'%s' stays mounted: %s", fs->path,
				     errno == EBUSY ?
				     "it is in use, and readers may wait for the next loader" :
				     strerror(errno));
	forget_mount(fs);
	return err;
}

int libincfs_fd(const struct libincfs *fs)
{
	if (!fs)
		return -EINVAL;
	return fs->cmd_fd >= 0 ? fs->cmd_fd : -EBADF;
}

int libincfs_root_fd(const struct libincfs *fs)
{
	if (!fs)
		return -EINVAL;
	return fs->cmd_fd >= 0 ? fs->root_fd : -EBADF;
}

int libincfs_image_fd(const struct libincfs *fs)
{
	if (!fs)
		return -EINVAL;
	if (fs->cmd_fd < 0)
		return -EBADF;
	return fs->image_fd >= 0 ? fs->image_fd : -ENOENT;
}
