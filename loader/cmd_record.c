// SPDX-License-Identifier: MIT
/* incfs record: which blocks a run needs, and in which order. */
#include "cmd.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <incfs/policy_maps.h>
#include <limits.h>
#include <linux/incrementalfs.h>
#include <search.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "list.h"
#include "log.h"
#include "option.h"
#include "policy_mounts.h"
#include "policy_object.h"
#include "profile.h"

#define POLL_MS 100

/* A regular file of the mount, for the way from its number to its path. */
struct file {
	__u64 ino;
	const char *path;
};

struct record {
	const char *dir;
	const char *output;
	bool add;
	char **command;
	struct incfs_mounts mounts;
	const struct incfs_mounted *mount;
	int keeper_fd;
	struct incfs_policy_object policy;
	struct bpf_link *link;
	struct ring_buffer *ring;
	struct incfs_recorded *blocks;
	size_t nr_blocks, room;
	void *files;
	bool no_memory;
};

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	stopped = signal;
}

static const struct incfs_option rows[] = {
	{ "output", 'o', "FILE", "the profile", incfs_option_text,
	  .offset = offsetof(struct record, output) },
	{ "add", 'a', NULL, "add this run to the profile that is there", incfs_option_on,
	  .offset = offsetof(struct record, add) },
	{}
};

static const struct incfs_usage usage = {
	.program = "incfs record",
	.args = "-o FILE [-a] DIR [-- COMMAND [ARG]...]",
	.about =
"Write down which blocks of a mounted image a run needs, in the order of the first\n"
"time: a profile, which the policy replay fetches by. DIR is where it is mounted, or a\n"
"directory there, whose files alone are recorded, by their paths from it on. Lasts as\n"
"long as COMMAND, or until SIGINT or SIGTERM. Meanwhile the mount uses the policy record.\n",
	.options = rows,
	.least = 1,
	.most = INT_MAX,
	.ordered = true,
};

static int parse(struct record *record, int argc, char **argv)
{
	int code = incfs_usage_parse(&usage, record, argc, argv);

	if (code >= 0)
		return code;
	if (!record->output) {
		incfs_error("no --output");
		return incfs_usage_mistake(&usage);
	}
	record->dir = argv[optind++];
	if (argv[optind] && !strcmp(argv[optind], "--"))
		optind++;
	record->command = argv[optind] ? &argv[optind] : NULL;
	return -1;
}

/* For nftw(), which passes nothing on. */
static struct record *walker;

static int compare_files(const void *a, const void *b)
{
	const struct file *x = a, *y = b;

	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

/* Note the file, and drop what is in memory of it: what is there is not seen. */
static int visit(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	struct file *file, **found;
	const char *path_in_dir;
	int fd;

	(void)ftw;
	if (type != FTW_F || !S_ISREG(st->st_mode) || st->st_ino == INCFS_COMMAND_INODE)
		return 0;
	file = malloc(sizeof(*file));
	if (!file)
		return -1;
	file->ino = st->st_ino;
	path_in_dir = path + strlen(walker->dir);
	file->path = strdup(path_in_dir + strspn(path_in_dir, "/"));
	found = file->path ? tsearch(file, &walker->files, compare_files) : NULL;
	if (!found) {
		free((char *)file->path);
		free(file);
		return -1;
	}
	if (*found != file) {
		free((char *)file->path);
		free(file);
		return 0;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0) {
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		close(fd);
	}
	return 0;
}

static void free_file(void *node)
{
	struct file *file = node;

	free((char *)file->path);
	free(file);
}

static int walk(struct record *record)
{
	walker = record;
	if (!nftw(record->dir, visit, 32, FTW_PHYS | FTW_MOUNT))
		return 0;
	incfs_error("can't list '%s': %s", record->dir, strerror(errno));
	return -1;
}

/*
 * A process that sets the choice back if this one is killed: it has no descriptor of
 * the policy, which so goes with us, and reads from a pipe until that ends. A byte
 * in it says that all is done.
 */
static int start_keeper(struct record *record)
{
	int fds[2];
	pid_t pid;
	char done;

	pid = pipe2(fds, O_CLOEXEC) ? -1 : fork();
	if (pid < 0) {
		incfs_error("can't start a process: %s", strerror(errno));
		return -1;
	}
	if (!pid) {
		setsid();
		close(fds[1]);
		if (read(fds[0], &done, 1) == 0)
			incfs_mount_choose(record->mount, record->mount->choice);
		_exit(0);
	}
	close(fds[0]);
	record->keeper_fd = fds[1];
	return 0;
}

static void end_keeper(struct record *record)
{
	if (write(record->keeper_fd, "", 1) == 1)
		wait(NULL);
	close(record->keeper_fd);
}

static int take(void *context, void *data, size_t size)
{
	struct record *record = context;
	struct incfs_recorded *larger;

	if (size < sizeof(*record->blocks))
		return 0;
	if (record->nr_blocks == record->room) {
		size_t room = record->room ? 2 * record->room : 4096;

		larger = reallocarray(record->blocks, room, sizeof(*larger));
		if (!larger) {
			record->no_memory = true;
			return -ENOMEM;
		}
		record->blocks = larger;
		record->room = room;
	}
	memcpy(&record->blocks[record->nr_blocks++], data, sizeof(*record->blocks));
	return 0;
}

static int open_ring(struct record *record)
{
	struct bpf_map *map = bpf_object__find_map_by_name(record->policy.obj, "recorded");

	record->ring = map ? ring_buffer__new(bpf_map__fd(map), take, record, NULL) : NULL;
	if (record->ring)
		return 0;
	incfs_error("can't open the ring of the policy 'record': %s", strerror(errno));
	return -1;
}

/* Two mounts may be recorded at a time: each has a policy of its own. */
static int attach(struct record *record)
{
	const char *obstacle = incfs_policy_obstacle();
	char name[INCFS_POLICY_NAME_LEN];

	if (obstacle) {
		incfs_error("no policy can be used: %s", obstacle);
		return -1;
	}
	snprintf(name, sizeof(name), "record-%llu", record->mount->id);
	if (incfs_policy_object_open(&record->policy, "record"))
		return -1;
	incfs_policy_object_rename(&record->policy, name);
	incfs_policy_object_bind(&record->policy, record->mount->id);
	if (incfs_policy_object_load(&record->policy) || open_ring(record))
		return -1;
	record->link = incfs_policy_object_attach(&record->policy);
	if (!record->link) {
		incfs_error("can't register the policy '%s': %s", name, errno == EEXIST ?
			    "the mount is being recorded already" : strerror(errno));
		return -1;
	}
	return incfs_mount_choose(record->mount, name);
}

static pid_t start(const struct record *record)
{
	pid_t pid = fork();

	if (pid < 0)
		incfs_error("can't start '%s': %s", record->command[0], strerror(errno));
	if (pid)
		return pid;
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	execvp(record->command[0], record->command);
	incfs_error("can't run '%s': %s", record->command[0], strerror(errno));
	_exit(127);
}

/* Until the command has ended, or somebody says stop. Returns an exit code. */
static int listen(struct record *record)
{
	pid_t pid = record->command ? start(record) : 0;
	int status = 0, err;

	if (pid < 0)
		return 1;
	while (!stopped || pid > 0) {
		err = ring_buffer__poll(record->ring, POLL_MS);
		if (err < 0 && err != -EINTR)
			break;
		if (pid > 0 && stopped)
			kill(pid, stopped);
		if (pid > 0 && waitpid(pid, &status, WNOHANG) == pid)
			break;
	}
	ring_buffer__consume(record->ring);
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	incfs_warn("'%s' ended with %s %d", record->command[0],
		   WIFEXITED(status) ? "exit code" : "signal",
		   WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	return 1;
}

static __u64 count_lost(const struct record *record)
{
	struct bpf_map *map = bpf_object__find_map_by_name(record->policy.obj, ".bss");
	__u64 lost = 0;
	__u32 zero = 0;

	if (!map || bpf_map__value_size(map) != sizeof(lost) ||
	    bpf_map_lookup_elem(bpf_map__fd(map), &zero, &lost))
		return 0;
	return lost;
}

static int make_profile(const struct record *record, struct incfs_profile *profile)
{
	__u32 path;

	for (size_t i = 0; i < record->nr_blocks; i++) {
		struct file key = { .ino = record->blocks[i].ino };
		struct file **file = tfind(&key, &record->files, compare_files);

		/* One that has come since. */
		if (!file || incfs_list_check_path((*file)->path))
			continue;
		if (incfs_profile_add_path(profile, (*file)->path, &path) ||
		    incfs_profile_add_block(profile, path, record->blocks[i].block, 1))
			return -1;
	}
	return 0;
}

static int write_profile(const struct record *record)
{
	struct incfs_profile run = {}, whole = {}, *result = &run;
	int err = make_profile(record, &run);

	if (err)
		incfs_error("not enough memory");
	if (!err && record->add && !access(record->output, F_OK)) {
		err = incfs_profile_read(&whole, record->output);
		result = &whole;
		if (!err && incfs_profile_merge(&whole, &run)) {
			incfs_error("not enough memory, or too many blocks");
			err = -1;
		}
	}
	if (!err)
		err = incfs_profile_write(result, record->output);
	if (!err)
		incfs_info("%zu blocks of %zu files in this run, %zu in '%s'", run.nr_blocks,
			   run.nr_paths, result->nr_blocks, record->output);
	incfs_profile_destroy(&run);
	incfs_profile_destroy(&whole);
	return err;
}

static int find_mount(struct record *record)
{
	struct stat st;

	if (incfs_mounts_read(&record->mounts))
		return -1;
	record->mount = incfs_mounts_of(&record->mounts, record->dir);
	if (!record->mount)
		return -1;
	if (!stat(record->dir, &st) && S_ISDIR(st.st_mode))
		return 0;
	incfs_error("'%s' is not a directory", record->dir);
	return -1;
}

static int run(struct record *record)
{
	__u64 lost;
	int code;

	if (find_mount(record) || walk(record) || start_keeper(record))
		return 1;
	if (attach(record)) {
		end_keeper(record);
		return 1;
	}
	incfs_info("recording '%s'", record->dir);
	code = listen(record);
	if (incfs_mount_choose(record->mount, record->mount->choice))
		code = 1;
	end_keeper(record);
	lost = count_lost(record);
	if (lost || record->no_memory) {
		incfs_error("%llu blocks could not be recorded", lost);
		code = 1;
	}
	return write_profile(record) ? 1 : code;
}

int incfs_cmd_record(int argc, char **argv)
{
	const struct sigaction action = { .sa_handler = stop };
	struct record record = {};
	int code = parse(&record, argc, argv);

	if (code >= 0)
		return code;
	if (geteuid()) {
		incfs_error("must be run as root: it loads BPF programs");
		return 1;
	}
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	code = run(&record);
	bpf_link__destroy(record.link);
	ring_buffer__free(record.ring);
	incfs_policy_object_close(&record.policy);
	if (record.files)
		tdestroy(record.files, free_file);
	free(record.blocks);
	incfs_mounts_free(&record.mounts);
	return code;
}
