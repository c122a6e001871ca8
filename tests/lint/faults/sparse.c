// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bytes in another order taken for a number, and memory of user space for the kernel's.
 * lint: restricted __le32 degrades to integer
 * lint: dereference of noderef expression
 */
#include <linux/module.h>
#include <linux/types.h>

u32 incfs_fault(__le32 *number, u32 __user *memory);
u32 incfs_fault(__le32 *number, u32 __user *memory)
{
	return *number + *memory;
}

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("what sparse has to find");
