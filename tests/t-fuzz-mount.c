// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mounts of images that somebody made wrong who knows the format (fuzz/mutate.c),
 * the same ones each time: the kernel takes those that the model takes
 * (fuzz/model.c), shows the same tree, and no byte but those whose CRC is right.
 *
 * timeout: 100000
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "fuzz/model.h"
#include "fuzz/mutate.h"
#include "lib/incfs.h"
#include "lib/tap.h"

#define SECONDS 40		/* if INCFS_FUZZ_SECONDS does not say another number */
#define AT_LEAST 200		/* mounts, however slow the machine */
#define IMAGE_MAX (96 << 10)
#define POOL 64			/* images to go on from */
#define BLOCKS_READ 5		/* of a file, from either end; an absent one takes time */

struct image {
	size_t size;
	__u8 data[IMAGE_MAX];
};

static struct {
	unsigned int mounts, taken, torn, attrs, names, blocks, absent, links;
} figures;

static struct image pool[POOL];
static unsigned int nr_pool;
/* Where it went wrong: the image is kept. */
static bool wrong;

__attribute__((format(printf, 1, 2))) static void say_wrong(const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	diag("image %u: %s", figures.mounts, text);
	wrong = true;
}

static void load(const char *path)
{
	struct image *image = &pool[nr_pool];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, image->data, IMAGE_MAX);

	if (got < 0)
		bail_out("read %s", path);
	close(fd);
	image->size = got;
	nr_pool++;
}

static void save(const struct image *image, const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, image->data, image->size) != (ssize_t)image->size)
		bail_out("write %s", path);
	close(fd);
}

static void check_block(const struct model *model, const struct model_inode *inode, int fd,
			__u32 block)
{
	__u64 left = inode->size - ((__u64)block << INCFS_BLOCK_SHIFT);
	ssize_t len = left < BLOCK ? left : BLOCK, got;
	__u8 want[BLOCK], page[BLOCK];
	struct incfs_extent extent;
	bool there = model_read(model, inode, block, &extent, want);

	got = pread(fd, page, BLOCK, (off_t)block << INCFS_BLOCK_SHIFT);
	figures.blocks += got == len;
	figures.absent += got < 0;
	if (there && (got != len || memcmp(page, want, len)))
		say_wrong("inode %llu, block %u: reads %zd, not %zd", inode->ino, block, got, len);
	if (!there && (got != -1 || errno != ETIME))
		say_wrong("inode %llu, block %u is absent and reads %zd", inode->ino, block, got);
}

static void check_file(const struct model *model, const struct model_inode *inode, const char *path)
{
	__u32 blocks = incfs_format_blocks(inode->size), i;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || (__u64)st.st_size != inode->size || st.st_ino != inode->ino) {
		say_wrong("inode %llu: open or size", inode->ino);
	} else {
		for (i = 0; i < blocks; i++) {
			if (i < BLOCKS_READ || blocks - i <= BLOCKS_READ)
				check_block(model, inode, fd, i);
			else
				i = blocks - BLOCKS_READ - 1;
		}
	}
	close(fd);
}

/* Whatever else a program may ask of a file. */
static void ask(const char *path)
{
	char list[4096], value[4096], *name;
	ssize_t len;

	figures.links += readlink(path, value, sizeof(value)) > 0;
	len = llistxattr(path, list, sizeof(list));
	for (name = list; len > 0 && name < list + len; name += strlen(name) + 1)
		lgetxattr(path, name, value, sizeof(value));
}

static const struct model_name *find_name(const struct model *model, __u64 dir, const char *name)
{
	unsigned int i;

	for (i = 0; i < model->nr_names; i++) {
		const struct model_name *found = &model->names[i];

		if (found->dir == dir && found->len == strlen(name) &&
		    !memcmp(found->name, name, found->len))
			return found;
	}
	return NULL;
}

static unsigned int names_in(const struct model *model, __u64 dir)
{
	unsigned int i, found = 0;

	for (i = 0; i < model->nr_names; i++)
		found += model->names[i].dir == dir;
	return found;
}

static void check_dir(const struct model *model, __u64 ino, int parent, const char *path)
{
	int fd = openat(parent, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct model_inode *inode;
	const struct model_name *name;
	unsigned int found = 0;
	struct dirent *entry;
	char at[300];
	DIR *dir;

	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		say_wrong("directory %llu: can't be opened", ino);
		return;
	}
	while ((entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
		    !strcmp(entry->d_name, ".cmd"))
			continue;
		name = find_name(model, ino, entry->d_name);
		if (!name || name->ino != entry->d_ino) {
			say_wrong("directory %llu: %s is inode %lu", ino, entry->d_name,
				  entry->d_ino);
			continue;
		}
		found++;
		inode = model_find(model, name->ino);
		snprintf(at, sizeof(at), "/proc/self/fd/%d/%s", fd, entry->d_name);
		if (S_ISDIR(inode->mode))
			check_dir(model, inode->ino, fd, entry->d_name);
		else if (S_ISREG(inode->mode))
			check_file(model, inode, at);
		ask(at);
	}
	closedir(dir);
	figures.names += found;
	if (found != names_in(model, ino))
		say_wrong("directory %llu: %u names", ino, found);
}

/* As try_mount(), and the tree of it. */
static void check_mount(const struct image *image)
{
	struct model model;
	int err = model_load(&model, image->data, image->size, INCFS_MAX_FILES);
	int ret = try_mount("fuzz.img", "mnt", "read_timeout_ms=1");

	figures.mounts++;
	figures.torn += !!model.walk.torn;
	figures.attrs += !!model.records[INCFS_RECORD_ATTRS];
	if (ret && errno != EINVAL && errno != EUCLEAN && errno != ENFILE)
		say_wrong("mount: %s", strerror(errno));
	else if (ret && !err)
		say_wrong("refused by the kernel (%s), taken by the model", strerror(errno));
	else if (!ret && err)
		say_wrong("taken by the kernel, refused by the model: %s", model.walk.why);
	if (!ret) {
		figures.taken++;
		if (!err)
			check_dir(&model, INCFS_ROOT_INODE, AT_FDCWD, "mnt");
		if (umount("mnt"))
			bail_out("umount");
	}
	model_free(&model);
}

/* Go on from an image that a mount takes: it takes some of the next as well. */
static void keep(const struct image *image, __u64 *state)
{
	struct model model;

	if (!model_load(&model, image->data, image->size, INCFS_MAX_FILES))
		pool[nr_pool < POOL ? nr_pool++ : mutate_below(state, POOL)] = *image;
	model_free(&model);
}

static void next_image(struct image *image, __u64 *state)
{
	const struct image *other = &pool[mutate_below(state, nr_pool)];

	*image = pool[mutate_below(state, nr_pool)];
	if (mutate_below(state, 8))
		image->size = mutate_image(image->data, image->size, IMAGE_MAX,
					   mutate_random(state));
	else
		image->size = mutate_cross(image->data, image->size, IMAGE_MAX, other->data,
					   other->size, mutate_random(state));
}

static void fuzz(__u64 end)
{
	__u64 state = mutate_seed(1);
	unsigned int bad = 0;
	struct image *image = malloc(sizeof(*image));
	char name[32];

	while ((now_ms() < end || figures.mounts < AT_LEAST) && bad < 5) {
		next_image(image, &state);
		save(image, "fuzz.img");
		wrong = false;
		check_mount(image);
		if (wrong) {
			bad++;
			snprintf(name, sizeof(name), "/tmp/fuzz-%u.img", figures.mounts);
			save(image, name);
		}
		keep(image, &state);
	}
	is_int(bad, 0, "each image: kernel and model agree");
	free(image);
}

int main(void)
{
	const char *seconds = getenv("INCFS_FUZZ_SECONDS");
	char text[4096];

	if (image_tool("write", "a.img", text, sizeof(text)) ||
	    image_tool("blocks", "b.img", text, sizeof(text)))
		bail_out("image.py: %s", text);
	load("a.img");
	load("b.img");
	fuzz(now_ms() + 1000ull * (seconds ? atoi(seconds) : SECONDS));
	diag("%u mounts, %u taken, %u torn, %u with attributes; %u names, %u blocks read, "
	     "%u absent, %u links", figures.mounts, figures.taken, figures.torn, figures.attrs,
	     figures.names, figures.blocks, figures.absent, figures.links);
	ok(figures.taken >= 20 && figures.mounts >= figures.taken + 20,
	   "there are images of both kinds");
	ok(figures.torn && figures.names > 50 && figures.blocks > 50 && figures.absent > 50 &&
	   figures.links > 5,
	   "there is everything in them");
	return done();
}
