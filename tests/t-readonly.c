// SPDX-License-Identifier: GPL-2.0-only
/* The tree is read-only for its users, root included: only .cmd changes it. */
#define _GNU_SOURCE
#include <sys/xattr.h>
#include <time.h>

#include "lib/incfs.h"
#include "lib/tap.h"

int main(void)
{
	struct stat before, after;
	struct test_fs fs;
	const char *file, *dir, *new;
	char options[32];
	void *map;
	__u64 ino;
	int fd;

	fs_mount_new(&fs, "fs", "");
	ino = make_file(&fs, INCFS_ROOT_INODE, "file", BLOCK);
	make_dir(&fs, INCFS_ROOT_INODE, "dir");
	fill_raw(&fs, ino, 0, BLOCK);
	file = fs_path(&fs, "file");
	dir = fs_path(&fs, "dir");
	new = fs_path(&fs, "new");
	stat(file, &before);

	is_errno(open(new, O_CREAT | O_WRONLY, 0644), EROFS, "no file is created");
	is_errno(open(fs_path(&fs, "dir/new"), O_CREAT | O_WRONLY, 0644), EROFS,
		 "no file is created in a directory");
	is_errno(open(fs.dir, O_TMPFILE | O_RDWR, 0600), EROFS, "no nameless file is created");
	is_errno(open(file, O_WRONLY), EROFS, "a file does not open for writing");
	is_errno(open(file, O_RDWR), EROFS, "a file does not open for reading and writing");
	is_errno(open(file, O_RDONLY | O_TRUNC), EROFS, "a file is not truncated by open");
	is_errno(truncate(file, 0), EROFS, "a file is not truncated");
	is_errno(mkdir(new, 0755), EROFS, "no directory is made");
	is_errno(mknod(new, S_IFIFO | 0644, 0), EROFS, "no FIFO is made");
	is_errno(symlink("file", new), EROFS, "no symlink is made");
	is_errno(link(file, new), EROFS, "no link is made");
	is_errno(unlink(file), EROFS, "no file is unlinked");
	is_errno(unlink(fs_path(&fs, ".cmd")), EROFS, ".cmd is not unlinked");
	is_errno(rmdir(dir), EROFS, "no directory is removed");
	is_errno(rename(file, new), EROFS, "no file is renamed");
	is_errno(renameat2(AT_FDCWD, file, AT_FDCWD, dir, RENAME_EXCHANGE), EROFS,
		 "no names are exchanged");
	is_errno(rename("fs.img", new), EXDEV, "nothing is moved in");
	is_errno(chmod(file, 0777), EROFS, "no mode is changed");
	is_errno(chmod(fs.dir, 0777), EROFS, "the root's mode is not changed");
	is_errno(chown(file, 1, 1), EROFS, "no owner is changed");
	is_errno(utimensat(AT_FDCWD, file, NULL, 0), EROFS, "no times are changed");
	ok(setxattr(file, "user.x", "y", 1, 0) == -1, "no attributes are set");
	is_errno(truncate(fs_path(&fs, ".cmd"), 0), EROFS, ".cmd is not truncated");
	is_errno(chmod(fs_path(&fs, ".cmd"), 0666), EROFS, ".cmd's mode is not changed");

	fd = fs_open(&fs, "file");
	is_errno(write(fd, "x", 1), EBADF, "nothing is written through a descriptor");
	is_errno(ftruncate(fd, 0), EINVAL, "nothing is truncated through a descriptor");
	is_errno(fallocate(fd, 0, 0, BLOCK), EBADF, "nothing is allocated");
	ok(mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED &&
	   errno == EACCES, "a writable shared mapping is refused");
	map = mmap(NULL, BLOCK, PROT_READ, MAP_SHARED, fd, 0);
	is_errno(mprotect(map, BLOCK, PROT_READ | PROT_WRITE), EACCES,
		 "a shared mapping is not made writable");
	munmap(map, BLOCK);
	map = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	ok(map != MAP_FAILED, "a private mapping may be writable");
	memset(map, 'x', BLOCK);
	munmap(map, BLOCK);
	close(fd);

	ok(block_reads(&fs, "file", ino, 0, BLOCK), "after all of this the file is as it was");
	stat(file, &after);
	ok(before.st_mode == after.st_mode && before.st_mtime == after.st_mtime &&
	   before.st_size == after.st_size && before.st_nlink == after.st_nlink,
	   "and so is what stat shows");

	if (setegid(65534) || seteuid(65534))
		bail_out("seteuid");
	is_errno(open(fs_path(&fs, ".cmd"), O_RDONLY), EACCES,
		 "others can't open .cmd for reading");
	is_errno(open(fs_path(&fs, ".cmd"), O_WRONLY), EACCES,
		 "others can't open .cmd for writing");
	ok(block_reads(&fs, "file", ino, 0, BLOCK), "others can read files that are for all");
	if (seteuid(0) || setegid(0))
		bail_out("seteuid");

	fd = fs_open_cmd(&fs, O_RDONLY);
	is_errno(try_new(fd, S_IFREG | 0444, BLOCK, &ino), EBADF,
		 "no file is made through a descriptor that is open for reading only");
	is_errno(try_add(fd, INCFS_ROOT_INODE, ino, "new"), EBADF, "nor a name added");
	is_errno(try_remove(fd, INCFS_ROOT_INODE, 0, "file"), EBADF, "nor one removed");
	is_int(ioctl(fd, INCFS_IOC_PROCESS_INSTRUCTION,
		     &(struct incfs_instruction) { .version = INCFS_HEADER_VER }), 0,
	       "an instruction that does nothing needs no more");
	close(fd);
	fs_unmount(&fs);

	fd = open(fs.image, O_RDWR);
	snprintf(options, sizeof(options), "backing_fd=%d", fd);
	ok(!mount("any", fs.dir, INCFS_NAME, MS_RDONLY, options), "an image mounts read-only");
	close(fd);
	is_errno(open(fs_path(&fs, ".cmd"), O_RDWR), EROFS, "then .cmd does not open for writing");
	fd = open(fs_path(&fs, ".cmd"), O_RDONLY);
	is_errno(try_new(fd, S_IFREG | 0444, BLOCK, &ino), EROFS, "and no file is made");
	is_errno(try_add(fd, INCFS_ROOT_INODE, INCFS_ROOT_INODE + 1, "new"), EROFS,
		 "and no name is added");
	is_errno(try_remove(fd, INCFS_ROOT_INODE, 0, "file"), EROFS, "and none is removed");
	ok(access(file, R_OK) == 0, "and the file is there");
	close(fd);
	if (umount(fs.dir))
		bail_out("umount");
	return done();
}
