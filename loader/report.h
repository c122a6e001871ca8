/* SPDX-License-Identifier: MIT */
/*
 * What is told of a mount: by its loader, or, if it has none, by who looks at it. As JSON
 * for programs, in the text format of Prometheus, and for people.
 */
#ifndef _INCFS_REPORT_H
#define _INCFS_REPORT_H

#include <incfs/incfs.h>
#include <linux/types.h>
#include <stdbool.h>

struct incfs_events;
struct incfs_fetcher;
struct incfs_mount;
struct incfs_options;
struct incfs_progress;
struct json_object;

/**
 * struct incfs_report - whom the report of a loader is about
 * @started: on the clock of incfs_now()
 * @listed:  it is known which blocks there are
 */
struct incfs_report {
	const struct incfs_options *options;
	const struct incfs_mount *mount;
	const struct incfs_fetcher *fetcher;
	const struct incfs_events *events;
	const struct incfs_progress *progress;
	__u64 started;
	bool listed;
};

/* In one line, to be freed; NULL without memory. */
char *incfs_report_json(const struct incfs_report *report);
char *incfs_report_metrics(const struct incfs_report *report);

/* The same of a mount without a loader: what the kernel knows, an object to be put. */
struct json_object *incfs_report_mount(__u64 mount_id, const char *path, const char *policy,
				       const struct libincfs_stats *stats);

/* For people, on standard output. */
void incfs_report_print(struct json_object *report);

#endif /* _INCFS_REPORT_H */
