// SPDX-License-Identifier: MIT
/* Maps that are pinned by name, shared by policies, loaders and tools. */
#include "policy_maps.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "policy_object.h"

int incfs_policy_map_open(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), INCFS_BPFFS "/%s", name);
	fd = bpf_obj_get(path);
	return fd < 0 ? -1 : fd;
}

int incfs_policy_map_make(const char *name, const char *carrier)
{
	struct incfs_policy_object policy;
	int fd = incfs_policy_map_open(name);

	if (fd >= 0)
		return fd;
	if (errno != ENOENT) {
		incfs_error("can't open the map " INCFS_BPFFS "/%s: %s", name, strerror(errno));
		return -1;
	}
	/* The pins stay, and the maps with them. */
	if (incfs_policy_object_load_parts(&policy, carrier, false))
		return -1;
	fd = incfs_policy_map_open(name);
	if (fd < 0)
		incfs_error("the policy '%s' has no map '%s'", carrier, name);
	incfs_policy_object_close(&policy);
	return fd;
}
