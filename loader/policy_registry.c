// SPDX-License-Identifier: MIT
/*
 * The policies that are registered, as the kernel's lists of BPF links and maps tell.
 *
 * A policy is a map of the type struct_ops. What the map's element holds is laid out
 * as the module's type information says, programs by their ids.
 */
#include "policy_registry.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "policy_object.h"
#include "util.h"

#define VALUE_TYPE "bpf_struct_ops_" INCFS_POLICY_TYPE
/* Of enum bpf_struct_ops_state: the map has registered the policy without a link. */
#define STATE_INUSE 1
/* Directories that deep below the BPF file system are looked into. */
#define PIN_DEPTH 16

bool incfs_link_pinned(const char *path, __u32 *link_id, bool *attached)
{
	struct bpf_link_info info = {};
	__u32 size = sizeof(info);
	char link[64], target[64];
	int fd = bpf_obj_get(path);
	ssize_t len;
	bool is;

	if (fd < 0)
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, target, sizeof(target) - 1);
	target[len < 0 ? 0 : len] = 0;
	/* Asked about anything else the kernel would answer in that one's structure. */
	is = (strstr(target, "bpf_link") || strstr(target, "bpf-link")) &&
	     !bpf_link_get_info_by_fd(fd, &info, &size) && info.type == BPF_LINK_TYPE_STRUCT_OPS;
	close(fd);
	*link_id = info.id;
	*attached = info.struct_ops.map_id;
	return is;
}

/* nftw() has no argument for the caller's own. */
static struct incfs_registry *pins_of;
static __u32 unpin_id;

static int take_pin(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	__u32 id;
	bool attached;

	(void)st;
	(void)ftw;
	if (type != FTW_F || !incfs_link_pinned(path, &id, &attached))
		return 0;
	if (!pins_of)
		return id == unpin_id && unlink(path) ? -1 : 0;
	for (size_t i = 0; i < pins_of->nr; i++) {
		if (pins_of->policies[i].link_id == id && !pins_of->policies[i].pin)
			pins_of->policies[i].pin = strdup(path);
	}
	return 0;
}

int incfs_registry_unpin(__u32 link_id)
{
	pins_of = NULL;
	unpin_id = link_id;
	return nftw(INCFS_BPFFS, take_pin, PIN_DEPTH, FTW_PHYS | FTW_MOUNT);
}

/* The id of the module's type information. */
static __u32 find_btf(void)
{
	__u32 id = 0;

	while (!bpf_btf_get_next_id(id, &id)) {
		char name[64] = "";
		struct bpf_btf_info info = {
			.name = (__u64)(unsigned long)name, .name_len = sizeof(name),
		};
		__u32 size = sizeof(info);
		int fd = bpf_btf_get_fd_by_id(id), err;

		if (fd < 0)
			continue;
		err = bpf_btf_get_info_by_fd(fd, &info, &size);
		close(fd);
		if (!err && info.kernel_btf && !strcmp(name, "incfs"))
			return id;
	}
	return 0;
}

static int open_types(struct incfs_registry *registry)
{
	registry->btf_id = find_btf();
	registry->vmlinux = btf__load_vmlinux_btf();
	if (registry->vmlinux)
		registry->btf = btf__load_module_btf("incfs", registry->vmlinux);
	if (registry->btf && registry->btf_id &&
	    btf__find_by_name_kind(registry->btf, VALUE_TYPE, BTF_KIND_STRUCT) > 0)
		return 0;
	incfs_error("the module incfs has no type '" INCFS_POLICY_TYPE
		    "': it was built without BTF, or for another kernel");
	return -1;
}

/* The member of @type with this name, NULL if there is none. */
static const struct btf_member *find_member(const struct btf *btf, const struct btf_type *type,
					    const char *name, size_t *at)
{
	const struct btf_member *member = btf_members(type);

	for (int i = 0; i < btf_vlen(type); i++, member++) {
		*at = btf_member_bit_offset(type, i) / 8;
		if (!strcmp(btf__name_by_offset(btf, member->name_off), name))
			return member;
	}
	return NULL;
}

static void take_callbacks(struct incfs_registered *policy, const struct btf *btf,
			   const struct btf_type *type, const char *data)
{
	const struct btf_member *member = btf_members(type);

	for (int i = 0; i < btf_vlen(type); i++, member++) {
		struct incfs_callback *callback = &policy->callbacks[policy->nr_callbacks];
		unsigned long prog_id;
		int id = btf__resolve_type(btf, member->type);

		if (id < 0 || !btf_is_ptr(btf__type_by_id(btf, id)))
			continue;
		memcpy(&prog_id, data + btf_member_bit_offset(type, i) / 8, sizeof(prog_id));
		if (!prog_id || policy->nr_callbacks == INCFS_CALLBACKS_MAX)
			continue;
		snprintf(callback->name, sizeof(callback->name), "%s",
			 btf__name_by_offset(btf, member->name_off));
		callback->prog_id = prog_id;
		policy->nr_callbacks++;
	}
}

/* The type of a member that is a structure, and where it is. */
static const struct btf_type *find_struct(const struct btf *btf, const struct btf_type *type,
					  const char *name, size_t *at)
{
	const struct btf_member *member = find_member(btf, type, name, at);
	int id = member ? btf__resolve_type(btf, member->type) : -1;

	return id < 0 ? NULL : btf__type_by_id(btf, id);
}

/*
 * Take the policy out of the element of its map; @without_link: only if the map itself
 * has registered it.
 */
static bool take_value(const struct incfs_registry *registry, struct incfs_registered *policy,
		       const char *value, size_t size, bool without_link)
{
	const struct btf *btf = registry->btf;
	const struct btf_type *whole, *common, *data;
	size_t head, base, at;
	__u32 state;

	whole = btf__type_by_id(btf, btf__find_by_name_kind(btf, VALUE_TYPE, BTF_KIND_STRUCT));
	common = find_struct(btf, whole, "common", &head);
	data = find_struct(btf, whole, "data", &base);
	if (whole->size > size || !common || !data || !find_member(btf, common, "state", &at))
		return false;
	memcpy(&state, value + head + at, sizeof(state));
	if ((without_link && state != STATE_INUSE) || !find_member(btf, data, "name", &at))
		return false;
	snprintf(policy->name, sizeof(policy->name), "%.*s", INCFS_POLICY_NAME_MAX - 1,
		 value + base + at);
	if (find_member(btf, data, "mount_id", &at))
		memcpy(&policy->mount_id, value + base + at, sizeof(policy->mount_id));
	take_callbacks(policy, btf, data, value + base);
	return true;
}

static int take_map(struct incfs_registry *registry, int fd, __u32 link_id, bool without_link)
{
	struct incfs_registered *policies, *policy;
	struct bpf_map_info info = {};
	__u32 size = sizeof(info), zero = 0;
	char *value;
	int err = -1;

	if (bpf_map_get_info_by_fd(fd, &info, &size) ||
	    info.type != BPF_MAP_TYPE_STRUCT_OPS || info.btf_vmlinux_id != registry->btf_id)
		return 0;
	value = calloc(1, info.value_size);
	policies = realloc(registry->policies, (registry->nr + 1) * sizeof(*policies));
	if (policies)
		registry->policies = policies;
	if (!value || !policies)
		goto out;
	policy = &policies[registry->nr];
	*policy = (struct incfs_registered){ .link_id = link_id, .map_id = info.id };
	err = 0;
	if (!bpf_map_lookup_elem(fd, &zero, value) &&
	    take_value(registry, policy, value, info.value_size, without_link))
		registry->nr++;
out:
	free(value);
	return err;
}

static int take_link(struct incfs_registry *registry, int fd)
{
	struct bpf_link_info info = {};
	__u32 size = sizeof(info);
	int map_fd, err;

	if (bpf_link_get_info_by_fd(fd, &info, &size) || info.type != BPF_LINK_TYPE_STRUCT_OPS ||
	    !info.struct_ops.map_id)
		return 0;
	map_fd = bpf_map_get_fd_by_id(info.struct_ops.map_id);
	if (map_fd < 0)
		return 0;
	err = take_map(registry, map_fd, info.id, false);
	close(map_fd);
	return err;
}

/* What goes while the lists are read is left out. */
static int take_all(struct incfs_registry *registry)
{
	__u32 id = 0;
	int err = 0, fd;

	while (!err && !bpf_link_get_next_id(id, &id)) {
		fd = bpf_link_get_fd_by_id(id);
		if (fd < 0)
			continue;
		err = take_link(registry, fd);
		close(fd);
	}
	for (id = 0; !err && !bpf_map_get_next_id(id, &id); ) {
		fd = bpf_map_get_fd_by_id(id);
		if (fd < 0)
			continue;
		err = take_map(registry, fd, 0, true);
		close(fd);
	}
	if (err)
		incfs_error("%s", strerror(ENOMEM));
	return err;
}

int incfs_registry_read(struct incfs_registry *registry)
{
	const char *obstacle = incfs_policy_obstacle();

	*registry = (struct incfs_registry){};
	if (obstacle) {
		incfs_error("no policy can be used: %s", obstacle);
		return -1;
	}
	libbpf_set_print(NULL);
	if (open_types(registry) || take_all(registry)) {
		incfs_registry_free(registry);
		return -1;
	}
	pins_of = registry;
	nftw(INCFS_BPFFS, take_pin, PIN_DEPTH, FTW_PHYS | FTW_MOUNT);
	return 0;
}

void incfs_registry_free(struct incfs_registry *registry)
{
	for (size_t i = 0; i < registry->nr; i++)
		free(registry->policies[i].pin);
	free(registry->policies);
	btf__free(registry->btf);
	btf__free(registry->vmlinux);
	*registry = (struct incfs_registry){};
}

struct incfs_registered *incfs_registry_find(const struct incfs_registry *registry,
					     const char *name)
{
	for (size_t i = 0; i < registry->nr; i++) {
		if (!strcmp(registry->policies[i].name, name))
			return &registry->policies[i];
	}
	return NULL;
}
