/* SPDX-License-Identifier: MIT */
/* What systemd is told of us, if it has started us: sd_notify(3). */
#ifndef _INCFS_NOTIFY_H
#define _INCFS_NOTIFY_H

/* Send lines VARIABLE=VALUE. Without somebody to be told this does nothing. */
void incfs_notify(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * Tell the watchdog that we are alive, if it is time, and return in how many
 * milliseconds it is again; -1 without a watchdog.
 */
int incfs_notify_alive(void);

#endif /* _INCFS_NOTIFY_H */
