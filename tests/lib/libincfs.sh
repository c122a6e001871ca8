# SPDX-License-Identifier: GPL-2.0-only
# Shared by the tests of the library; sourced after lib/tap.sh and lib/policy.sh.
prefix=usr/local

# doc_programs: the programs in docs/libincfs.md, each a file of its name
doc_programs()
{
	awk '/^```c [a-z]/ { file = $2; print file; next }
		/^```/ { file = "" }
		file { print > file }' "$INCFS_TOP/docs/libincfs.md"
}

# flags ROOT [OPTION]...: what pkg-config says of the library that is installed there
flags()
{
	PKG_CONFIG_SYSROOT_DIR=$PWD/$1 PKG_CONFIG_LIBDIR=$PWD/$1/$prefix/lib/pkgconfig \
		pkg-config "${@:2}" libincfs
}

# build ROOT SOURCE PROGRAM [OPTION]...: against the library that is installed there;
# the options are pkg-config's
build()
{
	# shellcheck disable=SC2046 # words
	gcc -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -o "$3" "$2" \
		$(flags "$1" --cflags --libs "${@:4}")
}
