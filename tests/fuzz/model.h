/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a mount makes of the records of an image, in the simplest way there is:
 * arrays, searched from end to end. It says what docs/format.md says, and is no
 * copy of kmod/tree.c: the two have to agree.
 */
#ifndef INCFS_FUZZ_MODEL_H
#define INCFS_FUZZ_MODEL_H

#include "format.h"
#include "walk.h"

#define INCFS_ROOT_INO 2

struct model_inode {
	__u64 ino, size;
	__u16 mode;
	bool has_attrs;
	__u64 map_offset;	/* 0: none */
	__u64 parent;		/* of a directory; 0: none */
	unsigned int names;
};

struct model_name {
	__u64 dir, ino;
	__u8 len;
	char name[INCFS_NAME_MAX];
};

struct model {
	const __u8 *image;
	size_t size;
	unsigned int max_files;
	unsigned int nr_inodes, nr_names;
	struct model_inode *inodes;
	struct model_name *names;
	__u64 records[8];	/* how many of each type */
	__u64 refused_by_tree;	/* 1: the last record was, and not its parser */
	struct incfs_walk walk;
};

/* Read the image; as incfs_walk_image(). */
int model_load(struct model *model, const void *image, size_t size, unsigned int max_files);
void model_free(struct model *model);
const struct model_inode *model_find(const struct model *model, __u64 ino);
/*
 * Read a block the way blocks.c does, into a page of INCFS_BLOCK_SIZE; false if
 * it counts as absent. *@extent is its entry.
 */
bool model_read(const struct model *model, const struct model_inode *inode, __u32 block,
		struct incfs_extent *extent, void *page);

#endif
