// SPDX-License-Identifier: MIT
/* incfs-bpf-loader: what runs beside a mount. */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "cmd.h"
#include "log.h"

static const struct incfs_cmd cmds[] = {
	{ "run", "MOUNTPOINT", "mount an image and fetch its contents", incfs_cmd_run },
	{ "status", "[MOUNT]", "what is there, who waits, what loaders do", incfs_cmd_status },
	{ "metrics", "[MOUNT]", "figures of loaders, for Prometheus", incfs_cmd_metrics },
	{}
};

int main(int argc, char **argv)
{
	incfs_log_init("incfs-bpf-loader", INCFS_LOG_INFO);
	srandom(time(NULL) ^ getpid());
	return incfs_cmd_dispatch("incfs-bpf-loader", cmds, argc, argv);
}
