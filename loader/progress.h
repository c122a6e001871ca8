/* SPDX-License-Identifier: MIT */
/* What the loader shows of its work. */
#ifndef _INCFS_PROGRESS_H
#define _INCFS_PROGRESS_H

#include <linux/types.h>
#include <stdbool.h>

struct incfs_files;

/* struct incfs_progress - times in ms, @rate in bytes a second */
struct incfs_progress {
	const struct incfs_files *files;
	bool terminal;
	bool quiet;
	bool complete;
	__u64 started;
	__u64 shown;
	__u64 counted;
	__u64 bytes;
	double rate;
};

void incfs_progress_init(struct incfs_progress *progress, const struct incfs_files *files,
			 bool quiet);

/* Show where we are, if it is time. @bytes: handed over until now. */
void incfs_progress_update(struct incfs_progress *progress, __u64 bytes, unsigned int waiting);

/* All blocks are there. */
void incfs_progress_complete(struct incfs_progress *progress);
void incfs_progress_exit(struct incfs_progress *progress);

#endif /* _INCFS_PROGRESS_H */
