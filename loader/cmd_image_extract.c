// SPDX-License-Identifier: MIT
/*
 * incfs image extract: the files of an image, without the module. incfs extract is the
 * same, and finds the image of a mount.
 */
#include "cmd.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "image_extract.h"
#include "image_path.h"
#include "log.h"
#include "option.h"

static int run_extract(const char *path, enum incfs_image_use use, const char *dir,
		       const struct incfs_extract_options *options)
{
	struct incfs_image_file file;
	struct incfs_model model;
	int ret = 1;

	if (incfs_image_file_open(&file, path, use))
		return 1;
	if (!incfs_model_load(&model, &file, NULL, NULL) && !incfs_model_check_metadata(&model) &&
	    !incfs_image_extract(&model, dir, options))
		ret = 0;
	incfs_model_free(&model);
	incfs_image_file_close(&file);
	return ret;
}

#define AT(member) .offset = offsetof(struct incfs_extract_options, member)

static const struct incfs_option rows[] = {
	{ "partial", 'p', NULL, "files that are not complete too, with holes", incfs_option_on,
	  AT(partial) },
	{ "no-owner", 'o', NULL, "all of them are yours, as they are if you are not root",
	  incfs_option_on, AT(no_owner) },
	{ "no-xattrs", 'x', NULL, "without extended attributes", incfs_option_on,
	  AT(no_xattrs) },
	{}
};

static const struct incfs_usage usage = {
	.program = "incfs image extract",
	.args = "[OPTION]... IMAGE DIR",
	.about = "Write the files of an image to DIR, which is made, or empty.\n",
	.options = rows,
	.least = 2,
	.most = 2,
};

int incfs_cmd_image_extract(int argc, char **argv)
{
	struct incfs_extract_options options = {};
	int code = incfs_usage_parse(&usage, &options, argc, argv);

	return code >= 0 ? code : run_extract(argv[optind], INCFS_IMAGE_READ,
					       argv[optind + 1], &options);
}

static const struct incfs_usage any_usage = {
	.program = "incfs extract",
	.args = "[OPTION]... MOUNT|IMAGE DIR",
	.about = "Write the files of a mount or an image to DIR, which is made, or empty.\n",
	.options = rows,
	.least = 2,
	.most = 2,
};

int incfs_cmd_extract(int argc, char **argv)
{
	struct incfs_extract_options options = {};
	int code = incfs_usage_parse(&any_usage, &options, argc, argv);
	enum incfs_image_use use;
	char *image;

	if (code >= 0)
		return code;
	image = incfs_image_of(argv[optind], NULL);
	if (!image)
		return 1;
	/* A mount's own blocks only ever become more. */
	use = strcmp(image, argv[optind]) ? INCFS_IMAGE_LOOK : INCFS_IMAGE_READ;
	code = run_extract(image, use, argv[optind + 1], &options);
	free(image);
	return code;
}
