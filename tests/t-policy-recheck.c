// SPDX-License-Identifier: GPL-2.0-only
/*
 * Readers of blocks that are stored, and that a policy holds back all the same:
 * bpf_incfs_recheck() and recheck_ms.
 *
 * timeout: 240
 */
#include "t-policy.h"

#include "bpf/hold.skel.h"

static struct hold_bpf *hold;

/* bpf_incfs_recheck() by a program that user space runs. */
static int recheck(__u64 mount_id, __u64 ino, __u32 first, __u32 count)
{
	struct {
		__u64 mount_id, ino;
		__u32 first, count;
	} args = { mount_id, ino, first, count };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &args, .ctx_size_in = sizeof(args));

	if (bpf_prog_test_run_opts(bpf_program__fd(hold->progs.recheck), &opts))
		bail_out("run recheck");
	return opts.retval;
}

static __u64 asked(__u32 block)
{
	return peek(&hold->bss->asked[block]);
}

/* Let a block pass, and tell nobody. */
static void release(__u32 block)
{
	__atomic_fetch_or(&hold->bss->released, 1ull << block, __ATOMIC_SEQ_CST);
}

static void reset(void)
{
	memset(hold->bss, 0, sizeof(*hold->bss));
}

static struct test_mount make_held(const char *options)
{
	struct test_mount mnt = make_mount("held", options, 64);

	reset();
	fill(&mnt, 0, 32);
	return mnt;
}

/* A reader that waits for a block, which is stored. */
static void start_held(struct reader *reader, const struct test_mount *mnt, __u32 block)
{
	__u64 before = peek(&hold->bss->pended);

	start_reader(reader, mnt, block);
	if (!wait_until(peek(&hold->bss->pended) > before))
		bail_out("a reader does not wait");
}

static void test_syscall(void)
{
	struct test_mount mnt = make_held("read_timeout_ms=0,policy=hold");
	struct reader reader;
	__u64 before;

	start_held(&reader, &mnt, 3);
	is_int(count_pending(&mnt.fs), 1, "a block that is held is waited for");
	before = asked(3);
	is_int(recheck(mnt.id, mnt.ino, 3, 1), 1, "a program of user space has its reader ask again");
	ok(wait_until(asked(3) > before), "it asks");
	ok(reader_waits(&reader), "and waits on");
	release(3);
	is_int(recheck(mnt.id, mnt.ino, 3, 1), 1, "once more");
	is_int(end_reader(&reader, &mnt), GOT_BLOCK, "a block that is let pass is read");
	is_int(recheck(mnt.id, mnt.ino, 3, 1), 0, "then nobody waits for it");
	end_mount(&mnt);
}

static void test_named(void)
{
	struct test_mount mnt = make_held("read_timeout_ms=0,policy=hold");
	struct reader two, also_two, five;
	__u64 before;

	start_held(&two, &mnt, 2);
	start_reader(&also_two, &mnt, 2);
	start_held(&five, &mnt, 5);
	ok(wait_until(asked(2) >= 4), "two readers wait for a block, and one for another");
	release(2);
	release(5);
	before = asked(5);
	is_int(recheck(mnt.id, mnt.ino + 1, 0, 0), 0, "recheck of a file that nobody waits for");
	is_int(recheck(mnt.id, mnt.ino, 0, 2), 0, "of the blocks before");
	is_int(recheck(mnt.id, mnt.ino, 3, 2), 0, "of those between");
	is_int(recheck(mnt.id, mnt.ino, 6, 0), 0, "of all that come after");
	is_int(recheck(mnt.id, mnt.ino, ~0u, ~0u), 0, "of what no file can have");
	ok(reader_waits(&two) && reader_waits(&five), "wakes nobody");
	is_int(recheck(mnt.id, mnt.ino, 0, 3), 1, "that of one block counts the block");
	is_int(end_reader(&two, &mnt), GOT_BLOCK, "it wakes its reader");
	is_int(end_reader(&also_two, &mnt), GOT_BLOCK, "and the other one");
	ok(reader_waits(&five), "but not that of another block");
	is_int(asked(5), before, "which was not even asked about");
	is_int(recheck(mnt.id, mnt.ino, 5, ~0u), 1, "a count past all ends is taken");
	is_int(end_reader(&five, &mnt), GOT_BLOCK, "and wakes the rest");
	end_mount(&mnt);
}

static void test_all(void)
{
	struct test_mount mnt = make_held("read_timeout_ms=0,policy=hold");
	struct test_mount other = make_mount("other", "read_timeout_ms=0,policy=hold", 64);
	__u64 second = make_file(&mnt.fs, INCFS_ROOT_INODE, "second", 8 * BLOCK);
	struct reader readers[4], elsewhere, foreign;
	int i, served = 0;

	fill_blocks(&mnt.fs, second, 0, 8);
	fill(&other, 0, 8);
	for (i = 0; i < 4; i++)
		start_held(&readers[i], &mnt, 10 + i);
	reader_start(&elsewhere, &mnt.fs, "second", 1, READ_MAPPED);
	start_held(&foreign, &other, 1);
	ok(wait_until(count_pending(&mnt.fs) == 5 && count_pending(&other.fs) == 1),
	   "blocks of two files are waited for, and of another mount");
	hold->bss->released = ~0ull;
	is_int(recheck(mnt.id, 0, 0, 0), 5, "a recheck of a mount counts them all");
	for (i = 0; i < 4; i++)
		served += end_reader(&readers[i], &mnt) == GOT_BLOCK;
	is_int(served, 4, "wakes all readers");
	reader_join(&elsewhere);
	ok(elsewhere.got == BLOCK && is_expected(second, 1, elsewhere.data, BLOCK),
	   "a mapped one of another file, too");
	ok(reader_waits(&foreign), "but none of another mount");
	is_int(recheck(other.id, 0, 0, 0), 1, "whose turn is its own");
	is_int(end_reader(&foreign, &other), GOT_BLOCK, "it is served");
	end_mount(&other);
	end_mount(&mnt);
}

static void test_unknown(void)
{
	struct test_mount mnt = make_held("policy=hold");

	is_int(recheck(mnt.id, 0, 0, 0), 0, "a mount where nobody waits");
	is_int(recheck(0, 0, 0, 0), -ENOENT, "there is no mount 0");
	is_int(recheck(mnt.id + 1, 0, 0, 0), -ENOENT, "nor one that is to come");
	is_int(recheck(~0ull, 0, 0, 0), -ENOENT, "nor the last one");
	is_int(recheck(mnt.id | 1ull << 32, 0, 0, 0), -ENOENT, "nor one that differs above");
	end_mount(&mnt);
	is_int(recheck(mnt.id, 0, 0, 0), -ENOENT, "nor one that has gone");
}

static void test_filled(void)
{
	struct test_mount mnt = make_held("read_timeout_ms=0,policy=hold");
	struct reader reader;

	hold->bss->key_ino = mnt.ino;
	hold->bss->key_block = 40;
	hold->bss->freed_block = 7;
	start_held(&reader, &mnt, 7);
	fill(&mnt, 39, 1);
	ok(reader_waits(&reader), "a reader is held until another block comes");
	fill(&mnt, 40, 1);
	is_int(end_reader(&reader, &mnt), GOT_BLOCK, "filled() lets it pass");
	is_int(hold->bss->filled_result, 1, "and knows that it was waited for");
	end_mount(&mnt);
}

/* A hold is on the block, stored or not: the fill alone does not end it. */
static void test_absent(void)
{
	struct test_mount mnt = make_held("read_timeout_ms=0,policy=hold");
	struct reader reader;

	start_held(&reader, &mnt, 50);
	fill(&mnt, 50, 1);
	ok(reader_waits(&reader), "a reader of an absent block waits on when it is filled");
	release(50);
	ok(wait_until(recheck(mnt.id, mnt.ino, 50, 1) == 1), "it still waits for the block");
	is_int(end_reader(&reader, &mnt), GOT_BLOCK, "until it is let pass");

	start_held(&reader, &mnt, 51);
	release(51);
	recheck(mnt.id, mnt.ino, 51, 1);
	ok(reader_waits(&reader), "one that is let pass too early waits for its fill");
	fill(&mnt, 51, 1);
	is_int(end_reader(&reader, &mnt), GOT_BLOCK, "and no longer");
	end_mount(&mnt);
}

static void test_recheck_ms(void)
{
	struct test_mount mnt = make_held("read_timeout_ms=0,policy=hold");
	struct reader reader;
	__u64 before;

	hold->bss->recheck_ms = 20;
	start_held(&reader, &mnt, 9);
	before = asked(9);
	ok(wait_until(asked(9) >= before + 3), "with recheck_ms a reader asks by itself");
	is_int(hold->bss->pended, 1, "its wait is told once all the same");
	release(9);
	is_int(end_reader(&reader, &mnt), GOT_BLOCK, "and finds that it may pass");

	hold->bss->recheck_ms = ~0u;
	start_held(&reader, &mnt, 10);
	before = asked(10);
	ok(reader_waits(&reader), "one that is to ask in a month waits");
	is_int(asked(10), before, "without asking");
	release(10);
	recheck(mnt.id, 0, 0, 0);
	is_int(end_reader(&reader, &mnt), GOT_BLOCK, "unless it is told to");
	end_mount(&mnt);
}

static void test_timeout(void)
{
	struct test_mount mnt = make_held("read_timeout_ms=700,policy=hold");
	__u64 start = now_ms();

	is_int(read_one(&mnt, 1), -ETIME, "a reader that is held runs out of time");
	ok(now_ms() - start >= 350, "when it is over");
	is_int(asked(1), 2, "and has not asked again and again");

	hold->bss->recheck_ms = 1;
	start = now_ms();
	is_int(read_one(&mnt, 2), -ETIME, "so does one that asks all the time");
	ok(now_ms() - start >= 350, "and not much before");
	ok(asked(2) > 5, "it has asked");

	/* Each question may set another timeout; it counts from the start of the wait. */
	hold->bss->recheck_ms = 50;
	hold->bss->set_timeout = 1;
	hold->bss->timeout_ms = 0;
	{
		struct reader reader;

		start_held(&reader, &mnt, 4);
		ok(reader_waits(&reader), "one that may wait for ever waits");
		hold->bss->timeout_ms = 100;
		is_int(end_reader(&reader, &mnt), -ETIME, "until the policy thinks otherwise");
	}
	end_mount(&mnt);
}

static void test_killed(void)
{
	struct test_mount mnt = make_held("read_timeout_ms=0,policy=hold");
	pid_t quiet, busy;

	quiet = reader_fork(&mnt.fs, "file", mnt.ino, 1, READ_PREAD);
	if (!wait_until(asked(1) >= 2))
		bail_out("a reader does not wait");
	hold->bss->recheck_ms = 1;
	busy = reader_fork(&mnt.fs, "file", mnt.ino, 2, READ_MAPPED);
	if (!wait_until(asked(2) >= 10))
		bail_out("a reader does not ask");
	kill(quiet, SIGKILL);
	kill(busy, SIGKILL);
	is_int(wait_exit(quiet), 128 + SIGKILL, "a reader that is held can be killed");
	is_int(wait_exit(busy), 128 + SIGKILL, "and one that asks all the time");
	ok(wait_until(count_pending(&mnt.fs) == 0), "then nobody waits");
	end_mount(&mnt);
}

int main(void)
{
	libbpf_set_print(NULL);
	hold = hold_bpf__open_and_load();
	if (!hold || hold_bpf__attach(hold))
		bail_out("hold");
	test_syscall();
	test_named();
	test_all();
	test_unknown();
	test_filled();
	test_absent();
	test_recheck_ms();
	test_timeout();
	test_killed();
	hold_bpf__destroy(hold);
	return done();
}
