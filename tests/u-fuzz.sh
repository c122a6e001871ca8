#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Fuzzing of the code of the formats, images and bundles, one target after the other: INCFS_FUZZ_SECONDS in
# all (60). What was found once is in tests/fuzz/corpus and stays found; the
# same targets with a fault in the code find it, so that they can fail at all.
# timeout: 100000
. "$(dirname "$0")/lib/tap.sh"

targets='scan blocks trip bundle'
seconds=${INCFS_FUZZ_SECONDS:-60}
fuzz=$INCFS_BUILD/tests/fuzz
finds=$INCFS_BUILD/fuzz
# One input: 10 s and 512 MiB. Nothing here needs a thousandth of either.
limits='-timeout=10 -rss_limit_mb=512 -malloc_limit_mb=256 -max_len=65536'
mkdir -p "$finds" seeds/scan seeds/blocks seeds/trip seeds/bundle faults

# What a target has found is kept, and how to see it again is told.
found()
{
	diag "the input is kept; to see it again: tests/vm/chroot build/tests/fuzz/$1 FILE"
	diag "when it is put right, the file goes to tests/fuzz/corpus/$1"
	ls -t "$finds/$1"-* 2>/dev/null | head -n 3 | while read -r file; do diag "$file"; done
	tail -n 40 "$1.log" | cut -c 1-300 | while read -r line; do diag "$line"; done
}

# fuzz TARGET SECONDS: its figures are in $figures
fuzz()
{
	mkdir -p "grown/$1"
	# shellcheck disable=SC2086 # words they are
	"$fuzz/$1" $limits -max_total_time="$2" -seed="$(od -An -N3 -tu4 /dev/urandom)" \
		-verbosity=0 -artifact_prefix="$finds/$1-" "grown/$1" "seeds/$1" > "$1.log" 2>&1
	local status=$?
	figures=$(sed -n 's/^figures: //p' "$1.log")
	return $status
}

# Every fault that the format has, and what else it allows.
python3 "$INCFS_TOP/tests/image.py" write seeds/scan/all &&
	python3 "$INCFS_TOP/tests/image.py" blocks seeds/scan/blocks &&
	python3 "$INCFS_TOP/tests/image.py" damage faults > /dev/null &&
	cp faults/* seeds/scan || exit 1
mkdir -p tree/dir
seq 1000 > tree/dir/file
ln tree/dir/file "tree/odd name"
incfs pack -o packed tree 2> /dev/null && {
	cat <(printf h) packed/incfs.bundle > seeds/bundle/head
	cat <(printf l) packed/incfs.tree > seeds/bundle/list
	incfs pack -o with --base packed tree 2> /dev/null
	cat <(printf h) with/incfs.bundle > seeds/bundle/head2
	cat <(printf a) with/incfs.base > seeds/bundle/base
	printf 'aincfs-base 1\nt 1\n0 1 0\nt 2\n0 9 1\nf x\\x20y\n10 900 0\nend 6\n' > \
		seeds/bundle/base2
	cat <(printf 'b\377\017') <(head -c 500 packed/incfs.data) > seeds/bundle/block
	printf 'b\000\000x' > seeds/bundle/raw
} || exit 1

for target in $targets; do
	kept=$INCFS_TOP/tests/fuzz/corpus/$target
	[ ! -d "$kept" ] || cp "$kept"/* "seeds/$target"
	# shellcheck disable=SC2086 # words they are
	"$fuzz/$target" $limits -runs=0 -verbosity=0 -artifact_prefix="$finds/$target-" \
		"seeds/$target" > "$target.log" 2>&1
	tap_result $? "$target: the corpus does no harm" || found "$target"
done

# As libFuzzer starts from the same number, it takes as many inputs each time.
for target in $targets; do
	mkdir -p "broken/$target"
	# shellcheck disable=SC2086
	"$fuzz/$target-broken" $limits -max_total_time=120 -seed=1 -verbosity=0 \
		-artifact_prefix=broken/ "broken/$target" "seeds/$target" > "$target.log" 2>&1
	status=$?
	[ $status != 0 ] && grep -qE 'does not hold|AddressSanitizer|runtime error' "$target.log"
	tap_result $? "$target: a fault in the code is found"
done

# The scan has most to find.
for target in $targets; do
	share=1
	[ "$target" != scan ] || share=3
	fuzz "$target" $((seconds * share / 6))
	tap_result $? "$target: no input does harm" || found "$target"
	diag "$target: ${figures:-did not end}"
	# That they get far: what does not get through the CRCs reaches nothing.
	case $target in
	scan) reached='inode map name attrs taken torn refused_by_tree read' ;;
	blocks) reached='taken within crc raw lz4' ;;
	bundle) reached='good_heads good_lists entries good_bases runs good_blocks' ;;
	trip) reached='flipped super inode map name attrs not_inode not_map not_name not_attrs' ;;
	esac
	missed=
	for what in $reached; do
		[[ " $figures " =~ \ $what=([0-9]+)\  ]] && [ "${BASH_REMATCH[1]}" -ge 5 ] ||
			missed+=" $what"
	done
	is "$target: each kind of input comes up" "$missed" ''
done
done_testing
