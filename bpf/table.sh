#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# A table in C of the policies bpf/NAME.bpf.c, for programs that bring them along:
# name, what the head of the source says it is, and the object.
# usage: bpf/table.sh NAME...
set -eu

echo '#include "policy_builtin.h"'
printf '#include "%s.skel.h"\n' "$@"
echo 'const struct incfs_policy_builtin incfs_policy_builtins[] = {'
for name; do
	about=$(sed -nE "1,10s/^ \* $name - (.*)/\1/p" "bpf/$name.bpf.c" | sed 's/["\\]/\\&/g')
	[ -n "$about" ] || {
		echo "bpf/$name.bpf.c: its head must have a line ' * $name - what it is'" >&2
		exit 1
	}
	printf '\t{ "%s", "%s", %s_bpf__elf_bytes },\n' "$name" "$about" "$(echo "$name" | tr - _)"
done
echo '	{}'
echo '};'
