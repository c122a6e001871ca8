// SPDX-License-Identifier: MIT
/* What the programs say on standard error. */
#include "log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util.h"

#define PROGRESS_FIRST_MS 1000
#define PROGRESS_MS 200

static const char *log_program = "incfs";
static enum incfs_log_level log_level = INCFS_LOG_INFO;
static char log_status[512];
static bool log_journal;
static struct incfs_logged log_kept[INCFS_LOG_KEPT];
static __u64 log_counts[INCFS_LOG_DEBUG + 1];
static unsigned int log_nr_kept;

/* Whether standard error is what systemd has connected it to. */
static bool is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       !fstat(STDERR_FILENO, &st) && st.st_dev == device && st.st_ino == inode;
}

void incfs_log_init(const char *program, enum incfs_log_level level)
{
	log_program = program;
	log_level = level;
	log_journal = is_journal();
}

const struct incfs_logged *incfs_log_last(unsigned int back)
{
	if (back >= log_nr_kept || back >= INCFS_LOG_KEPT)
		return NULL;
	return &log_kept[(log_nr_kept - 1 - back) % INCFS_LOG_KEPT];
}

__u64 incfs_log_count(enum incfs_log_level level)
{
	return log_counts[level];
}

static void log_keep(enum incfs_log_level level, const char *line)
{
	struct incfs_logged *kept = &log_kept[log_nr_kept % INCFS_LOG_KEPT];

	log_counts[level]++;
	if (level > INCFS_LOG_WARN)
		return;
	/* Where we are in the ring stays right when this overflows. */
	log_nr_kept = log_nr_kept + 1 ?: INCFS_LOG_KEPT;
	kept->level = level;
	kept->at = incfs_now();
	snprintf(kept->text, sizeof(kept->text), "%.*s", (int)sizeof(kept->text) - 1, line);
}

int incfs_log_enabled(enum incfs_log_level level)
{
	return level <= log_level;
}

/* File names come from elsewhere: keep their odd bytes from the terminal. */
static void log_defuse(char *line)
{
	for (; *line; line++) {
		if ((unsigned char)*line < 0x20 || *line == 0x7f)
			*line = '?';
	}
}

void incfs_log(enum incfs_log_level level, const char *fmt, ...)
{
	char line[8192];
	va_list args;

	if (!incfs_log_enabled(level))
		return;
	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	log_defuse(line);
	log_keep(level, line);
	if (log_journal) {
		static const int priorities[] = { 3, 4, 6, 7 };

		fprintf(stderr, "<%d>%s\n", priorities[level], line);
		return;
	}
	if (log_status[0])
		fputs("\r\033[K", stderr);
	fprintf(stderr, "%s: %s%s\n", log_program, level == INCFS_LOG_WARN ? "warning: " : "",
		line);
	fputs(log_status, stderr);
}

void incfs_log_status(const char *line)
{
	if (log_status[0])
		fputs("\r\033[K", stderr);
	snprintf(log_status, sizeof(log_status), "%s", line);
	fputs(log_status, stderr);
}

static __u64 progress_at;

void incfs_log_progress(const char *doing, __u64 done, __u64 total)
{
	__u64 now = incfs_now();
	char line[128];

	if (!progress_at)
		progress_at = now + PROGRESS_FIRST_MS;
	if (now < progress_at)
		return;
	progress_at = now + PROGRESS_MS;
	if (!isatty(STDERR_FILENO))
		return;
	if (total)
		snprintf(line, sizeof(line), "%s: %llu of %llu blocks (%llu %%)", doing, done, total,
			 done * 100 / total);
	else
		snprintf(line, sizeof(line), "%s: %llu blocks", doing, done);
	incfs_log_status(line);
}

void incfs_log_progress_end(void)
{
	progress_at = 0;
	incfs_log_status("");
}
