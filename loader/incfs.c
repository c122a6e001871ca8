// SPDX-License-Identifier: MIT
/* incfs: the tool beside the loader. */
#include "cmd.h"
#include "log.h"

static const struct incfs_cmd cmds[] = {
	{ "pack", "DIR", "write the list of the files in DIR", incfs_cmd_pack },
	{ "record", "MOUNTPOINT", "write down which blocks a run needs", incfs_cmd_record },
	{ "image", "COMMAND", "look into an image, check it, get files out", incfs_cmd_image },
	{ "policy", "COMMAND", "policies, and the mounts that use them", incfs_cmd_policy },
	{}
};

int main(int argc, char **argv)
{
	incfs_log_init("incfs", INCFS_LOG_INFO);
	return incfs_cmd_dispatch("incfs", cmds, argc, argv);
}
