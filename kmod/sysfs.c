// SPDX-License-Identifier: GPL-2.0-only
/* Incremental FS: /sys/fs/incremental-fs, and in it a directory for each mount. */
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/kobject.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "internal.h"

static struct kobject *incfs_kobj, *mounts_kobj;

static ssize_t version_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", INCFS_HEADER_VER);
}

static struct kobj_attribute version_attr = __ATTR_RO(version);

static struct attribute *incfs_attrs[] = {
	&version_attr.attr,
	NULL
};
ATTRIBUTE_GROUPS(incfs);

static struct incfs_mount *kobj_mount(struct kobject *kobj)
{
	return container_of(kobj, struct incfs_mount, kobj);
}

/* As in /proc/self/mountinfo. */
static ssize_t dev_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	dev_t dev = kobj_mount(kobj)->sb->s_dev;

	return sysfs_emit(buf, "%u:%u\n", MAJOR(dev), MINOR(dev));
}

static ssize_t policy_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	char choice[INCFS_POLICY_NAME_MAX];

	incfs_policy_choice(kobj_mount(kobj), choice);
	return sysfs_emit(buf, "%s\n", *choice ? choice : INCFS_POLICY_NONE);
}

static ssize_t policy_store(struct kobject *kobj, struct kobj_attribute *attr, const char *buf,
			    size_t len)
{
	char text[INCFS_POLICY_NAME_MAX + 1];
	char *choice;
	int err;

	/* The file's mode alone would do for a root of a container. */
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (strlen(buf) != len || strscpy(text, buf) < 0)
		return -EINVAL;
	choice = strim(text);
	if (strlen(choice) >= INCFS_POLICY_NAME_MAX)
		return -EINVAL;
	err = incfs_policy_choose(kobj_mount(kobj), choice);
	return err ?: len;
}

static ssize_t policy_in_use_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	char name[INCFS_POLICY_NAME_MAX];

	incfs_policy_name(kobj_mount(kobj), name);
	return sysfs_emit(buf, "%s\n", name);
}

static const char *failure_text(const struct incfs_policy_failure *failure)
{
	if (failure->kind == INCFS_POLICY_REFUSED)
		return "attach() of the policy that the mount has chosen refuses the mount";
	return failure->code < 0 ? "block_presence() returned an errno that is not allowed" :
				   "block_presence() returned a verdict that there is not";
}

/* One file, so that what is read belongs together. */
static ssize_t policy_failure_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	struct incfs_policy_failure failure;

	incfs_policy_failure(kobj_mount(kobj), &failure);
	if (failure.kind == INCFS_POLICY_NO_FAILURE)
		return 0;
	return sysfs_emit(buf, "kind=%s\ncode=%d\npolicy=%s\nino=%llu\nblock=%u\nage_ms=%llu\n"
			  "text=%s\n", failure.kind == INCFS_POLICY_REFUSED ? "refused" : "verdict",
			  failure.code, failure.policy, failure.ino, failure.block,
			  (ktime_get_ns() - failure.when) / NSEC_PER_MSEC, failure_text(&failure));
}

static struct kobj_attribute dev_attr = __ATTR_RO(dev);
static struct kobj_attribute policy_attr = __ATTR_RW(policy);
static struct kobj_attribute policy_in_use_attr = __ATTR_RO(policy_in_use);
static struct kobj_attribute policy_failure_attr = __ATTR_RO(policy_failure);

static struct attribute *mount_attrs[] = {
	&dev_attr.attr,
	&policy_attr.attr,
	&policy_in_use_attr.attr,
	&policy_failure_attr.attr,
	NULL
};
ATTRIBUTE_GROUPS(mount);

static void mount_release(struct kobject *kobj)
{
	complete(&kobj_mount(kobj)->kobj_released);
}

static const struct kobj_type mount_type = {
	.sysfs_ops = &kobj_sysfs_ops,
	.release = mount_release,
	.default_groups = mount_groups,
};

int incfs_sysfs_add(struct incfs_mount *mnt)
{
	int err;

	init_completion(&mnt->kobj_released);
	err = kobject_init_and_add(&mnt->kobj, &mount_type, mounts_kobj, "%llu", mnt->id);
	if (err)
		incfs_sysfs_remove(mnt);
	return err;
}

void incfs_sysfs_remove(struct incfs_mount *mnt)
{
	kobject_put(&mnt->kobj);
	wait_for_completion(&mnt->kobj_released);
}

int __init incfs_sysfs_init(void)
{
	int err;

	incfs_kobj = kobject_create_and_add(INCFS_NAME, fs_kobj);
	if (!incfs_kobj)
		return -ENOMEM;
	mounts_kobj = kobject_create_and_add("mounts", incfs_kobj);
	err = mounts_kobj ? sysfs_create_groups(incfs_kobj, incfs_groups) : -ENOMEM;
	if (!err)
		return 0;
	kobject_put(mounts_kobj);
	kobject_put(incfs_kobj);
	return err;
}

void incfs_sysfs_exit(void)
{
	sysfs_remove_groups(incfs_kobj, incfs_groups);
	kobject_put(mounts_kobj);
	kobject_put(incfs_kobj);
}
