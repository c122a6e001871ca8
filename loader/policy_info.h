/* SPDX-License-Identifier: MIT */
/* What the kernel tells of a policy's programs and maps. */
#ifndef _INCFS_POLICY_INFO_H
#define _INCFS_POLICY_INFO_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "policy_registry.h"
#include "policy_variables.h"

/* Most maps of a policy that are told of. */
#define INCFS_POLICY_MAPS_MAX 64
#define INCFS_POLICY_VARIABLES_MAX 64

/*
 * struct incfs_program_info - what stands in one callback; @runs and @ns count while
 * kernel.bpf_stats_enabled is 1
 */
struct incfs_program_info {
	char name[128];
	__u32 id;
	__u64 runs;
	__u64 ns;
};

struct incfs_map_info {
	char name[16];
	__u32 id;
	const char *type;
	__u32 max_entries;
};

struct incfs_variable_info {
	char name[64];
	char value[INCFS_VARIABLE_TEXT];
};

/* struct incfs_policy_info - @programs are those of the policy's callbacks, in order */
struct incfs_policy_info {
	struct incfs_program_info programs[INCFS_CALLBACKS_MAX];
	struct incfs_map_info maps[INCFS_POLICY_MAPS_MAX];
	size_t nr_maps;
	struct incfs_variable_info variables[INCFS_POLICY_VARIABLES_MAX];
	size_t nr_variables;
};

/* What has gone meanwhile is left out. */
void incfs_policy_info_read(struct incfs_policy_info *info,
			    const struct incfs_registered *policy);

/* For incfs_policy_variables_each(): add it to @arg, a struct incfs_policy_info. */
bool incfs_policy_info_variable(void *arg, const struct incfs_policy_variable *var);

/* Whether the policy uses the map with this id. */
bool incfs_policy_info_has_map(const struct incfs_policy_info *info, __u32 id);

/* Whether the kernel counts runs and their time. */
bool incfs_policy_counted(void);

#endif /* _INCFS_POLICY_INFO_H */
