// SPDX-License-Identifier: MIT
/*
 * libincfs: the tree. Entries are named by paths, the file system wants the number of
 * the directory: it is that of the last entry most of the time, and looked up else.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/incrementalfs.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib.h"

/* Open a path for fstat(2): nothing of the tree may lead out of it. */
static int open_path(struct libincfs *fs, const char *path)
{
	struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};

	return syscall(SYS_openat2, fs->root_fd, *path ? path : ".", &how, sizeof(how));
}

/* Returns 0 and *@st, or a negative errno without a message. */
static int stat_path(struct libincfs *fs, const char *path, struct stat *st)
{
	int err = 0, fd = open_path(fs, path);

	if (fd < 0 || fstat(fd, st))
		err = -errno;
	if (fd >= 0)
		close(fd);
	return err;
}

static bool name_is(const char *name, size_t len, const char *what)
{
	return strlen(what) == len && !memcmp(name, what, len);
}

/* Whether the path can be one in the tree, as it is written. */
static bool check_path(const char *path)
{
	const char *name = path;
	size_t len;

	if (!path || strlen(path) >= PATH_MAX)
		return false;
	for (;; name += len + 1) {
		len = strcspn(name, "/");
		if (!len || len > NAME_MAX || name_is(name, len, ".") ||
		    name_is(name, len, "..") || name_is(name, len, ".cmd"))
			return false;
		if (!name[len])
			return true;
	}
}

static int bad_path(struct libincfs *fs, const char *path)
{
	return incfs_lib_fail(fs, EINVAL, "'%s' can't be a path in the tree", path ?: "");
}

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Remember the number of a directory, if there is memory for it. */
static void remember_dir(struct libincfs *fs, const char *path, size_t len, uint64_t ino)
{
	incfs_lib_forget_dir(fs);
	fs->dir_path = strndup(path, len);
	fs->dir_ino = ino;
}

/* The directory that @path is in. */
static int find_parent(struct libincfs *fs, const char *path, uint64_t *ino)
{
	size_t len = name_of(path) - path;
	struct stat st;
	char *parent;
	int err;

	*ino = INCFS_ROOT_INODE;
	if (!len)
		return 0;
	len--;
	if (!fs->dir_path || !name_is(path, len, fs->dir_path)) {
		parent = strndup(path, len);
		if (!parent)
			return -ENOMEM;
		err = stat_path(fs, parent, &st);
		free(parent);
		if (err || !S_ISDIR(st.st_mode))
			return err ?: -ENOTDIR;
		remember_dir(fs, path, len, st.st_ino);
		*ino = st.st_ino;
	} else {
		*ino = fs->dir_ino;
	}
	return 0;
}

static int check_entry(struct libincfs *fs, const struct libincfs_entry *entry)
{
	bool link = entry->type == LIBINCFS_LINK;
	bool target = link || entry->type == LIBINCFS_SYMLINK;

	if (!check_path(entry->path))
		return bad_path(fs, entry->path);
	if (!target && entry->type != LIBINCFS_DIR && entry->type != LIBINCFS_FILE)
		return incfs_lib_fail(fs, EINVAL, "'%s' has the unknown type 0x%02x", entry->path,
				      (unsigned char)entry->type);
	if (target != !!entry->target)
		return incfs_lib_fail(fs, EINVAL, "'%s' %s", entry->path, target ?
				      "has no target" : "has a target, but is no link");
	if (link && !check_path(entry->target))
		return bad_path(fs, entry->target);
	if ((entry->size && entry->type != LIBINCFS_FILE) || entry->mode & ~07777u ||
	    entry->mtime_nsec >= 1000000000 || entry->key_len > LIBINCFS_KEY_MAX ||
	    (entry->key_len && !entry->key))
		return incfs_lib_fail(fs, EINVAL, "'%s' has a bad size, mode, time or key",
				      entry->path);
	return 0;
}

/* The inode number of the file that @entry is another name of. */
static int find_target(struct libincfs *fs, struct libincfs_entry *entry)
{
	struct stat st;
	int err = stat_path(fs, entry->target, &st);

	if (!err && !S_ISREG(st.st_mode))
		err = -EISDIR;
	if (err)
		return incfs_lib_fail(fs, -err, "can't make '%s' another name of '%s': %s",
				      entry->path, entry->target, strerror(-err));
	entry->ino = st.st_ino;
	return 0;
}

static int mismatch(struct libincfs *fs, const struct libincfs_entry *entry,
		    const struct stat *st)
{
	const char *is = S_ISDIR(st->st_mode) ? "directory" :
			 S_ISLNK(st->st_mode) ? "symbolic link" : "file";
	const char *be = entry->type == LIBINCFS_DIR ? "directory" :
			 entry->type == LIBINCFS_SYMLINK ? "symbolic link" : "file";

	if (strcmp(is, be))
		return incfs_lib_fail(fs, EEXIST, "'%s' is a %s in the image, but a %s in the list",
				      entry->path, is, be);
	if (entry->type == LIBINCFS_LINK)
		return incfs_lib_fail(fs, EEXIST,
				      "'%s' is its own file in the image, but '%s' in the list",
				      entry->path, entry->target);
	if (entry->type == LIBINCFS_SYMLINK)
		return incfs_lib_fail(fs, EEXIST,
				      "'%s' leads elsewhere in the image, but to '%s' in the list",
				      entry->path, entry->target);
	return incfs_lib_fail(fs, EEXIST, "'%s' has %lld bytes in the image, but %llu in the list",
			      entry->path, (long long)st->st_size,
			      (unsigned long long)entry->size);
}

/* Whether what is there, open as @fd, is what @entry says. */
static bool is_same(int fd, const struct stat *st, const struct libincfs_entry *entry)
{
	char text[PATH_MAX];
	ssize_t len;

	switch (entry->type) {
	case LIBINCFS_DIR:
		return S_ISDIR(st->st_mode);
	case LIBINCFS_FILE:
		return S_ISREG(st->st_mode) && (uint64_t)st->st_size == entry->size;
	case LIBINCFS_LINK:
		return st->st_ino == entry->ino;
	default:
		len = S_ISLNK(st->st_mode) ? readlinkat(fd, "", text, sizeof(text)) : -1;
		return len >= 0 && name_is(text, len, entry->target);
	}
}

/* Look for @entry in the tree: 1 it is there, 0 nothing is, or a negative errno. */
static int find_entry(struct libincfs *fs, struct libincfs_entry *entry)
{
	int found = 1, fd = open_path(fs, entry->path);
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &st))
		found = incfs_lib_fail(fs, errno, "can't look at '%s' in the image: %s",
				       entry->path, strerror(errno));
	else if (!is_same(fd, &st, entry))
		found = mismatch(fs, entry, &st);
	else
		entry->ino = st.st_ino;
	if (fd >= 0)
		close(fd);
	return found;
}

/* Returns where the next item goes. */
static char *add_item(char *to, uint8_t type, const void *value, size_t len)
{
	struct incfs_attr_item item = { .type = type, .value_len = htole16(len) };

	memcpy(to, &item, sizeof(item));
	memcpy(to + sizeof(item), value, len);
	return to + sizeof(item) + len;
}

static int create_inode(struct libincfs *fs, struct libincfs_entry *entry, uint64_t dir)
{
	const char *name = name_of(entry->path);
	char items[INCFS_ITEMS_MAX], *end = items;
	struct incfs_create arg = {
		.dir_ino = dir, .name = (uintptr_t)name, .name_len = strlen(name),
		.items = (uintptr_t)items, .size = entry->size,
		.mtime_sec = entry->mtime_sec, .mtime_nsec = entry->mtime_nsec,
		.uid = entry->uid, .gid = entry->gid,
		.mode = entry->mode | (entry->type == LIBINCFS_DIR ? S_IFDIR :
				       entry->type == LIBINCFS_SYMLINK ? S_IFLNK : S_IFREG),
	};
	size_t target = entry->target ? strlen(entry->target) : 0;

	if (target + entry->key_len > sizeof(items) - 2 * sizeof(struct incfs_attr_item))
		return -ENAMETOOLONG;
	if (entry->target)
		end = add_item(end, INCFS_ATTR_SYMLINK, entry->target, target);
	if (entry->key_len)
		end = add_item(end, INCFS_ATTR_KEY, entry->key, entry->key_len);
	arg.items_len = end - items;
	if (ioctl(fs->cmd_fd, INCFS_IOC_CREATE, &arg))
		return -errno;
	entry->ino = arg.ino;
	return 0;
}

static int change_name(struct libincfs *fs, uint32_t type, uint64_t dir, uint64_t ino,
		       const char *name)
{
	struct incfs_instruction arg = {
		.version = INCFS_HEADER_VER, .type = type,
		.dir_entry = {
			.dir_ino = dir, .child_ino = ino, .name_len = strlen(name),
			.name = (uintptr_t)name,
		},
	};

	return ioctl(fs->cmd_fd, INCFS_IOC_PROCESS_INSTRUCTION, &arg) ? -errno : 0;
}

/* Returns 0 or a negative errno, without a message. */
static int add_entry(struct libincfs *fs, struct libincfs_entry *entry)
{
	uint64_t dir;
	int err = find_parent(fs, entry->path, &dir);

	if (err)
		return err;
	if (entry->type == LIBINCFS_LINK)
		return change_name(fs, INCFS_INSTRUCTION_ADD_DIR_ENTRY, dir, entry->ino,
				   name_of(entry->path));
	return create_inode(fs, entry, dir);
}

static int add_failed(struct libincfs *fs, const struct libincfs_entry *entry, int err)
{
	struct incfs_mount_info info = {};

	/* It may be the directory, removed by someone else. */
	incfs_lib_forget_dir(fs);
	if (err == -ENFILE && !ioctl(fs->cmd_fd, INCFS_IOC_GET_INFO, &info))
		return incfs_lib_fail(fs, ENFILE, "can't add '%s': the mount has room for %u files",
				      entry->path, info.max_files);
	return incfs_lib_fail(fs, -err, "can't add '%s': %s", entry->path, strerror(-err));
}

static int declare_entry(struct libincfs *fs, struct libincfs_entry *entry)
{
	int found = 0, err = check_entry(fs, entry);

	if (!err && entry->type == LIBINCFS_LINK)
		err = find_target(fs, entry);
	if (err)
		return err;
	/* In a tree that was empty most are new: look only at what turns out not to be. */
	if (!fs->fresh)
		found = find_entry(fs, entry);
	if (!found) {
		err = add_entry(fs, entry);
		if (fs->fresh && (err == -EEXIST || err == -ENFILE))
			found = find_entry(fs, entry);
		if (err && !found)
			return add_failed(fs, entry, err);
	}
	if (found >= 0 && entry->type == LIBINCFS_DIR)
		remember_dir(fs, entry->path, strlen(entry->path), entry->ino);
	return found < 0 ? found : 0;
}

int libincfs_declare(struct libincfs *fs, struct libincfs_entry *entries, size_t nr)
{
	int err = incfs_lib_enter(fs);

	if (err)
		return err;
	if (!entries && nr)
		return incfs_lib_fail(fs, EINVAL, "there are no entries");
	for (size_t i = 0; !err && i < nr; i++)
		err = declare_entry(fs, &entries[i]);
	return err;
}

int libincfs_lookup(struct libincfs *fs, const char *path, uint64_t *ino)
{
	int err = incfs_lib_enter(fs);
	struct stat st;

	if (err)
		return err;
	if (!ino || !path || (*path && !check_path(path)))
		return bad_path(fs, path);
	err = stat_path(fs, path, &st);
	if (err)
		return incfs_lib_fail(fs, -err, "can't find '%s': %s", path, strerror(-err));
	*ino = st.st_ino;
	return 0;
}

int libincfs_remove(struct libincfs *fs, const char *path)
{
	int err = incfs_lib_enter(fs);
	uint64_t dir;

	if (err)
		return err;
	if (!check_path(path))
		return bad_path(fs, path);
	err = find_parent(fs, path, &dir);
	err = err ?: change_name(fs, INCFS_INSTRUCTION_REMOVE_DIR_ENTRY, dir, 0, name_of(path));
	if (err)
		return incfs_lib_fail(fs, -err, "can't remove '%s': %s", path, strerror(-err));
	/* Its number may be another's from now on. */
	incfs_lib_forget_dir(fs);
	return 0;
}

int libincfs_get_key(struct libincfs *fs, uint64_t ino, void *key, size_t size)
{
	char items[INCFS_ITEMS_MAX];
	struct incfs_get_attrs arg = {
		.ino = ino, .items = (uintptr_t)items, .items_len = sizeof(items),
	};
	struct incfs_attr_item item;
	size_t at = 0, len;
	int err = incfs_lib_enter(fs);

	if (err)
		return err;
	if (!key && size)
		return incfs_lib_fail(fs, EINVAL, "there is no room for what is asked for");
	if (ioctl(fs->cmd_fd, INCFS_IOC_GET_ATTRS, &arg))
		return incfs_lib_fail(fs, errno, "can't ask for what inode %llu has: %s",
				      (unsigned long long)ino, strerror(errno));
	for (; at + sizeof(item) <= arg.items_len; at += item.name_len + len) {
		memcpy(&item, items + at, sizeof(item));
		at += sizeof(item);
		len = le16toh(item.value_len);
		if (item.name_len + len > arg.items_len - at)
			break;
		if (item.type != INCFS_ATTR_KEY)
			continue;
		if (size)
			memcpy(key, items + at + item.name_len, len < size ? len : size);
		return len;
	}
	return 0;
}
