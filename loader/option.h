/* SPDX-License-Identifier: MIT */
/*
 * Options, as a table: what the command line, a configuration file and the help text
 * have in common.
 */
#ifndef _INCFS_OPTION_H
#define _INCFS_OPTION_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/**
 * struct incfs_option - one row
 * @name:   without the dashes; the row with NULL is the last
 * @letter: short form, 0 for none
 * @arg:    what its value is called, NULL for a flag
 * @help:   what it does; a line feed begins another line
 * @set:    takes the value, NULL of a flag; says what is wrong and returns false
 * @offset: for the ready-made @set: of the member that it sets, bytes into the context
 * @least:  of a number
 * @most:   of a number
 */
struct incfs_option {
	const char *name;
	char letter;
	const char *arg;
	const char *help;
	bool (*set)(const struct incfs_option *option, void *context, const char *value);
	size_t offset;
	__u64 least, most;
};

/**
 * struct incfs_usage - how a command is called
 * @program: its name, with that of the program before it
 * @args:    what follows the name; a line feed begins another form
 * @about:   what it does, in whole lines
 * @options: what it takes beside --help
 * @least:   fewest arguments that are no options
 * @most:    most of them
 * @ordered: the first of these ends the options
 */
struct incfs_usage {
	const char *program;
	const char *args;
	const char *about;
	const struct incfs_option *options;
	int least, most;
	bool ordered;
};

/*
 * Take the options of a command line into @context. Returns -1 to go on, with the
 * other arguments from optind on, or the exit code: 0 after --help, 2 after a mistake,
 * which has been said.
 */
int incfs_usage_parse(const struct incfs_usage *usage, void *context, int argc, char **argv);

/* Say where help is to be had, after a mistake that has been said. Returns 2. */
int incfs_usage_mistake(const struct incfs_usage *usage);

/* The row of this name, or NULL. */
const struct incfs_option *incfs_option_find(const struct incfs_option *options,
					     const char *name, size_t len);

/*
 * For @set: a bool that becomes true, or false; a const char *; an array of @most of
 * them, up to a NULL; an unsigned int; a __u64 in bytes, which K, M, G or T behind it
 * multiply by powers of 1024.
 */
bool incfs_option_on(const struct incfs_option *option, void *context, const char *value);
bool incfs_option_off(const struct incfs_option *option, void *context, const char *value);
bool incfs_option_text(const struct incfs_option *option, void *context, const char *value);
bool incfs_option_texts(const struct incfs_option *option, void *context, const char *value);
bool incfs_option_number(const struct incfs_option *option, void *context, const char *value);
bool incfs_option_size(const struct incfs_option *option, void *context, const char *value);

/* A number in decimal from @least to @most, and nothing else. */
bool incfs_parse_number(const char *text, __u64 least, __u64 most, __u64 *value);

#endif /* _INCFS_OPTION_H */
