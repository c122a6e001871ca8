// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the policy hook costs: hook BUILD FILE MIB, in a directory of the file
 * system that is to hold the image.
 *
 * The first MIB of FILE become a complete file of an image, raw, that is read
 * cold in several ways, with each of several policies. The figures are
 * nanoseconds per 4 KiB.
 */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sched.h>

#include "bench/bench.h"
#include "bench/trivial.skel.h"
#include "lib/incfs.h"
#include "lib/tap.h"

/* Blocks handed over in one call. */
static const __u32 batches[] = { 1, 64 };
#define NR_BATCHES ARRAY_SIZE(batches)
#define BATCH_MAX 64
#define SWAPS 100
#define ROUNDS 3
#define RECHECKS 20
#define READERS 64
#define SECOND 1000000000ull

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

static const char *build;
static __u64 size;

/*
 * How a mount is set up: the policy in an object below BUILD, or none, and
 * whether the mount chooses it or it only is there.
 */
struct setup {
	const char *name;
	const char *object;
	const char *policy;
	bool chosen;
	/* The least of all rounds, in nanoseconds for each block: as bench_ways. */
	double reads[BENCH_NR_WAYS];
	double fills[NR_BATCHES];
};

#define TRIVIAL "tests/bench/trivial.bpf.o"

static struct setup setups[] = {
	{ .name = "no policy" },
	{ .name = "registered, not chosen", .object = TRIVIAL, .policy = "atomic" },
	{ .name = "minimal", .object = "bpf/minimal.bpf.o", .policy = "minimal", .chosen = true },
	{ .name = "block_presence", .object = TRIVIAL, .policy = "atomic", .chosen = true },
	{ .name = "block_presence, sleepable", .object = TRIVIAL, .policy = "sleepable",
	  .chosen = true },
	{ .name = "filled", .object = TRIVIAL, .policy = "told", .chosen = true },
	{ .name = "sequential", .object = "bpf/sequential.bpf.o", .policy = "sequential",
	  .chosen = true },
	{ .name = "successor", .object = "bpf/successor.bpf.o", .policy = "successor",
	  .chosen = true },
	{ .name = "no policy, again" },
	{}
};

struct policy {
	struct bpf_object *object;
	struct bpf_map *map;
	struct bpf_link *link;
};

static void policy_load(struct policy *policy, const char *object, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", build, object);
	policy->object = bpf_object__open_file(path, NULL);
	if (!policy->object || bpf_object__load(policy->object))
		bail_out("load %s", path);
	policy->map = bpf_object__find_map_by_name(policy->object, name);
	if (!policy->map)
		bail_out("%s has no policy %s", path, name);
}

static void policy_attach(struct policy *policy)
{
	policy->link = bpf_map__attach_struct_ops(policy->map);
	if (!policy->link)
		bail_out("attach %s", bpf_map__name(policy->map));
}

static void policy_close(struct policy *policy)
{
	if (policy->link && bpf_link__detach(policy->link))
		bail_out("detach");
	bpf_link__destroy(policy->link);
	bpf_object__close(policy->object);
}

static void choose(const struct test_fs *fs, const char *name)
{
	struct incfs_policy_choice choice = {};

	snprintf(choice.policy, sizeof(choice.policy), "%s", name);
	if (ioctl(fs->cmd, INCFS_IOC_SET_POLICY, &choice))
		bail_out("choose %s", name);
}

/* Set the mount up; the counterpart is teardown(). */
static void set_up(const struct test_fs *fs, const struct setup *setup, struct policy *policy)
{
	memset(policy, 0, sizeof(*policy));
	if (!setup->object)
		return;
	policy_load(policy, setup->object, setup->policy);
	policy_attach(policy);
	if (setup->chosen)
		choose(fs, setup->policy);
}

static void tear_down(const struct test_fs *fs, const struct setup *setup, struct policy *policy)
{
	if (!setup->object)
		return;
	choose(fs, "none");
	policy_close(policy);
}

/* Store all blocks of a new file; how many nanoseconds that takes. */
static __u64 fill_file(const struct test_fs *fs, __u64 ino, const char *bytes, __u64 len,
		       __u32 batch)
{
	__u32 nr = len / BLOCK, i;
	struct incfs_fill_block *blocks = calloc(nr, sizeof(*blocks));
	__u64 took;

	if (!blocks)
		bail_out("memory");
	for (i = 0; i < nr; i++)
		blocks[i] = (struct incfs_fill_block) {
			.ino = ino,
			.block = i,
			.len = BLOCK,
			.data = (unsigned long)bytes + (__u64)i * BLOCK,
		};
	took = bench_fill(fs->cmd, blocks, nr, batch);
	free(blocks);
	return took;
}

static const char *map_input(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *bytes;

	if (fd < 0 || fstat(fd, &st))
		bail_out("open %s", path);
	if ((__u64)st.st_size < size)
		bail_out("%s has %ld bytes only", path, (long)st.st_size);
	bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (bytes == MAP_FAILED)
		bail_out("mmap %s", path);
	close(fd);
	return bytes;
}

static void check_content(const struct test_fs *fs, const char *bytes)
{
	char got[BLOCK];
	int fd = fs_open(fs, "file");
	__u64 at;

	for (at = 0; at < size; at += BLOCK)
		if (pread(fd, got, BLOCK, at) != BLOCK || memcmp(got, bytes + at, BLOCK))
			bail_out("block %llu is not what was stored", at / BLOCK);
	close(fd);
}

static void keep_least(double *least, double value)
{
	if (!*least || value < *least)
		*least = value;
}

static void measure_reads(const struct test_fs *fs, struct setup *setup)
{
	size_t i;

	for (i = 0; i < BENCH_NR_WAYS; i++)
		keep_least(&setup->reads[i],
			   bench_cold(&bench_ways[i], fs_path(fs, "file"), size));
}

static void measure_fills(const struct test_fs *fs, struct setup *setup, const char *bytes)
{
	__u64 len = size / 16;
	static int nr;
	char name[16];
	__u64 ino;
	size_t i;

	for (i = 0; i < NR_BATCHES; i++) {
		snprintf(name, sizeof(name), "fill-%d", nr++);
		ino = make_file(fs, INCFS_ROOT_INODE, name, len);
		bench_forget();
		keep_least(&setup->fills[i],
			   (double)fill_file(fs, ino, bytes, len, batches[i]) / (len / BLOCK));
	}
}

/*
 * Whatever else the kernel does now and then falls on any of the setups, so that
 * each has its turn several times, and the least counts.
 */
static void measure_setups(const struct test_fs *fs, const char *bytes)
{
	struct policy policy;
	struct setup *setup;
	char measure[32];
	int round;
	size_t i;

	for (round = 0; round < ROUNDS; round++) {
		for (setup = setups; setup->name; setup++) {
			set_up(fs, setup, &policy);
			measure_reads(fs, setup);
			measure_fills(fs, setup, bytes);
			tear_down(fs, setup, &policy);
		}
	}
	for (setup = setups; setup->name; setup++) {
		for (i = 0; i < BENCH_NR_WAYS; i++)
			bench_figure("hook", setup->name, bench_ways[i].cold, setup->reads[i]);
		for (i = 0; i < NR_BATCHES; i++) {
			snprintf(measure, sizeof(measure), "fill, %u a call", batches[i]);
			bench_figure("hook", setup->name, measure, setup->fills[i]);
		}
	}
}

/* The caller also waits: for calls that are under way, and for grace periods. */
static void measure_swap(const struct test_fs *fs)
{
	struct policy one = {}, other = {};
	__u64 cpu, start;
	int i;

	policy_load(&one, TRIVIAL, "atomic");
	policy_load(&other, TRIVIAL, "atomic");
	policy_attach(&one);
	choose(fs, "atomic");
	start = bench_now();
	cpu = bench_cpu();
	for (i = 0; i < SWAPS; i++)
		if (bpf_link__update_map(one.link, i % 2 ? one.map : other.map))
			bail_out("update of the link");
	bench_figure("swap", "link update", "instructions of the caller",
		     (double)(bench_cpu() - cpu) / SWAPS);
	bench_figure("swap", "link update", "ns until it returns",
		     (double)(bench_now() - start) / SWAPS);
	choose(fs, "none");
	policy_close(&one);
	policy_close(&other);
}

/*
 * Returns what one call took of this thread's time, in *@all how long it was until
 * all readers had asked: they may go first.
 */
static __u64 ask_again(struct trivial_bpf *trivial, int nr_readers, __u64 *all)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	__u64 *asked = &trivial->bss->asked;
	__u64 want = __atomic_load_n(asked, __ATOMIC_RELAXED) + nr_readers;
	__u64 start = bench_now(), cpu = bench_cpu();

	if (bpf_prog_test_run_opts(bpf_program__fd(trivial->progs.ask_again), &opts))
		bail_out("run ask_again");
	if ((int)opts.retval != nr_readers)
		bail_out("bpf_incfs_recheck() returned %d", (int)opts.retval);
	cpu = bench_cpu() - cpu;
	/* One that was late for the call before may have asked for both. */
	while (__atomic_load_n(asked, __ATOMIC_RELAXED) < want && bench_now() - start < SECOND)
		sched_yield();
	*all = bench_now() - start;
	return cpu;
}

/* Readers are held back; have them ask again, and wait again. */
static void measure_recheck(const struct test_fs *fs, int nr_readers)
{
	static struct reader readers[READERS];
	struct trivial_bpf *trivial = trivial_bpf__open_and_load();
	__u64 call, all, least_call = 0, least_all = 0;
	char setup[32];
	int i;

	if (!trivial)
		bail_out("load trivial");
	trivial->bss->mount_id = fs_info(fs).mount_id;
	trivial->links.holding = bpf_map__attach_struct_ops(trivial->maps.holding);
	if (!trivial->links.holding)
		bail_out("attach holding");
	choose(fs, "holding");
	drop_cached(fs, "file");
	for (i = 0; i < nr_readers; i++)
		reader_start(&readers[i], fs, "file", i, READ_PREAD);
	if (!wait_until(count_pending(fs) == nr_readers))
		bail_out("readers do not wait");
	for (i = 0; i < RECHECKS; i++) {
		/* They have to be back in their waits. */
		usleep(20000);
		call = ask_again(trivial, nr_readers, &all);
		if (!i || call < least_call)
			least_call = call;
		if (!i || all < least_all)
			least_all = all;
	}
	snprintf(setup, sizeof(setup), "recheck, %d readers", nr_readers);
	bench_figure("recheck", setup, "instructions of the caller", least_call);
	bench_figure("recheck", setup, "instructions until all have asked", least_all);
	choose(fs, "none");
	for (i = 0; i < nr_readers; i++)
		if (reader_join(&readers[i]) != BLOCK)
			bail_out("reader of block %d", i);
	if (bpf_link__detach(trivial->links.holding))
		bail_out("detach");
	trivial_bpf__destroy(trivial);
}

int main(int argc, char **argv)
{
	const char *bytes;
	struct test_fs fs;
	__u64 ino;

	if (argc != 4) {
		fprintf(stderr, "usage: hook BUILD FILE MIB\n");
		return 2;
	}
	build = argv[1];
	size = strtoull(argv[3], NULL, 10) << 20;
	if (!size)
		bail_out("'%s' MiB", argv[3]);
	bytes = map_input(argv[2]);

	fs_mount_new(&fs, "hook", "read_timeout_ms=0");
	ino = make_file(&fs, INCFS_ROOT_INODE, "file", size);
	fill_file(&fs, ino, bytes, size, BATCH_MAX);
	check_content(&fs, bytes);
	bench_warm_up(fs_path(&fs, "file"), size);
	measure_setups(&fs, bytes);
	measure_swap(&fs);
	measure_recheck(&fs, 1);
	measure_recheck(&fs, READERS);
	fs_unmount(&fs);
	return 0;
}
