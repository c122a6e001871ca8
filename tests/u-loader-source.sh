#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Sources: right bytes from a directory and from nginx; every wrong answer of a
# server is refused, and why.
# timeout: 300
. "$(dirname "$0")/lib/tap.sh"
. "$(dirname "$0")/loader/lib.sh"
get=$INCFS_BUILD/tests/loader/get

make_tree tree
"$INCFS_BUILD/tests/loader/incfs" pack -l list tree 2>/dev/null

# fetched SRC BYTES: everything, into out
fetched()
{
	rm -rf out
	mkdir out
	"$get" "$1" list out "$2" > log || return 1
	! grep -v '^ok ' log
}

# as_list DIR: checksums of what the list names as files
as_list() { (cd "$1" && sha256sum lib/deep/er/block lib/deep/zeros lib/random lib/text odd*/*); }

for bytes in 4096 65536 2000000; do
	ok "a directory is read in pieces of $bytes" fetched tree $bytes
	is 'and is equal' "$(as_list out)" "$(as_list tree)"
done
serve tree
for bytes in 32768 2000000; do
	ok "nginx is asked for pieces of $bytes" fetched $url/ $bytes
	is 'and the files are equal' "$(as_list out)" "$(as_list tree)"
done

# wrong RESULT REASON NAME...: the request ends so
wrong()
{
	local result=$1 reason=$2 name=$3
	grep -q "^$result $name [0-9]*: .*$reason" log
	tap_result $? "$name: $reason" || diag "$(cat log)"
}

# one_file SRC NAME [BYTES]: ask for it alone
one_file()
{
	case $2 in
	lib/*) printf 'incfs-list 1\nd 0755 0 lib\nf 0644 %s %s\nend 2\n' "${4-10000}" "$2" ;;
	*) printf 'incfs-list 1\nf 0644 %s %s\nend 1\n' "${4-10000}" "$2" ;;
	esac > one
	rm -rf out
	mkdir out
	"$get" "$1" one out "${3-4096}" > log
}

one_file $url absent
wrong file 'the server answers 404 (not found)' absent
one_file $url lib/text 8192 1288896
wrong file "the server answers with the range 'bytes 0-8191/1288895', not 'bytes 0-8191/1288896'" \
	lib/text
one_file $url lib/text 2000000 2000000
wrong file "the server answers with the range" lib/text
stop_server
one_file $url lib/text
wrong server "onnect" lib/text

one_file tree absent
wrong file 'No such file' absent
one_file tree lib/text
wrong file 'has 1288895 bytes now, the list says 10000' lib/text
mkfifo tree/pipe
one_file tree pipe
wrong file 'not a regular file' pipe
rm tree/pipe

mkdir faults
for fault in good short cut shifted resized norange gone e416 e500 encoded changed garbage \
	rubbish longer; do
	seq 10000 | head -c 10000 > faults/$fault
done
serve_faulty faults
one_file $url good
is 'the server with faults can do right' "$(cmp out/good faults/good 2>&1)" ''
one_file $url norange 10000
is 'a whole file may come without a range' "$(cmp out/norange faults/norange 2>&1)" ''
while read -r fault result reason; do
	one_file $url $fault
	wrong "$result" "$reason" $fault
	if [ $fault != changed ] && [ $fault != norange ]; then
		is "$fault: nothing of it is taken" "$(ls out)" ''
	fi
done <<'END'
short file ends after 4095 bytes of 4096
cut file ends after
shifted file answers with the range 'bytes 1-4096/10000'
resized file answers with the range 'bytes 0-4095/10001'
norange file ignores the Range header
gone file 404
e416 file 416 (the file is shorter than the list says)
e500 server 500
encoded file in the encoding 'gzip'
changed file has changed since fetching began
garbage server
rubbish file answers with the range 'bytes \*/\*'
longer file more than was asked for
END

exits 1 'an address with a query is refused' "$get" $url/?x list out 4096
exits 1 'another protocol is refused' "$get" ftp://127.0.0.1/ list out 4096
exits 1 'a directory that is not there is refused' "$get" nowhere list out 4096
done_testing
