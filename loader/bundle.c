// SPDX-License-Identifier: MIT
/* The format of bundles, as packing and reading share it. */
#include "bundle.h"

#include <endian.h>
#include <errno.h>
#include <lz4.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "log.h"

#define DIGEST_DIGITS (2 * INCFS_BUNDLE_DIGEST_SIZE)

int incfs_digest(const void *data, size_t size, struct incfs_digest *digest)
{
	return EVP_Digest(data, size, digest->bytes, NULL, EVP_sha256(), NULL) == 1 ? 0 : -1;
}

void incfs_digest_print(const struct incfs_digest *digest, char text[DIGEST_DIGITS + 1])
{
	for (int i = 0; i < INCFS_BUNDLE_DIGEST_SIZE; i++)
		sprintf(text + 2 * i, "%02x", digest->bytes[i]);
}

void incfs_bundle_write_head(const struct incfs_bundle_head *head,
			     char text[INCFS_BUNDLE_HEAD_SIZE])
{
	char buf[INCFS_BUNDLE_HEAD_SIZE], tree[DIGEST_DIGITS + 1], pages[DIGEST_DIGITS + 1];
	char base[DIGEST_DIGITS + 1], base_head[DIGEST_DIGITS + 1];
	int len;

	incfs_digest_print(&head->tree, tree);
	incfs_digest_print(&head->pages, pages);
	incfs_digest_print(&head->base, base);
	incfs_digest_print(&head->base_head, base_head);
	len = snprintf(buf, sizeof(buf),
		       "%s\ntree %llu %s\npages %llu %s\nblocks %llu\ndata %llu\n",
		       head->base_size ? INCFS_BUNDLE_HEADER_2 : INCFS_BUNDLE_HEADER,
		       head->tree_size, tree, head->pages_size, pages, head->blocks_size,
		       head->data_size);
	if (head->base_size)
		len += snprintf(buf + len, sizeof(buf) - len, "base %llu %s %s\n",
				head->base_size, base, base_head);
	len += snprintf(buf + len, sizeof(buf) - len, "end\n");
	memset(text, '\n', INCFS_BUNDLE_HEAD_SIZE);
	memcpy(text, buf, len);
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_digest(const char *text, struct incfs_digest *digest)
{
	if (strlen(text) != DIGEST_DIGITS)
		return false;
	for (int i = 0; i < INCFS_BUNDLE_DIGEST_SIZE; i++) {
		int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		digest->bytes[i] = high << 4 | low;
	}
	return true;
}

/* The line at *@pos, which must be "NAME SIZE", with as many digests behind as are wanted. */
static bool parse_part(char **pos, const char *name, __u64 max, __u64 *size,
		       struct incfs_digest *digest, struct incfs_digest *second)
{
	char *line = strsep(pos, "\n"), *word;

	word = strsep(&line, " ");
	if (!word || strcmp(word, name))
		return false;
	word = strsep(&line, " ");
	if (!word || !incfs_list_parse_number(word, 10, max, size))
		return false;
	for (; digest; digest = second, second = NULL) {
		word = strsep(&line, " ");
		if (!word || !parse_digest(word, digest))
			return false;
	}
	return !line;
}

static bool parse_parts(struct incfs_bundle_head *head, char **pos, bool base)
{
	__u64 max_blocks = INCFS_LIST_MAX_BLOCKS * INCFS_BUNDLE_ENTRY_SIZE;

	head->base_size = 0;
	return parse_part(pos, "tree", INCFS_LIST_MAX_BYTES, &head->tree_size, &head->tree,
			  NULL) &&
	       parse_part(pos, "pages", max_blocks, &head->pages_size, &head->pages, NULL) &&
	       parse_part(pos, "blocks", max_blocks, &head->blocks_size, NULL, NULL) &&
	       parse_part(pos, "data", INCFS_BUNDLE_MAX_DATA, &head->data_size, NULL, NULL) &&
	       (!base || (parse_part(pos, "base", INCFS_BASE_MAX_BYTES, &head->base_size,
				     &head->base, &head->base_head) && head->base_size));
}

int incfs_bundle_parse_head(struct incfs_bundle_head *head,
			    const char text[INCFS_BUNDLE_HEAD_SIZE], char *why, size_t why_size)
{
	char buf[INCFS_BUNDLE_HEAD_SIZE + 1], *pos = buf, *line;
	__u64 nr_blocks;
	bool base;

	memcpy(buf, text, INCFS_BUNDLE_HEAD_SIZE);
	buf[INCFS_BUNDLE_HEAD_SIZE] = 0;
	line = strsep(&pos, "\n");
	base = !strcmp(line, INCFS_BUNDLE_HEADER_2);
	if (!base && strcmp(line, INCFS_BUNDLE_HEADER)) {
		snprintf(why, why_size, "it begins with '%.40s', not '%s'", line,
			 INCFS_BUNDLE_HEADER);
		return -1;
	}
	if (!parse_parts(head, &pos, base)) {
		snprintf(why, why_size, "it has not the lines that it must have");
		return -1;
	}
	line = strsep(&pos, "\n");
	if (!line || strcmp(line, "end") || !pos || strspn(pos, "\n") !=
	    (size_t)(buf + INCFS_BUNDLE_HEAD_SIZE - pos)) {
		snprintf(why, why_size, "it has more lines than it may have");
		return -1;
	}
	nr_blocks = head->blocks_size / INCFS_BUNDLE_ENTRY_SIZE;
	if (!head->tree_size || head->blocks_size % INCFS_BUNDLE_ENTRY_SIZE ||
	    head->pages_size != incfs_bundle_nr_pages(nr_blocks) * INCFS_BUNDLE_DIGEST_SIZE) {
		snprintf(why, why_size, "its sizes do not fit together");
		return -1;
	}
	return 0;
}

void incfs_bundle_write_block(const struct incfs_bundle_block *block, unsigned char *entry)
{
	__u64 place = htole64((__u64)block->length << 48 | block->offset);

	memcpy(entry, &place, sizeof(place));
	memcpy(entry + sizeof(place), block->digest.bytes, INCFS_BUNDLE_DIGEST_SIZE);
}

void incfs_bundle_parse_block(struct incfs_bundle_block *block, const unsigned char *entry)
{
	__u64 place;

	memcpy(&place, entry, sizeof(place));
	place = le64toh(place);
	block->offset = place & (INCFS_BUNDLE_MAX_DATA - 1);
	block->length = place >> 48;
	memcpy(block->digest.bytes, entry + sizeof(place), INCFS_BUNDLE_DIGEST_SIZE);
}

int incfs_bundle_decode(const struct incfs_bundle_block *block, const unsigned char *stored,
			unsigned char *plain, __u32 plain_size)
{
	struct incfs_digest digest;

	if (!block->length)
		memset(plain, 0, plain_size);
	else if (block->length == plain_size)
		memcpy(plain, stored, plain_size);
	else if (LZ4_decompress_safe((const char *)stored, (char *)plain, block->length,
				     plain_size) != (int)plain_size)
		return -1;
	if (incfs_digest(plain, plain_size, &digest))
		return -1;
	return memcmp(&digest, &block->digest, sizeof(digest)) ? -1 : 0;
}

static EVP_PKEY *read_pem(const char *file, bool private)
{
	FILE *in = fopen(file, "re");
	EVP_PKEY *key;

	if (!in) {
		incfs_error("can't open '%s' for reading: %s", file, strerror(errno));
		return NULL;
	}
	key = private ? PEM_read_PrivateKey(in, NULL, NULL, NULL) :
			PEM_read_PUBKEY(in, NULL, NULL, NULL);
	fclose(in);
	if (key && EVP_PKEY_id(key) == EVP_PKEY_ED25519)
		return key;
	incfs_error("'%s' has no Ed25519 %s key in PEM", file, private ? "private" : "public");
	EVP_PKEY_free(key);
	return NULL;
}

int incfs_bundle_sign(const char *key_file, const char *head,
		      unsigned char signature[INCFS_BUNDLE_SIGNATURE_SIZE])
{
	size_t size = INCFS_BUNDLE_SIGNATURE_SIZE;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY *key = read_pem(key_file, true);
	bool ok;

	ok = key && ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
	     EVP_DigestSign(ctx, signature, &size, (const unsigned char *)head,
			    INCFS_BUNDLE_HEAD_SIZE) == 1 && size == INCFS_BUNDLE_SIGNATURE_SIZE;
	if (key && !ok)
		incfs_error("can't sign with '%s'", key_file);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	return ok ? 0 : -1;
}

void *incfs_bundle_read_key(const char *key_file)
{
	return read_pem(key_file, false);
}

void incfs_bundle_free_key(void *key)
{
	EVP_PKEY_free(key);
}

int incfs_bundle_check(void *key, const char *head, const unsigned char *signature)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok;

	ok = ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
	     EVP_DigestVerify(ctx, signature, INCFS_BUNDLE_SIGNATURE_SIZE,
			      (const unsigned char *)head, INCFS_BUNDLE_HEAD_SIZE) == 1;
	EVP_MD_CTX_free(ctx);
	return ok ? 0 : -1;
}
