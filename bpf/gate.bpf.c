// SPDX-License-Identifier: GPL-2.0-only
/*
 * gate - blocks of chosen files are held back until they are released
 *
 * Shows staged delivery: content is fetched and stored ahead of the day, and can be
 * read when somebody says so, all at once or block by block from the start of a
 * file. Also shows how user space tells a policy what to do, by a pinned map and by
 * programs that it runs, and how those who wait are made to ask again.
 *
 * The map incfs_gates says for a file which blocks may be read; a file that is not in
 * it is not held. Who reads a block that is held waits as for one that is absent,
 * and as long as for that. If it is absent the loader is asked for it all the same,
 * so that it is there on the day.
 *
 * gate_hold and gate_release change the map, and have those who wait ask again; after
 * a change of the map by other means they would not know. To be run with
 * bpf_prog_test_run_opts(), or with bpftool when they were loaded by
 *
 *   bpftool prog loadall gate.bpf.o /sys/fs/bpf/gate
 *
 * (which registers nothing), with a struct incfs_gate_args in the file ARGS:
 *
 *   bpftool prog run pinned /sys/fs/bpf/gate/gate_release ctx_in ARGS
 *
 * What is held stays so when the policy is swapped, and is forgotten when the
 * mount ends that uses the policy.
 *
 * A bad choice as access control: what was read before it was held is in the page
 * cache, and is read from there; and whoever may choose the mount's policy can
 * choose another one.
 */
#include "common.bpf.h"

#include <incfs/policy_maps.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, INCFS_GATES_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct incfs_gate_key);
	__type(value, struct incfs_gate);
} incfs_gates SEC(".maps");

SEC("struct_ops/block_presence")
int BPF_PROG(gate_block_presence, struct incfs_read *read)
{
	struct incfs_gate_key key = { .mount_id = read->mount_id, .ino = read->ino };
	struct incfs_gate *gate = bpf_map_lookup_elem(&incfs_gates, &key);

	return gate && read->block >= gate->released ? INCFS_VERDICT_WAIT : INCFS_VERDICT_IMAGE;
}

/* Also for readers of what is held, be it stored or not. */
SEC("struct_ops.s/pending")
void BPF_PROG(gate_pending, struct incfs_read *read)
{
	if (incfs_is_absent(read, read->ino, read->block))
		incfs_demand(read);
}

SEC("struct_ops/detach")
void BPF_PROG(gate_detach, struct incfs_policy_mount *mount)
{
	__u64 mount_id = mount->mount_id;

	if (incfs_mount_ends(mount))
		bpf_for_each_map_elem(&incfs_gates, incfs_forget_mount, &mount_id, 0);
}

/*
 * Hold the blocks of a file from @released on, and let the others through.
 * Returns how many blocks are waited for from there on; -ENOENT: no such mount;
 * -EINVAL: @reserved; -E2BIG: too many files are held.
 */
SEC("syscall")
int gate_hold(struct incfs_gate_args *args)
{
	struct incfs_gate_key key = { .mount_id = args->mount_id, .ino = args->ino };
	struct incfs_gate gate = { .released = args->released };
	int waiting, err;

	if (args->reserved)
		return -EINVAL;
	/* An element for a mount that is not there would not be forgotten. */
	waiting = bpf_incfs_recheck(key.mount_id, key.ino, gate.released, 0);
	if (waiting < 0)
		return waiting;
	err = bpf_map_update_elem(&incfs_gates, &key, &gate, BPF_ANY);
	return err ?: waiting;
}

/*
 * Let blocks below @released through; never takes any back. Returns how many blocks
 * of the file are waited for; -ENOENT: it is not held, or there is no such mount;
 * -EINVAL: @reserved.
 */
SEC("syscall")
int gate_release(struct incfs_gate_args *args)
{
	struct incfs_gate_key key = { .mount_id = args->mount_id, .ino = args->ino };
	__u32 released = args->released;
	struct incfs_gate *gate;

	if (args->reserved)
		return -EINVAL;
	gate = bpf_map_lookup_elem(&incfs_gates, &key);
	if (!gate)
		return -ENOENT;
	if (released == INCFS_GATE_ALL)
		bpf_map_delete_elem(&incfs_gates, &key);
	else if (released > gate->released)
		gate->released = released;
	return bpf_incfs_recheck(key.mount_id, key.ino, 0, 0);
}

SEC(".struct_ops.link")
struct incfs_policy_ops gate = {
	.name = "gate",
	.block_presence = (void *)gate_block_presence,
	.pending = (void *)gate_pending,
	.detach = (void *)gate_detach,
};
