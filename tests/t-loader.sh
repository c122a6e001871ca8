#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The loader on a directory: every file arrives, is equal to its source and stays;
# what it refuses, and how it ends.
# timeout: 400
. "$(dirname "$0")/lib/tap.sh"
. "$(dirname "$0")/loader/lib.sh"

make_tree src
sums src > want
mkdir mnt

ok 'a directory is served until everything is there' \
	incfs-bpf-loader run -x -k -s src -i image mnt
like 'ready is said' "$tap_output" 'incfs: ready: mnt'
like 'and complete' "$tap_output" 'incfs: complete: [0-9]+ blocks, [0-9.]+ seconds'
is 'every file is equal to its source' "$(sums mnt)" "$(cat want)"
is 'files of two names are one file' "$(stat -c %i mnt/zzz)" "$(stat -c %i mnt/lib/random)"
is 'permissions are kept, but for writing' "$(stat -c %a mnt/lib/text mnt/lib/random | xargs)" '555 444'
is 'symbolic links are' "$(readlink mnt/lib/shallow)" deep
is 'times are' "$(stat -c '%.Y %n' mnt/lib/text mnt/lib mnt/lib/shallow | tr -d '\n')" \
	"$(stat -c '%.Y %n' src/lib/text src/lib src/lib/shallow | sed 's/src/mnt/' | tr -d '\n')"
ok 'the loader has left the mount' mountpoint -q mnt
ok 'it is unmounted' umount mnt
size=$(stat -c %s image)
[ "$size" -lt $((1288895 + 1000001 + 65536)) ]
tap_result $? "blocks are compressed where that pays: $size bytes"

ok 'a complete image is served without a source that answers' \
	incfs-bpf-loader run -x -s src -i image mnt
is 'and unmounted at the end' "$(mountpoint -q mnt; echo $?)" 32
is 'nothing was fetched again' "$(stat -c %s image)" "$size"

ok 'without compression, policy and background' \
	incfs-bpf-loader run -x -p none --no-compress -s src -i raw mnt
[ "$(stat -c %s raw)" -gt 2288896 ]
tap_result $? 'blocks are stored as they come'

# ends SIGNAL POLICY: the loader ends well on a signal, with and without a policy
ends()
{
	rm -f out
	incfs-bpf-loader run -p "$2" -s src -i "image-$2" mnt > out 2>&1 &
	loader=$!
	wait_for 60 grep -q ready out && kill "-$1" $loader && wait $loader &&
		! mountpoint -q mnt || { cat out; return 1; }
}
for policy in sequential minimal none; do
	ok "SIGINT ends it and the mount, policy $policy" ends INT $policy
	ok "and SIGTERM" ends TERM $policy
done

rm -f out
incfs-bpf-loader run -s src -i image mnt > out 2>&1 &
loader=$!
wait_for 60 grep -q ready out
exits 1 'an image has one loader' incfs-bpf-loader run -s src -i image mnt
like 'and that is said' "$tap_output" "can't lock image 'image': another loader uses it"
exec 5< mnt/lib/text
kill $loader
wait $loader
is 'a mount in use is no failure' $? 0
like 'but is said' "$(cat out)" "'mnt' stays mounted: it is in use"
ok 'it is left' mountpoint -q mnt
exec 5<&-
umount mnt

exits 1 'a source that is not there is refused' incfs-bpf-loader run -s nowhere -i image mnt
exits 1 'a mount point that is not there is refused' incfs-bpf-loader run -s src -i image nowhere
exits 1 'a policy that nobody knows is refused' \
	incfs-bpf-loader run -p unheard-of -s src -i image mnt
like 'by name' "$tap_output" 'no policy of this name'
exits 2 'a mistaken option is refused' incfs-bpf-loader run -p 'a,b' -s src -i image mnt
exits 2 'a missing option is refused' incfs-bpf-loader run -i image mnt
head -c 8192 /dev/urandom > garbage
exits 1 'what is no image is refused' incfs-bpf-loader run -s src -i garbage mnt
is 'and is not mounted' "$(mountpoint -q mnt; echo $?)" 32

# changed COMMAND...: the loader's words when the list has changed against the image
changed()
{
	cp -a src other
	(cd other && "$@")
	exits 1 "$* is refused" incfs-bpf-loader run -x -s other -i image mnt
	rm -rf other
}
changed truncate -s 100 lib/random
like 'with the path' "$tap_output" "'lib/random' has 1000001 bytes in the image, but 100 in the list"
changed sh -c 'rm zzz; mkdir zzz'
like 'with the path' "$tap_output" "'zzz' is a file in the image, but a directory in the list"
changed cp --remove-destination lib/text zzz
like 'with the path' "$tap_output" "zzz' is a file of its own|'zzz' has 1000001 bytes"

echo new > src/new
sums src > want
ok 'what is new in the list is added' incfs-bpf-loader run -x -k -s src -i image mnt
is 'and everything is equal' "$(sums mnt)" "$(cat want)"
umount mnt
is 'no ring is left behind' "$(bpftool map dump pinned /sys/fs/bpf/incfs_rings | grep -c key)" 0
done_testing
