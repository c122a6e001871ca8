// SPDX-License-Identifier: MIT
/* What to fetch next. */
#include "queue.h"

#include <string.h>

#include "util.h"

/* How long the background fill rests after it found nothing to do. */
#define IDLE_MS 200

void incfs_queue_init(struct incfs_queue *queue, struct incfs_files *files)
{
	queue->files = files;
	queue->nr_demand = 0;
	queue->nr_ahead = 0;
	queue->burst = 0;
	queue->next_file = 0;
	queue->next_block = 0;
	queue->idle_until = 0;
}

void incfs_queue_add_demand(struct incfs_queue *queue, struct incfs_file *file, __u32 first,
			    __u32 count)
{
	__u32 end = incfs_min(first + (__u64)count, file->nr_blocks);
	__u32 start, run;

	while ((run = incfs_file_find_open(file, first, end, end, &start))) {
		first = start + run;
		while (run && incfs_block_test(file->wanted, start)) {
			start++;
			run--;
		}
		if (!run)
			continue;
		if (queue->nr_demand == INCFS_QUEUE_DEMAND)
			return;
		queue->demand[queue->nr_demand++] = (struct incfs_range){ file, start, run };
		incfs_blocks_set(file->wanted, start, run);
	}
}

static bool comes_before(const struct incfs_ahead *a, const struct incfs_ahead *b)
{
	if (a->priority != b->priority)
		return a->priority > b->priority;
	return (__s32)(a->burst - b->burst) > 0;
}

void incfs_queue_burst(struct incfs_queue *queue)
{
	queue->burst++;
}

/* Policies may ask block by block. */
static bool join_ahead(struct incfs_ahead *last, const struct incfs_ahead *new)
{
	if (last->range.file != new->range.file || last->priority != new->priority ||
	    last->burst != new->burst || last->range.first + last->range.count != new->range.first)
		return false;
	last->range.count += new->range.count;
	return true;
}

void incfs_queue_add_ahead(struct incfs_queue *queue, struct incfs_file *file, __u32 first,
			   __u32 count, __u32 priority)
{
	struct incfs_ahead new = { { file, first, count }, priority, queue->burst };
	unsigned int place = queue->nr_ahead;

	if (first >= file->nr_blocks || !count)
		return;
	new.range.count = incfs_min(count, file->nr_blocks - first);
	while (place && !comes_before(&new, &queue->ahead[place - 1]))
		place--;
	if (place < queue->nr_ahead && join_ahead(&queue->ahead[place], &new))
		return;
	if (queue->nr_ahead == INCFS_QUEUE_AHEAD) {
		/* The worst one makes room, if that is not the new one. */
		if (!place)
			return;
		place--;
		memmove(&queue->ahead[0], &queue->ahead[1], place * sizeof(new));
	} else {
		memmove(&queue->ahead[place + 1], &queue->ahead[place],
			(queue->nr_ahead++ - place) * sizeof(new));
	}
	queue->ahead[place] = new;
}

/* The next open blocks of a queued range become *@taken, the rest stays. */
static bool take_part(struct incfs_range *queued, __u32 max, struct incfs_range *taken)
{
	__u32 end = queued->first + queued->count;

	taken->file = queued->file;
	taken->count = incfs_file_find_open(queued->file, queued->first, end, max, &taken->first);
	if (!taken->count) {
		queued->count = 0;
		return false;
	}
	queued->first = taken->first + taken->count;
	queued->count = end - queued->first;
	return true;
}

/*
 * What readers wait for is taken together with what follows it: reads of the
 * neighbourhood come next, and a range costs little more than a block.
 */
static bool take_demand(struct incfs_queue *queue, __u32 max, __u64 now,
			struct incfs_range *range)
{
	unsigned int i = 0;

	while (i < queue->nr_demand) {
		struct incfs_range *next = &queue->demand[i], queued = *next;
		bool taken;

		if (next->file->retry_at > now) {
			i++;
			continue;
		}
		taken = take_part(next, max, range);
		if (taken)
			range->count = incfs_file_find_open(range->file, range->first,
							    range->file->nr_blocks, max,
							    &range->first);
		incfs_blocks_clear(queued.file->wanted, queued.first,
				   queued.count - next->count);
		if (!next->count)
			memmove(next, next + 1, (--queue->nr_demand - i) * sizeof(*next));
		if (taken)
			return true;
	}
	return false;
}

static bool take_ahead(struct incfs_queue *queue, __u32 max, __u64 now,
		       struct incfs_range *range)
{
	unsigned int i = queue->nr_ahead;

	while (i--) {
		struct incfs_ahead *next = &queue->ahead[i];
		bool taken;

		if (next->range.file->retry_at > now)
			continue;
		taken = take_part(&next->range, max, range);
		if (!next->range.count)
			memmove(next, next + 1, (--queue->nr_ahead - i) * sizeof(*next));
		if (taken)
			return true;
	}
	return false;
}

static bool take_background(struct incfs_queue *queue, __u32 max, __u64 now,
			    struct incfs_range *range)
{
	struct incfs_files *files = queue->files;

	if (queue->idle_until > now || files->nr_present == files->nr_blocks)
		return false;
	/* The file to start with comes twice: its front may be what is missing. */
	for (size_t i = 0; i <= files->nr; i++) {
		struct incfs_file *file = &files->files[queue->next_file];

		if (file->nr_present < file->nr_blocks && file->retry_at <= now) {
			range->file = file;
			range->count = incfs_file_find_open(file, queue->next_block,
							    file->nr_blocks, max, &range->first);
			if (range->count) {
				queue->next_block = range->first + range->count;
				return true;
			}
		}
		queue->next_file = (queue->next_file + 1) % files->nr;
		queue->next_block = 0;
	}
	queue->idle_until = now + IDLE_MS;
	return false;
}

bool incfs_queue_take(struct incfs_queue *queue, enum incfs_class class, __u32 max, __u64 now,
		      struct incfs_range *range)
{
	bool taken;

	if (class == INCFS_DEMAND)
		taken = take_demand(queue, max, now, range);
	else if (class == INCFS_AHEAD)
		taken = take_ahead(queue, max, now, range);
	else
		taken = take_background(queue, max, now, range);
	if (taken)
		incfs_blocks_set(range->file->busy, range->first, range->count);
	return taken;
}

void incfs_queue_put_back(struct incfs_queue *queue, const struct incfs_range *range)
{
	incfs_blocks_clear(range->file->busy, range->first, range->count);
	queue->idle_until = 0;
}
