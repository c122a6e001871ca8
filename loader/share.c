// SPDX-License-Identifier: MIT
/* Blocks that the image has already, in another version of the tree. */
#include "share.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <incfs/incfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fetch.h"
#include "files.h"
#include "log.h"
#include "mount.h"
#include "tree.h"
#include "util.h"

/* A slice for a reader, who waits for all of it. */
#define DEMAND_BLOCKS 32u
/* Slices that are looked at in one go, when there is nothing there to be read. */
#define LOOKS_MOST 64
/* The prover is given up after so long. */
#define PROVER_MS 10000
/* And altogether when it had to wait for so many blocks. */
#define STUCK_MOST 100
/* So long is waited when there is no room in the image. */
#define ROOM_MS 1000

/* What came of it, once. */
static void say_shared(struct incfs_sharing *share)
{
	if (share->run)
		incfs_info("%llu blocks are shared with '%s', %llu were not there or not the same",
			   share->shared, share->subdir, share->refused);
	share->run = NULL;
}

static void share_over(struct incfs_sharing *share)
{
	share->state = INCFS_SHARING_OVER;
	share->fetcher->hold = false;
	incfs_prover_stop(&share->prover);
	say_shared(share);
}

/* These are to be fetched after all. */
static void refuse(struct incfs_sharing *share, struct incfs_file *file, __u32 first, __u32 count)
{
	struct incfs_range range = { .file = file };
	__u32 end = first + count;

	for (; first < end; first++) {
		if (!incfs_block_test(file->base, first))
			continue;
		incfs_blocks_clear(file->base, first, 1);
		range.first = first;
		range.count = 1;
		incfs_queue_put_back(share->fetcher->queue, &range);
		/* A reader may wait that the queue has not been told of. */
		share->fetcher->recheck = true;
		share->refused++;
	}
}

/* Runs are of files of the list, which are in its order. */
static struct incfs_file *run_file(const struct incfs_sharing *share,
				   const struct incfs_base_run *run)
{
	struct incfs_files *files = share->fetcher->files;
	size_t low = 0, high = files->nr - 1;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (files->files[middle].entry < &share->list->entries[run->entry])
			low = middle + 1;
		else
			high = middle;
	}
	return &files->files[low];
}

static void refuse_all(struct incfs_sharing *share)
{
	for (size_t i = 0; i < share->base.nr_runs; i++) {
		const struct incfs_base_run *run = &share->base.runs[i];

		refuse(share, run_file(share, run), run->first, run->count);
	}
	share_over(share);
}

/* What it says is taken: these blocks are not fetched. */
static int take_base(struct incfs_sharing *share)
{
	unsigned char *text = share->text;

	share->text = NULL;
	if (incfs_base_parse(&share->base, share->list, (char *)text, share->request.length)) {
		incfs_warn("'%s': %s", INCFS_BUNDLE_BASE, share->base.error);
		return -1;
	}
	for (size_t i = 0; i < share->base.nr_runs; i++) {
		const struct incfs_base_run *run = &share->base.runs[i];
		struct incfs_file *file = run_file(share, run);

		for (__u32 block = run->first; block < run->first + run->count; block++) {
			if (!incfs_block_test(file->present, block) &&
			    !incfs_block_test(file->busy, block))
				incfs_blocks_set(file->base, block, 1);
		}
	}
	share->run = share->base.runs;
	return 0;
}

static void share_failed(struct incfs_sharing *share)
{
	share->retry_at = incfs_now() + incfs_backoff(share->failures++);
}

static void base_done(struct incfs_request *req, enum incfs_source_result result,
		      const char *why)
{
	struct incfs_sharing *share = incfs_container_of(req, struct incfs_sharing, request);

	if (result == INCFS_SOURCE_SERVER) {
		incfs_debug("can't fetch '%s': %s", INCFS_BUNDLE_BASE, why);
		share_failed(share);
		share->state = INCFS_SHARING_WAIT;
		return;
	}
	share->failures = 0;
	share->fetcher->hold = false;
	if (result)
		incfs_warn("nothing is shared with '%s': %s", share->subdir, why);
	if (result || take_base(share))
		share_over(share);
	else
		share->state = INCFS_SHARING_NEXT;
}

static void ignore_progress(struct incfs_request *req)
{
	(void)req;
}

static void ask_for_base(struct incfs_sharing *share)
{
	struct incfs_source *source = share->fetcher->source;

	share->state = INCFS_SHARING_READ;
	share->request = (struct incfs_request){
		.what = INCFS_REQUEST_BASE, .path = INCFS_BUNDLE_BASE, .version = &share->version,
		.length = share->request.length, .buf = share->text,
		.progress = ignore_progress, .done = base_done,
	};
	source->ops->submit(source, &share->request);
}

static void digests_done(struct incfs_request *req, enum incfs_source_result result,
			 const char *why)
{
	struct incfs_sharing *share = incfs_container_of(req, struct incfs_sharing, request);

	share->asked = false;
	share->result = result;
	if (result)
		incfs_debug("can't share blocks of '%s': %s", req->path, why);
}

/* The file of the base that the run is from. False if there is no such file. */
static bool find_from(struct incfs_sharing *share, const struct incfs_base_run *run, char *path,
		      size_t size)
{
	struct libincfs *fs = share->mount->fs;
	struct libincfs_range range;
	__u32 first = 0;

	snprintf(path, size, "%s/%s", share->subdir, share->base.from[run->from]);
	if (share->from_ino && share->from == run->from)
		return true;
	share->from_ino = 0;
	if (libincfs_lookup(fs, path, &share->from_ino) ||
	    libincfs_present(fs, share->from_ino, &first, &range, 1, &share->from_blocks) < 0) {
		incfs_debug("%s", libincfs_message(fs));
		share->from_ino = 0;
		return false;
	}
	share->from = run->from;
	return true;
}

/*
 * What of @count blocks from @block on is there: how many, from the first on. If that is
 * not, how many are not is at *@absent.
 */
static __u32 count_present(struct incfs_sharing *share, __u32 block, __u32 count, __u32 *absent)
{
	struct libincfs_range range;
	__u32 first = block, nr;
	int got;

	*absent = count;
	if ((__u64)block + count > share->from_blocks)
		return 0;
	got = libincfs_present(share->mount->fs, share->from_ino, &first, &range, 1, &nr);
	if (got < 0)
		return 0;
	if (got && range.first == block)
		return incfs_min(count, range.count);
	*absent = incfs_min(count, (got ? range.first : first) - block);
	return 0;
}

/* The next blocks of a run, from *@block on, that are to be shared. */
static __u32 find_open(const struct incfs_file *file, const struct incfs_base_run *run,
		       __u32 *block, __u32 most)
{
	__u32 end = run->first + run->count, count = 0;

	while (*block < end && !incfs_block_test(file->base, *block))
		(*block)++;
	while (*block + count < end && count < most &&
	       incfs_block_test(file->base, *block + count))
		count++;
	return count;
}

static bool next_demand(struct incfs_sharing *share)
{
	while (share->nr_demand) {
		struct incfs_range range = share->demand[0];

		memmove(&share->demand[0], &share->demand[1],
			--share->nr_demand * sizeof(range));
		if (!incfs_block_test(range.file->base, range.first))
			continue;
		share->run = incfs_base_find(&share->base, range.file->entry - share->list->entries,
					     range.first);
		range.count = find_open(range.file, share->run, &range.first, DEMAND_BLOCKS);
		share->slice = range;
		return true;
	}
	return false;
}

static bool next_background(struct incfs_sharing *share)
{
	for (; share->next_run < share->base.nr_runs; share->next_run++) {
		const struct incfs_base_run *run = &share->base.runs[share->next_run];
		struct incfs_file *file = run_file(share, run);
		__u32 block = incfs_max(share->next_block, run->first);
		__u32 count = find_open(file, run, &block, INCFS_PROVER_BLOCKS);

		share->next_block = 0;
		if (!count)
			continue;
		share->run = run;
		share->slice = (struct incfs_range){ file, block, count };
		share->next_block = block;
		return true;
	}
	return false;
}

/* Ask for both sides of a slice of which all is there. */
static int begin_slice(struct incfs_sharing *share, const char *path)
{
	struct incfs_source *source = share->fetcher->source;
	const struct incfs_range *slice = &share->slice;
	const struct incfs_entry *entry = slice->file->entry;
	__u64 offset = (__u64)slice->first * INCFS_BLOCK_SIZE;

	if (!share->prover.pid && incfs_prover_start(&share->prover, share->mount->root_fd)) {
		incfs_warn("nothing is shared: can't start a process: %s", strerror(errno));
		return -1;
	}
	if (incfs_prover_ask(&share->prover, path, share->from_ino, share->from_block,
			     slice->count))
		incfs_prover_stop(&share->prover);
	share->nr_found = share->prover.pid ? -1 : 0;
	share->deadline = incfs_now() + PROVER_MS;
	share->asked = true;
	share->state = INCFS_SHARING_SLICE;
	share->request = (struct incfs_request){
		.what = INCFS_REQUEST_DIGESTS, .path = entry->path, .file_size = entry->size,
		.version = &share->version, .offset = offset,
		.length = incfs_min((__u64)slice->count * INCFS_BLOCK_SIZE, entry->size - offset),
		.buf = (unsigned char *)share->wanted,
		.progress = ignore_progress, .done = digests_done,
	};
	source->ops->submit(source, &share->request);
	return 0;
}

/* Room for entries of the map, which are all that grows. */
static bool has_room(struct incfs_sharing *share)
{
	const struct incfs_space *space = &share->fetcher->space;
	__u64 coming = share->slice.file->nr_blocks * 32ull;

	if (space->state != INCFS_SPACE_FULL &&
	    (!space->limit || incfs_space_used(space) + coming <= space->limit))
		return true;
	share->retry_at = incfs_now() + ROOM_MS;
	return false;
}

/* Begin the next slice that there is something of to be read. */
static void next_slice(struct incfs_sharing *share)
{
	char path[INCFS_LIST_MAX_PATH + INCFS_LIST_MAX_NAME + 2];
	struct incfs_range *slice = &share->slice;
	__u32 present, absent;

	for (int i = 0; i < LOOKS_MOST; i++) {
		if (!next_demand(share)) {
			if (!share->fetcher->background)
				return;
			if (!next_background(share)) {
				share_over(share);
				return;
			}
		}
		if (!find_from(share, share->run, path, sizeof(path))) {
			refuse(share, slice->file, share->run->first, share->run->count);
			continue;
		}
		share->from_block = share->run->from_block + (slice->first - share->run->first);
		present = count_present(share, share->from_block, slice->count, &absent);
		if (!present) {
			refuse(share, slice->file, slice->first, absent);
			continue;
		}
		slice->count = present;
		if (has_room(share) && begin_slice(share, path))
			refuse_all(share);
		return;
	}
}

/* Share equal blocks, @first of the slice and those behind. False if that must wait. */
static bool share_blocks(struct incfs_sharing *share, __u32 first, __u32 count)
{
	struct incfs_file *file = share->slice.file;
	__u32 block = share->slice.first + first, shared;
	int err = libincfs_share(share->mount->fs, share->from_ino, share->from_block + first,
				 file->ino, block, count, &shared);

	if (err && incfs_space_refused(&share->fetcher->space, -err)) {
		share->retry_at = incfs_now() + ROOM_MS;
		return false;
	}
	if (err)
		incfs_debug("%s", libincfs_message(share->mount->fs));
	else
		incfs_space_stored(&share->fetcher->space);
	share->shared += shared;
	for (; count; block++, count--) {
		/* All of them, save when one was found to be damaged just now. */
		if (shared < count && !incfs_tree_block_present(share->mount, file, block)) {
			refuse(share, file, block, 1);
			continue;
		}
		incfs_blocks_clear(file->base, block, 1);
		incfs_files_present(share->fetcher->files, file, block, 1);
		shared -= shared > 0;
	}
	return true;
}

static void finish_slice(struct incfs_sharing *share)
{
	const struct incfs_range *slice = &share->slice;
	__u32 equal, nr = share->nr_found;

	share->state = INCFS_SHARING_NEXT;
	if (share->result == INCFS_SOURCE_SERVER) {
		share_failed(share);
		return;
	}
	share->failures = 0;
	if (share->result)
		nr = 0;
	for (__u32 i = 0; i < slice->count; i += equal + 1) {
		for (equal = 0; i + equal < nr; equal++) {
			if (memcmp(&share->wanted[i + equal], &share->found[i + equal],
				   sizeof(share->wanted[0])))
				break;
		}
		if (equal && !share_blocks(share, i, equal))
			return;
		if (i + equal < slice->count)
			refuse(share, slice->file, slice->first + i + equal, 1);
	}
}

/* What the prover can't read is left alone, and it is started anew. */
static void prover_failed(struct incfs_sharing *share, __u32 first, __u32 count)
{
	incfs_prover_stop(&share->prover);
	share->nr_found = 0;
	refuse(share, share->slice.file, first, count);
	if (++share->stuck == STUCK_MOST)
		incfs_warn("nothing more is shared with '%s': %u blocks could not be read there",
			   share->subdir, share->stuck);
	/* The rest comes up again in the next slice, of what is still to be shared. */
	share->slice.count = 0;
}

static void look_at_prover(struct incfs_sharing *share)
{
	int nr;

	if (share->nr_found >= 0)
		return;
	nr = incfs_prover_take(&share->prover, share->found);
	if (nr >= 0)
		share->nr_found = nr;
	else if (nr == -2 || incfs_now() >= share->deadline)
		prover_failed(share, share->slice.first, share->slice.count);
}

void incfs_sharing_waits(struct incfs_sharing *share, __u64 ino, __u32 block)
{
	if (share->state != INCFS_SHARING_SLICE || share->nr_found >= 0 || ino != share->from_ino ||
	    block < share->from_block || block - share->from_block >= share->slice.count)
		return;
	prover_failed(share, share->slice.first + (block - share->from_block), 1);
}

void incfs_sharing_demand(struct incfs_sharing *share, struct incfs_file *file, __u32 first,
			  __u32 count)
{
	__u64 end = incfs_min((__u64)first + count, file->nr_blocks);

	if (share->state != INCFS_SHARING_NEXT && share->state != INCFS_SHARING_SLICE)
		return;
	for (__u64 block = first; block < end && share->nr_demand < INCFS_SHARING_DEMAND; block++) {
		if (!incfs_block_test(file->base, block))
			continue;
		share->demand[share->nr_demand++] = (struct incfs_range){ file, block, 1 };
		/* One slice has those behind it as well. */
		block += DEMAND_BLOCKS - 1;
	}
}

/* The directory at the root that has this key. */
static char *find_subdir(struct incfs_mount *mount, const struct incfs_digest *key)
{
	int fd = openat(mount->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct incfs_digest found;
	struct dirent *entry;
	char *name = NULL;

	while (dir && !name && (entry = readdir(dir))) {
		if ((entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN) ||
		    !strcmp(entry->d_name, ".") ||
		    !strcmp(entry->d_name, ".."))
			continue;
		if (libincfs_get_key(mount->fs, entry->d_ino, &found, sizeof(found)) ==
		    sizeof(found) && !memcmp(&found, key, sizeof(found)))
			name = strdup(entry->d_name);
	}
	if (dir)
		closedir(dir);
	else if (fd >= 0)
		close(fd);
	return name;
}

void incfs_sharing_init(struct incfs_sharing *share, struct incfs_mount *mount,
			struct incfs_fetcher *fetcher, const struct incfs_list *list)
{
	const struct incfs_bundle_head *head;
	const struct incfs_digest *digest;

	*share = (struct incfs_sharing){
		.mount = mount, .fetcher = fetcher, .list = list,
	};
	fetcher->share = share;
	head = incfs_source_bundle_head(fetcher->source, &digest);
	if (!head || !head->base_size || fetcher->files->nr_present == fetcher->files->nr_blocks)
		return;
	share->subdir = find_subdir(mount, &head->base_head);
	share->text = share->subdir ? malloc(head->base_size) : NULL;
	if (!share->text)
		return;
	incfs_info("what is the same in '%s' is not fetched", share->subdir);
	share->request.length = head->base_size;
	share->state = INCFS_SHARING_WAIT;
	fetcher->hold = true;
}

void incfs_sharing_exit(struct incfs_sharing *share)
{
	incfs_prover_stop(&share->prover);
	say_shared(share);
	incfs_base_destroy(&share->base);
	free(share->text);
	free(share->subdir);
}

int incfs_sharing_fd(const struct incfs_sharing *share)
{
	return share->prover.pid ? share->prover.fd : -1;
}

/* Without a background what readers wait for is shared, and nothing else. */
static bool has_work(const struct incfs_sharing *share)
{
	return share->nr_demand || share->fetcher->background;
}

int incfs_sharing_timeout(const struct incfs_sharing *share)
{
	__u64 now = incfs_now(), when = share->retry_at;

	if (share->state == INCFS_SHARING_OVER || share->state == INCFS_SHARING_READ ||
	    (share->state == INCFS_SHARING_NEXT && !has_work(share)))
		return -1;
	if (share->state == INCFS_SHARING_SLICE) {
		if (share->nr_found >= 0)
			return share->asked ? -1 : 0;
		when = share->deadline;
	}
	return when > now ? when - now : 0;
}

void incfs_sharing_run(struct incfs_sharing *share)
{
	if (share->state == INCFS_SHARING_SLICE) {
		look_at_prover(share);
		if (!share->asked && share->nr_found >= 0)
			finish_slice(share);
	}
	if (share->stuck >= STUCK_MOST && share->state == INCFS_SHARING_NEXT)
		refuse_all(share);
	if (incfs_now() < share->retry_at)
		return;
	if (share->state == INCFS_SHARING_WAIT)
		ask_for_base(share);
	else if (share->state == INCFS_SHARING_NEXT)
		next_slice(share);
}
