// SPDX-License-Identifier: GPL-2.0-only
/*
 * Incremental FS: the CRC of blocks.
 *
 * It is checked at each cold read, and by a table it costs more than the rest of
 * the read. Where crc32_le() is one, the crypto API has what the processor can do.
 */
#include <linux/crc32.h>
#include <linux/mm.h>

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

static void __init choose_crc(void)
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

static void __init choose_crc(void)
{
}

void incfs_crc_exit(void)
{
}
#endif

/* Of each byte of a CRC, what is left of it a block of zeros later. */
static u32 crc_shift[4][256] __ro_after_init;

u32 incfs_crc_append(u32 crc, u32 block_crc)
{
	return crc_shift[0][crc & 0xff] ^ crc_shift[1][crc >> 8 & 0xff] ^
	       crc_shift[2][crc >> 16 & 0xff] ^ crc_shift[3][crc >> 24] ^ block_crc;
}

/* A CRC that starts at 0 is linear: that of a sum is the sum of those of its bits. */
static void __init fill_crc_shift(void)
{
	const u8 *zeros = page_address(ZERO_PAGE(0));
	u32 *table, byte, bit, crc;

	BUILD_BUG_ON(INCFS_BLOCK_SIZE > PAGE_SIZE);
	for (byte = 0; byte < 4; byte++) {
		table = crc_shift[byte];
		for (bit = 1; bit < 256; bit <<= 1) {
			crc = crc32_le(bit << (8 * byte), zeros, INCFS_BLOCK_SIZE);
			for (u32 i = 0; i < bit; i++)
				table[bit + i] = table[i] ^ crc;
		}
	}
}

void __init incfs_crc_init(void)
{
	choose_crc();
	fill_crc_shift();
}
