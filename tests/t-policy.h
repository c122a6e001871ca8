/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For the tests of policies: mounts of one file, the policy "probe" under any
 * name, and rings as a loader has them.
 */
#ifndef INCFS_TESTS_T_POLICY_H
#define INCFS_TESTS_T_POLICY_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <incfs/policy.h>

#include "bpf/probe.skel.h"
#include "lib/incfs.h"
#include "lib/tap.h"

/* A mount with one file, "file". */
struct test_mount {
	struct test_fs fs;
	__u64 id;
	__u64 ino;
};

/* What a read may give instead of an errno, which is negative. */
enum {
	GOT_ZEROS = 0,
	GOT_BLOCK = 1,
	GOT_OTHER = 2,
};

/* Mount a new image with a file of that many absent blocks. */
static inline struct test_mount make_mount(const char *name, const char *options, __u32 blocks)
{
	struct test_mount mnt;

	fs_mount_new(&mnt.fs, name, options);
	mnt.id = fs_info(&mnt.fs).mount_id;
	mnt.ino = make_file(&mnt.fs, INCFS_ROOT_INODE, "file", (__u64)blocks * BLOCK);
	return mnt;
}

static inline void end_mount(struct test_mount *mnt)
{
	fs_unmount(&mnt->fs);
}

static inline int change_options(const struct test_mount *mnt, const char *options)
{
	return mount("any", mnt->fs.dir, INCFS_NAME, MS_REMOUNT, options);
}

/* Whether the mount uses the policy @name; "" is none. */
static inline bool uses(const struct test_mount *mnt, const char *name)
{
	struct incfs_mount_info info = fs_info(&mnt->fs);

	return !strcmp(info.policy, name);
}

static inline int set_policy(const struct test_mount *mnt, const char *name)
{
	struct incfs_policy_choice choice = {};

	snprintf(choice.policy, sizeof(choice.policy), "%s", name);
	return ioctl(mnt->fs.cmd, INCFS_IOC_SET_POLICY, &choice);
}

/* A file of the mount's directory in sysfs. */
static inline const char *sysfs_path(__u64 mount_id, const char *name)
{
	static __thread char path[128];

	snprintf(path, sizeof(path), "/sys/fs/incremental-fs/mounts/%llu/%s", mount_id, name);
	return path;
}

static inline int sysfs_write(__u64 mount_id, const char *name, const char *text)
{
	int fd = open(sysfs_path(mount_id, name), O_WRONLY | O_CLOEXEC), error;
	ssize_t done;

	if (fd < 0)
		return -1;
	done = write(fd, text, strlen(text));
	error = errno;
	close(fd);
	errno = error;
	return done == (ssize_t)strlen(text) ? 0 : -1;
}

/* Without the newline at its end. */
static inline void sysfs_read(__u64 mount_id, const char *name, char *text, size_t size)
{
	int fd = open(sysfs_path(mount_id, name), O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);

	if (got < 0)
		bail_out("read %s", sysfs_path(mount_id, name));
	close(fd);
	if (got && text[got - 1] == '\n')
		got--;
	text[got] = 0;
}

static inline void fill(const struct test_mount *mnt, __u32 first, __u32 count)
{
	fill_blocks(&mnt->fs, mnt->ino, first, count);
}

static inline int reader_got(const struct reader *reader, const struct test_mount *mnt)
{
	static const char zeros[BLOCK];

	if (reader->got < 0)
		return -reader->error;
	if (reader->got == BLOCK && is_expected(mnt->ino, reader->block, reader->data, BLOCK))
		return GOT_BLOCK;
	return memcmp(reader->data, zeros, BLOCK) ? GOT_OTHER : GOT_ZEROS;
}

/* Read a block, past the page cache. */
static inline int read_one(const struct test_mount *mnt, __u32 block)
{
	struct reader reader;

	drop_cached(&mnt->fs, "file");
	reader_run(&reader, &mnt->fs, "file", block, READ_PREAD);
	return reader_got(&reader, mnt);
}

static inline void start_reader(struct reader *reader, const struct test_mount *mnt, __u32 block)
{
	reader_start(reader, &mnt->fs, "file", block, READ_PREAD);
}

static inline bool reader_waits(const struct reader *reader)
{
	usleep(300000);
	return !reader_done(reader);
}

static inline int end_reader(struct reader *reader, const struct test_mount *mnt)
{
	reader_join(reader);
	return reader_got(reader, mnt);
}

/* The policy that a skeleton is about to load, as the C program sees it. */
static inline struct incfs_policy_ops *policy_members(struct bpf_map *map)
{
	size_t size;

	return bpf_map__initial_value(map, &size);
}

static inline struct probe_bpf *open_probe(const char *name, __u64 mount_id)
{
	struct probe_bpf *probe = probe_bpf__open();
	struct incfs_policy_ops *members;

	if (!probe)
		bail_out("open probe");
	members = policy_members(probe->maps.probe);
	memset(members->name, 0, sizeof(members->name));
	memcpy(members->name, name, strnlen(name, sizeof(members->name)));
	members->mount_id = mount_id;
	return probe;
}

static inline struct probe_bpf *load_probe(const char *name, __u64 mount_id)
{
	struct probe_bpf *probe = open_probe(name, mount_id);

	if (probe_bpf__load(probe))
		bail_out("load probe as %s", name);
	return probe;
}

/* Detached by the skeleton's destruction at the latest. */
static inline int attach_probe(struct probe_bpf *probe)
{
	probe->links.probe = bpf_map__attach_struct_ops(probe->maps.probe);
	return probe->links.probe ? 0 : -1;
}

static inline struct probe_bpf *start_probe(const char *name, __u64 mount_id)
{
	struct probe_bpf *probe = load_probe(name, mount_id);

	if (attach_probe(probe))
		bail_out("attach probe as %s", name);
	return probe;
}

/* At once, where closing the last descriptor may leave it for later. */
static inline void detach_probe(struct probe_bpf *probe)
{
	if (bpf_link__detach(probe->links.probe))
		bail_out("detach");
}

static inline void stop_probe(struct probe_bpf *probe)
{
	detach_probe(probe);
	probe_bpf__destroy(probe);
}

/* A counter that a policy changes meanwhile. */
static inline __u64 peek(const __u64 *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* What the policy has been told of a mount: struct book of probe.bpf.c. */
struct test_book {
	__u64 attaches, detaches, refusals, inside;
};

static inline struct test_book read_book(const struct probe_bpf *probe, __u64 mount_id)
{
	struct test_book book = {};

	bpf_map_lookup_elem(bpf_map__fd(probe->maps.books), &mount_id, &book);
	return book;
}

/* Whether attach() has accepted the mount, and refused it, so often, and detach() came. */
static inline bool book_is(const struct probe_bpf *probe, __u64 mount_id, __u64 attaches,
			   __u64 detaches, __u64 refusals)
{
	struct test_book book = read_book(probe, mount_id);
	bool is = book.attaches == attaches && book.detaches == detaches &&
		  book.refusals == refusals;

	if (!is)
		diag("mount %llu: %llu attached, %llu detached, %llu refused", mount_id,
		     book.attaches, book.detaches, book.refusals);
	return is;
}

/* Nothing came before attach() or after detach(), and each mount has been detached. */
static inline bool books_closed(const struct probe_bpf *probe)
{
	return !probe->bss->strays && probe->bss->attached == probe->bss->detached;
}

/* A ring for the mount's events, as a loader makes it. */
struct test_ring {
	struct ring_buffer *buffer;
	const struct test_mount *mnt;
	int rings, lost;
	int map;
	struct incfs_event events[64];
	int nr_events;
};

static inline int ring_take(void *ctx, void *data, size_t size)
{
	struct test_ring *ring = ctx;

	if (size != sizeof(struct incfs_event) || ring->nr_events == 64)
		return -EINVAL;
	memcpy(&ring->events[ring->nr_events++], data, size);
	return 0;
}

static inline void open_ring(struct test_ring *ring, const struct test_mount *mnt,
			     const struct bpf_object *policy, __u32 size)
{
	__u64 none = 0;

	memset(ring, 0, sizeof(*ring));
	ring->mnt = mnt;
	ring->rings = bpf_object__find_map_fd_by_name(policy, INCFS_RINGS_NAME);
	ring->lost = bpf_object__find_map_fd_by_name(policy, INCFS_LOST_NAME);
	ring->map = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "test_ring", 0, 0, size, NULL);
	if (ring->map < 0)
		bail_out("ring");
	if (bpf_map_update_elem(ring->rings, &mnt->id, &ring->map, BPF_ANY) ||
	    bpf_map_update_elem(ring->lost, &mnt->id, &none, BPF_ANY))
		bail_out("elements of the ring");
	ring->buffer = ring_buffer__new(ring->map, ring_take, ring, NULL);
	if (!ring->buffer)
		bail_out("ring buffer");
}

static inline void close_ring(struct test_ring *ring)
{
	bpf_map_delete_elem(ring->rings, &ring->mnt->id);
	bpf_map_delete_elem(ring->lost, &ring->mnt->id);
	ring_buffer__free(ring->buffer);
	close(ring->map);
}

static inline __u64 lost_events(const struct test_ring *ring)
{
	__u64 count = 0;

	bpf_map_lookup_elem(ring->lost, &ring->mnt->id, &count);
	return count;
}

/* Take events until there are @count; whether there are exactly so many. */
static inline bool take_events(struct test_ring *ring, int count)
{
	__u64 end = now_ms() + SOON;

	while (ring->nr_events < count && now_ms() < end)
		if (ring_buffer__poll(ring->buffer, 50) < 0)
			return false;
	ring_buffer__consume(ring->buffer);
	if (ring->nr_events != count)
		diag("%d events, not %d", ring->nr_events, count);
	return ring->nr_events == count;
}

/* Whether event @index, in the order of their coming, is this one. */
static inline bool is_event(const struct test_ring *ring, int index, __u32 type, __u32 block,
			    __u32 count)
{
	const struct incfs_event *event = &ring->events[index];
	bool is = event->mount_id == ring->mnt->id && event->ino == ring->mnt->ino &&
		  event->type == type && event->block == block && event->count == count;

	if (!is)
		diag("event %d: mount %llu ino %llu type %u block %u count %u", index,
		     event->mount_id, event->ino, event->type, event->block, event->count);
	return is;
}

#endif
