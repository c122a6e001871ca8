// SPDX-License-Identifier: GPL-2.0-only
/*
 * Policies: the struct_ops type incfs_policy_ops, and what its programs may do.
 *
 * The struct_ops core holds a reference to the module for every map of the
 * type, attached or not: the module can't go while there is a policy.
 */
#include "internal.h"

#include <linux/bpf.h>
#include <linux/bpf_verifier.h>
#include <linux/btf.h>
#include <linux/ctype.h>

#include "compat.h"

/* Set by the core when it takes the type; stays NULL when it does not. */
static struct btf *policy_btf;

/* Other struct_ops types have the same program type. */
bool incfs_policy_is_callback(const struct bpf_prog *prog)
{
	return prog->type == BPF_PROG_TYPE_STRUCT_OPS && prog->aux->attach_btf == policy_btf;
}

/* Whether the bytes are those of a __u32 at @member. */
static bool is_number(int off, int size, size_t member)
{
	return off == member && size == sizeof(u32);
}

/* A program wants to write into memory of the kernel. */
static int policy_btf_struct_access(struct bpf_verifier_log *log,
				    const struct bpf_reg_state *reg, int off, int size)
{
	const struct bpf_verifier_env *env = container_of(log, struct bpf_verifier_env, log);
	const struct bpf_prog_aux *aux = env->prog->aux;
	/* Each callback has a context as its only argument. */
	const struct btf_type *arg = btf_type_by_id(policy_btf,
						    btf_params(aux->attach_func_proto)->type);

	if (reg->btf != policy_btf || reg->btf_id != arg->type) {
		bpf_log(log, "a policy may write to its context only\n");
		return -EACCES;
	}
	if (strcmp(aux->attach_func_name, "block_presence")) {
		bpf_log(log, "a context may be written by block_presence only, not by %s\n",
			aux->attach_func_name);
		return -EACCES;
	}
	if (!is_number(off, size, offsetof(struct incfs_read, timeout_ms)) &&
	    !is_number(off, size, offsetof(struct incfs_read, recheck_ms))) {
		bpf_log(log,
			"only timeout_ms and recheck_ms of struct incfs_read may be written\n");
		return -EACCES;
	}
	return SCALAR_VALUE;
}

/* A tail call could lead from a program that must not sleep to one that does. */
static const struct bpf_func_proto *policy_func_proto(enum bpf_func_id id,
						      const struct bpf_prog *prog)
{
	return id == BPF_FUNC_tail_call ? NULL : bpf_base_func_proto(id, prog);
}

static const struct bpf_verifier_ops policy_verifier_ops = {
	.get_func_proto = policy_func_proto,
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

/* All may sleep but those that are called while other policies have to wait. */
static int policy_check_member(const struct btf_type *t, const struct btf_member *member,
			       const struct bpf_prog *prog)
{
	switch (__btf_member_bit_offset(t, member) / 8) {
	case offsetof(struct incfs_policy_ops, block_presence):
	case offsetof(struct incfs_policy_ops, prefetch):
	case offsetof(struct incfs_policy_ops, pending):
	case offsetof(struct incfs_policy_ops, filled):
		return 0;
	}
	return prog->sleepable ? -EINVAL : 0;
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

static void policy_stub_filled(struct incfs_read *fill)
{
}

static int policy_stub_attach(struct incfs_policy_mount *mount)
{
	return 0;
}

static void policy_stub_detach(struct incfs_policy_mount *mount)
{
}

static struct incfs_policy_ops policy_stubs = {
	.block_presence = policy_stub_block_presence,
	.prefetch = policy_stub_prefetch,
	.pending = policy_stub_pending,
	.filled = policy_stub_filled,
	.attach = policy_stub_attach,
	.detach = policy_stub_detach,
};

static struct bpf_struct_ops policy_type = {
	.name = "incfs_policy_ops",
	.owner = THIS_MODULE,
	.verifier_ops = &policy_verifier_ops,
	.cfi_stubs = &policy_stubs,
	.init = policy_type_init,
	.check_member = policy_check_member,
	.init_member = policy_init_member,
	.reg = policy_reg,
	.update = policy_update,
	.unreg = policy_unreg,
};

void incfs_policy_exit(void)
{
	static_key_deferred_flush(&incfs_policies_exist);
}

int __init incfs_policy_init(void)
{
	int err;

	err = incfs_kfunc_init();
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
