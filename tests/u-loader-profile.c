// SPDX-License-Identifier: GPL-2.0-only
/* Profiles: what is taken for one, what is written, and how runs are added up. */
#include "lib/tap.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "list.h"
#include "log.h"
#include "profile.h"

#define HEADER "incfs-profile 1\n"

/* Without a byte behind it that could be read by mistake. */
static int parse(struct incfs_profile *profile, const char *text, size_t size)
{
	char *copy = malloc(size ?: 1);
	int err;

	memcpy(copy, text, size);
	err = incfs_profile_parse(profile, copy, size);
	free(copy);
	return err;
}

static void refused_bytes(const char *text, size_t size, const char *why, const char *name)
{
	struct incfs_profile profile;
	int err = parse(&profile, text, size);

	ok(err && strstr(profile.error, why), "refused: %s", name);
	if (!err || !strstr(profile.error, why))
		diag("%d: '%s', not '%s'", err, profile.error, why);
	incfs_profile_destroy(&profile);
}

static void refused(const char *text, const char *why, const char *name)
{
	refused_bytes(text, strlen(text), why, name);
}

static void taken(struct incfs_profile *profile, const char *text)
{
	if (parse(profile, text, strlen(text))) {
		diag("%s", profile->error);
		abort();
	}
}

static bool is_block(const struct incfs_profile *profile, size_t index, const char *path,
		     __u32 block, __u32 runs)
{
	const struct incfs_profile_block *is = &profile->blocks[index];

	if (index < profile->nr_blocks && is->block == block && is->runs == runs &&
	    !strcmp(profile->paths[is->path], path))
		return true;
	if (index < profile->nr_blocks)
		diag("block %zu: %u of '%s', %u runs", index, is->block, profile->paths[is->path],
		     is->runs);
	return false;
}

static void test_parse(void)
{
	struct incfs_profile profile;

	taken(&profile, HEADER "12 2 3 bin/cc1\n0 1 1 a\\x20b\n5 1 1 bin/cc1\nend 3\n");
	ok(profile.nr_blocks == 4 && profile.nr_paths == 2, "blocks and paths are counted");
	ok(is_block(&profile, 0, "bin/cc1", 12, 3) && is_block(&profile, 1, "bin/cc1", 13, 3) &&
	   is_block(&profile, 2, "a b", 0, 1) && is_block(&profile, 3, "bin/cc1", 5, 1),
	   "blocks are in the order of the text");
	incfs_profile_destroy(&profile);
	taken(&profile, HEADER "end 0\n");
	ok(!profile.nr_blocks, "a profile may be empty");
	incfs_profile_destroy(&profile);
	taken(&profile, HEADER "4294967294 1 1 a\nend 1\n");
	ok(is_block(&profile, 0, "a", 4294967294u, 1), "the last block of the largest file");
	incfs_profile_destroy(&profile);
}

static void test_refused(void)
{
	refused("", "", "nothing at all");
	refused("incfs-profile 2\nend 0\n", "line 1: ", "another version");
	refused("incfs-list 1\nend 0\n", "line 1: ", "another format");
	refused("incfs-profile 1", "line 1: ", "a first line without its end");
	refused(HEADER, "end", "no last line");
	refused(HEADER "0 1 1 a\n", "end", "one that was cut off after a line");
	refused(HEADER "0 1 1 a", "line 2: ", "one that was cut off within a line");
	refused(HEADER "0 1 1 a\nend 2\n", "line 3: ", "more lines promised");
	refused(HEADER "0 1 1 a\nend 0\n", "line 3: ", "fewer lines promised");
	refused(HEADER "end x\n", "line 2: ", "no number at the end");
	refused(HEADER "end 0\n0 1 1 a\n", "line 2: ", "something after the end");
	refused(HEADER "\nend 1\n", "line 2: ", "an empty line");
	refused(HEADER "0 1 1\nend 1\n", "line 2: ", "no path");
	refused(HEADER "0 1 1 \nend 1\n", "is empty", "an empty path");
	refused(HEADER "0 0 1 a\nend 1\n", "COUNT", "no blocks");
	refused(HEADER "0 1 0 a\nend 1\n", "RUNS", "no runs");
	refused(HEADER "-1 1 1 a\nend 1\n", "FIRST", "a negative number");
	refused(HEADER "00 1 1 a\nend 1\n", "FIRST", "a number with zeros before it");
	refused(HEADER "0x1 1 1 a\nend 1\n", "FIRST", "a number that is not decimal");
	refused(HEADER "0  1 1 a\nend 1\n", "COUNT", "two spaces");
	refused(HEADER "4294967295 1 1 a\nend 1\n", "FIRST", "a block past the largest file");
	refused(HEADER "4294967294 2 1 a\nend 1\n", "line 2: ", "blocks past the largest file");
	refused(HEADER "18446744073709551616 1 1 a\nend 1\n", "FIRST", "a number of 65 bits");
	refused(HEADER "0 4194305 1 a\nend 1\n", "COUNT", "too many blocks in one line");
	refused(HEADER "0 4194304 1 a\n0 1 1 b\nend 2\n", "line 3: ", "too many blocks in all");
	refused(HEADER "0 1 1000001 a\nend 1\n", "RUNS", "too many runs");
	refused(HEADER "0 1 1 /etc/passwd\nend 1\n", "is absolute", "an absolute path");
	refused(HEADER "0 1 1 ../a\nend 1\n", "has '..'", "a path that leads out");
	refused(HEADER "0 1 1 a/./b\nend 1\n", "has '.'", "a path with '.'");
	refused(HEADER "0 1 1 a//b\nend 1\n", "empty name", "an empty name");
	refused(HEADER "0 1 1 .cmd\nend 1\n", ".cmd", "the file system's own file");
	refused(HEADER "0 1 1 a b\nend 1\n", "escape", "a space that is not escaped");
	refused(HEADER "0 1 1 a\\x61\nend 1\n", "escape", "an escape that is not needed");
	refused(HEADER "0 1 1 a\\x2\nend 1\n", "escape", "an escape that is cut off");
	refused(HEADER "0 1 1 a\\x00\nend 1\n", "escape", "an escaped NUL");
	refused(HEADER "0 1 1 a\033[2J\nend 1\n", "escape", "what a terminal would obey");
	refused_bytes(HEADER "0 1 1 a\0b\nend 1\n", sizeof(HEADER) - 1 + 16, "NUL", "a NUL byte");
	refused(HEADER "3 2 1 a\n4 1 1 a\nend 2\n", "block 4 of 'a'", "a block that comes twice");
}

/* Every way to cut a profile off is noticed, but the one that leaves it whole. */
static void test_cut_off(void)
{
	static const char text[] = HEADER "12 2 3 bin/cc1\n0 1 1 a\\x20b\nend 2\n";
	struct incfs_profile profile;
	int took = 0;

	for (size_t size = 0; size < sizeof(text); size++) {
		took += !parse(&profile, text, size);
		incfs_profile_destroy(&profile);
	}
	ok(took == 1, "nothing that was cut off is taken");
}

/* Any byte in place of any other: refused or not, but without harm. */
static void test_changed(void)
{
	static const char text[] = HEADER "12 2 3 bin/cc1\n0 1 1 a\\x20b\nend 2\n";
	struct incfs_profile profile;
	char changed[sizeof(text)];
	int took = 0, right = 0;

	for (size_t at = 0; at < sizeof(text) - 1; at++) {
		for (int byte = 0; byte < 256; byte++) {
			memcpy(changed, text, sizeof(text));
			changed[at] = byte;
			if (!parse(&profile, changed, sizeof(text) - 1)) {
				took++;
				right += profile.nr_blocks >= 2 && profile.nr_paths >= 1;
			}
			incfs_profile_destroy(&profile);
		}
	}
	ok(took > (int)sizeof(text) && took == right, "changed bytes do no harm");
}

static const char *read_back(const char *file)
{
	static char text[4096];
	FILE *in = fopen(file, "r");
	size_t size = in ? fread(text, 1, sizeof(text) - 1, in) : 0;

	if (in)
		fclose(in);
	text[size] = 0;
	return text;
}

static void is_written(const struct incfs_profile *profile, const char *want, const char *name)
{
	char dir[] = "/tmp/incfs-profile.XXXXXX", file[64];

	if (!mkdtemp(dir))
		bail_out("mkdtemp");
	snprintf(file, sizeof(file), "%s/profile", dir);
	if (!ok(!incfs_profile_write(profile, file) && !strcmp(read_back(file), want), "%s", name))
		diag("%s", read_back(file));
	unlink(file);
	ok(!rmdir(dir), "and nothing else is left behind");
}

static void test_write(void)
{
	struct incfs_profile profile;

	taken(&profile, HEADER "5 1 1 a\n6 2 1 a\n8 1 2 a\n0 1 1 \\xc3\\xa4\\x0a\nend 4\n");
	is_written(&profile, HEADER "5 3 1 a\n8 1 2 a\n0 1 1 \\xc3\\xa4\\x0a\nend 3\n",
		   "neighbours that follow each other become one line");
	incfs_profile_destroy(&profile);
	taken(&profile, HEADER "6 1 1 a\n5 1 1 a\nend 2\n");
	is_written(&profile, HEADER "6 1 1 a\n5 1 1 a\nend 2\n", "the order stays");
	incfs_profile_destroy(&profile);
}

static void merge(struct incfs_profile *profile, const char *text)
{
	struct incfs_profile run;

	taken(&run, text);
	if (incfs_profile_merge(profile, &run))
		bail_out("merge");
	incfs_profile_destroy(&run);
}

static void test_merge(void)
{
	struct incfs_profile profile;

	taken(&profile, HEADER "0 3 1 a\n0 1 1 b\nend 2\n");
	merge(&profile, HEADER "7 1 1 c\n2 1 1 a\n0 1 1 b\n1 1 1 b\nend 4\n");
	ok(profile.nr_blocks == 6, "blocks of both runs are there, each once");
	ok(is_block(&profile, 0, "a", 0, 1) && is_block(&profile, 1, "a", 1, 1) &&
	   is_block(&profile, 2, "a", 2, 2) && is_block(&profile, 3, "b", 0, 2),
	   "what both have needed counts two runs, and keeps its place");
	ok(is_block(&profile, 4, "c", 7, 1) && is_block(&profile, 5, "b", 1, 1),
	   "what is new comes behind, in its order");
	merge(&profile, HEADER "end 0\n");
	ok(profile.nr_blocks == 6, "an empty run changes nothing");
	incfs_profile_destroy(&profile);

	taken(&profile, HEADER "end 0\n");
	merge(&profile, HEADER "3 1 1 a\n1 1 1 a\nend 2\n");
	ok(is_block(&profile, 0, "a", 3, 1) && is_block(&profile, 1, "a", 1, 1),
	   "the first run is taken as it is");
	incfs_profile_destroy(&profile);

	taken(&profile, HEADER "0 1 1000000 a\nend 1\n");
	merge(&profile, HEADER "0 1 1 a\nend 1\n");
	ok(is_block(&profile, 0, "a", 0, 1000000), "what is written can be read again");
	incfs_profile_destroy(&profile);
}

int main(void)
{
	incfs_log_init("u-loader-profile", INCFS_LOG_ERROR);
	test_parse();
	test_refused();
	test_cut_off();
	test_changed();
	test_write();
	test_merge();
	return done();
}
