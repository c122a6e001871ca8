// SPDX-License-Identifier: MIT
/* Which command of a table is meant, and what to say if it is none. */
#include "cmd.h"

#include <stdio.h>
#include <string.h>

#include "log.h"

static int row_width(const struct incfs_cmd *cmd)
{
	return strlen(cmd->name) + 1 + strlen(cmd->args);
}

static void print_usage(FILE *out, const char *program, const struct incfs_cmd *cmds)
{
	const struct incfs_cmd *cmd;
	int width = 0;

	for (cmd = cmds; cmd->name; cmd++) {
		if (row_width(cmd) > width)
			width = row_width(cmd);
	}
	fprintf(out, "usage: %s COMMAND [ARG]...\n", program);
	for (cmd = cmds; cmd->name; cmd++)
		fprintf(out, "  %s %-*s  %s\n", cmd->name, width - (int)strlen(cmd->name) - 1,
			cmd->args, cmd->help);
	fprintf(out, "'%s COMMAND --help' says more.\n", program);
}

int incfs_cmd_dispatch(const char *program, const struct incfs_cmd *cmds, int argc,
		       char **argv)
{
	const struct incfs_cmd *cmd;

	for (cmd = cmds; argc >= 2 && cmd->name; cmd++) {
		if (!strcmp(argv[1], cmd->name))
			return cmd->run(argc - 1, argv + 1);
	}
	if (argc >= 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		print_usage(stdout, program, cmds);
		return 0;
	}
	if (argc >= 2)
		incfs_error("no command '%s'", argv[1]);
	print_usage(stderr, program, cmds);
	return 2;
}
