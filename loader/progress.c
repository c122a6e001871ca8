// SPDX-License-Identifier: MIT
/* What the loader shows of its work. */
#include "progress.h"

#include <stdio.h>
#include <unistd.h>

#include "files.h"
#include "list.h"
#include "log.h"
#include "util.h"

#define STATUS_MS 500
#define LINE_MS 10000
/* The rate is a mean that forgets: a tenth of it is this measurement. */
#define RATE_SHARE 0.1

void incfs_progress_init(struct incfs_progress *progress, const struct incfs_files *files,
			 bool quiet)
{
	*progress = (struct incfs_progress){
		.files = files, .quiet = quiet, .terminal = isatty(STDERR_FILENO),
		.started = incfs_now(), .shown = incfs_now(), .counted = incfs_now(),
	};
}

static void count_rate(struct incfs_progress *progress, __u64 bytes)
{
	__u64 now = incfs_now(), time = now - progress->counted;
	double rate;

	if (time < STATUS_MS)
		return;
	rate = (bytes - progress->bytes) * 1000.0 / time;
	progress->rate = progress->rate ? progress->rate * (1 - RATE_SHARE) + rate * RATE_SHARE :
		rate;
	progress->bytes = bytes;
	progress->counted = now;
}

static void format_time_left(const struct incfs_progress *progress, char *text, size_t size)
{
	__u64 missing = progress->files->nr_blocks - progress->files->nr_present, left;

	text[0] = 0;
	if (!missing || progress->rate < 1)
		return;
	left = missing * INCFS_BLOCK_SIZE / progress->rate;
	if (left < 3600)
		snprintf(text, size, ", %llu:%02llu left", left / 60, left % 60);
	else
		snprintf(text, size, ", %llu:%02llu:%02llu left", left / 3600, left / 60 % 60,
			 left % 60);
}

void incfs_progress_update(struct incfs_progress *progress, __u64 bytes, unsigned int waiting)
{
	const struct incfs_files *files = progress->files;
	char line[200], left[32];
	__u64 now = incfs_now();

	count_rate(progress, bytes);
	if (progress->quiet || now - progress->shown < (progress->terminal ? STATUS_MS : LINE_MS))
		return;
	progress->shown = now;
	if (progress->complete)
		return;
	format_time_left(progress, left, sizeof(left));
	snprintf(line, sizeof(line), "%llu of %llu blocks (%llu %%), %.1f MB/s, %u waited for%s",
		 files->nr_present, files->nr_blocks,
		 files->nr_blocks ? files->nr_present * 100 / files->nr_blocks : 100,
		 progress->rate / 1e6, waiting, left);
	if (progress->terminal)
		incfs_log_status(line);
	else
		incfs_info("%s", line);
}

void incfs_progress_complete(struct incfs_progress *progress)
{
	incfs_log_status("");
	if (progress->complete)
		return;
	progress->complete = true;
	printf("incfs: complete: %llu blocks, %.1f seconds\n", progress->files->nr_blocks,
	       (incfs_now() - progress->started) / 1000.0);
	fflush(stdout);
}

void incfs_progress_exit(struct incfs_progress *progress)
{
	if (progress->terminal)
		incfs_log_status("");
}
