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

static void register_and_pin(const char *object)
{
	char arguments[256];

	snprintf(arguments, sizeof(arguments), "struct_ops register %s/%s.bpf.o " PINS,
		 getenv("INCFS_BUILD"), object);
	bpftool(arguments);
}

/* How many links there are, by the tool's own list. */
static int count_links(void)
{
	FILE *list = popen("bpftool link list | grep -c 'struct_ops  *map'", "r");
	int count = -1;

	if (!list || fscanf(list, "%d", &count) != 1)
		bail_out("bpftool link list");
	pclose(list);
	return count;
}

static void test_bpftool(void)
{
	struct test_mount mnt = make_mount("tool", "read_timeout_ms=100,policy=auto", 4);

	fill(&mnt, 0, 1);
	mkdir(PINS, 0700);
	register_and_pin("tests/bpf/verdict");
	is_int(access(PINS "/verdict_ops", F_OK), 0, "bpftool pins the link of a policy");
	is_int(count_links(), 1, "and lists it");
	ok(uses(&mnt, "verdict"), "the policy is in use then");
	is_int(read_one(&mnt, 0), GOT_ZEROS, "and what is stored is read as it says");
	is_int(read_one(&mnt, 1), GOT_ZEROS, "and what is absent");

	register_and_pin("bpf/minimal");
	is_int(count_links(), 2, "another policy is listed beside it");
	ok(uses(&mnt, "minimal"), "and is used instead");
	is_int(read_one(&mnt, 0), GOT_BLOCK, "it changes nothing for what is stored");
	is_int(read_one(&mnt, 1), -ETIME, "nor for what is absent");

	unlink(PINS "/minimal");
	ok(wait_until(uses(&mnt, "verdict")), "the one before is back when its pin is removed");
	is_int(read_one(&mnt, 0), GOT_ZEROS, "and is obeyed again");
	is_int(count_links(), 1, "and alone in the list");
	unlink(PINS "/verdict_ops");
	ok(wait_until(uses(&mnt, "")), "and gone likewise");
	is_int(read_one(&mnt, 0), GOT_BLOCK, "which leaves what the image has");
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
	libbpf_set_print(NULL);
	if (!getenv("INCFS_BUILD"))
		bail_out("INCFS_BUILD is not set");
	test_bpftool();
	test_unlinked();
	return done();
}
