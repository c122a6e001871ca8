/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For tests of crashes: a fill of an image that keeps books.
 *
 * What step N does follows from the seed and the steps before it alone, so the
 * books can be written again after a crash, without having done anything, and
 * the fill can go on behind the last step that is known to have been synced:
 * what is done twice does no harm.
 */
#ifndef INCFS_TESTS_LEDGER_H
#define INCFS_TESTS_LEDGER_H

#include "incfs.h"

#define LEDGER_FILES 160
#define LEDGER_BLOCKS 32

/* struct ledger_file - a file; steps are counted from 1, 0 is never */
struct ledger_file {
	char name[32];
	__u64 ino;			/* 0: not known */
	__u64 size;
	__u32 blocks;
	bool attrs;			/* made by INCFS_IOC_CREATE */
	unsigned int made;		/* step */
	unsigned int removed;		/* step in which its name went */
	unsigned int filled[LEDGER_BLOCKS];	/* steps */
};

enum ledger_what {
	LEDGER_MAKE,
	LEDGER_REMOVE,
	LEDGER_FILL,
	LEDGER_SYNC,
};

struct ledger_step {
	enum ledger_what what;
	struct ledger_file *file;
	__u32 first, count;		/* blocks to fill; which way to sync */
};

struct ledger {
	__u64 random;
	unsigned int steps;
	unsigned int nr_files;
	struct ledger_file files[LEDGER_FILES];
};

/* struct ledger_result - what has become of an image */
struct ledger_result {
	unsigned int names, blocks;	/* found, and right */
	unsigned int kept;		/* blocks among them that had been synced */
	unsigned int lost;		/* names and blocks that had been synced, and are not there */
	unsigned int wrong;		/* what should not be so, each said by diag() */
	unsigned int damaged;		/* blocks that failed their check, and were filled again */
};

void ledger_init(struct ledger *ledger, unsigned int seed);
/* Write the next step into the books; nothing is done. */
struct ledger_step ledger_next(struct ledger *ledger);
/* Do it; what has been done already is left as it is. 0, or -1 and errno. */
int ledger_do(const struct test_fs *fs, const struct ledger_step *step);
/*
 * Let some of the image file go to the disk before it has to, as when memory is
 * short: entries without their data, links without their records.
 */
void ledger_write_back(int image, unsigned int step);
/* Do the steps up to @steps; @synced is told of each sync that was acknowledged. */
void ledger_fill(const struct test_fs *fs, struct ledger *ledger, unsigned int steps,
		 void (*synced)(unsigned int steps));
/*
 * Compare the image with the books: what was done up to step @synced has to be
 * there, what was done after it may be there, anything else may not. Adds to
 * @result.
 */
void ledger_check(const struct test_fs *fs, struct ledger *ledger, unsigned int synced,
		  struct ledger_result *result);

#endif
