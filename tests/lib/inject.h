/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For tests of injected faults: the n-th request for memory of this thread fails, in
 * the kernel, or the n-th copy from or to user space where it knows that.
 *
 * Needs _GNU_SOURCE.
 */
#ifndef INCFS_TESTS_INJECT_H
#define INCFS_TESTS_INJECT_H

#include <fcntl.h>
#include <linux/types.h>
#include <unistd.h>

#include "tap.h"

#define INJECT_FAULTS_MAX 3000
#define INJECT_ERRNO_MAX 150

static int inject_nth = -1;
static unsigned long inject_faults;	/* in all */
static __u32 inject_turn;		/* grows: what each attempt is about is its own */

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

static inline bool inject_write(int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", n);

	return pwrite(inject_nth, text, len, 0) == len;
}

static inline void inject_arm(int n)
{
	if (!inject_write(n))
		bail_out("fail-nth");
}

/*
 * Whether the fault has come to pass; there will be none now. To ask copies to user
 * space, and to disarm from there: the fault may be met by these.
 */
static inline bool inject_disarm(void)
{
	char text[16] = {};

	if (pread(inject_nth, text, sizeof(text) - 1, 0) < 0) {
		if (errno != EFAULT)
			bail_out("fail-nth");
		return false;
	}
	if (!atoi(text))
		return true;
	if (!inject_write(0) && errno != EFAULT)
		bail_out("fail-nth");
	return false;
}

/*
 * struct trial - a call into the kernel
 * @prepare: what has to be there before; without faults. NULL: nothing
 * @call:    0, or -1 and errno
 * @check:   whether the state is that before the call, or that after it, as @done
 *	     says; when the call failed, either will do. NULL: nothing can have changed
 * @again:   the call, to be made after the check without a fault, has to succeed
 */
struct trial {
	const char *name;
	void (*prepare)(void);
	int (*call)(void);
	bool (*check)(bool done);
	bool again;
};

/* Make the call with its first request failing, then the second, until all are met. */
static inline void inject_try(const struct trial *trial)
{
	unsigned long failed[INJECT_ERRNO_MAX] = {}, survived = 0;
	bool right = true, injected = true;
	char line[256] = "";
	int n, ret, error, e;

	for (n = 1; injected && right && n < INJECT_FAULTS_MAX; n++) {
		inject_turn++;
		if (trial->prepare)
			trial->prepare();
		errno = 0;
		inject_arm(n);
		ret = trial->call();
		error = errno;
		injected = inject_disarm();
		if (ret && !injected) {
			diag("%s: %s without a fault", trial->name, strerror(error));
			right = false;
		} else if (ret) {
			failed[error < INJECT_ERRNO_MAX ? error : 0]++;
		} else {
			survived += injected;
		}
		if (trial->check && !trial->check(!ret) && (!ret || !trial->check(true))) {
			diag("%s: fault %d, %s: neither as before nor as after", trial->name, n,
			     ret ? strerror(error) : "success");
			right = false;
		}
		if (ret && trial->again && trial->call() && errno != EEXIST) {
			diag("%s: after fault %d: %s", trial->name, n, strerror(errno));
			right = false;
		}
	}
	for (e = 0; e < INJECT_ERRNO_MAX; e++) {
		if (failed[e] && strlen(line) < 200)
			sprintf(line + strlen(line), ", %s %lu", strerrorname_np(e) ?: "?",
				failed[e]);
	}
	ok(right && !injected, "%s: %d faults", trial->name, n - 2);
	inject_faults += n - 2;
	diag("%lu without harm%s", survived, line);
}

#endif
