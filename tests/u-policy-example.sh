#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# `make install` has all that a policy elsewhere needs; the one in
# docs/policy-example/ builds with that alone.
. "$(dirname "$0")/lib/tap.sh"
. "$(dirname "$0")/lib/policy.sh"
requires clang gcc make

# installed DIR: the files in a directory of the prefix
installed() { (cd "root/usr/local/$1" && ls -p | grep -v /) 2>&1; }
# sources PATTERN: what is to be there, by the source tree
sources() { (cd "$INCFS_TOP" && printf '%s\n' $1 | sed 's|.*/||; s/\.bpf\.c$/.bpf.o/' | sort); }

mkdir root
ok 'it installs' install_tree root install
is 'headers' "$(installed include/incfs)" "$(sources 'include/incfs/*.h')"
is 'policies' "$(installed lib/incfs)" "$(sources 'bpf/*.bpf.c')"
is 'scripts' "$(installed lib/incfs/trace)" "$(sources 'bpf/trace/*.bt')"
is 'scripts that can be run' "$(find root/usr/local/lib/incfs/trace -type f ! -perm -111)" ''
is 'programs' "$(installed bin | xargs)" 'incfs incfs-bpf-loader'
is 'the manual' "$(installed share/man/man1)" incfs.1
is 'the module' "$(cd root && find . -name 'incfs.ko*' | wc -l)" 1

cp -r "$INCFS_TOP/docs/policy-example" elsewhere
ok 'the example builds' make -C elsewhere PREFIX="$PWD/root/usr/local" CLANG="clang -Werror"
is 'and gives an object' "$(ls elsewhere/*.o)" elsewhere/ends.bpf.o
exits 2 'it does not build without them' make -C elsewhere -B PREFIX=/nowhere

ok 'it uninstalls' install_tree root uninstall
is 'all of it' "$(cd root && find . -type f ! -name 'modules.*')" ''
done_testing
