// SPDX-License-Identifier: MIT
/* From the queue through the source to the file system. */
#include "fetch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "list.h"
#include "log.h"
#include "share.h"
#include "util.h"

#define KIB 1024u
#define MIB (1024u * KIB)

/* Blocks in one request, by class. */
#define DEMAND_BLOCKS 32
#define AHEAD_BLOCKS (256 * KIB / INCFS_BLOCK_SIZE)
#define BACKGROUND_BLOCKS (1 * MIB / INCFS_BLOCK_SIZE)
#define LEAST_BLOCKS 16

#define WINDOW_LEAST (128 * KIB)
#define WINDOW_START (256 * KIB)
#define WINDOW_MOST (8 * MIB)

/* The background fill stops when something is asked for, for at least so long. */
#define QUIET_MS 50
/* What it may then have on the line, for each millisecond without a request. */
#define QUIET_BYTES_PER_MS KIB

/* Blocks handed over at a time when nobody waits for them. */
#define FEED_BLOCKS 32

#define BACKOFF_FIRST_MS 250
#define BACKOFF_MOST_MS 10000

__u32 incfs_backoff(unsigned int failures)
{
	__u32 most = BACKOFF_FIRST_MS << incfs_min(failures, 6u);

	most = incfs_min(most, BACKOFF_MOST_MS);
	/* Spread out: all loaders of a server see it come back at one time. */
	return most / 2 + random() % (most / 2);
}

static struct incfs_fetch *to_fetch(struct incfs_request *req)
{
	return incfs_container_of(req, struct incfs_fetch, request);
}

static void wake_at(struct incfs_fetcher *fetcher, __u64 when)
{
	if (!fetcher->wake_at || when < fetcher->wake_at)
		fetcher->wake_at = when;
}

/* Whole blocks that have arrived. */
static __u32 arrived_blocks(const struct incfs_fetch *fetch)
{
	const struct incfs_request *req = &fetch->request;

	return req->arrived == req->length ? fetch->range.count : req->arrived / INCFS_BLOCK_SIZE;
}

static void fetch_feed(struct incfs_fetch *fetch)
{
	struct incfs_fetcher *fetcher = fetch->fetcher;
	__u32 done = fetch->fed * INCFS_BLOCK_SIZE, first = fetch->range.first + fetch->fed;
	__u32 end, taken;

	if (fetch->err || fetch->fed == arrived_blocks(fetch))
		return;
	end = incfs_min(arrived_blocks(fetch) * INCFS_BLOCK_SIZE, fetch->request.arrived);
	taken = incfs_feed_blocks(fetcher->feed, fetch->range.file->ino, first,
				  fetch->request.buf + done, end - done, &fetch->err);
	incfs_blocks_clear(fetch->range.file->busy, first, taken);
	incfs_files_present(fetcher->files, fetch->range.file, first, taken);
	fetch->fed += taken;
	if (taken)
		incfs_space_stored(&fetcher->space);
}

static void fetch_progress(struct incfs_request *req)
{
	struct incfs_fetch *fetch = to_fetch(req);

	if (fetch->urgent || arrived_blocks(fetch) - fetch->fed >= FEED_BLOCKS)
		fetch_feed(fetch);
}

/*
 * An answer that begins late has waited behind others. Twice the best time, and
 * 10 ms for a server that thinks, are taken as a line that is full but not
 * crammed.
 */
static void adapt_window(struct incfs_fetcher *fetcher, __u64 wait)
{
	/* Forgets, slowly: the way to the server may have become longer. */
	__u64 best = fetcher->best_wait + fetcher->best_wait / 64 + 1;

	fetcher->best_wait = fetcher->best_wait ? incfs_min(best, wait) : wait;
	if (wait > 2 * fetcher->best_wait + 10000)
		fetcher->window = incfs_max(fetcher->window / 4 * 3, WINDOW_LEAST);
	else
		fetcher->window = incfs_min(fetcher->window + 32 * KIB, WINDOW_MOST);
}

/* The file is left alone for a time that doubles with every failure. */
static void file_failed(struct incfs_fetcher *fetcher, struct incfs_file *file, const char *why)
{
	__u32 delay = incfs_backoff(file->failures++);

	file->retry_at = incfs_now() + delay;
	wake_at(fetcher, file->retry_at);
	incfs_log(file->failures == 1 ? INCFS_LOG_ERROR : INCFS_LOG_DEBUG,
		  "can't fetch '%s': %s; trying again in %u.%u s, and so on", file->entry->path,
		  why, delay / 1000, delay / 100 % 10);
}

/*
 * Nothing is asked of the source for a while. The file waits a little longer, so
 * that another one is tried first if the fault is this one's after all.
 */
static void source_failed(struct incfs_fetcher *fetcher, struct incfs_file *file,
			  __u32 retry_ms, const char *why)
{
	__u64 now = incfs_now();
	__u32 delay;

	/* Requests that were under way together fail together, and count once. */
	if (fetcher->retry_at <= now) {
		delay = incfs_backoff(fetcher->failures++);
		delay = incfs_max(delay, retry_ms);
		fetcher->retry_at = now + delay;
		incfs_log(fetcher->failures <= 8 ? INCFS_LOG_ERROR : INCFS_LOG_DEBUG,
			  "can't fetch '%s': %s; trying again in %u.%u s", file->entry->path,
			  why, delay / 1000, delay / 100 % 10);
	}
	file->retry_at = fetcher->retry_at + incfs_backoff(0);
	wake_at(fetcher, file->retry_at);
}

static void store_failed(struct incfs_fetcher *fetcher, struct incfs_fetch *fetch)
{
	if (!incfs_space_refused(&fetcher->space, fetch->err))
		incfs_log(fetcher->failures ? INCFS_LOG_DEBUG : INCFS_LOG_ERROR,
			  "can't store blocks of '%s': %s; readers wait until that works again",
			  fetch->range.file->entry->path, strerror(fetch->err));
	if (fetcher->retry_at <= incfs_now())
		fetcher->retry_at = incfs_now() + incfs_backoff(fetcher->failures++);
}

static void fetch_done(struct incfs_request *req, enum incfs_source_result result,
		       const char *why)
{
	struct incfs_fetch *fetch = to_fetch(req);
	struct incfs_fetcher *fetcher = fetch->fetcher;
	struct incfs_file *file = fetch->range.file;

	fetch_feed(fetch);
	fetch->active = false;
	fetcher->fetched += req->arrived;
	if (req->arrived)
		adapt_window(fetcher, req->wait_us);
	if (fetch->fed < fetch->range.count) {
		fetch->range.first += fetch->fed;
		fetch->range.count -= fetch->fed;
		incfs_queue_put_back(fetcher->queue, &fetch->range);
		fetcher->recheck = true;
	}
	fetcher->failed += fetch->err || result;
	if (fetch->err) {
		store_failed(fetcher, fetch);
	} else if (result == INCFS_SOURCE_FILE) {
		file_failed(fetcher, file, why);
	} else if (result == INCFS_SOURCE_SERVER) {
		source_failed(fetcher, file, req->retry_ms, why);
	} else {
		if (fetcher->failures)
			incfs_info("fetching goes on");
		file->failures = 0;
		fetcher->failures = 0;
		fetcher->retry_at = 0;
	}
}

static void fetch_start(struct incfs_fetcher *fetcher, const struct incfs_range *range,
			enum incfs_class class)
{
	struct incfs_fetch *fetch = fetcher->fetches;
	struct incfs_file *file = range->file;
	__u64 offset = (__u64)range->first * INCFS_BLOCK_SIZE;

	while (fetch->active)
		fetch++;
	fetch->active = true;
	fetch->range = *range;
	fetch->class = class;
	fetch->urgent = class == INCFS_DEMAND;
	fetch->fed = 0;
	fetch->err = 0;
	fetch->request = (struct incfs_request){
		.path = file->entry->path,
		.file_size = file->entry->size,
		.version = &file->version,
		.offset = offset,
		.length = incfs_min((__u64)range->count * INCFS_BLOCK_SIZE,
				    file->entry->size - offset),
		.buf = fetch->request.buf,
		.progress = fetch_progress,
		.done = fetch_done,
	};
	fetcher->requests[class]++;
	if (fetcher->rate)
		fetcher->allowance -= fetch->request.length;
	incfs_debug("fetching %u blocks of '%s' from %u on: %s", range->count, file->entry->path,
		    range->first, class == INCFS_DEMAND ? "demand" :
		    class == INCFS_AHEAD ? "ahead" : "background");
	fetcher->source->ops->submit(fetcher->source, &fetch->request);
}

/* What is under way, in requests by class, and in bytes: all, and without the demand. */
struct load {
	unsigned int nr[INCFS_CLASSES];
	__u64 all_bytes;
	__u32 bytes;
};

static struct load fetcher_load(const struct incfs_fetcher *fetcher)
{
	struct load load = {};

	for (unsigned int i = 0; i < fetcher->nr; i++) {
		const struct incfs_fetch *fetch = &fetcher->fetches[i];

		if (!fetch->active)
			continue;
		load.nr[fetch->class]++;
		load.all_bytes += fetch->request.length;
		if (fetch->class != INCFS_DEMAND)
			load.bytes += fetch->request.length - fetch->request.arrived;
	}
	return load;
}

/*
 * How many blocks the background fill may ask for now. Two requests keep a line
 * busy, unless they are for small files.
 */
static __u32 background_room(const struct incfs_fetcher *fetcher, const struct load *load,
			     __u32 room, __u64 now)
{
	__u64 quiet = now - fetcher->wanted_at;
	__u64 share = quiet * QUIET_BYTES_PER_MS;

	if (!fetcher->background || load->nr[INCFS_DEMAND] || load->nr[INCFS_AHEAD] ||
	    (load->nr[INCFS_BACKGROUND] >= 2 && load->bytes >= WINDOW_LEAST) || quiet < QUIET_MS)
		return 0;
	share = incfs_max(share, LEAST_BLOCKS * INCFS_BLOCK_SIZE);
	share = share > load->bytes ? share - load->bytes : 0;
	return incfs_min(share, room) / INCFS_BLOCK_SIZE;
}

/* What --limit-rate allows by now; what readers wait for may go into debt. */
static bool rate_allows(struct incfs_fetcher *fetcher, __u64 now)
{
	__s64 burst = fetcher->rate / 4 + 1, gained;

	if (!fetcher->rate)
		return true;
	gained = fetcher->rate * (now - fetcher->allowed_at) / 1000;
	/* A part of a byte is not lost, but waits for the rest. */
	if (gained)
		fetcher->allowed_at = now;
	fetcher->allowance = incfs_min(fetcher->allowance + gained, burst);
	return fetcher->allowance > 0;
}

static bool take_next(struct incfs_fetcher *fetcher, struct incfs_range *range,
		      enum incfs_class *class)
{
	struct load load = fetcher_load(fetcher);
	unsigned int kept = fetcher->nr > 1 ? incfs_max(fetcher->nr / 3, 1u) : 0;
	__u32 room = fetcher->window > load.bytes ? fetcher->window - load.bytes : 0;
	__u64 now = incfs_now();
	__u32 blocks;

	*class = INCFS_DEMAND;
	if (incfs_queue_take(fetcher->queue, *class, DEMAND_BLOCKS, now, range))
		return true;
	if (fetcher->hold || !rate_allows(fetcher, now))
		return false;
	/* The last connections are kept free for what may be asked for next. */
	if (load.nr[INCFS_AHEAD] + load.nr[INCFS_BACKGROUND] + kept >= fetcher->nr)
		return false;
	/* A request that is to find out whether it works again is a small one. */
	if (fetcher->failures)
		room = incfs_min(room, LEAST_BLOCKS * INCFS_BLOCK_SIZE);
	blocks = incfs_min(room / INCFS_BLOCK_SIZE, AHEAD_BLOCKS);
	*class = INCFS_AHEAD;
	if (blocks >= LEAST_BLOCKS &&
	    incfs_queue_take(fetcher->queue, *class, blocks, now, range))
		return true;
	blocks = incfs_min(background_room(fetcher, &load, room, now), BACKGROUND_BLOCKS);
	*class = INCFS_BACKGROUND;
	return blocks >= LEAST_BLOCKS &&
		incfs_queue_take(fetcher->queue, *class, blocks, now, range);
}

static unsigned int nr_active(const struct incfs_fetcher *fetcher)
{
	struct load load = fetcher_load(fetcher);

	return load.nr[INCFS_DEMAND] + load.nr[INCFS_AHEAD] + load.nr[INCFS_BACKGROUND];
}

/* For what is under way, and for one request more, the largest that there is. */
static bool has_space(struct incfs_fetcher *fetcher)
{
	return incfs_space_left(&fetcher->space, fetcher_load(fetcher).all_bytes +
				BACKGROUND_BLOCKS * INCFS_BLOCK_SIZE);
}

void incfs_fetcher_dispatch(struct incfs_fetcher *fetcher)
{
	/* After a failure one request at a time, to see whether it works again. */
	unsigned int most = fetcher->failures ? 1 : fetcher->nr;
	struct incfs_range range;
	enum incfs_class class;

	if (!has_space(fetcher) || fetcher->retry_at > incfs_now())
		return;
	if (fetcher->wake_at && fetcher->wake_at <= incfs_now())
		fetcher->wake_at = 0;
	while (nr_active(fetcher) < most && has_space(fetcher) && take_next(fetcher, &range, &class)) {
		if (class != INCFS_BACKGROUND)
			fetcher->wanted_at = incfs_now();
		fetch_start(fetcher, &range, class);
	}
}

int incfs_fetcher_timeout(const struct incfs_fetcher *fetcher)
{
	__u64 now = incfs_now(), when = 0;

	if (fetcher->space.state != INCFS_SPACE_ROOM)
		return incfs_space_timeout(&fetcher->space);
	if (fetcher->retry_at > now)
		when = fetcher->retry_at;
	else if (nr_active(fetcher) == 0)
		when = fetcher->wanted_at + QUIET_MS;
	if (fetcher->wake_at && (!when || fetcher->wake_at < when))
		when = fetcher->wake_at;
	/* Until the debt is paid. */
	if (fetcher->rate && fetcher->allowance <= 0)
		when = incfs_max(when, fetcher->allowed_at + 1 +
				 1000 * (__u64)-fetcher->allowance / fetcher->rate);
	return when > now ? (int)(when - now) : -1;
}

void incfs_fetcher_demand(struct incfs_fetcher *fetcher, struct incfs_file *file, __u32 first,
			  __u32 count)
{
	__u64 end = (__u64)first + count;

	fetcher->wanted_at = incfs_now();
	for (unsigned int i = 0; i < fetcher->nr; i++) {
		struct incfs_fetch *fetch = &fetcher->fetches[i];

		if (fetch->active && !fetch->urgent && fetch->range.file == file &&
		    fetch->range.first < end &&
		    first < fetch->range.first + (__u64)fetch->range.count) {
			fetch->urgent = true;
			fetch_feed(fetch);
		}
	}
	incfs_sharing_demand(fetcher->share, file, first, count);
	incfs_queue_add_demand(fetcher->queue, file, first, count);
}

void incfs_fetcher_ahead(struct incfs_fetcher *fetcher, struct incfs_file *file, __u32 first,
			 __u32 count, __u32 priority)
{
	fetcher->wanted_at = incfs_now();
	incfs_queue_add_ahead(fetcher->queue, file, first, count, priority);
}

int incfs_fetcher_init(struct incfs_fetcher *fetcher, unsigned int parallel)
{
	size_t size = BACKGROUND_BLOCKS * INCFS_BLOCK_SIZE;

	fetcher->window = WINDOW_START;
	fetcher->fetches = calloc(parallel, sizeof(*fetcher->fetches));
	if (!fetcher->fetches)
		return -ENOMEM;
	for (; fetcher->nr < parallel; fetcher->nr++) {
		struct incfs_fetch *fetch = &fetcher->fetches[fetcher->nr];

		fetch->fetcher = fetcher;
		fetch->request.buf = malloc(size);
		if (!fetch->request.buf)
			return -ENOMEM;
	}
	return 0;
}

void incfs_fetcher_exit(struct incfs_fetcher *fetcher)
{
	for (unsigned int i = 0; i < fetcher->nr; i++)
		free(fetcher->fetches[i].request.buf);
	free(fetcher->fetches);
	fetcher->fetches = NULL;
	fetcher->nr = 0;
}
