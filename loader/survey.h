/* SPDX-License-Identifier: MIT */
/* What an image has, by itself: what can be said of it before its list is there. */
#ifndef _INCFS_SURVEY_H
#define _INCFS_SURVEY_H

#include <linux/types.h>
#include <stdbool.h>

struct incfs_mount;

/**
 * struct incfs_survey
 * @whole:     the tree was declared to its end: a block is there, and none is stored before
 *             that. Without one it can't be known.
 * @complete:  the same, and no block is absent
 * @nr_blocks: of a complete image, how many there are
 */
struct incfs_survey {
	bool whole;
	bool complete;
	__u64 nr_blocks;
};

/*
 * Look at all files, below @subdir if there is one, or as many as it takes to know. Calls
 * incfs_idle().
 */
struct incfs_survey incfs_survey_make(struct incfs_mount *mount, const char *subdir);

#endif /* _INCFS_SURVEY_H */
