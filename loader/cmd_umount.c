// SPDX-License-Identifier: MIT
/* incfs umount: end a mount, and its loader if that is wanted. */
#include "cmd.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "control.h"
#include "log.h"
#include "option.h"
#include "policy_mounts.h"
#include "util.h"

/* How long a loader may take to end: it syncs the image. */
#define STOP_MS 60000

struct umount_args {
	bool stop;
	bool lazy;
};

static const struct incfs_option rows[] = {
	{ "stop", 's', NULL, "end the loader of the mount first", incfs_option_on,
	  .offset = offsetof(struct umount_args, stop) },
	{ "lazy", 'l', NULL, "now for new users, and when the last one has gone altogether",
	  incfs_option_on, .offset = offsetof(struct umount_args, lazy) },
	{}
};

static const struct incfs_usage usage = {
	.program = "incfs umount",
	.args = "[OPTION]... MOUNT",
	.about = "End a mount. Blocks that are stored stay in its image.\n",
	.options = rows,
	.least = 1,
	.most = 1,
};

/* Who listens at the control socket of a mount; 0 if nobody does. */
static pid_t find_loader(const struct incfs_mounted *mount)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct ucred peer = {};
	socklen_t len = sizeof(peer);
	struct sockaddr_un address;

	incfs_control_address(&address, mount->id);
	if (fd >= 0 && (connect(fd, (struct sockaddr *)&address, sizeof(address)) ||
			getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len)))
		peer.pid = 0;
	if (fd >= 0)
		close(fd);
	return peer.pid;
}

static int stop_loader(const struct incfs_mounted *mount)
{
	const struct timespec pause = { .tv_nsec = 50000000 };
	__u64 until = incfs_now() + STOP_MS;
	pid_t pid = find_loader(mount);

	if (!pid)
		return 0;
	if (kill(pid, SIGTERM)) {
		incfs_error("can't end the loader of '%s', process %d: %s", mount->path, pid,
			    strerror(errno));
		return -1;
	}
	while (!kill(pid, 0) || errno != ESRCH) {
		if (incfs_now() > until) {
			incfs_error("the loader of '%s', process %d, does not end", mount->path,
				    pid);
			return -1;
		}
		nanosleep(&pause, NULL);
	}
	return 0;
}

/* Whether it is still there, now that its loader may have taken it away. */
static bool is_there(const struct incfs_mounted *mount)
{
	struct incfs_mounts now = {};
	bool there = false;

	if (incfs_mounts_read(&now))
		return true;
	for (size_t i = 0; i < now.nr; i++)
		there |= now.mounts[i].id == mount->id;
	incfs_mounts_free(&now);
	return there;
}

static int run(const struct umount_args *args, const struct incfs_mounted *mount)
{
	pid_t pid;

	if (!mount->path) {
		incfs_error("the mount can't be seen from here");
		return -1;
	}
	if (args->stop && stop_loader(mount))
		return -1;
	if (!is_there(mount) ||
	    !umount2(mount->path, UMOUNT_NOFOLLOW | (args->lazy ? MNT_DETACH : 0)))
		return 0;
	pid = errno == EBUSY ? find_loader(mount) : 0;
	errno = pid ? EBUSY : errno;
	incfs_error(pid ? "can't unmount '%s': %s: its loader, process %d, uses it (--stop)" :
		    "can't unmount '%s': %s", mount->path, strerror(errno), pid);
	return -1;
}

int incfs_cmd_umount(int argc, char **argv)
{
	struct umount_args args = {};
	int code = incfs_usage_parse(&usage, &args, argc, argv);
	const struct incfs_mounted *mount = NULL;
	struct incfs_mounts mounts = {};

	if (code >= 0)
		return code;
	if (!incfs_mounts_read(&mounts))
		mount = incfs_mounts_of(&mounts, argv[optind]);
	code = mount && !run(&args, mount) ? 0 : 1;
	incfs_mounts_free(&mounts);
	return code;
}
