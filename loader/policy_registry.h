/* SPDX-License-Identifier: MIT */
/* The policies that are registered, as the kernel's lists of BPF links and maps tell. */
#ifndef _INCFS_POLICY_REGISTRY_H
#define _INCFS_POLICY_REGISTRY_H

#include <incfs/policy.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

struct btf;

/* Most callbacks of a policy that are looked for: the module may have grown. */
#define INCFS_CALLBACKS_MAX 32

/* struct incfs_callback - a member that a program stands in */
struct incfs_callback {
	char name[32];
	__u32 prog_id;
};

/**
 * struct incfs_registered - a policy that is registered
 * @mount_id: the only mount that may use it, 0 for any
 * @link_id:  0: it was registered without a link
 * @map_id:   the policy itself, a map
 * @pin:      where its link is pinned, NULL for nowhere
 */
struct incfs_registered {
	char name[INCFS_POLICY_NAME_MAX];
	__u64 mount_id;
	__u32 link_id;
	__u32 map_id;
	char *pin;
	struct incfs_callback callbacks[INCFS_CALLBACKS_MAX];
	size_t nr_callbacks;
};

struct incfs_registry {
	struct incfs_registered *policies;
	size_t nr;
	/* The rest is for the reading of it. */
	struct btf *vmlinux;
	struct btf *btf;
	__u32 btf_id;
};

/*
 * Read what is registered now; needs root. Returns 0, or -1 after saying what is
 * wrong.
 */
int incfs_registry_read(struct incfs_registry *registry);
void incfs_registry_free(struct incfs_registry *registry);
struct incfs_registered *incfs_registry_find(const struct incfs_registry *registry,
					     const char *name);

/* Remove every pin of the link. Returns 0, or -1 and errno. */
int incfs_registry_unpin(__u32 link_id);
/*
 * Whether the object that is pinned as @path is a link, and its id. What it leads to
 * may be gone: then @attached is false.
 */
bool incfs_link_pinned(const char *path, __u32 *link_id, bool *attached);

#endif /* _INCFS_POLICY_REGISTRY_H */
