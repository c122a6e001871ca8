// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs that know the interface and use all of it, rightly and wrongly, at
 * random: several processes and threads on several mounts, which come and go, some
 * killed at any moment. Whatever is read of a file is what was handed over for
 * it (lib/model.h), what was acknowledged stays there, and in the end the images
 * are sound.
 *
 * t-fuzz-abi [SEED [OPERATIONS]]
 *
 * timeout: 2400
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <lz4.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>

#include "lib/incfs.h"
#include "lib/model.h"
#include "lib/tap.h"

#define SEED 20190502
#define MOUNTS 3
#define PROCESSES 3
#define THREADS 3
#define OPERATIONS 50000
#define OPERATIONS_LONG 1200000
/* Operations are cut off here, in seconds, where a kernel is slow. */
#define TIME 60
#define TIME_LONG 1800
#define MAX_FILES 300
#define BATCH 40
#define ERRNO_MAX 150
#define KEPT 4

enum kind {
	OP_NEW_FILE, OP_ADD, OP_REMOVE, OP_INSTRUCTION, OP_CREATE, OP_WRITE, OP_FILL, OP_SHARE,
	OP_PRESENT, OP_PENDING, OP_SYNC, OP_POLICY, OP_STATS, OP_INFO, OP_ATTRS, OP_IOCTL,
	OP_READ, OP_KEPT_READ, OP_MAPPED, OP_READDIR, OP_STAT, OP_XATTR, OP_OPEN, OP_CHANGE,
	OP_SEEK, OP_POLL, OP_REMOUNT, OP_SPLICE, OP_PROC, NR_RANDOM,
	/* These are the parent's. */
	OP_MOUNT = NR_RANDOM, OP_UNMOUNT, OP_DETACH, OP_KILL, NR_OPS
};

/* How often; what it is called; and that it never fails, or never succeeds. */
static const struct {
	const char *name;
	unsigned int weight;
	bool no_error, no_success;
} ops[NR_OPS] = {
	[OP_NEW_FILE] = { "NEW_FILE", 2 },
	[OP_ADD] = { "ADD_DIR_ENTRY", 6 },
	[OP_REMOVE] = { "REMOVE_DIR_ENTRY", 5 },
	[OP_INSTRUCTION] = { "other instructions", 1 },
	[OP_CREATE] = { "CREATE", 3 },
	[OP_WRITE] = { "write of .cmd", 6 },
	[OP_FILL] = { "FILL", 6 },
	[OP_SHARE] = { "SHARE", 4 },
	[OP_PRESENT] = { "GET_PRESENT", 4 },
	[OP_PENDING] = { "GET_PENDING", 3 },
	[OP_SYNC] = { "SYNC, fsync", 1 },
	[OP_POLICY] = { "SET_POLICY", 2 },
	[OP_STATS] = { "GET_STATS", 3 },
	[OP_INFO] = { "GET_INFO", 3 },
	[OP_ATTRS] = { "GET_ATTRS", 4 },
	[OP_IOCTL] = { "any ioctl", 4 },
	[OP_READ] = { "open and read", 10 },
	[OP_KEPT_READ] = { "read of what is open", 10 },
	[OP_MAPPED] = { "mapping", 6 },
	[OP_READDIR] = { "readdir", 3 },
	[OP_STAT] = { "stat, statfs", 6 },
	[OP_XATTR] = { "xattr, readlink", 4 },
	[OP_OPEN] = { "open", 5 },
	[OP_CHANGE] = { "changes by the VFS", 4, false, true },
	[OP_SEEK] = { "lseek", 4 },
	[OP_POLL] = { "poll, read of .cmd", 5 },
	[OP_REMOUNT] = { "remount", 1 },
	[OP_SPLICE] = { "splice", 2 },
	[OP_PROC] = { "sysfs", 2 },
	[OP_MOUNT] = { "mount", 0 },
	[OP_UNMOUNT] = { "umount", 0 },
	[OP_DETACH] = { "umount, lazy", 0, true },
	[OP_KILL] = { "SIGKILL of a process", 0, true },
};

/* What the processes share. */
struct shared {
	struct model models[MOUNTS];
	unsigned int generation[MOUNTS];	/* atomic: how often it was unmounted */
	unsigned long left;			/* atomic: operations to do */
	unsigned long done[NR_OPS], failed[NR_OPS][ERRNO_MAX];	/* atomic */
	unsigned long wrong;			/* atomic */
	char why[256];				/* of the first */
};

static struct shared *shared;
static struct test_fs mounts[MOUNTS];
static __u64 seed;
static unsigned int total_weight;

/* struct worker - a thread: its random numbers, and what it keeps open of each mount */
struct worker {
	__u64 random;
	struct {
		unsigned int generation;
		int cmd, dir;
		int files[KEPT];
		int model[KEPT];
	} kept[MOUNTS];
	char *pages;		/* two, of which the second is not there */
	char *readonly;		/* one that can't be written */
};

static __thread struct worker *self;
static __thread sigjmp_buf after_fault;
static __thread bool touching;

/* Random values */

static __u64 rnd(__u64 below)
{
	self->random ^= self->random << 13;
	self->random ^= self->random >> 7;
	self->random ^= self->random << 17;
	return below ? (self->random >> 8) % below : self->random;
}

static bool one_in(unsigned int n)
{
	return !rnd(n);
}

/* Numbers at which something ends. */
static __u64 edge(void)
{
	static const __u64 edges[] = { 0, 1, 2, 3, 31, 32, 33, 255, 256, 4095, 4096, 4097, 8192,
		8193, 65535, 65536, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000ull,
		0xffffffffffffull, 0x7fffffffffffffffull, 0x8000000000000000ull,
		0xfffffffffffff000ull, ~0ull };

	return one_in(4) ? rnd(0) : edges[rnd(sizeof(edges) / sizeof(edges[0]))];
}

/* Addresses that are no good, or not for long. */
static void *bad_address(void)
{
	switch (rnd(7)) {
	case 0:
		return NULL;
	case 1:
		return (void *)8;
	case 2:
		return (void *)0xffff888000000000ul;
	case 3:
		return (void *)0x8000000000000000ul;
	case 4:
		return (void *)-8ul;
	case 5:
		return self->readonly;
	default:
		return self->pages + BLOCK - rnd(64);
	}
}

static __u64 any_ino(const struct model *model)
{
	switch (rnd(8)) {
	case 0:
		return edge();
	case 1:
		return rnd(4);
	case 2:
	case 3:
		return 3 + rnd(MAX_FILES);
	default:
		return model->files[rnd(MODEL_FILES)].ino;
	}
}

static __u64 any_dir(void)
{
	return one_in(3) ? INCFS_ROOT_INODE : one_in(8) ? edge() : 3 + rnd(MAX_FILES);
}

static const char *any_name(void)
{
	static __thread char name[16];

	snprintf(name, sizeof(name), "n%d", (int)rnd(24));
	return name;
}

static const char *any_path(const struct test_fs *fs)
{
	static __thread char path[64];

	switch (rnd(6)) {
	case 0:
		snprintf(path, sizeof(path), "%s/%s", any_name(), any_name());
		break;
	case 1:
		return fs_path(fs, any_name());
	case 2:
		return fs_path(fs, one_in(2) ? "" : ".cmd");
	default:
		snprintf(path, sizeof(path), "m%d", (int)rnd(MODEL_FILES + 1));
	}
	return fs_path(fs, path);
}

/* What is kept open */

static void drop_kept(int m)
{
	int i;

	close(self->kept[m].cmd);
	close(self->kept[m].dir);
	self->kept[m].cmd = -1;
	self->kept[m].dir = -1;
	for (i = 0; i < KEPT; i++) {
		close(self->kept[m].files[i]);
		self->kept[m].files[i] = -1;
	}
}

/* After it was unmounted they are used for a while, and then let go. */
static void keep(int m)
{
	unsigned int generation = __atomic_load_n(&shared->generation[m], __ATOMIC_SEQ_CST);
	char name[8];
	int i;

	if (generation != self->kept[m].generation && one_in(8)) {
		drop_kept(m);
		self->kept[m].generation = generation;
	}
	if (generation != self->kept[m].generation)
		return;
	if (self->kept[m].cmd < 0)
		self->kept[m].cmd = open(fs_path(&mounts[m], ".cmd"), O_RDWR | O_CLOEXEC);
	if (self->kept[m].dir < 0)
		self->kept[m].dir = open(mounts[m].dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	i = rnd(KEPT);
	if (self->kept[m].files[i] >= 0 && !one_in(16))
		return;
	close(self->kept[m].files[i]);
	self->kept[m].model[i] = rnd(MODEL_FILES);
	snprintf(name, sizeof(name), "m%d", self->kept[m].model[i]);
	self->kept[m].files[i] = open(fs_path(&mounts[m], name), O_RDONLY | O_CLOEXEC);
}

static int cmd_of(int m)
{
	/* Now and then one that is no .cmd. */
	return one_in(64) ? self->kept[m].files[0] : self->kept[m].cmd;
}

/* Operations: each returns 0, or -1 and errno */

__attribute__((format(printf, 1, 2))) static void wrong(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (!__atomic_fetch_add(&shared->wrong, 1, __ATOMIC_SEQ_CST))
		vsnprintf(shared->why, sizeof(shared->why), format, args);
	va_end(args);
}

static int do_new_file(int m)
{
	static const mode_t modes[] = { S_IFREG, S_IFREG, S_IFDIR, S_IFDIR, S_IFLNK, S_IFIFO, 0 };
	__u64 size = one_in(8) ? edge() : rnd(8 << 20), ino;
	mode_t mode = modes[rnd(7)] | rnd(010000);

	/* A map of gigabytes would be looked through in the end. */
	if (size > 64 << 20 && size < 1ull << 43)
		size >>= 20;
	return try_new(cmd_of(m), mode, size, &ino);
}

static int do_name(int m, __u32 type)
{
	struct incfs_instruction arg = {
		.version = INCFS_HEADER_VER,
		.type = type,
		.dir_entry = { .dir_ino = any_dir(), .child_ino = any_ino(&shared->models[m]) },
	};
	const char *name = any_name();

	arg.dir_entry.name = one_in(20) ? (unsigned long)bad_address() : (unsigned long)name;
	arg.dir_entry.name_len = one_in(20) ? edge() : strlen(name);
	if (type == INCFS_INSTRUCTION_REMOVE_DIR_ENTRY && one_in(2))
		arg.dir_entry.child_ino = 0;
	return ioctl(cmd_of(m), INCFS_IOC_PROCESS_INSTRUCTION, &arg);
}

static int do_instruction(int m)
{
	struct incfs_instruction arg = {
		.version = one_in(2) ? INCFS_HEADER_VER : edge(),
		.type = one_in(2) ? INCFS_INSTRUCTION_NOOP : 5 + edge() % 1000,
	};

	return ioctl(cmd_of(m), INCFS_IOC_PROCESS_INSTRUCTION, one_in(8) ? bad_address() : &arg);
}

static __u8 *put_item(__u8 *at, __u8 type, const char *name, const void *value, __u16 len)
{
	struct incfs_attr_item item = { type, strlen(name), len };

	memcpy(at, &item, sizeof(item));
	memcpy(at + sizeof(item), name, item.name_len);
	memcpy(at + sizeof(item) + item.name_len, value, len);
	return at + sizeof(item) + item.name_len + len;
}

static int do_create(int m)
{
	static const __u32 modes[] = { S_IFREG, S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR };
	__u8 items[INCFS_ITEMS_MAX] = {}, *end = items, *half;
	struct incfs_create arg = {
		.mode = modes[rnd(5)] | rnd(010000),
		.mtime_sec = edge(), .mtime_nsec = one_in(8) ? edge() : rnd(1000000000),
		.uid = one_in(8) ? edge() : rnd(2000), .gid = rnd(2000),
		.items = (unsigned long)items,
	};
	const char *name = any_name();

	if (S_ISLNK(arg.mode) != one_in(16))
		end = put_item(end, INCFS_ATTR_SYMLINK, "", "m1/../n3", 8);
	if (one_in(2))
		end = put_item(end, INCFS_ATTR_KEY, "", items, rnd(INCFS_KEY_MAX + 2));
	if (one_in(2))
		end = put_item(end, INCFS_ATTR_XATTR, "user.one", "value", 5);
	if (one_in(4))
		end = put_item(end, INCFS_ATTR_XATTR, one_in(4) ? "user.one" : "user.two", items,
			       rnd(2000));
	half = items + rnd(end - items + 1);
	if (half < end && one_in(8))
		*half ^= 1 << rnd(8);
	arg.items_len = one_in(16) ? edge() : (__u64)(end - items);
	if (S_ISREG(arg.mode) || one_in(16))
		arg.size = rnd(1 << 20);
	if (one_in(2)) {
		arg.dir_ino = any_dir();
		arg.name = (unsigned long)name;
		arg.name_len = one_in(16) ? edge() : strlen(name);
	}
	if (one_in(16))
		arg.items = (unsigned long)bad_address();
	if (one_in(32))
		arg.reserved[rnd(2)] = edge();
	return ioctl(cmd_of(m), INCFS_IOC_CREATE, &arg);
}

/* struct offer - a block to be handed over, and what the model is to be told then */
struct offer {
	struct incfs_fill_block block;
	struct model_file *file;	/* NULL: not looked after */
	bool good;
};

/* Something that is no LZ4 of this length, by what is missing from it. */
static __u32 pack(const void *content, __u32 len, bool good, char *to)
{
	int packed = LZ4_compress_default(content, to, len, LZ4_COMPRESSBOUND(BLOCK));

	return good ? packed : packed - 1;
}

static void make_offer(struct model *model, struct offer *offer, char *room)
{
	unsigned int variant = rnd(MODEL_VARIANTS);
	__u64 ino = any_ino(model);
	struct model_file *file = model_find(model, ino);
	__u32 index = rnd(file ? file->nr_blocks : 64);
	__u32 len = file ? model_block_len(file, index) : BLOCK;
	bool lz4 = one_in(2);
	/* What is no LZ4 is taken, and absent: not for blocks that others are to share. */
	bool junk = lz4 && one_in(24) && file && file - model->files >= MODEL_SOURCES;
	const void *content = model_content(index, variant);

	*offer = (struct offer) { .file = file, .good = !junk };
	if (lz4)
		len = pack(content, len, !junk, room);
	else
		memcpy(room, content, len);
	if (!lz4 && variant == MODEL_VARIANTS - 1 && len > 1000)
		len = 1000;
	offer->block = (struct incfs_fill_block) {
		.ino = ino, .block = index, .len = len, .data = (unsigned long)room,
		.compression = lz4 ? COMPRESSION_LZ4 : COMPRESSION_NONE, .result = 77,
	};
	if (file && junk)
		model_junk(file, index);
	else if (file)
		model_offer(file, index, variant);
	if (!one_in(12))
		return;
	/* What is refused, whatever it holds. */
	offer->good = false;
	switch (rnd(5)) {
	case 0:
		offer->block.data = (unsigned long)bad_address();
		/* What can be read there is nothing that a block can hold. */
		if (offer->file)
			offer->block.data = 8;
		break;
	case 1:
		offer->block.len = one_in(2) ? 0 : INCFS_MAX_BLOCK_DATA + 1 + edge() % (1u << 30);
		break;
	case 2:
		offer->block.block = offer->file ? offer->file->nr_blocks + rnd(1000) : edge();
		break;
	case 3:
		offer->block.compression = 2 + edge() % (1u << 30);
		break;
	default:
		offer->block.ino = one_in(2) ? INCFS_ROOT_INODE : ~0ull - rnd(9);
	}
}

static void note_filled(const struct offer *offer)
{
	if (offer->file && offer->good)
		model_filled(offer->file, offer->block.block);
}

/* Neighbours are stored together. */
static void make_offers(struct model *model, struct offer *offers, unsigned int count, char *room)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		make_offer(model, &offers[i], room + i * LZ4_COMPRESSBOUND(BLOCK));
}

static __thread char fill_room[BATCH][LZ4_COMPRESSBOUND(BLOCK)];

static int do_write(int m)
{
	struct incfs_new_data_block blocks[BATCH] = {};
	unsigned int count = one_in(2) ? 1 : 1 + rnd(BATCH), i;
	struct offer offers[BATCH];
	ssize_t got;

	if (one_in(32))
		return write(cmd_of(m), bad_address(), one_in(2) ? 40 : edge() % (1u << 24)) < 0 ?
		       -1 : 0;
	make_offers(&shared->models[m], offers, count, fill_room[0]);
	for (i = 0; i < count; i++) {
		blocks[i] = raw_block(offers[i].block.ino, offers[i].block.block,
				      (void *)(unsigned long)offers[i].block.data,
				      offers[i].block.len);
		blocks[i].compression = offers[i].block.compression;
	}
	got = write(cmd_of(m), blocks, count * sizeof(blocks[0]) + rnd(40));
	if (got < 0)
		return -1;
	if (got % sizeof(blocks[0]) || got > (ssize_t)(count * sizeof(blocks[0])))
		wrong("write of .cmd: %zd bytes of %u blocks", got, count);
	for (i = 0; i < got / sizeof(blocks[0]); i++)
		note_filled(&offers[i]);
	return 0;
}

static int do_fill(int m)
{
	struct incfs_fill_block blocks[BATCH];
	unsigned int count = one_in(2) ? 1 : 1 + rnd(BATCH), i, filled = 0;
	struct incfs_fill arg = { .blocks = (unsigned long)blocks, .count = count };
	struct offer offers[BATCH];
	int error = 0;

	make_offers(&shared->models[m], offers, count, fill_room[0]);
	for (i = 0; i < count; i++)
		blocks[i] = offers[i].block;
	if (one_in(16))
		arg.blocks = (unsigned long)bad_address();
	if (one_in(32))
		arg.count = one_in(2) ? 0 : INCFS_FILL_MAX + 1 + edge() % (1u << 30);
	if (one_in(64))
		arg.reserved = 1;
	if (ioctl(cmd_of(m), INCFS_IOC_FILL, &arg))
		return -1;
	/* Some addresses that look bad have room for one block. */
	for (i = 0; i < count && arg.blocks == (unsigned long)blocks; i++) {
		if (blocks[i].result == 77) {
			wrong("FILL: no result of block %u of %u", i, count);
			break;
		}
		filled += !blocks[i].result;
		error = blocks[i].result ?: error;
		if (!blocks[i].result)
			note_filled(&offers[i]);
	}
	if (filled != arg.filled && arg.blocks == (unsigned long)blocks)
		wrong("FILL: %u filled, %u results are 0", arg.filled, filled);
	errno = -error;
	return filled || !error ? 0 : -1;
}

static int do_share(int m)
{
	struct model *model = &shared->models[m];
	struct model_file *from = &model->files[rnd(MODEL_SOURCES)];
	struct model_file *to = &model->files[rnd(MODEL_FILES)];
	struct incfs_share arg = {
		.from_ino = from->ino,
		.from_block = rnd(from->nr_blocks),
		.to_ino = to->ino,
		.count = 1 + rnd(40),
	};
	__u32 i;

	/* Only what is of one group may be the same. */
	arg.to_block = arg.from_block % MODEL_GROUPS +
		       rnd(to->nr_blocks / MODEL_GROUPS + 1) * MODEL_GROUPS;
	if (one_in(4)) {
		arg.to_ino = 3 + MODEL_FILES + rnd(MAX_FILES);
		arg.to_block = one_in(4) ? edge() : rnd(64);
	}
	if (one_in(16))
		arg.count = edge();
	if (one_in(32))
		arg.from_ino = any_ino(model);
	if (model_find(model, arg.from_ino) != from)
		arg.to_ino = edge() | 1ull << 40;
	if (one_in(32))
		arg.reserved = 1;
	to = model_find(model, arg.to_ino);
	for (i = 0; to && i < arg.count && arg.to_block + i < to->nr_blocks; i++)
		model_share(to, arg.to_block + i);
	return ioctl(cmd_of(m), INCFS_IOC_SHARE, &arg);
}

static int do_present(int m)
{
	struct incfs_block_range ranges[32];
	struct incfs_block_ranges arg = {
		.ino = any_ino(&shared->models[m]),
		.ranges = one_in(12) ? (unsigned long)bad_address() : (unsigned long)ranges,
		.first = one_in(4) ? edge() : rnd(64),
		.nr_ranges = one_in(16) ? 0 : 1 + rnd(32),
	};
	__u32 room = arg.nr_ranges, i;

	if (ioctl(cmd_of(m), INCFS_IOC_GET_PRESENT, &arg))
		return -1;
	if (arg.nr_ranges > room)
		wrong("GET_PRESENT: %u ranges, room for %u", arg.nr_ranges, room);
	if (arg.ranges != (unsigned long)ranges)
		return 0;
	for (i = 0; i < arg.nr_ranges; i++) {
		if (!ranges[i].count || ranges[i].first >= arg.nr_blocks ||
		    (i && ranges[i].first <= ranges[i - 1].first + ranges[i - 1].count))
			wrong("GET_PRESENT: range %u is %u, %u", i, ranges[i].first,
			      ranges[i].count);
	}
	return 0;
}

static int do_pending(int m)
{
	struct incfs_pending_read reads[16];
	struct incfs_pending_reads arg = {
		.after = one_in(8) ? edge() : 0,
		.reads = one_in(12) ? (unsigned long)bad_address() : (unsigned long)reads,
		.count = one_in(16) ? 0 : 1 + rnd(16),
		.reserved = one_in(16),
	};

	return ioctl(cmd_of(m), INCFS_IOC_GET_PENDING, &arg);
}

static int do_sync(int m)
{
	int fd = one_in(8) ? self->kept[m].files[1] : cmd_of(m);

	switch (rnd(4)) {
	case 0:
		return fsync(fd);
	case 1:
		return syncfs(fd);
	default:
		return ioctl(fd, INCFS_IOC_SYNC, edge());
	}
}

static int do_policy(int m)
{
	static const char *const names[] = { "", "none", "auto", "nobody", "../../x" };
	struct incfs_policy_choice arg = { .reserved = one_in(16) };

	strcpy(arg.policy, names[rnd(5)]);
	if (one_in(16))
		memset(arg.policy, 'p', sizeof(arg.policy));
	return ioctl(cmd_of(m), INCFS_IOC_SET_POLICY, one_in(16) ? bad_address() : &arg);
}

static int do_stats(int m)
{
	struct incfs_stats arg;

	return ioctl(cmd_of(m), INCFS_IOC_GET_STATS, one_in(8) ? bad_address() : &arg);
}

static int do_info(int m)
{
	struct incfs_mount_info arg;

	return ioctl(cmd_of(m), INCFS_IOC_GET_INFO, one_in(8) ? bad_address() : &arg);
}

static int do_attrs(int m)
{
	__u8 items[INCFS_ITEMS_MAX];
	struct incfs_get_attrs arg = {
		.ino = any_ino(&shared->models[m]),
		.items = one_in(8) ? (unsigned long)bad_address() : (unsigned long)items,
		.items_len = one_in(4) ? rnd(64) : sizeof(items),
		.reserved = one_in(16),
	};

	return ioctl(cmd_of(m), INCFS_IOC_GET_ATTRS, &arg);
}

/* A request of any number and size, and any bytes for it. */
static int do_ioctl(int m)
{
	unsigned int size = one_in(2) ? 8 * rnd(20) : rnd(1 << 14);
	unsigned long request = _IOC(rnd(4), one_in(8) ? rnd(256) : INCFS_IOCTL_BASE_CODE,
				     one_in(4) ? rnd(256) : 40 + rnd(10), size);
	__u64 arg[(1 << 14) / sizeof(__u64)];
	unsigned int i;

	for (i = 0; i < size / sizeof(arg[0]) + 1; i++)
		arg[i] = one_in(2) ? 0 : one_in(2) ? edge() : rnd(64);
	/* Random blocks are not to end up in files that are looked after. */
	if (_IOC_NR(request) == 42 || _IOC_NR(request) == 47)
		arg[0] = 16 * rnd(3), arg[1] = arg[0];
	return ioctl(cmd_of(m), request, one_in(8) ? bad_address() : arg);
}

static void check_read(struct model_file *file, __u64 offset, const void *buf, size_t len)
{
	char why[128];

	if (len && !model_read(file, offset, buf, len, why, sizeof(why)))
		wrong("%s", why);
}

static int read_file(int m, int fd, int number)
{
	struct model_file *file = &shared->models[m].files[number];
	__u64 offset = rnd(file->size + BLOCK);
	size_t len = 1 + rnd(one_in(8) ? 6 * BLOCK : BLOCK);
	bool bad = one_in(24), there;
	struct iovec iov[2];
	char buf[6 * BLOCK];
	ssize_t got;

	if (one_in(2))
		offset &= ~(__u64)(BLOCK - 1);
	there = offset < file->size && model_is_filled(file, offset / BLOCK);
	if (one_in(32))
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	if (one_in(32))
		return pread(fd, buf, len, one_in(2) ? -1 : (off_t)edge()) < 0 ? -1 : 0;
	iov[0] = (struct iovec) { buf, 1 + rnd(len) };
	iov[1] = (struct iovec) { buf + iov[0].iov_len, len - iov[0].iov_len };
	if (bad)
		got = pread(fd, bad_address(), len, offset);
	else
		got = preadv2(fd, iov, 2, offset,
			      one_in(16) ? RWF_NOWAIT : one_in(16) ? (int)rnd(64) : 0);
	if (got >= 0 && !bad)
		check_read(file, offset, buf, got);
	if (got < 0 && there && errno != EAGAIN && errno != EFAULT && errno != EBADF &&
	    errno != EOPNOTSUPP && errno != EINVAL)
		wrong("inode %llu, block %llu was filled, and is %s", file->ino, offset / BLOCK,
		      strerror(errno));
	return got < 0 ? -1 : 0;
}

static int do_read(int m)
{
	int number = rnd(MODEL_FILES), fd, ret, error;
	char name[8];

	snprintf(name, sizeof(name), "m%d", number);
	fd = open(fs_path(&mounts[m], name), O_RDONLY | O_CLOEXEC | (one_in(8) ? O_DIRECT : 0));
	if (fd < 0)
		return -1;
	ret = read_file(m, fd, number);
	error = errno;
	close(fd);
	errno = error;
	return ret;
}

static int do_kept_read(int m)
{
	int i = rnd(KEPT);

	return read_file(m, self->kept[m].files[i], self->kept[m].model[i]);
}

static void on_sigbus(int sig)
{
	if (!touching)
		abort();
	siglongjmp(after_fault, sig);
}

/* Copy from a mapping, and write to one that is private; false if there is no such page. */
static bool touch(char *copy, volatile char *at, size_t len, bool change)
{
	size_t i;

	touching = true;
	if (sigsetjmp(after_fault, 1)) {
		touching = false;
		return false;
	}
	for (i = 0; i < len; i++)
		copy[i] = at[i];
	if (change)
		*at = 1;
	touching = false;
	return true;
}

static int do_mapped(int m)
{
	int i = rnd(KEPT), prot = one_in(4) ? PROT_READ | PROT_WRITE : PROT_READ;
	struct model_file *file = &shared->models[m].files[self->kept[m].model[i]];
	__u64 offset = rnd(file->nr_blocks) * BLOCK, at = rnd(2 * BLOCK - 64);
	int flags = one_in(2) ? MAP_SHARED : MAP_PRIVATE, ret = 0;
	char copy[64];
	char *map;

	map = mmap(NULL, 2 * BLOCK, prot, flags | (one_in(16) ? MAP_POPULATE : 0),
		   self->kept[m].files[i], offset);
	if (map == MAP_FAILED)
		return -1;
	if (one_in(16))
		madvise(map, 2 * BLOCK, 1 + rnd(25));
	if (!touch(copy, map + at, sizeof(copy), prot & PROT_WRITE))
		ret = -1;
	else if (offset + at + sizeof(copy) <= file->size)
		check_read(file, offset + at, copy, sizeof(copy));
	/* As a buffer of a read. */
	if (prot & PROT_WRITE && one_in(2) &&
	    pread(self->kept[m].files[rnd(KEPT)], map, BLOCK, 0) < 0)
		ret = -1;
	munmap(map, 2 * BLOCK);
	if (ret)
		errno = EFAULT;
	return ret;
}

static int do_readdir(int m)
{
	int fd = one_in(8) ? self->kept[m].files[0] : self->kept[m].dir;
	char buf[1024];

	if (one_in(4))
		lseek(fd, one_in(4) ? (off_t)edge() : (off_t)rnd(64), SEEK_SET);
	return syscall(SYS_getdents64, fd, one_in(16) ? bad_address() : buf,
		       one_in(8) ? rnd(64) : sizeof(buf)) < 0 ? -1 : 0;
}

static int do_stat(int m)
{
	const char *path = any_path(&mounts[m]);
	struct statx stx;
	struct stat st;
	char buf[256];

	switch (rnd(4)) {
	case 0:
		return statx(AT_FDCWD, path, rnd(0x10000), one_in(4) ? edge() & 0x7fffffff :
			     STATX_ALL, one_in(8) ? bad_address() : &stx);
	case 1:
		return syscall(SYS_statfs, path, one_in(8) ? bad_address() : buf);
	default:
		return lstat(path, &st);
	}
}

static int do_xattr(int m)
{
	const char *path = any_path(&mounts[m]);
	char buf[4096];

	switch (rnd(4)) {
	case 0:
		return llistxattr(path, buf, one_in(4) ? rnd(20) : sizeof(buf)) < 0 ? -1 : 0;
	case 1:
		return readlink(path, buf, 1 + rnd(20)) < 0 ? -1 : 0;
	default:
		return lgetxattr(path, one_in(2) ? "user.one" : "user.two", buf,
				 one_in(4) ? rnd(20) : sizeof(buf)) < 0 ? -1 : 0;
	}
}

static int do_open(int m)
{
	int fd = open(any_path(&mounts[m]), (edge() & ~O_CREAT) | O_CLOEXEC | O_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

static int do_change(int m)
{
	const char *path = any_path(&mounts[m]), *other = fs_path(&mounts[m], ".cmd");

	switch (rnd(11)) {
	case 0:
		return truncate(path, edge());
	case 1:
		return unlink(path);
	case 2:
		return rmdir(path);
	case 3:
		/* A file that is renamed to itself is none the worse; .cmd has one name. */
		return rename(strcmp(path, other) ? other : fs_path(&mounts[m], "m1"), path);
	case 4:
		return link(other, path);
	case 5:
		return symlink("x", path);
	case 6:
		return mkdir(path, 0755);
	case 7:
		return chmod(path, 0777);
	case 8:
		return setxattr(path, "user.one", "x", 1, 0);
	case 9:
		return pwrite(self->kept[m].files[0], "x", 1, rnd(BLOCK)) < 0 ? -1 : 0;
	default:
		return fallocate(self->kept[m].files[0], rnd(8), 0, BLOCK);
	}
}

static int do_seek(int m)
{
	int fd = one_in(16) ? self->kept[m].cmd : self->kept[m].files[rnd(KEPT)];

	return lseek(fd, one_in(4) ? (off_t)edge() : (off_t)rnd(64 * BLOCK), rnd(6)) < 0 ? -1 : 0;
}

static int do_poll(int m)
{
	struct pollfd pfd = { .fd = self->kept[m].cmd, .events = POLLIN };
	char buf[512];

	if (one_in(2)) {
		poll(&pfd, 1, rnd(3));
		errno = EBADF;
		return pfd.revents & (POLLERR | POLLNVAL) ? -1 : 0;
	}
	return read(pfd.fd, one_in(4) ? bad_address() : buf, one_in(8) ? edge() : sizeof(buf)) < 0 ?
	       -1 : 0;
}

static int do_remount(int m)
{
	unsigned long flags = MS_REMOUNT | (one_in(4) ? MS_RDONLY : 0);
	char options[64];
	int ret, error;

	switch (rnd(6)) {
	case 0:
		snprintf(options, sizeof(options), "max_files=%u", (unsigned int)edge());
		break;
	case 1:
		snprintf(options, sizeof(options), "verify=%s", one_in(2) ? "once" : "always");
		break;
	case 2:
		snprintf(options, sizeof(options), "policy=%s", one_in(2) ? "auto" : "nobody");
		break;
	default:
		/* Never for ever: nobody would come. */
		snprintf(options, sizeof(options), "read_timeout_ms=%d", 1 + (int)rnd(20));
	}
	ret = mount("any", mounts[m].dir, NULL, flags, options);
	error = errno;
	if (flags & MS_RDONLY)
		mount("any", mounts[m].dir, NULL, MS_REMOUNT, "");
	errno = error;
	return ret;
}

static int do_splice(int m)
{
	int i = rnd(KEPT), pipes[2];
	struct model_file *file = &shared->models[m].files[self->kept[m].model[i]];
	loff_t at = rnd(file->nr_blocks) * BLOCK, start = at;
	char buf[2 * BLOCK];
	ssize_t got, n = 0;

	if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK))
		return -1;
	got = splice(self->kept[m].files[i], &at, pipes[1], NULL, sizeof(buf), 0);
	if (got > 0 && one_in(8))
		/* The other way it is refused. */
		n = splice(pipes[0], NULL, self->kept[m].cmd, NULL, got, 0);
	else if (got > 0)
		n = read(pipes[0], buf, sizeof(buf));
	if (got > 0 && n == got)
		check_read(file, start, buf, n);
	close(pipes[0]);
	close(pipes[1]);
	return got < 0 || n < 0 ? -1 : 0;
}

static int do_proc(int m)
{
	static const char *const files[] = { "policy", "policy_in_use", "policy_failure", "dev" };
	struct incfs_mount_info info = {};
	char path[128], buf[256];
	int fd, ret;

	ioctl(self->kept[m].cmd, INCFS_IOC_GET_INFO, &info);
	snprintf(path, sizeof(path), "/sys/fs/incremental-fs/mounts/%llu/%s", info.mount_id,
		 files[rnd(4)]);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ret = one_in(4) ? write(fd, "auto\nx", rnd(7)) : read(fd, buf, sizeof(buf));
	close(fd);
	return ret < 0 ? -1 : 0;
}

static int do_add(int m)
{
	return do_name(m, INCFS_INSTRUCTION_ADD_DIR_ENTRY);
}

static int do_remove(int m)
{
	return do_name(m, INCFS_INSTRUCTION_REMOVE_DIR_ENTRY);
}

static int (*const run_op[NR_RANDOM])(int m) = {
	do_new_file, do_add, do_remove, do_instruction, do_create, do_write, do_fill, do_share,
	do_present, do_pending, do_sync, do_policy, do_stats, do_info, do_attrs, do_ioctl,
	do_read, do_kept_read, do_mapped, do_readdir, do_stat, do_xattr, do_open, do_change,
	do_seek, do_poll, do_remount, do_splice, do_proc,
};

static void count(enum kind kind, int ret, int error)
{
	if (ret < 0)
		__atomic_add_fetch(&shared->failed[kind][error < ERRNO_MAX ? error : 0], 1,
				   __ATOMIC_RELAXED);
	else
		__atomic_add_fetch(&shared->done[kind], 1, __ATOMIC_RELAXED);
}

/* Processes */

static enum kind any_op(void)
{
	unsigned int i, at = rnd(total_weight);

	for (i = 0; at >= ops[i].weight; i++)
		at -= ops[i].weight;
	return i;
}

static void *work(void *arg)
{
	struct worker worker = { .random = (unsigned long)arg };
	enum kind kind;
	int m, i, ret;

	self = &worker;
	worker.pages = mmap(NULL, 2 * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
	worker.readonly = mmap(NULL, BLOCK, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(worker.pages + BLOCK, BLOCK);
	for (m = 0; m < MOUNTS; m++) {
		worker.kept[m].cmd = -1;
		worker.kept[m].dir = -1;
		for (i = 0; i < KEPT; i++)
			worker.kept[m].files[i] = -1;
	}
	while ((long)__atomic_fetch_sub(&shared->left, 1, __ATOMIC_RELAXED) > 0) {
		m = rnd(MOUNTS);
		keep(m);
		kind = any_op();
		errno = 0;
		ret = run_op[kind](m);
		count(kind, ret, errno);
	}
	for (m = 0; m < MOUNTS; m++)
		drop_kept(m);
	return NULL;
}

static pid_t start_process(__u64 number)
{
	struct sigaction action = { .sa_handler = on_sigbus };
	pthread_t threads[THREADS];
	pid_t pid;
	int i;

	pid = must_fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGXFSZ, SIG_IGN);
	sigaction(SIGBUS, &action, NULL);
	for (i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, work,
			       (void *)((seed + number * THREADS + i + 1) * 0x9e3779b97f4a7c15ul));
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	_exit(0);
}

static void mount_again(int m)
{
	struct test_fs *fs = &mounts[m];
	__u64 end = now_ms() + SOON;
	int ret;

	/* Until those who have something open there let it go. */
	do {
		ret = try_mount(fs->image, fs->dir, fs->options);
		count(OP_MOUNT, ret, errno);
		if (ret)
			usleep(5000);
	} while (ret && errno == EBUSY && now_ms() < end);
	if (ret)
		bail_out("mount %s again", fs->image);
}

/* One comes loose, and is mounted again. */
static void unmount(int m, bool lazy)
{
	int ret = umount2(mounts[m].dir, lazy ? MNT_DETACH : 0);

	count(lazy ? OP_DETACH : OP_UNMOUNT, ret, errno);
	if (ret)
		return;
	__atomic_add_fetch(&shared->generation[m], 1, __ATOMIC_SEQ_CST);
	mount_again(m);
}

static void run_all(int seconds)
{
	__u64 start = now_ms(), end = start + seconds * 1000ull, number = PROCESSES;
	pid_t pids[PROCESSES];
	unsigned long total = 0;
	unsigned int i, turn, e;
	int status;

	for (i = 0; i < PROCESSES; i++)
		pids[i] = start_process(i);
	for (turn = 0; (long)__atomic_load_n(&shared->left, __ATOMIC_RELAXED) > 0; turn++) {
		usleep(300000);
		if (now_ms() > end)
			__atomic_store_n(&shared->left, 0, __ATOMIC_RELAXED);
		if (turn % 3 != 2) {
			unmount(turn % MOUNTS, turn % 2);
			continue;
		}
		i = turn / 3 % PROCESSES;
		if (waitpid(pids[i], &status, WNOHANG)) {
			ok(WIFEXITED(status) && !WEXITSTATUS(status), "a process ends by itself");
			pids[i] = 0;
			break;
		}
		kill(pids[i], SIGKILL);
		count(OP_KILL, wait_exit(pids[i]) == 128 + SIGKILL ? 0 : -1, ECHILD);
		pids[i] = start_process(number++);
	}
	__atomic_store_n(&shared->left, 0, __ATOMIC_RELAXED);
	for (i = 0; i < PROCESSES; i++) {
		if (pids[i] && wait_exit(pids[i]))
			wrong("process %u has failed", i);
	}
	/* Nobody has anything open now. */
	for (i = 0; i < MOUNTS; i++)
		unmount(i, false);
	for (i = 0; i < NR_OPS; i++) {
		total += shared->done[i];
		for (e = 0; e < ERRNO_MAX; e++)
			total += shared->failed[i][e];
	}
	diag("%lu operations in %llu ms, %llu a second; %llu processes killed", total,
	     now_ms() - start, total * 1000ull / (now_ms() - start + 1), number - PROCESSES);
}

static void show(enum kind kind)
{
	char line[512];
	unsigned long failed = 0;
	size_t at = 0;
	int e;

	line[0] = 0;
	for (e = 0; e < ERRNO_MAX; e++) {
		if (!shared->failed[kind][e] || at >= sizeof(line))
			continue;
		failed += shared->failed[kind][e];
		at += snprintf(line + at, sizeof(line) - at, " %s %lu", strerrorname_np(e) ?: "?",
			       shared->failed[kind][e]);
	}
	diag("%-22s %6lu done,%s", ops[kind].name, shared->done[kind], line);
	ok((ops[kind].no_success ? !shared->done[kind] : shared->done[kind] > 0) &&
	   (ops[kind].no_error ? !failed : failed > 0), "%s: %s, %s", ops[kind].name,
	   ops[kind].no_success ? "never done" : "done", ops[kind].no_error ? "never refused" :
	   "and refused");
}

/* Hand over again whatever is there: that what was no LZ4 is replaced. */
static void fill_present(const struct test_fs *fs, struct model *model, __u64 ino, __u64 size)
{
	struct model_file *file = model_find(model, ino);
	struct incfs_block_range range;
	struct incfs_block_ranges arg = { .ino = ino, .ranges = (unsigned long)&range };
	struct incfs_new_data_block block;
	__u64 left;
	__u32 b;

	do {
		arg.nr_ranges = 1;
		if (ioctl(fs->cmd, INCFS_IOC_GET_PRESENT, &arg))
			bail_out("GET_PRESENT of inode %llu", ino);
		for (b = range.first; arg.nr_ranges && b < range.first + range.count; b++) {
			left = size - (__u64)b * BLOCK;
			if (file)
				model_offer(file, b, 0);
			block = raw_block(ino, b, model_content(b, 0), left < BLOCK ? left : BLOCK);
			if (try_fill(fs->cmd, &block))
				bail_out("fill block %u of inode %llu", b, ino);
		}
	} while (arg.first < arg.nr_blocks);
}

/* Are all blocks of the files right that were once filled? Returns how many. */
static int check_files(const struct test_fs *fs, struct model *model)
{
	char name[16], buf[BLOCK];
	int f, checked = 0;
	ssize_t got;
	__u32 b;

	for (f = 0; f < MODEL_FILES; f++) {
		struct model_file *file = &model->files[f];

		snprintf(name, sizeof(name), "m%d", f);
		for (b = 0; b < file->nr_blocks; b++) {
			if (!file->blocks[b].seen && !model_is_filled(file, b))
				continue;
			got = read_block(fs, name, b, buf);
			if (got != (ssize_t)model_block_len(file, b))
				wrong("%s, block %u: %zd of %u bytes", name, b, got,
				      model_block_len(file, b));
			else
				check_read(file, (__u64)b * BLOCK, buf, got);
			checked++;
		}
	}
	return checked;
}

static void check_image(int m)
{
	struct test_fs *fs = &mounts[m];
	struct model *model = &shared->models[m];
	struct incfs_get_attrs attrs;
	int checked, i;

	fs->cmd = fs_open_cmd(fs, O_RDWR);
	for (i = 3; i < MAX_FILES + 3; i++) {
		attrs = (struct incfs_get_attrs) { .ino = i };
		if (ioctl(fs->cmd, INCFS_IOC_GET_ATTRS, &attrs) && errno == ENOENT)
			break;
		if (S_ISREG(attrs.mode))
			fill_present(fs, model, i, attrs.size);
	}
	checked = check_files(fs, model);
	ok(!shared->wrong, "image %d: what was acknowledged is there, and right (%d blocks)", m,
	   checked);
	is_int(count_pending(fs), 0, "image %d: nobody waits", m);
	fs_unmount(fs);
	is_int(run_shell("incfs image check '%s' > log 2>&1 || { cat log; exit 1; }", fs->image),
	       0, "image %d: the tool finds no fault", m);
	fs_mount(fs);
	is_int(check_files(fs, model), checked, "image %d: mounted again it has the same blocks",
	       m);
	ok(!shared->wrong, "image %d: and they hold the same", m);
	fs_unmount(fs);
}

int main(int argc, char **argv)
{
	const char *factor = getenv("INCFS_TIMEOUT_FACTOR"), *is_long = getenv("INCFS_LONG");
	int slow = factor ? atoi(factor) : 1, i;
	unsigned long operations;
	char name[16];

	is_long = is_long && *is_long ? is_long : NULL;
	operations = is_long ? OPERATIONS_LONG : OPERATIONS;
	seed = argc > 1 ? strtoull(argv[1], NULL, 0) : SEED;
	operations = argc > 2 ? strtoul(argv[2], NULL, 0) : operations;
	diag("seed %llu", seed);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (shared == MAP_FAILED)
		bail_out("mmap");
	shared->left = operations;
	for (i = 0; i < NR_RANDOM; i++)
		total_weight += ops[i].weight;
	model_init();
	/* Where a mount is not, nothing comes to be in its place. */
	if (mkdir("at", 0755) || mount("at", "at", "tmpfs", 0, "size=64k"))
		bail_out("tmpfs");
	for (i = 0; i < MOUNTS; i++) {
		snprintf(name, sizeof(name), "at/%d", i);
		mkdir(name, 0755);
	}
	if (mount("at", "at", NULL, MS_REMOUNT | MS_RDONLY, ""))
		bail_out("tmpfs");
	for (i = 0; i < MOUNTS; i++) {
		struct test_fs *fs = &mounts[i];

		snprintf(fs->image, sizeof(fs->image), "%d.img", i);
		snprintf(fs->dir, sizeof(fs->dir), "at/%d", i);
		snprintf(fs->options, sizeof(fs->options), "read_timeout_ms=%d,max_files=%d%s",
			 5 * i + 1, MAX_FILES, i == 1 ? ",verify=once" : "");
		fs_mount(fs);
		model_make(&shared->models[i], fs);
		close(fs->cmd);
	}
	run_all((is_long ? TIME_LONG : TIME) * slow);
	is_int(shared->wrong, 0, "nothing wrong was read, and nothing was missing");
	if (shared->wrong)
		diag("%s", shared->why);
	for (i = 0; i < NR_OPS; i++)
		show(i);
	for (i = 0; i < MOUNTS; i++)
		check_image(i);
	if (shared->wrong)
		diag("%s", shared->why);
	umount("at");
	return done();
}
