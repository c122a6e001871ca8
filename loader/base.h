/* SPDX-License-Identifier: MIT */
/*
 * What a bundle has in common with another, its base (docs/bundle.md has the format):
 *
 *	incfs-base 1
 *	t 12
 *	0 500 0
 *	f lib/old
 *	500 3 700
 *	end 4
 */
#ifndef _INCFS_BASE_H
#define _INCFS_BASE_H

#include <linux/types.h>
#include <stddef.h>

#include "bundle.h"
#include "list.h"

#define INCFS_BASE_HEADER "incfs-base 1"
/* Limits; each run has at most two lines before it that are its own. */
#define INCFS_BASE_MAX_RUNS (1u << 20)

/**
 * struct incfs_base_run - blocks that a file of the base has as well
 * @entry:      the file that has them here, by its place in the list
 * @first:      the first of them here
 * @count:      how many, not 0
 * @from:       the file of the base, by its place in @from of struct incfs_base
 * @from_block: the first of them there
 */
struct incfs_base_run {
	__u32 entry;
	__u32 first;
	__u32 count;
	__u32 from;
	__u32 from_block;
};

/* struct incfs_base - all of them, in the order of the list; @from has paths in the base */
struct incfs_base {
	char *text;
	struct incfs_base_run *runs;
	const char **from;
	size_t nr_runs, nr_from;
	__u64 nr_blocks;
	char error[256];
};

/*
 * Parse @size bytes at @text, which must come from malloc() and belong to the base from
 * now on, also when it is refused. @list is that of the bundle, and must live as long.
 * Returns 0, -ENOMEM, or -EINVAL with the line and the reason in @base->error.
 */
int incfs_base_parse(struct incfs_base *base, const struct incfs_list *list, char *text,
		     size_t size);
void incfs_base_destroy(struct incfs_base *base);

/* The run with block @block of entry @entry of the list, or NULL. */
const struct incfs_base_run *incfs_base_find(const struct incfs_base *base, size_t entry,
					     __u32 block);

/*
 * base_pack.c: the blocks of a bundle on the disk, by their digests. NULL after saying
 * what is wrong with it. Nothing but its index is read, and that is proved.
 */
struct incfs_base_index *incfs_base_open(const char *bundle);
void incfs_base_close(struct incfs_base_index *index);

/*
 * What the files of @list, whose entries of the block table are at @blocks, have in
 * common with the base: *@text, which the caller frees, and in @head what it says of it.
 * Returns 0, or -1 after saying what is wrong.
 */
int incfs_base_compare(const struct incfs_base_index *index, const struct incfs_list *list,
		       const unsigned char *blocks, struct incfs_bundle_head *head, char **text);

#endif /* _INCFS_BASE_H */
