// SPDX-License-Identifier: MIT
/*
 * An image in memory, made by the module's own walk through the records
 * (kmod/walk.c). What only the tree can tell to be wrong is refused as
 * kmod/tree.c refuses it at mount time.
 *
 * Nodes and names are found through the balanced trees of tsearch(3): what an
 * image says can't make them slow, as it could a hash.
 */
#include "image_model.h"

#include <limits.h>
#include <search.h>
#include <stdlib.h>

#include "log.h"
#include "util.h"
#include "walk.h"

void incfs_model_complain(const struct incfs_model *model, __u64 offset, const char *why, int err)
{
	if (err == -EINVAL)
		incfs_error("'%s': image offset %llu: %s", model->file->path, offset, why);
	else
		incfs_error("'%s': image offset %llu: %s%s%s", model->file->path, offset,
			    why ?: "", why ? ": " : "", strerror(-err));
}

static int compare_nodes(const void *a, const void *b)
{
	const struct incfs_model_node *x = a, *y = b;

	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static int compare_names(const void *a, const void *b)
{
	const struct incfs_model_name *x = a, *y = b;

	if (x->dir->ino != y->dir->ino)
		return x->dir->ino < y->dir->ino ? -1 : 1;
	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return memcmp(x->name, y->name, x->len);
}

struct incfs_model_node *incfs_model_node(const struct incfs_model *model, __u64 ino)
{
	struct incfs_model_node key = { .ino = ino };
	struct incfs_model_node **found = tfind(&key, &model->by_ino, compare_nodes);

	return found ? *found : NULL;
}

struct incfs_model_name *incfs_model_find(const struct incfs_model *model,
					  const struct incfs_model_node *dir,
					  const char *name, size_t len)
{
	char room[sizeof(struct incfs_model_name) + INCFS_NAME_MAX]
		__attribute__((aligned(__alignof__(struct incfs_model_name))));
	struct incfs_model_name *key = (void *)room, **found;

	key->dir = (struct incfs_model_node *)dir;
	key->len = len;
	memcpy(key->name, name, len);
	found = tfind(key, &model->by_name, compare_names);
	return found ? *found : NULL;
}

/* Room for one more of @nr. */
static int grow(void *array, size_t *room, size_t nr, size_t size)
{
	size_t more = nr ? nr * 2 : 64;
	void *bigger;

	if (nr < *room)
		return 0;
	bigger = reallocarray(*(void **)array, more, size);
	if (!bigger)
		return -ENOMEM;
	*(void **)array = bigger;
	*room = more;
	return 0;
}

static int add_range(struct incfs_model *model, const struct incfs_model_range *range)
{
	struct incfs_model_range *last = NULL;

	if (model->nr_metadata)
		last = &model->metadata[model->nr_metadata - 1];
	if (last && !range->ino && !last->ino && last->end == range->start) {
		last->end = range->end;
		return 0;
	}
	if (grow(&model->metadata, &model->metadata_room, model->nr_metadata, sizeof(*range)))
		return -ENOMEM;
	model->metadata[model->nr_metadata++] = *range;
	return 0;
}

static int add_node(struct incfs_model *model, __u64 ino, __u64 size, __u16 mode)
{
	struct incfs_model_node *node;

	if (grow(&model->nodes, &model->nodes_room, model->nr_nodes, sizeof(node)))
		return -ENOMEM;
	node = calloc(1, sizeof(*node));
	if (!node)
		return -ENOMEM;
	node->ino = ino;
	node->size = size;
	node->disk_mode = mode;
	node->mode = (mode & S_IFMT) | (S_ISLNK(mode) ? 0777 : mode & 0555);
	if (S_ISREG(mode))
		node->nr_blocks = incfs_format_blocks(size);
	node->order = model->nr_nodes;
	if (!tsearch(node, &model->by_ino, compare_nodes)) {
		free(node);
		return -ENOMEM;
	}
	model->nodes[model->nr_nodes++] = node;
	return 0;
}

static int load_node(struct incfs_model *model, const struct incfs_record *record,
		     const char **why)
{
	if (incfs_model_node(model, record->inode.ino)) {
		*why = "inode number is taken";
		return -EINVAL;
	}
	return add_node(model, record->inode.ino, record->inode.size, record->inode.mode);
}

static int load_map(struct incfs_model *model, const struct incfs_record *record,
		    const char **why)
{
	struct incfs_model_node *node = incfs_model_node(model, record->map.ino);
	struct incfs_model_range range = {
		.start = record->map.offset,
		.end = record->map.offset + incfs_format_map_size(record->map.count),
		.what = "block map",
		.ino = record->map.ino,
	};

	if (!node || !S_ISREG(node->mode))
		*why = "block map of no file";
	else if (node->map_offset)
		*why = "second block map of a file";
	else if (!record->map.count || record->map.count != node->nr_blocks)
		*why = "block map does not match the size of its file";
	if (*why)
		return -EINVAL;
	node->map_offset = record->map.offset;
	return add_range(model, &range);
}

/* Without items, a symbolic link's too: the target may be missing. */
static struct incfs_item find_target(const struct incfs_attrs *attrs)
{
	const void *items = attrs->items;
	size_t len = attrs->items_len;
	struct incfs_item item;

	while (incfs_format_next_item(&items, &len, &item)) {
		if (item.type == INCFS_ITEM_SYMLINK)
			return item;
	}
	return (struct incfs_item){};
}

struct incfs_item incfs_model_target(const struct incfs_model_node *node)
{
	return node->attrs ? find_target(node->attrs) : (struct incfs_item){};
}

static int check_attrs(const struct incfs_model_node *node, const struct incfs_attrs *attrs,
		       const char **why)
{
	if (!node || node->ino == INCFS_IMAGE_ROOT)
		*why = "attributes of no inode";
	else if (node->attrs)
		*why = "second attributes of an inode";
	else if (node->nr_names)
		*why = "attributes of an inode that has a name";
	if (*why || incfs_format_check_items(attrs->items, attrs->items_len, node->mode, why))
		return -EINVAL;
	if (S_ISLNK(node->mode) && find_target(attrs).value_len != node->size) {
		*why = "target of a symbolic link has not the size of its inode";
		return -EINVAL;
	}
	return 0;
}

static int load_attrs(struct incfs_model *model, const struct incfs_record *record,
		      const char **why)
{
	struct incfs_model_node *node = incfs_model_node(model, record->attrs.ino);
	struct incfs_attrs *attrs;

	if (check_attrs(node, &record->attrs, why))
		return -EINVAL;
	attrs = malloc(sizeof(*attrs) + record->attrs.items_len);
	if (!attrs)
		return -ENOMEM;
	*attrs = record->attrs;
	attrs->items = memcpy(attrs + 1, record->attrs.items, attrs->items_len);
	node->attrs = attrs;
	node->mode = (node->mode & S_IFMT) | attrs->mode;
	return 0;
}

/* A directory without entries has nothing below it. */
static bool is_below(const struct incfs_model_node *dir, const struct incfs_model_node *node)
{
	if (!node->first_name)
		return dir == node;
	for (; dir; dir = dir->parent) {
		if (dir == node)
			return true;
	}
	return false;
}

static int check_add(const struct incfs_model *model, const struct incfs_model_node *dir,
		     const struct incfs_model_node *node, const struct incfs_record *record,
		     const char **why)
{
	if (!dir || !node)
		*why = "no such inode";
	else if (!S_ISDIR(dir->mode))
		*why = "entry of something that is not a directory";
	else if (node->ino == INCFS_IMAGE_ROOT)
		*why = "the root as an entry";
	else if (S_ISDIR(node->mode) && is_below(dir, node))
		*why = "directory would be its own ancestor";
	else if (S_ISDIR(node->mode) && node->parent)
		*why = "second parent for a directory";
	else if (S_ISLNK(node->mode) && !node->attrs)
		*why = "symbolic link without a target";
	else if (incfs_model_find(model, dir, record->dir.name, record->dir.len))
		*why = "name is taken";
	return *why ? -EINVAL : 0;
}

static int load_addition(struct incfs_model *model, const struct incfs_record *record,
			 const char **why)
{
	struct incfs_model_node *dir = incfs_model_node(model, record->dir.dir);
	struct incfs_model_node *node = incfs_model_node(model, record->dir.entry);
	struct incfs_model_name *name;

	if (check_add(model, dir, node, record, why))
		return -EINVAL;
	name = calloc(1, sizeof(*name) + record->dir.len);
	if (!name)
		return -ENOMEM;
	name->dir = dir;
	name->node = node;
	name->len = record->dir.len;
	memcpy(name->name, record->dir.name, name->len);
	if (!tsearch(name, &model->by_name, compare_names)) {
		free(name);
		return -ENOMEM;
	}
	name->prev = dir->last_name;
	*(name->prev ? &name->prev->next : &dir->first_name) = name;
	dir->last_name = name;
	node->nr_names++;
	if (S_ISDIR(node->mode))
		node->parent = dir;
	return 0;
}

static void drop_name(struct incfs_model *model, struct incfs_model_name *name)
{
	tdelete(name, &model->by_name, compare_names);
	*(name->prev ? &name->prev->next : &name->dir->first_name) = name->next;
	*(name->next ? &name->next->prev : &name->dir->last_name) = name->prev;
	name->node->nr_names--;
	name->node->parent = NULL;
	free(name);
}

static int load_removal(struct incfs_model *model, const struct incfs_record *record,
			const char **why)
{
	struct incfs_model_node *dir = incfs_model_node(model, record->dir.dir);
	struct incfs_model_name *name = NULL;

	if (dir && S_ISDIR(dir->mode))
		name = incfs_model_find(model, dir, record->dir.name, record->dir.len);
	if (!name || (record->dir.entry && record->dir.entry != name->node->ino))
		*why = "removal of what is not there";
	else if (name->node->first_name)
		*why = "removal of a directory that is not empty";
	if (*why)
		return -EINVAL;
	drop_name(model, name);
	return 0;
}

static size_t record_size(const struct incfs_record *record)
{
	switch (record->type) {
	case INCFS_RECORD_INODE:
		return sizeof(struct incfs_disk_inode);
	case INCFS_RECORD_BLOCK_MAP:
		return sizeof(struct incfs_disk_block_map);
	case INCFS_RECORD_DIR_ACTION:
		return sizeof(struct incfs_disk_dir_action);
	default:
		return incfs_format_attrs_size(record->attrs.items_len);
	}
}

static int load_record(void *arg, const struct incfs_record *record, const char **why)
{
	struct incfs_model *model = arg;
	struct incfs_model_range range = {
		.start = record->offset,
		.end = record->offset + record_size(record),
		.what = "record",
	};
	int err = add_range(model, &range);

	*why = NULL;
	if (err)
		return err;
	if (record->type == INCFS_RECORD_INODE)
		err = load_node(model, record, why);
	else if (record->type == INCFS_RECORD_BLOCK_MAP)
		err = load_map(model, record, why);
	else if (record->type == INCFS_RECORD_ATTRS)
		err = load_attrs(model, record, why);
	else if (record->dir.action == INCFS_DIR_ADD)
		err = load_addition(model, record, why);
	else
		err = load_removal(model, record, why);
	if (!err && model->show)
		model->show(model->show_arg, record);
	return err;
}

static int read_image(void *arg, void *buf, size_t len, __u64 offset)
{
	struct incfs_model *model = arg;

	return incfs_image_file_read(model->file, buf, len, offset);
}

static int load_records(struct incfs_model *model)
{
	struct incfs_walk walk = {
		.read = read_image,
		.record = load_record,
		.arg = model,
		.image_size = model->file->size,
		.buf = malloc(INCFS_WALK_BUFFER),
	};
	int err = walk.buf ? incfs_walk_image(&walk) : -ENOMEM;

	free(walk.buf);
	model->super = walk.super;
	model->nr_records = walk.records;
	model->last = walk.last;
	model->torn = walk.torn;
	if (err)
		incfs_model_complain(model, walk.offset, walk.why, err);
	return err;
}

int incfs_model_load(struct incfs_model *model, struct incfs_image_file *file,
		     void (*show)(void *arg, const struct incfs_record *record), void *arg)
{
	static const struct incfs_model_range super = {
		.end = sizeof(struct incfs_disk_super), .what = "superblock",
	};

	*model = (struct incfs_model){ .file = file, .show = show, .show_arg = arg };
	if (add_range(model, &super) || add_node(model, INCFS_IMAGE_ROOT, 0, S_IFDIR | 0555)) {
		incfs_model_complain(model, 0, NULL, -ENOMEM);
		return -1;
	}
	if (load_records(model))
		return -1;
	for (size_t i = 0; i < model->nr_nodes; i++) {
		struct incfs_model_name *name = model->nodes[i]->first_name;

		for (; name; name = name->next)
			name->node->a_name = name->node->a_name ?: name;
	}
	return 0;
}

static void keep(void *data)
{
	(void)data;
}

void incfs_model_free(struct incfs_model *model)
{
	tdestroy(model->by_ino, keep);
	tdestroy(model->by_name, free);
	for (size_t i = 0; i < model->nr_nodes; i++) {
		free(model->nodes[i]->attrs);
		free(model->nodes[i]);
	}
	free(model->nodes);
	free(model->metadata);
	*model = (struct incfs_model){};
}

static int compare_ranges(const void *a, const void *b)
{
	const struct incfs_model_range *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->end < y->end ? -1 : x->end > y->end;
}

static void describe(char *text, size_t size, const struct incfs_model_range *range)
{
	if (range->ino)
		snprintf(text, size, "%s of inode %llu", range->what, range->ino);
	else
		snprintf(text, size, "%s", range->what);
}

int incfs_model_check_metadata(struct incfs_model *model)
{
	struct incfs_model_range *ranges = model->metadata;
	char one[64], other[64], why[160];
	size_t before = 0;

	qsort(ranges, model->nr_metadata, sizeof(*ranges), compare_ranges);
	for (size_t i = 1; i < model->nr_metadata; i++) {
		if (ranges[i].start < ranges[before].end) {
			describe(one, sizeof(one), &ranges[i]);
			describe(other, sizeof(other), &ranges[before]);
			snprintf(why, sizeof(why), "%s lies over the %s at offset %llu", one,
				 other, ranges[before].start);
			incfs_model_complain(model, ranges[i].start, why, -EINVAL);
			return -1;
		}
		before = i;
	}
	return 0;
}

const struct incfs_model_range *incfs_model_find_metadata(const struct incfs_model *model,
							  __u64 offset, __u64 len)
{
	size_t low = 0, high = model->nr_metadata;

	/* The first that ends behind @offset. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (model->metadata[middle].end > offset)
			high = middle;
		else
			low = middle + 1;
	}
	if (low == model->nr_metadata || model->metadata[low].start >= offset + len)
		return NULL;
	return &model->metadata[low];
}

const char *incfs_model_name_path(const struct incfs_model_name *last)
{
	static char path[PATH_MAX];
	const struct incfs_model_name *name;
	size_t at = sizeof(path) - 1;

	for (name = last; name; name = name->dir->a_name) {
		if (at < name->len + 5u) {
			at -= 4;
			memcpy(path + at, ".../", 4);
			break;
		}
		if (name != last)
			path[--at] = '/';
		at -= name->len;
		memcpy(path + at, name->name, name->len);
	}
	return path + at;
}

const char *incfs_model_path(const struct incfs_model_node *node)
{
	return node->a_name ? incfs_model_name_path(node->a_name) :
	       node->ino == INCFS_IMAGE_ROOT ? "." : "(without a name)";
}

int incfs_model_walk(struct incfs_model *model,
		     int (*visit)(void *arg, struct incfs_model_name *name, bool first),
		     void *arg)
{
	struct incfs_model_node **dirs = calloc(model->nr_nodes, sizeof(*dirs));
	struct incfs_model_name *name;
	size_t at = 0, end = 0;
	int err = 0;

	if (!dirs)
		return -ENOMEM;
	for (size_t i = 0; i < model->nr_nodes; i++)
		model->nodes[i]->marked = false;
	dirs[end++] = model->nodes[0];
	model->nodes[0]->marked = true;
	while (!err && at < end) {
		for (name = dirs[at++]->first_name; !err && name; name = name->next) {
			bool first = !name->node->marked;

			name->node->marked = true;
			if (first && S_ISDIR(name->node->mode))
				dirs[end++] = name->node;
			err = visit ? visit(arg, name, first) : 0;
		}
	}
	free(dirs);
	return err;
}
