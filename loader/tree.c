// SPDX-License-Identifier: MIT
/* The tree of a mount: brought in line with the list. */
#include "tree.h"

#include <incfs/incfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bundle.h"
#include "files.h"
#include "idle.h"
#include "list.h"
#include "log.h"
#include "mount.h"
#include "util.h"

/* Entries that the library is handed at a time. */
#define BATCH 256

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

static struct libincfs_entry library_entry(const struct incfs_entry *entry)
{
	if (entry->type == INCFS_ENTRY_LINK)
		return (struct libincfs_entry){
			.path = entry->path, .target = entry->target->path, .type = LIBINCFS_LINK,
		};
	return (struct libincfs_entry){
		.path = entry->path, .size = entry->size,
		.target = entry->type == INCFS_ENTRY_SYMLINK ? entry->target_path : NULL,
		/* Nothing can be written there: programs need not be told otherwise. */
		.mode = entry->type == INCFS_ENTRY_SYMLINK ? 0777 : entry->mode & 0555,
		.mtime_sec = entry->mtime, .mtime_nsec = entry->mtime_nsec,
		.type = entry->type == INCFS_ENTRY_DIR ? LIBINCFS_DIR :
			entry->type == INCFS_ENTRY_SYMLINK ? LIBINCFS_SYMLINK : LIBINCFS_FILE,
	};
}

/* Below @subdir, into *@joined, which is to be freed. */
static bool join_path(const char *subdir, const char **path, char **joined)
{
	if (asprintf(joined, "%s/%s", subdir, *path) < 0) {
		*joined = NULL;
		return false;
	}
	*path = *joined;
	return true;
}

/* The entries' paths as they are in the image. */
static bool join_paths(struct libincfs_entry *entries, char **joined, size_t nr,
		       const char *subdir)
{
	for (size_t i = 0; i < nr; i++) {
		if (!join_path(subdir, &entries[i].path, &joined[2 * i]) ||
		    (entries[i].type == LIBINCFS_LINK &&
		     !join_path(subdir, &entries[i].target, &joined[2 * i + 1])))
			return false;
	}
	return true;
}

static int declare_batch(struct incfs_mount *mount, struct incfs_entry **batch, size_t nr,
			 const char *subdir)
{
	struct libincfs_entry entries[BATCH];
	char *joined[2 * BATCH] = {};
	int err = 0;

	if (incfs_idle())
		return -1;
	for (size_t i = 0; i < nr; i++)
		entries[i] = library_entry(batch[i]);
	if (subdir && !join_paths(entries, joined, nr, subdir)) {
		incfs_error("not enough memory");
		err = -1;
	} else if (libincfs_declare(mount->fs, entries, nr)) {
		incfs_error("%s", libincfs_message(mount->fs));
		err = -1;
	}
	for (size_t i = 0; i < nr; i++)
		batch[i]->ino = entries[i].ino;
	for (size_t i = 0; i < 2 * nr; i++)
		free(joined[i]);
	return err;
}

/* It comes to be with its key: what has another one, or none, is of something else. */
static int declare_subdir(struct incfs_mount *mount, const char *subdir,
			  const struct incfs_digest *key)
{
	struct libincfs_entry entry = {
		.path = subdir, .type = LIBINCFS_DIR, .mode = 0555, .mtime_sec = time(NULL),
		.key = key, .key_len = key ? sizeof(*key) : 0,
	};
	struct incfs_digest found;
	uint64_t ino;
	int len;

	mount->fresh = libincfs_lookup(mount->fs, subdir, &ino);
	len = libincfs_declare(mount->fs, &entry, 1) ?:
	      libincfs_get_key(mount->fs, entry.ino, &found, sizeof(found));
	if (len < 0) {
		incfs_error("%s", libincfs_message(mount->fs));
		return -1;
	}
	if (key ? len == sizeof(found) && !memcmp(&found, key, sizeof(found)) : !len)
		return 0;
	incfs_error("'%s' in the image is of %s, not of %s: give each version a --subdir of its own",
		    subdir, len ? "another bundle" : "something else than a bundle",
		    key ? "this bundle" : "a plain tree");
	return -1;
}

int incfs_tree_declare(struct incfs_mount *mount, struct incfs_list *list, const char *subdir,
		       const struct incfs_digest *key)
{
	struct incfs_entry *batch[BATCH];
	size_t nr = 0;

	if (subdir && declare_subdir(mount, subdir, key))
		return -1;
	/* Links last: their targets must be there. */
	for (int links = 0; links < 2; links++) {
		for (size_t i = 0; i < list->nr_entries; i++) {
			struct incfs_entry *entry = &list->entries[i];

			if ((entry->type == INCFS_ENTRY_LINK) != links)
				continue;
			batch[nr++] = entry;
			if (nr == BATCH) {
				if (declare_batch(mount, batch, nr, subdir))
					return -1;
				nr = 0;
			}
		}
	}
	if (declare_batch(mount, batch, nr, subdir))
		return -1;
	/* Beside a directory of ours there may be anything. */
	if (subdir)
		return incfs_mount_get_info(mount);
	warn_of_more(mount, list);
	return 0;
}

static int read_file_present(struct incfs_mount *mount, struct incfs_files *files,
			     struct incfs_file *file)
{
	struct libincfs_range ranges[256];
	__u32 first = 0, nr_blocks;
	int nr;

	do {
		nr = libincfs_present(mount->fs, file->ino, &first, ranges,
				      INCFS_ARRAY_SIZE(ranges), &nr_blocks);
		if (nr < 0) {
			incfs_error("%s", libincfs_message(mount->fs));
			return -1;
		}
		for (int i = 0; i < nr; i++)
			incfs_files_present(files, file, ranges[i].first, ranges[i].count);
	} while (first < file->nr_blocks);
	return 0;
}

int incfs_tree_read_present(struct incfs_mount *mount, struct incfs_files *files)
{
	for (size_t i = 0; !mount->fresh && i < files->nr; i++) {
		if (incfs_idle())
			return -1;
		if (files->files[i].nr_blocks &&
		    read_file_present(mount, files, &files->files[i]))
			return -1;
	}
	return 0;
}

bool incfs_tree_block_present(struct incfs_mount *mount, const struct incfs_file *file,
			      __u32 block)
{
	struct libincfs_range range;
	__u32 first = block, nr_blocks;

	return libincfs_present(mount->fs, file->ino, &first, &range, 1, &nr_blocks) == 1 &&
	       range.first == block;
}
