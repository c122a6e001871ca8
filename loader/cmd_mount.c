// SPDX-License-Identifier: MIT
/* incfs mount: an image as it is, without a loader. */
#include "cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include <linux/incrementalfs.h>

#include "log.h"
#include "mount.h"
#include "mountinfo.h"
#include "option.h"
#include "policy_object.h"

/* Inodes that there may be, unless --options says otherwise. */
#define MAX_FILES (1u << 20)

struct mount_args {
	const char *options;
	const char *policy;
	unsigned int timeout_ms;
	bool read_only;
	bool once;
};

static bool set_policy(const struct incfs_option *option, void *context, const char *value)
{
	if (incfs_policy_name_valid(value))
		return incfs_option_text(option, context, value);
	incfs_error("--%s: '%s' is not a name of a policy", option->name, value);
	return false;
}

#define AT(member) .offset = offsetof(struct mount_args, member)

static const struct incfs_option rows[] = {
	{ "read-only", 'r', NULL, "nothing can be filled, and the image is not changed",
	  incfs_option_on, AT(read_only) },
	{ "policy", 'p', "NAME", "of a policy that is registered, or auto", set_policy,
	  AT(policy) },
	{ "timeout", 't', "MS", "reads of absent blocks fail after so long (default 1000; 0: never)",
	  incfs_option_number, AT(timeout_ms), .most = 0x7fffffff },
	{ "verify-once", 0, NULL, "check the CRC of a block at its first read only",
	  incfs_option_on, AT(once) },
	{ "options", 'o', "OPTIONS", "further options of the file system, separated by commas",
	  incfs_option_text, AT(options) },
	{}
};

static const struct incfs_usage usage = {
	.program = "incfs mount",
	.args = "[OPTION]... IMAGE DIR",
	.about =
"Mount an image without a loader. What is in it can be read; reads of what is absent\n"
"fail after a while, unless somebody fills it.\n",
	.options = rows,
	.least = 2,
	.most = 2,
};

static int mount_image(const char *image, const char *dir, unsigned long flags,
		       const char *options, bool policy)
{
	int err = incfs_mount_image(image, dir, flags, options);

	if (err)
		incfs_error("can't mount '%s' on '%s': %s", image, dir,
			    incfs_mount_explain(err, policy));
	return err ? -1 : 0;
}

static int run(const struct mount_args *args, const char *image, const char *dir)
{
	unsigned long flags = MS_NOSUID | MS_NODEV | (args->read_only ? MS_RDONLY : 0);
	int fd = open(image, (args->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	char *options = NULL;
	int err = -1;

	if (fd < 0) {
		incfs_error("can't open image '%s': %s", image, strerror(errno));
		return -1;
	}
	/* The last word on an option counts. */
	if (asprintf(&options, "backing_fd=%d,read_timeout_ms=%u,max_files=%u%s%s%s%s%s", fd,
		     args->timeout_ms, MAX_FILES, args->once ? ",verify=once" : "",
		     args->policy ? ",policy=" : "", args->policy ?: "",
		     args->options ? "," : "", args->options ?: "") < 0)
		incfs_error("not enough memory");
	else if (incfs_module_ready())
		err = mount_image(image, dir, flags, options, args->policy);
	free(options);
	close(fd);
	return err;
}

int incfs_cmd_mount(int argc, char **argv)
{
	struct mount_args args = { .timeout_ms = 1000 };
	int code = incfs_usage_parse(&usage, &args, argc, argv);

	if (code >= 0)
		return code;
	return run(&args, argv[optind], argv[optind + 1]) ? 1 : 0;
}
