// SPDX-License-Identifier: GPL-2.0-only
/* Events: how they reach the ring of their mount, and what if they don't. */
#include "t-policy.h"

#include "bpf/sequential.skel.h"

#define AHEAD 32
/* More than the 102 events, of 40 bytes with their heads, in a page of ring. */
#define WAITS 120

static void test_full(void)
{
	struct test_mount mnt = make_mount("full", "read_timeout_ms=0,policy=auto", 256);
	struct probe_bpf *probe = start_probe("full", 0);
	struct reader readers[WAITS];
	struct test_ring ring;
	int i, served = 0;

	open_ring(&ring, &mnt, probe->obj, 4096);
	for (i = 0; i < WAITS; i++)
		start_reader(&readers[i], &mnt, i);
	ok(wait_until(peek(&probe->bss->pended) == WAITS), "many blocks are asked for");
	ok(lost_events(&ring) >= WAITS - 102, "what the ring can't hold is counted");
	diag("%llu of %d events lost", lost_events(&ring), WAITS);
	fill(&mnt, 0, WAITS);
	for (i = 0; i < WAITS; i++)
		served += end_reader(&readers[i], &mnt) == GOT_BLOCK;
	is_int(served, WAITS, "no reader is lost with its event");
	close_ring(&ring);

	start_reader(&readers[0], &mnt, 200);
	ok(wait_until(peek(&probe->bss->pended) == WAITS + 1), "a mount without a ring");
	is_int(probe->bss->submit_result, -ENOENT, "tells the policy so");
	fill(&mnt, 200, 1);
	is_int(end_reader(&readers[0], &mnt), GOT_BLOCK, "and loses no reader either");
	stop_probe(probe);
	end_mount(&mnt);
}

static void test_own_ring(void)
{
	struct probe_bpf *probe = start_probe("shared", 0);
	struct test_mount a = make_mount("a", "read_timeout_ms=0,policy=shared", 8);
	struct test_mount b = make_mount("b", "read_timeout_ms=0,policy=shared", 8);
	struct test_ring ring_a, ring_b;
	struct reader reader;

	open_ring(&ring_a, &a, probe->obj, 4096);
	open_ring(&ring_b, &b, probe->obj, 4096);
	start_reader(&reader, &b, 5);
	ok(take_events(&ring_b, 1) &&
	   is_event(&ring_b, 0, INCFS_EVENT_DEMAND, 5, 1),
	   "an event is in the ring of its mount");
	ok(take_events(&ring_a, 0), "and in no other");
	fill(&b, 5, 1);
	is_int(end_reader(&reader, &b), GOT_BLOCK, "the reader is served");
	close_ring(&ring_a);
	close_ring(&ring_b);
	stop_probe(probe);
	end_mount(&a);
	end_mount(&b);
}

static void serve(const struct test_mount *mnt, struct reader *reader, __u32 block)
{
	fill(mnt, block, 1);
	is_int(end_reader(reader, mnt), GOT_BLOCK, "block %u is read", block);
}

static void test_sequential(void)
{
	struct sequential_bpf *policy = sequential_bpf__open();
	struct test_mount mnt = make_mount("seq", "read_timeout_ms=0", 512);
	struct reader reader;
	struct test_ring ring;

	if (!policy)
		bail_out("open sequential");
	policy->rodata->ahead = AHEAD;
	if (sequential_bpf__load(policy) || sequential_bpf__attach(policy))
		bail_out("load sequential");
	is_int(change_options(&mnt, "policy=sequential"), 0, "sequential is chosen");
	open_ring(&ring, &mnt, policy->obj, 65536);
	fill(&mnt, 4, 3);

	/* The page cache reads ahead, if only the block itself, before it waits. */
	start_reader(&reader, &mnt, 1);
	ok(take_events(&ring, 3), "a wait makes three events");
	ok(is_event(&ring, 0, INCFS_EVENT_FETCH_AHEAD, 1, 3),
	   "what is absent from the block on, up to what is there");
	ok(is_event(&ring, 1, INCFS_EVENT_FETCH_AHEAD, 7, AHEAD - 3),
	   "what follows that, up to the number that was set");
	ok(is_event(&ring, 2, INCFS_EVENT_DEMAND, 1, 1), "and the block itself");
	ok(ring.events[0].priority > ring.events[1].priority, "the nearer ones are more urgent");
	serve(&mnt, &reader, 1);

	start_reader(&reader, &mnt, 2);
	ok(take_events(&ring, 4) &&
	   is_event(&ring, 3, INCFS_EVENT_DEMAND, 2, 1),
	   "the next block is asked for, but nothing ahead for a second time");
	serve(&mnt, &reader, 2);

	start_reader(&reader, &mnt, 30);
	ok(take_events(&ring, 6) &&
	   is_event(&ring, 4, INCFS_EVENT_FETCH_AHEAD, 7 + AHEAD - 3, AHEAD) &&
	   is_event(&ring, 5, INCFS_EVENT_DEMAND, 30, 1),
	   "half of the way through, the next part is asked for");
	serve(&mnt, &reader, 30);

	start_reader(&reader, &mnt, 511);
	ok(take_events(&ring, 8) &&
	   is_event(&ring, 6, INCFS_EVENT_FETCH_AHEAD, 511, 1),
	   "nothing is asked for past the end of the file");
	serve(&mnt, &reader, 511);
	close_ring(&ring);
	sequential_bpf__destroy(policy);
	end_mount(&mnt);
}

int main(void)
{
	libbpf_set_print(NULL);
	test_full();
	test_own_ring();
	test_sequential();
	return done();
}
