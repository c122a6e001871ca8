// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzzing of the look-up of blocks: a file that is nothing but block-map entries
 * in an image that is nothing but bytes. Whatever entry is taken lies within
 * the image and its limits, and its block is read without looking past them.
 *
 * Input: size of the file, 2 bytes; length that the image claims to have, 8
 * bytes, 0 for its own; the image, which begins with 32 bytes of no matter, and
 * then the entries.
 */
#include "fuzz.h"
#include "model.h"
#include "mutate.h"

#define HEAD 10
#define MAP 32
#define BLOCKS_MAX 16

static struct {
	__u64 inputs, entries, within, taken, crc, raw, lz4;
} figures;

static void print_figures(void)
{
	printf("figures: inputs=%llu entries=%llu taken=%llu within=%llu crc=%llu raw=%llu "
	       "lz4=%llu\n", figures.inputs, figures.entries, figures.taken, figures.within,
	       figures.crc, figures.raw, figures.lz4);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	atexit(print_figures);
	return 0;
}

/* What an entry may be, by docs/format.md; the sums can't wrap here. */
static void check_extent(const struct incfs_disk_extent *disk, const struct incfs_extent *extent,
			 __u64 image_size)
{
	const __u8 *bytes = (const void *)disk;
	unsigned __int128 end = (unsigned __int128)extent->offset + extent->size;
	__u64 offset = 0;
	__u16 size, flags;
	__u32 crc;
	bool right;

	memcpy(&offset, bytes, 6);
	memcpy(&size, bytes + 6, 2);
	memcpy(&flags, bytes + 8, 2);
	memcpy(&crc, bytes + 10, 4);
	offset = le64_to_cpu(offset);
	size = le16_to_cpu(size);
	flags = le16_to_cpu(flags);
	right = offset >= 32 && size && flags <= 1 && size <= (flags ? 8192 : 4096) &&
		(unsigned __int128)offset + size <= image_size;
	fuzz_must(right == !!extent->size);
	if (!right)
		return;
	fuzz_must(end <= image_size && extent->offset == offset && extent->size == size &&
		  extent->flags == flags && extent->crc == le32_to_cpu(crc));
}

static void check_claimed(const __u8 *image, size_t size, __u64 claimed, __u32 blocks)
{
	struct incfs_disk_extent disk, again;
	struct incfs_extent extent;
	__u32 i;

	for (i = 0; i < blocks && MAP + (i + 1) * sizeof(disk) <= size; i++) {
		memcpy(&disk, image + MAP + i * sizeof(disk), sizeof(disk));
		incfs_format_parse_extents(&disk, 1, claimed, &extent);
		check_extent(&disk, &extent, claimed);
		figures.entries++;
		if (!extent.size)
			continue;
		figures.taken++;
		figures.within += extent.offset < size && extent.size <= size - extent.offset;
		incfs_format_build_extent(&again, &extent);
		fuzz_must(!memcmp(&again, &disk, sizeof(disk)));
	}
}

static void check_reads(const __u8 *image, size_t size, __u32 file_size, __u32 blocks)
{
	struct model_inode inode = { .size = file_size, .mode = S_IFREG, .map_offset = MAP };
	struct model model = { .image = image, .size = size };
	__u8 *page = malloc(INCFS_BLOCK_SIZE);
	struct incfs_extent extent;
	__u32 i, len, at;

	for (i = 0; i < blocks && MAP + (i + 1) * sizeof(struct incfs_disk_extent) <= size; i++) {
		bool read = model_read(&model, &inode, i, &extent, page);

		if (extent.size)
			figures.crc += incfs_format_crc(image + extent.offset, extent.size) ==
				       extent.crc;
		if (!read)
			continue;
		figures.raw += !extent.flags;
		figures.lz4 += extent.flags;
		len = i == file_size / INCFS_BLOCK_SIZE ? file_size % INCFS_BLOCK_SIZE :
							  INCFS_BLOCK_SIZE;
		for (at = len; at < INCFS_BLOCK_SIZE; at++)
			fuzz_must(!page[at]);
	}
	free(page);
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	__u64 claimed;
	__u16 file_size;
	__u32 blocks;
	__u8 *image;

	figures.inputs++;
	if (size < HEAD)
		return 0;
	memcpy(&file_size, data, 2);
	memcpy(&claimed, data + 2, 8);
	file_size = le16_to_cpu(file_size);
	claimed = le64_to_cpu(claimed);
	blocks = incfs_format_blocks(file_size);
	size -= HEAD;
	/* To its exact size, for the sanitizer. */
	image = malloc(size);
	memcpy(image, data + HEAD, size);
	check_claimed(image, size, claimed ?: size, blocks);
	check_reads(image, size, file_size, blocks);
	free(image);
	return 0;
}

/* Make an entry of what is nearly one: at bytes of the image, with their CRC. */
static void mend(__u8 *image, size_t size, __u32 block, __u64 *state)
{
	size_t map_end = MAP + BLOCKS_MAX * sizeof(struct incfs_disk_extent);
	struct incfs_extent extent;
	__u64 room;

	if (size <= map_end)
		return;
	room = size - map_end;
	extent.offset = map_end + mutate_below(state, room);
	room = size - extent.offset;
	extent.flags = mutate_below(state, 16) ? mutate_below(state, 2) : mutate_random(state);
	extent.size = 1 + mutate_below(state, room < 9000 ? room : 9000);
	if (mutate_below(state, 8) && extent.size > INCFS_BLOCK_SIZE)
		extent.size = INCFS_BLOCK_SIZE;
	if (extent.flags == INCFS_EXTENT_LZ4 && extent.size > 40 && mutate_below(state, 2)) {
		/* A literal, and matches of it up to the end of the block and a bit. */
		__u32 more = 4085 - 19 - mutate_below(state, 4) * 255, i = 0;
		__u8 *at = image + extent.offset;

		at[i++] = 0x1f;
		at[i++] = 'x';
		at[i++] = 1 + (mutate_below(state, 16) == 0);
		at[i++] = 0;
		for (; more >= 255 && i < 25; more -= 255)
			at[i++] = 255;
		at[i++] = more;
		at[i++] = 0xa0;
		memset(at + i, 'y', 10);
		extent.size = i + 10 - (mutate_below(state, 8) == 0);
	}
	if (extent.size > room)
		extent.size = room;
	extent.crc = incfs_format_crc(image + extent.offset, extent.size);
	incfs_format_build_extent((void *)(image + MAP + block * sizeof(struct incfs_disk_extent)),
				  &extent);
}

size_t LLVMFuzzerCustomMutator(__u8 *data, size_t size, size_t max, unsigned int seed)
{
	__u64 state = mutate_seed(seed);
	__u16 file_size;
	__u32 blocks;

	size = LLVMFuzzerMutate(data, size, max);
	if (fuzz_plain())
		return size;
	if (size < 1000 && max > 2000) {
		memset(data + size, mutate_below(&state, 4), 2000 - size);
		size = 2000;
	}
	if (size < HEAD + MAP)
		return size;
	if (mutate_below(&state, 2))
		memset(data + 2, 0, 8);
	memcpy(&file_size, data, 2);
	file_size = le16_to_cpu(file_size);
	if (!file_size)
		memset(data, 0xff, 2);
	blocks = incfs_format_blocks(file_size);
	if (blocks && mutate_below(&state, 4))
		mend(data + HEAD, size - HEAD, mutate_below(&state, blocks), &state);
	return size;
}
