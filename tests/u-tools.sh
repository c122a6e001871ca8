#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What the tools beside the loader do without a mount: ls-missing and extract of an
# image, and the names that fetch takes.
. "$(dirname "$0")/lib/tap.sh"
. "$(dirname "$0")/lib/image.sh"

missing() { "$incfs" ls-missing "$@"; }

script <<END
image = Image()
image.directory(3, "a")
image.directory(4, "b", 3)
image.directory(5, "ab")
base = image.file(6, 4 * BLOCK)
image.store(base, 1, expected(6, 1))
image.name(4, 6, "deep")
image.name(ROOT, 6, "link")
base = image.file(7, BLOCK)
image.store(base, 0, expected(7, 0))
image.name(3, 7, "whole")
image.file(8, 2 * BLOCK)
image.name(5, 8, "other")
image.file(9, 3 * BLOCK, "top")
image.save("image")
END
ok 'all of an image is listed' missing image
like 'each file once' "$tap_output" '8 of 10 blocks are missing, in 3 files$'
ok 'what is below a directory is' missing image a
is 'and nothing else' "$(xargs <<< "$tap_output")" \
	'3 of 4 a/b/deep 3 of 5 blocks are missing, in 1 files'
like 'complete ones too, if asked for' "$(missing -a image a)" '0 of 1 +a/whole'
is 'not what only begins alike' "$(missing image ab | tail -n 1)" \
	'2 of 2 blocks are missing, in 1 files'
is 'a file by its second name' "$(missing -b image link | sed -n '2,3s/^ *//p' | xargs)" '0 2-3'
is 'once, by two names' "$(missing image link a/b/deep | tail -n 1)" \
	'3 of 4 blocks are missing, in 1 files'
is 'once, by a directory and what is in it' "$(missing image a a/b a/b/deep | tail -n 1)" \
	'3 of 5 blocks are missing, in 1 files'
is 'slashes and dots do not count' "$(missing image /./a//b/ | tail -n 1)" \
	'3 of 4 blocks are missing, in 1 files'
is 'the root is all' "$(missing image /)" "$(missing image)"
is 'for programs too' "$(missing -j image top)" '{"path":"top","blocks":3,"missing":3}'
for path in none a/none top/x a/..; do
	exits 1 "'$path' is not there" missing image "$path"
	like 'which is said' "$tap_output" "there is no '$path' in the image"
done
is 'and nothing is listed then' "$(missing image top none 2> /dev/null)" ''

"$image_py" attrs attrs
ok 'an image is extracted' "$incfs" extract attrs tree
ok 'it is what the script finds in it' "$image_py" compare attrs tree
exits 1 'one with absent blocks is not' "$incfs" extract image out
ok 'it is if asked for' "$incfs" extract --partial image out
ok 'as much as is there' "$image_py" compare image out
exits 1 'an image that is not there' "$incfs" extract none out2
exits 2 'no directory to write to' "$incfs" extract image

# fetch refuses each of them by name, here where nothing is mounted.
fetch() { "$incfs" fetch -q "$@"; }
refused() { grep -o "'.*' is not on a mount" <<< "$tap_output" | cut -d"'" -f2 | paste -sd ' '; }
mkdir dir
touch one 'two words' dir/three $'line\nfeed'
printf 'one\n\ntwo words\ndir' > names
exits 1 'names of files are read' fetch -T names
is 'each line is one' "$(refused)" 'one two words dir/three'
exits 1 'beside others' fetch --files-from names one
is 'which come first' "$(refused)" 'one one two words dir/three'
from_input() { printf 'two words\0one' | fetch -0T -; }
exits 1 'names with NUL are' from_input
is 'also the last one without' "$(refused)" 'two words one'
from_input() { printf 'line\nfeed\0' | fetch -0T -; }
exits 1 'a name may have a line feed then' from_input
like 'it is one file' "$tap_output" 'feed. is not on a mount'
printf 'one\0dir\n' > names
exits 1 'a NUL in a line is a mistake' fetch -T names
like 'which is said' "$tap_output" 'a name has a NUL in it; --null[?]'
is 'and the name is not cut off there' "$(refused)" ''
: > names
ok 'no names are no mistake' fetch -T names
exits 1 'no file of names is' fetch -T none
like 'with a reason' "$tap_output" "can't open 'none' for reading: No such file"
exits 1 'nor is a directory one' fetch -T dir
exits 2 'nothing to fetch at all' fetch
done_testing
