// SPDX-License-Identifier: MIT
/* incfs image compact: an image without what is not used, in place or elsewhere. */
#include "cmd.h"

#include <getopt.h>
#include <libgen.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "image_compact.h"
#include "log.h"
#include "option.h"

static int say(const char *path, int err)
{
	incfs_error("can't write '%s': %s", path, strerror(err));
	return -1;
}

static int sync_dir_of(const char *path)
{
	char *copy = strdup(path);
	int fd = -1, err = 0;

	if (copy)
		fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd))
		err = say(path, errno);
	if (fd >= 0)
		close(fd);
	free(copy);
	return err;
}

/* The new image has another name until it is whole. */
static int publish(const char *tmp, const char *path, bool replace)
{
	if (replace ? rename(tmp, path) : link(tmp, path))
		return say(path, errno);
	if (!replace)
		unlink(tmp);
	return sync_dir_of(path);
}

/* Who may read the one may read the other. */
static int copy_permissions(int fd, const struct stat *st)
{
	if ((st->st_uid != geteuid() || st->st_gid != getegid()) &&
	    fchown(fd, st->st_uid, st->st_gid))
		return -1;
	return fchmod(fd, st->st_mode & 0777);
}

static int write_new(struct incfs_model *model, const char *path, bool replace,
		     struct incfs_compact_count *count)
{
	char *tmp;
	int fd, err = -1;

	if (asprintf(&tmp, "%s.XXXXXX", path) < 0)
		return say(path, ENOMEM);
	fd = mkostemp(tmp, O_CLOEXEC);
	if (fd < 0) {
		say(tmp, errno);
	} else if (copy_permissions(fd, &model->file->st)) {
		say(tmp, errno);
	} else {
		err = incfs_image_compact(model, fd, count);
		if (!err)
			err = publish(tmp, path, replace);
	}
	if (fd >= 0)
		close(fd);
	if (fd >= 0 && err)
		unlink(tmp);
	free(tmp);
	return err;
}

static void tell(const struct incfs_model *model, const char *path,
		 const struct incfs_compact_count *count)
{
	if (model->torn)
		incfs_warn("'%s': the list of records is cut off at image offset %llu",
			   model->file->path, model->torn);
	if (count->dropped_blocks)
		incfs_warn("'%s': %llu damaged blocks are absent now", path,
			   count->dropped_blocks);
	printf("'%s': %llu bytes instead of %llu; %llu inodes without a name dropped\n", path,
	       count->size, model->file->size, count->dropped_nodes);
}

static int compact(struct incfs_image_file *file, const char *output)
{
	struct incfs_compact_count count;
	struct incfs_model model;
	char *path = output ? strdup(output) : realpath(file->path, NULL);
	int ret = 1;

	if (!path) {
		say(output ?: file->path, errno);
		return 1;
	}
	if (!incfs_model_load(&model, file, NULL, NULL) && !incfs_model_check_metadata(&model) &&
	    !write_new(&model, path, !output, &count)) {
		tell(&model, path, &count);
		ret = 0;
	}
	incfs_model_free(&model);
	free(path);
	return ret;
}

static int run_compact(const char *path, const char *output)
{
	enum incfs_image_use use = output ? INCFS_IMAGE_READ : INCFS_IMAGE_CHANGE;
	struct incfs_image_file file;
	struct stat st;
	int ret;

	if (output && !lstat(output, &st)) {
		say(output, EEXIST);
		return 1;
	}
	if (incfs_image_file_open(&file, path, use))
		return 1;
	ret = compact(&file, output);
	incfs_image_file_close(&file);
	return ret;
}

struct compact_args {
	const char *output;
};

static const struct incfs_option rows[] = {
	{ "output", 'o', "NEW", "write it there instead, where nothing is yet",
	  incfs_option_text, .offset = offsetof(struct compact_args, output) },
	{}
};

static const struct incfs_usage usage = {
	.program = "incfs image compact",
	.args = "[-o NEW] IMAGE",
	.about =
"Write an image anew: without files that have no name, and space that is not\n"
"used; with the blocks of each file next to each other. IMAGE is replaced when\n"
"the new one is there as a whole.\n",
	.options = rows,
	.least = 1,
	.most = 1,
};

int incfs_cmd_image_compact(int argc, char **argv)
{
	struct compact_args args = {};
	int code = incfs_usage_parse(&usage, &args, argc, argv);

	return code >= 0 ? code : run_compact(argv[optind], args.output);
}
