// SPDX-License-Identifier: MIT
/* The list of what a source holds. */
#include "list.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

__attribute__((format(printf, 3, 4)))
static int list_refuse(struct incfs_list *list, __u32 line, const char *fmt, ...)
{
	size_t len = snprintf(list->error, sizeof(list->error), "line %u: ", line);
	va_list args;

	va_start(args, fmt);
	vsnprintf(list->error + len, sizeof(list->error) - len, fmt, args);
	va_end(args);
	return -EINVAL;
}

const char *incfs_path_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

int incfs_list_compare(const char *a, const char *b)
{
	unsigned char x, y;

	while (*a && *a == *b) {
		a++;
		b++;
	}
	/* 0 is in no path; where one path ends and the other goes on, see below. */
	x = *a == '/' ? 0 : *a;
	y = *b == '/' ? 0 : *b;
	if (x != y)
		return x < y ? -1 : 1;
	return (*a != 0) - (*b != 0);
}

static const char *check_name(const char *name, size_t len)
{
	if (!len)
		return "has an empty name in it";
	if (len == 1 && !memcmp(name, ".", 1))
		return "has '.' in it";
	if (len == 2 && !memcmp(name, "..", 2))
		return "has '..' in it";
	if (len == 4 && !memcmp(name, ".cmd", 4))
		return "has '.cmd' in it, which is the file system's own";
	if (len > INCFS_LIST_MAX_NAME)
		return "has a name of more than 255 bytes";
	return NULL;
}

const char *incfs_list_check_path(const char *path)
{
	const char *why;
	size_t len;

	if (!*path)
		return "is empty";
	if (*path == '/')
		return "is absolute";
	if (strlen(path) > INCFS_LIST_MAX_PATH)
		return "is longer than 4095 bytes";
	for (;; path += len + 1) {
		len = strcspn(path, "/");
		why = check_name(path, len);
		if (why || !path[len])
			return why;
	}
}

static bool is_plain(unsigned char c)
{
	return c > 0x20 && c < 0x7f && c != '\\';
}

void incfs_list_write_path(FILE *out, const char *path)
{
	for (; *path; path++) {
		unsigned char c = *path;

		if (is_plain(c))
			fputc(c, out);
		else
			fprintf(out, "\\x%02x", c);
	}
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

bool incfs_list_decode_path(char *path)
{
	char *out = path;

	while (*path) {
		int high, low;

		if (is_plain(*path)) {
			*out++ = *path++;
			continue;
		}
		if (path[0] != '\\' || path[1] != 'x')
			return false;
		high = hex_digit(path[2]);
		low = high < 0 ? -1 : hex_digit(path[3]);
		if (low < 0 || !(high | low) || is_plain(high << 4 | low))
			return false;
		*out++ = high << 4 | low;
		path += 4;
	}
	*out = 0;
	return true;
}

bool incfs_list_parse_number(const char *text, int base, __u64 max, __u64 *value)
{
	__u64 sum = 0;

	if (!*text || (base == 10 && text[0] == '0' && text[1]))
		return false;
	for (; *text; text++) {
		unsigned int digit = (unsigned char)*text - '0';

		if (digit >= (unsigned int)base || digit > max || sum > (max - digit) / base)
			return false;
		sum = sum * base + digit;
	}
	*value = sum;
	return true;
}

void incfs_list_write_time(FILE *out, __s64 sec, __u32 nsec)
{
	fprintf(out, nsec ? "%lld.%09u" : "%lld", sec, nsec);
}

/* Nine digits, not all of them 0. */
static bool parse_fraction(const char *text, __u32 *nsec)
{
	if (strlen(text) != 9 || strspn(text, "0123456789") != 9)
		return false;
	*nsec = strtoul(text, NULL, 10);
	return *nsec;
}

/* There is one way to write a time, as there is for a path. */
static int parse_time(struct incfs_list *list, struct incfs_entry *entry, char *text)
{
	bool before = *text == '-';
	char *digits = text + before, *point = strchr(digits, '.');
	__u64 sec;

	if (point)
		*point++ = 0;
	if (!incfs_list_parse_number(digits, 10, LLONG_MAX, &sec) || (before && !sec) ||
	    (point && !parse_fraction(point, &entry->mtime_nsec)))
		return list_refuse(list, entry->line, "time '%.40s' is not seconds, or seconds.nanoseconds",
				   text);
	entry->mtime = before ? -(__s64)sec : (__s64)sec;
	return 0;
}

static int parse_path(struct incfs_list *list, __u32 line, char *path)
{
	const char *why;

	if (!incfs_list_decode_path(path))
		return list_refuse(list, line, "'%.100s': a byte that must be escaped, or a bad escape",
				   path);
	why = incfs_list_check_path(path);
	if (why)
		return list_refuse(list, line, "'%.100s' %s", path, why);
	return 0;
}

/* Give @entry its parent. In a sorted list it is @last or a directory above it. */
static int find_parent(struct incfs_list *list, struct incfs_entry *entry,
		       struct incfs_entry *last)
{
	size_t len = incfs_path_name(entry->path) - entry->path;
	struct incfs_entry *dir = last;

	if (!len)
		return 0;
	len--;
	for (; dir; dir = dir->parent) {
		if (dir->type == INCFS_ENTRY_DIR && strlen(dir->path) == len &&
		    !memcmp(dir->path, entry->path, len))
			break;
	}
	if (!dir)
		return list_refuse(list, entry->line, "'%.100s' is in no directory listed before it",
				   entry->path);
	entry->parent = dir;
	return 0;
}

static int parse_size(struct incfs_list *list, struct incfs_entry *entry, const char *text)
{
	__u64 max = entry->type == INCFS_ENTRY_FILE ? INCFS_LIST_MAX_BLOCKS * INCFS_BLOCK_SIZE : 0;

	if (!incfs_list_parse_number(text, 10, max, &entry->size))
		return list_refuse(list, entry->line, "size '%.40s' is not a number up to %llu",
				   text, max);
	list->nr_blocks += incfs_size_blocks(entry->size);
	if (list->nr_blocks > INCFS_LIST_MAX_BLOCKS)
		return list_refuse(list, entry->line,
				   "all files together have more than %llu blocks",
				   INCFS_LIST_MAX_BLOCKS);
	return 0;
}

/* Cut @line at single spaces into exactly @nr fields. */
static bool split_fields(char *line, char **fields, int nr)
{
	for (int i = 0; i < nr; i++) {
		fields[i] = line;
		line = strchrnul(line, ' ');
		if (line == fields[i] || !*line != (i == nr - 1))
			return false;
		*line++ = 0;
	}
	return true;
}

/* What a link leads to: a path in the list, or the text of a symbolic link. */
static int parse_target(struct incfs_list *list, struct incfs_entry *entry, char *target)
{
	entry->target_path = target;
	if (entry->type == INCFS_ENTRY_LINK)
		return parse_path(list, entry->line, target);
	if (!incfs_list_decode_path(target) || strlen(target) > INCFS_LIST_MAX_PATH)
		return list_refuse(list, entry->line, "'%.100s' is no text of a symbolic link",
				   target);
	return 0;
}

/* The fields of an entry, in order; those that its type does not have are NULL. */
struct fields {
	char *mode, *size, *time, *path, *target;
};

static bool split_entry(const struct incfs_list *list, char *line, struct fields *fields)
{
	bool link = line[0] == INCFS_ENTRY_LINK, symlink = line[0] == INCFS_ENTRY_SYMLINK;
	bool time = list->version > 1 && !link;
	char *found[6];
	int nr = 4 + time + (link || symlink);

	if (!split_fields(line, found, nr))
		return false;
	*fields = (struct fields){
		.mode = found[1], .size = found[2], .time = time ? found[3] : NULL,
		.path = found[3 + time], .target = link || symlink ? found[nr - 1] : NULL,
	};
	return true;
}

static int parse_entry(struct incfs_list *list, char *line, __u32 nr_line)
{
	struct incfs_entry *entry = &list->entries[list->nr_entries];
	struct incfs_entry *last = list->nr_entries ? entry - 1 : NULL;
	const char *types = list->version > 1 ? "dfls" : "dfl";
	char type = line[0];
	struct fields fields;
	__u64 mode;
	int err;

	*entry = (struct incfs_entry){ .type = type, .line = nr_line };
	if (!type || !strchr(types, type) || line[1] != ' ')
		return list_refuse(list, nr_line, "starts with none of 'd ', 'f ', 'l ', %s'end '",
				   list->version > 1 ? "'s ', " : "");
	if (!split_entry(list, line, &fields))
		return list_refuse(list, nr_line, list->version > 1 ?
				   "is not 'TYPE MODE SIZE TIME PATH', 'l 0 0 PATH TARGET' or 's 0 0 TIME PATH TEXT'" :
				   "is not 'TYPE MODE SIZE PATH', or 'l 0 0 PATH TARGET'");
	if (!incfs_list_parse_number(fields.mode, 8, fields.target ? 0 : 0777, &mode))
		return list_refuse(list, nr_line, "mode '%.40s' is not octal permissions%s",
				   fields.mode, fields.target ? ", or not 0" : "");
	entry->mode = mode;
	entry->path = fields.path;
	err = parse_size(list, entry, fields.size);
	if (!err && fields.time)
		err = parse_time(list, entry, fields.time);
	if (!err)
		err = parse_path(list, nr_line, entry->path);
	if (!err && fields.target)
		err = parse_target(list, entry, fields.target);
	if (err)
		return err;
	if (last && incfs_list_compare(last->path, entry->path) >= 0)
		return list_refuse(list, nr_line, "'%.100s' is there twice, or out of order",
				   entry->path);
	list->nr_entries++;
	list->nr_files += type == INCFS_ENTRY_FILE;
	return find_parent(list, entry, last);
}

/*
 * Ends the line at *@pos with a NUL and moves *@pos behind it. NULL, with the
 * reason, when there is none.
 */
static char *next_line(struct incfs_list *list, char **pos, char *end, __u32 nr)
{
	char *line = *pos, *stop = memchr(line, '\n', end - line);

	if (!stop || stop - line > INCFS_LIST_MAX_LINE) {
		list_refuse(list, nr, end - line > INCFS_LIST_MAX_LINE ?
			    "is too long" : "is missing, or cut short");
		return NULL;
	}
	*stop = 0;
	*pos = stop + 1;
	if (strlen(line) != (size_t)(stop - line)) {
		list_refuse(list, nr, "has a NUL in it");
		return NULL;
	}
	return line;
}

static int parse_lines(struct incfs_list *list, char *pos, char *end, size_t max)
{
	__u64 promised;
	char *line;
	__u32 nr = 1;
	int err;

	line = next_line(list, &pos, end, nr);
	if (!line)
		return -EINVAL;
	list->version = !strcmp(line, INCFS_LIST_HEADER) ? 2 : 1;
	if (list->version == 1 && strcmp(line, INCFS_LIST_HEADER_1))
		return list_refuse(list, nr, "is '%.40s', not '%s'", line, INCFS_LIST_HEADER);
	for (;;) {
		line = next_line(list, &pos, end, ++nr);
		if (!line)
			return -EINVAL;
		if (!strncmp(line, "end ", 4))
			break;
		if (list->nr_entries == max)
			return list_refuse(list, nr, "is one too many");
		err = parse_entry(list, line, nr);
		if (err)
			return err;
	}
	if (!incfs_list_parse_number(line + 4, 10, INCFS_LIST_MAX_ENTRIES, &promised) ||
	    promised != list->nr_entries)
		return list_refuse(list, nr, "promises '%.40s' entries, but there are %zu", line + 4,
				   list->nr_entries);
	if (pos != end)
		return list_refuse(list, nr + 1, "comes after the end");
	return 0;
}

static int compare_path(const void *path, const void *entry)
{
	return incfs_list_compare(path, ((const struct incfs_entry *)entry)->path);
}

static int resolve_links(struct incfs_list *list)
{
	for (size_t i = 0; i < list->nr_entries; i++) {
		struct incfs_entry *entry = &list->entries[i];

		if (entry->type != INCFS_ENTRY_LINK)
			continue;
		entry->target = bsearch(entry->target_path, list->entries, list->nr_entries,
					sizeof(*entry), compare_path);
		if (!entry->target || entry->target->type != INCFS_ENTRY_FILE)
			return list_refuse(list, entry->line, "'%.100s' is another name of '%.100s', %s",
					   entry->path, entry->target_path, entry->target ?
					   "which is no file" : "which is not listed");
	}
	return 0;
}

int incfs_list_parse(struct incfs_list *list, char *text, size_t size)
{
	size_t max = 0;

	*list = (struct incfs_list){ .text = text };
	if (size > INCFS_LIST_MAX_BYTES)
		return list_refuse(list, 1, "the list has %zu bytes, more than %u", size,
				   INCFS_LIST_MAX_BYTES);
	for (size_t i = 0; i < size; i++)
		max += text[i] == '\n';
	max = incfs_min(max, INCFS_LIST_MAX_ENTRIES);
	list->entries = calloc(max + 1, sizeof(*list->entries));
	if (!list->entries) {
		snprintf(list->error, sizeof(list->error), "not enough memory");
		return -ENOMEM;
	}
	return parse_lines(list, text, text + size, max) ?: resolve_links(list);
}

int incfs_list_read(int fd, char **text, size_t *size)
{
	char *more, *buf = NULL;
	size_t len = 0;
	ssize_t got;

	do {
		more = realloc(buf, len + 65536);
		if (!more)
			goto err;
		buf = more;
		got = read(fd, buf + len, 65536);
		if (got < 0)
			goto err;
		len += got;
	} while (got && len <= INCFS_LIST_MAX_BYTES);
	*text = buf;
	*size = len;
	return 0;
err:
	free(buf);
	return -1;
}

void incfs_list_destroy(struct incfs_list *list)
{
	free(list->entries);
	free(list->text);
	*list = (struct incfs_list){};
}
