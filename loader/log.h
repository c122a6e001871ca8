/* SPDX-License-Identifier: MIT */
#ifndef _INCFS_LOG_H
#define _INCFS_LOG_H

#include <linux/types.h>

enum incfs_log_level {
	INCFS_LOG_ERROR,
	INCFS_LOG_WARN,
	INCFS_LOG_INFO,
	INCFS_LOG_DEBUG,
};

/*
 * @program stands before every line; lines above @level are left out. If standard error
 * is the journal, the level stands there instead, as sd-daemon(3) has it: the journal
 * knows the program.
 */
void incfs_log_init(const char *program, enum incfs_log_level level);

int incfs_log_enabled(enum incfs_log_level level);

/* One line on standard error, in the words of the caller and without "\n". */
void incfs_log(enum incfs_log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* How many of the last errors and warnings are kept. */
#define INCFS_LOG_KEPT 8

/**
 * struct incfs_logged - an error or a warning
 * @at: when, on the clock of incfs_now()
 */
struct incfs_logged {
	enum incfs_log_level level;
	__u64 at;
	char text[256];
};

/* The one that is @back before the last, or NULL. */
const struct incfs_logged *incfs_log_last(unsigned int back);
/* How many there were of a level. */
__u64 incfs_log_count(enum incfs_log_level level);

/*
 * A line at the bottom of the terminal, rewritten in place; log lines appear
 * above it. "" removes it.
 */
void incfs_log_status(const char *line);

/*
 * Such a line for what takes longer than a second, on a terminal only: what is being
 * done, and how many blocks of @total, 0 if that is not known, are.
 */
void incfs_log_progress(const char *doing, __u64 done, __u64 total);
/* Removes it. */
void incfs_log_progress_end(void);

#define incfs_error(...) incfs_log(INCFS_LOG_ERROR, __VA_ARGS__)
#define incfs_warn(...) incfs_log(INCFS_LOG_WARN, __VA_ARGS__)
#define incfs_info(...) incfs_log(INCFS_LOG_INFO, __VA_ARGS__)
#define incfs_debug(...) incfs_log(INCFS_LOG_DEBUG, __VA_ARGS__)

#endif /* _INCFS_LOG_H */
