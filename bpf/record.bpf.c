// SPDX-License-Identifier: GPL-2.0-only
/*
 * record - tells user space which blocks are needed, in the order of the first time
 *
 * Shows a policy that observes: it stands between the page cache and the image, and
 * says of each block that a program needs, once, that it was. Readahead would bring
 * in blocks unseen, and more than are needed, so what it asks for counts as absent.
 * Meant for incfs record, which loads it for one mount and for the time of a run.
 *
 * Blocks that are in the page cache already are not seen: a fresh mount tells most.
 *
 * A bad choice for anything else: every block is brought in by a read of its own,
 * and nothing is fetched ahead.
 */
#include "common.bpf.h"

#include <incfs/policy_maps.h>

char LICENSE[] SEC("license") = "GPL";

/* Most blocks of a recording: 4 GiB. */
#define RECORDED_MAX (1 << 20)
#define RING_BYTES (4 << 20)

/* What was needed and could not be told. */
__u64 lost;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, RECORDED_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct incfs_recorded);
	__type(value, __u8);
} seen SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, RING_BYTES);
} recorded SEC(".maps");

SEC("struct_ops/block_presence")
int BPF_PROG(record_block_presence, struct incfs_read *read)
{
	struct incfs_recorded block = { .ino = read->ino, .block = read->block };
	__u8 none = 0;
	int err;

	if (read->why == INCFS_READ_READAHEAD)
		return INCFS_VERDICT_WAIT;
	err = bpf_map_update_elem(&seen, &block, &none, BPF_NOEXIST);
	if (!err)
		err = bpf_ringbuf_output(&recorded, &block, sizeof(block), 0);
	if (err && err != -EEXIST)
		__sync_fetch_and_add(&lost, 1);
	return INCFS_VERDICT_IMAGE;
}

SEC("struct_ops/pending")
void BPF_PROG(record_pending, struct incfs_read *read)
{
	incfs_demand(read);
}

SEC(".struct_ops.link")
struct incfs_policy_ops record = {
	.name = "record",
	.block_presence = (void *)record_block_presence,
	.pending = (void *)record_pending,
};
