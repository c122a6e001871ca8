/* SPDX-License-Identifier: MIT */
/* The files of an image, as a tree of plain files. */
#ifndef _INCFS_IMAGE_EXTRACT_H
#define _INCFS_IMAGE_EXTRACT_H

#include "image_model.h"

/**
 * struct incfs_extract_options
 * @partial:   files that are not complete too, with holes
 * @no_owner:  all belongs to who extracts; so it does for who is not root
 * @no_xattrs: without extended attributes
 */
struct incfs_extract_options {
	bool partial;
	bool no_owner;
	bool no_xattrs;
};

/*
 * Write all that has a name to @dir, which is made if it isn't there, and is
 * empty if it is. Returns 0, or -1 after saying what is wrong.
 */
int incfs_image_extract(struct incfs_model *model, const char *dir,
			const struct incfs_extract_options *options);

#endif /* _INCFS_IMAGE_EXTRACT_H */
