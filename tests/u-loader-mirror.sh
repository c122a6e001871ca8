#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Several sources with the same things: each file comes from one that has it right.
# timeout: 300
. "$(dirname "$0")/lib/tap.sh"
. "$(dirname "$0")/loader/lib.sh"
requires python3
get=$INCFS_BUILD/tests/loader/get
incfs=$INCFS_BUILD/tests/loader/incfs

# fetched SRC[,SRC]... [LIST]: all of it, as sums; what was said is in log
fetched()
{
	rm -rf out
	mkdir out
	"$get" "$1" "${2-list}" out 65536 > log 2>&1 || { cat log; return 1; }
	sums out
}
# failed: requests that did not succeed
failed() { grep -cE '^(file|server) ' log; }
second=
serve_second() { "$INCFS_TOP/tests/loader/faulty.py" "$1" 8098 >> requests2 & second=$!; wait_for 20 curl -so /dev/null http://127.0.0.1:8098/; }
stop_second() { [ -z "$second" ] || { kill "$second" && wait "$second"; } 2>/dev/null; second=; }
cleanup stop_second
other=http://127.0.0.1:8098

faults='short cut shifted resized norange gone e416 e500 encoded garbage rubbish longer reset e429
	e503 loop tofile elsewhere huge'
mkdir src
for name in good $faults; do
	head -c 200000 /dev/urandom > src/$name
done
"$incfs" pack -l list src 2> /dev/null
sums src > want

cp -r src less
rm less/good
printf 'more' >> less/short
is 'what one has not, or otherwise, comes from the other' "$(fetched less,src)" "$(cat want)"
is 'without a failure' "$(failed)" 0
is 'in the other order too' "$(fetched src,less)" "$(cat want)"
is 'eight are enough' "$(fetched less,less,less,less,less,less,less,src)" "$(cat want)"
cp -r less lesser
is 'what none has right does not come' "$(fetched less,lesser | wc -l)" $(($(wc -l < want) - 2))
like 'and that is said' "$(grep ' good ' log | head -n 1)" '^file good [0-9]+: less'

serve_faulty src
serve_second src
is 'two servers with the same faults are no help' "$(fetched $url,$other | wc -l)" 1
stop_second
kill $server
wait $server 2> /dev/null
serve_faulty src
mkdir plain
cp -r src plain/tree
is 'a server that answers wrongly, and a directory' "$(fetched $url,src)" "$(cat want)"
is 'without a failure' "$(failed)" 0
is 'the directory first' "$(fetched src,$url)" "$(cat want)"
is 'a server that is not there' "$(fetched http://127.0.0.1:1,src)" "$(cat want)"
is 'without a failure' "$(failed)" 0
like 'it is left alone for a while' "$(cat log)" "http://127.0.0.1:1.*left alone"
fetched http://127.0.0.1:1,http://127.0.0.1:2 > /dev/null
is 'none of them there: nothing comes' "$(ls out)" ''
stop_server

# Bundles: digests tell which one is wrong.
"$incfs" pack -o bundle src 2> /dev/null
for part in data blocks pages tree; do
	rm -rf bad
	cp -r bundle bad
	python3 - bad/incfs.$part <<-'END'
	import sys
	with open(sys.argv[1], "r+b") as file:
	    data = bytearray(file.read())
	    for at in range(10, len(data), 5000):
	        data[at] ^= 1
	    file.seek(0)
	    file.write(data)
	END
	is "damage in incfs.$part of the first" "$(fetched bad,bundle -)" "$(cat want)"
	is '... is made good by the second' "$(failed)" 0
	is '... and of the second by the first' "$(fetched bundle,bad -)" "$(cat want)"
done
rm -rf bad
cp -r bundle bad
: > bad/incfs.data
is 'a file of the bundle that is cut short' "$(fetched bad,bundle -)" "$(cat want)"
cp bundle/incfs.data bad/
head -c 100000 /dev/urandom | dd of=bad/incfs.data bs=1 seek=50000 conv=notrunc status=none
fetched bad,bad - > /dev/null
like 'data that both have wrong is a failure' "$(grep -E '^(file|server)' log)" 'not what was packed'
"$incfs" pack -o newer less 2> /dev/null
is 'another bundle is no mirror' "$(fetched bundle,newer -)" "$(cat want)"
is '... whichever comes first' "$(fetched newer,bundle - | wc -l)" "$(sums less | wc -l)"
done_testing
