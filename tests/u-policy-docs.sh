#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The policies in docs/policy.md build against the installed headers, as it says.
. "$(dirname "$0")/lib/tap.sh"
. "$(dirname "$0")/lib/policy.sh"
requires clang gcc make

mkdir root
ok 'it installs' install_tree root install
is 'the policies of the document' "$(doc_policies | xargs)" 'patient.bpf.c careful.bpf.c'
while read -r file; do
	ok "$file builds" compile root/usr/local/include "${file%.bpf.c}"
done < list
done_testing
