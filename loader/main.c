// SPDX-License-Identifier: MIT
/* incfs-bpf-loader: what runs beside a mount. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd.h"
#include "log.h"

static const char usage[] =
"usage: incfs-bpf-loader COMMAND [ARG]...\n"
"  run  mount an image and fetch its contents\n"
"'incfs-bpf-loader COMMAND --help' says more.\n";

int main(int argc, char **argv)
{
	incfs_log_init("incfs-bpf-loader", INCFS_LOG_INFO);
	srandom(time(NULL) ^ getpid());
	if (argc >= 2 && !strcmp(argv[1], "run"))
		return incfs_cmd_run(argc - 1, argv + 1);
	if (argc >= 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		fputs(usage, stdout);
		return 0;
	}
	if (argc >= 2)
		incfs_error("no command '%s'", argv[1]);
	fputs(usage, stderr);
	return 2;
}
