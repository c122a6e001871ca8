// SPDX-License-Identifier: MIT
/* incfs: the tool beside the loader. */
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "log.h"

static const char usage[] =
"usage: incfs COMMAND [ARG]...\n"
"  pack DIR  write the list of the files in DIR\n"
"'incfs COMMAND --help' says more.\n";

int main(int argc, char **argv)
{
	incfs_log_init("incfs", INCFS_LOG_INFO);
	if (argc >= 2 && !strcmp(argv[1], "pack"))
		return incfs_cmd_pack(argc - 1, argv + 1);
	if (argc >= 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		fputs(usage, stdout);
		return 0;
	}
	if (argc >= 2)
		incfs_error("no command '%s'", argv[1]);
	fputs(usage, stderr);
	return 2;
}
