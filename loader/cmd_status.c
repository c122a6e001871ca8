// SPDX-License-Identifier: MIT
/* status and metrics: what the loaders of mounts tell, or else the kernel. */
#include "cmd.h"

#include <errno.h>
#include <getopt.h>
#include <incfs/incfs.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <json-c/json.h>

#include "control.h"
#include "image_json.h"
#include "log.h"
#include "option.h"
#include "policy_mounts.h"
#include "report.h"
#include "util.h"

/* How long a loader may take to answer, which may be busy storing blocks. */
#define ANSWER_MS 10000
#define ANSWER_MAX (1u << 20)

struct status {
	bool json;
};

static const struct incfs_option rows[] = {
	{ "json", 'j', NULL, "for programs: a line for each mount", incfs_option_on,
	  .offset = offsetof(struct status, json) },
	{}
};

static const struct incfs_usage status_usage = {
	.program = "incfs status",
	.args = "[-j] [MOUNT]",
	.about =
"Tell of each mount, or of one: what is there, who waits, what its loader does, and\n"
"its last errors.\n",
	.options = rows,
	.most = 1,
};

static const struct incfs_usage metrics_usage = {
	.program = "incfs metrics",
	.args = "[MOUNT]",
	.about =
"Print the figures of each mount that has a loader, or of one, for Prometheus.\n",
	.most = 1,
};

static int connect_to(const struct incfs_mounted *mount)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;

	incfs_control_address(&address, mount->id);
	if (fd >= 0 && !connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return fd;
	/* Nobody is there. */
	if (errno != ENOENT && errno != ECONNREFUSED)
		incfs_warn("can't ask the loader of '%s': %s", incfs_mount_name(mount),
			   strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* All that comes until the other side ends; NULL after saying what is wrong. */
static char *read_answer(int fd, const struct incfs_mounted *mount)
{
	struct pollfd poller = { .fd = fd, .events = POLLIN };
	__u64 until = incfs_now() + ANSWER_MS, now;
	char *text = malloc(ANSWER_MAX);
	size_t len = 0;
	ssize_t got;

	while (text && (now = incfs_now()) < until) {
		if (poll(&poller, 1, until - now) <= 0)
			continue;
		got = read(fd, text + len, ANSWER_MAX - 1 - len);
		if (got <= 0) {
			text[len] = 0;
			if (!got && len)
				return text;
			break;
		}
		len += got;
	}
	incfs_warn("the loader of '%s' does not answer", incfs_mount_name(mount));
	free(text);
	return NULL;
}

/* What the loader of a mount says, to be freed; NULL if there is none. */
static char *ask(const struct incfs_mounted *mount, const char *question)
{
	int fd = connect_to(mount);
	char *text = NULL;

	if (fd < 0)
		return NULL;
	if (send(fd, question, strlen(question), MSG_NOSIGNAL) == (ssize_t)strlen(question))
		text = read_answer(fd, mount);
	close(fd);
	return text;
}

static struct json_object *look_at(const struct incfs_mounted *mount)
{
	struct libincfs_stats stats = { .struct_size = sizeof(stats) };
	struct libincfs *fs = libincfs_new();
	struct libincfs_info info;

	/* Another may be mounted over it. */
	if (mount->path && !libincfs_attach(fs, mount->path) && !libincfs_get_info(fs, &info) &&
	    info.mount_id == mount->id && libincfs_get_stats(fs, &stats))
		incfs_warn("%s", libincfs_message(fs));
	libincfs_free(fs);
	return incfs_report_mount(mount->id, mount->path, mount->in_use, &stats);
}

static int print_status(const struct incfs_mounted *mount, bool json)
{
	char *text = ask(mount, "status\n");
	struct json_object *report = text ? json_tokener_parse(text) : NULL;
	int err = 0;

	free(text);
	if (!report)
		report = look_at(mount);
	if (json)
		err = incfs_json_print(report, "\n");
	else
		incfs_report_print(report);
	json_object_put(report);
	return err;
}

/*
 * The @nr mounts that are meant, all or the one that @path is on, from *@first on. Returns
 * 0, or -1 after saying what is wrong; incfs_mounts_free() is due in any case.
 */
static int find_mounts(struct incfs_mounts *mounts, const char *path,
		       const struct incfs_mounted **first, size_t *nr)
{
	if (incfs_mounts_read(mounts))
		return -1;
	*first = path ? incfs_mounts_of(mounts, path) : mounts->mounts;
	*nr = path ? 1 : mounts->nr;
	return path && !*first ? -1 : 0;
}

int incfs_cmd_status(int argc, char **argv)
{
	const struct incfs_mounted *mount;
	struct incfs_mounts mounts = {};
	struct status status = {};
	size_t nr;
	int code = incfs_usage_parse(&status_usage, &status, argc, argv);
	int err;

	if (code >= 0)
		return code;
	err = find_mounts(&mounts, argv[optind], &mount, &nr);
	if (!err && !nr && !status.json)
		puts("Nothing is mounted.");
	for (size_t i = 0; !err && i < nr; i++)
		err = print_status(&mount[i], status.json);
	incfs_mounts_free(&mounts);
	return incfs_output_end() || err ? 1 : 0;
}

/*
 * Print the samples of one metric, which the first text has at @section, as all texts
 * have them: they must stand together. Returns the end of the section.
 */
static const char *print_metric(const char *section, char *const *texts, size_t nr)
{
	const char *end = strstr(section + 1, "# HELP ");
	size_t head_len, len;
	char head[128];

	end = end ?: section + strlen(section);
	fwrite(section, 1, end - section, stdout);
	/* "# HELP NAME " */
	head_len = strcspn(section + 7, " \n") + 8;
	if (head_len >= sizeof(head))
		return end;
	memcpy(head, section, head_len);
	head[head_len] = 0;
	for (size_t i = 1; i < nr; i++) {
		const char *line = strstr(texts[i], head);

		for (; line && (line == texts[i] || *line); line += len + (line[len] == '\n')) {
			len = strcspn(line, "\n");
			if (!strncmp(line, "# HELP ", 7) && strncmp(line, head, head_len))
				break;
			if (*line != '#')
				printf("%.*s\n", (int)len, line);
		}
	}
	return end;
}

int incfs_cmd_metrics(int argc, char **argv)
{
	int code = incfs_usage_parse(&metrics_usage, NULL, argc, argv), err;
	const struct incfs_mounted *mount;
	struct incfs_mounts mounts = {};
	size_t nr_mounts, nr = 0;
	char **texts = NULL;

	if (code >= 0)
		return code;
	err = find_mounts(&mounts, argv[optind], &mount, &nr_mounts);
	if (!err)
		texts = calloc(nr_mounts + 1, sizeof(*texts));
	for (size_t i = 0; texts && i < nr_mounts; i++) {
		texts[nr] = ask(&mount[i], "metrics\n");
		nr += texts[nr] != NULL;
	}
	for (const char *at = nr ? texts[0] : ""; *at;)
		at = print_metric(at, texts, nr);
	if (!err && argv[optind] && !nr) {
		incfs_error("'%s' has no loader", argv[optind]);
		err = -1;
	}
	while (nr)
		free(texts[--nr]);
	free(texts);
	incfs_mounts_free(&mounts);
	return incfs_output_end() || err ? 1 : 0;
}
