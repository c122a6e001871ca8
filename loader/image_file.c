// SPDX-License-Identifier: MIT
/* The file that an image is in: opened, locked, read. */
#include "image_file.h"

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <linux/incrementalfs.h>

#include "log.h"

/*
 * The mount shows the name of its image as the device. One that was renamed, or
 * that another mount namespace has, is not found this way.
 */
static bool is_mounted(const struct stat *image)
{
	struct mntent entry;
	char buf[16384];
	struct stat st;
	bool found = false;
	FILE *mounts;

	mounts = setmntent("/proc/self/mounts", "r");
	if (!mounts)
		return false;
	while (!found && getmntent_r(mounts, &entry, buf, sizeof(buf)))
		found = !strcmp(entry.mnt_type, INCFS_NAME) && !stat(entry.mnt_fsname, &st) &&
			st.st_dev == image->st_dev && st.st_ino == image->st_ino;
	endmntent(mounts);
	return found;
}

/* The loader takes the same lock. */
static int lock_file(struct incfs_image_file *file, enum incfs_image_use use)
{
	int how = use == INCFS_IMAGE_CHANGE ? LOCK_EX : LOCK_SH;

	if (flock(file->fd, how | LOCK_NB)) {
		incfs_error("can't lock '%s': %s", file->path, errno == EWOULDBLOCK ?
			    "a loader or another tool uses it" : strerror(errno));
		return -1;
	}
	if (is_mounted(&file->st)) {
		incfs_error("'%s' is mounted: unmount it first", file->path);
		return -1;
	}
	return 0;
}

int incfs_image_file_open(struct incfs_image_file *file, const char *path,
			  enum incfs_image_use use)
{
	bool change = use == INCFS_IMAGE_CHANGE;

	/* Not to wait for somebody at the other end of a FIFO. */
	*file = (struct incfs_image_file){
		.path = path,
		.fd = open(path, (change ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK),
	};
	if (file->fd < 0 || fstat(file->fd, &file->st)) {
		incfs_error("can't open '%s' for %s: %s", path, change ? "writing" : "reading",
			    strerror(errno));
		goto err;
	}
	if (!S_ISREG(file->st.st_mode)) {
		incfs_error("can't open '%s' for %s: it is not a regular file", path,
			    change ? "writing" : "reading");
		goto err;
	}
	file->size = file->st.st_size;
	if (use != INCFS_IMAGE_LOOK && lock_file(file, use))
		goto err;
	return 0;
err:
	incfs_image_file_close(file);
	return -1;
}

void incfs_image_file_close(struct incfs_image_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
}

int incfs_image_file_read(const struct incfs_image_file *file, void *buf, size_t len,
			  __u64 offset)
{
	while (len) {
		ssize_t n = pread(file->fd, buf, len, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		buf += n;
		len -= n;
		offset += n;
	}
	return 0;
}

int incfs_file_write(int fd, const void *buf, size_t len, __u64 offset)
{
	while (len) {
		ssize_t n = pwrite(fd, buf, len, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		buf += n;
		len -= n;
		offset += n;
	}
	return 0;
}
