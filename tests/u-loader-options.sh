#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The command line and configuration files of the loader: what is refused, and how.
. "$(dirname "$0")/lib/tap.sh"
loader=$INCFS_BUILD/asan/incfs-bpf-loader

# refused NAME REGEX ARG...: a mistake, and what is said
refused()
{
	local name=$1 regex=$2
	shift 2
	exits 2 "$name" "$loader" run "$@"
	like '... which is said' "$tap_output" "$regex"
}

ok 'there is help' "$loader" run --help
like 'with all options' "$tap_output" 'usage: .*--source SRC.*--limit-image SIZE.*--help  '
is 'no line of it is too long' "$(awk 'length > 90' <<< "$tap_output")" ''
refused 'nothing at all' '--source is missing'
refused 'an option that there is not' "option '--sauce'" --sauce x
refused 'a value that is missing' 'requires an argument' -s
refused 'two mount points' "'b' is one argument too many" -s x -i y a b
for value in 0 65 -1 1x '' 99999999999999999999; do
	refused "--parallel '$value'" "not a number from 1 to 64" -s x -i y --parallel "$value" m
done
for value in 0 K -1 1KK 1.5G 99999999T 18446744073709551616; do
	refused "--limit-image '$value'" 'not a number of bytes' --limit-image "$value" m
done
refused 'a name of a policy' 'is not a name' -p 'a b' -s x -i y m
mapfile -t many < <(for i in {0..32}; do printf '%s\n' -S "a=$i"; done)
refused 'too many variables' '--set: no more than 32' "${many[@]}" -s x -i y m

# config LINE...: a file with options
config() { printf '%s\n' "$@" > conf; }
# refused_line NAME REGEX LINE...
refused_line()
{
	config "${@:3}"
	refused "$1" "$2" -c conf
}
refused 'a file that is not there' "can't read 'none': No such file" -c none
refused 'a directory' "can't read '/'" -c /
refused_line 'an unknown name' "conf:2: no option 'sauce'" '# one' 'sauce = x'
refused_line 'a name without a value' "conf:1: 'source' needs a value" source
refused_line 'a flag with a value' "conf:1: 'quiet' has no value" 'quiet = yes'
refused_line 'a bad value' 'conf:3: that is where it stands' '' 'source=x' 'parallel = 0'
refused_line 'no name' "conf:1: no option ''" '= x'
refused_line 'another file in it' "can't name another file" 'config = conf'
refused_line 'not all that is needed' 'the mount point is missing' 'source = x' 'image = y'
printf 'source = x\0y\n' > conf
refused 'a NUL in it' 'conf:1: a NUL' -c conf
head -c 100000 /dev/urandom > conf
refused 'something else altogether' 'conf:' -c conf

# The next thing that it does is to open the source.
config '# all that is needed' '' '  source =  there is none  ' 'image = y' 'mountpoint=/m' \
	'exit-when-complete' "parallel = 4" 'limit-image = 1G'
exits 1 'a good file' "$loader" run -c conf
like 'its values are taken' "$tap_output" "'there is none'"
exits 1 'the command line comes after it' "$loader" run -c conf -s other
like 'and wins' "$tap_output" "'other'"
done_testing
