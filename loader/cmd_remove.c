// SPDX-License-Identifier: MIT
/* incfs remove: files and directories of a mount, with all that is in them. */
#include "cmd.h"

#include <errno.h>
#include <fts.h>
#include <getopt.h>
#include <incfs/incfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "option.h"
#include "policy_mounts.h"

static const struct incfs_usage usage = {
	.program = "incfs remove",
	.args = "MOUNT PATH...",
	.about =
"Remove files and directories, by their paths in MOUNT, with all that is in them. A file\n"
"that has other names stays, and so do bytes that others share. The image becomes no\n"
"smaller: incfs image compact.\n",
	.least = 2,
	.most = 1 << 20,
};

/* What is in a directory goes before it. */
static int remove_entry(struct libincfs *fs, FTSENT *entry, size_t root_len)
{
	switch (entry->fts_info) {
	case FTS_D:
		return 0;
	case FTS_DNR:
	case FTS_ERR:
	case FTS_NS:
		incfs_error("can't remove '%s': %s", entry->fts_path, strerror(entry->fts_errno));
		return -1;
	default:
		if (!libincfs_remove(fs, entry->fts_path + root_len + 1))
			return 0;
		incfs_error("%s", libincfs_message(fs));
		return -1;
	}
}

static int remove_tree(struct libincfs *fs, const char *mount, const char *path)
{
	char *paths[2] = {};
	FTSENT *entry;
	int err = -1;
	FTS *fts;

	if (asprintf(&paths[0], "%s/%s", mount, path) < 0) {
		incfs_error("not enough memory");
		return -1;
	}
	fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
	if (!fts) {
		incfs_error("can't remove '%s': %s", paths[0], strerror(errno));
	} else {
		err = 0;
		while (!err && (errno = 0, entry = fts_read(fts)))
			err = remove_entry(fs, entry, strlen(mount));
		if (!err && errno) {
			incfs_error("can't remove '%s': %s", paths[0], strerror(errno));
			err = -1;
		}
		fts_close(fts);
	}
	free(paths[0]);
	return err;
}

static int remove_all(const struct incfs_mounted *mount, char **paths)
{
	struct libincfs *fs = libincfs_new();
	uint64_t ino;
	int err = 0;

	if (!mount->path) {
		incfs_error("the mount can't be seen from here");
		err = -1;
	} else if (!fs) {
		incfs_error("not enough memory");
		err = -1;
	} else if (libincfs_attach(fs, mount->path)) {
		incfs_error("%s", libincfs_message(fs));
		err = -1;
	}
	for (; !err && *paths; paths++) {
		/* Says whether it is a path in the tree, and whether that is there. */
		if (!**paths || libincfs_lookup(fs, *paths, &ino)) {
			incfs_error("%s", **paths ? libincfs_message(fs) : "PATH has no name");
			err = -1;
		} else {
			err = remove_tree(fs, mount->path, *paths);
		}
	}
	libincfs_free(fs);
	return err;
}

int incfs_cmd_remove(int argc, char **argv)
{
	int code = incfs_usage_parse(&usage, NULL, argc, argv);
	const struct incfs_mounted *mount = NULL;
	struct incfs_mounts mounts = {};

	if (code >= 0)
		return code;
	if (!incfs_mounts_read(&mounts))
		mount = incfs_mounts_of(&mounts, argv[optind]);
	code = mount && !remove_all(mount, argv + optind + 1) ? 0 : 1;
	incfs_mounts_free(&mounts);
	return code;
}
