// SPDX-License-Identifier: MIT
/* The tree of a mount: brought in line with the list. */
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "files.h"
#include "list.h"
#include "log.h"
#include "mount.h"
#include "util.h"

static int tree_fail(const struct incfs_mount *mount, const struct incfs_entry *entry, int err)
{
	if (err == ENFILE)
		incfs_error("can't add '%s': the mount has room for %u files", entry->path,
			    mount->info.max_files);
	else
		incfs_error("can't add '%s': %s", entry->path, strerror(err));
	return -1;
}

static int create_inode(struct incfs_mount *mount, struct incfs_entry *entry)
{
	struct incfs_instruction arg = {
		.version = INCFS_HEADER_VER,
		.type = INCFS_INSTRUCTION_NEW_FILE,
		.file.size = entry->size,
		.file.mode = entry->mode |
			     (entry->type == INCFS_ENTRY_DIR ? S_IFDIR : S_IFREG),
	};

	if (ioctl(mount->cmd_fd, INCFS_IOC_PROCESS_INSTRUCTION, &arg))
		return tree_fail(mount, entry, errno);
	entry->ino = arg.file.ino_out;
	return 0;
}

static int add_name(struct incfs_mount *mount, const struct incfs_entry *entry)
{
	const char *name = incfs_path_name(entry->path);
	struct incfs_instruction arg = {
		.version = INCFS_HEADER_VER,
		.type = INCFS_INSTRUCTION_ADD_DIR_ENTRY,
		.dir_entry.dir_ino = entry->parent ? entry->parent->ino : INCFS_ROOT_INODE,
		.dir_entry.child_ino = entry->ino,
		.dir_entry.name_len = strlen(name),
		.dir_entry.name = (__u64)(unsigned long)name,
	};

	if (ioctl(mount->cmd_fd, INCFS_IOC_PROCESS_INSTRUCTION, &arg))
		return tree_fail(mount, entry, errno);
	return 0;
}

static int mismatch(const struct incfs_entry *entry, const struct stat *st)
{
	if (entry->type == INCFS_ENTRY_DIR)
		incfs_error("'%s' is a file in the image, but a directory in the list",
			    entry->path);
	else if (S_ISDIR(st->st_mode))
		incfs_error("'%s' is a directory in the image, but a file in the list",
			    entry->path);
	else if (entry->type == INCFS_ENTRY_LINK)
		incfs_error("'%s' is a file of its own in the image, but '%s' in the list",
			    entry->path, entry->target->path);
	else
		incfs_error("'%s' has %lld bytes in the image, but %llu in the list", entry->path,
			    (long long)st->st_size, entry->size);
	return -1;
}

/* Look for @entry in the image: 1 it is there, 0 not, -1 something else is. */
static int find_entry(struct incfs_mount *mount, struct incfs_entry *entry)
{
	struct stat st;

	if (mount->fresh)
		return 0;
	if (fstatat(mount->root_fd, entry->path, &st, AT_SYMLINK_NOFOLLOW)) {
		if (errno == ENOENT)
			return 0;
		incfs_error("can't look at '%s' in the image: %s", entry->path, strerror(errno));
		return -1;
	}
	if (S_ISDIR(st.st_mode) != (entry->type == INCFS_ENTRY_DIR))
		return mismatch(entry, &st);
	if (entry->type == INCFS_ENTRY_LINK && st.st_ino != entry->ino)
		return mismatch(entry, &st);
	if (entry->type == INCFS_ENTRY_FILE && (__u64)st.st_size != entry->size)
		return mismatch(entry, &st);
	entry->ino = st.st_ino;
	return 1;
}

static int declare_entry(struct incfs_mount *mount, struct incfs_entry *entry)
{
	int found = find_entry(mount, entry);

	if (found)
		return found < 0 ? -1 : 0;
	if (entry->type != INCFS_ENTRY_LINK && create_inode(mount, entry))
		return -1;
	return add_name(mount, entry);
}

/* What is in the image and not in the list can't be fetched. */
static void warn_of_more(struct incfs_mount *mount, const struct incfs_list *list)
{
	size_t listed = 1;

	for (size_t i = 0; i < list->nr_entries; i++)
		listed += list->entries[i].type != INCFS_ENTRY_LINK;
	if (!incfs_mount_get_info(mount) && mount->info.nr_files > listed)
		incfs_warn("of what is in the image, %zu files and directories are not in the list",
			   mount->info.nr_files - listed);
}

int incfs_tree_declare(struct incfs_mount *mount, struct incfs_list *list)
{
	/* Links last: their targets must have numbers. */
	for (int links = 0; links < 2; links++) {
		for (size_t i = 0; i < list->nr_entries; i++) {
			struct incfs_entry *entry = &list->entries[i];

			if ((entry->type == INCFS_ENTRY_LINK) != links)
				continue;
			if (links)
				entry->ino = entry->target->ino;
			if (declare_entry(mount, entry))
				return -1;
		}
	}
	warn_of_more(mount, list);
	return 0;
}

static int present_ranges(struct incfs_mount *mount, __u64 ino, struct incfs_block_ranges *arg,
			  struct incfs_block_range *ranges, __u32 room)
{
	arg->ino = ino;
	arg->ranges = (__u64)(unsigned long)ranges;
	arg->nr_ranges = room;
	return ioctl(mount->cmd_fd, INCFS_IOC_GET_PRESENT, arg);
}

static int read_file_present(struct incfs_mount *mount, struct incfs_files *files,
			     struct incfs_file *file)
{
	struct incfs_block_range ranges[256];
	struct incfs_block_ranges arg = {};

	do {
		if (present_ranges(mount, file->ino, &arg, ranges, INCFS_ARRAY_SIZE(ranges))) {
			incfs_error("can't ask what is there of '%s': %s", file->entry->path,
				    strerror(errno));
			return -1;
		}
		for (__u32 i = 0; i < arg.nr_ranges; i++)
			incfs_files_present(files, file, ranges[i].first, ranges[i].count);
	} while (arg.first < file->nr_blocks);
	return 0;
}

int incfs_tree_read_present(struct incfs_mount *mount, struct incfs_files *files)
{
	for (size_t i = 0; !mount->fresh && i < files->nr; i++) {
		if (files->files[i].nr_blocks &&
		    read_file_present(mount, files, &files->files[i]))
			return -1;
	}
	return 0;
}

bool incfs_tree_block_present(struct incfs_mount *mount, const struct incfs_file *file,
			      __u32 block)
{
	struct incfs_block_ranges arg = { .first = block };
	struct incfs_block_range range;

	return !present_ranges(mount, file->ino, &arg, &range, 1) && arg.nr_ranges &&
	       range.first == block;
}
