// SPDX-License-Identifier: MIT
/* Getting the list of files. */
#include "listing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fetch.h"
#include "idle.h"
#include "list.h"
#include "log.h"
#include "source.h"
#include "util.h"

/* After so many failures in a row all has been said. */
#define FAILURES_TOLD 8

static enum incfs_source_result read_text(const struct incfs_listing *listing, char **text,
					  size_t *size, char *why, size_t why_size)
{
	int fd, err;

	if (!listing->path)
		return listing->source->ops->read_list(listing->source, text, size, why, why_size);
	fd = open(listing->path, O_RDONLY | O_CLOEXEC);
	err = fd < 0 || incfs_list_read(fd, text, size);
	if (err)
		snprintf(why, why_size, "can't read '%s': %s", listing->path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return err ? INCFS_SOURCE_FILE : INCFS_SOURCE_OK;
}

enum incfs_listing_result incfs_listing_try(struct incfs_listing *listing)
{
	enum incfs_source_result result;
	char why[512], *text;
	__u32 delay;
	size_t size;

	result = read_text(listing, &text, &size, why, sizeof(why));
	if (!result) {
		if (!incfs_list_parse(listing->list, text, size))
			return INCFS_LISTING_DONE;
		incfs_error("list of files: %s", listing->list->error);
		incfs_list_destroy(listing->list);
		return INCFS_LISTING_FAILED;
	}
	if (incfs_idle())
		return INCFS_LISTING_ENDED;
	if (result == INCFS_SOURCE_FILE) {
		incfs_error("no list of files: %s", why);
		return INCFS_LISTING_FAILED;
	}
	delay = incfs_backoff(listing->failures++);
	listing->retry_at = incfs_now() + delay;
	incfs_log(listing->failures <= FAILURES_TOLD ? INCFS_LOG_ERROR : INCFS_LOG_DEBUG,
		  "no list of files: %s; trying again in %u.%u s", why, delay / 1000,
		  delay / 100 % 10);
	return INCFS_LISTING_AGAIN;
}
