/* SPDX-License-Identifier: GPL-2.0-only */
/* Incremental FS: what format.c and walk.c need of the kernel, for user space. */
#ifndef _INCFS_FORMAT_USER_H
#define _INCFS_FORMAT_USER_H

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>
#include <linux/types.h>

#define __packed __attribute__((packed))
#define cpu_to_le16(x) htole16(x)
#define cpu_to_le32(x) htole32(x)
#define cpu_to_le64(x) htole64(x)
#define le16_to_cpu(x) le16toh(x)
#define le32_to_cpu(x) le32toh(x)
#define le64_to_cpu(x) le64toh(x)

/* zlib inverts the register at both ends, the kernel at neither. */
static inline __u32 crc32_le(__u32 seed, const void *buf, size_t len)
{
	return ~crc32(~seed, buf, len);
}

#endif /* _INCFS_FORMAT_USER_H */
