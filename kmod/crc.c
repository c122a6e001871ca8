// SPDX-License-Identifier: GPL-2.0-only
/*
 * Incremental FS: the CRC of blocks.
 *
 * It is checked at each cold read, and by a table it costs more than the rest of
 * the read. Where crc32_le() is one, the crypto API has what the processor can do.
 */
#include <linux/crc32.h>

#include "internal.h"

#ifdef INCFS_CRC_IS_TABLE
#include <crypto/hash.h>

static struct crypto_shash *crc_tfm;

u32 incfs_crc(const void *buf, size_t len)
{
	__le32 crc;

	if (crc_tfm && !crypto_shash_tfm_digest(crc_tfm, buf, len, (u8 *)&crc))
		return le32_to_cpu(crc);
	return crc32_le(0, buf, len);
}

void __init incfs_crc_init(void)
{
	struct crypto_shash *tfm = crypto_alloc_shash("crc32", 0, 0);

	if (!IS_ERR(tfm))
		crc_tfm = tfm;
}

void incfs_crc_exit(void)
{
	crypto_free_shash(crc_tfm);
}
#else
u32 incfs_crc(const void *buf, size_t len)
{
	return crc32_le(0, buf, len);
}

void __init incfs_crc_init(void)
{
}

void incfs_crc_exit(void)
{
}
#endif
