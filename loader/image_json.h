/* SPDX-License-Identifier: MIT */
/* What the image tools print for programs, and odd bytes in what they print. */
#ifndef _INCFS_IMAGE_JSON_H
#define _INCFS_IMAGE_JSON_H

#include <linux/types.h>
#include <stddef.h>
#include <stdio.h>

struct json_object;

void incfs_json_number(struct json_object *object, const char *key, __u64 value);
void incfs_json_string(struct json_object *object, const char *key, const char *value);
/*
 * Bytes that are most likely text: @key is a string. If they are not UTF-8 it
 * lacks what is not, and KEY_hex has all of them.
 */
void incfs_json_bytes(struct json_object *object, const char *key, const void *bytes,
		      size_t len);
/* The same for a string. */
void incfs_json_text(struct json_object *object, const char *key, const char *text);
/* Print it in one line, then @end. Returns 0, or -1 after saying that there is no memory. */
int incfs_json_print(struct json_object *object, const char *end);

/* Bytes as text: what does not print becomes \xNN, and \ is doubled. */
void incfs_print_bytes(FILE *out, const void *bytes, size_t len);

/* Has all that was printed reached standard output? 0, or -1 after saying why not. */
int incfs_output_end(void);

#endif /* _INCFS_IMAGE_JSON_H */
