// SPDX-License-Identifier: MIT
/* Policies as objects: those that come with the programs, and anybody's. */
#include "policy_object.h"

#include <bpf/btf.h>
#include <errno.h>
#include <incfs/policy.h>
#include <linux/bpf.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "log.h"

#define VMLINUX_BTF "/sys/kernel/btf/vmlinux"
#define MODULE_BTF "/sys/kernel/btf/incfs"
/* What the verifier says of a program that it refuses; more of it would be an error. */
#define LOG_BYTES (8u << 20)
/* How much of that is shown, from its end. */
#define LOG_LINES 8

static char libbpf_words[512];

const char *incfs_policy_words(void)
{
	return libbpf_words;
}

/* What comes after the first complaint follows from it. */
static int take_words(enum libbpf_print_level level, const char *fmt, va_list args)
{
	static const char prefix[] = "libbpf: ";
	char line[sizeof(libbpf_words)];
	const char *words = line;

	if (level != LIBBPF_WARN)
		return 0;
	vsnprintf(line, sizeof(line), fmt, args);
	line[strcspn(line, "\n")] = 0;
	if (!strncmp(words, prefix, strlen(prefix)))
		words += strlen(prefix);
	if (!libbpf_words[0])
		memcpy(libbpf_words, words, strlen(words) + 1);
	incfs_debug("%s", words);
	return 0;
}

static void listen(void)
{
	libbpf_words[0] = 0;
	libbpf_set_print(take_words);
}

const struct incfs_policy_builtin *incfs_policy_builtin_find(const char *name)
{
	const struct incfs_policy_builtin *builtin = incfs_policy_builtins;

	while (builtin->name && strcmp(builtin->name, name))
		builtin++;
	return builtin->name ? builtin : NULL;
}

bool incfs_policy_is_file(const char *what)
{
	size_t len = strlen(what);

	return strchr(what, '/') || (len > 2 && !strcmp(what + len - 2, ".o"));
}

bool incfs_policy_name_valid(const char *name)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_-.";

	return *name && !name[strspn(name, plain)] && strlen(name) < INCFS_POLICY_NAME_MAX;
}

const char *incfs_policy_obstacle(void)
{
	struct statfs fs;

	if (access(VMLINUX_BTF, R_OK))
		return "the kernel has no BTF (" VMLINUX_BTF "; CONFIG_DEBUG_INFO_BTF)";
	if (access("/sys/module/incfs", F_OK))
		return "the module incfs is not loaded: modprobe incfs";
	if (access(MODULE_BTF, R_OK))
		return "the module incfs was built without BTF (no " MODULE_BTF ")";
	if (statfs(INCFS_BPFFS, &fs) || fs.f_type != BPF_FS_MAGIC)
		return "no BPF file system on " INCFS_BPFFS ": mount -t bpf bpf " INCFS_BPFFS;
	return NULL;
}

static int open_object(struct incfs_policy_object *policy, const char *what)
{
	const struct incfs_policy_builtin *builtin;
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = NULL);
	const void *bytes;
	size_t size;

	*policy = (struct incfs_policy_object){ .what = what, .log = calloc(1, LOG_BYTES) };
	listen();
	opts.kernel_log_buf = policy->log;
	opts.kernel_log_size = policy->log ? LOG_BYTES : 0;
	if (!incfs_policy_is_file(what)) {
		builtin = incfs_policy_builtin_find(what);
		if (!builtin) {
			incfs_error("no policy '%s' comes with this program, and it is not a file: NAME.o, or a path with a '/'",
				    what);
			return -1;
		}
		bytes = builtin->bytes(&size);
		opts.object_name = builtin->name;
		policy->obj = bpf_object__open_mem(bytes, size, &opts);
	} else {
		policy->obj = bpf_object__open_file(what, &opts);
	}
	if (policy->obj)
		return 0;
	incfs_error("can't open the policy '%s': %s", what,
		    libbpf_words[0] ? libbpf_words : strerror(errno));
	return -1;
}

/* Name of the type that a struct_ops map is of. */
static const char *type_name(const struct incfs_policy_object *policy, const struct bpf_map *map)
{
	const struct btf *btf = bpf_object__btf(policy->obj);
	const struct btf_type *type = btf__type_by_id(btf, bpf_map__btf_value_type_id(map));

	return type ? btf__name_by_offset(btf, type->name_off) : "";
}

/* What the type is called in the kernel: "___ANYTHING" behind it is the program's own. */
static bool is_policy_type(const char *name)
{
	size_t len = strlen(INCFS_POLICY_TYPE);

	return !strncmp(name, INCFS_POLICY_TYPE, len) &&
	       (!name[len] || !strncmp(name + len, "___", 3));
}

static int find_policy(struct incfs_policy_object *policy)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, policy->obj) {
		if (bpf_map__type(map) != BPF_MAP_TYPE_STRUCT_OPS || !bpf_map__autocreate(map))
			continue;
		if (!is_policy_type(type_name(policy, map))) {
			incfs_error("'%s' is not for incremental-fs: '%s' in it is a struct %s",
				    policy->what, bpf_map__name(map), type_name(policy, map));
			return -1;
		}
		if (policy->ops) {
			incfs_error("'%s' has several policies: '%s' and '%s'", policy->what,
				    bpf_map__name(policy->ops), bpf_map__name(map));
			return -1;
		}
		policy->ops = map;
	}
	if (!policy->ops) {
		incfs_error("'%s' has no policy: no struct " INCFS_POLICY_TYPE
			    " in a section .struct_ops.link", policy->what);
		return -1;
	}
	if (bpf_map__map_flags(policy->ops) & BPF_F_LINK)
		return 0;
	incfs_error("the policy of '%s' is in the section .struct_ops: only one in .struct_ops.link can be pinned, swapped and detached",
		    policy->what);
	return -1;
}

/* A member of the policy; NULL if this one is of a type without it. */
static void *find_member(const struct incfs_policy_object *policy, const char *name, size_t size)
{
	const struct btf *btf = bpf_object__btf(policy->obj);
	const struct btf_type *type;
	const struct btf_member *member;
	size_t whole;
	char *value = bpf_map__initial_value(policy->ops, &whole);

	type = btf__type_by_id(btf, bpf_map__btf_value_type_id(policy->ops));
	member = btf_members(type);
	for (int i = 0; i < btf_vlen(type); i++, member++) {
		size_t at = btf_member_bit_offset(type, i) / 8;

		if (!strcmp(btf__name_by_offset(btf, member->name_off), name) &&
		    btf__resolve_size(btf, member->type) == (__s64)size && at + size <= whole)
			return value + at;
	}
	return NULL;
}

static char *find_name(const struct incfs_policy_object *policy)
{
	return find_member(policy, "name", INCFS_POLICY_NAME_MAX);
}

int incfs_policy_object_open(struct incfs_policy_object *policy, const char *what)
{
	const char *name;

	if (open_object(policy, what) || find_policy(policy))
		goto err;
	name = find_name(policy);
	if (!name || strnlen(name, INCFS_POLICY_NAME_MAX) == INCFS_POLICY_NAME_MAX) {
		incfs_error("the policy of '%s' has no name", what);
		goto err;
	}
	return 0;
err:
	incfs_policy_object_close(policy);
	return -1;
}

void incfs_policy_object_close(struct incfs_policy_object *policy)
{
	bpf_object__close(policy->obj);
	free(policy->log);
	policy->obj = NULL;
	policy->ops = NULL;
	policy->log = NULL;
}

const char *incfs_policy_object_name(const struct incfs_policy_object *policy)
{
	return find_name(policy);
}

void incfs_policy_object_rename(struct incfs_policy_object *policy, const char *name)
{
	strncpy(find_name(policy), name, INCFS_POLICY_NAME_MAX);
}

__u64 incfs_policy_object_mount(const struct incfs_policy_object *policy)
{
	const __u64 *mount_id = find_member(policy, "mount_id", sizeof(*mount_id));

	return mount_id ? *mount_id : 0;
}

void incfs_policy_object_bind(struct incfs_policy_object *policy, __u64 mount_id)
{
	__u64 *member = find_member(policy, "mount_id", sizeof(*member));

	if (member)
		*member = mount_id;
}

/* The end of the verifier's log has the reason. */
static void show_log(char *log)
{
	char *lines[LOG_LINES], *line, *rest = log;
	size_t nr = 0;

	while ((line = strsep(&rest, "\n"))) {
		if (!*line || !strncmp(line, "processed ", 10))
			continue;
		for (char *tab = line; (tab = strchr(tab, '\t')); )
			*tab = ' ';
		lines[nr++ % LOG_LINES] = line;
	}
	for (size_t i = nr > LOG_LINES ? nr - LOG_LINES : 0; i < nr; i++)
		incfs_error("  %s", lines[i % LOG_LINES]);
}

static int load_object(struct incfs_policy_object *policy)
{
	int err;

	listen();
	if (policy->log)
		policy->log[0] = 0;
	err = bpf_object__load(policy->obj);
	if (!err)
		return 0;
	incfs_error("can't load the policy '%s': %s%s%s%s", policy->what,
		    libbpf_words[0] ? libbpf_words : strerror(-err),
		    policy->log && policy->log[0] ? "; the verifier says:" : "", "", "");
	if (policy->log)
		show_log(policy->log);
	errno = -err;
	return -1;
}

int incfs_policy_object_load(struct incfs_policy_object *policy)
{
	return load_object(policy);
}

struct bpf_link *incfs_policy_object_attach(struct incfs_policy_object *policy)
{
	listen();
	return bpf_map__attach_struct_ops(policy->ops);
}

int incfs_policy_object_load_parts(struct incfs_policy_object *policy, const char *what,
				   bool programs)
{
	struct bpf_program *program;
	struct bpf_map *map;

	if (open_object(policy, what))
		goto err;
	bpf_object__for_each_map(map, policy->obj) {
		if (bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS)
			bpf_map__set_autocreate(map, false);
	}
	bpf_object__for_each_program(program, policy->obj)
		bpf_program__set_autoload(program, programs &&
					  bpf_program__type(program) == BPF_PROG_TYPE_SYSCALL);
	if (!load_object(policy))
		return 0;
err:
	incfs_policy_object_close(policy);
	return -1;
}
