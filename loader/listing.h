/* SPDX-License-Identifier: MIT */
/* Getting the list of files, from a source that may not be there yet. */
#ifndef _INCFS_LISTING_H
#define _INCFS_LISTING_H

#include <linux/types.h>

struct incfs_list;
struct incfs_source;

/**
 * struct incfs_listing
 * @path:     file with the list, NULL for the source's own
 * @list:     where it goes
 * @failures: in a row
 * @retry_at: when to try again
 */
struct incfs_listing {
	const char *path;
	struct incfs_source *source;
	struct incfs_list *list;
	unsigned int failures;
	__u64 retry_at;
};

/**
 * enum incfs_listing_result - what became of an attempt
 * @INCFS_LISTING_DONE:   the list is there
 * @INCFS_LISTING_AGAIN:  the source can't be reached; not before @retry_at
 * @INCFS_LISTING_FAILED: it has none, or a bad one
 * @INCFS_LISTING_ENDED:  the program is to end (idle.h)
 */
enum incfs_listing_result {
	INCFS_LISTING_DONE,
	INCFS_LISTING_AGAIN,
	INCFS_LISTING_FAILED,
	INCFS_LISTING_ENDED,
};

/* One attempt. May take long, and calls incfs_idle() meanwhile. Says what is wrong. */
enum incfs_listing_result incfs_listing_try(struct incfs_listing *listing);

#endif /* _INCFS_LISTING_H */
