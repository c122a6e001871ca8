/* SPDX-License-Identifier: MIT */
/*
 * Configuration files: the long options of a command, one a line.
 *
 *	# comment
 *	source = https://example.org/app
 *	parallel = 16
 *	no-background
 */
#ifndef _INCFS_CONFIG_H
#define _INCFS_CONFIG_H

struct incfs_option;

/*
 * Take what @path says into @context, as the command line would. Values lie in *@text,
 * which is to be freed after them, also when this fails. Returns 0, or -1 after saying
 * what is wrong and in which line.
 */
int incfs_config_read(const char *path, const struct incfs_option *options, void *context,
		      char **text);

#endif /* _INCFS_CONFIG_H */
