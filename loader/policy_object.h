/* SPDX-License-Identifier: MIT */
/* Policies as objects: those that come with the programs, and anybody's. */
#ifndef _INCFS_POLICY_OBJECT_H
#define _INCFS_POLICY_OBJECT_H

#include <bpf/libbpf.h>
#include <linux/types.h>
#include <stdbool.h>

#include "policy_builtin.h"

/* The BPF file system, and where links of policies are pinned in it. */
#define INCFS_BPFFS "/sys/fs/bpf"
#define INCFS_POLICY_PINS INCFS_BPFFS "/incfs"

/* The type that a policy is of. */
#define INCFS_POLICY_TYPE "incfs_policy_ops"

/**
 * struct incfs_policy_object
 * @what: name of a policy that comes along, or a file
 * @obj:  NULL: not open
 * @ops:  the policy in it, NULL for an object that is opened for its maps
 * @log:  what the verifier said
 */
struct incfs_policy_object {
	const char *what;
	struct bpf_object *obj;
	struct bpf_map *ops;
	char *log;
};

/* The policy of this name that comes along, or NULL. */
const struct incfs_policy_builtin *incfs_policy_builtin_find(const char *name);
/* Whether @what is meant to be a file: it has a '/' or ends in ".o". */
bool incfs_policy_is_file(const char *what);
/* Up to INCFS_POLICY_NAME_MAX - 1 letters, digits, '_', '-' and '.', as the module has it. */
bool incfs_policy_name_valid(const char *name);

/* What is missing on this machine for any policy to work, or NULL. */
const char *incfs_policy_obstacle(void);

/*
 * Open an object, for which nothing is needed of the kernel. Returns 0, or -1
 * after saying what is wrong: no such policy, no object, no policy in it or
 * several, or one that can't have a link.
 */
int incfs_policy_object_open(struct incfs_policy_object *policy, const char *what);
void incfs_policy_object_close(struct incfs_policy_object *policy);

/* Members of the policy, for as long as it is not loaded. */
const char *incfs_policy_object_name(const struct incfs_policy_object *policy);
void incfs_policy_object_rename(struct incfs_policy_object *policy, const char *name);
__u64 incfs_policy_object_mount(const struct incfs_policy_object *policy);
void incfs_policy_object_bind(struct incfs_policy_object *policy, __u64 mount_id);

/* Have the kernel take it. Returns 0, or -1 after saying what it has against it. */
int incfs_policy_object_load(struct incfs_policy_object *policy);

/* Register it; NULL and errno: EEXIST the name is taken. */
struct bpf_link *incfs_policy_object_attach(struct incfs_policy_object *policy);

/*
 * Load what is in an object beside the policy: its maps, and with @programs also
 * those of its programs that user space runs by itself. The object is open when this
 * returns 0; -1 after saying why not.
 */
int incfs_policy_object_load_parts(struct incfs_policy_object *policy, const char *what,
				   bool programs);

/*
 * The first thing that libbpf complained of since an object was opened or loaded, or
 * "": it knows more than the errno.
 */
const char *incfs_policy_words(void);

#endif /* _INCFS_POLICY_OBJECT_H */
