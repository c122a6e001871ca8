/* SPDX-License-Identifier: MIT */
/* The blocks of an image: by file through its block map, and by place. */
#ifndef _INCFS_IMAGE_BLOCKS_H
#define _INCFS_IMAGE_BLOCKS_H

#include "image_model.h"

/**
 * struct incfs_image_block - an entry of a block map
 * @entry:   where in the image it is
 * @extent:  what it says; size is 0 if the block is absent
 * @invalid: it is neither empty nor can it be right
 */
struct incfs_image_block {
	struct incfs_model_node *node;
	__u32 block;
	__u64 entry;
	struct incfs_extent extent;
	bool invalid;
};

/*
 * Call @visit for each entry of the file's block map that is not empty, in
 * order. Holes of the image file are skipped. Returns what @visit does if that
 * is not 0, or -EBADMSG after saying that the map can't be read.
 */
int incfs_image_each_block(const struct incfs_model *model, struct incfs_model_node *node,
			   int (*visit)(void *arg, const struct incfs_image_block *block),
			   void *arg);

/* struct incfs_image_data - a block as it is stored, and expanded */
struct incfs_image_data {
	__u8 stored[INCFS_STORED_MAX];
	__u8 data[INCFS_BLOCK_SIZE];
	__u32 len;	/* of the block, in its file */
};

/*
 * Read, check and expand a stored block. -EBADMSG: it is damaged, *@why says
 * how. Other errors: it can't be read.
 */
int incfs_image_read_block(const struct incfs_model *model,
			   const struct incfs_image_block *block,
			   struct incfs_image_data *data, const char **why);

/**
 * struct incfs_image_space - what the bytes of an image are used for
 * @stored:   of all entries, sorted: offset << 14 | size
 * @entries:  how many there are
 * @blocks:   how many are different
 * @bytes:    that these have
 * @metadata: bytes of superblock, records and block maps
 * @used:     bytes of all that
 */
struct incfs_image_space {
	__u64 *stored;
	size_t entries, room;
	__u64 blocks;
	__u64 bytes;
	__u64 metadata;
	__u64 used;
};

/* Take a stored block in; -ENOMEM. */
int incfs_image_space_add(struct incfs_image_space *space, const struct incfs_extent *extent);
/* After the last: sort, and add up. */
void incfs_image_space_sum(struct incfs_image_space *space, const struct incfs_model *model);
void incfs_image_space_free(struct incfs_image_space *space);

static inline __u64 incfs_image_space_key(const struct incfs_extent *extent)
{
	return extent->offset << 14 | extent->size;
}

#endif /* _INCFS_IMAGE_BLOCKS_H */
