/* SPDX-License-Identifier: MIT */
/* Subcommands. Each gets its own arguments and returns an exit code. */
#ifndef _INCFS_CMD_H
#define _INCFS_CMD_H

int incfs_cmd_pack(int argc, char **argv);
int incfs_cmd_run(int argc, char **argv);

#endif /* _INCFS_CMD_H */
