// SPDX-License-Identifier: MIT
/*
 * incfs fetch: have files brought in, and wait for them.
 *
 * They are read: that works with any loader, and with any policy. What was read is dropped
 * from memory again, as far as nobody else uses it.
 */
#include "cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/incrementalfs.h>

#include "list.h"
#include "log.h"
#include "option.h"
#include "util.h"

#define STEP (256u << 10)
#define SHOW_MS 500

struct fetch_args {
	const char *names;
	bool null;
	bool quiet;
	bool keep;
	/* What has been done: */
	bool terminal;
	__u64 bytes, files, failed;
	__u64 shown_at;
	char buf[STEP];
};

static const struct incfs_option rows[] = {
	{ "files-from", 'T', "FILE", "names of files in lines of FILE too; - is standard input",
	  incfs_option_text, .offset = offsetof(struct fetch_args, names) },
	{ "null", '0', NULL, "these names end with NUL, as those of 'find -print0'",
	  incfs_option_on, .offset = offsetof(struct fetch_args, null) },
	{ "keep", 'k', NULL, "keep what was read in memory", incfs_option_on,
	  .offset = offsetof(struct fetch_args, keep) },
	{ "quiet", 'q', NULL, "no progress, no sum", incfs_option_on,
	  .offset = offsetof(struct fetch_args, quiet) },
	{}
};

static const struct incfs_usage usage = {
	.program = "incfs fetch",
	.args = "[OPTION]... [PATH]...",
	.about =
"Have files of a mount brought in, and those in directories, and wait until all of\n"
"them are there.\n",
	.options = rows,
	.most = 1 << 30,
};

static void show(struct fetch_args *args, const char *path)
{
	char line[160];

	if (!args->terminal || incfs_now() - args->shown_at < SHOW_MS)
		return;
	args->shown_at = incfs_now();
	snprintf(line, sizeof(line), "%llu files, %.1f MB: %.100s", args->files,
		 args->bytes / 1e6, path);
	incfs_log_status(line);
}

static int read_file(struct fetch_args *args, int fd, const char *path)
{
	struct statfs fs;
	__u64 done = 0;
	ssize_t got;

	if (fstatfs(fd, &fs) || fs.f_type != (__typeof__(fs.f_type))INCFS_MAGIC_NUMBER) {
		incfs_error("'%s' is not on a mount of incremental-fs", path);
		return -1;
	}
	while ((got = read(fd, args->buf, sizeof(args->buf))) > 0) {
		done += got;
		args->bytes += got;
		show(args, path);
	}
	if (got < 0)
		incfs_error("'%s' is not there whole: block %llu: %s", path,
			    done / INCFS_BLOCK_SIZE, strerror(errno));
	if (!args->keep)
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	return got < 0 ? -1 : 0;
}

static void fetch_file(struct fetch_args *args, const char *path, const char *access)
{
	int fd = open(access, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	args->files++;
	if (fd < 0)
		incfs_error("can't open '%s': %s", path, strerror(errno));
	if (fd < 0 || read_file(args, fd, path))
		args->failed++;
	if (fd >= 0)
		close(fd);
}

static void fetch_tree(struct fetch_args *args, char *const *paths)
{
	FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR | FTS_XDEV, NULL);
	FTSENT *entry;

	if (!fts) {
		incfs_error("%s", strerror(errno));
		args->failed++;
		return;
	}
	while ((errno = 0, entry = fts_read(fts))) {
		if (entry->fts_info == FTS_F &&
		    !(entry->fts_level == 1 && !strcmp(entry->fts_name, ".cmd"))) {
			fetch_file(args, entry->fts_path, entry->fts_accpath);
		} else if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR ||
			   entry->fts_info == FTS_NS) {
			incfs_error("can't read '%s': %s", entry->fts_path,
				    strerror(entry->fts_errno));
			args->failed++;
		}
	}
	if (errno) {
		incfs_error("%s", strerror(errno));
		args->failed++;
	}
	fts_close(fts);
}

/* One after the other: there may be more names than should be kept in memory. */
static void fetch_named(struct fetch_args *args)
{
	FILE *file = strcmp(args->names, "-") ? fopen(args->names, "re") : stdin;
	char *name = NULL;
	size_t size = 0;
	ssize_t len;

	if (!file) {
		incfs_error("can't open '%s' for reading: %s", args->names, strerror(errno));
		args->failed++;
		return;
	}
	while ((errno = 0, len = getdelim(&name, &size, args->null ? 0 : '\n', file)) > 0) {
		if (!args->null && name[len - 1] == '\n')
			name[--len] = 0;
		if (strlen(name) != (size_t)len - (args->null && !name[len - 1])) {
			incfs_error("'%s': a name has a NUL in it; --null?", args->names);
			args->failed++;
			break;
		}
		if (*name)
			fetch_tree(args, (char *const []){ name, NULL });
	}
	if (len < 0 && !feof(file)) {
		incfs_error("can't read '%s': %s", args->names, strerror(errno));
		args->failed++;
	}
	free(name);
	if (file != stdin)
		fclose(file);
}

int incfs_cmd_fetch(int argc, char **argv)
{
	struct fetch_args *args = calloc(1, sizeof(*args));
	int code;

	if (!args)
		return 1;
	code = incfs_usage_parse(&usage, args, argc, argv);
	if (code < 0 && optind == argc && !args->names) {
		incfs_error("no PATH, and no --files-from");
		code = incfs_usage_mistake(&usage);
	}
	if (code < 0) {
		args->terminal = !args->quiet && isatty(STDERR_FILENO);
		if (optind < argc)
			fetch_tree(args, argv + optind);
		if (args->names)
			fetch_named(args);
		incfs_log_status("");
		if (!args->quiet)
			incfs_info("%llu files, %llu bytes, %llu failed", args->files, args->bytes,
				   args->failed);
		code = args->failed ? 1 : 0;
	}
	free(args);
	return code;
}
