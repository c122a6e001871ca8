// SPDX-License-Identifier: MIT
/* The signals that end the loader. */
#include "signals.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "log.h"

static void change_mask(int how, sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigprocmask(how, set, NULL);
}

int incfs_signals_open(void)
{
	sigset_t set;
	int fd;

	signal(SIGPIPE, SIG_IGN);
	change_mask(SIG_BLOCK, &set);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		incfs_error("can't wait for signals: %s", strerror(errno));
	return fd;
}

void incfs_signals_take(int fd)
{
	struct signalfd_siginfo info;
	sigset_t set;

	if (read(fd, &info, sizeof(info)) == sizeof(info))
		incfs_info("%s: stopping", info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM");
	change_mask(SIG_UNBLOCK, &set);
}
