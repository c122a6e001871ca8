// SPDX-License-Identifier: MIT
/* The loops of a loader that runs: until its list is there, and after that. */
#include "run.h"

#include <errno.h>
#include <incfs/incfs.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "notify.h"
#include "signals.h"
#include "source.h"
#include "util.h"

/* The whole list of waits is looked at so often, in ms. */
#define RECHECK_MS 1000
/* How often we look whether the policy is still there. */
#define KEEP_MS 5000

void incfs_run_ready(struct incfs_run *run)
{
	const char *mountpoint = run->options.mountpoint;

	if (!run->ready) {
		printf("incfs: ready: %s\n", mountpoint);
		fflush(stdout);
		run->ready = true;
	}
	incfs_notify("READY=1\nSTATUS=%s is mounted%s", mountpoint,
		     run->listed ? "" : ", its list of files is waited for");
}

static void take_signal(struct incfs_run *run)
{
	incfs_notify("STOPPING=1");
	incfs_signals_take(run->signal_fd);
	run->stop = true;
}

bool incfs_run_turn(struct incfs_run *run)
{
	struct pollfd fds[1 + INCFS_CONTROL_FDS];

	fds[0] = (struct pollfd){ .fd = run->signal_fd, .events = POLLIN };
	incfs_control_poll(&run->control, &fds[1]);
	if (poll(fds, INCFS_ARRAY_SIZE(fds), 0) > 0 && fds[0].revents)
		take_signal(run);
	incfs_control_run(&run->control, &fds[1]);
	incfs_notify_alive();
	if (run->survey.whole && !run->ready && incfs_now() >= run->ready_at)
		incfs_run_ready(run);
	return run->stop;
}

int incfs_run_sync(struct incfs_run *run)
{
	if (!libincfs_sync(run->mount.fs))
		return 0;
	incfs_error("%s", libincfs_message(run->mount.fs));
	return -1;
}

static void complete(struct incfs_run *run)
{
	if (run->progress.complete)
		return;
	if (incfs_run_sync(run))
		run->failed = true;
	incfs_progress_complete(&run->progress);
	incfs_notify("STATUS=%s is complete", run->options.mountpoint);
	if (run->options.exit_when_complete)
		run->stop = true;
}

static void keep_policy(struct incfs_run *run)
{
	__u64 now = incfs_now();

	if (now < run->keep_at)
		return;
	run->keep_at = now + KEEP_MS;
	if (!incfs_mount_get_info(&run->mount))
		incfs_policy_keep(&run->policy, run->mount.info.policy);
}

static void run_periodic(struct incfs_run *run)
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
	keep_policy(run);
	incfs_progress_update(&run->progress, run->feed.bytes, run->events.waiting);
}

static int earlier(int a, int b)
{
	if (a < 0 || b < 0)
		return a < 0 ? b : a;
	return incfs_min(a, b);
}

/* Until the list may be tried again, or something else is due. */
static void rest(struct incfs_run *run)
{
	struct pollfd fds[1 + INCFS_CONTROL_FDS] = {
		{ .fd = run->signal_fd, .events = POLLIN },
	};
	__u64 now = incfs_now();
	int timeout = run->listing.retry_at > now ?
		incfs_min(run->listing.retry_at - now, (__u64)KEEP_MS) : 0;

	timeout = earlier(timeout, incfs_control_timeout(&run->control));
	timeout = earlier(timeout, incfs_notify_alive());
	incfs_control_poll(&run->control, &fds[1]);
	poll(fds, INCFS_ARRAY_SIZE(fds), timeout);
	incfs_run_turn(run);
	if (run->mount.cmd_fd >= 0)
		keep_policy(run);
}

/*
 * The mount is used as it is, if there is one. An image without an absent block needs no
 * source: then the list is of use only if there is more in it by now.
 */
static int use_unlisted(struct incfs_run *run, enum incfs_listing_result result)
{
	if (result == INCFS_LISTING_FAILED && !run->survey.complete)
		return -1;
	if (run->survey.whole && !run->ready)
		incfs_run_ready(run);
	if (run->survey.complete && !run->progress.complete) {
		run->files.nr_blocks = run->survey.nr_blocks;
		run->files.nr_present = run->survey.nr_blocks;
		complete(run);
	}
	if (result == INCFS_LISTING_FAILED)
		run->listing.retry_at = ~0ull;
	return 0;
}

int incfs_run_await_list(struct incfs_run *run)
{
	enum incfs_listing_result result = INCFS_LISTING_AGAIN;

	while (!run->stop) {
		if (incfs_now() < run->listing.retry_at) {
			rest(run);
			continue;
		}
		result = incfs_listing_try(&run->listing);
		if (result == INCFS_LISTING_DONE)
			return 0;
		if (!run->stop && use_unlisted(run, result))
			return -1;
	}
	return 0;
}

static int next_timeout(const struct incfs_run *run)
{
	__u64 now = incfs_now();
	int timeout = run->recheck_at > now ? run->recheck_at - now : 0;

	timeout = earlier(timeout, incfs_fetcher_timeout(&run->fetcher));
	timeout = earlier(timeout, incfs_sharing_timeout(&run->share));
	timeout = earlier(timeout, incfs_control_timeout(&run->control));
	timeout = earlier(timeout, incfs_notify_alive());
	return earlier(timeout, run->source->ops->timeout(run->source));
}

void incfs_run_serve(struct incfs_run *run)
{
	struct pollfd fds[5 + INCFS_CONTROL_FDS] = {
		{ .fd = run->signal_fd, .events = POLLIN },
		{ .fd = run->events.ring_fd, .events = POLLIN },
		{ .fd = run->mount.cmd_fd, .events = POLLIN },
		{ .fd = run->source->fd, .events = POLLIN },
		{ .events = POLLIN },
	};

	while (!run->stop) {
		incfs_fetcher_dispatch(&run->fetcher);
		if (run->files.nr_present == run->files.nr_blocks)
			complete(run);
		if (run->stop)
			break;
		fds[4].fd = incfs_sharing_fd(&run->share);
		incfs_control_poll(&run->control, &fds[5]);
		if (poll(fds, INCFS_ARRAY_SIZE(fds), next_timeout(run)) < 0 && errno != EINTR) {
			incfs_error("can't wait for events: %s", strerror(errno));
			break;
		}
		if (fds[0].revents)
			take_signal(run);
		if (fds[1].revents)
			incfs_events_read_ring(&run->events);
		if (fds[2].revents)
			incfs_events_read_waits(&run->events);
		run->source->ops->run(run->source);
		incfs_sharing_run(&run->share);
		incfs_control_run(&run->control, &fds[5]);
		run_periodic(run);
	}
}

