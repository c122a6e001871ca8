#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Loaders that are killed, again and again, while readers compare every byte that they
# get: none fails, none sees a wrong byte, and the image is complete at the end. 10 times;
# with INCFS_LONG=1, 100 times.
# timeout: 900
. "$(dirname "$0")/lib/tap.sh"
. "$(dirname "$0")/loader/lib.sh"

kills=10
[ -z "${INCFS_LONG-}" ] || kills=100
mib=$((20 + kills))
mkdir -p src mnt
for i in 0 1 2; do
	head -c $((mib * 1048576 / 3 + i * 1000)) /dev/urandom > src/file$i
done
sums src > want
serve src
incfs pack -l list src 2> /dev/null
# Slow enough that there is something to fetch all the time.
tc qdisc add dev lo root netem rate 24mbit limit 10000
cleanup tc qdisc del dev lo root

load() { rm -f out; incfs-bpf-loader run -k -l list -s $url -i image "$@" mnt > out 2>&1 & loader=$!; wait_for 60 grep -q ready: out; }

# reader N: read here and there until there is a file "stop", and count in readN
reader()
{
	local n=0 file block count
	RANDOM=$1
	while [ ! -e stop ]; do
		file=file$((RANDOM % 3))
		count=$((RANDOM % 40 + 1))
		block=$(((RANDOM * 32768 + RANDOM) % ($(stat -c %s src/$file) / 4096)))
		if ! cmp <(dd if=mnt/$file bs=4096 skip=$block count=$count status=none 2>&1) \
			<(dd if=src/$file bs=4096 skip=$block count=$count status=none); then
			echo "reader $1: $count blocks of $file from $block on" >> lost
		fi
		n=$((n + 1))
	done 2>> lost
	echo $n > "read$1"
}

ok 'the first loader is ready' load
readers=()
for i in 1 2 3; do
	reader $i &
	readers+=($!)
done
RANDOM=4711
again=0
for ((i = 0; i < kills; i++)); do
	sleep "0.$((RANDOM % 9 + 1))"
	{ kill -9 $loader; wait $loader; } 2> /dev/null
	sleep "0.$((RANDOM % 3))"
	load || break
	again=$((again + 1))
done
is "killed $kills times, a loader has begun again each time" $again $kills
is 'the mount is the same' "$(grep -c ' incremental-fs ' /proc/mounts)" 1
is 'no wrong byte, no reader lost' "$(cat lost 2> /dev/null)" ''

# An upgrade: the old one ends as it is asked to, another program goes on.
cp "$(command -v incfs-bpf-loader)" upgraded
kill $loader
wait $loader
is 'the old loader ends well' $? 0
rm -f out
./upgraded run -k -l list -s $url -i image mnt > out 2>&1 &
loader=$!
ok 'a new one takes over' wait_for 60 grep -q "going on with what is mounted on 'mnt'" out
tc qdisc change dev lo root netem rate 1gbit limit 10000
ok 'and brings the rest' wait_for 300 grep -q complete: out
touch stop
wait "${readers[@]}"
is 'no wrong byte, no reader lost, to the end' "$(cat lost 2> /dev/null)" ''
total=$(($(cat read1) + $(cat read2) + $(cat read3)))
[ $total -gt $kills ]
tap_result $? "the readers have read and compared $total times"
is 'every file is equal to its source' "$(sums mnt)" "$(cat want)"
kill $loader
wait $loader
umount mnt
ok 'the image is sound' incfs image check image
done_testing
