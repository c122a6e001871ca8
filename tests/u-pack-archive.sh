#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# incfs pack of archives: what is in the bundle is what was in the archive, hostile ones
# are refused, and nothing is left of them.
. "$(dirname "$0")/lib/tap.sh"
. "$(dirname "$0")/loader/lib.sh"
requires bsdtar python3
incfs=$INCFS_BUILD/tests/loader/incfs
get=$INCFS_BUILD/tests/loader/get

make_tree src
find src -depth -exec touch -h -d @1600000000 {} +
"$incfs" pack -o want src 2> /dev/null
for format in tar tar.gz tar.xz tar.zst zip; do
	bsdtar -C src -a -cf a.$format .
	ok "$format is packed" "$incfs" pack -o b-$format a.$format
	# Zip knows of no further names.
	if [ $format != zip ]; then
		ok '... to what the directory is' diff -r want b-$format
	else
		mkdir out
		"$get" b-zip - out 65536 > log 2>&1
		is '... to the same files' "$(cd out && find . -type f -print0 | sort -z | xargs -0 sha256sum)" \
			"$(cd src && find . -type f -size +0 -print0 | sort -z | xargs -0 sha256sum)"
	fi
done
bsdtar -C src -cf plain.tar lib zzz 'odd names' 'empty dir'
ok 'without a dot before the names' "$incfs" pack -o b-plain plain.tar
ok '... too' diff -r want b-plain

# refused NAME REGEX ARCHIVE
refused()
{
	exits 1 "$1" "$incfs" pack -o bad "$3"
	like '... is said' "$tap_output" "$2"
	is '... and nothing is left' "$(ls -d bad* 2> /dev/null)" ''
	rm -rf bad
}
cat > make.py <<'END'
import io, tarfile
def tar(name, *members):
    with tarfile.open(name, "w") as out:
        for path, kind, link, data in members:
            info = tarfile.TarInfo(path)
            info.type, info.linkname, info.size = kind, link, len(data)
            out.addfile(info, io.BytesIO(data))
file, link, hard, directory, fifo = (tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE,
                                     tarfile.DIRTYPE, tarfile.FIFOTYPE)
tar("absolute.tar", ("/tmp/incfs-absolute", file, "", b"x"))
tar("dotdot.tar", ("a/../../incfs-dotdot", file, "", b"x"))
tar("dotdot2.tar", ("a/../../incfs-dotdot/b/c", file, "", b"x"))
tar("absolute2.tar", ("/tmp/incfs-absolute/b/c", file, "", b"x"))
tar("through2.tar", ("a", link, "/tmp", b""), ("a/incfs-through/b/c", file, "", b"x"))
tar("through.tar", ("a", link, "/tmp", b""), ("a/incfs-through", file, "", b"x"))
tar("nowhere.tar", ("a", hard, "none", b""))
tar("outside.tar", ("a", hard, "../src/zzz", b""))
tar("outside2.tar", ("a", hard, "/etc/passwd", b""))
tar("twice.tar", ("a", file, "", b"first"), ("b", file, "", b"x"), ("a", file, "", b"second"))
tar("fifo.tar", ("a", fifo, "", b""), ("b", file, "", b"b"))
tar("up.tar", ("b", file, "", b"b"), ("hosts", link, "/etc/passwd", b""),
    ("dir/up", link, "../../../../../../../../etc", b""), ("chain", link, "hosts", b""),
    ("dir/good", link, "../b", b""))
tar("bare.tar", ("in/side/b", file, "", b"b"), ("late/b", file, "", b"b"),
    ("late", directory, "", b""))
with open("bomb.tar", "wb") as out:
    info = tarfile.TarInfo("a")
    info.size = 1 << 44
    out.write(info.tobuf(tarfile.GNU_FORMAT) + bytes(10240))
tar("cmd.tar", (".cmd", file, "", b"x"), ("b", file, "", b"b"))
END
if python3 make.py 2> /dev/null; then
	refused 'an absolute name' 'absolute' absolute.tar
	refused 'a name that leads out' "'\.\.'" dotdot.tar
	refused 'and further directories' "'\.\.'" dotdot2.tar
	refused 'in an absolute name too' 'absolute' absolute2.tar
	refused 'a way out through a link' 'symlink|through' through.tar
	refused 'and further directories' 'symlink|through' through2.tar
	refused 'another name of nothing' 'a.: ' nowhere.tar
	refused 'another name of what is outside' "'\.\.'|a.: " outside.tar
	refused 'another name of what is elsewhere' 'a.: ' outside2.tar
	is 'nothing came to lie elsewhere' "$(ls -d /tmp/incfs-* ../incfs-* incfs-* 2> /dev/null)" ''
	ok 'a member that is there twice' "$incfs" pack -o twice twice.tar
	like 'has the later contents' "$(cat twice/incfs.data)" 'second'
	ok 'a fifo' "$incfs" pack -o fifo fifo.tar
	like 'is skipped' "$tap_output" "skipping 'a': neither"
	ok 'a name that a list cannot hold' "$incfs" pack -o cmd cmd.tar
	like 'too' "$tap_output" "skipping '.*/.cmd'"
	refused 'a member that no list can hold' "'a', of 17592186044416 bytes, is too much" bomb.tar
	ok 'links that lead out of it' "$incfs" pack -o up up.tar
	is 'are kept' "$(grep -c ^s up/incfs.tree)" 4
	ok 'or, where links are followed,' "$incfs" pack -L -o followed up.tar
	is 'skipped' "$(grep -o "skipping '[a-z/]*'" <<< "$tap_output" | sort | xargs)" \
		'skipping chain skipping dir/up skipping hosts'
	is 'and nothing is packed that was not in it' \
		"$(cat followed/incfs.data) $(grep -c . followed/incfs.tree)" 'b 5'
	ok 'directories that an archive lacks' "$incfs" pack -o bare bare.tar
	sleep 1.1
	"$incfs" pack -o bare-again bare.tar 2> /dev/null
	ok 'have no time of their own' diff -r bare bare-again
	is 'and are listed' "$(grep -c ^d bare/incfs.tree)" 3
	bsdtar -cf late.tar --uid 0 -s ',^src/,new/,' src/zzz
	bsdtar -rf late.tar -s ',^src,new,' -n src
	"$incfs" pack -o late late.tar 2> /dev/null
	like 'one that comes after what is in it has its own' "$(cat late/incfs.tree)" \
		'd 0755 0 1600000000[.0]* new'
else
	skip 'hostile archives' 'no tarfile in this python3'
fi
head -c 100000 a.tar > cut.tar
refused 'an archive that is cut short' '[Tt]runcated' cut.tar
head -c 3000 a.tar.gz > cut.tar.gz
refused 'a compressed one' "'cut.tar.gz'.*: " cut.tar.gz
head -c 100000 /dev/urandom > noise
refused 'what is no archive' 'Unrecognized' noise
refused 'nothing' "can't" none
exits 1 'a bundle that is there' "$incfs" pack -o want a.tar
like 'is not written over' "$tap_output" 'File exists'
exits 1 'the list of an archive' "$incfs" pack a.tar
is 'nothing is left' "$(ls -d ./*.files.* 2> /dev/null)" ''
done_testing
