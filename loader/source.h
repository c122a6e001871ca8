/* SPDX-License-Identifier: MIT */
/*
 * Where the contents come from. A source answers requests for ranges of files,
 * several at a time and in any order. It is driven from outside: its owner polls
 * the descriptor, and calls run() when that is readable or the time is up; all
 * callbacks come from within run().
 */
#ifndef _INCFS_SOURCE_H
#define _INCFS_SOURCE_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

/**
 * enum incfs_source_result - how a request ended
 * @INCFS_SOURCE_OK:     all bytes are there
 * @INCFS_SOURCE_FILE:   the file is at fault: gone, changed, not readable
 * @INCFS_SOURCE_SERVER: the source as a whole is: not reachable, overloaded
 */
enum incfs_source_result {
	INCFS_SOURCE_OK,
	INCFS_SOURCE_FILE,
	INCFS_SOURCE_SERVER,
};

/**
 * enum incfs_request_what - what is asked for
 * @INCFS_REQUEST_CONTENTS: the bytes of the range
 * @INCFS_REQUEST_DIGESTS:  the SHA-256 of each block of it; only of a bundle
 * @INCFS_REQUEST_BASE:     all that the bundle has in common with its base, whatever the
 *                          path; only of a bundle that has one
 */
enum incfs_request_what {
	INCFS_REQUEST_CONTENTS,
	INCFS_REQUEST_DIGESTS,
	INCFS_REQUEST_BASE,
};

/**
 * struct incfs_request - a range of a file
 * @what:      enum incfs_request_what; nothing else but of bundles
 * @path:      of the file
 * @file_size: that the file must have
 * @version:   which version of the file was seen first, 0 for none yet; a request
 *             that finds another one fails, so that no file is a mix of two
 * @offset:    first byte
 * @length:    bytes, not 0
 * @buf:       where they go, from the front
 * @arrived:   how many are there by now
 * @wait_us:   how long the first of them took
 * @absent:    set when the source says that there is no such file
 * @avoid:     bits of mirrors whose answer was found to be wrong
 * @mirror:    set to the one that answered
 * @retry_ms:  set when the source says how long to leave it alone, 0 if not
 * @progress:  called when more have arrived
 * @done:      called once, at the end, unless the source is closed before; @why
 *             is for people to read
 * @private:   for the source
 */
struct incfs_request {
	enum incfs_request_what what;
	const char *path;
	__u64 file_size;
	__u64 *version;
	__u64 offset;
	__u32 length;
	unsigned char *buf;
	__u32 arrived;
	__u64 wait_us;
	bool absent;
	__u32 avoid;
	__u32 mirror;
	__u32 retry_ms;
	void (*progress)(struct incfs_request *req);
	void (*done)(struct incfs_request *req, enum incfs_source_result result, const char *why);
	void *private;
};

struct incfs_source;

/**
 * struct incfs_source_ops - a kind of source
 * @read_list: the list of files; *@text is to be freed, and @why says what is
 *             wrong otherwise. May block.
 * @submit:    start a request; not from within a callback
 * @timeout:   milliseconds until run() must be called, -1 for none
 * @run:       go on with what can go on
 * @close:     drop all requests, and the source
 */
struct incfs_source_ops {
	enum incfs_source_result (*read_list)(struct incfs_source *source, char **text,
					      size_t *size, char *why, size_t why_size);
	void (*submit)(struct incfs_source *source, struct incfs_request *req);
	int (*timeout)(struct incfs_source *source);
	void (*run)(struct incfs_source *source);
	void (*close)(struct incfs_source *source);
};

/**
 * struct incfs_source
 * @fd:      to be polled for reading, -1 if there is none
 * @mirrors: how many places it has the same things from, at least 1
 */
struct incfs_source {
	const struct incfs_source_ops *ops;
	int fd;
	unsigned int mirrors;
};

/* Most places with the same things. */
#define INCFS_MIRRORS_MAX 8

/**
 * struct incfs_source_params - what to open, and how
 * @where:       places with the same things, up to a NULL
 * @parallel:    requests at a time, at most
 * @header_file: lines that are sent along in the head of every request, or NULL
 * @netrc:       names and passwords for servers, or NULL
 * @cacert:      certificates of those who vouch for servers, or NULL for the system's
 * @proxy:       or NULL for what the environment says
 * @stall_s:     seconds after which a transfer that hardly moves is given up
 * @rate:        bytes a second of one transfer, 0 for any
 */
struct incfs_source_params {
	const char *const *where;
	unsigned int parallel;
	const char *header_file;
	const char *netrc;
	const char *cacert;
	const char *proxy;
	unsigned int stall_s;
	__u64 rate;
};

#define INCFS_STALL_DEFAULT_S 20

/* Returns NULL after saying what is wrong. */
struct incfs_source *incfs_source_open(const struct incfs_source_params *params);

/*
 * Take nothing but a bundle that is signed with the key whose public half is in @file.
 * Before read_list(). Returns 0, or -1 after saying what is wrong.
 */
int incfs_source_set_key(struct incfs_source *source, const char *file);

struct incfs_bundle_head;
struct incfs_digest;

/*
 * The head of the bundle that the list was read of, and the head's own digest, which
 * stands for all of the bundle; NULL if it was no bundle.
 */
const struct incfs_bundle_head *incfs_source_bundle_head(struct incfs_source *source,
							 const struct incfs_digest **digest);

/*
 * source_bundle.c: what is at @below, which is closed with it, also if this fails: the
 * files that a bundle there holds, or else those that are there.
 */
struct incfs_source *incfs_source_bundle_open(struct incfs_source *below, unsigned int parallel);

/*
 * source_mirror.c: several that hold the same. They are closed with it, also if this
 * fails.
 */
struct incfs_source *incfs_source_mirror_open(struct incfs_source *const *places,
					      const char *const *names, unsigned int nr,
					      unsigned int parallel);

/* source_dir.c, source_http.c: one place, which is of that kind */
struct incfs_source *incfs_source_dir_open(const char *where, unsigned int parallel);
struct incfs_source *incfs_source_http_open(const char *where,
					    const struct incfs_source_params *params);

/* Whether @version is the one that was seen first. */
bool incfs_request_same_version(struct incfs_request *req, __u64 version);

#endif /* _INCFS_SOURCE_H */
