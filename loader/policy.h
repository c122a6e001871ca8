/* SPDX-License-Identifier: MIT */
/* The policy of a mount, and the maps that all policies and loaders share. */
#ifndef _INCFS_LOADER_POLICY_H
#define _INCFS_LOADER_POLICY_H

#include <bpf/libbpf.h>
#include <linux/types.h>
#include <stdbool.h>

struct incfs_policy_kind;

/**
 * struct incfs_policy
 * @choice:   name that the mount is to have, NULL for none
 * @kind:     the policy of this name that comes with the loader, if it does
 * @ahead:    blocks to fetch ahead, or -1 for what the policy says
 * @link:     registers the policy as long as we live; NULL if somebody else has
 *            registered one of this name
 * @rings_fd: map of event rings, -1 without
 * @lost_fd:  map of losses, -1 without
 */
struct incfs_policy {
	const char *choice;
	const struct incfs_policy_kind *kind;
	int ahead;
	void *skeleton;
	struct bpf_link *link;
	int rings_fd;
	int lost_fd;
};

/*
 * Register the policy, unless that is done, and open the maps. Without a policy
 * it is no fault when there are none. Returns 0, or -1 after saying what is wrong.
 */
int incfs_policy_open(struct incfs_policy *policy, const char *choice, int ahead);
void incfs_policy_close(struct incfs_policy *policy);

/*
 * If somebody else's policy was used and is gone, put ours in its place; @name is
 * what the mount uses now.
 */
void incfs_policy_keep(struct incfs_policy *policy, const char *name);

/* Names of the policies that come with the loader, for people. */
const char *incfs_policy_names(void);

#endif /* _INCFS_LOADER_POLICY_H */
