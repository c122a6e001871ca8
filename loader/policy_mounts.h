/* SPDX-License-Identifier: MIT */
/* The mounts that there are, as /sys/fs/incremental-fs tells, and their policies. */
#ifndef _INCFS_POLICY_MOUNTS_H
#define _INCFS_POLICY_MOUNTS_H

#include <incfs/policy.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

/**
 * struct incfs_policy_failure - why a mount is without the policy that it chose
 * @kind:   "verdict" or "refused", "" for no failure
 * @code:   the verdict, or an errno
 * @ino:    of a verdict, as @block
 * @age_ms: how long ago
 */
struct incfs_policy_failure {
	char kind[16];
	int code;
	char policy[INCFS_POLICY_NAME_MAX];
	__u64 ino;
	__u64 block;
	__u64 age_ms;
	char text[128];
};

/**
 * struct incfs_mounted - a mount
 * @path:   where it is, NULL if that can't be seen from here
 * @source: what it was mounted from, the image, as @path
 * @choice: the policy that it has chosen, "auto" or "none"
 * @in_use: the policy that it uses, "" for the built-in behaviour
 */
struct incfs_mounted {
	__u64 id;
	unsigned int major, minor;
	char *path;
	char *source;
	char choice[INCFS_POLICY_NAME_MAX];
	char in_use[INCFS_POLICY_NAME_MAX];
	struct incfs_policy_failure failure;
};

struct incfs_mounts {
	struct incfs_mounted *mounts;
	size_t nr;
};

/* Read them all, by their ids. Returns 0, or -1 after saying what is wrong. */
int incfs_mounts_read(struct incfs_mounts *mounts);
void incfs_mounts_free(struct incfs_mounts *mounts);

/* Whether a mount is there, or may be: false only if it has gone for certain. */
bool incfs_mount_exists(__u64 id);

/* The mount that a file or directory is on; NULL after saying that there is none. */
struct incfs_mounted *incfs_mounts_of(const struct incfs_mounts *mounts, const char *path);

/*
 * Have a mount choose a policy by name, "auto" or "none". Returns 0, or -1 after
 * saying why not.
 */
int incfs_mount_choose(const struct incfs_mounted *mount, const char *choice);

/* Open its .cmd for reading; -1 if it can't be got at from here. */
int incfs_mounted_open(const struct incfs_mounted *mount);

/* What to call a mount when people are told of it. */
const char *incfs_mount_name(const struct incfs_mounted *mount);

#endif /* _INCFS_POLICY_MOUNTS_H */
