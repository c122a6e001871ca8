#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A loader that ends in the middle, by SIGTERM or kill -9, and the next one, on the
# same image or on the mount that is still there, while readers wait.
# timeout: 400
. "$(dirname "$0")/lib/tap.sh"
. "$(dirname "$0")/loader/lib.sh"

# load ARG...: until it is ready
load()
{
	rm -f out
	incfs-bpf-loader run -v -s src -i image "$@" mnt > out 2>&1 5<&- &
	loader=$!
	wait_for 60 grep -q ready: out || diag "$(cat out)"
}
end() { kill "-$1" $loader; wait $loader; } 2> /dev/null

mkdir -p src/lib mnt
head -c 8000000 /dev/urandom > src/lib/random
seq 100000 > src/lib/text
sums src > want

# fetched OUT: how many blocks the loader asked for
fetched() { sed -nE 's/.*: fetching ([0-9]+) blocks.*/\1/p' "$1" | awk '{ n += $1 } END { print n + 0 }'; }
total=$(((8000000 + 4095) / 4096 + ($(stat -c %s src/lib/text) + 4095) / 4096))

for signal in TERM KILL; do
	rm -f image
	load --no-background
	dd if=mnt/lib/random of=/dev/null bs=4096 skip=500 count=300 status=none
	# What is on its way at the end comes twice.
	sleep 1
	end $signal
	first=$(fetched out)
	[ $signal = TERM ] || umount mnt
	ok "SIG$signal: the image is mounted again" load -x -k
	wait $loader
	is 'the next loader fetches the rest' $? 0
	is 'all of it, and nothing twice' $((first + $(fetched out))) $total
	is 'every file is equal to its source' "$(sums mnt)" "$(cat want)"
	umount mnt
done

tail -c +$((1000 * 4096 + 1)) src/lib/random > rest
for signal in TERM KILL; do
	rm -f image copy
	load --no-background -p sequential
	head -c 100000 mnt/lib/random > /dev/null
	exec 5< mnt/lib/random
	end $signal
	ok "SIG$signal: the mount stays" mountpoint -q mnt
	dd bs=4096 skip=1000 status=none <&5 > copy &
	reader=$!
	sleep 1
	is 'a reader waits without a loader' "$(kill -0 $reader && stat -c %s copy)" 0
	load --no-background -p sequential
	ok 'the mount is taken over' grep -q "going on with what is mounted on 'mnt'" out
	ok 'and the reader served' wait_for 60 cmp -s rest copy
	wait $reader
	is 'to its end' $? 0
	exec 5<&-
	is 'the policy is there again' "$(grep -c ': ahead' out | sed 's/^[1-9].*/some/')" some
	end TERM
	is 'the next loader ends well' $? 0
	is 'and unmounts' "$(mountpoint -q mnt; echo $?)" 32
done

# A mount has one loader, by whatever name of its image a second one comes.
rm -f image
load --no-background
touch elsewhere
for other in elsewhere none; do
	[ $other = elsewhere ] || mv image moved
	exits 1 "a second loader on a mount, with --image $other" \
		incfs-bpf-loader run -x -s src -i $other mnt
	like 'is refused' "$tap_output" "another loader uses the mount on 'mnt'"
	ok 'the first works on' cmp src/lib/text mnt/lib/text
done
ok 'it still tells of itself' incfs status mnt
like 'as the loader of the mount' "$tap_output" "mnt: on demand, pid $loader"
end KILL
ok 'the mount stays' mountpoint -q mnt
mv moved image
for other in elsewhere none; do
	exits 1 "a loader on a mount of another image, with --image $other" \
		incfs-bpf-loader run -x -s src -i $other mnt
	like 'is refused' "$tap_output" \
		"what is mounted on 'mnt' is the image '$PWD/image', not '$other'"
done
mv image moved
load --no-background -i moved
ok 'one with the image by its new name is not' cmp src/lib/text mnt/lib/text
end TERM
is 'and ends well' $? 0
rm -f moved elsewhere

# The policy of a mount can be changed by its next loader.
rm -f image
load -p none -k --no-background
end TERM
load -p minimal -k
like 'a loader brings its policy to a mount' "$(cat /proc/mounts)" 'policy=minimal'
end TERM
load -p none
[[ $(grep mnt /proc/mounts) != *policy=minimal* ]]
tap_result $? 'or takes it away'
end TERM

# Two loaders share a policy; the second takes it over when the first ends.
rm -f image other-image
mkdir other
load -k -p sequential --no-background
rm -f second
incfs-bpf-loader run -v -s src -i other-image --no-background other > second 2>&1 &
second=$!
wait_for 60 grep -q ready: second
ok 'a policy that is registered already is used' grep -q "'sequential' is registered already" second
end TERM
ok 'and registered again when its owner ends' wait_for 30 grep -q 'registered it again' second
head -c 100000 other/lib/random > /dev/null
ok 'so that it works on' grep -q ': ahead' second
kill $second
wait $second
is 'the second loader ends well' $? 0
umount mnt
done_testing
