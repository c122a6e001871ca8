/* SPDX-License-Identifier: MIT */
/* The state of every block of every file. */
#ifndef _INCFS_FILES_H
#define _INCFS_FILES_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

struct incfs_entry;
struct incfs_list;

/**
 * struct incfs_file - a file and its blocks, one bit each
 * @present:    stored in the image
 * @busy:       being fetched
 * @wanted:     in the queue of what readers wait for
 * @base:       to be shared with the base of a bundle, and not to be fetched
 * @version:    of the file at the source (struct incfs_request)
 * @retry_at:   nothing is fetched before this time, after @failures in a row
 */
struct incfs_file {
	struct incfs_entry *entry;
	__u64 ino;
	__u32 nr_blocks;
	__u32 nr_present;
	__u64 *present;
	__u64 *busy;
	__u64 *wanted;
	__u64 *base;
	__u64 version;
	__u64 retry_at;
	unsigned int failures;
};

/* struct incfs_files - all of them, in the order of the list and by number */
struct incfs_files {
	struct incfs_file *files;
	struct incfs_file **by_ino;
	size_t nr;
	__u64 nr_blocks;
	__u64 nr_present;
};

int incfs_files_create(struct incfs_files *files, struct incfs_list *list);
void incfs_files_destroy(struct incfs_files *files);

/* Take the inode numbers from the list, once they are known. */
void incfs_files_set_inodes(struct incfs_files *files);
struct incfs_file *incfs_files_find(struct incfs_files *files, __u64 ino);

static inline bool incfs_block_test(const __u64 *bits, __u32 block)
{
	return bits[block / 64] >> (block % 64) & 1;
}

void incfs_blocks_set(__u64 *bits, __u32 first, __u32 count);
void incfs_blocks_clear(__u64 *bits, __u32 first, __u32 count);

/* Count these blocks as stored, or as not stored after all. */
void incfs_files_present(struct incfs_files *files, struct incfs_file *file, __u32 first,
			 __u32 count);
void incfs_files_absent(struct incfs_files *files, struct incfs_file *file, __u32 block);

/*
 * The first blocks in [@first, @end) that are neither stored nor on their way,
 * @max at the most. Returns how many lie next to each other from *@start on; 0 if
 * there are none.
 */
__u32 incfs_file_find_open(const struct incfs_file *file, __u32 first, __u32 end, __u32 max,
			   __u32 *start);

#endif /* _INCFS_FILES_H */
