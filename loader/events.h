/* SPDX-License-Identifier: MIT */
/*
 * What is asked for: events of the policy, from the mount's ring, and the
 * file system's own list of waits, from ".cmd". The list is the truth; the ring
 * knows more and sooner.
 */
#ifndef _INCFS_EVENTS_H
#define _INCFS_EVENTS_H

#include <linux/types.h>

struct incfs_fetcher;
struct incfs_mount;
struct incfs_policy;
struct ring_buffer;

/**
 * struct incfs_events
 * @ring_fd: to be polled for reading, -1 without a ring
 * @waiting: blocks that readers waited for at the last look at the whole list
 * @lost:    events that did not fit the ring, at the last look
 */
struct incfs_events {
	struct incfs_mount *mount;
	struct incfs_fetcher *fetcher;
	struct ring_buffer *ring;
	int ring_fd;
	int rings_fd;
	int lost_fd;
	unsigned int waiting;
	__u64 lost;
};

/* Put a ring of our own into the map of rings, if there is one. */
int incfs_events_init(struct incfs_events *events, struct incfs_mount *mount,
		      struct incfs_fetcher *fetcher, const struct incfs_policy *policy);
void incfs_events_exit(struct incfs_events *events);

/* Take what is in the ring. */
void incfs_events_read_ring(struct incfs_events *events);

/* Take the waits that have come up since the last call. */
void incfs_events_read_waits(struct incfs_events *events);

/* Take all waits there are. */
void incfs_events_recheck(struct incfs_events *events);

/* Whether the ring has lost something since the last call. */
int incfs_events_have_lost(struct incfs_events *events);

#endif /* _INCFS_EVENTS_H */
