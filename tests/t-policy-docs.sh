#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The policies in docs/policy.md load and do what it says; and what it says about
# policies that are newer than the module.
#
# timeout: 240
. "$(dirname "$0")/lib/tap.sh"
. "$(dirname "$0")/lib/image.sh"
. "$(dirname "$0")/lib/policy.sh"
requires clang gcc bpftool setpriv

# block N USER: read a block of the file as a user, past what is cached of it
block()
{
	timeout 5 setpriv --reuid "$2" --clear-groups \
		dd bs=4096 count=1 skip="$1" status=none < fs/file | md5sum
	return "${PIPESTATUS[0]}"
}

script <<-END
image = Image()
base = image.file(3, 10 * BLOCK, "file")
for block in range(5):
    image.store(base, block, expected(3, block))
image.save("fs.img")
END

doc_policies > /dev/null
# What is half a minute there has to pass here.
sed -i 's/30000/300/' patient.bpf.c
ok 'the first policy builds' compile "$INCFS_TOP/include" patient
ok 'a mount is without one' mount_image fs read_timeout_ms=0
ok 'the tool attaches it' incfs policy attach patient.bpf.o fs
is 'and the mount uses it' "$(in_use)" patient
like 'which the tool says' "$(incfs policy status fs)" patient
ok 'a stored block is read' block 4 0
exits 1 'users wait as long as it says' block 5 1000
like 'and are told that the time is over' "$tap_output" 'Timer expired'
exits 124 'root waits until it is killed' block 6 0
ok 'the tool detaches it' incfs policy detach patient
is 'and it is gone' "$(in_use)" ''
is 'the mount remembers its choice' "$(cat /sys/fs/incremental-fs/mounts/*/policy)" patient
ok 'and chooses another' mount -o remount,policy=auto fs

ok 'the policy for several versions builds' compile "$INCFS_TOP/include" careful
ok 'bpftool registers it and pins its link' register careful
like 'bpftool lists it' "$(bpftool link list)" 'struct_ops'
is 'it is used' "$(in_use)" careful
ok 'a block is read' block 3 0
rm $pins/careful
ok 'it goes with its pin' wait_for 20 uses ''

# later NAME SED-SCRIPT...: careful.bpf.c against headers of a later version
later()
{
	mkdir -p include/incfs
	cp "$INCFS_TOP"/include/incfs/* include/incfs
	sed -i "${@:2}" include/incfs/*
	sed "${@:2}" -e "s/careful/$1/" careful.bpf.c > "$1.bpf.c"
	compile include "$1"
}

ok 'a policy builds that knows more than the module' \
	later newer -e 's/recheck_ms/not_yet_ms/; s/incfs_read_ahead/incfs_not_yet/' \
	-e 's/^\tchar name.*/\tint (*not_yet)(struct incfs_read *read);\n&/'
ok 'it is registered if it asks, and if it leaves out a callback' register newer
is 'and used' "$(in_use)" newer
ok 'a block is read' block 2 0
rm $pins/newer

ok 'one that has such a callback builds' \
	later callback -e 's/^\tchar name.*/\tint (*not_yet)(struct incfs_read *read);\n&/' \
	-e 's/^\t\.block_presence/\t.not_yet/'
exits 1 'it is refused' register callback
like 'with the reason' "$tap_output" 'not_yet'
ok 'one that does not ask for a function builds' \
	later function -e 's/incfs_read_ahead/incfs_not_yet/' \
	-e 's/if (bpf_ksym_exists.*/if (1)/'
exits 1 'it is refused' register function
like 'with the reason' "$tap_output" 'bpf_incfs_not_yet'
done_testing
