#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The tools beside the loader: mount, umount, fetch, ls-missing, map.
# timeout: 300
. "$(dirname "$0")/lib/tap.sh"
. "$(dirname "$0")/loader/lib.sh"

make_tree src
sums src > want
mkdir mnt
load() { rm -f out; incfs-bpf-loader run "$@" > out 2>&1 & loader=$!; wait_for 60 grep -q ready: out; }

load -k --no-background -p none -s src -i image mnt
blocks=$((($(stat -c %s src/lib/text) + 4095) / 4096 + 245 + 1 + 2 + 1))
ok 'what is missing is listed' incfs ls-missing mnt
like 'all of it' "$tap_output" "$blocks of $blocks blocks are missing, in 5 files"
dd if=mnt/lib/random of=/dev/null bs=4096 skip=64 count=32 status=none
ok 'after a read it is less' incfs ls-missing -b mnt
missing=$(sed -n 's/^\([0-9]*\) of .* are missing.*/\1/p' <<< "$tap_output")
[ "$missing" -le $((blocks - 32)) ]
tap_result $? "by what was read: $missing of $blocks"
like 'the blocks are named' "$tap_output" $'zzz\n +0-63\n'
ok 'the image tells the same' incfs ls-missing image
like 'as the mount' "$tap_output" "$missing of $blocks blocks"
incfs ls-missing -ajb mnt > json
is 'for programs' "$(python3 -c 'import json
d = {x["path"]: x for x in map(json.loads, open("json"))}
print(len(d), sum(x["missing"] for x in d.values()), d["zzz"]["missing_blocks"][0])')" \
	"6 $missing 0-63"
like 'of one file, by its mount' "$(incfs ls-missing mnt lib/deep/zeros)" '2 of 2 blocks are missing, in 1 files'
exits 1 'what is not complete is not extracted' incfs extract mnt tree
exits 1 'what is no image' incfs ls-missing src/lib/text
exits 1 'what is not there' incfs ls-missing none
exits 2 'nothing at all' incfs ls-missing

ok 'a file is fetched' incfs fetch mnt/lib/deep/zeros
like 'which is told' "$tap_output" '1 files, 4097 bytes, 0 failed'
ok 'it is there' cmp src/lib/deep/zeros mnt/lib/deep/zeros
ok 'a directory is' incfs fetch -q mnt/lib
is 'in silence' "$tap_output" ''
incfs ls-missing -j mnt > json
is 'all of it' "$(grep -c '"path":"lib' json)" 0
ok 'all of the mount' incfs fetch mnt
is 'nothing is missing' "$(incfs ls-missing mnt)" "0 of $blocks blocks are missing, in 0 files"
exits 1 'what is elsewhere is refused' incfs fetch src
like 'with a reason' "$tap_output" "is not on a mount"
exits 1 'and what is not there' incfs fetch mnt/none
exits 2 'and nothing' incfs fetch
find mnt -type f ! -name .cmd -print0 > names
ok 'names in a file are fetched too' incfs fetch -0T names
like 'all of them' "$tap_output" '7 files, .* 0 failed'
ok 'a mount is extracted' incfs extract mnt tree
is 'all of it' "$(sums tree)" "$(cat want)"
is 'files are as they were' "$(sums mnt)" "$(cat want)"

exits 1 'a mount with a loader is in use' incfs umount mnt
like 'by its loader' "$tap_output" "its loader, process $loader, uses it"
ok 'which is ended with it' incfs umount --stop mnt
wait $loader
is 'and ends well' $? 0
exits 32 'it has gone' mountpoint -q mnt
exits 1 'what is not mounted' incfs umount mnt
exits 1 'what is not there' incfs umount none

ok 'a complete image is mounted without a loader' incfs mount image mnt
is 'all is there' "$(sums mnt)" "$(cat want)"
like 'without a policy' "$(grep ' mnt \|/mnt ' /proc/mounts)" 'incremental-fs rw'
ok 'it is unmounted' incfs umount mnt
ok 'read-only' incfs mount -r --verify-once -t 5 image mnt
like 'it is' "$(grep '/mnt ' /proc/mounts)" 'incremental-fs ro.*read_timeout_ms=5.*verify=once'
is 'all is there' "$(sums mnt)" "$(cat want)"
exec 5< mnt/lib/text
exits 1 'in use it stays' incfs umount mnt
ok 'or goes lazily' incfs umount --lazy mnt
exec 5<&-
exits 1 'a policy that is not there' incfs mount -p none.such image mnt
exits 2 'a name that is none' incfs mount -p 'a b' image mnt
exits 1 'an option that is not there' incfs mount -o nonsense image mnt
exits 1 'an image that is not there' incfs mount none mnt
exits 1 'a mount point that is not there' incfs mount image none
exits 1 'what is no image' incfs mount src/lib/text mnt

# A picture is XML, and has a row for each file.
rm -f image
load -k --no-background -p none -s src -i image mnt
for block in 200 100 0; do
	dd if=mnt/lib/random of=/dev/null bs=4096 skip=$block count=10 status=none
done
ok 'a map is drawn' incfs map -o map.svg mnt
ok 'of the image too' incfs map -o image.svg image
ok 'they are the same' cmp map.svg image.svg
cat > check.py <<'END'
import sys
from xml.parsers import expat
rows, colors, title = [], set(), None
def start(name, attrs):
    global title
    if name == "title":
        title = ""
    if name == "rect" and rows and attrs.get("fill", "").startswith("#"):
        rows[-1][1].append((float(attrs["x"]), attrs["fill"]))
def text(data):
    global title
    if title is not None:
        title += data
def end(name):
    global title
    if name == "title":
        rows.append((title, []))
        title = None
parser = expat.ParserCreate()
parser.StartElementHandler, parser.CharacterDataHandler, parser.EndElementHandler = start, text, end
parser.Parse(open(sys.argv[1]).read(), True)
name, cells = rows[0]
print(len(rows), name.split(":")[0], len({color for x, color in cells}) > 3,
      int(cells[0][1][5:], 16) < int(cells[-1][1][5:], 16))
END
if python3 -c 'from xml.parsers import expat' 2> /dev/null; then
	is 'it is XML, with rows and colors' "$(python3 check.py map.svg)" '5 zzz True True'
else
	ok 'it has a row for each file' [ "$(grep -c '<title>' map.svg)" = 5 ]
	like 'the file that was read first' "$(grep '<title>' map.svg | head -n 1)" 'zzz'
fi
ok 'a file is drawn by itself' incfs map -o - mnt/lib/random
is 'in rows of its blocks' "$(sed -n 's,.*<title>\([0-9-]*\): .* of \([0-9]*\) blocks</title>.*,\1/\2,p' \
	<<< "$tap_output" | xargs)" '0-63/64 64-127/64 128-191/64 192-244/53'
like 'under its path' "$tap_output" '>(lib/random|zzz)</text>'
is 'with what is there' "$(sed -n 's,.*<title>[0-9-]*: \([0-9]*\) of .*,\1,p' <<< "$tap_output" |
	awk '{ n += $1 } END { print 245 - n }') of 245" \
	"$(incfs ls-missing mnt lib/random | sed -n 's/^\(.* of 245\) blocks.*/\1/p')"
ok 'in fewer rows they are longer' incfs map -n 2 -o - mnt/lib/random
is 'and all are there' "$(grep -o '<title>[0-9-]*' <<< "$tap_output" | xargs)" \
	'<title>0-122 <title>123-244'
ok 'a directory is drawn with what is below it' incfs map -o - mnt/lib/deep
is 'and nothing else' "$(grep -c '<title>' <<< "$tap_output")" 2
exits 1 'what has no blocks is not drawn' incfs map -o - mnt/lib/empty
ok 'one row' incfs map -n 1 -o - mnt
is 'is one' "$(grep -c '<title>' <<< "$tap_output")" 1
exits 1 'nowhere to write to' incfs map -o /none/x mnt
exits 2 'no name to write to' incfs map mnt
exits 2 'no rows' incfs map -n 0 -o x mnt
incfs umount -s mnt
wait $loader
done_testing
