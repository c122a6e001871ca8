#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Lower layers of overlayfs: what is read, copied up, hidden and merged, and that
# a copy of a file waits for the blocks that have not arrived.
#
# timeout: 240
. "$(dirname "$0")/lib/tap.sh"
. "$(dirname "$0")/lib/image.sh"

modprobe overlay 2>/dev/null
grep -qw overlay /proc/filesystems || skip_all 'the kernel has no overlayfs'

# mount_image NAME: NAME.img on NAME; reads wait for ever
mount_image()
{
	local fd

	mkdir -p "$1"
	exec {fd}<>"$1.img"
	mount -t incremental-fs -o "backing_fd=$fd,read_timeout_ms=0" any "$1" || exit 1
	exec {fd}>&-
}

mount_overlay()
{
	mount -t overlay -o "lowerdir=top:base,upperdir=upper,workdir=work,redirect_dir=on" \
		overlay merged
}

# supply COUNT: fill blocks that readers of base wait for
supply()
{
	script <<-END
	import ctypes, select
	left = $1
	cmd = os.open("base/.cmd", os.O_RDWR)
	poll = select.poll()
	poll.register(cmd, select.POLLIN)
	while left:
	    poll.poll()
	    for ino, block, _ in struct.iter_unpack("<QII", os.read(cmd, 1600)):
	        data = expected(ino, block)[:41060 - block * BLOCK]
	        buf = ctypes.create_string_buffer(data, len(data))
	        os.write(cmd, struct.pack("<QIIQIIQ", ino, block, len(data),
	                                  ctypes.addressof(buf), 0, 0, 0))
	        left -= 1
	END
}

# content: what file 77 holds when all of it has arrived
content()
{
	script <<-'END'
	for block in range(11):
	    sys.stdout.buffer.write(expected(77, block)[:41060 - block * BLOCK])
	END
}

"$image_py" write base.img
"$image_py" attrs top.img
mount_image base
mount_image top
mkdir upper work merged
ok 'two images are the lower layers of an overlay' mount_overlay

ok 'a file is read through it' cmp base/shared merged/shared
is 'directories of both are merged' "$(ls merged/dir)" "$(ls base/dir top/dir | sed '/:$/d; /^$/d' | sort)"
is 'a symbolic link is one' "$(readlink merged/long | wc -c)" "$(readlink top/long | wc -c)"
is 'so is an extended attribute' \
	"$(python3 -c 'import os; print(sorted(os.listxattr("merged/program")))')" \
	"$(python3 -c 'import os; print(sorted(os.listxattr("top/program")))')"
is 'owner, mode and time are those of the image' "$(stat -c '%u %g %a %Y' merged/program)" \
	"$(stat -c '%u %g %a %Y' top/program)"

rm merged/shared
exits 1 'a name that is removed is gone' test -e merged/shared
ok 'but not from the image' test -e base/shared

cp base/dir/after/late late
echo more | tee -a late >> merged/dir/after/late
ok 'a whole file is copied up when it is written to' cmp late merged/dir/after/late
ok 'into the upper layer' test -f upper/dir/after/late
is 'the image is as it was' "$(stat -c %s base/dir/after/late)" 8192
chmod 600 merged/program
is 'a file is copied up when its mode changes' "$(stat -c '%u %g %a %Y' merged/program)" \
	'12 34 600 1234567890'
ok 'its extended attributes come with it' python3 -c 'import os
assert os.getxattr("merged/program", "user.empty") == b""
assert len(os.listxattr("merged/program")) == len(os.listxattr("top/program"))'
ok 'and its blocks' cmp top/program merged/program
ok 'a directory of the image is renamed' mv merged/dir/sub merged/moved
ok 'and keeps what is in it' test -e 'merged/moved/hard link'
exits 1 'under its new name only' test -e merged/dir/sub

# Blocks 3, 4 and 6 to 9 are absent.
{ content; echo tail; } > wanted
echo tail >> merged/file &
writer=$!
sleep 1
ok 'who writes to a file with absent blocks waits for them' kill -0 "$writer"
supply 6 &
ok 'until they arrive' wait "$writer"
wait
ok 'the copy has all of them' cmp wanted merged/file
is 'the image has them too' "$("$image_py" check base.img | sed -n 's,.* /file ,,p')" 0-10

umount merged
ok 'the overlay is mounted again' mount_overlay
ok 'and has what was written' cmp wanted merged/file
exits 1 'and not what was removed' test -e merged/shared
ok 'all of it can be unmounted' umount merged base top
done_testing
