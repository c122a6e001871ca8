#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Two versions in one image: what the second has in common with the first is shared there
# and not fetched, and every byte of both is right: whatever the first lacks or has
# damaged, whatever incfs.base says, and however often the loader is killed.
# timeout: 900
. "$(dirname "$0")/lib/tap.sh"
. "$(dirname "$0")/loader/lib.sh"

make_tree v1
mkdir v1/many mnt www
for i in {1..30}; do head -c $((i * 4999)) /dev/urandom > v1/many/$i; done
head -c 6000001 /dev/urandom > v1/big
cp -a v1 v2
# Every twentieth block, one block more in front, others behind, renamed, new, gone.
python3 - <<'END'
with open("v2/big", "r+b") as big:
    for block in range(0, 1465, 20):
        big.seek(block * 4096 + 17)
        big.write(b"changed")
END
{ head -c 4096 /dev/urandom; cat v1/many/30; } > v2/many/30
cat v1/many/29 v1/many/28 > v2/many/29
mv v2/many/27 "v2/many/re named"
head -c 100001 /dev/urandom > v2/many/new
rm v2/many/1
sums v1 > want1
sums v2 > want2
incfs pack -o www/b1 v1 2> /dev/null
incfs pack -o www/b2 --base www/b1 v2 2> packed
# What is only in the second.
new=$(sed -nE 's/.*: ([0-9]+) of ([0-9]+) blocks are in .*/\2 - \1/p' packed)
blocks=$((${new% -*}))
new=$((new))
serve www

# sent REGEX: bytes that the server has sent of these files so far
sent() { awk -v name="GET /$1" '$0 ~ name { sum += $10 } END { print sum + 0 }' nginx/access.log; }
# load N [ARG]...: version N, until it is complete
load() { incfs-bpf-loader run -x -k --subdir "v$1" -s "$url/b$1" -i image "${@:2}" mnt > out 2>&1; }
# start N [ARG]...: the same, beside us
start()
{
	rm -f out
	incfs-bpf-loader run -k --subdir "v$1" -s "$url/b$1" -i image "${@:2}" mnt > out 2>&1 &
	loader=$!
	wait_for 60 grep -q ready: out
}
stop() { kill $loader && wait $loader; }
# shared: what was said
shared() { sed -nE "s/.* ([0-9]+) blocks are shared with 'v1', ([0-9]+) were.*/\1 \2/p" out; }
fresh() { umount mnt; rm -f image; }

ok 'the first version' load 1
is 'is in a directory of its own' "$(ls mnt)" v1
is 'every byte of it is right' "$(sums mnt/v1)" "$(cat want1)"
size=$(stat -c %s image)
ok 'the second goes beside it' load 2
is 'both are there' "$(ls mnt | xargs)" 'v1 v2'
is 'every byte of the second is right' "$(sums mnt/v2)" "$(cat want2)"
is 'and of the first' "$(sums mnt/v1)" "$(cat want1)"
is 'all that is in both was shared' "$(shared)" "$((blocks - new)) 0"
data=$(sent b2/incfs.data)
[ $data -gt 0 ] && [ $data -le $((new * 4096)) ]
tap_result $? "of $blocks blocks $new were new: $data bytes of data were fetched"
all=$(sent b2/)
is "$all bytes in all, the index with them, are less than a tenth" \
	"$((all < blocks * 4096 / 10))" 1
grown=$(($(stat -c %s image) - size))
is "the image has grown by $grown bytes, not more than is new" \
	"$((grown < new * 4096 + blocks * 32 + 200000))" 1
before=$(sent b)
ok 'the loader goes on with what is complete' load 2
is 'and fetches no data, nor incfs.base' \
	"$(($(sent b) - before < 20000)) $(sent b2/incfs.data)" "1 $data"

exits 1 'another bundle in its directory is refused' \
	incfs-bpf-loader run -x -k --subdir v1 -s www/b2 -i image mnt
like 'and why' "$tap_output" "'v1' in the image is of another bundle, not of this bundle"
exits 1 'so is a plain tree' incfs-bpf-loader run -x -k --subdir v1 -s v1 -i image mnt
like 'and why' "$tap_output" 'is of another bundle, not of a plain tree'
ok 'in a directory of its own it is not' \
	incfs-bpf-loader run -x -k --subdir plain -s v1 -i image mnt
is 'and is right' "$(sums mnt/plain)" "$(cat want1)"
exits 1 'nor does a bundle go there' \
	incfs-bpf-loader run -x -k --subdir plain -s www/b1 -i image mnt
like 'and why' "$tap_output" 'is of something else than a bundle, not of this bundle'
for name in a/b .. . .cmd ''; do
	exits 2 "'$name' is no directory for it" \
		incfs-bpf-loader run -x --subdir "$name" -s v1 -i image mnt
done
umount mnt
ok 'the image is sound' incfs image check image
rm image

# Without a background, and with a first version that was never complete.
start 1 -p none --no-background
cmp mnt/v1/big v1/big
cmp -n 65536 mnt/v1/lib/random v1/lib/random
cmp mnt/v1/many/20 v1/many/20
stop
before=$(sent b2/incfs.data)
start 2 -p none --no-background
ok 'a reader gets what is shared for it' cmp mnt/v2/big v2/big
used=$(($(sent b2/incfs.data) - before))
is "and $used bytes are fetched for what has changed" \
	"$((used > 0 && used <= 74 * 4096 + 200 * 4096))" 1
ok 'and what is not there in the first' cmp mnt/v2/lib/text v2/lib/text
ok 'or there in part' cmp mnt/v2/lib/random v2/lib/random
like 'what nobody asks for is not shared' "$(incfs ls-missing mnt v2/many/20)" many/20
like 'though it could be' "$(incfs ls-missing mnt v1/many/20)" '^0 of 25 blocks'
is 'all is right' "$(sums mnt/v2)" "$(cat want2)"
stop
ok 'the first version goes on too' load 1
is 'and is right' "$(sums mnt/v1)" "$(cat want1)"
fresh

# Damaged blocks of the first version: nobody is there to fetch them again.
load 1 --no-compress
umount mnt
python3 - <<'END'
data = open("image", "rb").read()
big = open("v1/big", "rb").read()
with open("image", "r+b") as image:
    for block in (3, 4, 701, 1464):
        image.seek(data.index(big[block * 4096:][:4096]) + 50)
        image.write(b"damage")
END
ok 'with a damaged first version the second comes too' load 2
is 'and is right' "$(sums mnt/v2)" "$(cat want2)"
is 'what was damaged was fetched' "$(shared)" "$((blocks - new - 4)) 4"
ok 'the first is put right by its own loader' timeout 100 bash -c \
	'incfs-bpf-loader run -k --subdir v1 -s www/b1 -i image mnt > out 2>&1 & \
	wait_for() { :; }; until cmp -s mnt/v1/big v1/big; do sleep 1; done; kill $!; wait $!'
is 'all of it' "$(sums mnt/v1)" "$(cat want1)"
fresh

# Whatever incfs.base says: the digests in the head are made to be right, as whoever
# packs can.
forge()
{
	rm -rf www/forged
	cp -r www/b2 www/forged
	python3 - "$1" <<-'END'
	import hashlib, re, sys
	base = open("www/forged/incfs.base").read()
	if sys.argv[1] == "shifted":
	    base = re.sub(r"(?m)^(\d+) (\d+) (\d+)$",
	                  lambda m: "%s %s %d" % (m[1], m[2], int(m[3]) ^ 1), base)
	elif sys.argv[1] == "swapped":
	    base = re.sub(r"(?m)^(t \d+)$", "\\1\nf lib/random", base)
	    base = re.sub(r"(?m)^f lib/random\nf ", "f ", base)
	    base = re.sub(r"end \d+", "end %d" % (base.count("\n") - 2), base)
	else:
	    base = base.replace("end", "and")
	open("www/forged/incfs.base", "w").write(base)
	head = open("www/forged/incfs.bundle").read()
	digest = hashlib.sha256(base.encode()).hexdigest()
	head = re.sub(r"base \d+ \w+", "base %d %s" % (len(base), digest), head)
	open("www/forged/incfs.bundle", "w").write(head.rstrip("\n").ljust(512, "\n"))
	END
}
for how in shifted swapped nonsense; do
	load 1
	forge $how
	ok "a base that is $how does no harm" \
		incfs-bpf-loader run -x -k --subdir v2 -s www/forged -i image mnt
	is 'what is there is right' "$(sums mnt/v2)" "$(cat want2)"
	is 'and so is the first' "$(sums mnt/v1)" "$(cat want1)"
	[ $how != nonsense ] || like 'and it is said' "$tap_output" \
		"'incfs.base': line [0-9]+: is neither"
	fresh
done
load 1
printf x >> www/b2/incfs.base
ok 'nor does one of another size' load 2
like 'which is said' "$(cat out)" "nothing is shared with 'v1': 'incfs.base'"
is 'all is right' "$(sums mnt/v2)" "$(cat want2)"
truncate -s -1 www/b2/incfs.base
fresh

# Killed again and again, on a slow line, with a reader.
load 1
tc qdisc add dev lo root netem rate 4mbit limit 10000
cleanup tc qdisc del dev lo root
reader()
{
	local n=0 block
	RANDOM=7
	while [ ! -e stop ]; do
		block=$((RANDOM % 1440))
		cmp <(dd if=mnt/v2/big bs=4096 skip=$block count=9 status=none 2>&1) \
			<(dd if=v2/big bs=4096 skip=$block count=9 status=none) || echo $block
		n=$((n + 1))
	done > lost 2>&1
	echo $n > reads
}
ok 'a loader is started' start 2
reader &
reader=$!
RANDOM=42
again=0
middle=0
for i in 1 2 3 4 5 6; do
	sleep 0.$((RANDOM % 9 + 1))
	{ kill -9 $loader; wait $loader; } 2> /dev/null
	grep -q complete: out || middle=$i
	start 2 || break
	again=$i
done
is 'and killed, and again, 6 times' $again 6
[ $middle -gt 0 ]
tap_result $? "$middle times before it was complete"
tc qdisc change dev lo root netem rate 1gbit limit 10000
ok 'the last one completes it' wait_for 120 grep -q complete: out
touch stop
wait $reader
is "no wrong byte in $(cat reads) reads, and no reader lost" "$(cat lost)" ''
is 'every byte of the second is right' "$(sums mnt/v2)" "$(cat want2)"
is 'and of the first' "$(sums mnt/v1)" "$(cat want1)"

# The old version goes; what is shared stays.
exits 1 'what is not there is not removed' incfs remove mnt v3
exits 1 'nor what is not in the mount' incfs remove mnt ../v2
exits 1 'nor from what is no mount' incfs remove v1 big
ok 'the first version is removed' incfs remove mnt v1
is 'the second is left' "$(ls mnt)" v2
echo 3 > /proc/sys/vm/drop_caches
is 'and right, without the page cache' "$(sums mnt/v2)" "$(cat want2)"
stop
is 'the loader ends well' $? 0
is 'nothing of the killed ones is left' "$(pgrep -x incfs-bpf-loade)" ''
umount mnt
ok 'the image is sound' incfs image check image
ok 'it is compacted' incfs image compact -o compact image
is 'to what the second version needs' \
	"$(($(stat -c %s compact) < blocks * 4096 + 1000000 && $(stat -c %s compact) < $(stat -c %s image)))" 1
ok 'it mounts' incfs mount -r compact mnt
is 'and has every byte' "$(sums mnt/v2)" "$(cat want2)"
umount mnt
done_testing
