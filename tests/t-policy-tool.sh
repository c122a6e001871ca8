#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# incfs policy: each verb does what it says, can be seen to have done it in reads and
# by other tools, and refuses with a reason what it can't do.
# timeout: 900
. "$(dirname "$0")/lib/tap.sh"
requires python3 bpftool

objects=$INCFS_BUILD/tests/bpf
verdict=$objects/verdict.bpf.o
pins=/sys/fs/bpf/incfs

policy() { incfs policy "$@"; }

# json EXPRESSION COMMAND...: of what the command prints as JSON, which is `d`
json()
{
	policy "${@:2}" --json |
		python3 -c 'import json, sys; d = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"
}

# registered KEY: of the policies that are registered, "NAME=VALUE ..."
registered() { json "' '.join(f'{p[\"name\"]}={p.get(\"$1\")}' for p in d['registered'])" list; }

# refused NAME REASON COMMAND...: it ends with 1 and says why
refused()
{
	exits 1 "$1" policy "${@:3}" && like 'and says why' "$tap_output" "$2"
}

# mistaken NAME COMMAND...: it ends with 2
mistaken() { exits 2 "$1" policy "${@:2}"; }

# reads FILE: what is read of it past the page cache: its contents, zeros, an error
reads()
{
	echo 3 > /proc/sys/vm/drop_caches
	if ! cat "$1" > got 2> error; then
		sed 's/.*: //' error
	elif cmp -s got "src/${1##*/}"; then
		echo contents
	elif [ "$(tr -d '\0' < got | wc -c)" = 0 ]; then
		echo zeros
	else
		echo 'something else'
	fi
}

mkdir src one two
head -c 20000 /dev/urandom > src/file
head -c 5000 /dev/urandom > src/other
for mount in one two; do
	incfs-bpf-loader run -q -x -k -p none -s src -i $mount.image $mount > /dev/null
done
is 'there are two complete mounts' "$(reads one/file) $(reads two/other)" 'contents contents'
id=$(json 'd[0]["mount_id"]' status one)

# --- a profile, which each mount has of its own
profiled()
{
	bpftool --json map dump pinned $pins"_profiles" |
		python3 -c 'import json, sys; print(len(json.load(sys.stdin)))'
}
printf 'incfs-profile 1\n0 2 1 file\nend 1\n' > profile
mistaken 'a profile is for a mount' attach --profile profile replay
refused 'one that is not there is refused' "can't open 'none'" attach --profile none replay one
is 'and nothing stays of that' "$(ls $pins 2> /dev/null)" ''
ok 'replay is registered, with a profile for a mount' policy attach --profile profile replay one
is 'which uses it' "$(json 'd[0]["in_use"]' status one)" replay
ok 'another mount gets one of the same policy' policy attach --profile profile replay two
is 'and uses it, too' "$(json 'd[0]["in_use"]' status two)" replay
is 'there are two profiles' "$(profiled)" 2
ok 'the policy is detached' policy detach replay
for mount in one two; do
	policy use $mount none
done

# --- list and show, when nothing is registered
ok 'nothing is registered' policy list
like 'and that is said' "$tap_output" '^No policy is registered\.'
is 'what comes along is what there are sources of' \
	"$(json '" ".join(sorted(b["name"] for b in d["builtin"]))' list)" \
	"$(cd "$INCFS_TOP/bpf" && printf '%s\n' *.bpf.c | sed 's/\.bpf\.c//' | sort | xargs)"
is 'each with a line about it' "$(json 'all(b["about"] for b in d["builtin"])' list)" True
mistaken 'list takes no argument' list x
is 'an object that comes along has variables' \
	"$(json 'd["variables"]["ahead"]' show sequential)" 32
is 'and callbacks, of which it is known whether they may sleep' \
	"$(json '[(c["name"], c["sleepable"]) for c in d["callbacks"]]' show "$verdict")" \
	"[('block_presence', False), ('attach', False)]"
is 'variables are shown by their types; others than numbers are not' \
	"$(json 'd["variables"] == dict(verdict=2, asleep=False, refuse=0, unused=1 << 40)' \
		show "$verdict")" True
ok 'the same for people' policy show "$verdict"
like 'with the variables' "$tap_output" 'variables: verdict = 2.*asleep = false'
refused 'what there is not can not be shown' \
	"no policy 'nope' is registered or comes with" show nope
mistaken 'show needs a name' show

# --- attach
ok 'a policy that comes along is attached' policy attach sequential
is 'it is pinned' "$(ls $pins)" sequential
is 'with the link that bpftool knows' "$(registered link_id)" \
	"sequential=$(bpftool -j link list | python3 -c '
import json, sys
print(*(link["id"] for link in json.load(sys.stdin) if link["type"] == "struct_ops"))')"
is 'where it is pinned is told' "$(registered pin)" "sequential=$pins/sequential"
is 'and that it is for any mount' "$(registered mount_id)" sequential=0
is 'and used by none' "$(registered used_by)" 'sequential=[]'
is 'its programs are told by their full names' \
	"$(json '[c["program"] for c in d["callbacks"]]' show sequential)" \
	"['sequential_prefetch', 'sequential_pending']"
is 'and its maps, the shared ones too' \
	"$(json '{"incfs_rings", "incfs_lost"} <= {m["name"] for m in d["maps"]}' show sequential)" True
refused 'its name is taken then' "'sequential' is registered already, pinned as $pins/sequential" \
	attach sequential
ok 'another name is not' policy attach --as far --set ahead=0x100 sequential
is 'of which a variable was set' "$(json 'd["variables"]["ahead"]' show far)" 256
is 'and not of the first' "$(json 'd["variables"]["ahead"]' show sequential)" 32
ok 'both are detached' policy detach far
ok 'the second as well' policy detach sequential
is 'and gone when that is done' "$(registered pin)$(ls $pins)" ''
mistaken 'a name has to be one' attach --as 'a b' sequential
mistaken 'attach needs a policy' attach
mistaken 'and no more than a mount' attach sequential one two
mistaken '--only needs a mount' attach --only sequential
mistaken 'or its id, not both' attach --only --mount-id 1 sequential one
mistaken 'an id is a number' attach --mount-id x sequential

# --- variables that can't be set
while IFS='|' read -r setting reason; do
	refused "--set $setting is refused" "$reason" attach --set "$setting" "$verdict"
done <<-'END'
	nope=1|no variable 'nope'; it has .*verdict
	text=1|no variable 'text'
	verdict|is not VARIABLE=VALUE
	=1|is not VARIABLE=VALUE
	verdict=|'verdict' of .* is a number from -2147483648 to 2147483647, not ''
	verdict=2147483648|is a number from
	verdict=1x|is a number from
	refuse=-129|a number from -128 to 127
	unused=-1|a number from 0 to 18446744073709551615
	unused=18446744073709551616|a number from 0 to
	asleep=2|'asleep' of .* is true or false
END
ok 'the ends of their ranges are taken' policy attach --set verdict=-2147483648 --set refuse=-128 \
	--set unused=0xffffffffffffffff --set asleep=true "$verdict"
is 'as they were given' "$(json 'd["variables"] == dict(verdict=-(1 << 31), asleep=True,
		refuse=-128, unused=(1 << 64) - 1)' show verdict)" True
policy detach verdict
is 'nothing is left of all that' "$(registered pin)$(ls $pins)" ''

# --- attach to a mount
ok 'an object file is attached to a mount' policy attach "$verdict" one
is 'which reads what it says' "$(reads one/file)" zeros
is 'and the other does not' "$(reads two/file)" contents
is 'status has its choice' "$(json 'd[0]["choice"], d[0]["in_use"]' status one)" \
	"('verdict', 'verdict')"
is 'and of the other none' "$(json 'd[1]["choice"], d[1]["in_use"]' status)" "('none', '')"
is 'list tells who uses it' "$(registered used_by)" \
	"verdict=[{'mount_id': $id, 'path': '$PWD/one'}]"
ok 'it is detached' policy detach verdict
is 'and asked no more' "$(reads one/file)" contents
ok 'status has a table' policy status
like 'with the choice that is still there, and what is in use' "$tap_output" \
	"$id +$PWD/one +verdict +built-in"
refused 'a mount has to be of this type' "'src' is not on a mount of incremental-fs" \
	attach "$verdict" src
refused 'and to be there' "can't find 'nowhere': No such file" attach "$verdict" nowhere
refused 'a policy that refuses the mount' \
	"can't use the policy 'verdict': Device or resource busy" \
	attach --set refuse=-16 "$verdict" one
is 'is not registered' "$(registered pin)$(ls $pins)" ''

# --- for one mount only
ok 'a policy may be for one mount only' policy attach --only --as mine "$verdict" one
is 'list has the id of that' "$(registered mount_id)" "mine=$id"
refused 'another can not use it' \
	"'$PWD/two' can't use the policy 'mine': the policy is for another" \
	use two mine
is 'and does not' "$(reads one/file) $(reads two/file)" 'zeros contents'
ok 'one by its id' policy attach --mount-id 12345 --as theirs "$verdict"
refused 'is not for those with others' "can't use the policy 'theirs'" use one theirs
policy detach theirs

# --- swap
link=$(registered link_id)
ok 'another policy is put in its place' policy swap mine minimal
is 'with its name, link and mount' "$(registered link_id) $(registered mount_id)" "$link mine=$id"
is 'and is used at once' "$(reads one/file)" contents
is 'it is the other one' "$(json 'd["callbacks"]' show mine)" '[]'
ok 'variables of what is put there can be set' policy swap --set verdict=-13 mine "$verdict"
is 'and are seen' "$(reads one/file)" 'Permission denied'
refused 'what refuses the mount is not put there' "can't replace the policy 'mine'" \
	swap --set refuse=-1 mine "$verdict"
is 'what was there stays' "$(reads one/file) $(registered link_id)" "Permission denied $link"
refused 'nor what is not verified' 'the verifier says' swap mine "$objects/unverified.bpf.o"
is 'which changes nothing either' "$(reads one/file)" 'Permission denied'
refused 'what is not registered has no place' "no policy 'nope' is registered" swap nope minimal
mistaken 'swap needs two' swap mine
policy detach mine

# --- use
policy attach "$verdict"
policy attach --as real --set asleep=true "$verdict"
ok 'a mount chooses a policy' policy use two verdict
is 'and uses it' "$(reads two/other)" zeros
ok 'or the newest' policy use two auto
is 'and uses that' "$(reads two/other) $(json 'd[0]["choice"], d[0]["in_use"]' status two)" \
	"contents ('auto', 'real')"
policy detach real
is 'or the one before when it goes' "$(reads two/other)" zeros
mount -o remount,ro two
ok 'or none, also when it is read-only' policy use two none
is 'and so has the image' "$(reads two/other)" contents
mount -o remount,rw two
ok 'any file of it stands for the mount' policy use two/other auto
refused 'what is not registered can not be used' 'no policy of this name is registered' use two nope
mistaken 'nor can what is no name' use two 'a b'
is 'and the choice stands' "$(json 'd[0]["choice"]' status two)" auto
policy use two none

# --- status: failures
policy swap --set verdict=77 verdict "$verdict"
policy use one verdict
is 'a bad verdict changes nothing for the reader' "$(reads one/file)" contents
failure=$(json 'd[0]["failure"]' status one)
like 'it is on record' "$failure" "'kind': 'verdict', 'policy': 'verdict', 'code': 77"
like 'with the block' "$failure" "'ino': $(stat -c %i one/file), 'block': [0-4],"
is 'and the policy is not used' "$(json 'd[0]["choice"], d[0]["in_use"]' status one)" \
	"('verdict', '')"
policy status > out
like 'people are told' "$(cat out)" "one: policy 'verdict', [0-9.]+ s ago: .*\(77\); inode"
is 'and only of this mount' "$(grep -c ' ago: ' out)" 1
policy swap verdict "$verdict"
is 'an update takes it back' "$(reads one/file)" zeros
policy detach verdict
mistaken 'status takes one mount' status one two
refused 'which has to be one' "is not on a mount of incremental-fs" status src

# --- what others have registered
mkdir three
incfs-bpf-loader run -q -p sequential --set ahead=5 -s src -i three.image three > out 2>&1 &
loader=$!
wait_for 60 grep -q complete out
is "a loader's policy has no pin" "$(registered pin)" sequential=None
is 'and is set as the loader was told' "$(json 'd["variables"]["ahead"]' show sequential)" 5
is 'the loader has a ring, which lost nothing' \
	"$(json 'd[0]["ring"], d[0]["lost_events"]' status three)" '(True, 0)'
is 'mounts without a loader have none' "$(json 'd[0]["ring"]' status one)" False
kill $loader
wait $loader

policy attach --set verdict=1 "$verdict" one
echo 3 > /proc/sys/vm/drop_caches
head -c 1 one/file > /dev/null &
reader=$!
waited_for() { [ "$(json 'd[0]["blocks_waited_for"]' status one)" = "$1" ]; }
wait_for 20 waited_for 1
is 'blocks that are waited for are counted' "$(json 'd[0]["blocks_waited_for"]' status one)" 1
policy swap verdict minimal
ok 'and no more when the policy lets go' wait $reader
is 'none is' "$(json 'd[0]["blocks_waited_for"]' status one)" 0
policy use one none

bpftool link detach pinned $pins/verdict
is 'what bpftool has detached is not registered' "$(registered pin)" ''
is 'though its pin is there' "$(ls $pins)" verdict
ok 'and not in the way' policy attach "$verdict"
policy detach verdict

# It crashes when it has done that: docs/policy.md.
{ bpftool struct_ops register "$objects/linkless.bpf.o"; } > /dev/null 2>&1
is 'a policy without a link is told of' "$(registered link_id)" linkless=None
refused 'it can not be replaced' 'registered without a link' swap linkless minimal
ok 'but detached' policy detach linkless
is 'and is gone' "$(registered link_id)" ''
refused 'it could not be attached' 'in the section .struct_ops: only one in .struct_ops.link' \
	attach "$objects/linkless.bpf.o"

# --- hold and release
ok 'a file is held' policy hold one/file
like 'but not where nothing looks at that' "$tap_output" \
	"warning: '$PWD/one' does not use the policy gate"
is 'it can be read there' "$(reads one/file)" contents
policy attach gate one
ok 'with the policy it is' policy hold one/file one/other
is 'and there is nothing to warn of' "$tap_output" ''
ok 'what is held is told' policy hold
like 'with where it is, and how far it is released' "$tap_output" \
	"$PWD/one +$(stat -c %i one/other) +0"
echo 3 > /proc/sys/vm/drop_caches
cat one/file > held &
reader=$!
wait_for 20 waited_for 1
is 'who reads it waits' "$(json 'd[0]["blocks_waited_for"]' status one)" 1
is 'and has nothing' "$(stat -c %s held)" 0
ok 'two blocks are released' policy release --blocks 2 one/file
ok 'they can be read' timeout 20 cmp -n 8192 one/file src/file
ok 'the rest is' policy release one/file
ok 'and who waited has it' wait $reader
is 'all of it' "$(cmp held src/file && reads one/file)" contents
refused 'what is not held can not be released' "can't release 'one/file': it is not held" \
	release one/file
policy release one/other
ok 'nothing is held any more' policy hold
is 'which is said' "$tap_output" 'Nothing is held.'
refused 'a directory can not be held' "'one' is not a regular file" hold one
refused 'nor what is elsewhere' "'src/file' is not on a mount of incremental-fs" hold src/file
mistaken 'release needs a file' release
mistaken 'and blocks are a number' release --blocks x one/file
policy detach gate

# --- timeout
mkdir four
incfs-bpf-loader run -q -k -p none --no-background -s src -i four.image four > out 2>&1 &
loader=$!
wait_for 60 grep -q ready out
kill $loader
wait $loader
policy attach timeouts four
ok 'how long reads wait is set' policy timeout four others 0 300ms
is 'and they wait no longer' "$(reads four/file)" 'Timer expired'
ok 'for each user' policy timeout four 1000 1s never
ok 'what is set is told' policy timeout four
like 'for all' "$tap_output" 'others +0\.000 s +0\.300 s'
like 'with units' "$tap_output" '1000 +1\.000 s +never'
ok 'or for one' policy timeout four root
is 'who has no times' "$(echo "$tap_output" | wc -l)" 1
ok 'they can be deleted' policy timeout --delete four 1000
refused 'once' 'none are set for this user' timeout --delete four 1000
ok 'then they are not told' policy timeout four
is 'but those of others are' "$(echo "$tap_output" | wc -l)" 2
for times in '1x 2s' '-1 2s' '2s 1s' '1s 1s' 'never 1s' '1s 99999999min' '1s ""'; do
	eval "mistaken '$times: are no times' timeout four 0 $times"
done
mistaken 'a user has to be one' timeout four nobody-here 1 2
mistaken 'times are two' timeout four 0 1
refused 'a mount has to be one' 'is not on a mount of incremental-fs' timeout src 0 1 2
policy detach timeouts

# --- pins elsewhere
ok 'a link may be pinned elsewhere' policy attach --pin-dir /sys/fs/bpf/elsewhere minimal
is 'there it is' "$(registered pin)" minimal=/sys/fs/bpf/elsewhere/minimal
ok 'where it is found' policy detach minimal
is 'and removed' "$(ls /sys/fs/bpf/elsewhere)" ''
rmdir /sys/fs/bpf/elsewhere
refused 'but not on any file system' \
	"can't pin the policy 'minimal' as 'src/minimal': that is not on a BPF" \
	attach --pin-dir src minimal
mkdir -p $pins
ln -s nowhere $pins/minimal 2>/dev/null || bpftool map pin name incfs_rings $pins/minimal
refused 'nor over another' \
	"can't pin the policy 'minimal' as '$pins/minimal': File exists" attach minimal
rm $pins/minimal
is 'it is not registered then' "$(registered pin)" ''

# --- objects that are none, or not for us
echo text > text.o
refused 'a text is no object' "can't open the policy 'text.o'" attach text.o
refused 'nor is nothing' "can't open the policy './nothing': .*No such file" attach ./nothing
refused 'a name has to be one that comes along' \
	"no policy 'nope' comes with this program" attach nope
refused 'an object with several policies is not one' 'has several policies' \
	attach "$objects/refused.bpf.o"
refused 'what the verifier refuses' \
	"prog 'unverified_pending': BPF program load failed: Permission denied; the" \
	attach "$objects/unverified.bpf.o"
like 'with its reason' "$tap_output" \
	'a context may be written by block_presence only, not by pending'
is 'of all these nothing is registered' "$(registered pin)$(ls $pins)" ''
refused 'detach has nothing to detach' "no policy 'unverified' is registered" detach unverified
mistaken 'detach needs a name' detach
mistaken 'there are no other verbs' nope
mistaken 'nor other options' list --nope

# --- what is missing on the machine
# without DIR COMMAND...: where it is hidden by an empty directory; FILES are in it
files=
without()
{
	unshare -m sh -c 'dir=$1; files=$2; shift 2; mount -t tmpfs none "$dir" &&
		{ for file in $files; do : > "$dir/$file"; done; "$@"; }' - "$1" "$files" "${@:2}"
}
exits 1 'without a BPF file system nothing is done' without /sys/fs/bpf incfs policy attach minimal
like 'and that is said' "$tap_output" 'no BPF file system on /sys/fs/bpf: mount -t bpf'
exits 1 'nor without the types of the kernel' without /sys/kernel/btf incfs policy list
like 'which is said' "$tap_output" 'the kernel has no BTF \(/sys/kernel/btf/vmlinux'
files=vmlinux
exits 1 'nor without those of the module' without /sys/kernel/btf incfs policy detach minimal
like 'which is said, too' "$tap_output" 'the module incfs was built without BTF'
files=
exits 1 'nor without the module' without /sys/module incfs policy attach minimal
like 'which is said as well' "$tap_output" 'the module incfs is not loaded'
for command in list 'show minimal' status 'attach minimal' 'detach minimal' 'swap minimal minimal' \
	'use one none' 'hold one/file' 'release one/file' 'timeout one 0'; do
	exits 1 "$command: is for root" setpriv --reuid 1000 incfs policy $command
	like 'which is said' "$tap_output" 'must be run as root'
done
done_testing
