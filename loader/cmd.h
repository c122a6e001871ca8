/* SPDX-License-Identifier: MIT */
/*
 * Commands: a program, or a command with commands of its own, has a table of
 * them. Each gets its own arguments and returns an exit code.
 */
#ifndef _INCFS_CMD_H
#define _INCFS_CMD_H

#include <stddef.h>

/**
 * struct incfs_cmd - one row of a table
 * @name: of the command; the row with NULL is the last
 * @args: what it is called with, for the usage
 * @help: what it does, in a few words
 * @run:  does it; argv[0] is @name
 */
struct incfs_cmd {
	const char *name;
	const char *args;
	const char *help;
	int (*run)(int argc, char **argv);
};

/*
 * Run the command that argv[1] names, or print the usage of @program. Returns
 * the exit code.
 */
int incfs_cmd_dispatch(const char *program, const struct incfs_cmd *cmds, int argc,
		       char **argv);

int incfs_cmd_pack(int argc, char **argv);
int incfs_cmd_record(int argc, char **argv);
int incfs_cmd_run(int argc, char **argv);
int incfs_cmd_image(int argc, char **argv);
int incfs_cmd_policy(int argc, char **argv);
int incfs_cmd_status(int argc, char **argv);
int incfs_cmd_metrics(int argc, char **argv);
int incfs_cmd_mount(int argc, char **argv);
int incfs_cmd_umount(int argc, char **argv);
int incfs_cmd_fetch(int argc, char **argv);
int incfs_cmd_ls_missing(int argc, char **argv);
int incfs_cmd_map(int argc, char **argv);
int incfs_cmd_extract(int argc, char **argv);
int incfs_cmd_remove(int argc, char **argv);

/* incfs image ... */
int incfs_cmd_image_info(int argc, char **argv);
int incfs_cmd_image_dump(int argc, char **argv);
int incfs_cmd_image_check(int argc, char **argv);
int incfs_cmd_image_extract(int argc, char **argv);
int incfs_cmd_image_compact(int argc, char **argv);

#endif /* _INCFS_CMD_H */
