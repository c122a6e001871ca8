// SPDX-License-Identifier: GPL-2.0-only
/*
 * Policies: the struct_ops type incfs_policy_ops, what its programs may do, and
 * the kernel functions that they may call.
 *
 * The struct_ops core holds a reference to the module for every map of the
 * type, attached or not: the module can't go while there is a policy.
 */
#include "internal.h"

#include <linux/bpf.h>
#include <linux/bpf_verifier.h>
#include <linux/btf.h>
#include <linux/btf_ids.h>
#include <linux/ctype.h>

#include "compat.h"

/* Set by the core when it takes the type; stays NULL when it does not. */
static struct btf *policy_btf;

__bpf_kfunc_start_defs();

/**
 * bpf_incfs_find_absent - find blocks of the file being read that aren't stored
 * @read:  the read, as the callback got it
 * @first: block to start at
 * @end:   block to stop before; no more than INCFS_FIND_ABSENT_MAX blocks are
 *         looked at, and none past the end of the file
 * @start: set to the first absent block, unless the result is 0 or negative
 *
 * What it says may be out of date as soon as it returns. May sleep, and reads
 * the image when the file's block map is not in the page cache.
 *
 * Return: how many absent blocks lie next to each other from @start on, within
 * the bounds; 0 when there are none; a negative errno when the image could not
 * be read.
 */
__bpf_kfunc int bpf_incfs_find_absent(struct incfs_read *read, u32 first, u32 end, u32 *start)
{
	/* Set for each call of a policy; a program can neither write nor forge it. */
	struct incfs_node *node = (struct incfs_node *)read->file;

	end = min(end, node->nr_blocks);
	if (first >= end)
		return 0;
	end = min(end - first, (u32)INCFS_FIND_ABSENT_MAX) + first;
	return incfs_blocks_find_absent(node, first, end, start);
}

__bpf_kfunc_end_defs();

BTF_KFUNCS_START(policy_kfunc_ids)
BTF_ID_FLAGS(func, bpf_incfs_find_absent, KF_SLEEPABLE | KF_TRUSTED_ARGS)
BTF_KFUNCS_END(policy_kfunc_ids)

/* Other struct_ops types have the same program type: let only ours in. */
static int policy_kfunc_filter(const struct bpf_prog *prog, u32 kfunc_id)
{
	if (prog->type != BPF_PROG_TYPE_STRUCT_OPS || prog->aux->attach_btf != policy_btf)
		return -EACCES;
	return 0;
}

static const struct btf_kfunc_id_set policy_kfunc_set = {
	.owner = THIS_MODULE,
	.set = &policy_kfunc_ids,
	.filter = policy_kfunc_filter,
};

/* A program wants to write into memory of the kernel. */
static int policy_btf_struct_access(struct bpf_verifier_log *log,
				    const struct bpf_reg_state *reg, int off, int size)
{
	const struct bpf_verifier_env *env = container_of(log, struct bpf_verifier_env, log);
	const struct bpf_prog_aux *aux = env->prog->aux;
	/* Each callback has a struct incfs_read * as its only argument. */
	const struct btf_type *arg = btf_type_by_id(policy_btf,
						    btf_params(aux->attach_func_proto)->type);

	if (reg->btf != policy_btf || reg->btf_id != arg->type) {
		bpf_log(log, "a policy may write to struct incfs_read only\n");
		return -EACCES;
	}
	if (off != offsetof(struct incfs_read, timeout_ms) ||
	    size != sizeof_field(struct incfs_read, timeout_ms)) {
		bpf_log(log, "a policy may write timeout_ms of struct incfs_read only, all of it\n");
		return -EACCES;
	}
	if (strcmp(aux->attach_func_name, "block_presence")) {
		bpf_log(log, "timeout_ms may be written by block_presence only, not by %s\n",
			aux->attach_func_name);
		return -EACCES;
	}
	return SCALAR_VALUE;
}

static const struct bpf_verifier_ops policy_verifier_ops = {
	.get_func_proto = bpf_base_func_proto,
	.is_valid_access = bpf_tracing_btf_ctx_access,
	.btf_struct_access = policy_btf_struct_access,
};

static int policy_type_init(struct btf *btf)
{
	policy_btf = btf;
	return 0;
}

static bool policy_name_valid(const char *name)
{
	size_t i, len = strnlen(name, INCFS_POLICY_NAME_MAX);

	if (!len || len == INCFS_POLICY_NAME_MAX)
		return false;
	for (i = 0; i < len; i++)
		if (!isascii(name[i]) || (!isalnum(name[i]) && !strchr("_-.", name[i])))
			return false;
	return strcmp(name, INCFS_POLICY_AUTO) && strcmp(name, INCFS_POLICY_NONE);
}

/*
 * Members that are data: 1 when it is taken, 0 to have the core insist on zeros,
 * as it does for flags.
 */
static int policy_init_member(const struct btf_type *t, const struct btf_member *member,
			      void *kdata, const void *udata)
{
	const struct incfs_policy_ops *from = udata;
	struct incfs_policy_ops *ops = kdata;

	switch (__btf_member_bit_offset(t, member) / 8) {
	case offsetof(struct incfs_policy_ops, name):
		if (!policy_name_valid(from->name)) {
			pr_warn_ratelimited("incremental-fs: policy refused: its name must be 1 to %d of letters, digits, '_', '-' and '.', and neither auto nor none\n",
					    INCFS_POLICY_NAME_MAX - 1);
			return -EINVAL;
		}
		strscpy(ops->name, from->name);
		return 1;
	case offsetof(struct incfs_policy_ops, mount_id):
		ops->mount_id = from->mount_id;
		return 1;
	}
	return 0;
}

static int policy_reg(void *kdata, struct bpf_link *link)
{
	return incfs_policy_add(kdata);
}

static int policy_update(void *kdata, void *old_kdata, struct bpf_link *link)
{
	return incfs_policy_replace(kdata, old_kdata);
}

static void policy_unreg(void *kdata, struct bpf_link *link)
{
	incfs_policy_remove(kdata);
}

/* Never called: the core takes the callbacks' types from them. */
static int policy_stub_block_presence(struct incfs_read *read)
{
	return INCFS_VERDICT_IMAGE;
}

static void policy_stub_prefetch(struct incfs_read *read)
{
}

static void policy_stub_pending(struct incfs_read *read)
{
}

static struct incfs_policy_ops policy_stubs = {
	.block_presence = policy_stub_block_presence,
	.prefetch = policy_stub_prefetch,
	.pending = policy_stub_pending,
};

static struct bpf_struct_ops policy_type = {
	.name = "incfs_policy_ops",
	.owner = THIS_MODULE,
	.verifier_ops = &policy_verifier_ops,
	.cfi_stubs = &policy_stubs,
	.init = policy_type_init,
	.init_member = policy_init_member,
	.reg = policy_reg,
	.update = policy_update,
	.unreg = policy_unreg,
};

int __init incfs_policy_init(void)
{
	int err;

	err = register_btf_kfunc_id_set(BPF_PROG_TYPE_STRUCT_OPS, &policy_kfunc_set);
	if (err)
		return err;
	err = register_bpf_struct_ops(&policy_type, incfs_policy_ops);
	if (err)
		return err;
	/* Without BTF of the module the core registers nothing, and succeeds. */
	if (!policy_btf)
		pr_warn("incremental-fs: no policies: the kernel has not accepted the module's BTF\n");
	return 0;
}
