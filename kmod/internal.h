/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Incremental FS: what its source files share. One section a file; each says
 * who may call what, and which lock guards which member (docs/locking.md).
 */
#ifndef _INCFS_INTERNAL_H
#define _INCFS_INTERNAL_H

#include <linux/fs.h>
#include <linux/mutex.h>
#include <linux/rhashtable-types.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#include <incfs/policy.h>
#include <uapi/linux/incrementalfs.h>

#include "format.h"
#include "policy.h"

#define INCFS_DEFAULT_TIMEOUT_MS 1000

struct incfs_mount;

/*
 * struct incfs_node - a file or directory as the image has it
 *
 * Made by a record of the image or by an instruction, and kept until unmount:
 * an inode without a name stays in the image too.
 *
 * Locks: I never changes after the node is in incfs_mount.nodes; T
 * incfs_mount.tree_lock; M map_lock.
 */
struct incfs_node {
	struct incfs_mount *mnt;	/* I */
	u64 ino;			/* I */
	u64 size;			/* I: in bytes */
	umode_t mode;			/* I */
	u32 nr_blocks;			/* I: 0 for a directory */
	unsigned int nr_names;		/* T: names that refer to this node */

	/* Regular files: */
	struct rw_semaphore map_lock;
	u64 map_offset;			/* M: 0 when no block map is written yet */
	struct xarray bad;		/* M: stored blocks that failed their check */

	/* Directories: */
	struct incfs_node *parent;	/* T: NULL when it has no name */
	struct xarray names;		/* T: struct incfs_name by cookie */
	u32 next_cookie;		/* T: grows, so that listings keep their order */
};

/* struct incfs_name - an entry of a directory; all of it under tree_lock */
struct incfs_name {
	struct rhash_head hash;
	struct incfs_node *dir;
	struct incfs_node *node;
	u32 cookie;
	u8 len;
	char name[];
};

/*
 * struct incfs_image - the image file
 *
 * Locks: I never changes while mounted; A append_lock.
 */
struct incfs_image {
	struct file *file;		/* I: opened anew, so nobody shares its flags */
	const struct cred *cred;	/* I: the mounter's, for all I/O on the file */
	struct mutex append_lock;
	u64 end;			/* A: where the next record or block goes */
	u64 gap_start, gap_end;		/* A: room left behind by alignment */
	u64 last_record;		/* A: offset of the last record, 0 for none */
};

/*
 * struct incfs_mount - one mounted image
 *
 * Locks: I never changes while mounted; T tree_lock; P pending_lock.
 */
struct incfs_mount {
	struct super_block *sb;		/* I */
	u64 id;				/* I: never used again while loaded */
	u32 max_files;			/* I */
	unsigned int timeout_ms;	/* READ_ONCE, WRITE_ONCE; 0 is for ever */
	kuid_t cmd_uid;			/* I */
	kgid_t cmd_gid;			/* I */

	struct incfs_image image;

	struct rw_semaphore tree_lock;
	struct xarray nodes;		/* T: struct incfs_node by inode number */
	struct rhashtable names;	/* T: struct incfs_name by directory and name */
	struct incfs_node *root;	/* I */
	u32 nr_nodes;			/* T: the root included */
	u64 next_ino;			/* T */

	spinlock_t pending_lock;
	struct xarray pending;		/* P: struct incfs_pending by serial number */
	struct rhashtable waits;	/* P: the same by inode and block */
	u64 last_serial;		/* P */
	wait_queue_head_t pending_wait;	/* readers of ".cmd" */

	struct incfs_policy_use policy;
};

static inline struct incfs_mount *incfs_sb_mount(const struct super_block *sb)
{
	return sb->s_fs_info;
}

static inline struct incfs_node *incfs_inode_node(const struct inode *inode)
{
	return inode->i_private;
}

static inline u32 incfs_block_len(const struct incfs_node *node, u32 block)
{
	u64 left = node->size - ((u64)block << INCFS_BLOCK_SHIFT);

	return min_t(u64, left, INCFS_BLOCK_SIZE);
}

/*
 * What the file system says in the kernel's log goes through here: the mount
 * first, lower case, the errno last.
 */
#define incfs_err(mnt, fmt, ...) \
	pr_err_ratelimited("incremental-fs %llu: " fmt "\n", (mnt)->id, ##__VA_ARGS__)
#define incfs_warn(mnt, fmt, ...) \
	pr_warn_ratelimited("incremental-fs %llu: " fmt "\n", (mnt)->id, ##__VA_ARGS__)

/*
 * struct incfs_access - a read under way: what a policy sees, and what the
 * module needs to serve it. kfuncs get @read and find the rest around it.
 */
struct incfs_access {
	struct incfs_read read;
	struct incfs_node *node;
};

/* pending.c APIs: readers that wait */

/*
 * Have every waiting reader of @mnt look again at its block and at the
 * policy. Called after the policy of the mount has changed. May not sleep.
 */
void incfs_pending_recheck(struct incfs_mount *mnt);

/* image.c APIs: blocks of a file */

/*
 * Find the first run of absent blocks of @node within [@first, @end). May
 * sleep. Returns its length and sets *@start; 0 if all of them are stored; or
 * a negative errno.
 */
int incfs_image_find_absent(struct incfs_node *node, u32 first, u32 end, u32 *start);

#endif /* _INCFS_INTERNAL_H */
