// SPDX-License-Identifier: MIT
/* incfs policy hold and release: the files that the policy gate keeps from readers. */
#include "cmd_policy.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <getopt.h>
#include <incfs/policy_maps.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "columns.h"
#include "image_json.h"
#include "log.h"
#include "policy_info.h"
#include "policy_mounts.h"
#include "policy_object.h"
#include "policy_registry.h"

#define GATE "gate"
/* Programs of that policy which user space runs. */
#define HOLD "gate_hold"
#define RELEASE "gate_release"

static const struct incfs_usage hold_usage = {
	.program = "incfs policy hold",
	.args = "[FILE]...",
	.about =
"Hold back all blocks of these files: who reads one waits, although it is stored, on\n"
"mounts that use the policy gate. Without FILE tell what is held.\n",
	.least = 0,
	.most = INT_MAX,
};

struct release_args {
	unsigned int blocks;
};

static const struct incfs_option release_rows[] = {
	{ "blocks", 'b', "N", "the first N blocks only; the others stay held",
	  incfs_option_number, offsetof(struct release_args, blocks), 0, INCFS_GATE_ALL - 1 },
	{}
};

static const struct incfs_usage release_usage = {
	.program = "incfs policy release",
	.args = "[-b N] FILE...",
	.about = "Let readers have these files again, those that wait for them first.\n",
	.options = release_rows,
	.least = 1,
	.most = INT_MAX,
};

/* What a command works with. */
struct gates {
	struct incfs_mounts mounts;
	struct incfs_policy_object object;
	int fd;
};

static int open_gates(struct gates *gates)
{
	const char *obstacle = incfs_policy_obstacle();

	*gates = (struct gates){ .fd = -1 };
	if (obstacle) {
		incfs_error("no policy can be used: %s", obstacle);
		return -1;
	}
	if (incfs_mounts_read(&gates->mounts) ||
	    incfs_policy_object_load_parts(&gates->object, GATE, true))
		return -1;
	gates->fd = bpf_object__find_map_fd_by_name(gates->object.obj, INCFS_GATES_NAME);
	if (gates->fd >= 0)
		return 0;
	incfs_error("the policy '" GATE "' has no map '" INCFS_GATES_NAME "'");
	return -1;
}

static void close_gates(struct gates *gates)
{
	incfs_policy_object_close(&gates->object);
	incfs_mounts_free(&gates->mounts);
}

/* The gate that a file has or may get; NULL after saying why it can't have one. */
static const struct incfs_mounted *find_key(const struct gates *gates, const char *path,
					    struct incfs_gate_key *key)
{
	const struct incfs_mounted *mount = incfs_mounts_of(&gates->mounts, path);
	struct stat st;

	if (!mount)
		return NULL;
	if (stat(path, &st) || !S_ISREG(st.st_mode)) {
		incfs_error("'%s' is not a regular file", path);
		return NULL;
	}
	*key = (struct incfs_gate_key){ .mount_id = mount->id, .ino = st.st_ino };
	return mount;
}

static bool gate_in_use(const struct gates *gates, const struct incfs_registry *registry,
			const struct incfs_mounted *mount)
{
	const struct incfs_registered *policy = incfs_registry_find(registry, mount->in_use);
	struct bpf_map_info map = {};
	struct incfs_policy_info info;
	__u32 size = sizeof(map);

	if (!policy || bpf_map_get_info_by_fd(gates->fd, &map, &size))
		return false;
	incfs_policy_info_read(&info, policy);
	return incfs_policy_info_has_map(&info, map.id);
}

/* Nothing holds anything on a mount whose policy does not look at the map. */
static void warn_unused(const struct gates *gates, char **paths, int nr)
{
	const struct incfs_mounted *mount, *last = NULL;
	struct incfs_registry registry;

	if (incfs_registry_read(&registry))
		return;
	for (int i = 0; i < nr; i++) {
		mount = incfs_mounts_of(&gates->mounts, paths[i]);
		if (!mount || mount == last || gate_in_use(gates, &registry, mount))
			continue;
		incfs_warn("'%s' does not use the policy " GATE ": nothing is held there before 'incfs policy use' has it do so",
			   incfs_mount_name(mount));
		last = mount;
	}
	incfs_registry_free(&registry);
}

static const char *explain(const char *program, int err)
{
	switch (err) {
	case ENOENT:
		return strcmp(program, HOLD) ? "it is not held" : "its mount has gone";
	case E2BIG:
		return "too many files are held";
	default:
		return strerror(err);
	}
}

static int set_gate(const struct gates *gates, const char *path, const char *program,
		    __u32 released)
{
	struct incfs_gate_args args = { .released = released };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &args, .ctx_size_in = sizeof(args));
	struct bpf_program *found;
	struct incfs_gate_key key;
	int err;

	if (!find_key(gates, path, &key))
		return -1;
	args.mount_id = key.mount_id;
	args.ino = key.ino;
	found = bpf_object__find_program_by_name(gates->object.obj, program);
	err = bpf_prog_test_run_opts(bpf_program__fd(found), &opts) ? -errno : (int)opts.retval;
	if (err >= 0)
		return 0;
	incfs_error("can't %s '%s': %s", strcmp(program, HOLD) ? "release" : "hold", path,
		    explain(program, -err));
	return -1;
}

static int set_gates(const struct gates *gates, char **paths, int nr, const char *program,
		     __u32 released)
{
	int ret = 0;

	for (int i = 0; i < nr; i++)
		ret |= set_gate(gates, paths[i], program, released);
	return ret;
}

static void list_gates(const struct gates *gates)
{
	struct incfs_columns table = { .nr = 3 };
	struct incfs_gate_key key, *last = NULL;
	struct incfs_gate gate;

	for (; !bpf_map_get_next_key(gates->fd, last, &key); last = &key) {
		const struct incfs_mounted *mount = NULL;

		for (size_t i = 0; i < gates->mounts.nr; i++) {
			if (gates->mounts.mounts[i].id == key.mount_id)
				mount = &gates->mounts.mounts[i];
		}
		if (!mount || bpf_map_lookup_elem(gates->fd, &key, &gate))
			continue;
		if (!table.nr_cells) {
			incfs_columns_add(&table, "MOUNT");
			incfs_columns_add(&table, "INODE");
			incfs_columns_add(&table, "BLOCKS RELEASED");
		}
		incfs_columns_add(&table, "%s", incfs_mount_name(mount));
		incfs_columns_add(&table, "%llu", key.ino);
		incfs_columns_add(&table, "%u", gate.released);
	}
	if (table.nr_cells)
		incfs_columns_print(&table, "");
	else
		printf("Nothing is held.\n");
}

int incfs_cmd_policy_hold(int argc, char **argv)
{
	int code = incfs_policy_parse(&hold_usage, NULL, argc, argv);
	struct gates gates;

	if (code >= 0)
		return code;
	argv += optind;
	argc -= optind;
	code = 1;
	if (!open_gates(&gates)) {
		code = set_gates(&gates, argv, argc, HOLD, 0) ? 1 : 0;
		if (!argc)
			list_gates(&gates);
		else if (!code)
			warn_unused(&gates, argv, argc);
	}
	close_gates(&gates);
	return incfs_output_end() ? 1 : code;
}

int incfs_cmd_policy_release(int argc, char **argv)
{
	struct release_args args = { .blocks = INCFS_GATE_ALL };
	int code = incfs_policy_parse(&release_usage, &args, argc, argv);
	struct gates gates;

	if (code >= 0)
		return code;
	argv += optind;
	argc -= optind;
	code = 1;
	if (!open_gates(&gates))
		code = set_gates(&gates, argv, argc, RELEASE, args.blocks) ? 1 : 0;
	close_gates(&gates);
	return code;
}
