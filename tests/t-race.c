// SPDX-License-Identifier: GPL-2.0-only
/*
 * Names that go while they are used: files that are open, read and mapped lose
 * their names and are filled all the same; look-ups and listings run while names
 * come and go, and never show what has gone, twice what is there, or too little.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <sched.h>

#include "lib/incfs.h"
#include "lib/tap.h"

#define ROOT INCFS_ROOT_INODE
/* How long each race is run, in ms. */
#define RACE_MS 3500
#define LOOKERS 3
#define KEPT 300

static struct test_fs fs;
static bool stop;
static unsigned long wrong, looked, listed, jumped;

static bool stopped(void)
{
	return __atomic_load_n(&stop, __ATOMIC_RELAXED);
}

static void count(unsigned long *what)
{
	__atomic_add_fetch(what, 1, __ATOMIC_RELAXED);
}

static void start(pthread_t *threads, int nr, void *(*run)(void *), void *arg)
{
	__atomic_store_n(&stop, false, __ATOMIC_RELAXED);
	while (nr--) {
		if (pthread_create(&threads[nr], NULL, run, arg))
			bail_out("pthread_create");
	}
}

static void end(pthread_t *threads, int nr)
{
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	while (nr--)
		pthread_join(threads[nr], NULL);
}

/* Every user of a file, while its only name goes. */

struct user {
	pthread_t thread;
	__u64 ino;
	__u32 block;
	bool mapped;
	int fd;
	char *map;
	bool right;
};

static void *use_block(void *arg)
{
	struct user *user = arg;
	char data[BLOCK];

	if (user->mapped)
		user->right = is_expected(user->ino, user->block,
					  user->map + user->block * BLOCK, BLOCK);
	else
		user->right = pread(user->fd, data, BLOCK, (off_t)user->block * BLOCK) == BLOCK &&
			      is_expected(user->ino, user->block, data, BLOCK);
	return NULL;
}

/*
 * One file: half of its readers wait when the name goes, half come at that very
 * moment; then the blocks come. Returns whether all was as it should be.
 */
static bool lose_name(int round)
{
	struct user users[8];
	char name[16];
	bool right;
	struct stat st;
	__u64 ino;
	char *map;
	int fd, i;

	snprintf(name, sizeof(name), "lost-%d", round);
	ino = make_file(&fs, ROOT, name, 8 * BLOCK);
	fd = fs_open(&fs, name);
	map = mmap(NULL, 8 * BLOCK, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		bail_out("mmap");
	for (i = 0; i < 8; i++) {
		users[i] = (struct user) {
			.ino = ino, .block = i, .mapped = i & 1, .fd = fd, .map = map,
		};
		if (i == 4 && !wait_until(count_pending(&fs) == 4))
			bail_out("readers that wait");
		pthread_create(&users[i].thread, NULL, use_block, &users[i]);
	}
	right = !try_remove(fs.cmd, ROOT, ino, name);
	right &= stat(fs_path(&fs, name), &st) == -1 && errno == ENOENT;
	right &= open(fs_path(&fs, name), O_RDONLY) == -1 && errno == ENOENT;
	right &= !fstat(fd, &st) && st.st_nlink == 0 && st.st_ino == ino && st.st_size == 8 * BLOCK;
	for (i = 7; i >= 0; i--) {
		fill_raw(&fs, ino, i, BLOCK);
		pthread_join(users[i].thread, NULL);
		right &= users[i].right;
	}
	close(fd);
	/* The mapping alone holds the file now. */
	right &= !madvise(map, 8 * BLOCK, MADV_DONTNEED);
	for (i = 0; i < 8; i++)
		right &= is_expected(ino, i, map + i * BLOCK, BLOCK);
	munmap(map, 8 * BLOCK);
	/* By another name it is the same file. */
	right &= !try_add(fs.cmd, ROOT, ino, name) && block_reads(&fs, name, ino, 3, BLOCK);
	right &= !try_remove(fs.cmd, ROOT, 0, name);
	return right;
}

static void test_lose_names(void)
{
	__u64 until = now_ms() + RACE_MS;
	int rounds = 0, right = 0;

	for (; now_ms() < until || !rounds; rounds++)
		right += lose_name(rounds);
	ok(right == rounds, "files in use are filled and read when their names go (%d of %d)",
	   right, rounds);
	is_int(count_pending(&fs), 0, "nobody waits in the end");
}

/* A look-up that began before the change must not leave what was before it. */

static void *look_up(void *arg)
{
	struct stat st;

	(void)arg;
	while (!stopped()) {
		if (stat(fs_path(&fs, "looked/at"), &st) && errno != ENOENT)
			count(&wrong);
		count(&looked);
	}
	return NULL;
}

/* So that look-ups have to ask the file system, and inodes are made anew. */
static void *forget(void *arg)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	(void)arg;
	while (!stopped()) {
		if (write(fd, "2", 1) != 1)
			bail_out("drop_caches");
		usleep(1000);
	}
	close(fd);
	return NULL;
}

static bool shows(__u64 ino)
{
	struct stat st;

	if (stat(fs_path(&fs, "looked/at"), &st))
		return !ino && errno == ENOENT;
	return st.st_ino == ino;
}

static void test_look_up(void)
{
	pthread_t lookers[LOOKERS], forgetting;
	__u64 dir = make_dir(&fs, ROOT, "looked"), inos[2], until;
	unsigned long changes = 0;
	int i;

	for (i = 0; i < 2; i++) {
		if (try_new(fs.cmd, S_IFREG | 0444, 0, &inos[i]))
			bail_out("NEW_FILE");
	}
	wrong = 0;
	start(lookers, LOOKERS, look_up, NULL);
	start(&forgetting, 1, forget, NULL);
	for (until = now_ms() + RACE_MS; now_ms() < until; changes++) {
		if (try_add(fs.cmd, dir, inos[changes & 1], "at") || !shows(inos[changes & 1]))
			count(&wrong);
		sched_yield();
		if (try_remove(fs.cmd, dir, 0, "at") || !shows(0))
			count(&wrong);
		sched_yield();
	}
	end(lookers, LOOKERS);
	end(&forgetting, 1);
	is_int(wrong, 0, "a name is there once added, as what it is, and not once removed");
	ok(changes > 10 && looked > 10, "while others look it up (%lu changes, %lu look-ups)",
	   changes, looked);
}

/*
 * A listing, with jumps back to where it has been. The names are long, so that it
 * takes several calls of getdents64(2), between which the directory changes.
 */

static void long_name(char *name, const char *start, int number)
{
	sprintf(name, "%s-%d-%0200d", start, number, 0);
}

static bool is_kept(const char *name, int *number)
{
	return sscanf(name, "kept-%d", number) == 1 && *number >= 0 && *number < KEPT;
}

/* After a jump to where @number was, it comes next of those that stay. */
static void check_jump(DIR *dir, long at, int number)
{
	struct dirent *entry;
	int found = -1;

	seekdir(dir, at);
	while ((entry = readdir(dir)) && !is_kept(entry->d_name, &found))
		;
	if (found != number)
		count(&wrong);
	count(&jumped);
}

static void list_once(unsigned int *seed)
{
	DIR *dir = opendir(fs_path(&fs, "listed"));
	bool seen[KEPT] = {};
	struct dirent *entry;
	int number, last = -1;
	long at;

	if (!dir)
		bail_out("opendir");
	while (at = telldir(dir), entry = readdir(dir)) {
		if (!is_kept(entry->d_name, &number))
			continue;
		/* Each of them once, and in order of insertion. */
		if (seen[number] || number != last + 1)
			count(&wrong);
		seen[number] = true;
		last = number;
		if (rand_r(seed) % 16 == 0)
			check_jump(dir, at, number);
	}
	if (last != KEPT - 1)
		count(&wrong);
	closedir(dir);
	count(&listed);
}

static void *list(void *arg)
{
	unsigned int seed = (unsigned long)&arg >> 12;

	while (!stopped())
		list_once(&seed);
	return NULL;
}

static void test_list(void)
{
	__u64 dir = make_dir(&fs, ROOT, "listed"), file, until;
	pthread_t listers[LOOKERS];
	unsigned long changes = 0;
	char name[256];
	int i;

	if (try_new(fs.cmd, S_IFREG | 0444, 0, &file))
		bail_out("NEW_FILE");
	/* Of those that stay, every second has one before it that does not. */
	for (i = 0; i < KEPT; i++) {
		long_name(name, "goes", i);
		if (i % 2 && try_add(fs.cmd, dir, file, name))
			bail_out("ADD_DIR_ENTRY");
		long_name(name, "kept", i);
		if (try_add(fs.cmd, dir, file, name))
			bail_out("ADD_DIR_ENTRY");
	}
	wrong = 0;
	start(listers, LOOKERS, list, NULL);
	for (until = now_ms() + RACE_MS; now_ms() < until || changes <= KEPT; changes++) {
		long_name(name, "goes", changes * 2 % KEPT + 1);
		if (try_remove(fs.cmd, dir, file, name) || try_add(fs.cmd, dir, file, name))
			count(&wrong);
	}
	end(listers, LOOKERS);
	is_int(wrong, 0, "names that stay are listed once and in order, also after jumps back");
	ok(changes > KEPT && listed && jumped,
	   "while others come and go (%lu changes, %lu listings, %lu jumps)", changes, listed,
	   jumped);
}

int main(void)
{
	fs_mount_new(&fs, "fs", "read_timeout_ms=0,max_files=100000");
	test_lose_names();
	test_look_up();
	test_list();
	fs_cycle(&fs);
	is_errno(access(fs_path(&fs, "looked/at"), F_OK), ENOENT,
		 "what was removed last stays removed after a remount");
	fs_unmount(&fs);
	return done();
}
