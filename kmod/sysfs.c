// SPDX-License-Identifier: GPL-2.0-only
/* Incremental FS: /sys/fs/incremental-fs */
#include <linux/fs.h>
#include <linux/kobject.h>
#include <linux/sysfs.h>

#include "internal.h"

static struct kobject *incfs_kobj;

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

int __init incfs_sysfs_init(void)
{
	int err;

	incfs_kobj = kobject_create_and_add(INCFS_NAME, fs_kobj);
	if (!incfs_kobj)
		return -ENOMEM;
	err = sysfs_create_groups(incfs_kobj, incfs_groups);
	if (err)
		kobject_put(incfs_kobj);
	return err;
}

void incfs_sysfs_exit(void)
{
	sysfs_remove_groups(incfs_kobj, incfs_groups);
	kobject_put(incfs_kobj);
}
