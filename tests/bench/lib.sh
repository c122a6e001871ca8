# SPDX-License-Identifier: GPL-2.0-only
# Shared by the scripts of the benchmark that run in a guest; sourced, not run.

bench=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$(cd "$bench/../../build" && pwd)
programs=$build/tests/bench
# The backing file system: ext4 on a RAM disk.
disk=/run/bench/disk

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
	modprobe brd rd_nr=1 rd_size=$((${1:-1024} * 1024))
	mkdir -p "$disk"
	mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 /dev/ram0
	mount -o noatime /dev/ram0 "$disk"
}
