/* SPDX-License-Identifier: MIT */
/* The variables of a policy that are set before it is loaded: its "const volatile" ones. */
#ifndef _INCFS_POLICY_VARIABLES_H
#define _INCFS_POLICY_VARIABLES_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

struct btf;
struct incfs_policy_object;

/**
 * struct incfs_policy_variable
 * @at:        where its value is
 * @size:      bytes of it: 1, 2, 4 or 8
 * @is_signed: it may be negative
 * @is_bool:   it is true or false
 */
struct incfs_policy_variable {
	const char *name;
	void *at;
	size_t size;
	bool is_signed;
	bool is_bool;
};

/* Room for the value of any variable as text. */
#define INCFS_VARIABLE_TEXT 24

/* Whether @name is that of a section of such variables. */
bool incfs_policy_is_variables(const char *name);

/*
 * Call @each for every variable of @data, a section with these types, that is an
 * integer or a bool, until it returns true, which is returned.
 */
bool incfs_policy_variables_each(const struct btf *btf, __u32 type_id, void *data, size_t size,
				 bool (*each)(void *arg, const struct incfs_policy_variable *var),
				 void *arg);
/* The same for an object that is open. */
bool incfs_policy_object_variables(const struct incfs_policy_object *policy,
				   bool (*each)(void *arg,
						const struct incfs_policy_variable *var),
				   void *arg);

void incfs_policy_variable_print(const struct incfs_policy_variable *var,
				 char text[INCFS_VARIABLE_TEXT]);

/*
 * Set a variable of an object that is open and not loaded; @setting is
 * VARIABLE=VALUE. Returns 0, or -1 after saying what is wrong.
 */
int incfs_policy_object_set(struct incfs_policy_object *policy, const char *setting);

#endif /* _INCFS_POLICY_VARIABLES_H */
