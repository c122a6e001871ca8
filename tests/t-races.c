// SPDX-License-Identifier: GPL-2.0-only
/*
 * Readers of all kinds, fills, swaps of policies, remounts, caches that are dropped
 * and memory that is short, all at once: readers and fillers run in memory control
 * groups that are smaller than what they read. Each byte that is read is compared
 * with what the block was made of, and every reader that waits has to end.
 *
 * Two images: readers of the one wait as long as it takes, those of the other some
 * ms, and it is unmounted under them and mounted again. Both are filled while they
 * are read; when a file is full, the next one is begun.
 *
 * 30 seconds; INCFS_LONG=1: 10 minutes. "t-races SECONDS" by hand.
 *
 * timeout: 1800
 */
#define _GNU_SOURCE
#include <lz4.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/prctl.h>

#include "t-policy.h"

#define SECONDS 30
#define SECONDS_LONG 600
#define SEED 0x20190502ull
#define BLOCKS 1024		/* in a file */
#define RUN 16			/* blocks that are filled at once */
#define KEPT 6			/* files that are read, beside the newest */
#define FILES 64		/* whose inodes are known */
#define READ_MAX (256 << 10)
#define READERS 2		/* processes, of so many threads: */
#define THREADS 4
/* In ms: nobody may take as long for one read. */
#define STUCK 60000

enum { PATIENT, QUICK, SIDES };

enum count {
	C_PREAD, C_SIZED, C_MAPPED, C_KEPT, C_DIRECT, C_SPLICE, NR_KINDS,
	C_BYTES = NR_KINDS, C_EXPIRED, C_UNMOUNTED, C_NO_MEMORY, C_SIGNALS, C_KILLED, C_ENDED,
	C_FILLED, C_AGAIN, C_FILES, C_SWAPS, C_CHOICES, C_REMOUNTS, C_MOUNTS, C_DROPS,
	C_RECLAIMS, C_WAITS, NR_COUNTS
};

/* What each is called, and how often it has to have happened. */
static const struct {
	const char *name;
	unsigned long least;
} counts[NR_COUNTS] = {
	[C_PREAD] = { "reads", 100 },
	[C_SIZED] = { "reads of up to 256 KiB, with readahead", 50 },
	[C_MAPPED] = { "reads of a new mapping", 100 },
	[C_KEPT] = { "reads of a mapping that stays", 50 },
	[C_DIRECT] = { "reads with O_DIRECT", 50 },
	[C_SPLICE] = { "reads by splice", 50 },
	[C_BYTES] = { "bytes compared", 10000000 },
	[C_EXPIRED] = { "reads whose time ran out", 20 },
	[C_UNMOUNTED] = { "reads that found no mount", 0 },
	[C_NO_MEMORY] = { "calls that found no memory", 0 },
	[C_SIGNALS] = { "signals to readers, handled", 100 },
	[C_KILLED] = { "readers killed", 20 },
	[C_ENDED] = { "readers that ended before they were killed", 0 },
	[C_FILLED] = { "blocks filled in their turn", 4 * BLOCKS },
	[C_AGAIN] = { "blocks filled because they are waited for, or once more", 100 },
	[C_FILES] = { "files begun", 4 },
	[C_SWAPS] = { "policies swapped", 50 },
	[C_CHOICES] = { "policies chosen", 10 },
	[C_REMOUNTS] = { "remounts", 20 },
	[C_MOUNTS] = { "unmounts in use, and mounts", 3 },
	[C_DROPS] = { "caches dropped", 20 },
	[C_RECLAIMS] = { "pages reclaimed from the groups", 1000 },
	[C_WAITS] = { "blocks waited for", 100 },
};

/* What the processes share; all members are atomic. */
struct shared {
	struct {
		unsigned int turn;	/* odd while it is not mounted */
		unsigned int newest;
		__u64 inos[FILES];
	} sides[SIDES];
	bool stop_readers, stop_fillers;
	unsigned long count[NR_COUNTS];
	unsigned long wrong;
	char why[256];			/* of the first */
	struct {
		__u64 since;		/* in ms; 0: does nothing */
		unsigned int side, file, kind;
		__u64 offset;
	} watch[READERS * THREADS];
};

static struct shared *shared;
static struct test_fs mounts[SIDES];
static int slow = 1;			/* how much slower than usual the kernel is */
static bool groups;			/* there are memory control groups */
static bool gave_memory;		/* to the groups, by us */

static __thread __u64 state;
static __thread sigjmp_buf after_fault;
static __thread volatile bool touching;

#define get(what) __atomic_load_n(&(what), __ATOMIC_SEQ_CST)
#define set(what, value) __atomic_store_n(&(what), value, __ATOMIC_SEQ_CST)

static void count(enum count what, unsigned long n)
{
	__atomic_add_fetch(&shared->count[what], n, __ATOMIC_RELAXED);
}

__attribute__((format(printf, 1, 2))) static void wrong(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (!__atomic_fetch_add(&shared->wrong, 1, __ATOMIC_SEQ_CST))
		vsnprintf(shared->why, sizeof(shared->why), format, args);
	va_end(args);
}

static __u64 mix(__u64 x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static __u32 rnd(__u32 below)
{
	state = mix(state);
	return (state >> 20) % below;
}

/* What blocks hold */

static __u64 file_size(unsigned int file)
{
	return (BLOCKS - 1) * BLOCK + 1 + file * 997 % BLOCK;
}

static __u32 block_len(unsigned int file, __u32 block)
{
	return block < BLOCKS - 1 ? BLOCK : file_size(file) % BLOCK ?: BLOCK;
}

static __u64 block_seed(unsigned int side, unsigned int file, __u32 block)
{
	return mix(SEED << 28 ^ (__u64)side << 56 ^ (__u64)file << 24 ^ block);
}

static bool is_lz4(unsigned int side, unsigned int file, __u32 block)
{
	return block_seed(side, file, block) % 3 == 0;
}

/* No two blocks are alike, and LZ4 makes each smaller. */
static void content(unsigned int side, unsigned int file, __u32 block, void *buf)
{
	__u64 base = block_seed(side, file, block), step = mix(base) | 1, *words = buf;
	__u32 i, len = block_len(file, block);

	for (i = 0; i < BLOCK / sizeof(*words); i++)
		words[i] = base + i / 4 * step;
	memset((char *)buf + len, 0, BLOCK - len);
}

/* Past its end a mapped file has zeros. */
static void compare(unsigned int side, unsigned int file, __u64 offset, const char *buf,
		    size_t len)
{
	char want[BLOCK] __attribute__((aligned(8)));
	size_t at, n;

	for (at = 0; at < len; at += n) {
		__u32 block = (offset + at) / BLOCK, in = (offset + at) % BLOCK;

		n = len - at < BLOCK - in ? len - at : BLOCK - in;
		content(side, file, block, want);
		if (memcmp(buf + at, want + in, n))
			wrong("side %u, file %u, block %u: wrong in %zu bytes from %u", side, file,
			      block, n, in);
	}
	count(C_BYTES, len);
}

/* Fillers */

/* struct hand - a thread's ".cmd" of a mount that comes and goes */
struct hand {
	unsigned int side, turn;
	int cmd;
	struct incfs_fill_block blocks[RUN];
	char data[RUN][LZ4_COMPRESSBOUND(BLOCK)];
};

static struct hand *new_hand(void *side)
{
	struct hand *hand = calloc(1, sizeof(*hand));

	if (!hand)
		bail_out("calloc");
	hand->side = (unsigned long)side;
	hand->cmd = -1;
	return hand;
}

/* Or -1, when there is none just now. */
static int hand_cmd(struct hand *hand)
{
	unsigned int turn = get(shared->sides[hand->side].turn);

	if (hand->cmd >= 0 && hand->turn == turn)
		return hand->cmd;
	close(hand->cmd);
	hand->cmd = -1;
	hand->turn = turn;
	if (!(turn & 1))
		hand->cmd = open(fs_path(&mounts[hand->side], ".cmd"), O_RDWR | O_CLOEXEC);
	if (hand->cmd < 0) {
		if (!(turn & 1) && turn == get(shared->sides[hand->side].turn))
			wrong("side %u: no .cmd: %s", hand->side, strerror(errno));
		usleep(2000);
	}
	return hand->cmd;
}

static void end_hand(struct hand *hand)
{
	close(hand->cmd);
	free(hand);
}

static void prepare(struct hand *hand, unsigned int file, __u32 first, __u32 n)
{
	char data[BLOCK] __attribute__((aligned(8)));
	__u32 i, block, len;
	bool lz4;

	for (i = 0; i < n; i++) {
		block = first + i;
		len = block_len(file, block);
		lz4 = is_lz4(hand->side, file, block);
		content(hand->side, file, block, data);
		if (lz4)
			len = LZ4_compress_default(data, hand->data[i], len, sizeof(hand->data[i]));
		else
			memcpy(hand->data[i], data, len);
		hand->blocks[i] = (struct incfs_fill_block) {
			.ino = get(shared->sides[hand->side].inos[file % FILES]),
			.block = block, .len = len, .data = (unsigned long)hand->data[i],
			.compression = lz4 ? COMPRESSION_LZ4 : COMPRESSION_NONE,
		};
	}
}

/* By write(2): returns how many were taken, or -1. */
static ssize_t hand_over(struct hand *hand, int cmd, __u32 n)
{
	struct incfs_new_data_block blocks[RUN];
	ssize_t got;
	__u32 i;

	for (i = 0; i < n; i++) {
		blocks[i] = raw_block(hand->blocks[i].ino, hand->blocks[i].block, hand->data[i],
				      hand->blocks[i].len);
		blocks[i].compression = hand->blocks[i].compression;
	}
	got = write(cmd, blocks, n * sizeof(blocks[0]));
	return got < 0 ? -1 : got / (ssize_t)sizeof(blocks[0]);
}

/* Until all @n are stored; a mount that goes takes what it was given with it. */
static void fill_some(struct hand *hand, unsigned int file, __u32 first, __u32 n, enum count what)
{
	struct incfs_fill fill = { .blocks = (unsigned long)hand->blocks, .count = n };
	ssize_t got;
	int cmd;

	prepare(hand, file, first, n);
	while (!get(shared->stop_fillers)) {
		cmd = hand_cmd(hand);
		if (cmd < 0)
			continue;
		if (rnd(2))
			got = hand_over(hand, cmd, n);
		else
			got = ioctl(cmd, INCFS_IOC_FILL, &fill) ? -1 : (ssize_t)fill.filled;
		if (got == (ssize_t)n)
			break;
		if (got < 0 && errno != ENOMEM) {
			wrong("side %u, file %u: fill: %s", hand->side, file, strerror(errno));
			return;
		}
		count(C_NO_MEMORY, 1);
		usleep(1000);
	}
	count(what, n);
}

static void begin_file(struct hand *hand, unsigned int file)
{
	char name[16];
	__u64 ino;
	int cmd;

	snprintf(name, sizeof(name), "f%u", file);
	while ((cmd = hand_cmd(hand)) < 0)
		if (get(shared->stop_fillers))
			return;
	if (try_new(cmd, S_IFREG | 0444, file_size(file), &ino) ||
	    try_add(cmd, INCFS_ROOT_INODE, ino, name))
		bail_out("side %u: make %s", hand->side, name);
	set(shared->sides[hand->side].inos[file % FILES], ino);
	set(shared->sides[hand->side].newest, file);
	count(C_FILES, 1);
}

/* One file after the other, its runs in an order of their own; one takes a second. */
static void *fill_in_turn(void *arg)
{
	struct hand *hand = new_hand(arg);
	unsigned int file = get(shared->sides[hand->side].newest), i;

	state = SEED + hand->side;
	for (;; begin_file(hand, ++file)) {
		for (i = 0; i < BLOCKS / RUN && !get(shared->stop_fillers); i++) {
			fill_some(hand, file, (i * 37 + file * 11) % (BLOCKS / RUN) * RUN, RUN,
				  C_FILLED);
			usleep(1000000 / (BLOCKS / RUN));
		}
		if (get(shared->stop_fillers))
			break;
	}
	end_hand(hand);
	return NULL;
}

/* What another one fills, or has filled. */
static void *fill_again(void *arg)
{
	struct hand *hand = new_hand(arg);
	__u32 n, age;

	state = SEED + 2 + hand->side;
	while (!get(shared->stop_fillers)) {
		n = 1 + rnd(RUN);
		age = rnd(3) ? 0 : rnd(KEPT);
		fill_some(hand, get(shared->sides[hand->side].newest) - age, rnd(BLOCKS - n), n,
			  C_AGAIN);
		if (!rnd(32) && hand->cmd >= 0 && ioctl(hand->cmd, INCFS_IOC_SYNC))
			wrong("side %u: SYNC: %s", hand->side, strerror(errno));
		usleep(10000);
	}
	end_hand(hand);
	return NULL;
}

static void fill_pending(struct hand *hand, const struct incfs_pending_read *read)
{
	unsigned int newest = get(shared->sides[hand->side].newest), file = newest, left;

	while (get(shared->sides[hand->side].inos[file % FILES]) != read->ino) {
		if (newest - --file == FILES) {
			wrong("side %u: inode %llu is waited for", hand->side, read->ino);
			return;
		}
	}
	left = BLOCKS - read->block;
	fill_some(hand, file, read->block, 1 + rnd(left < RUN ? left : RUN), C_AGAIN);
}

/* What is waited for; it may be there, and held back by a policy. */
static void *fill_waits(void *arg)
{
	struct hand *hand = new_hand(arg);
	struct incfs_pending_read reads[RUN];
	struct incfs_pending_reads pending;
	__u32 i;
	int cmd;

	state = SEED + 4 + hand->side;
	while (!get(shared->stop_fillers)) {
		cmd = hand_cmd(hand);
		if (cmd < 0)
			continue;
		pending = (struct incfs_pending_reads) {
			.reads = (unsigned long)reads, .count = RUN,
		};
		if (ioctl(cmd, INCFS_IOC_GET_PENDING, &pending))
			wrong("side %u: GET_PENDING: %s", hand->side, strerror(errno));
		/* Late enough, now and then, for those with little time. */
		if (hand->side == QUICK)
			usleep(rnd(60000));
		for (i = 0; i < pending.count; i++)
			fill_pending(hand, &reads[i]);
		usleep(2000);
	}
	end_hand(hand);
	return NULL;
}

/* Readers */

static void on_signal(int sig)
{
	if (sig == SIGBUS && touching)
		siglongjmp(after_fault, 1);
	if (sig == SIGBUS)
		_exit(99);
}

/* struct access - one read, of any kind */
struct access {
	unsigned int side, file;
	enum count kind;
	__u64 offset;
	size_t len;
};

/* Copy from a mapping: -1 when that ends in SIGBUS. */
static ssize_t copy_mapped(const char *map, size_t len, char *buf)
{
	if (sigsetjmp(after_fault, 1)) {
		touching = false;
		errno = ETIME;
		return -1;
	}
	touching = true;
	memcpy(buf, map, len);
	touching = false;
	return len;
}

static ssize_t read_mapping(const struct access *access, int fd, char *buf)
{
	__u64 start = access->offset / BLOCK * BLOCK, end = access->offset + access->len;
	size_t size;
	ssize_t got;
	char *map;

	/* To the end of the page: there have to be zeros. */
	if (end >= file_size(access->file))
		end = BLOCKS * BLOCK;
	size = end - start;
	map = mmap(NULL, size, PROT_READ, rnd(2) ? MAP_SHARED : MAP_PRIVATE, fd, start);
	if (map == MAP_FAILED)
		return -1;
	if (!rnd(4))
		madvise(map, size, MADV_WILLNEED);
	got = copy_mapped(map, size, buf);
	munmap(map, size);
	if (got > 0)
		compare(access->side, access->file, start, buf, got);
	return got < 0 ? -1 : (ssize_t)access->len;
}

static ssize_t read_splice(const struct access *access, int fd, char *buf)
{
	loff_t at = access->offset;
	ssize_t got, n = 0;
	int pipes[2], error;

	if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK))
		return -1;
	got = splice(fd, &at, pipes[1], NULL, access->len, 0);
	error = errno;
	if (got > 0)
		n = read(pipes[0], buf, got);
	close(pipes[0]);
	close(pipes[1]);
	errno = error;
	if (got > 0 && n != got)
		wrong("splice: %zd bytes, and then %zd", got, n);
	else if (got > 0)
		compare(access->side, access->file, access->offset, buf, got);
	/* It may stop where it pleases. */
	return got > 0 ? (ssize_t)access->len : got;
}

static ssize_t read_by(const struct access *access, int fd, char *buf)
{
	ssize_t got;

	if (access->kind == C_MAPPED)
		return read_mapping(access, fd, buf);
	if (access->kind == C_SPLICE)
		return read_splice(access, fd, buf);
	if (access->kind == C_SIZED)
		posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	if (access->kind == C_SIZED && rnd(2))
		readahead(fd, access->offset, access->len);
	got = pread(fd, buf, access->len, access->offset);
	if (got > 0)
		compare(access->side, access->file, access->offset, buf, got);
	return got;
}

static void choose(struct access *access)
{
	unsigned int newest;
	__u64 left;

	access->side = rnd(SIDES);
	newest = get(shared->sides[access->side].newest);
	do
		access->kind = rnd(NR_KINDS);
	while (access->kind == C_KEPT);
	/* Large ones mostly where all is there: they would wait for each block. */
	access->file = newest - (rnd(access->kind == C_SIZED ? 8 : 2) ? 1 + rnd(KEPT) : 0);
	access->offset = rnd(BLOCKS) * BLOCK;
	access->len = (1 + rnd(access->kind == C_SIZED ? READ_MAX / BLOCK - 1 : 4)) * BLOCK;
	if (access->kind != C_DIRECT && rnd(2)) {
		access->offset += rnd(BLOCK);
		access->len -= rnd(BLOCK);
	}
	left = file_size(access->file) - access->offset;
	if (access->offset >= file_size(access->file))
		access->offset = left = 0;
	if (access->offset && access->len > left && access->kind != C_DIRECT)
		access->len = left;
}

static void judge(const struct access *access, ssize_t got, int error)
{
	__u64 left = file_size(access->file) - access->offset;
	ssize_t want = access->len < left ? access->len : left;

	if (got >= 0 && (got == want || got == (ssize_t)access->len))
		count(access->kind, 1);
	else if (access->side == QUICK && (got > 0 || error == ETIME))
		count(C_EXPIRED, 1);
	else if (got < 0 && error == ENOMEM)
		count(C_NO_MEMORY, 1);
	else
		wrong("side %u, file %u: %zd of %zu bytes from %llu by %s: %s", access->side,
		      access->file, got, access->len, access->offset, counts[access->kind].name,
		      got < 0 ? strerror(error) : "short");
}

/* Open a file; or -1 when it is not mounted just now. */
static int open_one(unsigned int side, unsigned int file, int flags)
{
	unsigned int turn = get(shared->sides[side].turn);
	char name[16];
	int fd = -1;

	snprintf(name, sizeof(name), "f%u", file);
	if (!(turn & 1))
		fd = open(fs_path(&mounts[side], name), O_RDONLY | O_CLOEXEC | flags);
	if (fd >= 0)
		return fd;
	if (!(turn & 1) && errno == ENOMEM)
		count(C_NO_MEMORY, 1);
	else if (!(turn & 1) && turn == get(shared->sides[side].turn))
		wrong("side %u: open %s: %s", side, name, strerror(errno));
	count(C_UNMOUNTED, 1);
	usleep(2000);
	return -1;
}

static void read_one_of(const struct access *access, char *buf)
{
	int fd = open_one(access->side, access->file, access->kind == C_DIRECT ? O_DIRECT : 0);
	ssize_t got;
	int error;

	if (fd < 0)
		return;
	if (!rnd(8))
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	errno = 0;
	got = read_by(access, fd, buf);
	error = errno;
	close(fd);
	judge(access, got, error);
}

/* A mapping of a file that is full; its pages come and go. */
static void read_kept(char **map, unsigned int *file, char *buf)
{
	__u32 block = rnd(BLOCKS);
	int fd;

	if (!*map || !rnd(64)) {
		if (*map)
			munmap(*map, BLOCKS * BLOCK);
		*map = NULL;
		*file = get(shared->sides[PATIENT].newest) - 1 - rnd(KEPT);
		fd = open_one(PATIENT, *file, 0);
		if (fd < 0)
			return;
		*map = mmap(NULL, BLOCKS * BLOCK, PROT_READ, MAP_SHARED, fd, 0);
		close(fd);
		if (*map == MAP_FAILED)
			bail_out("mmap");
	}
	if (copy_mapped(*map + block * BLOCK, BLOCK, buf) != BLOCK) {
		wrong("file %u, block %u: SIGBUS", *file, block);
		return;
	}
	compare(PATIENT, *file, block * BLOCK, buf, BLOCK);
	count(C_KEPT, 1);
}

static char *new_buffer(void)
{
	/* A mapping is read from the start of its first page. */
	char *buf = aligned_alloc(BLOCK, READ_MAX + 2 * BLOCK);

	if (!buf)
		bail_out("aligned_alloc");
	return buf;
}

static void *read_on(void *arg)
{
	unsigned long number = (unsigned long)arg;
	unsigned int kept_file = 0;
	char *buf = new_buffer(), *kept = NULL;
	struct access access;

	state = SEED + 100 + number;
	while (!get(shared->stop_readers)) {
		choose(&access);
		shared->watch[number].side = access.side;
		shared->watch[number].file = access.file;
		shared->watch[number].kind = access.kind;
		shared->watch[number].offset = access.offset;
		set(shared->watch[number].since, now_ms());
		if (rnd(6))
			read_one_of(&access, buf);
		else
			read_kept(&kept, &kept_file, buf);
		set(shared->watch[number].since, 0);
	}
	if (kept)
		munmap(kept, BLOCKS * BLOCK);
	free(buf);
	return NULL;
}

/* Processes */

#define GROUP "/sys/fs/cgroup/incfs-races-"

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t done = fd < 0 ? -1 : write(fd, text, strlen(text));

	close(fd);
	return done == (ssize_t)strlen(text);
}

static bool group_write(const char *group, const char *file, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), GROUP "%s/%s", group, file);
	return write_text(path, text);
}

/* A number of memory.events or memory.stat. */
static unsigned long group_read(const char *group, const char *file, const char *key)
{
	char path[128], name[64];
	unsigned long value, found = 0;
	FILE *stream;

	snprintf(path, sizeof(path), GROUP "%s/%s", group, file);
	stream = fopen(path, "re");
	while (stream && fscanf(stream, "%63s %lu", name, &value) == 2)
		if (!strcmp(name, key))
			found = value;
	if (stream)
		fclose(stream);
	return found;
}

static unsigned long groups_read(const char *file, const char *key)
{
	return group_read("readers", file, key) + group_read("fillers", file, key);
}

#define CONTROLLERS "/sys/fs/cgroup/cgroup.subtree_control"

static void make_groups(void)
{
	gave_memory = run_shell("grep -qsw memory " CONTROLLERS) &&
		      write_text(CONTROLLERS, "+memory");
	mkdir(GROUP "readers", 0755);
	mkdir(GROUP "fillers", 0755);
	groups = group_write("readers", "memory.max", "12M") &&
		 group_write("fillers", "memory.max", "12M");
}

static void remove_groups(void)
{
	if (rmdir(GROUP "readers") || rmdir(GROUP "fillers"))
		diag("the control groups stay: %s", strerror(errno));
	if (gave_memory)
		write_text(CONTROLLERS, "-memory");
}

/* A child that goes when this process does; returns 0 in it. */
static pid_t start(const char *group)
{
	pid_t pid;

	pid = must_fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (groups && !group_write(group, "cgroup.procs", "0"))
		bail_out("enter the group of %s", group);
	return 0;
}

static void start_thread(pthread_t *thread, void *(*run)(void *), unsigned long arg)
{
	errno = pthread_create(thread, NULL, run, (void *)arg);
	if (errno)
		bail_out("pthread_create");
}

static void be_filler(unsigned long side)
{
	static void *(*const run[])(void *) = { fill_in_turn, fill_again, fill_waits };
	pthread_t threads[3];
	int i;

	for (i = 0; i < 3; i++)
		start_thread(&threads[i], run[i], side);
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	_exit(0);
}

/* It ends no wait that a signal is handled. */
static void be_reader(unsigned long first)
{
	struct sigaction action = { .sa_handler = on_signal };
	pthread_t threads[THREADS];
	int i;

	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	state = SEED + 10 + first;
	for (i = 0; i < THREADS; i++)
		start_thread(&threads[i], read_on, first + i);
	while (!get(shared->stop_readers)) {
		usleep(rnd(20000));
		if (!pthread_kill(threads[rnd(THREADS)], SIGUSR1))
			count(C_SIGNALS, 1);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	_exit(0);
}

/* Readers that are killed at any moment have to end, wherever they are. */
static void be_killer(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct access access;
	int code;
	pid_t pid;

	sigaction(SIGBUS, &action, NULL);
	state = SEED + 20;
	while (!get(shared->stop_readers)) {
		choose(&access);
		access.file = get(shared->sides[access.side].newest);
		pid = start("readers");
		if (!pid) {
			read_one_of(&access, new_buffer());
			_exit(0);
		}
		usleep(rnd(40000));
		kill(pid, SIGKILL);
		code = wait_exit(pid);
		count(code == 128 + SIGKILL ? C_KILLED : C_ENDED, 1);
		if (code && code != 128 + SIGKILL)
			wrong("a reader ends with %d", code);
	}
	_exit(0);
}

/* Takes memory from the readers, and gives it back. */
static void be_hog(void)
{
	size_t size;
	char *memory;

	state = SEED + 30;
	while (!get(shared->stop_readers)) {
		size = (1 + rnd(4)) << 20;
		memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			      0);
		if (memory != MAP_FAILED)
			memset(memory, 1, size);
		usleep(rnd(100000));
		if (memory != MAP_FAILED)
			munmap(memory, size);
	}
	_exit(0);
}

/* Threads that change what is around */

static struct probe_bpf *plain, *holding;

/* One lets all pass, the other holds the first blocks of each file back. */
static void load_policies(void)
{
	libbpf_set_print(NULL);
	plain = load_probe("races", 0);
	holding = load_probe("races", 0);
	plain->bss->spins = 100;
	holding->bss->verdict = INCFS_VERDICT_WAIT;
	holding->bss->verdict_end = 32;
	holding->bss->recheck_ms = 10;
	if (attach_probe(plain))
		bail_out("attach");
}

static void swap(struct probe_bpf *to)
{
	if (bpf_link__update_map(plain->links.probe, to->maps.probe))
		wrong("a policy is not swapped: %s", strerror(errno));
	count(C_SWAPS, 1);
}

static void *swap_on(void *arg)
{
	static const char *const names[] = { "none", "races", "auto" };
	struct test_mount mnt = { .fs = mounts[PATIENT], .id = fs_info(&mounts[PATIENT]).mount_id };
	const char *name;
	unsigned int i;

	(void)arg;
	state = SEED + 40;
	for (i = 1; !get(shared->stop_readers); i++) {
		swap(i % 2 ? holding : plain);
		usleep(10000 + rnd(40000));
		if (i % 4)
			continue;
		name = names[i / 4 % 3];
		if (i % 8 ? set_policy(&mnt, name) : sysfs_write(mnt.id, "policy", name))
			wrong("policy %s is not chosen: %s", name, strerror(errno));
		count(C_CHOICES, 1);
	}
	/* Nobody is held back for ever. */
	swap(plain);
	return NULL;
}

static void add_waits(const struct test_fs *fs)
{
	struct incfs_stats stats;

	if (ioctl(fs->cmd, INCFS_IOC_GET_STATS, &stats))
		bail_out("GET_STATS");
	count(C_WAITS, stats.waits);
	if (stats.blocks_damaged)
		wrong("%s: %llu blocks are damaged", fs->dir, stats.blocks_damaged);
}

/* Unmounted in use it stays with those who use it until they let it go. */
static void mount_again(struct test_fs *fs)
{
	__u64 end = now_ms() + (__u64)SOON * slow;
	int ret;

	fs->cmd = fs_open_cmd(fs, O_RDONLY);
	add_waits(fs);
	close(fs->cmd);
	fs->cmd = -1;
	__atomic_add_fetch(&shared->sides[QUICK].turn, 1, __ATOMIC_SEQ_CST);
	if (umount2(fs->dir, MNT_DETACH))
		bail_out("umount of %s", fs->dir);
	while ((ret = try_mount(fs->image, fs->dir, fs->options)) && errno == EBUSY &&
	       now_ms() < end)
		usleep(5000);
	if (ret)
		bail_out("mount %s again", fs->image);
	__atomic_add_fetch(&shared->sides[QUICK].turn, 1, __ATOMIC_SEQ_CST);
	count(C_MOUNTS, 1);
}

static void *remount_on(void *arg)
{
	unsigned int side, i;
	char options[64];

	(void)arg;
	state = SEED + 50;
	for (i = 1; !get(shared->stop_readers); i++) {
		side = i % 2 ? PATIENT : QUICK;
		switch (rnd(3)) {
		case 0:
			snprintf(options, sizeof(options), "verify=%s", rnd(2) ? "once" : "always");
			break;
		case 1:
			snprintf(options, sizeof(options), "policy=%s", rnd(3) ? "auto" : "none");
			break;
		default:
			snprintf(options, sizeof(options), "read_timeout_ms=%u",
				 side == PATIENT ? rnd(2) * 3600000 : 5 + rnd(50));
		}
		if (mount("any", mounts[side].dir, NULL, MS_REMOUNT, options))
			wrong("remount with %s: %s", options, strerror(errno));
		count(C_REMOUNTS, 1);
		usleep(rnd(100000));
		if (i % 32 == 0)
			mount_again(&mounts[QUICK]);
	}
	return NULL;
}

static void *reclaim_on(void *arg)
{
	static const char *const what[] = { "1", "3", "1", "2" };
	unsigned int i;

	(void)arg;
	state = SEED + 60;
	for (i = 0; !get(shared->stop_readers); i++) {
		if (!write_text("/proc/sys/vm/drop_caches", what[i % 4]))
			wrong("drop_caches: %s", strerror(errno));
		count(C_DROPS, 1);
		usleep(rnd(100000));
		if (!groups)
			continue;
		/* It need not find as much. */
		group_write("readers", "memory.reclaim", "2M");
		group_write("fillers", "memory.reclaim", "2M");
		group_write("readers", "memory.max", i % 3 ? "10M" : "20M");
		group_write("fillers", "memory.max", i % 5 ? "12M" : "8M");
		usleep(rnd(100000));
	}
	return NULL;
}

/* The whole */

static void make_side(unsigned int side, const char *options)
{
	struct test_fs *fs = &mounts[side];
	struct hand *hand = new_hand((void *)(unsigned long)side);
	unsigned int i, k;

	snprintf(fs->image, sizeof(fs->image), "%u.img", side);
	snprintf(fs->dir, sizeof(fs->dir), "at/%u", side);
	snprintf(fs->options, sizeof(fs->options), "%s", options);
	fs_mount(fs);
	if (side == QUICK) {
		close(fs->cmd);
		fs->cmd = -1;
	}
	/* So that there is what to read from the start. */
	for (i = 1; i <= KEPT + 1; i++) {
		begin_file(hand, i);
		for (k = 0; k < BLOCKS && i <= KEPT; k += RUN)
			fill_some(hand, i, k, RUN, C_FILLED);
	}
	end_hand(hand);
}

/* Where a mount is not, nothing comes to be in its place. */
static void make_dirs(void)
{
	if (mkdir("at", 0755) || mount("at", "at", "tmpfs", 0, "size=64k") ||
	    mkdir("at/0", 0755) || mkdir("at/1", 0755) ||
	    mount("at", "at", NULL, MS_REMOUNT | MS_RDONLY, ""))
		bail_out("tmpfs");
}

static void look_for_stuck(void)
{
	__u64 since, now = now_ms();
	int i;

	for (i = 0; i < READERS * THREADS; i++) {
		since = get(shared->watch[i].since);
		if (!since || now < since + (__u64)STUCK * slow)
			continue;
		wrong("a reader is stuck: side %u, file %u, offset %llu, by %s",
		      shared->watch[i].side, shared->watch[i].file, shared->watch[i].offset,
		      counts[shared->watch[i].kind].name);
		set(shared->watch[i].since, now);
	}
}

/* Did all happen that has to? */
static bool enough(void)
{
	int i;

	for (i = 0; i < NR_COUNTS; i++)
		if (i != C_WAITS && i != C_RECLAIMS && get(shared->count[i]) < counts[i].least)
			return false;
	return true;
}

/* Returns whether it ends within a minute. */
static bool ends(pid_t pid)
{
	__u64 end = now_ms() + (__u64)STUCK * slow;
	int status;

	while (!waitpid(pid, &status, WNOHANG)) {
		if (now_ms() > end)
			return false;
		usleep(10000);
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		wrong("process %d: status %x", pid, status);
	return true;
}

static void run_all(unsigned int seconds)
{
	static void *(*const changes[])(void *) = { swap_on, remount_on, reclaim_on };
	pid_t readers[READERS + 2], fillers[SIDES];
	__u64 end = now_ms() + seconds * 1000ull;
	pthread_t threads[3];
	unsigned int i, left = 0;

	for (i = 0; i < SIDES; i++)
		if (!(fillers[i] = start("fillers")))
			be_filler(i);
	for (i = 0; i < READERS + 2; i++) {
		readers[i] = start("readers");
		if (!readers[i] && i < READERS)
			be_reader(i * THREADS);
		if (!readers[i] && i == READERS)
			be_killer();
		if (!readers[i])
			be_hog();
	}
	for (i = 0; i < 3; i++)
		start_thread(&threads[i], changes[i], 0);
	/* Where all is slow, until there was some of everything. */
	while (now_ms() < end || (!enough() && now_ms() < end + 4ull * STUCK * slow)) {
		usleep(200000);
		look_for_stuck();
	}
	set(shared->stop_readers, true);
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	/* Those who wait are served to the last. */
	for (i = 0; i < READERS + 2; i++)
		left += !ends(readers[i]);
	is_int(left, 0, "all readers end");
	set(shared->stop_fillers, true);
	for (i = 0, left = 0; i < SIDES; i++)
		left += !ends(fillers[i]);
	is_int(left, 0, "all fillers end");
}

/* What was full is so after the image was mounted again. */
static void check_side(unsigned int side)
{
	struct test_fs *fs = &mounts[side];
	unsigned int newest = shared->sides[side].newest, file;
	unsigned long before = shared->wrong;
	char *buf = new_buffer();
	__u64 at;
	int fd;

	if (fs->cmd < 0)
		fs->cmd = fs_open_cmd(fs, O_RDWR);
	add_waits(fs);
	is_int(count_pending(fs), 0, "side %u: nobody waits in the end", side);
	fs_unmount(fs);
	is_int(run_shell("incfs image check '%s' > log 2>&1 || { cat log; exit 1; }", fs->image),
	       0, "side %u: the image is sound", side);
	fs_mount(fs);
	for (file = newest - KEPT; file < newest; file++) {
		fd = open_one(side, file, 0);
		for (at = 0; at < file_size(file); at += READ_MAX) {
			struct access access = { side, file, C_PREAD, at, READ_MAX };
			ssize_t got = read_by(&access, fd, buf);

			judge(&access, got, errno);
		}
		close(fd);
	}
	is_int(shared->wrong, before, "side %u: mounted again, it has what it had", side);
	fs_unmount(fs);
	free(buf);
}

int main(int argc, char **argv)
{
	const char *factor = getenv("INCFS_TIMEOUT_FACTOR"), *is_long = getenv("INCFS_LONG");
	unsigned int seconds = is_long && *is_long ? SECONDS_LONG : SECONDS, i;

	slow = factor && atoi(factor) > 1 ? atoi(factor) : 1;
	seconds = argc > 1 ? (unsigned int)atoi(argv[1]) : seconds;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (shared == MAP_FAILED)
		bail_out("mmap");
	state = SEED;
	make_dirs();
	make_groups();
	make_side(PATIENT, "read_timeout_ms=0,policy=auto,max_files=10000");
	make_side(QUICK, "read_timeout_ms=20,policy=auto,max_files=10000");
	load_policies();
	run_all(seconds);
	for (i = 0; i < SIDES; i++)
		check_side(i);
	is_int(shared->wrong, 0, "no byte was wrong, and no call failed that should not");
	if (shared->wrong)
		diag("%s", shared->why);
	if (groups) {
		count(C_RECLAIMS, groups_read("memory.stat", "pgsteal"));
		diag("the limits of memory were met %lu times",
		     groups_read("memory.events", "max"));
		is_int(groups_read("memory.events", "oom_kill"), 0, "nobody was out of memory");
		remove_groups();
	} else {
		skip(1, "there are no memory control groups");
	}
	for (i = 0; i < NR_COUNTS; i++) {
		diag("%10lu %s", shared->count[i], counts[i].name);
		if (!counts[i].least)
			continue;
		if (i == C_RECLAIMS && !groups)
			skip(1, "there are no memory control groups");
		else
			ok(shared->count[i] >= counts[i].least, "%s", counts[i].name);
	}
	ok(plain->bss->asked && holding->bss->asked && plain->bss->pended && holding->bss->pended,
	   "both policies were asked, and told of waits");
	ok(books_closed(plain) && books_closed(holding), "no call of a policy was out of order");
	stop_probe(plain);
	probe_bpf__destroy(holding);
	umount("at");
	return done();
}
