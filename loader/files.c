// SPDX-License-Identifier: MIT
/* The state of every block of every file. */
#include "files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "list.h"
#include "util.h"

static int file_init(struct incfs_file *file, struct incfs_entry *entry)
{
	size_t words;

	file->entry = entry;
	file->nr_blocks = incfs_size_blocks(entry->size);
	words = (file->nr_blocks + 63ull) / 64;
	/* One word more, so that an empty file is no special case. */
	file->present = calloc(4 * words + 1, sizeof(__u64));
	if (!file->present)
		return -ENOMEM;
	file->busy = file->present + words;
	file->wanted = file->busy + words;
	file->base = file->wanted + words;
	return 0;
}

int incfs_files_create(struct incfs_files *files, struct incfs_list *list)
{
	*files = (struct incfs_files){
		.files = calloc(list->nr_files + 1, sizeof(*files->files)),
		.by_ino = calloc(list->nr_files + 1, sizeof(*files->by_ino)),
		.nr_blocks = list->nr_blocks,
	};
	if (!files->files || !files->by_ino)
		return -ENOMEM;
	for (size_t i = 0; i < list->nr_entries; i++) {
		if (list->entries[i].type != INCFS_ENTRY_FILE)
			continue;
		if (file_init(&files->files[files->nr++], &list->entries[i]))
			return -ENOMEM;
	}
	return 0;
}

void incfs_files_destroy(struct incfs_files *files)
{
	for (size_t i = 0; i < files->nr; i++)
		free(files->files[i].present);
	free(files->files);
	free(files->by_ino);
	*files = (struct incfs_files){};
}

static int compare_ino(const void *a, const void *b)
{
	const struct incfs_file *x = *(struct incfs_file **)a, *y = *(struct incfs_file **)b;

	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

void incfs_files_set_inodes(struct incfs_files *files)
{
	for (size_t i = 0; i < files->nr; i++) {
		files->files[i].ino = files->files[i].entry->ino;
		files->by_ino[i] = &files->files[i];
	}
	qsort(files->by_ino, files->nr, sizeof(*files->by_ino), compare_ino);
}

struct incfs_file *incfs_files_find(struct incfs_files *files, __u64 ino)
{
	struct incfs_file key = { .ino = ino }, *keyp = &key, **found;

	found = bsearch(&keyp, files->by_ino, files->nr, sizeof(*files->by_ino), compare_ino);
	return found ? *found : NULL;
}

void incfs_blocks_set(__u64 *bits, __u32 first, __u32 count)
{
	for (; count; first++, count--)
		bits[first / 64] |= 1ull << (first % 64);
}

void incfs_blocks_clear(__u64 *bits, __u32 first, __u32 count)
{
	for (; count; first++, count--)
		bits[first / 64] &= ~(1ull << (first % 64));
}

void incfs_files_present(struct incfs_files *files, struct incfs_file *file, __u32 first,
			 __u32 count)
{
	for (; count; first++, count--) {
		if (incfs_block_test(file->present, first))
			continue;
		incfs_blocks_set(file->present, first, 1);
		file->nr_present++;
		files->nr_present++;
	}
}

void incfs_files_absent(struct incfs_files *files, struct incfs_file *file, __u32 block)
{
	if (!incfs_block_test(file->present, block))
		return;
	incfs_blocks_clear(file->present, block, 1);
	file->nr_present--;
	files->nr_present--;
}

__u32 incfs_file_find_open(const struct incfs_file *file, __u32 first, __u32 end, __u32 max,
			   __u32 *start)
{
	__u32 block = first;

	end = incfs_min(end, file->nr_blocks);
	while (block < end) {
		__u64 closed = file->present[block / 64] | file->busy[block / 64] |
			       file->base[block / 64];
		__u64 open = ~closed >> (block % 64);

		if (open) {
			block += __builtin_ctzll(open);
			break;
		}
		block = incfs_min((block / 64 + 1ull) * 64, end);
	}
	*start = block;
	end = block < end ? incfs_min(end, block + (__u64)max) : block;
	while (block < end && !incfs_block_test(file->present, block) &&
	       !incfs_block_test(file->busy, block) && !incfs_block_test(file->base, block))
		block++;
	return block - *start;
}
