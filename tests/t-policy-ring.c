// SPDX-License-Identifier: GPL-2.0-only
/* Events: how they reach the ring of their mount, and what if they don't. */
#include "t-policy.h"

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

/* Two tenants, each with a policy, a mount and a ring of its own. */
#define EVENTS 30

struct tenant {
	struct test_mount mnt;
	struct probe_bpf *probe;
	struct test_ring ring;
	struct reader readers[EVENTS];
};

static void start_tenant(struct tenant *tenant, const char *name, __u32 mark)
{
	char options[64];

	tenant->probe = start_probe(name, 0);
	tenant->probe->bss->mark = mark;
	snprintf(options, sizeof(options), "read_timeout_ms=0,policy=%s", name);
	tenant->mnt = make_mount(name, options, EVENTS);
	tenant->probe->bss->my_mount = tenant->mnt.id;
	open_ring(&tenant->ring, &tenant->mnt, tenant->probe->obj, 4096);
}

static void end_tenant(struct tenant *tenant, const char *name, __u32 mark)
{
	int i, own = 0, served = 0;

	ok(take_events(&tenant->ring, EVENTS), "%s: its events are in its ring", name);
	for (i = 0; i < tenant->ring.nr_events; i++)
		own += tenant->ring.events[i].mount_id == tenant->mnt.id &&
		       tenant->ring.events[i].priority == mark;
	is_int(own, EVENTS, "%s: of its mount, by its policy", name);
	is_int(tenant->probe->bss->strangers, 0, "%s: which knows of no other mount", name);
	fill(&tenant->mnt, 0, EVENTS);
	for (i = 0; i < EVENTS; i++)
		served += end_reader(&tenant->readers[i], &tenant->mnt) == GOT_BLOCK;
	is_int(served, EVENTS, "%s: its readers are served", name);
	close_ring(&tenant->ring);
	stop_probe(tenant->probe);
	end_mount(&tenant->mnt);
}

static void test_tenants(void)
{
	static struct tenant left, right;
	int i;

	start_tenant(&left, "left", 1);
	start_tenant(&right, "right", 2);
	for (i = 0; i < EVENTS; i++) {
		start_reader(&left.readers[i], &left.mnt, i);
		start_reader(&right.readers[i], &right.mnt, i);
	}
	end_tenant(&left, "left", 1);
	end_tenant(&right, "right", 2);
}

/* One loader after the other takes the place in the map, while readers come and go. */
#define RINGS 16

struct flow {
	struct test_mount mnt;
	bool stop;	/* atomic */
	int faults;
};

static void *flow_on(void *arg)
{
	struct flow *flow = arg;
	struct reader reader;
	__u32 block = 0;

	while (!__atomic_load_n(&flow->stop, __ATOMIC_RELAXED)) {
		start_reader(&reader, &flow->mnt, block);
		while (!count_pending(&flow->mnt.fs) && !reader_done(&reader))
			usleep(100);
		fill(&flow->mnt, block++, 1);
		flow->faults += end_reader(&reader, &flow->mnt) != GOT_BLOCK;
	}
	return NULL;
}

static int count_events(void *ctx, void *data, size_t size)
{
	const struct incfs_event *event = data;
	__u64 *count = ctx;

	*count += size == sizeof(*event) && event->type == INCFS_EVENT_DEMAND;
	return 0;
}

static void test_replaced(void)
{
	struct flow flow = {
		.mnt = make_mount("flow", "read_timeout_ms=0,policy=auto", 1 << 20),
	};
	struct probe_bpf *probe = load_probe("flow", 0);
	struct ring_buffer *buffers[RINGS];
	struct test_ring rings[RINGS];
	__u64 before, events = 0;
	pthread_t thread;
	int i, used = 0;

	open_ring(&rings[0], &flow.mnt, probe->obj, 1 << 20);
	if (attach_probe(probe) || pthread_create(&thread, NULL, flow_on, &flow))
		bail_out("start");
	for (i = 1; i < RINGS; i++) {
		before = peek(&probe->bss->pended);
		if (!wait_until(peek(&probe->bss->pended) >= before + 5))
			bail_out("no reader waits");
		open_ring(&rings[i], &flow.mnt, probe->obj, 1 << 20);
	}
	before = peek(&probe->bss->pended);
	wait_until(peek(&probe->bss->pended) >= before + 5);
	__atomic_store_n(&flow.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	is_int(flow.faults, 0, "readers are served while a ring takes the place of another");
	for (i = 0; i < RINGS; i++) {
		before = events;
		buffers[i] = ring_buffer__new(rings[i].map, count_events, &events, NULL);
		if (!buffers[i] || ring_buffer__consume(buffers[i]) < 0)
			bail_out("consume");
		used += events > before;
	}
	is_int(events, probe->bss->pended, "each event is in one of the rings");
	is_int(used, RINGS, "and each ring has got some");
	is_int(lost_events(&rings[RINGS - 1]), 0, "none is lost");
	for (i = 0; i < RINGS; i++) {
		ring_buffer__free(buffers[i]);
		close_ring(&rings[i]);
	}
	stop_probe(probe);
	end_mount(&flow.mnt);
}

int main(void)
{
	libbpf_set_print(NULL);
	test_full();
	test_own_ring();
	test_tenants();
	test_replaced();
	return done();
}
