# SPDX-License-Identifier: GPL-2.0-only
# TAP for shell tests: source it, test, end with `done_testing`.
#
#	. "$(dirname "$0")/lib/tap.sh"
#	ok 'an empty image mounts' mount -t incremental-fs image mnt
#	is 'it is empty' "$(ls mnt)" ''
#	done_testing
#
# Each test starts in an empty directory of its own, which is removed afterwards.
# tests/run gives INCFS_TOP (the repository), INCFS_BUILD (its build products),
# INCFS_MODULE (incfs.ko, loaded already) and INCFS_RELEASE, and finds build/user
# in PATH.
set -uo pipefail

tap_count=0
tap_failed=0
tap_cleanups=()

# diag TEXT...: a line for who reads the log
diag() { printf '%s\n' "$*" | sed 's/^/# /'; }

# tap_result STATUS NAME: print a result; the status is returned
tap_result()
{
	tap_count=$((tap_count + 1))
	if [ "$1" = 0 ]; then
		echo "ok $tap_count - $2"
	else
		tap_failed=$((tap_failed + 1))
		echo "not ok $tap_count - $2"
	fi
	return "$1"
}

# ok NAME COMMAND [ARG]...: the command succeeds
ok() { exits 0 "$@"; }

# exits CODE NAME COMMAND [ARG]...: the command ends with this exit code. What it
# prints is in $tap_output; it runs in this shell.
exits()
{
	local want=$1 name=$2 status=0 file
	shift 2
	file=$(mktemp)
	"$@" > "$file" 2>&1 || status=$?
	tap_output=$(cat "$file")
	rm -f "$file"
	tap_result $((status != want)) "$name" && return
	diag "command: $*"
	diag "exit code: $status, not $want"
	[ -z "$tap_output" ] || diag "$tap_output"
	return 1
}

# is NAME GOT WANT: two strings are equal
is()
{
	[ "$2" = "$3" ]
	tap_result $? "$1" && return
	diag "got:  $2"
	diag "want: $3"
	return 1
}

# like NAME GOT REGEX: a string matches an extended regular expression
like()
{
	[[ $2 =~ $3 ]]
	tap_result $? "$1" && return
	diag "got: $2"
	diag "does not match: $3"
	return 1
}

# skip NAME WHY: a test that cannot be made here
skip()
{
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1 # SKIP $2"
}

# skip_all WHY: the whole program cannot be made here
skip_all()
{
	echo "1..0 # SKIP $1"
	exit 0
}

# requires COMMAND...: skip all where one of the commands is missing
requires()
{
	local command
	for command; do
		command -v "$command" > /dev/null || skip_all "no $command here"
	done
}

# cleanup COMMAND [ARG]...: to be run at the end, the newest first
cleanup() { tap_cleanups+=("$(printf '%q ' "$@")"); }

# wait_for SECONDS COMMAND [ARG]...: until the command succeeds, at most so long
wait_for()
{
	local end=$((SECONDS + $1))
	shift
	until "$@" > /dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.1
	done
}

tap_exit()
{
	local status=$? i
	for ((i = ${#tap_cleanups[@]} - 1; i >= 0; i--)); do
		eval "${tap_cleanups[i]}" || diag "cleanup failed: ${tap_cleanups[i]}"
	done
	exit $status
}
trap tap_exit EXIT

# done_testing: the plan, and the exit code; without it the program has failed
done_testing()
{
	echo "1..$tap_count"
	exit $((tap_failed != 0))
}
