// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that is not to be had while policies come, go and are chosen: each call with
 * its first request for some failing, then the second, until one goes through
 * untouched. A mount has the policy from before or the one after, no policy is told
 * of a mount it has not got, and all can be done again.
 *
 * timeout: 300
 */
#define _GNU_SOURCE
#include "t-policy.h"
#include "lib/inject.h"

static struct test_mount mnt;
static struct probe_bpf *one, *other;
static int file, image;		/* "file" of the mount; another image */

static void choose_none(void)
{
	if (set_policy(&mnt, "none"))
		bail_out("SET_POLICY none");
}

static void choose_one(void)
{
	if (set_policy(&mnt, "one"))
		bail_out("SET_POLICY one");
}

static int call_choose(void)
{
	return set_policy(&mnt, "one");
}

static bool chosen(bool done)
{
	return uses(&mnt, done ? "one" : "");
}

static int call_change(void)
{
	return set_policy(&mnt, "other");
}

static bool changed(bool done)
{
	return uses(&mnt, done ? "other" : "one");
}

static int call_remount(void)
{
	return change_options(&mnt, "policy=one,read_timeout_ms=20");
}

static int call_sysfs(void)
{
	return sysfs_write(mnt.id, "policy", "one");
}

static int call_mount(void)
{
	char options[64];

	snprintf(options, sizeof(options), "backing_fd=%d,policy=one", image);
	return mount("any", "another", INCFS_NAME, 0, options);
}

static bool mounted(bool done)
{
	char device[1024], options[1024];

	if (fs_proc_mounts("another", device, options, sizeof(device)) != done)
		return false;
	if (done && umount("another"))
		return false;
	/* Whatever it has been told of was taken from it. */
	return one->bss->attached == one->bss->detached + 0ull;
}

static char buf[BLOCK];

static void prepare_read(void)
{
	choose_one();
	drop_cached(&mnt.fs, "file");
}

static int call_read(void)
{
	return pread(file, buf, BLOCK, 3 * BLOCK) == BLOCK ? 0 : -1;
}

static bool read_right(bool done)
{
	return uses(&mnt, "one") && (!done || is_expected(mnt.ino, 3, buf, BLOCK)) &&
	       read_one(&mnt, 3) == GOT_BLOCK;
}

static const struct trial trials[] = {
	{ "SET_POLICY", choose_none, call_choose, chosen, false },
	{ "SET_POLICY to another", choose_one, call_change, changed, false },
	{ "remount with a policy", choose_none, call_remount, chosen, false },
	{ "the policy's file in sysfs", choose_none, call_sysfs, chosen, false },
	{ "read by a policy", prepare_read, call_read, read_right, false },
	{ "mount with a policy", choose_none, call_mount, mounted, false },
};

int main(void)
{
	unsigned int i;

	inject_setup();
	mnt = make_mount("mnt", "read_timeout_ms=20", 8);
	fill(&mnt, 0, 8);
	one = start_probe("one", 0);
	other = start_probe("other", 0);
	mkdir("another", 0755);
	if (try_mount("another.img", "another", "") || umount("another"))
		bail_out("another");
	file = fs_open(&mnt.fs, "file");
	image = open("another.img", O_RDWR | O_CLOEXEC);
	for (i = 0; i < sizeof(trials) / sizeof(trials[0]); i++)
		inject_try(&trials[i]);
	ok(inject_faults > 50, "%lu faults", inject_faults);
	close(file);
	choose_none();
	ok(books_closed(one) && books_closed(other), "each policy was told of all it has lost");
	end_mount(&mnt);
	stop_probe(one);
	stop_probe(other);
	return done();
}
