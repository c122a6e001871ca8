/* SPDX-License-Identifier: MIT */
/* Profiles of mounts, in the maps of the policy "replay". */
#ifndef _INCFS_PROFILE_MAPS_H
#define _INCFS_PROFILE_MAPS_H

#include <linux/types.h>

/*
 * Have the policy replay follow the profile @file on the mount. What most runs have
 * needed comes first, in the order of the profile. Returns 0, or -1 after saying
 * what is wrong; files that the mount lacks are only said.
 */
int incfs_profile_attach(const char *file, const char *dir, __u64 mount_id);

/* Forget the mount's profile, if it has one. */
void incfs_profile_detach(__u64 mount_id);

#endif /* _INCFS_PROFILE_MAPS_H */
