/* SPDX-License-Identifier: MIT */
/* The command line of incfs-bpf-loader run. */
#ifndef _INCFS_OPTIONS_H
#define _INCFS_OPTIONS_H

#include <stdbool.h>

/**
 * struct incfs_options
 * @list:   file with the list, NULL for the source's own
 * @policy: NULL for none
 * @ahead:  blocks, -1 for what the policy says
 */
struct incfs_options {
	const char *source;
	const char *list;
	const char *image;
	const char *policy;
	const char *mountpoint;
	int ahead;
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
