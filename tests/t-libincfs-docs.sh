#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The loader in docs/libincfs.md, built against the installed library, does what the
# document says: readers get what the source has, also when it is killed meanwhile.
#
# timeout: 240
. "$(dirname "$0")/lib/tap.sh"
. "$(dirname "$0")/lib/policy.sh"
. "$(dirname "$0")/lib/libincfs.sh"
requires gcc make pkg-config

mkdir root src mnt
ok 'the library installs' install_tree root install-user
doc_programs > /dev/null
ok 'the loader builds' build root loader.c loader
export LD_LIBRARY_PATH=$PWD/root/$prefix/lib

# What compresses, what does not, nothing, and a last block that is not whole.
seq 300000 > src/numbers
head -c 1000001 /dev/urandom > src/random
: > src/empty
touch -d '2001-02-03 04:05:06 UTC' src/random

loader=
# start_loader: in the background, its messages in the file `said`
start_loader()
{
	./loader src image mnt 2>> said &
	loader=$!
	wait_for 20 test -e mnt/random
}
# stop_loader: kill -9
stop_loader()
{
	[ -z "$loader" ] || kill -9 "$loader"
	wait "$loader"
	loader=
} 2> /dev/null
cleanup umount -l mnt
cleanup stop_loader

# waited_for: whether a reader waits
waited_for() { incfs status -j mnt | grep -Eq '"blocks_waited_for": *[1-9]'; }

# same FILE: as in the source, byte for byte
same() { cmp "src/$1" "mnt/$1"; }

exits 2 'without arguments it says how it is used' ./loader
like 'in a line' "$tap_output" 'usage: loader SOURCE IMAGE DIR'
exits 1 'a mount point that is not there is an error' ./loader src image nowhere
like 'that names it' "$tap_output" "mount point 'nowhere': No such file"
ok 'it starts' start_loader
is 'the tree is there' "$(ls mnt | xargs)" 'empty numbers random'
is 'with times' "$(stat -c %Y mnt/random)" "$(stat -c %Y src/random)"
exits 1 'a second one is refused' ./loader src image mnt
like 'as the image has a loader' "$tap_output" 'another loader uses it'
ok 'a file reads as in the source' same numbers
ok 'one without contents, too' same empty

stop_loader
ok 'what was filled reads without a loader' same numbers
echo 3 > /proc/sys/vm/drop_caches
same random &
reader=$!
ok 'a reader waits without a loader' wait_for 20 waited_for
ok 'it starts again on the same mount' start_loader
ok 'the reader gets what the source has' wait $reader
stop_loader
ok 'it unmounts' umount mnt
ok 'it starts on the image' start_loader
ok 'all of it is still there' same random
is 'nothing went wrong' "$(cat said)" ''
done_testing
