// SPDX-License-Identifier: GPL-2.0-only
/* Programs that would harm the module: the kernel refuses them, and says why. */
#include "t-policy.h"

#include "bpf/refused.skel.h"

static char verifier_log[1 << 16];

static void refused(const char *name, const char *reason)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .kernel_log_buf = verifier_log,
		    .kernel_log_size = sizeof(verifier_log), .kernel_log_level = 1);
	struct refused_bpf *object = refused_bpf__open_opts(&opts);
	struct bpf_program *program;
	struct bpf_map *map;
	char map_name[64];
	bool found;

	if (!object)
		bail_out("open");
	program = bpf_object__find_program_by_name(object->obj, name);
	if (!program || bpf_program__set_autoload(program, true))
		bail_out("%s", name);
	/* libbpf 1.5 heeds the "?" of a section for the first map in it only. */
	snprintf(map_name, sizeof(map_name), "%s_ops", name);
	bpf_object__for_each_map(map, object->obj)
		if (bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS)
			bpf_map__set_autocreate(map, !strcmp(bpf_map__name(map), map_name));
	verifier_log[0] = '\0';
	ok(refused_bpf__load(object) < 0, "%s is refused", name);
	found = strstr(verifier_log, reason);
	ok(found, "because: %s", reason);
	if (!found)
		diag("%.2000s", verifier_log);
	refused_bpf__destroy(object);
}

int main(void)
{
	libbpf_set_print(NULL);
	refused("write_ino", "only timeout_ms and recheck_ms of struct incfs_read may be written");
	refused("write_part", "only timeout_ms and recheck_ms of struct incfs_read may be written");
	refused("write_late", "a context may be written by block_presence only, not by pending");
	refused("read_beyond", "access beyond struct incfs_read");
	refused("find_unsleepable", "program must be sleepable to call sleepable kfunc");
	refused("find_forged", "STRUCT incfs_read");
	refused("find_elsewhere", "calling kernel function bpf_incfs_find_absent is not allowed");
	refused("find_from_tcp", "calling kernel function bpf_incfs_find_absent is not allowed");
	return done();
}
