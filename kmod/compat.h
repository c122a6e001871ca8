/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Incremental FS: differences between the kernels that it is built for. No
 * other file looks at the kernel's version.
 */
#ifndef _INCFS_COMPAT_H
#define _INCFS_COMPAT_H

#include <linux/btf.h>
#include <linux/fs.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#error "incremental-fs needs Linux 6.12 or newer"
#endif

/* Where a block map lies is read without a lock, in one piece. */
#ifndef CONFIG_64BIT
#error "incremental-fs needs a 64-bit kernel"
#endif

/* i_state became a structure with accessors. */
static inline bool incfs_inode_is_new(struct inode *inode)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0)
	return inode_state_read_once(inode) & I_NEW;
#else
	return inode->i_state & I_NEW;
#endif
}

/* crc32_le() came to use what the processor has for it. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 14, 0)
#define INCFS_CRC_IS_TABLE
#endif

/* Arguments of every kfunc are trusted ones now, without a flag. */
#ifndef KF_TRUSTED_ARGS
#define KF_TRUSTED_ARGS 0
#endif

#endif /* _INCFS_COMPAT_H */
