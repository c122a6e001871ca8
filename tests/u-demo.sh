#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What the demo compares with: a tree that is downloaded by the list, without us.
. "$(dirname "$0")/lib/tap.sh"

mkdir -p src/bin/empty src/lib
seq 10000 > src/lib/text
printf '#!/bin/sh\necho ran\n' > src/bin/program
chmod 755 src/bin/program
ln src/bin/program src/bin/again
incfs pack src 2> /dev/null
export program=u-demo
ok 'a tree is downloaded' bash -c '. "$1" && server=file://$PWD/src run=$PWD download "$PWD/got"' - \
	"$INCFS_TOP/tests/demo/lib.sh"
cp src/incfs.list got
ok 'what has come is what there is' diff -r src got
is 'programs can be run' "$(got/bin/program)" ran
is 'names of one file are' "$(stat -c %i got/bin/again)" "$(stat -c %i got/bin/program)"
sed -i '1s/2/3/' src/incfs.list
exits 1 'a list of another version is refused' \
	bash -c '. "$1" && server=file://$PWD/src run=$PWD download "$PWD/other"' - \
	"$INCFS_TOP/tests/demo/lib.sh"
done_testing
