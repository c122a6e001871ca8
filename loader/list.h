/* SPDX-License-Identifier: MIT */
/*
 * The list of what a source holds, as text (docs/loader.md has the format):
 *
 *	incfs-list 2
 *	d 0755 0 1700000000 bin
 *	f 0755 70120 1699999999.500000000 bin/cc1
 *	l 0 0 bin/gcc bin/cc1
 *	s 0 0 1700000000 bin/cc gcc
 *	end 4
 */
#ifndef _INCFS_LIST_H
#define _INCFS_LIST_H

#include <linux/types.h>
#include <stdbool.h>
#include <stdio.h>

#define INCFS_LIST_NAME "incfs.list"
#define INCFS_LIST_HEADER "incfs-list 2"
/* Without times and symbolic links. */
#define INCFS_LIST_HEADER_1 "incfs-list 1"

#define INCFS_BLOCK_SIZE 4096u

/* Limits of a list; the last is of all files together, in blocks. */
#define INCFS_LIST_MAX_BYTES (256u << 20)
#define INCFS_LIST_MAX_ENTRIES (4u << 20)
#define INCFS_LIST_MAX_PATH 4095
#define INCFS_LIST_MAX_NAME 255
#define INCFS_LIST_MAX_LINE (2 * 4 * INCFS_LIST_MAX_PATH + 64)
#define INCFS_LIST_MAX_BLOCKS 0xffffffffull

enum incfs_entry_type {
	INCFS_ENTRY_DIR = 'd',
	INCFS_ENTRY_FILE = 'f',
	INCFS_ENTRY_LINK = 'l',		/* another name of a file */
	INCFS_ENTRY_SYMLINK = 's',
};

/**
 * struct incfs_entry - a line of the list
 * @path:        relative to the root
 * @target_path: of a link: path of the file that it is another name of; of a symbolic
 *               link: its text
 * @size:   of a file, in bytes
 * @mtime:  of what is no other name, in seconds, and @mtime_nsec
 * @ino:    inode number, once the tree is declared
 * @parent: directory it is in, NULL for the root
 * @target: of a link: the file that it is another name of
 * @line:   where it stands in the list
 * @mode:   permissions
 * @type:   enum incfs_entry_type
 */
struct incfs_entry {
	char *path;
	char *target_path;
	__u64 size;
	__u64 ino;
	__s64 mtime;
	struct incfs_entry *parent;
	struct incfs_entry *target;
	__u32 mtime_nsec;
	__u32 line;
	__u16 mode;
	char type;
};

struct incfs_list {
	unsigned int version;
	char *text;
	struct incfs_entry *entries;
	size_t nr_entries;
	size_t nr_files;
	__u64 nr_blocks;
	char error[512];
};

static inline __u64 incfs_size_blocks(__u64 size)
{
	return size / INCFS_BLOCK_SIZE + (size % INCFS_BLOCK_SIZE != 0);
}

/*
 * Parse @size bytes at @text, which must come from malloc() and belong to the
 * list from now on, also when it is refused. Returns 0, -ENOMEM, or -EINVAL with
 * the line and the reason in @list->error.
 */
int incfs_list_parse(struct incfs_list *list, char *text, size_t size);
void incfs_list_destroy(struct incfs_list *list);

/* Read a list, or what may be one, to its end. Returns 0, or -1 with errno. */
int incfs_list_read(int fd, char **text, size_t *size);

/*
 * The order of a list: by bytes, except that '/' comes before all others, so
 * that what is in a directory follows it directly.
 */
int incfs_list_compare(const char *a, const char *b);

/* Why @path can't be in a list, or NULL. */
const char *incfs_list_check_path(const char *path);

void incfs_list_write_path(FILE *out, const char *path);
void incfs_list_write_time(FILE *out, __s64 sec, __u32 nsec);
/* In place. There is one way to write a path, and no other is taken. */
bool incfs_list_decode_path(char *path);
/* A number in its shortest form, as digits of @base and nothing else. */
bool incfs_list_parse_number(const char *text, int base, __u64 max, __u64 *value);

/* The name part of a path. */
const char *incfs_path_name(const char *path);

#endif /* _INCFS_LIST_H */
