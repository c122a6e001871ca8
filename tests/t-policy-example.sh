#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# docs/policy-example/, in a directory of its own: built, registered with the stock
# bpftool, and asked by a loader's mount: both ends of a file come.
#
# timeout: 240
. "$(dirname "$0")/lib/tap.sh"
. "$(dirname "$0")/lib/policy.sh"
requires clang gcc make bpftool python3

# present FIRST END: whether these blocks of the file are there, and how many are
present()
{
	python3 - "$@" <<-'END'
	import os, sys
	first, end = (int(word) * 4096 for word in sys.argv[1:])
	file = os.open("mnt/file", os.O_RDONLY)
	try:
	    data = os.lseek(file, first, os.SEEK_DATA)
	    hole = os.lseek(file, first, os.SEEK_HOLE)
	except OSError:
	    data = hole = -1
	sys.exit(not (data == first and hole >= end))
	END
}

cp -r "$INCFS_TOP/docs/policy-example" elsewhere
mkdir -p prefix/include src mnt
cp -r "$INCFS_TOP/include/incfs" prefix/include
ok 'it builds' make -C elsewhere PREFIX="$PWD/prefix"
cp elsewhere/ends.bpf.o .
ok 'bpftool registers it' register ends
head -c $((977 * 4096)) /dev/urandom > src/file
incfs-bpf-loader run -p ends --no-background -s src -i image mnt > out 2>&1 &
loader=$!
ok 'a loader serves a directory' wait_for 60 grep -q ready out
is 'with it' "$(in_use)" ends
exits 1 'the end of a file is not there' present 961 977
ok 'a reader reads in the middle' dd if=mnt/file of=/dev/null bs=4096 count=1 skip=500
ok 'the end of the file comes' wait_for 60 present 961 977
ok 'and its beginning' wait_for 60 present 0 16
exits 1 'but not the rest' present 100 101
rm $pins/ends
ok 'without its pin it goes' wait_for 20 uses ''
cmp src/file mnt/file
tap_result $? 'and the file is read whole'
kill $loader
wait $loader
is 'the loader ends well' $? 0
done_testing
