// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that is forgotten, and a file that is closed twice, each on one of its ways.
 * lint: [-Wanalyzer-malloc-leak]
 * lint: [-Wanalyzer-fd-double-close]
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int forget(const char *name, int fd);
int forget(const char *name, int fd)
{
	char *copy = strdup(name);

	if (!copy)
		return -1;
	if (*copy == 'x')
		return 1;
	free(copy);
	close(fd);
	return fd > 2 ? close(fd) : 0;
}
