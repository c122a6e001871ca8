// SPDX-License-Identifier: GPL-2.0-only
/* Incremental FS: the module. Programs run from files that are still arriving. */
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/module.h>

#include "internal.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

void incfs_construct(void *memory)
{
}

static int __init incfs_init(void)
{
	int err;

	incfs_crc_init();
	err = incfs_tree_init();
	if (err)
		goto err_crc;
	err = incfs_pending_init();
	if (err)
		goto err_tree;
	err = incfs_io_init();
	if (err)
		goto err_pending;
	err = incfs_fill_init();
	if (err)
		goto err_io;
	err = incfs_ahead_init();
	if (err)
		goto err_fill;
	err = incfs_policy_init();
	if (err)
		goto err_ahead;
	err = incfs_sysfs_init();
	if (err)
		goto err_ahead;
	err = register_filesystem(&incfs_fs_type);
	if (err)
		goto err_sysfs;
	return 0;

err_sysfs:
	incfs_sysfs_exit();
err_ahead:
	incfs_ahead_exit();
err_fill:
	incfs_fill_exit();
err_io:
	incfs_io_exit();
err_pending:
	incfs_pending_exit();
err_tree:
	incfs_tree_exit();
err_crc:
	incfs_crc_exit();
	return err;
}

static void __exit incfs_exit(void)
{
	unregister_filesystem(&incfs_fs_type);
	incfs_sysfs_exit();
	/* The kernel forgets the policy type when it forgets the module's BTF. */
	incfs_policy_exit();
	incfs_ahead_exit();
	incfs_fill_exit();
	incfs_io_exit();
	incfs_pending_exit();
	incfs_tree_exit();
	incfs_crc_exit();
}

module_init(incfs_init);
module_exit(incfs_exit);

MODULE_DESCRIPTION("Incremental FS: files that are still arriving");
MODULE_LICENSE("GPL");
#ifdef INCFS_CRC_IS_TABLE
MODULE_SOFTDEP("pre: crypto-crc32");
#endif
