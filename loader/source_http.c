// SPDX-License-Identifier: MIT
/*
 * A source that is a static file server: one GET with a Range for each request,
 * over connections that stay open. libcurl's sockets are in an epoll descriptor
 * of our own, so that a wake-up costs what the ready sockets cost.
 *
 * Whatever the server answers is checked before a byte of it is taken: status,
 * Content-Range and the file's size in it, and that the file is the version that
 * was seen first.
 */
#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "idle.h"
#include "list.h"
#include "log.h"
#include "source.h"
#include "util.h"

#define CONNECT_TIMEOUT_S 10L
/* A transfer that brings fewer bytes a second than that for a while is given up. */
#define STALL_BYTES 512L
/* No longer than that do we heed a server that wants to be left alone. */
#define RETRY_MOST_S 60
#define HEADERS_MAX 64
#define RECEIVE_BUFFER (128L << 10)

struct http_transfer {
	struct source_http *http;
	struct incfs_request *req;	/* NULL when free */
	CURL *curl;
	bool checked;			/* the answer's head is as it must be */
	bool moved;			/* bytes have arrived since the last look */
	bool refused;			/* libcurl did not take it */
	char error[CURL_ERROR_SIZE];
	char why[256];
};

struct source_http {
	struct incfs_source source;
	const struct incfs_source_params *params;
	char *base;
	CURLM *multi;
	struct curl_slist *headers;
	__u64 deadline;			/* libcurl's timer; 0 is none */
	unsigned int nr;
	struct http_transfer transfers[];
};

static struct source_http *to_http(struct incfs_source *source)
{
	return incfs_container_of(source, struct source_http, source);
}

/* Base address and percent-encoded path. */
static char *http_url(const char *base, const char *path)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-._~/";
	size_t len = strlen(base);
	char *url, *out;

	url = malloc(len + 1 + 3 * strlen(path) + 1);
	if (!url)
		return NULL;
	out = url + sprintf(url, "%s/", base);
	for (; *path; path++) {
		if (strchr(plain, *path))
			*out++ = *path;
		else
			out += sprintf(out, "%%%02X", (unsigned char)*path);
	}
	*out = 0;
	return url;
}

static const char *http_header(CURL *curl, const char *name)
{
	struct curl_header *header;

	if (curl_easy_header(curl, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
		return NULL;
	return header->value;
}

/* FNV-1a, never 0: which version of the file the server says this is. */
static __u64 http_version(CURL *curl)
{
	const char *tag = http_header(curl, "ETag") ?: http_header(curl, "Last-Modified");
	__u64 hash = 0xcbf29ce484222325ull;

	/* A weak tag may be that of a compressed form; what is behind W/ counts. */
	if (tag && !strncmp(tag, "W/", 2))
		tag += 2;
	for (; tag && *tag; tag++)
		hash = (hash ^ (unsigned char)*tag) * 0x100000001b3ull;
	return hash | 1;
}

static bool check_content_range(struct http_transfer *transfer)
{
	const char *range = http_header(transfer->curl, "Content-Range");
	struct incfs_request *req = transfer->req;
	char expected[96];

	snprintf(expected, sizeof(expected), "bytes %llu-%llu/%llu", req->offset,
		 req->offset + req->length - 1, req->file_size);
	if (range && !strcasecmp(range, expected))
		return true;
	snprintf(transfer->why, sizeof(transfer->why),
		 "the server answers with the range '%.60s', not '%s'", range ?: "", expected);
	return false;
}

/* 200 instead of 206 is right when the whole file was asked for. */
static bool check_whole(struct http_transfer *transfer)
{
	struct incfs_request *req = transfer->req;
	curl_off_t length = -1;

	if (req->length != req->file_size) {
		snprintf(transfer->why, sizeof(transfer->why),
			 "the server ignores the Range header: it must serve ranges");
		return false;
	}
	curl_easy_getinfo(transfer->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	if (length < 0 || (__u64)length == req->file_size)
		return true;
	snprintf(transfer->why, sizeof(transfer->why), "has %lld bytes now, the list says %llu",
		 (long long)length, req->file_size);
	return false;
}

static bool check_answer(struct http_transfer *transfer)
{
	const char *encoding = http_header(transfer->curl, "Content-Encoding");
	long status = 0;

	curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
	if (encoding && strcasecmp(encoding, "identity")) {
		snprintf(transfer->why, sizeof(transfer->why),
			 "the server answers in the encoding '%.60s', which was not asked for",
			 encoding);
		return false;
	}
	if (status == 206 && !check_content_range(transfer))
		return false;
	if (status == 200 && !check_whole(transfer))
		return false;
	if (status != 200 && status != 206) {
		snprintf(transfer->why, sizeof(transfer->why), "the server answers %ld", status);
		return false;
	}
	if (!incfs_request_same_version(transfer->req, http_version(transfer->curl))) {
		snprintf(transfer->why, sizeof(transfer->why), "has changed since fetching began");
		return false;
	}
	return true;
}

static size_t http_receive(char *data, size_t one, size_t size, void *context)
{
	struct http_transfer *transfer = context;
	struct incfs_request *req = transfer->req;

	(void)one;
	if (!transfer->checked) {
		curl_off_t sent = 0, first = 0;

		if (!check_answer(transfer))
			return 0;
		transfer->checked = true;
		curl_easy_getinfo(transfer->curl, CURLINFO_PRETRANSFER_TIME_T, &sent);
		curl_easy_getinfo(transfer->curl, CURLINFO_STARTTRANSFER_TIME_T, &first);
		req->wait_us = first > sent ? first - sent : 0;
	}
	if (size > req->length - req->arrived) {
		snprintf(transfer->why, sizeof(transfer->why),
			 "the server sends more than was asked for");
		return 0;
	}
	memcpy(req->buf + req->arrived, data, size);
	req->arrived += size;
	transfer->moved = true;
	return size;
}

/* How a transfer ended, and in @transfer->why the reason if it did not succeed. */
static enum incfs_source_result http_result(struct http_transfer *transfer, CURLcode code)
{
	struct incfs_request *req = transfer->req;
	curl_off_t retry_s = 0;
	long status = 0;

	curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(transfer->curl, CURLINFO_RETRY_AFTER, &retry_s);
	req->retry_ms = incfs_min(retry_s, RETRY_MOST_S) * 1000;
	if (code == CURLE_OK && transfer->checked && req->arrived == req->length)
		return INCFS_SOURCE_OK;
	if (transfer->why[0])
		return INCFS_SOURCE_FILE;
	if (status >= 400) {
		/* Object stores answer 403 to those who may not know what there is. */
		req->absent = status == 403 || status == 404 || status == 410;
		snprintf(transfer->why, sizeof(transfer->why), "the server answers %ld%s", status,
			 status == 404 ? " (not found)" :
			 status == 416 ? " (the file is shorter than the list says)" : "");
		return status >= 500 || status == 429 || status == 408 ?
			INCFS_SOURCE_SERVER : INCFS_SOURCE_FILE;
	}
	if (code == CURLE_OK || code == CURLE_PARTIAL_FILE) {
		snprintf(transfer->why, sizeof(transfer->why),
			 "the server's answer ends after %u bytes of %u", req->arrived,
			 req->length);
		return INCFS_SOURCE_FILE;
	}
	snprintf(transfer->why, sizeof(transfer->why), "%s",
		 transfer->error[0] ? transfer->error : curl_easy_strerror(code));
	/* It is this file that the server sends us elsewhere for. */
	return status / 100 == 3 ? INCFS_SOURCE_FILE : INCFS_SOURCE_SERVER;
}

static void transfer_finish(struct http_transfer *transfer, enum incfs_source_result result)
{
	struct incfs_request *req = transfer->req;

	transfer->req = NULL;
	req->done(req, result, transfer->why);
}

static bool transfer_set_up(struct http_transfer *transfer, struct incfs_request *req)
{
	char *url = http_url(transfer->http->base, req->path);
	char range[64];
	bool ok;

	snprintf(range, sizeof(range), "%llu-%llu", req->offset, req->offset + req->length - 1);
	ok = url && curl_easy_setopt(transfer->curl, CURLOPT_URL, url) == CURLE_OK &&
	     curl_easy_setopt(transfer->curl, CURLOPT_RANGE, range) == CURLE_OK;
	free(url);
	return ok;
}

static void http_submit(struct incfs_source *source, struct incfs_request *req)
{
	struct source_http *http = to_http(source);
	struct http_transfer *transfer = http->transfers;

	while (transfer->req)
		transfer++;
	transfer->req = req;
	transfer->checked = false;
	transfer->moved = false;
	transfer->why[0] = 0;
	transfer->error[0] = 0;
	transfer->refused = !transfer_set_up(transfer, req) ||
			    curl_multi_add_handle(http->multi, transfer->curl) != CURLM_OK;
	if (transfer->refused) {
		snprintf(transfer->why, sizeof(transfer->why), "not enough memory");
		http->deadline = incfs_now();
	}
}

static int http_timeout(struct incfs_source *source)
{
	struct source_http *http = to_http(source);
	__u64 now;

	if (!http->deadline)
		return -1;
	now = incfs_now();
	return http->deadline > now ? http->deadline - now : 0;
}

static void http_finish_transfers(struct source_http *http)
{
	enum incfs_source_result result;
	struct http_transfer *transfer;
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(http->multi, &left))) {
		CURLcode code = msg->data.result;

		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &transfer);
		curl_multi_remove_handle(http->multi, transfer->curl);
		result = http_result(transfer, code);
		transfer_finish(transfer, result);
	}
}

static void http_run(struct incfs_source *source)
{
	struct source_http *http = to_http(source);
	struct epoll_event events[16];
	int running, nr;

	if (http->deadline && http->deadline <= incfs_now()) {
		http->deadline = 0;
		curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	}
	nr = epoll_wait(source->fd, events, INCFS_ARRAY_SIZE(events), 0);
	for (int i = 0; i < nr; i++) {
		int mask = (events[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
			   (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
			   (events[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);

		curl_multi_socket_action(http->multi, events[i].data.fd, mask, &running);
	}
	for (unsigned int i = 0; i < http->nr; i++) {
		struct http_transfer *transfer = &http->transfers[i];

		if (transfer->req && transfer->moved) {
			transfer->moved = false;
			transfer->req->progress(transfer->req);
		}
		if (transfer->req && transfer->refused)
			transfer_finish(transfer, INCFS_SOURCE_SERVER);
	}
	http_finish_transfers(http);
}

/* libcurl wants to be told about this socket. */
static int http_watch_socket(CURL *curl, curl_socket_t fd, int what, void *context, void *known)
{
	struct source_http *http = context;
	struct epoll_event event = { .data.fd = fd };

	(void)curl;
	if (what == CURL_POLL_REMOVE) {
		epoll_ctl(http->source.fd, EPOLL_CTL_DEL, fd, NULL);
		return 0;
	}
	if (what & CURL_POLL_IN)
		event.events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		event.events |= EPOLLOUT;
	if (epoll_ctl(http->source.fd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event))
		return -1;
	curl_multi_assign(http->multi, fd, http);
	return 0;
}

static int http_set_timer(CURLM *multi, long timeout_ms, void *context)
{
	struct source_http *http = context;

	(void)multi;
	http->deadline = timeout_ms < 0 ? 0 : incfs_now() + timeout_ms;
	return 0;
}

static void curl_set_common(const struct source_http *http, CURL *curl, char *error)
{
	const struct incfs_source_params *params = http->params;

	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	/* Not to wait for a name that nobody resolves when we end. */
	curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
	curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 5L);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, STALL_BYTES);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)params->stall_s);
	curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "incfs-bpf-loader");
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, http->headers);
	/* Many requests over one connection, where the server can do that. */
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(curl, CURLOPT_PIPEWAIT, 1L);
	if (params->netrc) {
		curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_OPTIONAL);
		curl_easy_setopt(curl, CURLOPT_NETRC_FILE, params->netrc);
	}
	if (params->cacert)
		curl_easy_setopt(curl, CURLOPT_CAINFO, params->cacert);
	if (params->proxy)
		curl_easy_setopt(curl, CURLOPT_PROXY, params->proxy);
	if (params->rate)
		curl_easy_setopt(curl, CURLOPT_MAX_RECV_SPEED_LARGE, (curl_off_t)params->rate);
}

static size_t http_receive_list(char *data, size_t one, size_t size, void *context)
{
	FILE *out = context;

	(void)one;
	if (ftello(out) + size > INCFS_LIST_MAX_BYTES)
		return 0;
	return fwrite(data, 1, size, out);
}

/* As curl_easy_perform(), but what can't wait goes on meanwhile. */
static CURLcode http_perform(CURL *curl)
{
	CURLcode code = CURLE_OUT_OF_MEMORY;
	CURLM *multi = curl_multi_init();
	CURLMsg *message = NULL;
	int running = 1, left;

	if (multi && curl_multi_add_handle(multi, curl) == CURLM_OK) {
		while (running && !incfs_idle()) {
			if (curl_multi_perform(multi, &running) != CURLM_OK)
				break;
			if (running)
				curl_multi_poll(multi, NULL, 0, INCFS_IDLE_MS, NULL);
		}
		message = curl_multi_info_read(multi, &left);
		code = message ? message->data.result : CURLE_ABORTED_BY_CALLBACK;
		curl_multi_remove_handle(multi, curl);
	}
	if (multi)
		curl_multi_cleanup(multi);
	return code;
}

static enum incfs_source_result http_read_list(struct incfs_source *source, char **text,
					       size_t *size, char *why, size_t why_size)
{
	char error[CURL_ERROR_SIZE] = "";
	FILE *out = open_memstream(text, size);
	const struct source_http *http = to_http(source);
	char *url = http_url(http->base, INCFS_LIST_NAME);
	CURL *curl = curl_easy_init();
	CURLcode code = CURLE_OUT_OF_MEMORY;
	long status = 0;

	if (out && url && curl) {
		curl_set_common(http, curl, error);
		curl_easy_setopt(curl, CURLOPT_URL, url);
		curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "");
		curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, http_receive_list);
		curl_easy_setopt(curl, CURLOPT_WRITEDATA, out);
		code = http_perform(curl);
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	}
	curl_easy_cleanup(curl);
	free(url);
	if (out && fclose(out) && code == CURLE_OK)
		code = CURLE_OUT_OF_MEMORY;
	if (code == CURLE_OK)
		return INCFS_SOURCE_OK;
	if (out)
		free(*text);
	snprintf(why, why_size, "%s", code == CURLE_WRITE_ERROR ? "the list is too long" :
		 error[0] ? error : curl_easy_strerror(code));
	return (status >= 400 && status < 500) || code == CURLE_WRITE_ERROR ||
		code == CURLE_OUT_OF_MEMORY ? INCFS_SOURCE_FILE : INCFS_SOURCE_SERVER;
}

static void http_close(struct incfs_source *source)
{
	struct source_http *http = to_http(source);

	for (unsigned int i = 0; i < http->nr; i++) {
		struct http_transfer *transfer = &http->transfers[i];

		if (transfer->curl && transfer->req && !transfer->refused)
			curl_multi_remove_handle(http->multi, transfer->curl);
		curl_easy_cleanup(transfer->curl);
	}
	if (http->multi)
		curl_multi_cleanup(http->multi);
	curl_slist_free_all(http->headers);
	if (source->fd >= 0)
		close(source->fd);
	free(http->base);
	free(http);
	curl_global_cleanup();
}

static const struct incfs_source_ops http_ops = {
	.read_list = http_read_list,
	.submit = http_submit,
	.timeout = http_timeout,
	.run = http_run,
	.close = http_close,
};

static bool transfer_init(struct source_http *http, struct http_transfer *transfer)
{
	CURL *curl = curl_easy_init();

	if (!curl)
		return false;
	transfer->http = http;
	transfer->curl = curl;
	curl_set_common(http, curl, transfer->error);
	curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, RECEIVE_BUFFER);
	curl_easy_setopt(curl, CURLOPT_PRIVATE, transfer);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, http_receive);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
	return true;
}

/* Returns false after saying what is wrong. */
static bool read_headers(struct source_http *http, const char *path)
{
	FILE *in = fopen(path, "re");
	char *line = NULL;
	size_t room = 0, nr = 0;
	bool good = in;

	while (good && (errno = 0, getline(&line, &room, in)) >= 0) {
		line[strcspn(line, "\r\n")] = 0;
		if (!*line)
			continue;
		good = strchr(line, ':') && ++nr <= HEADERS_MAX;
		if (!good) {
			incfs_error("'%s' has more than %d lines, or one that is not 'Name: value'",
				    path, HEADERS_MAX);
			break;
		}
		http->headers = curl_slist_append(http->headers, line);
	}
	if (!in || (good && ferror(in))) {
		incfs_error("can't read '%s': %s", path, strerror(errno));
		good = false;
	}
	free(line);
	if (in)
		fclose(in);
	return good;
}

/* libcurl would find out with the first request only, or not say so. */
static bool check_files(const struct incfs_source_params *params)
{
	const char *files[] = { params->netrc, params->cacert };

	for (size_t i = 0; i < INCFS_ARRAY_SIZE(files); i++) {
		if (!files[i] || !access(files[i], R_OK))
			continue;
		incfs_error("can't read '%s': %s", files[i], strerror(errno));
		return false;
	}
	return true;
}

static bool http_init(struct source_http *http, const char *where)
{
	size_t len = strlen(where);

	while (len && where[len - 1] == '/')
		len--;
	http->base = strndup(where, len);
	http->source.fd = epoll_create1(EPOLL_CLOEXEC);
	http->multi = curl_multi_init();
	if (!http->base || http->source.fd < 0 || !http->multi || !http->headers)
		return false;
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, http_watch_socket);
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, http_set_timer);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long)http->nr);
	for (unsigned int i = 0; i < http->nr; i++) {
		if (!transfer_init(http, &http->transfers[i]))
			return false;
	}
	return true;
}

struct incfs_source *incfs_source_http_open(const char *where,
					    const struct incfs_source_params *params)
{
	struct source_http *http;

	if (strpbrk(where, "?#")) {
		incfs_error("can't open source '%s': no '?' or '#' in the address", where);
		return NULL;
	}
	if (!check_files(params))
		return NULL;
	http = calloc(1, sizeof(*http) + params->parallel * sizeof(http->transfers[0]));
	if (!http || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		goto err;
	http->source = (struct incfs_source){ .ops = &http_ops, .fd = -1, .mirrors = 1 };
	http->params = params;
	http->nr = params->parallel;
	http->headers = curl_slist_append(NULL, "Accept-Encoding: identity");
	if (params->header_file && !read_headers(http, params->header_file)) {
		http_close(&http->source);
		return NULL;
	}
	if (http_init(http, where))
		return &http->source;
	http_close(&http->source);
	http = NULL;
err:
	free(http);
	incfs_error("can't open source '%s': not enough memory or descriptors", where);
	return NULL;
}
