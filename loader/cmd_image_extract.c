// SPDX-License-Identifier: MIT
/* incfs image extract: the files of an image, without the module. */
#include "cmd.h"

#include <getopt.h>

#include "image_extract.h"
#include "log.h"

static const char extract_usage[] =
"usage: incfs image extract [OPTION]... IMAGE DIR\n"
"Write the files of an image to DIR, which is made, or empty.\n"
"  -p, --partial    files that are not complete too, with holes\n"
"  -o, --no-owner   all of them are yours, as they are if you are not root\n"
"  -x, --no-xattrs  without extended attributes\n"
"  -h, --help       this text\n";

static int run_extract(const char *path, const char *dir,
		       const struct incfs_extract_options *options)
{
	struct incfs_image_file file;
	struct incfs_model model;
	int ret = 1;

	if (incfs_image_file_open(&file, path, INCFS_IMAGE_READ))
		return 1;
	if (!incfs_model_load(&model, &file, NULL, NULL) && !incfs_model_check_metadata(&model) &&
	    !incfs_image_extract(&model, dir, options))
		ret = 0;
	incfs_model_free(&model);
	incfs_image_file_close(&file);
	return ret;
}

int incfs_cmd_image_extract(int argc, char **argv)
{
	static const struct option longopts[] = {
		{ "partial", no_argument, NULL, 'p' },
		{ "no-owner", no_argument, NULL, 'o' },
		{ "no-xattrs", no_argument, NULL, 'x' },
		{ "help", no_argument, NULL, 'h' },
		{}
	};
	struct incfs_extract_options options = {};
	int opt;

	while ((opt = getopt_long(argc, argv, "poxh", longopts, NULL)) != -1) {
		switch (opt) {
		case 'p':
			options.partial = true;
			break;
		case 'o':
			options.no_owner = true;
			break;
		case 'x':
			options.no_xattrs = true;
			break;
		case 'h':
			fputs(extract_usage, stdout);
			return 0;
		default:
			fputs(extract_usage, stderr);
			return 2;
		}
	}
	if (optind != argc - 2) {
		fputs(extract_usage, stderr);
		return 2;
	}
	return run_extract(argv[optind], argv[optind + 1], &options);
}
