/* SPDX-License-Identifier: MIT */
/* The policies that come with the programs: a table made by bpf/table.sh. */
#ifndef _INCFS_POLICY_BUILTIN_H
#define _INCFS_POLICY_BUILTIN_H

#include <stddef.h>

/**
 * struct incfs_policy_builtin
 * @name:  of the policy, and of its source; the row with NULL is the last
 * @about: one line for people
 * @bytes: the object
 */
struct incfs_policy_builtin {
	const char *name;
	const char *about;
	const void *(*bytes)(size_t *size);
};

extern const struct incfs_policy_builtin incfs_policy_builtins[];

#endif /* _INCFS_POLICY_BUILTIN_H */
