#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# incfs image check: what is sound, what can be repaired and how; after a repair
# nothing else has changed.
# timeout: 600
. "$(dirname "$0")/lib/tap.sh"
. "$(dirname "$0")/lib/image.sh"

"$image_py" write v1
"$image_py" attrs attrs
for file in v1 attrs; do
	cp $file $file.before
	ok "$file is sound" image check $file
	like "$file: that is said" "$tap_output" "^'$file': sound: [0-9]+ records"
	ok "$file: a repair finds nothing to do" image check --repair -q $file
	is "$file: and says nothing" "$tap_output" ''
	ok "$file: and does nothing" cmp $file $file.before
done

# repaired NAME FILE: it can be repaired, and is what the script takes then
repaired()
{
	exits 1 "$1: can be repaired" image check "$2"
	exits 1 "$1: is repaired" image check -r "$2"
	exits 0 "$1: is sound then" image check "$2"
}

"$image_py" blocks damaged
cp damaged before
exits 1 'damaged blocks can be repaired' image check damaged
like 'their number is said' "$tap_output" '11 problems, which --repair repairs'
# Block map entries of 14 bytes from 77 on; these are the ones that lie.
for block in 1 2 3 4 5 6 7 8 9 10 15; do
	like "block $block is told of" "$tap_output" \
		"image offset $((77 + 14 * block)): inode 3, block $block: "
done
is 'sound ones are not' "$(grep -c ': inode' <<< "$tap_output")" 11
ok 'a check changes nothing' cmp before damaged
repaired 'image with damaged blocks' damaged
is 'the entries are zero, nothing else has changed' \
	"$(cmp -l before damaged | awk '$3 != 0 || $1 <= 77 || $1 > 77 + 14 * 16 { print $1 }')" ''
is 'blocks that are sound are there' "$(number present_blocks damaged)" 3
is 'those that were not are absent' "$(number invalid_entries damaged)" 0

# An image whose every block is damaged has more messages than anybody reads.
script <<END
image = Image()
base = image.file(3, 300 * BLOCK, "file")
for block in range(300):
	image.store(base, block, b"x" * 10, check=1)
image.save("many")
# Blocks whose stored bytes lie in metadata, with a CRC that fits.
image = Image()
base = image.file(3, 3 * BLOCK, "file")
at = image.put(b"y" * 100)
image.entry(base, 0, image.last, 20)
image.entry(base, 1, base, 14)
image.entry(base, 2, at, 100)
image.save("metadata")
# Block maps over each other, over a record, and over the superblock's end.
for name, where in ("map", "base"), ("record", "image.last"), ("itself", "len(image.data) + 45 - 5"):
	image = Image()
	base = image.file(3, 3 * BLOCK, "file")
	image.put(bytes(200))
	at = eval(where)
	image.inode(4, BLOCK)
	at = image.map(4, 1, at if name != "itself" else eval("len(image.data) - 5"))
	image.put(bytes(200))
	image.save("over-" + name)
END
exits 1 'many damaged blocks' image check many
is 'are told of in part' "$(grep -c 'image offset' <<< "$tap_output")" 100
like 'the others by number' "$tap_output" 'incfs: .many.: 200 more of this kind'
exits 1 'with --all' image check --all many
is 'all are told of' "$(grep -c 'image offset' <<< "$tap_output")" 300
exits 1 'blocks within metadata' image check metadata
like 'are told of' "$tap_output" 'block 0: stored bytes lie over a record'
like 'in a block map too' "$tap_output" 'block 1: stored bytes lie over a block map'
repaired 'blocks within metadata' metadata
is 'they are absent, others are there' "$(number present_blocks metadata)" 1
for over in map record itself; do
	exits 2 "a block map over a $over can't be repaired" image check --repair over-$over
	like 'that is said' "$tap_output" 'block map of inode [34] lies over|lies over the block map'
	exits 1 'info refuses it' image info over-$over
	exits 1 'extract refuses it' image extract over-$over dir
	exits 1 'compact refuses it' image compact over-$over
done

# Whatever the end of an image has become: it can be repaired, and the script,
# which takes no broken link, takes it then.
# tails IMAGE STEP COMMAND: for a tail that begins at each STEP
tails()
{
	local size at bad=0 repairs=0 status
	size=$(stat -c %s "$1")
	for ((at = $4; at < size; at += $2)); do
		cp "$1" tail
		$3 $at
		image check -q tail > out 2>&1
		status=$?
		[ $status = 0 ] && { tree tail > /dev/null && continue; }
		repairs=$((repairs + 1))
		if [ $status = 1 ]; then
			cp tail again
			image check -rq tail >> out 2>&1
			[ $? = 1 ] && image check -q tail >> out 2>&1 && tree tail >> out 2>&1 && continue
		fi
		diag "$1, $3 $at: exit code $status"
		sed 's/^/# /' out
		bad=$((bad + 1))
	done
	is "$1, $3: repaired at each of $repairs places" $bad 0
	[ $repairs -gt 3 ]
	tap_result $? "$1, $3: there were places to repair"
}
cut() { truncate -s "$1" tail; }
zeros() { cut "$1"; truncate -s $size tail; }
tails v1 331 cut 32
tails attrs 193 cut 32
script <<END
image = Image(F_ATTRS)
for ino in range(3, 300):
	if len(image.data) % BLOCK > BLOCK - HEADER.size:
		image.put(bytes(BLOCK - len(image.data) % BLOCK))
	if ino % 3:
		image.inode(ino, 0)
	else:
		image.symlink(ino, b"t" * ino)
	if len(image.data) % BLOCK > BLOCK - HEADER.size:
		image.put(bytes(BLOCK - len(image.data) % BLOCK))
	image.name(ROOT, ino, "x" * (ino % 250) + str(ino))
image.save("records")
END
tails records 4096 zeros 4096
tails records 4096 cut 4096

# A link to nowhere in the superblock.
head -c 32 v1 > first
exits 1 'the first record is lost' image check -r first
ok 'an empty image is left' image check first
is 'without a record' "$(number records first)" 0

# Who uses the image.
exec 5< v1
flock -x 5
exits 2 'an image that is locked is not checked' image check v1
like 'and that is said' "$tap_output" "can't lock 'v1': a loader or another tool uses it"
exits 1 'nor extracted' image extract v1 dir
exits 1 'nor compacted' image compact v1
ok 'it can be looked at' image info v1
flock -s 5
ok 'with a shared lock it is checked' image check v1
exits 2 'but not repaired' image check -r v1
exec 5<&-

exits 2 'no image is a mistake' image check
exits 2 'two are' image check v1 attrs
exits 2 'so is an unknown option' image check --nonsense v1
exits 2 'and an unknown command' image nonsense v1
ok 'help is none' image check --help
ok 'nor is a list of commands' image --help
chmod 444 before
drop=()
[ "$(id -u)" != 0 ] || drop=(setpriv --bounding-set=-all --reuid=65534 --clear-groups)
exits 2 'an image that may not be written is not repaired' \
	"${drop[@]}" "$incfs" image check -r before
like 'and that is said' "$tap_output" "can't open 'before' for writing: Permission denied"
done_testing
