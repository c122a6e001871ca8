#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A loader whose source can't be reached when it starts: what the image has is there at
# once, the rest when the source is; and it can be ended and asked all the time.
# timeout: 400
. "$(dirname "$0")/lib/tap.sh"
. "$(dirname "$0")/loader/lib.sh"

mkdir -p src/lib mnt
head -c 4000000 /dev/urandom > src/lib/random
seq 50000 > src/lib/text
incfs pack src > /dev/null
sums src > want

python3 "$INCFS_TOP/tests/loader/listen.py" notify >> told &
listener=$!
cleanup kill $listener
wait_for 20 test -e bound

# start ARG...: a loader, as systemd would
start()
{
	rm -f out
	NOTIFY_SOCKET=$PWD/notify WATCHDOG_USEC=400000 \
		incfs-bpf-loader run -s $url -i image -p none --no-background "$@" mnt > out 2>&1 &
	loader=$!
}
load() { start "$@"; wait_for 60 grep -q ready: out || diag "$(cat out)"; }
# end SIGNAL: the loader's exit code, which must be there soon
end()
{
	kill "-$1" $loader
	wait_for 5 gone $loader || { echo 'does not end'; kill -KILL $loader; }
	wait $loader
}
gone() { ! kill -0 "$1" 2> /dev/null || grep -q '^State:.Z' "/proc/$1/status"; }
state() { incfs status -j mnt | python3 -c 'import json, sys; print(json.load(sys.stdin)["state"])'; }
state_is() { [ "$(state)" = "$1" ]; }
# watched: there are more signs of life than a moment ago
watched()
{
	local before
	before=$(grep -c WATCHDOG=1 told)
	wait_for 5 more_than "$before"
}
more_than() { [ "$(grep -c WATCHDOG=1 told)" -gt $(($1 + 3)) ]; }

# Nothing is there yet.
start
ok 'without a list there is nothing to mount' wait_for 20 grep -q 'no list of files: .*trying again' out
exits 32 'nothing is mounted' mountpoint -q mnt
ok 'the watchdog is told that it lives' watched
end TERM
is 'it ends when it is told to' $? 0
exits 1 'it made no image' test -s image

serve src
load
head -c 400000 mnt/lib/random > /dev/null
end TERM
stop_server

# Half of it.
: > told
load -k
ok 'what is there is mounted without the source' mountpoint -q mnt
ok 'systemd is told' wait_for 20 grep -qx READY=1 told
like 'and what is missing' "$(cat told)" 'mnt is mounted, its list of files is waited for'
ok 'what is there is read' cmp -n 400000 src/lib/random mnt/lib/random
is 'it says that it waits' "$(state)" 'waiting for list'
incfs metrics mnt > metrics
like 'metrics too' "$(cat metrics)" 'incfs_listed\{[^}]*\} 0'
cat mnt/lib/text > copy &
reader=$!
ok 'the watchdog is told that it lives' watched
is 'who reads what is absent waits' "$(kill -0 $reader; echo $?)$(stat -c %s copy)" 00
end TERM
is 'it ends when it is told to' $? 0
is 'who waits goes on to wait' "$(kill -0 $reader; echo $?)" 0

load -k
ok 'another one goes on with the mount' grep -q "going on with what is mounted on 'mnt'" out
serve src
ok 'when the server comes, so does what is waited for' wait_for 30 cmp -s src/lib/text copy
wait $reader
is 'to its end' $? 0
is 'it fetches what is asked for' "$(state)" 'on demand'
is 'ready is said once' "$(grep -c ready: out)" 1
is 'all is right' "$(sums mnt)" "$(cat want)"
end KILL
umount mnt
stop_server

# All of it.
start -x
wait $loader
is 'a complete image needs no source' $? 0
ok 'that is said' grep -qx 'incfs: complete: .* blocks, .* seconds' out
exits 32 'it is unmounted' mountpoint -q mnt
load
ok 'it is complete from the start' wait_for 20 state_is complete
is 'all is right' "$(sums mnt)" "$(cat want)"
ok 'the watchdog is told that it lives' watched
cp -a src src2
echo more > src2/more
incfs pack src2 > /dev/null
serve src2
ok 'what the source has more by then comes, too' wait_for 30 cmp -s src2/more mnt/more
end TERM
is 'it ends well' $? 0
stop_server
mkdir nothing
serve nothing
start -x
wait $loader
is 'nor does it need a source without a list' $? 0
like 'which is said' "$(cat out)" 'no list of files: .*404'
stop_server

# A tree without a block may be one that was not made to its end.
rm image
serve src
load
end TERM
stop_server
start
ok 'a tree without a block is mounted' wait_for 20 mountpoint -q mnt
wait_for 20 grep -q 'trying again' out
sleep 1
is 'and not said to be ready' "$(grep -c ready: out)" 0
serve src
ok 'until its list is there' wait_for 30 grep -q ready: out
head -c 400000 mnt/lib/random > /dev/null
end TERM
stop_server

# What comes in the end is wrong.
cp image half
seq 49999 > src2/lib/text
incfs pack src2 > /dev/null
for wrong in src2 nothing; do
	cp half image
	load
	serve $wrong
	wait $loader
	is "another list than that of the image ends the loader: $wrong" $? 1
	like 'with the reason' "$(cat out)" \
		"'lib/text' has 288894 bytes in the image, but 288888 in the list|no list of files: .*404"
	ok 'but not the mount, which was said to be ready' mountpoint -q mnt
	ok 'what is there is read' cmp -n 400000 src/lib/random mnt/lib/random
	umount mnt
	start
	wait $loader
	is 'before that' $? 1
	exits 32 'it ends that, too' mountpoint -q mnt
	stop_server
done

cp half image
exits 1 'a directory that is not there ends a loader, too' \
	incfs-bpf-loader run -k -p none -s nowhere -i image mnt
like 'with the reason' "$tap_output" "can't open source 'nowhere'"
ok 'what is there can be read if the mount is to stay' cmp -n 400000 src/lib/random mnt/lib/random
umount mnt

# A server that takes what is sent, and says nothing.
cat > silent.py <<'END'
import socket, sys, time
s = socket.create_server(("127.0.0.1", int(sys.argv[1])))
open("listening", "w").close()
taken = []
while True:
    taken.append(s.accept())
END
python3 silent.py $port &
server=$!
wait_for 20 test -e listening
start --stall-timeout 300
ok 'the mount is there' wait_for 20 mountpoint -q mnt
ok 'it can be asked while the server is' state_is 'waiting for list'
ok 'it is ready, however long the server takes' wait_for 20 grep -q ready: out
is 'which has not answered' "$(grep -c 'no list' out)" 0
ok 'the watchdog is told that it lives' watched
end TERM
is 'it ends when it is told to' $? 0
exits 32 'the mount has gone' mountpoint -q mnt
rm image
start --stall-timeout 300
wait_for 5 watched
end TERM
is 'without a mount, too' $? 0
done_testing
