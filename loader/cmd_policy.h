/* SPDX-License-Identifier: MIT */
/* Shared by the commands incfs policy ... . */
#ifndef _INCFS_CMD_POLICY_H
#define _INCFS_CMD_POLICY_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "option.h"

struct json_object;
struct incfs_registered;
struct incfs_registry;
struct incfs_mounts;

/* Most variables of a policy to be set. */
#define INCFS_SETTINGS_MAX 32

int incfs_cmd_policy_list(int argc, char **argv);
int incfs_cmd_policy_show(int argc, char **argv);
int incfs_cmd_policy_status(int argc, char **argv);
int incfs_cmd_policy_attach(int argc, char **argv);
int incfs_cmd_policy_detach(int argc, char **argv);
int incfs_cmd_policy_swap(int argc, char **argv);
int incfs_cmd_policy_use(int argc, char **argv);
int incfs_cmd_policy_hold(int argc, char **argv);
int incfs_cmd_policy_release(int argc, char **argv);
int incfs_cmd_policy_timeout(int argc, char **argv);

/* Says so, unless we are root. */
bool incfs_policy_may(void);

/* incfs_usage_parse(), and then incfs_policy_may(). */
int incfs_policy_parse(const struct incfs_usage *usage, void *context, int argc, char **argv);

/* For @usage->options: --json alone, for a bool. */
extern const struct incfs_option incfs_policy_json_option[];

/* Which mounts use the policy, in one line; "-" for none. */
char *incfs_policy_users(const struct incfs_registered *policy,
			 const struct incfs_mounts *mounts);
/* The same as an array: objects with id, and path where it can be seen. */
struct json_object *incfs_policy_users_json(const struct incfs_registered *policy,
					    const struct incfs_mounts *mounts);
/* What list and show tell of a policy alike. */
struct json_object *incfs_policy_json(const struct incfs_registered *policy,
				      const struct incfs_mounts *mounts);

#endif /* _INCFS_CMD_POLICY_H */
