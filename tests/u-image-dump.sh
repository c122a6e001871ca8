#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# incfs image info and dump: the numbers, records, names and blocks are those that
# the script finds; their JSON is JSON, whatever the names are.
. "$(dirname "$0")/lib/tap.sh"
. "$(dirname "$0")/lib/image.sh"

# from_json IMAGE: the tree, as the script prints it, out of a dump
from_json()
{
	image dump -b -j "$1" | PYTHONIOENCODING=utf-8 python3 -c '
import json, sys
dump = json.load(sys.stdin)
inodes = {i["ino"]: i for i in dump["inodes"]}
present, names = {}, {}
for b in dump["blocks"]:
    if b["size"]:
        present.setdefault(b["ino"], []).append(b["block"])
for n in dump["names"]:
    raw = bytes.fromhex(n["name_hex"]) if "name_hex" in n else n["name"].encode()
    names.setdefault(n["dir"], []).append((raw.decode("latin-1"), n["ino"]))
def ranges(blocks):
    runs = []
    for block in blocks:
        if runs and runs[-1][1] == block - 1:
            runs[-1][1] = block
        else:
            runs.append([block, block])
    return ",".join(f"{a}-{b}" for a, b in runs) or "none"
def show(directory, path):
    for name, ino in names.get(directory, ()):
        inode = inodes[ino]
        kind, full, mode = inode["type"][0].replace("s", "l"), path + "/" + name, inode["mode"]
        if kind == "d":
            print(f"d {ino} {mode:o} {full}")
            show(ino, full)
        elif kind == "l":
            size = inode["size"]
            print(f"l {ino} {mode:o} {size} {full}")
        else:
            size = inode["size"]
            print(f"f {ino} {mode:o} {size} {full}", ranges(present.get(ino, ())))
show(2, "")
'
}

export PYTHONIOENCODING=utf-8
"$image_py" write v1
"$image_py" attrs attrs
for file in v1 attrs; do
	is "$file: JSON has the script's tree" "$(from_json $file)" "$(tree $file | grep -v '^  ')"
	ok "$file: a dump as text" image dump -b $file
	is "$file: has no byte that a terminal minds" "$(LC_ALL=C tr -d '\n -~' <<< "$tap_output")" ''
	is "$file: and all records" "$(sed '/^$/,$d' <<< "$tap_output" | grep -c '^ *[0-9]\+  ')" \
		"$(number records $file)"
done
is 'attributes are there' "$(image dump -j attrs | python3 -c '
import json, sys
dump = json.load(sys.stdin)
inode = next(i for i in dump["inodes"] if i["ino"] == 10)
a = inode["attributes"]
print(a["mode"], a["uid"], a["gid"], a["mtime_sec"], a["mtime_nsec"])
for item in a["items"]:
    print(item["type"], item.get("name_hex", item.get("name")),
          len(bytes.fromhex(item["value_hex"])) if "value_hex" in item else item["value"])
' | paste -sd,)" "2537 12 34 1234567890 999999999,key None 512,xattr user.empty ,xattr $(printf 'user.\xe4' | od -An -tx1 | tr -d ' ') 600"

is 'what info counts' "$(image info -j v1)" "{\"size\":$(stat -c %s v1),\"version\":1,\"features\":0,\
\"records\":28,\"files\":5,\"complete_files\":3,\"directories\":5,\"symlinks\":0,\"names\":10,\
\"unnamed_inodes\":1,\"blocks\":18,\"present_blocks\":9,\"absent_blocks\":9,\"shared_blocks\":1,\
\"invalid_entries\":0,\"stored_bytes\":25196,\"metadata_bytes\":5512,\"dead_bytes\":111}"
ok 'info as text' image info v1
like 'says the same' "$tap_output" 'blocks: +18, 9 of them present, 9 absent'
is 'links are counted' "$(number symlinks attrs)" 3
is 'and features' "$(number features attrs)" 1
"$image_py" blocks damaged
is 'entries that cannot be right are' "$(number invalid_entries damaged)" 5
head -c 25000 v1 > torn
is 'a torn tail is told of' "$(number torn_at torn)" 24759
like 'as text too' "$(image info torn)" 'cut off by a crash'
like 'a dump does' "$(image dump torn)" 'cut off at image offset 24759'

# Of a damaged image is shown what comes before the damage, as JSON too.
mkdir faults
"$image_py" damage faults > list
number=$(($(grep -n "$(printf '\t')cycle$" list | cut -d: -f1) - 1))
at=$(sed -n "$((number + 1))s/\t.*//p" list)
image dump -j faults/$number.img > dump 2> errors
is 'a damaged image is an error' $? 1
like 'that is said' "$(cat errors)" "image offset $at: directory would be its own ancestor"
is 'what comes before is shown' "$(python3 -c '
import json
dump = json.load(open("dump"))
print(len(dump["records"]) > 10, dump["whole"])')" 'True False'

exits 2 'no image is a mistake' image dump
exits 2 'an unknown option is' image info --nonsense v1
ok 'help is none' image dump --help
done_testing
