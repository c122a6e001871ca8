#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Demand before fetch-ahead before background, over a slow line; a full disk; a
# damaged block.
# timeout: 400
. "$(dirname "$0")/lib/tap.sh"
. "$(dirname "$0")/loader/lib.sh"
requires tc python3

mkdir -p src mnt
for i in 0 1 2 3; do
	head -c 4000000 /dev/urandom > src/file$i
done
incfs pack src 2> /dev/null
serve src

tc qdisc add dev lo root netem delay 10ms rate 20mbit limit 1000
cleanup eval 'tc qdisc del dev lo root 2> /dev/null || true'
incfs-bpf-loader run -v -a 128 -s $url -i image mnt > out 2>&1 &
loader=$!
wait_for 60 grep -q ready: out

# By page faults: they ask for nothing before the block that they wait for.
wait_for 20 grep -q ': background' out
slowest=$(python3 - <<-'END'
	import mmap, time
	source = open("mnt/file3", "rb")
	file = mmap.mmap(source.fileno(), 0, prot=mmap.PROT_READ)
	slowest = 0
	for block in 900, 700, 500, 300:
	    start = time.monotonic()
	    file[block * 4096]
	    slowest = max(slowest, time.monotonic() - start)
	    time.sleep(0.3)
	print(int(slowest * 1000))
END
)
diag "slowest demand: $slowest ms; one block after the other it is $((4 * 977 * 4096 / 2500)) ms"
[ "$slowest" -lt 1000 ]
tap_result $? 'a demand does not wait for the background'
is 'the policy fetched ahead of it' "$(grep -c "'file3'.*: ahead" out | sed 's/^[1-9].*/some/')" some

ok 'demand is asked for before what follows it' \
	awk '/file3.*: (ahead|demand)/ { if (!seen++) exit !/demand/ }' out
ok 'background goes by the order of the list' awk '
	/: background/ {
		match($0, /file[0-9]/)
		file = substr($0, RSTART + 4, 1)
		if (file + 0 < last + 0) exit 1
		last = file
	}' out
tc qdisc del dev lo root
ok 'everything arrives' wait_for 60 grep -q complete: out
is 'and is equal' "$(sums mnt)" "$(sums src)"
is 'no block was fetched twice' \
	"$(sed -nE 's/.*: fetching ([0-9]+) blocks.*/\1/p' out | awk '{ n += $1 } END { print n }')" \
	$((4 * 977))
kill $loader
wait $loader

# A disk that is full stops the fills, not the readers, and not for ever.
mkdir small
mount -t tmpfs -o size=24m small small
head -c 17000000 /dev/zero > small/ballast
rm -f out
incfs-bpf-loader run -s src -i small/image mnt > out 2>&1 &
loader=$!
ok 'a full disk is said' wait_for 60 grep -q "can't store blocks: the disk of the image is full" out
cat mnt/file3 > copy &
reader=$!
sleep 3
is 'once' "$(grep -c 'disk of the image is full' out)" 1
is 'the reader waits' "$(kill -0 $reader; echo $?)" 0
rm small/ballast
ok 'it goes on when there is room' wait_for 60 grep -q complete: out
wait $reader
is 'the reader too' "$?$(cmp copy src/file3)" 0
kill $loader
wait $loader
is 'the loader ends well' $? 0
umount small

# A block that is damaged in the image is fetched again.
rm -f image out
incfs-bpf-loader run -x --no-compress -s src -i image mnt > /dev/null 2>&1
python3 - <<'END'
data = bytearray(open("image", "rb").read())
want = open("src/file2", "rb").read()[4096 * 5:4096 * 6]
at = data.index(want)
with open("image", "r+b") as image:
    image.seek(at + 100)
    image.write(b"damage")
END
rm -f out
incfs-bpf-loader run -s src -i image mnt > out 2>&1 &
loader=$!
wait_for 60 grep -q complete: out
is 'a damaged block is never read' "$(timeout 60 cat mnt/file2 | sha256sum)" "$(sha256sum < src/file2)"
ok 'but said, and fetched again' grep -q "block 5 of 'file2' is damaged" out
kill $loader
wait $loader
done_testing
