// SPDX-License-Identifier: GPL-2.0-only
/*
 * The stock bpftool, and policies without a link. bpftool registers a type of
 * a module and then crashes while it prints the type's name: what it did counts
 * here, and not how it ended.
 */
#include "t-policy.h"

#define PINS "/sys/fs/bpf/incfs_test"

static void bpftool(const char *arguments)
{
	char command[512];

	snprintf(command, sizeof(command), "bpftool %s > /dev/null 2>&1", arguments);
	if (system(command) < 0)
		bail_out("%s", command);
}

static void test_bpftool(const char *build)
{
	struct test_mount mnt = make_mount("tool", "read_timeout_ms=100,policy=auto", 4);
	char arguments[256];

	fill(&mnt, 0, 1);
	mkdir(PINS, 0700);
	snprintf(arguments, sizeof(arguments), "struct_ops register %s/bpf/minimal.bpf.o " PINS,
		 build);
	bpftool(arguments);
	is_int(access(PINS "/minimal", F_OK), 0, "bpftool pins the link of a policy");
	ok(uses(&mnt, "minimal"), "which is in use then");
	is_int(read_one(&mnt, 0), GOT_BLOCK, "and changes nothing for what is stored");
	is_int(read_one(&mnt, 1), -ETIME, "nor for what is absent");
	unlink(PINS "/minimal");
	ok(wait_until(uses(&mnt, "")), "and gone when the link is removed");
	rmdir(PINS);
	end_mount(&mnt);
}

static void test_unlinked(void)
{
	struct test_mount mnt = make_mount("unlinked", "policy=auto", 4);
	struct probe_bpf *probe = probe_bpf__open();
	struct bpf_link *link;

	if (!probe || bpf_map__set_autocreate(probe->maps.unlinked, true) ||
	    probe_bpf__load(probe))
		bail_out("load probe");
	link = bpf_map__attach_struct_ops(probe->maps.unlinked);
	ok(link, "a policy without a link is registered");
	ok(uses(&mnt, "unlinked"), "and used");
	fill(&mnt, 0, 1);
	is_int(read_one(&mnt, 0), GOT_BLOCK, "a block is read with it");
	ok(probe->bss->asked, "it is asked");
	bpf_link__destroy(link);
	ok(uses(&mnt, ""), "and gone when its map's element is deleted");
	probe_bpf__destroy(probe);
	end_mount(&mnt);
}

int main(void)
{
	const char *build = getenv("INCFS_BUILD");

	libbpf_set_print(NULL);
	if (!build)
		bail_out("INCFS_BUILD is not set");
	test_bpftool(build);
	test_unlinked();
	return done();
}
