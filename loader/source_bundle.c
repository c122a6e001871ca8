// SPDX-License-Identifier: MIT
/*
 * A bundle, on top of the source that its files are at. A source without one is
 * handed through as it is, so that this can stand before every source.
 *
 * A request goes from step to step, each with one request to the source below: the
 * pages of the block table that it needs and that are not there yet, and the blocks,
 * as many together as lie next to each other. Everything is compared with its digest
 * before it is used, and a plain byte is handed out when its block is proved.
 */
#include "bundle.h"

#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "idle.h"
#include "log.h"
#include "source.h"
#include "util.h"

#define PAGE_SIZE (INCFS_BUNDLE_PAGE_ENTRIES * INCFS_BUNDLE_ENTRY_SIZE)

enum job_state {
	JOB_FREE,
	JOB_STEP,	/* to be gone on with */
	JOB_PAGE,	/* a page of the block table is on its way */
	JOB_BLOCKS,	/* blocks are */
	JOB_BASE,	/* what there is in common with the base is */
	JOB_WRONG,	/* these were wrong: another mirror is asked when they have ended */
	JOB_END,	/* to be told */
};

/**
 * struct bundle_job - a request
 * @file:    that it is for
 * @next:    block of the file that comes next, @end: where the request ends
 * @inner:   what is asked of the source below, @used of it are decoded
 * @avoid:   mirrors that had something wrong
 * @page:    that is asked for
 * @run_end: the block where @inner ends
 */
struct bundle_job {
	struct source_bundle *bundle;
	struct incfs_request *req;
	struct incfs_request inner;
	__u64 version;
	enum job_state state;
	enum incfs_source_result result;
	const struct incfs_entry *file;
	__u64 first;
	__u32 next, end, run_end;
	__u32 used;
	__u32 avoid;
	__u64 page;
	char why[256];
};

/* Most pages of the block table in memory: 10 MiB, for 1 GiB of files. */
#define PAGES_KEPT 256

struct kept_page {
	__u64 page;
	__u64 used;
};

/**
 * struct source_bundle
 * @found: there is a bundle
 * @digest: of its head
 * @first: of each entry of the list: number of its first block
 * @pages: of the block table, those that are there, and @kept which these are
 * @uses:  a clock that stamps them
 */
struct source_bundle {
	struct incfs_source source;
	struct incfs_source *below;
	void *key;
	bool found;
	struct incfs_bundle_head head;
	struct incfs_digest digest;
	struct incfs_list list;
	__u64 *first;
	struct incfs_digest *digests;
	unsigned char **pages;
	bool *loading;
	struct kept_page kept[PAGES_KEPT];
	unsigned int nr_kept;
	__u64 uses;
	unsigned int nr;
	struct bundle_job jobs[];
};

static struct source_bundle *to_bundle(struct incfs_source *source)
{
	return incfs_container_of(source, struct source_bundle, source);
}

static struct bundle_job *to_job(struct incfs_request *inner)
{
	return incfs_container_of(inner, struct bundle_job, inner);
}

static __u32 all_mirrors(const struct source_bundle *bundle)
{
	return (1u << bundle->source.mirrors) - 1;
}

/* A file of the bundle that is read whole, before anything else. */
struct whole {
	struct incfs_request request;
	enum incfs_source_result result;
	bool done;
	bool *absent;
	char *why;
	size_t why_size;
};

static void ignore_progress(struct incfs_request *req)
{
	(void)req;
}

static void whole_done(struct incfs_request *req, enum incfs_source_result result,
		       const char *why)
{
	struct whole *whole = incfs_container_of(req, struct whole, request);

	whole->done = true;
	whole->result = result;
	if (whole->absent)
		*whole->absent = req->absent;
	if (result)
		snprintf(whole->why, whole->why_size, "'%s': %s", req->path, why);
}

/* @avoid: mirrors that are not asked; the one that has answered is added. NULL: all are. */
static enum incfs_source_result read_whole(struct source_bundle *bundle, const char *name,
					   void *buf, size_t size, __u32 *avoid, bool *absent,
					   char *why, size_t why_size)
{
	struct incfs_source *below = bundle->below;
	__u64 version = 0;
	struct whole whole = {
		.request = {
			.path = name, .file_size = size, .length = size, .buf = buf,
			.version = &version, .avoid = avoid ? *avoid : 0,
			.progress = ignore_progress, .done = whole_done,
		},
		.absent = absent, .why = why, .why_size = why_size,
	};

	if (!size)
		return INCFS_SOURCE_OK;
	below->ops->submit(below, &whole.request);
	while (!whole.done) {
		struct pollfd fd = { .fd = below->fd, .events = POLLIN };
		unsigned int timeout = below->ops->timeout(below);

		poll(&fd, 1, incfs_min(timeout, (unsigned int)INCFS_IDLE_MS));
		/* The request is left as it is: after this the source is only closed. */
		if (incfs_idle()) {
			snprintf(why, why_size, "interrupted");
			return INCFS_SOURCE_SERVER;
		}
		below->ops->run(below);
	}
	if (avoid)
		*avoid |= 1u << whole.request.mirror;
	return whole.result;
}

static int compare_digest(const void *data, size_t size, const struct incfs_digest *digest,
			  const char *name, char *why, size_t why_size)
{
	struct incfs_digest found;

	if (!incfs_digest(data, size, &found) && !memcmp(&found, digest, sizeof(found)))
		return 0;
	snprintf(why, why_size, "'%s' is not what the bundle was packed with: its SHA-256 differs",
		 name);
	return -1;
}

/* The same for what has a digest: from the first mirror that has it right. */
static enum incfs_source_result read_proved(struct source_bundle *bundle, const char *name,
					    void *buf, size_t size,
					    const struct incfs_digest *digest, char *why,
					    size_t why_size)
{
	enum incfs_source_result result;
	__u32 avoid = 0;

	do {
		result = read_whole(bundle, name, buf, size, &avoid, NULL, why, why_size);
		if (result || !compare_digest(buf, size, digest, name, why, why_size))
			return result;
	} while (size && avoid != all_mirrors(bundle));
	return INCFS_SOURCE_FILE;
}

/* Whose bundle it is. */
static enum incfs_source_result check_signature(struct source_bundle *bundle, const char *head,
						char *why, size_t why_size)
{
	unsigned char signature[INCFS_BUNDLE_SIGNATURE_SIZE];
	char digits[2 * INCFS_BUNDLE_DIGEST_SIZE + 1];
	enum incfs_source_result result;

	if (incfs_digest(head, INCFS_BUNDLE_HEAD_SIZE, &bundle->digest)) {
		snprintf(why, why_size, "can't compute a SHA-256");
		return INCFS_SOURCE_FILE;
	}
	if (!bundle->key) {
		incfs_digest_print(&bundle->digest, digits);
		incfs_info("bundle %s: whose it is was not checked: no --verify", digits);
		return INCFS_SOURCE_OK;
	}
	result = read_whole(bundle, INCFS_BUNDLE_SIGNATURE, signature, sizeof(signature),
			    NULL, NULL, why, why_size);
	if (result)
		return result;
	if (!incfs_bundle_check(bundle->key, head, signature))
		return INCFS_SOURCE_OK;
	snprintf(why, why_size, "'%s' is not a signature by the key of --verify",
		 INCFS_BUNDLE_SIGNATURE);
	return INCFS_SOURCE_FILE;
}

/* The pages' digests, and room for the pages. */
static enum incfs_source_result read_pages(struct source_bundle *bundle, char *why,
					   size_t why_size)
{
	const struct incfs_bundle_head *head = &bundle->head;
	__u64 nr = head->pages_size / INCFS_BUNDLE_DIGEST_SIZE, first = 0;

	bundle->first = calloc(bundle->list.nr_entries + 1, sizeof(*bundle->first));
	bundle->digests = calloc(nr + 1, sizeof(*bundle->digests));
	bundle->pages = calloc(nr + 1, sizeof(*bundle->pages));
	bundle->loading = calloc(nr + 1, sizeof(*bundle->loading));
	if (!bundle->first || !bundle->digests || !bundle->pages || !bundle->loading) {
		snprintf(why, why_size, "not enough memory");
		return INCFS_SOURCE_FILE;
	}
	for (size_t i = 0; i < bundle->list.nr_entries; i++) {
		bundle->first[i] = first;
		first += incfs_size_blocks(bundle->list.entries[i].size);
	}
	return read_proved(bundle, INCFS_BUNDLE_PAGES, bundle->digests, head->pages_size,
			   &head->pages, why, why_size);
}

static void forget_index(struct source_bundle *bundle)
{
	for (__u64 i = 0; bundle->pages && i < bundle->head.pages_size / INCFS_BUNDLE_DIGEST_SIZE;
	     i++)
		free(bundle->pages[i]);
	incfs_list_destroy(&bundle->list);
	free(bundle->first);
	free(bundle->digests);
	free(bundle->pages);
	free(bundle->loading);
	bundle->first = NULL;
	bundle->digests = NULL;
	bundle->pages = NULL;
	bundle->loading = NULL;
	bundle->nr_kept = 0;
	bundle->found = false;
}

/* The list twice: one for the caller, and one that we keep. */
static enum incfs_source_result read_tree(struct source_bundle *bundle, char **text, size_t *size,
					  char *why, size_t why_size)
{
	const struct incfs_bundle_head *head = &bundle->head;
	enum incfs_source_result result;
	char *own = malloc(head->tree_size);

	*size = head->tree_size;
	*text = malloc(head->tree_size);
	if (!own || !*text) {
		snprintf(why, why_size, "not enough memory");
		free(own);
		return INCFS_SOURCE_FILE;
	}
	result = read_proved(bundle, INCFS_BUNDLE_TREE, own, head->tree_size, &head->tree, why,
			     why_size);
	if (result) {
		free(own);
		return result;
	}
	memcpy(*text, own, head->tree_size);
	if (incfs_list_parse(&bundle->list, own, head->tree_size)) {
		snprintf(why, why_size, "'%s': %.300s", INCFS_BUNDLE_TREE, bundle->list.error);
		return INCFS_SOURCE_FILE;
	}
	if (bundle->list.nr_blocks * INCFS_BUNDLE_ENTRY_SIZE == head->blocks_size)
		return INCFS_SOURCE_OK;
	snprintf(why, why_size, "'%s' has %llu blocks, '%s' %llu", INCFS_BUNDLE_TREE,
		 bundle->list.nr_blocks, INCFS_BUNDLE_BLOCKS,
		 head->blocks_size / INCFS_BUNDLE_ENTRY_SIZE);
	return INCFS_SOURCE_FILE;
}

static enum incfs_source_result bundle_read_list(struct incfs_source *source, char **text,
						 size_t *size, char *why, size_t why_size)
{
	struct source_bundle *bundle = to_bundle(source);
	char head[INCFS_BUNDLE_HEAD_SIZE], head_why[256];
	enum incfs_source_result result;
	bool absent = false;

	forget_index(bundle);
	*text = NULL;
	result = read_whole(bundle, INCFS_BUNDLE_HEAD, head, sizeof(head), NULL, &absent, why,
			    why_size);
	/* A key was given for a bundle: nothing else will do. */
	if (result && absent && !bundle->key)
		return bundle->below->ops->read_list(bundle->below, text, size, why, why_size);
	if (result)
		return result;
	if (incfs_bundle_parse_head(&bundle->head, head, head_why, sizeof(head_why))) {
		snprintf(why, why_size, "'%s': %s", INCFS_BUNDLE_HEAD, head_why);
		return INCFS_SOURCE_FILE;
	}
	result = check_signature(bundle, head, why, why_size);
	if (!result)
		result = read_tree(bundle, text, size, why, why_size);
	if (!result)
		result = read_pages(bundle, why, why_size);
	bundle->found = !result;
	if (result) {
		free(*text);
		forget_index(bundle);
	}
	return result;
}

__attribute__((format(printf, 3, 4)))
static void job_end(struct bundle_job *job, enum incfs_source_result result, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(job->why, sizeof(job->why), fmt, args);
	va_end(args);
	job->result = result;
	job->state = JOB_END;
}

static __u32 plain_size(const struct bundle_job *job, __u32 block)
{
	return incfs_min(job->file->size - (__u64)block * INCFS_BLOCK_SIZE, INCFS_BLOCK_SIZE);
}

/* The entry of a block, if its page is there. */
static bool find_block(const struct bundle_job *job, __u32 nr, struct incfs_bundle_block *block)
{
	__u64 index = job->first + nr;
	const unsigned char *page = job->bundle->pages[index / INCFS_BUNDLE_PAGE_ENTRIES];

	if (!page)
		return false;
	incfs_bundle_parse_block(block, page + index % INCFS_BUNDLE_PAGE_ENTRIES *
				 INCFS_BUNDLE_ENTRY_SIZE);
	return true;
}

static bool is_sound(const struct bundle_job *job, __u32 nr,
		     const struct incfs_bundle_block *block)
{
	return block->length <= plain_size(job, nr) &&
	       block->offset + block->length <= job->bundle->head.data_size;
}

/* What a mirror has sent is not what was packed. False if there is no other. */
static bool try_another(struct bundle_job *job)
{
	job->avoid |= 1u << job->inner.mirror;
	incfs_debug("'%s' of a mirror is not what was packed", job->inner.path);
	return job->avoid != all_mirrors(job->bundle);
}

/* Decode the blocks that have arrived in whole. Ends the job when one is wrong. */
static void decode_arrived(struct bundle_job *job)
{
	struct incfs_request *req = job->req;
	struct incfs_bundle_block block;
	__u32 before = req->arrived;
	const unsigned char *stored;

	if (!req->wait_us)
		req->wait_us = job->inner.wait_us;
	while (job->next < job->run_end && find_block(job, job->next, &block)) {
		__u32 size = plain_size(job, job->next);

		if (block.length > job->inner.arrived - job->used)
			break;
		/* Blocks of zeros are nowhere: there may have been no request. */
		stored = block.length ? job->inner.buf + job->used : NULL;
		if (incfs_bundle_decode(&block, stored, req->buf + req->arrived, size)) {
			if (job->inner.length && try_another(job))
				job->state = JOB_WRONG;
			else
				job_end(job, INCFS_SOURCE_FILE,
					"block %u is not what was packed: its SHA-256 differs",
					job->next);
			break;
		}
		job->used += block.length;
		req->arrived += size;
		job->next++;
	}
	if (req->arrived > before)
		req->progress(req);
}

static void blocks_progress(struct incfs_request *inner)
{
	struct bundle_job *job = to_job(inner);

	if (job->state == JOB_BLOCKS)
		decode_arrived(job);
}

/* The pages that were needed last are kept; a job that needs another again asks for it. */
static void keep_page(struct source_bundle *bundle, __u64 page, unsigned char *data)
{
	unsigned int oldest = 0;

	bundle->pages[page] = data;
	if (bundle->nr_kept < PAGES_KEPT) {
		oldest = bundle->nr_kept++;
	} else {
		for (unsigned int i = 1; i < PAGES_KEPT; i++) {
			if (bundle->kept[i].used < bundle->kept[oldest].used)
				oldest = i;
		}
		free(bundle->pages[bundle->kept[oldest].page]);
		bundle->pages[bundle->kept[oldest].page] = NULL;
	}
	bundle->kept[oldest] = (struct kept_page){ page, ++bundle->uses };
}

/* A job has come to @page. */
static void use_page(struct source_bundle *bundle, __u64 page)
{
	for (unsigned int i = 0; i < bundle->nr_kept; i++) {
		if (bundle->kept[i].page == page)
			bundle->kept[i].used = ++bundle->uses;
	}
}

static void page_take(struct bundle_job *job)
{
	struct source_bundle *bundle = job->bundle;

	if (compare_digest(job->inner.buf, job->inner.length, &bundle->digests[job->page],
			   INCFS_BUNDLE_BLOCKS, job->why, sizeof(job->why))) {
		job->result = INCFS_SOURCE_FILE;
		job->state = try_another(job) ? JOB_STEP : JOB_END;
		return;
	}
	keep_page(bundle, job->page, job->inner.buf);
	job->inner.buf = NULL;
	job->state = JOB_STEP;
}

static void base_take(struct bundle_job *job)
{
	struct incfs_request *req = job->req;

	if (compare_digest(job->inner.buf, job->inner.length, &job->bundle->head.base,
			   INCFS_BUNDLE_BASE, job->why, sizeof(job->why))) {
		job->result = INCFS_SOURCE_FILE;
		job->state = try_another(job) ? JOB_STEP : JOB_END;
		return;
	}
	memcpy(req->buf, job->inner.buf, req->length);
	req->arrived = req->length;
	job_end(job, INCFS_SOURCE_OK, "%s", "");
}

/* @inner is no more; what comes next is started when the source below has returned. */
static void inner_done(struct incfs_request *inner, enum incfs_source_result result,
		       const char *why)
{
	struct bundle_job *job = to_job(inner);

	if (job->state == JOB_PAGE) {
		job->bundle->loading[job->page] = false;
		if (!result)
			page_take(job);
	} else if (job->state == JOB_BLOCKS) {
		decode_arrived(job);
		if (job->state == JOB_BLOCKS && !result)
			job->state = JOB_STEP;
	} else if (job->state == JOB_BASE && !result) {
		base_take(job);
	}
	inner->length = 0;
	if (job->state == JOB_WRONG)
		job->state = JOB_STEP;
	else if (result && job->state != JOB_END)
		job_end(job, result, "'%s': %s", inner->path, why);
	free(inner->buf);
	inner->buf = NULL;
}

static void inner_submit(struct bundle_job *job, const char *name, __u64 file_size, __u64 offset,
			 __u32 length)
{
	struct incfs_source *below = job->bundle->below;

	/* Digests say better than a version whether this is the right file. */
	job->version = 0;
	job->used = 0;
	job->inner = (struct incfs_request){
		.path = name, .file_size = file_size, .version = &job->version,
		.offset = offset, .length = length, .buf = malloc(length),
		.avoid = job->avoid, .progress = blocks_progress, .done = inner_done,
	};
	if (job->inner.buf) {
		below->ops->submit(below, &job->inner);
		return;
	}
	job->inner.length = 0;
	if (job->state == JOB_PAGE)
		job->bundle->loading[job->page] = false;
	job_end(job, INCFS_SOURCE_SERVER, "not enough memory");
}

static void ask_for_page(struct bundle_job *job, __u64 page)
{
	struct source_bundle *bundle = job->bundle;
	__u64 offset = page * PAGE_SIZE;

	if (bundle->loading[page])
		return;
	bundle->loading[page] = true;
	job->page = page;
	job->state = JOB_PAGE;
	inner_submit(job, INCFS_BUNDLE_BLOCKS, bundle->head.blocks_size, offset,
		     incfs_min(PAGE_SIZE, bundle->head.blocks_size - offset));
}

/* As many blocks as lie next to each other; those of zeros lie nowhere. */
static void ask_for_blocks(struct bundle_job *job)
{
	struct incfs_bundle_block block;
	__u64 start = 0, end = 0;

	for (job->run_end = job->next; job->run_end < job->end; job->run_end++) {
		if (!find_block(job, job->run_end, &block))
			break;
		if (!is_sound(job, job->run_end, &block)) {
			job_end(job, INCFS_SOURCE_FILE, "the place of block %u is out of bounds",
				job->run_end);
			return;
		}
		if (!block.length)
			continue;
		if (end && block.offset != end)
			break;
		if (!end)
			start = block.offset;
		end = block.offset + block.length;
	}
	use_page(job->bundle, (job->first + job->next) / INCFS_BUNDLE_PAGE_ENTRIES);
	job->state = JOB_BLOCKS;
	if (end > start) {
		inner_submit(job, INCFS_BUNDLE_DATA, job->bundle->head.data_size, start,
			     end - start);
		return;
	}
	decode_arrived(job);
	if (job->state == JOB_BLOCKS)
		job->state = JOB_STEP;
}

static void ask_for_base(struct bundle_job *job)
{
	__u64 size = job->bundle->head.base_size;

	job->state = JOB_BASE;
	inner_submit(job, INCFS_BUNDLE_BASE, size, 0, size);
}

static void give_digests(struct bundle_job *job)
{
	struct incfs_request *req = job->req;
	struct incfs_bundle_block block;

	use_page(job->bundle, (job->first + job->next) / INCFS_BUNDLE_PAGE_ENTRIES);
	for (; job->next < job->end && find_block(job, job->next, &block); job->next++) {
		memcpy(req->buf + req->arrived, &block.digest, sizeof(block.digest));
		req->arrived += sizeof(block.digest);
	}
}

static void job_step(struct bundle_job *job)
{
	struct incfs_bundle_block block;

	while (job->state == JOB_STEP) {
		if (job->req->what == INCFS_REQUEST_BASE) {
			ask_for_base(job);
			return;
		}
		if (job->next == job->end) {
			job_end(job, INCFS_SOURCE_OK, "%s", "");
		} else if (!find_block(job, job->next, &block)) {
			ask_for_page(job, (job->first + job->next) / INCFS_BUNDLE_PAGE_ENTRIES);
			return;
		} else if (job->req->what == INCFS_REQUEST_DIGESTS) {
			give_digests(job);
		} else {
			ask_for_blocks(job);
		}
	}
}

static int compare_path(const void *path, const void *entry)
{
	return incfs_list_compare(path, ((const struct incfs_entry *)entry)->path);
}

static void bundle_submit(struct incfs_source *source, struct incfs_request *req)
{
	struct source_bundle *bundle = to_bundle(source);
	struct bundle_job *job = bundle->jobs;
	const struct incfs_entry *file;

	if (!bundle->found) {
		bundle->below->ops->submit(bundle->below, req);
		return;
	}
	while (job->state != JOB_FREE)
		job++;
	if (req->what == INCFS_REQUEST_BASE) {
		*job = (struct bundle_job){ .bundle = bundle, .req = req, .state = JOB_STEP };
		if (!bundle->head.base_size || req->length != bundle->head.base_size)
			job_end(job, INCFS_SOURCE_FILE, "the bundle has no such base");
		return;
	}
	file = bsearch(req->path, bundle->list.entries, bundle->list.nr_entries, sizeof(*file),
		       compare_path);
	*job = (struct bundle_job){ .bundle = bundle, .req = req, .file = file };
	if (!file || file->type != INCFS_ENTRY_FILE || file->size != req->file_size ||
	    req->offset % INCFS_BLOCK_SIZE || req->offset + req->length > file->size ||
	    (req->length % INCFS_BLOCK_SIZE && req->offset + req->length != file->size)) {
		job_end(job, INCFS_SOURCE_FILE, "the bundle has no such file, or another one");
		return;
	}
	job->first = bundle->first[file - bundle->list.entries];
	job->next = req->offset / INCFS_BLOCK_SIZE;
	job->end = incfs_size_blocks(req->offset + req->length);
	job->state = JOB_STEP;
}

/* Whether @job has something to do that nobody else must do first. */
static bool job_is_ready(const struct bundle_job *job)
{
	__u64 page;

	if (job->state != JOB_STEP)
		return job->state == JOB_END && !job->inner.length;
	page = (job->first + job->next) / INCFS_BUNDLE_PAGE_ENTRIES;
	return job->req->what == INCFS_REQUEST_BASE || job->next == job->end ||
	       !job->bundle->loading[page];
}

static int bundle_timeout(struct incfs_source *source)
{
	struct source_bundle *bundle = to_bundle(source);

	for (unsigned int i = 0; bundle->found && i < bundle->nr; i++) {
		if (job_is_ready(&bundle->jobs[i]))
			return 0;
	}
	return bundle->below->ops->timeout(bundle->below);
}

static void bundle_run(struct incfs_source *source)
{
	struct source_bundle *bundle = to_bundle(source);

	bundle->below->ops->run(bundle->below);
	for (unsigned int i = 0; bundle->found && i < bundle->nr; i++) {
		struct bundle_job *job = &bundle->jobs[i];

		job_step(job);
		if (job->state != JOB_END || job->inner.length)
			continue;
		job->state = JOB_FREE;
		job->req->done(job->req, job->result, job->why);
	}
}

static void bundle_close(struct incfs_source *source)
{
	struct source_bundle *bundle = to_bundle(source);

	bundle->below->ops->close(bundle->below);
	for (unsigned int i = 0; i < bundle->nr; i++)
		free(bundle->jobs[i].inner.buf);
	forget_index(bundle);
	incfs_bundle_free_key(bundle->key);
	free(bundle);
}

static const struct incfs_source_ops bundle_ops = {
	.read_list = bundle_read_list,
	.submit = bundle_submit,
	.timeout = bundle_timeout,
	.run = bundle_run,
	.close = bundle_close,
};

struct incfs_source *incfs_source_bundle_open(struct incfs_source *below, unsigned int parallel)
{
	struct source_bundle *bundle;

	bundle = calloc(1, sizeof(*bundle) + parallel * sizeof(bundle->jobs[0]));
	if (!bundle) {
		incfs_error("not enough memory");
		below->ops->close(below);
		return NULL;
	}
	bundle->source = (struct incfs_source){
		.ops = &bundle_ops, .fd = below->fd, .mirrors = below->mirrors,
	};
	bundle->below = below;
	bundle->nr = parallel;
	return &bundle->source;
}

int incfs_source_set_key(struct incfs_source *source, const char *file)
{
	struct source_bundle *bundle = to_bundle(source);

	bundle->key = incfs_bundle_read_key(file);
	return bundle->key ? 0 : -1;
}

const struct incfs_bundle_head *incfs_source_bundle_head(struct incfs_source *source,
							 const struct incfs_digest **digest)
{
	struct source_bundle *bundle = to_bundle(source);

	*digest = &bundle->digest;
	return bundle->found ? &bundle->head : NULL;
}
