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
 * @ino_out: set on return: number of the new inode
 * @size:    size of the file in bytes
 * @mode:    S_IFREG or S_IFDIR, and permissions, of which 0555 are kept
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
 * @version: INCFS_HEADER_VER; another one is refused with EOPNOTSUPP
 * @type:    enum incfs_instruction_type; an unknown one is refused with EINVAL
 *
 * On a read-only mount all but NOOP are refused with EROFS.
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

#define INCFS_IOC_GET_INFO \
	_IOR(INCFS_IOCTL_BASE_CODE, 40, struct incfs_mount_info)
#define INCFS_IOC_GET_PRESENT \
	_IOWR(INCFS_IOCTL_BASE_CODE, 41, struct incfs_block_ranges)

#endif /* _UAPI_LINUX_INCREMENTALFS_H */
