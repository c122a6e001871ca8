#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# incfs pack: what the list of a directory holds, and that it is always the same.
. "$(dirname "$0")/lib/tap.sh"
. "$(dirname "$0")/loader/lib.sh"
incfs=$INCFS_BUILD/tests/loader/incfs

mkdir tree
cd tree || exit 1
mkdir -p b/sub b.dir out
printf 12345 > b/file
printf '' > b/sub/empty
printf x > "b.dir/odd ä\\"$'\n'
ln b/file c-hard
ln -s b/file a-soft
ln -s b d-dir
ln -s ../../b b/sub/loop
ln -s nowhere dangling
mkfifo fifo
printf x > out/.cmd
chmod 0755 b b.dir out b/sub
chmod 0640 b/file b.dir/*
chmod 0604 b/sub/empty
cd ..
printf outside > outside
ln -s ../../outside tree/out/side
chmod 0600 outside

ok 'a directory is packed' "$incfs" pack tree
is 'what is skipped is said' "$(grep -c 'warning: skipping' <<< "$tap_output")" 5
is 'and counted' "$(grep -o '[0-9]* files.*skipped' <<< "$tap_output")" \
	'4 files, 4 further names, 6 directories, 13 bytes; 5 skipped'
is 'the list' "$(cat tree/incfs.list)" 'incfs-list 1
l 0 0 a-soft b/file
d 0755 0 b
f 0640 5 b/file
d 0755 0 b/sub
f 0604 0 b/sub/empty
d 0755 0 b.dir
f 0640 1 b.dir/odd\x20\xc3\xa4\x5c\x0a
l 0 0 c-hard b/file
d 0755 0 d-dir
l 0 0 d-dir/file b/file
d 0755 0 d-dir/sub
l 0 0 d-dir/sub/empty b/sub/empty
d 0755 0 out
f 0600 7 out/side
end 14'

cp tree/incfs.list first
ok 'it is packed again' "$incfs" pack tree
ok 'to the same bytes' cmp first tree/incfs.list
ok 'it is packed to another file' "$incfs" pack -o tree/other tree
ok 'with the same bytes' cmp first tree/other
ok 'which is not in the next list' "$incfs" pack --output tree/other tree
ok 'and that is the same' cmp first tree/other
rm tree/other
"$incfs" pack -o - tree > stdout 2>/dev/null
ok 'it is packed to standard output' cmp first stdout
cp -a tree copy
ok 'a copy of the directory is packed' "$incfs" pack copy
ok 'to the same bytes' cmp first copy/incfs.list
is 'nothing else is left in the directory' "$(find tree -name 'incfs.list?*')" ''

exits 1 'a directory that is not there is refused' "$incfs" pack nowhere
exits 1 'a file is refused' "$incfs" pack tree/b/file
exits 1 'an output that cannot be written is refused' "$incfs" pack -o /nowhere/list tree
exits 2 'no directory is a mistake' "$incfs" pack
exits 2 'two directories are a mistake' "$incfs" pack tree tree
exits 2 'an unknown option is a mistake' "$incfs" pack --nonsense tree
exits 2 'an unknown command is a mistake' "$incfs" nonsense
exits 0 'help is none' "$incfs" pack --help
if [ -w /dev/full ]; then
	exits 1 'a full disk is said' bash -c "'$incfs' pack -o - tree > /dev/full"
fi
done_testing
