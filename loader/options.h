/* SPDX-License-Identifier: MIT */
/* The command line of incfs-bpf-loader run. */
#ifndef _INCFS_OPTIONS_H
#define _INCFS_OPTIONS_H

#include <stdbool.h>

/* Most variables of a policy to be set. */
#define INCFS_SETTINGS_MAX 32

/**
 * struct incfs_options
 * @list:     file with the list, NULL for the source's own
 * @policy:   NULL for none
 * @settings: VARIABLE=VALUE for the policy, up to a NULL
 * @ahead:    room for one of them
 * @profile:  NULL for none
 */
struct incfs_options {
	const char *source;
	const char *list;
	const char *image;
	const char *policy;
	const char *mountpoint;
	const char *settings[INCFS_SETTINGS_MAX + 1];
	char ahead[24];
	const char *profile;
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

#endif /* _INCFS_OPTIONS_H */
