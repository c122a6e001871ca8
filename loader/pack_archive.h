/* SPDX-License-Identifier: MIT */
/* Archives, tar and zip, to be packed as directories are. */
#ifndef _INCFS_PACK_ARCHIVE_H
#define _INCFS_PACK_ARCHIVE_H

#include <stdbool.h>

/*
 * Extract an archive into a new directory beside @output. Returns its path, which
 * incfs_archive_remove() removes and frees, or NULL after saying what is wrong. With
 * @dereference, symbolic links that lead out of it are left out.
 */
char *incfs_archive_extract(const char *archive, const char *output, bool dereference);
void incfs_archive_remove(char *dir);

#endif /* _INCFS_PACK_ARCHIVE_H */
