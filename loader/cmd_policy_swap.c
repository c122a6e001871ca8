// SPDX-License-Identifier: MIT
/* incfs policy swap, detach and use: other programs, none, and the choice of a mount. */
#include "cmd_policy.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "policy_mounts.h"
#include "policy_object.h"
#include "policy_registry.h"
#include "policy_variables.h"

struct swap_args {
	const char *settings[INCFS_SETTINGS_MAX + 1];
};

static const struct incfs_option swap_rows[] = {
	{ "set", 's', "VAR=VALUE", "set a variable of the new one", incfs_option_texts,
	  .offset = offsetof(struct swap_args, settings), .most = INCFS_SETTINGS_MAX },
	{}
};

static const struct incfs_usage swap_usage = {
	.program = "incfs policy swap",
	.args = "[-s VAR=VALUE]... NAME NEW|FILE.o",
	.about =
"Put another policy, one that comes along or one of an object file, in the place of\n"
"the one that is registered as NAME: at once, for all mounts that use it. It takes\n"
"over the name, and which mount it is for.\n",
	.options = swap_rows,
	.least = 2,
	.most = 2,
};

static const struct incfs_usage detach_usage = {
	.program = "incfs policy detach",
	.args = "NAME",
	.about =
"End the registration of a policy, whoever made it, and remove its pins. Mounts that\n"
"used it have the built-in behaviour then, or the policy before if they say auto.\n",
	.least = 1,
	.most = 1,
};

static const struct incfs_usage use_usage = {
	.program = "incfs policy use",
	.args = "MOUNTPOINT NAME|auto|none",
	.about =
"Choose the policy of a mount: one that is registered, always the newest one that\n"
"takes the mount, or none.\n",
	.least = 2,
	.most = 2,
};

/* A descriptor of what registers the policy: its link, or its map. */
static int open_registration(const struct incfs_registered *policy)
{
	int fd = policy->link_id ? bpf_link_get_fd_by_id(policy->link_id) :
				   bpf_map_get_fd_by_id(policy->map_id);

	if (fd < 0)
		incfs_error("can't get at the policy '%s': %s", policy->name, strerror(errno));
	return fd;
}

/* Read what is registered and find one of it; NULL after saying that it isn't there. */
static const struct incfs_registered *find(struct incfs_registry *registry, const char *name)
{
	const struct incfs_registered *policy = NULL;

	if (!incfs_registry_read(registry)) {
		policy = incfs_registry_find(registry, name);
		if (!policy)
			incfs_error("no policy '%s' is registered", name);
	}
	return policy;
}

static int detach(const struct incfs_registered *policy)
{
	int fd = open_registration(policy), err;
	__u32 zero = 0;

	if (fd < 0)
		return -1;
	err = policy->link_id ? bpf_link_detach(fd) : bpf_map_delete_elem(fd, &zero);
	if (err)
		incfs_error("can't detach the policy '%s': %s", policy->name, strerror(errno));
	close(fd);
	if (!err && policy->link_id && incfs_registry_unpin(policy->link_id)) {
		incfs_error("the policy '%s' is detached, but its pin '%s' stays: %s",
			    policy->name, policy->pin, strerror(errno));
		err = -1;
	}
	return err;
}

int incfs_cmd_policy_detach(int argc, char **argv)
{
	const struct incfs_registered *policy;
	struct incfs_registry registry = {};
	int code = incfs_policy_parse(&detach_usage, NULL, argc, argv);

	if (code >= 0)
		return code;
	policy = find(&registry, argv[optind]);
	code = policy && !detach(policy) ? 0 : 1;
	incfs_registry_free(&registry);
	return code;
}

/*
 * Only on the way to a link of its own does libbpf give a map the value that an update
 * needs. That link can't be made, since the name is taken; if it can, the policy that
 * was to be replaced has just gone.
 */
static int prepare(struct incfs_policy_object *object, const char *name)
{
	struct bpf_link *link = incfs_policy_object_attach(object);

	if (!link && errno == EEXIST)
		return 0;
	if (link)
		errno = ENOENT;
	incfs_error("can't replace the policy '%s': %s", name, link ? "it has just gone" :
		    strerror(errno));
	if (link)
		bpf_link__detach(link);
	bpf_link__destroy(link);
	return -1;
}

static int update(const struct incfs_registered *policy, struct incfs_policy_object *object)
{
	int fd, err;

	if (prepare(object, policy->name))
		return -1;
	fd = open_registration(policy);
	if (fd < 0)
		return -1;
	err = bpf_link_update(fd, bpf_map__fd(object->ops), NULL);
	if (err)
		incfs_error("can't replace the policy '%s': %s%s", policy->name, strerror(errno),
			    errno == EINVAL ? "" : "; a mount that uses it may have been refused");
	close(fd);
	return err ? -1 : 0;
}

static int swap(const char *name, const char *what, const char *const *settings)
{
	struct incfs_policy_object object = {};
	const struct incfs_registered *policy;
	struct incfs_registry registry = {};
	int err = -1;

	policy = find(&registry, name);
	if (!policy)
		goto out;
	if (!policy->link_id) {
		incfs_error("the policy '%s' was registered without a link: it can be detached, but not replaced",
			    name);
		goto out;
	}
	if (incfs_policy_object_open(&object, what))
		goto out;
	for (; *settings; settings++) {
		if (incfs_policy_object_set(&object, *settings))
			goto out;
	}
	incfs_policy_object_rename(&object, name);
	incfs_policy_object_bind(&object, policy->mount_id);
	if (!incfs_policy_object_load(&object))
		err = update(policy, &object);
out:
	incfs_policy_object_close(&object);
	incfs_registry_free(&registry);
	return err;
}

int incfs_cmd_policy_swap(int argc, char **argv)
{
	struct swap_args args = {};
	int code = incfs_policy_parse(&swap_usage, &args, argc, argv);

	if (code >= 0)
		return code;
	return swap(argv[optind], argv[optind + 1], args.settings) ? 1 : 0;
}

int incfs_cmd_policy_use(int argc, char **argv)
{
	const struct incfs_mounted *mount = NULL;
	struct incfs_mounts mounts = {};
	int code = incfs_policy_parse(&use_usage, NULL, argc, argv);
	const char *name;

	if (code >= 0)
		return code;
	name = argv[optind + 1];
	if (!incfs_policy_name_valid(name)) {
		incfs_error("'%s' is not a name of up to %d letters, digits, '_', '-', '.'", name,
			    INCFS_POLICY_NAME_MAX - 1);
		return incfs_usage_mistake(&use_usage);
	}
	if (!incfs_mounts_read(&mounts))
		mount = incfs_mounts_of(&mounts, argv[optind]);
	code = mount && !incfs_mount_choose(mount, name) ? 0 : 1;
	incfs_mounts_free(&mounts);
	return code;
}
