/* SPDX-License-Identifier: MIT */
/*
 * The control socket of a loader, INCFS_CONTROL_DIR/ID.sock, where ID is that of the
 * mount. A client sends one line, gets an answer, and that is all: "status" is answered
 * with JSON, "metrics" with the text format of Prometheus, and so is "GET /metrics", with
 * a head of HTTP before it.
 *
 * Clients are not trusted: there may be few of them, each has a time, and a line of its
 * own and an answer are all that is kept for it.
 */
#ifndef _INCFS_CONTROL_H
#define _INCFS_CONTROL_H

#include <linux/types.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/un.h>

#define INCFS_CONTROL_DIR "/run/incfs"
#define INCFS_CONTROL_CLIENTS 8
/* Descriptors to be polled, at most. */
#define INCFS_CONTROL_FDS (1 + INCFS_CONTROL_CLIENTS)

/* What is asked for. */
enum incfs_question {
	INCFS_QUESTION_STATUS,
	INCFS_QUESTION_METRICS,
};

/* Makes an answer, to be freed; NULL if it can't. */
typedef char *(*incfs_answer_fn)(void *context, enum incfs_question question);

/**
 * struct incfs_client - one that is connected
 * @fd:    -1: none
 * @until: it is sent away then, in ms
 * @line:  what it has sent, @len bytes
 * @text:  what it gets, @sent of @size bytes are sent
 */
struct incfs_client {
	int fd;
	__u64 until;
	char line[256];
	size_t len;
	char *text;
	size_t size, sent;
};

/* struct incfs_control - @fd: listens, -1 if there is no socket */
struct incfs_control {
	int fd;
	struct sockaddr_un address;
	incfs_answer_fn answer;
	void *context;
	struct incfs_client clients[INCFS_CONTROL_CLIENTS];
};

/* Where the socket for a mount is. */
void incfs_control_address(struct sockaddr_un *address, __u64 mount_id);

/* Without a socket a loader is as good as with one: it says so, and goes on. */
void incfs_control_init(struct incfs_control *control, __u64 mount_id, incfs_answer_fn answer,
			void *context);
void incfs_control_exit(struct incfs_control *control);

/* Set INCFS_CONTROL_FDS rows of poll(). */
void incfs_control_poll(const struct incfs_control *control, struct pollfd *fds);
/* Go on with what poll() has found there. */
void incfs_control_run(struct incfs_control *control, const struct pollfd *fds);
/* Milliseconds until a client is to be sent away, -1 for none. */
int incfs_control_timeout(const struct incfs_control *control);

#endif /* _INCFS_CONTROL_H */
