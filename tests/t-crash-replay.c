// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a crash leaves, at many moments of a fill, on the file systems that an
 * image may lie on.
 *
 * dm-log-writes records every write to the disk below that file system, with the
 * flushes between them and a mark after each sync that the module has
 * acknowledged. Then the log is replayed up to a point, the file system is
 * mounted, which recovers it, the image is mounted, and it is compared with the
 * books (lib/ledger.h). A point is one of three:
 *
 * - a flush, or a write that is one: what the disk holds there at least;
 * - between two of them, the writes in the order in which they ended;
 * - there too, with blocks left out at random of all that was written since the
 *   last flush: a disk with a cache may do that. Not on F2FS, which orders the
 *   two halves of its own fsync by no flush and so loses pages of files there.
 *
 * INCFS_LONG=1 tries each flush, and many points between.
 * timeout: 1800
 */
#define _GNU_SOURCE
#include <endian.h>
#include <linux/loop.h>

#include "lib/incfs.h"
#include "lib/ledger.h"
#include "lib/tap.h"

#define SEED 20
#define STEPS 300
#define LONG_STEPS 900
#define SECTOR 512
#define MARK "incfs-"

/* The disk below the file system, and what dm-log-writes makes of its writes. */
#define DM_NAME "incfs-crash"
#define LOG_MAGIC 0x6a736677736872ull
#define LOG_FLUSH 1
#define LOG_FUA 2
#define LOG_DISCARD 4
#define LOG_MARK 8

struct log_super {
	__le64 magic;
	__le64 version;
	__le64 nr_entries;
	__le32 sector_size;
};

struct log_entry {
	__le64 sector;
	__le64 nr_sectors;
	__le64 flags;
	__le64 data_len;
};

struct backing {
	const char *type;
	const char *module;
	const char *mkfs;
	const char *options;
	unsigned int mib;
	unsigned int block;	/* what it writes in whole */
	bool reorders;		/* its fsync survives a disk that reorders */
	unsigned int points;	/* of each kind, in the short form */
};

static const struct backing backings[] = {
	{ "ext4", "ext4", "mkfs.ext4 -q -b 1024 -E nodiscard,lazy_itable_init=1", "", 64, 1024,
	  true, 24 },
	{ "xfs", "xfs", "mkfs.xfs -q -K", "", 320, BLOCK, true, 6 },
	{ "btrfs", "btrfs", "mkfs.btrfs -q -K", "", 160, BLOCK, true, 6 },
	{ "f2fs", "f2fs", "mkfs.f2fs -q -t 0", "", 96, BLOCK, false, 6 },
};

/* A write, a flush or a mark of the log. */
struct event {
	__u64 flags;
	off_t to;
	off_t from;
	size_t len;
	unsigned int synced;	/* step of the books that was acknowledged by then */
};

static struct ledger ledger;
static struct event *events;
static unsigned int nr_events;
static unsigned int random_state;

__attribute__((format(printf, 1, 2))) static void must_run(const char *format, ...)
{
	char command[512];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	if (run_shell("%s", command))
		bail_out("%s", command);
}

/* A loop device on @file, which goes with the last that has it open. */
static int loop_open(const char *file, char *path, size_t size)
{
	struct loop_config config = { .info.lo_flags = LO_FLAGS_AUTOCLEAR };
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), fd = -1, tries;
	int backing = open(file, O_RDWR | O_CLOEXEC);

	config.fd = backing;
	for (tries = 0; fd < 0 && tries < 50; tries++) {
		snprintf(path, size, "/dev/loop%d", ioctl(control, LOOP_CTL_GET_FREE));
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd >= 0 && ioctl(fd, LOOP_CONFIGURE, &config)) {
			close(fd);
			fd = -1;
			/* The one before is being cleared still. */
			usleep(20000);
		}
	}
	if (fd < 0)
		bail_out("a loop device for %s", file);
	close(backing);
	close(control);
	return fd;
}

static bool all_zero(const char *buf, size_t len)
{
	return !buf[0] && !memcmp(buf, buf + 1, len - 1);
}

/* Copy what is not zero; @to begins as an empty file. */
static void copy_sparse(const char *from, const char *to)
{
	static char buf[1 << 16];
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	off_t at = 0, end;
	ssize_t got;

	end = lseek(in, 0, SEEK_END);
	if (in < 0 || out < 0 || ftruncate(out, end))
		bail_out("copy %s to %s", from, to);
	while ((at = lseek(in, at, SEEK_DATA)) >= 0) {
		got = pread(in, buf, sizeof(buf), at);
		if (got <= 0 || (!all_zero(buf, got) && pwrite(out, buf, got, at) != got))
			bail_out("copy %s to %s", from, to);
		at += got;
	}
	close(in);
	close(out);
}

static void mount_backing(const struct backing *backing, const char *device)
{
	if (mount(device, "mnt", backing->type, 0, backing->options))
		bail_out("mount %s with %s", device, backing->type);
}

static void set_image(struct test_fs *fs)
{
	snprintf(fs->image, sizeof(fs->image), "mnt/image");
	snprintf(fs->dir, sizeof(fs->dir), "incfs");
	snprintf(fs->options, sizeof(fs->options), "read_timeout_ms=1");
}

/* So many steps are synced: the log says so from here on. */
static void mark(unsigned int steps)
{
	must_run("dmsetup message " DM_NAME " 0 mark " MARK "%u", steps);
}

/* The fill, on the recorded device. */
static void fill(unsigned int steps)
{
	struct test_fs fs = {};

	set_image(&fs);
	fs_mount(&fs);
	sync();
	mark(0);
	ledger_fill(&fs, &ledger, steps, mark);
	fs_unmount(&fs);
}

static void record(const struct backing *backing, unsigned int steps)
{
	char disk[64], log[64];
	int disk_fd, log_fd;

	must_run("truncate -s %uM disk && truncate -s 1G log", backing->mib);
	must_run("%s disk > mkfs.out 2>&1", backing->mkfs);
	copy_sparse("disk", "state");
	disk_fd = loop_open("disk", disk, sizeof(disk));
	log_fd = loop_open("log", log, sizeof(log));
	run_shell("dmsetup remove --noudevsync " DM_NAME " 2> /dev/null");
	must_run("dmsetup create --noudevsync " DM_NAME
		 " --table \"0 $(blockdev --getsz %s) log-writes %s %s\" &&"
		 " dmsetup mknodes " DM_NAME, disk, disk, log);
	mount_backing(backing, "/dev/mapper/" DM_NAME);
	fill(steps);
	if (umount("mnt"))
		bail_out("umount");
	must_run("dmsetup remove --noudevsync --retry " DM_NAME);
	if (fsync(log_fd))
		bail_out("log");
	close(disk_fd);
	close(log_fd);
}

static void read_log(int fd)
{
	unsigned int sector_size, synced = 0, i;
	struct log_super super;
	struct log_entry entry;
	char mark[64];
	off_t at;

	if (pread(fd, &super, sizeof(super), 0) != sizeof(super) ||
	    le64toh(super.magic) != LOG_MAGIC || le64toh(super.version) != 1)
		bail_out("this is no log of dm-log-writes");
	sector_size = le32toh(super.sector_size);
	nr_events = le64toh(super.nr_entries);
	events = calloc(nr_events, sizeof(*events));
	at = sector_size;
	for (i = 0; i < nr_events; i++) {
		struct event *event = &events[i];

		if (pread(fd, &entry, sizeof(entry), at) != sizeof(entry))
			bail_out("log, entry %u", i);
		event->flags = le64toh(entry.flags);
		event->to = le64toh(entry.sector) * sector_size;
		event->len = le64toh(entry.nr_sectors) * sector_size;
		event->from = at + sector_size;
		if ((event->flags & LOG_MARK) && le64toh(entry.data_len) < sizeof(mark) &&
		    pread(fd, mark, sizeof(mark), at + sizeof(entry)) == sizeof(mark)) {
			mark[le64toh(entry.data_len)] = 0;
			/* Behind the first mark there is an image; steps count from 1 here. */
			if (!strncmp(mark, MARK, strlen(MARK)))
				synced = atoi(mark + strlen(MARK)) + 1;
		}
		event->synced = synced;
		at = event->from + (event->flags & LOG_DISCARD ? 0 : event->len);
	}
}

/* A disk holds zeros where something was discarded, or what was there: zeros here. */
static void apply(int log, int disk, const struct event *event, off_t offset, size_t len)
{
	static char buf[1 << 20];
	size_t part;

	for (; len; len -= part, offset += part) {
		part = len < sizeof(buf) ? len : sizeof(buf);
		memset(buf, 0, part);
		if (!(event->flags & LOG_DISCARD) &&
		    pread(log, buf, part, event->from + offset) != (ssize_t)part)
			bail_out("read the log");
		if (pwrite(disk, buf, part, event->to + offset) != (ssize_t)part)
			bail_out("replay");
	}
}

static bool is_flush(const struct event *event)
{
	return event->flags & (LOG_FLUSH | LOG_FUA);
}

/* Of what was written between flushes, leave blocks of the file system out. */
static void apply_some(int log, int disk, const struct event *event, unsigned int block)
{
	size_t offset, part;

	if (event->flags & LOG_FUA)
		return apply(log, disk, event, 0, event->len);
	for (offset = 0; offset < event->len; offset += part) {
		part = block - (event->to + offset) % block;
		if (part > event->len - offset)
			part = event->len - offset;
		if (rand_r(&random_state) % 2)
			apply(log, disk, event, offset, part);
	}
}

enum kind {
	AT_FLUSH,
	IN_ORDER,
	REORDERED,
	NR_KINDS,
};

static const char *const kinds[] = { "flushes", "between", "reordered" };

struct totals {
	unsigned int points[NR_KINDS];
	unsigned int cut;		/* entries that have lost their CRC */
	unsigned int refused;
	unsigned int unusable;	/* could not be filled on */
	struct ledger_result result;
};

/* Of the format, as far as a block map is looked for and looked at. */
struct super {
	unsigned char unused[22];
	__le64 first;
} __attribute__((packed));

struct record {
	__u8 type;
	__le16 size;
	__le32 crc;
	__le64 next;
	__le64 prev;
	__le64 unused;
	__le64 offset;			/* of a block map */
	__le32 blocks;
} __attribute__((packed));

struct entry {
	__le32 offset;
	__le16 offset_high;
	__le16 size;
	__le16 flags;
	__le32 crc;
} __attribute__((packed));

#define RECORD_BLOCK_MAP 2

/*
 * Entries of a crashed image that have a size and no CRC. There are none in the
 * books, which have no zeros: each was cut in two. It is a wrong byte as soon as what
 * it points at is zeros, which few are.
 */
static unsigned int count_cut_entries(const char *path)
{
	unsigned int cut = 0, i, blocks;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct entry entries[LEDGER_BLOCKS];
	struct record record;
	struct super super;
	__u64 at;

	if (fd < 0 || pread(fd, &super, sizeof(super), 0) != sizeof(super))
		bail_out("read %s", path);
	for (at = le64toh(super.first); at; at = le64toh(record.next)) {
		if (pread(fd, &record, sizeof(record), at) != sizeof(record) || !record.type)
			break;
		blocks = le32toh(record.blocks);
		if (record.type != RECORD_BLOCK_MAP || blocks > LEDGER_BLOCKS)
			continue;
		memset(entries, 0, sizeof(entries));
		if (pread(fd, entries, blocks * sizeof(*entries), le64toh(record.offset)) <= 0)
			continue;
		for (i = 0; i < blocks; i++)
			cut += entries[i].size && !entries[i].crc;
	}
	close(fd);
	return cut;
}

/* A new file can be made and filled, and it stays. */
static bool goes_on(struct test_fs *fs)
{
	__u64 ino = make_file(fs, INCFS_ROOT_INODE, "afterwards", 2 * BLOCK);
	bool right;

	fill_raw(fs, ino, 0, BLOCK);
	fill_lz4(fs, ino, 1, BLOCK);
	fs_cycle(fs);
	right = block_reads(fs, "afterwards", ino, 0, BLOCK) &&
		block_reads(fs, "afterwards", ino, 1, BLOCK);
	if (try_remove(fs->cmd, INCFS_ROOT_INODE, ino, "afterwards"))
		bail_out("REMOVE_DIR_ENTRY");
	return right;
}

/* Mount the disk in the file "crash" as it is, and look at the image. */
static void check_crash(const struct backing *backing, unsigned int synced, struct totals *totals)
{
	struct ledger_result before = totals->result, after = {};
	struct test_fs fs = {};
	char loop[64];
	int fd = loop_open("crash", loop, sizeof(loop));

	mount_backing(backing, loop);
	close(fd);
	set_image(&fs);
	totals->cut += count_cut_entries(fs.image);
	if (try_mount(fs.image, fs.dir, fs.options)) {
		diag("the image is refused: %s", strerror(errno));
		totals->refused++;
	} else {
		fs.cmd = fs_open_cmd(&fs, O_RDWR);
		ledger_check(&fs, &ledger, synced, &totals->result);
		if (!goes_on(&fs))
			totals->unusable++;
		/*
		 * What was damaged has been filled again, and stays. Entries that
		 * led behind the end of the image may be damaged ones by now.
		 */
		ledger_check(&fs, &ledger, synced, &after);
		if (after.lost || after.wrong ||
		    after.blocks < totals->result.blocks - before.blocks +
				   totals->result.damaged - before.damaged)
			totals->unusable++;
		fs_unmount(&fs);
	}
	if (umount("mnt"))
		bail_out("umount mnt");
}

static void try_point(const struct backing *backing, int log, unsigned int flushed,
		      unsigned int point, enum kind kind, struct totals *totals)
{
	unsigned int bad = totals->refused + totals->unusable + totals->result.lost +
			   totals->result.wrong, i;
	int crash;

	copy_sparse("state", "crash");
	crash = open("crash", O_RDWR | O_CLOEXEC);
	for (i = flushed; i < point; i++) {
		if (kind == REORDERED)
			apply_some(log, crash, &events[i], backing->block);
		else
			apply(log, crash, &events[i], 0, events[i].len);
	}
	close(crash);
	check_crash(backing, events[point - 1].synced - 1, totals);
	totals->points[kind]++;
	if (totals->refused + totals->unusable + totals->result.lost + totals->result.wrong != bad)
		diag("%s, %s: that was behind event %u of %u, with step %u synced", backing->type,
		     kinds[kind], point, nr_events, events[point - 1].synced - 1);
}

/* Whether the n-th of @all is among @some spread evenly over them. */
static bool chosen(unsigned int n, unsigned int all, unsigned int some)
{
	return some >= all || n * some / all != (n + 1) * some / all;
}

static void replay(const struct backing *backing, unsigned int points, struct totals *totals)
{
	unsigned int flushes = 0, others = 0, flush = 0, other = 0, flushed = 0, i, j;
	int log = open("log", O_RDONLY | O_CLOEXEC);
	int state = open("state", O_RDWR | O_CLOEXEC);

	read_log(log);
	for (i = 0; i < nr_events; i++) {
		if (events[i].synced && !(events[i].flags & LOG_MARK))
			*(is_flush(&events[i]) ? &flushes : &others) += 1;
	}
	for (i = 0; i < nr_events; i++) {
		const struct event *event = &events[i];

		if (is_flush(event)) {
			for (j = flushed; j <= i; j++)
				apply(log, state, &events[j], 0, events[j].len);
			flushed = i + 1;
		}
		if (!event->synced || (event->flags & LOG_MARK))
			continue;
		if (is_flush(event)) {
			if (chosen(flush++, flushes, points))
				try_point(backing, log, flushed, i + 1, AT_FLUSH, totals);
		} else if (chosen(other++, others, points)) {
			try_point(backing, log, flushed, i + 1, IN_ORDER, totals);
			if (backing->reorders)
				try_point(backing, log, flushed, i + 1, REORDERED, totals);
		}
	}
	diag("%s: a log of %u events, %u of them flushes", backing->type, nr_events, flushes);
	close(state);
	close(log);
	free(events);
}

static void test_backing(const struct backing *backing, bool thorough)
{
	struct totals totals = {};
	const struct ledger_result *result = &totals.result;
	__u64 start = now_ms(), middle;

	run_shell("modprobe -q %s", backing->module);
	ledger_init(&ledger, SEED);
	random_state = SEED;
	/* In memory: a replay copies the disk for each point. */
	if (mount("tmpfs", "mem", "tmpfs", 0, "size=1g"))
		bail_out("tmpfs");
	if (chdir("mem") || mkdir("mnt", 0755))
		bail_out("mem");
	record(backing, thorough ? LONG_STEPS : STEPS);
	run_shell("btrfs device scan --forget > /dev/null 2>&1");
	middle = now_ms();
	replay(backing, thorough ? 200 : backing->points, &totals);
	if (chdir("..") || umount2("mem", MNT_DETACH))
		bail_out("mem");
	diag("%s: %u points at flushes, %u between, %u reordered; recorded in %llu ms, tried in %llu",
	     backing->type, totals.points[AT_FLUSH], totals.points[IN_ORDER],
	     totals.points[REORDERED], middle - start, now_ms() - middle);
	diag("%s: %u blocks and %u names there, %u of these synced; %u damaged, filled again",
	     backing->type, result->blocks, result->names, result->kept, result->damaged);
	ok(totals.points[AT_FLUSH] && totals.points[IN_ORDER] && result->kept,
	   "%s: there were points to try, and synced blocks", backing->type);
	is_int(totals.refused, 0, "%s: no image is refused", backing->type);
	is_int(totals.cut, 0, "%s: no entry of a block map has lost its CRC", backing->type);
	is_int(result->lost, 0, "%s: nothing is lost that a sync had acknowledged",
	       backing->type);
	is_int(result->wrong, 0, "%s: all the rest is there, and right, or absent",
	       backing->type);
	is_int(totals.unusable, 0, "%s: each image can be filled on", backing->type);
}

int main(void)
{
	const char *thorough = getenv("INCFS_LONG"), *only = getenv("INCFS_BACKING");
	unsigned int i;

	run_shell("modprobe -q -a dm-mod dm-log-writes loop");
	if (mkdir("mem", 0755))
		bail_out("mem");
	for (i = 0; i < sizeof(backings) / sizeof(backings[0]); i++) {
		if (!only || !strcmp(only, backings[i].type))
			test_backing(&backings[i], thorough && *thorough);
	}
	return done();
}
