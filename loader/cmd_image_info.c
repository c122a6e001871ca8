// SPDX-License-Identifier: MIT
/* incfs image info: an image in numbers. */
#include "cmd.h"

#include <getopt.h>

#include <json-c/json.h>

#include "image_blocks.h"
#include "image_json.h"
#include "log.h"
#include "option.h"
#include "util.h"

struct info {
	struct incfs_model model;
	struct incfs_image_space space;
	__u64 files, dirs, links, names, unnamed;
	__u64 complete;
	__u64 blocks, present, invalid;
};

static int count_block(void *arg, const struct incfs_image_block *block)
{
	struct info *info = arg;

	info->invalid += block->invalid;
	if (!block->extent.size)
		return 0;
	info->present++;
	if (!incfs_image_space_add(&info->space, &block->extent))
		return 0;
	incfs_model_complain(&info->model, block->entry, NULL, -ENOMEM);
	return -1;
}

static int count_node(struct info *info, struct incfs_model_node *node)
{
	__u64 before = info->present;

	info->names += node->nr_names;
	info->unnamed += !node->marked;
	if (S_ISDIR(node->mode))
		info->dirs++;
	else if (S_ISLNK(node->mode))
		info->links++;
	else
		info->files++;
	if (!S_ISREG(node->mode))
		return 0;
	info->blocks += node->nr_blocks;
	if (incfs_image_each_block(&info->model, node, count_block, info))
		return -1;
	info->complete += info->present - before == node->nr_blocks;
	return 0;
}

static int gather(struct info *info)
{
	struct incfs_model *model = &info->model;

	if (incfs_model_check_metadata(model))
		return -1;
	if (incfs_model_walk(model, NULL, NULL)) {
		incfs_model_complain(model, 0, NULL, -ENOMEM);
		return -1;
	}
	for (size_t i = 0; i < model->nr_nodes; i++) {
		if (count_node(info, model->nodes[i]))
			return -1;
	}
	incfs_image_space_sum(&info->space, model);
	return 0;
}

static __u64 shared(const struct info *info)
{
	return info->space.entries - info->space.blocks;
}

static __u64 dead(const struct info *info)
{
	return info->model.file->size - info->space.used;
}

static const char *feature_names(const struct info *info)
{
	__u32 features = info->model.super.features;

	if (features & ~INCFS_FEATURES_KNOWN)
		return features & INCFS_FEATURE_ATTRS ? "attributes, unknown ones" : "unknown ones";
	return features & INCFS_FEATURE_ATTRS ? "attributes" : "none";
}

static void print_text(const struct info *info)
{
	const struct incfs_model *model = &info->model;

	printf("size:        %llu bytes\n", model->file->size);
	printf("format:      version %d, features: %s\n", INCFS_FORMAT_VERSION,
	       feature_names(info));
	printf("records:     %llu, %s\n", model->nr_records,
	       model->torn ? "cut off by a crash" : "whole");
	if (model->torn)
		printf("cut off at:  image offset %llu\n", model->torn);
	printf("files:       %llu, %llu of them complete\n", info->files, info->complete);
	printf("directories: %llu\n", info->dirs);
	printf("links:       %llu symbolic\n", info->links);
	printf("names:       %llu; %llu inodes have none\n", info->names, info->unnamed);
	printf("blocks:      %llu, %llu of them present, %llu absent\n", info->blocks,
	       info->present, info->blocks - info->present);
	printf("shared:      %llu blocks are stored bytes of another\n", shared(info));
	if (info->invalid)
		printf("invalid:     %llu entries of block maps\n", info->invalid);
	printf("stored:      %llu bytes of blocks, %llu of metadata\n", info->space.bytes,
	       info->space.metadata);
	printf("dead space:  %llu bytes\n", dead(info));
}

static int print_json(const struct info *info)
{
	const struct incfs_model *model = &info->model;
	struct {
		const char *key;
		__u64 value;
	} numbers[] = {
		{ "size", model->file->size },
		{ "version", INCFS_FORMAT_VERSION },
		{ "features", model->super.features },
		{ "records", model->nr_records },
		{ "files", info->files },
		{ "complete_files", info->complete },
		{ "directories", info->dirs },
		{ "symlinks", info->links },
		{ "names", info->names },
		{ "unnamed_inodes", info->unnamed },
		{ "blocks", info->blocks },
		{ "present_blocks", info->present },
		{ "absent_blocks", info->blocks - info->present },
		{ "shared_blocks", shared(info) },
		{ "invalid_entries", info->invalid },
		{ "stored_bytes", info->space.bytes },
		{ "metadata_bytes", info->space.metadata },
		{ "dead_bytes", dead(info) },
	};
	struct json_object *object = json_object_new_object();
	int err;

	for (size_t i = 0; i < INCFS_ARRAY_SIZE(numbers); i++)
		incfs_json_number(object, numbers[i].key, numbers[i].value);
	if (model->torn)
		incfs_json_number(object, "torn_at", model->torn);
	err = incfs_json_print(object, "\n");
	json_object_put(object);
	return err;
}

static int run_info(const char *path, bool json)
{
	struct incfs_image_file file;
	struct info info = {};
	int ret = 1;

	if (incfs_image_file_open(&file, path, INCFS_IMAGE_LOOK))
		return 1;
	if (!incfs_model_load(&info.model, &file, NULL, NULL) && !gather(&info)) {
		ret = 0;
		if (!json)
			print_text(&info);
		else if (print_json(&info))
			ret = 1;
	}
	incfs_image_space_free(&info.space);
	incfs_model_free(&info.model);
	incfs_image_file_close(&file);
	return incfs_output_end() ? 1 : ret;
}

struct info_args {
	bool json;
};

static const struct incfs_option rows[] = {
	{ "json", 'j', NULL, "for programs", incfs_option_on,
	  .offset = offsetof(struct info_args, json) },
	{}
};

static const struct incfs_usage usage = {
	.program = "incfs image info",
	.args = "[-j] IMAGE",
	.about = "Tell what is in an image. The stored bytes are not checked.\n",
	.options = rows,
	.least = 1,
	.most = 1,
};

int incfs_cmd_image_info(int argc, char **argv)
{
	struct info_args args = {};
	int code = incfs_usage_parse(&usage, &args, argc, argv);

	return code >= 0 ? code : run_info(argv[optind], args.json);
}
