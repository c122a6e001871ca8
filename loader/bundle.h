/* SPDX-License-Identifier: MIT */
/*
 * Bundles: a tree as a few plain files, for any static server (docs/bundle.md has
 * the format).
 *
 *	incfs.bundle		the head: 512 bytes of text with sizes and digests
 *	incfs.bundle.sig	a signature of it, if there is one
 *	incfs.tree		the list of files (list.h)
 *	incfs.pages		the digests of the pages that incfs.blocks consists of
 *	incfs.blocks		for each block where it lies, and its digest
 *	incfs.data		the blocks
 *	incfs.base		what it has in common with another bundle (base.h), if that
 *				was looked for
 */
#ifndef _INCFS_BUNDLE_H
#define _INCFS_BUNDLE_H

#include <linux/types.h>
#include <stddef.h>

#include "list.h"
#include "pack.h"

#define INCFS_BUNDLE_HEAD "incfs.bundle"
#define INCFS_BUNDLE_SIGNATURE "incfs.bundle.sig"
#define INCFS_BUNDLE_TREE "incfs.tree"
#define INCFS_BUNDLE_PAGES "incfs.pages"
#define INCFS_BUNDLE_BLOCKS "incfs.blocks"
#define INCFS_BUNDLE_DATA "incfs.data"
#define INCFS_BUNDLE_BASE "incfs.base"

#define INCFS_BUNDLE_HEADER "incfs-bundle 1"
/* With a base. */
#define INCFS_BUNDLE_HEADER_2 "incfs-bundle 2"
#define INCFS_BUNDLE_HEAD_SIZE 512
#define INCFS_BUNDLE_SIGNATURE_SIZE 64
#define INCFS_BUNDLE_DIGEST_SIZE 32
/* A place is 48 bits, and 16 of length in front of them. */
#define INCFS_BUNDLE_ENTRY_SIZE (8 + INCFS_BUNDLE_DIGEST_SIZE)
#define INCFS_BUNDLE_MAX_DATA (1ull << 48)
#define INCFS_BASE_MAX_BYTES (64u << 20)
/* Entries in a page of incfs.blocks; the last one may have fewer. */
#define INCFS_BUNDLE_PAGE_ENTRIES 1024u

struct incfs_digest {
	unsigned char bytes[INCFS_BUNDLE_DIGEST_SIZE];
};

/**
 * struct incfs_bundle_head - sizes in bytes, and the digests of what is read whole
 * @base_size: 0 without a base
 * @base_head: the digest of the base's head
 */
struct incfs_bundle_head {
	__u64 tree_size;
	__u64 pages_size;
	__u64 blocks_size;
	__u64 data_size;
	__u64 base_size;
	struct incfs_digest tree;
	struct incfs_digest pages;
	struct incfs_digest base;
	struct incfs_digest base_head;
};

/**
 * struct incfs_bundle_block - where a block lies
 * @offset: in incfs.data
 * @length: there: 0 for a block of zeros, that of the plain block if it is not
 *          compressed, else of the LZ4 block
 * @digest: of the plain block
 */
struct incfs_bundle_block {
	__u64 offset;
	__u32 length;
	struct incfs_digest digest;
};

static inline __u64 incfs_bundle_nr_pages(__u64 nr_blocks)
{
	return (nr_blocks + INCFS_BUNDLE_PAGE_ENTRIES - 1) / INCFS_BUNDLE_PAGE_ENTRIES;
}

/* Fill in @text, and take it apart; @why says what is wrong when that returns -1. */
void incfs_bundle_write_head(const struct incfs_bundle_head *head,
			     char text[INCFS_BUNDLE_HEAD_SIZE]);
int incfs_bundle_parse_head(struct incfs_bundle_head *head,
			    const char text[INCFS_BUNDLE_HEAD_SIZE], char *why, size_t why_size);

void incfs_bundle_write_block(const struct incfs_bundle_block *block, unsigned char *entry);
void incfs_bundle_parse_block(struct incfs_bundle_block *block, const unsigned char *entry);

/*
 * Make @plain_size plain bytes at @plain of what is stored for @block. Returns 0, or
 * -1 if they are not the ones that were packed.
 */
int incfs_bundle_decode(const struct incfs_bundle_block *block, const unsigned char *stored,
			unsigned char *plain, __u32 plain_size);

/* SHA-256. Returns 0, or -1 if libcrypto can't. */
int incfs_digest(const void *data, size_t size, struct incfs_digest *digest);
/* In hexadecimal digits, with a 0 behind them. */
void incfs_digest_print(const struct incfs_digest *digest,
			char text[2 * INCFS_BUNDLE_DIGEST_SIZE + 1]);

/* Ed25519, with keys in PEM files. Return 0, or -1 after saying what is wrong. */
int incfs_bundle_sign(const char *key_file, const char *head,
		      unsigned char signature[INCFS_BUNDLE_SIGNATURE_SIZE]);
void *incfs_bundle_read_key(const char *key_file);
void incfs_bundle_free_key(void *key);
/* Returns 0 if @signature is one of @head by the owner of @key, else -1. */
int incfs_bundle_check(void *key, const char *head, const unsigned char *signature);

/**
 * struct incfs_bundle_params - what to pack
 * @dir:    the tree
 * @output: the bundle, which must not be there
 * @order:  a profile: blocks that it names come first, in its order; or NULL
 * @key:    to sign with; or NULL
 * @base:   a bundle: what is common with it is noted; or NULL
 * @list:   how the list is made
 */
struct incfs_bundle_params {
	const char *dir;
	const char *output;
	const char *order;
	const char *key;
	const char *base;
	struct incfs_pack_options list;
};

/* Returns 0, or -1 after saying what is wrong. */
int incfs_bundle_pack(const struct incfs_bundle_params *params);

#endif /* _INCFS_BUNDLE_H */
