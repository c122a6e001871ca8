// SPDX-License-Identifier: MIT
/* incfs image: what can be done with an image that is not mounted. */
#include "cmd.h"

static const struct incfs_cmd cmds[] = {
	{ "info", "IMAGE", "what is in it, in numbers", incfs_cmd_image_info },
	{ "dump", "IMAGE", "its records and its tree", incfs_cmd_image_dump },
	{ "check", "IMAGE", "whether all of it is sound; repairs it", incfs_cmd_image_check },
	{ "extract", "IMAGE DIR", "write its files to a directory", incfs_cmd_image_extract },
	{ "compact", "IMAGE", "write it anew, without what is not used",
	  incfs_cmd_image_compact },
	{}
};

int incfs_cmd_image(int argc, char **argv)
{
	return incfs_cmd_dispatch("incfs image", cmds, argc, argv);
}
