// SPDX-License-Identifier: MIT
/*
 * Makes the list of a directory. A file of several names is a file at one of them and a
 * further name at the others. Symbolic links are taken as they are; or followed, as a
 * static file server follows them, and what they lead to has further names then.
 */
#include "pack.h"

#include <errno.h>
#include <fts.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "idle.h"
#include "list.h"
#include "log.h"

struct pack_item {
	char *path;
	size_t order;		/* place in the list */
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime;
	mode_t mode;
	char *text;		/* of a symbolic link */
	bool linked;		/* a symbolic link is on the way to it */
	struct pack_item *file;	/* that this is another name of */
};

struct pack {
	const struct incfs_pack_options *options;
	__s64 latest;		/* no time is after this one */
	struct pack_item *items;
	size_t nr_items, room;
	struct incfs_pack_count *count;
	__u64 nr_blocks;
};

static int compare_names(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static void pack_skip(struct pack *pack, const char *path, const char *why)
{
	incfs_warn("skipping '%s': %s", path, why);
	pack->count->skipped++;
}

static int pack_fail(const char *path, int err)
{
	incfs_error("can't read '%s': %s", path, strerror(err));
	return -1;
}

static int pack_add(struct pack *pack, const char *path, const struct stat *st, bool linked)
{
	struct pack_item *item;

	if (pack->nr_items == pack->room) {
		size_t room = pack->room ? pack->room * 2 : 1024;

		item = reallocarray(pack->items, room, sizeof(*item));
		if (!item)
			return pack_fail(path, ENOMEM);
		pack->items = item;
		pack->room = room;
	}
	item = &pack->items[pack->nr_items];
	*item = (struct pack_item){
		.path = strdup(path), .order = pack->nr_items, .dev = st->st_dev,
		.ino = st->st_ino, .size = st->st_size, .mode = st->st_mode, .linked = linked,
		.mtime = st->st_mtim,
	};
	if (item->mtime.tv_sec >= pack->latest)
		item->mtime = (struct timespec){ .tv_sec = pack->latest };
	if (!item->path)
		return pack_fail(path, ENOMEM);
	pack->nr_items++;
	if (pack->nr_items > INCFS_LIST_MAX_ENTRIES) {
		incfs_error("more than %u names: '%s' is one too many", INCFS_LIST_MAX_ENTRIES,
			    path);
		return -1;
	}
	return 0;
}

/* A file or directory that is there; @path is relative to the root of the tree. */
static int pack_take(struct pack *pack, FTS *fts, FTSENT *ent, const char *path)
{
	const struct stat *st = ent->fts_statp;
	const struct stat *skip = pack->options->skip;
	const char *why = incfs_list_check_path(path);
	struct stat link;

	if (skip && st->st_dev == skip->st_dev && st->st_ino == skip->st_ino)
		return 0;
	if (!strcmp(path, INCFS_LIST_NAME))
		return 0;
	if (why) {
		char text[128];

		snprintf(text, sizeof(text), "its path %s", why);
		pack_skip(pack, ent->fts_path, text);
		fts_set(fts, ent, FTS_SKIP);
		return 0;
	}
	if (lstat(ent->fts_accpath, &link))
		return pack_fail(ent->fts_path, errno);
	ent->fts_number = ent->fts_parent->fts_number || S_ISLNK(link.st_mode);
	return pack_add(pack, path, st, ent->fts_number);
}

static int pack_symlink(struct pack *pack, FTS *fts, FTSENT *ent, const char *path)
{
	size_t before = pack->nr_items;
	char text[INCFS_LIST_MAX_PATH + 1];
	ssize_t len;

	if (pack->options->dereference) {
		pack_skip(pack, ent->fts_path, "a symbolic link to nowhere");
		return 0;
	}
	len = readlink(ent->fts_accpath, text, sizeof(text));
	if (len < 0)
		return pack_fail(ent->fts_path, errno);
	if (len > INCFS_LIST_MAX_PATH) {
		pack_skip(pack, ent->fts_path, "a symbolic link of more than 4095 bytes");
		return 0;
	}
	if (pack_take(pack, fts, ent, path))
		return -1;
	if (pack->nr_items == before)
		return 0;
	pack->items[before].text = strndup(text, len);
	return pack->items[before].text ? 0 : pack_fail(ent->fts_path, ENOMEM);
}

static int pack_entry(struct pack *pack, FTS *fts, FTSENT *ent, size_t root_len)
{
	const char *path = ent->fts_path + root_len;

	while (*path == '/')
		path++;
	switch (ent->fts_info) {
	case FTS_DP:
		return 0;
	case FTS_D:
		return ent->fts_level ? pack_take(pack, fts, ent, path) : 0;
	case FTS_F:
		if (ent->fts_level)
			return pack_take(pack, fts, ent, path);
		return pack_fail(ent->fts_path, ENOTDIR);
	case FTS_DC:
		pack_skip(pack, ent->fts_path, "a link to a directory that it is in");
		return 0;
	case FTS_SL:
	case FTS_SLNONE:
		return pack_symlink(pack, fts, ent, path);
	case FTS_DEFAULT:
		pack_skip(pack, ent->fts_path, "neither a file nor a directory");
		return 0;
	default:
		return pack_fail(ent->fts_path, ent->fts_errno);
	}
}

static int pack_walk(struct pack *pack, const char *dir)
{
	char *paths[] = { (char *)dir, NULL };
	FTSENT *ent;
	int err = 0;
	FTS *fts;

	fts = fts_open(paths, FTS_NOCHDIR | (pack->options->dereference ? FTS_LOGICAL :
		       FTS_PHYSICAL | FTS_COMFOLLOW), compare_names);
	if (!fts)
		return pack_fail(dir, errno);
	while (!err && (errno = 0, ent = fts_read(fts)))
		err = incfs_idle() ? -1 : pack_entry(pack, fts, ent, strlen(dir));
	if (!err && errno)
		err = pack_fail(dir, errno);
	fts_close(fts);
	return err;
}

/* The names of one file next to each other, the best one first. */
static int compare_files(const void *a, const void *b)
{
	const struct pack_item *x = *(struct pack_item **)a, *y = *(struct pack_item **)b;

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	if (x->linked != y->linked)
		return x->linked - y->linked;
	return x->order < y->order ? -1 : 1;
}

static int pack_join_names(struct pack *pack)
{
	struct pack_item **index = calloc(pack->nr_items + 1, sizeof(*index));
	struct pack_item *file = NULL;
	size_t nr = 0;

	if (!index)
		return pack_fail("the directory", ENOMEM);
	for (size_t i = 0; i < pack->nr_items; i++) {
		if (S_ISREG(pack->items[i].mode))
			index[nr++] = &pack->items[i];
	}
	qsort(index, nr, sizeof(*index), compare_files);
	for (size_t i = 0; i < nr; i++) {
		if (file && index[i]->dev == file->dev && index[i]->ino == file->ino)
			index[i]->file = file;
		else
			file = index[i];
	}
	free(index);
	return 0;
}

static int pack_write_item(struct pack *pack, FILE *out, const struct pack_item *item)
{
	struct incfs_pack_count *count = pack->count;

	if (item->file) {
		fputs("l 0 0 ", out);
		count->links++;
	} else if (item->text) {
		fputs("s 0 0 ", out);
		count->symlinks++;
	} else if (S_ISDIR(item->mode)) {
		fprintf(out, "d %04o 0 ", item->mode & 0777);
		count->dirs++;
	} else {
		fprintf(out, "f %04o %lld ", item->mode & 0777, (long long)item->size);
		count->files++;
		count->bytes += item->size;
		pack->nr_blocks += incfs_size_blocks(item->size);
		if (pack->nr_blocks > INCFS_LIST_MAX_BLOCKS) {
			incfs_error("more than %llu blocks: '%s' is too much",
				    INCFS_LIST_MAX_BLOCKS, item->path);
			return -1;
		}
	}
	if (!item->file) {
		incfs_list_write_time(out, item->mtime.tv_sec, item->mtime.tv_nsec);
		fputc(' ', out);
	}
	incfs_list_write_path(out, item->path);
	if (item->file || item->text) {
		fputc(' ', out);
		incfs_list_write_path(out, item->file ? item->file->path : item->text);
	}
	fputc('\n', out);
	return 0;
}

static int pack_write(struct pack *pack, char **text, size_t *size)
{
	FILE *out = open_memstream(text, size);
	int err = 0;

	if (!out)
		return pack_fail("the directory", errno);
	fprintf(out, "%s\n", INCFS_LIST_HEADER);
	for (size_t i = 0; !err && i < pack->nr_items; i++)
		err = pack_write_item(pack, out, &pack->items[i]);
	fprintf(out, "end %zu\n", pack->nr_items);
	if (fclose(out) && !err)
		err = pack_fail("the directory", ENOMEM);
	if (err) {
		free(*text);
		*text = NULL;
	}
	return err;
}

/* As reproducible builds have it: LLONG_MAX if nobody says. -1 after saying what is wrong. */
static int read_latest(__s64 *latest)
{
	const char *text = getenv("SOURCE_DATE_EPOCH");
	__u64 number = LLONG_MAX;

	if (text && !incfs_list_parse_number(text, 10, LLONG_MAX, &number)) {
		incfs_error("SOURCE_DATE_EPOCH is '%s', which is not a number of seconds", text);
		return -1;
	}
	*latest = number;
	return 0;
}

int incfs_pack_directory(const char *dir, const struct incfs_pack_options *options, char **text,
			 size_t *size, struct incfs_pack_count *count)
{
	struct pack pack = { .options = options, .count = count };
	int err;

	*count = (struct incfs_pack_count){};
	err = read_latest(&pack.latest) ?: pack_walk(&pack, dir) ?: pack_join_names(&pack) ?:
	      pack_write(&pack, text, size);
	for (size_t i = 0; i < pack.nr_items; i++) {
		free(pack.items[i].path);
		free(pack.items[i].text);
	}
	free(pack.items);
	return err;
}
