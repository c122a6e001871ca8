// SPDX-License-Identifier: MIT
/* incfs policy timeout: how long whose reads wait, for the policy timeouts. */
#include "cmd_policy.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <getopt.h>
#include <incfs/policy_maps.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "columns.h"
#include "image_json.h"
#include "log.h"
#include "policy_maps.h"
#include "policy_mounts.h"
#include "policy_object.h"

#define TIMEOUTS "timeouts"

struct timeout_args {
	bool delete;
};

static const struct incfs_option rows[] = {
	{ "delete", 'd', NULL, "what is set for USER no longer is", incfs_option_on,
	  .offset = offsetof(struct timeout_args, delete) },
	{}
};

static const struct incfs_usage usage = {
	.program = "incfs policy timeout",
	.args = "[-d] MOUNTPOINT [USER [MIN MAX]]",
	.about =
"Have reads of a user wait for absent blocks at least MIN and at most MAX, on a mount\n"
"that uses the policy timeouts. USER is a name, a number, or 'others'. Times are in\n"
"milliseconds, or end in ms, s or min; a MAX of 'never' is no end. Without MIN and\n"
"MAX tell what is set. It is forgotten when the mount ends.\n",
	.options = rows,
	.least = 1,
	.most = 4,
};

static bool parse_time(const char *text, __u32 *ms)
{
	static const struct {
		const char *unit;
		__u32 ms;
	} units[] = { { "", 1 }, { "ms", 1 }, { "s", 1000 }, { "min", 60000 } };
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(end, units[i].unit) || *text < '0' || *text > '9' || errno ||
		    value > 0xffffffffu / units[i].ms)
			continue;
		*ms = value * units[i].ms;
		return true;
	}
	incfs_error("'%s' is not a time: 500, 500ms, 2s or 1min", text);
	return false;
}

static bool parse_user(const char *text, __u32 *uid)
{
	struct passwd *user;
	__u64 number;

	if (!strcmp(text, "others")) {
		*uid = INCFS_TIMEOUT_OTHERS;
		return true;
	}
	if (incfs_parse_number(text, 0, INCFS_TIMEOUT_OTHERS - 1, &number)) {
		*uid = number;
		return true;
	}
	user = getpwnam(text);
	if (user)
		*uid = user->pw_uid;
	else
		incfs_error("there is no user '%s'", text);
	return user;
}

static bool parse_times(const char *min, const char *max, struct incfs_timeout *times)
{
	if (!parse_time(min, &times->min_ms))
		return false;
	times->max_ms = 0;
	if (!strcmp(max, "never"))
		return true;
	if (!parse_time(max, &times->max_ms))
		return false;
	if (!times->max_ms || times->max_ms > times->min_ms)
		return true;
	incfs_error("the most that reads wait, %s, is not more than the least, %s", max, min);
	return false;
}

static void print_time(struct incfs_columns *table, __u32 ms)
{
	incfs_columns_add(table, "%u.%03u s", ms / 1000, ms % 1000);
}

/* What is set for the mount, or for one user. */
static void list(int fd, __u64 mount_id, const __u32 *uid)
{
	struct incfs_timeout_key key, *last = NULL;
	struct incfs_columns table = { .nr = 3 };
	struct incfs_timeout times;

	incfs_columns_add(&table, "USER");
	incfs_columns_add(&table, "LEAST");
	incfs_columns_add(&table, "MOST");
	for (; !bpf_map_get_next_key(fd, last, &key); last = &key) {
		if (key.mount_id != mount_id || (uid && key.uid != *uid) ||
		    bpf_map_lookup_elem(fd, &key, &times))
			continue;
		if (key.uid == INCFS_TIMEOUT_OTHERS)
			incfs_columns_add(&table, "others");
		else
			incfs_columns_add(&table, "%u", key.uid);
		print_time(&table, times.min_ms);
		if (times.max_ms)
			print_time(&table, times.max_ms);
		else
			incfs_columns_add(&table, "never");
	}
	incfs_columns_print(&table, "");
}

static int change(int fd, const struct incfs_timeout_key *key, const struct incfs_timeout *times)
{
	int err = times ? bpf_map_update_elem(fd, key, times, BPF_ANY) :
			  bpf_map_delete_elem(fd, key);

	if (!err)
		return 0;
	incfs_error("can't change the times: %s", errno == ENOENT ?
		    "none are set for this user" : errno == E2BIG ?
		    "too many are set" : strerror(errno));
	return -1;
}

static int run(const char *mountpoint, const __u32 *uid, const struct incfs_timeout *times,
	       bool delete)
{
	const char *obstacle = incfs_policy_obstacle();
	const struct incfs_mounted *mount;
	struct incfs_mounts mounts;
	struct incfs_timeout_key key;
	int fd = -1, err = -1;

	if (obstacle) {
		incfs_error("no policy can be used: %s", obstacle);
		return -1;
	}
	if (incfs_mounts_read(&mounts))
		return -1;
	mount = incfs_mounts_of(&mounts, mountpoint);
	if (mount)
		fd = incfs_policy_map_make(INCFS_TIMEOUTS_NAME, TIMEOUTS);
	if (fd >= 0) {
		key = (struct incfs_timeout_key){ .mount_id = mount->id, .uid = uid ? *uid : 0 };
		err = 0;
		if (times || delete)
			err = change(fd, &key, times);
		else
			list(fd, mount->id, uid);
		close(fd);
	}
	incfs_mounts_free(&mounts);
	return err;
}

int incfs_cmd_policy_timeout(int argc, char **argv)
{
	struct timeout_args args = {};
	int code = incfs_usage_parse(&usage, &args, argc, argv), nr;
	struct incfs_timeout times;
	__u32 uid;

	if (code >= 0)
		return code;
	nr = argc - optind;
	argv += optind;
	if (nr == 3 || (args.delete && nr != 2)) {
		incfs_error(nr == 3 ? "MIN needs a MAX" : "--delete needs a USER, and no more");
		return incfs_usage_mistake(&usage);
	}
	if ((nr > 1 && !parse_user(argv[1], &uid)) ||
	    (nr > 2 && !parse_times(argv[2], argv[3], &times)))
		return incfs_usage_mistake(&usage);
	if (!incfs_policy_may() ||
	    run(argv[0], nr > 1 ? &uid : NULL, nr > 2 ? &times : NULL, args.delete))
		return 1;
	return incfs_output_end() ? 1 : 0;
}
