// SPDX-License-Identifier: GPL-2.0-only
/*
 * The image changes below the mount: somebody writes over all of it, at random, while
 * it is read and filled; a disk returns what was never written, or forgets what was;
 * its file system knows no direct reads. Errors, and waits that end, but never a
 * wrong byte, and what is filled again is there again.
 *
 * timeout: 300
 */
#define _GNU_SOURCE
#include <sys/syscall.h>

#include "lib/incfs.h"
#include "lib/tap.h"

#define BLOCKS 256
/* How long somebody writes over the image, in ms. */
#define RACE_MS 8000
#define SECTORS 131072

static struct test_fs fs;
static __u64 ino;
static bool stop;
static unsigned long right, refused, wrong, writes, fills;

static void count(unsigned long *what)
{
	__atomic_add_fetch(what, 1, __ATOMIC_RELAXED);
}

static bool stopped(void)
{
	return __atomic_load_n(&stop, __ATOMIC_RELAXED);
}

/* Read a block, by a mapping or not: right, or refused. */
static void try_read(__u32 block, enum read_how how)
{
	struct reader reader;

	reader_run(&reader, &fs, "file", block, how);
	if (reader.got != BLOCK)
		count(&refused);
	else if (is_expected(ino, block, reader.data, BLOCK))
		count(&right);
	else
		count(&wrong);
}

static void *reading(void *arg)
{
	unsigned int seed = (unsigned long)arg;

	while (!stopped()) {
		if (rand_r(&seed) % 8 == 0)
			drop_cached(&fs, "file");
		try_read(rand_r(&seed) % BLOCKS, rand_r(&seed) % 2);
	}
	return NULL;
}

static void *filling(void *arg)
{
	unsigned int seed = (unsigned long)arg;
	struct incfs_new_data_block block;
	char data[BLOCK];

	while (!stopped()) {
		__u32 index = rand_r(&seed) % BLOCKS;

		expected_block(ino, index, data);
		block = raw_block(ino, index, data, BLOCK);
		if (!try_fill(fs.cmd, &block))
			count(&fills);
		if (rand_r(&seed) % 64 == 0)
			fsync(fs.cmd);
	}
	return NULL;
}

/*
 * Bytes of any kind but zeros: those have a CRC that an entry without one has too,
 * and are what a hole would be (t-backing.c).
 */
static void *meddling(void *arg)
{
	unsigned int seed = (unsigned long)arg, i, n;
	char junk[2 * BLOCK];
	struct stat st;
	int fd = open(fs.image, O_RDWR | O_CLOEXEC);
	off_t at;

	while (!stopped()) {
		n = 1 + rand_r(&seed) % (rand_r(&seed) % 4 ? 64 : sizeof(junk));
		for (i = 0; i < n; i++)
			junk[i] = 1 + rand_r(&seed) % 255;
		fstat(fd, &st);
		at = rand_r(&seed) % st.st_size;
		if (at + (off_t)n > st.st_size)
			n = st.st_size - at;
		if (pwrite(fd, junk, n, at) == (ssize_t)n)
			count(&writes);
		usleep(2000);
	}
	close(fd);
	return NULL;
}

static void make_file_on(const char *dir, const char *name)
{
	snprintf(fs.image, sizeof(fs.image), "%s/image", dir);
	snprintf(fs.dir, sizeof(fs.dir), "%s", name);
	snprintf(fs.options, sizeof(fs.options), "read_timeout_ms=5");
	fs_mount(&fs);
	ino = make_file(&fs, INCFS_ROOT_INODE, "file", BLOCKS * BLOCK);
	fill_blocks(&fs, ino, 0, BLOCKS);
	if (ioctl(fs.cmd, INCFS_IOC_SYNC))
		bail_out("SYNC");
	right = 0;
	refused = 0;
	wrong = 0;
}

static void test_overwritten(void)
{
	static void *(*const all[])(void *) = { reading, reading, filling, meddling };
	pthread_t threads[4];
	__u64 end;
	long i;

	make_file_on(".", "overwritten");
	end = now_ms() + RACE_MS;
	for (i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, all[i], (void *)(i + 1));
	while (now_ms() < end)
		usleep(50000);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	diag("%lu reads right, %lu refused, %lu fills, written over %lu times", right, refused,
	     fills, writes);
	is_int(wrong, 0, "an image that is written over: no byte that is read is wrong");
	ok(right && writes && fills, "while it is read and filled");
	/* A map that is gone cannot be filled, but is none the less no danger. */
	drop_cached(&fs, "file");
	for (i = 0; i < BLOCKS; i++)
		fill_raw(&fs, ino, i, BLOCK);
	for (i = 0; i < BLOCKS; i++)
		try_read(i, READ_PREAD);
	is_int(wrong, 0, "nor is one of those that are filled again");
	ok(block_reads(&fs, "file", ino, 7, BLOCK), "which are there then");
	is_int(count_pending(&fs), 0, "nobody waits");
	fs_unmount(&fs);
	if (try_mount(fs.image, fs.dir, ""))
		ok(errno == EINVAL || errno == EUCLEAN || errno == ENFILE,
		   "what is left is refused");
	else
		ok(!umount(fs.dir), "what is left mounts");
}

static void need(int status, const char *what)
{
	if (status)
		bail_out("%s", what);
}

static char device[64];

/* @features of dm-flakey, which are always on. */
static void set_flakey(const char *features)
{
	char table[256];

	if (features)
		snprintf(table, sizeof(table), "0 %d flakey %s 0 0 3600 %s", SECTORS, device,
			 features);
	else
		snprintf(table, sizeof(table), "0 %d linear %s 0", SECTORS, device);
	need(run_shell("dmsetup suspend --noflush --nolockfs --noudevsync incfs-flakey && "
		       "dmsetup load incfs-flakey --table '%s' && "
		       "dmsetup resume --noudevsync incfs-flakey", table), table);
}

static void forget_image(void)
{
	int fd = open(fs.image, O_RDONLY | O_CLOEXEC);

	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
}

static void try_all(void)
{
	__u32 i;

	for (i = 0; i < BLOCKS; i++) {
		drop_cached(&fs, "file");
		try_read(i, i % 2);
	}
}

static void test_flakey(void)
{
	FILE *pipe;
	__u32 i;

	if (run_shell("modprobe -q dm-flakey; modprobe -q loop; "
		      "dmsetup targets | grep -q flakey")) {
		skip(1, "no dm-flakey here");
		return;
	}
	need(run_shell("truncate -s %dK disk.img && mkdir disk", SECTORS / 2), "disk.img");
	pipe = popen("losetup -f --show disk.img", "re");
	if (!pipe || fscanf(pipe, "%63s", device) != 1 || pclose(pipe))
		bail_out("losetup");
	need(run_shell("dmsetup create incfs-flakey --noudevsync --table '0 %d linear %s 0' && "
		       "dmsetup mknodes && mkfs.ext4 -q /dev/mapper/incfs-flakey && "
		       "mount /dev/mapper/incfs-flakey disk", SECTORS, device), "a flakey disk");
	make_file_on("disk", "flakey");

	/* The 32nd byte of each read is another, and ext4 has what it needs in memory. */
	try_all();
	is_int(right, BLOCKS, "a disk that works: all blocks are right");
	forget_image();
	set_flakey("5 corrupt_bio_byte 32 r 1 0");
	try_all();
	is_int(wrong, 0, "a disk that returns what was never written: no byte is wrong");
	ok(refused, "blocks are refused (%lu right, %lu refused)", right - BLOCKS, refused);
	set_flakey(NULL);
	forget_image();
	for (i = 0; i < BLOCKS; i++)
		fill_raw(&fs, ino, i, BLOCK);
	right = 0;
	try_all();
	is_int(right, BLOCKS, "when it works again, so do blocks that are filled again");

	/* It loses what it has taken, and says nothing. */
	fs_unmount(&fs);
	need(run_shell("umount disk && mount /dev/mapper/incfs-flakey disk"), "mount again");
	fs_mount(&fs);
	fill_blocks(&fs, ino, 0, BLOCKS);
	set_flakey("1 drop_writes");
	ino = make_file(&fs, INCFS_ROOT_INODE, "lost", BLOCKS * BLOCK);
	fill_blocks(&fs, ino, 0, BLOCKS);
	ioctl(fs.cmd, INCFS_IOC_SYNC);
	set_flakey(NULL);
	fs_unmount(&fs);
	run_shell("umount disk");
	if (run_shell("mount /dev/mapper/incfs-flakey disk || "
		      "{ e2fsck -fy /dev/mapper/incfs-flakey > /dev/null; "
		      "mount /dev/mapper/incfs-flakey disk; }"))
		bail_out("mount a disk that has lost writes");
	if (try_mount(fs.image, fs.dir, fs.options)) {
		ok(errno == EUCLEAN || errno == EINVAL, "an image that has lost writes is refused");
	} else {
		struct stat st;

		ino = stat(fs_path(&fs, "file"), &st) ? 0 : st.st_ino;
		fs.cmd = fs_open_cmd(&fs, O_RDWR);
		if (ino)
			try_all();
		fs_unmount(&fs);
		ok(ino, "an image that has lost writes has what was synced before");
	}
	is_int(wrong, 0, "and no wrong byte");
	need(run_shell("umount disk && dmsetup remove --noudevsync incfs-flakey && losetup -d %s",
		       device), "remove the disk");
}

/* ramfs has no direct reads, and refuses to open a file for them. */
static void test_no_direct(void)
{
	need(run_shell("mkdir ramfs && mount -t ramfs ramfs ramfs"), "ramfs");
	make_file_on("ramfs", "no-direct");
	is_errno(open(fs.image, O_RDONLY | O_DIRECT), EINVAL,
		 "a file system that opens nothing with O_DIRECT");
	try_all();
	is_int(right, BLOCKS, "holds images whose blocks are right");
	fs_cycle(&fs);
	try_all();
	is_int(right, 2 * BLOCKS, "mounted again as well");
	fs_unmount(&fs);
	is_int(run_shell("incfs image check '%s' && umount ramfs", fs.image), 0,
	       "the tool finds no fault");
}

int main(void)
{
	test_overwritten();
	test_flakey();
	test_no_direct();
	return done();
}
