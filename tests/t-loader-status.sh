#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What a loader tells of itself: status, metrics, its socket and who misuses it; what
# systemd is told, and the unit.
# timeout: 400
. "$(dirname "$0")/lib/tap.sh"
. "$(dirname "$0")/loader/lib.sh"

mkdir -p src mnt other
head -c 3000000 /dev/urandom > src/file
printf 'x' > src/small

# json EXPRESSION FILE: of the first line, d
json() { head -n 1 "$2" | python3 -c "import json, sys; d = json.loads(sys.stdin.read()); print($1)"; }
load() { rm -f out; incfs-bpf-loader run "$@" > out 2>&1 & loader=$!; wait_for 60 grep -q ready: out; }
end() { kill $loader; wait $loader; }

ok 'nothing is mounted' incfs status
is 'and that is said' "$tap_output" 'Nothing is mounted.'
ok 'for programs by silence' incfs status -j
is 'indeed' "$tap_output" ''
exits 1 'a directory that is no mount' incfs status mnt
like 'is refused' "$tap_output" "'mnt' is not on a mount"
exits 1 'so is what is not there' incfs metrics none

load --no-background -k -s src -i image --limit-image 10M mnt
id=$(ls /sys/fs/incremental-fs/mounts)
socket=/run/incfs/$id.sock
is 'the socket is for root' "$(stat -c %a%u $socket)" 6000
head -c 4096 mnt/file > /dev/null
incfs status -j mnt > status
is 'blocks' "$(json 'd["blocks"]' status)" 734
is 'its state' "$(json 'd["state"]' status)" 'on demand'
is 'where it is' "$(json 'd["mountpoint"], d["sources"][0], d["image"]' status)" "$PWD/mnt src image"
is 'the policy' "$(json 'd["policy"]' status)" sequential
is 'whose it is' "$(json 'd["pid"]' status)" $loader
is 'what was asked for' "$(json 'd["blocks_present"] > 0 and sum(d["requests"].values()) > 0' status)" True
is 'the limit' "$(json 'd["image_limit"]' status)" 10485760
is 'no errors' "$(json 'd["log"]' status)" '[]'
ok 'for people' incfs-bpf-loader status mnt
like 'it says the same' "$tap_output" "mnt: on demand, pid $loader.*present +[0-9]+ of 734 blocks.*policy +sequential"
ok 'without a name all of them' incfs status
like 'are told' "$tap_output" 'mnt: on demand'

# The format: head, type, samples; each name once.
# shellcheck disable=SC2016
valid='
/^# HELP incfs_[a-z_]+ [A-Z].*\.$/ { if (seen[$3]++) exit 1; name = $3; next }
/^# TYPE incfs_[a-z_]+ (counter|gauge)$/ { if ($3 != name) exit 1; next }
$0 ~ "^" name "\\{mountpoint=\"[^\"]*\"(,class=\"[a-z]+\")?\\} [0-9.e+-]+$" { n++; next }
{ exit 1 }
END { if (n < 10) exit 1 }'
incfs metrics mnt > metrics
ok 'metrics are in the format of Prometheus' awk "$valid" metrics
ok 'and have the blocks' grep -qx "incfs_blocks{mountpoint=\"$PWD/mnt\"} 734" metrics
curl -s --unix-socket $socket http://x/metrics > curled
ok 'over HTTP too' awk "$valid" curled
is 'nothing else is there' \
	"$(curl -s -o none -w '%{http_code}' --unix-socket $socket http://x/other)" 404

incfs-bpf-loader run --no-background -k -s src -i other-image other > out2 2>&1 &
second=$!
wait_for 60 grep -q ready: out2
incfs metrics > both
ok 'two mounts are told together' awk "$valid" both
is 'each with its own figures' "$(grep -c '^incfs_blocks{' both)" 2
ok 'two in status too' incfs status
like 'one after the other' "$tap_output" 'mnt: .*other: '
kill $second
wait $second
ok 'one without a loader' incfs status other
like 'is told from what the kernel knows' "$tap_output" 'other: no loader.*waiting +0 blocks'
exits 1 'it has no metrics' incfs metrics other
umount other

# Clients that do what they should not.
python3 - $socket > misuse <<'END'
import os, socket, sys, time

def connect():
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    s.settimeout(20)
    return s

def answer(data):
    s = connect()
    try:
        s.sendall(data)
        return s.recv(100)
    except (BrokenPipeError, ConnectionResetError):
        return b""

assert answer(b"\0" * 100 + b"\n") == b""
assert answer(b"statusx\n") == b""
assert answer(b"x" * 100000) == b""
assert answer(b"\n") == b""
assert answer(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.0 200 OK")
assert answer(b"GET /metricsx HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.0 404")
s = connect()
s.sendall(b"sta")
time.sleep(0.2)
s.sendall(b"tus\n")
assert s.recv(1) == b"{"
s.close()
# All places are taken by some who say nothing, and by some who do not read.
stuck = [connect() for i in range(20)]
for s in stuck[::2]:
    try:
        s.sendall(b"status\n")
    except BrokenPipeError:
        pass  # its time was over
assert answer(b"status\n")[:1] == b"{"
print("good")
END
is 'clients that misbehave are sent away' "$(cat misuse)" good
ok 'the loader works on' cmp src/small mnt/small
end

# Its last errors.
mkdir full
mount -t tmpfs -o size=2m full full
load -k -s src -i full/image other
wait_for 60 grep -q "can't store blocks: the disk of the image is full" out
incfs status -j other > status
is 'a full disk is its state' "$(json 'd["state"]' status)" 'disk full'
like 'the log has it' "$(json 'd["log"][-1]["level"], d["log"][-1]["text"]' status)" \
	'^error .*the disk of the image is full'
ok 'metrics too' grep -q '^incfs_space_exhausted{.*} 1$' <(incfs metrics other)
before=$(json 'sum(d["requests"].values())' status)
sleep 5
incfs status -j other > status
is 'nothing is asked of the source meanwhile' "$(json 'sum(d["requests"].values())' status)" \
	"$before"
mount -o remount,size=20m full
ok 'it goes on when there is room' wait_for 60 grep -q complete: out
is 'and says so once' "$(grep -c 'can be stored again' out)" 1
is 'all is right' "$(sums other)" "$(sums src)"
incfs status -j other > status
is 'it is complete' "$(json 'd["state"]' status)" complete
end
umount other full
ok 'its socket has gone' test ! -e "/run/incfs/$((id + 2)).sock"

# A limit.
load -k -s src -i small-image --no-compress --limit-image 2M other
wait_for 60 grep -q 'reached --limit-image' out
incfs status -j other > status
is 'a limit that is reached is its state' "$(json 'd["state"]' status)" 'limit reached'
[ "$(stat -c %s small-image)" -le 2097152 ]
tap_result $? "the image keeps to it: $(stat -c %s small-image) bytes"
is 'once' "$(grep -c 'reached --limit-image' out)" 1
cat other/file > copy &
reader=$!
sleep 2
is 'readers of what is absent wait' "$(kill -0 $reader; echo $?)" 0
end
load -k -s src -i small-image --no-compress other
wait $reader
is 'until another loader has more room' "$?$(cmp copy src/file)" 0
end
umount other

# systemd.
python3 "$INCFS_TOP/tests/loader/listen.py" notify > told &
listener=$!
wait_for 20 test -e bound
rm -f out
NOTIFY_SOCKET=$PWD/notify WATCHDOG_USEC=400000 incfs-bpf-loader run -k -s src -i image mnt > out 2>&1 &
loader=$!
ok 'systemd is told when it is ready' wait_for 60 grep -qx READY=1 told
ok 'and when all is there' wait_for 60 grep -qx 'STATUS=mnt is complete' told
watched() { [ "$(grep -c WATCHDOG=1 told)" -gt 3 ]; }
ok 'and that it lives' wait_for 20 watched
end
ok 'and that it stops' wait_for 20 grep -qx STOPPING=1 told
umount mnt
kill $listener

exec 7> journal
JOURNAL_STREAM=$(stat -L -c %d:%i journal) incfs-bpf-loader run -s none -i image mnt 2>&7
is 'the journal is told levels' "$(cut -c 1-3 journal | sort -u)" '<3>'

sed "s,@BINDIR@,$(dirname "$(command -v incfs-bpf-loader)")," \
	"$INCFS_TOP/loader/incfs@.service" > incfs@.service
ok 'the unit is well-formed' systemd-analyze verify --man=no ./incfs@.service
is 'nothing is said of it' "$tap_output" ''

# What the unit leaves of root's powers is enough.
caps=$(sed -n 's/^CapabilityBoundingSet=//p' incfs@.service | tr '[:upper:]' '[:lower:]' |
	sed 's/cap_/+/g; s/ /,/g')
rm -f out image
setpriv --no-new-privs --bounding-set "-all,$caps" incfs-bpf-loader run -x -s src -i image mnt \
	> out 2>&1
is 'a loader with the powers of the unit works' "$?$(grep -c complete: out)" 01
done_testing
