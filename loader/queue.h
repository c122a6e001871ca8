/* SPDX-License-Identifier: MIT */
/* What to fetch next. */
#ifndef _INCFS_QUEUE_H
#define _INCFS_QUEUE_H

#include <linux/types.h>
#include <stdbool.h>

#include "files.h"

/**
 * enum incfs_class - why a range is fetched
 * @INCFS_DEMAND:     readers wait for it; oldest first
 * @INCFS_AHEAD:      the policy wants it; by priority, and of equals those of the
 *                    newest burst first, in the order in which they came
 * @INCFS_BACKGROUND: it is missing; in the order of the list
 */
enum incfs_class {
	INCFS_DEMAND,
	INCFS_AHEAD,
	INCFS_BACKGROUND,
	INCFS_CLASSES
};

struct incfs_range {
	struct incfs_file *file;
	__u32 first;
	__u32 count;
};

/* Room in the queues. What readers wait for can always be asked for again. */
#define INCFS_QUEUE_DEMAND 4096
#define INCFS_QUEUE_AHEAD 4096

struct incfs_ahead {
	struct incfs_range range;
	__u32 priority;
	__u32 burst;
};

struct incfs_queue {
	struct incfs_files *files;
	struct incfs_range demand[INCFS_QUEUE_DEMAND];
	unsigned int nr_demand;
	struct incfs_ahead ahead[INCFS_QUEUE_AHEAD];	/* the best one last */
	unsigned int nr_ahead;
	__u32 burst;
	size_t next_file;	/* where the background fill goes on */
	__u32 next_block;
	__u64 idle_until;	/* it found nothing, and does not look before */
};

void incfs_queue_init(struct incfs_queue *queue, struct incfs_files *files);

/* Readers wait for these. Blocks past the end of the file do not count. */
void incfs_queue_add_demand(struct incfs_queue *queue, struct incfs_file *file, __u32 first,
			    __u32 count);

/* The policy asks for these. All between two calls of _burst() are one burst. */
void incfs_queue_add_ahead(struct incfs_queue *queue, struct incfs_file *file, __u32 first,
			   __u32 count, __u32 priority);
void incfs_queue_burst(struct incfs_queue *queue);

/*
 * Take the next range of this class, of at most @max blocks, out of the queue and
 * mark it busy. Passes over what is stored, what is being fetched, and over files
 * that are not to be tried at the time @now. Returns false if there is none.
 */
bool incfs_queue_take(struct incfs_queue *queue, enum incfs_class class, __u32 max, __u64 now,
		      struct incfs_range *range);

/* A range that was taken could not be fetched: it is as missing as before. */
void incfs_queue_put_back(struct incfs_queue *queue, const struct incfs_range *range);

#endif /* _INCFS_QUEUE_H */
