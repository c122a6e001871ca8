#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The unit under a running systemd, in namespaces of its own: start, restart, a loader that
# hangs, stop, and a start without the source; with readers that wait all the while.
# timeout: 600
. "$(dirname "$0")/lib/tap.sh"
. "$(dirname "$0")/loader/lib.sh"

systemd=/lib/systemd/systemd
requires systemctl nsenter unshare
[ -x $systemd ] || skip_all 'no systemd here'

group=/sys/fs/cgroup/incfs-systemd
init=
# With the first process of its namespace all others end, and the mounts go.
stop_systemd()
{
	[ -z "$init" ] || kill -KILL "$init"
	wait_for 20 remove_groups
}
remove_groups() { find $group -depth -type d -exec rmdir {} + ; [ ! -e $group ]; }
cleanup stop_systemd

# inside COMMAND [ARG]...: where systemd is
inside() { nsenter -t "$init" -m -p -C -w -- "$@"; }
control() { inside systemctl "$@"; }
is_state() { [ "$(control show -p "$1" --value incfs@test)" = "$2" ]; }
# The reader's exit code; one that does not end is ended.
wait_reader() { wait_for 20 gone || kill -KILL $reader; wait $reader; }
gone() { ! kill -0 $reader || grep -q '^State:.Z' /proc/$reader/status; }
find_init() { init=$(pgrep -P $outer) && [ "$(cat "/proc/$init/comm")" = systemd ]; }

mkdir -p src mnt units etc
head -c 3000000 /dev/urandom > src/first
for file in second third fourth; do head -c 200000 /dev/urandom > src/$file; done
incfs pack src > /dev/null
cat > etc/test.conf <<END
source = $url
image = $PWD/image
mountpoint = $PWD/mnt
policy = none
no-background
END
sed -e "s,@BINDIR@,$(dirname "$(realpath "$(command -v incfs-bpf-loader)")")," \
	-e 's/^WatchdogSec=.*/WatchdogSec=15/' "$INCFS_TOP/loader/incfs@.service" \
	> units/incfs@.service
printf '[Unit]\nDescription=Nothing\nDefaultDependencies=no\n' > units/incfs-nothing.target

cat > enter <<END
set -e
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/systemd/system /etc/incfs
cp units/* /run/systemd/system
mount --bind etc /etc/incfs
mount -t cgroup2 cgroup2 /sys/fs/cgroup
exec env -i container=incfs-test PATH=/usr/sbin:/usr/bin:/sbin:/bin $systemd --system \
	--unit=incfs-nothing.target --log-target=console --show-status=no
END
mkdir $group
{
	echo $BASHPID > $group/cgroup.procs
	exec unshare -m -p -C -f --mount-proc bash enter
} > log 2>&1 &
outer=$!
wait_for 60 find_init
ok 'systemd runs' wait_for 120 control is-active incfs-nothing.target || diag "$(cat log)"

serve src
ok 'the service starts' control start incfs@test || diag "$(cat log; control status incfs@test)"
ok 'with the mount' inside mountpoint -q "$PWD/mnt"
ok 'which everybody sees' inside cmp "$PWD/src/second" "$PWD/mnt/second"
is 'systemd knows its state' "$(control show -p StatusText --value incfs@test)" \
	"$PWD/mnt is mounted"

stop_server
inside cat "$PWD/mnt/first" > copy &
reader=$!
wait_for 20 test -e copy
pid=$(control show -p MainPID --value incfs@test)
ok 'it restarts, without its source' control restart incfs@test
ok 'as another process' test "$(control show -p MainPID --value incfs@test)" != "$pid"
is 'who reads waits' "$(kill -0 $reader; echo $?)" 0
serve src
ok 'and goes on when the source is there' wait_for 60 cmp -s src/first copy
wait_reader
is 'to the end' $? 0

inside bash -c "kill -STOP $(control show -p MainPID --value incfs@test)"
inside cat "$PWD/mnt/third" > copy &
reader=$!
ok 'a loader that hangs is killed, and started again' wait_for 120 is_state NRestarts 1
ok 'who reads goes on' wait_for 60 cmp -s src/third copy
wait_reader
is 'to the end' $? 0
ok 'it is active' wait_for 60 is_state ActiveState active

ok 'it stops' control stop incfs@test
is 'well' "$(control show -p Result --value incfs@test)" success
ok 'the mount stays' inside mountpoint -q "$PWD/mnt"
ok 'with what is there' inside cmp "$PWD/src/first" "$PWD/mnt/first"
ok 'it can be unmounted' inside umount "$PWD/mnt"

stop_server
ok 'the service starts without its source' control start incfs@test
ok 'what is there can be read' inside cmp "$PWD/src/first" "$PWD/mnt/first"
is 'its state says so' "$(control show -p StatusText --value incfs@test)" \
	"$PWD/mnt is mounted, its list of files is waited for"
inside cat "$PWD/mnt/fourth" > copy &
reader=$!
sleep 20
is 'the watchdog lets it wait' "$(control show -p NRestarts --value incfs@test)" 0
serve src
ok 'who reads has the rest when the source is there' wait_for 60 cmp -s src/fourth copy
wait_reader
is 'to the end' $? 0
ok 'it stops again' control stop incfs@test
inside umount "$PWD/mnt"
done_testing
