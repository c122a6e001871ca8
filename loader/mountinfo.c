// SPDX-License-Identifier: MIT
/* What mount(2) and /proc/self/mountinfo take and say, for the library and the tools. */
#include "mountinfo.h"

#include <errno.h>
#include <linux/incrementalfs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

/* What would end a field is \ and three octal digits. */
static void unescape(char *text)
{
	char *to = text;
	unsigned int byte;

	for (; *text; text++, to++) {
		*to = *text;
		if (*text == '\\' && sscanf(text + 1, "%3o", &byte) == 1) {
			*to = byte;
			text += 3;
		}
	}
	*to = 0;
}

static bool parse(struct incfs_mountinfo *entry, const char *line)
{
	const char *rest;

	*entry = (struct incfs_mountinfo){};
	if (sscanf(line, "%*u %*u %u:%u %*s %ms", &entry->major, &entry->minor, &entry->path) != 3)
		return false;
	unescape(entry->path);
	/* Behind the fields of which there may be any number: the type, and the source. */
	rest = strstr(line, " - ");
	if (rest && sscanf(rest, " - %*s %ms", &entry->source) == 1)
		unescape(entry->source);
	return true;
}

bool incfs_mountinfo_next(FILE *file, struct incfs_mountinfo *entry)
{
	char *line = NULL;
	size_t size = 0;
	bool found = false;

	while (!found && getline(&line, &size, file) > 0)
		found = parse(entry, line);
	free(line);
	return found;
}

void incfs_mountinfo_free(struct incfs_mountinfo *entry)
{
	free(entry->path);
	free(entry->source);
}

int incfs_mount_image(const char *image, const char *dir, unsigned long flags,
		      const char *options)
{
	/* Tools that find the mount find the image by its source. */
	char *source = realpath(image, NULL);
	int err = mount(source ?: image, dir, INCFS_NAME, flags, options) ? errno : 0;

	free(source);
	return err;
}

const char *incfs_mount_explain(int err, bool policy)
{
	switch (err) {
	case ENOENT:
		return policy ?
			"the mount point is not there, or no policy of this name is registered" :
			"the mount point is not there";
	case EPERM:
		return "not permitted; root is needed";
	case ENODEV:
		return "the module incfs is not loaded";
	case EINVAL:
	case EIO:
		return "the image is not valid, or an option not known; dmesg says more";
	case EBUSY:
		return "the image is mounted elsewhere";
	default:
		return strerror(err);
	}
}
