// SPDX-License-Identifier: MIT
/*
 * incfs map: a picture of which blocks of each file are there, and in which order they
 * came. Blocks lie in the image in that order, so their places tell it.
 */
#include "cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image_blocks.h"
#include "image_path.h"
#include "log.h"
#include "option.h"
#include "util.h"

/* Of the picture, in pixels. */
#define ROW 14
#define BAR 10
#define NAME_WIDTH 340
#define BAR_WIDTH 640
#define COUNT_WIDTH 150
#define TOP 70

#define ROWS_DEFAULT 100
/* Of a single file, in a row at least. */
#define ROW_BLOCKS 64
#define NOT_THERE (~0ull)

/* Blocks of a file; @cells have the first place of the blocks that each stands for. */
struct row {
	__u32 nr_blocks;
	__u32 present;
	unsigned int nr_cells;
	__u64 cells[BAR_WIDTH];
};

struct map {
	struct incfs_model model;
	const char *output;
	unsigned int most_rows;
	const char *what;	/* is drawn, with all below it */
	__u64 ino;
	struct incfs_model_node *file;	/* the same, if that is all */
	/* By their order: directories that are drawn; files that were met. */
	bool *wanted, *taken;
	/* That are being filled, with so many blocks in each but the last one. */
	struct row *rows;
	__u32 row_blocks;
	/* For each file with blocks: where its first one is, to sort by. */
	struct place {
		struct incfs_model_name *name;
		__u64 first;
		__u64 present;
	} *places;
	size_t nr, room;
	__u64 most_blocks;
	__u64 *offsets;		/* of all blocks that are there, in order */
	size_t nr_offsets, offsets_room;
	__u64 first, present;
	__u64 all_blocks, all_present;
};

static const struct incfs_option rows[] = {
	{ "output", 'o', "FILE.svg", "where the picture goes; - is standard output",
	  incfs_option_text, .offset = offsetof(struct map, output) },
	{ "rows", 'n', "N", "most rows that are drawn: of files, those that came first\n"
	  "(default 100)",
	  incfs_option_number, offsetof(struct map, most_rows), 1, 10000 },
	{}
};

static const struct incfs_usage usage = {
	.program = "incfs map",
	.args = "-o FILE.svg [-n N] MOUNT|FILE|IMAGE",
	.about =
"Draw which blocks of each file are there, and in which order they came: dark ones\n"
"first, bright ones last. Files are in the order of their first blocks. Of a mount, only\n"
"a directory may be drawn, or a FILE by itself, in rows of its blocks.\n",
	.options = rows,
	.least = 1,
	.most = 1,
};

static int take_offset(void *arg, const struct incfs_image_block *block)
{
	struct map *map = arg;
	__u64 *grown;

	if (!block->extent.size || block->invalid)
		return 0;
	if (map->nr_offsets == map->offsets_room) {
		map->offsets_room = map->offsets_room ? 2 * map->offsets_room : 4096;
		grown = reallocarray(map->offsets, map->offsets_room, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		map->offsets = grown;
	}
	map->offsets[map->nr_offsets++] = block->extent.offset;
	map->first = incfs_min(map->first, block->extent.offset);
	map->present++;
	return 0;
}

static int take_file(void *arg, struct incfs_model_name *name, bool first)
{
	struct incfs_model_node *node = name->node;
	struct map *map = arg;
	struct place *grown;
	int err;

	(void)first;
	/* A directory comes before what is in it. */
	if (S_ISDIR(node->mode))
		map->wanted[node->order] |= map->wanted[name->dir->order];
	if (!S_ISREG(node->mode) || !node->nr_blocks || map->taken[node->order] ||
	    (map->file ? map->file != node : !map->wanted[name->dir->order]))
		return 0;
	map->taken[node->order] = true;
	if (map->nr == map->room) {
		map->room = map->room ? 2 * map->room : 256;
		grown = reallocarray(map->places, map->room, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		map->places = grown;
	}
	map->first = NOT_THERE;
	map->present = 0;
	err = incfs_image_each_block(&map->model, node, take_offset, map);
	map->places[map->nr++] = (struct place){ name, map->first, map->present };
	map->all_blocks += node->nr_blocks;
	map->all_present += map->present;
	return err;
}

static int compare_places(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	return x->name->node->order < y->name->node->order ? -1 :
	       x->name->node->order > y->name->node->order;
}

static int compare_offsets(const void *a, const void *b)
{
	const __u64 *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* The share of blocks that came before the one at @offset, of 255. */
static unsigned int rank_of(const struct map *map, __u64 offset)
{
	const __u64 *found = bsearch(&offset, map->offsets, map->nr_offsets, sizeof(offset),
				     compare_offsets);

	return found && map->nr_offsets > 1 ?
		(found - map->offsets) * 255 / (map->nr_offsets - 1) : 0;
}

/* From a dark blue by red to a bright yellow: light and hue both tell the time. */
static void print_color(FILE *out, unsigned int rank)
{
	static const unsigned char stops[][3] = {
		{ 13, 8, 135 }, { 126, 3, 168 }, { 204, 71, 120 }, { 248, 149, 64 },
		{ 240, 249, 33 },
	};
	unsigned int at = incfs_min(rank * 4 / 256, 3u), part = rank * 4 - at * 256;
	unsigned char color[3];

	for (int i = 0; i < 3; i++)
		color[i] = (stops[at][i] * (256 - part) + stops[at + 1][i] * part) / 256;
	fprintf(out, "#%02x%02x%02x", color[0], color[1], color[2]);
}

static void print_escaped(FILE *out, const char *text, size_t len)
{
	for (; len--; text++) {
		unsigned char byte = *text;

		if (byte == '&' || byte == '<' || byte == '>' || byte == '"')
			fprintf(out, "&#%u;", byte);
		else if (byte < 0x20 || byte >= 0x7f)
			fprintf(out, "\\x%02x", byte);
		else
			fputc(byte, out);
	}
}

/* Which cell of which row a block belongs to. */
static int take_cell(void *arg, const struct incfs_image_block *block)
{
	struct map *map = arg;
	struct row *row = &map->rows[block->block / map->row_blocks];
	unsigned int cell;

	if (!block->extent.size || block->invalid)
		return 0;
	cell = block->block % map->row_blocks * (__u64)row->nr_cells / row->nr_blocks;
	row->cells[cell] = incfs_min(row->cells[cell], block->extent.offset);
	row->present++;
	return 0;
}

/* The rows of a file, @nr of them; due to be freed in any case. */
static int fill_rows(struct map *map, struct incfs_model_node *node, __u32 nr)
{
	map->rows = calloc(nr, sizeof(*map->rows));
	if (!map->rows)
		return -ENOMEM;
	for (__u32 i = 0; i < nr; i++) {
		struct row *row = &map->rows[i];

		row->nr_blocks = incfs_min(map->row_blocks,
					   node->nr_blocks - i * map->row_blocks);
		row->nr_cells = incfs_min(row->nr_blocks, (__u32)BAR_WIDTH);
		memset(row->cells, 0xff, sizeof(row->cells));
	}
	return incfs_image_each_block(&map->model, node, take_cell, map);
}

static void free_rows(struct map *map)
{
	free(map->rows);
	map->rows = NULL;
}

static void print_cells(const struct map *map, FILE *out, const struct row *row, int y)
{
	unsigned int width = (row->nr_blocks * (__u64)BAR_WIDTH + map->most_blocks - 1) /
			     map->most_blocks;
	unsigned int end, rank;

	fprintf(out, "<rect x=\"%d\" y=\"%d\" width=\"%u\" height=\"%d\" class=\"a\"/>",
		NAME_WIDTH, y, width, BAR);
	for (unsigned int i = 0; i < row->nr_cells; i = end) {
		end = i + 1;
		if (row->cells[i] == NOT_THERE)
			continue;
		rank = rank_of(map, row->cells[i]) & ~3u;
		while (end < row->nr_cells && row->cells[end] != NOT_THERE &&
		       (rank_of(map, row->cells[end]) & ~3u) == rank)
			end++;
		fprintf(out, "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"",
			NAME_WIDTH + (double)i * width / row->nr_cells, y,
			(double)(end - i) * width / row->nr_cells, BAR);
		print_color(out, rank);
		fputs("\"/>", out);
	}
}

/* Of a long one the end. */
static void print_path(FILE *out, const char *path)
{
	size_t len = strlen(path), shown = incfs_min(len, 52);

	if (shown < len)
		fputs("...", out);
	print_escaped(out, path + len - shown, shown);
}

/* @path: what is left of the row, or NULL for the block that it begins with. */
static void print_row(const struct map *map, FILE *out, const struct row *row, const char *path,
		      int y)
{
	__u64 first = (row - map->rows) * (__u64)map->row_blocks;

	fputs("<g><title>", out);
	if (path)
		print_escaped(out, path, strlen(path));
	else
		fprintf(out, "%llu-%llu", first, first + row->nr_blocks - 1);
	fprintf(out, ": %u of %u blocks</title><text x=\"%d\" y=\"%d\" class=\"n\">",
		row->present, row->nr_blocks, NAME_WIDTH - 8, y + BAR - 1);
	if (path)
		print_path(out, path);
	else
		fprintf(out, "%llu", first);
	fputs("</text>", out);
	print_cells(map, out, row, y);
	fprintf(out, "<text x=\"%d\" y=\"%d\">%u of %u</text></g>\n", NAME_WIDTH + BAR_WIDTH + 8,
		y + BAR - 1, row->present, row->nr_blocks);
}

static void print_legend(const struct map *map, FILE *out, const char *path, size_t nr_files)
{
	if (path) {
		fprintf(out, "<text x=\"%d\" y=\"20\" class=\"n\">", NAME_WIDTH - 8);
		print_path(out, path);
		fputs("</text>\n", out);
	}
	fprintf(out, "<text x=\"%d\" y=\"20\" class=\"t\">%llu of %llu blocks are there</text>\n",
		NAME_WIDTH, map->all_present, map->all_blocks);
	fprintf(out, "<text x=\"%d\" y=\"44\">first</text>", NAME_WIDTH);
	for (int i = 0; i < 64; i++) {
		fprintf(out, "<rect x=\"%d\" y=\"36\" width=\"4\" height=\"%d\" fill=\"",
			NAME_WIDTH + 34 + i * 4, BAR);
		print_color(out, i * 4);
		fputs("\"/>", out);
	}
	fprintf(out, "<text x=\"%d\" y=\"44\">last</text><rect x=\"%d\" y=\"36\" width=\"24\" height=\"%d\" class=\"a\"/><text x=\"%d\" y=\"44\">absent</text>\n",
		NAME_WIDTH + 34 + 264, NAME_WIDTH + 350, BAR, NAME_WIDTH + 380);
	if (nr_files < map->nr)
		fprintf(out, "<text x=\"%d\" y=\"44\" class=\"n\">the first %zu of %zu files</text>\n",
			NAME_WIDTH - 8, nr_files, map->nr);
}

static void print_head(FILE *out, size_t nr_rows)
{
	int width = NAME_WIDTH + BAR_WIDTH + COUNT_WIDTH;

	fprintf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %zu\" width=\"%d\" font-family=\"sans-serif\" font-size=\"10\">\n",
		width, TOP + nr_rows * ROW + 10, width);
	fputs("<style>.a{fill:#e4e4e8}.n{text-anchor:end}.t{font-size:14px;font-weight:bold}</style>\n"
	      "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n", out);
}

/* A row for each file, as long as it is beside the others. */
static int print_files(struct map *map, FILE *out)
{
	size_t nr = incfs_min(map->nr, (size_t)map->most_rows);
	int err = 0;

	for (size_t i = 0; i < nr; i++)
		map->most_blocks = incfs_max(map->most_blocks,
					     map->places[i].name->node->nr_blocks);
	print_head(out, nr);
	print_legend(map, out, NULL, nr);
	for (size_t i = 0; !err && i < nr; i++) {
		struct incfs_model_name *name = map->places[i].name;
		char *path = incfs_model_full_path(name);

		map->row_blocks = name->node->nr_blocks;
		err = path ? fill_rows(map, name->node, 1) : -ENOMEM;
		if (!err)
			print_row(map, out, map->rows, path, TOP + i * ROW);
		free_rows(map);
		free(path);
	}
	return err;
}

/* One file in as many rows as it takes, or as there may be: then they are longer. */
static int print_file(struct map *map, FILE *out)
{
	struct incfs_model_node *node = map->file;
	char *path = incfs_model_full_path(map->places[0].name);
	__u32 nr;
	int err;

	map->row_blocks = (node->nr_blocks + (__u64)map->most_rows - 1) / map->most_rows;
	map->row_blocks = incfs_max(map->row_blocks, (__u32)ROW_BLOCKS);
	map->most_blocks = map->row_blocks;
	nr = (node->nr_blocks + (__u64)map->row_blocks - 1) / map->row_blocks;
	err = path ? fill_rows(map, node, nr) : -ENOMEM;
	if (!err) {
		print_head(out, nr);
		print_legend(map, out, path, 1);
		for (__u32 i = 0; i < nr; i++)
			print_row(map, out, &map->rows[i], NULL, TOP + i * ROW);
	}
	free_rows(map);
	free(path);
	return err;
}

static int find_wanted(struct map *map)
{
	struct incfs_model_node *node = incfs_model_node(&map->model, map->ino);

	map->wanted = calloc(map->model.nr_nodes, sizeof(*map->wanted));
	map->taken = calloc(map->model.nr_nodes, sizeof(*map->taken));
	if (!map->wanted || !map->taken)
		return -ENOMEM;
	if (node && S_ISDIR(node->mode))
		map->wanted[node->order] = true;
	else
		map->file = node;
	return 0;
}

static int gather(struct map *map)
{
	int err;

	if (incfs_model_check_metadata(&map->model))
		return -1;
	err = find_wanted(map) ?: incfs_model_walk(&map->model, take_file, map);
	/* An empty file; or one that has lost its name, or is of another image by now. */
	if (!err && map->ino != INCFS_IMAGE_ROOT && !map->nr) {
		incfs_error("'%s' has no blocks that could be drawn", map->what);
		return -1;
	}
	if (!err && map->nr)
		qsort(map->places, map->nr, sizeof(*map->places), compare_places);
	if (!err && map->nr_offsets)
		qsort(map->offsets, map->nr_offsets, sizeof(*map->offsets), compare_offsets);
	return err;
}

static int write_svg(struct map *map)
{
	FILE *out = strcmp(map->output, "-") ? fopen(map->output, "we") : stdout;
	int err;

	if (!out) {
		incfs_error("can't write '%s': %s", map->output, strerror(errno));
		return -1;
	}
	err = map->file ? print_file(map, out) : print_files(map, out);
	fputs("</svg>\n", out);
	if ((out == stdout ? fflush(out) : fclose(out)) && !err) {
		incfs_error("can't write '%s': %s", map->output, strerror(errno));
		err = -1;
	}
	return err;
}

static int run(struct map *map, const char *image)
{
	struct incfs_image_file file;
	int err = -1;

	if (incfs_image_file_open(&file, image, INCFS_IMAGE_LOOK))
		return -1;
	if (!incfs_model_load(&map->model, &file, NULL, NULL))
		err = gather(map);
	if (!err)
		err = write_svg(map);
	if (err == -ENOMEM)
		incfs_error("not enough memory");
	incfs_model_free(&map->model);
	incfs_image_file_close(&file);
	free(map->places);
	free(map->offsets);
	free(map->wanted);
	free(map->taken);
	return err;
}

int incfs_cmd_map(int argc, char **argv)
{
	struct map map = { .most_rows = ROWS_DEFAULT };
	int code = incfs_usage_parse(&usage, &map, argc, argv), err;
	char *image;

	if (code >= 0)
		return code;
	if (!map.output) {
		incfs_error("no --output");
		return incfs_usage_mistake(&usage);
	}
	map.what = argv[optind];
	image = incfs_image_of(map.what, &map.ino);
	err = image ? run(&map, image) : -1;
	free(image);
	return err ? 1 : 0;
}
