/* SPDX-License-Identifier: MIT */
/*
 * What can't wait while something else takes long: signals, the watchdog, who asks for
 * status. What may block for seconds calls incfs_idle() many times a second; in a program
 * that has set nothing it does nothing.
 */
#ifndef _INCFS_IDLE_H
#define _INCFS_IDLE_H

#include <stdbool.h>

/* So long may something block between two calls, in ms. */
#define INCFS_IDLE_MS 100

/* @turn returns true when the program is to end. */
void incfs_idle_set(bool (*turn)(void *context), void *context);

/* True: the program is to end, so give up. */
bool incfs_idle(void);

#endif /* _INCFS_IDLE_H */
