#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Many files, and files that are large: all bytes arrive, and the loader's memory stays
# what docs/loader.md says it is.
# timeout: 600
. "$(dirname "$0")/lib/tap.sh"
. "$(dirname "$0")/loader/lib.sh"

# serve_measured ARG...: run the loader to its end; its peak in KiB is in $peak
serve_measured()
{
	local loader line
	peak=0
	incfs-bpf-loader run -x -k "$@" > out 2>&1 &
	loader=$!
	while kill -0 $loader 2> /dev/null; do
		line=$(grep VmHWM /proc/$loader/status 2> /dev/null | tr -dc 0-9)
		peak=${line:-$peak}
		sleep 0.2
	done
	wait $loader && return
	diag "$(tail out)"
	return 1
}

# bounded NAME KIB: what serve_measured has found; sanitizers have memory of their own
bounded()
{
	if [ -n "${SANITIZER-}" ]; then
		skip "$1" "built with $SANITIZER"
		return
	fi
	[ "$peak" -gt 0 ] && [ "$peak" -lt "$2" ]
	tap_result $? "$1: $peak KiB of $2"
}

mkdir many large mnt
(cd many && head -c 40010000 /dev/urandom | split -a 5 -b 4001 -d &&
	for i in {0..9}{0..9}; do
		mkdir "dir$i" && mv x??"$i"? "dir$i" || exit
	done)
is 'there are ten thousand files' "$(find many -type f | wc -l)" 10000
(cd many && find . -type f -print0 | sort -z | xargs -0 sha256sum) > want
ok 'they are served' serve_measured -s many -i image mnt
bounded 'in little memory' 65536
(cd mnt && find . -type f ! -name .cmd -print0 | sort -z | xargs -0 sha256sum) > got
ok 'each is equal to its source' cmp want got
umount mnt
ok 'as a bundle too' incfs pack -o bundle many
rm image
ok 'they are served' serve_measured -s bundle -i image mnt
bounded 'in little memory' 65536
(cd mnt && find . -type f ! -name .cmd -print0 | sort -z | xargs -0 sha256sum) > got
ok 'each is equal to its source' cmp want got
umount mnt
rm -rf many bundle image

gib=1
[ -z "${INCFS_LONG-}" ] || gib=4
truncate -s ${gib}G large/file
for block in 0 1000 77777 $((gib * 262144 - 1)); do
	head -c 4096 /dev/urandom |
		dd of=large/file bs=4096 seek=$block conv=notrunc status=none
done
ok "a sparse file of $gib GiB is served" serve_measured -s large -i image mnt
# Buffers for the requests, 1 MiB each, and three bits for a block.
bounded 'in little memory' 65536
ok 'it is equal to its source' cmp large/file mnt/file
done_testing
