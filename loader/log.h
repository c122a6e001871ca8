/* SPDX-License-Identifier: MIT */
#ifndef _INCFS_LOG_H
#define _INCFS_LOG_H

enum incfs_log_level {
	INCFS_LOG_ERROR,
	INCFS_LOG_WARN,
	INCFS_LOG_INFO,
	INCFS_LOG_DEBUG,
};

/* @program stands before every line; lines above @level are left out. */
void incfs_log_init(const char *program, enum incfs_log_level level);

int incfs_log_enabled(enum incfs_log_level level);

/* One line on standard error, in the words of the caller and without "\n". */
void incfs_log(enum incfs_log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * A line at the bottom of the terminal, rewritten in place; log lines appear
 * above it. "" removes it.
 */
void incfs_log_status(const char *line);

#define incfs_error(...) incfs_log(INCFS_LOG_ERROR, __VA_ARGS__)
#define incfs_warn(...) incfs_log(INCFS_LOG_WARN, __VA_ARGS__)
#define incfs_info(...) incfs_log(INCFS_LOG_INFO, __VA_ARGS__)
#define incfs_debug(...) incfs_log(INCFS_LOG_DEBUG, __VA_ARGS__)

#endif /* _INCFS_LOG_H */
