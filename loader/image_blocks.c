// SPDX-License-Identifier: MIT
/*
 * The blocks of an image. Its block maps must not overlap: all that is read of
 * them is then no more than there is in the image file.
 */
#include "image_blocks.h"

#include <lz4.h>
#include <stdlib.h>
#include <unistd.h>

#include "log.h"
#include "util.h"

#define BATCH 2048	/* entries that are read in one go */

static_assert(INCFS_STORED_MAX < 1 << 14 && INCFS_OFFSET_MAX <= ~0ull >> 16,
	      "place and size of stored bytes fit into 62 bits");

static bool is_empty(const struct incfs_disk_extent *disk)
{
	static const struct incfs_disk_extent zero;

	return !memcmp(disk, &zero, sizeof(zero));
}

/* A block without an offset or a size is absent, whatever else the entry says. */
static bool is_present(const struct incfs_disk_extent *disk)
{
	return (disk->me_data_offset_lo || disk->me_data_offset_hi) && disk->me_data_size;
}

/* The first block from @block on whose entry is not in a hole of the file. */
static __u32 skip_hole(const struct incfs_model *model, const struct incfs_model_node *node,
		       __u32 block)
{
	__u64 at = node->map_offset + incfs_format_map_size(block);
	off_t data = lseek(model->file->fd, at, SEEK_DATA);

	if (data < 0)
		return errno == ENXIO ? node->nr_blocks : block;
	block += (data - at) / sizeof(struct incfs_disk_extent);
	return incfs_min(block, node->nr_blocks);
}

static int visit_batch(const struct incfs_model *model, struct incfs_image_block *block,
		       const struct incfs_disk_extent *disk, __u32 count,
		       int (*visit)(void *arg, const struct incfs_image_block *block),
		       void *arg)
{
	int err = 0;

	for (__u32 i = 0; !err && i < count; i++, block->block++, disk++) {
		if (is_empty(disk))
			continue;
		block->entry = block->node->map_offset + incfs_format_map_size(block->block);
		incfs_format_parse_extents(disk, 1, model->file->size, &block->extent);
		block->invalid = !block->extent.size && is_present(disk);
		err = visit(arg, block);
	}
	return err;
}

int incfs_image_each_block(const struct incfs_model *model, struct incfs_model_node *node,
			   int (*visit)(void *arg, const struct incfs_image_block *block),
			   void *arg)
{
	struct incfs_disk_extent disk[BATCH];
	struct incfs_image_block block = { .node = node };
	int err = 0;

	while (!err && node->map_offset) {
		__u64 at;
		__u32 count;

		block.block = skip_hole(model, node, block.block);
		if (block.block == node->nr_blocks)
			break;
		at = node->map_offset + incfs_format_map_size(block.block);
		count = incfs_min(node->nr_blocks - block.block, (__u32)BATCH);
		err = incfs_image_file_read(model->file, disk, count * sizeof(*disk), at);
		if (err) {
			incfs_model_complain(model, at, "can't read a block map", err);
			return -EBADMSG;
		}
		err = visit_batch(model, &block, disk, count, visit, arg);
	}
	return err;
}

static int damaged(const char **why, const char *reason)
{
	*why = reason;
	return -EBADMSG;
}

int incfs_image_read_block(const struct incfs_model *model,
			   const struct incfs_image_block *block,
			   struct incfs_image_data *data, const char **why)
{
	const struct incfs_extent *extent = &block->extent;
	__u64 left = block->node->size - ((__u64)block->block << INCFS_BLOCK_SHIFT);
	static __u64 nr;
	int err;

	incfs_log_progress("reading", ++nr, 0);
	*why = "can't read stored bytes";
	data->len = incfs_min(left, (__u64)INCFS_BLOCK_SIZE);
	err = incfs_image_file_read(model->file, data->stored, extent->size, extent->offset);
	if (err)
		return err;
	if (incfs_format_crc(data->stored, extent->size) != extent->crc)
		return damaged(why, "stored bytes have a bad CRC");
	memset(data->data, 0, sizeof(data->data));
	if (!(extent->flags & INCFS_EXTENT_LZ4)) {
		memcpy(data->data, data->stored, incfs_min(data->len, (__u32)extent->size));
		return 0;
	}
	err = LZ4_decompress_safe((const char *)data->stored, (char *)data->data, extent->size,
				  data->len);
	if (err < 0 || (__u32)err != data->len)
		return damaged(why, "stored bytes do not expand to the block");
	return 0;
}

int incfs_image_space_add(struct incfs_image_space *space, const struct incfs_extent *extent)
{
	if (space->entries == space->room) {
		size_t room = space->room ? space->room * 2 : 4096;
		__u64 *stored = reallocarray(space->stored, room, sizeof(*stored));

		if (!stored)
			return -ENOMEM;
		space->stored = stored;
		space->room = room;
	}
	space->stored[space->entries++] = incfs_image_space_key(extent);
	return 0;
}

static int compare_keys(const void *a, const void *b)
{
	__u64 x = *(const __u64 *)a, y = *(const __u64 *)b;

	return x < y ? -1 : x > y;
}

/* Count the bytes from @start to @end that were not counted before. */
static void cover(__u64 *used, __u64 *covered, __u64 start, __u64 end)
{
	start = incfs_max(start, *covered);
	if (end > start) {
		*used += end - start;
		*covered = end;
	}
}

void incfs_image_space_sum(struct incfs_image_space *space, const struct incfs_model *model)
{
	const struct incfs_model_range *range = model->metadata;
	const struct incfs_model_range *end = range + model->nr_metadata;
	__u64 covered = 0, last = 0, bytes = 0, covered_bytes = 0;

	if (space->entries)
		qsort(space->stored, space->entries, sizeof(*space->stored), compare_keys);
	for (size_t i = 0; i < space->entries; i++) {
		__u64 start = space->stored[i] >> 14, size = space->stored[i] & 0x3fff;

		for (; range < end && range->start <= start; range++) {
			cover(&space->used, &covered, range->start, range->end);
			space->metadata += range->end - range->start;
		}
		cover(&space->used, &covered, start, start + size);
		cover(&bytes, &covered_bytes, start, start + size);
		if (space->stored[i] != last)
			space->blocks++;
		last = space->stored[i];
	}
	for (; range < end; range++) {
		cover(&space->used, &covered, range->start, range->end);
		space->metadata += range->end - range->start;
	}
	space->bytes = bytes;
}

void incfs_image_space_free(struct incfs_image_space *space)
{
	free(space->stored);
	*space = (struct incfs_image_space){};
}
