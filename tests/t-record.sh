#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# incfs record: the order in which blocks are needed, the mount's policy meanwhile and
# afterwards, several runs; and a loader that fetches by what was recorded.
# timeout: 300
. "$(dirname "$0")/lib/tap.sh"
. "$(dirname "$0")/lib/policy.sh"
requires python3

mkdir -p src/d mnt
head -c 2000000 /dev/urandom > src/a
head -c 100000 /dev/urandom > 'src/d/b c'
incfs pack src 2> /dev/null
mkdir -p full
incfs-bpf-loader run -q -x --no-compress -p none -s src -i full.img full > /dev/null
ok 'an image that is complete is mounted' mount_image full policy=auto
cleanup eval '! mountpoint -q full || umount full'
choice=$(echo /sys/fs/incremental-fs/mounts/*/policy)

# touch.py WHERE: some blocks by page faults, some by read(2), in no good order
cat > touch.py <<'END'
import mmap, os, sys
with open(sys.argv[1] + "/a") as file:
    map = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    for block in 400, 30, 31, 200, 30, 400:
        map[block * 4096]
    other = os.open(sys.argv[1] + "/d/b c", os.O_RDONLY)
    os.posix_fadvise(other, 0, 0, os.POSIX_FADV_RANDOM)
    for block in 20, 3, 20:
        os.pread(other, 10, block * 4096)
    map[100 * 4096]
END
cat > expected <<'END'
incfs-profile 1
400 1 1 a
30 2 1 a
200 1 1 a
20 1 1 d/b\x20c
3 1 1 d/b\x20c
100 1 1 a
end 6
END
ok 'a run is recorded' incfs record -o profile full -- python3 touch.py full
is 'each block once, in the order of the first time' "$(< profile)" "$(< expected)"
is 'the mount has its choice of before' "$(< "$choice")" auto
is 'and the policy has gone' "$(in_use)" ''

cat full/a > /dev/null
incfs record -o again full -- python3 touch.py full 2> /dev/null
is 'what was in memory is recorded too' "$(< again)" "$(< expected)"

incfs record -o meanwhile full -- cp "$choice" during 2> /dev/null
like 'during the run the mount chooses record' "$(< during)" '^record'
is 'a run that needs nothing is a profile' "$(< meanwhile)" $'incfs-profile 1\nend 0'

ok 'a run is added' incfs record -a -o profile full -- \
	dd if=full/a of=/dev/null bs=4096 count=1
is 'what it needs counts one run more, or comes last' "$(grep ' a$' profile | tail -n 1)" '0 1 1 a'
incfs record -a -o profile full -- python3 touch.py full 2> /dev/null
is 'what both need, two' "$(grep -c '^[0-9]* [0-9]* 2 ' profile)" 6

exits 1 'a command that fails is a failure' incfs record -o failed full -- false
ok 'of which there is a profile' grep -q ^end failed
exits 1 'so is one that is not there' incfs record -o failed full -- ./no-such-command
exits 1 'and a directory that is no mount' incfs record -o failed . -- true
exits 1 'or is a file' incfs record -o failed full/a -- true
ok 'a directory within one is recorded' incfs record -o within full/d -- python3 touch.py full
is 'alone, by paths from there on' "$(< within)" \
	$'incfs-profile 1\n20 1 1 b\\x20c\n3 1 1 b\\x20c\nend 2'
exits 2 'nowhere to write to is a mistake' incfs record full -- true
echo nonsense > bad
exits 1 'a bad profile is not added to' incfs record -a -o bad full -- true
like 'which is said with the line' "$tap_output" 'line 1'
is 'and it stays' "$(< bad)" nonsense

incfs record -o stopped full 2> /dev/null &
recorder=$!
ok 'without a command it goes on' wait_for 30 grep -q record "$choice"
exits 1 'a second recording of the mount is refused' incfs record -o second full -- true
dd if=full/a of=/dev/null bs=4096 skip=5 count=1 2> /dev/null
kill -TERM $recorder
wait $recorder
is 'until SIGTERM' $? 0
ok 'and has a profile then' grep -q '^5 [0-9]* 1 a$' stopped
is 'and the choice of before' "$(< "$choice")" auto

incfs record -o killed full 2> /dev/null &
recorder=$!
wait_for 30 grep -q record "$choice"
kill -KILL $recorder
wait $recorder 2> /dev/null
ok 'when it is killed its policy goes' wait_for 30 eval '[ -z "$(in_use)" ]'
ok 'and the mount chooses what it chose before' wait_for 30 grep -qx auto "$choice"
ok 'and reads go on' cmp full/a src/a
umount full

# A loader with this profile, and one reader of one block.
incfs-bpf-loader run -v --no-background -p replay --profile expected -s src -i part.img mnt \
	> out 2>&1 &
loader=$!
cleanup eval 'kill $loader 2> /dev/null; wait $loader'
wait_for 60 grep -q ready: out
python3 - <<-'END'
	import mmap
	file = open("mnt/a")
	mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)[400 * 4096]
END
for block in 30 200 100; do
	ok "block $block comes without having been asked for" \
		wait_for 30 grep -q "'a' from $block on: ahead" out
done
ok 'and those of the other file' wait_for 30 grep -q "'d/b c' from 20 on: ahead" out
is 'blocks that are not in the profile do not' "$(grep -c "from 300 on" out)" 0
kill $loader
wait $loader

rm part.img
incfs-bpf-loader run -v --no-background -p replay --profile expected -s src -i part.img \
	--subdir v2 mnt > out 2>&1 &
loader=$!
wait_for 60 grep -q ready: out
ok 'in a directory the profile is that of the tree there' \
	grep -q 'profile .*: 7 of 7 blocks are in the mount' out
kill $loader
wait $loader
exits 1 'a loader refuses a bad profile' \
	incfs-bpf-loader run -p replay --profile bad -s src -i part.img mnt
like 'with the line' "$tap_output" 'line 1'
done_testing
