/* SPDX-License-Identifier: MIT */
/* The command line and the configuration file of incfs-bpf-loader run. */
#ifndef _INCFS_OPTIONS_H
#define _INCFS_OPTIONS_H

#include <linux/types.h>
#include <stdbool.h>

#include "source.h"

/* Most variables of a policy to be set. */
#define INCFS_SETTINGS_MAX 32

/**
 * struct incfs_options
 * @config_text: of the configuration file: texts are of the command line, or in there
 * @sources:     places with the same things, up to a NULL
 * @http:        how to get there, @where and @parallel unset
 * @limit_rate:  bytes a second that may be fetched, 0 for any
 * @list:        file with the list, NULL for the source's own
 * @verify:      file with the key that a bundle must be signed with, NULL for any
 * @policy:      NULL for none
 * @settings:    VARIABLE=VALUE for the policy, up to a NULL
 * @ahead:       room for one of them
 * @profile:     NULL for none
 * @subdir:      directory of the image that the tree is in, NULL for the root
 * @limit_image: bytes that the image may have, 0 for any
 */
struct incfs_options {
	const char *config;
	char *config_text;
	const char *sources[INCFS_MIRRORS_MAX + 1];
	struct incfs_source_params http;
	const char *list;
	const char *verify;
	const char *image;
	const char *subdir;
	const char *policy;
	const char *mountpoint;
	const char *settings[INCFS_SETTINGS_MAX + 1];
	char ahead[24];
	const char *profile;
	__u64 limit_image;
	__u64 limit_rate;
	unsigned int timeout_ms;
	unsigned int parallel;
	bool background;
	bool compress;
	bool exit_when_complete;
	bool keep_mount;
	bool quiet;
	bool verbose;
};

/* Returns -1 to go on, or the exit code: 0 after --help, 2 after a mistake. */
int incfs_options_parse(struct incfs_options *options, int argc, char **argv);
void incfs_options_free(struct incfs_options *options);

#endif /* _INCFS_OPTIONS_H */
