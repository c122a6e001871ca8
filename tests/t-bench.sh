#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The benchmark's programs run, and what they say becomes tables and JSON. No figure
# is looked at: this guest's clock is not that of a benchmark.
. "$(dirname "$0")/lib/tap.sh"

mkdir bench
head -c 1M "$INCFS_BUILD/$INCFS_RELEASE/incfs.ko" > input
truncate -s 1M input
ok 'the costs of the hook are measured' \
	"$INCFS_BUILD/tests/bench/hook" "$INCFS_BUILD" input 1
printf '%s\n' "$tap_output" > bench/some.figures

# What is compared with others is to be what the others have.
mkdir -p tree/files tree/names mnt
head -c 256K input > tree/file
head -c 4K input > tree/files/a
touch tree/names/{1..99}
for how in '' --lz4 --scattered; do
	mount -t incremental-fs -o backing_fd=9 any mnt 9<> "image$how"
	ok "a tree is copied ${how:-as it is}" \
		"$INCFS_BUILD/tests/bench/copy" ${how:+"$how"} tree mnt
	umount mnt
	mount -t incremental-fs -o backing_fd=9 any mnt 9<> "image$how"
	ok 'and the image has it' diff -r -x .cmd tree mnt
	[ -n "$how" ] || ok 'what it costs to read it is measured' \
		"$INCFS_BUILD/tests/bench/reads" --calls 'some setup' mnt
	umount mnt
done

ok 'the report takes the figures' env INCFS_BUILD="$PWD" \
	"$INCFS_TOP/tests/bench/report" quick 1 0123456 'QEMU 1' some
like 'and makes a table of them' "$tap_output" $'\n\\| minimal +\\|.* %'
like 'that says whether the bound is kept' "$tap_output" 'the bound of 2 % is (met|missed)'
ok 'the JSON is whole' python3 -c '
import json, sys
run = json.load(open("bench/quick.json"))
reads = run["figures"]["some"]["hook"]["minimal"]
sys.exit(run["info"]["kernels"] != ["some"] or not reads["cold mmap"] > 0)'

echo '{"group": "hook",' > bench/some.figures
exits 1 'figures that break off are an error' env INCFS_BUILD="$PWD" \
	"$INCFS_TOP/tests/bench/report" quick 1 0123456 'QEMU 1' some
done_testing
