#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The module goes when nobody uses it, not before, and leaves nothing behind.
. "$(dirname "$0")/lib/tap.sh"

mount_image() { mount -t incremental-fs -o backing_fd=9 any mnt 9<> image; }

mkdir mnt
mount_image
exits 1 'a mounted image keeps the module' rmmod incfs
like 'because it is in use' "$tap_output" 'in use'
exec 8< mnt/.cmd
umount -l mnt
exits 1 'so does an open file of an image that was detached' rmmod incfs
exec 8<&-
ok 'after that it goes' wait_for 20 rmmod incfs

is 'the file system type is gone' "$(grep -c incremental-fs /proc/filesystems)" 0
[ ! -e /sys/fs/incremental-fs ]
tap_result $? '/sys/fs/incremental-fs is gone'
[ ! -e /sys/kernel/tracing/events/incfs ]
tap_result $? 'the tracepoints are gone'

cycles()
{
	local i
	for ((i = 0; i < 10; i++)); do
		insmod "$INCFS_MODULE" && mount_image && umount mnt && rmmod incfs || return
	done
}
ok 'it is loaded, used and unloaded ten times' cycles
ok 'and loaded again' insmod "$INCFS_MODULE"
done_testing
