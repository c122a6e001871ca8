// SPDX-License-Identifier: MIT
/* Tables for people: columns as wide as what is in them. */
#include "columns.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image_json.h"

/* The text as it is printed. */
static char *printable(const char *text)
{
	char *copy = NULL;
	size_t size;
	FILE *out = open_memstream(&copy, &size);

	if (!out)
		return NULL;
	incfs_print_bytes(out, text, strlen(text));
	fclose(out);
	return copy;
}

void incfs_columns_add(struct incfs_columns *table, const char *fmt, ...)
{
	char **cells, *text = NULL;
	va_list args;

	cells = realloc(table->cells, (table->nr_cells + 1) * sizeof(*cells));
	if (!cells)
		return;
	table->cells = cells;
	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		text = NULL;
	va_end(args);
	cells[table->nr_cells++] = text ? printable(text) : NULL;
	free(text);
}

void incfs_columns_print(struct incfs_columns *table, const char *indent)
{
	size_t width[INCFS_COLUMNS_MAX] = {}, len, column;

	for (size_t i = 0; i < table->nr_cells; i++) {
		len = table->cells[i] ? strlen(table->cells[i]) : 0;
		if (len > width[i % table->nr])
			width[i % table->nr] = len;
	}
	for (size_t i = 0; i < table->nr_cells; i++) {
		const char *text = table->cells[i] ?: "";

		column = i % table->nr;
		if (!column)
			fputs(indent, stdout);
		if (column + 1 == table->nr)
			printf("%s\n", text);
		else
			printf("%-*s  ", (int)width[column], text);
		free(table->cells[i]);
	}
	free(table->cells);
	table->cells = NULL;
	table->nr_cells = 0;
}
