#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The loader on bundles: every file of the mount is equal to what was packed, over http
# and from a directory, and what has been changed in a bundle is never read.
# timeout: 300
. "$(dirname "$0")/lib/tap.sh"
. "$(dirname "$0")/loader/lib.sh"

make_tree src
sums src > want
mkdir mnt
openssl genpkey -algorithm ed25519 -out key.pem
openssl pkey -in key.pem -pubout -out public.pem
incfs pack -o bundle --sign key.pem src 2> /dev/null

ok 'a bundle in a directory is served until everything is there' \
	incfs-bpf-loader run -x -k -s bundle -i image mnt
like 'that its signature was not looked at is said' "$tap_output" 'no --verify'
is 'every file is equal to what was packed' "$(sums mnt)" "$(cat want)"
umount mnt
rm image
serve bundle
ok 'so is one on nginx, with a key' \
	incfs-bpf-loader run -x -k -s $url/ --verify public.pem -i image mnt
is 'every file is equal to what was packed' "$(sums mnt)" "$(cat want)"
umount mnt
rm image

# Bytes of blocks that the server has sent so far.
data_sent() { awk '/GET \/incfs.data/ { sum += $10 } END { print sum + 0 }' nginx/access.log; }
before=$(data_sent)
incfs-bpf-loader run -p none --no-background -s $url -i image mnt > out 2>&1 &
loader=$!
wait_for 60 grep -q ready: out || diag "$(cat out)"
ok 'a reader gets what it waits for' cmp mnt/lib/random src/lib/random
sent=$(($(data_sent) - before))
is 'and no more than that is asked for' "$((sent > 990000 && sent < 1050000))" 1
stop_server
cat mnt/lib/text > copy &
reader=$!
ok 'a server that is gone is said' wait_for 20 grep -q "can't fetch 'lib/text'" out
serve bundle
ok 'a reader that waited goes on' wait_for 30 cmp copy src/lib/text
wait $reader
is 'and ends well' $? 0
kill $loader && wait $loader
is 'so does the loader' $? 0
stop_server
rm image

# The block in the middle of the data.
cp -r bundle broken
printf '\xa5\xa5\xa5' | dd of=broken/incfs.data bs=1 conv=notrunc status=none \
	seek=$(($(stat -c %s bundle/incfs.data) / 2))
incfs-bpf-loader run -p none --no-background -t 3000 -s broken -i image mnt > out 2>&1 &
loader=$!
wait_for 60 grep -q ready: out || diag "$(cat out)"
sums mnt > got 2> errors
is 'what can be read of a broken bundle is what was packed' "$(grep -vxFf want got)" ''
ok 'one file can not be read' grep -qE 'imer expired|timed out' errors
ok 'and why is said' grep -q 'is not what was packed: its SHA-256 differs' out
kill $loader && wait $loader
rm image

openssl genpkey -algorithm ed25519 -out other.pem
openssl pkey -in other.pem -pubout -out other-public.pem
exits 1 'a bundle of somebody else is refused' \
	incfs-bpf-loader run -x -s bundle --verify other-public.pem -i image mnt
like 'and why' "$tap_output" 'not a signature by the key of --verify'
exits 1 'a plain tree is refused when there is a key' \
	incfs-bpf-loader run -x -s src --verify public.pem -i image mnt
is 'neither has made an image' "$(ls image 2> /dev/null)" ''
exits 2 'a key and a list are a mistake' \
	incfs-bpf-loader run -l src/incfs.list -s bundle --verify public.pem -i image mnt
done_testing
