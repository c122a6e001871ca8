// SPDX-License-Identifier: GPL-2.0-only
/*
 * Many files: what each of them takes, and that none takes more because of the
 * others. Arguments: directories and files in each; the default suits an
 * emulated guest, "1000 100" is the full measure.
 *
 * timeout: 300
 */
#define _GNU_SOURCE
#include <dirent.h>

#include "lib/incfs.h"
#include "lib/tap.h"

static unsigned int nr_dirs = 100, nr_files = 100;

/* Kernel memory in slabs, in bytes. */
static long long slab_bytes(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	char line[128];
	long kb = 0;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "Slab: %ld", &kb) == 1)
			break;
	fclose(file);
	return kb * 1024ll;
}

static void drop_caches(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	sync();
	if (fd < 0 || write(fd, "3", 1) != 1)
		bail_out("drop_caches");
	close(fd);
}

static __u64 create(const struct test_fs *fs, __u64 dir, mode_t mode, const char *name)
{
	struct incfs_create arg = {
		.mode = mode,
		.size = S_ISREG(mode) ? 3 * BLOCK : 0,
		.uid = 1000,
		.gid = 1000,
		.mtime_sec = 1700000000,
		.dir_ino = dir,
		.name = (unsigned long)name,
		.name_len = strlen(name),
	};

	if (ioctl(fs->cmd, INCFS_IOC_CREATE, &arg))
		bail_out("INCFS_IOC_CREATE of %s", name);
	return arg.ino;
}

static void make_tree(const struct test_fs *fs, bool by_create)
{
	unsigned int i, j;
	char name[32];
	__u64 dir;

	for (i = 0; i < nr_dirs; i++) {
		snprintf(name, sizeof(name), "dir-%u", i);
		dir = by_create ? create(fs, INCFS_ROOT_INODE, S_IFDIR | 0755, name) :
				  make_dir(fs, INCFS_ROOT_INODE, name);
		for (j = 0; j < nr_files; j++) {
			snprintf(name, sizeof(name), "file-%u", j);
			if (by_create)
				create(fs, dir, S_IFREG | 0644, name);
			else
				make_file(fs, dir, name, 3 * BLOCK);
		}
	}
	if (ioctl(fs->cmd, INCFS_IOC_SYNC))
		bail_out("INCFS_IOC_SYNC");
}

static unsigned int look_all_up(const struct test_fs *fs)
{
	unsigned int i, j, found = 0;
	char name[64];
	struct stat st;

	for (i = 0; i < nr_dirs; i++) {
		for (j = 0; j < nr_files; j++) {
			snprintf(name, sizeof(name), "dir-%u/file-%u", i, j);
			found += !stat(fs_path(fs, name), &st) && st.st_size == 3 * BLOCK;
		}
	}
	return found;
}

static unsigned int list(const char *path, const char *start)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	unsigned int n = 0;

	while (dir && (entry = readdir(dir)))
		n += !strncmp(entry->d_name, start, strlen(start));
	closedir(dir);
	return n;
}

static void test_tree(const char *how, bool by_create)
{
	unsigned int n = nr_dirs * nr_files, i, listed = 0;
	long long before;
	struct test_fs fs;
	char options[32], name[32];

	snprintf(options, sizeof(options), "max_files=%u", n + nr_dirs + 1);
	fs_mount_new(&fs, "fs", options);
	step_begin();
	make_tree(&fs, by_create);
	step_end(how, n);
	fs_unmount(&fs);
	drop_caches();
	before = slab_bytes();
	step_begin();
	fs_mount(&fs);
	step_end("mount", n);
	diag("kernel memory: %lld bytes a file", (slab_bytes() - before) / n);
	is_int(fs_info(&fs).nr_files, n + nr_dirs + 1, "%s: all inodes are there", how);
	step_begin();
	is_int(look_all_up(&fs), n, "%s: all files are found", how);
	step_end("look-up and stat, cold", n);
	look_all_up(&fs);
	step_end("look-up and stat, warm", n);
	for (i = 0; i < nr_dirs; i++) {
		snprintf(name, sizeof(name), "dir-%u", i);
		listed += list(fs_path(&fs, name), "file-");
	}
	step_end("readdir", n);
	is_int(listed, n, "%s: and listed", how);
	fs_unmount(&fs);
}

/* One directory with all of them; its second half should cost what the first does. */
static void test_large_directory(void)
{
	unsigned int n = nr_dirs * nr_files, i;
	char options[32], name[32];
	struct test_fs fs;

	snprintf(options, sizeof(options), "max_files=%u", n + 2);
	fs_mount_new(&fs, "large", options);
	step_begin();
	for (i = 0; i < n; i++) {
		if (i == n / 2)
			step_end("large directory: first half", n / 2);
		snprintf(name, sizeof(name), "file-%u", i);
		create(&fs, INCFS_ROOT_INODE, S_IFREG | 0644, name);
	}
	step_end("large directory: second half", n - n / 2);
	is_int(list(fs.dir, "file-"), n, "all are listed");
	step_end("large directory: readdir", n);
	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "file-%u", i);
		if (try_remove(fs.cmd, INCFS_ROOT_INODE, 0, name))
			bail_out("REMOVE_DIR_ENTRY of %s", name);
		if (i == n / 2)
			step_end("large directory: removal, first half", n / 2);
	}
	step_end("large directory: removal, second half", n - n / 2);
	is_int(list(fs.dir, ""), 3, "nothing is left but ., .. and .cmd");
	fs_unmount(&fs);
}

/* Names that stay are listed once, whatever comes and goes meanwhile. */
static void test_cookies(void)
{
	struct test_fs fs;
	struct dirent *entry;
	char name[32], before[256];
	bool seen[300] = {};
	int i, kept = 0, twice = 0;
	long at;
	DIR *dir;

	fs_mount_new(&fs, "cookies", "");
	for (i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "%d", i);
		make_file(&fs, INCFS_ROOT_INODE, name, 0);
	}
	dir = opendir(fs.dir);
	for (i = 0; (entry = readdir(dir)); i++) {
		int number = atoi(entry->d_name);

		if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
			continue;
		if (number < 300 && number % 3) {
			twice += seen[number];
			kept += !seen[number];
			seen[number] = true;
		}
		/* One behind and one ahead goes, and one comes. */
		if (i < 300 && !(i % 3)) {
			snprintf(name, sizeof(name), "%d", (i * 7) % 300 / 3 * 3);
			try_remove(fs.cmd, INCFS_ROOT_INODE, 0, name);
			snprintf(name, sizeof(name), "%d", 300 + i);
			make_file(&fs, INCFS_ROOT_INODE, name, 0);
		}
	}
	is_int(kept, 200, "names that stay are all listed");
	is_int(twice, 0, "and none of them twice");
	rewinddir(dir);
	for (i = 0; i < 50; i++)
		readdir(dir);
	at = telldir(dir);
	entry = readdir(dir);
	snprintf(before, sizeof(before), "%s", entry ? entry->d_name : "");
	for (i = 1; i < 20; i += 3) {
		snprintf(name, sizeof(name), "%d", i);
		try_remove(fs.cmd, INCFS_ROOT_INODE, 0, name);
	}
	seekdir(dir, at);
	entry = readdir(dir);
	is_str(entry ? entry->d_name : "", before, "a position holds when names before it go");
	closedir(dir);
	fs_unmount(&fs);
}

int main(int argc, char **argv)
{
	if (argc == 3) {
		nr_dirs = atoi(argv[1]);
		nr_files = atoi(argv[2]);
	}
	test_tree("CREATE", true);
	test_tree("NEW_FILE and ADD_DIR_ENTRY", false);
	test_large_directory();
	test_cookies();
	return done();
}
