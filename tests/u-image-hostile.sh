#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Images made to take long, or much memory: a small image is read in little of
# either, whatever it claims to hold. Changed bytes do no harm anywhere.
# timeout: 600
. "$(dirname "$0")/lib/tap.sh"
. "$(dirname "$0")/lib/image.sh"

script <<END
# A block map of 2^32 - 1 entries: 60 GB, all of it a hole but for three entries.
def sparse(path, ino, count, tail):
	image = Image()
	image.inode(ino, count * BLOCK)
	base = 1 << 20
	end = base + count * EXTENT.size
	body = MAP.pack(ino, base, count)
	head = [T_MAP, HEADER.size + len(body), 0, 0, image.last]
	head[2] = crc(HEADER.pack(*head) + body)
	struct.pack_into("<Q", image.data, image.last + 7, end)
	name = DIR.pack(ROOT, ino, ADD, 4, b"huge")
	more = [T_DIR, HEADER.size + len(name), 0, 0, end]
	more[2] = crc(HEADER.pack(*more) + name)
	head[3] = end + HEADER.size + len(body)
	with open(path, "wb") as file:
		file.write(image.data)
		file.seek(end)
		file.write(HEADER.pack(*head) + body + HEADER.pack(*more) + name)
		at = file.tell()
		file.write(expected(ino, 0))
		for block in 0, 1 << 31, count - 1:
			file.seek(base + block * EXTENT.size)
			file.write(EXTENT.pack(at & 0xFFFFFFFF, at >> 32, BLOCK, 0, crc(expected(ino, 0))))
		file.truncate(at + BLOCK + tail)
sparse("huge", 3, (1 << 32) - 1, 0)

# Very many files whose block maps are one and the same.
image = Image()
base = image.put(bytes(EXTENT.size * 20000))
for ino in range(3, 3003):
	image.inode(ino, 20000 * BLOCK)
	image.map(ino, 20000, base)
	image.name(ROOT, ino, str(ino))
image.save("same-map")

# Very many blocks that are one and the same, and the largest that there is.
image = Image()
data = lz4_words(expected(3, 0))
data += bytes(8192 - len(data))
at = image.put(data)
base = image.file(3, 20000 * BLOCK, "file")
for block in range(20000):
	image.entry(base, block, at, 8192, LZ4, 1)
image.save("same-block")

# A chain of directories, and many small ones that are hung below its end.
image = Image()
for ino in range(3, 4003):
	image.directory(ino, "d", ino - 1 if ino > 3 else ROOT)
for ino in range(5000, 9000):
	image.directory(ino)
	image.inode(ino + 10000, 0)
	image.name(ino, ino + 10000, "x")
	image.name(4002, ino, str(ino))
image.save("chain")
END

# bounded COMMAND...: with 1 GiB of memory, and far more time than it should need
bounded()
{
	(ulimit -v 1048576; exec timeout 100 "$INCFS_BUILD/user/incfs" image "$@")
}

ok 'a block map of 2^32 entries in a sparse image is looked at' bounded info huge
like 'its blocks are counted' "$tap_output" 'blocks: +4294967295, 3 of them present'
exits 0 'it is checked' bounded check huge
ok 'its entries are dumped' bounded dump -b huge
exits 1 'it is not complete' bounded extract huge out
ok 'it is compacted' bounded compact -o huge.new huge
is 'and as sparse as before' "$(($(stat -c %b huge.new) < 1000))" 1
is 'it has what it had' "$(bounded info huge.new | grep -E 'blocks:|shared')" \
	"$(bounded info huge | grep -E 'blocks:|shared')"

exits 2 '3000 files with one block map are refused' bounded check same-map
for command in info 'dump -b' compact; do
	exits 1 "by $command too" bounded $command same-map
done
exits 1 'and by extract' bounded extract -p same-map out
exits 1 '20000 blocks that are the same are checked' bounded check same-block
ok 'and counted' bounded info same-block
ok 'directories below a chain of 4000 are sound' bounded check chain
ok 'and extracted' bounded extract chain chain.out
is 'all of them' "$(find chain.out -name x -type f 2>/dev/null | wc -l)" 4000
chmod -R u+w chain.out && rm -rf chain.out

# Each byte of the metadata changed: refused, repaired or taken, and no more.
"$image_py" attrs image
cat > flip.py <<'END'
import random, subprocess, sys
tool = sys.argv[1]
random.seed(7)
data = open("image", "rb").read()
bad = []
for turn in range(150):
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 5))):
        at = random.randrange(len(data))
        changed[at] = random.choice((0, 1, 0x7F, 0x80, 0xFF, changed[at] ^ 1 << turn % 8))
    open("changed", "wb").write(changed)
    verbs = (("check",), ("info", "-j"), ("dump", "-b"), ("check", "-r"))
    for verb in verbs:
        run = subprocess.run([tool, "image", *verb, "changed"], capture_output=True, timeout=100)
        if run.returncode not in (0, 1, 2) or b"Sanitizer" in run.stderr:
            bad.append((turn, verb, run.returncode, run.stderr[-2000:]))
print(*bad, sep="\n")
sys.exit(bool(bad))
END
ok 'changed bytes do no harm' python3 flip.py "$incfs"
done_testing
