// SPDX-License-Identifier: MIT
/* libincfs: blocks, and who waits for them. */
#include <errno.h>
#include <limits.h>
#include <linux/incrementalfs.h>
#include <lz4.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib.h"
#include "util.h"

_Static_assert(sizeof(struct libincfs_range) == sizeof(struct incfs_block_range), "a range");
_Static_assert(sizeof(struct libincfs_wait) == sizeof(struct incfs_pending_read_info) &&
	       offsetof(struct libincfs_wait, serial) ==
	       offsetof(struct incfs_pending_read_info, serial_number), "a wait");
_Static_assert(sizeof(struct libincfs_pending) == sizeof(struct incfs_pending_read) &&
	       offsetof(struct libincfs_pending, tgid) ==
	       offsetof(struct incfs_pending_read, tgid), "a block that is waited for");

/* Arguments that no call of the file system can take; they are counted in 32 bits. */
static int check_array(struct libincfs *fs, const void *array, size_t nr)
{
	if (array && nr && nr <= INT_MAX)
		return 0;
	return incfs_lib_fail(fs, EINVAL, "an array of %zu elements can't be used", array ? nr : 0);
}

static void prepare_block(struct incfs_fill_block *to, const struct libincfs_block *block,
			  char *room)
{
	int packed = 0;

	/* Gives up, and returns 0, as soon as it would need more. */
	if (block->flags & LIBINCFS_COMPRESS && block->data && block->len <= LIBINCFS_BLOCK_SIZE)
		packed = LZ4_compress_default(block->data, room, block->len,
					      block->len - block->len / 8);
	*to = (struct incfs_fill_block){
		.ino = block->ino, .block = block->block,
		.len = packed > 0 ? (uint32_t)packed : block->len,
		.data = packed > 0 ? (uintptr_t)room : (uintptr_t)block->data,
		.compression = packed > 0 || block->flags & LIBINCFS_LZ4 ? COMPRESSION_LZ4 :
			       COMPRESSION_NONE,
	};
}

/* At most INCFS_LIB_BATCH of them; returns how many were taken. */
static int fill_batch(struct libincfs *fs, struct libincfs_block *blocks, size_t nr)
{
	struct incfs_fill_block batch[INCFS_LIB_BATCH];
	struct incfs_fill fill = { .blocks = (uintptr_t)batch, .count = nr };
	int err, filled = 0;

	for (size_t i = 0; i < nr; i++)
		prepare_block(&batch[i], &blocks[i],
			      fs->room ? fs->room + i * LIBINCFS_BLOCK_SIZE : NULL);
	if (ioctl(fs->cmd_fd, INCFS_IOC_FILL, &fill)) {
		err = errno;
		return incfs_lib_fail(fs, err, "can't hand over blocks: %s", strerror(err));
	}
	for (size_t i = 0; i < nr; i++) {
		blocks[i].result = batch[i].result;
		blocks[i].stored = batch[i].len;
		filled += !batch[i].result;
		if (batch[i].result && !fs->message[0])
			incfs_lib_fail(fs, 0, "can't store block %u of inode %llu: %s",
				       blocks[i].block, (unsigned long long)blocks[i].ino,
				       strerror(-batch[i].result));
	}
	return filled;
}

/* Flags that make no sense are refused before anything is stored. */
static int check_blocks(struct libincfs *fs, const struct libincfs_block *blocks, size_t nr)
{
	bool compress = false;

	for (size_t i = 0; i < nr; i++) {
		uint32_t flags = blocks[i].flags;

		if ((flags && flags != LIBINCFS_LZ4 && flags != LIBINCFS_COMPRESS) ||
		    blocks[i].reserved)
			return incfs_lib_fail(fs, EINVAL, "0x%x are no flags of a block", flags);
		compress |= flags == LIBINCFS_COMPRESS;
	}
	if (compress && !fs->room)
		fs->room = malloc(INCFS_LIB_BATCH * LIBINCFS_BLOCK_SIZE);
	return compress && !fs->room ? incfs_lib_fail(fs, ENOMEM, "out of memory") : 0;
}

int libincfs_fill(struct libincfs *fs, struct libincfs_block *blocks, size_t nr)
{
	int err = incfs_lib_enter(fs), filled = 0, got;

	if (err)
		return err;
	if (!nr)
		return 0;
	err = check_array(fs, blocks, nr) ?: check_blocks(fs, blocks, nr);
	if (err)
		return err;
	for (size_t done = 0; done < nr; done += INCFS_LIB_BATCH) {
		got = fill_batch(fs, blocks + done, incfs_min(nr - done, INCFS_LIB_BATCH));
		if (got < 0) {
			for (size_t i = done; i < nr; i++)
				blocks[i].result = got;
			return got;
		}
		filled += got;
	}
	return filled;
}

static int fill_part(struct libincfs *fs, struct libincfs_block *blocks, size_t nr)
{
	int filled = libincfs_fill(fs, blocks, nr);

	if (filled < 0 || (size_t)filled == nr)
		return filled < 0 ? filled : 0;
	while (!blocks->result)
		blocks++;
	return blocks->result;
}

int libincfs_fill_range(struct libincfs *fs, uint64_t ino, uint32_t first, const void *data,
			size_t size, unsigned int flags)
{
	struct libincfs_block blocks[INCFS_LIB_BATCH];
	const char *next = data;
	int err = incfs_lib_enter(fs);
	size_t nr;

	if (err)
		return err;
	if (!data || !size || flags & ~LIBINCFS_COMPRESS)
		return incfs_lib_fail(fs, EINVAL, "no data, or flags that can't be used");
	if ((size - 1) / LIBINCFS_BLOCK_SIZE > UINT32_MAX - first)
		return incfs_lib_fail(fs, ERANGE, "%zu bytes reach past the last block of any file",
				      size);
	while (size && !err) {
		for (nr = 0; nr < INCFS_LIB_BATCH && size; nr++) {
			uint32_t len = incfs_min(size, (size_t)LIBINCFS_BLOCK_SIZE);

			blocks[nr] = (struct libincfs_block){
				.ino = ino, .block = first++, .len = len, .data = next,
				.flags = flags,
			};
			next += len;
			size -= len;
		}
		err = fill_part(fs, blocks, nr);
	}
	return err;
}

int libincfs_share(struct libincfs *fs, uint64_t from, uint32_t from_block, uint64_t to,
		   uint32_t to_block, uint32_t count, uint32_t *shared)
{
	int err = incfs_lib_enter(fs);
	uint32_t none;

	shared = shared ?: &none;
	*shared = 0;
	while (!err) {
		struct incfs_share arg = {
			.from_ino = from, .from_block = from_block, .to_ino = to,
			.to_block = to_block, .count = count,
		};

		if (ioctl(fs->cmd_fd, INCFS_IOC_SHARE, &arg))
			return incfs_lib_fail(fs, errno,
					      "can't share blocks of inode %llu with %llu: %s",
					      (unsigned long long)from, (unsigned long long)to,
					      strerror(errno));
		*shared += arg.shared;
		if (!arg.done || arg.done >= count)
			break;
		from_block += arg.done;
		to_block += arg.done;
		count -= arg.done;
	}
	return err;
}

int libincfs_present(struct libincfs *fs, uint64_t ino, uint32_t *first,
		     struct libincfs_range *ranges, size_t nr, uint32_t *nr_blocks)
{
	struct incfs_block_ranges arg = {
		.ino = ino, .ranges = (uintptr_t)ranges, .nr_ranges = nr,
	};
	int err = incfs_lib_enter(fs);

	err = err ?: check_array(fs, ranges, nr);
	if (err)
		return err;
	if (!first || !nr_blocks)
		return incfs_lib_fail(fs, EINVAL, "there is no room for what is asked for");
	arg.first = *first;
	if (ioctl(fs->cmd_fd, INCFS_IOC_GET_PRESENT, &arg))
		return incfs_lib_fail(fs, errno, "can't ask what is there of inode %llu: %s",
				      (unsigned long long)ino, strerror(errno));
	*first = arg.first;
	*nr_blocks = arg.nr_blocks;
	return arg.nr_ranges;
}

int libincfs_missing(struct libincfs *fs, uint64_t ino, uint32_t *missing)
{
	struct libincfs_range ranges[INCFS_LIB_BATCH];
	uint32_t first = 0, nr_blocks, present = 0;
	int got = incfs_lib_enter(fs);

	if (got)
		return got;
	if (!missing)
		return incfs_lib_fail(fs, EINVAL, "there is no room for what is asked for");
	do {
		got = libincfs_present(fs, ino, &first, ranges, INCFS_LIB_BATCH, &nr_blocks);
		if (got < 0)
			return got;
		for (int i = 0; i < got; i++)
			present += ranges[i].count;
	} while (first < nr_blocks);
	*missing = nr_blocks - present;
	return 0;
}

int libincfs_next(struct libincfs *fs, struct libincfs_wait *waits, size_t nr, int timeout_ms)
{
	struct pollfd pollfd = { .events = POLLIN };
	int err = incfs_lib_enter(fs);
	ssize_t got;

	err = err ?: check_array(fs, waits, nr);
	if (err)
		return err;
	pollfd.fd = fs->cmd_fd;
	do {
		/* Whoever waited may have gone between the two. */
		if (timeout_ms && poll(&pollfd, 1, timeout_ms) < 0)
			return incfs_lib_fail(fs, errno, "can't wait for readers: %s",
					      strerror(errno));
		got = read(fs->cmd_fd, waits, nr * sizeof(*waits));
	} while (!got && timeout_ms < 0);
	if (got < 0)
		return incfs_lib_fail(fs, errno, "can't read what readers wait for: %s",
				      strerror(errno));
	return got / sizeof(*waits);
}

int libincfs_list_pending(struct libincfs *fs, uint64_t *after,
			  struct libincfs_pending *pending, size_t nr)
{
	struct incfs_pending_reads arg = { .reads = (uintptr_t)pending, .count = nr };
	int err = incfs_lib_enter(fs);

	err = err ?: check_array(fs, pending, nr);
	if (err)
		return err;
	if (!after)
		return incfs_lib_fail(fs, EINVAL, "there is no room for what is asked for");
	arg.after = *after;
	if (ioctl(fs->cmd_fd, INCFS_IOC_GET_PENDING, &arg))
		return incfs_lib_fail(fs, errno, "can't ask what readers wait for: %s",
				      strerror(errno));
	*after = arg.after;
	return arg.count;
}
