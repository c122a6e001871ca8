/* SPDX-License-Identifier: MIT */
/* The signals that end the loader. */
#ifndef _INCFS_SIGNALS_H
#define _INCFS_SIGNALS_H

/* A descriptor to be polled for reading, or -1 after saying what is wrong. */
int incfs_signals_open(void);

/* Take one, which is said. The next one ends us at once, whatever hangs. */
void incfs_signals_take(int fd);

#endif /* _INCFS_SIGNALS_H */
