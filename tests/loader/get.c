// SPDX-License-Identifier: GPL-2.0-only
/*
 * get SRC[,MIRROR]... LIST DIR BYTES [KEY]: fetch all files of a list into DIR, in
 * requests of so many bytes and all of them at once. LIST is "-" for that of the source, which is
 * checked with KEY. Prints how each ended, as soon as it did: RESULT PATH OFFSET: REASON.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "list.h"
#include "source.h"
#include "util.h"

#define PARALLEL 4

struct get {
	struct incfs_request request;
	int dir_fd;
};

static unsigned int under_way;

static void get_progress(struct incfs_request *req)
{
	(void)req;
}

static void get_done(struct incfs_request *req, enum incfs_source_result result, const char *why)
{
	static const char *const names[] = { "ok", "file", "server" };
	struct get *get = incfs_container_of(req, struct get, request);
	int fd;

	printf("%s ", names[result]);
	incfs_list_write_path(stdout, req->path);
	printf(" %llu: %s\n", req->offset, why);
	if (result == INCFS_SOURCE_OK) {
		fd = openat(get->dir_fd, req->path, O_WRONLY | O_CREAT, 0644);
		if (pwrite(fd, req->buf, req->length, req->offset) != (ssize_t)req->length)
			abort();
		close(fd);
	}
	free(req->buf);
	free(get);
	under_way--;
}

static void run(struct incfs_source *source, unsigned int until)
{
	struct pollfd fd = { .fd = source->fd, .events = POLLIN };

	while (under_way > until) {
		poll(&fd, 1, source->ops->timeout(source));
		source->ops->run(source);
	}
}

static void get_file(struct incfs_source *source, struct incfs_entry *entry, int dir_fd,
		     __u32 bytes)
{
	static __u64 versions[1000];
	static unsigned int nr;
	__u64 *version = &versions[nr++ % 1000];

	for (__u64 offset = 0; offset < entry->size; offset += bytes) {
		struct get *get = calloc(1, sizeof(*get));

		get->dir_fd = dir_fd;
		get->request = (struct incfs_request){
			.path = entry->path, .file_size = entry->size, .version = version,
			.offset = offset, .length = incfs_min(bytes, entry->size - offset),
			.progress = get_progress, .done = get_done,
		};
		get->request.buf = malloc(get->request.length);
		run(source, PARALLEL - 1);
		under_way++;
		source->ops->submit(source, &get->request);
	}
}

static int read_list(struct incfs_source *source, const char *file, char **text, size_t *size)
{
	char why[512];
	int fd, err;

	if (!strcmp(file, "-")) {
		if (!source->ops->read_list(source, text, size, why, sizeof(why)))
			return 0;
		fprintf(stderr, "no list: %s\n", why);
		return -1;
	}
	fd = open(file, O_RDONLY);
	err = incfs_list_read(fd, text, size);
	close(fd);
	return err;
}

int main(int argc, char **argv)
{
	const char *where[INCFS_MIRRORS_MAX + 1] = {};
	const struct incfs_source_params params = {
		.where = where, .parallel = PARALLEL, .stall_s = INCFS_STALL_DEFAULT_S,
	};
	struct incfs_source *source;
	struct incfs_list list;
	int dir_fd;
	char *text;
	size_t size;

	if (argc < 5 || argc > 6)
		return 2;
	for (int i = 0; i < INCFS_MIRRORS_MAX && argv[1]; i++)
		where[i] = strsep(&argv[1], ",");
	source = incfs_source_open(&params);
	dir_fd = open(argv[3], O_RDONLY | O_DIRECTORY);
	if (!source || dir_fd < 0 || (argc > 5 && incfs_source_set_key(source, argv[5])) ||
	    read_list(source, argv[2], &text, &size) || incfs_list_parse(&list, text, size))
		return 1;
	for (size_t i = 0; i < list.nr_entries; i++) {
		if (list.entries[i].type == INCFS_ENTRY_DIR)
			mkdirat(dir_fd, list.entries[i].path, 0755);
		else if (list.entries[i].type == INCFS_ENTRY_FILE)
			get_file(source, &list.entries[i], dir_fd, atoi(argv[4]));
	}
	run(source, 0);
	source->ops->close(source);
	incfs_list_destroy(&list);
	close(dir_fd);
	return 0;
}
