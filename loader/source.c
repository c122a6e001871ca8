// SPDX-License-Identifier: MIT
/* What all sources share. */
#include "source.h"

#include <string.h>
#include <strings.h>

#include "log.h"

static struct incfs_source *open_place(const char *where, const struct incfs_source_params *params)
{
	if (!strncasecmp(where, "http://", 7) || !strncasecmp(where, "https://", 8))
		return incfs_source_http_open(where, params);
	if (strstr(where, "://")) {
		incfs_error("can't open source '%s': neither a directory nor http(s)://", where);
		return NULL;
	}
	return incfs_source_dir_open(where, params->parallel);
}

struct incfs_source *incfs_source_open(const struct incfs_source_params *params)
{
	struct incfs_source *places[INCFS_MIRRORS_MAX], *source;
	unsigned int nr = 0;

	while (nr < INCFS_MIRRORS_MAX && params->where[nr]) {
		places[nr] = open_place(params->where[nr], params);
		if (!places[nr])
			goto err;
		nr++;
	}
	if (nr == 1)
		source = places[0];
	else
		source = incfs_source_mirror_open(places, params->where, nr, params->parallel);
	return source ? incfs_source_bundle_open(source, params->parallel) : NULL;
err:
	while (nr--)
		places[nr]->ops->close(places[nr]);
	return NULL;
}

bool incfs_request_same_version(struct incfs_request *req, __u64 version)
{
	if (!*req->version)
		*req->version = version;
	return *req->version == version;
}
