/* SPDX-License-Identifier: MIT */
/* A loader that runs: all its parts, and what its life consists of. */
#ifndef _INCFS_RUN_H
#define _INCFS_RUN_H

#include <linux/types.h>
#include <stdbool.h>

#include "control.h"
#include "events.h"
#include "feed.h"
#include "fetch.h"
#include "files.h"
#include "list.h"
#include "listing.h"
#include "mount.h"
#include "options.h"
#include "policy.h"
#include "progress.h"
#include "queue.h"
#include "share.h"
#include "survey.h"

/**
 * struct incfs_run
 * @survey:   what the image has by itself, if it was mounted before the list was there
 * @listed:   the list is there, and the tree in line with it
 * @ready:    it was said that the mount can be used
 * @ready_at: when that is said at the latest
 * @stop:     to end, as we were told or as all is done
 * @failed:   and something else was wrong
 */
struct incfs_run {
	struct incfs_options options;
	struct incfs_source *source;
	struct incfs_list list;
	struct incfs_listing listing;
	struct incfs_survey survey;
	struct incfs_files files;
	struct incfs_queue queue;
	struct incfs_policy policy;
	struct incfs_mount mount;
	struct incfs_feed feed;
	struct incfs_fetcher fetcher;
	struct incfs_sharing share;
	struct incfs_events events;
	struct incfs_progress progress;
	struct incfs_control control;
	__u64 started_at;
	int signal_fd;
	__u64 recheck_at;
	__u64 keep_at;
	__u64 ready_at;
	bool listed;
	bool ready;
	bool stop;
	bool failed;
};

/* Signals, status and the watchdog, if it is time. Returns whether we are to end. */
bool incfs_run_turn(struct incfs_run *run);

/* It can be said that the mount can be used. */
void incfs_run_ready(struct incfs_run *run);

/* What is stored is on the disk when this returns 0; -1 after saying what is wrong. */
int incfs_run_sync(struct incfs_run *run);

/*
 * Until the list is there, with what is mounted. Returns 0, also if we are to end before,
 * or -1 after saying what is wrong.
 */
int incfs_run_await_list(struct incfs_run *run);

/* Until we are to end, or after saying what is wrong. */
void incfs_run_serve(struct incfs_run *run);

#endif /* _INCFS_RUN_H */
