// SPDX-License-Identifier: MIT
/*
 * An image written anew: all records, so that a mount reads them in one piece;
 * then the block maps; then the blocks, file by file. Files come in the order
 * of their names, a directory's before those of the directories in it.
 *
 * Where everything goes follows from the model and the block maps alone.
 */
#include "image_compact.h"

#include <stdlib.h>
#include <unistd.h>

#include "image_blocks.h"
#include "log.h"
#include "util.h"

#define ENTRIES 1024	/* of a block map, written in one go */

/**
 * struct compact
 * @maps:    new places of the block maps, by order of the nodes
 * @shared:  keys of stored bytes that have several blocks, sorted
 * @places:  and where they are now, 0 while they aren't yet
 * @write:   whether records are written, or only counted
 * @record:  the last one, which waits for the link to the next
 */
struct compact {
	struct incfs_model *model;
	struct incfs_compact_count *count;
	int fd;
	__u64 *maps;
	__u64 end;
	__u64 gap_start, gap_end;

	struct incfs_image_space space;
	__u64 *shared, *places;
	size_t nr_shared;

	bool write;
	__u64 first;
	__u8 record[INCFS_RECORD_SIZE_MAX];
	__u64 record_at;
	size_t record_size;

	struct incfs_image_data data;
	struct incfs_disk_extent entries[ENTRIES];
	__u64 entries_at;
	size_t nr_entries;
};

static int write_failed(int err)
{
	incfs_error("can't write the new image: %s", strerror(-err));
	return -1;
}

static int write_at(struct compact *compact, const void *buf, size_t len, __u64 offset)
{
	int err = incfs_file_write(compact->fd, buf, len, offset);

	return err ? write_failed(err) : 0;
}

/* No header, and so no link, crosses the end of a sector. */
static __u64 next_record_at(const struct compact *compact)
{
	__u64 last = compact->end + sizeof(struct incfs_disk_header) - 1;

	if (compact->end / INCFS_SECTOR_SIZE == last / INCFS_SECTOR_SIZE)
		return compact->end;
	return last & ~(__u64)(INCFS_SECTOR_SIZE - 1);
}

static int flush_record(struct compact *compact, __u64 next)
{
	if (!compact->record_at)
		return 0;
	incfs_format_set_next(compact->record, next);
	return write_at(compact, compact->record, compact->record_size, compact->record_at);
}

/* Where the next record goes: the one before is written with the link to it. */
static int begin_record(struct compact *compact, size_t size, __u64 *prev)
{
	__u64 at = next_record_at(compact);

	*prev = compact->record_at;
	if (compact->write && flush_record(compact, at))
		return -1;
	compact->first = compact->first ?: at;
	compact->record_at = at;
	compact->record_size = size;
	compact->end = at + size;
	return 0;
}

static int put_node(struct compact *compact, const struct incfs_model_node *node)
{
	void *buf = compact->record;
	__u64 prev;

	if (begin_record(compact, sizeof(struct incfs_disk_inode), &prev))
		return -1;
	incfs_format_build_inode(buf, prev, node->ino, node->size, node->disk_mode);
	if (node->attrs) {
		if (begin_record(compact, incfs_format_attrs_size(node->attrs->items_len), &prev))
			return -1;
		incfs_format_build_attrs(buf, prev, node->attrs);
	}
	if (node->map_offset) {
		if (begin_record(compact, sizeof(struct incfs_disk_block_map), &prev))
			return -1;
		incfs_format_build_map(buf, prev, node->ino, compact->maps[node->order],
				       node->nr_blocks);
	}
	return 0;
}

static int put_name(void *arg, struct incfs_model_name *name, bool first)
{
	struct compact *compact = arg;
	__u64 prev;

	if (first && put_node(compact, name->node))
		return -1;
	if (begin_record(compact, sizeof(struct incfs_disk_dir_action), &prev))
		return -1;
	incfs_format_build_dir((void *)compact->record, prev, INCFS_DIR_ADD, name->dir->ino,
			       name->node->ino, name->name, name->len);
	return 0;
}

static int put_records(struct compact *compact, bool write)
{
	int err;

	compact->write = write;
	compact->first = 0;
	compact->record_at = 0;
	compact->end = sizeof(struct incfs_disk_super);
	err = incfs_model_walk(compact->model, put_name, compact);
	if (err == -ENOMEM)
		incfs_error("%s", strerror(ENOMEM));
	return err;
}

/*
 * As the module does it: of the first two entries that the end of a page of 4096
 * bytes cuts, 6 and 0 bytes are in front of it, and an even number of all others.
 */
static int place_map(void *arg, struct incfs_model_name *name, bool first)
{
	struct incfs_model_node *node = name->node;
	__u64 size = incfs_format_map_size(node->nr_blocks);
	struct compact *compact = arg;
	__u64 at = (compact->end + 1) & ~1ull;
	__u32 left = INCFS_BLOCK_SIZE - at % INCFS_BLOCK_SIZE;

	if (!first || !node->map_offset)
		return 0;
	if (size > left)
		at += (left + 8) % sizeof(struct incfs_disk_extent);
	compact->maps[node->order] = at;
	compact->end = at + size;
	return 0;
}

/* The records are counted first: where the block maps are stands in them. */
static int put_metadata(struct compact *compact)
{
	struct incfs_super super = {
		.features = compact->model->super.features & INCFS_FEATURES_KNOWN,
	};
	struct incfs_disk_super disk;
	__u64 end;

	if (put_records(compact, false) || incfs_model_walk(compact->model, place_map, compact))
		return -1;
	end = compact->end;
	if (put_records(compact, true) || flush_record(compact, 0))
		return -1;
	compact->end = end;
	super.first = compact->first;
	incfs_format_build_super(&disk, &super);
	return write_at(compact, &disk, sizeof(disk), 0);
}

/* As the module does it: raw blocks are aligned, others go into the gaps. */
static __u64 reserve(struct compact *compact, size_t len)
{
	__u64 aligned = (compact->end + INCFS_BLOCK_SIZE - 1) & ~(__u64)(INCFS_BLOCK_SIZE - 1);
	__u64 at = compact->end;

	if (compact->gap_end - compact->gap_start >= len) {
		at = compact->gap_start;
		compact->gap_start += len;
		return at;
	}
	if (len == INCFS_BLOCK_SIZE) {
		if (aligned - at > compact->gap_end - compact->gap_start) {
			compact->gap_start = at;
			compact->gap_end = aligned;
		}
		at = aligned;
	}
	compact->end = at + len;
	return at;
}

static __u64 *find_shared(const struct compact *compact, __u64 key)
{
	size_t low = 0, high = compact->nr_shared;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compact->shared[middle] < key)
			low = middle + 1;
		else
			high = middle;
	}
	return low < compact->nr_shared && compact->shared[low] == key ?
	       &compact->places[low] : NULL;
}

static int put_data(struct compact *compact, const struct incfs_extent *extent, __u64 *offset)
{
	__u64 *place = find_shared(compact, incfs_image_space_key(extent));

	if (place && *place) {
		*offset = *place;
		return 0;
	}
	*offset = reserve(compact, extent->size);
	if (*offset > INCFS_OFFSET_MAX - extent->size)
		return write_failed(-EFBIG);
	if (place)
		*place = *offset;
	return write_at(compact, compact->data.stored, extent->size, *offset);
}

static int flush_entries(struct compact *compact)
{
	size_t len = compact->nr_entries * sizeof(*compact->entries);

	compact->nr_entries = 0;
	return len ? write_at(compact, compact->entries, len, compact->entries_at) : 0;
}

static int put_entry(struct compact *compact, const struct incfs_image_block *block,
		     const struct incfs_extent *extent)
{
	__u64 at = compact->maps[block->node->order] + incfs_format_map_size(block->block);

	if (compact->nr_entries == ENTRIES ||
	    at != compact->entries_at + compact->nr_entries * sizeof(*compact->entries)) {
		if (flush_entries(compact))
			return -1;
		compact->entries_at = at;
	}
	incfs_format_build_extent(&compact->entries[compact->nr_entries++], extent);
	return 0;
}

static int put_block(void *arg, const struct incfs_image_block *block)
{
	struct incfs_extent extent = block->extent;
	struct compact *compact = arg;
	const char *why;
	int err;

	compact->count->dropped_blocks += block->invalid;
	if (!extent.size)
		return 0;
	err = incfs_image_read_block(compact->model, block, &compact->data, &why);
	if (err == -EBADMSG) {
		compact->count->dropped_blocks++;
		return 0;
	}
	if (err) {
		incfs_model_complain(compact->model, extent.offset, why, err);
		return -1;
	}
	err = put_data(compact, &block->extent, &extent.offset);
	return err ?: put_entry(compact, block, &extent);
}

static int put_blocks(void *arg, struct incfs_model_name *name, bool first)
{
	struct compact *compact = arg;

	return first ? incfs_image_each_block(compact->model, name->node, put_block, compact) : 0;
}

static int gather_block(void *arg, const struct incfs_image_block *block)
{
	struct compact *compact = arg;

	return block->extent.size ? incfs_image_space_add(&compact->space, &block->extent) : 0;
}

static int gather_blocks(void *arg, struct incfs_model_name *name, bool first)
{
	struct compact *compact = arg;

	return first ? incfs_image_each_block(compact->model, name->node, gather_block,
					      compact) : 0;
}

/* Of the sorted keys those that occur more than once, each of them once. */
static int find_sharing(struct compact *compact)
{
	struct incfs_image_space *space = &compact->space;
	int err = incfs_model_walk(compact->model, gather_blocks, compact);
	size_t nr = 0;

	if (!err) {
		incfs_image_space_sum(space, compact->model);
		for (size_t i = 1; i < space->entries; i++) {
			__u64 key = space->stored[i];

			if (key == space->stored[i - 1] && (!nr || key != space->stored[nr - 1]))
				space->stored[nr++] = key;
		}
		compact->shared = space->stored;
		compact->nr_shared = nr;
		compact->places = calloc(nr + 1, sizeof(*compact->places));
		if (!compact->places)
			err = -ENOMEM;
	}
	if (err == -ENOMEM)
		incfs_error("%s", strerror(ENOMEM));
	return err;
}

static int put_image(struct compact *compact)
{
	struct incfs_model *model = compact->model;
	int err;

	err = find_sharing(compact) || put_metadata(compact) ||
	      incfs_model_walk(model, put_blocks, compact) || flush_entries(compact);
	incfs_log_progress_end();
	if (err)
		return -1;
	for (size_t i = 0; i < model->nr_nodes; i++)
		compact->count->dropped_nodes += !model->nodes[i]->marked;
	compact->count->size = compact->end;
	if (ftruncate(compact->fd, compact->end) || fsync(compact->fd))
		return write_failed(-errno);
	return 0;
}

int incfs_image_compact(struct incfs_model *model, int fd, struct incfs_compact_count *count)
{
	struct compact *compact = calloc(1, sizeof(*compact));
	int err = -1;

	*count = (struct incfs_compact_count){};
	if (compact)
		compact->maps = calloc(model->nr_nodes, sizeof(*compact->maps));
	if (!compact || !compact->maps) {
		incfs_error("%s", strerror(ENOMEM));
		goto out;
	}
	compact->model = model;
	compact->count = count;
	compact->fd = fd;
	err = put_image(compact) ? -1 : 0;
	free(compact->places);
	free(compact->maps);
	incfs_image_space_free(&compact->space);
out:
	free(compact);
	return err;
}
