// SPDX-License-Identifier: MIT
/* What all sources share. */
#include "source.h"

#include <string.h>
#include <strings.h>

#include "log.h"

struct incfs_source *incfs_source_open(const char *where, unsigned int parallel)
{
	if (!strncasecmp(where, "http://", 7) || !strncasecmp(where, "https://", 8))
		return incfs_source_http_open(where, parallel);
	if (strstr(where, "://")) {
		incfs_error("can't open source '%s': neither a directory nor http(s)://", where);
		return NULL;
	}
	return incfs_source_dir_open(where, parallel);
}

bool incfs_request_same_version(struct incfs_request *req, __u64 version)
{
	if (!*req->version)
		*req->version = version;
	return *req->version == version;
}
