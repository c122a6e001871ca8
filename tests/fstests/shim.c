// SPDX-License-Identifier: GPL-2.0-only
/*
 * Preloaded into programs of fstests and LTP, to have them test a tree that can't be
 * written, without a change to them:
 *
 * - a tmpfs that is remounted read-only becomes an image with the same tree, by
 *   $FSTESTS_FREEZE DIR;
 * - with $FSTESTS_READ, a file that they want to make, or to write on a read-only file
 *   system, is opened for reading if it is there; that it could be made longer and
 *   shorter again, as fsx tries first, they are made to believe.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

static int open_at(int dir, const char *path, int flags, mode_t mode)
{
	static int (*real)(int, const char *, int, ...);
	int fd;

	if (!real)
		real = (int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, "openat");
	fd = real(dir, path, flags, mode);
	if (fd < 0 && (errno == EROFS || errno == EEXIST) && getenv("FSTESTS_READ") &&
	    !(flags & O_TRUNC))
		fd = real(dir, path, flags & ~(O_ACCMODE | O_CREAT | O_EXCL));
	return fd;
}

static mode_t mode_of(int flags, va_list args)
{
	return flags & (O_CREAT | O_TMPFILE) ? va_arg(args, int) : 0;
}

int open(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = mode_of(flags, args);
	va_end(args);
	return open_at(AT_FDCWD, path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = mode_of(flags, args);
	va_end(args);
	return open_at(dir, path, flags, mode);
}

int open64(const char *path, int flags, ...) __attribute__((alias("open")));
int openat64(int dir, const char *path, int flags, ...) __attribute__((alias("openat")));

/* The size that a file open for reading only has been given. */
static int sized_fd = -1;
static off_t sized;

int ftruncate(int fd, off_t size)
{
	static int (*real)(int, off_t);

	if (!real)
		real = (int (*)(int, off_t))dlsym(RTLD_NEXT, "ftruncate");
	if (!getenv("FSTESTS_READ") || (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY)
		return real(fd, size);
	sized_fd = fd;
	sized = size;
	return 0;
}

int ftruncate64(int fd, off_t size) __attribute__((alias("ftruncate")));

int fstat(int fd, struct stat *st)
{
	static int (*real)(int, struct stat *);
	int ret;

	if (!real)
		real = (int (*)(int, struct stat *))dlsym(RTLD_NEXT, "fstat");
	ret = real(fd, st);
	if (!ret && fd == sized_fd && sized > st->st_size)
		st->st_size = sized;
	return ret;
}

int fstat64(int fd, struct stat64 *st)
{
	return fstat(fd, (struct stat *)st);
}

int mount(const char *dev, const char *dir, const char *type, unsigned long flags,
	  const void *data)
{
	static int (*real)(const char *, const char *, const char *, unsigned long,
			   const void *);
	const char *freeze = getenv("FSTESTS_FREEZE");
	char command[1024];

	if (!real)
		real = (int (*)(const char *, const char *, const char *, unsigned long,
				const void *))dlsym(RTLD_NEXT, "mount");
	if (freeze && type && !strcmp(type, "tmpfs") &&
	    (flags & (MS_REMOUNT | MS_RDONLY)) == (MS_REMOUNT | MS_RDONLY)) {
		snprintf(command, sizeof(command), "env -u LD_PRELOAD '%s' '%s'", freeze, dir);
		if (!system(command))
			return 0;
		errno = EIO;
		return -1;
	}
	return real(dev, dir, type, flags, data);
}
