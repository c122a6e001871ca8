/* SPDX-License-Identifier: MIT */
/*
 * Blocks that the image has already, in another version of the tree: what a bundle has
 * in common with its base is not fetched but shared within the image, after it has been
 * read there and found to be what was packed.
 *
 *	read incfs.base -> for each slice: is it there? -> its digests, from the block
 *	table, and those of what is there -> share what is equal, leave the rest to be
 *	fetched
 *
 * One slice at a time, and those first that readers wait for.
 */
#ifndef _INCFS_SHARE_H
#define _INCFS_SHARE_H

#include <linux/types.h>
#include <stdbool.h>
#include <stdint.h>

#include "base.h"
#include "prover.h"
#include "queue.h"
#include "source.h"

struct incfs_fetcher;
struct incfs_mount;

enum incfs_sharing_state {
	INCFS_SHARING_OVER,	/* or never begun */
	INCFS_SHARING_WAIT,	/* incfs.base is to be asked for */
	INCFS_SHARING_READ,	/* it has been */
	INCFS_SHARING_NEXT,	/* the next slice is to be begun */
	INCFS_SHARING_SLICE,	/* one is under way */
};

/* What readers wait for; it is told again every second. */
#define INCFS_SHARING_DEMAND 64

/**
 * struct incfs_sharing
 * @subdir:   of the base, below the root of the mount
 * @next_run: where the next slice begins if nobody waits, at @next_block of the file
 * @run:      that the slice is of: @slice of a file has to become what is from
 *            @from_block on in inode @from_ino, which has @from_blocks blocks
 * @wanted:   the digests that it must have; @asked: they are on their way
 * @found:    those that it has, @nr_found; -1: not known yet
 * @from:     the file of the base that @from_ino is of
 * @deadline: the prover is given up then
 * @retry_at: nothing is done before, after @failures
 * @stuck:    how often the prover had to wait
 * @shared:   blocks that were shared; @refused: that were not the same or not there
 */
struct incfs_sharing {
	enum incfs_sharing_state state;
	struct incfs_mount *mount;
	struct incfs_fetcher *fetcher;
	const struct incfs_list *list;
	char *subdir;
	struct incfs_base base;
	struct incfs_prover prover;
	struct incfs_request request;
	__u64 version;
	unsigned char *text;
	size_t next_run;
	__u32 next_block;
	struct incfs_range demand[INCFS_SHARING_DEMAND];
	unsigned int nr_demand;
	const struct incfs_base_run *run;
	struct incfs_range slice;
	__u32 from, from_block, from_blocks;
	uint64_t from_ino;
	struct incfs_digest wanted[INCFS_PROVER_BLOCKS], found[INCFS_PROVER_BLOCKS];
	bool asked;
	int nr_found;
	enum incfs_source_result result;
	__u64 deadline;
	__u64 retry_at;
	unsigned int failures, stuck;
	__u64 shared, refused;
};

/*
 * Look for the base of the bundle that the source is among the directories at the root of
 * the mount. All else is done by incfs_sharing_run(). The fetcher's background waits until
 * it is known what need not be fetched.
 */
void incfs_sharing_init(struct incfs_sharing *share, struct incfs_mount *mount,
			struct incfs_fetcher *fetcher, const struct incfs_list *list);
/* After the source has been closed, which has a request of ours. */
void incfs_sharing_exit(struct incfs_sharing *share);

/* To be polled for reading; -1 for none. */
int incfs_sharing_fd(const struct incfs_sharing *share);
/* Milliseconds until incfs_sharing_run() has something to do, -1 for none. */
int incfs_sharing_timeout(const struct incfs_sharing *share);
/* Not from within a callback of the source. */
void incfs_sharing_run(struct incfs_sharing *share);

/* Readers wait for these blocks. */
void incfs_sharing_demand(struct incfs_sharing *share, struct incfs_file *file, __u32 first,
			  __u32 count);

/* Somebody waits for a block of an inode that is none of the list: it may be the prover. */
void incfs_sharing_waits(struct incfs_sharing *share, __u64 ino, __u32 block);

#endif /* _INCFS_SHARE_H */
