// SPDX-License-Identifier: MIT
/*
 * Profiles of mounts, in the maps of the policy "replay".
 *
 * A program that starts jumps about in its libraries: fetched block by block in
 * exactly that order, each would be a request of its own. So the order is kept
 * from group to group of blocks, and within a group neighbours are brought together
 * to steps. A group is on the line for less than a second.
 */
#include "profile_maps.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <incfs/policy_maps.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "list.h"
#include "log.h"
#include "policy_maps.h"
#include "policy_mounts.h"
#include "profile.h"
#include "util.h"

#define CARRIER "replay"
#define GROUP_BLOCKS 1024
/* Blocks of a step: one request. */
#define STEP_BLOCKS 64
/* Elements that go to the kernel in one call. */
#define BATCH 4096

/* A block of the profile that the mount has; @order is its place in the profile. */
struct block {
	__u64 ino;
	__u32 block;
	__u32 runs;
	__u32 order;
};

struct plan {
	struct block *blocks;
	size_t nr_blocks;
	struct incfs_profile_step *steps;
	struct incfs_profile_key *keys;
	__u32 *positions;
	__u32 nr_steps;
};

static int compare_heat(const void *a, const void *b)
{
	const struct block *x = a, *y = b;

	if (x->runs != y->runs)
		return x->runs > y->runs ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static int compare_place(const void *a, const void *b)
{
	const struct block *x = a, *y = b;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return x->block < y->block ? -1 : x->block > y->block;
}

/* Inode numbers and sizes in blocks of the profile's files; 0 for what is not there. */
static int find_files(const struct incfs_profile *profile, int root_fd, __u64 *inos, __u32 *sizes)
{
	struct stat root, st;
	size_t missing = 0;

	if (fstat(root_fd, &root))
		return -1;
	for (size_t i = 0; i < profile->nr_paths; i++) {
		if (fstatat(root_fd, profile->paths[i], &st, AT_SYMLINK_NOFOLLOW) ||
		    !S_ISREG(st.st_mode) || st.st_dev != root.st_dev) {
			missing++;
			continue;
		}
		inos[i] = st.st_ino;
		sizes[i] = incfs_size_blocks(st.st_size);
	}
	if (missing)
		incfs_warn("%zu of the %zu files of the profile are not in the mount", missing,
			   profile->nr_paths);
	return 0;
}

static void take_blocks(struct plan *plan, const struct incfs_profile *profile, const __u64 *inos,
			const __u32 *sizes)
{
	for (size_t i = 0; i < profile->nr_blocks; i++) {
		const struct incfs_profile_block *from = &profile->blocks[i];

		if (from->block < sizes[from->path])
			plan->blocks[plan->nr_blocks++] = (struct block){
				inos[from->path], from->block, from->runs, i,
			};
	}
}

/* Two paths may be names of one file: what comes twice stays where it came first. */
static void drop_doubles(struct plan *plan)
{
	size_t kept = 0;

	qsort(plan->blocks, plan->nr_blocks, sizeof(*plan->blocks), compare_place);
	for (size_t i = 0; i < plan->nr_blocks; i++) {
		if (!kept || compare_place(&plan->blocks[kept - 1], &plan->blocks[i]))
			plan->blocks[kept++] = plan->blocks[i];
	}
	plan->nr_blocks = kept;
	qsort(plan->blocks, plan->nr_blocks, sizeof(*plan->blocks), compare_heat);
}

/* Make steps of a group of blocks. */
static void add_steps(struct plan *plan, size_t first, size_t nr)
{
	struct incfs_profile_step *step = NULL;

	qsort(&plan->blocks[first], nr, sizeof(*plan->blocks), compare_place);
	for (size_t i = first; i < first + nr; i++) {
		const struct block *block = &plan->blocks[i];

		if (!step || step->ino != block->ino || step->count == STEP_BLOCKS ||
		    step->block + step->count != block->block) {
			step = &plan->steps[plan->nr_steps++];
			*step = (struct incfs_profile_step){ block->ino, block->block, 0 };
		}
		step->count++;
		plan->keys[i] = (struct incfs_profile_key){ block->ino, block->block, 0 };
		plan->positions[i] = plan->nr_steps - 1;
	}
}

static void plan_destroy(struct plan *plan)
{
	free(plan->blocks);
	free(plan->steps);
	free(plan->keys);
	free(plan->positions);
}

static int plan_create(struct plan *plan, const struct incfs_profile *profile, int root_fd)
{
	__u64 *inos = calloc(profile->nr_paths + 1, sizeof(*inos));
	__u32 *sizes = calloc(profile->nr_paths + 1, sizeof(*sizes));
	size_t room = profile->nr_blocks + 1;
	int err;

	*plan = (struct plan){
		.blocks = calloc(room, sizeof(*plan->blocks)),
		.steps = calloc(room, sizeof(*plan->steps)),
		.keys = calloc(room, sizeof(*plan->keys)),
		.positions = calloc(room, sizeof(*plan->positions)),
	};
	err = !inos || !sizes || !plan->blocks || !plan->steps || !plan->keys ||
	      !plan->positions || find_files(profile, root_fd, inos, sizes) ? -1 : 0;
	if (!err) {
		take_blocks(plan, profile, inos, sizes);
		drop_doubles(plan);
		for (size_t i = 0; i < plan->nr_blocks; i += GROUP_BLOCKS)
			add_steps(plan, i, incfs_min(plan->nr_blocks - i, (size_t)GROUP_BLOCKS));
	}
	free(inos);
	free(sizes);
	return err;
}

/* Fill a map of the kernel's. */
static int update(int fd, const void *keys, size_t key_size, const void *values,
		  size_t value_size, size_t nr)
{
	for (size_t done = 0; done < nr; ) {
		__u32 n = incfs_min(nr - done, (size_t)BATCH);

		if (bpf_map_update_batch(fd, (const char *)keys + done * key_size,
					 (const char *)values + done * value_size, &n, NULL))
			return -1;
		done += n;
	}
	return 0;
}

static int make_steps(const struct plan *plan)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_INNER_MAP);
	__u32 *numbers = calloc(plan->nr_steps, sizeof(*numbers));
	int fd = -1;

	for (__u32 i = 0; numbers && i < plan->nr_steps; i++)
		numbers[i] = i;
	if (numbers)
		fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "incfs_steps", sizeof(*numbers),
				    sizeof(*plan->steps), plan->nr_steps, &opts);
	if (fd >= 0 && update(fd, numbers, sizeof(*numbers), plan->steps, sizeof(*plan->steps),
			      plan->nr_steps)) {
		close(fd);
		fd = -1;
	}
	free(numbers);
	return fd;
}

static int make_index(const struct plan *plan)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_HASH, "incfs_index", sizeof(*plan->keys),
				sizeof(*plan->positions), plan->nr_blocks, NULL);

	if (fd >= 0 && update(fd, plan->keys, sizeof(*plan->keys), plan->positions,
			      sizeof(*plan->positions), plan->nr_blocks)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* Profiles of mounts that have gone. */
static void sweep(int fd)
{
	__u64 id, next;
	bool more = !bpf_map_get_next_key(fd, NULL, &next);

	while (more) {
		id = next;
		more = !bpf_map_get_next_key(fd, &id, &next);
		if (!incfs_mount_exists(id))
			bpf_map_delete_elem(fd, &id);
	}
}

static int install(const struct plan *plan, __u64 mount_id)
{
	int profiles = incfs_policy_map_make(INCFS_PROFILES_NAME, CARRIER);
	int indexes = incfs_policy_map_make(INCFS_PROFILE_INDEX_NAME, CARRIER);
	int steps = -1, index = -1, err = -1;

	if (profiles < 0 || indexes < 0)
		goto out;
	sweep(profiles);
	sweep(indexes);
	steps = make_steps(plan);
	index = steps < 0 ? -1 : make_index(plan);
	if (index >= 0 && !bpf_map_update_elem(indexes, &mount_id, &index, BPF_ANY) &&
	    !bpf_map_update_elem(profiles, &mount_id, &steps, BPF_ANY))
		err = 0;
	else
		incfs_error("can't give the profile to the kernel: %s", strerror(errno));
out:
	for (int fd, i = 0; i < 4; i++) {
		fd = (const int []){ profiles, indexes, steps, index }[i];
		if (fd >= 0)
			close(fd);
	}
	return err;
}

int incfs_profile_attach(const char *file, const char *dir, __u64 mount_id)
{
	struct incfs_profile profile;
	struct plan plan;
	int root_fd, err;

	if (incfs_profile_read(&profile, file))
		return -1;
	root_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	err = root_fd < 0 ? -1 : plan_create(&plan, &profile, root_fd);
	if (err) {
		incfs_error("can't use the profile '%s' on '%s': %s", file, dir,
			    strerror(errno));
	} else {
		if (plan.nr_blocks)
			err = install(&plan, mount_id);
		else
			incfs_profile_detach(mount_id);
		incfs_info("profile '%s': %zu of %zu blocks are in the mount, in %u steps", file,
			   plan.nr_blocks, profile.nr_blocks, plan.nr_steps);
	}
	if (root_fd >= 0) {
		plan_destroy(&plan);
		close(root_fd);
	}
	incfs_profile_destroy(&profile);
	return err;
}

void incfs_profile_detach(__u64 mount_id)
{
	static const char *const names[] = { INCFS_PROFILES_NAME, INCFS_PROFILE_INDEX_NAME };

	for (size_t i = 0; i < INCFS_ARRAY_SIZE(names); i++) {
		int fd = incfs_policy_map_open(names[i]);

		if (fd < 0)
			continue;
		bpf_map_delete_elem(fd, &mount_id);
		close(fd);
	}
}
