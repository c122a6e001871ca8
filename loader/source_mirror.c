// SPDX-License-Identifier: MIT
/*
 * Several places that hold the same files. A request goes to the one that has answered
 * soonest, as far as it is not busy; when it fails, what is missing of it goes to another
 * at once. A place that failed as a whole is left alone for a time that doubles, and then
 * tried with one request.
 *
 * Each place has its own versions of files, and may have a file wrong that others have
 * right: that is remembered for each file, by the address of its version.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "fetch.h"
#include "idle.h"
#include "log.h"
#include "source.h"
#include "util.h"

/* What a place that has a file wrong is taken to be slower by. */
#define WRONG_US 1000u
#define SLOWEST_US 10000000u

/**
 * struct mirror - one place
 * @wait_us:  mean time to the first byte, 0 before the first answer
 * @active:   requests under way
 * @retry_at: not asked before, after @failures in a row
 */
struct mirror {
	struct incfs_source *source;
	const char *name;
	__u64 wait_us;
	unsigned int active;
	unsigned int failures;
	__u64 retry_at;
};

/**
 * struct known_file - what the places have of a file
 * @key:      where its version is, NULL if this is free
 * @wrong:    bits of places that had it wrong when they were asked last
 * @versions: what each had first
 */
struct known_file {
	const __u64 *key;
	__u32 wrong;
	__u64 versions[INCFS_MIRRORS_MAX];
};

enum job_state {
	JOB_FREE,
	JOB_WAITING,	/* for a place to be asked */
	JOB_ACTIVE,
	JOB_END,
};

/**
 * struct mirror_job - a request
 * @inner:   to the place @at
 * @tried:   bits of the places that have failed
 * @absent:  all of these say that there is no such file
 * @server:  one of them failed as a whole: it may be right later
 */
struct mirror_job {
	struct source_mirror *mirrors;
	struct incfs_request *req;
	struct incfs_request inner;
	enum job_state state;
	__u32 tried;
	__u32 at;
	__u64 version;
	bool absent;
	bool server;
	enum incfs_source_result result;
	char why[320];
};

struct source_mirror {
	struct incfs_source source;
	struct mirror places[INCFS_MIRRORS_MAX];
	unsigned int nr_places;
	struct known_file *files;
	size_t nr_files, room;		/* a power of two */
	unsigned int nr;
	struct mirror_job jobs[];
};

static struct source_mirror *to_mirrors(struct incfs_source *source)
{
	return incfs_container_of(source, struct source_mirror, source);
}

static struct mirror_job *to_job(struct incfs_request *inner)
{
	return incfs_container_of(inner, struct mirror_job, inner);
}

static struct known_file *find_slot(struct known_file *files, size_t room, const __u64 *key)
{
	size_t i = ((unsigned long)key >> 3) * 0x9e3779b97f4a7c15ull & (room - 1);

	while (files[i].key && files[i].key != key)
		i = (i + 1) & (room - 1);
	return &files[i];
}

static bool grow_files(struct source_mirror *mirrors)
{
	size_t room = mirrors->room ? mirrors->room * 2 : 256;
	struct known_file *files = calloc(room, sizeof(*files));

	if (!files)
		return false;
	for (size_t i = 0; i < mirrors->room; i++) {
		if (mirrors->files[i].key)
			*find_slot(files, room, mirrors->files[i].key) = mirrors->files[i];
	}
	free(mirrors->files);
	mirrors->files = files;
	mirrors->room = room;
	return true;
}

/* What is known of the file of a request; NULL without memory. */
static struct known_file *find_file(struct source_mirror *mirrors, const struct incfs_request *req)
{
	struct known_file *file;

	if (2 * mirrors->nr_files >= mirrors->room && !grow_files(mirrors))
		return NULL;
	file = find_slot(mirrors->files, mirrors->room, req->version);
	if (!file->key) {
		file->key = req->version;
		mirrors->nr_files++;
	}
	return file;
}

/* A place that is known to be good and not busy comes first. */
static __u64 cost(const struct mirror *place, __u64 now)
{
	__u64 wait = place->wait_us * (place->active + 1);

	if (!place->failures)
		return wait;
	/* One request shows whether it works again; sooner if there is nothing else. */
	if (place->retry_at <= now && !place->active)
		return 0;
	return (1ull << 40) + (place->retry_at > now ? place->retry_at - now : 0);
}

/* The place to be asked next, or -1. */
static int choose(const struct mirror_job *job, const struct known_file *file)
{
	const struct source_mirror *mirrors = job->mirrors;
	__u64 now = incfs_now(), best_cost = ~0ull, this_cost;
	__u32 out = job->tried | job->req->avoid;
	int best = -1;

	for (unsigned int i = 0; i < mirrors->nr_places; i++) {
		if (out & 1u << i)
			continue;
		this_cost = cost(&mirrors->places[i], now);
		if (file->wrong & 1u << i)
			this_cost += 1ull << 50;
		if (this_cost < best_cost) {
			best_cost = this_cost;
			best = i;
		}
	}
	return best;
}

static void inner_progress(struct incfs_request *inner)
{
	struct mirror_job *job = to_job(inner);
	struct incfs_request *req = job->req;

	if (!req->wait_us)
		req->wait_us = inner->wait_us;
	req->mirror = job->at;
	req->arrived = inner->offset - req->offset + inner->arrived;
	req->progress(req);
}

static void place_failed(struct mirror *place, const struct incfs_request *inner, const char *why)
{
	__u32 delay;

	/* What was under way together fails together, and counts once. */
	if (place->retry_at > incfs_now())
		return;
	delay = incfs_backoff(place->failures++);
	delay = incfs_max(delay, inner->retry_ms);
	place->retry_at = incfs_now() + delay;
	incfs_log(place->failures == 1 ? INCFS_LOG_WARN : INCFS_LOG_DEBUG,
		  "'%s' fails: '%s': %s; left alone for %u.%u s", place->name, inner->path, why,
		  delay / 1000, delay / 100 % 10);
}

static void place_answered(struct mirror *place, const struct incfs_request *inner)
{
	if (inner->wait_us)
		place->wait_us = place->wait_us ? (7 * place->wait_us + inner->wait_us) / 8 :
			inner->wait_us;
	if (place->failures)
		incfs_info("'%s' works again", place->name);
	place->failures = 0;
	place->retry_at = 0;
}

static void inner_done(struct incfs_request *inner, enum incfs_source_result result,
		       const char *why)
{
	struct mirror_job *job = to_job(inner);
	struct mirror *place = &job->mirrors->places[job->at];
	struct known_file *file = find_file(job->mirrors, job->req);

	place->active--;
	if (inner->arrived)
		inner_progress(inner);
	if (file) {
		file->versions[job->at] = job->version;
		file->wrong &= ~(1u << job->at);
		file->wrong |= (result == INCFS_SOURCE_FILE) << job->at;
	}
	if (!result) {
		place_answered(place, inner);
		/* For the outside there is one version, which we stand for. */
		*job->req->version = 1;
		job->result = INCFS_SOURCE_OK;
		job->why[0] = 0;
		job->state = JOB_END;
		return;
	}
	if (result == INCFS_SOURCE_SERVER) {
		place_failed(place, inner, why);
		job->server = true;
		job->req->retry_ms = inner->retry_ms;
	} else {
		incfs_debug("'%s' has '%s' wrong: %s", place->name, inner->path, why);
		place->wait_us = incfs_min(2 * place->wait_us + WRONG_US, SLOWEST_US);
	}
	job->absent &= inner->absent;
	job->tried |= 1u << job->at;
	snprintf(job->why, sizeof(job->why), "%.100s: %.200s", place->name, why);
	job->state = JOB_WAITING;
}

static void job_fail(struct mirror_job *job)
{
	job->req->absent = job->absent && job->tried;
	job->result = job->server ? INCFS_SOURCE_SERVER : INCFS_SOURCE_FILE;
	job->state = JOB_END;
	if (!job->tried)
		snprintf(job->why, sizeof(job->why), "all mirrors have it wrong");
}

static void job_ask(struct mirror_job *job)
{
	struct source_mirror *mirrors = job->mirrors;
	struct incfs_request *req = job->req;
	struct known_file *file = find_file(mirrors, req);
	struct mirror *place;
	int at = file ? choose(job, file) : -1;

	if (at < 0) {
		job_fail(job);
		return;
	}
	place = &mirrors->places[at];
	job->at = at;
	job->version = file->versions[at];
	job->inner = (struct incfs_request){
		.path = req->path, .file_size = req->file_size, .version = &job->version,
		.offset = req->offset + req->arrived, .length = req->length - req->arrived,
		.buf = req->buf + req->arrived,
		.progress = inner_progress, .done = inner_done,
	};
	job->state = JOB_ACTIVE;
	place->active++;
	place->source->ops->submit(place->source, &job->inner);
}

static void mirror_submit(struct incfs_source *source, struct incfs_request *req)
{
	struct source_mirror *mirrors = to_mirrors(source);
	struct mirror_job *job = mirrors->jobs;
	struct known_file *file = find_file(mirrors, req);

	while (job->state != JOB_FREE)
		job++;
	*job = (struct mirror_job){
		.mirrors = mirrors, .req = req, .state = JOB_WAITING, .absent = true,
	};
	/* Its owner knows of no version, or wants none to count. */
	if (file && !*req->version)
		*file = (struct known_file){ .key = file->key };
	job_ask(job);
}

static int mirror_timeout(struct incfs_source *source)
{
	struct source_mirror *mirrors = to_mirrors(source);
	int least = -1;

	for (unsigned int i = 0; i < mirrors->nr; i++) {
		if (mirrors->jobs[i].state == JOB_WAITING || mirrors->jobs[i].state == JOB_END)
			return 0;
	}
	for (unsigned int i = 0; i < mirrors->nr_places; i++) {
		struct incfs_source *place = mirrors->places[i].source;
		int timeout = place->ops->timeout(place);

		if (timeout >= 0 && (least < 0 || timeout < least))
			least = timeout;
	}
	return least;
}

static void mirror_run(struct incfs_source *source)
{
	struct source_mirror *mirrors = to_mirrors(source);

	for (unsigned int i = 0; i < mirrors->nr_places; i++)
		mirrors->places[i].source->ops->run(mirrors->places[i].source);
	for (unsigned int i = 0; i < mirrors->nr; i++) {
		struct mirror_job *job = &mirrors->jobs[i];

		if (job->state == JOB_WAITING)
			job_ask(job);
		if (job->state != JOB_END)
			continue;
		job->state = JOB_FREE;
		job->req->done(job->req, job->result, job->why);
	}
}

/* That of the first place that has one. */
static enum incfs_source_result mirror_read_list(struct incfs_source *source, char **text,
						 size_t *size, char *why, size_t why_size)
{
	struct source_mirror *mirrors = to_mirrors(source);
	enum incfs_source_result result, worst = INCFS_SOURCE_FILE;

	for (unsigned int i = 0; i < mirrors->nr_places; i++) {
		struct incfs_source *place = mirrors->places[i].source;

		result = place->ops->read_list(place, text, size, why, why_size);
		if (!result || incfs_idle())
			return result;
		if (result == INCFS_SOURCE_SERVER)
			worst = result;
		incfs_warn("no list of files: '%s': %s", mirrors->places[i].name, why);
	}
	snprintf(why, why_size, "none of %u mirrors has one", mirrors->nr_places);
	return worst;
}

static void mirror_close(struct incfs_source *source)
{
	struct source_mirror *mirrors = to_mirrors(source);

	for (unsigned int i = 0; i < mirrors->nr_places; i++)
		mirrors->places[i].source->ops->close(mirrors->places[i].source);
	if (source->fd >= 0)
		close(source->fd);
	free(mirrors->files);
	free(mirrors);
}

static const struct incfs_source_ops mirror_ops = {
	.read_list = mirror_read_list,
	.submit = mirror_submit,
	.timeout = mirror_timeout,
	.run = mirror_run,
	.close = mirror_close,
};

struct incfs_source *incfs_source_mirror_open(struct incfs_source *const *places,
					      const char *const *names, unsigned int nr,
					      unsigned int parallel)
{
	struct source_mirror *mirrors;

	mirrors = calloc(1, sizeof(*mirrors) + parallel * sizeof(mirrors->jobs[0]));
	if (!mirrors) {
		while (nr--)
			places[nr]->ops->close(places[nr]);
		incfs_error("not enough memory");
		return NULL;
	}
	mirrors->source = (struct incfs_source){
		.ops = &mirror_ops, .mirrors = nr, .fd = epoll_create1(EPOLL_CLOEXEC),
	};
	mirrors->nr = parallel;
	mirrors->nr_places = nr;
	for (unsigned int i = 0; i < nr; i++)
		mirrors->places[i] = (struct mirror){ .source = places[i], .name = names[i] };
	for (unsigned int i = 0; i < nr; i++) {
		struct epoll_event event = { .events = EPOLLIN };

		if (places[i]->fd < 0 ||
		    !epoll_ctl(mirrors->source.fd, EPOLL_CTL_ADD, places[i]->fd, &event))
			continue;
		incfs_error("can't wait for several sources: %s", strerror(errno));
		mirror_close(&mirrors->source);
		return NULL;
	}
	return &mirrors->source;
}
