// SPDX-License-Identifier: MIT
/*
 * Makes a bundle of a directory. It is written beside its place, under another name,
 * and renamed when it is whole.
 */
#include "bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <lz4hc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base.h"
#include "log.h"
#include "pack.h"
#include "profile.h"
#include "util.h"

/**
 * struct bundle_pack
 * @tree:   the list as text
 * @first:  of each entry of the list: number of its first block
 * @blocks: what becomes incfs.blocks
 * @done:   for each block whether it is packed
 * @in:     the contents of @file, which was read last
 * @base:   a bundle to compare with, or NULL
 */
struct bundle_pack {
	const struct incfs_bundle_params *params;
	struct incfs_bundle_head head;
	struct incfs_list list;
	char *tree;
	__u64 *first;
	unsigned char *blocks;
	char *done;
	__u64 nr_done;
	int dir_fd, out_fd, in;
	const struct incfs_entry *file;
	struct incfs_base_index *base;
	FILE *data;
	char *path;
};

static int pack_error(const struct bundle_pack *pack, const char *name)
{
	incfs_error("can't write '%s/%s': %s", pack->params->output, name, strerror(errno));
	return -1;
}

static FILE *create_part(struct bundle_pack *pack, const char *name)
{
	int fd = openat(pack->out_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	FILE *out = fd < 0 ? NULL : fdopen(fd, "w");

	if (out)
		return out;
	pack_error(pack, name);
	if (fd >= 0)
		close(fd);
	return NULL;
}

static int finish_part(struct bundle_pack *pack, const char *name, FILE *out)
{
	int err = 0;

	if (ferror(out) || fflush(out) || fsync(fileno(out)))
		err = pack_error(pack, name);
	fclose(out);
	return err;
}

static int write_part(struct bundle_pack *pack, const char *name, const void *data, size_t size)
{
	FILE *out = create_part(pack, name);

	if (!out)
		return -1;
	fwrite(data, 1, size, out);
	return finish_part(pack, name, out);
}

static int open_file(struct bundle_pack *pack, const struct incfs_entry *entry)
{
	struct stat st;

	if (pack->file == entry)
		return 0;
	if (pack->in >= 0)
		close(pack->in);
	pack->file = NULL;
	pack->in = openat(pack->dir_fd, entry->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (pack->in < 0 || fstat(pack->in, &st)) {
		incfs_error("can't read '%s/%s': %s", pack->params->dir, entry->path,
			    strerror(errno));
		return -1;
	}
	if (!S_ISREG(st.st_mode) || (__u64)st.st_size != entry->size) {
		incfs_error("'%s/%s' has changed while it was packed", pack->params->dir,
			    entry->path);
		return -1;
	}
	pack->file = entry;
	return 0;
}

static int read_block(struct bundle_pack *pack, const struct incfs_entry *entry, __u64 offset,
		      unsigned char *buf, __u32 size)
{
	__u32 have = 0;
	ssize_t got;

	if (open_file(pack, entry))
		return -1;
	while (have < size) {
		got = pread(pack->in, buf + have, size - have, offset + have);
		if (got <= 0) {
			incfs_error("can't read '%s/%s': %s", pack->params->dir, entry->path,
				    got ? strerror(errno) : "it has become shorter");
			return -1;
		}
		have += got;
	}
	return 0;
}

static bool is_zero(const unsigned char *buf, __u32 size)
{
	return !buf[0] && !memcmp(buf, buf + 1, size - 1);
}

/* What to store, at *@stored; its length is 0 for zeros. */
static __u32 compress_block(unsigned char *plain, __u32 size, unsigned char *buf,
			    unsigned char **stored)
{
	int length;

	*stored = plain;
	if (is_zero(plain, size))
		return 0;
	/* Less than a sixteenth does not pay for the time that it takes everywhere. */
	length = LZ4_compress_HC((char *)plain, (char *)buf, size, size - size / 16 - 1,
				 LZ4HC_CLEVEL_MAX);
	if (length <= 0)
		return size;
	*stored = buf;
	return length;
}

static int pack_block(struct bundle_pack *pack, const struct incfs_entry *entry, __u32 nr)
{
	unsigned char plain[INCFS_BLOCK_SIZE], buf[INCFS_BLOCK_SIZE], *stored;
	__u64 offset = (__u64)nr * INCFS_BLOCK_SIZE;
	__u64 index = pack->first[entry - pack->list.entries] + nr;
	struct incfs_bundle_block block = { .offset = pack->head.data_size };
	__u32 size = incfs_min(entry->size - offset, INCFS_BLOCK_SIZE);

	if (pack->done[index])
		return 0;
	if (read_block(pack, entry, offset, plain, size))
		return -1;
	block.length = compress_block(plain, size, buf, &stored);
	if (!block.length)
		block.offset = 0;
	if (incfs_digest(plain, size, &block.digest)) {
		incfs_error("can't compute a SHA-256");
		return -1;
	}
	if (pack->head.data_size + block.length > INCFS_BUNDLE_MAX_DATA) {
		incfs_error("more than %llu bytes of data", INCFS_BUNDLE_MAX_DATA);
		return -1;
	}
	if (fwrite(stored, 1, block.length, pack->data) != block.length)
		return pack_error(pack, INCFS_BUNDLE_DATA);
	pack->head.data_size += block.length;
	incfs_bundle_write_block(&block, pack->blocks + index * INCFS_BUNDLE_ENTRY_SIZE);
	pack->done[index] = 1;
	pack->nr_done++;
	incfs_log_progress("packing", pack->nr_done, pack->list.nr_blocks);
	return 0;
}

static int compare_path(const void *path, const void *entry)
{
	return incfs_list_compare(path, ((const struct incfs_entry *)entry)->path);
}

/* The blocks of the profile first, in its order. */
static int pack_order(struct bundle_pack *pack)
{
	struct incfs_profile profile;
	size_t unknown = 0;
	int err;

	if (!pack->params->order)
		return 0;
	err = incfs_profile_read(&profile, pack->params->order);
	if (err)
		return err;
	for (size_t i = 0; !err && i < profile.nr_blocks; i++) {
		const struct incfs_profile_block *block = &profile.blocks[i];
		struct incfs_entry *entry;

		entry = bsearch(profile.paths[block->path], pack->list.entries,
				pack->list.nr_entries, sizeof(*entry), compare_path);
		if (entry && entry->type == INCFS_ENTRY_LINK)
			entry = entry->target;
		if (!entry || block->block >= incfs_size_blocks(entry->size))
			unknown++;
		else
			err = pack_block(pack, entry, block->block);
	}
	incfs_profile_destroy(&profile);
	if (unknown)
		incfs_warn("'%s' names %zu blocks that are not there", pack->params->order,
			   unknown);
	return err;
}

static int pack_data(struct bundle_pack *pack)
{
	int err;

	pack->data = create_part(pack, INCFS_BUNDLE_DATA);
	if (!pack->data)
		return -1;
	err = pack_order(pack);
	for (size_t i = 0; !err && i < pack->list.nr_entries; i++) {
		const struct incfs_entry *entry = &pack->list.entries[i];
		__u32 nr = incfs_size_blocks(entry->size);

		for (__u32 block = 0; !err && block < nr; block++)
			err = pack_block(pack, entry, block);
	}
	incfs_log_progress_end();
	return finish_part(pack, INCFS_BUNDLE_DATA, pack->data) ?: err;
}

static int pack_blocks(struct bundle_pack *pack)
{
	const size_t page_size = INCFS_BUNDLE_PAGE_ENTRIES * INCFS_BUNDLE_ENTRY_SIZE;
	__u64 nr = incfs_bundle_nr_pages(pack->list.nr_blocks);
	struct incfs_digest *pages = calloc(nr + 1, sizeof(*pages));
	int err = pages ? 0 : -1;

	pack->head.blocks_size = pack->list.nr_blocks * INCFS_BUNDLE_ENTRY_SIZE;
	pack->head.pages_size = nr * INCFS_BUNDLE_DIGEST_SIZE;
	for (__u64 i = 0; !err && i < nr; i++)
		err = incfs_digest(pack->blocks + i * page_size,
				   incfs_min(page_size, pack->head.blocks_size - i * page_size),
				   &pages[i]);
	if (err || incfs_digest(pages, pack->head.pages_size, &pack->head.pages)) {
		incfs_error("can't compute a SHA-256");
		err = -1;
	}
	err = err ?: write_part(pack, INCFS_BUNDLE_BLOCKS, pack->blocks, pack->head.blocks_size) ?:
	      write_part(pack, INCFS_BUNDLE_PAGES, pages, pack->head.pages_size);
	free(pages);
	return err;
}

static int pack_base(struct bundle_pack *pack)
{
	char *text;
	int err;

	if (!pack->base)
		return 0;
	err = incfs_base_compare(pack->base, &pack->list, pack->blocks, &pack->head, &text) ?:
	      write_part(pack, INCFS_BUNDLE_BASE, text, pack->head.base_size);
	free(text);
	return err;
}

static int pack_head(struct bundle_pack *pack)
{
	unsigned char signature[INCFS_BUNDLE_SIGNATURE_SIZE];
	char head[INCFS_BUNDLE_HEAD_SIZE];

	incfs_bundle_write_head(&pack->head, head);
	if (pack->params->key &&
	    (incfs_bundle_sign(pack->params->key, head, signature) ||
	     write_part(pack, INCFS_BUNDLE_SIGNATURE, signature, sizeof(signature))))
		return -1;
	return write_part(pack, INCFS_BUNDLE_HEAD, head, sizeof(head));
}

static int list_directory(struct bundle_pack *pack, struct incfs_pack_count *count)
{
	size_t size;
	__u64 nr = 0;
	char *text;

	if (incfs_pack_directory(pack->params->dir, &pack->params->list, &text, &size, count))
		return -1;
	/* Parsing takes it apart. */
	pack->tree = malloc(size);
	pack->head.tree_size = size;
	if (!pack->tree) {
		free(text);
		incfs_error("not enough memory for the list");
		return -1;
	}
	memcpy(pack->tree, text, size);
	if (incfs_list_parse(&pack->list, text, size)) {
		incfs_error("list of files: %s", pack->list.error);
		return -1;
	}
	pack->first = calloc(pack->list.nr_entries + 1, sizeof(*pack->first));
	pack->blocks = calloc(pack->list.nr_blocks + 1, INCFS_BUNDLE_ENTRY_SIZE);
	pack->done = calloc(pack->list.nr_blocks + 1, 1);
	if (!pack->first || !pack->blocks || !pack->done) {
		incfs_error("not enough memory for %llu blocks", pack->list.nr_blocks);
		return -1;
	}
	for (size_t i = 0; i < pack->list.nr_entries; i++) {
		pack->first[i] = nr;
		nr += incfs_size_blocks(pack->list.entries[i].size);
	}
	return 0;
}

static int pack_tree(struct bundle_pack *pack)
{
	if (incfs_digest(pack->tree, pack->head.tree_size, &pack->head.tree)) {
		incfs_error("can't compute a SHA-256");
		return -1;
	}
	return write_part(pack, INCFS_BUNDLE_TREE, pack->tree, pack->head.tree_size);
}

static int open_output(struct bundle_pack *pack)
{
	size_t len = strlen(pack->params->output);
	struct stat st;

	while (len > 1 && pack->params->output[len - 1] == '/')
		len--;
	if (!lstat(pack->params->output, &st))
		errno = EEXIST;
	else if (errno == ENOENT &&
		 asprintf(&pack->path, "%.*s.XXXXXX", (int)len, pack->params->output) > 0 &&
		 mkdtemp(pack->path) && !chmod(pack->path, 0755))
		pack->out_fd = open(pack->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (pack->out_fd >= 0)
		return 0;
	incfs_error("can't make the bundle '%s': %s", pack->params->output, strerror(errno));
	return -1;
}

static void remove_output(struct bundle_pack *pack)
{
	static const char *const names[] = {
		INCFS_BUNDLE_HEAD, INCFS_BUNDLE_SIGNATURE, INCFS_BUNDLE_TREE,
		INCFS_BUNDLE_PAGES, INCFS_BUNDLE_BLOCKS, INCFS_BUNDLE_DATA, INCFS_BUNDLE_BASE,
	};

	for (size_t i = 0; i < INCFS_ARRAY_SIZE(names); i++)
		unlinkat(pack->out_fd, names[i], 0);
	rmdir(pack->path);
}

static int move_output(struct bundle_pack *pack)
{
	if (!fsync(pack->out_fd) && !rename(pack->path, pack->params->output))
		return 0;
	incfs_error("can't make the bundle '%s': %s", pack->params->output, strerror(errno));
	return -1;
}

int incfs_bundle_pack(const struct incfs_bundle_params *params)
{
	struct bundle_pack pack = { .params = params, .dir_fd = -1, .out_fd = -1, .in = -1 };
	struct incfs_pack_count count;
	int err;

	if (params->base) {
		pack.base = incfs_base_open(params->base);
		if (!pack.base)
			return -1;
	}
	pack.dir_fd = open(params->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (pack.dir_fd < 0) {
		incfs_error("can't open '%s': %s", params->dir, strerror(errno));
		incfs_base_close(pack.base);
		return -1;
	}
	/* The list first: the output may lie in the directory. */
	err = list_directory(&pack, &count) ?: open_output(&pack);
	if (!err) {
		err = pack_tree(&pack) ?: pack_data(&pack) ?: pack_blocks(&pack) ?:
		      pack_base(&pack) ?: pack_head(&pack) ?: move_output(&pack);
		if (err)
			remove_output(&pack);
	}
	if (!err)
		incfs_info("'%s': %zu files, %zu further names, %zu symbolic links, %zu directories, %llu bytes in %llu; %zu skipped",
			   params->output, count.files, count.links, count.symlinks, count.dirs, count.bytes,
			   pack.head.data_size, count.skipped);
	if (pack.in >= 0)
		close(pack.in);
	if (pack.out_fd >= 0)
		close(pack.out_fd);
	close(pack.dir_fd);
	incfs_base_close(pack.base);
	incfs_list_destroy(&pack.list);
	free(pack.tree);
	free(pack.first);
	free(pack.blocks);
	free(pack.done);
	free(pack.path);
	return err;
}
