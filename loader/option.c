// SPDX-License-Identifier: MIT
/* Options, as a table. */
#include "option.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "util.h"

/* Rows of a table, more than any has. */
#define OPTIONS_MAX 48
/* Where the help text of options begins. */
#define HELP_COLUMN 24
/* What getopt_long() returns for the first row. */
#define FIRST_ROW 256

static void *member(const struct incfs_option *option, void *context)
{
	return (char *)context + option->offset;
}

bool incfs_option_on(const struct incfs_option *option, void *context, const char *value)
{
	(void)value;
	*(bool *)member(option, context) = true;
	return true;
}

bool incfs_option_off(const struct incfs_option *option, void *context, const char *value)
{
	(void)value;
	*(bool *)member(option, context) = false;
	return true;
}

bool incfs_option_text(const struct incfs_option *option, void *context, const char *value)
{
	*(const char **)member(option, context) = value;
	return true;
}

bool incfs_option_texts(const struct incfs_option *option, void *context, const char *value)
{
	const char **texts = member(option, context);

	for (__u64 i = 0; i < option->most; i++) {
		if (texts[i])
			continue;
		texts[i] = value;
		return true;
	}
	incfs_error("--%s: no more than %llu", option->name, option->most);
	return false;
}

bool incfs_parse_number(const char *text, __u64 least, __u64 most, __u64 *value)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*value = strtoull(text, &end, 10);
	return !*end && !errno && *value >= least && *value <= most;
}

bool incfs_option_number(const struct incfs_option *option, void *context, const char *value)
{
	__u64 number;

	if (!incfs_parse_number(value, option->least, option->most, &number)) {
		incfs_error("--%s: '%s' is not a number from %llu to %llu", option->name, value,
			    option->least, option->most);
		return false;
	}
	*(unsigned int *)member(option, context) = number;
	return true;
}

static bool parse_size(const char *text, __u64 *size)
{
	static const char units[] = "KMGT";
	size_t len = strlen(text);
	const char *unit = len > 1 ? strchr(units, text[len - 1]) : NULL;
	unsigned int shift = unit ? 10 * (unit - units + 1) : 0;
	char digits[32];

	len -= unit != NULL;
	if (len >= sizeof(digits))
		return false;
	memcpy(digits, text, len);
	digits[len] = 0;
	if (!incfs_parse_number(digits, 1, ~0ull >> shift, size))
		return false;
	*size <<= shift;
	return true;
}

bool incfs_option_size(const struct incfs_option *option, void *context, const char *value)
{
	if (parse_size(value, member(option, context)))
		return true;
	incfs_error("--%s: '%s' is not a number of bytes, or of K, M, G or T", option->name,
		    value);
	return false;
}

const struct incfs_option *incfs_option_find(const struct incfs_option *options,
					     const char *name, size_t len)
{
	for (; options && options->name; options++) {
		if (!strncmp(options->name, name, len) && !options->name[len])
			return options;
	}
	return NULL;
}

static void print_indented(const char *text, int column, int at)
{
	size_t len;

	if (at >= column) {
		putchar('\n');
		at = 0;
	}
	for (;; text += len + 1) {
		len = strcspn(text, "\n");
		printf("%*s%.*s\n", column - at, "", (int)len, text);
		if (!text[len])
			return;
		at = 0;
	}
}

static void print_option(char letter, const char *name, const char *arg, const char *help)
{
	int at = letter ? printf("  -%c, ", letter) : printf("      ");

	at += printf("--%s", name);
	if (arg)
		at += printf(" %s", arg);
	/* Two spaces between. */
	print_indented(help, HELP_COLUMN, at + 1 < HELP_COLUMN ? at : HELP_COLUMN);
}

static void print_help(const struct incfs_usage *usage)
{
	const char *args = usage->args;
	const char *label = "usage:";
	size_t len;

	do {
		len = strcspn(args, "\n");
		printf("%s %s %.*s\n", label, usage->program, (int)len, args);
		label = "      ";
		args += len + (args[len] == '\n');
	} while (*args);
	fputs(usage->about, stdout);
	for (const struct incfs_option *row = usage->options; row && row->name; row++)
		print_option(row->letter, row->name, row->arg, row->help);
	print_option('h', "help", NULL, "this text");
}

int incfs_usage_mistake(const struct incfs_usage *usage)
{
	fprintf(stderr, "'%s --help' says more.\n", usage->program);
	return 2;
}

int incfs_usage_parse(const struct incfs_usage *usage, void *context, int argc, char **argv)
{
	struct option longs[OPTIONS_MAX + 2] = {};
	char shorts[2 * OPTIONS_MAX + 4], *next = shorts;
	const struct incfs_option *rows = usage->options;
	int nr = 0, opt, row;

	if (usage->ordered)
		*next++ = '+';
	for (; rows && rows[nr].name && nr < OPTIONS_MAX; nr++) {
		longs[nr] = (struct option){
			rows[nr].name, rows[nr].arg ? required_argument : no_argument, NULL,
			FIRST_ROW + nr,
		};
		if (!rows[nr].letter)
			continue;
		*next++ = rows[nr].letter;
		if (rows[nr].arg)
			*next++ = ':';
	}
	longs[nr] = (struct option){ "help", no_argument, NULL, 'h' };
	*next++ = 'h';
	*next = 0;
	optind = 0;
	while ((opt = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		if (opt == 'h') {
			print_help(usage);
			return 0;
		}
		for (row = 0; row < nr; row++) {
			if (opt == FIRST_ROW + row || opt == rows[row].letter)
				break;
		}
		if (row == nr || !rows[row].set(&rows[row], context, optarg))
			return incfs_usage_mistake(usage);
	}
	if (argc - optind >= usage->least && argc - optind <= usage->most)
		return -1;
	if (argc - optind < usage->least)
		incfs_error("an argument is missing");
	else
		incfs_error("'%s' is one argument too many", argv[optind + usage->most]);
	return incfs_usage_mistake(usage);
}
