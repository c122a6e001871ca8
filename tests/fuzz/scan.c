// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzzing of what a mount does first: the walk through the records of an image,
 * and the tree that it makes of them; then of all the blocks that can be read.
 */
#include "fuzz.h"
#include "model.h"
#include "mutate.h"

#define MAX_FILES MUTATE_MAX_FILES
#define BLOCKS_READ 40		/* of a file */
#define REASONS_MAX 64

static struct {
	__u64 inputs, walked, taken, torn, by_tree, blocks, absent;
	__u64 records[8];
	const char *reasons[REASONS_MAX];
	unsigned int nr_reasons;
} figures;

static void print_figures(void)
{
	printf("figures: inputs=%llu walked=%llu inode=%llu map=%llu name=%llu attrs=%llu "
	       "taken=%llu torn=%llu refused_by_tree=%llu reasons=%u read=%llu absent=%llu\n",
	       figures.inputs, figures.walked, figures.records[1], figures.records[2],
	       figures.records[3], figures.records[4], figures.taken, figures.torn,
	       figures.by_tree, figures.nr_reasons, figures.blocks, figures.absent);
}

static void count(const struct model *model, int err)
{
	unsigned int i;

	figures.inputs++;
	for (i = 0; i < 8; i++)
		figures.records[i] += !!model->records[i];
	figures.walked += !!model->walk.records;
	figures.taken += !err;
	figures.torn += !!model->walk.torn;
	figures.by_tree += err && model->refused_by_tree;
	for (i = 0; i < figures.nr_reasons && figures.reasons[i] != model->walk.why; i++)
		;
	if (err && i == figures.nr_reasons && i < REASONS_MAX)
		figures.reasons[figures.nr_reasons++] = model->walk.why;
}

static void read_blocks(const struct model *model)
{
	__u8 *page = malloc(INCFS_BLOCK_SIZE);
	struct incfs_extent extent;
	unsigned int i;
	__u32 block;

	for (i = 0; i < model->nr_inodes; i++) {
		const struct model_inode *inode = &model->inodes[i];

		if (!S_ISREG(inode->mode))
			continue;
		for (block = 0; block < incfs_format_blocks(inode->size); block++) {
			if (block == BLOCKS_READ)
				break;
			if (model_read(model, inode, block, &extent, page))
				figures.blocks++;
			else
				figures.absent++;
		}
	}
	free(page);
}

/*
 * What was not written in whole counts for nothing: the image up to there is
 * the same tree, and broken off at the same place.
 */
static void check_torn(const struct model *model)
{
	struct model again;
	__u8 *image;

	if (model->walk.torn >= model->size)
		return;
	image = malloc(model->walk.torn);
	memcpy(image, model->image, model->walk.torn);
	/* A block map may lie behind the record that was lost. */
	if (!model_load(&again, image, model->walk.torn, MAX_FILES)) {
		fuzz_must(again.walk.torn == model->walk.torn);
		fuzz_must(again.walk.records == model->walk.records);
		fuzz_must(again.nr_names == model->nr_names);
	} else {
		fuzz_must(model->records[INCFS_RECORD_BLOCK_MAP]);
	}
	model_free(&again);
	free(image);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	atexit(print_figures);
	return 0;
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	struct model model;
	int err = model_load(&model, data, size, MAX_FILES);

	count(&model, err);
	if (!err) {
		read_blocks(&model);
		if (model.walk.torn)
			check_torn(&model);
	}
	model_free(&model);
	return 0;
}

size_t LLVMFuzzerCustomMutator(__u8 *data, size_t size, size_t max, unsigned int seed)
{
	if (fuzz_plain() || seed % 16 == 0)
		return LLVMFuzzerMutate(data, size, max);
	return mutate_image(data, size, max, seed);
}

size_t LLVMFuzzerCustomCrossOver(const __u8 *a, size_t a_size, const __u8 *b, size_t b_size,
				 __u8 *out, size_t max, unsigned int seed)
{
	size_t size = a_size < max ? a_size : max;

	if (fuzz_plain())
		return 0;
	memcpy(out, a, size);
	return mutate_cross(out, size, max, b, b_size, seed);
}
