// SPDX-License-Identifier: GPL-2.0-only
/*
 * A loader of 2019, which knows the interface of that year and nothing of this
 * project's header: what it was compiled against is written down here, and what
 * its structures reserve it leaves as it found it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/tap.h"

#define BLOCKS 40
#define TAIL 777

struct pending_read {
	uint64_t ino;
	uint32_t block;
	uint32_t serial;
};

struct data_block {
	uint64_t ino;
	uint32_t block;
	uint32_t len;
	uint64_t data;
	uint32_t compression;
	uint32_t reserved1;
	uint64_t reserved2;
};

struct instruction {
	uint32_t version;
	uint32_t type;
	union {
		struct {
			uint64_t ino_out;
			uint64_t size;
			uint16_t mode;
			uint16_t reserved1;
			uint32_t reserved2;
			uint64_t reserved[5];
		} file;
		struct {
			uint64_t dir;
			uint64_t child;
			uint32_t name_len;
			uint32_t reserved1;
			uint64_t name;
			uint64_t reserved[4];
		} entry;
		uint8_t reserved[64];
	};
};

_Static_assert(sizeof(struct pending_read) == 16, "pending_read");
_Static_assert(sizeof(struct data_block) == 40, "data_block");
_Static_assert(sizeof(struct instruction) == 72, "instruction");

static const unsigned long process_instruction = 0xc048671e;

static int cmd;

static struct instruction instruction(uint32_t type)
{
	struct instruction arg;

	memset(&arg, 0xa5, sizeof(arg));
	arg.version = 1;
	arg.type = type;
	return arg;
}

static uint64_t new_file(uint16_t mode, uint64_t size)
{
	struct instruction arg = instruction(1);

	arg.file.mode = mode;
	arg.file.size = size;
	if (ioctl(cmd, process_instruction, &arg))
		bail_out("NEW_FILE");
	return arg.file.ino_out;
}

static int change_entry(uint32_t type, uint64_t dir, uint64_t child, const char *name)
{
	struct instruction arg = instruction(type);

	arg.entry.dir = dir;
	arg.entry.child = child;
	arg.entry.name = (uintptr_t)name;
	arg.entry.name_len = strlen(name);
	return ioctl(cmd, process_instruction, &arg);
}

static void content(uint64_t ino, uint32_t block, unsigned char *to)
{
	int i;

	for (i = 0; i < 4096; i++)
		to[i] = ino * 7 + block * 31 + i % 251;
}

static void supply(uint64_t ino, uint32_t block)
{
	static unsigned char data[4096];
	struct data_block arg;

	memset(&arg, 0xa5, sizeof(arg));
	arg.ino = ino;
	arg.block = block;
	arg.len = block == BLOCKS - 1 ? TAIL : 4096;
	arg.data = (uintptr_t)data;
	arg.compression = 0;
	content(ino, block, data);
	if (write(cmd, &arg, sizeof(arg)) != sizeof(arg))
		bail_out("write");
}

/* Serve what is asked for until the file has come. */
static void *loader(void *arg)
{
	int *served = arg, i, n;
	struct pollfd pfd = { .fd = cmd, .events = POLLIN };
	struct pending_read reads[8];

	while (*served < BLOCKS && poll(&pfd, 1, 20000) == 1) {
		n = read(cmd, reads, sizeof(reads)) / (int)sizeof(reads[0]);
		for (i = 0; i < n; i++, ++*served)
			supply(reads[i].ino, reads[i].block);
	}
	return NULL;
}

static void check_file(uint64_t ino)
{
	const off_t size = (BLOCKS - 1) * 4096 + TAIL;
	static unsigned char got[BLOCKS * 4096], want[4096];
	int fd = open("mnt/dir/file", O_RDONLY), i;
	bool right = true;

	posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	is_int(read(fd, got, sizeof(got)), size, "the file is read to its end");
	close(fd);
	for (i = 0; i < BLOCKS; i++) {
		content(ino, i, want);
		right &= !memcmp(want, got + i * 4096, i == BLOCKS - 1 ? TAIL : 4096);
	}
	ok(right, "each block is what the loader gave");
}

static void mount_image(void)
{
	int fd = open("image", O_RDWR | O_CREAT, 0600);
	char options[64];

	snprintf(options, sizeof(options), "backing_fd=%d,read_timeout_ms=20000", fd);
	is_int(mount("any", "mnt", "incremental-fs", 0, options), 0, "the image mounts");
	close(fd);
	cmd = open("mnt/.cmd", O_RDWR);
	if (cmd < 0)
		bail_out("open .cmd");
}

int main(void)
{
	struct instruction noop = instruction(0);
	uint64_t dir, file;
	pthread_t thread;
	int served = 0;
	struct stat st;

	mkdir("mnt", 0755);
	mount_image();
	is_int(ioctl(cmd, process_instruction, &noop), 0, "NOOP is taken");
	dir = new_file(S_IFDIR | 0555, 0);
	file = new_file(S_IFREG | 0555, (BLOCKS - 1) * 4096 + TAIL);
	ok(dir > 2 && file > dir, "new inodes have numbers of their own");
	is_int(change_entry(3, 2, dir, "dir"), 0, "the directory gets a name");
	is_int(change_entry(3, dir, file, "file"), 0, "the file gets a name");
	is_int(change_entry(3, 2, file, "link"), 0, "and another");
	is_int(change_entry(4, 2, 0, "link"), 0, "which is removed");
	is_errno(change_entry(4, 2, 0, "link"), ENOENT, "once");
	is_int(stat("mnt/dir/file", &st), 0, "the file is there");
	ok(st.st_ino == file && st.st_mode == (S_IFREG | 0555), "as it was made");

	pthread_create(&thread, NULL, loader, &served);
	check_file(file);
	pthread_join(thread, NULL);
	is_int(served, BLOCKS, "each block was asked for once");
	close(cmd);
	is_int(umount("mnt"), 0, "the image is unmounted");

	mount_image();
	check_file(file);
	ok(access("mnt/link", F_OK) == -1, "the name that was removed stays so");
	close(cmd);
	is_int(umount("mnt"), 0, "all of it without another look at the loader");
	return done();
}
