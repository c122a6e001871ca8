/* SPDX-License-Identifier: GPL-2.0-only */
/* Images made wrong on purpose, by somebody who knows the format. */
#ifndef INCFS_FUZZ_MUTATE_H
#define INCFS_FUZZ_MUTATE_H

#include <stddef.h>
#include <linux/types.h>

/* Inodes that an image may have that is to be right. */
#define MUTATE_MAX_FILES 200

/* Random numbers that are the same for the same seed; not 0. */
static inline __u64 mutate_random(__u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static inline __u64 mutate_seed(__u64 seed)
{
	return (seed + 1) * 0x9e3779b97f4a7c15ull | 1;
}

static inline __u64 mutate_below(__u64 *state, __u64 limit)
{
	return (mutate_random(state) >> 16) % limit;
}

/*
 * Change the image of @size bytes at @data, which has room for @max. Returns
 * its new size. The same input and seed give the same.
 */
size_t mutate_image(__u8 *data, size_t size, size_t max, __u64 seed);
/* As that, with records of another image, @other, among its own. */
size_t mutate_cross(__u8 *data, size_t size, size_t max, const __u8 *other, size_t other_size,
		    __u64 seed);

#endif
