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
 * struct incfs_request - a range of a file
 * @path:      of the file
 * @file_size: that the file must have
 * @version:   which version of the file was seen first, 0 for none yet; a request
 *             that finds another one fails, so that no file is a mix of two
 * @offset:    first byte
 * @length:    bytes, not 0
 * @buf:       where they go, from the front
 * @arrived:   how many are there by now
 * @wait_us:   how long the first of them took
 * @progress:  called when more have arrived
 * @done:      called once, at the end, unless the source is closed before; @why
 *             is for people to read
 * @private:   for the source
 */
struct incfs_request {
	const char *path;
	__u64 file_size;
	__u64 *version;
	__u64 offset;
	__u32 length;
	unsigned char *buf;
	__u32 arrived;
	__u64 wait_us;
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

/* @fd: to be polled for reading, -1 if there is none */
struct incfs_source {
	const struct incfs_source_ops *ops;
	int fd;
};

/*
 * Open the source that @where names, for up to @parallel requests at a time.
 * Returns NULL after saying what is wrong.
 */
struct incfs_source *incfs_source_open(const char *where, unsigned int parallel);

/* source_dir.c, source_http.c: the same for one kind */
struct incfs_source *incfs_source_dir_open(const char *where, unsigned int parallel);
struct incfs_source *incfs_source_http_open(const char *where, unsigned int parallel);

/* Whether @version is the one that was seen first. */
bool incfs_request_same_version(struct incfs_request *req, __u64 version);

#endif /* _INCFS_SOURCE_H */
