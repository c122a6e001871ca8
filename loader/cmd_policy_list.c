// SPDX-License-Identifier: MIT
/* incfs policy list: what is registered, and what comes along. */
#include "cmd_policy.h"

#include <stdio.h>
#include <stdlib.h>

#include <json-c/json.h>

#include "columns.h"
#include "image_json.h"
#include "policy_builtin.h"
#include "policy_mounts.h"
#include "policy_registry.h"

static const struct incfs_usage list_usage = {
	.program = "incfs policy list",
	.args = "[-j]",
	.about =
"Tell which policies are registered, and which come with this program.\n",
	.options = incfs_policy_json_option,
	.least = 0,
	.most = 0,
};

static void print_registered(const struct incfs_registry *registry,
			     const struct incfs_mounts *mounts)
{
	static const char *const heads[] = {
		"NAME", "LINK", "MAP", "CALLBACKS", "FOR", "PIN", "USED BY",
	};
	struct incfs_columns table = { .nr = 7 };

	for (size_t i = 0; i < table.nr; i++)
		incfs_columns_add(&table, "%s", heads[i]);
	for (size_t i = 0; i < registry->nr; i++) {
		const struct incfs_registered *policy = &registry->policies[i];
		char *users = incfs_policy_users(policy, mounts);

		incfs_columns_add(&table, "%s", policy->name);
		if (policy->link_id)
			incfs_columns_add(&table, "%u", policy->link_id);
		else
			incfs_columns_add(&table, "-");
		incfs_columns_add(&table, "%u", policy->map_id);
		incfs_columns_add(&table, "%zu", policy->nr_callbacks);
		if (policy->mount_id)
			incfs_columns_add(&table, "mount %llu", policy->mount_id);
		else
			incfs_columns_add(&table, "any");
		incfs_columns_add(&table, "%s", policy->pin ?: "-");
		incfs_columns_add(&table, "%s", users ?: "");
		free(users);
	}
	incfs_columns_print(&table, "  ");
}

static void print_text(const struct incfs_registry *registry, const struct incfs_mounts *mounts)
{
	const struct incfs_policy_builtin *builtin;
	struct incfs_columns table = { .nr = 2 };

	if (registry->nr) {
		printf("Registered:\n");
		print_registered(registry, mounts);
	} else {
		printf("No policy is registered.\n");
	}
	printf("\nComing with incfs:\n");
	for (builtin = incfs_policy_builtins; builtin->name; builtin++) {
		incfs_columns_add(&table, "%s", builtin->name);
		incfs_columns_add(&table, "%s", builtin->about);
	}
	incfs_columns_print(&table, "  ");
}

static struct json_object *registered_json(const struct incfs_registered *policy,
					   const struct incfs_mounts *mounts)
{
	struct json_object *object = incfs_policy_json(policy, mounts);
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < policy->nr_callbacks; i++)
		json_object_array_add(array, json_object_new_string(policy->callbacks[i].name));
	json_object_object_add(object, "callbacks", array);
	return object;
}

static int print_json(const struct incfs_registry *registry, const struct incfs_mounts *mounts)
{
	struct json_object *object = json_object_new_object();
	struct json_object *registered = json_object_new_array();
	struct json_object *builtins = json_object_new_array(), *row;
	const struct incfs_policy_builtin *builtin;
	int err;

	for (size_t i = 0; i < registry->nr; i++)
		json_object_array_add(registered,
				      registered_json(&registry->policies[i], mounts));
	for (builtin = incfs_policy_builtins; builtin->name; builtin++) {
		row = json_object_new_object();
		incfs_json_string(row, "name", builtin->name);
		incfs_json_string(row, "about", builtin->about);
		json_object_array_add(builtins, row);
	}
	json_object_object_add(object, "registered", registered);
	json_object_object_add(object, "builtin", builtins);
	err = incfs_json_print(object, "\n");
	json_object_put(object);
	return err;
}

int incfs_cmd_policy_list(int argc, char **argv)
{
	struct incfs_registry registry = {};
	struct incfs_mounts mounts = {};
	bool json = false;
	int code = incfs_policy_parse(&list_usage, &json, argc, argv);

	if (code >= 0)
		return code;
	code = 1;
	if (!incfs_registry_read(&registry) && !incfs_mounts_read(&mounts)) {
		code = 0;
		if (!json)
			print_text(&registry, &mounts);
		else if (print_json(&registry, &mounts))
			code = 1;
	}
	incfs_mounts_free(&mounts);
	incfs_registry_free(&registry);
	return incfs_output_end() ? 1 : code;
}
