// SPDX-License-Identifier: MIT
/* incfs-bpf-loader run: mount an image and serve it from a source. */
#include "cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "idle.h"
#include "log.h"
#include "profile_maps.h"
#include "report.h"
#include "run.h"
#include "signals.h"
#include "source.h"
#include "tree.h"
#include "util.h"

/* With a mount that can be used, this is how long its list may take before that is said. */
#define PATIENCE_MS 5000
/* Inodes of an image that is mounted before its list is there: a limit against mistakes. */
#define EARLY_MAX_FILES (4 * INCFS_LIST_MAX_ENTRIES)

static char *answer(void *context, enum incfs_question question)
{
	struct incfs_run *run = context;
	const struct incfs_report report = {
		.options = &run->options, .mount = &run->mount, .fetcher = &run->fetcher,
		.events = &run->events, .progress = &run->progress, .started = run->started_at,
		.listed = run->listed || run->progress.complete,
	};

	return question == INCFS_QUESTION_METRICS ? incfs_report_metrics(&report) :
						    incfs_report_json(&report);
}

/* Also while the list is read, or the tree put in line with it. */
static bool take_turn(void *context)
{
	return incfs_run_turn(context);
}

static int open_mount(struct incfs_run *run, unsigned int max_files)
{
	const struct incfs_options *options = &run->options;
	struct incfs_mount_params params = {
		.path = options->mountpoint,
		.image = options->image,
		.policy = options->policy,
		.timeout_ms = options->timeout_ms,
		.max_files = max_files,
	};

	if (incfs_mount_open(&run->mount, &params))
		return -1;
	run->fetcher = (struct incfs_fetcher){
		.files = &run->files,
		.space = { .image_fd = run->mount.image_fd, .limit = options->limit_image },
	};
	run->events.ring_fd = -1;
	incfs_progress_init(&run->progress, &run->files, options->quiet);
	incfs_control_init(&run->control, run->mount.info.mount_id, answer, run);
	return 0;
}

/*
 * An image that has a tree is of use by itself: programs read what is there while its source
 * can't be reached, which after a power cut may be for long. One without is left alone until
 * there is something to put into it.
 */
static int open_early(struct incfs_run *run)
{
	if (!incfs_mount_may_exist(run->options.mountpoint, run->options.image))
		return 0;
	if (open_mount(run, EARLY_MAX_FILES))
		return -1;
	if (run->mount.fresh && !run->mount.was_mounted) {
		incfs_control_exit(&run->control);
		incfs_mount_close(&run->mount, true);
		return 0;
	}
	run->ready_at = incfs_now() + PATIENCE_MS;
	run->survey = incfs_survey_make(&run->mount, run->options.subdir);
	return run->stop ? -1 : 0;
}

static int open_source(struct incfs_run *run)
{
	run->source = incfs_source_open(&run->options.http);
	if (!run->source)
		return -1;
	if (run->options.verify && incfs_source_set_key(run->source, run->options.verify))
		return -1;
	run->listing = (struct incfs_listing){
		.path = run->options.list, .source = run->source, .list = &run->list,
	};
	return 0;
}

/* Its paths are those of the source. */
static int attach_profile(const struct incfs_run *run)
{
	const struct incfs_options *options = &run->options;
	char *dir = NULL;
	int err;

	if (asprintf(&dir, "%s%s%s", options->mountpoint, options->subdir ? "/" : "",
		     options->subdir ?: "") < 0) {
		incfs_error("not enough memory");
		return -1;
	}
	err = incfs_profile_attach(options->profile, dir, run->mount.info.mount_id);
	free(dir);
	return err;
}

static int declare_tree(struct incfs_run *run)
{
	const struct incfs_options *options = &run->options;
	const struct incfs_digest *key;
	__u32 before;

	if (incfs_files_create(&run->files, &run->list)) {
		incfs_error("not enough memory for %llu blocks", run->list.nr_blocks);
		return -1;
	}
	/* A limit against mistakes only: room for many more, and other versions. */
	if (run->mount.cmd_fd < 0 &&
	    open_mount(run, incfs_max(options->subdir ? EARLY_MAX_FILES : 65536u,
				      4 * run->list.nr_entries)))
		return -1;
	before = run->mount.info.nr_files;
	if (!incfs_source_bundle_head(run->source, &key))
		key = NULL;
	if (incfs_tree_declare(&run->mount, &run->list, options->subdir, key))
		return -1;
	/* Where a block is, the tree is whole, also after a power cut. */
	if (run->mount.info.nr_files != before && incfs_run_sync(run))
		return -1;
	incfs_files_set_inodes(&run->files);
	if (options->profile && attach_profile(run))
		return -1;
	return incfs_tree_read_present(&run->mount, &run->files);
}

static int start(struct incfs_run *run)
{
	const struct incfs_options *options = &run->options;
	bool was_complete = run->progress.complete;

	incfs_queue_init(&run->queue, &run->files);
	run->fetcher = (struct incfs_fetcher){
		.files = &run->files, .queue = &run->queue, .source = run->source,
		.feed = &run->feed, .background = options->background,
		.rate = options->limit_rate, .allowed_at = incfs_now(),
		.space = run->fetcher.space,
	};
	if (options->limit_image && run->mount.image_fd < 0)
		incfs_warn("--limit-image has no effect: the image has no name any more");
	run->feed = (struct incfs_feed){ .fs = run->mount.fs, .compress = options->compress };
	if (incfs_fetcher_init(&run->fetcher, options->parallel)) {
		incfs_error("not enough memory");
		return -1;
	}
	incfs_sharing_init(&run->share, &run->mount, &run->fetcher, &run->list);
	if (incfs_events_init(&run->events, &run->mount, &run->fetcher, &run->policy))
		return -1;
	incfs_progress_init(&run->progress, &run->files, options->quiet);
	/* That is said once. */
	run->progress.complete = was_complete && run->files.nr_present == run->files.nr_blocks;
	run->listed = true;
	incfs_run_ready(run);
	return 0;
}

/*
 * What was said to be ready goes away when that is wanted, not because something failed:
 * programs may have been started on it, and what is there can be read without us.
 */
static bool may_unmount(const struct incfs_run *run)
{
	return !run->options.keep_mount &&
	       (run->stop || (!run->ready && !run->mount.was_mounted));
}

static void finish(struct incfs_run *run)
{
	incfs_idle_set(NULL, NULL);
	incfs_control_exit(&run->control);
	incfs_progress_exit(&run->progress);
	incfs_events_exit(&run->events);
	/* Requests under way point into the fetcher: they go first. */
	if (run->source)
		run->source->ops->close(run->source);
	incfs_sharing_exit(&run->share);
	incfs_fetcher_exit(&run->fetcher);
	if (run->options.profile && run->mount.cmd_fd >= 0)
		incfs_profile_detach(run->mount.info.mount_id);
	if (run->mount.cmd_fd >= 0)
		incfs_mount_close(&run->mount, may_unmount(run));
	incfs_policy_close(&run->policy);
	incfs_files_destroy(&run->files);
	incfs_list_destroy(&run->list);
	if (run->signal_fd >= 0)
		close(run->signal_fd);
}

/* False: something failed, or we are to end. */
static bool make_ready(struct incfs_run *run)
{
	bool source = !open_source(run);

	/* Without one there is what the image has, if the mount is to stay. */
	if ((!source && !run->options.keep_mount) || !incfs_module_ready() ||
	    incfs_policy_open(&run->policy, run->options.policy, run->options.settings) ||
	    open_early(run))
		return false;
	return source && !incfs_run_await_list(run) && !run->stop && !declare_tree(run) &&
	       !start(run);
}

static int run_all(struct incfs_run *run)
{
	run->signal_fd = incfs_signals_open();
	if (run->signal_fd < 0)
		return 1;
	incfs_idle_set(take_turn, run);
	if (make_ready(run))
		incfs_run_serve(run);
	if (run->mount.cmd_fd >= 0 && incfs_run_sync(run))
		run->failed = true;
	finish(run);
	return run->stop && !run->failed ? 0 : 1;
}

int incfs_cmd_run(int argc, char **argv)
{
	struct incfs_run *run;
	int code;

	run = calloc(1, sizeof(*run));
	if (!run)
		return 1;
	run->signal_fd = -1;
	run->started_at = incfs_now();
	run->control.fd = -1;
	for (int i = 0; i < INCFS_CONTROL_CLIENTS; i++)
		run->control.clients[i].fd = -1;
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
	incfs_options_free(&run->options);
	free(run);
	return code;
}
