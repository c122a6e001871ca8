// SPDX-License-Identifier: GPL-2.0-only
/*
 * The scripts of bpf/trace: each runs while a known pattern of reads is made, and
 * has to say that and nothing else. There are two mounts with the same inode
 * numbers, so that what is said of one can be told from what is said of the other.
 *
 * timeout: 400
 */
#define _GNU_SOURCE
#include <regex.h>
#include <signal.h>

#include "lib/incfs.h"
#include "lib/tap.h"

#define PINS "/sys/fs/bpf/incfs"
/* What bpftrace says, if this is in its environment, when its probes are there. */
#define ATTACHED "__BPFTRACE_NOTIFY_PROBES_ATTACHED"

static const char *top, *build;
static struct test_fs fs, other;
static __u64 id, other_id;
/* The file that is read, on both mounts. */
static const char *name;
static __u64 ino;

/* struct script - a script that runs, and what it has said */
struct script {
	pid_t pid;
	int fd;
	size_t len;
	char said[65536];
};

/* How often a line of what was said matches. */
static int said(const struct script *script, const char *format, ...)
{
	char line[256], pattern[300];
	const char *at = script->said;
	regmatch_t match;
	va_list args;
	regex_t regex;
	int n = 0;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	snprintf(pattern, sizeof(pattern), "^%s *$", line);
	if (regcomp(&regex, pattern, REG_EXTENDED | REG_NEWLINE))
		bail_out("bad pattern: %s", pattern);
	for (; !regexec(&regex, at, 1, &match, 0); n++)
		at += match.rm_eo;
	regfree(&regex);
	return n;
}

/* Take what comes, for a while; false at its end. */
static bool script_listen(struct script *script)
{
	struct pollfd pfd = { .fd = script->fd, .events = POLLIN };
	ssize_t got;

	if (poll(&pfd, 1, 100) <= 0)
		return true;
	got = read(script->fd, script->said + script->len,
		   sizeof(script->said) - 1 - script->len);
	if (got <= 0)
		return false;
	script->len += got;
	script->said[script->len] = 0;
	return true;
}

static void script_show(const struct script *script)
{
	char copy[sizeof(script->said)], *line, *rest = copy;

	strcpy(copy, script->said);
	while ((line = strsep(&rest, "\n")))
		diag("| %s", line);
}

static void script_start(struct script *script, const char *which, const char *arg1,
			 const char *arg2)
{
	__u64 end = now_ms() + 6 * SOON;
	char path[512];
	int pipes[2];

	memset(script, 0, sizeof(*script));
	snprintf(path, sizeof(path), "%s/bpf/trace/%s.bt", top, which);
	if (pipe2(pipes, O_CLOEXEC))
		bail_out("pipe");
	script->pid = fork();
	if (!script->pid) {
		dup2(pipes[1], 1);
		dup2(pipes[1], 2);
		execlp("bpftrace", "bpftrace", "-B", "line", path, arg1, arg2, NULL);
		_exit(127);
	}
	close(pipes[1]);
	script->fd = pipes[0];
	while (!said(script, ATTACHED)) {
		if (!script_listen(script) || now_ms() > end) {
			script_show(script);
			bail_out("%s.bt does not start", which);
		}
	}
}

/* End it as Ctrl-C does; the test is whether it ends well. */
static void script_end(struct script *script, const char *which)
{
	kill(script->pid, SIGINT);
	while (script_listen(script))
		;
	close(script->fd);
	is_int(wait_exit(script->pid), 0, "%s.bt is attached, and ends well", which);
}

/* A test: @want lines match. */
#define says(script, want, name, ...)                                                  \
	do {                                                                           \
		if (!is_int(said(script, __VA_ARGS__), want, name))                    \
			script_show(script);                                           \
	} while (0)

/* Read-around of a mapping brings in what other tests have stored in the file. */
static void new_file(const char *file)
{
	name = file;
	ino = make_file(&fs, INCFS_ROOT_INODE, name, 50 * BLOCK);
	if (make_file(&other, INCFS_ROOT_INODE, name, 50 * BLOCK) != ino)
		bail_out("inode numbers differ");
}

static const char *number(__u64 n)
{
	static char text[24];

	snprintf(text, sizeof(text), "%llu", n);
	return text;
}

static void start_and_wait(struct reader *reader, const struct test_fs *where, __u32 block,
			   enum read_how how)
{
	int before = count_pending(where);

	reader_start(reader, where, name, block, how);
	if (!wait_until(count_pending(where) == before + 1))
		bail_out("no reader waits");
}

static void fill_and_join(struct reader *reader, const struct test_fs *where)
{
	fill_raw(where, ino, reader->block, BLOCK);
	reader_join(reader);
}

/* A block that is stored is read past the page cache, and no other with it. */
static void read_stored(const struct test_fs *where, __u32 block)
{
	int fd = fs_open(where, name);
	char buf[BLOCK];

	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	if (pread(fd, buf, BLOCK, (off_t)block * BLOCK) != BLOCK)
		bail_out("read of a stored block");
	close(fd);
}

static void test_waiting(void)
{
	struct reader fast, slow, elsewhere;
	struct script script;
	__u64 end;

	new_file("waiting");
	script_start(&script, "waiting", number(id), NULL);
	start_and_wait(&elsewhere, &other, 3, READ_PREAD);
	start_and_wait(&fast, &fs, 3, READ_PREAD);
	for (end = now_ms() + SOON; now_ms() < end; script_listen(&script))
		if (said(&script, "%llu +%llu +3 +[0-9]+ +[0-9]+ +t-trace-scripts", id, ino))
			break;
	ok(now_ms() < end, "a read that waits is shown while it does");
	fill_and_join(&fast, &fs);
	start_and_wait(&slow, &fs, 4, READ_MAPPED);
	script_end(&script, "waiting");
	says(&script, 1, "what the columns are is said",
	     "mount +ino +block +ms +tid +program");
	says(&script, 1, "a read that waits at the end is named there, alone",
	     "waiting at the end:\n%llu +%llu +4 +[0-9]+ +[0-9]+ +t-trace-scripts",
	     id, ino);
	says(&script, 0, "no read of another mount is", "%llu +%llu +.*", other_id, ino);
	fill_and_join(&slow, &fs);
	fill_and_join(&elsewhere, &other);
}

/* A histogram of one bucket, with one wait. */
#define ONE_WAIT "\\[[0-9]+[KM]?, [0-9]+[KM]?\\) +1 \\|@+\\|\n"

static void test_waits(void)
{
	struct reader reader;
	struct script script;

	new_file("waits");
	script_start(&script, "waits", NULL, NULL);
	start_and_wait(&reader, &fs, 10, READ_PREAD);
	fill_and_join(&reader, &fs);
	if (mount("any", other.dir, INCFS_NAME, MS_REMOUNT, "read_timeout_ms=100"))
		bail_out("remount");
	reader_run(&reader, &other, name, 0, READ_PREAD);
	if (mount("any", other.dir, INCFS_NAME, MS_REMOUNT, "read_timeout_ms=0"))
		bail_out("remount");
	script_end(&script, "waits");
	says(&script, 1, "a file that was waited for has a histogram",
	     "@wait_us\\[%llu, %llu\\]: *\n" ONE_WAIT, id, ino);
	says(&script, 1, "one of another mount has one of its own",
	     "@wait_us\\[%llu, %llu\\]: *\n" ONE_WAIT, other_id, ino);
	says(&script, 1, "a wait that has failed is counted with its errno",
	     "@failed\\[%llu, %llu, -62\\]: 1", other_id, ino);
	says(&script, 1, "and no other", "@failed.*");
}

static void test_order(void)
{
	struct reader reader;
	struct script script;

	new_file("order");
	fill_raw(&fs, ino, 22, BLOCK);
	script_start(&script, "order", number(id), NULL);
	start_and_wait(&reader, &fs, 27, READ_PREAD);
	fill_and_join(&reader, &fs);
	read_stored(&fs, 22);
	start_and_wait(&reader, &fs, 25, READ_MAPPED);
	fill_and_join(&reader, &fs);
	read_stored(&fs, 27);
	start_and_wait(&reader, &other, 28, READ_PREAD);
	fill_and_join(&reader, &other);
	script_end(&script, "order");
	says(&script, 1, "blocks are named in the order of the first access, and how that was",
	     "ms +mount +ino +block +access\n"
	     "[0-9]+ +%llu +%llu +27 +wait\n"
	     "[0-9]+ +%llu +%llu +22 +readahead\n"
	     "[0-9]+ +%llu +%llu +25 +wait", id, ino, id, ino, id, ino);
	says(&script, 3, "each once, those of another mount not",
	     "[0-9]+ +[0-9]+ +[0-9]+ +[0-9]+ +(wait|read|readahead)");
}

static void test_unused(void)
{
	struct reader reader;
	struct script script;

	new_file("unused");
	script_start(&script, "unused", number(id), "1");
	start_and_wait(&reader, &fs, 31, READ_PREAD);
	fill_blocks(&fs, ino, 30, 6);
	reader_join(&reader);
	read_stored(&fs, 33);
	fill_blocks(&other, ino, 30, 6);
	script_end(&script, "unused");
	says(&script, 1, "blocks that were stored and never read are counted",
	     "mount %llu inode %llu: 6 blocks stored, 4 never read", id, ino);
	says(&script, 4, "and named", "mount %llu inode %llu block (30|32|34|35): never read",
	     id, ino);
	says(&script, 4, "and no other", ".*block [0-9]+: never read");
	says(&script, 0, "nor those of another mount", "mount %llu .*", other_id);
}

static void test_policy(void)
{
	struct reader reader;
	struct script script;

	if (!access(PINS, F_OK))
		run_shell("rm -r " PINS);
	/* It crashes when it has done that (docs/policy.md). */
	run_shell("bpftool struct_ops register %s/tests/bpf/probe.bpf.o " PINS " > /dev/null 2>&1",
		  build);
	if (mount("any", fs.dir, INCFS_NAME, MS_REMOUNT, "policy=probe,read_timeout_ms=0"))
		bail_out("remount with a policy");
	new_file("policy");
	fill_raw(&fs, ino, 40, BLOCK);
	script_start(&script, "policy", NULL, NULL);
	read_stored(&fs, 40);
	start_and_wait(&reader, &fs, 41, READ_MAPPED);
	fill_and_join(&reader, &fs);
	script_end(&script, "policy");
	says(&script, 1, "that the policy was told of a wait is counted", "@pending\\[%llu\\]: 1",
	     id);
	says(&script, 1, "and what it said of reads", "@readahead\\[%llu, 0\\]: [1-9][0-9]*", id);
	says(&script, 1, "and of page faults", "@mapped\\[%llu, 0\\]: [1-9][0-9]*", id);
	says(&script, 0, "a mount without a policy is not there", ".*\\[%llu.*", other_id);
	if (mount("any", fs.dir, INCFS_NAME, MS_REMOUNT, "policy=none"))
		bail_out("remount without a policy");
	run_shell("rm -r " PINS);
}

int main(void)
{
	top = getenv("INCFS_TOP");
	build = getenv("INCFS_BUILD");
	if (!top || !build)
		bail_out("INCFS_TOP or INCFS_BUILD is not set");
	if (run_shell("command -v bpftrace > /dev/null"))
		skip_all("no bpftrace here");
	setenv(ATTACHED, "1", 1);
	fs_mount_new(&fs, "fs", "read_timeout_ms=0");
	fs_mount_new(&other, "other", "read_timeout_ms=0");
	id = fs_info(&fs).mount_id;
	other_id = fs_info(&other).mount_id;
	test_waiting();
	test_waits();
	test_order();
	test_unused();
	test_policy();
	fs_unmount(&other);
	fs_unmount(&fs);
	return done();
}
