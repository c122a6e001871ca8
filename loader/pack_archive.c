// SPDX-License-Identifier: MIT
/*
 * Archives, to be packed as directories are. They are extracted beside what is made of
 * them: their members come in any order and more than once, and a compressed archive can
 * be read from its beginning only. Memory is what libarchive needs for one member.
 */
#include "pack_archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <linux/openat2.h>
#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "list.h"
#include "log.h"
#include "util.h"

#define READ_BYTES (128u << 10)

/* Members that would come to lie elsewhere are refused, also by way of links. */
#define EXTRACT_FLAGS (ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_PERM | \
		       ARCHIVE_EXTRACT_SECURE_SYMLINKS | ARCHIVE_EXTRACT_SECURE_NODOTDOT | \
		       ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS)

static int archive_fail(const char *name, const char *member, struct archive *archive)
{
	incfs_error("'%s'%s%s%s: %s", name, member ? ": '" : "", member ?: "", member ? "'" : "",
		    archive_error_string(archive) ?: "not enough memory");
	return -1;
}

#define PARENT_MODE (S_ISVTX | 0700)

/* "./" before a path is no part of it, and the root itself is there already. */
static const char *member_path(const char *path)
{
	while (path[0] == '.' && (path[1] == '/' || !path[1]))
		path += path[1] ? 2 : 1;
	return path;
}

static bool set_up_entry(const char *name, struct archive_entry *entry)
{
	const char *path = archive_entry_pathname(entry);
	const char *link = archive_entry_hardlink(entry);
	mode_t type = archive_entry_filetype(entry);

	if (!path) {
		incfs_warn("'%s': skipping a member whose name is none here", name);
		return false;
	}
	if (!link && type != AE_IFREG && type != AE_IFDIR && type != AE_IFLNK) {
		incfs_warn("'%s': skipping '%s': neither a file, a directory nor a symbolic link",
			   name, path);
		return false;
	}
	if (!*member_path(path))
		return false;
	/* What is made of it has no more than these, and we must be able to read it. */
	if (!link && type != AE_IFLNK)
		archive_entry_set_perm(entry, archive_entry_perm(entry) & 0777);
	return true;
}

static int copy_data(const char *name, const char *member, struct archive *in,
		     struct archive *out)
{
	const void *data;
	la_int64_t offset;
	size_t size;
	int err;

	while ((err = archive_read_data_block(in, &data, &size, &offset)) == ARCHIVE_OK) {
		if (archive_write_data_block(out, data, size, offset) < ARCHIVE_WARN)
			return archive_fail(name, member, out);
	}
	return err == ARCHIVE_EOF ? 0 : archive_fail(name, member, in);
}

/*
 * Directories on the way to a member need not be members. They are made with a mode that
 * no member has, to be known later. What leads through a link is left to libarchive,
 * which refuses it.
 */
static int make_parents(const char *name, const char *member)
{
	char *path = strdup(member_path(member)), *slash;
	int err = path ? 0 : -1;
	struct stat st;

	for (slash = path; !err && (slash = strchr(slash + 1, '/')); *slash = '/') {
		*slash = 0;
		/* libarchive refuses these as well: nothing is made there. */
		if (*path == '/' || !strcmp(incfs_path_name(path), ".."))
			break;
		if (!lstat(path, &st)) {
			if (!S_ISDIR(st.st_mode))
				break;
			continue;
		}
		/* Or it is the member's own path, with a '/' behind it. */
		if (errno != ENOENT || !slash[1])
			break;
		err = mkdir(path, PARENT_MODE);
	}
	if (err)
		incfs_error("'%s': '%s': %s", name, member, strerror(errno));
	free(path);
	return err;
}

/* What no list can hold need not be extracted first. */
static int count_blocks(const char *name, struct archive_entry *entry, __u64 *nr_blocks)
{
	__u64 size = incfs_max(archive_entry_size(entry), 0);

	*nr_blocks += incfs_size_blocks(size);
	if (*nr_blocks <= INCFS_LIST_MAX_BLOCKS)
		return 0;
	incfs_error("'%s': '%s', of %llu bytes, is too much: a list holds %llu blocks", name,
		    archive_entry_pathname(entry), size, INCFS_LIST_MAX_BLOCKS);
	return -1;
}

/* Into the working directory. */
static int extract_members(const char *name, struct archive *in, struct archive *out)
{
	struct archive_entry *entry;
	const char *member;
	__u64 nr_blocks = 0;
	size_t nr = 0;
	int err;

	while ((err = archive_read_next_header(in, &entry)) == ARCHIVE_OK || err == ARCHIVE_WARN) {
		if (++nr > INCFS_LIST_MAX_ENTRIES) {
			incfs_error("'%s' has more than %u members", name, INCFS_LIST_MAX_ENTRIES);
			return -1;
		}
		if (!set_up_entry(name, entry))
			continue;
		member = archive_entry_pathname(entry);
		if (count_blocks(name, entry, &nr_blocks) || make_parents(name, member))
			return -1;
		if (archive_write_header(out, entry) < ARCHIVE_WARN)
			return archive_fail(name, member, out);
		if (archive_entry_size(entry) > 0 && copy_data(name, member, in, out))
			return -1;
		if (archive_write_finish_entry(out) < ARCHIVE_WARN)
			return archive_fail(name, member, out);
	}
	if (err != ARCHIVE_EOF)
		return archive_fail(name, NULL, in);
	/* Times of directories are set now. */
	return archive_write_close(out) < ARCHIVE_WARN ? archive_fail(name, NULL, out) : 0;
}

static int extract(const char *name, int fd)
{
	struct archive *in = archive_read_new(), *out = archive_write_disk_new();
	int err = -1;

	/* Some archives have names in UTF-8, whatever ours are in: they stay that. */
	setlocale(LC_CTYPE, "C.UTF-8");
	if (!in || !out) {
		incfs_error("not enough memory");
	} else {
		/* Not all that there are: some start programs. */
		archive_read_support_filter_gzip(in);
		archive_read_support_filter_bzip2(in);
		archive_read_support_filter_xz(in);
		archive_read_support_filter_zstd(in);
		archive_read_support_format_tar(in);
		archive_read_support_format_zip(in);
		archive_write_disk_set_options(out, EXTRACT_FLAGS);
		if (archive_read_open_fd(in, fd, READ_BYTES) != ARCHIVE_OK)
			err = archive_fail(name, NULL, in);
		else
			err = extract_members(name, in, out);
	}
	archive_read_free(in);
	archive_write_free(out);
	return err;
}

/* libarchive extracts to where we are. */
static int extract_in(const char *name, int fd, const char *dir)
{
	int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err = -1;

	if (here < 0 || chdir(dir))
		incfs_error("can't extract to '%s': %s", dir, strerror(errno));
	else
		err = extract(name, fd);
	if (here >= 0 && fchdir(here)) {
		incfs_error("can't go back to the working directory: %s", strerror(errno));
		err = -1;
	}
	if (here >= 0)
		close(here);
	return err;
}

static bool stays_inside(int root, const char *path)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	int fd = syscall(SYS_openat2, root, path, &how, sizeof(how));

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/*
 * Who follows the links of an archive must not come to files of this machine. And
 * directories that were no members get the time 0, as that of packing would be another
 * one each time; the others theirs once more.
 */
static int finish_entry(const char *name, FTSENT *entry, int root, const char *path)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, entry->fts_statp->st_mtim };

	switch (entry->fts_info) {
	case FTS_SL:
	case FTS_SLNONE:
		if (root < 0 || stays_inside(root, path))
			return 0;
		incfs_warn("'%s': skipping '%s': a symbolic link to nowhere in it", name, path);
		return unlink(entry->fts_path);
	case FTS_DP:
		if (entry->fts_statp->st_mode & S_ISVTX) {
			times[1] = (struct timespec){};
			if (chmod(entry->fts_path, 0755))
				return -1;
		}
		return utimensat(AT_FDCWD, entry->fts_path, times, 0);
	case FTS_DNR:
	case FTS_ERR:
	case FTS_NS:
		errno = entry->fts_errno;
		return -1;
	default:
		return 0;
	}
}

static int finish(const char *name, char *dir, bool dereference)
{
	int root = dereference ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	char *paths[] = { dir, NULL };
	FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	int err = !fts || (dereference && root < 0) ? -1 : 0;
	FTSENT *entry;

	while (!err && (errno = 0, entry = fts_read(fts))) {
		if (entry->fts_level > 0)
			err = finish_entry(name, entry, root, entry->fts_path + strlen(dir) + 1);
	}
	if (err || errno) {
		incfs_error("can't extract '%s': %s", name, strerror(errno));
		err = -1;
	}
	if (fts)
		fts_close(fts);
	if (root >= 0)
		close(root);
	return err;
}

char *incfs_archive_extract(const char *archive, const char *output, bool dereference)
{
	int fd = open(archive, O_RDONLY | O_CLOEXEC), err = -1;
	size_t len = strlen(output);
	char *dir = NULL;

	while (len > 1 && output[len - 1] == '/')
		len--;
	if (fd < 0) {
		incfs_error("can't open '%s': %s", archive, strerror(errno));
		return NULL;
	}
	if (asprintf(&dir, "%.*s.files.XXXXXX", (int)len, output) < 0)
		dir = NULL;
	if (!dir || !mkdtemp(dir)) {
		incfs_error("can't extract '%s': %s", archive, strerror(errno));
		free(dir);
		dir = NULL;
	} else {
		err = extract_in(archive, fd, dir);
		if (!err)
			err = finish(archive, dir, dereference);
	}
	close(fd);
	if (dir && err) {
		incfs_archive_remove(dir);
		return NULL;
	}
	return dir;
}

void incfs_archive_remove(char *dir)
{
	char *paths[] = { dir, NULL };
	FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
	FTSENT *entry;

	while (fts && (entry = fts_read(fts))) {
		/* What can't be written to can't be emptied. */
		if (entry->fts_info == FTS_D)
			chmod(entry->fts_accpath, 0700);
		else if (remove(entry->fts_accpath))
			incfs_warn("can't remove '%s': %s", entry->fts_path, strerror(errno));
	}
	if (fts)
		fts_close(fts);
	free(dir);
}
