// SPDX-License-Identifier: GPL-2.0-only
/*
 * Readers of absent blocks: how a loader learns of them, what wakes them, what
 * ends them, and what they do not hold up.
 *
 * timeout: 180
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "lib/incfs.h"
#include "lib/tap.h"

#define BLOCKS 256

static struct test_fs fs;		/* waits for ever */
static __u64 file;
static __u32 next_block;

/* A block that no test has used, with absent blocks around it. */
static __u32 fresh(void)
{
	next_block += 2;
	if (next_block >= BLOCKS)
		bail_out("no blocks left");
	return next_block;
}

static bool readable(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, 0) == 1;
}

static const char *how_name(enum read_how how)
{
	return how == READ_MAPPED ? "mapping" : "read";
}

/* What ".cmd" tells. */
static void test_list(void)
{
	struct incfs_pending_read_info infos[4];
	int a = fs_open_cmd(&fs, O_RDONLY), b = fs_open_cmd(&fs, O_RDONLY);
	__u32 first = fresh(), second = fresh(), third = fresh(), serial;
	struct pollfd pfd = { .fd = a, .events = POLLIN | POLLRDNORM | POLLOUT };
	struct reader readers[3];

	is_int(read(a, infos, sizeof(infos)), 0, "nothing is read when nobody waits");
	is_int(poll(&pfd, 1, 0), 0, "nor is .cmd readable then");

	reader_start(&readers[0], &fs, "file", first, READ_PREAD);
	is_int(poll(&pfd, 1, SOON), 1, "poll returns when a reader waits");
	is_int(pfd.revents, POLLIN | POLLRDNORM, "it says POLLIN and POLLRDNORM");
	is_int(read(a, infos, sizeof(infos)), sizeof(infos[0]), "one wait is read");
	ok(infos[0].file_ino == file && infos[0].block_index == first,
	   "it names inode and block");
	serial = infos[0].serial_number;
	is_int(read(a, infos, sizeof(infos)), 0, "a wait is read once by a descriptor");
	ok(!readable(a), "poll does not tell of it again");
	ok(readable(b), "another descriptor has its own position");

	reader_start(&readers[1], &fs, "file", second, READ_PREAD);
	take_pending(a, infos, 1);
	ok(infos[0].block_index == second && infos[0].serial_number > serial,
	   "a later wait has a greater serial number");
	reader_start(&readers[2], &fs, "file", third, READ_MAPPED);
	take_pending(a, infos, 1);
	is_int(infos[0].block_index, third, "a page fault is a wait as well");

	is_int(read(b, infos, sizeof(infos[0]) - 1), 0, "too little room takes nothing");
	is_int(read(b, infos, sizeof(infos[0]) * 2 + 5), sizeof(infos[0]) * 2,
	       "as many are read as fit");
	ok(infos[0].block_index == first && infos[1].block_index == second,
	   "the oldest first");
	is_errno(syscall(SYS_read, b, 8, sizeof(infos)), EFAULT,
		 "a read to a bad address is refused");
	is_int(read(b, infos, sizeof(infos)), sizeof(infos[0]), "and loses nothing");
	is_int(infos[0].block_index, third, "the rest is read after that");
	close(b);

	fill_raw(&fs, file, second, BLOCK);
	is_int(reader_join(&readers[1]), BLOCK, "a fill wakes its reader");
	b = fs_open_cmd(&fs, O_RDONLY);
	is_int(read(b, infos, sizeof(infos)), sizeof(infos[0]) * 2,
	       "a wait that is over is not listed");
	ok(infos[0].block_index == first && infos[1].block_index == third,
	   "the others are");
	ok(!reader_done(&readers[0]) && !reader_done(&readers[2]), "and they go on waiting");
	fill_raw(&fs, file, first, BLOCK);
	fill_lz4(&fs, file, third, BLOCK);
	is_int(reader_join(&readers[0]), BLOCK, "a raw block wakes a read");
	is_int(reader_join(&readers[2]), BLOCK, "an LZ4 block wakes a page fault");
	ok(is_expected(file, first, readers[0].data, BLOCK) &&
	   is_expected(file, second, readers[1].data, BLOCK) &&
	   is_expected(file, third, readers[2].data, BLOCK),
	   "each has read what was filled");
	is_int(count_pending(&fs), 0, "nobody waits in the end");
	ok(!readable(b), "and poll says so");
	close(a);
	close(b);
}

/* Many readers of one block. */
static void test_shared(int count)
{
	struct incfs_pending_read_info infos[2];
	struct reader *readers = calloc(count, sizeof(*readers));
	int fd = fs_open_cmd(&fs, O_RDONLY), i, right = 0;
	__u32 block = fresh();

	for (i = 0; i < count; i++)
		reader_start(&readers[i], &fs, "file", block, i % 2 ? READ_MAPPED : READ_PREAD);
	take_pending(fd, infos, 1);
	/* Whoever comes later than this joins or finds the block: both are right. */
	usleep(100000);
	is_int(read(fd, infos, sizeof(infos)), 0, "%d readers of one block are one wait", count);
	is_int(count_pending(&fs), 1, "for each descriptor (%d readers)", count);
	fill_raw(&fs, file, block, BLOCK);
	for (i = 0; i < count; i++)
		right += reader_join(&readers[i]) == BLOCK &&
			 is_expected(file, block, readers[i].data, BLOCK);
	is_int(right, count, "one fill wakes all %d", count);
	is_int(count_pending(&fs), 0, "nobody waits then (%d readers)", count);
	close(fd);
	free(readers);
}

static void test_timeout(enum read_how how)
{
	struct incfs_pending_read_info infos[2];
	int error = how == READ_MAPPED ? EFAULT : ETIME;
	struct reader reader, other;
	struct test_fs timed;
	__u64 ino;
	int fd;

	fs_mount_new(&timed, how == READ_MAPPED ? "timed-map" : "timed", "read_timeout_ms=600");
	ino = make_file(&timed, INCFS_ROOT_INODE, "file", 8 * BLOCK);
	fd = fs_open_cmd(&timed, O_RDONLY);
	reader_start(&reader, &timed, "file", 0, how);
	take_pending(fd, infos, 1);
	is_int(reader_join(&reader), -1, "%s: a wait ends after its timeout", how_name(how));
	is_int(reader.error, error, "%s: with %s", how_name(how),
	       how == READ_MAPPED ? "SIGBUS" : "ETIME");
	ok(reader.ms >= 500, "%s: not before it (%llu ms)", how_name(how), reader.ms);
	is_int(count_pending(&timed), 0, "%s: the wait is not listed any more", how_name(how));

	reader_start(&other, &timed, "file", 1, how);
	take_pending(fd, &infos[1], 1);
	is_int(infos[1].serial_number, infos[0].serial_number + 1,
	       "%s: it was waited once, not again before the error", how_name(how));
	fill_raw(&timed, ino, 1, BLOCK);
	is_int(reader_join(&other), BLOCK, "%s: the next reader is served", how_name(how));

	reader_start(&reader, &timed, "file", 0, how);
	take_pending(fd, infos, 1);
	ok(true, "%s: a block that timed out is waited for again", how_name(how));
	fill_raw(&timed, ino, 0, BLOCK);
	is_int(reader_join(&reader), BLOCK, "%s: and can be filled", how_name(how));

	/* Each reader has its own time. */
	reader_start(&reader, &timed, "file", 2, how);
	take_pending(fd, infos, 1);
	usleep(300000);
	reader_start(&other, &timed, "file", 2, how);
	reader_join(&reader);
	reader_join(&other);
	ok(other.got == -1 && other.ms >= 500,
	   "%s: a reader that joins has its whole time (%llu ms)", how_name(how), other.ms);

	if (mount("any", timed.dir, NULL, MS_REMOUNT, "read_timeout_ms=0"))
		bail_out("remount");
	reader_start(&reader, &timed, "file", 3, how);
	take_pending(fd, infos, 1);
	usleep(1200000);
	ok(!reader_done(&reader), "%s: with timeout 0 it waits on", how_name(how));
	fill_raw(&timed, ino, 3, BLOCK);
	is_int(reader_join(&reader), BLOCK, "%s: until the block is there", how_name(how));
	close(fd);
	fs_unmount(&timed);
}

/*
 * A wait takes what was asked for, within five per cent. The machine may be
 * slow now and then, so one of some tries has to be in time; none may be early,
 * but for a tick of the kernel's clock.
 */
static void test_punctual(enum read_how how)
{
	__u64 best = ~0ull, least = ~0ull;
	struct test_fs timed;
	struct reader reader;
	__u32 try;

	fs_mount_new(&timed, how == READ_MAPPED ? "punctual-map" : "punctual", "");
	make_file(&timed, INCFS_ROOT_INODE, "file", 8 * BLOCK);
	for (try = 0; try < 6 && best > 1050; try++) {
		reader_run(&reader, &timed, "file", try, how);
		if (reader.got != -1)
			bail_out("a block that nobody filled");
		if (reader.ms < best)
			best = reader.ms;
		if (reader.ms < least)
			least = reader.ms;
	}
	ok(least >= 990, "%s: by default a wait takes a second (%llu ms)", how_name(how), least);
	ok(best <= 1050, "%s: and hardly more (%llu ms)", how_name(how), best);
	fs_unmount(&timed);
}

static void set_timeout(const struct test_fs *of, int ms)
{
	char options[32];

	snprintf(options, sizeof(options), "read_timeout_ms=%d", ms);
	if (mount("any", of->dir, NULL, MS_REMOUNT, options))
		bail_out("remount with %s", options);
}

static void test_remount(enum read_how how)
{
	struct incfs_pending_read_info info;
	struct test_fs timed;
	struct reader reader;
	__u64 ino;
	int fd;

	fs_mount_new(&timed, how == READ_MAPPED ? "again-map" : "again", "read_timeout_ms=0");
	ino = make_file(&timed, INCFS_ROOT_INODE, "file", 8 * BLOCK);
	fd = fs_open_cmd(&timed, O_RDONLY);
	reader_start(&reader, &timed, "file", 0, how);
	take_pending(fd, &info, 1);
	set_timeout(&timed, 400);
	is_int(reader_join(&reader), -1, "%s: a remount ends a wait that had no end",
	       how_name(how));
	ok(reader.ms >= 390, "%s: the timeout counts from its start (%llu ms)", how_name(how),
	   reader.ms);
	reader_start(&reader, &timed, "file", 1, how);
	take_pending(fd, &info, 1);
	set_timeout(&timed, 0);
	usleep(900000);
	ok(!reader_done(&reader), "%s: a remount lets a wait go on that had one", how_name(how));
	fill_raw(&timed, ino, 1, BLOCK);
	is_int(reader_join(&reader), BLOCK, "%s: until it is served", how_name(how));
	close(fd);
	fs_unmount(&timed);
}

struct changer {
	const struct test_fs *fs;
	pthread_t thread;
	bool stop;
};

static void *change_timeouts(void *arg)
{
	static const int timeouts[] = { 0, 20, 5000, 1, 60000, 5 };
	struct changer *changer = arg;
	int i;

	for (i = 0; !__atomic_load_n(&changer->stop, __ATOMIC_RELAXED); i++) {
		set_timeout(changer->fs, timeouts[i % 6]);
		usleep(i % 7 * 1000);
	}
	set_timeout(changer->fs, 0);
	return NULL;
}

/* Timeouts change all the time, while readers wait, time out, and are served. */
static void test_remount_race(void)
{
	int right = 0, expired = 0, wrong = 0, i, round;
	struct changer changer;
	struct reader readers[16];
	struct test_fs timed;
	__u64 ino;

	fs_mount_new(&timed, "race", "read_timeout_ms=0");
	ino = make_file(&timed, INCFS_ROOT_INODE, "file", 256 * BLOCK);
	changer = (struct changer) { .fs = &timed };
	pthread_create(&changer.thread, NULL, change_timeouts, &changer);
	for (round = 0; round < 16; round++) {
		for (i = 0; i < 16; i++)
			reader_start(&readers[i], &timed, "file", 16 * round + i / 2 * 2,
				     i % 2 ? READ_MAPPED : READ_PREAD);
		for (i = 0; i < 16; i += 2) {
			usleep(2000);
			fill_raw(&timed, ino, 16 * round + i, BLOCK);
		}
		for (i = 0; i < 16; i++) {
			reader_join(&readers[i]);
			if (readers[i].got == BLOCK)
				right += is_expected(ino, readers[i].block, readers[i].data, BLOCK);
			else if (readers[i].error == (i % 2 ? EFAULT : ETIME))
				expired++;
			else
				wrong++;
		}
	}
	__atomic_store_n(&changer.stop, true, __ATOMIC_RELAXED);
	pthread_join(changer.thread, NULL);
	is_int(right + expired, 16 * 16,
	       "while timeouts change, readers are served or time out (%d, %d)", right, expired);
	is_int(wrong, 0, "and nothing else");
	is_int(count_pending(&timed), 0, "nobody waits in the end");
	fs_unmount(&timed);
}

static void test_part(void)
{
	char buf[3 * BLOCK];
	struct test_fs timed;
	__u64 ino;
	int fd;

	fs_mount_new(&timed, "part", "read_timeout_ms=100");
	ino = make_file(&timed, INCFS_ROOT_INODE, "file", 3 * BLOCK);
	fill_raw(&timed, ino, 0, BLOCK);
	fill_raw(&timed, ino, 2, BLOCK);
	fd = fs_open(&timed, "file");
	is_int(pread(fd, buf, sizeof(buf), 0), BLOCK,
	       "a read returns what is there before a block that times out");
	ok(is_expected(ino, 0, buf, BLOCK), "and it is right");
	is_errno(pread(fd, buf, sizeof(buf), BLOCK), ETIME, "the rest fails");
	is_int(pread(fd, buf, 10, 2 * BLOCK - 5), -1, "so does a read that starts in it");
	close(fd);
	fs_unmount(&timed);
}

static void test_killed(enum read_how how)
{
	struct incfs_pending_read_info info;
	int fd = fs_open_cmd(&fs, O_RDONLY);
	__u32 block = fresh();
	pid_t one, two;

	one = reader_fork(&fs, "file", file, block, how);
	take_pending(fd, &info, 1);
	kill(one, SIGKILL);
	is_int(wait_exit(one), 128 + SIGKILL, "%s: a killed reader ends", how_name(how));
	is_int(count_pending(&fs), 0, "%s: its wait goes with it", how_name(how));
	ok(!readable(fd), "%s: nothing is left to read", how_name(how));

	one = reader_fork(&fs, "file", file, block, how);
	take_pending(fd, &info, 1);
	two = reader_fork(&fs, "file", file, block, how);
	usleep(50000);
	kill(one, SIGKILL);
	wait_exit(one);
	is_int(count_pending(&fs), 1, "%s: another reader of the block waits on", how_name(how));
	fill_raw(&fs, file, block, BLOCK);
	is_int(wait_exit(two), 0, "%s: and reads it when it is filled", how_name(how));
	close(fd);
}

static volatile sig_atomic_t alarms, deaths;

static void on_signal(int sig)
{
	if (sig == SIGALRM)
		alarms++;
	else
		deaths++;
}

/* A child that counts signals: 0 when it has read right and got some of both. */
static pid_t fork_signalled(const struct test_fs *on, __u64 ino, __u32 block, enum read_how how,
			    int interval_ms)
{
	struct sigaction action = { .sa_handler = on_signal };	/* no SA_RESTART */
	struct itimerval timer = { .it_interval.tv_usec = interval_ms * 1000,
				   .it_value.tv_usec = interval_ms * 1000 };
	struct reader reader;
	pid_t pid;
	int i;

	pid = must_fork();
	if (pid)
		return pid;
	sigaction(SIGALRM, &action, NULL);
	sigaction(SIGCHLD, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	for (i = 0; i < 4; i++) {
		if (!fork()) {
			usleep((i + 1) * 40000);
			_exit(0);
		}
	}
	reader_run(&reader, on, "file", block, how);
	if (reader.got != BLOCK)
		_exit(reader.error);
	_exit(!is_expected(ino, block, reader.data, BLOCK) ? 98 : alarms && deaths ? 0 : 99);
}

static void test_signals(enum read_how how)
{
	int error = how == READ_MAPPED ? EFAULT : ETIME, fd = fs_open_cmd(&fs, O_RDONLY);
	struct incfs_pending_read_info info;
	__u32 block = fresh();
	struct test_fs timed;
	pid_t pid;
	__u64 ino;

	pid = fork_signalled(&fs, file, block, how, 30);
	take_pending(fd, &info, 1);
	usleep(200000);
	is_int(waitpid(pid, NULL, WNOHANG), 0, "%s: handled signals do not end a wait",
	       how_name(how));
	fill_raw(&fs, file, block, BLOCK);
	is_int(wait_exit(pid), 0, "%s: nor what is read after it", how_name(how));
	close(fd);

	/* Nor do they keep it from ending. */
	fs_mount_new(&timed, how == READ_MAPPED ? "alarm-map" : "alarm", "read_timeout_ms=500");
	ino = make_file(&timed, INCFS_ROOT_INODE, "file", 8 * BLOCK);
	pid = fork_signalled(&timed, ino, 0, how, 30);
	is_int(wait_exit(pid), error, "%s: with signals coming in, the timeout ends it",
	       how_name(how));
	fs_unmount(&timed);
}

static void test_neighbours(void)
{
	__u64 ino = make_file(&fs, INCFS_ROOT_INODE, "island", 64 * BLOCK);
	struct reader reader;
	char buf[BLOCK];
	int fd;

	fill_raw(&fs, ino, 17, BLOCK);
	fill_lz4(&fs, ino, 40, BLOCK);
	fd = fs_open(&fs, "island");
	is_int(pread(fd, buf, BLOCK, 17 * BLOCK), BLOCK,
	       "a block is read though its neighbours are absent");
	ok(is_expected(ino, 17, buf, BLOCK), "and is right");
	is_int(pread(fd, buf, 100, 40 * BLOCK + 50), 100, "so is a part of one");
	close(fd);
	drop_cached(&fs, "island");
	reader_run(&reader, &fs, "island", 17, READ_MAPPED);
	ok(reader.got == BLOCK && is_expected(ino, 17, reader.data, BLOCK),
	   "so is one through a mapping");
	is_int(count_pending(&fs), 0, "nobody waits for the neighbours");
}

static void test_readahead(void)
{
	__u64 ino = make_file(&fs, INCFS_ROOT_INODE, "ahead", 64 * BLOCK);
	int fd = fs_open(&fs, "ahead");
	unsigned char incore[64];
	bool there;
	void *map;

	fill_blocks(&fs, ino, 10, 2);
	is_int(readahead(fd, 0, 64 * BLOCK), 0, "readahead(2) returns though blocks are absent");
	is_int(posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED), 0, "POSIX_FADV_WILLNEED does");
	map = mmap(NULL, 64 * BLOCK, PROT_READ, MAP_SHARED, fd, 0);
	is_int(madvise(map, 64 * BLOCK, MADV_WILLNEED), 0, "MADV_WILLNEED does");
	is_int(count_pending(&fs), 0, "nothing of it waits");
	there = wait_until(!mincore(map, 64 * BLOCK, incore) && (incore[10] & incore[11] & 1));
	ok(there, "the blocks that are there were read ahead");
	munmap(map, 64 * BLOCK);
	close(fd);
}

struct toucher {
	const char *address;
	pthread_t thread;
	bool done;
};

static void *touch(void *arg)
{
	struct toucher *toucher = arg;

	(void)*(volatile const char *)toucher->address;
	__atomic_store_n(&toucher->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static bool touched(struct toucher *toucher)
{
	return __atomic_load_n(&toucher->done, __ATOMIC_ACQUIRE);
}

/* The address space stays usable while one of its pages is waited for. */
static void test_mmap_lock(void)
{
	__u64 ino = make_file(&fs, INCFS_ROOT_INODE, "lock", 4 * BLOCK);
	int fd = fs_open(&fs, "lock"), cmd = fs_open_cmd(&fs, O_RDONLY);
	struct incfs_pending_read_info info;
	struct toucher wait, other;
	char *map, *anon;
	pid_t pid;

	fill_raw(&fs, ino, 2, BLOCK);
	map = mmap(NULL, 4 * BLOCK, PROT_READ, MAP_SHARED, fd, 0);
	madvise(map, 4 * BLOCK, MADV_RANDOM);
	wait = (struct toucher) { .address = map };
	pthread_create(&wait.thread, NULL, touch, &wait);
	take_pending(cmd, &info, 1);

	anon = mmap(NULL, 16 * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ok(anon != MAP_FAILED, "mmap proceeds while a fault waits");
	memset(anon, 1, 8 * BLOCK);
	ok(!touched(&wait), "faults elsewhere proceed");
	is_int(mprotect(anon, BLOCK, PROT_READ), 0, "mprotect proceeds");
	is_int(munmap(anon, 16 * BLOCK), 0, "munmap proceeds");
	other = (struct toucher) { .address = map + 2 * BLOCK };
	pthread_create(&other.thread, NULL, touch, &other);
	ok(wait_until(touched(&other)), "a stored block of the same mapping is read");
	pthread_join(other.thread, NULL);
	is_int(mprotect(map + 3 * BLOCK, BLOCK, PROT_NONE), 0,
	       "the mapping that is waited for can be changed");
	is_int(mprotect(map, BLOCK, PROT_READ | PROT_EXEC), 0, "so can the page itself");
	pid = must_fork();
	if (!pid)
		_exit(0);
	is_int(wait_exit(pid), 0, "fork proceeds");
	ok(!touched(&wait), "the fault still waits");
	fill_raw(&fs, ino, 0, BLOCK);
	ok(wait_until(touched(&wait)), "and ends when its block is there");
	pthread_join(wait.thread, NULL);

	/* The mapping goes away under the fault: the thread gets SIGSEGV in the end. */
	pid = must_fork();
	if (!pid) {
		wait = (struct toucher) { .address = map + BLOCK };
		pthread_create(&wait.thread, NULL, touch, &wait);
		take_pending(cmd, &info, 1);
		munmap(map, 4 * BLOCK);
		fill_raw(&fs, ino, 1, BLOCK);
		pthread_join(wait.thread, NULL);
		_exit(0);
	}
	is_int(wait_exit(pid), 128 + SIGSEGV, "a mapping can be unmapped under a waiting fault");
	is_int(count_pending(&fs), 0, "nobody waits for it after that");
	munmap(map, 4 * BLOCK);
	close(fd);
	close(cmd);
}

/* Other ways to a page than a touch or a read. */
static void test_other_ways(void)
{
	struct test_fs timed;
	int fd, out, zero, pipes[2];
	__u64 ino;
	void *map;

	fs_mount_new(&timed, "ways", "read_timeout_ms=100");
	ino = make_file(&timed, INCFS_ROOT_INODE, "file", 4 * BLOCK);
	fill_raw(&timed, ino, 0, BLOCK);
	fd = fs_open(&timed, "file");
	map = mmap(NULL, 4 * BLOCK, PROT_READ, MAP_PRIVATE, fd, 0);
	is_errno(madvise(map, 4 * BLOCK, MADV_POPULATE_READ), EFAULT,
		 "MADV_POPULATE_READ of an absent block ends in EFAULT");
	is_int(mlock(map, BLOCK), 0, "mlock of a stored block succeeds");
	ok(mlock(map, 4 * BLOCK) == -1, "mlock of an absent block fails");
	munmap(map, 4 * BLOCK);
	map = mmap(NULL, 4 * BLOCK, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	ok(map != MAP_FAILED, "MAP_POPULATE of absent blocks maps all the same");
	out = open("out", O_RDWR | O_CREAT | O_TRUNC, 0600);
	is_errno(write(out, (char *)map + BLOCK, BLOCK), EFAULT,
		 "write(2) from an absent block fails");
	munmap(map, 4 * BLOCK);
	map = mmap(NULL, 4 * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	zero = open("/dev/zero", O_RDONLY);
	is_int(read(zero, map, 1), 1, "a private copy of a stored block is written");
	is_errno(read(zero, (char *)map + BLOCK, 1), EFAULT,
		 "a private copy of an absent block is not made");
	close(zero);
	munmap(map, 4 * BLOCK);
	if (pipe(pipes))
		bail_out("pipe");
	is_int(splice(fd, (loff_t []) { 0 }, pipes[1], NULL, BLOCK, 0), BLOCK,
	       "splice of a stored block succeeds");
	is_errno(splice(fd, (loff_t []) { BLOCK }, pipes[1], NULL, BLOCK, 0), ETIME,
		 "splice of an absent block times out");
	is_int(sendfile(out, fd, (off_t []) { 0 }, BLOCK), BLOCK,
	       "sendfile of a stored block succeeds");
	close(out);
	close(pipes[0]);
	close(pipes[1]);
	close(fd);
	fs_unmount(&timed);
}

/* A mount that was detached goes on for who has it open. */
static void test_detached(void)
{
	struct incfs_pending_read_info info;
	struct test_fs lazy;
	struct reader reader;
	__u64 ino;

	fs_mount_new(&lazy, "lazy", "read_timeout_ms=0");
	ino = make_file(&lazy, INCFS_ROOT_INODE, "file", BLOCK);
	reader_start(&reader, &lazy, "file", 0, READ_PREAD);
	take_pending(lazy.cmd, &info, 1);
	is_errno(umount(lazy.dir), EBUSY, "a mount whose files are open stays");
	is_int(umount2(lazy.dir, MNT_DETACH), 0, "it can be detached");
	ok(!reader_done(&reader), "the reader waits on");
	is_errno(try_mount(lazy.image, lazy.dir, ""), EBUSY, "the image is still in use");
	fill_raw(&lazy, ino, 0, BLOCK);
	is_int(reader_join(&reader), BLOCK, "a .cmd that is open serves it");
	close(lazy.cmd);
	ok(wait_until(!try_mount(lazy.image, lazy.dir, "")), "the image mounts when all is closed");
	ok(block_reads(&lazy, "file", ino, 0, BLOCK), "with what came meanwhile");
	umount(lazy.dir);
}

/* Two mounts do not share waits, timeouts or blocks. */
static void test_two_mounts(void)
{
	struct incfs_pending_read_info info;
	struct test_fs timed;
	struct reader here, there;
	__u32 block = fresh();
	__u64 ino;
	int cmd;

	fs_mount_new(&timed, "two", "read_timeout_ms=300");
	do {
		ino = make_file(&timed, INCFS_ROOT_INODE, "file", BLOCKS * BLOCK);
	} while (ino < file);
	is_int(ino, file, "two mounts may have the same inode numbers");
	cmd = fs_open_cmd(&fs, O_RDONLY);
	reader_start(&here, &fs, "file", block, READ_PREAD);
	take_pending(cmd, &info, 1);
	is_int(count_pending(&timed), 0, "a wait is listed in its own mount only");
	reader_start(&there, &timed, "file", block, READ_PREAD);
	is_int(reader_join(&there), -1, "a timeout is its own mount's");
	ok(!reader_done(&here), "the other mount's reader waits on");
	fill_raw(&timed, ino, block, BLOCK);
	ok(!reader_done(&here) && count_pending(&fs) == 1, "a fill in one is none in the other");
	fs_unmount(&timed);
	fill_raw(&fs, file, block, BLOCK);
	is_int(reader_join(&here), BLOCK, "a mount goes on when another has gone");
	close(cmd);
}

static __u64 blocks_read(const struct test_fs *of)
{
	struct incfs_stats stats;

	if (ioctl(of->cmd, INCFS_IOC_GET_STATS, &stats))
		bail_out("GET_STATS");
	return stats.blocks_read;
}

/* What a reader waits for it finds in the page cache, and does not read back. */
static void test_shown(enum read_how how)
{
	static const char *const what[] = { "a raw block", "an LZ4 block", "a tail" };
	struct incfs_pending_read_info info;
	struct reader readers[3];
	struct test_fs shown;
	__u64 ino, before;
	int fd, i;

	fs_mount_new(&shown, how == READ_MAPPED ? "shown-map" : "shown", "read_timeout_ms=0");
	ino = make_file(&shown, INCFS_ROOT_INODE, "file", 6 * BLOCK + 100);
	fd = fs_open_cmd(&shown, O_RDONLY);
	before = blocks_read(&shown);
	for (i = 0; i < 3; i++) {
		reader_start(&readers[i], &shown, "file", 3 * i, how);
		take_pending(fd, &info, 1);
	}
	fill_raw(&shown, ino, 0, BLOCK);
	fill_lz4(&shown, ino, 3, BLOCK);
	fill_raw(&shown, ino, 6, 100);
	for (i = 0; i < 3; i++) {
		reader_join(&readers[i]);
		ok(readers[i].got > 0 && is_expected(ino, 3 * i, readers[i].data, i < 2 ? BLOCK : 100),
		   "%s: %s that was waited for is right", how_name(how), what[i]);
	}
	is_int(blocks_read(&shown), before, "%s: none was read back", how_name(how));
	drop_cached(&shown, "file");
	for (i = 0; i < 3; i++)
		ok(block_reads(&shown, "file", ino, 3 * i, i < 2 ? BLOCK : 100),
		   "%s: %s is stored as well", how_name(how), what[i]);
	close(fd);
	fs_unmount(&shown);
}

/* What does not expand as it should is shown to nobody. */
static void test_not_shown(enum read_how how)
{
	char junk[BLOCK] = "no LZ4 block";
	struct incfs_new_data_block block;
	struct incfs_pending_read_info info;
	struct reader reader;
	struct test_fs shown;
	__u64 ino;
	int fd;

	fs_mount_new(&shown, how == READ_MAPPED ? "junk-map" : "junk", "read_timeout_ms=0");
	ino = make_file(&shown, INCFS_ROOT_INODE, "file", 2 * BLOCK);
	fd = fs_open_cmd(&shown, O_RDONLY);
	reader_start(&reader, &shown, "file", 0, how);
	take_pending(fd, &info, 1);
	block = raw_block(ino, 0, junk, sizeof(junk));
	block.compression = COMPRESSION_LZ4;
	is_int(try_fill(shown.cmd, &block), 0, "%s: a block that expands to nothing is taken",
	       how_name(how));
	take_pending(fd, &info, 1);
	ok(!reader_done(&reader), "%s: but its reader waits again", how_name(how));
	fill_raw(&shown, ino, 0, BLOCK);
	is_int(reader_join(&reader), BLOCK, "%s: until it is supplied", how_name(how));
	ok(is_expected(ino, 0, reader.data, BLOCK), "%s: and right", how_name(how));
	close(fd);
	fs_unmount(&shown);
}

int main(void)
{
	enum read_how how;

	fs_mount_new(&fs, "fs", "read_timeout_ms=0");
	file = make_file(&fs, INCFS_ROOT_INODE, "file", BLOCKS * BLOCK);
	test_list();
	test_shared(2);
	test_shared(400);
	for (how = READ_PREAD; how <= READ_MAPPED; how++) {
		test_timeout(how);
		test_punctual(how);
		test_remount(how);
		test_killed(how);
		test_signals(how);
		test_shown(how);
		test_not_shown(how);
	}
	test_remount_race();
	test_part();
	test_neighbours();
	test_readahead();
	test_mmap_lock();
	test_other_ways();
	test_two_mounts();
	test_detached();
	fs_unmount(&fs);
	return done();
}
