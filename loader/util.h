/* SPDX-License-Identifier: MIT */
/* Small things that every part of the loader needs. */
#ifndef _INCFS_UTIL_H
#define _INCFS_UTIL_H

#include <linux/types.h>
#include <time.h>

#define INCFS_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define incfs_min(a, b) ((a) < (b) ? (a) : (b))
#define incfs_max(a, b) ((a) > (b) ? (a) : (b))

#define incfs_container_of(ptr, type, member) \
	((type *)((char *)(ptr) - __builtin_offsetof(type, member)))

/* Milliseconds on a clock that never goes back. */
static inline __u64 incfs_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (__u64)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

#endif /* _INCFS_UTIL_H */
