// SPDX-License-Identifier: MIT
/* incfs policy attach: register a policy and pin its link. */
#include "cmd_policy.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "policy_mounts.h"
#include "policy_object.h"
#include "policy_registry.h"
#include "policy_variables.h"
#include "profile_maps.h"

struct attach {
	const char *what;
	const char *mountpoint;
	const char *name;
	const char *pin_dir;
	const char *profile;
	const char *settings[INCFS_SETTINGS_MAX + 1];
	bool only;
	__u64 mount_id;
	/* What is being done: */
	struct incfs_mounts mounts;
	const struct incfs_mounted *mount;
	struct incfs_policy_object object;
	struct bpf_link *link;
	char pin[4096];
};

static bool set_name(const struct incfs_option *option, void *context, const char *value)
{
	if (incfs_policy_name_valid(value))
		return incfs_option_text(option, context, value);
	incfs_error("--%s: '%s' is not a name of up to %d letters, digits, '_', '-', '.'",
		    option->name, value, INCFS_POLICY_NAME_MAX - 1);
	return false;
}

static bool set_mount_id(const struct incfs_option *option, void *context, const char *value)
{
	struct attach *attach = context;

	if (incfs_parse_number(value, 1, ~0ull, &attach->mount_id))
		return true;
	incfs_error("--%s: '%s' is not the id of a mount", option->name, value);
	return false;
}

#define AT(member) .offset = offsetof(struct attach, member)

static const struct incfs_option rows[] = {
	{ "as", 'a', "NAME", "register it under another name", set_name, AT(name) },
	{ "set", 's', "VAR=VALUE", "set a variable; 'incfs policy show' tells which there are",
	  incfs_option_texts, AT(settings), .most = INCFS_SETTINGS_MAX },
	{ "only", 'o', NULL, "for MOUNTPOINT only: no other mount may use it",
	  incfs_option_on, AT(only) },
	{ "mount-id", 'm', "N", "the same for the mount with this id", set_mount_id,
	  AT(mount_id) },
	{ "pin-dir", 'p', "DIR", "pin it there instead of " INCFS_POLICY_PINS,
	  incfs_option_text, AT(pin_dir) },
	{ "profile", 'f', "FILE", "for the policy replay: what MOUNTPOINT is to follow, as\n"
	  "written by 'incfs record'; replay may be registered already",
	  incfs_option_text, AT(profile) },
	{}
};

static const struct incfs_usage usage = {
	.program = "incfs policy attach",
	.args = "[OPTION]... NAME|FILE.o [MOUNTPOINT]",
	.about =
"Load a policy, one that comes along or one of an object file, register it, and pin\n"
"its link, so that it stays when this command ends; with MOUNTPOINT have that mount\n"
"use it.\n",
	.options = rows,
	.least = 1,
	.most = 2,
};

/* -1 to go on, or the exit code. */
static int parse(struct attach *attach, int argc, char **argv)
{
	int code = incfs_usage_parse(&usage, attach, argc, argv);
	const char *mistake = NULL;

	if (code >= 0)
		return code;
	attach->what = argv[optind];
	attach->mountpoint = argv[optind + 1];
	if (attach->profile && !attach->mountpoint)
		mistake = "--profile needs MOUNTPOINT";
	else if (attach->only && attach->mount_id)
		mistake = "--only and --mount-id exclude each other";
	else if (attach->only && !attach->mountpoint)
		mistake = "--only needs MOUNTPOINT";
	if (mistake) {
		incfs_error("%s", mistake);
		return incfs_usage_mistake(&usage);
	}
	return incfs_policy_may() ? -1 : 1;
}

static int find_mount(struct attach *attach)
{
	if (!attach->mountpoint)
		return 0;
	if (incfs_mounts_read(&attach->mounts))
		return -1;
	attach->mount = incfs_mounts_of(&attach->mounts, attach->mountpoint);
	if (!attach->mount)
		return -1;
	if (attach->only)
		attach->mount_id = attach->mount->id;
	return 0;
}

static int load(struct attach *attach)
{
	struct incfs_policy_object *object = &attach->object;

	if (incfs_policy_object_open(object, attach->what))
		return -1;
	for (size_t i = 0; attach->settings[i]; i++) {
		if (incfs_policy_object_set(object, attach->settings[i]))
			return -1;
	}
	if (attach->name)
		incfs_policy_object_rename(object, attach->name);
	else
		attach->name = incfs_policy_object_name(object);
	if (attach->mount_id)
		incfs_policy_object_bind(object, attach->mount_id);
	if (!incfs_policy_name_valid(attach->name)) {
		incfs_error("'%s' calls itself '%s', which is not a name of letters, digits, '_', '-' and '.': --as NAME",
			    attach->what, attach->name);
		return -1;
	}
	return incfs_policy_object_load(object);
}

static void explain_taken(const char *name)
{
	struct incfs_registry registry;
	struct incfs_registered *policy;

	if (incfs_registry_read(&registry))
		return;
	policy = incfs_registry_find(&registry, name);
	incfs_error("a policy '%s' is registered already%s%s: 'incfs policy swap' replaces it, 'detach' removes it, and --as gives this one another name",
		    name, policy && policy->pin ? ", pinned as " : "",
		    policy && policy->pin ? policy->pin : "");
	incfs_registry_free(&registry);
}

static int attach_link(struct attach *attach)
{
	attach->link = incfs_policy_object_attach(&attach->object);
	if (attach->link)
		return 0;
	/* Each mount may have a profile, of one policy. */
	if (errno == EEXIST && attach->profile && !attach->settings[0])
		return 0;
	if (errno == EEXIST)
		explain_taken(attach->name);
	else if (errno == EINVAL)
		incfs_error("can't register the policy '%s': the module refuses its name, its flags or its mount id; dmesg may say more",
			    attach->name);
	else
		incfs_error("can't register the policy '%s': %s", attach->name, strerror(errno));
	return -1;
}

/* What a policy that has been detached left behind is nobody's any more. */
static void clear_pin(const struct attach *attach)
{
	__u32 id;
	bool attached;

	if (incfs_link_pinned(attach->pin, &id, &attached) && !attached)
		unlink(attach->pin);
}

static int pin(struct attach *attach)
{
	int err;

	if (mkdir(attach->pin_dir, 0700) && errno != EEXIST) {
		incfs_error("can't make the directory '%s': %s", attach->pin_dir,
			    strerror(errno));
		return -1;
	}
	err = snprintf(attach->pin, sizeof(attach->pin), "%s/%s", attach->pin_dir, attach->name);
	if ((size_t)err >= sizeof(attach->pin)) {
		incfs_error("can't pin '%s': %s", attach->name, strerror(ENAMETOOLONG));
		return -1;
	}
	clear_pin(attach);
	err = bpf_link__pin(attach->link, attach->pin);
	if (!err)
		return 0;
	incfs_error("can't pin the policy '%s' as '%s': %s", attach->name, attach->pin,
		    err == -EINVAL || err == -EPERM ? "that is not on a BPF file system" :
		    strerror(-err));
	return -1;
}

/* Have the mount use it, if there is one. */
static int use(const struct attach *attach)
{
	if (!attach->mount)
		return 0;
	if (attach->profile && incfs_profile_attach(attach->profile, attach->mountpoint,
						    attach->mount->id))
		return -1;
	if (!incfs_mount_choose(attach->mount, attach->name))
		return 0;
	if (attach->profile)
		incfs_profile_detach(attach->mount->id);
	return -1;
}

static int run(struct attach *attach)
{
	const char *obstacle = incfs_policy_obstacle();

	if (obstacle) {
		incfs_error("no policy can be used: %s", obstacle);
		return -1;
	}
	if (find_mount(attach) || load(attach) || attach_link(attach))
		return -1;
	if (!attach->link || !pin(attach)) {
		if (!use(attach))
			return 0;
		if (attach->link)
			unlink(attach->pin);
	}
	/* All of it or nothing. */
	if (attach->link)
		bpf_link__detach(attach->link);
	return -1;
}

int incfs_cmd_policy_attach(int argc, char **argv)
{
	struct attach attach = { .pin_dir = INCFS_POLICY_PINS };
	int code = parse(&attach, argc, argv);

	if (code < 0)
		code = run(&attach) ? 1 : 0;
	/* The pin keeps the policy. */
	bpf_link__destroy(attach.link);
	incfs_policy_object_close(&attach.object);
	incfs_mounts_free(&attach.mounts);
	return code;
}
