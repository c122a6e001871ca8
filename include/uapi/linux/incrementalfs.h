/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Incremental FS: the interface between the file system and its loader.
 *
 * The first part is the interface of 2019, number by number; programs written
 * against it run unchanged. The second part, from INCFS_IOC_GET_INFO on, is
 * this project's addition to it.
 *
 * All members are native-endian and naturally aligned. Pointers travel as
 * __aligned_u64, so that 32-bit programs use the same structures.
 */
#ifndef _UAPI_LINUX_INCREMENTALFS_H
#define _UAPI_LINUX_INCREMENTALFS_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* File-system type for mount(2). */
#define INCFS_NAME "incremental-fs"

/* f_type of statfs(2), and the first eight bytes of an image: "INCFS". */
#define INCFS_MAGIC_NUMBER 0x5346434e49ull

/* Bytes in a block; the last block of a file may hold fewer. */
#define INCFS_DATA_FILE_BLOCK_SIZE 4096

/* Version of struct incfs_instruction. */
#define INCFS_HEADER_VER 1

/* Default limit of inodes in an image, the root included. */
#define INCFS_MAX_FILES 1000

/* Inode numbers with a meaning of their own. */
#define INCFS_COMMAND_INODE 1
#define INCFS_ROOT_INODE 2

/* Longest stored form of a block that a loader may hand over, in bytes. */
#define INCFS_MAX_BLOCK_DATA 8192

#define INCFS_IOCTL_BASE_CODE 'g'

enum incfs_compression_alg {
	COMPRESSION_NONE = 0,
	COMPRESSION_LZ4 = 1,
};

/**
 * struct incfs_pending_read_info - one block that readers wait for
 * @file_ino:      inode number of the file
 * @block_index:   index of the block in the file
 * @serial_number: grows with every block that starts to be waited for
 *
 * read(2) on ".cmd" returns an array of these, as many as fit and as are newer
 * than what this open file description has read before; 0 when there are none.
 * poll(2) reports EPOLLIN when there is one.
 */
struct incfs_pending_read_info {
	__aligned_u64 file_ino;
	__u32 block_index;
	__u32 serial_number;
};

/**
 * struct incfs_new_data_block - a block that a loader hands over
 * @file_ino:    inode number of the file
 * @block_index: index of the block in the file
 * @data_len:    bytes at @data, at most INCFS_MAX_BLOCK_DATA
 * @data:        address of the block's stored form
 * @compression: enum incfs_compression_alg
 * @reserved1:   0
 * @reserved2:   0
 *
 * write(2) on ".cmd" takes an array of these and returns how many whole
 * structures were taken, times their size; the error only if the first failed.
 * Neighbours are stored together: when the image's file system fails one of them,
 * others after it may be stored all the same, and are present when tried again.
 * A block that is present already is ignored without an error.
 *
 * Errors: E2BIG data_len too large; EINVAL data_len is 0, too large for an
 * uncompressed block, or unknown compression; EFAULT bad address; ENOENT no such inode;
 * EISDIR not a regular file; ERANGE index past the end of the file; EPERM the
 * caller's credentials are not those that opened the descriptor; ENOSPC, EIO
 * and others from the image's own file system.
 */
struct incfs_new_data_block {
	__aligned_u64 file_ino;
	__u32 block_index;
	__u32 data_len;
	__aligned_u64 data;
	__u32 compression;
	__u32 reserved1;
	__aligned_u64 reserved2;
};

enum incfs_instruction_type {
	INCFS_INSTRUCTION_NOOP = 0,
	INCFS_INSTRUCTION_NEW_FILE = 1,
	INCFS_INSTRUCTION_ADD_DIR_ENTRY = 3,
	INCFS_INSTRUCTION_REMOVE_DIR_ENTRY = 4,
};

/**
 * struct incfs_new_file_instruction - make an inode that has no name yet
 * @ino_out:   set on return: number of the new inode
 * @size:      size of the file in bytes
 * @mode:      S_IFREG or S_IFDIR, and permissions, of which 0555 are kept
 * @reserved1: 0; not looked at
 * @reserved2: 0; not looked at
 * @reserved3: 0; not looked at
 * @reserved4: 0; not looked at
 * @reserved5: 0; not looked at
 * @reserved6: 0; not looked at
 * @reserved7: 0; not looked at
 *
 * Errors: EINVAL another type; ENFILE limit of inodes reached; EFBIG size too
 * large for the format.
 */
struct incfs_new_file_instruction {
	__aligned_u64 ino_out;
	__aligned_u64 size;
	__u16 mode;
	__u16 reserved1;
	__u32 reserved2;
	__aligned_u64 reserved3;
	__aligned_u64 reserved4;
	__aligned_u64 reserved5;
	__aligned_u64 reserved6;
	__aligned_u64 reserved7;
};

/**
 * struct incfs_dir_entry_instruction - give an inode a name, or remove one
 * @dir_ino:   inode number of the directory
 * @child_ino: inode number of the entry; may be 0 when a name is removed
 * @name_len:  bytes at @name
 * @name:      address of the name, not NUL-terminated
 * @reserved1: 0; not looked at
 * @reserved2: 0; not looked at
 * @reserved3: 0; not looked at
 * @reserved4: 0; not looked at
 * @reserved5: 0; not looked at
 *
 * Errors of an addition: EEXIST name taken; ENOENT no such inode; ENOTDIR
 * @dir_ino is not a directory; EMLINK the directory @child_ino has a parent
 * already; EINVAL root or a directory into itself, or a name that is empty, "."
 * , "..", ".cmd", or holds '/' or NUL; ENAMETOOLONG name longer than 255;
 * E2BIG name_len over 8192. Errors of a removal: ENOENT no such name, or it is
 * not the name of @child_ino; ENOTEMPTY a directory that is not empty.
 */
struct incfs_dir_entry_instruction {
	__aligned_u64 dir_ino;
	__aligned_u64 child_ino;
	__u32 name_len;
	__u32 reserved1;
	__aligned_u64 name;
	__aligned_u64 reserved2;
	__aligned_u64 reserved3;
	__aligned_u64 reserved4;
	__aligned_u64 reserved5;
};

/**
 * struct incfs_instruction - argument of INCFS_IOC_PROCESS_INSTRUCTION
 * @version:   INCFS_HEADER_VER; another one is refused with EOPNOTSUPP
 * @type:      enum incfs_instruction_type; an unknown one is refused with EINVAL
 * @file:      of NEW_FILE
 * @dir_entry: of ADD_DIR_ENTRY and REMOVE_DIR_ENTRY
 * @reserved:  their room
 *
 * On a read-only mount all but NOOP are refused with EROFS, and with EBADF when
 * the descriptor is not open for writing.
 */
struct incfs_instruction {
	__u32 version;
	__u32 type;
	union {
		struct incfs_new_file_instruction file;
		struct incfs_dir_entry_instruction dir_entry;
		__u8 reserved[64];
	};
};

/* Change the tree; the descriptor is one of ".cmd". */
#define INCFS_IOC_PROCESS_INSTRUCTION \
	_IOWR(INCFS_IOCTL_BASE_CODE, 30, struct incfs_instruction)

/*
 * Additions to the interface of 2019.
 *
 * These structures may grow at their end: the size that the request number
 * carries tells the kernel which one the program was compiled with. Members
 * that the kernel does not know must be 0 (E2BIG otherwise); members that the
 * program does not know are not written. Reserved members must be 0 (EINVAL).
 */

/* Longest name of a policy, its NUL included. */
#define INCFS_POLICY_NAME_LEN 32

/**
 * struct incfs_mount_info - what a loader needs to know about its mount
 * @mount_id:        key of the mount in the map of event rings; never used
 *                   again while the module stays loaded
 * @read_timeout_ms: how long a read waits for an absent block, 0 for ever
 * @max_files:       limit of inodes
 * @nr_files:        inodes that exist, the root included
 * @flags:           0
 * @policy:          name of the policy that this mount uses now, or ""
 */
struct incfs_mount_info {
	__aligned_u64 mount_id;
	__u32 read_timeout_ms;
	__u32 max_files;
	__u32 nr_files;
	__u32 flags;
	char policy[INCFS_POLICY_NAME_LEN];
};

/**
 * struct incfs_block_range - blocks of a file that lie next to each other
 * @first: index of the first
 * @count: how many
 */
struct incfs_block_range {
	__u32 first;
	__u32 count;
};

/**
 * struct incfs_block_ranges - which blocks of a file are present
 * @ino:       inode number of the file
 * @ranges:    address of an array of struct incfs_block_range
 * @first:     first block to look at; on return, where the next call goes on
 * @nr_ranges: room in @ranges, not 0; on return, how many were written
 * @nr_blocks: set on return: blocks in the file; done when @first has reached it
 * @reserved:  0
 *
 * The ranges are in order and do not touch. A call looks at a bounded number
 * of blocks and so may return with room left in @ranges.
 *
 * Errors: ENOENT no such inode; EISDIR not a regular file; EINVAL no room or
 * @reserved not 0; EFAULT bad address.
 */
struct incfs_block_ranges {
	__aligned_u64 ino;
	__aligned_u64 ranges;
	__u32 first;
	__u32 nr_ranges;
	__u32 nr_blocks;
	__u32 reserved;
};

/**
 * struct incfs_fill_block - one block of a batch
 * @ino:         inode number of the file
 * @block:       index of the block
 * @len:         bytes at @data, at most INCFS_MAX_BLOCK_DATA
 * @data:        address of the block's stored form
 * @compression: enum incfs_compression_alg
 * @result:      set on return: 0, or a negative errno as of write(2)
 */
struct incfs_fill_block {
	__aligned_u64 ino;
	__u32 block;
	__u32 len;
	__aligned_u64 data;
	__u32 compression;
	__s32 result;
};

/**
 * struct incfs_fill - a batch of blocks that a loader hands over
 * @blocks:   address of an array of struct incfs_fill_block
 * @count:    how many, not 0, at most INCFS_FILL_MAX
 * @filled:   set on return: how many have the result 0
 * @reserved: 0
 *
 * Each block is tried, whatever became of those before it; its @result says
 * what came of it. A block that is present already is ignored, with 0. The
 * call itself fails only if nothing was tried, and with EINTR when the caller
 * is being killed, with EFAULT when an element could not be read or its result
 * not be written: no block after it was tried, and @filled is set all the same.
 * Unlike write(2) it does not matter who has opened the descriptor.
 *
 * Errors: EINVAL @count is 0 or too large, or @reserved is not 0; EFAULT bad
 * address; EBADF the descriptor is not open for writing; EROFS read-only mount.
 */
struct incfs_fill {
	__aligned_u64 blocks;
	__u32 count;
	__u32 filled;
	__aligned_u64 reserved;
};

/* Most blocks in one INCFS_IOC_FILL. */
#define INCFS_FILL_MAX 1024

/**
 * struct incfs_pending_read - a block that readers wait for
 * @serial:  grows with every block that starts to be waited for
 * @ino:     inode number of the file
 * @block:   index of the block
 * @readers: how many wait now
 * @age_ms:  how long ago the first of them came
 * @tgid:    process id of that one, in the initial pid namespace; it may have
 *	     been killed meanwhile, while others wait on
 */
struct incfs_pending_read {
	__aligned_u64 serial;
	__aligned_u64 ino;
	__u32 block;
	__u32 readers;
	__u32 age_ms;
	__u32 tgid;
};

/**
 * struct incfs_pending_reads - the blocks that readers wait for
 * @after:    serial number after which to start, 0 for all; on return, that of
 *	      the last one told
 * @reads:    address of an array of struct incfs_pending_read
 * @count:    room in @reads, not 0; on return, how many were written
 * @reserved: 0
 *
 * In order of serial numbers, whatever read(2) has told before; all there are
 * have been told when fewer are written than there was room for.
 *
 * Errors: EINVAL no room or @reserved not 0; EFAULT bad address.
 */
struct incfs_pending_reads {
	__aligned_u64 after;
	__aligned_u64 reads;
	__u32 count;
	__u32 reserved;
};

/**
 * struct incfs_policy_choice - which policy a mount is to use
 * @policy:   a policy's name, "auto", "none", or "": as of the mount option
 * @reserved: 0
 *
 * Readers that wait ask the new one at once. Errors: EINVAL the name has no NUL
 * or @reserved is not 0; ENOENT no such policy is registered; EPERM it is for
 * another mount; EBADF the descriptor is not open for writing; EROFS read-only
 * mount, whose policy is a matter of a remount.
 */
struct incfs_policy_choice {
	char policy[INCFS_POLICY_NAME_LEN];
	__aligned_u64 reserved;
};

/**
 * struct incfs_stats - what has happened since the image was mounted
 * @blocks_filled:   blocks stored
 * @bytes_filled:    bytes that they have in the image
 * @blocks_shared:   blocks that came to refer to stored bytes of another
 * @blocks_read:     stored blocks read into the page cache
 * @blocks_damaged:  stored blocks that failed their check
 * @waits:           blocks that readers started to wait for
 * @waits_expired:   reads that ended by their timeout
 * @wait_ns:         time that reads have waited, in ns, added up
 * @blocks_pending:  blocks that readers wait for now
 */
struct incfs_stats {
	__aligned_u64 blocks_filled;
	__aligned_u64 bytes_filled;
	__aligned_u64 blocks_shared;
	__aligned_u64 blocks_read;
	__aligned_u64 blocks_damaged;
	__aligned_u64 waits;
	__aligned_u64 waits_expired;
	__aligned_u64 wait_ns;
	__aligned_u64 blocks_pending;
};

/**
 * struct incfs_share - let blocks of a file be those of another
 * @from_ino:   inode number of the file that has them
 * @to_ino:     inode number of the file that gets them; may be the same
 * @from_block: first block there
 * @to_block:   first block here
 * @count:      how many, not 0
 * @shared:     set on return: how many refer to stored bytes now
 * @done:       set on return: how many were looked at; go on there
 * @reserved:   0
 *
 * Nothing is copied: the entries of the one point at the stored bytes of the
 * other, within the image. A block that is absent there, present here, or that
 * has another length there than here is left as it is. Readers that wait for a
 * block that is shared wake. A call looks at a bounded number of blocks.
 *
 * Errors: ENOENT no such inode; EISDIR not a regular file; ERANGE past the end
 * of a file; EINVAL @count is 0, the two ranges overlap in one file, or
 * @reserved is not 0; EBADF the descriptor is not open for writing; EROFS
 * read-only mount; ENOSPC, EIO and others from the image's own file system.
 */
struct incfs_share {
	__aligned_u64 from_ino;
	__aligned_u64 to_ino;
	__u32 from_block;
	__u32 to_block;
	__u32 count;
	__u32 shared;
	__u32 done;
	__u32 reserved;
};

/* What an inode may have beside its mode, owner and times. */
enum incfs_attr_type {
	INCFS_ATTR_SYMLINK = 1,	/* target of a symbolic link, without NUL */
	INCFS_ATTR_KEY = 2,	/* the loader's own, at most INCFS_KEY_MAX bytes */
	INCFS_ATTR_XATTR = 3,	/* extended attribute; its name begins with "user." */
};

/* Longest key of a file, in bytes. */
#define INCFS_KEY_MAX 512

/* Longest array of items, in bytes. */
#define INCFS_ITEMS_MAX 4040

/**
 * struct incfs_attr_item - head of one item in an array of them
 * @type:      enum incfs_attr_type
 * @name_len:  bytes of the name that follows; 0 but for INCFS_ATTR_XATTR
 * @value_len: bytes of the value that follows the name; little-endian
 *
 * Items lie one behind the other without padding, as they do in the image.
 */
struct incfs_attr_item {
	__u8 type;
	__u8 name_len;
	__le16 value_len;
};

/**
 * struct incfs_create - make an inode with all that it has, and name it
 * @ino:        set on return: number of the new inode
 * @dir_ino:    directory that it gets a name in, or 0 for none
 * @name:       address of the name, not NUL-terminated
 * @items:      address of the items, struct incfs_attr_item
 * @name_len:   bytes at @name, 0 if @dir_ino is 0
 * @items_len:  bytes at @items, at most INCFS_ITEMS_MAX
 * @size:       size of a regular file in bytes; 0 for others
 * @mtime_sec:  time of last modification
 * @mtime_nsec: and its nanoseconds
 * @uid:        owner
 * @gid:        group
 * @mode:       S_IFREG, S_IFDIR or S_IFLNK, and permissions, all of which are kept
 * @reserved:   0
 *
 * A symbolic link has one INCFS_ATTR_SYMLINK, others have none. All of it comes
 * to be, or nothing. A program that is to run with its owner's rights does so
 * only where nobody but root may write to ".cmd". The image is of no use to
 * readers that know the format of 2019 only from then on.
 *
 * Errors: those of struct incfs_new_file_instruction and of an addition by
 * struct incfs_dir_entry_instruction; EINVAL items that are not as above, or
 * @mtime_nsec, @uid, @gid, @mode or @size out of range; E2BIG @items_len too
 * large; EBADF the descriptor is not open for writing; EROFS read-only mount.
 */
struct incfs_create {
	__aligned_u64 ino;
	__aligned_u64 dir_ino;
	__aligned_u64 name;
	__aligned_u64 items;
	__u32 name_len;
	__u32 items_len;
	__aligned_u64 size;
	__aligned_s64 mtime_sec;
	__u32 mtime_nsec;
	__u32 uid;
	__u32 gid;
	__u32 mode;
	__aligned_u64 reserved[2];
};

/**
 * struct incfs_get_attrs - what an inode was made with
 * @ino:        inode number
 * @items:      address of room for the items, struct incfs_attr_item
 * @items_len:  room at @items; on return, bytes that the items have
 * @nr_names:   set on return: names that refer to the inode
 * @size:       set on return, as is all that follows: size of the file in bytes
 * @mtime_sec:  time of last modification
 * @mtime_nsec: and its nanoseconds
 * @uid:        owner
 * @gid:        group
 * @mode:       type and permissions
 * @reserved:   0
 *
 * Errors: ENOENT no such inode; ERANGE too little room, @items_len is set;
 * EINVAL @reserved is not 0; EFAULT bad address.
 */
struct incfs_get_attrs {
	__aligned_u64 ino;
	__aligned_u64 items;
	__u32 items_len;
	__u32 nr_names;
	__aligned_u64 size;
	__aligned_s64 mtime_sec;
	__u32 mtime_nsec;
	__u32 uid;
	__u32 gid;
	__u32 mode;
	__aligned_u64 reserved;
};

#define INCFS_IOC_GET_INFO \
	_IOR(INCFS_IOCTL_BASE_CODE, 40, struct incfs_mount_info)
#define INCFS_IOC_GET_PRESENT \
	_IOWR(INCFS_IOCTL_BASE_CODE, 41, struct incfs_block_ranges)
#define INCFS_IOC_FILL \
	_IOWR(INCFS_IOCTL_BASE_CODE, 42, struct incfs_fill)
#define INCFS_IOC_GET_PENDING \
	_IOWR(INCFS_IOCTL_BASE_CODE, 43, struct incfs_pending_reads)
/* All that was acknowledged before is on the disk when this returns 0. */
#define INCFS_IOC_SYNC \
	_IO(INCFS_IOCTL_BASE_CODE, 44)
#define INCFS_IOC_SET_POLICY \
	_IOW(INCFS_IOCTL_BASE_CODE, 45, struct incfs_policy_choice)
#define INCFS_IOC_GET_STATS \
	_IOR(INCFS_IOCTL_BASE_CODE, 46, struct incfs_stats)
#define INCFS_IOC_SHARE \
	_IOWR(INCFS_IOCTL_BASE_CODE, 47, struct incfs_share)
#define INCFS_IOC_CREATE \
	_IOWR(INCFS_IOCTL_BASE_CODE, 48, struct incfs_create)
#define INCFS_IOC_GET_ATTRS \
	_IOWR(INCFS_IOCTL_BASE_CODE, 49, struct incfs_get_attrs)

#endif /* _UAPI_LINUX_INCREMENTALFS_H */
