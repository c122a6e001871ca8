// SPDX-License-Identifier: MIT
/* incfs pack: write the list of a directory, or pack it into a bundle. */
#include "cmd.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle.h"
#include "list.h"
#include "log.h"
#include "option.h"
#include "pack.h"
#include "pack_archive.h"

static int write_all(FILE *out, const char *text, size_t size)
{
	if (fwrite(text, 1, size, out) != size || fflush(out))
		return -1;
	return 0;
}

/* Under another name first: a server may be reading the old list. */
static int replace_file(const char *path, const char *text, size_t size)
{
	char *tmp;
	FILE *out = NULL;
	int fd;

	if (asprintf(&tmp, "%s.XXXXXX", path) < 0)
		return -1;
	fd = mkstemp(tmp);
	if (fd < 0)
		goto err;
	out = fdopen(fd, "w");
	if (!out) {
		close(fd);
		goto err_unlink;
	}
	if (write_all(out, text, size) || fchmod(fd, 0644) || fsync(fd) || rename(tmp, path))
		goto err_unlink;
	fclose(out);
	free(tmp);
	return 0;

err_unlink:
	fd = errno;
	if (out)
		fclose(out);
	unlink(tmp);
	errno = fd;
err:
	free(tmp);
	return -1;
}

static int write_list(const char *output, const char *text, size_t size)
{
	int err;

	if (strcmp(output, "-"))
		err = replace_file(output, text, size);
	else
		err = write_all(stdout, text, size);
	if (err)
		incfs_error("can't write '%s': %s", output, strerror(errno));
	return err;
}

static int pack(const char *dir, const char *output, struct incfs_pack_options options)
{
	struct incfs_pack_count count;
	struct stat old;
	size_t size;
	char *text;
	int err;

	if (!stat(output, &old) && S_ISREG(old.st_mode))
		options.skip = &old;
	if (incfs_pack_directory(dir, &options, &text, &size, &count))
		return 1;
	err = write_list(output, text, size);
	free(text);
	if (err)
		return 1;
	incfs_info("'%s': %zu files, %zu further names, %zu symbolic links, %zu directories, %llu bytes; %zu skipped",
		   output, count.files, count.links, count.symlinks, count.dirs, count.bytes,
		   count.skipped);
	return 0;
}

static int pack_in_place(const char *dir, struct incfs_pack_options options)
{
	char *output;
	int ret;

	if (asprintf(&output, "%s/%s", dir, INCFS_LIST_NAME) < 0)
		return 1;
	ret = pack(dir, output, options);
	free(output);
	return ret;
}

struct pack_args {
	struct incfs_bundle_params bundle;
	const char *list;
};

#define AT(member) .offset = offsetof(struct pack_args, member)

static const struct incfs_option rows[] = {
	{ "list", 'l', "FILE", "instead of DIR/" INCFS_LIST_NAME "; - is standard output",
	  incfs_option_text, AT(list) },
	{ "output", 'o', "BUNDLE", "make this bundle, which must not be there",
	  incfs_option_text, AT(bundle.output) },
	{ "order", 0, "PROFILE", "blocks that a profile of 'incfs record' names come first",
	  incfs_option_text, AT(bundle.order) },
	{ "sign", 0, "KEY", "with an Ed25519 private key in a PEM file",
	  incfs_option_text, AT(bundle.key) },
	{ "base", 0, "OLD", "note what an older bundle has as well: it need not be fetched again",
	  incfs_option_text, AT(bundle.base) },
	{ "dereference", 'L', NULL, "what symbolic links lead to, instead of these",
	  incfs_option_on, AT(bundle.list.dereference) },
	{}
};

static const struct incfs_usage usage = {
	.program = "incfs pack",
	.args = "[-L] [-l FILE] DIR\n"
		"[-L] -o BUNDLE [--order PROFILE] [--sign KEY] [--base OLD] DIR|FILE.tar|FILE.zip",
	.about =
"Write the list of the files in DIR, which incfs-bpf-loader needs to serve them, or\n"
"pack them, or those of an archive, into a bundle, a directory of few files that it can\n"
"serve as well.\n",
	.options = rows,
	.least = 1,
	.most = 1,
};

static int pack_bundle(struct incfs_bundle_params *bundle)
{
	struct stat st;
	char *dir;
	int err;

	if (stat(bundle->dir, &st) || !S_ISREG(st.st_mode))
		return incfs_bundle_pack(bundle);
	/* Before all that is extracted. */
	if (!lstat(bundle->output, &st)) {
		incfs_error("can't make the bundle '%s': %s", bundle->output, strerror(EEXIST));
		return -1;
	}
	dir = incfs_archive_extract(bundle->dir, bundle->output, bundle->list.dereference);
	if (!dir)
		return -1;
	bundle->dir = dir;
	err = incfs_bundle_pack(bundle);
	incfs_archive_remove(dir);
	return err;
}

int incfs_cmd_pack(int argc, char **argv)
{
	struct pack_args args = {};
	int code = incfs_usage_parse(&usage, &args, argc, argv);
	const char *mistake = NULL;

	if (code >= 0)
		return code;
	args.bundle.dir = argv[optind];
	if (!*args.bundle.dir)
		mistake = "DIR has no name";
	else if (args.list && args.bundle.output)
		mistake = "--list and --output exclude each other";
	else if ((args.bundle.order || args.bundle.key || args.bundle.base) && !args.bundle.output)
		mistake = "--order, --sign and --base are for a bundle: --output is missing";
	if (mistake) {
		incfs_error("%s", mistake);
		return incfs_usage_mistake(&usage);
	}
	if (args.bundle.output)
		return pack_bundle(&args.bundle) ? 1 : 0;
	return args.list ? pack(args.bundle.dir, args.list, args.bundle.list) :
			   pack_in_place(args.bundle.dir, args.bundle.list);
}
