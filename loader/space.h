/* SPDX-License-Identifier: MIT */
/*
 * Room for the image: how large it may grow, and whether its disk is full. While there is
 * none nothing is fetched: it could not be stored.
 */
#ifndef _INCFS_SPACE_H
#define _INCFS_SPACE_H

#include <linux/types.h>
#include <stdbool.h>

enum incfs_space_state {
	INCFS_SPACE_ROOM,
	INCFS_SPACE_LIMIT,	/* the image is as large as it may be */
	INCFS_SPACE_FULL,	/* its disk is full */
};

/**
 * struct incfs_space
 * @image_fd: -1 if nothing can be asked: then it is tried again after a while
 * @limit:    bytes that the image may have, 0 for any
 * @state:    at the last look
 * @was_full: the disk was, and nothing has been stored since
 * @free:     bytes that were free when the disk was found full
 * @look_at:  the next look, while there is no room
 * @try_at:   when it is tried whatever the disk says, while it is full
 */
struct incfs_space {
	int image_fd;
	__u64 limit;
	enum incfs_space_state state;
	bool was_full;
	__u64 free;
	__u64 look_at;
	__u64 try_at;
};

/* A block could not be stored, with this errno. Whether there is no room for it. */
bool incfs_space_refused(struct incfs_space *space, int err);

/* Whether there is room for @coming bytes. Says so when that changes. */
bool incfs_space_left(struct incfs_space *space, __u64 coming);

/* A block has been stored. */
void incfs_space_stored(struct incfs_space *space);

/* Milliseconds until the next look, -1 while there is room. */
int incfs_space_timeout(const struct incfs_space *space);

/* Bytes that the image has. */
__u64 incfs_space_used(const struct incfs_space *space);

#endif /* _INCFS_SPACE_H */
