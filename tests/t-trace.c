// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tracepoints: seen in tracefs and by bpftrace.
 *
 * timeout: 180
 */
#define _GNU_SOURCE
#include "lib/incfs.h"
#include "lib/tap.h"

/* What bpftrace says, if this is in its environment, when its probes are there. */
#define ATTACHED "__BPFTRACE_NOTIFY_PROBES_ATTACHED"
#define TRACEFS "/sys/kernel/tracing/"

static struct test_fs fs;
static __u64 ino;

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		bail_out("write %s", path);
	close(fd);
}

/* Is there a line in the trace that holds all of it? */
static bool traced(const char *event, const char *a, const char *b)
{
	FILE *file = fopen(TRACEFS "trace", "re");
	char line[1024];
	bool found = false;

	while (file && fgets(line, sizeof(line), file))
		found |= strstr(line, event) && strstr(line, a) && strstr(line, b);
	if (file)
		fclose(file);
	return found;
}

static void wait_and_fill(__u32 block)
{
	struct incfs_pending_read_info info;
	int cmd = fs_open_cmd(&fs, O_RDONLY);
	struct reader reader;

	reader_start(&reader, &fs, "file", block, READ_PREAD);
	take_pending(cmd, &info, 1);
	fill_raw(&fs, ino, block, BLOCK);
	reader_join(&reader);
	close(cmd);
}

/* Without a care for what is in the page cache. */
static void read_again(__u32 block)
{
	int fd = fs_open(&fs, "file");
	char buf[BLOCK];

	if (pread(fd, buf, BLOCK, (off_t)block * BLOCK) != BLOCK)
		bail_out("read of a stored block");
	close(fd);
}

static void test_tracefs(void)
{
	char mount[32], where[64];
	struct reader reader;

	put(TRACEFS "events/incfs/enable", "1");
	put(TRACEFS "trace", "\n");
	wait_and_fill(5);
	snprintf(mount, sizeof(mount), "mount=%llu ", fs_info(&fs).mount_id);
	snprintf(where, sizeof(where), "ino=%llu block=5 ", ino);
	ok(traced("incfs_read_wait:", mount, where), "a read that starts to wait is traced");
	ok(traced("incfs_block_filled:", mount, where), "a block that arrives is traced");
	ok(traced("incfs_read_done:", mount, where), "a read that ends is traced");
	ok(traced("incfs_read_done:", where, "err=0"), "with how it ended");
	put(TRACEFS "trace", "\n");
	reader_run(&reader, &fs, "file", 6, READ_PREAD);
	ok(traced("incfs_read_done:", "block=6", "err=-62"), "a timeout is traced as ETIME");
	snprintf(where, sizeof(where), "ino=%llu block=6 ", ino);
	ok(traced("incfs_block_read:", where, "why=0 state=2"),
	   "a block that turns out to be absent is traced");
	put(TRACEFS "trace", "\n");
	block_reads(&fs, "file", ino, 5, BLOCK);
	snprintf(where, sizeof(where), "ino=%llu block=5 ", ino);
	ok(!traced("incfs_read_", "mount=", "ino="),
	   "a read that does not wait leaves no trace of a wait");
	ok(traced("incfs_block_read:", where, "why=1 state=0"),
	   "but one of the block that the page cache reads");
	ok(traced("incfs_block_read:", mount, where), "and on which mount");
	put(TRACEFS "trace", "\n");
	read_again(5);
	ok(!traced("incfs_", "mount=", "ino="), "what is in the page cache leaves none");
	put(TRACEFS "events/incfs/enable", "0");
}

static void test_bpftrace(void)
{
	static const char command[] = ATTACHED "=1 bpftrace -B line -e '"
		"tracepoint:incfs:incfs_block_filled "
		"{ printf(\"filled %d %d\\n\", args.ino, args.block); exit(); }' 2>&1";
	char line[256] = "", want[64];
	FILE *pipe;

	if (access("/usr/bin/bpftrace", X_OK)) {
		skip(2, "no bpftrace here");
		return;
	}
	pipe = popen(command, "re");
	while (pipe && fgets(line, sizeof(line), pipe) && strcmp(line, ATTACHED "\n"))
		diag("%s", line);
	ok(!strcmp(line, ATTACHED "\n"), "bpftrace attaches to a tracepoint");
	fill_raw(&fs, ino, 7, BLOCK);
	snprintf(want, sizeof(want), "filled %llu 7\n", ino);
	while (pipe && fgets(line, sizeof(line), pipe) && strcmp(line, want))
		diag("%s", line);
	is_str(line, want, "and prints its event");
	pclose(pipe);
}

int main(void)
{
	fs_mount_new(&fs, "fs", "read_timeout_ms=500");
	ino = make_file(&fs, INCFS_ROOT_INODE, "file", 10 * BLOCK);
	test_tracefs();
	test_bpftrace();
	fs_unmount(&fs);
	return done();
}
