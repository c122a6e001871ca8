// SPDX-License-Identifier: MIT
/* incfs: the tool beside the loader. */
#include "cmd.h"
#include "log.h"

static const struct incfs_cmd cmds[] = {
	{ "pack", "DIR", "write the list of the files in DIR", incfs_cmd_pack },
	{ "mount", "IMAGE DIR", "mount an image without a loader", incfs_cmd_mount },
	{ "umount", "MOUNT", "end a mount, and its loader if wanted", incfs_cmd_umount },
	{ "fetch", "[PATH]...", "have files brought in, and wait for them", incfs_cmd_fetch },
	{ "ls-missing", "MOUNT|IMAGE [PATH]...", "files that have absent blocks", incfs_cmd_ls_missing },
	{ "map", "MOUNT|FILE|IMAGE", "draw which blocks are there, and when they came", incfs_cmd_map },
	{ "extract", "MOUNT|IMAGE DIR", "write its files to a directory", incfs_cmd_extract },
	{ "remove", "MOUNT PATH...", "remove files or directories of a mount", incfs_cmd_remove },
	{ "record", "MOUNTPOINT", "write down which blocks a run needs", incfs_cmd_record },
	{ "image", "COMMAND", "look into an image, check it, get files out", incfs_cmd_image },
	{ "policy", "COMMAND", "policies, and the mounts that use them", incfs_cmd_policy },
	{ "status", "[MOUNT]", "what is there, who waits, what loaders do", incfs_cmd_status },
	{ "metrics", "[MOUNT]", "figures of loaders, for Prometheus", incfs_cmd_metrics },
	{}
};

int main(int argc, char **argv)
{
	incfs_log_init("incfs", INCFS_LOG_INFO);
	return incfs_cmd_dispatch("incfs", cmds, argc, argv);
}
