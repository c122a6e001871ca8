// SPDX-License-Identifier: MIT
/* incfs policy show: one policy, registered or in an object. */
#include "cmd_policy.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "columns.h"
#include "image_json.h"
#include "log.h"
#include "policy_info.h"
#include "policy_mounts.h"
#include "policy_object.h"
#include "policy_registry.h"

static const struct incfs_usage show_usage = {
	.program = "incfs policy show",
	.args = "[-j] NAME|FILE.o",
	.about =
"Tell of a policy that is registered: its callbacks, how often they ran, its variables\n"
"and maps; or, of one that is not but comes along, and of an object file, what there\n"
"is to be set.\n",
	.options = incfs_policy_json_option,
	.least = 1,
	.most = 1,
};

static void print_variables(const struct incfs_policy_info *info)
{
	for (size_t i = 0; i < info->nr_variables; i++)
		printf("%s%s = %s\n", i ? "           " : "variables: ", info->variables[i].name,
		       info->variables[i].value);
}

static void print_callbacks(const struct incfs_registered *policy,
			    const struct incfs_policy_info *info)
{
	struct incfs_columns table = { .nr = 6 };
	static const char *const heads[] = {
		"CALLBACK", "PROGRAM", "ID", "RUNS", "TIME", "EACH",
	};

	for (size_t i = 0; i < table.nr; i++)
		incfs_columns_add(&table, "%s", heads[i]);
	for (size_t i = 0; i < policy->nr_callbacks; i++) {
		const struct incfs_program_info *program = &info->programs[i];

		incfs_columns_add(&table, "%s", policy->callbacks[i].name);
		incfs_columns_add(&table, "%s", program->name);
		incfs_columns_add(&table, "%u", program->id);
		incfs_columns_add(&table, "%llu", program->runs);
		incfs_columns_add(&table, "%.3f ms", program->ns / 1e6);
		if (program->runs)
			incfs_columns_add(&table, "%llu ns", program->ns / program->runs);
		else
			incfs_columns_add(&table, "-");
	}
	printf("\n");
	incfs_columns_print(&table, "  ");
	if (!incfs_policy_counted())
		printf("  (runs are counted while 'sysctl kernel.bpf_stats_enabled' is 1)\n");
}

static void print_maps(const struct incfs_policy_info *info)
{
	struct incfs_columns table = { .nr = 4 };
	static const char *const heads[] = { "MAP", "ID", "TYPE", "ENTRIES" };

	for (size_t i = 0; i < table.nr; i++)
		incfs_columns_add(&table, "%s", heads[i]);
	for (size_t i = 0; i < info->nr_maps; i++) {
		incfs_columns_add(&table, "%s", info->maps[i].name);
		incfs_columns_add(&table, "%u", info->maps[i].id);
		incfs_columns_add(&table, "%s", info->maps[i].type);
		incfs_columns_add(&table, "%u", info->maps[i].max_entries);
	}
	printf("\n");
	incfs_columns_print(&table, "  ");
}

static void print_registered(const struct incfs_registered *policy,
			     const struct incfs_policy_info *info,
			     const struct incfs_mounts *mounts)
{
	char *users = incfs_policy_users(policy, mounts);

	printf("name:      %s\n", policy->name);
	if (policy->link_id)
		printf("link:      %u, %s", policy->link_id,
		       policy->pin ? "pinned as " : "not pinned");
	else
		printf("link:      none");
	if (policy->pin)
		incfs_print_bytes(stdout, policy->pin, strlen(policy->pin));
	printf("\n");
	printf("map:       %u\n", policy->map_id);
	if (policy->mount_id)
		printf("for:       mount %llu\n", policy->mount_id);
	else
		printf("for:       any mount\n");
	printf("used by:   ");
	if (users)
		incfs_print_bytes(stdout, users, strlen(users));
	printf("\n");
	free(users);
	print_variables(info);
	if (policy->nr_callbacks)
		print_callbacks(policy, info);
	if (info->nr_maps)
		print_maps(info);
}

static struct json_object *variables_json(const struct incfs_policy_info *info)
{
	struct json_object *object = json_object_new_object();

	for (size_t i = 0; i < info->nr_variables; i++) {
		const struct incfs_variable_info *var = &info->variables[i];

		/* As they stand: numbers, true and false. */
		json_object_object_add(object, var->name, json_tokener_parse(var->value));
	}
	return object;
}

static struct json_object *maps_json(const struct incfs_policy_info *info)
{
	struct json_object *array = json_object_new_array(), *object;

	for (size_t i = 0; i < info->nr_maps; i++) {
		object = json_object_new_object();
		incfs_json_string(object, "name", info->maps[i].name);
		incfs_json_number(object, "id", info->maps[i].id);
		incfs_json_string(object, "type", info->maps[i].type);
		incfs_json_number(object, "max_entries", info->maps[i].max_entries);
		json_object_array_add(array, object);
	}
	return array;
}

static struct json_object *registered_json(const struct incfs_registered *policy,
					   const struct incfs_policy_info *info,
					   const struct incfs_mounts *mounts)
{
	struct json_object *object = incfs_policy_json(policy, mounts);
	struct json_object *array = json_object_new_array(), *row;

	for (size_t i = 0; i < policy->nr_callbacks; i++) {
		row = json_object_new_object();
		incfs_json_string(row, "name", policy->callbacks[i].name);
		incfs_json_string(row, "program", info->programs[i].name);
		incfs_json_number(row, "program_id", info->programs[i].id);
		incfs_json_number(row, "runs", info->programs[i].runs);
		incfs_json_number(row, "run_time_ns", info->programs[i].ns);
		json_object_array_add(array, row);
	}
	json_object_object_add(object, "callbacks", array);
	json_object_object_add(object, "runs_counted",
			       json_object_new_boolean(incfs_policy_counted()));
	json_object_object_add(object, "variables", variables_json(info));
	json_object_object_add(object, "maps", maps_json(info));
	return object;
}

static int show_registered(const struct incfs_registered *policy, bool json)
{
	struct incfs_policy_info info;
	struct json_object *object;
	struct incfs_mounts mounts;
	int err = 0;

	if (incfs_mounts_read(&mounts))
		return -1;
	incfs_policy_info_read(&info, policy);
	if (json) {
		object = registered_json(policy, &info, &mounts);
		err = incfs_json_print(object, "\n");
		json_object_put(object);
	} else {
		print_registered(policy, &info, &mounts);
	}
	incfs_mounts_free(&mounts);
	return err;
}

/* For each callback of an object, the member's name and the program. */
static void each_callback(const struct incfs_policy_object *policy,
			  void (*each)(void *arg, const char *name,
				       const struct bpf_program *program),
			  void *arg)
{
	const struct btf *btf = bpf_object__btf(policy->obj);
	const struct btf_type *type = btf__type_by_id(btf,
						      bpf_map__btf_value_type_id(policy->ops));
	const struct btf_member *member = btf_members(type);
	const struct bpf_program *program;
	size_t size;
	const char *value = bpf_map__initial_value(policy->ops, &size);

	for (int i = 0; i < btf_vlen(type); i++, member++) {
		int id = btf__resolve_type(btf, member->type);

		if (id < 0 || !btf_is_ptr(btf__type_by_id(btf, id)))
			continue;
		/* In place of a function libbpf has the program. */
		memcpy(&program, value + btf_member_bit_offset(type, i) / 8, sizeof(program));
		if (program)
			each(arg, btf__name_by_offset(btf, member->name_off), program);
	}
}

static bool may_sleep(const struct bpf_program *program)
{
	return !strncmp(bpf_program__section_name(program), "struct_ops.s", 12);
}

static void add_callback_row(void *arg, const char *name, const struct bpf_program *program)
{
	struct incfs_columns *table = arg;

	if (!table->nr_cells) {
		incfs_columns_add(table, "CALLBACK");
		incfs_columns_add(table, "PROGRAM");
		incfs_columns_add(table, "MAY SLEEP");
	}
	incfs_columns_add(table, "%s", name);
	incfs_columns_add(table, "%s", bpf_program__name(program));
	incfs_columns_add(table, "%s", may_sleep(program) ? "yes" : "no");
}

static void add_callback_json(void *arg, const char *name, const struct bpf_program *program)
{
	struct json_object *object = json_object_new_object();

	incfs_json_string(object, "name", name);
	incfs_json_string(object, "program", bpf_program__name(program));
	json_object_object_add(object, "sleepable", json_object_new_boolean(may_sleep(program)));
	json_object_array_add(arg, object);
}

static int object_json(const struct incfs_policy_object *policy, const char *about,
		       const struct incfs_policy_info *info)
{
	struct json_object *object = json_object_new_object(), *array = json_object_new_array();
	int err;

	incfs_json_string(object, "name", incfs_policy_object_name(policy));
	if (about)
		incfs_json_string(object, "about", about);
	incfs_json_number(object, "mount_id", incfs_policy_object_mount(policy));
	each_callback(policy, add_callback_json, array);
	json_object_object_add(object, "callbacks", array);
	json_object_object_add(object, "variables", variables_json(info));
	err = incfs_json_print(object, "\n");
	json_object_put(object);
	return err;
}

static int show_object(const char *what, bool json)
{
	const struct incfs_policy_builtin *builtin = NULL;
	struct incfs_columns table = { .nr = 3 };
	struct incfs_policy_info info = {};
	struct incfs_policy_object policy;
	int err = 0;

	if (incfs_policy_object_open(&policy, what))
		return -1;
	if (!incfs_policy_is_file(what))
		builtin = incfs_policy_builtin_find(what);
	incfs_policy_object_variables(&policy, incfs_policy_info_variable, &info);
	if (json) {
		err = object_json(&policy, builtin ? builtin->about : NULL, &info);
	} else {
		printf("name:      %s\n", incfs_policy_object_name(&policy));
		printf("link:      none: it is not registered\n");
		if (builtin)
			printf("about:     %s\n", builtin->about);
		print_variables(&info);
		each_callback(&policy, add_callback_row, &table);
		if (table.nr_cells) {
			printf("\n");
			incfs_columns_print(&table, "  ");
		}
	}
	incfs_policy_object_close(&policy);
	return err;
}

static int show(const char *what, bool json)
{
	const struct incfs_registered *policy;
	struct incfs_registry registry;
	int err;

	if (incfs_policy_is_file(what))
		return show_object(what, json);
	if (incfs_registry_read(&registry))
		return -1;
	policy = incfs_registry_find(&registry, what);
	if (policy) {
		err = show_registered(policy, json);
	} else if (incfs_policy_builtin_find(what)) {
		err = show_object(what, json);
	} else {
		incfs_error("no policy '%s' is registered or comes with incfs", what);
		err = -1;
	}
	incfs_registry_free(&registry);
	return err;
}

int incfs_cmd_policy_show(int argc, char **argv)
{
	bool json = false;
	int code = incfs_policy_parse(&show_usage, &json, argc, argv);

	if (code >= 0)
		return code;
	code = show(argv[optind], json) ? 1 : 0;
	return incfs_output_end() ? 1 : code;
}
