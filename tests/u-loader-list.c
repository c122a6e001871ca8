// SPDX-License-Identifier: GPL-2.0-only
/* Lists of files: what is taken, and what is refused, and in which line. */
#include "lib/tap.h"

#include "list.h"

static int parse(struct incfs_list *list, const char *text, size_t size)
{
	char *copy = malloc(size + 1);

	memcpy(copy, text, size);
	return incfs_list_parse(list, copy, size);
}

/* The list is refused, and the reason holds @reason. */
static void refused_bytes(const char *text, size_t size, const char *reason, const char *name)
{
	struct incfs_list list;
	int err = parse(&list, text, size);
	bool right = err == -EINVAL && strstr(list.error, reason);

	ok(right, "refused: %s", name);
	if (!right)
		diag("%d: '%s' instead of '%s'", err, list.error, reason);
	incfs_list_destroy(&list);
}

static void refused(const char *body, const char *reason, const char *name)
{
	char text[1024];

	snprintf(text, sizeof(text), "incfs-list 1\n%s", body);
	refused_bytes(text, strlen(text), reason, name);
}

static void refused_path(const char *path, const char *reason, const char *name)
{
	char body[8192], *text;

	snprintf(body, sizeof(body), "f 0644 1 %s\nend 1\n", path);
	if (asprintf(&text, "incfs-list 1\n%s", body) < 0)
		abort();
	refused_bytes(text, strlen(text), reason, name);
	free(text);
}

static void refused2(const char *body, const char *reason, const char *name)
{
	char text[1024];

	snprintf(text, sizeof(text), "incfs-list 2\n%s", body);
	refused_bytes(text, strlen(text), reason, name);
}

/* What version 2 has more: times, and symbolic links. */
static void test_version_2(void)
{
	static const char text[] =
		"incfs-list 2\n"
		"d 0755 0 1700000000 a\n"
		"f 0644 4097 -5.000000001 a/b\n"
		"l 0 0 a/c a/b\n"
		"s 0 0 0 a/d ../..\\x20//\n"
		"end 4\n";
	struct incfs_list list;
	int err = parse(&list, text, sizeof(text) - 1);

	ok(!err && list.version == 2, "a list of version 2 is taken");
	if (err)
		diag("%s", list.error);
	ok(list.entries[0].mtime == 1700000000 && !list.entries[0].mtime_nsec, "with its times");
	ok(list.entries[1].mtime == -5 && list.entries[1].mtime_nsec == 1, "all of them");
	ok(list.entries[2].target == &list.entries[1], "further names have none");
	ok(list.entries[3].type == INCFS_ENTRY_SYMLINK &&
	   !strcmp(list.entries[3].target_path, "../.. //") && !list.entries[3].target,
	   "symbolic links lead anywhere");
	incfs_list_destroy(&list);

	refused("s 0 0 a b\nend 1\n", "line 2: starts with none", "symbolic links in version 1");
	refused("f 0644 1 0 a\nend 1\n", "line 2", "times in version 1");
	refused2("f 0644 1 a\nend 1\n", "line 2: is not 'TYPE MODE SIZE TIME PATH'", "no time");
	refused2("l 0 0 0 a b\nend 1\n", "line 2", "a time of a further name");
	refused2("s 0 0 0 a\nend 1\n", "line 2: is not", "a symbolic link without a text");
	refused2("s 0 0 0 a \nend 1\n", "line 2: is not", "one with an empty text");
	refused2("s 0 1 0 a b\nend 1\n", "line 2: size", "one with a size");
	refused2("s 0777 0 0 a b\nend 1\n", "line 2: mode", "one with a mode");
	refused2("s 0 0 0 a b c\nend 1\n", "line 2: is not", "one with two texts");
	refused2("s 0 0 0 a b\\x00\nend 1\n", "line 2: 'b", "one with a NUL");
	refused2("s 0 0 0 a b\\x61\nend 1\n", "line 2: 'b", "one that is escaped without need");
	refused2("s 0 0 0 a b\nf 0644 1 0 a/c\nend 2\n", "line 3: 'a/c' is in no directory",
		 "a file in a symbolic link");
	refused2("l 0 0 a b\ns 0 0 0 b c\nend 2\n", "'b', which is no file",
		 "another name of a symbolic link");
	for (const char *const *time = (const char *const []){
		     "", "x", "-", "-0", "00", "1.", "1.5", "1.000000000", "1.0000000001", "1.00000000x",
		     "9223372036854775808", "--1", "+1", "1.-00000001", NULL }; *time; time++) {
		char body[128];

		snprintf(body, sizeof(body), "d 0755 0 %s a\nend 1\n", *time);
		refused2(body, **time ? "line 2: time" : "line 2: is not", *time);
	}
}

static void test_taken(void)
{
	static const char text[] =
		"incfs-list 1\n"
		"d 0755 0 a\n"
		"f 0644 4097 a/b\n"
		"d 0755 0 a/c\n"
		"f 0444 0 a/c/d\\x20\\x0a\\xff\\x5c\n"
		"l 0 0 a.link z\n"
		"f 0755 8192 z\n"
		"end 6\n";
	struct incfs_list list;
	int err = parse(&list, text, sizeof(text) - 1);

	ok(!err, "a list is taken");
	if (err)
		diag("%s", list.error);
	ok(list.nr_entries == 6 && list.nr_files == 3 && list.nr_blocks == 4,
	   "its entries, files and blocks are counted");
	ok(!strcmp(list.entries[3].path, "a/c/d \n\xff\\"), "escapes are undone");
	ok(list.entries[3].parent == &list.entries[2] && list.entries[2].parent == &list.entries[0] &&
	   !list.entries[4].parent, "parents are found");
	ok(list.entries[4].target == &list.entries[5], "links may point forward");
	ok(list.entries[1].mode == 0644 && list.entries[1].size == 4097, "mode and size are read");
	incfs_list_destroy(&list);

	err = parse(&list, "incfs-list 1\nend 0\n", 19);
	ok(!err && !list.nr_entries, "an empty list is taken");
	incfs_list_destroy(&list);
}

static void test_frame(void)
{
	refused_bytes("", 0, "line 1", "nothing");
	refused_bytes("incfs-list 3\nend 0\n", 19, "line 1: is 'incfs-list 3'", "another version");
	refused_bytes("incfs-list 1\nend 0", 18, "line 2: is missing, or cut", "no end of line");
	refused_bytes("incfs-list 1\nf 0644 1 a\0b\nend 1\n", 32, "line 2: has a NUL", "a NUL");
	refused("", "line 2: is missing", "no end");
	refused("f 0644 1 a\n", "line 3: is missing", "no end after an entry");
	refused("f 0644 1 a\nend 2\n", "line 3: promises '2'", "entries missing");
	refused("end 0\nf 0644 1 a\n", "line 3: comes after", "something after the end");
	refused("end -1\n", "line 2: promises", "a negative count");
	refused("\nend 0\n", "line 2: starts with none", "an empty line");
	refused("f 0644 1 a\r\nend 1\n", "line 2: 'a\r': a byte", "a carriage return");
}

static void test_fields(void)
{
	refused("x 0644 1 a\nend 1\n", "line 2: starts with none", "an unknown type");
	refused("f 0644 1\nend 1\n", "line 2: is not 'TYPE", "a field missing");
	refused("f 0644 1 a b\nend 1\n", "line 2: is not 'TYPE", "a field too many");
	refused("f  0644 1 a\nend 1\n", "line 2: is not 'TYPE", "two spaces");
	refused("f 0844 1 a\nend 1\n", "line 2: mode '0844'", "a mode that is not octal");
	refused("f 7777 1 a\nend 1\n", "line 2: mode '7777'", "setuid");
	refused("f 0644 -1 a\nend 1\n", "line 2: size '-1'", "a negative size");
	refused("f 0644 01 a\nend 1\n", "line 2: size '01'", "a size with a zero before it");
	refused("f 0644 18446744073709551616 a\nend 1\n", "line 2: size", "a size that overflows");
	refused("f 0644 17592186040321 a\nend 1\n", "line 2: size", "a file that is too large");
	refused("f 0644 17592186040320 a\nf 0644 1 b\nend 2\n", "line 3: all files together",
		"files that are too large together");
	refused("d 0755 1 a\nend 1\n", "line 2: size", "a directory with a size");
}

static void test_paths(void)
{
	char name[300] = "", *deep = calloc(1, 5000);

	memset(name, 'n', 256);
	for (int i = 0; i < 2100; i++)
		strcat(deep, i ? "/x" : "x");
	refused_path("/a", "line 2: '/a' is absolute", "an absolute path");
	refused_path("..", "line 2: '..' has '..'", "the directory above");
	refused_path("a/../b", "line 2: 'a/../b' has '..'", "the directory above, inside a path");
	refused_path("./a", "has '.'", "the directory itself");
	refused_path("a//b", "has an empty name", "an empty name");
	refused_path("a/", "has an empty name", "a slash at the end");
	refused_path(".cmd", "has '.cmd'", ".cmd in the root");
	refused_path("a/.cmd", "has '.cmd'", ".cmd elsewhere");
	refused_path(name, "more than 255", "a name of 256 bytes");
	refused_path(deep, "longer than 4095", "a path of 4199 bytes");
	refused_path("a\\", "a bad escape", "an escape that ends early");
	refused_path("a\\x4", "a bad escape", "an escape with one digit");
	refused_path("a\\x0G", "a bad escape", "an escape that is not hexadecimal");
	refused_path("a\\xFF", "a bad escape", "an escape in capitals");
	refused_path("a\\x00", "a bad escape", "an escaped NUL");
	refused_path("a\\x41", "a bad escape", "an escape without need");
	refused_path("a\\x2e\\x2e", "a bad escape", "escaped dots");
	refused_path("a\\x2fb", "a bad escape", "an escaped slash");
	refused_path("\xc3\xa4", "must be escaped", "a byte that must be escaped");
	free(deep);
}

static void test_order(void)
{
	refused("f 0644 1 a\nf 0644 1 a\nend 2\n", "line 3: 'a' is there twice", "a path twice");
	refused("f 0644 1 b\nf 0644 1 a\nend 2\n", "line 3: 'a' is there twice, or out of order",
		"paths out of order");
	refused("f 0644 1 a/b\nend 1\n", "line 2: 'a/b' is in no directory", "no parent");
	refused("f 0644 1 a\nf 0644 1 a/b\nend 2\n", "line 3: 'a/b' is in no directory",
		"a file as parent");
	refused("d 0755 0 a\nd 0755 0 b\nf 0644 1 a/c\nend 3\n", "line 4: 'a/c' is there twice, or out",
		"a child that comes too late");
	refused("l 0 0 a b\nend 1\n", "line 2: 'a' is another name of 'b', which is not listed",
		"a link to nowhere");
	refused("d 0755 0 a\nl 0 0 b a\nend 2\n", "line 3: 'b' is another name of 'a', which is no file",
		"a link to a directory");
	refused("f 0644 1 a\nl 0 0 b a\nl 0 0 c b\nend 3\n", "line 4: 'c' is another name of 'b', which is no file",
		"a link to a link");
	refused("l 0 0 a a\nend 1\n", "which is no file", "a link to itself");
	refused("f 0644 1 a\nl 0 0 b ../a\nend 2\n", "line 3: '../a' has '..'", "a link that leads out");
}

static void test_limits(void)
{
	size_t size = INCFS_LIST_MAX_LINE + 100;
	char *text = malloc(size);

	memset(text, 'x', size);
	memcpy(text, "incfs-list 1\n", 13);
	text[size - 1] = '\n';
	refused_bytes(text, size, "line 2: is", "a line that is too long");
	memset(text, '\n', size);
	refused_bytes(text, size, "line 1", "lines only");
	free(text);
}

int main(void)
{
	test_taken();
	test_version_2();
	test_frame();
	test_fields();
	test_paths();
	test_order();
	test_limits();
	return done();
}
