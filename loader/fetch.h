/* SPDX-License-Identifier: MIT */
/*
 * From the queue through the source to the file system, several ranges at a
 * time.
 *
 * What readers wait for goes first and by itself. All else shares a window of
 * bytes on the line, which shrinks when answers begin to come late: a line that
 * is busy with guesses makes readers wait. The background fill has a part of the
 * window that grows with the time in which nobody waited.
 */
#ifndef _INCFS_FETCH_H
#define _INCFS_FETCH_H

#include <linux/types.h>
#include <stdbool.h>

#include "feed.h"
#include "queue.h"
#include "source.h"
#include "space.h"

#define INCFS_PARALLEL_DEFAULT 32
#define INCFS_PARALLEL_MAX 64

struct incfs_fetcher;
struct incfs_sharing;

/**
 * struct incfs_fetch - a range on its way
 * @fed:    blocks of it that the file system has
 * @urgent: readers wait for a part of it: hand over at once what there is
 * @err:    errno with which the file system refused it
 */
struct incfs_fetch {
	struct incfs_request request;
	struct incfs_fetcher *fetcher;
	struct incfs_range range;
	enum incfs_class class;
	bool active;
	bool urgent;
	__u32 fed;
	int err;
};

/**
 * struct incfs_fetcher
 * @share:      what is in the image already, in another version
 * @background: fill also what nobody asked for
 * @hold:       fetch only what readers wait for, for now
 * @recheck:    set when a fetch failed: readers may wait for blocks that are in
 *              no queue any more
 * @space:      room for what is fetched
 * @rate:       bytes a second that may be asked for, 0 for any
 * @allowance:  bytes that may be asked for now, at @allowed_at
 * @fetched:    bytes that came from the source
 * @requests:   how many were made, by class
 * @failed:     how many of them failed
 * @window:     bytes of ahead and background that may be on the line
 * @best_wait:  the least time that the source took for a first byte, in us
 * @wanted_at:  when something other than background was last asked for
 * @retry_at:   nothing is asked of the source before, after @failures in a row
 * @wake_at:    when the next file may be tried again, 0 for none
 */
struct incfs_fetcher {
	struct incfs_files *files;
	struct incfs_queue *queue;
	struct incfs_source *source;
	struct incfs_feed *feed;
	struct incfs_fetch *fetches;
	unsigned int nr;
	struct incfs_sharing *share;
	bool background;
	bool hold;
	bool recheck;
	struct incfs_space space;
	__u64 rate;
	__s64 allowance;
	__u64 allowed_at;
	__u64 fetched;
	__u64 requests[INCFS_CLASSES];
	__u64 failed;
	__u32 window;
	__u64 best_wait;
	__u64 wanted_at;
	__u64 retry_at;
	__u64 wake_at;
	unsigned int failures;
};

int incfs_fetcher_init(struct incfs_fetcher *fetcher, unsigned int parallel);
void incfs_fetcher_exit(struct incfs_fetcher *fetcher);

/* Readers wait for these blocks, which may be on their way. */
void incfs_fetcher_demand(struct incfs_fetcher *fetcher, struct incfs_file *file, __u32 first,
			  __u32 count);

/* The policy asks for these blocks. */
void incfs_fetcher_ahead(struct incfs_fetcher *fetcher, struct incfs_file *file, __u32 first,
			 __u32 count, __u32 priority);

/* Start what there is room for. Not from within a callback of the source. */
void incfs_fetcher_dispatch(struct incfs_fetcher *fetcher);

/* Milliseconds until there may be something to start; -1 for none. */
int incfs_fetcher_timeout(const struct incfs_fetcher *fetcher);

/* How long to wait after so many failures in a row, in ms; never the same. */
__u32 incfs_backoff(unsigned int failures);

#endif /* _INCFS_FETCH_H */
