// SPDX-License-Identifier: GPL-2.0-only
/* What a mount makes of an image: see model.h. */
#include <lz4.h>
#include <stdlib.h>
#ifdef __SANITIZE_ADDRESS__
#define WITH_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN
#endif
#endif
#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, len)
#define ASAN_UNPOISON_MEMORY_REGION(at, len)
#endif

#include "model.h"

#define RECORDS_MAX 100000	/* a walk that takes in more goes round in circles */

/* What must not be, whatever the image: the fuzzer reports it as a crash. */
static void must(bool condition)
{
	if (!condition)
		abort();
}

static int refuse(const char **why, const char *reason)
{
	*why = reason;
	return -EINVAL;
}

static struct model_inode *find(const struct model *model, __u64 ino)
{
	unsigned int i;

	for (i = 0; i < model->nr_inodes; i++) {
		if (model->inodes[i].ino == ino)
			return &model->inodes[i];
	}
	return NULL;
}

const struct model_inode *model_find(const struct model *model, __u64 ino)
{
	return find(model, ino);
}

static int load_inode(struct model *model, const struct incfs_record *record, const char **why)
{
	struct model_inode *inode;

	if (find(model, record->inode.ino))
		return refuse(why, "inode number is taken");
	if (model->nr_inodes == model->max_files) {
		*why = "too many inodes";
		return -ENFILE;
	}
	inode = &model->inodes[model->nr_inodes++];
	*inode = (struct model_inode){
		.ino = record->inode.ino,
		.size = record->inode.size,
		.mode = record->inode.mode,
	};
	return 0;
}

static int load_map(struct model *model, const struct incfs_record *record, const char **why)
{
	struct model_inode *inode = find(model, record->map.ino);

	if (!inode || !S_ISREG(inode->mode) || inode->map_offset)
		return refuse(why, "block map of no file, or a second one");
	if (!record->map.count || record->map.count != incfs_format_blocks(inode->size))
		return refuse(why, "block map does not match its file");
	inode->map_offset = record->map.offset;
	return 0;
}

static struct model_name *find_name(struct model *model, const struct incfs_record *record)
{
	unsigned int i;

	for (i = 0; i < model->nr_names; i++) {
		struct model_name *name = &model->names[i];

		if (name->dir == record->dir.dir && name->len == record->dir.len &&
		    !memcmp(name->name, record->dir.name, name->len))
			return name;
	}
	return NULL;
}

static bool is_above(const struct model *model, __u64 ino, __u64 dir)
{
	unsigned int steps = 0;

	while (dir && dir != ino) {
		must(steps++ <= model->nr_inodes);
		dir = find(model, dir)->parent;
	}
	return dir == ino;
}

static int load_addition(struct model *model, const struct incfs_record *record, const char **why)
{
	struct model_inode *dir = find(model, record->dir.dir);
	struct model_inode *inode = find(model, record->dir.entry);
	struct model_name *name;

	if (!dir || !inode || !S_ISDIR(dir->mode) || inode->ino == INCFS_ROOT_INO)
		return refuse(why, "name of what can have none, or in no directory");
	if (S_ISDIR(inode->mode) && (inode->parent || is_above(model, inode->ino, dir->ino)))
		return refuse(why, "second parent, or a cycle");
	if (S_ISLNK(inode->mode) && !inode->has_attrs)
		return refuse(why, "symbolic link without a target");
	if (find_name(model, record))
		return refuse(why, "name is taken");
	name = &model->names[model->nr_names++];
	name->dir = dir->ino;
	name->ino = inode->ino;
	name->len = record->dir.len;
	memcpy(name->name, record->dir.name, name->len);
	if (S_ISDIR(inode->mode))
		inode->parent = dir->ino;
	inode->names++;
	return 0;
}

static int load_removal(struct model *model, const struct incfs_record *record, const char **why)
{
	struct model_name *name = find_name(model, record);
	struct model_inode *inode;
	unsigned int i;

	if (!name || (record->dir.entry && name->ino != record->dir.entry))
		return refuse(why, "removal of what is not there");
	for (i = 0; i < model->nr_names; i++) {
		if (model->names[i].dir == name->ino)
			return refuse(why, "removal of a directory that is not empty");
	}
	inode = find(model, name->ino);
	inode->parent = 0;
	inode->names--;
	*name = model->names[--model->nr_names];
	return 0;
}

static int load_attrs(struct model *model, const struct incfs_record *record, const char **why)
{
	struct model_inode *inode = find(model, record->attrs.ino);
	const void *items = record->attrs.items;
	size_t len = record->attrs.items_len;
	struct incfs_item item;

	if (!inode || inode->has_attrs || inode->names || inode->ino == INCFS_ROOT_INO)
		return refuse(why, "attributes of nothing, too late, or twice");
	if (incfs_format_check_items(items, len, inode->mode, why))
		return -EINVAL;
	while (incfs_format_next_item(&items, &len, &item)) {
		if (item.type == INCFS_ITEM_SYMLINK && item.value_len != inode->size)
			return refuse(why, "target has not the size of its link");
	}
	must(!len);
	inode->has_attrs = true;
	return 0;
}

/* What each record that the walk takes in is, by the document and its bytes alone. */
static void check_record(struct model *model, const struct incfs_record *record)
{
	__u8 bytes[INCFS_RECORD_SIZE_MAX];
	const struct incfs_disk_header *header = (const void *)bytes;
	size_t size;
	__u32 crc;

	must(record->offset >= 32 && record->offset < model->size);
	must(model->size - record->offset >= 23);
	memcpy(bytes, model->image + record->offset, 23);
	size = le16_to_cpu(header->h_record_size);
	must(size >= 43 && size <= sizeof(bytes) && size <= model->size - record->offset);
	memcpy(bytes, model->image + record->offset, size);
	must(record->type == bytes[0] && le64_to_cpu(header->h_prev_md_offset) == model->walk.last);
	must(record->next == le64_to_cpu(header->h_next_md_offset));
	must(!record->next || record->next >= record->offset + size);
	crc = le32_to_cpu(header->h_record_crc);
	memset(bytes + 3, 0, 12);
	must(crc == (__u32)~crc32(~0u, bytes, size));
}

static int load_record(void *arg, const struct incfs_record *record, const char **why)
{
	struct model *model = arg;
	int err;

	check_record(model, record);
	model->records[record->type]++;
	must(model->walk.records < RECORDS_MAX);
	switch (record->type) {
	case INCFS_RECORD_INODE:
		err = load_inode(model, record, why);
		break;
	case INCFS_RECORD_BLOCK_MAP:
		err = load_map(model, record, why);
		break;
	case INCFS_RECORD_DIR_ACTION:
		err = record->dir.action == INCFS_DIR_ADD ? load_addition(model, record, why) :
							    load_removal(model, record, why);
		break;
	default:
		err = load_attrs(model, record, why);
	}
	model->refused_by_tree = !!err;
	return err;
}

static int read_image(void *arg, void *buf, size_t len, __u64 offset)
{
	const struct model *model = arg;

	must(len <= INCFS_WALK_BUFFER && offset <= model->size && len <= model->size - offset);
	/* Nobody looks at what the last read has left behind this one. */
	ASAN_UNPOISON_MEMORY_REGION(buf, INCFS_WALK_BUFFER);
	memcpy(buf, model->image + offset, len);
	ASAN_POISON_MEMORY_REGION((char *)buf + len, INCFS_WALK_BUFFER - len);
	return 0;
}

/* Names and inodes of a tree: each directory has one name at most, no name is twice. */
static void check_tree(const struct model *model)
{
	unsigned int i, j, found;

	for (i = 0; i < model->nr_inodes; i++) {
		const struct model_inode *inode = &model->inodes[i];

		for (found = 0, j = 0; j < model->nr_names; j++)
			found += model->names[j].ino == inode->ino;
		must(found == inode->names && (found <= 1 || !S_ISDIR(inode->mode)));
		must(S_ISREG(inode->mode) || !inode->map_offset);
		must(!S_ISDIR(inode->mode) || !inode->parent ||
		     !is_above(model, inode->ino, inode->parent));
	}
	for (i = 0; i < model->nr_names; i++) {
		const struct model_name *name = &model->names[i];

		must(name->len && !memchr(name->name, 0, name->len) &&
		     !memchr(name->name, '/', name->len));
		must(find(model, name->ino) && S_ISDIR(find(model, name->dir)->mode));
	}
}

int model_load(struct model *model, const void *image, size_t size, unsigned int max_files)
{
	size_t names = size / sizeof(struct incfs_disk_dir_action) + 1;
	int err;

	memset(model, 0, sizeof(*model));
	model->image = image;
	model->size = size;
	model->max_files = max_files;
	model->inodes = calloc(max_files, sizeof(*model->inodes));
	model->names = calloc(names, sizeof(*model->names));
	model->walk = (struct incfs_walk){
		.read = read_image,
		.record = load_record,
		.arg = model,
		.image_size = size,
		.buf = malloc(INCFS_WALK_BUFFER),
	};
	if (!model->inodes || !model->names || !model->walk.buf)
		abort();
	model->inodes[model->nr_inodes++] = (struct model_inode){
		.ino = INCFS_ROOT_INO, .mode = S_IFDIR | 0555,
	};
	err = incfs_walk_image(&model->walk);
	ASAN_UNPOISON_MEMORY_REGION(model->walk.buf, INCFS_WALK_BUFFER);
	free(model->walk.buf);
	must(!err || model->walk.why);
	must(!model->walk.torn || (!err && model->walk.torn > model->walk.last));
	if (!err)
		check_tree(model);
	return err;
}

void model_free(struct model *model)
{
	free(model->inodes);
	free(model->names);
}

bool model_read(const struct model *model, const struct model_inode *inode, __u32 block,
		struct incfs_extent *extent, void *page)
{
	__u64 left = inode->size - ((__u64)block << INCFS_BLOCK_SHIFT);
	int len = left < INCFS_BLOCK_SIZE ? left : INCFS_BLOCK_SIZE;
	struct incfs_disk_extent disk;
	const __u8 *stored;

	memset(extent, 0, sizeof(*extent));
	memset(page, 0, INCFS_BLOCK_SIZE);
	if (!inode->map_offset)
		return false;
	/* The walk has found the whole map within the image. */
	must(inode->map_offset + incfs_format_map_size(block + 1) <= model->size);
	memcpy(&disk, model->image + inode->map_offset + incfs_format_map_size(block),
	       sizeof(disk));
	incfs_format_parse_extents(&disk, 1, model->size, extent);
	if (!extent->size)
		return false;
	must(extent->offset >= 32 && extent->offset < model->size &&
	     extent->size <= model->size - extent->offset);
	stored = model->image + extent->offset;
	if (incfs_format_crc(stored, extent->size) != extent->crc)
		return false;
	if (extent->flags & INCFS_EXTENT_LZ4) {
		if (LZ4_decompress_safe((const char *)stored, page, extent->size, len) == len)
			return true;
		return false;
	}
	must(extent->size <= INCFS_BLOCK_SIZE);
	memcpy(page, stored, extent->size < len ? extent->size : len);
	return true;
}
