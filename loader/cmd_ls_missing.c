// SPDX-License-Identifier: MIT
/* incfs ls-missing: which blocks of which files are absent. */
#include "cmd.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <json-c/json.h>

#include "image_blocks.h"
#include "image_json.h"
#include "image_path.h"
#include "log.h"
#include "option.h"
#include "util.h"

struct ls_missing {
	struct incfs_model model;
	bool all, json, blocks;
	/* For each node, by its order: asked for, with all below it; and listed already. */
	bool *wanted, *listed;
	/* Of a file: */
	__u64 present;
	__u32 next;		/* block from which on nothing is known */
	struct json_object *ranges;
	/* Of all: */
	__u64 missing, total, files;
};

static const struct incfs_option rows[] = {
	{ "all", 'a', NULL, "files that are complete as well", incfs_option_on,
	  .offset = offsetof(struct ls_missing, all) },
	{ "blocks", 'b', NULL, "which blocks: FIRST-LAST, from 0 on", incfs_option_on,
	  .offset = offsetof(struct ls_missing, blocks) },
	{ "json", 'j', NULL, "for programs: an object in a line for each file", incfs_option_on,
	  .offset = offsetof(struct ls_missing, json) },
	{}
};

static const struct incfs_usage usage = {
	.program = "incfs ls-missing",
	.args = "[OPTION]... MOUNT|IMAGE [PATH]...",
	.about =
"List the files that have absent blocks, and how many of how many these are; with\n"
"PATH, which begins at the root of the image, only this file, or those below it.\n",
	.options = rows,
	.least = 1,
	.most = 1 << 30,
};

/* Blocks from @ls->next up to @end are absent. */
static void add_range(struct ls_missing *ls, __u32 end)
{
	char text[32];

	if (ls->ranges && end > ls->next) {
		if (end - ls->next == 1)
			snprintf(text, sizeof(text), "%u", ls->next);
		else
			snprintf(text, sizeof(text), "%u-%u", ls->next, end - 1);
		json_object_array_add(ls->ranges, json_object_new_string(text));
	}
	ls->next = end + 1;
}

static int take_block(void *arg, const struct incfs_image_block *block)
{
	struct ls_missing *ls = arg;

	if (!block->extent.size || block->invalid)
		return 0;
	ls->present++;
	add_range(ls, block->block);
	return 0;
}

static int print_json(const struct ls_missing *ls, const struct incfs_model_node *node,
		      const char *path)
{
	struct json_object *object = json_object_new_object();
	int err;

	incfs_json_text(object, "path", path);
	incfs_json_number(object, "blocks", node->nr_blocks);
	incfs_json_number(object, "missing", node->nr_blocks - ls->present);
	if (ls->ranges)
		json_object_object_add(object, "missing_blocks", json_object_get(ls->ranges));
	err = incfs_json_print(object, "\n");
	json_object_put(object);
	return err;
}

static void print_text(const struct ls_missing *ls, const struct incfs_model_node *node,
		       const char *path)
{
	printf("%10llu of %-10u ", node->nr_blocks - ls->present, node->nr_blocks);
	incfs_print_bytes(stdout, path, strlen(path));
	putchar('\n');
	for (size_t i = 0; ls->ranges && i < json_object_array_length(ls->ranges); i++)
		printf("%25s%s\n", "", json_object_get_string(json_object_array_get_idx(ls->ranges,
											 i)));
}

static int list_file(struct ls_missing *ls, struct incfs_model_name *name)
{
	struct incfs_model_node *node = name->node;
	char *path;
	int err;

	ls->present = 0;
	ls->next = 0;
	ls->ranges = ls->blocks ? json_object_new_array() : NULL;
	err = incfs_image_each_block(&ls->model, node, take_block, ls);
	if (ls->next < node->nr_blocks)
		add_range(ls, node->nr_blocks);
	ls->total += node->nr_blocks;
	ls->missing += node->nr_blocks - ls->present;
	ls->files += ls->present < node->nr_blocks;
	if (!err && (ls->all || ls->present < node->nr_blocks)) {
		path = incfs_model_full_path(name);
		if (!path)
			err = -ENOMEM;
		else if (ls->json)
			err = print_json(ls, node, path);
		else
			print_text(ls, node, path);
		free(path);
	}
	json_object_put(ls->ranges);
	return err;
}

/* A directory comes before what is in it, so that it is enough to ask the one above. */
static int visit(void *arg, struct incfs_model_name *name, bool first)
{
	struct incfs_model_node *node = name->node;
	struct ls_missing *ls = arg;

	(void)first;
	if (!ls->wanted[node->order] && !ls->wanted[name->dir->order])
		return 0;
	if (S_ISDIR(node->mode))
		ls->wanted[node->order] = true;
	if (!S_ISREG(node->mode) || ls->listed[node->order])
		return 0;
	ls->listed[node->order] = true;
	return list_file(ls, name);
}

static struct incfs_model_node *find_node(const struct incfs_model *model, const char *path)
{
	struct incfs_model_node *node = incfs_model_node(model, INCFS_IMAGE_ROOT);
	struct incfs_model_name *name;
	size_t len;

	for (; node && *path; path += len) {
		path += strspn(path, "/");
		len = strcspn(path, "/");
		if (!len || (len == 1 && *path == '.'))
			continue;
		name = S_ISDIR(node->mode) ? incfs_model_find(model, node, path, len) : NULL;
		node = name ? name->node : NULL;
	}
	return node;
}

static int list(struct ls_missing *ls, char *const *paths)
{
	static char *const everything[] = { "", NULL };
	struct incfs_model_node *node;

	ls->wanted = calloc(ls->model.nr_nodes, sizeof(*ls->wanted));
	ls->listed = calloc(ls->model.nr_nodes, sizeof(*ls->listed));
	if (!ls->wanted || !ls->listed)
		return -ENOMEM;
	for (paths = *paths ? paths : everything; *paths; paths++) {
		node = find_node(&ls->model, *paths);
		if (!node) {
			incfs_error("there is no '%s' in the image", *paths);
			return -1;
		}
		ls->wanted[node->order] = true;
	}
	return incfs_model_walk(&ls->model, visit, ls);
}

static int run(struct ls_missing *ls, const char *image, char *const *paths)
{
	struct incfs_image_file file;
	int err = -1;

	if (incfs_image_file_open(&file, image, INCFS_IMAGE_LOOK))
		return -1;
	if (!incfs_model_load(&ls->model, &file, NULL, NULL) &&
	    !incfs_model_check_metadata(&ls->model))
		err = list(ls, paths);
	free(ls->wanted);
	free(ls->listed);
	incfs_model_free(&ls->model);
	incfs_image_file_close(&file);
	if (err == -ENOMEM)
		incfs_error("not enough memory");
	if (!err && !ls->json)
		printf("%llu of %llu blocks are missing, in %llu files\n", ls->missing, ls->total,
		       ls->files);
	return err;
}

int incfs_cmd_ls_missing(int argc, char **argv)
{
	struct ls_missing ls = {};
	int code = incfs_usage_parse(&usage, &ls, argc, argv), err;
	char *image;

	if (code >= 0)
		return code;
	image = incfs_image_of(argv[optind], NULL);
	err = image ? run(&ls, image, argv + optind + 1) : -1;
	free(image);
	return incfs_output_end() || err ? 1 : 0;
}
