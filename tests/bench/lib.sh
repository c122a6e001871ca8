# SPDX-License-Identifier: GPL-2.0-only
# Shared by the scripts of the benchmark that run in a guest; sourced, not run.

bench=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${INCFS_BUILD:-$(cd "$bench/../../build" && pwd)}
programs=$build/tests/bench
# The backing file system: ext4 on a RAM disk; or, natively, what is there.
disk=${BENCH_DIR:-/run/bench/disk}
# What images are made of, and where they are mounted.
tree=$disk/tree
mnt=/run/bench/mnt

# The largest shared library that is there: real code, of the guest's own packages.
library()
{
	find /usr/lib/ -xdev -type f -name '*.so*' -printf '%s %p\n' | sort -n | tail -n 1 |
		cut -d ' ' -f 2
}

# make_disk [MIB]: with room for so much; the module is loaded as well
make_disk()
{
	insmod "$build/$(uname -r)/incfs.ko"
	mkdir -p "$disk" "$mnt"
	[ -z "${BENCH_DIR-}" ] || return 0
	# Where it is built in, the kernel's command line has the size: brd.rd_size.
	[ -e /dev/ram0 ] || modprobe brd rd_nr=1 rd_size=$((${1:-1024} * 1024))
	mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 /dev/ram0
	mount -o noatime /dev/ram0 "$disk"
}

# mount_image IMAGE [OPTION]: on $mnt
mount_image()
{
	mount -i -t incremental-fs \
		-o "backing_fd=8,read_timeout_ms=0,max_files=100000${2:+,$2}" \
		any "$mnt" 8<> "$disk/$1.img"
}

# make_image IMAGE [--lz4|--scattered]: of the tree
make_image()
{
	mount_image "$1"
	"$programs/copy" ${2-} "$tree" "$mnt"
	umount "$mnt"
	sync
}

# make_parts MIB: a tree for the readers of tests/bench/scaling.c: parts of so many
# MiB, which are not the same, and a file four times as large
make_parts()
{
	local original i
	original=$(library)
	mkdir -p "$tree"
	head -c $((4 * $1))M "$original" > "$tree/file"
	for i in {0..7}; do
		head -c $(((i + 3) * $1 * 512))K "$original" | tail -c "$1M" > "$tree/part-$i"
	done
	sync
}
