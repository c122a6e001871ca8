#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# pack --base: what is said to be in an older bundle is there, byte for byte, and what is
# there is said, as far as it is to be expected; the same input makes the same bytes; a
# base that is none, or damaged, is refused.
. "$(dirname "$0")/lib/tap.sh"
. "$(dirname "$0")/loader/lib.sh"
get=$INCFS_BUILD/tests/loader/get
incfs=$INCFS_BUILD/tests/loader/incfs

# check V1 V2 BUNDLE: each run by the files themselves. Prints how many runs there are, how
# many blocks they have, and how many blocks the files have in all.
check()
{
	python3 - "$@" <<-'END'
	import os, re, sys
	old, new, bundle = sys.argv[1:]
	read = lambda name: open(name, "rb").read()
	decode = lambda s: re.sub(rb"\\x(..)", lambda m: bytes([int(m[1], 16)]), s)
	entries = [line.split(b" ") for line in read(bundle + "/incfs.tree").split(b"\n")[1:-2]]
	lines = read(bundle + "/incfs.base").split(b"\n")
	assert lines[0] == b"incfs-base 1" and lines[-1] == b"", lines[:1]
	assert lines[-2] == b"end %d" % (len(lines) - 3), lines[-2]
	runs = blocks = 0
	for line in lines[1:-2]:
	    words = line.split(b" ")
	    if words[0] == b"t":
	        path = decode(entries[int(words[1])][4])
	        here, there = read(os.fsencode(new) + b"/" + path), None
	        end = 0
	    elif words[0] == b"f":
	        there = read(os.fsencode(old) + b"/" + decode(words[1]))
	    else:
	        if there is None:
	            there = read(os.fsencode(old) + b"/" + path)
	        first, count, start = map(int, words)
	        assert first >= end and count, (path, line)
	        end = first + count
	        for i in range(count):
	            a = here[(first + i) * 4096:][:4096]
	            b = there[(start + i) * 4096:][:4096]
	            assert a and a == b, (path, line, i)
	        runs += 1
	        blocks += count
	total = sum((int(e[2]) + 4095) // 4096 for e in entries if e[0] == b"f")
	print(runs, blocks, total)
	END
}

make_tree v1
truncate -s 9m v1/sparse
printf end >> v1/sparse
mkdir v1/many
for i in {1..50}; do head -c $((i * 997)) /dev/urandom > v1/many/$i; done
cp -a v1 v2
# Changed in the middle, one block more in front, renamed, of another size, new, gone.
printf changed | dd of=v2/lib/random bs=1 seek=500000 conv=notrunc status=none
{ head -c 4096 /dev/urandom; cat v1/many/50; } > v2/many/50
mv v2/many/49 "v2/many/re named"
cat v1/many/40 v1/many/40 > v2/many/40
head -c 100000 /dev/urandom > v2/many/new
rm v2/many/3

"$incfs" pack -o b1 v1 2> /dev/null
ok 'a directory is packed with a base' "$incfs" pack -o b2 --base b1 v2
said=$tap_output
is 'into these files' "$(ls b2 | xargs)" \
	'incfs.base incfs.blocks incfs.bundle incfs.data incfs.pages incfs.tree'
is 'the head is of version 2' "$(head -n 1 b2/incfs.bundle)" 'incfs-bundle 2'
is 'it has the digests of incfs.base, and of the head of the base' \
	"$(sed -n 's/^base //p' b2/incfs.bundle)" \
	"$(stat -c %s b2/incfs.base) $(sha256sum < b2/incfs.base | cut -d' ' -f1) $(
		sha256sum < b1/incfs.bundle | cut -d' ' -f1)"
ok 'what is said to be in the base is there' check v1 v2 b2
read -r runs blocks total <<< "$tap_output"
# 2 blocks of the changed file and of the one that ends otherwise, 1 in front, 25 new
# ones; and what begins in the middle of a block.
is 'and that is nearly all there is' "$((total - blocks < 45 && blocks < total))" 1
like 'which is said' "$said" "$blocks of $total blocks are in 'b1', in $runs runs"
is 'in few runs' "$((runs < 70))" 1
"$incfs" pack -o plain v2 2> /dev/null
ok 'all else is the same as without a base' diff -r -x incfs.bundle -x incfs.base b2 plain
is 'whose head is of version 1' "$(head -n 1 plain/incfs.bundle)" 'incfs-bundle 1'
cp -a v2 copy
"$incfs" pack -o again --base b1/ copy 2> /dev/null
ok 'the same input makes the same bytes' diff -r b2 again
mkdir index
cp b1/incfs.{bundle,tree,pages,blocks} index
"$incfs" pack -o again2 --base index v2 2> /dev/null
ok 'the data of the base is not needed' diff -r b2 again2
mkdir out
"$get" b2 - out 65536 2> errors | grep -v '^ok '
is 'such a bundle is read as any other' "$(sums out | grep -v empty)" \
	"$(sums v2 | grep -v 'empty\|zzz\|shallow')"

cp -a v2 v3
printf more >> v3/lib/text
ok 'a bundle that has a base is one itself' "$incfs" pack -o b3 --base b2 v3
ok 'what is in it is there' check v2 v3 b3
read -r runs blocks total <<< "$tap_output"
is 'all but the one that was written to' $((total - blocks)) 1
ok 'a base that is the same' "$incfs" pack -o same --base b2 v2
read -r runs blocks total <<< "$(check v2 v2 same)"
is 'has everything, zeros too' "$blocks" "$total"
is 'in as many runs as there are files with something in them' "$runs" \
	"$(awk '$1 == "f" && $3 > 0' b2/incfs.tree | wc -l)"
mkdir other
head -c 100000 /dev/urandom > other/file
ok 'a base that has nothing in common' "$incfs" pack -o nothing --base b1 other
is 'is a base all the same' "$(cat nothing/incfs.base)" $'incfs-base 1\nend 0'
tar -cf v2.tar -C v2 .
ok 'an archive is packed with a base' "$incfs" pack -o tarred --base b1 v2.tar
is 'and has the same in common' "$(cat tarred/incfs.base)" "$(cat b2/incfs.base)"

# refused WHAT BASE REASON
refused()
{
	exits 1 "$1 is refused" "$incfs" pack -o fails --base "$2" v2
	like 'and why' "$tap_output" "$3"
	is 'and nothing is left' "$(ls -d fails* 2> /dev/null)" ''
}
# broken COMMAND...: in a bundle of which a command has changed something
broken() { rm -rf broken && cp -r b2 broken && (cd broken && "$@"); }
# flip FILE PLACE: another byte there
flip()
{
	local byte
	byte=$(od -An -tu1 -j "$2" -N 1 "$1")
	printf "\\x$(printf %02x $((byte ^ 0xa5)))" |
		dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
refused 'a base that is not there' nowhere "base 'nowhere': 'incfs.bundle': No such file"
refused 'a plain tree' v1 "base 'v1': 'incfs.bundle': No such file"
refused 'a file' v1/lib/text 'Not a directory'
broken sed -i 's/bundle 2/bundle 3/' incfs.bundle
refused 'another version' broken "it begins with 'incfs-bundle 3'"
broken truncate -s 511 incfs.bundle
refused 'a head that is cut short' broken "'incfs.bundle': it has not the size"
for file in tree pages blocks; do
	broken flip incfs.$file 45
	refused "a base whose incfs.$file is changed" broken "'incfs.$file': it is not what"
	broken truncate -s -1 incfs.$file
	refused 'or cut short' broken "'incfs.$file': it has not the size"
	broken rm incfs.$file
	refused 'or gone' broken "'incfs.$file': No such file"
done
exits 2 '--base without a bundle is a mistake' "$incfs" pack --base b1 v2
done_testing
