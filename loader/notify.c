// SPDX-License-Identifier: MIT
/* What systemd is told of us. */
#include "notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"
#include "util.h"

void incfs_notify(const char *fmt, ...)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char text[512];
	va_list args;
	size_t len;
	int fd;

	if (!path || (*path != '/' && *path != '@'))
		return;
	len = strlen(path);
	if (len >= sizeof(address.sun_path))
		return;
	memcpy(address.sun_path, path, len);
	/* A name in the abstract namespace. */
	if (*path == '@')
		address.sun_path[0] = 0;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&address,
			     offsetof(struct sockaddr_un, sun_path) + len) < 0)
		incfs_debug("can't tell systemd '%s': %s", text, strerror(errno));
	if (fd >= 0)
		close(fd);
}

/* Half of the time that it gives us, in ms; 0 if there is none. */
static __u64 watchdog_ms(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	__u64 time;

	if (!usec || (pid && strtoul(pid, NULL, 10) != (unsigned long)getpid()))
		return 0;
	time = strtoull(usec, NULL, 10) / 1000;
	return time ? incfs_max(time / 2, 1ull) : 0;
}

int incfs_notify_alive(void)
{
	static __u64 due;
	__u64 now = incfs_now(), every = watchdog_ms();

	if (!every)
		return -1;
	if (now >= due) {
		incfs_notify("WATCHDOG=1");
		due = now + every;
	}
	return due - now;
}
