/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * libincfs: a loader for incremental-fs of one's own. docs/libincfs.md is the guide.
 *
 *	libincfs_new -> libincfs_open -> libincfs_declare -> libincfs_next -> libincfs_fill
 *	  a handle      mount, or go     the tree            what readers     the blocks
 *	                on with it                           wait for
 *
 * Functions return 0 or what they count, or a negative errno; then libincfs_message()
 * has it in words. -EINVAL stands for arguments that make no sense, a NULL handle
 * among them, -EBADF for a handle that is not open. What is handed over stays the
 * caller's, and is not used any more when the function has returned.
 *
 * A handle is for one thread at a time, and not for a child made by fork(2), which would
 * share the lock of its image. Handles know nothing of each other. The library has no
 * threads, signal handlers or state outside of its handles.
 */
#ifndef INCFS_INCFS_H
#define INCFS_INCFS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes in a block; the last one of a file may hold fewer. */
#define LIBINCFS_BLOCK_SIZE 4096

/* Inode number of the root directory. */
#define LIBINCFS_ROOT 2

/* Longest name of a policy, its NUL included. */
#define LIBINCFS_POLICY_LEN 32

/* Longest key of an inode, in bytes. */
#define LIBINCFS_KEY_MAX 512

/* struct libincfs - a handle: at most one mount, and what last went wrong */
struct libincfs;

/* Returns NULL only without memory. */
struct libincfs *libincfs_new(void);

/* Closes what is open, without unmounting it. NULL is fine. */
void libincfs_free(struct libincfs *fs);

/*
 * What last went wrong, one line without "\n"; "" if nothing has. Lives until the
 * next call with the handle.
 */
const char *libincfs_message(const struct libincfs *fs);

/* The mount */

enum libincfs_open_flags {
	LIBINCFS_MUST_EXIST = 1 << 0,	/* don't make an image that is not there */
	LIBINCFS_KEEP_OPTIONS = 1 << 1,	/* leave what is mounted already as it is */
};

/**
 * struct libincfs_params - what to mount, and how
 * @struct_size:     sizeof(struct libincfs_params)
 * @flags:           enum libincfs_open_flags
 * @image:           the image
 * @path:            directory that it is mounted on
 * @policy:          name of a policy, "auto", or NULL for none
 * @read_timeout_ms: how long a read waits for an absent block, 0 for ever
 * @max_files:       limit of inodes, the root included; 0 for the default. Has no
 *                   effect on what is mounted already
 */
struct libincfs_params {
	uint32_t struct_size;
	uint32_t flags;
	const char *image;
	const char *path;
	const char *policy;
	uint32_t read_timeout_ms;
	uint32_t max_files;
};

/**
 * libincfs_open - mount an image, or go on with it where it is mounted already
 * @fs:     a handle that is closed
 * @params: what to mount, and how
 *
 * The image is locked while the handle is open, so that it has one loader: -EBUSY if
 * there is another, -EEXIST if what is mounted is another image, as far as that can be
 * told. An image that is mounted and has no name any more is gone on with.
 * /proc/mounts has its absolute path as what is mounted.
 * Needs root. Returns 0, 1 if it was mounted already.
 */
int libincfs_open(struct libincfs *fs, const struct libincfs_params *params);

/**
 * libincfs_attach - use what is mounted on @path, without its image
 * @fs:   a handle that is closed
 * @path: directory that it is mounted on
 *
 * Nothing is locked, and no option changed: for tools beside a loader. On a read-only
 * mount, what would change something fails with -EROFS or -EBADF.
 */
int libincfs_attach(struct libincfs *fs, const char *path);

enum libincfs_close_flags {
	LIBINCFS_UNMOUNT = 1 << 0,
};

/**
 * libincfs_close - leave the mount
 * @fs:    the handle
 * @flags: enum libincfs_close_flags
 *
 * The handle can be used to open another. With LIBINCFS_UNMOUNT a mount that is in use
 * makes it fail with -EBUSY: it stays, and so do readers that wait, for the next loader;
 * the handle is closed all the same.
 */
int libincfs_close(struct libincfs *fs, unsigned int flags);

/* To be polled for reading: there is something for libincfs_next(). */
int libincfs_fd(const struct libincfs *fs);

/* The root directory of the mount, for openat(2). */
int libincfs_root_fd(const struct libincfs *fs);

/* The image, for fstat(2); -ENOENT if it has no name any more or the handle is attached. */
int libincfs_image_fd(const struct libincfs *fs);

/**
 * struct libincfs_info - what is mounted
 * @mount_id:        never used again while the module stays loaded
 * @read_timeout_ms: as it is now
 * @max_files:       limit of inodes
 * @nr_files:        inodes that exist, the root included
 * @reserved:        0
 * @policy:          name of the policy that is used now, or ""
 */
struct libincfs_info {
	uint64_t mount_id;
	uint32_t read_timeout_ms;
	uint32_t max_files;
	uint32_t nr_files;
	uint32_t reserved;
	char policy[LIBINCFS_POLICY_LEN];
};

int libincfs_get_info(struct libincfs *fs, struct libincfs_info *info);

/**
 * struct libincfs_stats - what has happened since the image was mounted
 * @struct_size:    sizeof(struct libincfs_stats)
 * @reserved:       0
 * @blocks_filled:  blocks stored
 * @bytes_filled:   bytes that they have in the image
 * @blocks_shared:  blocks that came to refer to stored bytes of another
 * @blocks_read:    stored blocks read into memory
 * @blocks_damaged: stored blocks that failed their check
 * @waits:          blocks that readers started to wait for
 * @waits_expired:  reads that ended by their timeout
 * @wait_ns:        time that reads have waited, in ns, added up
 * @blocks_pending: blocks that readers wait for now
 */
struct libincfs_stats {
	uint32_t struct_size;
	uint32_t reserved;
	uint64_t blocks_filled;
	uint64_t bytes_filled;
	uint64_t blocks_shared;
	uint64_t blocks_read;
	uint64_t blocks_damaged;
	uint64_t waits;
	uint64_t waits_expired;
	uint64_t wait_ns;
	uint64_t blocks_pending;
};

/* Set @struct_size and @reserved before. What is not known to this version becomes 0. */
int libincfs_get_stats(struct libincfs *fs, struct libincfs_stats *stats);

/* A policy's name, "auto", "none", or "": as of the mount option. */
int libincfs_set_policy(struct libincfs *fs, const char *policy);

/* The tree */

enum libincfs_type {
	LIBINCFS_DIR = 'd',
	LIBINCFS_FILE = 'f',
	LIBINCFS_SYMLINK = 's',
	LIBINCFS_LINK = 'l',	/* another name of a file */
};

/**
 * struct libincfs_entry - a name in the tree, and what it stands for
 * @path:       relative to the root, without "." and ".."
 * @target:     of a symbolic link its text, of another name the path of the file
 * @key:        bytes of the loader's own, kept with the inode, or NULL
 * @size:       of a file, in bytes
 * @ino:        set on return: inode number
 * @mtime_sec:  time of last modification
 * @mtime_nsec: and its nanoseconds
 * @uid:        owner
 * @gid:        group
 * @mode:       permissions
 * @key_len:    bytes at @key, at most LIBINCFS_KEY_MAX
 * @type:       enum libincfs_type
 * @reserved:   0
 *
 * Another name has @path, @target and @type alone.
 */
struct libincfs_entry {
	const char *path;
	const char *target;
	const void *key;
	uint64_t size;
	uint64_t ino;
	int64_t mtime_sec;
	uint32_t mtime_nsec;
	uint32_t uid;
	uint32_t gid;
	uint16_t mode;
	uint16_t key_len;
	char type;
	char reserved[7];
};

/**
 * libincfs_declare - add to the tree what it has not yet
 * @fs:      the handle
 * @entries: what to add
 * @nr:      how many they are
 *
 * In order: a directory stands before what is in it, a file before its other names.
 * What is there already must be of the same type and size, or the same file; it is not
 * changed. So a loader that starts again declares the same tree again. Each entry comes
 * to be with all that it has, or not at all.
 *
 * Returns 0. Stops at the first entry that fails; the inode numbers of those before it
 * are set. -EEXIST if something else has its name, -ENFILE at the limit of inodes.
 */
int libincfs_declare(struct libincfs *fs, struct libincfs_entry *entries, size_t nr);

/**
 * libincfs_lookup - the inode number of a path
 * @fs:   the handle
 * @path: relative to the root
 * @ino:  set on return
 *
 * Symbolic links are not followed anywhere in it. "" is the root.
 */
int libincfs_lookup(struct libincfs *fs, const char *path, uint64_t *ino);

/* Remove a name; a directory must be empty. */
int libincfs_remove(struct libincfs *fs, const char *path);

/**
 * libincfs_get_key - what an entry was declared with as @key
 * @fs:   the handle
 * @ino:  inode number
 * @key:  set on return, as much of it as there is room for
 * @size: room at @key
 *
 * Returns its length, also when that is more than @size, 0 if there is none.
 */
int libincfs_get_key(struct libincfs *fs, uint64_t ino, void *key, size_t size);

/* Blocks */

enum libincfs_block_flags {
	LIBINCFS_LZ4 = 1 << 0,		/* the data are an LZ4 block already */
	LIBINCFS_COMPRESS = 1 << 1,	/* compress them where that saves an eighth */
};

/**
 * struct libincfs_block - a block to hand over
 * @ino:    inode number of the file
 * @block:  index of the block
 * @len:    bytes at @data: LIBINCFS_BLOCK_SIZE, fewer in the last block of a file; of an
 *          LZ4 block at most twice that
 * @data:   its contents
 * @flags:  enum libincfs_block_flags, one or none
 * @result: set on return: 0, or a negative errno
 * @stored: set on return: bytes that were handed to the file system
 * @reserved: 0
 */
struct libincfs_block {
	uint64_t ino;
	uint32_t block;
	uint32_t len;
	const void *data;
	uint32_t flags;
	int32_t result;
	uint32_t stored;
	uint32_t reserved;
};

/**
 * libincfs_fill - hand over blocks, of any files
 * @fs:     the handle
 * @blocks: the blocks
 * @nr:     how many they are
 *
 * Blocks that lie next to each other in a file and in the array are stored next to each
 * other. A block that is present already is ignored, with the result 0. Each block is
 * tried, whatever became of those before it. Readers that wait for them wake.
 *
 * Returns how many have the result 0; a negative errno if a call of the file system
 * failed as a whole, and then so have the results of the blocks that it was made for
 * and of those behind. With fewer than @nr, libincfs_message() has the first reason.
 */
int libincfs_fill(struct libincfs *fs, struct libincfs_block *blocks, size_t nr);

/**
 * libincfs_fill_range - hand over neighbouring blocks of a file
 * @fs:    the handle
 * @ino:   inode number of the file
 * @first: index of the first
 * @data:  their contents
 * @size:  in bytes; whole blocks, save the last one of the file
 * @flags: LIBINCFS_COMPRESS or 0
 *
 * Returns 0 when all of them are there.
 */
int libincfs_fill_range(struct libincfs *fs, uint64_t ino, uint32_t first, const void *data,
			size_t size, unsigned int flags);

/**
 * libincfs_share - let blocks of a file be those of another, within the image
 * @fs:         the handle
 * @from:       inode number of the file that has the blocks
 * @from_block: index of the first of them
 * @to:         inode number of the file that gets them
 * @to_block:   index of the first one there
 * @count:      how many
 * @shared:     set on return, also when it fails: how many are; may be NULL
 *
 * Nothing is copied. A block that is absent there or present here is left as it is.
 */
int libincfs_share(struct libincfs *fs, uint64_t from, uint32_t from_block, uint64_t to,
		   uint32_t to_block, uint32_t count, uint32_t *shared);

/* struct libincfs_range - blocks of a file that lie next to each other */
struct libincfs_range {
	uint32_t first;
	uint32_t count;
};

/**
 * libincfs_present - which blocks of a file are there
 * @fs:        the handle
 * @ino:       inode number of the file
 * @first:     first block to look at; on return, where the next call goes on
 * @ranges:    set on return, in order
 * @nr:        room in @ranges
 * @nr_blocks: set on return: blocks in the file; done when *@first has reached it
 *
 * Returns how many ranges were written, which may be fewer than there is room for
 * before all is told.
 */
int libincfs_present(struct libincfs *fs, uint64_t ino, uint32_t *first,
		     struct libincfs_range *ranges, size_t nr, uint32_t *nr_blocks);

/**
 * libincfs_missing - how many blocks of a file are not there yet
 * @fs:      the handle
 * @ino:     inode number of the file
 * @missing: set on return
 *
 * An image in which no file misses any needs no loader.
 */
int libincfs_missing(struct libincfs *fs, uint64_t ino, uint32_t *missing);

/* Readers that wait */

/**
 * struct libincfs_wait - a block that a reader waits for
 * @ino:    inode number of the file
 * @block:  index of the block
 * @serial: grows with every block that starts to be waited for
 */
struct libincfs_wait {
	uint64_t ino;
	uint32_t block;
	uint32_t serial;
};

/**
 * libincfs_next - blocks that readers have started to wait for
 * @fs:         the handle
 * @waits:      set on return
 * @nr:         room at @waits
 * @timeout_ms: how long to wait for the first, -1 for ever, 0 not at all
 *
 * Each is told once; a handle that is opened anew is told all that there are. Returns
 * how many were written; 0 when the time is over; -EINTR after a signal.
 */
int libincfs_next(struct libincfs *fs, struct libincfs_wait *waits, size_t nr, int timeout_ms);

/**
 * struct libincfs_pending - a block that is waited for now
 * @serial:  grows with every block that starts to be waited for
 * @ino:     inode number of the file
 * @block:   index of the block
 * @readers: how many wait
 * @age_ms:  how long ago the first of them came
 * @tgid:    process id of that one
 */
struct libincfs_pending {
	uint64_t serial;
	uint64_t ino;
	uint32_t block;
	uint32_t readers;
	uint32_t age_ms;
	uint32_t tgid;
};

/**
 * libincfs_list_pending - all blocks that are waited for, whatever was told before
 * @fs:      the handle
 * @after:   serial number after which to start, 0 for all; on return, where to go on
 * @pending: set on return
 * @nr:      room at @pending
 *
 * Returns how many were written; that was all if there was room for more.
 */
int libincfs_list_pending(struct libincfs *fs, uint64_t *after,
			  struct libincfs_pending *pending, size_t nr);

/* All that was declared and filled before is on the disk when this returns 0. */
int libincfs_sync(struct libincfs *fs);

#ifdef __cplusplus
}
#endif

#endif /* INCFS_INCFS_H */
