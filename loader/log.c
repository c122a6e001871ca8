// SPDX-License-Identifier: MIT
/* What the programs say on standard error. */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *log_program = "incfs";
static enum incfs_log_level log_level = INCFS_LOG_INFO;
static char log_status[512];

void incfs_log_init(const char *program, enum incfs_log_level level)
{
	log_program = program;
	log_level = level;
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
