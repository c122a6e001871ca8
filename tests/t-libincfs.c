// SPDX-License-Identifier: GPL-2.0-only
/*
 * libincfs against the module: the tree that is declared, blocks of several files in one
 * call, what is told of them and of readers, sharing, two mounts at a time, a loader that
 * is killed; and arguments that make no sense, each of which is refused with a message.
 */
#define _GNU_SOURCE
#include <incfs/incfs.h>
#include <lz4.h>
#include <signal.h>

#include "lib/incfs.h"
#include "lib/tap.h"

#define MANY 300	/* blocks: more than the library hands over in one call */

static struct test_fs fs = { .image = "lib.img", .dir = "lib" };
static struct libincfs *lib;

/* It fails with @error, and says so; the message lives until the next call. */
#define refuses(call, error, ...)                                               \
	({                                                                      \
		int got_error = (call);                                         \
										\
		is_int(got_error, -(error), __VA_ARGS__);                       \
		if (!libincfs_message(lib)[0])                                  \
			ok(false, "with a message");                            \
	})

/* What has to succeed for the rest to make sense. */
static void must(int result, const char *what)
{
	if (result < 0)
		bail_out("%s: %s", what, libincfs_message(lib));
}

static struct libincfs_params params_of(const struct test_fs *on)
{
	return (struct libincfs_params) {
		.struct_size = sizeof(struct libincfs_params),
		.image = on->image, .path = on->dir, .max_files = 100,
	};
}

static struct libincfs_entry file_entry(const char *path, __u64 size)
{
	return (struct libincfs_entry) {
		.path = path, .type = LIBINCFS_FILE, .size = size, .mode = 0644,
		.mtime_sec = 981173106, .mtime_nsec = 123456789, .uid = 7, .gid = 8,
	};
}

static struct libincfs_entry dir_entry(const char *path)
{
	return (struct libincfs_entry) { .path = path, .type = LIBINCFS_DIR, .mode = 0755 };
}

static struct libincfs_entry link_entry(char type, const char *path, const char *target)
{
	return (struct libincfs_entry) {
		.path = path, .type = type, .target = target,
		.mode = type == LIBINCFS_SYMLINK ? 0777 : 0,
	};
}

/* A file for a test of its own. */
static __u64 declare_file(const char *path, __u64 size)
{
	struct libincfs_entry entry = file_entry(path, size);

	must(libincfs_declare(lib, &entry, 1), path);
	return entry.ino;
}

static void test_closed(void)
{
	struct libincfs_entry entry = file_entry("file", 1);
	struct libincfs_params params = params_of(&fs);
	struct libincfs_range range;
	struct libincfs_block block = {};
	struct libincfs_pending pending;
	struct libincfs_wait wait;
	struct libincfs_info info;
	struct libincfs_stats stats = { .struct_size = sizeof(stats) };
	uint64_t number = 0;
	uint32_t first = 0;

	/* Of a handle that is not open, and of none. */
	for (int i = 0; i < 2; i++) {
		struct libincfs *none = i ? NULL : lib;
		int error = i ? -EINVAL : -EBADF;
		const char *what = i ? "NULL" : "a closed handle";

		is_int(libincfs_close(none, 0), error, "%s can't be closed", what);
		is_int(libincfs_fd(none), error, "it has nothing to poll");
		is_int(libincfs_root_fd(none), error, "nor a root");
		is_int(libincfs_image_fd(none), error, "nor an image");
		is_int(libincfs_get_info(none, &info), error, "nothing is told of it");
		is_int(libincfs_get_stats(none, &stats), error, "nothing has happened");
		is_int(libincfs_set_policy(none, ""), error, "it has no policy");
		is_int(libincfs_declare(none, &entry, 1), error, "it takes no tree");
		is_int(libincfs_lookup(none, "", &number), error, "it has none");
		is_int(libincfs_remove(none, "file"), error, "nothing is removed");
		is_int(libincfs_get_key(none, 2, NULL, 0), error, "it has no keys");
		is_int(libincfs_fill(none, &block, 1), error, "it takes no block");
		is_int(libincfs_fill_range(none, 3, 0, "x", 1, 0), error, "nor a range");
		is_int(libincfs_share(none, 3, 0, 4, 0, 1, NULL), error, "it shares none");
		is_int(libincfs_present(none, 3, &first, &range, 1, &first), error, "it has none");
		is_int(libincfs_missing(none, 3, &first), error, "it misses none");
		is_int(libincfs_next(none, &wait, 1, 0), error, "nobody waits");
		is_int(libincfs_list_pending(none, &number, &pending, 1), error, "or has waited");
		is_int(libincfs_sync(none), error, "it can't be synced");
	}
	is_int(libincfs_open(NULL, &params), -EINVAL, "NULL can't be opened");
	is_int(libincfs_attach(NULL, "lib"), -EINVAL, "or attached");
	ok(libincfs_message(NULL)[0], "it has a message all the same");
	libincfs_free(NULL);
}

static void test_open(void)
{
	struct libincfs_params params = params_of(&fs), bad;
	struct {
		struct libincfs_params params;
		uint64_t more;
	} later = { .params = params };
	char source[256] = "", options[256] = "";
	struct libincfs_info info;

	refuses(libincfs_open(lib, NULL), EINVAL, "no parameters are refused");
	bad = params, bad.struct_size = 8;
	refuses(libincfs_open(lib, &bad), EINVAL, "too few of them are");
	bad = params, bad.image = NULL;
	refuses(libincfs_open(lib, &bad), EINVAL, "no image is");
	bad = params, bad.path = NULL;
	refuses(libincfs_open(lib, &bad), EINVAL, "no mount point is");
	bad = params, bad.path = "nowhere";
	refuses(libincfs_open(lib, &bad), ENOENT, "one that is not there is");
	bad = params, bad.flags = 1u << 31;
	refuses(libincfs_open(lib, &bad), EINVAL, "an unknown flag is");
	bad = params, bad.policy = "x,cmd_mode=0666";
	refuses(libincfs_open(lib, &bad), EINVAL, "options do not pass for a policy");
	bad = params, bad.flags = LIBINCFS_MUST_EXIST;
	refuses(libincfs_open(lib, &bad), ENOENT, "an image that must be there is not made");
	ok(access(fs.image, F_OK), "indeed");
	later.params.struct_size = sizeof(later);
	later.more = 1;
	refuses(libincfs_open(lib, &later.params), EINVAL, "what is not known is");
	refuses(libincfs_attach(lib, NULL), EINVAL, "nothing can't be attached to");
	refuses(libincfs_attach(lib, "lib"), ENODEV, "nor can what is not mounted");
	refuses(libincfs_attach(lib, "nowhere"), ENOENT, "nor what is not there");

	later.more = 0;
	is_int(libincfs_open(lib, &later.params), 0, "parameters of a later version are taken");
	is_str(libincfs_message(lib), "", "without a message");
	refuses(libincfs_open(lib, &params), EINVAL, "an open handle can't be opened");
	refuses(libincfs_attach(lib, "lib"), EINVAL, "or attached");
	refuses(libincfs_close(lib, 4), EINVAL, "unknown flags do not close it");
	ok(libincfs_fd(lib) >= 0 && libincfs_root_fd(lib) >= 0 && libincfs_image_fd(lib) >= 0,
	   "it has its descriptors");
	is_int(libincfs_get_info(lib, &info), 0, "it tells of the mount");
	ok(fs_proc_mounts(fs.dir, source, options, sizeof(source)) && source[0] == '/' &&
	   strstr(source, "/lib.img"), "the image is what is mounted, by its absolute path");
	ok(info.max_files == 100 && info.nr_files == 1 && info.read_timeout_ms == 0,
	   "as it was asked for");
	refuses(libincfs_get_info(lib, NULL), EINVAL, "not to nobody");
	refuses(libincfs_set_policy(lib, NULL), EINVAL, "no policy is refused");
	refuses(libincfs_set_policy(lib, "unknown"), ENOENT, "an unknown one is");
	refuses(libincfs_set_policy(lib, "a-name-that-is-longer-than-all-names-are"), EINVAL,
		"one with too long a name is");
	is_int(libincfs_set_policy(lib, "none"), 0, "'none' is one");
}

static bool stat_is(const char *name, mode_t mode, off_t size)
{
	struct stat st;

	return !lstat(fs_path(&fs, name), &st) && st.st_mode == mode && st.st_size == size;
}

static void test_tree(void)
{
	struct libincfs_entry tree[] = {
		dir_entry("dir"), dir_entry("dir/sub"), file_entry("dir/sub/file", 5000),
		file_entry("dir/other", 1), link_entry(LIBINCFS_SYMLINK, "dir/link", "../else"),
		link_entry(LIBINCFS_LINK, "again", "dir/sub/file"), file_entry("dir/sub/z", 2),
	}, entry;
	size_t nr = sizeof(tree) / sizeof(tree[0]);
	uint64_t ino, file;
	char text[64] = "";
	struct stat st;

	tree[0].key = "a key";
	tree[0].key_len = 5;
	is_int(libincfs_declare(lib, tree, nr), 0, "a tree is declared");
	file = tree[2].ino;
	ok(!stat(fs_path(&fs, "dir/sub"), &st) && st.st_mode == (S_IFDIR | 0755),
	   "directories are there");
	ok(stat_is("dir/sub/file", S_IFREG | 0644, 5000), "a file has mode and size");
	ok(!stat(fs_path(&fs, "dir/sub/file"), &st) && st.st_mtim.tv_sec == 981173106 &&
	   st.st_mtim.tv_nsec == 123456789 && st.st_uid == 7 && st.st_gid == 8,
	   "time and owner");
	ok(st.st_ino == file && st.st_nlink == 2, "a number and two names");
	is_int(tree[5].ino, file, "the other name has its number");
	ok(readlink(fs_path(&fs, "dir/link"), text, sizeof(text) - 1) == 7 &&
	   !strcmp(text, "../else"), "the symbolic link has its text");
	is_int(libincfs_get_key(lib, tree[0].ino, text, sizeof(text)), 5, "the key is kept");
	ok(!memcmp(text, "a key", 5), "as it was");
	is_int(libincfs_get_key(lib, tree[0].ino, NULL, 0), 5, "its length can be asked for");
	is_int(libincfs_get_key(lib, file, text, sizeof(text)), 0, "others have none");
	refuses(libincfs_get_key(lib, 12345, text, 1), ENOENT, "what is not there has none");
	refuses(libincfs_get_key(lib, file, NULL, 1), EINVAL, "it needs room");

	is_int(libincfs_declare(lib, tree, nr), 0, "the same tree can be declared again");
	is_int(tree[2].ino, file, "it has the same numbers");
	is_int(libincfs_declare(lib, NULL, 0), 0, "so can none at all");
	refuses(libincfs_declare(lib, NULL, 1), EINVAL, "but not one that is not there");

	entry = file_entry("dir/sub/file", 4999);
	refuses(libincfs_declare(lib, &entry, 1), EEXIST, "a file of another size is refused");
	entry = dir_entry("dir/other");
	refuses(libincfs_declare(lib, &entry, 1), EEXIST, "a directory for a file is");
	entry = link_entry(LIBINCFS_SYMLINK, "dir/link", "../elsewhere");
	refuses(libincfs_declare(lib, &entry, 1), EEXIST, "another symbolic link is");
	entry = link_entry(LIBINCFS_LINK, "dir/other", "again");
	refuses(libincfs_declare(lib, &entry, 1), EEXIST, "another name that is a file is");
	entry = link_entry(LIBINCFS_LINK, "new", "dir");
	refuses(libincfs_declare(lib, &entry, 1), EISDIR, "another name of a directory is");
	entry = link_entry(LIBINCFS_LINK, "new", "nothing");
	refuses(libincfs_declare(lib, &entry, 1), ENOENT, "one of nothing is");
	entry = file_entry("no/file", 1);
	refuses(libincfs_declare(lib, &entry, 1), ENOENT, "a directory must be there");
	entry = file_entry("dir/link/file", 1);
	refuses(libincfs_declare(lib, &entry, 1), ENOTDIR, "and be no symbolic link");
	entry = file_entry("dir/other/file", 1);
	refuses(libincfs_declare(lib, &entry, 1), ENOTDIR, "or file");

	is_int(libincfs_lookup(lib, "dir/sub/file", &ino), 0, "a path is found");
	is_int(ino, file, "by its number");
	is_int(libincfs_lookup(lib, "", &ino), 0, "so is the root");
	is_int(ino, LIBINCFS_ROOT, "with its own");
	is_int(libincfs_lookup(lib, "dir/link", &ino), 0, "so is a symbolic link");
	is_int(ino, tree[4].ino, "which is not followed");
	refuses(libincfs_lookup(lib, "dir/no", &ino), ENOENT, "nothing is not found");
	refuses(libincfs_lookup(lib, "dir", NULL), EINVAL, "nor is anything for nobody");
	refuses(libincfs_lookup(lib, NULL, &ino), EINVAL, "or by no name");

	refuses(libincfs_remove(lib, "dir/sub"), ENOTEMPTY, "a directory is not removed with all");
	is_int(libincfs_remove(lib, "dir/sub/z"), 0, "a name is");
	refuses(libincfs_remove(lib, "dir/sub/z"), ENOENT, "once");
	refuses(libincfs_remove(lib, ".."), EINVAL, "'..' is none");
	refuses(libincfs_remove(lib, NULL), EINVAL, "neither is NULL");
}

static void test_bad_entries(void)
{
	static const char *const paths[] = {
		"", "/", "/a", "a/", "a//b", ".", "..", "dir/../dir/new", "dir/.cmd", ".cmd", NULL,
	};
	struct libincfs_entry entry;
	struct libincfs_info before = {}, after = {};
	char longest[5000];

	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	must(libincfs_get_info(lib, &before), "information");
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		entry = file_entry(paths[i], 1);
		refuses(libincfs_declare(lib, &entry, 1), EINVAL, "the path '%s' is refused",
			paths[i] ?: "NULL");
	}
	entry = file_entry(longest, 1);
	refuses(libincfs_declare(lib, &entry, 1), EINVAL, "a path that is too long is");
	entry = file_entry(longest + sizeof(longest) - 1 - 256, 1);
	refuses(libincfs_declare(lib, &entry, 1), EINVAL, "so is a name");
	entry = link_entry(LIBINCFS_SYMLINK, "new", longest);
	refuses(libincfs_declare(lib, &entry, 1), ENAMETOOLONG, "and a target");
	entry = link_entry(LIBINCFS_SYMLINK, "new", NULL);
	refuses(libincfs_declare(lib, &entry, 1), EINVAL, "and none where one belongs");
	entry = file_entry("new", 1), entry.target = "file";
	refuses(libincfs_declare(lib, &entry, 1), EINVAL, "and one where none does");
	entry = file_entry("new", 1), entry.type = 'x';
	refuses(libincfs_declare(lib, &entry, 1), EINVAL, "an unknown type is refused");
	entry = file_entry("new", 1), entry.mode = 010644;
	refuses(libincfs_declare(lib, &entry, 1), EINVAL, "a mode with more than permissions is");
	entry = file_entry("new", 1), entry.mtime_nsec = 1000000000;
	refuses(libincfs_declare(lib, &entry, 1), EINVAL, "too many nanoseconds are");
	entry = file_entry("new", ~0ull);
	refuses(libincfs_declare(lib, &entry, 1), EFBIG, "too many bytes are");
	entry = dir_entry("new"), entry.size = 1;
	refuses(libincfs_declare(lib, &entry, 1), EINVAL, "a directory with a size is");
	entry = file_entry("new", 1), entry.key_len = 513, entry.key = longest;
	refuses(libincfs_declare(lib, &entry, 1), EINVAL, "too long a key is");
	entry.key_len = 1, entry.key = NULL;
	refuses(libincfs_declare(lib, &entry, 1), EINVAL, "one that is not there is");
	must(libincfs_get_info(lib, &after), "information");
	is_int(after.nr_files, before.nr_files, "nothing came of all of them");
}

static void test_fill(void)
{
	__u64 a = declare_file("a", MANY * BLOCK - 96), b = declare_file("b", 4 * BLOCK);
	static char data[2 * MANY][BLOCK];
	struct libincfs_block blocks[2 * MANY], bad = {};
	struct libincfs_range ranges[4];
	uint32_t first = 0, nr_blocks = 0, missing = 0, last = MANY - 1;
	struct stat st;
	size_t nr = 0;

	/* Blocks of both, the last of which is shorter: in one call. */
	for (__u32 i = 0; i < MANY; i++) {
		expected_block(a, i, data[nr]);
		blocks[nr] = (struct libincfs_block) {
			.ino = a, .block = i, .len = i == last ? BLOCK - 96 : BLOCK,
			.data = data[nr], .flags = i % 2 ? LIBINCFS_COMPRESS : 0,
		};
		nr++;
	}
	for (__u32 i = 1; i < 3; i++) {
		expected_block(b, i, data[nr]);
		blocks[nr] = (struct libincfs_block) {
			.ino = b, .block = i, .len = BLOCK, .data = data[nr],
		};
		nr++;
	}
	is_int(libincfs_fill(lib, blocks, nr), nr, "blocks of two files are taken in one call");
	is_int(blocks[nr - 1].stored, BLOCK, "and it is told in how many bytes");
	ok(block_reads(&fs, "a", a, 0, BLOCK) && block_reads(&fs, "a", a, 1, BLOCK) &&
	   block_reads(&fs, "a", a, 257, BLOCK) && block_reads(&fs, "a", a, last, BLOCK - 96) &&
	   block_reads(&fs, "b", b, 2, BLOCK), "they read as they should");
	is_int(libincfs_present(lib, b, &first, ranges, 4, &nr_blocks), 1, "what is there is told");
	ok(ranges[0].first == 1 && ranges[0].count == 2 && nr_blocks == 4 && first == 4,
	   "as a range");
	is_int(libincfs_missing(lib, b, &missing), 0, "and what is not");
	is_int(missing, 2, "two blocks");
	is_int(libincfs_missing(lib, a, &missing), 0, "the other");
	is_int(missing, 0, "misses none");
	is_int(libincfs_fill(lib, blocks, nr), nr, "blocks that are there are taken again");

	/* What compresses is stored in less. */
	memset(data[0], 'x', BLOCK);
	blocks[0] = (struct libincfs_block) {
		.ino = b, .len = BLOCK, .data = data[0], .flags = LIBINCFS_COMPRESS,
	};
	is_int(libincfs_fill(lib, blocks, 1), 1, "a block is compressed");
	ok(blocks[0].stored < 100, "to a few bytes");
	ok(read_block(&fs, "b", 0, data[1]) == BLOCK && !memcmp(data[0], data[1], BLOCK),
	   "and reads as it was");
	is_int(libincfs_fill_range(lib, b, 3, data[0], BLOCK, 0), 0, "a range of one is taken");

	/* What is compressed already is stored as it comes. */
	blocks[0] = (struct libincfs_block) {
		.ino = declare_file("c", BLOCK), .data = data[1], .flags = LIBINCFS_LZ4,
		.len = LZ4_compress_default(data[0], data[1], BLOCK, BLOCK),
	};
	is_int(libincfs_fill(lib, blocks, 1), 1, "a block that is LZ4 already is taken");
	ok(blocks[0].stored == blocks[0].len && blocks[0].len < 100, "as it is");
	ok(read_block(&fs, "c", 0, data[1]) == BLOCK && !memcmp(data[0], data[1], BLOCK),
	   "and reads as what it stands for");
	blocks[0] = (struct libincfs_block) {
		.ino = b, .data = data[1], .flags = LIBINCFS_LZ4, .len = 2 * BLOCK + 1,
	};
	is_int(libincfs_fill(lib, blocks, 1), 0, "one that is too long is not");
	is_int(blocks[0].result, -E2BIG, "and says so");

	/* Each block has its own result. */
	blocks[0] = (struct libincfs_block) { .ino = b, .block = 4, .len = BLOCK, .data = data };
	blocks[1] = (struct libincfs_block) { .ino = b, .block = 3, .len = BLOCK, .data = data };
	blocks[2] = (struct libincfs_block) { .ino = 999, .len = BLOCK, .data = data };
	blocks[3] = (struct libincfs_block) { .ino = b, .len = BLOCK + 1, .data = data };
	is_int(libincfs_fill(lib, blocks, 4), 1, "others are taken when some are not");
	ok(blocks[0].result == -ERANGE && !blocks[1].result && blocks[2].result == -ENOENT &&
	   blocks[3].result < 0, "each says why");
	ok(strstr(libincfs_message(lib), "block 4 of inode"), "the first of them in words");

	bad = (struct libincfs_block) { .ino = b, .len = BLOCK, .data = data, .flags = 3 };
	refuses(libincfs_fill(lib, &bad, 1), EINVAL, "flags that exclude each other are refused");
	bad.flags = 0, bad.reserved = 1;
	refuses(libincfs_fill(lib, &bad, 1), EINVAL, "what is reserved is");
	refuses(libincfs_fill(lib, NULL, 1), EINVAL, "no array is");
	refuses(libincfs_fill(lib, &bad, (size_t)-1), EINVAL, "a huge one is");
	is_int(libincfs_fill(lib, NULL, 0), 0, "none is taken for what it is");
	bad = (struct libincfs_block) { .ino = a, .len = BLOCK, .flags = LIBINCFS_COMPRESS };
	is_int(libincfs_fill(lib, &bad, 1), 0, "a block without data is not taken");
	ok(bad.result < 0, "and has an error");
	bad.data = data, bad.len = 0;
	is_int(libincfs_fill(lib, &bad, 1), 0, "nor is an empty one");
	refuses(libincfs_fill_range(lib, b, 0, NULL, 1, 0), EINVAL, "a range of nothing is not");
	refuses(libincfs_fill_range(lib, b, 0, data, 0, 0), EINVAL, "an empty one is");
	refuses(libincfs_fill_range(lib, b, 0, data, 1, LIBINCFS_LZ4), EINVAL, "one as LZ4 is");
	refuses(libincfs_fill_range(lib, b, ~0u, data, 2 * BLOCK, 0), ERANGE,
		"one past all blocks is");
	refuses(libincfs_fill_range(lib, b, 4, data, BLOCK, 0), ERANGE, "one past the file is");
	refuses(libincfs_fill_range(lib, 999, 0, data, 1, 0), ENOENT, "one of nothing is");

	refuses(libincfs_present(lib, b, NULL, ranges, 4, &nr_blocks), EINVAL,
		"what is there needs a start");
	refuses(libincfs_present(lib, b, &first, ranges, 0, &nr_blocks), EINVAL, "room");
	refuses(libincfs_present(lib, b, &first, NULL, 4, &nr_blocks), EINVAL, "an array");
	refuses(libincfs_present(lib, b, &first, ranges, 4, NULL), EINVAL, "and an end");
	refuses(libincfs_present(lib, 999, &first, ranges, 4, &nr_blocks), ENOENT, "and a file");
	refuses(libincfs_present(lib, LIBINCFS_ROOT, &first, ranges, 4, &nr_blocks), EISDIR,
		"which is no directory");
	refuses(libincfs_missing(lib, b, NULL), EINVAL, "so does what is not");
	refuses(libincfs_missing(lib, 999, &missing), ENOENT, "as well");
	is_int(libincfs_sync(lib), 0, "all of it can be synced");
	ok(!fstat(libincfs_image_fd(lib), &st) && st.st_size > MANY * BLOCK / 2,
	   "it is in the image");
}

static void test_share(void)
{
	__u64 from = declare_file("from", 6000 * BLOCK), to = declare_file("to", 6000 * BLOCK);
	uint32_t shared = 77;

	fill_raw(&fs, from, 0, BLOCK);
	fill_raw(&fs, from, 5999, BLOCK);
	is_int(libincfs_share(lib, from, 0, to, 0, 6000, &shared), 0, "blocks are shared");
	is_int(shared, 2, "those that are there, of more than one call");
	ok(block_reads(&fs, "to", from, 5999, BLOCK), "they read as the other's");
	is_int(libincfs_share(lib, from, 0, to, 0, 1, NULL), 0, "the count need not be told");
	refuses(libincfs_share(lib, from, 0, to, 0, 0, &shared), EINVAL, "none are refused");
	is_int(shared, 0, "and the count is set");
	refuses(libincfs_share(lib, from, 0, to, 1, 6000, NULL), ERANGE, "too many are");
	refuses(libincfs_share(lib, 999, 0, to, 0, 1, NULL), ENOENT, "those of nothing are");
	refuses(libincfs_share(lib, from, 0, LIBINCFS_ROOT, 0, 1, NULL), EISDIR, "as for nothing");
}

static void test_waits(void)
{
	__u64 ino = declare_file("waits", 4 * BLOCK);
	struct libincfs_pending pending[4];
	struct libincfs_wait waits[4];
	uint64_t after = 0;
	struct reader reader;
	char data[BLOCK];

	is_int(libincfs_next(lib, waits, 4, 0), 0, "nobody waits");
	is_int(libincfs_next(lib, waits, 4, 20), 0, "nor in a while");
	reader_start(&reader, &fs, "waits", 2, READ_PREAD);
	is_int(libincfs_next(lib, waits, 4, -1), 1, "a reader that starts to is told");
	ok(waits[0].ino == ino && waits[0].block == 2, "with what it waits for");
	is_int(libincfs_next(lib, waits, 4, 0), 0, "once");
	is_int(libincfs_list_pending(lib, &after, pending, 4), 1, "the list still has it");
	ok(pending[0].ino == ino && pending[0].block == 2 && pending[0].readers == 1 &&
	   pending[0].tgid == (uint32_t)getpid() && after == pending[0].serial, "with more of it");
	is_int(libincfs_list_pending(lib, &after, pending, 4), 0, "there is none after it");
	expected_block(ino, 2, data);
	is_int(libincfs_fill_range(lib, ino, 2, data, BLOCK, 0), 0, "the block is handed over");
	is_int(reader_join(&reader), BLOCK, "the reader has it");
	ok(is_expected(ino, 2, reader.data, BLOCK), "as it should be");
	refuses(libincfs_next(lib, NULL, 4, 0), EINVAL, "waits need an array");
	refuses(libincfs_next(lib, waits, 0, 0), EINVAL, "and room");
	refuses(libincfs_list_pending(lib, NULL, pending, 4), EINVAL, "the list needs a start");
	refuses(libincfs_list_pending(lib, &after, NULL, 4), EINVAL, "an array");
	refuses(libincfs_list_pending(lib, &after, pending, 0), EINVAL, "and room");
}

/* Serve all that is waited for on a mount until there was @want of it. */
static void serve(struct libincfs *of, int want)
{
	struct libincfs_wait wait;
	char data[BLOCK];

	while (want && libincfs_next(of, &wait, 1, SOON) == 1) {
		expected_block(wait.ino, wait.block, data);
		if (!libincfs_fill_range(of, wait.ino, wait.block, data, BLOCK, LIBINCFS_COMPRESS))
			want--;
	}
}

static void test_two_mounts(void)
{
	struct test_fs other = { .image = "other.img", .dir = "other" };
	struct libincfs_params params = params_of(&other), same = params_of(&fs);
	struct libincfs *second = libincfs_new(), *third = libincfs_new();
	struct libincfs_entry entry = file_entry("waits", 4 * BLOCK);
	struct libincfs_wait wait;
	struct reader here, there;
	uint64_t ino = 0;

	is_int(libincfs_open(second, &params), 0, "another image is mounted by another handle");
	is_int(libincfs_declare(second, &entry, 1), 0, "with a tree of its own");
	ok(!libincfs_lookup(lib, "waits", &ino) && ino != entry.ino, "numbers are its own");
	reader_start(&there, &other, "waits", 1, READ_PREAD);
	is_int(libincfs_next(second, &wait, 1, SOON), 1, "its readers are told to it");
	is_int(libincfs_next(lib, &wait, 1, 0), 0, "and to no other");
	reader_start(&here, &fs, "waits", 3, READ_PREAD);
	serve(lib, 1);
	ok(reader_join(&here) == BLOCK && is_expected(ino, 3, here.data, BLOCK),
	   "a reader here gets what is handed over here");
	ok(!reader_done(&there), "the one there waits on");

	is_int(libincfs_open(third, &same), -EBUSY, "an image has one loader");
	ok(strstr(libincfs_message(third), "another loader uses it"), "which is said");
	is_int(libincfs_attach(third, "other"), 0, "a tool can attach to its mount");
	is_int(libincfs_image_fd(third), -ENOENT, "without its image");
	serve(third, 1);
	ok(reader_join(&there) == BLOCK && is_expected(entry.ino, 1, there.data, BLOCK),
	   "and hand over what is waited for there");
	libincfs_free(third);
	is_int(libincfs_close(second, LIBINCFS_UNMOUNT), 0, "the other is unmounted");
	is_str(libincfs_message(lib), "", "which is nothing to the first");
	is_int(libincfs_open(second, &params), 0, "its handle can be used again");
	is_int(libincfs_missing(second, entry.ino, &(uint32_t) { 0 }), 0, "the file is there");
	is_int(libincfs_close(second, LIBINCFS_UNMOUNT), 0, "and closed again");
	libincfs_free(second);
}

/* A tree that needs all the inodes there are, in an image that was empty. */
static void test_limit(void)
{
	struct test_fs small = { .image = "other.img", .dir = "other" };
	struct libincfs_params params = params_of(&small);
	struct libincfs *of = libincfs_new();
	struct libincfs_entry tree[] = {
		dir_entry("d"), file_entry("d/a", 1), file_entry("d/b", 1), file_entry("d/c", 1),
	};

	unlink(small.image);
	params.max_files = 4;
	is_int(libincfs_open(of, &params), 0, "a mount for three files");
	is_int(libincfs_declare(of, tree, 4), -ENFILE, "a fourth one is refused");
	ok(strstr(libincfs_message(of), "'d/c': the mount has room for 4 files"), "by name");
	ok(tree[2].ino && !tree[3].ino, "those before it have numbers");
	is_int(libincfs_declare(of, tree, 3), 0, "they can be declared again");
	is_int(libincfs_close(of, LIBINCFS_UNMOUNT), 0, "and the mount closed");
	libincfs_free(of);
}

/* A loader that is killed while it serves; readers wait for the next one. */
static void test_killed(void)
{
	struct libincfs_params params = params_of(&fs);
	struct libincfs_entry entry = file_entry("killed", 64 * BLOCK);
	struct libincfs_info before = {}, after = {};
	pid_t loader, readers[4];
	uint32_t missing = 0;
	int opened, fine = 0;

	must(libincfs_declare(lib, &entry, 1), "a file");
	must(libincfs_get_info(lib, &before), "information");
	must(libincfs_close(lib, 0), "closing");
	for (int i = 0; i < 4; i++)
		readers[i] = reader_fork(&fs, "killed", entry.ino, 16 * i, READ_PREAD);
	loader = fork();
	if (!loader) {
		if (libincfs_open(lib, &params) != 1)
			_exit(1);
		serve(lib, 2);
		for (;;)
			pause();
	}
	must(libincfs_attach(lib, fs.dir), "attaching");
	ok(wait_until(!libincfs_missing(lib, entry.ino, &missing) && missing == 62),
	   "a loader in another process serves two readers");
	must(libincfs_close(lib, 0), "closing");
	kill(loader, SIGKILL);
	is_int(wait_exit(loader), 128 + SIGKILL, "it is killed");
	opened = libincfs_open(lib, &params);
	is_int(opened, 1, "the next one goes on with the mount");
	must(libincfs_get_info(lib, &after), "information");
	is_int(after.mount_id, before.mount_id, "which is the same");
	is_int(libincfs_declare(lib, &entry, 1), 0, "it declares the same tree");
	is_int(after.nr_files, before.nr_files, "nothing is added");
	serve(lib, 2);
	for (int i = 0; i < 4; i++)
		fine += !wait_exit(readers[i]);
	is_int(fine, 4, "no reader is lost, and none gets a wrong byte");
}

static void test_stats(void)
{
	struct {
		struct libincfs_stats stats;
		uint64_t more;
	} later = { .stats.struct_size = sizeof(later), .more = 1 };
	struct libincfs_stats stats = { .struct_size = sizeof(stats) }, bad = stats;
	struct incfs_stats now;

	must(ioctl(fs.cmd, INCFS_IOC_GET_STATS, &now), "GET_STATS");
	is_int(libincfs_get_stats(lib, &stats), 0, "what has happened is told");
	ok(now.blocks_filled > 0 && !memcmp(&stats.blocks_filled, &now, sizeof(now)),
	   "as the file system has it");
	is_int(libincfs_get_stats(lib, &later.stats), 0, "to callers of a later version, too");
	ok(later.stats.blocks_filled == now.blocks_filled && !later.more, "with 0 for the rest");
	refuses(libincfs_get_stats(lib, NULL), EINVAL, "not to nobody");
	bad.struct_size--;
	refuses(libincfs_get_stats(lib, &bad), EINVAL, "nor where there is no room");
	bad = stats, bad.reserved = 1;
	refuses(libincfs_get_stats(lib, &bad), EINVAL, "nor what is not known");
}

/* A mount is gone on with by the image that it is of, whatever that is called by now. */
static void test_other_image(void)
{
	struct libincfs_params params = params_of(&fs), other = params;

	must(libincfs_close(lib, 0), "closing");
	other.image = "other.img";
	refuses(libincfs_open(lib, &other), EEXIST, "a mount of another image is refused");
	ok(strstr(libincfs_message(lib), fs.image) && strstr(libincfs_message(lib), "other.img"),
	   "with the names of both");
	other.image = "nowhere.img";
	refuses(libincfs_open(lib, &other), EEXIST, "so it is with no image");
	ok(access("nowhere.img", F_OK), "which is not made");
	must(link(fs.image, "again.img") ? -errno : 0, "linking");
	other.image = "again.img";
	is_int(libincfs_open(lib, &other), 1, "another name of it will do");
	must(libincfs_close(lib, 0), "closing");
	must(unlink(fs.image) ? -errno : 0, "removing");
	is_int(libincfs_open(lib, &other), 1, "also if it is the only one");
	must(libincfs_close(lib, 0), "closing");
	must(rename("again.img", fs.image) ? -errno : 0, "renaming");
	is_int(libincfs_open(lib, &params), 1, "or that of the mount");
}

/* What is mounted for reading only can be asked, and not changed. */
static void test_read_only(void)
{
	struct libincfs_entry entry = file_entry("never", 1);
	struct libincfs_params params = params_of(&fs);
	uint64_t ino;
	int busy;

	busy = open(fs.dir, O_RDONLY | O_DIRECTORY);
	refuses(libincfs_close(lib, LIBINCFS_UNMOUNT), EBUSY, "what is in use stays mounted");
	is_int(libincfs_fd(lib), -EBADF, "the handle is closed");
	close(busy);
	must(libincfs_open(lib, &params), "opening");
	is_int(libincfs_close(lib, LIBINCFS_UNMOUNT), 0, "what is not is unmounted");
	if (run_shell("exec 9<%s; mount -t incremental-fs -o ro,backing_fd=9 any %s", fs.image,
		      fs.dir))
		bail_out("mount");
	is_int(libincfs_attach(lib, fs.dir), 0, "a read-only mount can be attached to");
	is_int(libincfs_lookup(lib, "dir/sub/file", &ino), 0, "and asked");
	ok(libincfs_declare(lib, &entry, 1) < 0 && libincfs_message(lib)[0], "not added to");
	ok(libincfs_fill_range(lib, ino, 0, "x", 1, 0) < 0 && libincfs_message(lib)[0],
	   "nor filled");
	is_int(libincfs_close(lib, LIBINCFS_UNMOUNT), 0, "and unmounted");
}

int main(void)
{
	if (mkdir("lib", 0755) || mkdir("other", 0755))
		bail_out("mkdir");
	lib = libincfs_new();
	if (!lib)
		bail_out("a handle");
	test_closed();
	test_open();
	/* For what the tests do without the library. */
	fs.cmd = fs_open_cmd(&fs, O_RDWR);
	test_tree();
	test_bad_entries();
	test_fill();
	test_share();
	test_waits();
	test_two_mounts();
	test_limit();
	test_killed();
	test_stats();
	close(fs.cmd);
	test_other_image();
	test_read_only();
	libincfs_free(lib);
	return done();
}
