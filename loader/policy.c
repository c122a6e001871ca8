// SPDX-License-Identifier: MIT
/* The policy of a mount, and the maps that all policies and loaders share. */
#include "policy.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <incfs/policy.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "log.h"
#include "minimal.skel.h"
#include "sequential.skel.h"
#include "util.h"

#define BPFFS "/sys/fs/bpf"
#define VMLINUX_BTF "/sys/kernel/btf/vmlinux"
/* The policy that is loaded when nothing but the maps is wanted. */
#define MAPS_CARRIER "sequential"
#define MODULE_BTF "/sys/kernel/btf/incfs"

/* A policy that comes with the loader; a skeleton's functions have types of their own. */
struct incfs_policy_kind {
	const char *name;
	void *(*open)(int ahead, struct bpf_object_skeleton **skeleton);
	void (*destroy)(void *skeleton);
};

static void *minimal_open(int ahead, struct bpf_object_skeleton **skeleton)
{
	struct minimal_bpf *skel = minimal_bpf__open();

	(void)ahead;
	*skeleton = skel ? skel->skeleton : NULL;
	return skel;
}

static void minimal_destroy(void *skeleton)
{
	minimal_bpf__destroy(skeleton);
}

static void *sequential_open(int ahead, struct bpf_object_skeleton **skeleton)
{
	struct sequential_bpf *skel = sequential_bpf__open();

	if (skel && ahead >= 0)
		skel->rodata->ahead = ahead;
	*skeleton = skel ? skel->skeleton : NULL;
	return skel;
}

static void sequential_destroy(void *skeleton)
{
	sequential_bpf__destroy(skeleton);
}

static const struct incfs_policy_kind kinds[] = {
	{ "minimal", minimal_open, minimal_destroy },
	{ "sequential", sequential_open, sequential_destroy },
};

const char *incfs_policy_names(void)
{
	return "minimal, sequential";
}

static const struct incfs_policy_kind *find_kind(const char *name)
{
	for (size_t i = 0; i < INCFS_ARRAY_SIZE(kinds); i++) {
		if (name && !strcmp(kinds[i].name, name))
			return &kinds[i];
	}
	return NULL;
}

/* The last thing that libbpf complained of: it knows more than the errno. */
static char libbpf_words[512];

static int libbpf_print(enum libbpf_print_level level, const char *fmt, va_list args)
{
	if (level != LIBBPF_WARN)
		return 0;
	vsnprintf(libbpf_words, sizeof(libbpf_words), fmt, args);
	libbpf_words[strcspn(libbpf_words, "\n")] = 0;
	incfs_debug("%s", libbpf_words);
	return 0;
}

/* What is missing on this machine for any policy to work, or NULL. */
static const char *find_obstacle(void)
{
	struct statfs fs;

	if (access(VMLINUX_BTF, R_OK))
		return "the kernel has no BTF (" VMLINUX_BTF "; CONFIG_DEBUG_INFO_BTF)";
	if (access(MODULE_BTF, R_OK))
		return "the module incfs was built without BTF (no " MODULE_BTF ")";
	if (statfs(BPFFS, &fs) || fs.f_type != BPF_FS_MAGIC)
		return "no BPF file system on " BPFFS ": mount -t bpf bpf " BPFFS;
	return NULL;
}

static void unload(struct incfs_policy *policy, const struct incfs_policy_kind *kind)
{
	if (policy->skeleton)
		kind->destroy(policy->skeleton);
	policy->skeleton = NULL;
}

static struct bpf_object *load(struct incfs_policy *policy, const struct incfs_policy_kind *kind)
{
	struct bpf_object_skeleton *skeleton;
	int err;

	libbpf_words[0] = 0;
	policy->skeleton = kind->open(policy->ahead, &skeleton);
	err = policy->skeleton ? bpf_object__load_skeleton(skeleton) : -errno;
	if (!err)
		return *skeleton->obj;
	unload(policy, kind);
	errno = -err;
	return NULL;
}

static struct bpf_map *find_ops(struct bpf_object *obj)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj) {
		if (bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS)
			return map;
	}
	return NULL;
}

/* Returns 0 also when somebody else has registered a policy of this name. */
static int attach(struct incfs_policy *policy, struct bpf_object *obj)
{
	policy->link = bpf_map__attach_struct_ops(find_ops(obj));
	if (policy->link)
		return 0;
	if (errno != EEXIST)
		return -1;
	incfs_info("a policy '%s' is registered already: using that", policy->choice);
	return 0;
}

static int open_pinned(const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), BPFFS "/%s", name);
	fd = bpf_obj_get(path);
	return fd < 0 ? -1 : fd;
}

static void close_maps(struct incfs_policy *policy)
{
	if (policy->rings_fd >= 0)
		close(policy->rings_fd);
	if (policy->lost_fd >= 0)
		close(policy->lost_fd);
	policy->rings_fd = -1;
	policy->lost_fd = -1;
}

/*
 * The maps are pinned by the first policy that uses them. If that is not there
 * yet, one that does is loaded, and not registered, for its maps.
 */
static int open_maps(struct incfs_policy *policy)
{
	struct incfs_policy carrier = { .ahead = -1 };

	policy->rings_fd = open_pinned(INCFS_RINGS_NAME);
	policy->lost_fd = open_pinned(INCFS_LOST_NAME);
	if (policy->rings_fd >= 0 && policy->lost_fd >= 0)
		return 0;
	close_maps(policy);
	if (!load(&carrier, find_kind(MAPS_CARRIER)))
		return -1;
	policy->rings_fd = open_pinned(INCFS_RINGS_NAME);
	policy->lost_fd = open_pinned(INCFS_LOST_NAME);
	unload(&carrier, find_kind(MAPS_CARRIER));
	return policy->rings_fd < 0 || policy->lost_fd < 0 ? -1 : 0;
}

static int policy_fail(const struct incfs_policy *policy, const char *what)
{
	incfs_error("can't %s the policy '%s': %s%s%s", what, policy->choice, strerror(errno),
		    libbpf_words[0] ? "; " : "", libbpf_words);
	return -1;
}

int incfs_policy_open(struct incfs_policy *policy, const char *choice, int ahead)
{
	const char *obstacle = find_obstacle();
	struct bpf_object *obj = NULL;

	*policy = (struct incfs_policy){
		.choice = choice, .kind = find_kind(choice), .ahead = ahead,
		.rings_fd = -1, .lost_fd = -1,
	};
	libbpf_set_print(libbpf_print);
	if (obstacle) {
		incfs_log(choice ? INCFS_LOG_ERROR : INCFS_LOG_INFO,
			  "no policy can be used: %s%s", obstacle,
			  choice ? "; without one: --policy none" : "");
		return choice ? -1 : 0;
	}
	if (policy->kind) {
		obj = load(policy, policy->kind);
		if (!obj)
			return policy_fail(policy, "load");
		if (attach(policy, obj)) {
			policy_fail(policy, "register");
			incfs_policy_close(policy);
			return -1;
		}
	}
	if (open_maps(policy)) {
		incfs_log(choice ? INCFS_LOG_ERROR : INCFS_LOG_INFO,
			  "no map of event rings: %s%s%s", strerror(errno),
			  libbpf_words[0] ? "; " : "", libbpf_words);
		if (choice) {
			incfs_policy_close(policy);
			return -1;
		}
	}
	if (!policy->link && policy->kind)
		unload(policy, policy->kind);
	return 0;
}

void incfs_policy_keep(struct incfs_policy *policy, const char *name)
{
	struct bpf_object *obj;

	if (policy->link || !policy->kind || *name)
		return;
	obj = load(policy, policy->kind);
	if (!obj)
		return;
	policy->link = bpf_map__attach_struct_ops(find_ops(obj));
	if (policy->link)
		incfs_info("the policy '%s' had gone: registered it again", policy->choice);
	else
		unload(policy, policy->kind);
}

void incfs_policy_close(struct incfs_policy *policy)
{
	bpf_link__destroy(policy->link);
	policy->link = NULL;
	if (policy->kind)
		unload(policy, policy->kind);
	close_maps(policy);
}
