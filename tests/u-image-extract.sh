#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# incfs image extract: what is in an image, byte by byte and with all that belongs
# to it; nothing by half, nothing replaced, nothing outside.
. "$(dirname "$0")/lib/tap.sh"
. "$(dirname "$0")/lib/image.sh"

same() { "$image_py" compare "$1" "$2"; }

"$image_py" attrs attrs
ok 'a complete image is extracted' image extract attrs tree
ok 'it is what the script finds in it' same attrs tree
is 'nothing else is left' "$(ls -A tree | wc -l)" 4

"$image_py" write partial
exits 1 'an image with absent blocks is not extracted' image extract partial out
like 'its files are told of' "$tap_output" "'file' is not complete: 6 of 11 blocks are absent"
like 'all of them' "$tap_output" "'no-map' is not complete: 3 of 3 blocks are absent"
like 'and what to do' "$tap_output" '2 files are not complete; --partial writes them with holes'
is 'nothing was made' "$(ls -d out 2>&1 > /dev/null | wc -l)" 1
ok 'it is if asked for' image extract --partial partial out
ok 'absent blocks are zeros then' same partial out
is 'and holes' "$(stat -c %b out/no-map)" 0

"$image_py" blocks damaged
exits 1 'damaged blocks are absent ones' image extract damaged bad
script <<END
image = Image()
base = image.file(3, 2 * BLOCK, "bad")
image.store(base, 0, expected(3, 0))
image.store(base, 1, expected(3, 1), check=1)
image.name(ROOT, 3, "bad too")
base = image.file(4, BLOCK, "good")
image.store(base, 0, expected(4, 0))
image.save("one")
# As deep as names go, with a file at the end.
image = Image()
above = ROOT
for ino in range(3, 3000):
	image.directory(ino, "d" * 200, above)
	above = ino
image.inode(4000, 0)
image.name(above, 4000, "file")
image.save("deep")
image = Image(F_ATTRS)
image.symlink(3, b"/tmp", "a")
image.directory(4, "b")
image.symlink(5, b"..", "up", 4)
base = image.file(6, BLOCK, "c")
image.store(base, 0, expected(6, 0))
image.save("links")
END
exits 1 'a file with a damaged block' image extract one one.out
like 'is told of' "$tap_output" "block 1 of 'bad', image offset [0-9]+: stored bytes have a bad CRC"
like 'and counted once' "$tap_output" '1 files were not written'
is 'it is not written, others are' "$(ls -A one.out)" good
ok 'with --partial it is' image extract -p one part.out
is 'under each name' "$(stat -c %h part.out/bad 'part.out/bad too' | xargs)" '2 2'
is 'with a hole' "$(tail -c 4096 part.out/bad | tr -d '\0' | wc -c)" 0

ok 'a tree of 3000 levels is extracted' image extract deep deep.out
is 'to its end' "$(find deep.out -name file -printf '%d\n' 2>/dev/null)" 2998
chmod -R u+w deep.out && rm -rf deep.out

ok 'symbolic links are made and not followed' image extract links links.out
is 'as they are' "$(readlink links.out/a links.out/b/up | xargs)" '/tmp ..'

exits 1 'a directory with something in it is refused' image extract links links.out
like 'and that is said' "$tap_output" "can't write to 'links.out': Directory not empty"
mkdir empty
ok 'an empty one is used' image extract links empty
ok 'and holds the tree' same links empty
exits 1 'a file is refused' image extract links partial
exits 1 'a directory below none is refused' image extract links no/where
ln -s nowhere dangling
exits 1 'a link to nowhere is refused' image extract links dangling

ok 'owner and attributes can be left out' image extract --no-owner --no-xattrs attrs plain
is 'the owner is who extracts' "$(stat -c %u plain/program)" "$(id -u)"
is 'bits that were meant for another are gone' "$(stat -c %a plain/program plain/dir | xargs)" \
	'751 1775'
is 'so are the attributes' \
	"$(python3 -c 'import os; print(os.listxattr("plain/program"))')" '[]'

exits 2 'no directory is a mistake' image extract links
exits 2 'two are' image extract links a b
exits 2 'so is an unknown option' image extract --nonsense links a
ok 'help is none' image extract --help
chmod -R u+w . 2>/dev/null
done_testing
