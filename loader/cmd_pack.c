// SPDX-License-Identifier: MIT
/* incfs pack: write the list of a directory. */
#include "cmd.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "list.h"
#include "log.h"
#include "pack.h"

static const char pack_usage[] =
"usage: incfs pack [-o FILE] DIR\n"
"Write the list of the files in DIR, which incfs-bpf-loader needs to serve them.\n"
"  -o, --output FILE  instead of DIR/" INCFS_LIST_NAME "; - is standard output\n"
"  -h, --help         this text\n";

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

static int pack(const char *dir, const char *output)
{
	struct incfs_pack_count count;
	struct stat old, *skip = NULL;
	size_t size;
	char *text;
	int err;

	if (!stat(output, &old) && S_ISREG(old.st_mode))
		skip = &old;
	if (incfs_pack_directory(dir, skip, &text, &size, &count))
		return 1;
	err = write_list(output, text, size);
	free(text);
	if (err)
		return 1;
	incfs_info("'%s': %zu files, %zu further names, %zu directories, %llu bytes; %zu skipped",
		   output, count.files, count.links, count.dirs, count.bytes, count.skipped);
	return 0;
}

int incfs_cmd_pack(int argc, char **argv)
{
	static const struct option options[] = {
		{ "output", required_argument, NULL, 'o' },
		{ "help", no_argument, NULL, 'h' },
		{}
	};
	char *output = NULL;
	int opt, ret;

	while ((opt = getopt_long(argc, argv, "o:h", options, NULL)) != -1) {
		switch (opt) {
		case 'o':
			output = optarg;
			break;
		case 'h':
			fputs(pack_usage, stdout);
			return 0;
		default:
			fputs(pack_usage, stderr);
			return 2;
		}
	}
	if (optind != argc - 1 || !*argv[optind]) {
		fputs(pack_usage, stderr);
		return 2;
	}
	if (output)
		return pack(argv[optind], output);
	if (asprintf(&output, "%s/%s", argv[optind], INCFS_LIST_NAME) < 0)
		return 1;
	ret = pack(argv[optind], output);
	free(output);
	return ret;
}
