// SPDX-License-Identifier: MIT
/* What the image tools print for programs, and odd bytes in what they print. */
#include "image_json.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "log.h"

void incfs_json_number(struct json_object *object, const char *key, __u64 value)
{
	json_object_object_add(object, key, json_object_new_uint64(value));
}

void incfs_json_string(struct json_object *object, const char *key, const char *value)
{
	json_object_object_add(object, key, json_object_new_string(value));
}

/* Bytes of the character of UTF-8 at the start of @bytes, 0 if it is none. */
static size_t utf8_char(const __u8 *bytes, size_t len)
{
	size_t size = *bytes < 0x80 ? 1 : *bytes >= 0xf0 ? 4 : *bytes >= 0xe0 ? 3 : 2;

	if (size == 1)
		return 1;
	if (*bytes < 0xc2 || *bytes > 0xf4 || size > len)
		return 0;
	for (size_t i = 1; i < size; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
	}
	/* Longer than need be, a surrogate, or past the last. */
	if ((*bytes == 0xe0 && bytes[1] < 0xa0) || (*bytes == 0xed && bytes[1] > 0x9f) ||
	    (*bytes == 0xf0 && bytes[1] < 0x90) || (*bytes == 0xf4 && bytes[1] > 0x8f))
		return 0;
	return size;
}

static void add_hex(struct json_object *object, const char *key, const __u8 *bytes, size_t len)
{
	char *hex = malloc(2 * len + 1), name[64];

	if (!hex)
		return;
	for (size_t i = 0; i < len; i++)
		sprintf(hex + 2 * i, "%02x", bytes[i]);
	snprintf(name, sizeof(name), "%s_hex", key);
	incfs_json_string(object, name, hex);
	free(hex);
}

void incfs_json_bytes(struct json_object *object, const char *key, const void *bytes,
		      size_t len)
{
	const __u8 *from = bytes;
	char *text = calloc(1, len + 1), *to = text;
	bool whole = true;

	if (!text)
		return;
	for (size_t left = len; left; ) {
		size_t size = utf8_char(from, left), step = size ?: 1;

		whole &= size != 0;
		memcpy(to, from, size);
		to += size;
		from += step;
		left -= step;
	}
	json_object_object_add(object, key, json_object_new_string_len(text, to - text));
	if (!whole)
		add_hex(object, key, bytes, len);
	free(text);
}

void incfs_json_text(struct json_object *object, const char *key, const char *text)
{
	incfs_json_bytes(object, key, text, strlen(text));
}

int incfs_json_print(struct json_object *object, const char *end)
{
	const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
							  JSON_C_TO_STRING_NOSLASHESCAPE);

	if (!text) {
		incfs_error("%s", strerror(ENOMEM));
		return -1;
	}
	printf("%s%s", text, end);
	return 0;
}

void incfs_print_bytes(FILE *out, const void *bytes, size_t len)
{
	const __u8 *at = bytes;

	while (len) {
		size_t size = *at < 0x20 || *at == 0x7f ? 0 : utf8_char(at, len);

		/* The second set of control characters. */
		if (size == 2 && *at == 0xc2 && at[1] < 0xa0)
			size = 0;

		if (*at == '\\')
			fputs("\\\\", out);
		else if (size)
			fwrite(at, 1, size, out);
		else
			fprintf(out, "\\x%02x", *at);
		at += size ?: 1;
		len -= size ?: 1;
	}
}

int incfs_output_end(void)
{
	if (!fflush(stdout) && !ferror(stdout))
		return 0;
	incfs_error("can't write to standard output: %s", strerror(errno));
	return -1;
}
