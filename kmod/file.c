// SPDX-License-Identifier: GPL-2.0-only
/* Incremental FS: open files; the page cache does the rest (read.c). */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "internal.h"

static int incfs_file_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (vma_is_shared_maywrite(vma))
		return -EACCES;
	file_accessed(file);
	vma->vm_ops = &incfs_file_vm_ops;
	return 0;
}

const struct file_operations incfs_file_fops = {
	.owner = THIS_MODULE,
	.llseek = generic_file_llseek,
	.read_iter = generic_file_read_iter,
	.mmap = incfs_file_mmap,
	.splice_read = filemap_splice_read,
};
