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
find tree outside -depth -exec touch -h -d @1600000000 {} +
touch -h -d @1500000000.000000005 tree/b/file
touch -h -d @-7 tree/b
touch -d @1700000000 tree/out
export SOURCE_DATE_EPOCH=1650000000

ok 'a directory is packed, with what links lead to' "$incfs" pack -L tree
is 'what is skipped is said' "$(grep -c 'warning: skipping' <<< "$tap_output")" 5
is 'and counted' "$(grep -o '[0-9]* files.*skipped' <<< "$tap_output")" \
	'4 files, 4 further names, 0 symbolic links, 6 directories, 13 bytes; 5 skipped'
is 'the list' "$(cat tree/incfs.list)" 'incfs-list 2
l 0 0 a-soft b/file
d 0755 0 -7 b
f 0640 5 1500000000.000000005 b/file
d 0755 0 1600000000 b/sub
f 0604 0 1600000000 b/sub/empty
d 0755 0 1600000000 b.dir
f 0640 1 1600000000 b.dir/odd\x20\xc3\xa4\x5c\x0a
l 0 0 c-hard b/file
d 0755 0 -7 d-dir
l 0 0 d-dir/file b/file
d 0755 0 1600000000 d-dir/sub
l 0 0 d-dir/sub/empty b/sub/empty
d 0755 0 1650000000 out
f 0600 7 1600000000 out/side
end 14'

ok 'and with the links themselves' "$incfs" pack tree
is 'of which less is skipped' "$(grep -o '[0-9]* files.*skipped' <<< "$tap_output")" \
	'3 files, 1 further names, 5 symbolic links, 4 directories, 6 bytes; 2 skipped'
is 'their list' "$(cat tree/incfs.list)" 'incfs-list 2
s 0 0 1600000000 a-soft b/file
d 0755 0 -7 b
f 0640 5 1500000000.000000005 b/file
d 0755 0 1600000000 b/sub
f 0604 0 1600000000 b/sub/empty
s 0 0 1600000000 b/sub/loop ../../b
d 0755 0 1600000000 b.dir
f 0640 1 1600000000 b.dir/odd\x20\xc3\xa4\x5c\x0a
l 0 0 c-hard b/file
s 0 0 1600000000 d-dir b
s 0 0 1600000000 dangling nowhere
d 0755 0 1650000000 out
s 0 0 1600000000 out/side ../../outside
end 13'
exits 1 'a time that is none is refused' env SOURCE_DATE_EPOCH=now "$incfs" pack tree

cp tree/incfs.list first
ok 'it is packed again' "$incfs" pack tree
ok 'to the same bytes' cmp first tree/incfs.list
ok 'it is packed to another file' "$incfs" pack -l tree/other tree
ok 'with the same bytes' cmp first tree/other
ok 'which is not in the next list' "$incfs" pack --list tree/other tree
ok 'and that is the same' cmp first tree/other
rm tree/other
"$incfs" pack -l - tree > stdout 2>/dev/null
ok 'it is packed to standard output' cmp first stdout
cp -a tree copy
ok 'a copy of the directory is packed' "$incfs" pack copy
ok 'to the same bytes' cmp first copy/incfs.list
is 'nothing else is left in the directory' "$(find tree -name 'incfs.list?*')" ''

exits 1 'a directory that is not there is refused' "$incfs" pack nowhere
exits 1 'a file is refused' "$incfs" pack tree/b/file
exits 1 'an output that cannot be written is refused' "$incfs" pack -l /nowhere/list tree
mkdir long
ln -s "$(printf '%4090s' '' | tr ' ' x)" long/link
ok 'a long link is taken' "$incfs" pack long
like 'whole' "$(cat long/incfs.list)" ' link x{4090}'
exits 2 'no directory is a mistake' "$incfs" pack
exits 2 'two directories are a mistake' "$incfs" pack tree tree
exits 2 'an unknown option is a mistake' "$incfs" pack --nonsense tree
exits 2 'an unknown command is a mistake' "$incfs" nonsense
exits 0 'help is none' "$incfs" pack --help
if [ -w /dev/full ]; then
	exits 1 'a full disk is said' bash -c "'$incfs' pack -l - tree > /dev/full"
fi
done_testing
