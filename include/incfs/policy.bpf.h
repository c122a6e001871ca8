/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * For BPF programs: what a policy has besides the declarations of policy.h.
 *
 * Needs no vmlinux.h; libbpf's headers and the kernel's UAPI headers suffice.
 * Compile with -target bpf -g. docs/policy.md is the guide.
 */
#ifndef _INCFS_POLICY_BPF_H
#define _INCFS_POLICY_BPF_H

#include <linux/errno.h>
#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include <incfs/policy.h>

/*
 * Both maps belong to all policies and loaders: the first that is loaded pins
 * them, the others find the pins. Their names are INCFS_RINGS_NAME and
 * INCFS_LOST_NAME.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, INCFS_RINGS_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u64);
	/* A shape for the verifier: the size is the loader's choice. */
	__array(values, struct {
		__uint(type, BPF_MAP_TYPE_RINGBUF);
		__uint(max_entries, 4096);
	});
} incfs_rings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, INCFS_RINGS_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u64);
	__type(value, __u64);
} incfs_lost SEC(".maps");

/*
 * Functions of the module. They are weak: a program that asks bpf_ksym_exists()
 * before it calls one also loads where the module does not have it.
 */

/**
 * bpf_incfs_find_absent - find blocks of a file that aren't stored
 * @read:  the read, as the callback got it
 * @ino:   a regular file of the same mount; read->ino for the one being read
 * @first: block to start at
 * @end:   block to stop before; no more than INCFS_FIND_ABSENT_MAX blocks are
 *         looked at, and none past the end of the file
 * @start: set to the first absent block, unless the result is 0 or negative
 *
 * For sleepable programs ("struct_ops.s/...") only. What it says may be out of
 * date as soon as it returns.
 *
 * Return: how many absent blocks lie next to each other from @start on, within
 * the bounds; 0 when there are none; -ENOENT no such file; another negative
 * errno when the image could not be read.
 */
extern int bpf_incfs_find_absent(struct incfs_read *read, __u64 ino, __u32 first, __u32 end,
				 __u32 *start) __ksym __weak;

/**
 * bpf_incfs_read_ahead - have stored blocks read into the page cache
 * @read:  the read, as the callback got it
 * @ino:   a regular file of the same mount
 * @first: first block
 * @count: how many, 1 to INCFS_READ_AHEAD_MAX; what lies past the end is left out
 *
 * They are read in the background. Absent blocks are left out, and those that
 * block_presence(), which is asked with INCFS_READ_READAHEAD, does not let be
 * read. A hint: it may come to nothing.
 *
 * Return: 0; -ENOENT no such file; -EINVAL @count; -ERANGE @first lies past the
 * end; -EAGAIN too much has been asked for and is not done yet.
 */
extern int bpf_incfs_read_ahead(struct incfs_read *read, __u64 ino, __u32 first,
				__u32 count) __ksym __weak;

/**
 * bpf_incfs_recheck - have readers that wait ask block_presence() again
 * @mount_id: their mount
 * @ino:      the file, 0 for all
 * @first:    first block
 * @count:    how many; 0 for all from @first on
 *
 * For a policy that holds back blocks although they are stored, after it has
 * changed its mind. May also be called by programs of type syscall, so that
 * user space can release what is held (bpf/gate.bpf.c).
 *
 * Return: how many blocks are waited for there; -ENOENT no such mount.
 */
extern int bpf_incfs_recheck(__u64 mount_id, __u64 ino, __u32 first, __u32 count)
	__ksym __weak;

/**
 * incfs_submit_file - ask the loader of the mount for blocks of any file
 * @read:     the read, as the callback got it
 * @ino:      a regular file of the same mount
 * @type:     enum incfs_event_type
 * @block:    first block wanted
 * @count:    how many, at least 1
 * @priority: among events of one type, greater is sooner
 *
 * An event that does not fit is counted in the map of losses and forgotten. No
 * reader suffers: the loader learns of those that wait from ".cmd" as well.
 *
 * Return: 0; -ENOENT the mount has no ring; -ENOSPC the ring is full.
 */
static __always_inline int incfs_submit_file(const struct incfs_read *read, __u64 ino, __u32 type,
					     __u32 block, __u32 count, __u32 priority)
{
	__u64 mount_id = read->mount_id;
	struct incfs_event *event;
	__u64 *lost;
	void *ring;

	ring = bpf_map_lookup_elem(&incfs_rings, &mount_id);
	if (!ring)
		return -ENOENT;

	event = bpf_ringbuf_reserve(ring, sizeof(*event), 0);
	if (!event) {
		lost = bpf_map_lookup_elem(&incfs_lost, &mount_id);
		if (lost)
			__sync_fetch_and_add(lost, 1);
		return -ENOSPC;
	}
	event->ino = ino;
	event->block = block;
	event->count = count;
	event->type = type;
	event->priority = priority;
	event->mount_id = mount_id;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/* The same for the file that is being read. */
static __always_inline int incfs_submit(const struct incfs_read *read, __u32 type, __u32 block,
					__u32 count, __u32 priority)
{
	return incfs_submit_file(read, read->ino, type, block, count, priority);
}

#endif /* _INCFS_POLICY_BPF_H */
