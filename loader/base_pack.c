// SPDX-License-Identifier: MIT
/*
 * What a tree has in common with a bundle: blocks of the same SHA-256. They are looked
 * for by a table of the bundle's blocks, of which the first with a digest stands for all;
 * but a run is gone on with as long as it can, and a block that stands where it stood
 * comes from there.
 */
#include "base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "util.h"

/**
 * struct incfs_base_index
 * @digest: of the head
 * @first:  of each entry of the list: number of its first block
 * @blocks: the block table
 * @slots:  numbers of blocks by their digests, and 1, in a table of @mask + 1
 */
struct incfs_base_index {
	const char *bundle;
	struct incfs_bundle_head head;
	struct incfs_digest digest;
	struct incfs_list list;
	__u64 *first;
	unsigned char *blocks;
	__u32 *slots;
	__u64 mask;
};

static int index_fail(const struct incfs_base_index *index, const char *name, const char *why)
{
	incfs_error("base '%s': '%s': %s", index->bundle, name, why);
	return -1;
}

/* A file of the bundle, of a size that is known; *@data is the caller's. */
static int read_part(const struct incfs_base_index *index, const char *name, size_t size,
		     void **data)
{
	char *path = NULL, *buf = malloc(size + 1);
	struct stat st;
	size_t have = 0;
	ssize_t got = 1;
	int fd = -1, err = 0;

	if (!buf || asprintf(&path, "%s/%s", index->bundle, name) < 0)
		err = index_fail(index, name, "not enough memory");
	else if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0 || fstat(fd, &st))
		err = index_fail(index, name, strerror(errno));
	else if (!S_ISREG(st.st_mode) || (__u64)st.st_size != size)
		err = index_fail(index, name, "it has not the size that it must have");
	while (!err && have < size && got > 0) {
		got = read(fd, buf + have, size - have);
		if (got <= 0)
			err = index_fail(index, name, got ? strerror(errno) :
					 "it has become shorter");
		have += incfs_max(got, 0);
	}
	if (fd >= 0)
		close(fd);
	free(path);
	*data = buf;
	return err;
}

static int prove(const struct incfs_base_index *index, const char *name, const void *data,
		 size_t size, const struct incfs_digest *digest)
{
	struct incfs_digest found;

	if (!incfs_digest(data, size, &found) && !memcmp(&found, digest, sizeof(found)))
		return 0;
	return index_fail(index, name, "it is not what the bundle was packed with: its SHA-256 differs");
}

static int read_head(struct incfs_base_index *index)
{
	char why[256];
	void *text;
	int err = read_part(index, INCFS_BUNDLE_HEAD, INCFS_BUNDLE_HEAD_SIZE, &text);

	if (!err && incfs_bundle_parse_head(&index->head, text, why, sizeof(why)))
		err = index_fail(index, INCFS_BUNDLE_HEAD, why);
	if (!err && incfs_digest(text, INCFS_BUNDLE_HEAD_SIZE, &index->digest))
		err = index_fail(index, INCFS_BUNDLE_HEAD, "can't compute a SHA-256");
	free(text);
	return err;
}

static int read_tree(struct incfs_base_index *index)
{
	const struct incfs_bundle_head *head = &index->head;
	__u64 nr = 0;
	void *text;
	int err = read_part(index, INCFS_BUNDLE_TREE, head->tree_size, &text) ?:
		  prove(index, INCFS_BUNDLE_TREE, text, head->tree_size, &head->tree);

	if (err) {
		free(text);
		return err;
	}
	if (incfs_list_parse(&index->list, text, head->tree_size))
		return index_fail(index, INCFS_BUNDLE_TREE, index->list.error);
	if (index->list.nr_blocks * INCFS_BUNDLE_ENTRY_SIZE != head->blocks_size)
		return index_fail(index, INCFS_BUNDLE_BLOCKS, "it has other blocks than the tree");
	index->first = calloc(index->list.nr_entries + 1, sizeof(*index->first));
	if (!index->first)
		return index_fail(index, INCFS_BUNDLE_TREE, "not enough memory");
	for (size_t i = 0; i < index->list.nr_entries; i++) {
		index->first[i] = nr;
		nr += incfs_size_blocks(index->list.entries[i].size);
	}
	index->first[index->list.nr_entries] = nr;
	return 0;
}

static int read_blocks(struct incfs_base_index *index)
{
	const size_t page_size = INCFS_BUNDLE_PAGE_ENTRIES * INCFS_BUNDLE_ENTRY_SIZE;
	const struct incfs_bundle_head *head = &index->head;
	struct incfs_digest *digests;
	void *pages, *blocks = NULL;
	int err;

	err = read_part(index, INCFS_BUNDLE_PAGES, head->pages_size, &pages) ?:
	      prove(index, INCFS_BUNDLE_PAGES, pages, head->pages_size, &head->pages) ?:
	      read_part(index, INCFS_BUNDLE_BLOCKS, head->blocks_size, &blocks);
	index->blocks = blocks;
	digests = pages;
	for (__u64 at = 0; !err && at < head->blocks_size; at += page_size)
		err = prove(index, INCFS_BUNDLE_BLOCKS, index->blocks + at,
			    incfs_min(page_size, head->blocks_size - at), digests++);
	free(pages);
	return err;
}

static struct incfs_bundle_block table_block(const unsigned char *blocks, __u64 nr)
{
	struct incfs_bundle_block block;

	incfs_bundle_parse_block(&block, blocks + nr * INCFS_BUNDLE_ENTRY_SIZE);
	return block;
}

/* The slot that has a block of this digest, or is free for one. */
static __u32 *find_slot(const struct incfs_base_index *index, const struct incfs_digest *digest)
{
	struct incfs_bundle_block block;
	__u64 hash;

	memcpy(&hash, digest, sizeof(hash));
	for (;; hash++) {
		__u32 *slot = &index->slots[hash & index->mask];

		if (!*slot)
			return slot;
		block = table_block(index->blocks, *slot - 1);
		if (!memcmp(&block.digest, digest, sizeof(*digest)))
			return slot;
	}
}

static int fill_slots(struct incfs_base_index *index)
{
	__u64 nr = index->list.nr_blocks, room = 64;
	struct incfs_bundle_block block;

	while (room < nr + nr / 2)
		room *= 2;
	index->slots = calloc(room, sizeof(*index->slots));
	index->mask = room - 1;
	if (!index->slots)
		return index_fail(index, INCFS_BUNDLE_BLOCKS, "not enough memory");
	for (__u64 i = 0; i < nr; i++) {
		__u32 *slot;

		block = table_block(index->blocks, i);
		/* Zeros are nowhere: there is nothing to be saved. */
		if (!block.length)
			continue;
		slot = find_slot(index, &block.digest);
		if (!*slot)
			*slot = i + 1;
	}
	return 0;
}

struct incfs_base_index *incfs_base_open(const char *bundle)
{
	struct incfs_base_index *index = calloc(1, sizeof(*index));

	if (!index) {
		incfs_error("not enough memory");
		return NULL;
	}
	index->bundle = bundle;
	if (!read_head(index) && !read_tree(index) && !read_blocks(index) && !fill_slots(index))
		return index;
	incfs_base_close(index);
	return NULL;
}

void incfs_base_close(struct incfs_base_index *index)
{
	if (!index)
		return;
	incfs_list_destroy(&index->list);
	free(index->first);
	free(index->blocks);
	free(index->slots);
	free(index);
}

/**
 * struct compare - what is being found for one file
 * @same:    the file of the base of the same path, or NULL
 * @from:    number of the block of the base that the run would go on with, in @in, whose
 *           last one is before @end
 * @run:     not written yet, if its count is not 0
 * @written: the file of the base that the last line of the text is about
 */
struct compare {
	const struct incfs_base_index *index;
	const struct incfs_list *list;
	FILE *out;
	const struct incfs_entry *file;
	const struct incfs_entry *same;
	const struct incfs_entry *in;
	__u64 from, end;
	struct incfs_base_run run;
	const char *written;
	__u64 nr_runs, nr_lines, nr_blocks;
};

/* Of no more than a reader would take. */
static bool has_room(const struct compare *compare)
{
	return compare->nr_runs < INCFS_BASE_MAX_RUNS &&
	       ftell(compare->out) < (long)(INCFS_BASE_MAX_BYTES - 2 * INCFS_LIST_MAX_LINE);
}

static void write_run(struct compare *compare)
{
	const struct incfs_base_run *run = &compare->run;

	if (!run->count || !has_room(compare)) {
		compare->run.count = 0;
		return;
	}
	if (!compare->written) {
		fprintf(compare->out, "t %zu\n", compare->file - compare->list->entries);
		compare->written = compare->file->path;
		compare->nr_lines++;
	}
	if (strcmp(compare->written, compare->in->path)) {
		fputs("f ", compare->out);
		incfs_list_write_path(compare->out, compare->in->path);
		fputc('\n', compare->out);
		compare->written = compare->in->path;
		compare->nr_lines++;
	}
	fprintf(compare->out, "%u %u %u\n", run->first, run->count, run->from_block);
	compare->nr_lines++;
	compare->nr_runs++;
	compare->nr_blocks += run->count;
	compare->run.count = 0;
}

/* Which file of the base the block @nr of its table is of. */
static const struct incfs_entry *block_file(const struct incfs_base_index *index, __u64 nr)
{
	size_t low = 0, high = index->list.nr_entries;

	/* The last one that begins at or before it: those of no blocks come before that. */
	while (low + 1 < high) {
		size_t middle = (low + high) / 2;

		if (index->first[middle] <= nr)
			low = middle;
		else
			high = middle;
	}
	return &index->list.entries[low];
}

static bool is_block(const struct incfs_base_index *index, __u64 nr,
		     const struct incfs_bundle_block *want)
{
	struct incfs_bundle_block block = table_block(index->blocks, nr);

	return !memcmp(&block.digest, &want->digest, sizeof(want->digest));
}

/* Start a run with block @block of the file, which is @nr of the base's table. */
static void start_run(struct compare *compare, __u32 block, __u64 nr,
		      const struct incfs_entry *in)
{
	__u64 first = compare->index->first[in - compare->index->list.entries];

	write_run(compare);
	compare->in = in;
	compare->from = nr + 1;
	compare->end = first + incfs_size_blocks(in->size);
	compare->run = (struct incfs_base_run){
		.first = block, .count = 1, .from_block = nr - first,
	};
}

static void compare_block(struct compare *compare, __u32 nr, const struct incfs_bundle_block *block)
{
	const struct incfs_base_index *index = compare->index;
	const struct incfs_entry *same = compare->same;
	__u64 place;
	__u32 *slot;

	if (compare->run.count && compare->from < compare->end &&
	    is_block(index, compare->from, block)) {
		compare->run.count++;
		compare->from++;
		return;
	}
	if (same && nr < incfs_size_blocks(same->size)) {
		place = index->first[same - index->list.entries] + nr;
		if (is_block(index, place, block)) {
			start_run(compare, nr, place, same);
			return;
		}
	}
	slot = block->length ? find_slot(index, &block->digest) : NULL;
	if (slot && *slot)
		start_run(compare, nr, *slot - 1, block_file(index, *slot - 1));
	else
		write_run(compare);
}

static int compare_path(const void *path, const void *entry)
{
	return incfs_list_compare(path, ((const struct incfs_entry *)entry)->path);
}

static void compare_file(struct compare *compare, const struct incfs_entry *file, __u64 first,
			 const unsigned char *blocks)
{
	const struct incfs_list *list = &compare->index->list;
	__u32 nr = incfs_size_blocks(file->size);

	compare->file = file;
	compare->written = NULL;
	compare->same = bsearch(file->path, list->entries, list->nr_entries,
				sizeof(*list->entries), compare_path);
	if (compare->same && compare->same->type != INCFS_ENTRY_FILE)
		compare->same = NULL;
	for (__u32 i = 0; i < nr; i++) {
		struct incfs_bundle_block block = table_block(blocks, first + i);

		compare_block(compare, i, &block);
	}
	write_run(compare);
}

int incfs_base_compare(const struct incfs_base_index *index, const struct incfs_list *list,
		       const unsigned char *blocks, struct incfs_bundle_head *head, char **text)
{
	struct compare compare = { .index = index, .list = list };
	size_t size = 0;
	__u64 first = 0;
	int err;

	*text = NULL;
	compare.out = open_memstream(text, &size);
	if (!compare.out) {
		incfs_error("not enough memory");
		return -1;
	}
	fprintf(compare.out, "%s\n", INCFS_BASE_HEADER);
	for (size_t i = 0; i < list->nr_entries; i++) {
		const struct incfs_entry *entry = &list->entries[i];

		if (entry->type == INCFS_ENTRY_FILE)
			compare_file(&compare, entry, first, blocks);
		first += incfs_size_blocks(entry->size);
	}
	fprintf(compare.out, "end %llu\n", compare.nr_lines);
	if (!has_room(&compare))
		incfs_warn("not all that '%s' has in common can be noted: that is more than %u runs or %u bytes",
			   index->bundle, INCFS_BASE_MAX_RUNS, INCFS_BASE_MAX_BYTES);
	err = fclose(compare.out) || incfs_digest(*text, size, &head->base);
	if (err) {
		incfs_error("not enough memory");
		return -1;
	}
	head->base_size = size;
	head->base_head = index->digest;
	incfs_info("%llu of %llu blocks are in '%s', in %llu runs", compare.nr_blocks,
		   list->nr_blocks, index->bundle, compare.nr_runs);
	return 0;
}
