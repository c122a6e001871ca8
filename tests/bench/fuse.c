// SPDX-License-Identifier: GPL-2.0-only
/*
 * A peer of the benchmark: a FUSE server on the low-level interface that shows a
 * directory read-only: fuse [--no-readahead|--passthrough] DIR MOUNTPOINT.
 *
 * It is made to cost little. It knows the whole tree from its start, which must
 * not change after that; what it says may be cached for an hour, and file contents
 * for longer than they are open; it splices what is read, so that it never has the
 * bytes itself. Without readahead the kernel asks for what is accessed only; with
 * passthrough it reads the file below by itself.
 *
 * "ready" on standard output says that the tree can be read. A signal ends it.
 */
#define _GNU_SOURCE
#define FUSE_USE_VERSION 317
#include <fcntl.h>
#include <fts.h>
#include <fuse_lowlevel.h>
#include <getopt.h>
#include <unistd.h>

#include "lib/tap.h"

#define TIMEOUT 3600.0
#define READAHEAD (128 << 10)

/* One file or directory; its inode number is its index in nodes. */
struct node {
	char *name;
	char *path;
	struct stat st;
	fuse_ino_t parent;
	/* In the order of their names, nr_children of them. */
	struct node **children;
	size_t nr_children;
	/* What the kernel calls the file below, from the first open on; or 0. */
	int backing;
};

static struct node **nodes;
static size_t nr_nodes;
static bool no_readahead, passthrough;
static struct fuse_session *session;

static void *grown(void *array, size_t nr, size_t size)
{
	/* Where the number is a power of two there is no room left. */
	if (nr & (nr - 1))
		return array;
	array = realloc(array, (nr ? nr * 2 : 1) * size);
	if (!array)
		bail_out("memory");
	return array;
}

static struct node *node_add(struct node *parent, const FTSENT *entry)
{
	struct node *node = calloc(1, sizeof(*node));

	if (!node)
		bail_out("memory");
	node->name = strdup(entry->fts_name);
	node->path = strdup(entry->fts_path);
	if (!node->name || !node->path)
		bail_out("memory");
	node->st = *entry->fts_statp;
	node->st.st_ino = nr_nodes;
	node->parent = parent ? parent->st.st_ino : FUSE_ROOT_ID;
	nodes = grown(nodes, nr_nodes, sizeof(*nodes));
	nodes[nr_nodes++] = node;
	if (parent) {
		parent->children = grown(parent->children, parent->nr_children,
					 sizeof(*parent->children));
		parent->children[parent->nr_children++] = node;
	}
	return node;
}

static int by_name(const FTSENT **one, const FTSENT **other)
{
	return strcmp((*one)->fts_name, (*other)->fts_name);
}

static void tree_read(char *dir)
{
	char *paths[] = { dir, NULL };
	FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
	FTSENT *entry;

	/* There is no inode 0. */
	nodes = grown(NULL, 0, sizeof(*nodes));
	nodes[nr_nodes++] = NULL;
	while (fts && (entry = fts_read(fts))) {
		switch (entry->fts_info) {
		case FTS_D:
		case FTS_F:
			entry->fts_pointer = node_add(entry->fts_parent->fts_pointer, entry);
			break;
		case FTS_DP:
			break;
		default:
			bail_out("%s is neither file nor directory", entry->fts_path);
		}
	}
	if (nr_nodes == 1 || !S_ISDIR(nodes[FUSE_ROOT_ID]->st.st_mode))
		bail_out("%s is not a directory", dir);
	fts_close(fts);
}

static void tell_ready(void *data, struct fuse_conn_info *conn)
{
	(void)data;
	conn->max_readahead = no_readahead ? 0 : READAHEAD;
	fuse_set_feature_flag(conn, FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
	if (passthrough && !fuse_set_feature_flag(conn, FUSE_CAP_PASSTHROUGH)) {
		fprintf(stderr, "this kernel has no FUSE passthrough\n");
		fuse_session_exit(session);
		return;
	}
	puts("ready");
	fflush(stdout);
}

static struct fuse_entry_param entry_of(const struct node *node)
{
	return (struct fuse_entry_param){
		.ino = node->st.st_ino,
		.attr = node->st,
		.attr_timeout = TIMEOUT,
		.entry_timeout = TIMEOUT,
	};
}

static void look_up(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	const struct node *dir = nodes[parent];
	size_t low = 0, high = dir->nr_children, middle;
	/* Inode 0: that there is no such name may be cached too. */
	struct fuse_entry_param entry = { .entry_timeout = TIMEOUT };
	int order;

	while (low < high) {
		middle = low + (high - low) / 2;
		order = strcmp(name, dir->children[middle]->name);
		if (!order) {
			entry = entry_of(dir->children[middle]);
			break;
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	fuse_reply_entry(req, &entry);
}

static void get_attributes(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	(void)info;
	fuse_reply_attr(req, &nodes[ino]->st, TIMEOUT);
}

/* All openers of an inode have to have the same file below. */
static int back(fuse_req_t req, struct node *node, int fd)
{
	if (!node->backing)
		node->backing = fuse_passthrough_open(req, fd);
	return node->backing;
}

static void open_file(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	struct node *node = nodes[ino];
	int fd = open(node->path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		fuse_reply_err(req, errno);
		return;
	}
	info->fh = fd;
	if (!passthrough) {
		info->keep_cache = 1;
	} else {
		info->backing_id = back(req, node, fd);
		if (info->backing_id <= 0) {
			node->backing = 0;
			close(fd);
			fuse_reply_err(req, EIO);
			return;
		}
	}
	fuse_reply_open(req, info);
}

static void release_file(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	(void)ino;
	close(info->fh);
	fuse_reply_err(req, 0);
}

static void read_file(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		      struct fuse_file_info *info)
{
	struct fuse_bufvec bytes = FUSE_BUFVEC_INIT(size);

	(void)ino;
	bytes.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	bytes.buf[0].fd = info->fh;
	bytes.buf[0].pos = offset;
	fuse_reply_data(req, &bytes, FUSE_BUF_SPLICE_MOVE);
}

static void open_directory(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	(void)ino;
	info->cache_readdir = 1;
	info->keep_cache = 1;
	fuse_reply_open(req, info);
}

/* Positions: 1 is behind ".", 2 behind "..", and 3 behind the first child. */
static void list(fuse_req_t req, fuse_ino_t ino, size_t room, off_t at, bool plus)
{
	const struct node *dir = nodes[ino], *node;
	char *names = malloc(room);
	size_t used = 0, len;

	if (!names) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	for (; (size_t)at < dir->nr_children + 2; at++, used += len) {
		const char *name = at == 0 ? "." : "..";

		node = at == 0 ? dir : nodes[dir->parent];
		if (at >= 2) {
			node = dir->children[at - 2];
			name = node->name;
		}
		if (plus) {
			struct fuse_entry_param entry = entry_of(node);

			len = fuse_add_direntry_plus(req, names + used, room - used, name,
						     &entry, at + 1);
		} else {
			len = fuse_add_direntry(req, names + used, room - used, name,
						&node->st, at + 1);
		}
		if (len > room - used)
			break;
	}
	fuse_reply_buf(req, names, used);
	free(names);
}

static void list_names(fuse_req_t req, fuse_ino_t ino, size_t room, off_t at,
		       struct fuse_file_info *info)
{
	(void)info;
	list(req, ino, room, at, false);
}

static void list_entries(fuse_req_t req, fuse_ino_t ino, size_t room, off_t at,
			 struct fuse_file_info *info)
{
	(void)info;
	list(req, ino, room, at, true);
}

static const struct fuse_lowlevel_ops operations = {
	.init = tell_ready,
	.lookup = look_up,
	.getattr = get_attributes,
	.open = open_file,
	.release = release_file,
	.read = read_file,
	.opendir = open_directory,
	.readdir = list_names,
	.readdirplus = list_entries,
};

static void parse_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "no-readahead", no_argument, NULL, 'n' },
		{ "passthrough", no_argument, NULL, 'p' },
		{},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		no_readahead |= option == 'n';
		passthrough |= option == 'p';
		if (option == '?')
			exit(2);
	}
	if (argc - optind != 2 || (no_readahead && passthrough)) {
		fprintf(stderr, "usage: fuse [--no-readahead|--passthrough] DIR MOUNTPOINT\n");
		exit(2);
	}
}

int main(int argc, char **argv)
{
	char *arguments[] = { "fuse", "-oro,default_permissions,fsname=bench", NULL };
	struct fuse_args args = FUSE_ARGS_INIT(2, arguments);
	int result;

	parse_options(argc, argv);
	tree_read(argv[optind]);
	session = fuse_session_new(&args, &operations, sizeof(operations), NULL);
	if (!session || fuse_set_signal_handlers(session))
		bail_out("a FUSE session");
	if (fuse_session_mount(session, argv[optind + 1]))
		bail_out("mount on %s", argv[optind + 1]);
	result = fuse_session_loop(session);
	fuse_session_unmount(session);
	fuse_remove_signal_handlers(session);
	fuse_session_destroy(session);
	return result != 0;
}
