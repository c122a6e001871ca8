/* SPDX-License-Identifier: MIT */
/*
 * An image in memory: its nodes, names and attributes, and where its block maps
 * are; as much as the module has of it while it is mounted. Blocks stay in the
 * file.
 */
#ifndef _INCFS_IMAGE_MODEL_H
#define _INCFS_IMAGE_MODEL_H

#include <stdio.h>

#include "format.h"
#include "image_file.h"

#define INCFS_IMAGE_ROOT 2

struct incfs_model;

/**
 * struct incfs_model_node - a file, directory or symbolic link
 * @mode:       type, and the permissions that a mount shows
 * @disk_mode:  the same as its inode record has it
 * @order:      place among the nodes in the order of their records
 * @nr_names:   names that refer to it
 * @nr_blocks:  of a file, stored or not
 * @map_offset: of its block map, 0 for none
 * @attrs:      what its attribute record says; NULL for none
 * @parent:     of a directory: where it has its name
 * @first_name: of a directory: its entries, in order
 * @a_name:     one of its names, NULL if it has none
 * @marked:     whether a path leads to it, after incfs_model_walk()
 */
struct incfs_model_node {
	__u64 ino;
	__u64 size;
	__u16 mode;
	__u16 disk_mode;
	__u32 nr_names;
	__u32 nr_blocks;
	__u64 map_offset;
	struct incfs_attrs *attrs;
	struct incfs_model_node *parent;
	struct incfs_model_name *first_name;
	struct incfs_model_name *last_name;
	struct incfs_model_name *a_name;
	size_t order;
	bool marked;
};

struct incfs_model_name {
	struct incfs_model_node *dir;
	struct incfs_model_node *node;
	struct incfs_model_name *prev, *next;
	__u8 len;
	char name[];
};

/* A piece of the image that is not a block; @what is for messages. */
struct incfs_model_range {
	__u64 start, end;
	const char *what;
	__u64 ino;
};

/**
 * struct incfs_model
 * @nodes:      in the order of their records, the root first
 * @by_ino:     for tfind(3)
 * @by_name:    the same
 * @metadata:   superblock, records and block maps; records that touch are one
 * @super:      the superblock
 * @nr_records: how many there are
 * @last:       offset of the last one, 0 for none
 * @torn:       where the list of records broke off in a crash, or 0
 */
struct incfs_model {
	struct incfs_image_file *file;
	struct incfs_model_node **nodes;
	size_t nr_nodes, nodes_room;
	void *by_ino;
	void *by_name;
	struct incfs_model_range *metadata;
	size_t nr_metadata, metadata_room;
	struct incfs_super super;
	__u64 nr_records;
	__u64 last;
	__u64 torn;
	void (*show)(void *arg, const struct incfs_record *record);
	void *show_arg;
};

/*
 * Read the image, and refuse what the module refuses to mount: 0, or -1 after
 * saying what is wrong. @show, which may be NULL, is called for each record.
 * Either way the model is to be freed.
 */
int incfs_model_load(struct incfs_model *model, struct incfs_image_file *file,
		     void (*show)(void *arg, const struct incfs_record *record), void *arg);
void incfs_model_free(struct incfs_model *model);

/*
 * Put the metadata in order. Pieces that overlap are an error, told by message:
 * block maps that lie over each other would also have to be read many times.
 */
int incfs_model_check_metadata(struct incfs_model *model);
/* Does metadata lie within these bytes? NULL, or which; after the above only. */
const struct incfs_model_range *incfs_model_find_metadata(const struct incfs_model *model,
							  __u64 offset, __u64 len);

struct incfs_model_node *incfs_model_node(const struct incfs_model *model, __u64 ino);
struct incfs_model_name *incfs_model_find(const struct incfs_model *model,
					  const struct incfs_model_node *dir,
					  const char *name, size_t len);
/* The value of the symbolic link's target. */
struct incfs_item incfs_model_target(const struct incfs_model_node *node);
/*
 * The path of a name, or of one of the node's, for a message: of a long one the
 * end. The string lives until the next call.
 */
const char *incfs_model_name_path(const struct incfs_model_name *name);
const char *incfs_model_path(const struct incfs_model_node *node);

/*
 * Mark the nodes that a path leads to, and call @visit, which may be NULL, for
 * each of their names: a directory's names before those below, and in order.
 * Returns what @visit does if that is not 0.
 */
int incfs_model_walk(struct incfs_model *model,
		     int (*visit)(void *arg, struct incfs_model_name *name, bool first),
		     void *arg);

/* Say what is wrong where in the image. */
void incfs_model_complain(const struct incfs_model *model, __u64 offset, const char *why, int err);

#endif /* _INCFS_IMAGE_MODEL_H */
