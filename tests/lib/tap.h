/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * TAP for test programs.
 *
 *	int main(void)
 *	{
 *		plan(2);
 *		ok(fd >= 0, "the image opens");
 *		is_errno(ioctl(fd, ...), EINVAL, "a reserved flag is refused");
 *		return done();
 *	}
 */
#ifndef INCFS_TESTS_TAP_H
#define INCFS_TESTS_TAP_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int tap_planned = -1;
static int tap_count;
static int tap_failed;

/* Line by line, so that what was printed before a crash is there to read. */
static inline void tap_line_buffered(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
}

static inline void tap_vprint(const char *start, const char *format,
			      va_list args)
{
	tap_line_buffered();
	fputs(start, stdout);
	vprintf(format, args);
}

/* A line for who reads the log. */
__attribute__((format(printf, 1, 2))) static inline void
diag(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tap_vprint("# ", format, args);
	va_end(args);
	putchar('\n');
}

/* How many tests there will be. Without it, done() says how many there were. */
static inline void plan(int tests)
{
	tap_line_buffered();
	tap_planned = tests;
	printf("1..%d\n", tests);
}

/* One test: returns @pass. */
__attribute__((format(printf, 2, 3))) static inline bool
ok(bool pass, const char *format, ...)
{
	char start[32];
	va_list args;

	snprintf(start, sizeof(start), "%sok %d - ", pass ? "" : "not ",
		 ++tap_count);
	tap_failed += !pass;
	va_start(args, format);
	tap_vprint(start, format, args);
	va_end(args);
	putchar('\n');
	return pass;
}

#define is_int(got, want, ...)                                                 \
	({                                                                     \
		long long tap_got = (got), tap_want = (want);                  \
		bool tap_pass = ok(tap_got == tap_want, __VA_ARGS__);          \
                                                                               \
		if (!tap_pass)                                                 \
			diag("%s:%d: got %lld, want %lld", __FILE__, __LINE__, \
			     tap_got, tap_want);                               \
		tap_pass;                                                      \
	})

#define is_str(got, want, ...)                                                 \
	({                                                                     \
		const char *tap_got = (got), *tap_want = (want);               \
		bool tap_pass = ok(!strcmp(tap_got, tap_want), __VA_ARGS__);   \
                                                                               \
		if (!tap_pass)                                                 \
			diag("%s:%d: got '%s', want '%s'", __FILE__, __LINE__, \
			     tap_got, tap_want);                               \
		tap_pass;                                                      \
	})

/* A system call, @result, fails with @error. */
#define is_errno(result, error, ...)                                            \
	({                                                                      \
		long long tap_result = (errno = 0, (result));                   \
		int tap_errno = errno;                                          \
		bool tap_pass = ok(tap_result == -1 && tap_errno == (error),    \
				   __VA_ARGS__);                                \
                                                                                \
		if (!tap_pass)                                                  \
			diag("%s:%d: result %lld, errno %d (%s), want %d (%s)", \
			     __FILE__, __LINE__, tap_result, tap_errno,         \
			     strerror(tap_errno), (error), strerror(error));    \
		tap_pass;                                                       \
	})

/* @tests tests cannot be made here. */
static inline void skip(int tests, const char *why)
{
	tap_line_buffered();
	while (tests-- > 0)
		printf("ok %d # SKIP %s\n", ++tap_count, why);
}

/* The whole program cannot be made here. */
static inline void __attribute__((noreturn)) skip_all(const char *why)
{
	printf("1..0 # SKIP %s\n", why);
	exit(0);
}

/* What the tests need is not there: nothing after this can succeed. */
__attribute__((format(printf, 1, 2), noreturn)) static inline void
bail_out(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tap_vprint("Bail out! ", format, args);
	va_end(args);
	printf(": %s\n", strerror(errno));
	exit(1);
}

/* The exit code for main(). */
static inline int done(void)
{
	if (tap_planned < 0)
		plan(tap_count);
	return tap_failed || tap_count != tap_planned;
}

#endif
