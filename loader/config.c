// SPDX-License-Identifier: MIT
/* Configuration files. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "option.h"

/* Take the white space off both ends of @text, in place. */
static char *trim(char *text)
{
	size_t len;

	while (isspace((unsigned char)*text))
		text++;
	for (len = strlen(text); len && isspace((unsigned char)text[len - 1]); len--)
		text[len - 1] = 0;
	return text;
}

static bool take_line(const char *path, unsigned int nr, char *line,
		      const struct incfs_option *options, void *context)
{
	const struct incfs_option *option;
	char *value = strchr(line, '=');
	const char *name;

	if (value) {
		*value = 0;
		value = trim(value + 1);
	}
	name = trim(line);
	option = incfs_option_find(options, name, strlen(name));
	if (!option) {
		incfs_error("%s:%u: no option '%s'", path, nr, name);
		return false;
	}
	if (!option->arg != !value) {
		incfs_error(option->arg ? "%s:%u: '%s' needs a value" :
			    "%s:%u: '%s' has no value", path, nr, name);
		return false;
	}
	if (option->set(option, context, value))
		return true;
	incfs_error("%s:%u: that is where it stands", path, nr);
	return false;
}

static int read_text(const char *path, char **text)
{
	FILE *in = fopen(path, "re");
	unsigned int line = 1;
	size_t room = 0;
	ssize_t len = -1;

	*text = NULL;
	if (in && (len = getdelim(text, &room, 0, in)) < 0 && feof(in) && !ferror(in))
		len = 0;
	if (len < 0)
		incfs_error("can't read '%s': %s", path, strerror(errno));
	if (in)
		fclose(in);
	if (len <= 0 || (*text)[len - 1])
		return len < 0 ? -1 : 0;
	for (const char *at = *text; (at = strchr(at, '\n')); at++)
		line++;
	incfs_error("%s:%u: a NUL", path, line);
	return -1;
}

int incfs_config_read(const char *path, const struct incfs_option *options, void *context,
		      char **text)
{
	unsigned int nr = 0;
	char *line, *next;

	if (read_text(path, text))
		return -1;
	for (next = *text; (line = strsep(&next, "\n"));) {
		nr++;
		line = trim(line);
		if (*line && *line != '#' && !take_line(path, nr, line, options, context))
			return -1;
	}
	return 0;
}
