// SPDX-License-Identifier: GPL-2.0-only
/* The policy "gate": what it holds, and how that is released. */
#include "t-policy.h"

#include <incfs/policy_maps.h>

#include "bpf/gate.skel.h"

static struct gate_bpf *gate;

static int run_gate(const struct bpf_program *prog, struct incfs_gate_args args)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &args, .ctx_size_in = sizeof(args));

	if (bpf_prog_test_run_opts(bpf_program__fd(prog), &opts))
		bail_out("run a program of gate");
	return opts.retval;
}

/* From block @released on. */
static int hold(const struct test_mount *mnt, __u32 released)
{
	return run_gate(gate->progs.gate_hold, (struct incfs_gate_args) {
			.mount_id = mnt->id, .ino = mnt->ino, .released = released });
}

static int release(const struct test_mount *mnt, __u32 released)
{
	return run_gate(gate->progs.gate_release, (struct incfs_gate_args) {
			.mount_id = mnt->id, .ino = mnt->ino, .released = released });
}

/* How far the mount's file is let through; -1: it is not held. */
static long long released(const struct test_mount *mnt)
{
	struct incfs_gate_key key = { .mount_id = mnt->id, .ino = mnt->ino };
	struct incfs_gate value;

	if (bpf_map_lookup_elem(bpf_map__fd(gate->maps.incfs_gates), &key, &value))
		return -1;
	return value.released;
}

/* A reader that waits, with others that do already. */
static void start_held(struct reader *reader, const struct test_mount *mnt, __u32 block)
{
	int before = count_pending(&mnt->fs);

	start_reader(reader, mnt, block);
	if (!wait_until(count_pending(&mnt->fs) == before + 1))
		bail_out("a reader does not wait");
}

static void test_release(void)
{
	struct test_mount mnt = make_mount("gate", "read_timeout_ms=0,policy=gate", 16);
	struct test_mount other = make_mount("other", "read_timeout_ms=0,policy=gate", 16);
	struct reader first, second;
	struct test_ring ring;

	open_ring(&ring, &mnt, gate->obj, 4096);
	fill(&mnt, 0, 8);
	fill(&other, 0, 8);
	is_int(read_one(&mnt, 3), GOT_BLOCK, "what nobody holds is read");
	drop_cached(&mnt.fs, "file");
	is_int(hold(&mnt, 1), 0, "a file is held from its second block on");
	is_int(read_one(&mnt, 0), GOT_BLOCK, "the first one is read");
	is_int(read_one(&other, 3), GOT_BLOCK, "so is all of the same file on another mount");
	start_held(&first, &mnt, 2);
	start_held(&second, &mnt, 5);
	ok(reader_waits(&first), "blocks are held although they are stored");
	ok(take_events(&ring, 0), "for which nothing has to be fetched");

	is_int(release(&mnt, 4), 2, "the next ones are released, and who waits is counted");
	is_int(end_reader(&first, &mnt), GOT_BLOCK, "a reader of one of them gets it");
	ok(reader_waits(&second), "one of a later block does not");
	release(&mnt, 2);
	is_int(released(&mnt), 4, "a release takes nothing back");
	is_int(release(&mnt, INCFS_GATE_ALL), 1, "all are released");
	is_int(end_reader(&second, &mnt), GOT_BLOCK, "which is for all readers");
	is_int(released(&mnt), -1, "and for good");
	close_ring(&ring);
	end_mount(&mnt);
	end_mount(&other);
}

static void test_absent(void)
{
	struct test_mount mnt = make_mount("absent", "read_timeout_ms=0,policy=gate", 16);
	struct reader reader;
	struct test_ring ring;

	open_ring(&ring, &mnt, gate->obj, 4096);
	hold(&mnt, 0);
	start_held(&reader, &mnt, 9);
	ok(take_events(&ring, 1) && is_event(&ring, 0, INCFS_EVENT_DEMAND, 9, 1),
	   "a block that is held and absent is asked for");
	fill(&mnt, 9, 1);
	ok(reader_waits(&reader), "and stays held when it has come");
	ok(take_events(&ring, 1), "without being asked for again");
	release(&mnt, INCFS_GATE_ALL);
	is_int(end_reader(&reader, &mnt), GOT_BLOCK, "until it is released");
	close_ring(&ring);
	end_mount(&mnt);
}

static void test_readahead(void)
{
	struct test_mount mnt = make_mount("ahead", "read_timeout_ms=100,policy=gate", 8);
	char data[8 * BLOCK];
	unsigned char cached[8];
	void *map;
	int fd;

	fill(&mnt, 0, 8);
	hold(&mnt, 2);
	fd = fs_open(&mnt.fs, "file");
	is_int(pread(fd, data, sizeof(data), 0), 2 * BLOCK, "a read ends where blocks are held");
	map = mmap(NULL, sizeof(data), PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED || mincore(map, sizeof(data), cached))
		bail_out("mincore");
	ok(cached[0] & cached[1] & 1, "what is released is in the page cache");
	ok(!(cached[5] & 1), "readahead has not brought in what is held");
	munmap(map, sizeof(data));
	close(fd);
	is_int(read_one(&mnt, 5), -ETIME, "a wait for a block that is held ends in time");
	end_mount(&mnt);
}

static void test_refused(void)
{
	struct test_mount mnt = make_mount("refused", "read_timeout_ms=100,policy=gate", 8);
	struct incfs_gate_args args = { .mount_id = mnt.id, .ino = mnt.ino, .reserved = 1 };

	is_int(release(&mnt, 1), -ENOENT, "what is not held can't be released");
	is_int(run_gate(gate->progs.gate_hold, args), -EINVAL, "hold: a reserved member");
	is_int(released(&mnt), -1, "has nothing held");
	hold(&mnt, 0);
	args.released = 8;
	is_int(run_gate(gate->progs.gate_release, args), -EINVAL, "release: a reserved member");
	is_int(released(&mnt), 0, "releases nothing");
	args = (struct incfs_gate_args) { .mount_id = mnt.id + 1000, .ino = mnt.ino };
	is_int(run_gate(gate->progs.gate_hold, args), -ENOENT, "hold: no such mount");
	end_mount(&mnt);
}

static void test_outlives(void)
{
	struct test_mount mnt = make_mount("outlives", "read_timeout_ms=0,policy=gate", 8);
	struct gate_bpf *next = gate_bpf__open_and_load();
	struct reader reader;

	if (!next)
		bail_out("load gate again");
	fill(&mnt, 0, 8);
	hold(&mnt, 0);
	start_held(&reader, &mnt, 1);
	is_int(bpf_link__update_map(gate->links.gate, next->maps.gate), 0,
	       "a new version of the policy takes its place");
	ok(reader_waits(&reader), "what is held stays so");
	is_int(change_options(&mnt, "policy=none"), 0, "the mount leaves the policy");
	is_int(end_reader(&reader, &mnt), GOT_BLOCK, "which releases its readers");
	is_int(change_options(&mnt, "policy=gate"), 0, "it comes back");
	is_int(released(&mnt), 0, "and finds its blocks held");
	end_mount(&mnt);
	is_int(released(&mnt), -1, "which ends with the mount");
	is_int(bpf_link__update_map(gate->links.gate, gate->maps.gate), 0,
	       "the old version takes the place of the new one");
	gate_bpf__destroy(next);
}

int main(void)
{
	libbpf_set_print(NULL);
	gate = gate_bpf__open_and_load();
	if (!gate || gate_bpf__attach(gate))
		bail_out("load gate");
	test_release();
	test_absent();
	test_readahead();
	test_refused();
	test_outlives();
	gate_bpf__destroy(gate);
	return done();
}
