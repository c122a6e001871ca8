// SPDX-License-Identifier: MIT
/*
 * incfs image check: whether all of an image is sound, and making it so.
 *
 * What can be repaired is what the module can live with: it takes a list of
 * records that a crash has cut off as far as it goes, and damaged blocks for
 * absent. A repair writes down what it makes of them, and changes nothing else.
 */
#include "cmd.h"

#include <getopt.h>
#include <stdlib.h>
#include <unistd.h>

#include "image_blocks.h"
#include "log.h"
#include "option.h"

#define MESSAGES_MAX 100

enum { CLEAN, REPAIRABLE, UNUSABLE };	/* exit codes */

struct check {
	struct incfs_model model;
	struct incfs_image_data data;
	__u64 *entries;		/* of the blocks that are to be absent */
	size_t nr_entries, room;
	size_t nr_blocks, nr_problems;
	bool repair, all, quiet;
};

static void tell(struct check *check, __u64 offset, const char *why)
{
	if (check->all || check->nr_problems < MESSAGES_MAX)
		incfs_model_complain(&check->model, offset, why, -EINVAL);
	check->nr_problems++;
}

/* Have the entry of a block zeroed by a repair. */
static int reject(struct check *check, const struct incfs_image_block *block, const char *why)
{
	char text[512];

	if (check->nr_entries == check->room) {
		size_t room = check->room ? check->room * 2 : 64;
		__u64 *entries = reallocarray(check->entries, room, sizeof(*entries));

		if (!entries) {
			incfs_model_complain(&check->model, block->entry, NULL, -ENOMEM);
			return -1;
		}
		check->entries = entries;
		check->room = room;
	}
	check->entries[check->nr_entries++] = block->entry;
	snprintf(text, sizeof(text), "inode %llu, block %u: %s", block->node->ino, block->block,
		 why);
	tell(check, block->entry, text);
	return 0;
}

static int check_block(void *arg, const struct incfs_image_block *block)
{
	const struct incfs_extent *extent = &block->extent;
	const struct incfs_model_range *range;
	struct check *check = arg;
	const char *why;
	int err;

	if (block->invalid)
		return reject(check, block, "entry of the block map can't be right");
	if (!extent->size)
		return 0;
	check->nr_blocks++;
	range = incfs_model_find_metadata(&check->model, extent->offset, extent->size);
	if (range) {
		char text[64];

		snprintf(text, sizeof(text), "stored bytes lie over a %s", range->what);
		return reject(check, block, text);
	}
	err = incfs_image_read_block(&check->model, block, &check->data, &why);
	if (err == -EBADMSG)
		return reject(check, block, why);
	if (err) {
		incfs_model_complain(&check->model, extent->offset, why, err);
		return -1;
	}
	return 0;
}

static int check_image(struct check *check)
{
	struct incfs_model *model = &check->model;
	int err = incfs_model_check_metadata(model);

	if (model->torn) {
		char text[160];

		snprintf(text, sizeof(text), "the record here was never written in whole: %llu "
			 "records before it are kept, those from it on are lost",
			 model->nr_records);
		tell(check, model->torn, text);
	}
	for (size_t i = 0; !err && i < model->nr_nodes; i++)
		err = incfs_image_each_block(model, model->nodes[i], check_block, check);
	incfs_log_progress_end();
	if (check->nr_problems > MESSAGES_MAX && !check->all)
		incfs_error("'%s': %zu more of this kind", model->file->path,
			    check->nr_problems - MESSAGES_MAX);
	return err;
}

static int zero(struct check *check, __u64 offset, size_t len)
{
	static const char zeros[sizeof(struct incfs_disk_extent)];
	int err = incfs_file_write(check->model.file->fd, zeros, len, offset);

	if (err)
		incfs_error("can't write '%s': %s", check->model.file->path, strerror(-err));
	return err;
}

static int sync_image(struct check *check)
{
	if (!fsync(check->model.file->fd))
		return 0;
	incfs_error("can't sync '%s': %s", check->model.file->path, strerror(errno));
	return -1;
}

/*
 * Half of an entry may reach the disk. One that has lost its CRC but not its
 * size would make bytes of zeros, which have this CRC, a sound block: sizes go
 * first.
 */
static int zero_entries(struct check *check)
{
	size_t i;

	for (i = 0; i < check->nr_entries; i++) {
		__u64 size = check->entries[i] + offsetof(struct incfs_disk_extent, me_data_size);

		if (zero(check, size, sizeof(__le16)))
			return -1;
	}
	if (check->nr_entries && sync_image(check))
		return -1;
	for (i = 0; i < check->nr_entries; i++) {
		if (zero(check, check->entries[i], sizeof(struct incfs_disk_extent)))
			return -1;
	}
	return 0;
}

static int cut_tail(struct check *check)
{
	const struct incfs_model *model = &check->model;
	__u64 link = offsetof(struct incfs_disk_super, s_first_md_offset);

	if (!model->torn)
		return 0;
	if (model->last)
		link = model->last + offsetof(struct incfs_disk_header, h_next_md_offset);
	return zero(check, link, sizeof(__le64));
}

static int repair_image(struct check *check)
{
	const char *path = check->model.file->path;

	if (zero_entries(check) || cut_tail(check) || sync_image(check)) {
		incfs_error("'%s' is not repaired", path);
		return UNUSABLE;
	}
	if (!check->quiet)
		printf("'%s': repaired: %zu blocks are absent now%s\n", path, check->nr_entries,
		       check->model.torn ? ", the list of records is cut off" : "");
	return REPAIRABLE;
}

static int conclude(struct check *check)
{
	const struct incfs_model *model = &check->model;

	if (check->nr_problems && check->repair)
		return repair_image(check);
	if (check->nr_problems) {
		if (!check->quiet)
			printf("'%s': %zu problems, which --repair repairs\n", model->file->path,
			       check->nr_problems);
		return REPAIRABLE;
	}
	if (!check->quiet)
		printf("'%s': sound: %llu records, %zu inodes, %zu stored blocks\n",
		       model->file->path, model->nr_records, model->nr_nodes, check->nr_blocks);
	return CLEAN;
}

static int run_check(struct check *check, const char *path)
{
	struct incfs_image_file file;
	int ret = UNUSABLE;

	if (incfs_image_file_open(&file, path,
				  check->repair ? INCFS_IMAGE_CHANGE : INCFS_IMAGE_READ))
		return UNUSABLE;
	if (!incfs_model_load(&check->model, &file, NULL, NULL) && !check_image(check))
		ret = conclude(check);
	incfs_model_free(&check->model);
	incfs_image_file_close(&file);
	free(check->entries);
	return ret;
}

static const struct incfs_option rows[] = {
	{ "repair", 'r', NULL, "cut off records that a crash has lost, and make damaged blocks\n"
	  "absent, so that they can be supplied again", incfs_option_on,
	  .offset = offsetof(struct check, repair) },
	{ "all", 'a', NULL, "tell of all that is wrong, not of the first 100 only",
	  incfs_option_on, .offset = offsetof(struct check, all) },
	{ "quiet", 'q', NULL, "tell what is wrong only", incfs_option_on,
	  .offset = offsetof(struct check, quiet) },
	{}
};

static const struct incfs_usage usage = {
	.program = "incfs image check",
	.args = "[OPTION]... IMAGE",
	.about =
"Check all of an image: its records, its block maps, and every stored block. Exits\n"
"with 0 if it is sound, 1 if it was repaired or can be, 2 if it can't.\n",
	.options = rows,
	.least = 1,
	.most = 1,
};

int incfs_cmd_image_check(int argc, char **argv)
{
	struct check check = {};
	int code = incfs_usage_parse(&usage, &check, argc, argv);

	return code >= 0 ? code : run_check(&check, argv[optind]);
}
