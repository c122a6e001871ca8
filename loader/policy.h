/* SPDX-License-Identifier: MIT */
/* The policy that a loader brings along, and the maps that it needs. */
#ifndef _INCFS_LOADER_POLICY_H
#define _INCFS_LOADER_POLICY_H

#include <bpf/libbpf.h>
#include <linux/types.h>
#include <stdbool.h>

#include "policy_object.h"

/**
 * struct incfs_policy
 * @choice:   name that the mount is to have, NULL for none
 * @settings: VARIABLE=VALUE for the policy that comes along, up to a NULL
 * @ours:     a policy of this name comes along
 * @object:   that policy, while it is loaded
 * @link:     registers the policy as long as we live; NULL if somebody else has
 *            registered one of this name
 * @rings_fd: map of event rings, -1 without
 * @lost_fd:  map of losses, -1 without
 */
struct incfs_policy {
	const char *choice;
	const char *const *settings;
	bool ours;
	struct incfs_policy_object object;
	struct bpf_link *link;
	int rings_fd;
	int lost_fd;
};

/*
 * Register the policy, unless that is done, and open the maps. Without a policy
 * it is no fault when there are none. Returns 0, or -1 after saying what is wrong.
 */
int incfs_policy_open(struct incfs_policy *policy, const char *choice,
		      const char *const *settings);
void incfs_policy_close(struct incfs_policy *policy);

/*
 * If somebody else's policy was used and is gone, put ours in its place; @name is
 * what the mount uses now.
 */
void incfs_policy_keep(struct incfs_policy *policy, const char *name);

#endif /* _INCFS_LOADER_POLICY_H */
