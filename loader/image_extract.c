// SPDX-License-Identifier: MIT
/*
 * The files of an image, as a tree of plain files.
 *
 * Directories are entered one by one, by descriptor, and never through a
 * symbolic link. Until all below them is there they belong to us alone, so that
 * nobody can put anything into our way. Going up is by "..", and what is found
 * there must be what was left there: a tree may be deeper than there are
 * descriptors.
 *
 * A file is written in a directory of its own below the root, with all that
 * belongs to it, and then linked to its names: each appears whole, and nothing
 * is replaced.
 */
#include "image_extract.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "image_blocks.h"
#include "log.h"
#include "util.h"

#define WRITE_BLOCKS 64

/**
 * struct place - what became of a node
 * @dev:    of a directory: where it is
 * @fs_ino: and its inode there
 * @links:  names that it is still to get
 * @staged: it is in the staging directory
 * @failed: it could not be read
 */
struct place {
	dev_t dev;
	ino_t fs_ino;
	__u32 links;
	bool staged;
	bool failed;
};

struct extract {
	struct incfs_model *model;
	const struct incfs_extract_options *options;
	const char *dir;
	int root_fd;
	int stage_fd;
	char stage[64];
	struct place *places;		/* by order of the nodes */
	__u64 present;
	size_t nr_incomplete, nr_failed;

	/* The file that is being written: */
	int fd;
	struct incfs_image_data block;
	char data[WRITE_BLOCKS * INCFS_BLOCK_SIZE];
	__u64 data_start;
	size_t data_len;
};

static struct place *place_of(struct extract *extract, const struct incfs_model_node *node)
{
	return &extract->places[node->order];
}

static int fail(const struct extract *extract, const struct incfs_model_node *node, int err)
{
	incfs_error("can't write '%s/%s': %s", extract->dir, incfs_model_path(node),
		    strerror(err));
	return -1;
}

static int count_present(void *arg, const struct incfs_image_block *block)
{
	struct extract *extract = arg;

	extract->present += block->extent.size != 0;
	return 0;
}

static int count_name(void *arg, struct incfs_model_name *name, bool first)
{
	struct extract *extract = arg;
	struct incfs_model_node *node = name->node;

	place_of(extract, node)->links++;
	if (!first || !S_ISREG(node->mode))
		return 0;
	extract->present = 0;
	if (incfs_image_each_block(extract->model, node, count_present, extract))
		return -1;
	if (extract->present == node->nr_blocks)
		return 0;
	extract->nr_incomplete++;
	incfs_warn("'%s' is not complete: %llu of %u blocks are absent",
		   incfs_model_path(node), node->nr_blocks - extract->present,
		   node->nr_blocks);
	return 0;
}

/* Whether all is there that is to be written; nothing has been by now. */
static int check_complete(struct extract *extract)
{
	int err = incfs_model_walk(extract->model, count_name, extract);

	if (err == -ENOMEM)
		incfs_error("%s", strerror(ENOMEM));
	if (err)
		return -1;
	if (!extract->nr_incomplete || extract->options->partial)
		return 0;
	incfs_error("'%s': %zu files are not complete; --partial writes them with holes",
		    extract->model->file->path, extract->nr_incomplete);
	return -1;
}

static int flush_data(struct extract *extract)
{
	int err = incfs_file_write(extract->fd, extract->data, extract->data_len,
				   extract->data_start);

	extract->data_len = 0;
	return err;
}

static int write_block(void *arg, const struct incfs_image_block *block)
{
	__u64 at = (__u64)block->block << INCFS_BLOCK_SHIFT;
	struct extract *extract = arg;
	const char *why;
	int err;

	if (!block->extent.size)
		return 0;
	err = incfs_image_read_block(extract->model, block, &extract->block, &why);
	if (err) {
		incfs_error("'%s': block %u of '%s', image offset %llu: %s%s%s",
			    extract->model->file->path, block->block,
			    incfs_model_path(block->node), block->extent.offset, why,
			    err == -EBADMSG ? "" : ": ",
			    err == -EBADMSG ? "" : strerror(-err));
		place_of(extract, block->node)->failed = true;
		return err == -EBADMSG && extract->options->partial ? 0 : -EBADMSG;
	}
	if (extract->data_len == sizeof(extract->data) ||
	    extract->data_start + extract->data_len != at) {
		err = flush_data(extract);
		extract->data_start = at;
	}
	memcpy(extract->data + extract->data_len, extract->block.data, extract->block.len);
	extract->data_len += extract->block.len;
	return err;
}

/* -EBADMSG: a block is damaged, and that has been said. */
static int write_data(struct extract *extract, struct incfs_model_node *node)
{
	int err = 0;

	extract->data_start = 0;
	extract->data_len = 0;
	if (ftruncate(extract->fd, node->size))
		return -errno;
	err = incfs_image_each_block(extract->model, node, write_block, extract);
	return err ?: flush_data(extract);
}

static int write_xattrs(struct extract *extract, int fd, const struct incfs_attrs *attrs)
{
	const void *items = attrs->items;
	size_t len = attrs->items_len;
	char name[INCFS_NAME_MAX + 1];
	struct incfs_item item;

	if (extract->options->no_xattrs)
		return 0;
	while (incfs_format_next_item(&items, &len, &item)) {
		if (item.type != INCFS_ITEM_XATTR)
			continue;
		memcpy(name, item.name, item.name_len);
		name[item.name_len] = '\0';
		if (fsetxattr(fd, name, item.value, item.value_len, XATTR_CREATE))
			return -errno;
	}
	return 0;
}

static bool keeps_owner(const struct extract *extract, const struct incfs_model_node *node)
{
	return node->attrs && !extract->options->no_owner && !geteuid();
}

/* Whoever owns the file now was not meant by these bits. */
static mode_t mode_of(const struct extract *extract, const struct incfs_model_node *node)
{
	mode_t mode = node->mode & 07777;

	return keeps_owner(extract, node) ? mode : mode & ~(S_ISUID | S_ISGID);
}

static void times_of(const struct incfs_model_node *node, struct timespec times[2])
{
	times[0] = (struct timespec){ .tv_nsec = UTIME_OMIT };
	times[1] = (struct timespec){ .tv_sec = node->attrs->mtime_sec,
				      .tv_nsec = node->attrs->mtime_nsec };
}

/* All that belongs to a file or directory beside what is in it. */
static int write_attrs(struct extract *extract, int fd, const struct incfs_model_node *node)
{
	struct timespec times[2];
	int err;

	if (node->attrs) {
		err = write_xattrs(extract, fd, node->attrs);
		if (err)
			return err;
	}
	if (keeps_owner(extract, node) && fchown(fd, node->attrs->uid, node->attrs->gid))
		return -errno;
	if (fchmod(fd, mode_of(extract, node)))
		return -errno;
	if (!node->attrs)
		return 0;
	times_of(node, times);
	return futimens(fd, times) ? -errno : 0;
}

static int stage_file(struct extract *extract, struct incfs_model_node *node, const char *name)
{
	int err;

	extract->fd = openat(extract->stage_fd, name,
			     O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (extract->fd < 0)
		return -errno;
	place_of(extract, node)->staged = true;
	err = write_data(extract, node);
	if (!err)
		err = write_attrs(extract, extract->fd, node);
	close(extract->fd);
	return err;
}

/* The kernel lets nobody set extended attributes of these. */
static int stage_symlink(struct extract *extract, struct incfs_model_node *node,
			 const char *name)
{
	struct incfs_item item = incfs_model_target(node);
	char target[INCFS_RECORD_SIZE_MAX];
	struct timespec times[2];

	memcpy(target, item.value, item.value_len);
	target[item.value_len] = '\0';
	if (symlinkat(target, extract->stage_fd, name))
		return -errno;
	place_of(extract, node)->staged = true;
	if (keeps_owner(extract, node) &&
	    fchownat(extract->stage_fd, name, node->attrs->uid, node->attrs->gid,
		     AT_SYMLINK_NOFOLLOW))
		return -errno;
	times_of(node, times);
	return utimensat(extract->stage_fd, name, times, AT_SYMLINK_NOFOLLOW) ? -errno : 0;
}

static void stage_name(char name[32], const struct incfs_model_node *node)
{
	snprintf(name, 32, "%llu", node->ino);
}

static void unstage(struct extract *extract, const struct incfs_model_node *node)
{
	char name[32];

	if (!place_of(extract, node)->staged)
		return;
	stage_name(name, node);
	unlinkat(extract->stage_fd, name, 0);
	place_of(extract, node)->staged = false;
}

static void to_text(char *text, const struct incfs_model_name *name)
{
	memcpy(text, name->name, name->len);
	text[name->len] = '\0';
}

static int write_name(struct extract *extract, int dir_fd, const struct incfs_model_name *name)
{
	struct incfs_model_node *node = name->node;
	struct place *place = place_of(extract, node);
	char staged[32], text[INCFS_NAME_MAX + 1];
	int err = 0;

	to_text(text, name);
	stage_name(staged, node);
	if (place->failed && !extract->options->partial)
		return 0;
	if (!place->staged)
		err = S_ISLNK(node->mode) ? stage_symlink(extract, node, staged) :
		      stage_file(extract, node, staged);
	if (err == -EBADMSG) {
		extract->nr_failed++;
		unstage(extract, node);
		return 0;
	}
	if (!err && linkat(extract->stage_fd, staged, dir_fd, text, 0))
		err = -errno;
	if (err)
		return fail(extract, node, -err);
	if (!--place->links)
		unstage(extract, node);
	return 0;
}

/* Make a directory and go into it: its descriptor, or -1. */
static int enter_dir(struct extract *extract, int dir_fd, const struct incfs_model_name *name)
{
	struct place *place = place_of(extract, name->node);
	char text[INCFS_NAME_MAX + 1];
	struct stat st;
	int fd = -1;

	to_text(text, name);
	if (!mkdirat(dir_fd, text, 0700))
		fd = openat(dir_fd, text, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st)) {
		fail(extract, name->node, errno);
		goto err;
	}
	if (st.st_uid != geteuid()) {
		fail(extract, name->node, EPERM);
		goto err;
	}
	place->dev = st.st_dev;
	place->fs_ino = st.st_ino;
	return fd;
err:
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Go back to where the directory lies, and finish it. */
static int leave_dir(struct extract *extract, int fd, const struct incfs_model_node *node)
{
	const struct place *above = place_of(extract, node->parent);
	struct stat st;
	int up, err;

	up = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (up < 0 || fstat(up, &st))
		err = errno;
	else if (st.st_dev != above->dev || st.st_ino != above->fs_ino)
		err = ESTALE;
	else
		err = -write_attrs(extract, fd, node);
	close(fd);
	if (!err)
		return up;
	if (up >= 0)
		close(up);
	return fail(extract, node, err);
}

static int write_tree(struct extract *extract)
{
	const struct incfs_model_node *dir = extract->model->nodes[0];
	const struct incfs_model_name *name = dir->first_name;
	int fd = dup(extract->root_fd), err = 0;

	while (fd >= 0 && !err) {
		if (name && S_ISDIR(name->node->mode)) {
			int below = enter_dir(extract, fd, name);

			close(fd);
			fd = below;
			dir = name->node;
			name = dir->first_name;
		} else if (name) {
			err = write_name(extract, fd, name);
			name = name->next;
		} else if (dir->parent) {
			fd = leave_dir(extract, fd, dir);
			name = dir->a_name->next;
			dir = dir->parent;
		} else {
			break;
		}
	}
	if (fd < 0)
		return -1;
	close(fd);
	return err;
}

static int check_empty(int fd)
{
	int copy = dup(fd), nr = 0;
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);

	if (!dir)
		return -errno;
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr > 2 ? -ENOTEMPTY : 0;
}

static int open_root(struct extract *extract)
{
	struct place *place = &extract->places[0];
	struct stat st;
	int err = 0;

	if (mkdir(extract->dir, 0777) && errno != EEXIST)
		err = errno;
	if (!err) {
		extract->root_fd = open(extract->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (extract->root_fd < 0 || fstat(extract->root_fd, &st))
			err = errno;
		else
			err = -check_empty(extract->root_fd);
	}
	if (err) {
		incfs_error("can't write to '%s': %s", extract->dir, strerror(err));
		return -1;
	}
	place->dev = st.st_dev;
	place->fs_ino = st.st_ino;
	return 0;
}

static int open_stage(struct extract *extract)
{
	const struct incfs_model *model = extract->model;
	unsigned int number = getpid();

	do {
		snprintf(extract->stage, sizeof(extract->stage), ".incfs-extract-%u", number++);
	} while (incfs_model_find(model, model->nodes[0], extract->stage,
				  strlen(extract->stage)));
	if (!mkdirat(extract->root_fd, extract->stage, 0700))
		extract->stage_fd = openat(extract->root_fd, extract->stage,
					   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (extract->stage_fd >= 0)
		return 0;
	incfs_error("can't write to '%s': %s", extract->dir, strerror(errno));
	return -1;
}

static void close_stage(struct extract *extract)
{
	for (size_t i = 0; i < extract->model->nr_nodes; i++)
		unstage(extract, extract->model->nodes[i]);
	close(extract->stage_fd);
	unlinkat(extract->root_fd, extract->stage, AT_REMOVEDIR);
}

static int write_all(struct extract *extract)
{
	int err;

	if (open_root(extract) || open_stage(extract))
		return -1;
	err = write_tree(extract);
	incfs_log_progress_end();
	close_stage(extract);
	if (!err && syncfs(extract->root_fd)) {
		incfs_error("can't sync '%s': %s", extract->dir, strerror(errno));
		err = -1;
	}
	if (extract->nr_failed)
		incfs_error("'%s': %zu files were not written, as their blocks are damaged",
			    extract->model->file->path, extract->nr_failed);
	return extract->nr_failed ? -1 : err;
}

int incfs_image_extract(struct incfs_model *model, const char *dir,
			const struct incfs_extract_options *options)
{
	struct extract *extract = calloc(1, sizeof(*extract));
	int err = -1;

	if (extract)
		extract->places = calloc(model->nr_nodes, sizeof(*extract->places));
	if (!extract || !extract->places) {
		incfs_error("%s", strerror(ENOMEM));
		goto out;
	}
	extract->model = model;
	extract->options = options;
	extract->dir = dir;
	extract->root_fd = -1;
	extract->stage_fd = -1;
	err = check_complete(extract) ? -1 : write_all(extract);
	if (extract->root_fd >= 0)
		close(extract->root_fd);
out:
	if (extract)
		free(extract->places);
	free(extract);
	return err;
}
