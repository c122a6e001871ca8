// SPDX-License-Identifier: GPL-2.0-only
/* Instructions: the tree they make, and what each refuses. */
#define _GNU_SOURCE
#include <dirent.h>

#include "lib/incfs.h"
#include "lib/tap.h"

#define ROOT INCFS_ROOT_INODE

static struct test_fs fs;

/* The names in a directory but ".", ".." and ".cmd", in order, with spaces. */
static const char *list(const char *name)
{
	static char names[4096];
	struct dirent *entry;
	struct stat st;
	DIR *dir = opendir(fs_path(&fs, name));

	if (!dir)
		bail_out("opendir %s", name);
	names[0] = 0;
	while ((entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
		    !strcmp(entry->d_name, ".cmd"))
			continue;
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s",
			 names[0] ? " " : "", entry->d_name);
		if (fstatat(dirfd(dir), entry->d_name, &st, 0) || st.st_ino != entry->d_ino ||
		    st.st_mode >> 12 != entry->d_type) {
			strcat(names, "?");
			diag("%s: listed as inode %lu, type %d", entry->d_name, entry->d_ino,
			     entry->d_type);
		}
	}
	closedir(dir);
	return names;
}

static nlink_t links(const char *name)
{
	struct stat st;

	return stat(fs_path(&fs, name), &st) ? 0 : st.st_nlink;
}

static void test_new_file(void)
{
	__u64 ino, other, dir;
	struct stat st;
	int fd;

	is_int(try_new(fs.cmd, S_IFREG | 07777, 5000, &ino), 0, "NEW_FILE makes a file");
	ok(ino > ROOT, "it returns an inode number");
	is_int(try_new(fs.cmd, S_IFDIR | 0777, 0, &dir), 0, "NEW_FILE makes a directory");
	is_int(dir, ino + 1, "inode numbers grow");
	is_str(list(""), "", "what has no name is not listed");

	is_int(try_add(fs.cmd, ROOT, ino, "file"), 0, "ADD_DIR_ENTRY names a file");
	is_int(try_add(fs.cmd, ROOT, dir, "dir"), 0, "ADD_DIR_ENTRY names a directory");
	if (stat(fs_path(&fs, "file"), &st))
		bail_out("stat file");
	is_int(st.st_ino, ino, "stat has the inode number");
	is_int(st.st_size, 5000, "stat has the size as declared");
	is_int(st.st_mode, S_IFREG | 0555, "a file's permissions are those asked for, & 0555");
	is_int(st.st_nlink, 1, "a file with one name has one link");
	stat(fs_path(&fs, "dir"), &st);
	is_int(st.st_mode, S_IFDIR | 0555, "a directory's permissions are & 0555");
	is_int(st.st_ino, dir, "a directory has its inode number");

	is_int(try_new(fs.cmd, S_IFREG | 0004, 0, &other), 0, "NEW_FILE makes an empty file");
	try_add(fs.cmd, dir, other, "empty");
	fd = fs_open(&fs, "dir/empty");
	is_int(read(fd, &st, sizeof(st)), 0, "an empty file reads as nothing");
	fstat(fd, &st);
	is_int(st.st_mode, S_IFREG | 0004, "permissions that are not asked for are not given");
	close(fd);

	is_errno(try_new(fs.cmd, S_IFLNK | 0777, 0, &other), EINVAL, "a symlink is refused");
	is_errno(try_new(fs.cmd, S_IFIFO | 0666, 0, &other), EINVAL, "a FIFO is refused");
	is_errno(try_new(fs.cmd, S_IFCHR | 0666, 0, &other), EINVAL, "a device is refused");
	is_errno(try_new(fs.cmd, 0644, 0, &other), EINVAL, "a mode without a type is refused");
	is_errno(try_new(fs.cmd, S_IFREG | 0444, ~0ull, &other), EFBIG,
		 "a file too large for the format is refused");
	is_errno(try_new(fs.cmd, S_IFREG | 0444, 1ull << 45, &other), EFBIG,
		 "a file with too many blocks is refused");
	is_int(fs_info(&fs).nr_files, 4, "refused files leave nothing behind");
}

static void test_ioctl(void)
{
	struct incfs_instruction arg = { .version = INCFS_HEADER_VER };
	struct incfs_instruction *page = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE,
					      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	__u32 before = fs_info(&fs).nr_files;

	is_int(ioctl(fs.cmd, INCFS_IOC_PROCESS_INSTRUCTION, &arg), 0, "NOOP does nothing");
	arg.type = 2;
	is_errno(ioctl(fs.cmd, INCFS_IOC_PROCESS_INSTRUCTION, &arg), EINVAL,
		 "instruction 2, which there never was, is refused");
	arg.type = 5;
	is_errno(ioctl(fs.cmd, INCFS_IOC_PROCESS_INSTRUCTION, &arg), EINVAL,
		 "an unknown instruction is refused");
	arg.version = INCFS_HEADER_VER + 1;
	is_errno(ioctl(fs.cmd, INCFS_IOC_PROCESS_INSTRUCTION, &arg), EOPNOTSUPP,
		 "another version is refused");
	arg.version = 0;
	is_errno(ioctl(fs.cmd, INCFS_IOC_PROCESS_INSTRUCTION, &arg), EOPNOTSUPP,
		 "version 0 is refused");
	is_errno(ioctl(fs.cmd, INCFS_IOC_PROCESS_INSTRUCTION, NULL), EFAULT,
		 "an instruction at a bad address is refused");

	page->version = INCFS_HEADER_VER;
	page->type = INCFS_INSTRUCTION_NEW_FILE;
	page->file.mode = S_IFREG | 0444;
	mprotect(page, BLOCK, PROT_READ);
	is_errno(ioctl(fs.cmd, INCFS_IOC_PROCESS_INSTRUCTION, page), EFAULT,
		 "NEW_FILE that can't return the inode number is refused");
	is_int(fs_info(&fs).nr_files, before, "and leaves nothing behind");
	munmap(page, BLOCK);
}

static void test_add_refusals(void)
{
	char *long_name = malloc(8193);
	__u64 dir = make_dir(&fs, ROOT, "add"), file = make_file(&fs, dir, "file", 1);
	__u64 below = make_dir(&fs, dir, "below"), lone, free_file;
	char path[300] = "add/";

	if (try_new(fs.cmd, S_IFDIR, 0, &lone) || try_new(fs.cmd, S_IFREG | 0444, 0, &free_file))
		bail_out("NEW_FILE");
	memset(long_name, 'x', 8193);
	is_errno(try_add(fs.cmd, dir, free_file, "file"), EEXIST,
		 "a name that is taken is refused");
	is_errno(try_add(fs.cmd, dir, 12345, "new"), ENOENT, "an unknown inode is refused");
	is_errno(try_add(fs.cmd, dir, 1ull << 32 | file, "new"), ENOENT,
		 "an inode above 2^32 is refused");
	is_errno(try_add(fs.cmd, 12345, free_file, "new"), ENOENT,
		 "an unknown directory is refused");
	is_errno(try_add(fs.cmd, dir, INCFS_COMMAND_INODE, "new"), ENOENT,
		 "a second name for .cmd is refused");
	is_errno(try_add(fs.cmd, file, free_file, "new"), ENOTDIR,
		 "a file as directory is refused");
	is_errno(try_add(fs.cmd, dir, ROOT, "new"), EINVAL, "a name for the root is refused");
	is_errno(try_add(fs.cmd, lone, lone, "new"), EINVAL,
		 "a directory into itself is refused");
	is_errno(try_add(fs.cmd, ROOT, dir, "new"), EMLINK,
		 "a second name for a directory is refused");
	is_errno(try_add(fs.cmd, dir, free_file, ""), EINVAL, "an empty name is refused");
	is_errno(try_add(fs.cmd, dir, free_file, "."), EINVAL, "the name . is refused");
	is_errno(try_add(fs.cmd, dir, free_file, ".."), EINVAL, "the name .. is refused");
	is_errno(try_add(fs.cmd, ROOT, free_file, ".cmd"), EINVAL, "the name .cmd is refused");
	is_errno(try_add(fs.cmd, dir, free_file, ".cmd"), EINVAL,
		 "the name .cmd is refused outside the root");
	is_errno(try_add(fs.cmd, dir, free_file, "a/b"), EINVAL, "a name with / is refused");
	is_errno(try_add_len(fs.cmd, dir, free_file, "a\0b", 3), EINVAL,
		 "a name with NUL is refused");
	is_errno(try_add_len(fs.cmd, dir, free_file, long_name, 256), ENAMETOOLONG,
		 "a name of 256 bytes is refused");
	is_errno(try_add_len(fs.cmd, dir, free_file, long_name, 8192), ENAMETOOLONG,
		 "a name of 8192 bytes is refused as too long");
	is_errno(try_add_len(fs.cmd, dir, free_file, long_name, 8193), E2BIG,
		 "a name_len over 8192 is refused as such");
	is_errno(try_add_len(fs.cmd, dir, free_file, NULL, 3), EFAULT,
		 "a name at a bad address is refused");
	is_str(list("add"), "file below", "refused names leave nothing behind");

	is_int(try_add_len(fs.cmd, dir, free_file, long_name, 255), 0,
	       "a name of 255 bytes is taken");
	memset(path + 4, 'x', 255);
	ok(!access(fs_path(&fs, path), F_OK), "it can be looked up");
	is_int(try_add(fs.cmd, dir, free_file, "\xff\n \\"), 0, "a name of odd bytes is taken");
	ok(!access(fs_path(&fs, "add/\xff\n \\"), F_OK), "it can be looked up, too");
	is_int(try_add(fs.cmd, dir, free_file, "..."), 0, "the name ... is taken");

	/* A directory without a name may hold things; a cycle must not close. */
	is_int(try_add(fs.cmd, lone, below, "x"), -1, "a directory has one parent");
	if (try_remove(fs.cmd, dir, below, "below") || try_add(fs.cmd, lone, below, "x"))
		bail_out("move a directory");
	is_errno(try_add(fs.cmd, below, lone, "loop"), EINVAL, "a cycle of two is refused");
	free(long_name);
}

static void test_deep_cycle(void)
{
	__u64 top, dir, next;
	int i;

	if (try_new(fs.cmd, S_IFDIR, 0, &top))
		bail_out("NEW_FILE");
	for (dir = top, i = 0; i < 20; i++, dir = next) {
		if (try_new(fs.cmd, S_IFDIR, 0, &next) || try_add(fs.cmd, dir, next, "d"))
			bail_out("chain");
	}
	is_errno(try_add(fs.cmd, dir, top, "loop"), EINVAL, "a cycle of twenty is refused");
	is_int(try_add(fs.cmd, ROOT, top, "chain"), 0, "the chain itself gets a name");
	ok(!access(fs_path(&fs, "chain/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d"), F_OK),
	   "and is reached by it");
}

static void test_remove(void)
{
	__u64 dir = make_dir(&fs, ROOT, "rm"), file = make_file(&fs, dir, "file", 1), lone;
	struct stat st;
	int fd;

	is_errno(try_remove(fs.cmd, dir, 0, "none"), ENOENT, "removing no such name is refused");
	is_errno(try_remove(fs.cmd, dir, file + 100, "file"), ENOENT,
		 "removing another inode's name is refused");
	is_errno(try_remove(fs.cmd, 12345, 0, "file"), ENOENT,
		 "removing from an unknown directory is refused");
	is_errno(try_remove(fs.cmd, file, 0, "file"), ENOTDIR,
		 "removing from a file is refused");
	is_errno(try_remove(fs.cmd, ROOT, dir, "rm"), ENOTEMPTY,
		 "removing a directory with entries is refused");
	is_errno(try_remove(fs.cmd, ROOT, 0, ".cmd"), EINVAL, "removing .cmd is refused");
	is_errno(try_remove(fs.cmd, ROOT, 0, ""), EINVAL, "removing an empty name is refused");
	is_str(list("rm"), "file", "refused removals change nothing");

	fd = fs_open(&fs, "rm/file");
	is_int(try_remove(fs.cmd, dir, 0, "file"), 0, "a name is removed without its inode number");
	is_errno(access(fs_path(&fs, "rm/file"), F_OK), ENOENT, "it is gone at once");
	fstat(fd, &st);
	is_int(st.st_nlink, 0, "an open file without a name has no links");
	fill_raw(&fs, file, 0, 1);
	is_int(read(fd, &st, 1), 1, "an open file without a name is read on");
	close(fd);
	is_int(try_add(fs.cmd, dir, file, "again"), 0, "a file that lost its names gets one again");
	is_int(links("rm/again"), 1, "it has one link then");
	is_int(try_remove(fs.cmd, dir, file, "again"), 0, "a name is removed by inode number");
	is_int(try_remove(fs.cmd, ROOT, dir, "rm"), 0, "an empty directory is removed");
	is_errno(access(fs_path(&fs, "rm"), F_OK), ENOENT, "the directory is gone");

	lone = make_dir(&fs, ROOT, "held");
	make_file(&fs, lone, "in", 1);
	fd = fs_open(&fs, "held");
	try_remove(fs.cmd, lone, 0, "in");
	try_remove(fs.cmd, ROOT, 0, "held");
	is_int(try_add(fs.cmd, make_dir(&fs, ROOT, "moved"), lone, "here"), 0,
	       "a directory that is open moves by removal and addition");
	make_file(&fs, lone, "inside", 1);
	is_int(faccessat(fd, "inside", F_OK, 0), 0, "the open directory is the one that moved");
	is_str(list("moved/here"), "inside", "its new name shows the same");
	close(fd);
}

static void test_links(void)
{
	__u64 dir = make_dir(&fs, ROOT, "links"), file = make_file(&fs, dir, "a", BLOCK);
	struct stat a, b;

	if (try_add(fs.cmd, dir, file, "b") || try_add(fs.cmd, ROOT, file, "links-c"))
		bail_out("ADD_DIR_ENTRY");
	stat(fs_path(&fs, "links/a"), &a);
	stat(fs_path(&fs, "links-c"), &b);
	ok(a.st_ino == b.st_ino && a.st_dev == b.st_dev, "two names are one file");
	is_int(a.st_nlink, 3, "three names are three links");
	fill_raw(&fs, file, 0, BLOCK);
	ok(block_reads(&fs, "links/b", file, 0, BLOCK), "each name reads the same");
	try_remove(fs.cmd, dir, 0, "b");
	is_int(links("links/a"), 2, "a removed name is a link less");
}

static void test_order(void)
{
	__u64 dir = make_dir(&fs, ROOT, "order");
	struct dirent *entry;
	char name[16];
	int i, n = 0;
	bool right = true;
	DIR *stream;

	make_file(&fs, dir, "z", 1);
	make_file(&fs, dir, "m", 1);
	make_dir(&fs, dir, "d");
	make_file(&fs, dir, "a", 1);
	is_str(list("order"), "z m d a",
	       "names are listed in order of insertion, d_type and d_ino right");
	try_remove(fs.cmd, dir, 0, "m");
	make_file(&fs, dir, "m", 1);
	is_str(list("order"), "z d a m", "a name that was removed and added is the last");

	/* More than fits one getdents64(), and changes in between. */
	dir = make_dir(&fs, ROOT, "many");
	for (i = 0; i < 400; i++) {
		snprintf(name, sizeof(name), "f%03d", i);
		if (try_add(fs.cmd, dir, 3, name))
			bail_out("add %s", name);
	}
	stream = opendir(fs_path(&fs, "many"));
	while ((entry = readdir(stream))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "f%03d", n++);
		/* The ones that came back follow. */
		right &= n > 400 || !strcmp(entry->d_name, name);
		/* A name that is listed already goes, one comes. */
		if (n <= 400 && n % 100 == 0 && (try_remove(fs.cmd, dir, 0, name) ||
				     try_add(fs.cmd, dir, 3, name)))
			bail_out("change %s", name);
	}
	ok(right, "a long listing is in order, too");
	ok(n >= 400, "a listing loses nothing when names come and go (%d names)", n);
	rewinddir(stream);
	for (n = 0; (entry = readdir(stream)); )
		n += entry->d_name[0] != '.';
	is_int(n, 400, "the listing after that has all names");
	closedir(stream);
}

static void test_negative_dentries(void)
{
	__u64 dir = make_dir(&fs, ROOT, "neg"), file;

	is_errno(access(fs_path(&fs, "neg/late"), F_OK), ENOENT, "a name that is not there");
	file = make_file(&fs, dir, "late", 1);
	is_int(access(fs_path(&fs, "neg/late"), F_OK), 0, "is found as soon as it was added");
	try_remove(fs.cmd, dir, file, "late");
	is_errno(access(fs_path(&fs, "neg/late"), F_OK), ENOENT, "and is not when it was removed");
	try_add(fs.cmd, dir, file, "late");
	is_int(access(fs_path(&fs, "neg/late"), F_OK), 0, "and is again when it came back");
	try_remove(fs.cmd, dir, file, "late");
	file = make_dir(&fs, dir, "late");
	is_int(chdir(fs_path(&fs, "neg/late")), 0, "the name may become a directory");
	if (chdir("../../.."))
		bail_out("chdir");
}

static void test_remount(void)
{
	struct stat st;

	fs_cycle(&fs);
	is_str(list("order"), "z d a m", "the order of a listing survives a remount");
	is_errno(access(fs_path(&fs, "rm"), F_OK), ENOENT, "removed stays removed after a remount");
	is_errno(access(fs_path(&fs, "links/b"), F_OK), ENOENT,
		 "a removed link stays removed after a remount");
	is_int(links("links/a"), 2, "links are counted after a remount");
	stat(fs_path(&fs, "file"), &st);
	is_int(st.st_size, 5000, "sizes survive a remount");
	is_int(st.st_mode, S_IFREG | 0555, "modes survive a remount");
	is_str(list("moved/here"), "inside", "a directory that moved is there after a remount");
}

static void test_limit(void)
{
	struct test_fs small;
	__u64 ino;
	int i;

	fs_mount_new(&small, "small", "max_files=4");
	for (i = 0; i < 3; i++)
		make_file(&small, ROOT, (char [2]) { 'a' + i }, 1);
	is_errno(try_new(small.cmd, S_IFREG | 0444, 1, &ino), ENFILE,
		 "a file past max_files is refused");
	is_errno(try_new(small.cmd, S_IFDIR | 0555, 0, &ino), ENFILE,
		 "a directory past max_files is refused");
	is_int(fs_info(&small).nr_files, 4, "nr_files counts all, and the root");
	fs_unmount(&small);
	is_errno(try_mount(small.image, small.dir, "max_files=3"), ENFILE,
		 "an image with more files than max_files is refused");
	is_int(try_mount(small.image, small.dir, "max_files=5"), 0, "the limit is the mount's");
	umount(small.dir);
}

/* The image cannot grow: nothing of a failed instruction may stay. */
static void test_full(void)
{
	struct test_fs full = { .image = "full/image", .dir = "full-mnt" };
	__u32 files;
	__u64 ino, dir;
	int i, fd, err = 0;
	char name[16];
	static char junk[1 << 20];

	mkdir("full", 0755);
	if (mount("tmpfs", "full", "tmpfs", 0, "size=256k"))
		bail_out("tmpfs");
	fs_mount(&full);
	dir = make_dir(&full, ROOT, "dir");
	make_file(&full, ROOT, "file", 1);
	fd = open("full/junk", O_RDWR | O_CREAT, 0600);
	while (write(fd, junk, BLOCK) > 0)
		;
	for (i = 0; i < 1000 && !err; i++) {
		files = fs_info(&full).nr_files;
		err = try_new(full.cmd, S_IFREG | 0444, 1, &ino) ? errno : 0;
	}
	is_int(err, ENOSPC, "NEW_FILE fails when the image's file system is full");
	is_int(fs_info(&full).nr_files, files, "the file that failed is not there");
	for (i = 0, err = 0; i < 100 && !err; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		err = try_add(full.cmd, dir, 4, name) ? errno : 0;
	}
	is_int(err, ENOSPC, "ADD_DIR_ENTRY fails when the image's file system is full");
	ok(access(fs_path(&full, "dir"), F_OK) == 0 &&
	   faccessat(AT_FDCWD, fs_path(&full, (snprintf(junk, 64, "dir/%s", name), junk)), F_OK, 0),
	   "the name that failed is not there");
	is_errno(try_remove(full.cmd, ROOT, 0, "file"), ENOSPC,
		 "REMOVE_DIR_ENTRY fails when the image's file system is full");
	is_int(access(fs_path(&full, "file"), F_OK), 0, "the name is still there");

	if (ftruncate(fd, 0))
		bail_out("ftruncate");
	is_int(try_add(full.cmd, dir, 4, name), 0, "with room again the name is taken");
	is_int(try_new(full.cmd, S_IFREG | 0444, 1, &ino), 0, "and so is the file");
	files = fs_info(&full).nr_files;
	fs_cycle(&full);
	is_int(fs_info(&full).nr_files, files, "the image has the same files after a remount");
	is_int(access(fs_path(&full, junk), F_OK), 0, "and the same names");
	fs_unmount(&full);
	close(fd);
	umount("full");
}

int main(void)
{
	fs_mount_new(&fs, "fs", "");
	test_new_file();
	test_ioctl();
	test_add_refusals();
	test_deep_cycle();
	test_remove();
	test_links();
	test_order();
	test_negative_dentries();
	test_remount();
	fs_unmount(&fs);
	test_limit();
	test_full();
	return done();
}
