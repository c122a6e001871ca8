// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzzing of what a loader reads of a bundle before anything is proved, and of how blocks
 * are expanded: the head, the list of files, what there is in common with a base, and
 * stored blocks.
 *
 * Input: 'h', and a head; 'l', and a list; 'a', and an incfs.base; or 'b', the size of the
 * plain block in 2 bytes, and the stored one.
 */
#include "fuzz.h"

#include <lz4.h>

#include "base.h"
#include "bundle.h"

static struct {
	__u64 inputs, heads, good_heads, lists, good_lists, entries, bases, good_bases, runs;
	__u64 blocks, good_blocks;
} figures;

static void print_figures(void)
{
	printf("figures: inputs=%llu heads=%llu good_heads=%llu lists=%llu good_lists=%llu "
	       "entries=%llu bases=%llu good_bases=%llu runs=%llu blocks=%llu good_blocks=%llu \n",
	       figures.inputs, figures.heads, figures.good_heads, figures.lists,
	       figures.good_lists, figures.entries, figures.bases, figures.good_bases,
	       figures.runs, figures.blocks, figures.good_blocks);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	atexit(print_figures);
	return 0;
}

/* There is one way to write a head: what is taken is what would be written. */
static void try_head(const __u8 *data, size_t size)
{
	char text[INCFS_BUNDLE_HEAD_SIZE] = {}, again[INCFS_BUNDLE_HEAD_SIZE], why[64] = "";
	struct incfs_bundle_head head;

	figures.heads++;
	memcpy(text, data, size < sizeof(text) ? size : sizeof(text));
	if (incfs_bundle_parse_head(&head, text, why, sizeof(why))) {
		fuzz_must(*why);
		return;
	}
	figures.good_heads++;
	fuzz_must(head.tree_size && head.tree_size <= INCFS_LIST_MAX_BYTES);
	fuzz_must(head.data_size <= INCFS_BUNDLE_MAX_DATA);
	fuzz_must(head.base_size <= INCFS_BASE_MAX_BYTES);
	fuzz_must(head.pages_size / INCFS_BUNDLE_DIGEST_SIZE ==
		  incfs_bundle_nr_pages(head.blocks_size / INCFS_BUNDLE_ENTRY_SIZE));
	incfs_bundle_write_head(&head, again);
	fuzz_must(!memcmp(text, again, sizeof(text)));
}

static void check_entry(const struct incfs_list *list, size_t i)
{
	const struct incfs_entry *entry = &list->entries[i];
	const char *slash = strrchr(entry->path, '/');

	fuzz_must(!incfs_list_check_path(entry->path));
	fuzz_must(!i || incfs_list_compare(list->entries[i - 1].path, entry->path) < 0);
	fuzz_must(!slash == !entry->parent);
	if (slash)
		fuzz_must(entry->parent->type == INCFS_ENTRY_DIR &&
			  !strncmp(entry->parent->path, entry->path, slash - entry->path) &&
			  !entry->parent->path[slash - entry->path]);
	if (entry->type == INCFS_ENTRY_LINK)
		fuzz_must(entry->target && entry->target->type == INCFS_ENTRY_FILE);
	fuzz_must(entry->type == INCFS_ENTRY_FILE || !entry->size);
}

static void try_list(const __u8 *data, size_t size)
{
	struct incfs_list list;
	__u64 blocks = 0;
	char *text = malloc(size ? size : 1);

	figures.lists++;
	memcpy(text, data, size);
	if (!incfs_list_parse(&list, text, size)) {
		figures.good_lists++;
		for (size_t i = 0; i < list.nr_entries; i++) {
			check_entry(&list, i);
			blocks += incfs_size_blocks(list.entries[i].size);
		}
		figures.entries += list.nr_entries;
		fuzz_must(blocks == list.nr_blocks && blocks <= INCFS_LIST_MAX_BLOCKS);
	} else {
		fuzz_must(*list.error);
	}
	incfs_list_destroy(&list);
}

/* The list that they are of: two files in it, of 1 block and of 1000. */
static struct incfs_list *base_list(void)
{
	static const char text[] = "incfs-list 1\nd 0755 0 a\nf 0644 1 a/b\n"
				   "f 0644 4096000 a/c\nl 0 0 d a/b\nend 4\n";
	static struct incfs_list list;

	if (!list.nr_entries)
		fuzz_must(!incfs_list_parse(&list, strdup(text), strlen(text)));
	return &list;
}

static void check_run(const struct incfs_base *base, const struct incfs_list *list, size_t i)
{
	const struct incfs_base_run *run = &base->runs[i];

	fuzz_must(run->entry < list->nr_entries && run->count && run->from < base->nr_from);
	fuzz_must(list->entries[run->entry].type == INCFS_ENTRY_FILE);
	fuzz_must((__u64)run->first + run->count <=
		  incfs_size_blocks(list->entries[run->entry].size));
	fuzz_must((__u64)run->from_block + run->count <= INCFS_LIST_MAX_BLOCKS);
	fuzz_must(!incfs_list_check_path(base->from[run->from]));
	fuzz_must(!i || run[-1].entry < run->entry ||
		  (run[-1].entry == run->entry && run[-1].first + run[-1].count <= run->first));
	fuzz_must(incfs_base_find(base, run->entry, run->first) == run);
	fuzz_must(incfs_base_find(base, run->entry, run->first + run->count - 1) == run);
}

static void try_base(const __u8 *data, size_t size)
{
	struct incfs_list *list = base_list();
	struct incfs_base base;
	char *text = malloc(size ? size : 1);

	figures.bases++;
	memcpy(text, data, size);
	if (!incfs_base_parse(&base, list, text, size)) {
		figures.good_bases++;
		figures.runs += base.nr_runs;
		for (size_t i = 0; i < base.nr_runs; i++)
			check_run(&base, list, i);
	} else {
		fuzz_must(*base.error);
	}
	incfs_base_destroy(&base);
}

/* Of the right digest, a block is what LZ4 makes of it; of another it is refused. */
static void try_block(const __u8 *data, size_t size)
{
	struct incfs_bundle_block block = {};
	unsigned char entry[INCFS_BUNDLE_ENTRY_SIZE], *stored, *plain, *want;
	__u32 plain_size;
	int expanded;

	if (size < 2 || size - 2 > INCFS_BLOCK_SIZE)
		return;
	figures.blocks++;
	plain_size = (data[0] | data[1] << 8) % INCFS_BLOCK_SIZE + 1;
	block.length = size - 2;
	/* As the loader has it before it decodes anything. */
	if (block.length > plain_size)
		return;
	stored = malloc(block.length + 1);
	plain = malloc(plain_size);
	want = calloc(1, plain_size);
	memcpy(stored, data + 2, block.length);
	expanded = block.length == plain_size ? (int)plain_size : !block.length ? (int)plain_size :
		LZ4_decompress_safe((char *)stored, (char *)want, block.length, plain_size);
	if (block.length == plain_size)
		memcpy(want, stored, plain_size);
	fuzz_must(incfs_bundle_decode(&block, stored, plain, plain_size));
	incfs_digest(want, plain_size, &block.digest);
	incfs_bundle_write_block(&block, entry);
	incfs_bundle_parse_block(&block, entry);
	fuzz_must(block.length == size - 2 && !block.offset);
	if (expanded == (int)plain_size) {
		figures.good_blocks++;
		fuzz_must(!incfs_bundle_decode(&block, stored, plain, plain_size));
		fuzz_must(!memcmp(plain, want, plain_size));
	} else {
		fuzz_must(incfs_bundle_decode(&block, stored, plain, plain_size));
	}
	free(stored);
	free(plain);
	free(want);
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	figures.inputs++;
	if (!size)
		return 0;
	if (*data == 'h')
		try_head(data + 1, size - 1);
	else if (*data == 'l')
		try_list(data + 1, size - 1);
	else if (*data == 'a')
		try_base(data + 1, size - 1);
	else if (*data == 'b')
		try_block(data + 1, size - 1);
	return 0;
}
