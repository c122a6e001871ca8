/* SPDX-License-Identifier: MIT */
/* Maps that are pinned by name, shared by policies, loaders and tools. */
#ifndef _INCFS_LOADER_POLICY_MAPS_H
#define _INCFS_LOADER_POLICY_MAPS_H

/*
 * A descriptor of a map that is pinned by @name, or -1 and errno: ENOENT no policy
 * that uses it has been loaded yet.
 */
int incfs_policy_map_open(const char *name);

/*
 * The same, but have the map made if it isn't there: @carrier is a policy that comes
 * along and uses it. It is not registered. Says what is wrong when that fails.
 */
int incfs_policy_map_make(const char *name, const char *carrier);

#endif /* _INCFS_LOADER_POLICY_MAPS_H */
