// SPDX-License-Identifier: MIT
/* The control socket of a loader. */
#include "control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "util.h"

/* How long a client may take, from its first byte to our last. */
#define CLIENT_MS 5000

void incfs_control_address(struct sockaddr_un *address, __u64 mount_id)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(address->sun_path, sizeof(address->sun_path), INCFS_CONTROL_DIR "/%llu.sock",
		 mount_id);
}

void incfs_control_init(struct incfs_control *control, __u64 mount_id, incfs_answer_fn answer,
			void *context)
{
	const struct sockaddr *address = (struct sockaddr *)&control->address;

	*control = (struct incfs_control){ .answer = answer, .context = context };
	for (int i = 0; i < INCFS_CONTROL_CLIENTS; i++)
		control->clients[i].fd = -1;
	incfs_control_address(&control->address, mount_id);
	mkdir(INCFS_CONTROL_DIR, 0755);
	/* That of a loader that was killed: the image's lock says that it is no more. */
	unlink(control->address.sun_path);
	control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (control->fd >= 0 && !bind(control->fd, address, sizeof(control->address)) &&
	    !chmod(control->address.sun_path, 0600) && !listen(control->fd, 4))
		return;
	incfs_warn("no status is to be had: can't listen on '%s': %s",
		   control->address.sun_path, strerror(errno));
	if (control->fd >= 0)
		close(control->fd);
	control->fd = -1;
}

static void client_close(struct incfs_client *client)
{
	char rest[4096];

	/* What is left unread would be an error for the other side. */
	if (read(client->fd, rest, sizeof(rest)) < 0 && errno != EAGAIN)
		incfs_debug("a client has gone: %s", strerror(errno));
	close(client->fd);
	free(client->text);
	*client = (struct incfs_client){ .fd = -1 };
}

void incfs_control_exit(struct incfs_control *control)
{
	for (int i = 0; i < INCFS_CONTROL_CLIENTS; i++) {
		if (control->clients[i].fd >= 0)
			client_close(&control->clients[i]);
	}
	if (control->fd < 0)
		return;
	unlink(control->address.sun_path);
	close(control->fd);
	control->fd = -1;
}

static struct incfs_client *free_client(struct incfs_control *control)
{
	for (int i = 0; i < INCFS_CONTROL_CLIENTS; i++) {
		if (control->clients[i].fd < 0)
			return &control->clients[i];
	}
	return NULL;
}

/* Who comes when all places are taken waits until one is free. */
void incfs_control_poll(const struct incfs_control *control, struct pollfd *fds)
{
	bool room = false;

	for (int i = 0; i < INCFS_CONTROL_CLIENTS; i++) {
		const struct incfs_client *client = &control->clients[i];

		room |= client->fd < 0;
		fds[1 + i] = (struct pollfd){
			.fd = client->fd, .events = client->text ? POLLOUT : POLLIN,
		};
	}
	fds[0] = (struct pollfd){ .fd = room ? control->fd : -1, .events = POLLIN };
}

static void accept_clients(struct incfs_control *control)
{
	struct incfs_client *client;
	int fd;

	while ((client = free_client(control))) {
		fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0)
			return;
		client->fd = fd;
		client->until = incfs_now() + CLIENT_MS;
	}
}

static char *make_http(char *body)
{
	char *text = NULL;

	if (asprintf(&text, "HTTP/1.0 %s\r\nContent-Type: text/plain; version=0.0.4\r\n"
		     "Content-Length: %zu\r\n\r\n%s", body ? "200 OK" : "404 Not Found",
		     body ? strlen(body) : 0, body ?: "") < 0)
		text = NULL;
	free(body);
	return text;
}

/* NULL if that is no question. */
static char *make_answer(struct incfs_control *control, const char *line)
{
	char *body = NULL;

	if (!strcmp(line, "status"))
		return control->answer(control->context, INCFS_QUESTION_STATUS);
	if (!strcmp(line, "metrics"))
		return control->answer(control->context, INCFS_QUESTION_METRICS);
	if (strncmp(line, "GET ", 4))
		return NULL;
	if (!strncmp(line, "GET /metrics ", 13))
		body = control->answer(control->context, INCFS_QUESTION_METRICS);
	return make_http(body);
}

/* False: it is sent away. */
static bool client_read(struct incfs_control *control, struct incfs_client *client)
{
	size_t room = sizeof(client->line) - 1 - client->len;
	ssize_t got = read(client->fd, client->line + client->len, room);
	char *end;

	if (got < 0)
		return errno == EAGAIN || errno == EINTR;
	client->len += got;
	client->line[client->len] = 0;
	end = strpbrk(client->line, "\r\n");
	/* What follows the line is not read: a head of HTTP has nothing for us. */
	if (!end)
		return got && got < (ssize_t)room;
	*end = 0;
	client->text = make_answer(control, client->line);
	client->size = client->text ? strlen(client->text) : 0;
	return client->text;
}

static bool client_write(struct incfs_client *client)
{
	ssize_t sent = send(client->fd, client->text + client->sent, client->size - client->sent,
			    MSG_NOSIGNAL | MSG_DONTWAIT);

	if (sent < 0)
		return errno == EAGAIN || errno == EINTR;
	client->sent += sent;
	return client->sent < client->size;
}

void incfs_control_run(struct incfs_control *control, const struct pollfd *fds)
{
	__u64 now = incfs_now();

	for (int i = 0; i < INCFS_CONTROL_CLIENTS; i++) {
		struct incfs_client *client = &control->clients[i];
		bool stays = client->until > now;

		if (client->fd < 0)
			continue;
		if (stays && fds[1 + i].revents)
			stays = client->text ? client_write(client) :
				client_read(control, client);
		if (!stays)
			client_close(client);
	}
	if (fds[0].revents)
		accept_clients(control);
}

int incfs_control_timeout(const struct incfs_control *control)
{
	__u64 now = incfs_now(), first = 0;

	for (int i = 0; i < INCFS_CONTROL_CLIENTS; i++) {
		const struct incfs_client *client = &control->clients[i];

		if (client->fd >= 0 && (!first || client->until < first))
			first = client->until;
	}
	if (!first)
		return -1;
	return first > now ? first - now : 0;
}
