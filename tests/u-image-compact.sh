#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# incfs image compact: the same tree and the same blocks, without the rest; the
# same bytes each time.
. "$(dirname "$0")/lib/tap.sh"
. "$(dirname "$0")/lib/image.sh"

"$image_py" write v1
"$image_py" attrs attrs
script <<END
# Files in pieces, written in another order, with waste between them.
image = Image()
bases = [image.file(ino, 40 * BLOCK, f"file{ino}") for ino in (9, 5, 7)]
for block in reversed(range(40)):
	for base, ino in zip(bases, (9, 5, 7)):
		data = expected(ino, block)
		image.put(b"waste" * 100)
		if block % 3:
			image.store(base, block, lz4_words(data), LZ4)
		else:
			image.store(base, block, data)
image.inode(11, 200 * BLOCK)
base = image.map(11, 200)[1]
for block in range(200):
	image.store(base, block, expected(11, block))
# Blocks that three files share, one of them without a name.
shared = image.put(expected(SHARED, 0))
base = image.file(SHARED, 30 * BLOCK, "shared")
for block in range(30):
	image.entry(base, block, shared, BLOCK)
image.save("waste")
END

# new IMAGE: compact it to IMAGE.new
new()
{
	ok "$1 is compacted" image compact -o "$1.new" "$1"
	ok "$1: the new one is sound" image check -q "$1.new"
	is "$1: it has the same tree and blocks" "$(tree "$1.new")" "$(tree "$1")"
	is "$1: nothing is without a name" "$(number unnamed_inodes "$1.new")" 0
	ok "$1: a second one" image compact -o "$1.second" "$1"
	ok "$1: has the same bytes" cmp "$1.new" "$1.second"
	ok "$1: one of the new one" image compact -o "$1.third" "$1.new"
	ok "$1: has them too" cmp "$1.new" "$1.third"
	is "$1: its features are the same" "$(number features "$1.new")" "$(number features "$1")"
	is "$1: nothing else is left" "$(ls -d "$1".*)" "$(printf '%s\n' "$1".{new,second,third})"
}
for name in v1 attrs waste; do
	new $name
done
is 'sharing is kept' "$(number shared_blocks waste.new)" "$(number shared_blocks waste)"
[ "$(number dead_bytes waste.new)" -lt 8192 ]
tap_result $? "dead space is gone: $(number dead_bytes waste.new) of $(number dead_bytes waste)"
is 'so is a file without a name' "$(number files waste.new)" 4

# Raw blocks are aligned, and in the order of the file; those of a file lie together.
image dump --blocks --json waste.new | python3 -c '
import json, sys
dump = json.load(sys.stdin)
assert all(b["lz4"] or b["size"] != 4096 or b["offset"] % 4096 == 0 for b in dump["blocks"])
raw = {}
for b in dump["blocks"]:
    if not b["lz4"]:
        raw.setdefault(b["ino"], []).append((b["block"], b["offset"]))
for ino, blocks in raw.items():
    assert blocks == sorted(blocks)
    assert ino == 62 or [o for _, o in blocks] == sorted(o for _, o in blocks), ino
spans = sorted((min(o for _, o in blocks), max(o for _, o in blocks)) for blocks in raw.values())
assert all(a[1] < b[0] for a, b in zip(spans, spans[1:])), spans
# No header is cut by the end of a page, and no map but where it does no harm.
assert all(r["offset"] % 4096 <= 4096 - 23 for r in dump["records"])
for i in dump["inodes"]:
    at, end = i["map_offset"], i["map_offset"] + 14 * i["blocks"]
    assert at % 2 == 0
    cuts = [(4096 - at) % 4096 % 14 for at in range(at, end, 14) if at // 4096 != (at + 13) // 4096]
    assert not cuts or cuts[0] == 6, (i, cuts)
'
tap_result $? 'blocks, records and block maps lie where they should'

cp waste place
chmod 640 place
cp waste.new want
ok 'an image is compacted in place' image compact place
ok 'to the same bytes' cmp place want
is 'who may read it may still' "$(stat -c %a place)" 640
cp waste target
ln -s target link
ok 'one behind a symbolic link is' image compact link
ok 'where it is' cmp target want
is 'and the link stays' "$(readlink link)" target
exits 1 'nothing is replaced' image compact -o want waste
like 'and that is said' "$tap_output" "can't write 'want': File exists"
exits 1 'a place that is not there is refused' image compact -o no/where waste

"$image_py" blocks damaged
ok 'damaged blocks' image compact -o damaged.new damaged
like 'are told of' "$tap_output" '11 damaged blocks are absent now'
ok 'and not there any more' image check damaged.new
is 'sound ones are' "$(number present_blocks damaged.new)" 3
head -c 25000 v1 > torn
ok 'an image with a torn tail' image compact -o torn.new torn
like 'is told of' "$tap_output" 'the list of records is cut off at image offset'
ok 'and whole then' image check torn.new
ok 'the script agrees' tree torn.new

for name in v1.new waste.new attrs.new; do
	image extract -p $name out
	ok "$name is extracted to what the script finds" "$image_py" compare $name out
	chmod -R u+w out
	rm -rf out
done

exits 2 'no image is a mistake' image compact
exits 2 'two are' image compact v1 attrs
exits 2 'so is an unknown option' image compact --nonsense v1
ok 'help is none' image compact --help
if [ -w /dev/full ]; then
	exits 1 'a full disk is said' bash -c "'$incfs' image info v1 > /dev/full"
fi
done_testing
