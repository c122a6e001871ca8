/* SPDX-License-Identifier: GPL-2.0-only */
/* The one function of zlib that the format's code uses, for targets without its library. */
#ifndef INCFS_CROSS_ZLIB_H
#define INCFS_CROSS_ZLIB_H

static inline unsigned long crc32(unsigned long crc, const unsigned char *buf, unsigned int len)
{
	unsigned int sum = ~(unsigned int)crc;

	for (; buf && len--; buf++) {
		sum ^= *buf;
		for (int bit = 0; bit < 8; bit++)
			sum = sum >> 1 ^ (sum & 1 ? 0xedb88320 : 0);
	}
	return (unsigned int)~sum;
}

#endif /* INCFS_CROSS_ZLIB_H */
