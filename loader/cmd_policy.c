// SPDX-License-Identifier: MIT
/* incfs policy: what can be done with policies and the mounts that use them. */
#include "cmd_policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>

#include "cmd.h"
#include "image_json.h"
#include "log.h"
#include "policy_mounts.h"
#include "policy_registry.h"

static const struct incfs_cmd cmds[] = {
	{ "list", "", "policies that are registered, and those that come along",
	  incfs_cmd_policy_list },
	{ "show", "NAME|FILE.o", "one policy: callbacks, variables, maps, run times",
	  incfs_cmd_policy_show },
	{ "status", "[MOUNTPOINT]", "mounts: their policy, its failures, events lost",
	  incfs_cmd_policy_status },
	{ "attach", "NAME|FILE.o [MOUNTPOINT]", "register a policy, and have a mount use it",
	  incfs_cmd_policy_attach },
	{ "detach", "NAME", "end a policy's registration", incfs_cmd_policy_detach },
	{ "swap", "NAME NEW|FILE.o", "put another program in its place",
	  incfs_cmd_policy_swap },
	{ "use", "MOUNTPOINT NAME|auto|none", "choose the policy of a mount",
	  incfs_cmd_policy_use },
	{ "hold", "FILE...", "hold the blocks of files (policy gate)", incfs_cmd_policy_hold },
	{ "release", "FILE...", "let readers have them", incfs_cmd_policy_release },
	{ "timeout", "MOUNTPOINT UID MIN MAX", "how long a user's reads wait (policy timeouts)",
	  incfs_cmd_policy_timeout },
	{}
};

int incfs_cmd_policy(int argc, char **argv)
{
	return incfs_cmd_dispatch("incfs policy", cmds, argc, argv);
}

bool incfs_policy_may(void)
{
	if (!geteuid())
		return true;
	incfs_error("must be run as root: it has to do with BPF programs");
	return false;
}

const struct incfs_option incfs_policy_json_option[] = {
	{ "json", 'j', NULL, "for programs", incfs_option_on, .offset = 0 },
	{}
};

int incfs_policy_parse(const struct incfs_usage *usage, void *context, int argc, char **argv)
{
	int code = incfs_usage_parse(usage, context, argc, argv);

	if (code >= 0)
		return code;
	return incfs_policy_may() ? -1 : 1;
}

static bool is_used(const struct incfs_registered *policy, const struct incfs_mounted *mount)
{
	return !strcmp(policy->name, mount->in_use);
}

char *incfs_policy_users(const struct incfs_registered *policy,
			 const struct incfs_mounts *mounts)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	for (size_t i = 0; i < mounts->nr; i++) {
		if (is_used(policy, &mounts->mounts[i]))
			fprintf(out, "%s%s", ftell(out) ? ", " : "",
				incfs_mount_name(&mounts->mounts[i]));
	}
	if (!ftell(out))
		fputs("-", out);
	fclose(out);
	return text;
}

struct json_object *incfs_policy_users_json(const struct incfs_registered *policy,
					    const struct incfs_mounts *mounts)
{
	struct json_object *array = json_object_new_array(), *object;

	for (size_t i = 0; i < mounts->nr; i++) {
		const struct incfs_mounted *mount = &mounts->mounts[i];

		if (!is_used(policy, mount))
			continue;
		object = json_object_new_object();
		incfs_json_number(object, "mount_id", mount->id);
		if (mount->path)
			incfs_json_bytes(object, "path", mount->path, strlen(mount->path));
		json_object_array_add(array, object);
	}
	return array;
}

struct json_object *incfs_policy_json(const struct incfs_registered *policy,
				      const struct incfs_mounts *mounts)
{
	struct json_object *object = json_object_new_object();

	incfs_json_string(object, "name", policy->name);
	if (policy->link_id)
		incfs_json_number(object, "link_id", policy->link_id);
	if (policy->pin)
		incfs_json_bytes(object, "pin", policy->pin, strlen(policy->pin));
	incfs_json_number(object, "map_id", policy->map_id);
	incfs_json_number(object, "mount_id", policy->mount_id);
	json_object_object_add(object, "used_by", incfs_policy_users_json(policy, mounts));
	return object;
}
