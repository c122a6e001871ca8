// SPDX-License-Identifier: MIT
/* Profiles: which blocks runs have needed. */
#include "profile.h"

#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "list.h"
#include "log.h"
#include "util.h"

/* A path in the tree that finds its index. */
struct node {
	const char *path;
	__u32 index;
};

__attribute__((format(printf, 3, 4)))
static int refuse(struct incfs_profile *profile, __u32 line, const char *fmt, ...)
{
	size_t len = snprintf(profile->error, sizeof(profile->error), "line %u: ", line);
	va_list args;

	va_start(args, fmt);
	vsnprintf(profile->error + len, sizeof(profile->error) - len, fmt, args);
	va_end(args);
	return -1;
}

/* Have room for one more of @size bytes in an array. */
static int make_room(void **array, size_t nr, size_t *room, size_t size)
{
	size_t more = incfs_max(2 * *room, (size_t)64);
	void *larger;

	if (nr < *room)
		return 0;
	larger = reallocarray(*array, more, size);
	if (!larger)
		return -1;
	*array = larger;
	*room = more;
	return 0;
}

static int compare_nodes(const void *a, const void *b)
{
	return strcmp(((const struct node *)a)->path, ((const struct node *)b)->path);
}

int incfs_profile_add_path(struct incfs_profile *profile, const char *path, __u32 *index)
{
	struct node *node = malloc(sizeof(*node)), **found;

	if (!node || make_room((void **)&profile->paths, profile->nr_paths, &profile->room_paths,
			       sizeof(*profile->paths)))
		goto err_free;
	node->path = path;
	found = tsearch(node, &profile->tree, compare_nodes);
	if (!found)
		goto err_free;
	*index = (*found)->index;
	if (*found != node) {
		free(node);
		return 0;
	}
	*index = profile->nr_paths;
	node->index = profile->nr_paths;
	node->path = strdup(path);
	if (!node->path) {
		node->path = path;
		tdelete(node, &profile->tree, compare_nodes);
		goto err_free;
	}
	profile->paths[profile->nr_paths++] = (char *)node->path;
	return 0;

err_free:
	free(node);
	return -1;
}

int incfs_profile_add_block(struct incfs_profile *profile, __u32 path, __u32 block, __u32 runs)
{
	if (profile->nr_blocks == INCFS_PROFILE_MAX_BLOCKS ||
	    make_room((void **)&profile->blocks, profile->nr_blocks, &profile->room_blocks,
		      sizeof(*profile->blocks)))
		return -1;
	profile->blocks[profile->nr_blocks++] = (struct incfs_profile_block){ path, block, runs };
	return 0;
}

void incfs_profile_destroy(struct incfs_profile *profile)
{
	if (profile->tree)
		tdestroy(profile->tree, free);
	for (size_t i = 0; i < profile->nr_paths; i++)
		free(profile->paths[i]);
	free(profile->paths);
	free(profile->blocks);
	*profile = (struct incfs_profile){};
}

/* By file and block, the first in order first. */
static int compare_blocks(const void *a, const void *b)
{
	const struct incfs_profile_block *x = *(const struct incfs_profile_block *const *)a;
	const struct incfs_profile_block *y = *(const struct incfs_profile_block *const *)b;

	if (x->path != y->path)
		return x->path < y->path ? -1 : 1;
	if (x->block != y->block)
		return x->block < y->block ? -1 : 1;
	return (x > y) - (x < y);
}

static bool is_same(const struct incfs_profile_block *a, const struct incfs_profile_block *b)
{
	return a->path == b->path && a->block == b->block;
}

/* Sorted pointers to the blocks; NULL: no memory. */
static struct incfs_profile_block **sort_blocks(const struct incfs_profile *profile)
{
	struct incfs_profile_block **sorted = calloc(profile->nr_blocks + 1, sizeof(*sorted));

	if (!sorted)
		return NULL;
	for (size_t i = 0; i < profile->nr_blocks; i++)
		sorted[i] = &profile->blocks[i];
	qsort(sorted, profile->nr_blocks, sizeof(*sorted), compare_blocks);
	return sorted;
}

static int check_unique(struct incfs_profile *profile, __u32 line)
{
	struct incfs_profile_block **sorted = sort_blocks(profile);
	int err = sorted ? 0 : refuse(profile, line, "not enough memory");

	for (size_t i = 1; !err && i < profile->nr_blocks; i++) {
		if (is_same(sorted[i - 1], sorted[i]))
			err = refuse(profile, line, "block %u of '%.100s' is in it twice",
				     sorted[i]->block, profile->paths[sorted[i]->path]);
	}
	free(sorted);
	return err;
}

/* The next word of a line, which ends at a space or with the line. */
static char *next_word(char **line)
{
	char *word = *line;

	*line += strcspn(word, " ");
	if (**line)
		*(*line)++ = 0;
	return word;
}

static int parse_extent(struct incfs_profile *profile, __u32 line, char *text)
{
	__u64 numbers[3], end;
	const char *why;
	__u32 path;

	for (int i = 0; i < 3; i++) {
		static const char *const names[] = { "FIRST", "COUNT", "RUNS" };
		static const __u64 most[] = { 0xfffffffe, INCFS_PROFILE_MAX_BLOCKS,
					      INCFS_PROFILE_MAX_RUNS };
		const char *word = next_word(&text);

		if (!incfs_list_parse_number(word, 10, most[i], &numbers[i]) ||
		    (i && !numbers[i]))
			return refuse(profile, line, "%s '%.40s' is not a number from %d to %llu",
				      names[i], word, i > 0, most[i]);
	}
	end = numbers[0] + numbers[1];
	if (end > 0xffffffff)
		return refuse(profile, line, "blocks past the largest file");
	if (!incfs_list_decode_path(text))
		return refuse(profile, line, "'%.100s': a byte that must be escaped, or a bad escape",
			      text);
	why = incfs_list_check_path(text);
	if (why)
		return refuse(profile, line, "'%.100s' %s", text, why);
	if (incfs_profile_add_path(profile, text, &path))
		return refuse(profile, line, "not enough memory");
	for (__u64 block = numbers[0]; block < end; block++) {
		if (incfs_profile_add_block(profile, path, block, numbers[2]))
			return refuse(profile, line, "more than %u blocks, or not enough memory",
				      INCFS_PROFILE_MAX_BLOCKS);
	}
	return 0;
}

/* The last line says how many came before it: a file that was cut off is no profile. */
static int parse_end(struct incfs_profile *profile, __u32 line, const char *text, bool last)
{
	__u64 count;

	if (!incfs_list_parse_number(text, 10, 0xffffffff, &count) || count != line - 2)
		return refuse(profile, line, "'end %.40s' after %u lines", text, line - 2);
	if (!last)
		return refuse(profile, line, "something comes after the end");
	return check_unique(profile, line);
}

int incfs_profile_parse(struct incfs_profile *profile, char *text, size_t size)
{
	char *end = text + size, *next;
	__u32 line = 0;

	*profile = (struct incfs_profile){};
	for (; text < end; text = next) {
		char *newline = memchr(text, '\n', end - text);

		line++;
		if (!newline)
			return refuse(profile, line, "the line does not end");
		*newline = 0;
		next = newline + 1;
		if (strlen(text) != (size_t)(newline - text))
			return refuse(profile, line, "a NUL byte");
		if (line == 1) {
			if (strcmp(text, INCFS_PROFILE_HEADER))
				return refuse(profile, line, "'%.40s' is not '%s'", text,
					      INCFS_PROFILE_HEADER);
		} else if (!strncmp(text, "end ", 4)) {
			return parse_end(profile, line, text + 4, next == end);
		} else if (parse_extent(profile, line, text)) {
			return -1;
		}
	}
	return refuse(profile, line, "the profile does not end with 'end'");
}

int incfs_profile_read(struct incfs_profile *profile, const char *file)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC), err;
	char *text = NULL;
	size_t size;

	*profile = (struct incfs_profile){};
	if (fd < 0) {
		incfs_error("can't open '%s' for reading: %s", file, strerror(errno));
		return -1;
	}
	err = incfs_list_read(fd, &text, &size);
	if (err)
		incfs_error("can't read '%s': %s", file, strerror(errno));
	close(fd);
	if (err)
		return -1;
	err = incfs_profile_parse(profile, text, size);
	free(text);
	if (err) {
		incfs_error("'%s' is no profile: %s", file, profile->error);
		incfs_profile_destroy(profile);
	}
	return err;
}

/* Returns how many lines there are. */
static __u32 write_extents(FILE *out, const struct incfs_profile *profile)
{
	const struct incfs_profile_block *block;
	__u32 lines = 0, count;

	for (size_t i = 0; i < profile->nr_blocks; i += count, lines++) {
		block = &profile->blocks[i];
		for (count = 1; i + count < profile->nr_blocks; count++) {
			if (block[count].path != block->path || block[count].runs != block->runs ||
			    block[count].block != block->block + count)
				break;
		}
		fprintf(out, "%u %u %u ", block->block, count, block->runs);
		incfs_list_write_path(out, profile->paths[block->path]);
		fputc('\n', out);
	}
	return lines;
}

/* Write it all; closes @fd. Returns 0, or -1 with errno. */
static int write_profile(const struct incfs_profile *profile, int fd)
{
	FILE *out = fdopen(fd, "w");
	int err;

	if (!out) {
		close(fd);
		return -1;
	}
	fputs(INCFS_PROFILE_HEADER "\n", out);
	fprintf(out, "end %u\n", write_extents(out, profile));
	err = ferror(out) || fflush(out) || fchmod(fd, 0644) || fsync(fd);
	return fclose(out) || err ? -1 : 0;
}

int incfs_profile_write(const struct incfs_profile *profile, const char *file)
{
	char *temporary = NULL;
	int fd, err;

	if (asprintf(&temporary, "%s.XXXXXX", file) < 0)
		return -1;
	fd = mkstemp(temporary);
	err = fd < 0 || write_profile(profile, fd) || rename(temporary, file) ? -1 : 0;
	if (err) {
		incfs_error("can't write '%s': %s", file, strerror(errno));
		if (fd >= 0)
			unlink(temporary);
	}
	free(temporary);
	return err;
}

/* Count one run more for the blocks that are there, and append the others. */
static int merge_sorted(struct incfs_profile *profile, const struct incfs_profile *run,
			const __u32 *paths, struct incfs_profile_block **sorted, size_t nr)
{
	for (size_t i = 0; i < run->nr_blocks; i++) {
		struct incfs_profile_block block = run->blocks[i];
		size_t low = 0, high = nr;

		block.path = paths[block.path];
		while (low < high) {
			size_t middle = (low + high) / 2;
			const struct incfs_profile_block *other = sorted[middle];

			if (other->path < block.path ||
			    (other->path == block.path && other->block < block.block))
				low = middle + 1;
			else
				high = middle;
		}
		if (low < nr && is_same(sorted[low], &block))
			sorted[low]->runs = incfs_min(sorted[low]->runs + block.runs,
						      INCFS_PROFILE_MAX_RUNS);
		else if (profile->nr_blocks == profile->room_blocks ||
			 incfs_profile_add_block(profile, block.path, block.block, block.runs))
			return -1;
	}
	return 0;
}

int incfs_profile_merge(struct incfs_profile *profile, const struct incfs_profile *run)
{
	size_t nr = profile->nr_blocks, room = nr + run->nr_blocks;
	struct incfs_profile_block **sorted = NULL, *larger;
	__u32 *paths = calloc(run->nr_paths + 1, sizeof(*paths));
	int err = -1;

	if (!paths || room > INCFS_PROFILE_MAX_BLOCKS)
		goto out;
	/* What is sorted must not move when others are appended. */
	larger = reallocarray(profile->blocks, room + 1, sizeof(*larger));
	if (!larger)
		goto out;
	profile->blocks = larger;
	profile->room_blocks = room + 1;
	for (size_t i = 0; i < run->nr_paths; i++) {
		if (incfs_profile_add_path(profile, run->paths[i], &paths[i]))
			goto out;
	}
	sorted = sort_blocks(profile);
	if (sorted)
		err = merge_sorted(profile, run, paths, sorted, nr);
out:
	free(sorted);
	free(paths);
	return err;
}
