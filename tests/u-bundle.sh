#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Bundles: what is packed comes back, from a directory and from nginx; the same tree
# makes the same bytes; whatever is changed in a bundle is noticed, and nothing of it
# is taken.
# timeout: 300
. "$(dirname "$0")/lib/tap.sh"
. "$(dirname "$0")/loader/lib.sh"
get=$INCFS_BUILD/tests/loader/get
incfs=$INCFS_BUILD/tests/loader/incfs

make_tree tree
truncate -s 9m tree/sparse
printf 'end' >> tree/sparse
ok 'a directory is packed' "$incfs" pack -o bundle tree
is 'into these files' "$(ls bundle | xargs)" \
	'incfs.blocks incfs.bundle incfs.data incfs.pages incfs.tree'
"$incfs" pack -l list tree 2> /dev/null
ok 'the tree is the list of the directory' cmp bundle/incfs.tree list
is 'the head has the digest of the tree' "$(sed -n 's/^tree [0-9]* //p' bundle/incfs.bundle)" \
	"$(sha256sum < bundle/incfs.tree | cut -d' ' -f1)"
is 'and that of the pages' "$(sed -n 's/^pages [0-9]* //p' bundle/incfs.bundle)" \
	"$(sha256sum < bundle/incfs.pages | cut -d' ' -f1)"
is 'the pages have those of the block table' \
	"$(head -c 32 bundle/incfs.pages | od -An -v -tx1 | tr -d ' \n')" \
	"$(head -c 40960 bundle/incfs.blocks | sha256sum | cut -d' ' -f1)"
plain=$(($(stat -c %s tree/lib/{text,random,deep/er/block} | paste -sd+)))
like 'the data is compressed, and zeros are not in it' \
	"$((plain * 8 / 10 > $(stat -c %s bundle/incfs.data)))" '^1$'
cp -a tree copy
ok 'a copy of the directory is packed' "$incfs" pack copy --output again/
ok 'to the same bytes' diff -r bundle again
exits 1 'a bundle that is there is not written over' "$incfs" pack -o again tree
exits 1 'a directory that is not there is refused' "$incfs" pack -o other nowhere
exits 1 'an output that cannot be made is refused' "$incfs" pack -o /nowhere/bundle tree
exits 1 'a profile that is none is refused' "$incfs" pack -o other --order list tree
is 'nothing is left of what failed' "$(ls -d other* 2> /dev/null)" ''
exits 2 '--order without a bundle is a mistake' "$incfs" pack --order list tree
exits 2 '--sign without a bundle is a mistake' "$incfs" pack --sign list tree
exits 2 'a list and a bundle are a mistake' "$incfs" pack -l list -o other tree

# fetched SRC BYTES [KEY]: everything, into out
fetched()
{
	rm -rf out
	mkdir out
	"$get" "$1" - out "$2" "${@:3}" > log 2> errors || return 1
	! grep -v '^ok ' log
}

as_list() { (cd "$1" && sha256sum lib/{deep/er/block,deep/zeros,random,text} odd*/* sparse); }
want=$(as_list tree)

for bytes in 4096 65536 2097152; do
	ok "a bundle is read in pieces of $bytes" fetched bundle $bytes
	is 'and is equal' "$(as_list out)" "$want"
done
ok 'that nobody vouches for it is said' grep -q \
	"bundle $(sha256sum < bundle/incfs.bundle | cut -d' ' -f1): .*no --verify" errors
serve bundle
for bytes in 32768 2097152; do
	ok "nginx is asked for pieces of $bytes" fetched $url/ $bytes
	is 'and the files are equal' "$(as_list out)" "$want"
done
is 'neighbours are asked for together' \
	"$(($(grep -c 'GET /incfs.data' nginx/access.log) < 450))" 1

# An order: these blocks come first, as they lie in the profile.
cat > profile <<-END
	incfs-profile 1
	7 1 1 lib/random
	3 2 1 lib/text
	0 1 1 zzz
	9999 1 1 lib/text
	0 1 1 absent
	end 5
END
ok 'a bundle is packed in the order of a profile' "$incfs" pack -o ordered --order profile tree
like 'what is not in the tree is said' "$tap_output" 'names 2 blocks that are not there'
ok 'the first block of the profile is the first' \
	cmp -n 4096 ordered/incfs.data <(tail -c +28673 tree/lib/random)
ok 'such a bundle is read' fetched ordered 65536
is 'and is equal' "$(as_list out)" "$want"

# Signatures
openssl genpkey -algorithm ed25519 -out key.pem
openssl pkey -in key.pem -pubout -out public.pem
openssl genpkey -algorithm ed25519 -out other.pem
openssl pkey -in other.pem -pubout -out other-public.pem
ok 'a bundle is signed' "$incfs" pack -o signed --sign key.pem tree
ok 'and else the same' diff -r -x incfs.bundle.sig bundle signed
ok 'openssl takes the signature' openssl pkeyutl -verify -pubin -inkey public.pem -rawin \
	-in signed/incfs.bundle -sigfile signed/incfs.bundle.sig
ok 'it is read with the key' fetched signed 65536 public.pem
is 'and is equal' "$(as_list out)" "$want"
is 'nothing is to be said then' "$(cat errors)" ''

# refused WHAT SRC REASON [KEY]: nothing is taken of a source
refused()
{
	! fetched "$2" 65536 "${@:4}" > /dev/null && grep -qE -- "$3" errors
	tap_result $? "$1 is refused: $3" || diag "$(cat errors log)"
	is 'and nothing is taken' "$(find out -type f)" ''
}

refused 'another key' signed 'not a signature by the key' other-public.pem
refused 'a bundle without a signature' bundle 'incfs.bundle.sig.*No such file' public.pem
refused 'a plain tree when there is a key' tree 'incfs.bundle.*No such file' public.pem
refused 'a private key for a public one' signed 'no Ed25519 public key' key.pem
exits 1 'a public key does not sign' "$incfs" pack -o other --sign public.pem tree
is 'and leaves nothing behind' "$(ls -d other other.?????? 2> /dev/null)" ''

# broken NAME COMMAND...: a bundle in which a command has changed something
broken()
{
	rm -rf "broken"
	cp -r signed broken
	(cd broken && "$@")
}
# flip FILE PLACE: another byte there
flip()
{
	local byte
	byte=$(od -An -tu1 -j "$2" -N 1 "$1")
	printf "\\x$(printf %02x $((byte ^ 0xa5)))" |
		dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

broken sed -i 's/bundle 1/bundle 3/' incfs.bundle
refused 'another version' broken "it begins with 'incfs-bundle 3'"
broken sed -i 's/bundle 1/bundle 2/' incfs.bundle
refused 'a version that wants a base, without one' broken 'not the lines'
broken sed -i "s/^end/base 19 $(printf '%064d %064d' 1 2)\nend/;\$d" incfs.bundle
truncate -s 512 broken/incfs.bundle
refused 'a base in a version that has none' broken 'more lines than it may'
broken sed -i 's/^tree [0-9]/tree 0/' incfs.bundle
refused 'a number with a 0 in front' broken 'not the lines'
broken truncate -s +1 incfs.bundle
refused 'a head of another size' broken 'incfs.bundle.: has 513 bytes'
broken flip incfs.bundle 511
refused 'something behind the end' broken 'more lines than it may'
broken sed -i 's/^data [0-9]/data 9/' incfs.bundle
refused 'a head that is not the signed one' broken 'not a signature' public.pem
broken sed -i 's/^blocks .*/blocks 40/;$d' incfs.bundle
truncate -s 512 broken/incfs.bundle
refused 'sizes that do not fit' broken 'not fit together|more lines'
broken flip incfs.tree 40
refused 'a changed tree' broken "'incfs.tree' is not what .* SHA-256"
broken flip incfs.pages 40
refused 'changed digests' broken "'incfs.pages' is not what .* SHA-256"
broken rm incfs.tree
refused 'a bundle without a tree' broken "'incfs.tree': No such file"

# damaged REASON: what is fetched of a damaged bundle is right, and what is not is said
damaged()
{
	! fetched broken 65536 > /dev/null && grep -qE "^file .*: $1" log
	tap_result $? "is noticed: $1" || diag "$(cat errors log)"
	is 'and what comes is right' "$(cd out && find . -type f -size +0 -print0 |
		while IFS= read -rd '' name; do cmp <(head -c 8192 "$name") \
		<(head -c 8192 "../tree/$name") > /dev/null 2>&1 || echo "$name"; done |
		grep -v lib/ | grep -v sparse)" ''
}

broken flip incfs.data 100
damaged 'block [0-9]+ is not what was packed: its SHA-256 differs'
broken flip incfs.blocks 40
damaged "'incfs.blocks' is not what .* SHA-256"
broken truncate -s -1 incfs.data
damaged "'incfs.data': has [0-9]+ bytes now"
broken rm incfs.blocks
damaged "'incfs.blocks': No such file"
stop_server
done_testing
