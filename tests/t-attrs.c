// SPDX-License-Identifier: GPL-2.0-only
/* What inodes have beside their size: owner, mode, times, targets, keys, xattrs. */
#define _GNU_SOURCE
#include <dirent.h>
#include <limits.h>
#include <sys/xattr.h>

#include "lib/incfs.h"
#include "lib/tap.h"

static char text[1 << 16];

/* Items, one behind the other. */
struct items {
	char bytes[INCFS_ITEMS_MAX + 64];
	__u32 len;
};

static void add_item(struct items *items, __u8 type, const char *name, const void *value,
		     __u16 value_len)
{
	struct incfs_attr_item head = {
		.type = type,
		.name_len = strlen(name),
		.value_len = value_len,
	};

	memcpy(items->bytes + items->len, &head, sizeof(head));
	memcpy(items->bytes + items->len + sizeof(head), name, head.name_len);
	memcpy(items->bytes + items->len + sizeof(head) + head.name_len, value, value_len);
	items->len += sizeof(head) + head.name_len + value_len;
}

static struct incfs_create new_create(mode_t mode, const char *name, const struct items *items)
{
	return (struct incfs_create) {
		.mode = mode,
		.dir_ino = name ? INCFS_ROOT_INODE : 0,
		.name = (unsigned long)name,
		.name_len = name ? strlen(name) : 0,
		.items = (unsigned long)(items ? items->bytes : NULL),
		.items_len = items ? items->len : 0,
	};
}

static int try_create(const struct test_fs *fs, struct incfs_create *create)
{
	return ioctl(fs->cmd, INCFS_IOC_CREATE, create);
}

static __u64 create(const struct test_fs *fs, struct incfs_create arg)
{
	if (try_create(fs, &arg))
		bail_out("INCFS_IOC_CREATE");
	return arg.ino;
}

static __u64 make_link(const struct test_fs *fs, const char *name, const char *target)
{
	struct items items = {};

	add_item(&items, INCFS_ATTR_SYMLINK, "", target, strlen(target));
	return create(fs, new_create(S_IFLNK | 0777, name, &items));
}

static void test_create_refusals(struct test_fs *fs)
{
	static char long_name[INCFS_MAX_BLOCK_DATA + 2];
	struct incfs_mount_info before = fs_info(fs);
	struct items key = {}, target = {}, cut = {}, big_key = {};
	struct incfs_create arg, sound;
	struct stat st, st_after;
	int fd, ro;

	add_item(&key, INCFS_ATTR_KEY, "", "k", 1);
	add_item(&target, INCFS_ATTR_SYMLINK, "", "t", 1);
	add_item(&big_key, INCFS_ATTR_KEY, "", text, INCFS_KEY_MAX + 1);
	cut = key;
	cut.len--;
	memset(long_name, 'n', sizeof(long_name) - 1);
	make_file(fs, INCFS_ROOT_INODE, "taken", 0);
	sound = new_create(S_IFREG | 0644, "new", &key);
	stat(fs->image, &st);

#define REFUSED(error, change, ...)					\
	({								\
		arg = sound;						\
		change;							\
		is_errno(try_create(fs, &arg), error, __VA_ARGS__);	\
	})
	REFUSED(EINVAL, arg.reserved[0] = 1, "CREATE: the first reserved member");
	REFUSED(EINVAL, arg.reserved[1] = 1, "CREATE: the second reserved member");
	REFUSED(EINVAL, arg.mode = S_IFIFO | 0644, "CREATE: a FIFO");
	REFUSED(EINVAL, arg.mode = 0644, "CREATE: no type");
	REFUSED(EINVAL, arg.mode |= 1 << 16, "CREATE: an unknown bit of the mode");
	REFUSED(EINVAL, arg.mtime_nsec = 1000000000, "CREATE: a second of nanoseconds");
	REFUSED(EINVAL, arg.uid = -1, "CREATE: no owner");
	REFUSED(EINVAL, arg.gid = -1, "CREATE: no group");
	REFUSED(EFBIG, arg.size = 0xffffffffull * BLOCK + 1, "CREATE: a file that is too large");
	REFUSED(EINVAL, arg.mode = S_IFDIR | 0755; arg.size = 1, "CREATE: a directory of a size");
	REFUSED(EINVAL, arg = new_create(S_IFLNK | 0777, "new", &target); arg.size = 1,
		"CREATE: a symbolic link of a size");
	REFUSED(EINVAL, arg = new_create(S_IFLNK | 0777, "new", &key),
		"CREATE: a symbolic link without a target");
	REFUSED(EINVAL, arg = new_create(S_IFREG | 0644, "new", &target),
		"CREATE: a file with a target");
	REFUSED(EINVAL, arg = new_create(S_IFREG | 0644, "new", &cut),
		"CREATE: an item that is cut off");
	REFUSED(EINVAL, arg = new_create(S_IFREG | 0644, "new", &big_key),
		"CREATE: a key that is too long");
	REFUSED(E2BIG, arg.items_len = INCFS_ITEMS_MAX + 1, "CREATE: too many items");
	REFUSED(EFAULT, arg.items = 1, "CREATE: items at a bad address");
	REFUSED(EFAULT, arg.name = 1, "CREATE: a name at a bad address");
	REFUSED(EINVAL, arg.dir_ino = 0, "CREATE: a name without a directory");
	REFUSED(EINVAL, arg.name_len = 0, "CREATE: a directory without a name");
	REFUSED(ENOENT, arg.dir_ino = 99999, "CREATE: no such directory");
	REFUSED(ENOENT, arg.dir_ino = 1ull << 40, "CREATE: a directory out of range");
	REFUSED(ENOTDIR, arg.dir_ino = 3, "CREATE: a name in a file");
	REFUSED(EEXIST, arg.name = (unsigned long)"taken"; arg.name_len = 5,
		"CREATE: a name that is taken");
	REFUSED(EINVAL, arg.name = (unsigned long)".cmd"; arg.name_len = 4,
		"CREATE: a name that is reserved");
	REFUSED(EINVAL, arg.name = (unsigned long)"a/b", "CREATE: a name with a slash");
	REFUSED(ENAMETOOLONG, arg.name = (unsigned long)long_name; arg.name_len = 256,
		"CREATE: a name of 256 bytes");
	REFUSED(E2BIG, arg.name = (unsigned long)long_name; arg.name_len = 8193,
		"CREATE: a name of 8193 bytes");
	ro = fs_open_cmd(fs, O_RDONLY);
	is_errno(ioctl(ro, INCFS_IOC_CREATE, &sound), EBADF,
		 "CREATE: a descriptor that is read-only");
	close(ro);
	close(fs->cmd);
	if (mount("any", fs->dir, NULL, MS_REMOUNT | MS_RDONLY | MS_BIND, NULL))
		bail_out("remount");
	fs->cmd = fs_open_cmd(fs, O_RDONLY);
	is_errno(try_create(fs, &sound), EROFS, "CREATE: a mount that is read-only");
	close(fs->cmd);
	if (mount("any", fs->dir, NULL, MS_REMOUNT | MS_BIND, NULL))
		bail_out("remount");
	fs->cmd = fs_open_cmd(fs, O_RDWR);
	stat(fs->image, &st_after);
	is_int(fs_info(fs).nr_files, before.nr_files + 1, "none of them left an inode behind");
	is_int(st_after.st_size, st.st_size, "nor a byte in the image");
	is_errno(stat(fs_path(fs, "new"), &st), ENOENT, "nor a name");
	fd = open(fs->image, O_RDONLY);
	is_int(pread(fd, text, 32, 0), 32, "the superblock is there");
	is_int(text[18], 0, "an image without attributes has no feature bit");
	close(fd);
	is_int(try_create(fs, &sound), 0, "CREATE: what they were made from is taken");
	fd = open(fs->image, O_RDONLY);
	is_int(pread(fd, text, 32, 0), 32, "the superblock is there");
	is_int(text[18], 1, "and sets the feature bit");
	close(fd);
}

static void test_limit(void)
{
	struct incfs_create arg = new_create(S_IFREG | 0644, "more", NULL);
	struct test_fs fs;

	fs_mount_new(&fs, "limit", "max_files=3");
	create(&fs, new_create(S_IFDIR | 0700, "one", NULL));
	create(&fs, new_create(S_IFREG | 0600, NULL, NULL));
	is_errno(try_create(&fs, &arg), ENFILE, "CREATE: more inodes than max_files");
	is_int(try_add(fs.cmd, INCFS_ROOT_INODE, 4, "two"), 0,
	       "an inode that was made without a name gets one");
	fs_unmount(&fs);
}

static void test_get_refusals(const struct test_fs *fs, __u64 ino)
{
	struct incfs_get_attrs arg = { .ino = ino, .reserved = 1 };

	is_errno(ioctl(fs->cmd, INCFS_IOC_GET_ATTRS, &arg), EINVAL,
		 "GET_ATTRS: the reserved member");
	arg = (struct incfs_get_attrs) { .ino = 99999 };
	is_errno(ioctl(fs->cmd, INCFS_IOC_GET_ATTRS, &arg), ENOENT, "GET_ATTRS: no such inode");
	arg.ino = INCFS_COMMAND_INODE;
	is_errno(ioctl(fs->cmd, INCFS_IOC_GET_ATTRS, &arg), ENOENT, "GET_ATTRS: .cmd");
	arg = (struct incfs_get_attrs) { .ino = ino, .items_len = 3 };
	is_errno(ioctl(fs->cmd, INCFS_IOC_GET_ATTRS, &arg), ERANGE, "GET_ATTRS: too little room");
	ok(arg.items_len > 3, "GET_ATTRS: says how much it takes (%u)", arg.items_len);
	arg.items = 1;
	is_errno(ioctl(fs->cmd, INCFS_IOC_GET_ATTRS, &arg), EFAULT,
		 "GET_ATTRS: items at a bad address");
}

#define FILE_MODE (S_IFREG | 06751)

static void check_file(const struct test_fs *fs, __u64 ino, const struct items *items,
		       const char *when)
{
	struct items found = {};
	struct incfs_get_attrs get = {
		.ino = ino,
		.items = (unsigned long)found.bytes,
		.items_len = sizeof(found.bytes),
	};
	char value[600];
	struct stat st;

	if (stat(fs_path(fs, "file"), &st))
		bail_out("stat");
	is_int(st.st_mode, FILE_MODE, "%s: all twelve bits of the mode", when);
	ok(st.st_uid == 1000 && st.st_gid == 70000, "%s: owner and group", when);
	ok(st.st_mtim.tv_sec == -5 && st.st_mtim.tv_nsec == 999999999, "%s: mtime", when);
	ok(st.st_ctim.tv_sec == -5 && st.st_atim.tv_nsec == 999999999,
	   "%s: the other times are the same", when);
	is_int(st.st_size, 5000, "%s: size", when);
	is_int(ioctl(fs->cmd, INCFS_IOC_GET_ATTRS, &get), 0, "%s: GET_ATTRS", when);
	ok(get.items_len == items->len && !memcmp(found.bytes, items->bytes, items->len),
	   "%s: items are as they were given", when);
	ok(get.size == 5000 && get.mtime_sec == -5 && get.mtime_nsec == 999999999 &&
	   get.uid == 1000 && get.gid == 70000 && get.mode == FILE_MODE && get.nr_names == 1,
	   "%s: and all else", when);
	is_int(getxattr(fs_path(fs, "file"), "user.big", value, sizeof(value)), 500,
	       "%s: an extended attribute", when);
	is_int(getxattr(fs_path(fs, "file"), "user.big", NULL, 0), 500, "%s: its size", when);
	is_errno(getxattr(fs_path(fs, "file"), "user.big", value, 499), ERANGE,
		 "%s: too little room for it", when);
	is_int(getxattr(fs_path(fs, "file"), "user.empty", value, sizeof(value)), 0,
	       "%s: an empty one", when);
	is_errno(getxattr(fs_path(fs, "file"), "user.other", value, sizeof(value)), ENODATA,
		 "%s: one that is not there", when);
	is_int(listxattr(fs_path(fs, "file"), value, sizeof(value)), 20, "%s: their list", when);
	ok(!memcmp(value, "user.big\0user.empty", 20), "%s: has both", when);
	is_int(listxattr(fs_path(fs, "file"), NULL, 0), 20, "%s: its size", when);
	is_errno(listxattr(fs_path(fs, "file"), value, 19), ERANGE,
		 "%s: too little room for it", when);
	is_errno(setxattr(fs_path(fs, "file"), "user.big", "", 0, 0), EROFS,
		 "%s: nobody sets one", when);
	is_errno(removexattr(fs_path(fs, "file"), "user.big"), EROFS,
		 "%s: or removes one", when);
}

static __u64 make_rich_file(struct test_fs *fs, struct items *items)
{
	struct incfs_create arg;

	memset(text, 'v', 500);
	add_item(items, INCFS_ATTR_XATTR, "user.big", text, 500);
	add_item(items, INCFS_ATTR_KEY, "", "key\0\1", 5);
	add_item(items, INCFS_ATTR_XATTR, "user.empty", "", 0);
	arg = new_create(FILE_MODE, "file", items);
	arg.size = 5000;
	arg.uid = 1000;
	arg.gid = 70000;
	arg.mtime_sec = -5;
	arg.mtime_nsec = 999999999;
	return create(fs, arg);
}

static void test_file(struct test_fs *fs)
{
	struct items items = {};
	__u64 ino = make_rich_file(fs, &items);
	struct stat st;

	test_get_refusals(fs, ino);
	check_file(fs, ino, &items, "new");
	fs_cycle(fs);
	check_file(fs, ino, &items, "mounted again");
	is_int(image_tool("check", fs->image, text, sizeof(text)), 0,
	       "an independent reader finds no fault in the image");
	fs_unmount(fs);
	snprintf(fs->options, sizeof(fs->options), "cmd_uid=1000");
	fs_mount(fs);
	stat(fs_path(fs, "file"), &st);
	is_int(st.st_mode, FILE_MODE & ~06000,
	       "when others supply the blocks, no program gets its owner's rights");
	fs_unmount(fs);
	fs->options[0] = '\0';
	fs_mount(fs);
}

/* As a user without rights: does @call succeed? */
#define as_nobody(call)							\
	({								\
		pid_t pid = fork();					\
		if (!pid)						\
			_exit(setgid(65534) || setuid(65534) ? 99 :	\
			      (call) ? errno : 0);			\
		wait_exit(pid);						\
	})

static void test_permissions(struct test_fs *fs)
{
	struct incfs_create arg = new_create(S_IFREG | 0640, "private", NULL);

	create(fs, arg);
	arg = new_create(S_IFREG | 0600, "own", NULL);
	arg.uid = 65534;
	create(fs, arg);
	create(fs, new_create(S_IFDIR | 0711, "closed", NULL));
	create(fs, new_create(S_IFREG | 0666, "writable", NULL));
	is_int(as_nobody(access(fs_path(fs, "private"), R_OK)), EACCES,
	       "a file for others can't be read");
	is_int(as_nobody(access(fs_path(fs, "own"), R_OK)), 0, "one's own can");
	is_int(as_nobody(!opendir(fs_path(fs, "closed"))), EACCES,
	       "a directory without r can't be listed");
	is_int(as_nobody(open(fs_path(fs, "writable"), O_WRONLY) < 0), EROFS,
	       "what all may write nobody can");
	is_errno(open(fs_path(fs, "writable"), O_RDWR), EROFS, "nor root");
	is_errno(chmod(fs_path(fs, "writable"), 0600), EROFS, "nor change its mode");
	is_errno(mkdir(fs_path(fs, "closed/new"), 0700), EROFS, "nor make anything");
}

static void is_link(const struct test_fs *fs, const char *name, const char *target)
{
	char buf[PATH_MAX];
	ssize_t len = readlink(fs_path(fs, name), buf, sizeof(buf) - 1);

	buf[len < 0 ? 0 : len] = '\0';
	is_str(buf, target, "readlink of %s", name);
}

static int type_of(const struct test_fs *fs, const char *name)
{
	DIR *dir = opendir(fs->dir);
	struct dirent *entry;
	int type = -1;

	while (dir && (entry = readdir(dir)))
		if (!strcmp(entry->d_name, name))
			type = entry->d_type;
	closedir(dir);
	return type;
}

static void test_links(struct test_fs *fs)
{
	static char target[4033], path[4096];
	struct items items = {};
	struct incfs_create arg;
	struct stat st;
	__u64 ino;
	int i;

	memset(target, '/', sizeof(target) - 1);
	memcpy(target + 4000, "nothing", 7);
	make_file(fs, make_dir(fs, INCFS_ROOT_INODE, "sub"), "leaf", 0);
	ino = make_link(fs, "link", "sub/leaf");
	make_link(fs, "dirlink", "sub");
	make_link(fs, "dangling", "nothing");
	make_link(fs, "loop", "loop");
	make_link(fs, "long", target);
	make_link(fs, "\xff\n", "\xfe \t");
	for (i = 0; i < 2; i++) {
		is_link(fs, "link", "sub/leaf");
		is_link(fs, "long", target);
		is_link(fs, "\xff\n", "\xfe \t");
		is_int(lstat(fs_path(fs, "link"), &st), 0, "lstat of a symbolic link");
		ok(S_ISLNK(st.st_mode) && st.st_size == 8 && st.st_ino == ino,
		   "its type, size and inode");
		is_int(stat(fs_path(fs, "link"), &st), 0, "it leads to a file");
		ok(S_ISREG(st.st_mode), "stat follows it");
		is_int(stat(fs_path(fs, "dirlink/leaf"), &st), 0, "a link in the middle of a path");
		is_errno(stat(fs_path(fs, "dangling"), &st), ENOENT, "a dangling link");
		is_errno(stat(fs_path(fs, "loop"), &st), ELOOP, "a link to itself");
		is_errno(open(fs_path(fs, "link"), O_RDONLY | O_NOFOLLOW), ELOOP,
			 "a link is not opened");
		is_int(type_of(fs, "link"), DT_LNK, "a listing tells its type");
		if (!i)
			fs_cycle(fs);
	}
	is_int(try_add(fs->cmd, INCFS_ROOT_INODE, ino, "link2"), 0, "a second name for a link");
	is_link(fs, "link2", "sub/leaf");
	is_int(try_remove(fs->cmd, INCFS_ROOT_INODE, ino, "link"), 0, "its first name goes");
	is_errno(lstat(fs_path(fs, "link"), &st), ENOENT, "and is gone");
	snprintf(path, sizeof(path), "%s", fs_path(fs, "x"));
	is_errno(symlink("a", path), EROFS, "symlink(2) makes none");
	add_item(&items, INCFS_ATTR_SYMLINK, "", "", 0);
	arg = new_create(S_IFLNK | 0777, "none", &items);
	is_errno(try_create(fs, &arg), EINVAL, "an empty target");
}

/* An attribute record that rots while it is mounted. */
static void test_rot(void)
{
	struct items items = {};
	struct incfs_get_attrs get = {};
	int log = klog_open(), fd;
	struct test_fs fs;
	struct stat st;
	char *map, *found, value[600];
	__u64 ino;

	fs_mount_new(&fs, "rot", "");
	ino = make_rich_file(&fs, &items);
	make_link(&fs, "link", "where-it-leads-to");
	fd = open(fs.image, O_RDWR);
	fstat(fd, &st);
	map = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	found = memmem(map, st.st_size, "where-it-leads-to", 17);
	if (!found)
		bail_out("the target is not in the image");
	found[3] ^= 1;
	is_errno(readlink(fs_path(&fs, "link"), value, sizeof(value)), EUCLEAN,
		 "a target that has rotted is not followed");
	ok(klog_has(log, "attributes at image offset"), "the log tells where");
	found[3] ^= 1;
	is_link(&fs, "link", "where-it-leads-to");
	found = memmem(map, st.st_size, "user.empty", 10);
	if (!found)
		bail_out("the name is not in the image");
	found[9] ^= 1;
	is_errno(getxattr(fs_path(&fs, "file"), "user.big", value, sizeof(value)), EUCLEAN,
		 "an extended attribute among rotten ones is not read");
	is_errno(listxattr(fs_path(&fs, "file"), value, sizeof(value)), EUCLEAN,
		 "nor are they listed");
	get.ino = ino;
	get.items = (unsigned long)items.bytes;
	get.items_len = sizeof(items.bytes);
	is_errno(ioctl(fs.cmd, INCFS_IOC_GET_ATTRS, &get), EUCLEAN, "nor told by GET_ATTRS");
	munmap(map, st.st_size);
	is_int(stat(fs_path(&fs, "file"), &st), 0, "stat does not need them");
	close(fd);
	close(log);
	fs_unmount(&fs);
}

/* An image of another's making, and one without the feature. */
static void test_foreign(void)
{
	struct test_fs fs = { .image = "foreign.img", .dir = "foreign" };
	char path[300];
	struct incfs_get_attrs get = { .ino = INCFS_ROOT_INODE };
	struct stat st;
	int fd;

	if (image_tool("attrs", fs.image, text, sizeof(text)))
		bail_out("image.py: %s", text);
	fs_mount(&fs);
	snprintf(path, sizeof(path), "%s' '%s", fs.image, fs.dir);
	is_int(image_tool("compare", path, text, sizeof(text)), 0,
	       "all that another writer has put into an image is there");
	stat(fs_path(&fs, "dir/plain"), &st);
	ok(st.st_mode == (S_IFREG | 0555) && !st.st_uid && !st.st_mtime,
	   "an inode without attributes beside others that have some");
	is_int(ioctl(fs.cmd, INCFS_IOC_GET_ATTRS, &get), 0, "GET_ATTRS of the root");
	ok(get.mode == (S_IFDIR | 0555) && get.nr_names == 1 && !get.items_len,
	   "which has no attributes");
	fs_unmount(&fs);

	fs_mount_new(&fs, "plain", "");
	make_dir(&fs, INCFS_ROOT_INODE, "dir");
	make_file(&fs, INCFS_ROOT_INODE, "file", 10000);
	is_errno(getxattr(fs_path(&fs, "file"), "user.a", text, sizeof(text)), ENODATA,
		 "a file without attributes has no extended one");
	is_int(listxattr(fs_path(&fs, "file"), text, sizeof(text)), 0, "and lists none");
	is_int(listxattr(fs_path(&fs, ".cmd"), text, sizeof(text)), 0, ".cmd neither");
	is_errno(getxattr(fs_path(&fs, ".cmd"), "user.a", text, sizeof(text)), ENODATA,
		 ".cmd has none");
	fs_cycle(&fs);
	fs_unmount(&fs);
	fd = open(fs.image, O_RDONLY);
	is_int(pread(fd, text, 32, 0), 32, "the superblock is there");
	is_int(text[18], 0, "an image made by instructions alone has no feature bit");
	close(fd);
}

int main(void)
{
	struct test_fs fs;

	umask(0);
	fs_mount_new(&fs, "fs", "");
	test_create_refusals(&fs);
	fs_unmount(&fs);
	test_limit();
	fs_mount_new(&fs, "fs", "");
	test_file(&fs);
	test_permissions(&fs);
	test_links(&fs);
	fs_unmount(&fs);
	test_rot();
	test_foreign();
	return done();
}
