// SPDX-License-Identifier: MIT
/* incfs-bpf-loader run: mount an image and serve it from a source. */
#include "cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "events.h"
#include "feed.h"
#include "fetch.h"
#include "files.h"
#include "list.h"
#include "log.h"
#include "mount.h"
#include "options.h"
#include "policy.h"
#include "profile_maps.h"
#include "progress.h"
#include "queue.h"
#include "source.h"
#include "tree.h"
#include "util.h"

/* The whole list of waits is looked at so often, in ms. */
#define RECHECK_MS 1000
/* How often we look whether the policy is still there. */
#define KEEP_MS 5000

struct run {
	struct incfs_options options;
	struct incfs_source *source;
	struct incfs_list list;
	struct incfs_files files;
	struct incfs_queue queue;
	struct incfs_policy policy;
	struct incfs_mount mount;
	struct incfs_feed feed;
	struct incfs_fetcher fetcher;
	struct incfs_events events;
	struct incfs_progress progress;
	int signal_fd;
	__u64 recheck_at;
	__u64 keep_at;
	bool started;
	bool stop;
	int status;
};

static enum incfs_source_result read_list_once(struct run *run, char **text, size_t *size,
					       char *why, size_t why_size)
{
	const char *path = run->options.list;
	int fd, err;

	if (!path)
		return run->source->ops->read_list(run->source, text, size, why, why_size);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	err = fd < 0 || incfs_list_read(fd, text, size);
	if (err)
		snprintf(why, why_size, "can't read '%s': %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return err ? INCFS_SOURCE_FILE : INCFS_SOURCE_OK;
}

static void sleep_ms(__u32 ms)
{
	struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000l };

	nanosleep(&time, NULL);
}

/* A server that is not there yet is waited for; signals still end us here. */
static int read_list(struct run *run)
{
	enum incfs_source_result result;
	unsigned int failures = 0;
	char why[512], *text;
	__u32 delay;
	size_t size;

	while ((result = read_list_once(run, &text, &size, why, sizeof(why)))) {
		if (result == INCFS_SOURCE_FILE) {
			incfs_error("no list of files: %s", why);
			return -1;
		}
		delay = incfs_backoff(failures++);
		incfs_error("no list of files: %s; trying again in %u.%u s", why, delay / 1000,
			    delay / 100 % 10);
		sleep_ms(delay);
	}
	if (!incfs_list_parse(&run->list, text, size))
		return 0;
	incfs_error("list of files: %s", run->list.error);
	return -1;
}

static int open_source(struct run *run)
{
	run->source = incfs_source_open(run->options.source, run->options.parallel);
	if (!run->source || read_list(run))
		return -1;
	if (incfs_files_create(&run->files, &run->list)) {
		incfs_error("not enough memory for %llu blocks", run->list.nr_blocks);
		return -1;
	}
	return 0;
}

static int block_signals(struct run *run)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	run->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (run->signal_fd >= 0)
		return 0;
	incfs_error("can't wait for signals: %s", strerror(errno));
	return -1;
}

static int open_mount(struct run *run)
{
	const struct incfs_options *options = &run->options;
	struct incfs_mount_params params = {
		.path = options->mountpoint,
		.image = options->image,
		.policy = options->policy,
		.timeout_ms = options->timeout_ms,
		/* A limit against mistakes only: room for many more. */
		.max_files = incfs_max(65536u, 4 * run->list.nr_entries),
	};

	if (incfs_mount_open(&run->mount, &params))
		return -1;
	if (incfs_tree_declare(&run->mount, &run->list))
		return -1;
	incfs_files_set_inodes(&run->files);
	if (options->profile &&
	    incfs_profile_attach(options->profile, options->mountpoint, run->mount.info.mount_id))
		return -1;
	return incfs_tree_read_present(&run->mount, &run->files);
}

static int start(struct run *run)
{
	const struct incfs_options *options = &run->options;

	incfs_queue_init(&run->queue, &run->files);
	run->fetcher = (struct incfs_fetcher){
		.files = &run->files, .queue = &run->queue, .source = run->source,
		.feed = &run->feed, .background = options->background,
	};
	if (incfs_feed_init(&run->feed, run->mount.cmd_fd, options->compress) ||
	    incfs_fetcher_init(&run->fetcher, options->parallel)) {
		incfs_error("not enough memory");
		return -1;
	}
	if (incfs_events_init(&run->events, &run->mount, &run->fetcher, &run->policy))
		return -1;
	incfs_progress_init(&run->progress, &run->files, options->quiet);
	printf("incfs: ready: %s\n", options->mountpoint);
	fflush(stdout);
	return 0;
}

/* The next signal ends us at once, whatever hangs. */
static void take_signal(struct run *run)
{
	struct signalfd_siginfo info;
	sigset_t set;

	if (read(run->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	incfs_info("%s: stopping", info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM");
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	run->stop = true;
}

static int sync_image(struct run *run)
{
	if (!fsync(run->mount.cmd_fd))
		return 0;
	incfs_error("can't sync the image: %s", strerror(errno));
	return -1;
}

static void complete(struct run *run)
{
	if (run->progress.complete)
		return;
	if (sync_image(run))
		run->status = 1;
	incfs_progress_complete(&run->progress);
	if (run->options.exit_when_complete)
		run->stop = true;
}

static void run_periodic(struct run *run)
{
	__u64 now = incfs_now();

	if (run->fetcher.recheck || now >= run->recheck_at) {
		run->fetcher.recheck = false;
		run->recheck_at = now + RECHECK_MS;
		incfs_events_recheck(&run->events);
		if (incfs_events_have_lost(&run->events))
			incfs_debug("the event ring was full: %llu events lost so far",
				    run->events.lost);
	}
	if (now >= run->keep_at) {
		run->keep_at = now + KEEP_MS;
		if (!incfs_mount_get_info(&run->mount))
			incfs_policy_keep(&run->policy, run->mount.info.policy);
	}
	incfs_progress_update(&run->progress, run->feed.bytes, run->events.waiting);
}

static int earlier(int a, int b)
{
	if (a < 0 || b < 0)
		return a < 0 ? b : a;
	return incfs_min(a, b);
}

static int next_timeout(const struct run *run)
{
	__u64 now = incfs_now();
	int timeout = run->recheck_at > now ? run->recheck_at - now : 0;

	timeout = earlier(timeout, incfs_fetcher_timeout(&run->fetcher));
	return earlier(timeout, run->source->ops->timeout(run->source));
}

static void serve(struct run *run)
{
	struct pollfd fds[] = {
		{ .fd = run->signal_fd, .events = POLLIN },
		{ .fd = run->events.ring_fd, .events = POLLIN },
		{ .fd = run->mount.cmd_fd, .events = POLLIN },
		{ .fd = run->source->fd, .events = POLLIN },
	};

	while (!run->stop) {
		incfs_fetcher_dispatch(&run->fetcher);
		if (run->files.nr_present == run->files.nr_blocks)
			complete(run);
		if (run->stop)
			break;
		if (poll(fds, INCFS_ARRAY_SIZE(fds), next_timeout(run)) < 0 && errno != EINTR) {
			incfs_error("can't wait for events: %s", strerror(errno));
			run->status = 1;
			break;
		}
		if (fds[0].revents)
			take_signal(run);
		if (fds[1].revents)
			incfs_events_read_ring(&run->events);
		if (fds[2].revents)
			incfs_events_read_waits(&run->events);
		run->source->ops->run(run->source);
		run_periodic(run);
	}
}

static void finish(struct run *run)
{
	bool unmount = !run->options.keep_mount && (run->started || !run->mount.was_mounted);

	incfs_progress_exit(&run->progress);
	incfs_events_exit(&run->events);
	/* Requests under way point into the fetcher: they go first. */
	if (run->source)
		run->source->ops->close(run->source);
	incfs_fetcher_exit(&run->fetcher);
	incfs_feed_exit(&run->feed);
	if (run->options.profile && run->mount.cmd_fd >= 0)
		incfs_profile_detach(run->mount.info.mount_id);
	if (run->mount.cmd_fd >= 0)
		incfs_mount_close(&run->mount, unmount);
	incfs_policy_close(&run->policy);
	incfs_files_destroy(&run->files);
	incfs_list_destroy(&run->list);
	if (run->signal_fd >= 0)
		close(run->signal_fd);
}

static int run_all(struct run *run)
{
	if (open_source(run) || block_signals(run) || !incfs_module_ready() ||
	    incfs_policy_open(&run->policy, run->options.policy, run->options.settings))
		goto out;
	if (open_mount(run) || start(run))
		goto out;
	run->started = true;
	run->status = 0;
	serve(run);
	if (sync_image(run))
		run->status = 1;
out:
	finish(run);
	return run->status;
}

int incfs_cmd_run(int argc, char **argv)
{
	struct run *run;
	int code;

	run = calloc(1, sizeof(*run));
	if (!run)
		return 1;
	run->status = 1;
	run->signal_fd = -1;
	run->mount.cmd_fd = -1;
	run->policy.rings_fd = -1;
	run->policy.lost_fd = -1;
	code = incfs_options_parse(&run->options, argc, argv);
	if (code < 0) {
		incfs_log_init("incfs-bpf-loader", run->options.verbose ? INCFS_LOG_DEBUG :
			       run->options.quiet ? INCFS_LOG_WARN : INCFS_LOG_INFO);
		if (geteuid())
			incfs_error("must be run as root: it mounts and loads BPF programs");
		code = geteuid() ? 1 : run_all(run);
	}
	free(run);
	return code;
}
