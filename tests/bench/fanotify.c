// SPDX-License-Identifier: GPL-2.0-only
/*
 * A peer of the benchmark: a loader that fills sparse files before they are read,
 * on pre-content events (Linux 6.14): fanotify DIR SOURCE.
 *
 * Each file in DIR is as long as that of the same name in SOURCE, and what it has
 * are holes and what was filled before. A bitmap says which blocks are there. The
 * rest is taken from a mapping of the source. A file that is complete is not
 * watched any more, so that it costs nothing from then on.
 *
 * "ready" on standard output says that the files can be read. A signal ends it.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <linux/fanotify.h>
#include <sys/fanotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/bench.h"
#include "lib/tap.h"

/* struct watched - a file that is not complete yet */
struct watched {
	char name[256];
	ino_t ino;
	__u64 size;
	__u32 nr_blocks;
	/* How many are not there. */
	__u32 absent;
	unsigned char *present;
	const char *source;
	struct watched *next;
};

static struct watched *files;
static int group, dir_fd;

static bool is_present(const struct watched *file, __u32 block)
{
	return file->present[block / 8] >> block % 8 & 1;
}

static void set_present(struct watched *file, __u32 block)
{
	if (!is_present(file, block))
		file->absent--;
	file->present[block / 8] |= 1 << block % 8;
}

/* What the file system says that is there. */
static void find_present(struct watched *file, int fd)
{
	off_t start, end = 0;
	__u32 block;

	while ((start = lseek(fd, end, SEEK_DATA)) >= 0) {
		end = lseek(fd, start, SEEK_HOLE);
		for (block = start / BENCH_BLOCK; (off_t)block * BENCH_BLOCK < end; block++)
			set_present(file, block);
	}
}

static const char *map_source(int sources, const char *name, __u64 size)
{
	int fd = openat(sources, name, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *map;

	if (fd < 0 || fstat(fd, &st) || (__u64)st.st_size != size)
		bail_out("the source of %s", name);
	map = mmap(NULL, size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (map == MAP_FAILED)
		bail_out("mmap of %s", name);
	close(fd);
	return map;
}

static void watch(int sources, const char *name)
{
	struct watched *file = calloc(1, sizeof(*file));
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (!file || fd < 0 || fstat(fd, &st))
		bail_out("open %s", name);
	file->ino = st.st_ino;
	file->size = st.st_size;
	file->nr_blocks = (file->size + BENCH_BLOCK - 1) / BENCH_BLOCK;
	file->absent = file->nr_blocks;
	file->present = calloc(file->nr_blocks / 8 + 1, 1);
	if (!file->present)
		bail_out("memory");
	snprintf(file->name, sizeof(file->name), "%s", name);
	find_present(file, fd);
	close(fd);
	if (!file->absent) {
		free(file->present);
		free(file);
		return;
	}
	file->source = map_source(sources, name, file->size);
	if (fanotify_mark(group, FAN_MARK_ADD, FAN_PRE_ACCESS, dir_fd, name)) {
		perror("FAN_PRE_ACCESS");
		exit(1);
	}
	file->next = files;
	files = file;
}

static void watch_all(const char *dir, const char *source)
{
	int sources = open(source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = opendir(dir);
	struct dirent *entry;

	if (!list || sources < 0)
		bail_out("open %s and %s", dir, source);
	dir_fd = dirfd(list);
	while ((entry = readdir(list)))
		if (entry->d_type == DT_REG)
			watch(sources, entry->d_name);
	close(sources);
}

/* No more events of it. */
static void forget(struct watched **link)
{
	struct watched *file = *link;

	if (fanotify_mark(group, FAN_MARK_REMOVE, FAN_PRE_ACCESS, dir_fd, file->name))
		bail_out("mark of %s", file->name);
	munmap((void *)file->source, file->size);
	*link = file->next;
	free(file->present);
	free(file);
}

/* Write what is absent of @count bytes from @offset on, as much as there is in a piece. */
static bool fill(struct watched *file, int fd, __u64 offset, __u64 count)
{
	__u64 last = offset + count < file->size ? offset + count : file->size, at, len;
	__u32 block = offset / BENCH_BLOCK, first;

	while ((__u64)block * BENCH_BLOCK < last) {
		first = block;
		while ((__u64)block * BENCH_BLOCK < last && !is_present(file, block))
			block++;
		if (block == first) {
			block++;
			continue;
		}
		at = (__u64)first * BENCH_BLOCK;
		len = (__u64)block * BENCH_BLOCK < file->size ?
			      (__u64)block * BENCH_BLOCK - at : file->size - at;
		if (pwrite(fd, file->source + at, len, at) != (ssize_t)len)
			return false;
		while (first < block)
			set_present(file, first++);
	}
	return true;
}

static bool answer(int fd, const struct fanotify_event_info_range *range)
{
	struct watched **link;
	struct stat st;

	if (fstat(fd, &st))
		return false;
	for (link = &files; *link && (*link)->ino != st.st_ino; link = &(*link)->next)
		;
	/* One that was under way when the file became complete. */
	if (!*link)
		return true;
	if (!fill(*link, fd, range->offset, range->count))
		return false;
	if (!(*link)->absent)
		forget(link);
	return true;
}

static void serve(void)
{
	char events[4096] __attribute__((aligned(8)));
	struct fanotify_response response;
	struct fanotify_event_metadata *event;
	ssize_t left;

	while ((left = read(group, events, sizeof(events))) > 0) {
		for (event = (void *)events; FAN_EVENT_OK(event, left);
		     event = FAN_EVENT_NEXT(event, left)) {
			const struct fanotify_event_info_range *range = (void *)(event + 1);

			if (event->fd < 0 || event->event_len < sizeof(*event) + sizeof(*range) ||
			    range->hdr.info_type != FAN_EVENT_INFO_TYPE_RANGE)
				bail_out("an event of another kind");
			response.fd = event->fd;
			response.response = answer(event->fd, range) ? FAN_ALLOW :
					    FAN_DENY_ERRNO(EIO);
			if (write(group, &response, sizeof(response)) != sizeof(response))
				bail_out("answer");
			close(event->fd);
		}
	}
	bail_out("read of events");
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: fanotify DIR SOURCE\n");
		return 2;
	}
	group = fanotify_init(FAN_CLASS_PRE_CONTENT | FAN_CLOEXEC, O_RDWR | O_CLOEXEC);
	if (group < 0) {
		perror("fanotify_init");
		return 1;
	}
	watch_all(argv[1], argv[2]);
	puts("ready");
	fflush(stdout);
	serve();
	return 1;
}
