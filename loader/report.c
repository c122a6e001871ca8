// SPDX-License-Identifier: MIT
/* What is told of a mount. */
#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>

#include "events.h"
#include "fetch.h"
#include "files.h"
#include "image_json.h"
#include "list.h"
#include "log.h"
#include "mount.h"
#include "options.h"
#include "progress.h"
#include "util.h"

static const char *const class_names[] = { "demand", "ahead", "background" };

static const char *state_name(const struct incfs_report *report)
{
	const struct incfs_files *files = report->fetcher->files;

	if (!report->listed)
		return "waiting for list";
	if (files->nr_present == files->nr_blocks)
		return "complete";
	if (report->fetcher->space.state == INCFS_SPACE_LIMIT)
		return "limit reached";
	if (report->fetcher->space.was_full)
		return "disk full";
	if (report->fetcher->failures)
		return "source failing";
	return report->fetcher->background ? "fetching" : "on demand";
}

static struct json_object *recent_errors(void)
{
	struct json_object *array = json_object_new_array(), *object;
	const struct incfs_logged *logged;

	for (unsigned int i = 0; (logged = incfs_log_last(i)); i++) {
		object = json_object_new_object();
		incfs_json_string(object, "level", logged->level == INCFS_LOG_ERROR ? "error" :
				  "warning");
		incfs_json_number(object, "age_ms", incfs_now() - logged->at);
		incfs_json_text(object, "text", logged->text);
		json_object_array_add(array, object);
	}
	return array;
}

static void add_fetcher(struct json_object *object, const struct incfs_report *report)
{
	const struct incfs_fetcher *fetcher = report->fetcher;
	struct json_object *requests = json_object_new_object();

	if (report->listed) {
		incfs_json_number(object, "blocks", fetcher->files->nr_blocks);
		incfs_json_number(object, "blocks_present", fetcher->files->nr_present);
	}
	incfs_json_number(object, "bytes_fetched", fetcher->fetched);
	incfs_json_number(object, "bytes_a_second", report->progress->rate);
	for (int i = 0; i < INCFS_CLASSES; i++)
		incfs_json_number(requests, class_names[i], fetcher->requests[i]);
	json_object_object_add(object, "requests", requests);
	incfs_json_number(object, "requests_failed", fetcher->failed);
	incfs_json_number(object, "image_bytes", incfs_space_used(&fetcher->space));
	if (fetcher->space.limit)
		incfs_json_number(object, "image_limit", fetcher->space.limit);
}

static struct libincfs_stats read_stats(const struct incfs_report *report)
{
	struct libincfs_stats stats = { .struct_size = sizeof(stats) };

	if (libincfs_get_stats(report->mount->fs, &stats))
		incfs_debug("%s", libincfs_message(report->mount->fs));
	return stats;
}

char *incfs_report_json(const struct incfs_report *report)
{
	const struct incfs_mount_info *info = &report->mount->info;
	struct json_object *sources = json_object_new_array(), *object;
	struct libincfs_stats stats = read_stats(report);
	const char *text;
	char *copy;

	object = incfs_report_mount(info->mount_id, report->mount->at ?: report->mount->path, info->policy, &stats);
	incfs_json_string(object, "state", state_name(report));
	incfs_json_number(object, "pid", getpid());
	incfs_json_number(object, "uptime_ms", incfs_now() - report->started);
	for (int i = 0; report->options->sources[i]; i++)
		json_object_array_add(sources, json_object_new_string(report->options->sources[i]));
	json_object_object_add(object, "sources", sources);
	incfs_json_text(object, "image", report->options->image);
	add_fetcher(object, report);
	incfs_json_number(object, "events_lost", report->events->lost);
	json_object_object_add(object, "log", recent_errors());
	text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
					      JSON_C_TO_STRING_NOSLASHESCAPE);
	copy = text ? strdup(text) : NULL;
	json_object_put(object);
	return copy;
}

/* A value of a label: backslash, quote and line feed are written by two characters. */
static void print_label(FILE *out, const char *name, const char *value)
{
	fprintf(out, "%s=\"", name);
	for (; *value; value++) {
		if (*value == '\n')
			fputs("\\n", out);
		else if (*value == '\\' || *value == '"')
			fprintf(out, "\\%c", *value);
		else
			fputc(*value, out);
	}
	fputc('"', out);
}

struct metric {
	const char *name;
	const char *type;
	const char *help;
	double value;
};

static void print_head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP incfs_%s %s\n# TYPE incfs_%s %s\n", name, help, name, type);
}

static void print_sample(FILE *out, const char *name, const char *mountpoint, const char *label,
			 const char *label_value, double value)
{
	fprintf(out, "incfs_%s{", name);
	print_label(out, "mountpoint", mountpoint);
	if (label) {
		fputc(',', out);
		print_label(out, label, label_value);
	}
	fprintf(out, "} %.17g\n", value);
}

static void print_metrics(FILE *out, const struct incfs_report *report)
{
	const struct incfs_fetcher *fetcher = report->fetcher;
	const struct incfs_files *files = fetcher->files;
	const char *path = report->mount->at ?: report->mount->path;
	struct libincfs_stats stats = read_stats(report);
	const struct metric metrics[] = {
		{ "listed", "gauge", "Whether the list of files is there.", report->listed },
		{ "blocks", "gauge", "Blocks of all files, 4 KiB each; 0 without a list.",
		  report->listed ? files->nr_blocks : 0 },
		{ "blocks_present", "gauge", "Blocks that are there; 0 without a list.",
		  report->listed ? files->nr_present : 0 },
		{ "blocks_waited_for", "gauge", "Blocks that readers wait for.",
		  stats.blocks_pending },
		{ "blocks_filled_total", "counter", "Blocks stored since the mount.",
		  stats.blocks_filled },
		{ "blocks_damaged_total", "counter", "Stored blocks that failed their check.",
		  stats.blocks_damaged },
		{ "waits_total", "counter", "Blocks that readers began to wait for.",
		  stats.waits },
		{ "waits_expired_total", "counter", "Reads that ended by their timeout.",
		  stats.waits_expired },
		{ "wait_seconds_total", "counter", "Time that reads have waited.",
		  stats.wait_ns / 1e9 },
		{ "fetched_bytes_total", "counter", "Bytes that came from the source.",
		  fetcher->fetched },
		{ "requests_failed_total", "counter", "Requests that failed.", fetcher->failed },
		{ "image_bytes", "gauge", "Size of the image.",
		  incfs_space_used(&fetcher->space) },
		{ "image_limit_bytes", "gauge", "What --limit-image says, 0 without.",
		  fetcher->space.limit },
		{ "space_exhausted", "gauge", "Whether there is no room for blocks.",
		  fetcher->space.was_full || fetcher->space.state != INCFS_SPACE_ROOM },
		{ "events_lost_total", "counter", "Events of the policy that were lost.",
		  report->events->lost },
		{ "errors_total", "counter", "Errors in the log.",
		  incfs_log_count(INCFS_LOG_ERROR) },
		{ "uptime_seconds", "gauge", "How long the loader has been running.",
		  (incfs_now() - report->started) / 1e3 },
	};

	for (size_t i = 0; i < INCFS_ARRAY_SIZE(metrics); i++) {
		print_head(out, metrics[i].name, metrics[i].type, metrics[i].help);
		print_sample(out, metrics[i].name, path, NULL, NULL, metrics[i].value);
	}
	print_head(out, "requests_total", "counter", "Requests to the source, by their reason.");
	for (int i = 0; i < INCFS_CLASSES; i++)
		print_sample(out, "requests_total", path, "class", class_names[i],
			     fetcher->requests[i]);
}

char *incfs_report_metrics(const struct incfs_report *report)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	print_metrics(out, report);
	if (!fclose(out))
		return text;
	free(text);
	return NULL;
}
