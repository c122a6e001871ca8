/* SPDX-License-Identifier: GPL-2.0-only */
/* Incremental FS: tracepoints (docs/policy.md, "Tracing"). */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM incfs

#if !defined(_INCFS_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _INCFS_TRACE_H

#include <linux/tracepoint.h>

#include "internal.h"

/* A reader starts to wait for an absent block. */
TRACE_EVENT(incfs_read_wait,
	TP_PROTO(const struct incfs_access *access),
	TP_ARGS(access),
	TP_STRUCT__entry(
		__field(u64, mount_id)
		__field(u64, ino)
		__field(u32, block)
		__field(u32, why)
		__field(u32, timeout_ms)
	),
	TP_fast_assign(
		__entry->mount_id = access->read.mount_id;
		__entry->ino = access->read.ino;
		__entry->block = access->read.block;
		__entry->why = access->read.why;
		__entry->timeout_ms = access->read.timeout_ms;
	),
	TP_printk("mount=%llu ino=%llu block=%u why=%u timeout_ms=%u",
		  __entry->mount_id, __entry->ino, __entry->block, __entry->why,
		  __entry->timeout_ms)
);

/* A reader's wait ends; @err is 0, -ETIME, -EINTR or what the policy said. */
TRACE_EVENT(incfs_read_done,
	TP_PROTO(const struct incfs_access *access, u64 wait_ns, int err),
	TP_ARGS(access, wait_ns, err),
	TP_STRUCT__entry(
		__field(u64, mount_id)
		__field(u64, ino)
		__field(u64, wait_ns)
		__field(u32, block)
		__field(int, err)
	),
	TP_fast_assign(
		__entry->mount_id = access->read.mount_id;
		__entry->ino = access->read.ino;
		__entry->wait_ns = wait_ns;
		__entry->block = access->read.block;
		__entry->err = err;
	),
	TP_printk("mount=%llu ino=%llu block=%u wait_ns=%llu err=%d",
		  __entry->mount_id, __entry->ino, __entry->block, __entry->wait_ns,
		  __entry->err)
);

/*
 * A block is looked at to be brought into the page cache; @state is an enum
 * incfs_state or an errno. One that is absent may be looked at again.
 */
TRACE_EVENT(incfs_block_read,
	TP_PROTO(const struct incfs_access *access, int state),
	TP_ARGS(access, state),
	TP_STRUCT__entry(
		__field(u64, mount_id)
		__field(u64, ino)
		__field(u32, block)
		__field(u32, why)
		__field(int, state)
	),
	TP_fast_assign(
		__entry->mount_id = access->read.mount_id;
		__entry->ino = access->read.ino;
		__entry->block = access->read.block;
		__entry->why = access->read.why;
		__entry->state = state;
	),
	TP_printk("mount=%llu ino=%llu block=%u why=%u state=%d",
		  __entry->mount_id, __entry->ino, __entry->block, __entry->why,
		  __entry->state)
);

/* A block has arrived and is stored. */
TRACE_EVENT(incfs_block_filled,
	TP_PROTO(const struct incfs_node *node, u32 block, u32 size, u32 flags),
	TP_ARGS(node, block, size, flags),
	TP_STRUCT__entry(
		__field(u64, mount_id)
		__field(u64, ino)
		__field(u32, block)
		__field(u32, size)
		__field(u32, flags)
	),
	TP_fast_assign(
		__entry->mount_id = node->mnt->id;
		__entry->ino = node->ino;
		__entry->block = block;
		__entry->size = size;
		__entry->flags = flags;
	),
	TP_printk("mount=%llu ino=%llu block=%u size=%u flags=%#x",
		  __entry->mount_id, __entry->ino, __entry->block, __entry->size,
		  __entry->flags)
);

#endif /* _INCFS_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
