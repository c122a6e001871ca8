// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that is not what it seems: arguments that end where there is no page, that
 * come when it pleases a third (userfaultfd), or that change while the kernel looks
 * at them; numbers as large as they can be. The call has one of its two meanings, or
 * is refused; nothing is locked meanwhile, and what is stored is what its CRC is of.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <linux/userfaultfd.h>
#include <sys/syscall.h>

#include "lib/incfs.h"
#include "lib/tap.h"

#define BLOCKS 256
/* How long a race is run, in ms. */
#define RACE_MS 4000

static struct test_fs fs;
static __u64 ino;
static char *pages;		/* PAGES of them, and after them none */
#define PAGES 4
#define END (pages + PAGES * BLOCK)

static void make_pages(void)
{
	pages = mmap(NULL, (PAGES + 1) * BLOCK, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED || munmap(END, BLOCK))
		bail_out("mmap");
	memset(pages, 0, PAGES * BLOCK);
}

/* The end of memory */

static void test_ioctl_ends(void)
{
	static const struct {
		const char *name;
		unsigned long request;
	} ioctls[] = {
		{ "PROCESS_INSTRUCTION", INCFS_IOC_PROCESS_INSTRUCTION },
		{ "GET_INFO", INCFS_IOC_GET_INFO },
		{ "GET_PRESENT", INCFS_IOC_GET_PRESENT },
		{ "FILL", INCFS_IOC_FILL },
		{ "GET_PENDING", INCFS_IOC_GET_PENDING },
		{ "SET_POLICY", INCFS_IOC_SET_POLICY },
		{ "GET_STATS", INCFS_IOC_GET_STATS },
		{ "SHARE", INCFS_IOC_SHARE },
		{ "CREATE", INCFS_IOC_CREATE },
		{ "GET_ATTRS", INCFS_IOC_GET_ATTRS },
	};
	unsigned int i, size, short_by, refused;

	for (i = 0; i < sizeof(ioctls) / sizeof(ioctls[0]); i++) {
		size = _IOC_SIZE(ioctls[i].request);
		for (refused = 0, short_by = 1; short_by <= size; short_by++) {
			memset(END - size, 0, size);
			refused += ioctl(fs.cmd, ioctls[i].request, END - size + short_by) == -1 &&
				   errno == EFAULT;
		}
		is_int(refused, size, "%s: an argument that is cut off is EFAULT", ioctls[i].name);
		memset(END - size, 0, size);
		ok(!ioctl(fs.cmd, ioctls[i].request, END - size) || errno != EFAULT,
		   "%s: one that ends with the page is not", ioctls[i].name);
	}
}

/* Blocks of an array of which the last one is not there in whole. */
static void test_fill_ends(void)
{
	struct incfs_fill_block *blocks = (void *)(END - 2 * sizeof(*blocks) - 8);
	struct incfs_fill arg = { .blocks = (unsigned long)blocks, .count = 3 };
	struct incfs_new_data_block *written = (void *)(END - 2 * sizeof(*written) - 8);
	char *data = pages;
	char present[64];
	__u32 i;

	expected_block(ino, 0, data);
	expected_block(ino, 1, data + BLOCK);
	for (i = 0; i < 2; i++)
		blocks[i] = (struct incfs_fill_block) { .ino = ino, .block = i, .len = BLOCK,
			.data = (unsigned long)data + i * BLOCK, .result = 7 };
	is_errno(ioctl(fs.cmd, INCFS_IOC_FILL, &arg), EFAULT,
		 "FILL of an array that is cut off is EFAULT");
	is_int(arg.filled, 2, "it says how many came before the end");
	ok(!blocks[0].result && !blocks[1].result, "these have been stored");

	expected_block(ino, 2, data);
	expected_block(ino, 3, data + BLOCK);
	for (i = 0; i < 2; i++)
		written[i] = raw_block(ino, i + 2, data + i * BLOCK, BLOCK);
	is_int(write(fs.cmd, written, 3 * sizeof(*written)), 2 * sizeof(*written),
	       "write of an array that is cut off takes those before the end");
	is_errno(write(fs.cmd, END - 39, 40), EFAULT, "or none at all");

	/* A page that can't be written has no room for a result. */
	blocks = (void *)(pages + BLOCK);
	expected_block(ino, 4, data);
	blocks[0] = (struct incfs_fill_block) { .ino = ino, .block = 4, .len = BLOCK,
		.data = (unsigned long)data };
	arg = (struct incfs_fill) { .blocks = (unsigned long)blocks, .count = 1 };
	mprotect(blocks, BLOCK, PROT_READ);
	is_errno(ioctl(fs.cmd, INCFS_IOC_FILL, &arg), EFAULT,
		 "FILL whose results can't be written is EFAULT");
	mprotect(blocks, BLOCK, PROT_READ | PROT_WRITE);
	show_present(&fs, ino, present, sizeof(present));
	is_str(present, "0-3", "and stores nothing that it can't tell of");

	blocks[0].data = (unsigned long)END - BLOCK + 1;
	is_int(ioctl(fs.cmd, INCFS_IOC_FILL, &arg), 0, "a block whose data are cut off");
	is_int(blocks[0].result, -EFAULT, "is EFAULT");
	ok(block_reads(&fs, "file", ino, 0, BLOCK) && block_reads(&fs, "file", ino, 3, BLOCK),
	   "what was stored is right");
}

/* Large numbers */

static void test_large(void)
{
	struct incfs_instruction instr = { .version = INCFS_HEADER_VER,
		.type = INCFS_INSTRUCTION_ADD_DIR_ENTRY,
		.dir_entry = { INCFS_ROOT_INODE, ino, ~0u, 0, (unsigned long)"x" } };
	struct incfs_fill fill = { .blocks = ~0ull - 7, .count = INCFS_FILL_MAX };
	struct incfs_share share = { .from_ino = ino, .to_ino = ino, .from_block = ~0u,
		.to_block = ~0u - 1, .count = ~0u };
	struct incfs_create create = { .mode = S_IFREG, .items_len = ~0u };
	struct incfs_block_range ranges[4];
	struct incfs_block_ranges present = { .ino = ino, .ranges = (unsigned long)ranges,
		.nr_ranges = ~0u };
	struct incfs_pending_reads pending = { .reads = ~0ull - 100, .count = ~0u };
	struct incfs_pending_read *reads = (void *)(END - sizeof(*reads));
	char room[64];
	struct reader reader;
	__u64 made;
	__u32 files = fs_info(&fs).nr_files;

	is_errno(ioctl(fs.cmd, INCFS_IOC_PROCESS_INSTRUCTION, &instr), E2BIG,
		 "a name of 4 GiB is E2BIG");
	is_errno(try_new(fs.cmd, S_IFREG, ~0ull, &made), EFBIG,
		 "a file of 2^64 - 1 bytes is EFBIG");
	is_errno(try_new(fs.cmd, S_IFREG, ~0ull - BLOCK + 2, &made), EFBIG,
		 "one whose number of blocks overflows, too");
	is_errno(ioctl(fs.cmd, INCFS_IOC_CREATE, &create), E2BIG, "items of 4 GiB are E2BIG");
	create = (struct incfs_create) { .mode = S_IFREG, .dir_ino = INCFS_ROOT_INODE,
		.name_len = ~0u, .name = (unsigned long)"x" };
	is_errno(ioctl(fs.cmd, INCFS_IOC_CREATE, &create), E2BIG, "so is a name in CREATE");
	create = (struct incfs_create) { .mode = S_IFREG, .size = 1ull << 63 };
	is_errno(ioctl(fs.cmd, INCFS_IOC_CREATE, &create), EFBIG, "and a file of 2^63 bytes");
	is_int(fs_info(&fs).nr_files, files, "no file has come of it");
	is_errno(ioctl(fs.cmd, INCFS_IOC_FILL, &fill), EFAULT,
		 "FILL of an array at the end of the address space is EFAULT");
	fill.count = ~0u;
	is_errno(ioctl(fs.cmd, INCFS_IOC_FILL, &fill), EINVAL, "FILL of 4 Gi blocks is EINVAL");
	is_errno(ioctl(fs.cmd, INCFS_IOC_SHARE, &share), ERANGE,
		 "SHARE whose ends overflow is ERANGE");
	share.from_block = 0;
	share.to_block = 1;
	is_errno(ioctl(fs.cmd, INCFS_IOC_SHARE, &share), ERANGE, "SHARE of 4 Gi blocks, too");
	is_int(ioctl(fs.cmd, INCFS_IOC_GET_PRESENT, &present), 0,
	       "GET_PRESENT with room for 4 Gi ranges writes those there are");
	is_int(present.nr_ranges, 1, "which is one");
	is_int(ioctl(fs.cmd, INCFS_IOC_GET_PENDING, &pending), 0,
	       "GET_PENDING with a bad address succeeds when there is nothing to tell");

	reader_start(&reader, &fs, "file", BLOCKS - 1, READ_PREAD);
	ok(wait_until(count_pending(&fs) == 1), "a reader waits");
	pending = (struct incfs_pending_reads) { .reads = ~0ull - 7, .count = ~0u };
	is_errno(ioctl(fs.cmd, INCFS_IOC_GET_PENDING, &pending), EFAULT,
		 "when there is, it is EFAULT");
	pending = (struct incfs_pending_reads) { .reads = (unsigned long)reads, .count = ~0u };
	is_int(ioctl(fs.cmd, INCFS_IOC_GET_PENDING, &pending), 0,
	       "GET_PENDING with room for 4 Gi, of which one is there, tells it");
	ok(pending.count == 1 && reads->block == BLOCKS - 1, "and nothing else");
	is_errno(syscall(SYS_read, fs.cmd, 8ul, 16ul), EFAULT,
		 "read of .cmd to a bad address is EFAULT");
	is_int(read(fs.cmd, END - 16, ~0u), 16,
	       "and has told nothing of what it could not write: read of 4 GiB gets it");
	is_int(read(fs.cmd, room, 15), 0, "there is no more");
	fill_raw(&fs, ino, BLOCKS - 1, BLOCK);
	reader_join(&reader);
	is_errno(syscall(SYS_write, fs.cmd, pages, -40ul), EFAULT,
		 "a length that is no length is EFAULT");
	ok(syscall(SYS_write, fs.cmd, END - 20, 1ul << 30) == -1 && errno == EFAULT,
	   "a write of 1 GiB without memory is EFAULT");
}

/* Memory that comes later */

struct late {
	int uffd;
	pthread_t thread;
	char *page;		/* the one that is not there */
	char content[BLOCK] __attribute__((aligned(BLOCK)));
	bool asked;		/* atomic: somebody waits for it */
	bool go;		/* atomic: it may come */
};

static void *serve(void *arg)
{
	struct late *late = arg;
	struct pollfd pfd = { .fd = late->uffd, .events = POLLIN };
	struct uffdio_copy copy = {};
	struct uffd_msg msg;

	if (poll(&pfd, 1, SOON) != 1 || read(late->uffd, &msg, sizeof(msg)) != sizeof(msg))
		bail_out("nobody asks for the page");
	__atomic_store_n(&late->asked, true, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&late->go, __ATOMIC_SEQ_CST))
		usleep(1000);
	copy.dst = (unsigned long)late->page;
	copy.src = (unsigned long)late->content;
	copy.len = BLOCK;
	ioctl(late->uffd, UFFDIO_COPY, &copy);
	return NULL;
}

static bool late_begin(struct late *late)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	memset(late, 0, sizeof(*late));
	late->uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (late->uffd < 0)
		return false;
	late->page = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reg.range.start = (unsigned long)late->page;
	reg.range.len = BLOCK;
	if (late->page == MAP_FAILED || ioctl(late->uffd, UFFDIO_API, &api) ||
	    ioctl(late->uffd, UFFDIO_REGISTER, &reg))
		bail_out("userfaultfd");
	pthread_create(&late->thread, NULL, serve, late);
	return true;
}

static bool late_asked(struct late *late)
{
	return wait_until(__atomic_load_n(&late->asked, __ATOMIC_SEQ_CST));
}

static void late_end(struct late *late)
{
	__atomic_store_n(&late->go, true, __ATOMIC_SEQ_CST);
	pthread_join(late->thread, NULL);
	close(late->uffd);
}

struct call {
	pthread_t thread;
	int (*run)(struct late *late);
	struct late *late;
	int ret, error;
};

static void *run_call(void *arg)
{
	struct call *call = arg;

	errno = 0;
	call->ret = call->run(call->late);
	call->error = errno;
	return NULL;
}

static int late_fill_data(struct late *late)
{
	struct incfs_fill_block blocks[2];
	struct incfs_fill arg = { .blocks = (unsigned long)blocks, .count = 2 };
	char data[BLOCK];

	/* The first has been gathered when the second is waited for. */
	expected_block(ino, 20, data);
	blocks[0] = (struct incfs_fill_block) { .ino = ino, .block = 20, .len = BLOCK,
		.data = (unsigned long)data };
	blocks[1] = (struct incfs_fill_block) { .ino = ino, .block = 21, .len = BLOCK,
		.data = (unsigned long)late->page };
	return ioctl(fs.cmd, INCFS_IOC_FILL, &arg) ?: (int)arg.filled;
}

static int late_fill_array(struct late *late)
{
	struct incfs_fill arg = { .blocks = (unsigned long)late->page, .count = 1 };

	return ioctl(fs.cmd, INCFS_IOC_FILL, &arg) ?: (int)arg.filled;
}

static int late_argument(struct late *late)
{
	return ioctl(fs.cmd, INCFS_IOC_GET_INFO, late->page);
}

static int late_name(struct late *late)
{
	return try_add_len(fs.cmd, INCFS_ROOT_INODE, ino, late->page, 4);
}

static int late_items(struct late *late)
{
	struct incfs_create arg = { .mode = S_IFLNK | 0777, .dir_ino = INCFS_ROOT_INODE,
		.name = (unsigned long)"late-link", .name_len = 9,
		.items = (unsigned long)late->page, .items_len = 8 };

	return ioctl(fs.cmd, INCFS_IOC_CREATE, &arg);
}

static int late_getdents(struct late *late)
{
	int fd = open(fs.dir, O_RDONLY | O_DIRECTORY);
	int ret = syscall(SYS_getdents64, fd, late->page, BLOCK);

	close(fd);
	return ret > 0 ? 1 : ret;
}

static int late_read(struct late *late)
{
	int fd = fs_open(&fs, "file");
	int ret = pread(fd, late->page, 100, 0);

	close(fd);
	return ret;
}

static int late_present(struct late *late)
{
	struct incfs_block_ranges arg = { .ino = ino, .ranges = (unsigned long)late->page,
		.nr_ranges = 100 };

	return ioctl(fs.cmd, INCFS_IOC_GET_PRESENT, &arg);
}

/* Everything that others may want meanwhile. */
static bool others_work(__u32 *block)
{
	char name[16];
	struct stat st;
	__u64 made;
	bool right;
	int fd;

	snprintf(name, sizeof(name), "o%u", *block);
	fill_raw(&fs, ino, *block, BLOCK);
	right = block_reads(&fs, "file", ino, *block, BLOCK);
	++*block;
	right &= !try_new(fs.cmd, S_IFREG | 0444, BLOCK, &made);
	right &= !try_add(fs.cmd, INCFS_ROOT_INODE, made, name);
	right &= !stat(fs_path(&fs, name), &st) && st.st_ino == made;
	right &= !try_remove(fs.cmd, INCFS_ROOT_INODE, made, name);
	right &= !ioctl(fs.cmd, INCFS_IOC_SYNC);
	right &= !mount("any", fs.dir, NULL, MS_REMOUNT, "read_timeout_ms=0");
	right &= umount(fs.dir) == -1 && errno == EBUSY;
	fd = fs_open_cmd(&fs, O_RDWR);
	close(fd);
	return right;
}

static void test_late(void)
{
	static const struct {
		const char *name;
		int (*run)(struct late *late);
		int want;
	} calls[] = {
		{ "FILL, data", late_fill_data, 2 },
		{ "FILL, its array", late_fill_array, 1 },
		{ "GET_INFO", late_argument, 0 },
		{ "ADD_DIR_ENTRY, the name", late_name, 0 },
		{ "CREATE, the items", late_items, 0 },
		{ "getdents", late_getdents, 1 },
		{ "read of a file", late_read, 100 },
		{ "GET_PRESENT, the ranges", late_present, 0 },
	};
	const struct incfs_attr_item item = { INCFS_ATTR_SYMLINK, 0, 4 };
	struct incfs_fill_block block = { .ino = ino, .block = 30, .len = BLOCK };
	static char data[BLOCK];
	__u32 others = 100;
	struct late late;
	struct call call;
	unsigned int i;
	pid_t pid;

	expected_block(ino, 30, data);
	block.data = (unsigned long)data;
	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (!late_begin(&late)) {
			skip(1, "no userfaultfd here");
			return;
		}
		if (i == 0)
			expected_block(ino, 21, late.content);
		if (i == 1)
			memcpy(late.content, &block, sizeof(block));
		if (i == 3)
			memcpy(late.content, "late", 4);
		if (i == 4)
			memcpy(mempcpy(late.content, &item, sizeof(item)), "file", 4);
		call = (struct call) { .run = calls[i].run, .late = &late };
		pthread_create(&call.thread, NULL, run_call, &call);
		ok(late_asked(&late), "%s: the call waits for its memory", calls[i].name);
		ok(others_work(&others), "%s: nobody else does", calls[i].name);
		late_end(&late);
		pthread_join(call.thread, NULL);
		is_int(call.ret, calls[i].want, "%s: when it comes, the call ends as ever",
		       calls[i].name);
		munmap(late.page, BLOCK);
	}
	ok(block_reads(&fs, "file", ino, 20, BLOCK) && block_reads(&fs, "file", ino, 21, BLOCK) &&
	   block_reads(&fs, "file", ino, 30, BLOCK), "what was stored is right");
	ok(!access(fs_path(&fs, "late"), F_OK) && !access(fs_path(&fs, "late-link"), F_OK),
	   "what was made is there");

	/* The memory never comes. */
	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		pid = must_fork();
		if (!pid) {
			late_begin(&late);
			call = (struct call) { .run = calls[i].run, .late = &late };
			pthread_create(&call.thread, NULL, run_call, &call);
			late_asked(&late);
			usleep(20000);
			kill(getpid(), SIGKILL);
			pause();
		}
		is_int(wait_exit(pid), 128 + SIGKILL, "%s: a caller that waits can be killed",
		       calls[i].name);
	}
	ok(others_work(&others), "and leaves nothing behind that others would wait for");
}

/* Memory that changes */

struct flip {
	pthread_t thread;
	bool stop;
	volatile __u64 *words;		/* aligned: what flips, and how */
	__u64 values[2][16];
	unsigned int nr;
};

static void *flipping(void *arg)
{
	struct flip *flip = arg;
	unsigned int i, turn;

	for (turn = 0; !__atomic_load_n(&flip->stop, __ATOMIC_RELAXED); turn++) {
		for (i = 0; i < flip->nr; i++)
			flip->words[i] = flip->values[turn & 1][i];
	}
	return NULL;
}

static void flip_begin(struct flip *flip, void *words, const void *one, const void *other,
		       size_t size)
{
	flip->stop = false;
	flip->words = words;
	flip->nr = size / sizeof(__u64);
	memcpy(flip->values[0], one, size);
	memcpy(flip->values[1], other, size);
	pthread_create(&flip->thread, NULL, flipping, flip);
}

static void flip_end(struct flip *flip)
{
	__atomic_store_n(&flip->stop, true, __ATOMIC_RELAXED);
	pthread_join(flip->thread, NULL);
}

/* Is it @len bytes of @with and zeros, or absent? */
static bool is_start_of(const char *buf, char with, __u32 len)
{
	__u32 i;

	for (i = 0; i < BLOCK; i++) {
		if (buf[i] != (i < len ? with : 0))
			return false;
	}
	return true;
}

/*
 * Length and address change, each for itself: what comes to be stored is so many
 * bytes from there.
 */
static void test_flip_fill(bool old)
{
	const char *what = old ? "write" : "FILL";
	static char a[BLOCK], b[BLOCK];
	struct incfs_new_data_block writes[2], written;
	struct incfs_fill_block fills[2], filled;
	struct incfs_fill arg = { .blocks = (unsigned long)&filled, .count = 1 };
	unsigned int stored = 0, both = 0, shorter = 0, block, i;
	__u64 file = make_file(&fs, INCFS_ROOT_INODE, old ? "flip-old" : "flip", 4000ull * BLOCK);
	__u64 end = now_ms() + RACE_MS;
	bool right = true, is_a, is_b;
	char buf[BLOCK];
	struct flip flip;

	memset(a, 'a', BLOCK);
	memset(b, 'b', BLOCK);
	for (block = 0; block < 4000 && now_ms() < end; block++) {
		for (i = 0; i < 2; i++) {
			writes[i] = raw_block(file, block, i ? b : a, i ? 1000 : BLOCK);
			fills[i] = (struct incfs_fill_block) { .ino = file, .block = block,
				.len = i ? 1000 : BLOCK, .data = (unsigned long)(i ? b : a) };
		}
		/* Now and then one meaning is refused. */
		if (block % 8 == 7) {
			writes[1].data_len = ~0u;
			fills[1].len = ~0u;
		}
		written = writes[0];
		filled = fills[0];
		if (old)
			flip_begin(&flip, &written, &writes[0], &writes[1], sizeof(written));
		else
			flip_begin(&flip, &filled, &fills[0], &fills[1], sizeof(filled));
		for (i = 0; i < 4; i++) {
			if (old)
				right &= !try_fill(fs.cmd, &written) || errno == E2BIG;
			else
				right &= !ioctl(fs.cmd, INCFS_IOC_FILL, &arg);
		}
		flip_end(&flip);
		if (read_block(&fs, old ? "flip-old" : "flip", block, buf) != BLOCK)
			continue;
		stored++;
		is_a = is_start_of(buf, 'a', BLOCK) || is_start_of(buf, 'a', 1000);
		is_b = is_start_of(buf, 'b', BLOCK) || is_start_of(buf, 'b', 1000);
		right &= is_a || is_b;
		both += is_b;
		shorter += !buf[1000];
	}
	ok(right && stored, "%s: length and address that change: one or the other is stored", what);
	diag("%u of %u blocks stored, %u from the second address, %u short ones", stored, block,
	     both, shorter);
}

/* The bytes themselves change: a mixture may be stored, but with a CRC that is its own. */
static void test_flip_data(void)
{
	__u64 file = make_file(&fs, INCFS_ROOT_INODE, "mixed", 4000ull * BLOCK);
	static __u64 words[BLOCK / sizeof(__u64)];
	__u64 end = now_ms() + RACE_MS, one[16], other[16];
	struct incfs_new_data_block block;
	char buf[BLOCK], again[BLOCK];
	unsigned int i, w, mixed = 0;
	bool right = true;
	struct flip flip;

	memset(one, 'a', sizeof(one));
	memset(other, 'b', sizeof(other));
	flip_begin(&flip, words, one, other, sizeof(one));
	for (i = 0; i < 4000 && now_ms() < end; i++) {
		block = raw_block(file, i, words, BLOCK);
		right &= !try_fill(fs.cmd, &block);
		right &= read_block(&fs, "mixed", i, buf) == BLOCK &&
			 read_block(&fs, "mixed", i, again) == BLOCK && !memcmp(buf, again, BLOCK);
		for (w = 0; w < sizeof(one); w++)
			right &= buf[w] == 'a' || buf[w] == 'b' || !buf[w];
		for (w = 8; w < sizeof(one); w += 8)
			mixed += buf[w] != buf[0];
	}
	flip_end(&flip);
	ok(right && i, "bytes that change: what was stored reads the same each time");
	diag("%u blocks, %u words were of another turn than the first", i, mixed);
}

/* How much there is changes: CREATE with a name and items, SHARE, a batch. */
static void test_flip_counts(void)
{
	__u8 items[64] = {};
	struct incfs_attr_item item = { INCFS_ATTR_XATTR, 6, 2 };
	struct incfs_create creates[2] = {}, create;
	struct incfs_share shares[2], share;
	__u64 end = now_ms() + RACE_MS;
	unsigned int i, made = 0, tried = 0;
	struct flip flip;
	bool right = true;
	char name[8];

	memcpy(mempcpy(items, &item, sizeof(item)), "user.x42", 8);
	for (i = 0; i < 2; i++) {
		creates[i].mode = S_IFREG | 0444;
		creates[i].name = (unsigned long)name;
		creates[i].items = (unsigned long)items;
		creates[i].dir_ino = INCFS_ROOT_INODE;
		creates[i].name_len = i ? 250 : 5;
		creates[i].items_len = i ? 11 : 12;
		shares[i] = (struct incfs_share) { .from_ino = ino, .to_ino = ino,
			.from_block = 0, .to_block = i ? 200 : 1u << 31, .count = i ? 2 : ~0u };
	}
	for (; now_ms() < end && made < 200; tried++) {
		snprintf(name, sizeof(name), "c%04u", tried % 10000);
		create = creates[0];
		flip_begin(&flip, &create, &creates[0], &creates[1], sizeof(create));
		for (i = 0; i < 8; i++) {
			if (!ioctl(fs.cmd, INCFS_IOC_CREATE, &create))
				made++;
			else
				right &= errno == EINVAL || errno == EEXIST;
		}
		flip_end(&flip);
		share = shares[0];
		flip_begin(&flip, &share, &shares[0], &shares[1], sizeof(share));
		for (i = 0; i < 8; i++)
			right &= !ioctl(fs.cmd, INCFS_IOC_SHARE, &share) || errno == ERANGE ||
				 errno == EINVAL;
		flip_end(&flip);
	}
	ok(right && made, "counts that change: a call has one of its meanings");
	diag("%u files made in %u turns", made, tried);
}

int main(void)
{
	struct incfs_stats stats;

	make_pages();
	fs_mount_new(&fs, "fs", "read_timeout_ms=0,max_files=100000");
	ino = make_file(&fs, INCFS_ROOT_INODE, "file", BLOCKS * BLOCK);
	test_ioctl_ends();
	test_fill_ends();
	test_large();
	test_late();
	if (mount("any", fs.dir, NULL, MS_REMOUNT, "read_timeout_ms=5"))
		bail_out("remount");
	test_flip_fill(true);
	test_flip_fill(false);
	test_flip_data();
	test_flip_counts();
	if (ioctl(fs.cmd, INCFS_IOC_GET_STATS, &stats))
		bail_out("GET_STATS");
	is_int(stats.blocks_damaged, 0, "no block was stored under a CRC that was not its own");
	is_int(count_pending(&fs), 0, "nobody waits in the end");
	fs_unmount(&fs);
	is_int(run_shell("incfs image check '%s'", fs.image), 0, "the tool finds no fault");
	return done();
}
