// SPDX-License-Identifier: GPL-2.0-only
/*
 * Incremental FS: names, the entries of directories.
 *
 * A name is in two indexes: by directory and name for lookups, and by cookie,
 * which grows, for listings in order of insertion. It is there or not, in both
 * of them, for whoever holds tree_lock.
 */
#include <linux/jhash.h>
#include <linux/rhashtable.h>
#include <linux/slab.h>

#include "internal.h"

struct name_key {
	const struct incfs_node *dir;
	const char *name;
	size_t len;
};

static u32 hash_name(u64 dir, const char *name, size_t len, u32 seed)
{
	return jhash(name, len, seed ^ (u32)dir);
}

static u32 name_hash(const void *data, u32 len, u32 seed)
{
	const struct name_key *key = data;

	return hash_name(key->dir->ino, key->name, key->len, seed);
}

static u32 name_obj_hash(const void *data, u32 len, u32 seed)
{
	const struct incfs_name *name = data;

	return hash_name(name->dir->ino, name->name, name->len, seed);
}

static int name_obj_cmp(struct rhashtable_compare_arg *arg, const void *obj)
{
	const struct name_key *key = arg->key;
	const struct incfs_name *name = obj;

	return name->dir != key->dir || name->len != key->len ||
	       memcmp(name->name, key->name, key->len);
}

static const struct rhashtable_params name_params = {
	.head_offset = offsetof(struct incfs_name, hash),
	.key_len = sizeof(struct name_key),
	.hashfn = name_hash,
	.obj_hashfn = name_obj_hash,
	.obj_cmpfn = name_obj_cmp,
	.automatic_shrinking = true,
};

struct incfs_name *incfs_name_find(struct incfs_node *dir, const char *name, size_t len)
{
	struct name_key key = { .dir = dir, .name = name, .len = len };

	lockdep_assert_held(&dir->mnt->tree_lock);
	return rhashtable_lookup_fast(&dir->mnt->names, &key, name_params);
}

bool incfs_names_list(struct incfs_node *dir, u64 *cookie, struct incfs_tree_entry *entry)
{
	struct incfs_mount *mnt = dir->mnt;
	unsigned long index = *cookie;
	struct incfs_name *name;

	down_read(&mnt->tree_lock);
	name = xa_find(&dir->names, &index, ULONG_MAX, XA_PRESENT);
	if (name) {
		*cookie = index;
		entry->ino = name->node->ino;
		entry->mode = name->node->mode;
		entry->len = name->len;
		memcpy(entry->name, name->name, name->len);
	}
	up_read(&mnt->tree_lock);
	return name;
}

static struct incfs_name *name_alloc(struct incfs_node *dir, struct incfs_node *node,
				     const char *str, size_t len)
{
	struct incfs_name *name = kmalloc(struct_size(name, name, len), GFP_KERNEL_ACCOUNT);

	if (!name)
		return NULL;
	name->dir = dir;
	name->node = node;
	name->cookie = dir->next_cookie;
	name->len = len;
	memcpy(name->name, str, len);
	return name;
}

static int index_name(struct incfs_name *name)
{
	struct incfs_node *dir = name->dir;
	int err;

	err = xa_err(xa_store(&dir->names, name->cookie, name, GFP_KERNEL));
	if (err)
		return err;
	err = rhashtable_insert_fast(&dir->mnt->names, &name->hash, name_params);
	if (err)
		xa_erase(&dir->names, name->cookie);
	return err;
}

struct incfs_name *incfs_name_create(struct incfs_node *dir, struct incfs_node *node,
				     const char *str, size_t len)
{
	struct incfs_name *name = name_alloc(dir, node, str, len);
	int err;

	lockdep_assert_held_write(&dir->mnt->tree_lock);
	if (!name)
		return ERR_PTR(-ENOMEM);
	err = index_name(name);
	if (err) {
		kfree(name);
		return ERR_PTR(err);
	}
	return name;
}

void incfs_name_destroy(struct incfs_name *name)
{
	lockdep_assert_held_write(&name->dir->mnt->tree_lock);
	rhashtable_remove_fast(&name->dir->mnt->names, &name->hash, name_params);
	xa_erase(&name->dir->names, name->cookie);
	kfree(name);
}

int incfs_names_create(struct incfs_mount *mnt)
{
	return rhashtable_init(&mnt->names, &name_params);
}

static void free_name(void *ptr, void *arg)
{
	kfree(ptr);
}

void incfs_names_destroy(struct incfs_mount *mnt)
{
	rhashtable_free_and_destroy(&mnt->names, free_name, NULL);
}
