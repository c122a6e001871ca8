// SPDX-License-Identifier: MIT
/* What the kernel tells of a policy's programs and maps. */
#include "policy_info.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATS_FILE "/proc/sys/kernel/bpf_stats_enabled"

static void copy_name(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%.*s", (int)size - 1, from);
}

/* The kernel's own name for a program is cut off; that of its function is not. */
static void full_name(int fd, const struct bpf_prog_info *info, char *name, size_t size)
{
	struct bpf_func_info func = {};
	struct bpf_prog_info again = {
		.nr_func_info = 1, .func_info_rec_size = sizeof(func),
		.func_info = (__u64)(unsigned long)&func,
	};
	__u32 again_size = sizeof(again);
	const struct btf_type *type;
	struct btf *btf;

	copy_name(name, size, info->name);
	if (!info->btf_id || bpf_prog_get_info_by_fd(fd, &again, &again_size) ||
	    !again.nr_func_info)
		return;
	btf = btf__load_from_kernel_by_id(info->btf_id);
	type = btf ? btf__type_by_id(btf, func.type_id) : NULL;
	if (type && btf_is_func(type))
		copy_name(name, size, btf__name_by_offset(btf, type->name_off));
	btf__free(btf);
}

bool incfs_policy_info_has_map(const struct incfs_policy_info *info, __u32 id)
{
	for (size_t i = 0; i < info->nr_maps; i++) {
		if (info->maps[i].id == id)
			return true;
	}
	return false;
}

bool incfs_policy_info_variable(void *arg, const struct incfs_policy_variable *var)
{
	struct incfs_policy_info *info = arg;
	struct incfs_variable_info *row = &info->variables[info->nr_variables];

	if (info->nr_variables == INCFS_POLICY_VARIABLES_MAX)
		return true;
	copy_name(row->name, sizeof(row->name), var->name);
	incfs_policy_variable_print(var, row->value);
	info->nr_variables++;
	return false;
}

static void take_variables(struct incfs_policy_info *info, int fd, const struct bpf_map_info *map)
{
	struct btf *btf = btf__load_from_kernel_by_id(map->btf_id);
	char *data = calloc(1, map->value_size);
	__u32 zero = 0;

	if (btf && data && !bpf_map_lookup_elem(fd, &zero, data))
		incfs_policy_variables_each(btf, map->btf_value_type_id, data, map->value_size,
					    incfs_policy_info_variable, info);
	free(data);
	btf__free(btf);
}

static void take_map(struct incfs_policy_info *info, __u32 id)
{
	struct incfs_map_info *row = &info->maps[info->nr_maps];
	struct bpf_map_info map = {};
	__u32 size = sizeof(map);
	int fd;

	if (info->nr_maps == INCFS_POLICY_MAPS_MAX || incfs_policy_info_has_map(info, id))
		return;
	fd = bpf_map_get_fd_by_id(id);
	if (fd < 0)
		return;
	if (!bpf_map_get_info_by_fd(fd, &map, &size)) {
		*row = (struct incfs_map_info){
			.id = id, .max_entries = map.max_entries,
			.type = libbpf_bpf_map_type_str(map.type) ?: "unknown",
		};
		copy_name(row->name, sizeof(row->name), map.name);
		info->nr_maps++;
		if (incfs_policy_is_variables(map.name) && map.btf_id)
			take_variables(info, fd, &map);
	}
	close(fd);
}

static void take_program(struct incfs_policy_info *info, struct incfs_program_info *row)
{
	__u32 maps[INCFS_POLICY_MAPS_MAX];
	struct bpf_prog_info prog = {
		.nr_map_ids = INCFS_POLICY_MAPS_MAX, .map_ids = (__u64)(unsigned long)maps,
	};
	__u32 size = sizeof(prog);
	int fd = bpf_prog_get_fd_by_id(row->id);

	if (fd < 0)
		return;
	if (!bpf_prog_get_info_by_fd(fd, &prog, &size)) {
		full_name(fd, &prog, row->name, sizeof(row->name));
		row->runs = prog.run_cnt;
		row->ns = prog.run_time_ns;
		for (__u32 i = 0; i < prog.nr_map_ids && i < INCFS_POLICY_MAPS_MAX; i++)
			take_map(info, maps[i]);
	}
	close(fd);
}

void incfs_policy_info_read(struct incfs_policy_info *info,
			    const struct incfs_registered *policy)
{
	*info = (struct incfs_policy_info){};
	for (size_t i = 0; i < policy->nr_callbacks; i++) {
		info->programs[i].id = policy->callbacks[i].prog_id;
		take_program(info, &info->programs[i]);
	}
}

bool incfs_policy_counted(void)
{
	FILE *file = fopen(STATS_FILE, "re");
	int enabled = 0;

	if (file && fscanf(file, "%d", &enabled) != 1)
		enabled = 0;
	if (file)
		fclose(file);
	return enabled;
}
