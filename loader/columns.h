/* SPDX-License-Identifier: MIT */
/* Tables for people: columns as wide as what is in them. */
#ifndef _INCFS_COLUMNS_H
#define _INCFS_COLUMNS_H

#include <stddef.h>

/* Most columns of a table. */
#define INCFS_COLUMNS_MAX 12

/* struct incfs_columns - a table that is being made; starts as zeros, but for @nr */
struct incfs_columns {
	size_t nr;
	char **cells;
	size_t nr_cells;
};

/*
 * Add the next cell; @nr cells are a row. What is in it may come from elsewhere: bytes
 * that do not print are shown as \xNN.
 */
void incfs_columns_add(struct incfs_columns *table, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Print the rows, each after @indent, to standard output, and start anew. */
void incfs_columns_print(struct incfs_columns *table, const char *indent);

#endif /* _INCFS_COLUMNS_H */
