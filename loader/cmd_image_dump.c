// SPDX-License-Identifier: MIT
/*
 * incfs image dump: an image, record by record, and what they amount to.
 *
 * It is printed as it is read, so that of a damaged image all is shown that
 * comes before the damage.
 */
#include "cmd.h"

#include <getopt.h>

#include <json-c/json.h>

#include "image_blocks.h"
#include "image_json.h"
#include "log.h"
#include "option.h"

struct dump {
	struct incfs_model model;
	bool blocks;
	bool json;
	bool first;	/* of a JSON array */
};

static const char *type_name(__u16 mode)
{
	return S_ISDIR(mode) ? "directory" : S_ISLNK(mode) ? "symlink" : "file";
}

/* JSON arrays are printed element by element: an image may have very many. */
static void begin_array(struct dump *dump, const char *key)
{
	printf("\"%s\":[", key);
	dump->first = true;
}

static void print_element(struct dump *dump, struct json_object *object)
{
	fputs(dump->first ? "\n" : ",\n", stdout);
	dump->first = false;
	incfs_json_print(object, "");
	json_object_put(object);
}

static struct json_object *json_items(const struct incfs_attrs *attrs)
{
	static const char *const types[] = {
		[INCFS_ITEM_SYMLINK] = "symlink", [INCFS_ITEM_KEY] = "key",
		[INCFS_ITEM_XATTR] = "xattr",
	};
	struct json_object *array = json_object_new_array();
	const void *items = attrs->items;
	size_t len = attrs->items_len;
	struct incfs_item item;

	while (incfs_format_next_item(&items, &len, &item)) {
		struct json_object *object = json_object_new_object();

		incfs_json_string(object, "type",
				  item.type <= INCFS_ITEM_XATTR && types[item.type] ?
				  types[item.type] : "unknown");
		if (item.name_len)
			incfs_json_bytes(object, "name", item.name, item.name_len);
		incfs_json_bytes(object, "value", item.value, item.value_len);
		json_object_array_add(array, object);
	}
	return array;
}

static void json_attrs(struct json_object *object, const struct incfs_attrs *attrs)
{
	incfs_json_number(object, "mode", attrs->mode);
	incfs_json_number(object, "uid", attrs->uid);
	incfs_json_number(object, "gid", attrs->gid);
	json_object_object_add(object, "mtime_sec", json_object_new_int64(attrs->mtime_sec));
	incfs_json_number(object, "mtime_nsec", attrs->mtime_nsec);
	json_object_object_add(object, "items", json_items(attrs));
}

static void json_record(struct dump *dump, const struct incfs_record *record)
{
	static const char *const types[] = {
		[INCFS_RECORD_INODE] = "inode", [INCFS_RECORD_BLOCK_MAP] = "block map",
		[INCFS_RECORD_DIR_ACTION] = "directory action",
		[INCFS_RECORD_ATTRS] = "attributes",
	};
	struct json_object *object = json_object_new_object();

	incfs_json_number(object, "offset", record->offset);
	incfs_json_number(object, "next", record->next);
	incfs_json_string(object, "type", types[record->type]);
	switch (record->type) {
	case INCFS_RECORD_INODE:
		incfs_json_number(object, "ino", record->inode.ino);
		incfs_json_number(object, "size", record->inode.size);
		incfs_json_number(object, "mode", record->inode.mode);
		break;
	case INCFS_RECORD_BLOCK_MAP:
		incfs_json_number(object, "ino", record->map.ino);
		incfs_json_number(object, "map_offset", record->map.offset);
		incfs_json_number(object, "count", record->map.count);
		break;
	case INCFS_RECORD_DIR_ACTION:
		incfs_json_string(object, "action",
				  record->dir.action == INCFS_DIR_ADD ? "add" : "remove");
		incfs_json_number(object, "dir", record->dir.dir);
		incfs_json_number(object, "ino", record->dir.entry);
		incfs_json_bytes(object, "name", record->dir.name, record->dir.len);
		break;
	default:
		incfs_json_number(object, "ino", record->attrs.ino);
		json_attrs(object, &record->attrs);
	}
	print_element(dump, object);
}

static void text_items(const struct incfs_attrs *attrs)
{
	const void *items = attrs->items;
	size_t len = attrs->items_len;
	struct incfs_item item;

	while (incfs_format_next_item(&items, &len, &item)) {
		printf("    %s ", item.type == INCFS_ITEM_SYMLINK ? "target" :
		       item.type == INCFS_ITEM_KEY ? "key" : "xattr");
		incfs_print_bytes(stdout, item.name, item.name_len);
		fputs(item.name_len ? "=" : "", stdout);
		incfs_print_bytes(stdout, item.value, item.value_len);
		putchar('\n');
	}
}

static void text_record(const struct incfs_record *record)
{
	printf("%12llu  ", record->offset);
	switch (record->type) {
	case INCFS_RECORD_INODE:
		printf("inode %llu: %s, mode %04o, %llu bytes\n", record->inode.ino,
		       type_name(record->inode.mode), record->inode.mode & 07777,
		       record->inode.size);
		break;
	case INCFS_RECORD_BLOCK_MAP:
		printf("block map of %llu: %u entries at %llu\n", record->map.ino,
		       record->map.count, record->map.offset);
		break;
	case INCFS_RECORD_DIR_ACTION:
		printf("%s directory %llu: %llu as ",
		       record->dir.action == INCFS_DIR_ADD ? "add to" : "remove from",
		       record->dir.dir, record->dir.entry);
		incfs_print_bytes(stdout, record->dir.name, record->dir.len);
		putchar('\n');
		break;
	default:
		printf("attributes of %llu: mode %04o, owner %u:%u, modified %lld.%09u\n",
		       record->attrs.ino, record->attrs.mode, record->attrs.uid,
		       record->attrs.gid, record->attrs.mtime_sec, record->attrs.mtime_nsec);
		text_items(&record->attrs);
	}
}

static void show_record(void *arg, const struct incfs_record *record)
{
	struct dump *dump = arg;

	if (dump->json)
		json_record(dump, record);
	else
		text_record(record);
}

static void show_node(struct dump *dump, const struct incfs_model_node *node)
{
	struct json_object *object;

	if (!dump->json) {
		printf("%12llu  %s, mode %04o, %llu bytes, %u names, %u blocks", node->ino,
		       type_name(node->mode), node->mode & 07777, node->size, node->nr_names,
		       node->nr_blocks);
		if (node->map_offset)
			printf(", block map at %llu", node->map_offset);
		putchar('\n');
		return;
	}
	object = json_object_new_object();
	incfs_json_number(object, "ino", node->ino);
	incfs_json_string(object, "type", type_name(node->mode));
	incfs_json_number(object, "mode", node->mode & 07777);
	incfs_json_number(object, "size", node->size);
	incfs_json_number(object, "names", node->nr_names);
	incfs_json_number(object, "blocks", node->nr_blocks);
	incfs_json_number(object, "map_offset", node->map_offset);
	if (node->attrs)
		json_object_object_add(object, "attributes", json_object_new_object());
	if (node->attrs)
		json_attrs(json_object_object_get(object, "attributes"), node->attrs);
	print_element(dump, object);
}

static int show_name(void *arg, struct incfs_model_name *name, bool first)
{
	struct dump *dump = arg;
	struct json_object *object;
	const char *path;

	(void)first;
	if (!dump->json) {
		path = incfs_model_name_path(name);
		printf("%12llu  ", name->node->ino);
		incfs_print_bytes(stdout, path, strlen(path));
		putchar('\n');
		return 0;
	}
	object = json_object_new_object();
	incfs_json_number(object, "dir", name->dir->ino);
	incfs_json_number(object, "ino", name->node->ino);
	incfs_json_bytes(object, "name", name->name, name->len);
	print_element(dump, object);
	return 0;
}

static int show_block(void *arg, const struct incfs_image_block *block)
{
	const struct incfs_extent *extent = &block->extent;
	struct dump *dump = arg;
	struct json_object *object;
	bool lz4 = extent->flags & INCFS_EXTENT_LZ4;

	if (!dump->json) {
		printf("%12llu  inode %llu, block %u: ", block->entry, block->node->ino,
		       block->block);
		if (extent->size)
			printf("%u bytes at %llu, %s, CRC 0x%08x\n", extent->size,
			       extent->offset, lz4 ? "LZ4" : "raw", extent->crc);
		else
			puts(block->invalid ? "can't be right" : "absent");
		return 0;
	}
	object = json_object_new_object();
	incfs_json_number(object, "entry", block->entry);
	incfs_json_number(object, "ino", block->node->ino);
	incfs_json_number(object, "block", block->block);
	incfs_json_number(object, "offset", extent->offset);
	incfs_json_number(object, "size", extent->size);
	json_object_object_add(object, "lz4", json_object_new_boolean(lz4));
	incfs_json_number(object, "crc", extent->crc);
	json_object_object_add(object, "invalid", json_object_new_boolean(block->invalid));
	print_element(dump, object);
	return 0;
}

static int dump_blocks(struct dump *dump)
{
	struct incfs_model *model = &dump->model;
	int err = incfs_model_check_metadata(model);

	for (size_t i = 0; !err && i < model->nr_nodes; i++)
		err = incfs_image_each_block(model, model->nodes[i], show_block, dump);
	return err;
}

static void heading(struct dump *dump, const char *key, const char *text)
{
	if (dump->json) {
		fputs("\n],", stdout);
		begin_array(dump, key);
	} else {
		printf("\n%s\n", text);
	}
}

/* What follows from the records, once all of them are known. */
static int dump_model(struct dump *dump)
{
	struct incfs_model *model = &dump->model;

	heading(dump, "inodes", "INODES");
	for (size_t i = 0; i < model->nr_nodes; i++)
		show_node(dump, model->nodes[i]);
	heading(dump, "names", "NAMES");
	if (incfs_model_walk(model, show_name, dump)) {
		incfs_model_complain(model, 0, NULL, -ENOMEM);
		return -1;
	}
	if (!dump->blocks)
		return 0;
	heading(dump, "blocks", "BLOCKS");
	return dump_blocks(dump);
}

static void print_end(struct dump *dump, bool whole)
{
	const struct incfs_model *model = &dump->model;

	if (dump->json)
		printf("\n],\"features\":%u,\"first\":%llu,\"torn_at\":%llu,\"whole\":%s}\n",
		       model->super.features, model->super.first, model->torn,
		       whole ? "true" : "false");
	else if (model->torn)
		printf("\nThe list of records is cut off at image offset %llu.\n", model->torn);
}

static int run_dump(struct dump *dump, const char *path)
{
	struct incfs_image_file file;
	int err;

	if (incfs_image_file_open(&file, path, INCFS_IMAGE_LOOK))
		return 1;
	if (dump->json) {
		putchar('{');
		begin_array(dump, "records");
	} else {
		puts("RECORDS");
	}
	err = incfs_model_load(&dump->model, &file, show_record, dump);
	if (!err)
		err = dump_model(dump);
	print_end(dump, !err);
	incfs_model_free(&dump->model);
	incfs_image_file_close(&file);
	return incfs_output_end() || err ? 1 : 0;
}

static const struct incfs_option rows[] = {
	{ "blocks", 'b', NULL, "the entries of the block maps as well", incfs_option_on,
	  .offset = offsetof(struct dump, blocks) },
	{ "json", 'j', NULL, "for programs", incfs_option_on,
	  .offset = offsetof(struct dump, json) },
	{}
};

static const struct incfs_usage usage = {
	.program = "incfs image dump",
	.args = "[OPTION]... IMAGE",
	.about = "Print the records of an image, its inodes and its names.\n",
	.options = rows,
	.least = 1,
	.most = 1,
};

int incfs_cmd_image_dump(int argc, char **argv)
{
	struct dump dump = {};
	int code = incfs_usage_parse(&usage, &dump, argc, argv);

	return code >= 0 ? code : run_dump(&dump, argv[optind]);
}
