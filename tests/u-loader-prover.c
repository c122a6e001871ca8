// SPDX-License-Identifier: GPL-2.0-only
/*
 * The process that reads old blocks: what it says is what is there, of the file that was
 * meant; it has nothing of the loader's, and is gone when the loader is.
 */
#include "lib/tap.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "prover.h"

#define BLOCK INCFS_BLOCK_SIZE
#define TAIL 100

static unsigned char contents[5 * BLOCK + TAIL];
static struct incfs_digest found[INCFS_PROVER_BLOCKS];

static void write_file(const char *name, unsigned char start)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	for (size_t i = 0; i < sizeof(contents); i++)
		contents[i] = start + i / 7;
	if (write(fd, contents, sizeof(contents)) != sizeof(contents))
		abort();
	close(fd);
}

static __u64 inode(const char *name)
{
	struct stat st;

	return stat(name, &st) ? 0 : st.st_ino;
}

/* Returns as incfs_prover_take(), when there is an answer. */
static int ask(struct incfs_prover *prover, const char *path, __u64 ino, __u32 first,
	       __u32 count)
{
	struct pollfd fd = { .fd = prover->fd, .events = POLLIN };

	memset(found, 0, sizeof(found));
	if (incfs_prover_ask(prover, path, ino, first, count))
		return -3;
	poll(&fd, 1, 20000);
	return incfs_prover_take(prover, found);
}

static bool is_right(__u32 first, int nr)
{
	for (int i = 0; i < nr; i++) {
		size_t at = (first + i) * BLOCK, size = sizeof(contents) - at;
		struct incfs_digest want;

		if (incfs_digest(contents + at, size < BLOCK ? size : BLOCK, &want) ||
		    memcmp(&want, &found[i], sizeof(want)))
			return false;
	}
	return true;
}

static void test_answers(struct incfs_prover *prover)
{
	__u64 ino;

	mkdir("dir", 0755);
	write_file("dir/file", 1);
	ino = inode("dir/file");
	ok(incfs_prover_take(prover, found) == -1, "there is no answer without a question");
	ok(ask(prover, "dir/file", ino, 0, 6) == 6 && is_right(0, 6), "all blocks of a file");
	ok(ask(prover, "dir/file", ino, 2, 2) == 2 && is_right(2, 2), "some of them");
	ok(ask(prover, "dir/file", ino, 4, 128) == 2 && is_right(4, 2),
	   "past the end there are fewer");
	ok(ask(prover, "dir/file", ino, 6, 1) == 0, "or none");
	ok(ask(prover, "dir/other", ino, 0, 6) == 0, "a file that is not there has none");
	ok(ask(prover, "dir", inode("dir"), 0, 6) == 0, "nor has a directory");
	if (symlink("dir/file", "link") || symlink("dir", "way") || mkfifo("fifo", 0644))
		abort();
	ok(ask(prover, "link", ino, 0, 6) == 0, "a symbolic link is not followed");
	ok(ask(prover, "way/file", ino, 0, 6) == 0, "nor one on the way");
	ok(ask(prover, "../file", ino, 0, 6) == 0, "no path leads out");
	ok(ask(prover, "fifo", inode("fifo"), 0, 6) == 0, "a fifo is not waited for");
	ok(ask(prover, "dir/file", ino + 1, 0, 6) == 0, "another inode is not taken for it");
	ok(ask(prover, "dir/file", ino, 0, 6) == 6 && is_right(0, 6), "it goes on after all that");
	write_file("dir/new", 9);
	if (rename("dir/new", "dir/file"))
		abort();
	ok(ask(prover, "dir/file", inode("dir/file"), 0, 6) == 0,
	   "one that has taken its place is not the one that is open");
	ask(prover, "dir/other", ino, 0, 1);
	ok(ask(prover, "dir/file", inode("dir/file"), 0, 6) == 6 && is_right(0, 6),
	   "later it is");
	ok(ask(prover, "dir/file", ino, 0, 6) == 0, "and the old one is gone");
}

/* The lock of an image is that of whoever has the file open. */
static void test_lock(void)
{
	int root = open(".", O_RDONLY | O_DIRECTORY), fd = open("lock", O_RDWR | O_CREAT, 0644);
	struct incfs_prover prover = {};
	int again;

	flock(fd, LOCK_EX | LOCK_NB);
	ok(!incfs_prover_start(&prover, root), "one is started beside a lock");
	ask(&prover, "dir/file", 0, 0, 1);
	close(fd);
	again = open("lock", O_RDWR);
	ok(!flock(again, LOCK_EX | LOCK_NB), "and does not have it");
	close(again);
	incfs_prover_stop(&prover);
	close(root);
}

static void test_stop(struct incfs_prover *prover)
{
	pid_t pid = prover->pid;

	incfs_prover_stop(prover);
	ok(!prover->pid && kill(pid, 0) && errno == ESRCH, "when it is stopped it is gone");
	incfs_prover_stop(prover);
	ok(!prover->pid, "stopping it twice does no harm");
}

/* Killed, whoever started it is no more; whoever holds the other end of @fds is told. */
static void test_death(int root)
{
	int fds[2];
	pid_t pid;
	char c;

	if (pipe(fds))
		abort();
	pid = fork();
	if (!pid) {
		struct incfs_prover prover = {};

		close(fds[0]);
		/* It may not close its own standard output: that is this pipe. */
		dup2(fds[1], 1);
		close(fds[1]);
		_exit(incfs_prover_start(&prover, root) ? 1 : 0);
	}
	close(fds[1]);
	waitpid(pid, NULL, 0);
	alarm(30);
	ok(read(fds[0], &c, 1) == 0, "it dies with who has started it");
	alarm(0);
	close(fds[0]);
}

int main(void)
{
	struct incfs_prover prover = {};
	int root = open(".", O_RDONLY | O_DIRECTORY);

	ok(!incfs_prover_start(&prover, root), "it is started");
	test_answers(&prover);
	test_lock();
	test_stop(&prover);
	test_death(root);
	close(root);
	return done();
}
