// SPDX-License-Identifier: MIT
/* What the kernel tells of a mount; and reports for people. */
#include "report.h"

#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "image_json.h"
#include "list.h"

static void add_stats(struct json_object *object, const struct libincfs_stats *stats)
{
	incfs_json_number(object, "blocks_filled", stats->blocks_filled);
	incfs_json_number(object, "bytes_filled", stats->bytes_filled);
	incfs_json_number(object, "blocks_shared", stats->blocks_shared);
	incfs_json_number(object, "blocks_read", stats->blocks_read);
	incfs_json_number(object, "blocks_damaged", stats->blocks_damaged);
	incfs_json_number(object, "blocks_waited_for", stats->blocks_pending);
	incfs_json_number(object, "waits", stats->waits);
	incfs_json_number(object, "waits_expired", stats->waits_expired);
	incfs_json_number(object, "wait_ns", stats->wait_ns);
}

struct json_object *incfs_report_mount(__u64 mount_id, const char *path, const char *policy,
				       const struct libincfs_stats *stats)
{
	struct json_object *object = json_object_new_object();

	incfs_json_number(object, "mount_id", mount_id);
	if (path)
		incfs_json_text(object, "mountpoint", path);
	incfs_json_text(object, "policy", policy);
	add_stats(object, stats);
	return object;
}

static __u64 number(struct json_object *report, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(report, key, &value) ? json_object_get_uint64(value) : 0;
}

/* What came from elsewhere may be anything. */
static void print_value(struct json_object *value)
{
	const char *text = json_object_get_string(value) ?: "";

	incfs_print_bytes(stdout, text, strlen(text));
}

static void print_text(struct json_object *object, const char *key, const char *none)
{
	struct json_object *value;

	if (json_object_object_get_ex(object, key, &value))
		print_value(value);
	else
		fputs(none, stdout);
}

static void print_row(const char *name, struct json_object *report, const char *key,
		      const char *none)
{
	printf("  %-10s", name);
	print_text(report, key, none);
	putchar('\n');
}

static void print_loader(struct json_object *report)
{
	__u64 blocks = number(report, "blocks"), present = number(report, "blocks_present");
	__u64 limit = number(report, "image_limit");
	struct json_object *sources;

	if (json_object_object_get_ex(report, "sources", &sources) &&
	    json_object_is_type(sources, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(sources); i++) {
			fputs(i ? "            " : "  source    ", stdout);
			print_value(json_object_array_get_idx(sources, i));
			putchar('\n');
		}
	}
	print_row("image", report, "image", "?");
	if (json_object_object_get_ex(report, "blocks", NULL))
		printf("  present   %llu of %llu blocks (%llu %%), %.1f of %.1f MB\n", present,
		       blocks, blocks ? present * 100 / blocks : 100,
		       present * INCFS_BLOCK_SIZE / 1e6, blocks * INCFS_BLOCK_SIZE / 1e6);
	printf("  stored    %.1f MB", number(report, "image_bytes") / 1e6);
	if (limit)
		printf(" of %.1f MB that it may have", limit / 1e6);
	printf("\n  fetched   %.1f MB, now %.1f MB/s, %llu requests failed\n",
	       number(report, "bytes_fetched") / 1e6, number(report, "bytes_a_second") / 1e6,
	       number(report, "requests_failed"));
	if (number(report, "events_lost"))
		printf("  events    %llu lost\n", number(report, "events_lost"));
}

static void print_log(struct json_object *report)
{
	struct json_object *log, *line;

	if (!json_object_object_get_ex(report, "log", &log) ||
	    !json_object_is_type(log, json_type_array))
		return;
	for (size_t i = 0; i < json_object_array_length(log); i++) {
		line = json_object_array_get_idx(log, i);
		printf("  %llu s ago: ", number(line, "age_ms") / 1000);
		print_text(line, "text", "");
		putchar('\n');
	}
}

void incfs_report_print(struct json_object *report)
{
	struct json_object *state;
	bool loader = json_object_object_get_ex(report, "state", &state);

	print_text(report, "mountpoint", "(not visible from here)");
	fputs(": ", stdout);
	print_text(report, "state", "no loader");
	if (loader)
		printf(", pid %llu", number(report, "pid"));
	putchar('\n');
	if (loader)
		print_loader(report);
	printf("  waiting   %llu blocks; %llu waited for so far, %.1f s in all, %llu timed out\n",
	       number(report, "blocks_waited_for"), number(report, "waits"),
	       number(report, "wait_ns") / 1e9, number(report, "waits_expired"));
	if (number(report, "blocks_damaged"))
		printf("  damaged   %llu blocks\n", number(report, "blocks_damaged"));
	print_row("policy", report, "policy", "");
	print_log(report);
}
