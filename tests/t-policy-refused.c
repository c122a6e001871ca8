// SPDX-License-Identifier: GPL-2.0-only
/* Programs that would harm the module: the kernel refuses them, and says why. */
#include "t-policy.h"

#include "bpf/refused.skel.h"

static char verifier_log[1 << 16];

/* The kernels do not all give the same reason. */
static void refused_for(const char *name, const char *reason, const char *newer_reason)
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
	found = strstr(verifier_log, reason) || strstr(verifier_log, newer_reason);
	ok(found, "because: %s", reason);
	if (!found)
		diag("%.2000s", verifier_log);
	refused_bpf__destroy(object);
}

static void refused(const char *name, const char *reason)
{
	refused_for(name, reason, reason);
}

static const char other_member[] =
	"only timeout_ms and recheck_ms of struct incfs_read may be written";

static void test_writes(void)
{
	static const char *const members[] = {
		"mount_id", "ino", "block", "count", "file_blocks", "why", "uid", "tgid", "file",
	};
	static const char *const others[] = { "prefetch", "pending", "filled" };
	char name[64], reason[128];
	size_t i;

	for (i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		snprintf(name, sizeof(name), "write_%s", members[i]);
		refused(name, other_member);
	}
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		snprintf(reason, sizeof(reason),
			 "a context may be written by block_presence only, not by %s", others[i]);
		snprintf(name, sizeof(name), "write_timeout_ms_in_%s", others[i]);
		refused(name, reason);
		snprintf(name, sizeof(name), "write_recheck_ms_in_%s", others[i]);
		refused(name, reason);
	}
	refused("write_part", other_member);
	refused("write_part_of_recheck", other_member);
	refused("write_both", other_member);
	refused("copy_into_read", "may write into memory pointed by");
	refused_for("find_into_read", "is not supported", other_member);
	refused_for("text_into_read", "is not supported", other_member);
	refused("write_mount", "a context may be written by block_presence only, not by attach");
	refused("write_mount_late",
		"a context may be written by block_presence only, not by detach");
}

static void test_memory(void)
{
	refused("read_beyond", "access beyond struct incfs_read");
	refused("read_beyond_mount", "access beyond struct incfs_policy_mount");
	refused("read_before", "invalid negative access");
	refused("write_user", "bpf_probe_write_user");
}

static void test_sleep(void)
{
	refused("sleep_in_attach",
		"attach to unsupported member attach of struct incfs_policy_ops");
	refused("sleep_in_detach",
		"attach to unsupported member detach of struct incfs_policy_ops");
	refused("find_unsleepable", "program must be sleepable to call sleepable kfunc");
	refused("find_under_rcu", "bpf_incfs_find_absent");
	refused("call_other", "bpf_tail_call");
}

static void test_forged(void)
{
	refused("find_forged", "STRUCT incfs_read");
	refused("ahead_forged", "STRUCT incfs_read");
	refused("ahead_null", "NULL pointer");
	refused("ahead_of_file", "STRUCT incfs_read");
	refused("ahead_shifted", "STRUCT incfs_read");
	refused("ahead_of_mount", "STRUCT incfs_read");
	refused("ahead_kept", "must be referenced or trusted");
}

static void test_elsewhere(void)
{
	static const char *const places[] = { "elsewhere", "from_tracing", "from_tcp" };
	char name[64];
	size_t i;

	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(name, sizeof(name), "find_%s", places[i]);
		refused(name, "calling kernel function bpf_incfs_find_absent is not allowed");
		snprintf(name, sizeof(name), "ahead_%s", places[i]);
		refused(name, "calling kernel function bpf_incfs_read_ahead is not allowed");
	}
	refused("recheck_from_tracing", "calling kernel function bpf_incfs_recheck is not allowed");
	refused("recheck_from_socket", "calling kernel function bpf_incfs_recheck is not allowed");
	refused("recheck_from_tcp", "calling kernel function bpf_incfs_recheck is not allowed");
}

int main(void)
{
	libbpf_set_print(NULL);
	test_writes();
	test_memory();
	test_sleep();
	test_forged();
	test_elsewhere();
	return done();
}
