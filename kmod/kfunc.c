// SPDX-License-Identifier: GPL-2.0-only
/*
 * Functions of the kernel that policies may call. What a program calls them with
 * may be anything but for the context, which the verifier vouches for.
 */
#include "internal.h"

#include <linux/bpf.h>
#include <linux/btf.h>
#include <linux/btf_ids.h>

#include "compat.h"

/* A regular file of the mount that the context belongs to. */
static struct incfs_node *find_file(const struct incfs_read *read, u64 ino)
{
	/* Set for each call of a policy; a program can neither write nor forge it. */
	const struct incfs_node *node = read->file;
	struct incfs_node *found;

	found = ino == node->ino ? (struct incfs_node *)node : incfs_tree_node(node->mnt, ino);
	return found && S_ISREG(found->mode) ? found : NULL;
}

__bpf_kfunc_start_defs();

/**
 * bpf_incfs_find_absent - find blocks of a file that aren't stored
 * @read:  the read, as the callback got it
 * @ino:   a regular file of the same mount
 * @first: block to start at
 * @end:   block to stop before; no more than INCFS_FIND_ABSENT_MAX blocks are
 *         looked at, and none past the end of the file
 * @start: set to the first absent block, unless the result is 0 or negative
 *
 * What it says may be out of date as soon as it returns. May sleep, and reads
 * the image when the file's block map is not in the page cache.
 *
 * Return: how many absent blocks lie next to each other from @start on, within
 * the bounds; 0 when there are none; -ENOENT no such file; another negative errno
 * when the image could not be read.
 */
__bpf_kfunc int bpf_incfs_find_absent(struct incfs_read *read, u64 ino, u32 first, u32 end,
				      u32 *start)
{
	struct incfs_node *node = find_file(read, ino);

	if (!node)
		return -ENOENT;
	end = min(end, node->nr_blocks);
	if (first >= end)
		return 0;
	end = min(end - first, (u32)INCFS_FIND_ABSENT_MAX) + first;
	return incfs_blocks_find_absent(node, first, end, start);
}

/**
 * bpf_incfs_read_ahead - have stored blocks read into the page cache
 * @read:  the read, as the callback got it
 * @ino:   a regular file of the same mount
 * @first: first block
 * @count: how many, 1 to INCFS_READ_AHEAD_MAX; what lies past the end is left out
 *
 * Return: 0, and they are read in the background, but for those that are absent or
 * that the policy has not let pass; -ENOENT no such file; -EINVAL @count; -ERANGE
 * @first lies past the end; -EAGAIN too many such requests are waiting.
 */
__bpf_kfunc int bpf_incfs_read_ahead(struct incfs_read *read, u64 ino, u32 first, u32 count)
{
	struct incfs_node *node = find_file(read, ino);

	if (!node)
		return -ENOENT;
	if (!count || count > INCFS_READ_AHEAD_MAX)
		return -EINVAL;
	if (first >= node->nr_blocks)
		return -ERANGE;
	return incfs_ahead_add(node, first, min(count, node->nr_blocks - first));
}

/**
 * bpf_incfs_recheck - have readers that wait ask their policy again
 * @mount_id: their mount
 * @ino:      the file, 0 for all
 * @first:    first block
 * @count:    how many; 0 for all from @first on
 *
 * Return: how many blocks are waited for there; -ENOENT no such mount.
 */
__bpf_kfunc int bpf_incfs_recheck(u64 mount_id, u64 ino, u32 first, u32 count)
{
	return incfs_policy_recheck(mount_id, ino, first, count);
}

__bpf_kfunc_end_defs();

BTF_KFUNCS_START(callback_kfunc_ids)
BTF_ID_FLAGS(func, bpf_incfs_find_absent, KF_SLEEPABLE | KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_incfs_read_ahead, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_incfs_recheck)
BTF_KFUNCS_END(callback_kfunc_ids)

/* The type of program is that of all struct_ops: let only ours in. */
static int callback_filter(const struct bpf_prog *prog, u32 kfunc_id)
{
	return incfs_policy_is_callback(prog) ? 0 : -EACCES;
}

static const struct btf_kfunc_id_set callback_kfunc_set = {
	.owner = THIS_MODULE,
	.set = &callback_kfunc_ids,
	.filter = callback_filter,
};

/* For programs that user space runs by itself, and which have no context. */
BTF_KFUNCS_START(syscall_kfunc_ids)
BTF_ID_FLAGS(func, bpf_incfs_recheck)
BTF_KFUNCS_END(syscall_kfunc_ids)

static const struct btf_kfunc_id_set syscall_kfunc_set = {
	.owner = THIS_MODULE,
	.set = &syscall_kfunc_ids,
};

int __init incfs_kfunc_init(void)
{
	int err = register_btf_kfunc_id_set(BPF_PROG_TYPE_STRUCT_OPS, &callback_kfunc_set);

	return err ?: register_btf_kfunc_id_set(BPF_PROG_TYPE_SYSCALL, &syscall_kfunc_set);
}
