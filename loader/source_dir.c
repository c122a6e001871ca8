// SPDX-License-Identifier: MIT
/* A source that is a directory. Reads are short and come from a local disk. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "list.h"
#include "log.h"
#include "pack.h"
#include "source.h"
#include "util.h"

struct source_dir {
	struct incfs_source source;
	char *path;
	int fd;
	unsigned int room, nr;
	struct incfs_request *queue[];	/* oldest first */
};

static struct source_dir *to_dir(struct incfs_source *source)
{
	return incfs_container_of(source, struct source_dir, source);
}

/* The list that is in the directory, or a new one. */
static enum incfs_source_result dir_read_list(struct incfs_source *source, char **text,
					      size_t *size, char *why, size_t why_size)
{
	struct source_dir *dir = to_dir(source);
	const struct incfs_pack_options options = {};
	struct incfs_pack_count count;
	int fd, err;

	fd = openat(dir->fd, INCFS_LIST_NAME, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		snprintf(why, why_size, "see above");
		return incfs_pack_directory(dir->path, &options, text, size, &count) ?
			INCFS_SOURCE_FILE : INCFS_SOURCE_OK;
	}
	err = fd < 0 ? fd : incfs_list_read(fd, text, size);
	if (err)
		snprintf(why, why_size, "can't read '%s/%s': %s", dir->path, INCFS_LIST_NAME,
			 strerror(errno));
	if (fd >= 0)
		close(fd);
	return err ? INCFS_SOURCE_FILE : INCFS_SOURCE_OK;
}

static void dir_submit(struct incfs_source *source, struct incfs_request *req)
{
	struct source_dir *dir = to_dir(source);

	dir->queue[dir->nr++] = req;
}

static int dir_timeout(struct incfs_source *source)
{
	return to_dir(source)->nr ? 0 : -1;
}

/* A file changes its version with its contents, save those who set the time back. */
static __u64 stat_version(const struct stat *st)
{
	__u64 version = (__u64)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;

	return (version ^ (__u64)st->st_ino << 48) | 1;
}

static int read_range(int fd, struct incfs_request *req)
{
	ssize_t got = 0;

	while (req->arrived < req->length) {
		got = pread(fd, req->buf + req->arrived, req->length - req->arrived,
			    req->offset + req->arrived);
		if (got <= 0)
			break;
		req->arrived += got;
	}
	return got;
}

static enum incfs_source_result dir_fetch(struct source_dir *dir, struct incfs_request *req,
					  char *why, size_t why_size)
{
	enum incfs_source_result result = INCFS_SOURCE_FILE;
	struct stat before, after;
	int fd;

	/* Not to wait for a writer, should a FIFO have taken the place of a file. */
	fd = openat(dir->fd, req->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &before)) {
		req->absent = errno == ENOENT;
		snprintf(why, why_size, "%s", strerror(errno));
		goto out;
	}
	if (!S_ISREG(before.st_mode)) {
		snprintf(why, why_size, "not a regular file");
		goto out;
	}
	if ((__u64)before.st_size != req->file_size) {
		snprintf(why, why_size, "has %lld bytes now, the list says %llu",
			 (long long)before.st_size, req->file_size);
		goto out;
	}
	if (read_range(fd, req) < 0 || fstat(fd, &after))
		snprintf(why, why_size, "%s", strerror(errno));
	else if (req->arrived < req->length)
		snprintf(why, why_size, "ends at byte %llu of %llu", req->offset + req->arrived,
			 req->file_size);
	else if (stat_version(&before) != stat_version(&after) ||
		 !incfs_request_same_version(req, stat_version(&after)))
		snprintf(why, why_size, "has changed since fetching began");
	else
		result = INCFS_SOURCE_OK;
out:
	if (fd >= 0)
		close(fd);
	return result;
}

/* One request a call: whoever drives us may have something more urgent next. */
static void dir_run(struct incfs_source *source)
{
	struct source_dir *dir = to_dir(source);
	enum incfs_source_result result;
	struct incfs_request *req;
	char why[128] = "";
	__u64 start;

	if (!dir->nr)
		return;
	req = dir->queue[0];
	memmove(&dir->queue[0], &dir->queue[1], --dir->nr * sizeof(dir->queue[0]));
	start = incfs_now();
	result = dir_fetch(dir, req, why, sizeof(why));
	req->wait_us = (incfs_now() - start) * 1000;
	req->done(req, result, why);
}

static void dir_close(struct incfs_source *source)
{
	struct source_dir *dir = to_dir(source);

	close(dir->fd);
	free(dir->path);
	free(dir);
}

static const struct incfs_source_ops dir_ops = {
	.read_list = dir_read_list,
	.submit = dir_submit,
	.timeout = dir_timeout,
	.run = dir_run,
	.close = dir_close,
};

struct incfs_source *incfs_source_dir_open(const char *where, unsigned int parallel)
{
	struct source_dir *dir;

	dir = calloc(1, sizeof(*dir) + parallel * sizeof(dir->queue[0]));
	if (!dir) {
		incfs_error("can't open source '%s': not enough memory", where);
		return NULL;
	}
	dir->source = (struct incfs_source){ .ops = &dir_ops, .fd = -1, .mirrors = 1 };
	dir->path = strdup(where);
	dir->fd = open(where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir->path && dir->fd >= 0)
		return &dir->source;
	incfs_error("can't open source '%s': %s", where, strerror(errno));
	if (dir->fd >= 0)
		close(dir->fd);
	free(dir->path);
	free(dir);
	return NULL;
}
