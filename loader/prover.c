// SPDX-License-Identifier: MIT
/* A process that reads blocks of a mount and computes their SHA-256. */
#include "prover.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util.h"

/* Room for the name of a directory before a path of a list. */
#define PATH_BYTES (INCFS_LIST_MAX_PATH + 1 + INCFS_LIST_MAX_NAME + 1)

struct question {
	__u64 ino;
	__u32 first;
	__u32 count;
	char path[PATH_BYTES];
};

/* The one that was asked about last. */
struct proved_file {
	int fd;
	char path[PATH_BYTES];
};

static bool open_file(struct proved_file *file, int root_fd, const struct question *question)
{
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};
	struct stat st;

	if (file->fd < 0 || strcmp(file->path, question->path)) {
		if (file->fd >= 0)
			close(file->fd);
		file->fd = syscall(SYS_openat2, root_fd, question->path, &how, sizeof(how));
		memcpy(file->path, question->path, sizeof(file->path));
	}
	/* As long as it is open nobody else has its number. */
	return file->fd >= 0 && !fstat(file->fd, &st) && S_ISREG(st.st_mode) &&
	       st.st_ino == question->ino;
}

/* Returns how many blocks there were. */
static __u32 digest_blocks(int fd, const struct question *question, unsigned char *buf,
			   struct incfs_digest *digests)
{
	__u64 offset = (__u64)question->first * INCFS_BLOCK_SIZE;
	__u32 size = question->count * INCFS_BLOCK_SIZE, have = 0, nr = 0;
	ssize_t got;

	while (have < size && (got = pread(fd, buf + have, size - have, offset + have)) > 0)
		have += got;
	for (__u32 at = 0; at < have; at += INCFS_BLOCK_SIZE, nr++) {
		if (incfs_digest(buf + at, incfs_min(have - at, INCFS_BLOCK_SIZE), &digests[nr]))
			break;
	}
	return nr;
}

/* Nothing of the loader's is touched but these two descriptors, not even the image's lock. */
static void child(int fd, int root_fd)
{
	static struct incfs_digest digests[INCFS_PROVER_BLOCKS];
	static struct proved_file file = { .fd = -1 };
	unsigned char *buf = malloc(INCFS_PROVER_BLOCKS * INCFS_BLOCK_SIZE);
	static struct question question;

	if (!buf)
		_exit(1);
	while (recv(fd, &question, sizeof(question), 0) > 0) {
		__u32 nr = 0;

		if (open_file(&file, root_fd, &question))
			nr = digest_blocks(file.fd, &question, buf, digests);
		/* Not even one is an answer, but an empty one would be the end. */
		if (send(fd, digests, nr ? nr * sizeof(digests[0]) : 1, MSG_NOSIGNAL) < 0)
			break;
	}
	_exit(0);
}

int incfs_prover_start(struct incfs_prover *prover, int root_fd)
{
	pid_t parent = getpid();
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
		return -1;
	prover->pid = fork();
	if (!prover->pid) {
		int low = incfs_min(fds[1], root_fd), high = incfs_max(fds[1], root_fd);

		/* No loader, no prover: it would keep the mount in use. */
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
			_exit(1);
		if ((low > 3 && close_range(3, low - 1, 0)) ||
		    (high > low + 1 && close_range(low + 1, high - 1, 0)) ||
		    close_range(high + 1, ~0u, 0))
			_exit(1);
		child(fds[1], root_fd);
	}
	close(fds[1]);
	if (prover->pid < 0) {
		prover->pid = 0;
		close(fds[0]);
		return -1;
	}
	prover->fd = fds[0];
	return 0;
}

void incfs_prover_stop(struct incfs_prover *prover)
{
	if (!prover->pid)
		return;
	close(prover->fd);
	kill(prover->pid, SIGKILL);
	while (waitpid(prover->pid, NULL, 0) < 0 && errno == EINTR)
		;
	prover->pid = 0;
}

int incfs_prover_ask(struct incfs_prover *prover, const char *path, __u64 ino, __u32 first,
		     __u32 count)
{
	struct question question = { .ino = ino, .first = first, .count = count };

	if (strlen(path) >= sizeof(question.path))
		return -1;
	memcpy(question.path, path, strlen(path));
	return send(prover->fd, &question, sizeof(question), MSG_NOSIGNAL) == sizeof(question) ?
		0 : -1;
}

int incfs_prover_take(struct incfs_prover *prover,
		      struct incfs_digest digests[INCFS_PROVER_BLOCKS])
{
	ssize_t got = recv(prover->fd, digests, INCFS_PROVER_BLOCKS * sizeof(*digests),
			   MSG_DONTWAIT);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return -1;
	return got <= 0 ? -2 : got / (ssize_t)sizeof(*digests);
}
