// SPDX-License-Identifier: MIT
/* What a bundle has in common with another. */
#include "base.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

/*
 * Where parsing is: @file has runs up to block @end, and what follows comes from @from,
 * which is to be used before there is another.
 */
struct base_state {
	struct incfs_base *base;
	const struct incfs_list *list;
	size_t room_runs, room_from;
	const struct incfs_entry *file;
	__u64 end;
	const char *from;
	bool from_used;
	__u32 line;
};

__attribute__((format(printf, 2, 3)))
static int base_refuse(struct base_state *state, const char *fmt, ...)
{
	char *error = state->base->error;
	size_t size = sizeof(state->base->error);
	size_t len = snprintf(error, size, "line %u: ", state->line);
	va_list args;

	va_start(args, fmt);
	vsnprintf(error + len, size - len, fmt, args);
	va_end(args);
	return -EINVAL;
}

/* Room for one more in an array of @nr. */
static int make_room(void **array, size_t nr, size_t *room, size_t size)
{
	size_t more = *room ? *room * 2 : 64;
	void *grown;

	if (nr < *room)
		return 0;
	grown = reallocarray(*array, more, size);
	if (!grown)
		return -ENOMEM;
	*array = grown;
	*room = more;
	return 0;
}

/* "t ENTRY": what follows are blocks of this file. They are in the order of the list. */
static int take_file(struct base_state *state, const char *text)
{
	const struct incfs_entry *last = state->file;
	__u64 entry;

	if (last && !state->from_used)
		return base_refuse(state, "what is named before this line has no blocks");
	if (!incfs_list_parse_number(text, 10, INCFS_LIST_MAX_ENTRIES, &entry) ||
	    entry >= state->list->nr_entries)
		return base_refuse(state, "'%.40s' is no entry of the list", text);
	state->file = &state->list->entries[entry];
	if (state->file->type != INCFS_ENTRY_FILE)
		return base_refuse(state, "entry %llu of the list is no file", entry);
	if (last && last >= state->file)
		return base_refuse(state, "entry %llu is there twice, or out of order", entry);
	state->end = 0;
	state->from = state->file->path;
	state->from_used = false;
	return 0;
}

/* "f PATH": from this file of the base. Without it, from that of the same path. */
static int take_from(struct base_state *state, char *path)
{
	const char *why;

	if (!state->file)
		return base_refuse(state, "comes before a file");
	if (state->from != state->file->path && !state->from_used)
		return base_refuse(state, "what is named before this line has no blocks");
	if (!incfs_list_decode_path(path))
		return base_refuse(state, "a byte of the path that must be escaped, or a bad escape");
	why = incfs_list_check_path(path);
	if (why)
		return base_refuse(state, "the path %s", why);
	state->from = path;
	state->from_used = false;
	return 0;
}

/* "FIRST COUNT FROM" */
static bool parse_run(char *line, __u64 *first, __u64 *count, __u64 *from)
{
	char *a = strsep(&line, " "), *b = strsep(&line, " ");

	return line && incfs_list_parse_number(a, 10, INCFS_LIST_MAX_BLOCKS, first) &&
	       incfs_list_parse_number(b, 10, INCFS_LIST_MAX_BLOCKS, count) &&
	       incfs_list_parse_number(line, 10, INCFS_LIST_MAX_BLOCKS, from) && *count;
}

static int take_run(struct base_state *state, char *line)
{
	struct incfs_base *base = state->base;
	__u64 first, count, from;

	if (!parse_run(line, &first, &count, &from))
		return base_refuse(state, "is neither 't ENTRY', 'f PATH', 'FIRST COUNT FROM' nor 'end N'");
	if (!state->file)
		return base_refuse(state, "comes before a file");
	if (first < state->end || first + count > incfs_size_blocks(state->file->size))
		return base_refuse(state, "blocks of the file are there twice, out of order, or past its end");
	if (from + count > INCFS_LIST_MAX_BLOCKS)
		return base_refuse(state, "no file has so many blocks");
	if (base->nr_runs == INCFS_BASE_MAX_RUNS)
		return base_refuse(state, "is one too many");
	if (make_room((void **)&base->runs, base->nr_runs, &state->room_runs,
		      sizeof(*base->runs)) ||
	    make_room((void **)&base->from, base->nr_from, &state->room_from,
		      sizeof(*base->from)))
		return -ENOMEM;
	if (!state->from_used)
		base->from[base->nr_from++] = state->from;
	base->runs[base->nr_runs++] = (struct incfs_base_run){
		.entry = state->file - state->list->entries, .first = first, .count = count,
		.from = base->nr_from - 1, .from_block = from,
	};
	base->nr_blocks += count;
	state->end = first + count;
	state->from_used = true;
	return 0;
}

/* "end N": the last line; N lines are between it and the first. */
static int take_end(struct base_state *state, const char *text, bool last)
{
	__u64 promised;

	if (state->file && !state->from_used)
		return base_refuse(state, "what is named before this line has no blocks");
	if (!incfs_list_parse_number(text, 10, ~0u, &promised) || promised != state->line - 2)
		return base_refuse(state, "promises '%.40s' lines, but there are %u", text,
				   state->line - 2);
	if (!last)
		return base_refuse(state, "something comes after it");
	return 0;
}

static int take_line(struct base_state *state, char *line)
{
	if (!strncmp(line, "t ", 2))
		return take_file(state, line + 2);
	if (!strncmp(line, "f ", 2))
		return take_from(state, line + 2);
	return take_run(state, line);
}

static int parse_lines(struct base_state *state, char *pos, char *end)
{
	char *line, *stop;
	int err;

	for (;;) {
		state->line++;
		line = pos;
		stop = memchr(line, '\n', end - line);
		if (!stop || stop - line > INCFS_LIST_MAX_LINE)
			return base_refuse(state, "is missing, cut short, or too long");
		*stop = 0;
		pos = stop + 1;
		if (strlen(line) != (size_t)(stop - line))
			return base_refuse(state, "has a NUL in it");
		if (state->line == 1)
			err = strcmp(line, INCFS_BASE_HEADER) ?
				base_refuse(state, "is '%.40s', not '%s'", line,
					    INCFS_BASE_HEADER) : 0;
		else if (!strncmp(line, "end ", 4))
			return take_end(state, line + 4, pos == end);
		else
			err = take_line(state, line);
		if (err)
			return err;
	}
}

int incfs_base_parse(struct incfs_base *base, const struct incfs_list *list, char *text,
		     size_t size)
{
	struct base_state state = { .base = base, .list = list };
	int err;

	*base = (struct incfs_base){ .text = text };
	if (size > INCFS_BASE_MAX_BYTES)
		err = base_refuse(&state, "there are %zu bytes, more than %u", size,
				  INCFS_BASE_MAX_BYTES);
	else
		err = parse_lines(&state, text, text + size);
	if (err == -ENOMEM)
		snprintf(base->error, sizeof(base->error), "not enough memory");
	return err;
}

void incfs_base_destroy(struct incfs_base *base)
{
	free(base->runs);
	free(base->from);
	free(base->text);
	*base = (struct incfs_base){};
}

const struct incfs_base_run *incfs_base_find(const struct incfs_base *base, size_t entry,
					     __u32 block)
{
	size_t low = 0, high = base->nr_runs;

	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct incfs_base_run *run = &base->runs[middle];

		if (run->entry < entry ||
		    (run->entry == entry && (__u64)run->first + run->count <= block))
			low = middle + 1;
		else
			high = middle;
	}
	if (low == base->nr_runs || base->runs[low].entry != entry ||
	    base->runs[low].first > block)
		return NULL;
	return &base->runs[low];
}
