/* SPDX-License-Identifier: MIT */
/*
 * Profiles: which blocks runs have needed, in the order of the first time, as text
 * (docs/profile.md has the format):
 *
 *	incfs-profile 1
 *	0 12 2 bin/cc1
 *	73 1 1 lib/libc.so.6
 *	end 2
 */
#ifndef _INCFS_PROFILE_H
#define _INCFS_PROFILE_H

#include <linux/types.h>
#include <stddef.h>

#define INCFS_PROFILE_HEADER "incfs-profile 1"

/* Limits of a profile. */
#define INCFS_PROFILE_MAX_BLOCKS (4u << 20)
#define INCFS_PROFILE_MAX_RUNS 1000000u

/**
 * struct incfs_profile_block
 * @path:  index into the paths
 * @block: index of the block in the file
 * @runs:  in how many of the recorded runs it was needed
 */
struct incfs_profile_block {
	__u32 path;
	__u32 block;
	__u32 runs;
};

/**
 * struct incfs_profile
 * @paths:  of files, relative to the root of the mount, each once
 * @blocks: each block once, in the order of the first time
 */
struct incfs_profile {
	char **paths;
	size_t nr_paths, room_paths;
	struct incfs_profile_block *blocks;
	size_t nr_blocks, room_blocks;
	void *tree;
	char error[256];
};

/* What is taken of a path that is there already is its index. Returns 0 or -1: no memory. */
int incfs_profile_add_path(struct incfs_profile *profile, const char *path, __u32 *index);
/* Returns 0 or -1: too many blocks, or no memory. */
int incfs_profile_add_block(struct incfs_profile *profile, __u32 path, __u32 block, __u32 runs);

/*
 * Parse @size bytes at @text, which are changed. Returns 0, or -1 with the line and the
 * reason in @profile->error; it has to be destroyed either way.
 */
int incfs_profile_parse(struct incfs_profile *profile, char *text, size_t size);
void incfs_profile_destroy(struct incfs_profile *profile);

/* Read and write files; return 0, or -1 after saying what is wrong. */
int incfs_profile_read(struct incfs_profile *profile, const char *file);
int incfs_profile_write(const struct incfs_profile *profile, const char *file);

/*
 * Add the blocks of one more run to @profile: those that it has count one run more,
 * others come behind it. Returns 0 or -1: no memory, or too many.
 */
int incfs_profile_merge(struct incfs_profile *profile, const struct incfs_profile *run);

#endif /* _INCFS_PROFILE_H */
