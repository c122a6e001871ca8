#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The loader on a file server: a server that goes and comes back while a reader
# waits, one that answers wrongly, one that has other files than it says.
# timeout: 400
. "$(dirname "$0")/lib/tap.sh"
. "$(dirname "$0")/loader/lib.sh"

# load_url ARG...: the loader, on a new image, until it is ready
load_url()
{
	rm -f image out
	incfs-bpf-loader run -s $url -i image "$@" mnt > out 2>&1 &
	loader=$!
	wait_for 60 grep -q ready: out || diag "$(cat out)"
}
unload() { kill $loader && wait $loader; }

make_tree src
incfs pack src 2> /dev/null
sums src > want
mkdir mnt

serve src
ok 'nginx is served until everything is there' \
	incfs-bpf-loader run -x -k -s $url/ -i image mnt
is 'every file is equal to its source' "$(sums mnt)" "$(cat want)"
umount mnt

# A reader while the server is gone, and before anything is there.
load_url --no-background
stop_server
cat mnt/lib/text > copy &
reader=$!
ok 'a server that is gone is said' wait_for 20 grep -q "can't fetch 'lib/text'" out
is 'the reader waits' "$(kill -0 $reader && cat copy)" ''
serve src
ok 'it goes on when the server is back' wait_for 30 cmp copy src/lib/text
wait $reader
is 'and ends well' $? 0
ok 'that is said' grep -q 'fetching goes on' out
ok 'the loader ends well' unload

rm -f out image
stop_server
incfs-bpf-loader run -x -s $url -i image mnt > out 2>&1 &
loader=$!
ok 'a server that is not there yet is said' wait_for 20 grep -q 'no list of files:.*trying again' out
serve src
wait $loader
is 'and waited for' $? 0
stop_server

# Wrong answers: three for each range, then right ones. The files are larger than
# what is fetched for one reader.
mkdir faults
for fault in good short cut shifted resized norange gone e416 e500 encoded garbage rubbish longer; do
	seq 100000 | head -c 140000 > faults/$fault
done
incfs pack faults 2> /dev/null
sums faults > want
serve_faulty faults 2
load_url -j 4 --no-background
ok 'readers of a faulty server get right bytes or wait' timeout 250 sh -c 'cat mnt/* > all'
is 'all files are equal to their source' "$(sums mnt)" "$(cat want)"
for fault in short shifted resized norange gone e416 e500 encoded longer; do
	ok "'$fault' has been said" grep -q "can't fetch '$fault': " out
done
ok 'the loader ends well' unload
stop_server

# The same once, of servers that are slow, busy, or send us elsewhere.
rm -rf faults requests
mkdir faults
for fault in good trickle hang reset e429 e503 tofile elsewhere huge; do
	seq 100000 | head -c 100000 > faults/$fault
done
incfs pack faults 2> /dev/null
sums faults > want
serve_faulty faults 1
load_url -v --no-background --stall-timeout 2
ok 'readers get right bytes in the end' timeout 150 sh -c 'cat mnt/* > all'
is 'all files are equal to their source' "$(sums mnt)" "$(cat want)"
for fault in trickle hang reset e429 e503 tofile elsewhere huge; do
	ok "'$fault' has been said" grep -q "can't fetch '$fault': " out
done
ok 'the loader ends well' unload
stop_server

# What is wrong for ever is waited for; killed readers go.
rm -rf faults requests
mkdir faults
seq 100000 | head -c 140000 > faults/good
cp faults/good faults/resized
cp faults/good faults/loop
incfs pack faults 2> /dev/null
serve_faulty faults
load_url --no-background -t 3000
exits 1 'a file that is wrong for ever is not read' cat mnt/resized
like 'but times out' "$tap_output" 'imer expired|timed out'
ok 'others are read beside it' cmp mnt/good faults/good
exits 1 'nor one that leads nowhere' cat mnt/loop
ok 'which is said' grep -q "can't fetch 'loop': .*redirect" out
is 'nothing of it was taken' "$(grep -c resized requests)" "$(grep -c 'resized.*resized' requests)"
ok 'the loader ends well' unload
stop_server

rm -f image
cp -a src less
rm less/lib/random
cp src/incfs.list less/
serve less
exits 124 'a file that the server has not got' timeout 20 incfs-bpf-loader run -x -s $url -i image mnt
like 'is said once' "$(grep -c "can't fetch 'lib/random'.*404" <<< "$tap_output")" '^1$'
like 'and does not keep the others from coming' "$tap_output" 'ready'
incfs-bpf-loader run -k -p none --no-background -s less -i image -l src/incfs.list mnt > out 2>&1 &
loader=$!
wait_for 60 grep -q ready: out
ok 'they are there' cmp mnt/lib/text src/lib/text
unload
umount mnt

sed -i 's/^end.*/end 9999/' less/incfs.list
exits 1 'a list that is cut short is refused' incfs-bpf-loader run -x -s $url -i image mnt
like 'with the line' "$tap_output" 'list of files: line [0-9]+: promises'
rm less/incfs.list
exits 1 'a server without a list is refused' incfs-bpf-loader run -x -s $url -i image mnt
like 'and why' "$tap_output" 'no list of files: .*404'
done_testing
