// SPDX-License-Identifier: MIT
/* incfs policy status: the mounts and their policies. */
#include "cmd_policy.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/incrementalfs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <json-c/json.h>

#include "columns.h"
#include "image_json.h"
#include "policy_maps.h"
#include "policy_mounts.h"

static const struct incfs_usage status_usage = {
	.program = "incfs policy status",
	.args = "[-j] [MOUNTPOINT]",
	.about =
"Tell of each mount, or of one: which policy it has chosen and which one it uses,\n"
"why it is without the one that it has chosen, whether a loader takes events, how\n"
"many of them were lost, and how many blocks readers wait for.\n",
	.options = incfs_policy_json_option,
	.least = 0,
	.most = 1,
};

/* Maps that all policies and loaders share; -1: there are none yet. */
struct status {
	int rings_fd;
	int lost_fd;
};

static bool has_ring(const struct status *status, __u64 mount_id)
{
	__u32 ring_id;

	return !bpf_map_lookup_elem(status->rings_fd, &mount_id, &ring_id);
}

static __u64 lost_events(const struct status *status, __u64 mount_id)
{
	__u64 lost = 0;

	bpf_map_lookup_elem(status->lost_fd, &mount_id, &lost);
	return lost;
}

/* How many blocks readers wait for; -1 if that can't be told from here. */
static int count_waits(const struct incfs_mounted *mount)
{
	int fd = incfs_mounted_open(mount), err;
	struct incfs_stats stats;

	if (fd < 0)
		return -1;
	err = ioctl(fd, INCFS_IOC_GET_STATS, &stats);
	close(fd);
	return err ? -1 : (int)stats.blocks_pending;
}

static void add_row(struct incfs_columns *table, const struct status *status,
		    const struct incfs_mounted *mount)
{
	bool ring = has_ring(status, mount->id);
	int waits = count_waits(mount);

	incfs_columns_add(table, "%llu", mount->id);
	incfs_columns_add(table, "%s", mount->path ?: "-");
	incfs_columns_add(table, "%s", mount->choice);
	incfs_columns_add(table, "%s", *mount->in_use ? mount->in_use : "built-in");
	incfs_columns_add(table, "%s", ring ? "yes" : "no");
	if (ring)
		incfs_columns_add(table, "%llu", lost_events(status, mount->id));
	else
		incfs_columns_add(table, "-");
	if (waits >= 0)
		incfs_columns_add(table, "%d", waits);
	else
		incfs_columns_add(table, "-");
}

/* What brought the mount its failure; for the verdict of a block, which one. */
static void print_failure(const struct incfs_mounted *mount)
{
	const struct incfs_policy_failure *failure = &mount->failure;
	const char *name = incfs_mount_name(mount);

	if (!*failure->kind)
		return;
	printf("\n");
	incfs_print_bytes(stdout, name, strlen(name));
	printf(": policy '%s', %llu.%llu s ago: %s", failure->policy,
	       failure->age_ms / 1000, failure->age_ms / 100 % 10, failure->text);
	if (failure->code < 0)
		printf(": %s (%d)", strerror(-failure->code), failure->code);
	else
		printf(" (%d)", failure->code);
	if (!strcmp(failure->kind, "verdict"))
		printf("; inode %llu, block %llu", failure->ino, failure->block);
	printf("\n");
}

static void print_text(const struct status *status, const struct incfs_mounts *mounts,
		       const struct incfs_mounted *only)
{
	static const char *const heads[] = {
		"ID", "MOUNT", "CHOICE", "IN USE", "RING", "LOST", "BLOCKS WAITED FOR",
	};
	struct incfs_columns table = { .nr = 7 };

	if (!mounts->nr) {
		printf("Nothing is mounted.\n");
		return;
	}
	for (size_t i = 0; i < table.nr; i++)
		incfs_columns_add(&table, "%s", heads[i]);
	for (size_t i = 0; i < mounts->nr; i++) {
		if (!only || only == &mounts->mounts[i])
			add_row(&table, status, &mounts->mounts[i]);
	}
	incfs_columns_print(&table, "");
	for (size_t i = 0; i < mounts->nr; i++) {
		if (!only || only == &mounts->mounts[i])
			print_failure(&mounts->mounts[i]);
	}
}

static struct json_object *failure_json(const struct incfs_policy_failure *failure)
{
	struct json_object *object = json_object_new_object();

	incfs_json_string(object, "kind", failure->kind);
	incfs_json_string(object, "policy", failure->policy);
	json_object_object_add(object, "code", json_object_new_int(failure->code));
	if (!strcmp(failure->kind, "verdict")) {
		incfs_json_number(object, "ino", failure->ino);
		incfs_json_number(object, "block", failure->block);
	}
	incfs_json_number(object, "age_ms", failure->age_ms);
	incfs_json_string(object, "text", failure->text);
	return object;
}

static struct json_object *mount_json(const struct status *status,
				      const struct incfs_mounted *mount)
{
	struct json_object *object = json_object_new_object();
	bool ring = has_ring(status, mount->id);
	int waits = count_waits(mount);

	incfs_json_number(object, "mount_id", mount->id);
	if (mount->path)
		incfs_json_bytes(object, "path", mount->path, strlen(mount->path));
	incfs_json_string(object, "choice", mount->choice);
	incfs_json_string(object, "in_use", mount->in_use);
	json_object_object_add(object, "ring", json_object_new_boolean(ring));
	if (ring)
		incfs_json_number(object, "lost_events", lost_events(status, mount->id));
	if (waits >= 0)
		incfs_json_number(object, "blocks_waited_for", waits);
	if (*mount->failure.kind)
		json_object_object_add(object, "failure", failure_json(&mount->failure));
	return object;
}

static int print_json(const struct status *status, const struct incfs_mounts *mounts,
		      const struct incfs_mounted *only)
{
	struct json_object *array = json_object_new_array();
	int err;

	for (size_t i = 0; i < mounts->nr; i++) {
		if (!only || only == &mounts->mounts[i])
			json_object_array_add(array, mount_json(status, &mounts->mounts[i]));
	}
	err = incfs_json_print(array, "\n");
	json_object_put(array);
	return err;
}

static int run(const char *mountpoint, bool json)
{
	const struct incfs_mounted *only = NULL;
	struct incfs_mounts mounts;
	struct status status;
	int err = -1;

	if (incfs_mounts_read(&mounts))
		return -1;
	status.rings_fd = incfs_policy_map_open(INCFS_RINGS_NAME);
	status.lost_fd = incfs_policy_map_open(INCFS_LOST_NAME);
	if (mountpoint)
		only = incfs_mounts_of(&mounts, mountpoint);
	if (only || !mountpoint) {
		err = 0;
		if (json)
			err = print_json(&status, &mounts, only);
		else
			print_text(&status, &mounts, only);
	}
	if (status.rings_fd >= 0)
		close(status.rings_fd);
	if (status.lost_fd >= 0)
		close(status.lost_fd);
	incfs_mounts_free(&mounts);
	return err;
}

int incfs_cmd_policy_status(int argc, char **argv)
{
	bool json = false;
	int code = incfs_policy_parse(&status_usage, &json, argc, argv);

	if (code >= 0)
		return code;
	code = run(argv[optind], json) ? 1 : 0;
	return incfs_output_end() ? 1 : code;
}
