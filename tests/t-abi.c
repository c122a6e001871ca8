// SPDX-License-Identifier: GPL-2.0-only
/*
 * The interface of 2019, as existing clients were compiled against it: numbers,
 * layouts, mount options, and what a mount looks like from outside.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <sys/statfs.h>

#include "lib/incfs.h"
#include "lib/tap.h"

#define AT(type, member, offset) \
	_Static_assert(offsetof(struct type, member) == (offset), #type "." #member)
#define SIZE(type, size) _Static_assert(sizeof(struct type) == (size), #type)

SIZE(incfs_pending_read_info, 16);
AT(incfs_pending_read_info, file_ino, 0);
AT(incfs_pending_read_info, block_index, 8);
AT(incfs_pending_read_info, serial_number, 12);

SIZE(incfs_new_data_block, 40);
AT(incfs_new_data_block, file_ino, 0);
AT(incfs_new_data_block, block_index, 8);
AT(incfs_new_data_block, data_len, 12);
AT(incfs_new_data_block, data, 16);
AT(incfs_new_data_block, compression, 24);
AT(incfs_new_data_block, reserved1, 28);
AT(incfs_new_data_block, reserved2, 32);

SIZE(incfs_instruction, 72);
AT(incfs_instruction, version, 0);
AT(incfs_instruction, type, 4);
AT(incfs_instruction, file, 8);
AT(incfs_instruction, dir_entry, 8);
AT(incfs_instruction, reserved, 8);

SIZE(incfs_new_file_instruction, 64);
AT(incfs_new_file_instruction, ino_out, 0);
AT(incfs_new_file_instruction, size, 8);
AT(incfs_new_file_instruction, mode, 16);
AT(incfs_new_file_instruction, reserved1, 18);
AT(incfs_new_file_instruction, reserved2, 20);
AT(incfs_new_file_instruction, reserved3, 24);
AT(incfs_new_file_instruction, reserved7, 56);

SIZE(incfs_dir_entry_instruction, 64);
AT(incfs_dir_entry_instruction, dir_ino, 0);
AT(incfs_dir_entry_instruction, child_ino, 8);
AT(incfs_dir_entry_instruction, name_len, 16);
AT(incfs_dir_entry_instruction, reserved1, 20);
AT(incfs_dir_entry_instruction, name, 24);
AT(incfs_dir_entry_instruction, reserved2, 32);
AT(incfs_dir_entry_instruction, reserved5, 56);

_Static_assert(INCFS_MAGIC_NUMBER == 0x5346434e49, "magic");
_Static_assert(INCFS_DATA_FILE_BLOCK_SIZE == 4096, "block size");
_Static_assert(INCFS_HEADER_VER == 1, "version");
_Static_assert(INCFS_MAX_FILES == 1000, "limit of inodes");
_Static_assert(INCFS_COMMAND_INODE == 1 && INCFS_ROOT_INODE == 2, "inodes");
_Static_assert(INCFS_IOCTL_BASE_CODE == 'g', "ioctl code");
_Static_assert(COMPRESSION_NONE == 0 && COMPRESSION_LZ4 == 1, "compression");
_Static_assert(INCFS_INSTRUCTION_NOOP == 0 && INCFS_INSTRUCTION_NEW_FILE == 1 &&
	       INCFS_INSTRUCTION_ADD_DIR_ENTRY == 3 &&
	       INCFS_INSTRUCTION_REMOVE_DIR_ENTRY == 4, "instructions");
_Static_assert(INCFS_IOC_PROCESS_INSTRUCTION == 0xc048671e, "ioctl number");

static int mount_fd(int fd, const char *more)
{
	char data[128];

	snprintf(data, sizeof(data), "backing_fd=%d%s", fd, more);
	return mount("any", "mnt", INCFS_NAME, 0, data);
}

static void test_backing(void)
{
	int image = open("image", O_RDWR | O_CREAT, 0600);
	int read_only = open("image", O_RDONLY);
	int write_only = open("image", O_WRONLY);
	int path_only = open("image", O_PATH);
	int dir = open(".", O_RDONLY);
	int device = open("/dev/zero", O_RDWR);
	int pipes[2];

	if (pipe(pipes) || image < 0)
		bail_out("files to mount");
	is_errno(mount("any", "mnt", INCFS_NAME, 0, NULL), EBADFD,
		 "mount without options is refused");
	is_errno(mount("any", "mnt", INCFS_NAME, 0, "read_timeout_ms=1"), EBADFD,
		 "mount without backing_fd is refused");
	is_errno(mount("any", "mnt", INCFS_NAME, 0, "backing_fd"), EBADFD,
		 "backing_fd without a value is refused");
	is_errno(mount("any", "mnt", INCFS_NAME, 0, "backing_fd=image"), EBADFD,
		 "backing_fd that is no number is refused");
	is_errno(mount_fd(-1, ""), EBADFD, "negative backing_fd is refused");
	is_errno(mount_fd(1000, ""), EBADFD, "backing_fd that is not open is refused");
	is_errno(mount_fd(dir, ""), EBADFD, "a directory as image is refused");
	is_errno(mount_fd(pipes[1], ""), EBADFD, "a pipe as image is refused");
	is_errno(mount_fd(device, ""), EBADFD, "a device as image is refused");
	is_errno(mount_fd(read_only, ""), EBADFD, "image open for reading only is refused");
	is_errno(mount_fd(write_only, ""), EBADFD, "image open for writing only is refused");
	is_errno(mount_fd(path_only, ""), EBADFD, "image open as a path only is refused");
	is_errno(mount_fd(image, ",colour=blue"), EINVAL, "unknown option is refused");
	is_errno(mount_fd(image, ",read_timeout_ms=soon"), EINVAL,
		 "timeout that is no number is refused");
	is_errno(mount_fd(image, ",read_timeout_ms=-1"), EINVAL,
		 "negative timeout is refused");
	is_errno(mount_fd(image, ",max_files=0"), EINVAL, "max_files=0 is refused");
	is_int(lseek(image, 0, SEEK_END), 0, "refused mounts have not touched the image");

	is_int(mount_fd(image, ""), 0, "an empty file mounts");
	is_int(lseek(image, 0, SEEK_END), 32, "it has become an image");
	mkdir("mnt2", 0755);
	is_errno(try_mount("image", "mnt2", ""), EBUSY, "an image that is mounted is refused");
	if (link("image", "other"))
		bail_out("link");
	is_errno(try_mount("other", "mnt2", ""), EBUSY,
		 "an image that is mounted is refused by another name");
	if (umount("mnt"))
		bail_out("umount");
	is_int(try_mount("other", "mnt2", ""), 0, "it mounts once it is unmounted");
	if (umount("mnt2"))
		bail_out("umount");

	close(image);
	close(read_only);
	close(write_only);
	close(path_only);
	close(dir);
	close(device);
	close(pipes[0]);
	close(pipes[1]);
}

/* The new mount interface hands over the descriptor itself. */
static void test_fsconfig(void)
{
	int image = open("fsconfig.img", O_RDWR | O_CREAT, 0600);
	int context = fsopen(INCFS_NAME, 0), mnt = -1;

	ok(!fsconfig(context, FSCONFIG_SET_FD, "backing_fd", NULL, image) &&
	   !fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) &&
	   (mnt = fsmount(context, 0, 0)) >= 0,
	   "backing_fd is taken as a descriptor by fsconfig");
	is_int(faccessat(mnt, ".cmd", F_OK, 0), 0, "that is a whole mount");
	close(context);
	close(image);
	close(mnt);
}

/* A regular file, open for reading and writing, and yet no place for an image. */
static void test_nested(void)
{
	struct test_fs fs;
	char options[32];

	fs_mount_new(&fs, "nested", "");
	snprintf(options, sizeof(options), "backing_fd=%d", fs.cmd);
	ok(mount("any", "mnt", INCFS_NAME, 0, options) == -1, "a .cmd as image is refused");
	fs_unmount(&fs);
}

static void test_mount(void)
{
	char device[1024], options[1024], full[1024];
	struct incfs_mount_info info;
	struct test_fs fs;
	int fd;

	fs_mount_new(&fs, "one", "");
	is_int(fs_info(&fs).read_timeout_ms, 1000, "a read waits a second by default");
	is_int(fs_info(&fs).max_files, 1000, "there may be 1000 inodes by default");
	fs_proc_mounts(fs.dir, device, options, sizeof(device));
	if (!realpath(fs.image, full))
		bail_out("realpath");
	is_str(device, full, "/proc/mounts shows the image as the device");
	ok(strstr(options, "read_timeout_ms=1000"), "/proc/mounts shows the timeout");

	is_int(mount("any", fs.dir, NULL, MS_REMOUNT, "read_timeout_ms=77"), 0,
	       "a remount takes another timeout");
	is_int(fs_info(&fs).read_timeout_ms, 77, "the timeout is another one then");
	is_int(mount("any", fs.dir, NULL, MS_REMOUNT, "backing_fd=1000,read_timeout_ms=78"), 0,
	       "a remount may repeat backing_fd");
	is_errno(mount("any", fs.dir, NULL, MS_REMOUNT, "read_timeout_ms=79,colour=blue"), EINVAL,
		 "a remount with an unknown option is refused");
	is_errno(mount("any", fs.dir, NULL, MS_REMOUNT, "read_timeout_ms=79,max_files=5"), EINVAL,
		 "a remount that changes max_files is refused");
	info = fs_info(&fs);
	is_int(info.read_timeout_ms, 78, "a refused remount changes nothing");
	fs_proc_mounts(fs.dir, device, options, sizeof(device));
	ok(strstr(options, "read_timeout_ms=78"), "/proc/mounts follows the remount");

	/* The image was closed by try_mount() already. */
	if (unlink(fs.image))
		bail_out("unlink");
	make_file(&fs, INCFS_ROOT_INODE, "file", BLOCK);
	fd = fs_open(&fs, "file");
	ok(fd >= 0, "a mount goes on when its image was closed and unlinked");
	close(fd);
	fs_proc_mounts(fs.dir, device, options, sizeof(device));
	ok(!strncmp(device, full, strlen(full)), "/proc/mounts names the unlinked image");
	fs_unmount(&fs);

	snprintf(fs.image, sizeof(fs.image), "a b\tc.img");
	fs_mount(&fs);
	ok(fs_proc_mounts(fs.dir, device, options, sizeof(device)) &&
	   strstr(device, "a\\040b\\011c.img"),
	   "/proc/mounts escapes the name of the image");
	fs_unmount(&fs);

	fs_mount_new(&fs, "zero", "read_timeout_ms=0,max_files=7");
	is_int(fs_info(&fs).max_files, 7, "max_files is taken");
	fs_proc_mounts(fs.dir, device, options, sizeof(device));
	ok(strstr(options, "read_timeout_ms=0") && strstr(options, "max_files=7"),
	   "/proc/mounts shows max_files");
	fs_unmount(&fs);
}

static void test_look(void)
{
	struct dirent *entry;
	struct statfs sfs;
	bool listed = false;
	struct test_fs fs;
	struct stat st;
	char line[32];
	FILE *file;
	DIR *dir;

	file = fopen("/sys/fs/incremental-fs/version", "re");
	ok(file && fgets(line, sizeof(line), file) && atoi(line) > 0 &&
	   strspn(line, "0123456789") == strlen(line) - 1,
	   "/sys/fs/incremental-fs/version holds one positive integer");
	if (file)
		fclose(file);

	fs_mount_new(&fs, "look", "");
	if (statfs(fs.dir, &sfs) || stat(fs.dir, &st))
		bail_out("stat %s", fs.dir);
	ok(sfs.f_type == (long)INCFS_MAGIC_NUMBER, "statfs tells the magic number");
	is_int(sfs.f_bsize, BLOCK, "statfs tells the size of a block");
	is_int(sfs.f_namelen, 255, "statfs tells the longest name");
	is_int(sfs.f_files - sfs.f_ffree, 1, "statfs counts the root");
	is_int(st.st_ino, INCFS_ROOT_INODE, "the root is inode 2");
	is_int(st.st_mode, S_IFDIR | 0555, "the root is read-only by its mode");

	if (stat(fs_path(&fs, ".cmd"), &st))
		bail_out("stat .cmd");
	is_int(st.st_ino, INCFS_COMMAND_INODE, ".cmd is inode 1");
	is_int(st.st_mode, S_IFREG | 0600, ".cmd is for its owner only");
	is_int(st.st_uid, getuid(), ".cmd belongs to who has mounted");
	dir = opendir(fs.dir);
	while (dir && (entry = readdir(dir)))
		listed |= !strcmp(entry->d_name, ".cmd") && entry->d_ino == 1 &&
			  entry->d_type == DT_REG;
	closedir(dir);
	ok(listed, "the root lists .cmd");
	make_dir(&fs, INCFS_ROOT_INODE, "dir");
	is_errno(stat(fs_path(&fs, "dir/.cmd"), &st), ENOENT, "no other directory has .cmd");
	fs_unmount(&fs);
}

int main(void)
{
	mkdir("mnt", 0755);
	ok(INCFS_IOC_PROCESS_INSTRUCTION == 0xc048671e, "the header has the layout of 2019");
	test_backing();
	test_fsconfig();
	test_nested();
	test_mount();
	test_look();
	return done();
}
