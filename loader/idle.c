// SPDX-License-Identifier: MIT
/* What can't wait while something else takes long. */
#include "idle.h"

#include <stddef.h>

#include "util.h"

static struct {
	bool (*turn)(void *context);
	void *context;
	__u64 due;
	bool end;
} idle;

void incfs_idle_set(bool (*turn)(void *context), void *context)
{
	idle.turn = turn;
	idle.context = context;
	idle.due = 0;
	idle.end = false;
}

bool incfs_idle(void)
{
	__u64 now;

	if (!idle.turn || idle.end)
		return idle.end;
	now = incfs_now();
	if (now >= idle.due) {
		idle.end = idle.turn(idle.context);
		idle.due = now + INCFS_IDLE_MS;
	}
	return idle.end;
}
