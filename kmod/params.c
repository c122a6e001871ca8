// SPDX-License-Identifier: GPL-2.0-only
/* Incremental FS: mount options. */
#include <linux/file.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/mount.h>
#include <linux/slab.h>

#include "internal.h"

enum {
	OPT_READ_TIMEOUT_MS,
	OPT_MAX_FILES,
	OPT_POLICY,
	OPT_VERIFY,
	OPT_CMD_UID,
	OPT_CMD_GID,
	OPT_CMD_MODE,
};

static const struct constant_table verify_table[] = {
	{ "always", false },
	{ "once", true },
	{}
};

static const struct fs_parameter_spec param_specs[] = {
	fsparam_u32("read_timeout_ms", OPT_READ_TIMEOUT_MS),
	fsparam_u32("max_files", OPT_MAX_FILES),
	fsparam_string_empty("policy", OPT_POLICY),
	fsparam_enum("verify", OPT_VERIFY, verify_table),
	fsparam_uid("cmd_uid", OPT_CMD_UID),
	fsparam_gid("cmd_gid", OPT_CMD_GID),
	fsparam_u32oct("cmd_mode", OPT_CMD_MODE),
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
	case OPT_VERIFY:
		params->verify_once = result.uint_32;
		params->has_verify = true;
		return 0;
	case OPT_CMD_UID:
		params->cmd_uid = result.uid;
		return 0;
	case OPT_CMD_GID:
		params->cmd_gid = result.gid;
		return 0;
	case OPT_CMD_MODE:
		if (result.uint_32 & ~0666)
			return invalf(fc, "cmd_mode: %o is not within 0666", result.uint_32);
		params->cmd_mode = result.uint_32;
		params->has_cmd_mode = true;
		return 0;
	default:
		return opt;
	}
}

/*
 * A descriptor that is open for reading only will do for a read-only mount. It
 * makes the mount read-only where there can be no other; elsewhere it is the
 * mistake that it has always been.
 */
static int check_backing(struct fs_context *fc, const struct file *file)
{
	bool read_only;

	if (!file) {
		errorf(fc, "backing_fd is missing");
		return -EBADFD;
	}
	if (!S_ISREG(file_inode(file)->i_mode)) {
		errorf(fc, "backing_fd: not a regular file");
		return -EBADFD;
	}
	read_only = (fc->sb_flags & SB_RDONLY) || __mnt_is_readonly(file->f_path.mnt);
	if (!(file->f_mode & FMODE_READ) || !(read_only || file->f_mode & FMODE_WRITE)) {
		errorf(fc, "backing_fd: not open for reading%s", read_only ? "" : " and writing");
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

/* A remount may repeat the options of the mount, but not change these. */
static int check_fixed(struct fs_context *fc, const struct incfs_mount *mnt)
{
	const struct incfs_params *params = fc->fs_private;

	if (params->max_files && params->max_files != mnt->max_files)
		return invalf(fc, "max_files can't be changed by a remount");
	if (uid_valid(params->cmd_uid) && !uid_eq(params->cmd_uid, mnt->cmd_uid))
		return invalf(fc, "cmd_uid can't be changed by a remount");
	if (gid_valid(params->cmd_gid) && !gid_eq(params->cmd_gid, mnt->cmd_gid))
		return invalf(fc, "cmd_gid can't be changed by a remount");
	if (params->has_cmd_mode && params->cmd_mode != mnt->cmd_mode)
		return invalf(fc, "cmd_mode can't be changed by a remount");
	return 0;
}

static int incfs_reconfigure(struct fs_context *fc)
{
	struct incfs_mount *mnt = incfs_sb_mount(fc->root->d_sb);
	struct incfs_params *params = fc->fs_private;
	int err;

	err = check_fixed(fc, mnt);
	if (err)
		return err;
	if ((fc->sb_flags_mask & SB_RDONLY) && !(fc->sb_flags & SB_RDONLY) &&
	    !incfs_image_writable(&mnt->image)) {
		errorf(fc, "the image can't be written, so the mount stays read-only");
		return -EROFS;
	}
	sync_filesystem(mnt->sb);
	if (params->has_policy) {
		err = incfs_policy_choose(mnt, params->policy);
		if (err) {
			errorf(fc, "policy '%s' can't be used: %d", params->policy, err);
			return err;
		}
	}
	if (params->has_verify)
		WRITE_ONCE(mnt->verify_once, params->verify_once);
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
	params->cmd_uid = INVALID_UID;
	params->cmd_gid = INVALID_GID;
	fc->fs_private = params;
	fc->ops = &context_ops;
	return 0;
}
