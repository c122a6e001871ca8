// SPDX-License-Identifier: MIT
/* Room for the image. */
#include "space.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "log.h"
#include "util.h"

#define MIB (1024u * 1024)

/* How often is looked whether there is room again, in ms. */
#define LOOK_MS 1000
/* Quotas, and what a file system keeps back, cannot be seen: so often it is tried. */
#define TRY_MS 30000

/* A disk has room again when it has so much, or so much more than when it was full. */
#define ROOM_ENOUGH (64 * MIB)
#define ROOM_MORE (1 * MIB)

__u64 incfs_space_used(const struct incfs_space *space)
{
	struct stat st;

	return space->image_fd < 0 || fstat(space->image_fd, &st) ? 0 : st.st_size;
}

static __u64 disk_free(const struct incfs_space *space)
{
	struct statvfs fs;

	if (space->image_fd < 0 || fstatvfs(space->image_fd, &fs))
		return 0;
	return (__u64)fs.f_bavail * fs.f_frsize;
}

bool incfs_space_refused(struct incfs_space *space, int err)
{
	if (err != ENOSPC && err != EDQUOT && err != EFBIG)
		return false;
	if (!space->was_full)
		incfs_error("can't store blocks: %s; nothing is fetched, and readers wait, until there is room",
			    err == ENOSPC ? "the disk of the image is full" :
			    err == EDQUOT ? "the quota for the image is used up" :
			    "the image has the size that a file may have");
	space->state = INCFS_SPACE_FULL;
	space->was_full = true;
	space->free = disk_free(space);
	space->look_at = incfs_now() + LOOK_MS;
	space->try_at = incfs_now() + TRY_MS;
	return true;
}

void incfs_space_stored(struct incfs_space *space)
{
	if (!space->was_full)
		return;
	incfs_info("blocks can be stored again");
	space->was_full = false;
}

static bool within_limit(struct incfs_space *space, __u64 coming)
{
	bool was = space->state == INCFS_SPACE_LIMIT;

	if (!space->limit || incfs_space_used(space) + coming <= space->limit) {
		if (was)
			space->state = INCFS_SPACE_ROOM;
		return true;
	}
	if (!was)
		incfs_error("the image has reached --limit-image: nothing more is fetched, and readers of what is absent wait");
	space->state = INCFS_SPACE_LIMIT;
	space->look_at = incfs_now() + LOOK_MS;
	return false;
}

bool incfs_space_left(struct incfs_space *space, __u64 coming)
{
	__u64 now = incfs_now(), free;

	if (space->state != INCFS_SPACE_FULL)
		return within_limit(space, coming);
	if (now < space->look_at)
		return false;
	space->look_at = now + LOOK_MS;
	free = disk_free(space);
	/* Still called full: storing a block will show. */
	if (now < space->try_at && free < ROOM_ENOUGH && free < space->free + ROOM_MORE)
		return false;
	space->state = INCFS_SPACE_ROOM;
	return within_limit(space, coming);
}

int incfs_space_timeout(const struct incfs_space *space)
{
	__u64 now = incfs_now();

	if (space->state == INCFS_SPACE_ROOM)
		return -1;
	return space->look_at > now ? space->look_at - now : 0;
}
