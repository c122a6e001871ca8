// SPDX-License-Identifier: GPL-2.0-only
/* What a bundle has in common with its base: what is taken, and what is refused. */
#include "lib/tap.h"

#include "base.h"

static const char list_text[] =
	"incfs-list 1\n"
	"d 0755 0 a\n"
	"f 0644 8193 a/b\n"
	"f 0644 0 a/c\n"
	"l 0 0 a/d a/b\n"
	"f 0644 4096000 e\n"
	"end 5\n";

static struct incfs_list list;

static char *copy_of(const char *text, size_t size)
{
	char *copy = malloc(size + 1);

	memcpy(copy, text, size);
	return copy;
}

static void refused_bytes(const char *text, size_t size, const char *reason, const char *name)
{
	struct incfs_base base;
	int err = incfs_base_parse(&base, &list, copy_of(text, size), size);
	bool right = err == -EINVAL && strstr(base.error, reason);

	ok(right, "refused: %s", name);
	if (!right)
		diag("%d: '%s' instead of '%s'", err, base.error, reason);
	incfs_base_destroy(&base);
}

static void refused(const char *body, const char *reason, const char *name)
{
	char text[8192];

	snprintf(text, sizeof(text), "incfs-base 1\n%s", body);
	refused_bytes(text, strlen(text), reason, name);
}

static void is_run(const struct incfs_base *base, size_t entry, __u32 block, const char *from,
		   __u32 first, __u32 count, __u32 from_block)
{
	const struct incfs_base_run *run = incfs_base_find(base, entry, block);

	ok(run && run->entry == entry && run->first == first && run->count == count &&
	   run->from_block == from_block && !strcmp(base->from[run->from], from),
	   "block %u of entry %zu is found in '%s'", block, entry, from);
}

static void test_taken(void)
{
	static const char text[] =
		"incfs-base 1\n"
		"t 1\n0 1 7\nf old\\x20name\n1 1 0\n2 1 4294967294\n"
		"t 4\n10 5 10\n15 10 500\nf a/b\n990 10 0\n"
		"end 10\n";
	struct incfs_base base;
	int err = incfs_base_parse(&base, &list, copy_of(text, strlen(text)), strlen(text));

	ok(!err, "what is right is taken");
	if (err)
		diag("%s", base.error);
	ok(base.nr_runs == 6 && base.nr_from == 4 && base.nr_blocks == 28, "all of it");
	is_run(&base, 1, 0, "a/b", 0, 1, 7);
	is_run(&base, 1, 1, "old name", 1, 1, 0);
	is_run(&base, 1, 2, "old name", 2, 1, 4294967294u);
	is_run(&base, 4, 10, "e", 10, 5, 10);
	is_run(&base, 4, 14, "e", 10, 5, 10);
	is_run(&base, 4, 24, "e", 15, 10, 500);
	is_run(&base, 4, 999, "a/b", 990, 10, 0);
	ok(!incfs_base_find(&base, 4, 9) && !incfs_base_find(&base, 4, 25) &&
	   !incfs_base_find(&base, 4, 989) && !incfs_base_find(&base, 4, 1000),
	   "blocks between runs are in none");
	ok(!incfs_base_find(&base, 0, 0) && !incfs_base_find(&base, 2, 0) &&
	   !incfs_base_find(&base, 5, 0), "nor are those of other entries");
	incfs_base_destroy(&base);
	err = incfs_base_parse(&base, &list, copy_of("incfs-base 1\nend 0\n", 19), 19);
	ok(!err && !base.nr_runs && !incfs_base_find(&base, 1, 0), "nothing in common is taken");
	incfs_base_destroy(&base);
}

static void test_refused(void)
{
	refused_bytes("", 0, "line 1: is missing", "nothing at all");
	refused_bytes("incfs-base 2\nend 0\n", 19, "line 1: is 'incfs-base 2'", "another version");
	refused_bytes("incfs-base 1\n", 13, "line 2: is missing", "no end");
	refused_bytes("incfs-base 1\nend 0", 18, "line 2: is missing", "an end that is cut short");
	refused_bytes("incfs-base 1\nt 1\0\n0 1 0\nend 2\n", 31, "line 2: has a NUL", "a NUL");
	refused("end 1\n", "promises '1' lines, but there are 0", "another number of lines");
	refused("end 00\n", "promises", "a number with a 0 in front");
	refused("end 0\nend 0\n", "something comes after it", "something behind the end");
	refused("\nend 1\n", "is neither", "an empty line");
	refused("x 1\nend 1\n", "is neither", "a line of no kind");
	refused("0 1 0\nend 1\n", "comes before a file", "a run of no file");
	refused("f x\nend 1\n", "comes before a file", "a file of the base for no file");
	refused("t 1\nend 1\n", "has no blocks", "a file without blocks");
	refused("t 1\nt 4\n0 1 0\nend 3\n", "line 3: what is named", "one before another");
	refused("t 1\n0 1 0\nf x\nend 3\n", "has no blocks", "a file of the base without blocks");
	refused("t 1\nf x\nf y\n0 1 0\nend 4\n", "line 4: what is named", "one before another");
	refused("t 1\n0 1 0\nf x\nt 4\n0 1 0\nend 5\n", "line 5: what is named",
		"one before another file");
	refused("t 5\n0 1 0\nend 2\n", "no entry of the list", "an entry that is not there");
	refused("t 01\n0 1 0\nend 2\n", "no entry of the list", "an entry with a 0 in front");
	refused("t -1\n0 1 0\nend 2\n", "no entry of the list", "a negative one");
	refused("t 18446744073709551617\n0 1 0\nend 2\n", "no entry of the list", "a huge one");
	refused("t 0\n0 1 0\nend 2\n", "is no file", "a directory");
	refused("t 3\n0 1 0\nend 2\n", "is no file", "another name of a file");
	refused("t 4\n0 1 0\nt 1\n0 1 0\nend 4\n", "out of order", "files out of order");
	refused("t 1\n0 1 0\nt 1\n1 1 0\nend 4\n", "twice", "a file twice");
	refused("t 2\n0 1 0\nend 2\n", "past its end", "a block of an empty file");
	refused("t 1\n3 1 0\nend 2\n", "past its end", "a block past the end");
	refused("t 1\n0 4 0\nend 2\n", "past its end", "a run past the end");
	refused("t 1\n1 4294967295 0\nend 2\n", "past its end", "a run that wraps around");
	refused("t 1\n1 1 0\n0 1 0\nend 3\n", "out of order", "runs out of order");
	refused("t 1\n0 2 0\n1 1 0\nend 3\n", "twice", "runs that overlap");
	refused("t 1\n0 1 4294967295\nend 2\n", "no file has so many", "a block that no file has");
	refused("t 1\n0 1 4294967296\nend 2\n", "is neither", "a number of more than 32 bits");
	refused("t 1\n0 0 0\nend 2\n", "is neither", "a run of no blocks");
	refused("t 1\n0 1\nend 2\n", "is neither", "a run without a place");
	refused("t 1\n0 1 0 0\nend 2\n", "is neither", "a run with more");
	refused("t 1\n0  1 0\nend 2\n", "is neither", "two spaces");
	refused("t 1\nf ../x\n0 1 0\nend 3\n", "has '..' in it", "a path that leads out");
	refused("t 1\nf /x\n0 1 0\nend 3\n", "is absolute", "an absolute path");
	refused("t 1\nf \n0 1 0\nend 3\n", "is empty", "an empty path");
	refused("t 1\nf a b\n0 1 0\nend 3\n", "must be escaped", "a space in a path");
	refused("t 1\nf a\\x2fb\n0 1 0\nend 3\n", "must be escaped", "an escape of what needs none");
}

/* Many runs are refused before they take much memory. */
static void test_limits(void)
{
	size_t nr = INCFS_BASE_MAX_RUNS + 1, size;
	char *text, *list_copy = strdup("incfs-list 1\nf 0644 8589934592 big\nend 1\n");
	struct incfs_list big;
	struct incfs_base base;
	FILE *out = open_memstream(&text, &size);
	int err;

	if (incfs_list_parse(&big, list_copy, strlen(list_copy)))
		abort();
	fprintf(out, "incfs-base 1\nt 0\n");
	for (size_t i = 0; i < nr; i++)
		fprintf(out, "%zu 1 0\n", i);
	fprintf(out, "end %zu\n", nr + 1);
	fclose(out);
	err = incfs_base_parse(&base, &big, text, size);
	ok(err == -EINVAL && strstr(base.error, "one too many"), "too many runs are refused");
	incfs_base_destroy(&base);
	incfs_list_destroy(&big);
}

int main(void)
{
	if (incfs_list_parse(&list, copy_of(list_text, strlen(list_text)), strlen(list_text)))
		abort();
	test_taken();
	test_refused();
	test_limits();
	incfs_list_destroy(&list);
	return done();
}
