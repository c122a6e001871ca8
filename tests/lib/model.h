/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For tests that do everything at once: what the blocks of some files may hold.
 *
 * There are MODEL_CONTENTS contents, and each block takes one of MODEL_VARIANTS of
 * them, those of its group. Who fills a block says so before; a block that was read
 * shows one that somebody had offered, as a whole, and the same for ever after. It
 * is in memory that processes share, and needs no lock.
 */
#ifndef INCFS_TESTS_MODEL_H
#define INCFS_TESTS_MODEL_H

#include "incfs.h"

#define MODEL_GROUPS 8
#define MODEL_VARIANTS 8
#define MODEL_CONTENTS (MODEL_GROUPS * MODEL_VARIANTS)
#define MODEL_FILES 12
/* These are never offered what is no LZ4, so their blocks may be shared. */
#define MODEL_SOURCES 6
#define MODEL_BLOCKS 64

/* All members are atomic. */
struct model_block {
	__u8 offered;		/* variants */
	__u8 seen;		/* the variant that was read, and 1 */
	bool shared;		/* anything of its group may have come from another block */
	bool junk;		/* may have been stored from something that is no LZ4 */
	bool filled;		/* acknowledged, and never junk: it is there */
};

struct model_file {
	__u64 ino;
	__u64 size;
	__u32 nr_blocks;
	struct model_block blocks[MODEL_BLOCKS];
};

/* struct model - of one image */
struct model {
	struct model_file files[MODEL_FILES];
};

/* The contents are made; before anything else. */
void model_init(void);
/* Make the files, "m0" and so on, in the root. */
void model_make(struct model *model, const struct test_fs *fs);
/* The file of an inode, or NULL: one that is not looked after. */
struct model_file *model_find(struct model *model, __u64 ino);
__u32 model_block_len(const struct model_file *file, __u32 block);
/* BLOCK bytes of what a block of this index can hold. */
const void *model_content(__u32 block, unsigned int variant);
/* Before a fill, and after it was acknowledged. */
void model_offer(struct model_file *file, __u32 block, unsigned int variant);
void model_filled(struct model_file *file, __u32 block);
/* Before what is no LZ4 is offered. */
void model_junk(struct model_file *file, __u32 block);
/* Before a block may come to be shared. */
void model_share(struct model_file *file, __u32 block);
bool model_is_filled(struct model_file *file, __u32 block);
/*
 * @len bytes were read from @offset of the file: are they right? If not, *@why says
 * what is wrong with which block.
 */
bool model_read(struct model_file *file, __u64 offset, const void *buf, size_t len,
		char *why, size_t why_size);

#endif
