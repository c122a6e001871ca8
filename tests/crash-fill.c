// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's part of tests/vm/crash: looks whether an image has what was synced
 * before the last crash, says so on a channel of its own, goes on filling it, and
 * says after each sync how far it is, until somebody kills the machine.
 *
 *	crash-fill IMAGE CHANNEL SEED SYNCED [STEPS]
 *
 * SYNCED is the last step known to have been synced, STEPS where the fill ends:
 * without it, nothing is filled. On the channel:
 *
 *	checked LOST WRONG DAMAGED KEPT NAMES	once
 *	synced STEP				after each sync
 *	done					at the end
 */
#define _GNU_SOURCE
#include "lib/incfs.h"
#include "lib/ledger.h"
#include "lib/tap.h"

static struct ledger ledger, until;
static int channel;

/* Returns when the host has it. */
__attribute__((format(printf, 1, 2))) static void tell(const char *format, ...)
{
	char line[128];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (write(channel, line, len) != len)
		bail_out("channel");
}

static void tell_synced(unsigned int steps)
{
	tell("synced %u\n", steps);
}

static void check(const struct test_fs *fs, unsigned int synced)
{
	struct ledger_result result = {};
	struct ledger_step step;
	unsigned int i;

	while (ledger.steps < synced)
		ledger_next(&ledger);
	/* The next sync was acknowledged at most; nothing behind it was begun. */
	until = ledger;
	do
		step = ledger_next(&until);
	while (step.what != LEDGER_SYNC);
	ledger_check(fs, &until, synced, &result);
	for (i = 0; i < ledger.nr_files; i++)
		ledger.files[i].ino = until.files[i].ino;
	tell("checked %u %u %u %u %u\n", result.lost, result.wrong, result.damaged, result.kept,
	     result.names);
}

int main(int argc, char **argv)
{
	struct test_fs fs = { .dir = "/tmp/incfs", .options = "read_timeout_ms=1" };
	unsigned int steps;

	if (argc < 5) {
		fprintf(stderr, "usage: crash-fill IMAGE CHANNEL SEED SYNCED [STEPS]\n");
		return 2;
	}
	channel = open(argv[2], O_WRONLY | O_CLOEXEC);
	if (channel < 0)
		bail_out("open %s", argv[2]);
	snprintf(fs.image, sizeof(fs.image), "%s", argv[1]);
	ledger_init(&ledger, atoi(argv[3]));
	steps = argc > 5 ? atoi(argv[5]) : 0;

	fs_mount(&fs);
	check(&fs, atoi(argv[4]));
	ledger_fill(&fs, &ledger, steps, tell_synced);
	tell("done\n");
	if (steps)
		pause();
	fs_unmount(&fs);
	return 0;
}
