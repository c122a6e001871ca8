// SPDX-License-Identifier: MIT
/* The mounts that there are, as /sys/fs/incremental-fs tells, and their policies. */
#include "policy_mounts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "log.h"
#include "mountinfo.h"

#define SYSFS_DIR "/sys/fs/incremental-fs"
#define MOUNTS_DIR SYSFS_DIR "/mounts"

/* A file of a mount's directory, without the newline at its end. */
static int read_file(__u64 id, const char *name, char *text, size_t size)
{
	char path[128];
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), MOUNTS_DIR "/%llu/%s", id, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = fd < 0 ? -1 : read(fd, text, size - 1);
	if (fd >= 0)
		close(fd);
	if (got < 0)
		return -1;
	text[got] = 0;
	if (got && text[got - 1] == '\n')
		text[got - 1] = 0;
	return 0;
}

static void copy(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%.*s", (int)size - 1, from);
}

/* Lines KEY=VALUE; keys that are not known here are for others. */
static void parse_failure(struct incfs_policy_failure *failure, char *text)
{
	char *line, *value;

	while ((line = strsep(&text, "\n"))) {
		value = strchr(line, '=');
		if (!value)
			continue;
		*value++ = 0;
		if (!strcmp(line, "kind"))
			copy(failure->kind, sizeof(failure->kind), value);
		else if (!strcmp(line, "code"))
			failure->code = atoi(value);
		else if (!strcmp(line, "policy"))
			copy(failure->policy, sizeof(failure->policy), value);
		else if (!strcmp(line, "ino"))
			failure->ino = strtoull(value, NULL, 10);
		else if (!strcmp(line, "block"))
			failure->block = strtoull(value, NULL, 10);
		else if (!strcmp(line, "age_ms"))
			failure->age_ms = strtoull(value, NULL, 10);
		else if (!strcmp(line, "text"))
			copy(failure->text, sizeof(failure->text), value);
	}
}

/* False if it is gone. */
static bool read_mount(struct incfs_mounted *mount, __u64 id)
{
	char dev[32], failure[1024];

	*mount = (struct incfs_mounted){ .id = id };
	if (read_file(id, "dev", dev, sizeof(dev)) ||
	    sscanf(dev, "%u:%u", &mount->major, &mount->minor) != 2 ||
	    read_file(id, "policy", mount->choice, sizeof(mount->choice)) ||
	    read_file(id, "policy_in_use", mount->in_use, sizeof(mount->in_use)) ||
	    read_file(id, "policy_failure", failure, sizeof(failure)))
		return false;
	parse_failure(&mount->failure, failure);
	return true;
}

/* The first place of each. */
static void find_paths(struct incfs_mounts *mounts)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	struct incfs_mountinfo entry;

	while (file && incfs_mountinfo_next(file, &entry)) {
		for (size_t i = 0; entry.path && i < mounts->nr; i++) {
			struct incfs_mounted *mount = &mounts->mounts[i];

			if (mount->major != entry.major || mount->minor != entry.minor ||
			    mount->path)
				continue;
			mount->path = entry.path;
			mount->source = entry.source;
			entry = (struct incfs_mountinfo){};
		}
		incfs_mountinfo_free(&entry);
	}
	if (file)
		fclose(file);
}

static int by_id(const void *a, const void *b)
{
	const struct incfs_mounted *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

int incfs_mounts_read(struct incfs_mounts *mounts)
{
	DIR *dir = opendir(MOUNTS_DIR);
	struct incfs_mounted *grown;
	struct dirent *entry;

	*mounts = (struct incfs_mounts){};
	if (!dir) {
		incfs_error("can't open '" MOUNTS_DIR "': %s", errno == ENOENT ?
			    "the module incfs is not loaded: modprobe incfs" : strerror(errno));
		return -1;
	}
	while ((entry = readdir(dir))) {
		if (*entry->d_name == '.')
			continue;
		grown = realloc(mounts->mounts, (mounts->nr + 1) * sizeof(*grown));
		if (!grown) {
			incfs_error("%s", strerror(ENOMEM));
			incfs_mounts_free(mounts);
			closedir(dir);
			return -1;
		}
		mounts->mounts = grown;
		if (read_mount(&grown[mounts->nr], strtoull(entry->d_name, NULL, 10)))
			mounts->nr++;
	}
	closedir(dir);
	if (mounts->nr)
		qsort(mounts->mounts, mounts->nr, sizeof(*mounts->mounts), by_id);
	find_paths(mounts);
	return 0;
}

void incfs_mounts_free(struct incfs_mounts *mounts)
{
	for (size_t i = 0; i < mounts->nr; i++) {
		free(mounts->mounts[i].path);
		free(mounts->mounts[i].source);
	}
	free(mounts->mounts);
	*mounts = (struct incfs_mounts){};
}

bool incfs_mount_exists(__u64 id)
{
	char path[128];

	snprintf(path, sizeof(path), MOUNTS_DIR "/%llu", id);
	return !access(path, F_OK) || errno != ENOENT;
}

struct incfs_mounted *incfs_mounts_of(const struct incfs_mounts *mounts, const char *path)
{
	struct stat st;

	if (stat(path, &st)) {
		incfs_error("can't find '%s': %s", path, strerror(errno));
		return NULL;
	}
	for (size_t i = 0; i < mounts->nr; i++) {
		if (mounts->mounts[i].major == major(st.st_dev) &&
		    mounts->mounts[i].minor == minor(st.st_dev))
			return &mounts->mounts[i];
	}
	incfs_error("'%s' is not on a mount of incremental-fs", path);
	return NULL;
}

int incfs_mounted_open(const struct incfs_mounted *mount)
{
	char path[4096];
	struct stat st;
	int fd;

	if (!mount->path ||
	    (size_t)snprintf(path, sizeof(path), "%s/.cmd", mount->path) >= sizeof(path))
		return -1;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	/* Another may be mounted over it. */
	if (!fstat(fd, &st) && major(st.st_dev) == mount->major &&
	    minor(st.st_dev) == mount->minor)
		return fd;
	close(fd);
	return -1;
}

const char *incfs_mount_name(const struct incfs_mounted *mount)
{
	static char name[32];

	if (mount->path)
		return mount->path;
	snprintf(name, sizeof(name), "mount %llu", mount->id);
	return name;
}

static const char *explain(int err)
{
	switch (err) {
	case ENOENT:
		return "no policy of this name is registered";
	case EPERM:
		return geteuid() ? "root is needed" : "the policy is for another mount, or refuses this one";
	case EACCES:
		return geteuid() ? "root is needed" : strerror(err);
	default:
		return strerror(err);
	}
}

int incfs_mount_choose(const struct incfs_mounted *mount, const char *choice)
{
	char path[128];
	ssize_t done;
	int fd, err;

	snprintf(path, sizeof(path), MOUNTS_DIR "/%llu/policy", mount->id);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	done = fd < 0 ? -1 : write(fd, choice, strlen(choice));
	err = errno;
	if (fd >= 0)
		close(fd);
	if (done >= 0)
		return 0;
	incfs_error("'%s' can't use the policy '%s': %s", incfs_mount_name(mount), choice,
		    explain(err));
	return -1;
}
