// SPDX-License-Identifier: MIT
/* What is asked for. */
#include "events.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <incfs/incfs.h>
#include <incfs/policy.h>
#include <string.h>
#include <unistd.h>

#include "fetch.h"
#include "files.h"
#include "list.h"
#include "log.h"
#include "mount.h"
#include "policy.h"
#include "share.h"
#include "tree.h"
#include "util.h"

/* Room for some five thousand events. */
#define RING_BYTES (256u << 10)
#define RING_NAME "incfs_ring"

/* The file system says that a reader waits for @block. */
static void take_wait(struct incfs_events *events, __u64 ino, __u32 block)
{
	struct incfs_fetcher *fetcher = events->fetcher;
	struct incfs_file *file = incfs_files_find(fetcher->files, ino);

	if (!file || block >= file->nr_blocks) {
		incfs_sharing_waits(fetcher->share, ino, block);
		incfs_debug("a reader waits for block %u of inode %llu, which is not in the list",
			    block, ino);
		return;
	}
	if (incfs_block_test(file->present, block)) {
		/* Stored, and held back by the policy; or found to be damaged. */
		if (incfs_tree_block_present(events->mount, file, block))
			return;
		incfs_warn("block %u of '%s' is damaged in the image: fetching it again", block,
			   file->entry->path);
		incfs_files_absent(fetcher->files, file, block);
	}
	incfs_fetcher_demand(fetcher, file, block, 1);
}

void incfs_events_read_waits(struct incfs_events *events)
{
	struct libincfs_wait waits[256];
	int nr;

	do {
		nr = libincfs_next(events->mount->fs, waits, INCFS_ARRAY_SIZE(waits), 0);
		if (nr < 0)
			incfs_error("%s", libincfs_message(events->mount->fs));
		for (int i = 0; i < nr; i++)
			take_wait(events, waits[i].ino, waits[i].block);
	} while (nr == INCFS_ARRAY_SIZE(waits));
}

void incfs_events_recheck(struct incfs_events *events)
{
	struct libincfs_pending waits[256];
	uint64_t after = 0;
	int nr;

	events->waiting = 0;
	do {
		nr = libincfs_list_pending(events->mount->fs, &after, waits,
					   INCFS_ARRAY_SIZE(waits));
		if (nr < 0) {
			incfs_error("%s", libincfs_message(events->mount->fs));
			break;
		}
		for (int i = 0; i < nr; i++)
			take_wait(events, waits[i].ino, waits[i].block);
		events->waiting += nr;
	} while (nr == INCFS_ARRAY_SIZE(waits));
}

static int take_event(void *context, void *data, size_t size)
{
	struct incfs_events *events = context;
	struct incfs_fetcher *fetcher = events->fetcher;
	const struct incfs_event *event = data;
	struct incfs_file *file;

	if (size < sizeof(*event) || event->mount_id != events->mount->info.mount_id)
		return 0;
	file = incfs_files_find(fetcher->files, event->ino);
	if (!file || event->block >= file->nr_blocks || !event->count)
		return 0;
	if (event->type == INCFS_EVENT_DEMAND)
		incfs_fetcher_demand(fetcher, file, event->block, event->count);
	else if (event->type == INCFS_EVENT_FETCH_AHEAD)
		incfs_fetcher_ahead(fetcher, file, event->block, event->count,
				    event->priority);
	return 0;
}

void incfs_events_read_ring(struct incfs_events *events)
{
	int err;

	if (!events->ring)
		return;
	incfs_queue_burst(events->fetcher->queue);
	err = ring_buffer__consume(events->ring);
	if (err < 0)
		incfs_error("can't read the event ring: %s", strerror(-err));
}

int incfs_events_have_lost(struct incfs_events *events)
{
	__u64 lost, before = events->lost;

	if (!events->ring ||
	    bpf_map_lookup_elem(events->lost_fd, &events->mount->info.mount_id, &lost))
		return 0;
	events->lost = lost;
	return lost != before;
}

static int add_ring(struct incfs_events *events)
{
	__u64 id = events->mount->info.mount_id;
	int err, fd;

	fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, RING_NAME, 0, 0, RING_BYTES, NULL);
	if (fd < 0)
		return -1;
	events->ring = ring_buffer__new(fd, take_event, events, NULL);
	err = !events->ring || bpf_map_update_elem(events->lost_fd, &id, &events->lost, BPF_ANY) ||
	      bpf_map_update_elem(events->rings_fd, &id, &fd, BPF_ANY);
	close(fd);
	if (err)
		return -1;
	events->ring_fd = ring_buffer__epoll_fd(events->ring);
	return 0;
}

int incfs_events_init(struct incfs_events *events, struct incfs_mount *mount,
		      struct incfs_fetcher *fetcher, const struct incfs_policy *policy)
{
	*events = (struct incfs_events){
		.mount = mount, .fetcher = fetcher, .ring_fd = -1,
		.rings_fd = policy->rings_fd, .lost_fd = policy->lost_fd,
	};
	if (events->rings_fd < 0 || events->lost_fd < 0 || !add_ring(events))
		return 0;
	incfs_error("can't make an event ring: %s", strerror(errno));
	incfs_events_exit(events);
	return -1;
}

void incfs_events_exit(struct incfs_events *events)
{
	if (!events->ring)
		return;
	bpf_map_delete_elem(events->rings_fd, &events->mount->info.mount_id);
	bpf_map_delete_elem(events->lost_fd, &events->mount->info.mount_id);
	ring_buffer__free(events->ring);
	events->ring = NULL;
	events->ring_fd = -1;
}
