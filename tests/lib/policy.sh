# SPDX-License-Identifier: GPL-2.0-only
# Shared by the tests of policies from docs/; sourced after lib/tap.sh.
pins=/sys/fs/bpf/incfs

# install_tree DIR: `make install`, of what has been built
install_tree()
{
	local module
	module=$(ls "$INCFS_BUILD"/*/incfs.ko | head -n 1)
	# The machine's kernel is none of our business.
	O=$INCFS_BUILD make -C "$INCFS_TOP" -s -o native "${@:2}" \
		KERNELS="$(basename "$(dirname "$module")")" DESTDIR="$(realpath "$1")"
}

# doc_policies: the policies in docs/policy.md, each a file of its name
doc_policies()
{
	awk '/^```c / { file = $2; print file > "list"; next }
		/^```/ { file = "" }
		file { print > file }' "$INCFS_TOP/docs/policy.md"
	cat list
}

# compile INCLUDE SOURCE: SOURCE.bpf.c as the document says
compile()
{
	clang -target bpf -mcpu=v3 -O2 -g -Wall -Werror -I"$1" \
		-idirafter "/usr/include/$(gcc -print-multiarch)" -c "$2.bpf.c" -o "$2.bpf.o"
}

# register NAME: NAME.bpf.o with the stock bpftool, which crashes when it is done
register()
{
	mkdir -p $pins
	bpftool struct_ops register "$1.bpf.o" $pins 2>&1
	[ -e "$pins/$1" ]
}

# mount_image NAME OPTIONS: NAME.img on NAME
mount_image()
{
	local fd
	mkdir -p "$1"
	exec {fd}<>"$1.img"
	mount -t incremental-fs -o "backing_fd=$fd,$2" any "$1"
	local status=$?
	exec {fd}>&-
	return $status
}

# in_use: what the only mount uses
in_use() { cat /sys/fs/incremental-fs/mounts/*/policy_in_use; }

# uses NAME: whether it is this one
uses() { [ "$(in_use)" = "$1" ]; }
