#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# incfs image check refuses each fault of the format, as a mount does (t-corrupt),
# and tells where it is.
. "$(dirname "$0")/lib/tap.sh"
. "$(dirname "$0")/lib/image.sh"

# faults VERB
faults()
{
	local at name number=0 output status
	mkdir "$1"
	"$image_py" "$1" "$1" > "$1/list" || tap_result 1 "$1: images are made"
	while IFS=$'\t' read -r at name; do
		output=$(image check "$1/$number.img" 2>&1)
		status=$?
		is "$name: refused" $status 2
		like "$name: it is told where" "$output" "^incfs: '$1/$number.img': image offset $at: [^:]+$"
		number=$((number + 1))
	done < "$1/list"
	diag "$1: $number faults"
	[ $number -gt 30 ]
	tap_result $? "$1: there are images for all faults"
}

faults damage
faults damage-attrs

"$image_py" write sound
for size in 0 1 31; do
	head -c $size sound > short
	exits 2 "a file of $size bytes is no image" image check short
done
head -c 4096 /dev/urandom > junk
exits 2 'garbage is no image' image check junk
head -c 65536 /dev/zero > zeros
exits 2 'zeros are no image' image check zeros
exits 2 'what is not there is no image' image check nowhere
like 'and that is said' "$tap_output" "^incfs: can't open 'nowhere' for reading: No such file"
exits 2 'a directory is no image' image check .
mkfifo fifo
exits 2 'a FIFO is none, and not waited for' image check fifo
for command in info dump 'compact -o new'; do
	exits 1 "$command refuses a damaged image" image $command damage/0.img
	like "$command says why" "$tap_output" 'image offset 0: wrong magic number'
done
exits 1 'extract does' image extract damage/0.img dir
is 'and makes nothing' "$(ls -d dir new new.* 2>/dev/null)" ''
done_testing
