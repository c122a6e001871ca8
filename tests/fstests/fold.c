// SPDX-License-Identifier: GPL-2.0-only
/*
 * fold: move files from a directory into an image that is mounted, all of their
 * blocks with them:
 *
 *	fold UPPER MOUNT
 *
 * UPPER is the upper layer of an overlay whose lowest layer is MOUNT, and which is not
 * mounted. What is moved is read from the image when the overlay is mounted again.
 * Stays what an image can't hold or what overlayfs would find no more: files with
 * several names, ACLs and attributes other than "user.", large ones, devices, and all
 * below a directory that hides one of the image. A whiteout goes with the name that it
 * hides. Prints how many files and bytes were moved, and how many files stay.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <linux/incrementalfs.h>

#define BLOCK INCFS_DATA_FILE_BLOCK_SIZE
/* Blocks in one call. */
#define BATCH 256
#define LARGEST (64ll << 20)
#define OPAQUE "trusted.overlay.opaque"

static int cmd;
static unsigned long moved, moved_bytes, stayed;

/* The attributes of an open file as items of an image; -1 if it can't hold them. */
static int collect_items(int fd, char *items)
{
	char names[4096], *name;
	ssize_t len = flistxattr(fd, names, sizeof(names));
	int used = 0;

	if (len < 0)
		return errno == ENOTSUP ? 0 : -1;
	for (name = names; name < names + len; name += strlen(name) + 1) {
		struct incfs_attr_item item = { .type = INCFS_ATTR_XATTR };
		size_t name_len = strlen(name);
		char value[INCFS_ITEMS_MAX];
		ssize_t size;

		if (!strncmp(name, "trusted.overlay.", 16))
			continue;
		if (strncmp(name, "user.", 5) || !name[5])
			return -1;
		size = fgetxattr(fd, name, value, sizeof(value));
		if (size < 0 || used + sizeof(item) + name_len + size > INCFS_ITEMS_MAX)
			return -1;
		item.name_len = name_len;
		item.value_len = htole16(size);
		memcpy(items + used, &item, sizeof(item));
		memcpy(items + used + sizeof(item), name, name_len);
		memcpy(items + used + sizeof(item) + name_len, value, size);
		used += sizeof(item) + name_len + size;
	}
	return used;
}

static bool fill(int fd, uint64_t ino, off_t size)
{
	static char data[BATCH][BLOCK];
	struct incfs_fill_block blocks[BATCH];
	off_t at = 0;

	while (at < size) {
		ssize_t got = pread(fd, data, sizeof(data), at);
		struct incfs_fill fill = { .blocks = (uintptr_t)blocks };
		ssize_t done;

		if (got <= 0)
			return false;
		for (done = 0; done < got; done += BLOCK, fill.count++)
			blocks[fill.count] = (struct incfs_fill_block) {
				.ino = ino,
				.block = (at + done) / BLOCK,
				.len = got - done < BLOCK ? got - done : BLOCK,
				.data = (uintptr_t)data[fill.count],
			};
		if (ioctl(cmd, INCFS_IOC_FILL, &fill) || fill.filled != fill.count)
			return false;
		at += got;
	}
	return true;
}

static int create(uint64_t dir, const char *name, const struct stat *st, const char *items,
		  int items_len, uint64_t *ino)
{
	struct incfs_create create = {
		.dir_ino = dir,
		.name = (uintptr_t)name,
		.name_len = strlen(name),
		.items = (uintptr_t)items,
		.items_len = items_len,
		.size = S_ISREG(st->st_mode) ? st->st_size : 0,
		.mtime_sec = st->st_mtim.tv_sec,
		.mtime_nsec = st->st_mtim.tv_nsec,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.mode = st->st_mode,
	};
	int ret = ioctl(cmd, INCFS_IOC_CREATE, &create);

	*ino = create.ino;
	return ret;
}

static int remove_name(uint64_t dir, const char *name)
{
	struct incfs_instruction instruction = {
		.version = INCFS_HEADER_VER,
		.type = INCFS_INSTRUCTION_REMOVE_DIR_ENTRY,
		.dir_entry = {
			.dir_ino = dir,
			.name = (uintptr_t)name,
			.name_len = strlen(name),
		},
	};

	return ioctl(cmd, INCFS_IOC_PROCESS_INSTRUCTION, &instruction);
}

/* The inode of a name on the mount, and its type; 0 if there is none. */
static uint64_t look_up(int mount, const char *name, mode_t *type)
{
	struct stat st;

	if (mount < 0 || fstatat(mount, name, &st, AT_SYMLINK_NOFOLLOW))
		return 0;
	*type = st.st_mode & S_IFMT;
	return st.st_ino;
}

static bool fold_file(int upper, int mount, uint64_t dir, const char *name, const struct stat *st)
{
	int fd = openat(upper, name, O_RDONLY | O_NOATIME | O_CLOEXEC);
	char items[INCFS_ITEMS_MAX];
	bool done = false;
	mode_t type = 0;
	uint64_t ino;
	int len;

	if (fd < 0)
		return false;
	len = collect_items(fd, items);
	if (st->st_nlink != 1 || st->st_size > LARGEST || len < 0)
		goto out;
	if (look_up(mount, name, &type) && (type == S_IFDIR || remove_name(dir, name)))
		goto out;
	if (create(dir, name, st, items, len, &ino))
		goto out;
	if (!fill(fd, ino, st->st_size)) {
		remove_name(dir, name);
		goto out;
	}
	done = !unlinkat(upper, name, 0);
	moved_bytes += st->st_size;
out:
	close(fd);
	return done;
}

/* Closes @upper. */
static void fold_dir(int upper, int mount, uint64_t dir);

/* A directory stays; what is in it can go where the image has the directory, too. */
static bool fold_subdir(int upper, int mount, uint64_t dir, const char *name,
			const struct stat *st)
{
	int fd = openat(upper, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int below;
	mode_t type = 0;
	uint64_t ino;

	if (fd < 0)
		return false;
	ino = look_up(mount, name, &type);
	if (!ino) {
		if (create(dir, name, st, NULL, 0, &ino)) {
			close(fd);
			return false;
		}
		fremovexattr(fd, OPAQUE);
	} else if (type != S_IFDIR || fgetxattr(fd, OPAQUE, NULL, 0) >= 0) {
		close(fd);
		return false;
	}
	below = openat(mount, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fold_dir(fd, below, ino);
	close(below);
	return true;
}

static void fold_dir(int upper, int mount, uint64_t dir)
{
	DIR *entries = fdopendir(upper);
	struct dirent *entry;
	struct stat st;
	mode_t type;

	if (!entries)
		err(1, "fdopendir");
	while ((entry = readdir(entries))) {
		const char *name = entry->d_name;
		bool done = true;

		if (!strcmp(name, ".") || !strcmp(name, "..") ||
		    fstatat(upper, name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		if (S_ISREG(st.st_mode)) {
			done = fold_file(upper, mount, dir, name, &st);
			moved += done;
		} else if (S_ISDIR(st.st_mode)) {
			done = fold_subdir(upper, mount, dir, name, &st);
		} else if (S_ISCHR(st.st_mode) && !st.st_rdev) {
			if (!look_up(mount, name, &type) || !remove_name(dir, name))
				unlinkat(upper, name, 0);
		} else {
			done = false;
		}
		stayed += !done;
	}
	closedir(entries);
}

int main(int argc, char **argv)
{
	int upper, mount;

	if (argc != 3) {
		fprintf(stderr, "usage: fold UPPER MOUNT\n");
		return 2;
	}
	upper = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (upper < 0)
		err(1, "%s", argv[1]);
	mount = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mount < 0)
		err(1, "%s", argv[2]);
	cmd = openat(mount, ".cmd", O_RDWR | O_CLOEXEC);
	if (cmd < 0)
		err(1, "%s/.cmd", argv[2]);
	fold_dir(upper, mount, INCFS_ROOT_INODE);
	if (ioctl(cmd, INCFS_IOC_SYNC))
		err(1, "INCFS_IOC_SYNC");
	printf("%lu files, %lu bytes moved, %lu stay\n", moved, moved_bytes, stayed);
	return 0;
}
