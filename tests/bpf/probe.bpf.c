// SPDX-License-Identifier: GPL-2.0-only
/*
 * A policy for the tests: says what it is told to, and counts what it is asked.
 * Its demand events bear a mark, to tell which of several policies sent them.
 *
 * It keeps a book for each mount, and counts as strays the calls that come before
 * attach() of a mount or after its detach(), or are still running then.
 */
#include <incfs/policy.bpf.h>

char LICENSE[] SEC("license") = "GPL";

#define FILLS_MAX 64

/* Set by the test. */
int verdict;		/* for blocks below verdict_end, if that is set */
__u32 verdict_end;
int set_timeout;
__u32 timeout_ms;
__u32 recheck_ms;
__u32 mark;
__u32 spins;
int hold_answers;	/* block_presence() does not return as long as this is set */
int hold_fills;		/* and neither does filled() */
int refusal;		/* what attach() returns, to refused_mount if that is set */
__u64 refused_mount;

/* Read by the test. */
__u64 asked, answered, pended, prefetched, strangers, strays;
__u64 attached, detached, refused;
__u64 my_mount;
struct {
	__u64 ino;
	__u32 block, count, file_blocks, why, uid, tgid, timeout_ms, recheck_ms;
} seen;
struct {
	__u64 mount_id, image_dev, image_ino;
	__u32 timeout_ms, uid;
} mount_seen;
int submit_result;
__u32 reasons;	/* a bit for each enum incfs_read_why */
__u32 window;	/* the most blocks that prefetch was told of */
__u64 fills_begun, fills_ended;
struct {
	__u64 ino;
	__u32 block, count, file_blocks, why, uid, tgid;
} fills[FILLS_MAX];

/* Memory of the reader, to be looked at, and what came of it. */
__u64 user_address;
int user_result;

struct book {
	__u64 attaches, detaches, refusals;
	__u64 inside;	/* calls that have not returned */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct book);
} books SEC(".maps");

extern int bpf_copy_from_user_str(void *dst, __u32 dst__sz, const void *unsafe_ptr__ign,
				  __u64 flags) __ksym;

static int spin(__u32 i, void *ctx)
{
	return 0;
}

static int answers_held(__u32 i, void *ctx)
{
	return !hold_answers;
}

static int await_answers(__u32 i, void *ctx)
{
	bpf_loop(1 << 20, answers_held, NULL, 0);
	return !hold_answers;
}

static int fills_held(__u32 i, void *ctx)
{
	return !hold_fills;
}

static int await_fills(__u32 i, void *ctx)
{
	bpf_loop(1 << 20, fills_held, NULL, 0);
	return !hold_fills;
}

static void look(const struct incfs_read *read)
{
	seen.ino = read->ino;
	seen.block = read->block;
	seen.count = read->count;
	seen.file_blocks = read->file_blocks;
	seen.why = read->why;
	seen.uid = read->uid;
	seen.tgid = read->tgid;
	reasons |= 1 << (read->why & 31);
	seen.timeout_ms = read->timeout_ms;
	seen.recheck_ms = read->recheck_ms;
	if (my_mount && my_mount != read->mount_id)
		__sync_fetch_and_add(&strangers, 1);
}

static struct book *find_book(__u64 mount_id)
{
	return bpf_map_lookup_elem(&books, &mount_id);
}

static struct book *make_book(__u64 mount_id)
{
	struct book empty = {};

	bpf_map_update_elem(&books, &mount_id, &empty, BPF_NOEXIST);
	return find_book(mount_id);
}

static void enter(const struct incfs_read *read)
{
	struct book *book = find_book(read->mount_id);

	if (book)
		__sync_fetch_and_add(&book->inside, 1);
	/* "unlinked" has no attach(). */
	if (attached && (!book || book->attaches == book->detaches))
		__sync_fetch_and_add(&strays, 1);
}

static void leave(const struct incfs_read *read)
{
	struct book *book = find_book(read->mount_id);

	if (book)
		__sync_fetch_and_add(&book->inside, -1);
}

SEC("struct_ops.s/block_presence")
int BPF_PROG(probe_block_presence, struct incfs_read *read)
{
	char text[8];
	int ret;

	__sync_fetch_and_add(&asked, 1);
	enter(read);
	look(read);
	if (spins)
		bpf_loop(spins, spin, NULL, 0);
	if (hold_answers)
		bpf_loop(1 << 10, await_answers, NULL, 0);
	if (user_address)
		user_result = bpf_copy_from_user_str(text, sizeof(text),
						     (const void *)user_address, 0);
	if (set_timeout)
		read->timeout_ms = timeout_ms;
	read->recheck_ms = recheck_ms;
	ret = verdict_end && read->block >= verdict_end ? INCFS_VERDICT_IMAGE : verdict;
	leave(read);
	__sync_fetch_and_add(&answered, 1);
	return ret;
}

SEC("struct_ops/pending")
void BPF_PROG(probe_pending, struct incfs_read *read)
{
	enter(read);
	look(read);
	submit_result = incfs_submit(read, INCFS_EVENT_DEMAND, read->block, read->count, mark);
	leave(read);
	__sync_fetch_and_add(&pended, 1);
}

SEC("struct_ops.s/prefetch")
void BPF_PROG(probe_prefetch, struct incfs_read *read)
{
	enter(read);
	if (read->count > window)
		window = read->count;
	leave(read);
	__sync_fetch_and_add(&prefetched, 1);
}

SEC("struct_ops.s/filled")
void BPF_PROG(probe_filled, struct incfs_read *fill)
{
	__u32 i = __sync_fetch_and_add(&fills_begun, 1) & (FILLS_MAX - 1);

	enter(fill);
	fills[i].ino = fill->ino;
	fills[i].block = fill->block;
	fills[i].count = fill->count;
	fills[i].file_blocks = fill->file_blocks;
	fills[i].why = fill->why;
	fills[i].uid = fill->uid;
	fills[i].tgid = fill->tgid;
	if (hold_fills)
		bpf_loop(1 << 10, await_fills, NULL, 0);
	leave(fill);
	__sync_fetch_and_add(&fills_ended, 1);
}

SEC("struct_ops/attach")
int BPF_PROG(probe_attach, struct incfs_policy_mount *mount)
{
	struct book *book = make_book(mount->mount_id);

	mount_seen.mount_id = mount->mount_id;
	mount_seen.image_dev = mount->image_dev;
	mount_seen.image_ino = mount->image_ino;
	mount_seen.timeout_ms = mount->timeout_ms;
	mount_seen.uid = mount->uid;
	if (!book)
		return -ENOSPC;
	if (book->inside || book->attaches != book->detaches)
		__sync_fetch_and_add(&strays, 1);
	if (refusal && (!refused_mount || refused_mount == mount->mount_id)) {
		__sync_fetch_and_add(&book->refusals, 1);
		__sync_fetch_and_add(&refused, 1);
		return refusal;
	}
	__sync_fetch_and_add(&book->attaches, 1);
	__sync_fetch_and_add(&attached, 1);
	return 0;
}

SEC("struct_ops/detach")
void BPF_PROG(probe_detach, struct incfs_policy_mount *mount)
{
	struct book *book = find_book(mount->mount_id);

	if (!book || book->inside || book->attaches != book->detaches + 1)
		__sync_fetch_and_add(&strays, 1);
	if (book)
		__sync_fetch_and_add(&book->detaches, 1);
	__sync_fetch_and_add(&detached, 1);
}

SEC(".struct_ops.link")
struct incfs_policy_ops probe = {
	.block_presence = (void *)probe_block_presence,
	.pending = (void *)probe_pending,
	.prefetch = (void *)probe_prefetch,
	.filled = (void *)probe_filled,
	.attach = (void *)probe_attach,
	.detach = (void *)probe_detach,
	.name = "probe",
};

/* The same without a link: it stays until it is deleted. */
SEC("?.struct_ops")
struct incfs_policy_ops unlinked = {
	.block_presence = (void *)probe_block_presence,
	.pending = (void *)probe_pending,
	.name = "unlinked",
};
