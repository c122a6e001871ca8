// SPDX-License-Identifier: GPL-2.0-only
/* What the blocks of some files may hold: see model.h. */
#define _GNU_SOURCE
#include "model.h"
#include "tap.h"

/* The last variant is a raw block that is shorter than it could be. */
#define SHORT_VARIANT (MODEL_VARIANTS - 1)
#define SHORT_LEN 1000

static __u64 contents[MODEL_CONTENTS][BLOCK / sizeof(__u64)];

void model_init(void)
{
	unsigned int i;

	for (i = 0; i < MODEL_CONTENTS; i++) {
		expected_block(i + 1000, i, contents[i]);
		if (i % MODEL_VARIANTS == SHORT_VARIANT)
			memset((char *)contents[i] + SHORT_LEN, 0, BLOCK - SHORT_LEN);
	}
}

const void *model_content(__u32 block, unsigned int variant)
{
	return contents[block % MODEL_GROUPS * MODEL_VARIANTS + variant];
}

void model_make(struct model *model, const struct test_fs *fs)
{
	struct model_file *file;
	char name[16];
	int i;

	for (i = 0; i < MODEL_FILES; i++) {
		file = &model->files[i];
		file->nr_blocks = i % 3 ? MODEL_BLOCKS : 5 + i;
		/* Every second one ends within its last block. */
		file->size = (__u64)file->nr_blocks * BLOCK - (i % 2 ? 1500 + i : 0);
		snprintf(name, sizeof(name), "m%d", i);
		file->ino = make_file(fs, INCFS_ROOT_INODE, name, file->size);
	}
}

struct model_file *model_find(struct model *model, __u64 ino)
{
	int i;

	for (i = 0; i < MODEL_FILES; i++) {
		if (model->files[i].ino == ino)
			return &model->files[i];
	}
	return NULL;
}

__u32 model_block_len(const struct model_file *file, __u32 block)
{
	__u64 left = file->size - (__u64)block * BLOCK;

	return left < BLOCK ? left : BLOCK;
}

void model_offer(struct model_file *file, __u32 block, unsigned int variant)
{
	__atomic_or_fetch(&file->blocks[block].offered, 1 << variant, __ATOMIC_SEQ_CST);
}

void model_filled(struct model_file *file, __u32 block)
{
	__atomic_store_n(&file->blocks[block].filled, true, __ATOMIC_SEQ_CST);
}

void model_junk(struct model_file *file, __u32 block)
{
	__atomic_store_n(&file->blocks[block].junk, true, __ATOMIC_SEQ_CST);
}

void model_share(struct model_file *file, __u32 block)
{
	__atomic_store_n(&file->blocks[block].shared, true, __ATOMIC_SEQ_CST);
}

/* Junk that was faster than a fill stays, and counts as absent: then all is open. */
bool model_is_filled(struct model_file *file, __u32 block)
{
	return __atomic_load_n(&file->blocks[block].filled, __ATOMIC_SEQ_CST) &&
	       !__atomic_load_n(&file->blocks[block].junk, __ATOMIC_SEQ_CST);
}

static const char *check_slice(struct model_file *file, __u32 index, size_t at, const char *buf,
			       size_t len)
{
	struct model_block *block = &file->blocks[index];
	unsigned int variant, found = MODEL_VARIANTS, matches = 0;
	__u8 seen = 0, is;

	for (variant = 0; variant < MODEL_VARIANTS; variant++) {
		if (memcmp((const char *)model_content(index, variant) + at, buf, len))
			continue;
		found = variant;
		matches++;
	}
	if (!matches)
		return "is nothing that the block can hold";
	if (matches > 1)
		return NULL;
	if (!__atomic_load_n(&block->shared, __ATOMIC_SEQ_CST) &&
	    !(__atomic_load_n(&block->offered, __ATOMIC_SEQ_CST) & 1 << found))
		return "was never handed over";
	is = found + 1;
	if (!__atomic_compare_exchange_n(&block->seen, &seen, is, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_SEQ_CST) && seen != is)
		return "is not what was read before";
	return NULL;
}

bool model_read(struct model_file *file, __u64 offset, const void *buf, size_t len,
		char *why, size_t why_size)
{
	const char *at = buf, *what;
	size_t start, n;
	__u32 block;

	if (offset + len > file->size) {
		snprintf(why, why_size, "%zu bytes from %llu on of a file of %llu", len, offset,
			 file->size);
		return false;
	}
	for (; len; at += n, offset += n, len -= n) {
		block = offset / BLOCK;
		start = offset % BLOCK;
		n = BLOCK - start < len ? BLOCK - start : len;
		what = check_slice(file, block, start, at, n);
		if (what) {
			snprintf(why, why_size, "inode %llu, block %u, byte %zu: %s", file->ino,
				 block, start, what);
			return false;
		}
	}
	return true;
}
