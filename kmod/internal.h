/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Incremental FS: what its source files share. One section a file; each says
 * who may call what, and which lock guards which member (docs/locking.md).
 */
#ifndef _INCFS_INTERNAL_H
#define _INCFS_INTERNAL_H

#include <linux/completion.h>
#include <linux/fs.h>
#include <linux/hashtable.h>
#include <linux/kobject.h>
#include <linux/log2.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/percpu_counter.h>
#include <linux/rhashtable-types.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include <incfs/policy.h>
#include <uapi/linux/incrementalfs.h>

#include "compat.h"
#include "format.h"
#include "policy.h"

#define INCFS_DEFAULT_TIMEOUT_MS 1000
#define INCFS_DEFAULT_CMD_MODE 0600
#define INCFS_PENDING_BITS 8
#define INCFS_EXPIRED_MAX 64
#define INCFS_FAULTS_BITS 4
#define INCFS_AHEAD_MAX 64
/* Block-map entries that are read in one go; arrays of them are on the stack. */
#define INCFS_EXTENT_BATCH 32
#define INCFS_FOLIO_ORDER_MAX \
	(ilog2(INCFS_EXTENT_BATCH * INCFS_BLOCK_SIZE) - PAGE_SHIFT)
/* Blocks of a file whose bits of having been checked are in one piece of memory. */
#define INCFS_CHECKED_BATCH 32768

struct fs_context;
struct incfs_io;
struct incfs_mount;

/*
 * struct incfs_node - a file, directory or symbolic link as the image has it
 *
 * Made by a record of the image or by an instruction, and kept until unmount:
 * an inode without a name stays in the image too.
 *
 * Locks: I never changes after the node is in incfs_mount.nodes; T
 * incfs_mount.tree_lock; M map_lock, and read without it (docs/locking.md).
 */
struct incfs_node {
	struct incfs_mount *mnt;	/* I */
	u64 ino;			/* I */
	u64 size;			/* I: in bytes; of a symbolic link's target */
	umode_t mode;			/* I */
	u16 items_len;			/* I: bytes of items in its attributes (attrs.c) */
	u32 nr_blocks;			/* I: 0 but for a regular file */
	u32 uid, gid;			/* I */
	u32 mtime_nsec;			/* I */
	unsigned int nr_names;		/* T: names that refer to this node */
	s64 mtime_sec;			/* I */
	u64 attrs_offset;		/* I: of its attribute record, 0 for none */

	union {
		struct {	/* Regular files: */
			struct mutex map_lock;	/* of who writes the block map */
			u64 map_offset;		/* M: 0 when no block map is written yet */
			u64 writing;		/* M: incfs_writing() of entries being written */
			u32 written;		/* M: grows when entries have been written */
			bool counted;		/* M: whether blocks are counted in @stored */
			struct xarray bad;	/* offsets of blocks that failed their check */
			struct xarray checked;	/* bits of those that passed (blocks.c) */
			atomic64_t stored;	/* bytes in the image, but for bad blocks */
		};
		struct {	/* Directories: */
			struct incfs_node *parent;	/* T: NULL when it has no name */
			struct xarray names;		/* T: struct incfs_name by cookie */
			unsigned long next_cookie;	/* T: grows, in order of listing */
		};
	};
};

/* struct incfs_name - an entry of a directory; all of it under tree_lock */
struct incfs_name {
	struct rhash_head hash;
	struct incfs_node *dir;
	struct incfs_node *node;
	unsigned long cookie;
	u8 len;
	char name[] __counted_by(len);
};

/* struct incfs_tree_entry - a copy of a name, for a listing */
struct incfs_tree_entry {
	u64 ino;
	umode_t mode;
	u8 len;
	char name[INCFS_NAME_MAX];
};

/*
 * struct incfs_image - the image file
 *
 * Locks: I never changes while mounted; A append_lock.
 */
struct incfs_image {
	struct list_head list;		/* images_lock of image.c */
	struct file *file;		/* I: opened anew, so nobody shares its flags */
	const struct cred *cred;	/* I: the mounter's, for all I/O on the file */
	u32 direct_align;		/* I: of direct reads that need not wait; 0: none */
	u32 write_unit;			/* I: its file system writes so much in whole */
	struct mutex append_lock;
	u64 end;			/* A: where the next record or block goes */
	u64 gap_start, gap_end;		/* A: room left behind by alignment */
	u64 last_record;		/* A: offset of the last record, 0 for none */
	bool torn;			/* A: it links to one that was never written */
	u32 features;			/* A: s_flags */
};

/* struct incfs_new_node - what is written to the image for a new inode */
struct incfs_new_node {
	u64 ino;				/* set by incfs_tree_new() */
	u64 size;
	umode_t mode;
	const struct incfs_attrs *attrs;	/* NULL: none; its ino does not matter */
	u64 dir;
	const char *name;
	size_t name_len;		/* 0: no name */
	u64 map_offset;			/* set by the append; 0: it has none */
	u64 attrs_offset;		/* set by the append: the record; 0: it has none */
};

/* struct incfs_expired - a page fault whose wait has failed (expired.c) */
struct incfs_expired {
	pid_t task;			/* 0: unused */
	u32 block;
	u64 ino;
	unsigned long when;		/* jiffies */
};

/* struct incfs_faulting - a page fault that must not wait in the page cache (expired.c) */
struct incfs_faulting {
	struct list_head list;
	const struct task_struct *task;
};

/* struct incfs_faults - those of some tasks; a lock for each, as all faults take one */
struct incfs_faults {
	spinlock_t lock;			/* of @list */
	struct list_head list;
};

/* struct incfs_ahead_range - stored blocks to be read (ahead.c) */
struct incfs_ahead_range {
	struct incfs_node *node;
	u32 first;
	u32 count;
};

/* struct incfs_ahead - what policies want in the page cache; all of it under @lock */
struct incfs_ahead {
	spinlock_t lock;			/* of all that follows */
	bool stopped;
	const struct task_struct *worker;	/* while it works */
	unsigned int head, nr;
	struct incfs_ahead_range ranges[INCFS_AHEAD_MAX];
	struct work_struct work;
};

/* What a mount counts, for struct incfs_stats. */
enum incfs_stat {
	INCFS_STAT_BLOCKS_FILLED,
	INCFS_STAT_BYTES_FILLED,
	INCFS_STAT_BLOCKS_SHARED,
	INCFS_STAT_BLOCKS_READ,
	INCFS_STAT_BLOCKS_DAMAGED,
	INCFS_STAT_WAITS,
	INCFS_STAT_WAITS_EXPIRED,
	INCFS_STAT_WAIT_NS,
	INCFS_NR_STATS
};

/*
 * struct incfs_mount - one mounted image
 *
 * Locks: I never changes while mounted; T tree_lock; P pending_lock.
 */
struct incfs_mount {
	struct super_block *sb;		/* I */
	struct rcu_head rcu;
	u64 id;				/* I: never used again while loaded */
	u32 max_files;			/* I */
	unsigned int timeout_ms;	/* READ_ONCE, WRITE_ONCE; 0 is for ever */
	bool verify_once;		/* likewise: a block that was right stays so */
	kuid_t cmd_uid;			/* I */
	kgid_t cmd_gid;			/* I */
	umode_t cmd_mode;		/* I */

	struct incfs_image image;

	struct rw_semaphore tree_lock;
	struct xarray nodes;		/* T: struct incfs_node by inode number */
	struct rhashtable names;	/* T: struct incfs_name by directory and name */
	struct incfs_node *root;	/* I */
	u32 nr_nodes;			/* T: the root included */
	u64 next_ino;			/* T */

	spinlock_t pending_lock;	/* of P */
	struct list_head pending;	/* P: struct incfs_pending by serial number */
	DECLARE_HASHTABLE(pending_hash, INCFS_PENDING_BITS);	/* P: by inode and block */
	u64 last_serial;		/* P */
	u32 nr_pending;			/* written P, READ_ONCE */
	wait_queue_head_t pending_wait;	/* readers of ".cmd" */
	struct incfs_expired expired[INCFS_EXPIRED_MAX];	/* P */
	unsigned int next_expired;	/* P */
	struct incfs_faults faults[1 << INCFS_FAULTS_BITS];

	struct incfs_policy_use policy;
	struct incfs_ahead ahead;
	struct percpu_counter stats[INCFS_NR_STATS];

	struct kobject kobj;		/* its directory in sysfs */
	struct completion kobj_released;
};

static inline struct incfs_mount *incfs_sb_mount(const struct super_block *sb)
{
	return sb->s_fs_info;
}

static inline struct incfs_mount *incfs_file_mount(const struct file *file)
{
	return incfs_sb_mount(file_inode(file)->i_sb);
}

static inline struct incfs_node *incfs_inode_node(const struct inode *inode)
{
	return inode->i_private;
}

static inline void incfs_count(struct incfs_mount *mnt, enum incfs_stat stat, u64 n)
{
	percpu_counter_add(&mnt->stats[stat], n);
}

static inline u32 incfs_block_len(const struct incfs_node *node, u32 block)
{
	u64 left = node->size - ((u64)block << INCFS_BLOCK_SHIFT);

	return min_t(u64, left, INCFS_BLOCK_SIZE);
}

/* @count entries from @first on, in one word, so that nobody sees half of it; 0: none. */
static inline u64 incfs_writing(u32 first, u32 count)
{
	return (u64)first << 32 | count;
}

static inline bool incfs_is_writing(u64 writing, u32 block)
{
	return block - (u32)(writing >> 32) < (u32)writing;
}

/*
 * What the file system says in the kernel's log goes through here: the mount
 * first, lower case, the errno last.
 */
#define incfs_err(mnt, fmt, ...) \
	pr_err_ratelimited("incremental-fs %llu: " fmt "\n", (mnt)->id, ##__VA_ARGS__)
#define incfs_warn(mnt, fmt, ...) \
	pr_warn_ratelimited("incremental-fs %llu: " fmt "\n", (mnt)->id, ##__VA_ARGS__)

/* struct incfs_access - a read under way: what a policy sees of it, and its file */
struct incfs_access {
	struct incfs_read read;
	struct incfs_node *node;
};

/*
 * struct incfs_new_block - a block that is handed over
 * @buf:    its stored form
 * @extent: size and flags as given; the rest is set when it is stored
 * @result: 1 when it has been stored; 0 if it was there; or an errno
 */
struct incfs_new_block {
	const void *buf;
	struct incfs_extent extent;
	int result;
};

/* What a reader finds when it looks at a block. */
enum incfs_state {
	INCFS_STORED,
	INCFS_ZERO,
	INCFS_ABSENT,
};

/* struct incfs_params - mount options, as given */
struct incfs_params {
	struct file *backing;
	unsigned int timeout_ms;
	u32 max_files;			/* 0: not given */
	kuid_t cmd_uid;			/* invalid: not given, as cmd_gid */
	kgid_t cmd_gid;
	umode_t cmd_mode;
	bool has_cmd_mode;
	bool has_timeout;
	bool has_policy;
	bool has_verify;
	bool verify_once;
	char policy[INCFS_POLICY_NAME_MAX];
};

/* main.c APIs: */

/*
 * Constructor of large pieces of memory that are needed for a moment: without one
 * the kernel would zero them each time, which costs as much as to copy a block.
 */
void incfs_construct(void *memory);

/* sysfs.c APIs: */
int incfs_sysfs_init(void);
void incfs_sysfs_exit(void);
/* Show a mount; the reverse waits for those who look. */
int incfs_sysfs_add(struct incfs_mount *mnt);
void incfs_sysfs_remove(struct incfs_mount *mnt);

/* params.c APIs: */
int incfs_init_context(struct fs_context *fc);

/* super.c APIs: */
extern struct file_system_type incfs_fs_type;
int incfs_fill_super(struct super_block *sb, struct fs_context *fc);

/* image.c APIs: I/O on the image file, under the mounter's credentials */

/*
 * Open the file of @given anew, for reading only when @given is or its file
 * system takes no writes. EBUSY when it is mounted already.
 */
int incfs_image_open(struct incfs_image *image, const struct file *given);
void incfs_image_close(struct incfs_image *image);
u64 incfs_image_size(const struct incfs_image *image);
static inline bool incfs_image_writable(const struct incfs_image *image)
{
	return image->file->f_mode & FMODE_WRITE;
}

/*
 * Read or write all of @len bytes; a short file is EIO. Reads go by the image's page cache
 * and take no lock that a write to the image holds.
 */
int incfs_image_pread(struct incfs_image *image, void *buf, size_t len, u64 offset);
int incfs_image_pwrite(struct incfs_image *image, const void *buf, size_t len, u64 offset);
int incfs_image_read_iter(struct incfs_image *image, struct iov_iter *iter, u64 offset);
/* Drop bytes from the page cache of the image that are on its disk as well. */
static inline void incfs_image_forget(struct incfs_image *image, u64 offset, size_t len)
{
	invalidate_mapping_pages(image->file->f_mapping, offset >> PAGE_SHIFT,
				 (offset + len - 1) >> PAGE_SHIFT);
}

int incfs_image_sync(struct incfs_image *image);	/* errors go to s_wb_err, too */
/* Sync the bytes from @first to @last, and no more than it takes to have them. */
int incfs_image_sync_range(struct incfs_image *image, u64 first, u64 last);
/* Bytes that the image's file system has free for it to grow. */
int incfs_image_room(struct incfs_image *image, u64 *bytes);
/* Where from @offset on there is no hole, as far as can be told; U64_MAX: nowhere. */
u64 incfs_image_next_data(struct incfs_image *image, u64 offset);
/* Write the superblock of an image that holds nothing yet. */
int incfs_image_format(struct incfs_image *image);
/*
 * Write those of @count blocks that have a bit in @which where there is room for
 * them in one piece, and set their offsets. On failure none is written.
 */
int incfs_image_append_blocks(struct incfs_image *image, struct incfs_new_block *blocks,
			      u32 count, u32 which);
/*
 * Append records, and what belongs to them. On failure none of them exists, and
 * they take no room. *@map_offset is where the file's block map is.
 */
int incfs_image_append_node(struct incfs_image *image, struct incfs_new_node *node);
int incfs_image_append_map(struct incfs_image *image, u64 ino, u32 blocks, u64 *map_offset);
int incfs_image_append_dir(struct incfs_image *image, enum incfs_dir_action action, u64 dir,
			   u64 entry, const char *name, size_t len);

/* crc.c APIs: CRC of the stored bytes of a block, as fast as the processor can */
void incfs_crc_init(void);
void incfs_crc_exit(void);
u32 incfs_crc(const void *buf, size_t len);
/* CRC of bytes whose CRC is @crc, and a block of INCFS_BLOCK_SIZE after them. */
u32 incfs_crc_append(u32 crc, u32 block_crc);

/* scan.c APIs: */

/* Read the tree of the image, or make an empty file an image. EUCLEAN: damaged. */
int incfs_scan_image(struct incfs_mount *mnt);

/* tree.c APIs: */
int incfs_tree_init(void);
void incfs_tree_exit(void);
int incfs_tree_create(struct incfs_mount *mnt);
void incfs_tree_destroy(struct incfs_mount *mnt);
/* While the image is read: *@why is the reason of a failure, if there is one. */
int incfs_tree_load_node(struct incfs_mount *mnt, u64 ino, u64 size, umode_t mode,
			 const char **why);
int incfs_tree_load_map(struct incfs_mount *mnt, u64 ino, u64 offset, u32 count,
			const char **why);
int incfs_tree_load_attrs(struct incfs_mount *mnt, const struct incfs_record *record,
			  const char **why);
int incfs_tree_load_name(struct incfs_mount *mnt, const struct incfs_record *record,
			 const char **why);
/* Instructions: the image first, then the tree. Errors as in the UAPI header. */
int incfs_tree_new(struct incfs_mount *mnt, struct incfs_new_node *fresh);
int incfs_tree_add(struct incfs_mount *mnt, u64 dir, u64 ino, const char *name, size_t len);
int incfs_tree_remove(struct incfs_mount *mnt, u64 dir, u64 ino, const char *name, size_t len);
/* Look up a node, which stays until unmount. */
struct incfs_node *incfs_tree_node(struct incfs_mount *mnt, u64 ino);

/* names.c APIs: entries of directories; one is good as long as tree_lock is held */
int incfs_names_create(struct incfs_mount *mnt);
void incfs_names_destroy(struct incfs_mount *mnt);
/* Have a name in both indexes; the counts of the tree are up to the caller. */
struct incfs_name *incfs_name_create(struct incfs_node *dir, struct incfs_node *node,
				     const char *str, size_t len);
void incfs_name_destroy(struct incfs_name *name);
struct incfs_name *incfs_name_find(struct incfs_node *dir, const char *name, size_t len);
/* Copy the first entry of @dir from *@cookie on; false at the end. */
bool incfs_names_list(struct incfs_node *dir, u64 *cookie, struct incfs_tree_entry *entry);

/* attrs.c APIs: what an inode has in its attribute record, read when it is asked for */
extern const struct xattr_handler *const incfs_xattr_handlers[];
/* Check items, as they are in @attrs, of an inode of this type and size. */
int incfs_attrs_check(const struct incfs_attrs *attrs, umode_t mode, u64 size, const char **why);
/*
 * Read the attributes of @node; the items are in *@buf, which the caller frees
 * with kfree(). EUCLEAN: they are damaged.
 */
int incfs_attrs_read(struct incfs_node *node, struct incfs_attrs *attrs, void **buf);
/* The target of a symbolic link, for the caller to kfree(), or an ERR_PTR(). */
char *incfs_attrs_target(struct incfs_node *node);
/* Find an item by type and, for an extended attribute, name. */
bool incfs_attrs_find(const struct incfs_attrs *attrs, enum incfs_item_type type,
		      const char *name, struct incfs_item *item);
ssize_t incfs_attrs_list(struct dentry *dentry, char *list, size_t size);

/* inode.c APIs: */
struct inode *incfs_inode_get(struct super_block *sb, struct incfs_node *node);
struct inode *incfs_inode_get_command(struct super_block *sb);
/* Bring the link count of the inode, if it is in memory, up to date. */
void incfs_inode_set_links(struct super_block *sb, struct incfs_node *node);

/* dir.c APIs: */
extern const struct file_operations incfs_dir_fops;
struct dentry *incfs_lookup(struct inode *inode, struct dentry *dentry, unsigned int flags);
/* Drop what the VFS knows of a name, after the tree has changed. */
void incfs_dir_forget(struct super_block *sb, u64 dir_ino, const char *name, size_t len);

/* file.c APIs: */
extern const struct file_operations incfs_file_fops;

/* control.c APIs: */
extern const struct file_operations incfs_control_fops;

/*
 * Of ".cmd": @arg is the kernel's copy of the structure that belongs to the
 * ioctl. What they set in it reaches the caller, whatever they return. Errors
 * as in the UAPI header; control.c has looked after read-only mounts and
 * descriptors for those that change something.
 */

/* fill.c APIs: */
int incfs_fill_init(void);
void incfs_fill_exit(void);
ssize_t incfs_fill_write(struct file *file, const char __user *buf, size_t len, loff_t *pos);
int incfs_fill_batch(struct file *file, void *arg);
int incfs_fill_share(struct file *file, void *arg);

/* change.c APIs: */
int incfs_change_instruction(struct file *file, const struct incfs_instruction *arg,
			     struct incfs_instruction __user *uarg);
int incfs_change_policy(struct file *file, void *arg);
int incfs_change_create(struct file *file, void *arg);

/* query.c APIs: */
int incfs_query_info(struct file *file, void *arg);
int incfs_query_present(struct file *file, void *arg);
int incfs_query_pending(struct file *file, void *arg);
int incfs_query_stats(struct file *file, void *arg);
int incfs_query_attrs(struct file *file, void *arg);

/* blocks.c APIs: blocks of a file, by its block map */

/* Free what was remembered of the blocks of a file. */
void incfs_blocks_destroy(struct incfs_node *node);
/* Look up @count entries, at most INCFS_EXTENT_BATCH, all within the file. */
int incfs_blocks_lookup(struct incfs_node *node, u32 first, u32 count,
			struct incfs_extent *extents);
/*
 * The first block from @block on whose entry is not in a hole of the image, or
 * nr_blocks; those before are absent. For who has met some absent ones in a row:
 * the map of a large file may be much larger than what is in it.
 */
u32 incfs_blocks_skip_hole(struct incfs_node *node, u32 block);
/*
 * Find the first run of absent blocks of @node within [@first, @end). May
 * sleep. Returns its length and sets *@start; 0 if all of them are stored; or
 * a negative errno.
 */
int incfs_blocks_find_absent(struct incfs_node *node, u32 first, u32 end, u32 *start);
/*
 * The stored bytes of a block are not those that were stored: it counts as absent
 * from now on. Returns EBADMSG, or another errno if that can't be remembered.
 */
int incfs_blocks_damaged(struct incfs_node *node, u32 block, const struct incfs_extent *extent);
/*
 * Expand the @stored bytes of a block, whose CRC was right, into the
 * INCFS_BLOCK_SIZE bytes at @page. EBADMSG as above.
 */
int incfs_blocks_expand(struct incfs_node *node, u32 block, const struct incfs_extent *extent,
			const void *stored, void *page);
/* The bits of the INCFS_CHECKED_BATCH blocks around @block, or NULL. */
unsigned long *incfs_blocks_checked(struct incfs_node *node, u32 block, bool create);
/* Read, check and expand a stored block into @page. Errors as above. */
int incfs_blocks_read(struct incfs_node *node, u32 block, const struct incfs_extent *extent,
		      void *page);
/*
 * Bytes that the present blocks of @node have in the image. The first call reads
 * the whole block map. EINTR: the caller is being killed.
 */
int incfs_blocks_stored(struct incfs_node *node, u64 *bytes);
/* For who writes entries, under map_lock: these as they are in the image. */
int incfs_blocks_read_entries(struct incfs_node *node, u32 first, u32 count,
			      struct incfs_disk_extent *disk);
/* Decode the entry of @block; size 0: absent, also if the bytes there are damaged. */
void incfs_blocks_parse_entry(struct incfs_node *node, u32 block,
			      const struct incfs_disk_extent *disk, struct incfs_extent *extent);
/* Have the bytes at @extent failed their check? */
bool incfs_blocks_is_bad(struct incfs_node *node, u32 block, const struct incfs_extent *extent);

/* store.c APIs: */
/*
 * Store up to INCFS_EXTENT_BATCH blocks, neighbours from @first on, and wake their
 * readers. What became of each is its result.
 */
void incfs_store_blocks(struct incfs_node *node, u32 first, struct incfs_new_block *blocks,
			u32 count);

/*
 * Have @count blocks of @to, at most INCFS_EXTENT_BATCH, refer to the stored bytes
 * of @from's, where these are stored and those are absent and of the same length.
 * *@shared says which do now, a bit for each; their readers wake.
 */
int incfs_store_share(struct incfs_node *from, u32 from_block, struct incfs_node *to,
		      u32 to_block, u32 count, u32 *shared);

/* io.c APIs: reads of stored blocks into locked folios */
int incfs_io_init(void);
void incfs_io_exit(void);
/*
 * Look the first of @count blocks up, at most INCFS_EXTENT_BATCH, to be read
 * together. An ERR_PTR() on failure.
 */
struct incfs_io *incfs_io_begin(struct incfs_node *node, u32 first, u32 count);
/*
 * What was found of the next @count blocks to be added, from @first on, or NULL if
 * they are not next, or have no room. The size of those that are to be zeros is
 * set to 0.
 */
struct incfs_extent *incfs_io_extents(struct incfs_io *io, u32 first, u32 count);
/* Add these blocks: all those of the file that @folio has. */
void incfs_io_add(struct incfs_io *io, struct folio *folio, u32 count);
void incfs_io_abandon(struct incfs_io *io);
/* Read what was added and end the read of its folios, some time. */
void incfs_io_submit(struct incfs_io *io);
/*
 * Read it and wait; its folio stays locked. Returns 0, or an errno, and in *@failed
 * the block that it is for. EBADMSG: it is damaged.
 */
int incfs_io_read(struct incfs_io *io, u32 *failed);
/* End the read of a folio whose blocks are not all to be had. */
void incfs_io_fail_folio(struct folio *folio);

/* ahead.c APIs: stored blocks that a policy wants in the page cache */
extern struct workqueue_struct *incfs_workqueue;
int incfs_ahead_init(void);
void incfs_ahead_exit(void);
void incfs_ahead_setup(struct incfs_mount *mnt);
/* Before the inodes go. */
void incfs_ahead_stop(struct incfs_mount *mnt);
/* Note blocks, all within the file, to be read. May not sleep. EAGAIN: too many. */
int incfs_ahead_add(struct incfs_node *node, u32 first, u32 count);

/* read.c APIs: */
extern const struct address_space_operations incfs_file_aops;
extern const struct vm_operations_struct incfs_file_vm_ops;
/* Begin an access to blocks of @node by the current task. */
void incfs_access_init(struct incfs_access *access, struct incfs_node *node, u32 block,
		       u32 count, enum incfs_read_why why);
/*
 * What a reader of access->read.block finds, policy and image taken together.
 * Returns an enum incfs_state or a negative errno; *@extent is set when it is
 * INCFS_STORED.
 */
int incfs_access_decide(struct incfs_access *access, struct incfs_extent *extent);

/* pending.c APIs: readers that wait */
int incfs_pending_init(void);
void incfs_pending_exit(void);
/* Nothing has to be undone: a mount goes after its last reader. */
void incfs_pending_setup(struct incfs_mount *mnt);
/*
 * Wait until access->read.block is there, or likely to be: the caller looks
 * again. May sleep for ever; no lock is held. ETIME: the time is over. EINTR:
 * the reader is being killed. Other errors are the policy's.
 */
int incfs_pending_wait(struct incfs_access *access);
/*
 * Which of @count blocks from @first on, whose entries have just been written, are
 * waited for: a bit for each. Readers that come later find them stored.
 */
u32 incfs_pending_find(struct incfs_node *node, u32 first, u32 count);
/* Wake the readers of those that have a bit in @which. */
void incfs_pending_complete(struct incfs_node *node, u32 first, u32 which);
/*
 * Have every waiting reader of @mnt look again at its block and at the
 * policy. Called after policy or timeout of the mount have changed. May not sleep.
 */
void incfs_pending_recheck(struct incfs_mount *mnt);
/*
 * The same for @count blocks, 0 for all, from @first on, of the file @ino, 0 for
 * all. Returns how many of them are waited for.
 */
int incfs_pending_recheck_blocks(struct incfs_mount *mnt, u64 ino, u32 first, u32 count);
/* Is there a wait with a serial number above @serial? */
bool incfs_pending_newer(struct incfs_mount *mnt, u64 serial);
/* Copy up to @max waits above *@serial, and move *@serial on. */
size_t incfs_pending_list(struct incfs_mount *mnt, u64 *serial,
			  struct incfs_pending_read *reads, size_t max);
u32 incfs_pending_count(struct incfs_mount *mnt);

/* expired.c APIs: */
void incfs_expired_setup(struct incfs_mount *mnt);
void incfs_expired_add(const struct incfs_access *access);
/* Has the wait of this task for access->read.block just failed? Says so once. */
bool incfs_expired_take(const struct incfs_access *access);
/* Between these the task is in the page cache, and would rather retry than wait. */
void incfs_faulting_begin(struct incfs_mount *mnt, struct incfs_faulting *faulting);
void incfs_faulting_end(struct incfs_mount *mnt, struct incfs_faulting *faulting);
bool incfs_faulting_is(struct incfs_mount *mnt);

#endif /* _INCFS_INTERNAL_H */
