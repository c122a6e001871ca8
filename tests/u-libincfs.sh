#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The library as others get it: what is installed, what its symbols are, that the header
# needs no other of ours and is C++ as well, and that the document's loader builds.
. "$(dirname "$0")/lib/tap.sh"
. "$(dirname "$0")/lib/policy.sh"
. "$(dirname "$0")/lib/libincfs.sh"
requires clang gcc make nm pkg-config

lib=root/$prefix/lib
mkdir root
ok 'it installs' install_tree root install
ok 'the library can be found by its names' test -e $lib/libincfs.so -a -e $lib/libincfs.so.0
like 'it has a name with a version' "$(readelf -d $lib/libincfs.so)" 'SONAME.*\[libincfs\.so\.0\]'
is 'it needs LZ4 and the C library alone' \
	"$(readelf -d $lib/libincfs.so | sed -n 's/.*NEEDED.*\[\(.*\)\.so.*/\1/p' | sort | xargs)" \
	'libc liblz4'

# The header's functions, and no others, can be seen.
sed -nE 's/^[a-z].*[ *](libincfs_[a-z_]+)\(.*/\1/p' root/$prefix/include/incfs/incfs.h |
	sort > declared
nm -D --defined-only $lib/libincfs.so | awk '$2 == "T" { print $3 }' | sort > symbols
is 'there are functions in the header' "$(grep -c . declared)" "$(sort -u declared | wc -l)"
is 'all have the version' "$(grep -cv '@@LIBINCFS_0$' symbols)" 0
sed -i 's/@.*//' symbols
ok 'the symbols are those of the header' diff declared symbols
is 'nothing else is exported' \
	"$(nm -D --defined-only $lib/libincfs.so | awk '$2 != "T" { print $3 }')" LIBINCFS_0
is 'what the static one defines has our names' \
	"$(nm -g --defined-only $lib/libincfs.a | awk 'NF == 3 && $3 !~ /^(lib)?incfs_/')" ''

# Every function, as a program sees it that knows this header alone.
{
	echo '#include <incfs/incfs.h>'
	echo 'const void *all[] = {'
	sed 's/.*/(const void *)&,/' declared
	echo '};'
	echo 'int main() { return libincfs_new() ? 0 : !all[0]; }'
} > all.c
ok 'a program in C builds' build root all.c all
ok 'and runs with the shared library' env LD_LIBRARY_PATH=$lib ./all
ok 'the header is strict C' gcc -std=c99 -pedantic -Wall -Wextra -Werror -fsyntax-only \
	-Iroot/$prefix/include -include incfs/incfs.h -x c /dev/null
ok 'and C++' clang++ -fsyntax-only -Wall -Wextra -Werror -nostdinc++ -x c++ \
	-Iroot/$prefix/include -include incfs/incfs.h /dev/null
rm $lib/libincfs.so*
ok 'it links with the static library' build root all.c static --static
ok 'and runs without the shared one' ./static
ok 'it installs again' install_tree root install

is 'the programs of the document' "$(doc_programs | xargs)" loader.c
ok 'the loader builds' build root loader.c loader
is 'and is as short as the document says' "$(($(grep -c '[a-z;]' loader.c) <= 50))" 1

install_tree root uninstall > /dev/null
is 'uninstalled, nothing of it stays' "$(find root -name '*incfs.[ahp]*' -o -name 'libincfs*')" ''
done_testing
