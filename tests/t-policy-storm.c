// SPDX-License-Identifier: GPL-2.0-only
/*
 * Policies are swapped, chosen, registered and removed without a pause, while
 * blocks are read, waited for and filled. No reader may be lost or get a wrong
 * byte, each question is answered by one policy or the other, and nothing is left
 * behind, which the runner looks after. INCFS_LONG=1 goes on ten times as long; on a
 * kernel that is slow, which INCFS_TIMEOUT_FACTOR tells, a twentieth has to do.
 *
 * timeout: 900
 */
#define _GNU_SOURCE
#include <stdatomic.h>
#include <sys/syscall.h>

#include "t-policy.h"

#include "bpf/hold.skel.h"

#define PIN "/sys/fs/bpf/incfs_test_storm"

/* Of the file: those that policies forbid, those that are stored, the absent ones. */
#define FORBIDDEN 16
#define STORED 64
#define FILE_BLOCKS (1 << 20)

#define COLD_READERS 2
#define WAITING_READERS 4
#define FILLERS 4

static int rounds(int n)
{
	const char *more = getenv("INCFS_LONG"), *slower = getenv("INCFS_TIMEOUT_FACTOR");

	if (slower && atoi(slower) > 1)
		return n < 20 ? 1 : n / 20;
	return more && *more ? n * 10 : n;
}

/* A mount under load. */
struct load {
	struct test_mount mnt;
	bool forbidden;		/* a policy is always in use, and forbids some blocks */
	atomic_bool stop, stop_fillers;
	atomic_int next;	/* absent block */
	atomic_int cold, waited, faults;
	pthread_t readers[COLD_READERS + WAITING_READERS], fillers[FILLERS];
	atomic_int numbers;	/* of fillers that have one */
};

static void *read_stored(void *arg)
{
	struct load *load = arg;
	__u32 block = 0;
	int got, want;

	while (!atomic_load(&load->stop)) {
		block = (block + 7) % STORED;
		want = load->forbidden && block < FORBIDDEN ? -EPERM : GOT_BLOCK;
		got = read_one(&load->mnt, block);
		if (got != want) {
			diag("block %u: %d", block, got);
			atomic_fetch_add(&load->faults, 1);
		}
		atomic_fetch_add(&load->cold, 1);
	}
	return NULL;
}

static void *read_absent(void *arg)
{
	struct load *load = arg;
	struct reader reader;
	__u32 block;
	int got;

	while (!atomic_load(&load->stop)) {
		block = atomic_fetch_add(&load->next, 1);
		reader_run(&reader, &load->mnt.fs, "file", block, block & 1);
		got = reader_got(&reader, &load->mnt);
		if (got != GOT_BLOCK) {
			diag("block %u: %d", block, got);
			atomic_fetch_add(&load->faults, 1);
		}
		atomic_fetch_add(&load->waited, 1);
	}
	return NULL;
}

/* Fill a part of what is waited for. */
static void *fill_pending(void *arg)
{
	struct load *load = arg;
	__u32 part = atomic_fetch_add(&load->numbers, 1);
	struct incfs_pending_read_info infos[32];
	int fd = fs_open_cmd(&load->mnt.fs, O_RDWR);
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	ssize_t i, got;

	while (!atomic_load(&load->stop_fillers)) {
		if (poll(&pfd, 1, 20) <= 0)
			continue;
		got = read(fd, infos, sizeof(infos));
		if (got < 0)
			bail_out("read .cmd");
		for (i = 0; i < got / (ssize_t)sizeof(infos[0]); i++)
			if (infos[i].block_index % FILLERS == part)
				fill(&load->mnt, infos[i].block_index, 1);
	}
	close(fd);
	return NULL;
}

static void start_load(struct load *load, const char *name, const char *options)
{
	memset(load, 0, sizeof(*load));
	load->mnt = make_mount(name, options, FILE_BLOCKS);
	load->next = STORED;
	fill(&load->mnt, 0, STORED);
}

static void run_load(struct load *load)
{
	int i;

	for (i = 0; i < FILLERS; i++)
		if (pthread_create(&load->fillers[i], NULL, fill_pending, load))
			bail_out("thread");
	for (i = 0; i < COLD_READERS + WAITING_READERS; i++)
		if (pthread_create(&load->readers[i], NULL,
				   i < COLD_READERS ? read_stored : read_absent, load))
			bail_out("thread");
}

static void join(pthread_t thread)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += SOON / 1000;
	errno = pthread_timedjoin_np(thread, NULL, &end);
	if (errno)
		bail_out("a thread does not end");
}

/* Readers are served to the last; the mount stays. */
static void end_load(struct load *load)
{
	int i;

	atomic_store(&load->stop, true);
	for (i = 0; i < COLD_READERS + WAITING_READERS; i++)
		join(load->readers[i]);
	atomic_store(&load->stop_fillers, true);
	for (i = 0; i < FILLERS; i++)
		join(load->fillers[i]);
	is_int(atomic_load(&load->faults), 0, "every read is served, and right");
	ok(load->cold && load->waited, "blocks were read and waited for");
	diag("%d cold reads, %d waits", load->cold, load->waited);
}

static struct probe_bpf *load_strict(const char *name)
{
	struct probe_bpf *probe = load_probe(name, 0);

	probe->bss->verdict = -EPERM;
	probe->bss->verdict_end = FORBIDDEN;
	return probe;
}

static bool all_answered(const struct probe_bpf *probe)
{
	return probe->bss->asked && probe->bss->asked == probe->bss->answered &&
	       probe->bss->fills_begun == probe->bss->fills_ended;
}

static void test_swaps(void)
{
	struct probe_bpf *one = load_strict("swap"), *two = load_strict("swap");
	int i, swaps = rounds(10000), failed = 0;
	struct load load;
	__u64 start;

	start_load(&load, "swap", "read_timeout_ms=0,policy=auto");
	if (attach_probe(one))
		bail_out("attach");
	load.forbidden = true;
	run_load(&load);
	start = now_ms();
	for (i = 0; i < swaps; i++)
		failed += !!bpf_link__update_map(one->links.probe,
						 i % 2 ? one->maps.probe : two->maps.probe);
	start = now_ms() - start;
	is_int(failed, 0, "a policy is swapped %d times", swaps);
	end_load(&load);
	diag("%d swaps in %llu ms, %d reads meanwhile; %llu and %llu questions", swaps, start,
	     load.cold + load.waited, one->bss->asked, two->bss->asked);
	ok(all_answered(one) && all_answered(two), "both were asked, and have answered");
	is_int(one->bss->attached + two->bss->attached, swaps + 1, "each swap is one attach");
	is_int(one->bss->detached + two->bss->detached, swaps, "and one detach");
	ok(uses(&load.mnt, "swap"), "the policy is in use");
	end_mount(&load.mnt);
	ok(books_closed(one) && books_closed(two), "no call was out of order");
	stop_probe(one);
	probe_bpf__destroy(two);
}

/* Threads that change what is in use, each so many times. */
struct changer {
	struct load *load;
	struct probe_bpf *probe;
	int how, rounds;
	int stay_us;		/* before the policy goes again */
	atomic_int failed;
	pthread_t thread;
};

static void attach_again(struct changer *changer)
{
	struct bpf_link *link = bpf_map__attach_struct_ops(changer->probe->maps.probe);

	if (changer->stay_us)
		usleep(changer->stay_us);
	if (!link || bpf_link__detach(link))
		atomic_fetch_add(&changer->failed, 1);
	bpf_link__destroy(link);
}

static int choose(const struct test_mount *mnt, int how, const char *name)
{
	char options[64];

	switch (how) {
	case 0:
		return set_policy(mnt, name);
	case 1:
		return sysfs_write(mnt->id, "policy", name);
	default:
		snprintf(options, sizeof(options), "policy=%s", name);
		return change_options(mnt, options);
	}
}

static void *change_on(void *arg)
{
	static const char *const names[] = { "one", "auto", "two", "none", "passing" };
	struct changer *changer = arg;
	int i;

	for (i = 0; i < changer->rounds; i++) {
		const char *name = names[(i * 3 + changer->how) % 5];

		if (changer->probe)
			attach_again(changer);
		else if (choose(&changer->load->mnt, changer->how, name) &&
			 !(errno == ENOENT && !strcmp(name, "passing")))
			atomic_fetch_add(&changer->failed, 1);
	}
	return NULL;
}

static void start_changer(struct changer *changer, struct load *load, struct probe_bpf *probe,
			  int how, int n, int stay_us)
{
	*changer = (struct changer) {
		.load = load, .probe = probe, .how = how, .rounds = n, .stay_us = stay_us,
	};
	if (pthread_create(&changer->thread, NULL, change_on, changer))
		bail_out("thread");
}

static int end_changer(struct changer *changer)
{
	/* It works as long as it has to: the runner looks at the clock. */
	pthread_join(changer->thread, NULL);
	return atomic_load(&changer->failed);
}

static void test_registrations(void)
{
	struct probe_bpf *probes[3] = {
		load_probe("first", 0), load_probe("second", 0), load_probe("third", 0),
	};
	struct changer changers[3];
	struct load load;
	int i, failed = 0, n = rounds(100);
	bool closed = true;

	start_load(&load, "register", "read_timeout_ms=0,policy=auto");
	run_load(&load);
	for (i = 0; i < 3; i++)
		start_changer(&changers[i], &load, probes[i], 0, n, 0);
	for (i = 0; i < 3; i++)
		failed += end_changer(&changers[i]);
	is_int(failed, 0, "three policies come and go %d times", n);
	end_load(&load);
	ok(uses(&load.mnt, ""), "none is left");
	for (i = 0; i < 3; i++) {
		closed &= books_closed(probes[i]) && probes[i]->bss->attached;
		probe_bpf__destroy(probes[i]);
	}
	ok(closed, "each had the mount, and has lost it");
	end_mount(&load.mnt);
}

static void test_choices(void)
{
	struct probe_bpf *one = start_probe("one", 0), *two = start_probe("two", 0);
	struct probe_bpf *passing = load_probe("passing", 0);
	struct changer changers[4];
	struct load load;
	int i, failed = 0, n = rounds(100);

	start_load(&load, "choose", "read_timeout_ms=0");
	run_load(&load);
	for (i = 0; i < 3; i++)
		start_changer(&changers[i], &load, NULL, i, n, 0);
	start_changer(&changers[3], &load, passing, 0, n, 1000);
	for (i = 0; i < 4; i++)
		failed += end_changer(&changers[i]);
	is_int(failed, 0, "ioctl, sysfs and remounts choose %d times each, all at once", n);
	end_load(&load);
	if (set_policy(&load.mnt, "none"))
		bail_out("SET_POLICY");
	ok(books_closed(one) && books_closed(two) && books_closed(passing),
	   "no call was out of order");
	ok(one->bss->attached && two->bss->attached, "and the mount had each");
	end_mount(&load.mnt);
	stop_probe(one);
	stop_probe(two);
	probe_bpf__destroy(passing);
}

/* Policies that talk nonsense now and then. */
static void test_verdicts(void)
{
	struct probe_bpf *one = start_probe("one", 0), *two = start_probe("two", 0);
	struct load load;
	int i, failed = 0, n = rounds(100);

	start_load(&load, "verdicts", "read_timeout_ms=0,policy=auto");
	run_load(&load);
	for (i = 0; i < n; i++) {
		one->bss->verdict = i % 3 ? 0 : 1000 + i;
		two->bss->verdict = i % 5 ? 0 : -1000 - i;
		failed += !!choose(&load.mnt, i % 3, i % 2 ? "one" : "two");
		usleep(2000);
	}
	is_int(failed, 0, "a mount that drops its policy has another, %d times", n);
	end_load(&load);
	end_mount(&load.mnt);
	ok(wait_until(books_closed(one) && books_closed(two)), "no call was out of order");
	stop_probe(one);
	stop_probe(two);
}

/* What waits does not notice that policies come and go. */
#define WAITING 64

static void test_waiting(void)
{
	struct test_mount mnt = make_mount("waiting", "read_timeout_ms=0,policy=auto", WAITING);
	struct probe_bpf *probe = load_probe("brief", 0);
	struct changer changer = { .probe = probe };
	struct reader readers[WAITING];
	int i, n = rounds(100), served = 0;

	for (i = 0; i < WAITING; i++)
		reader_start(&readers[i], &mnt.fs, "file", i, i & 1);
	ok(wait_until(count_pending(&mnt.fs) == WAITING), "%d readers wait", WAITING);
	for (i = 0; i < n; i++)
		attach_again(&changer);
	is_int(changer.failed, 0, "a policy comes and goes %d times", n);
	is_int(count_pending(&mnt.fs), WAITING, "they wait on");
	ok(probe->bss->pended, "it was told of some of them");
	diag("%llu waits were told", probe->bss->pended);
	fill(&mnt, 0, WAITING);
	for (i = 0; i < WAITING; i++)
		served += end_reader(&readers[i], &mnt) == GOT_BLOCK;
	is_int(served, WAITING, "all are served in the end");
	ok(books_closed(probe), "no call was out of order");
	probe_bpf__destroy(probe);
	end_mount(&mnt);
}

/* Those who look at mounts from outside: by a program, and in sysfs. */
struct lookers {
	struct hold_bpf *hold;
	__u64 last;		/* mount that was seen last; atomic, as stop */
	bool stop;
	int found, faults;
	pthread_t by_id, by_path;
};

static void *recheck_on(void *arg)
{
	struct lookers *lookers = arg;
	struct {
		__u64 mount_id, ino;
		__u32 first, count;
	} args = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &args, .ctx_size_in = sizeof(args));
	int result;

	while (!__atomic_load_n(&lookers->stop, __ATOMIC_RELAXED)) {
		args.mount_id = __atomic_load_n(&lookers->last, __ATOMIC_RELAXED) +
				args.mount_id % 2;
		if (bpf_prog_test_run_opts(bpf_program__fd(lookers->hold->progs.recheck), &opts))
			bail_out("run recheck");
		result = opts.retval;
		lookers->faults += result < 0 && result != -ENOENT;
		lookers->found += result >= 0;
	}
	return NULL;
}

static void *look_on(void *arg)
{
	static const char *const names[] = { "dev", "policy", "policy_in_use", "policy_failure" };
	struct lookers *lookers = arg;
	char text[512];
	__u64 id;
	int i, fd;

	for (i = 0; !__atomic_load_n(&lookers->stop, __ATOMIC_RELAXED); i++) {
		id = __atomic_load_n(&lookers->last, __ATOMIC_RELAXED) + i / 4 % 2;
		fd = open(sysfs_path(id, names[i % 4]), O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (read(fd, text, sizeof(text)) < 0 && errno != ENODEV)
			lookers->faults++;
		close(fd);
	}
	return NULL;
}

static void start_lookers(struct lookers *lookers, __u64 last)
{
	*lookers = (struct lookers) { .hold = hold_bpf__open_and_load(), .last = last };
	if (!lookers->hold || pthread_create(&lookers->by_id, NULL, recheck_on, lookers) ||
	    pthread_create(&lookers->by_path, NULL, look_on, lookers))
		bail_out("lookers");
}

static void end_lookers(struct lookers *lookers)
{
	__atomic_store_n(&lookers->stop, true, __ATOMIC_RELAXED);
	join(lookers->by_id);
	join(lookers->by_path);
	hold_bpf__destroy(lookers->hold);
}

static void test_mounts(void)
{
	struct probe_bpf *stays = start_probe("stays", 0), *passing = load_probe("passing", 0);
	struct test_mount mnt = make_mount("mounts", "", STORED);
	struct changer changer;
	struct lookers lookers;
	int i, failed = 0, absent = 0, n = rounds(60);

	fill(&mnt, 0, STORED);
	fs_unmount(&mnt.fs);
	start_lookers(&lookers, mnt.id);
	start_changer(&changer, NULL, passing, 0, n, 20000);
	for (i = 0; i < n; i++) {
		__atomic_fetch_add(&lookers.last, 1, __ATOMIC_RELAXED);
		if (try_mount(mnt.fs.image, mnt.fs.dir, i % 2 ? "policy=auto" : "policy=passing")) {
			failed += errno != ENOENT;
			absent++;
			continue;
		}
		failed += read_one(&mnt, i % STORED) != GOT_BLOCK;
		if (umount(mnt.fs.dir))
			bail_out("umount");
	}
	is_int(end_changer(&changer), 0, "a policy comes and goes");
	is_int(failed, 0, "while an image is mounted and read, %d times", n);
	diag("%d times not, without the policy of its choice", absent);
	end_lookers(&lookers);
	is_int(lookers.faults, 0, "who looks from outside finds it, or not");
	diag("found %d times", lookers.found);
	ok(books_closed(stays) && books_closed(passing), "no call was out of order");
	ok(stays->bss->attached && passing->bss->attached, "and mounts had either");
	stop_probe(stays);
	probe_bpf__destroy(passing);
}

/* A loader that has its policy, and a ring, and nothing that outlives it. */
static void be_loader(const struct test_mount *mnt, int ready)
{
	struct probe_bpf *probe = start_probe("orphan", 0);
	struct test_ring ring;

	open_ring(&ring, mnt, probe->obj, 4096);
	probe->bss->spins = 1000;
	if (write(ready, "", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static void test_death(void)
{
	struct probe_bpf *mine = load_probe("mine", 0);
	struct reader readers[8];
	struct test_mount mnt;
	struct test_ring ring;
	int i, k, served = 0, lost = 0, gone = 0, n = rounds(5);
	int ready[2];
	char byte;
	pid_t pid;

	mnt = make_mount("death", "read_timeout_ms=0,policy=auto", FILE_BLOCKS);
	for (i = 0; i < n; i++) {
		fflush(stdout);
		if (pipe2(ready, O_CLOEXEC))
			bail_out("pipe");
		pid = fork();
		if (!pid)
			be_loader(&mnt, ready[1]);
		close(ready[1]);
		if (read(ready[0], &byte, 1) != 1)
			bail_out("the loader does not start");
		close(ready[0]);
		for (k = 0; k < 8; k++)
			reader_start(&readers[k], &mnt.fs, "file", i * 8 + k, k & 1);
		/* Some are being asked when it dies, the others wait. */
		usleep(i * 3000);
		kill(pid, SIGKILL);
		wait_exit(pid);
		gone += wait_until(uses(&mnt, ""));
		if (!wait_until(count_pending(&mnt.fs) == 8))
			lost++;
		/* The next loader finds them, and takes the place of the ring. */
		open_ring(&ring, &mnt, mine->obj, 4096);
		fill(&mnt, i * 8, 8);
		close_ring(&ring);
		for (k = 0; k < 8; k++)
			served += end_reader(&readers[k], &mnt) == GOT_BLOCK;
	}
	is_int(gone, n, "the policy of a loader that is killed goes with it");
	is_int(lost, 0, "its readers wait on");
	is_int(served, n * 8, "for the next one");
	end_mount(&mnt);
	probe_bpf__destroy(mine);
}

static int unload(void)
{
	return syscall(SYS_delete_module, "incfs", O_NONBLOCK);
}

static void load_module(void)
{
	const char *path = getenv("INCFS_MODULE");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
		bail_out("load the module");
	close(fd);
}

/* The link, the program and its map, and the mount go in this order; then the module. */
static void test_unload(const char *order)
{
	struct test_mount mnt = make_mount("unload", "policy=auto", 2);
	struct probe_bpf *probe = start_probe("unload", 0);
	const char *what;
	bool held = true;

	fill(&mnt, 0, 1);
	if (bpf_link__pin(probe->links.probe, PIN))
		bail_out("pin");
	bpf_link__destroy(probe->links.probe);
	probe->links.probe = NULL;
	read_one(&mnt, 0);
	for (what = order; *what; what++) {
		held &= unload() && errno == EWOULDBLOCK;
		if (*what == 'l')
			unlink(PIN);
		else if (*what == 'p')
			probe_bpf__destroy(probe);
		else
			end_mount(&mnt);
	}
	ok(held, "the module stays for each of link, program and mount (%s)", order);
	ok(wait_until(!unload()), "and goes after them");
}

int main(void)
{
	static const char *const orders[] = { "lpm", "lmp", "plm", "pml", "mlp", "mpl" };
	struct probe_bpf *idle;
	size_t i;

	libbpf_set_print(NULL);
	/*
	 * Of no mount. With the first policy that comes and the last one that goes the
	 * kernel patches its code on all processors, which emulators do not like to
	 * see thousands of times.
	 */
	idle = start_probe("idle", ~0ull);
	test_swaps();
	test_registrations();
	test_choices();
	test_verdicts();
	test_waiting();
	test_mounts();
	test_death();
	stop_probe(idle);
	for (i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		if (i)
			load_module();
		test_unload(orders[i]);
	}
	return done();
}
