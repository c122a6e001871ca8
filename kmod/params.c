// SPDX-License-Identifier: GPL-2.0-only
/* Incremental FS: mount options. */
#include <linux/file.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/slab.h>

#include "internal.h"

enum {
	OPT_READ_TIMEOUT_MS,
	OPT_MAX_FILES,
	OPT_POLICY,
};

static const struct fs_parameter_spec param_specs[] = {
	fsparam_u32("read_timeout_ms", OPT_READ_TIMEOUT_MS),
	fsparam_u32("max_files", OPT_MAX_FILES),
	fsparam_string_empty("policy", OPT_POLICY),
	{}
};

/*
 * Parsed apart from the others: it comes as text or as a file, and clients
 * rely on EBADFD whatever is wrong with it.
 */
static int parse_backing(struct fs_context *fc, struct fs_parameter *param)
{
	struct incfs_params *params = fc->fs_private;
	struct file *file = NULL;
	unsigned int fd;

	/* A remount repeats the options of the mount; the image stays. */
	if (fc->purpose == FS_CONTEXT_FOR_RECONFIGURE)
		return 0;
	if (param->type == fs_value_is_file) {
		file = param->file;
		param->file = NULL;
	} else if (param->type == fs_value_is_string && !kstrtouint(param->string, 0, &fd)) {
		file = fget(fd);
	}
	if (!file) {
		errorf(fc, "backing_fd: not an open file");
		return -EBADFD;
	}
	if (params->backing)
		fput(params->backing);
	params->backing = file;
	return 0;
}

static int parse_policy(struct fs_context *fc, const char *name)
{
	struct incfs_params *params = fc->fs_private;

	if (strscpy(params->policy, name, sizeof(params->policy)) < 0)
		return invalf(fc, "policy: name is longer than %zu bytes",
			      sizeof(params->policy) - 1);
	params->has_policy = true;
	return 0;
}

static int incfs_parse_param(struct fs_context *fc, struct fs_parameter *param)
{
	struct incfs_params *params = fc->fs_private;
	struct fs_parse_result result;
	int opt;

	if (!strcmp(param->key, "backing_fd"))
		return parse_backing(fc, param);
	opt = fs_parse(fc, param_specs, param, &result);
	switch (opt) {
	case OPT_READ_TIMEOUT_MS:
		params->timeout_ms = result.uint_32;
		params->has_timeout = true;
		return 0;
	case OPT_MAX_FILES:
		if (!result.uint_32)
			return invalf(fc, "max_files: the root is a file too");
		params->max_files = result.uint_32;
		return 0;
	case OPT_POLICY:
		return parse_policy(fc, param->string);
	default:
		return opt;
	}
}

static int check_backing(struct fs_context *fc, const struct file *file)
{
	if (!file) {
		errorf(fc, "backing_fd is missing");
		return -EBADFD;
	}
	if (!S_ISREG(file_inode(file)->i_mode)) {
		errorf(fc, "backing_fd: not a regular file");
		return -EBADFD;
	}
	if ((file->f_mode & (FMODE_READ | FMODE_WRITE)) != (FMODE_READ | FMODE_WRITE)) {
		errorf(fc, "backing_fd: not open for reading and writing");
		return -EBADFD;
	}
	return 0;
}

static int incfs_get_tree(struct fs_context *fc)
{
	struct incfs_params *params = fc->fs_private;
	int err = check_backing(fc, params->backing);

	return err ?: get_tree_nodev(fc, incfs_fill_super);
}

static int incfs_reconfigure(struct fs_context *fc)
{
	struct incfs_mount *mnt = incfs_sb_mount(fc->root->d_sb);
	struct incfs_params *params = fc->fs_private;
	int err;

	if (params->max_files && params->max_files != mnt->max_files)
		return invalf(fc, "max_files can't be changed by a remount");
	if (params->has_policy) {
		err = incfs_policy_choose(mnt, params->policy);
		if (err) {
			errorf(fc, "policy '%s' can't be used: %d", params->policy, err);
			return err;
		}
	}
	if (params->has_timeout) {
		WRITE_ONCE(mnt->timeout_ms, params->timeout_ms);
		incfs_pending_recheck(mnt);
	}
	return 0;
}

static void incfs_free_context(struct fs_context *fc)
{
	struct incfs_params *params = fc->fs_private;

	if (!params)
		return;
	if (params->backing)
		fput(params->backing);
	kfree(params);
}

static const struct fs_context_operations context_ops = {
	.parse_param = incfs_parse_param,
	.get_tree = incfs_get_tree,
	.reconfigure = incfs_reconfigure,
	.free = incfs_free_context,
};

int incfs_init_context(struct fs_context *fc)
{
	struct incfs_params *params = kzalloc(sizeof(*params), GFP_KERNEL_ACCOUNT);

	if (!params)
		return -ENOMEM;
	fc->fs_private = params;
	fc->ops = &context_ops;
	return 0;
}
