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

static const char attach_usage[] =
"usage: incfs policy attach [OPTION]... NAME|FILE.o [MOUNTPOINT]\n"
"Load a policy, one that comes along or one of an object file, register it, and pin\n"
"its link, so that it stays when this command ends; with MOUNTPOINT have that mount\n"
"use it.\n"
"  -a, --as NAME         register it under another name\n"
"  -s, --set VAR=VALUE   set a variable; 'incfs policy show' tells which there are\n"
"  -o, --only            for MOUNTPOINT only: no other mount may use it\n"
"  -m, --mount-id N      the same for the mount with this id\n"
"  -p, --pin-dir DIR     pin it there instead of " INCFS_POLICY_PINS "\n"
"  -f, --profile FILE    for the policy replay: what MOUNTPOINT is to follow, as\n"
"                        written by 'incfs record'; replay may be registered already\n"
"  -h, --help            this text\n";

struct attach {
	const char *what;
	const char *mountpoint;
	const char *name;
	const char *pin_dir;
	const char *profile;
	const char *settings[INCFS_SETTINGS_MAX];
	size_t nr_settings;
	bool only;
	__u64 mount_id;
	/* What is being done: */
	struct incfs_mounts mounts;
	const struct incfs_mounted *mount;
	struct incfs_policy_object object;
	struct bpf_link *link;
	char pin[4096];
};

static bool parse_option(struct attach *attach, int opt)
{
	switch (opt) {
	case 'a':
		attach->name = optarg;
		if (incfs_policy_name_valid(optarg))
			return true;
		incfs_error("--as: '%s' is not a name of up to %d letters, digits, '_', '-', '.'",
			    optarg, INCFS_POLICY_NAME_MAX - 1);
		return false;
	case 's':
		if (attach->nr_settings < INCFS_SETTINGS_MAX) {
			attach->settings[attach->nr_settings++] = optarg;
			return true;
		}
		incfs_error("--set: no more than %d", INCFS_SETTINGS_MAX);
		return false;
	case 'o':
		attach->only = true;
		return true;
	case 'm':
		if (incfs_policy_number(optarg, 1, ~0ull, &attach->mount_id))
			return true;
		incfs_error("--mount-id: '%s' is not the id of a mount", optarg);
		return false;
	case 'p':
		attach->pin_dir = optarg;
		return true;
	case 'f':
		attach->profile = optarg;
		return true;
	default:
		return false;
	}
}

/* -1 to go on, or the exit code. */
static int parse(struct attach *attach, int argc, char **argv)
{
	static const struct option options[] = {
		{ "as", required_argument, NULL, 'a' },
		{ "help", no_argument, NULL, 'h' },
		{ "mount-id", required_argument, NULL, 'm' },
		{ "only", no_argument, NULL, 'o' },
		{ "pin-dir", required_argument, NULL, 'p' },
		{ "profile", required_argument, NULL, 'f' },
		{ "set", required_argument, NULL, 's' },
		{}
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "a:f:s:om:p:h", options, NULL)) != -1) {
		if (opt == 'h')
			return incfs_policy_usage(attach_usage, 0);
		if (!parse_option(attach, opt))
			return incfs_policy_usage(attach_usage, 2);
	}
	if (argc - optind < 1 || argc - optind > 2)
		return incfs_policy_usage(attach_usage, 2);
	attach->what = argv[optind];
	attach->mountpoint = argv[optind + 1];
	if (attach->profile && !attach->mountpoint) {
		incfs_error("--profile needs MOUNTPOINT");
		return incfs_policy_usage(attach_usage, 2);
	}
	if (attach->only && (!attach->mountpoint || attach->mount_id)) {
		incfs_error(attach->mount_id ? "--only and --mount-id exclude each other" :
			    "--only needs MOUNTPOINT");
		return incfs_policy_usage(attach_usage, 2);
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
	for (size_t i = 0; i < attach->nr_settings; i++) {
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
	if (errno == EEXIST && attach->profile && !attach->nr_settings)
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
