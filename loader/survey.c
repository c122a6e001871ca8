// SPDX-License-Identifier: MIT
/* What an image has, by itself. */
#include "survey.h"

#include <errno.h>
#include <fts.h>
#include <incfs/incfs.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "idle.h"
#include "list.h"
#include "mount.h"

struct totals {
	double blocks;
	bool present;
	bool absent;
};

static void take_file(struct incfs_mount *mount, const FTSENT *entry, struct totals *totals)
{
	__u64 blocks = incfs_size_blocks(entry->fts_statp->st_size);
	__u32 missing = 0;

	if (!blocks)
		return;
	if (libincfs_missing(mount->fs, entry->fts_statp->st_ino, &missing))
		missing = blocks;
	totals->present |= missing < blocks;
	totals->absent |= missing;
	/* A file of several names is met as often: each stands for its share. */
	totals->blocks += (double)blocks / entry->fts_statp->st_nlink;
}

/* False: not all can be seen. */
static bool take_tree(struct incfs_mount *mount, FTS *fts, struct totals *totals)
{
	FTSENT *entry;

	while ((errno = 0, entry = fts_read(fts))) {
		if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR ||
		    entry->fts_info == FTS_NS)
			return false;
		if (entry->fts_info == FTS_F &&
		    !(entry->fts_level == 1 && !strcmp(entry->fts_name, ".cmd")))
			take_file(mount, entry, totals);
		if ((totals->present && totals->absent) || incfs_idle())
			return false;
	}
	return !errno;
}

struct incfs_survey incfs_survey_make(struct incfs_mount *mount, const char *subdir)
{
	char path[64 + INCFS_LIST_MAX_NAME], *paths[] = { path, NULL };
	struct totals totals = {};
	bool all = false;
	FTS *fts;

	/* Whatever is mounted over it. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d%s%s", mount->root_fd, subdir ? "/" : "",
		 subdir ?: "");
	fts = fts_open(paths, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR | FTS_XDEV, NULL);
	if (fts) {
		all = take_tree(mount, fts, &totals);
		fts_close(fts);
	}
	return (struct incfs_survey){
		.whole = totals.present,
		.complete = all && totals.present && !totals.absent,
		.nr_blocks = totals.blocks + 0.5,
	};
}
