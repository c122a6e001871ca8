/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For tests of injected faults: the n-th request for memory of this thread fails, in
 * the kernel, or the n-th copy from or to user space where it knows that.
 */
#ifndef INCFS_TESTS_INJECT_H
#define INCFS_TESTS_INJECT_H

#include <fcntl.h>
#include <unistd.h>

#include "tap.h"

static int inject_nth = -1;

static inline bool inject_set(const char *attr, const char *name, const char *value)
{
	char path[128];
	bool done;
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/%s", attr, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	done = write(fd, value, strlen(value)) > 0;
	close(fd);
	return done;
}

/* Skips all where there is nothing of it. Of the thread that calls it. */
static inline void inject_setup(void)
{
	static const char *const attrs[] = { "failslab", "fail_page_alloc", "fail_usercopy" };
	char there[64] = "", missing[64] = "";
	unsigned int i;

	inject_nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (inject_nth < 0 || access("/sys/kernel/debug/failslab", F_OK))
		skip_all("this kernel injects no faults");
	for (i = 0; i < sizeof(attrs) / sizeof(attrs[0]); i++) {
		/* A stack in the log for each of them would be one too many. */
		if (!inject_set(attrs[i], "verbose", "0")) {
			strcat(strcat(missing, " "), attrs[i]);
			continue;
		}
		inject_set(attrs[i], "ignore-gfp-wait", "N");
		inject_set(attrs[i], "ignore-gfp-highmem", "N");
		inject_set(attrs[i], "min-order", "0");
		strcat(strcat(there, " "), attrs[i]);
	}
	diag("faults:%s; not in this kernel:%s", there, *missing ? missing : " none");
}

static inline void inject_arm(int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", n);

	if (pwrite(inject_nth, text, len, 0) != len)
		bail_out("fail-nth");
}

/* Whether the fault has come to pass; there will be none now. */
static inline bool inject_disarm(void)
{
	char text[16] = {};

	if (pread(inject_nth, text, sizeof(text) - 1, 0) < 0)
		bail_out("fail-nth");
	inject_arm(0);
	return atoi(text) == 0;
}

#endif
