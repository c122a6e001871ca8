/* SPDX-License-Identifier: MIT */
/*
 * A process that reads blocks of a mount and computes their SHA-256. Whoever reads a
 * mount may have to wait for its loader: for a block that turns out to be damaged, or
 * that a policy holds back. So the loader itself never does, and can kill who does.
 */
#ifndef _INCFS_PROVER_H
#define _INCFS_PROVER_H

#include <linux/types.h>
#include <sys/types.h>

#include "bundle.h"

/* Most blocks of a question. */
#define INCFS_PROVER_BLOCKS 128u

/* struct incfs_prover - the process, 0 if there is none; @fd is polled for its answer */
struct incfs_prover {
	pid_t pid;
	int fd;
};

/* @root_fd: of the mount. Returns 0, or -1 with errno. */
int incfs_prover_start(struct incfs_prover *prover, int root_fd);
void incfs_prover_stop(struct incfs_prover *prover);

/*
 * Ask for blocks of the file @path below the root, which must have this inode number.
 * It stays open until the next question. One question at a time. Returns 0, or -1.
 */
int incfs_prover_ask(struct incfs_prover *prover, const char *path, __u64 ino, __u32 first,
		     __u32 count);

/*
 * The answer: how many digests there are, which are fewer than were asked for when the
 * rest can't be read. -1 if there is no answer yet, -2 if there will be none.
 */
int incfs_prover_take(struct incfs_prover *prover,
		      struct incfs_digest digests[INCFS_PROVER_BLOCKS]);

#endif /* _INCFS_PROVER_H */
