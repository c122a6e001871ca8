#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Images in format v1, written and read by what docs/format.md says alone.

Nothing here is shared with the module or the tools, so that a mistake of theirs
about the format is not made here as well.

  image.py write FILE   an image with all that the format allows
  image.py check FILE   check it whole, print its tree and its present blocks
  image.py damage DIR   an image for each fault that a reader has to refuse, and
                        print NAME and the OFFSET that is to be told
  image.py blocks FILE  a sound image with stored blocks that are damaged

What a block holds follows from inode and index, as in lib/incfs.c.
"""
import binascii
import struct
import sys

BLOCK = 4096
MAGIC = 0x5346434E49
SUPER = struct.Struct("<QQHIQH")
HEADER = struct.Struct("<BHIQQ")
INODE = struct.Struct("<QQHI")
MAP = struct.Struct("<QQI")
DIR = struct.Struct("<QQBB255s")
EXTENT = struct.Struct("<IHHHI")
T_NONE, T_INODE, T_MAP, T_DIR = range(4)
ADD, REMOVE = 1, 2
ROOT = 2
REG, DIRECTORY = 0o100000, 0o040000
LZ4 = 1
SHARED = 62  # an inode whose blocks are all alike


def crc(data):
    return binascii.crc32(data, 0xFFFFFFFF) ^ 0xFFFFFFFF


assert crc(b"abc") == 0xCA6598D0


def blocks_of(size):
    return (size + BLOCK - 1) // BLOCK


def expected(ino, block):
    if ino == SHARED:
        return b"s" * BLOCK
    base = (ino << 32 | block) * 0x9E3779B97F4A7C15
    words = [(base + i // 16) & (1 << 64) - 1 for i in range(BLOCK // 8)]
    return struct.pack("<512Q", *words)


def length(n):
    """The part of an LZ4 length that does not fit the token."""
    return b"\xff" * (n // 255) + bytes([n % 255])


def lz4_literals(data):
    """A valid LZ4 block that holds the data as it is."""
    n = len(data)
    return bytes([min(n, 15) << 4]) + (length(n - 15) if n >= 15 else b"") + data


def lz4_words(data):
    """An LZ4 block of matches: eight bytes, repeated for 128, and so on."""
    out = b""
    for at in range(0, len(data) - 128, 128):
        out += b"\x8f" + data[at:at + 8] + struct.pack("<H", 8) + length(120 - 19)
    return out + lz4_literals(data[len(out) // 12 * 128:])


def lz4_expand(data):
    out, at = bytearray(), 0

    def more(n):
        nonlocal at
        while n >= 15:
            n += data[at]
            at += 1
            if data[at - 1] != 255:
                break
        return n

    while at < len(data):
        token = data[at]
        at += 1
        n = more(token >> 4)
        if at + n > len(data):
            raise ValueError("LZ4 literals past the end")
        out += data[at:at + n]
        at += n
        if at == len(data):
            break
        back = data[at] | data[at + 1] << 8
        at += 2
        if not 0 < back <= len(out):
            raise ValueError("LZ4 match before the start")
        for _ in range(more(token & 15) + 4):
            out.append(out[-back])
    return bytes(out)


class Image:
    """A writer that does as it is told, also what is wrong."""

    def __init__(self):
        self.data = bytearray(SUPER.size)
        self.last = 0
        self.set_super()

    def set_super(self, magic=MAGIC, version=1, size=SUPER.size, flags=0, first=0, block=BLOCK):
        SUPER.pack_into(self.data, 0, magic, version, size, flags, first, block)

    def put(self, data):
        self.data += data
        return len(self.data) - len(data)

    def record(self, kind, body, prev=None, size=None, bad_crc=0, link=True):
        head = [kind, size or HEADER.size + len(body), 0, 0, self.last if prev is None else prev]
        head[2] = crc(HEADER.pack(*head) + body) ^ bad_crc
        at = self.put(HEADER.pack(*head) + body)
        if link:
            self.link(at)
        return at

    def link(self, at):
        struct.pack_into("<Q", self.data, self.last + 7 if self.last else 22, at)
        self.last = at

    def inode(self, ino, size, mode=REG | 0o444, flags=0, **more):
        return self.record(T_INODE, INODE.pack(ino, size, mode, flags), **more)

    def map(self, ino, count, base=None, **more):
        if base is None:
            base = self.put(bytes(EXTENT.size * count))
        return self.record(T_MAP, MAP.pack(ino, base, count), **more), base

    def name(self, directory, ino, name, action=ADD, length=None, **more):
        if isinstance(name, str):
            name = name.encode()
        length = len(name) if length is None else length
        return self.record(T_DIR, DIR.pack(directory, ino, action, length, name), **more)

    def remove(self, directory, ino, name, **more):
        return self.name(directory, ino, name, action=REMOVE, **more)

    def entry(self, base, block, at, size, flags=0, check=None):
        if check is None:
            check = crc(self.data[at:at + size])
        EXTENT.pack_into(self.data, base + block * EXTENT.size, at & 0xFFFFFFFF, at >> 32,
                         size, flags, check)

    def store(self, base, block, data, flags=0, check=None):
        self.entry(base, block, self.put(data), len(data), flags, check)

    def file(self, ino, size, name=None):
        self.inode(ino, size)
        _, base = self.map(ino, blocks_of(size)) if size else (0, 0)
        if name:
            self.name(ROOT, ino, name)
        return base

    def directory(self, ino, name=None, parent=ROOT):
        self.inode(ino, 0, DIRECTORY | 0o555)
        if name:
            self.name(parent, ino, name)

    def save(self, path):
        with open(path, "wb") as file:
            file.write(self.data)


def write(path):
    """All that the format allows, and our own writer would not do."""
    image = Image()
    image.put(b"bytes that belong to nothing")
    base = image.file(77, 10 * BLOCK + 100, "file")
    image.record(T_INODE, b"a record that was never linked", link=False)
    image.store(base, 0, expected(77, 0))
    image.store(base, 1, lz4_literals(expected(77, 1)), LZ4)
    image.store(base, 2, lz4_words(expected(77, 2)), LZ4)
    image.put(b"x" * 3)
    image.store(base, 5, expected(77, 5))
    image.store(base, 10, expected(77, 10)[:100])

    # An inode number below the one before, its block map in front of it, and
    # its data in front of that; no name until the end.
    data = image.put(expected(40, 0) + expected(40, 1))
    base = image.put(bytes(2 * EXTENT.size))
    image.inode(40, 2 * BLOCK)
    image.map(40, 2, base)
    image.entry(base, 0, data, BLOCK)
    image.entry(base, 1, data + BLOCK, BLOCK)

    image.directory(50, "dir")
    image.directory(51, "sub", 50)
    image.name(51, 77, "hard link")
    image.file(60, 0, "empty")
    image.inode(61, 3 * BLOCK)
    image.name(ROOT, 61, "no-map")
    image.name(ROOT, 60, "gone")
    image.remove(ROOT, 60, "gone")
    image.name(50, 60, "x" * 255)

    # A directory that has moved, and one that was removed and not used again.
    image.directory(52, "before")
    image.remove(ROOT, 52, "before")
    image.name(50, 52, "after")
    image.directory(53, "rm")
    image.remove(ROOT, 53, "rm")
    image.name(52, 40, "late")

    # Two entries that share their bytes.
    base = image.file(SHARED, 2 * BLOCK, "shared")
    data = image.put(expected(SHARED, 0))
    image.entry(base, 0, data, BLOCK)
    image.entry(base, 1, data, BLOCK)
    image.put(b"bytes after the last record")
    image.save(path)


class Damaged(Exception):
    pass


def need(condition, at, what):
    if not condition:
        raise Damaged(f"offset {at}: {what}")


class Tree:
    """A reader that believes nothing."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        self.inodes = {ROOT: (DIRECTORY | 0o555, 0)}
        self.maps = {}
        self.names = {ROOT: {}}
        self.parents = {}
        self.load()

    def load(self):
        need(len(self.data) >= SUPER.size, 0, "no superblock")
        magic, version, size, flags, at, block = SUPER.unpack_from(self.data)
        need((magic, version, size, flags, block) == (MAGIC, 1, SUPER.size, 0, BLOCK), 0,
             "superblock")
        prev = 0
        while at:
            need(at > prev and at + HEADER.size <= len(self.data), at, "link")
            kind, size, check, following, back = HEADER.unpack_from(self.data, at)
            need(back == prev, at, "link back")
            want = {T_INODE: 45, T_MAP: 43, T_DIR: 296}.get(kind)
            need(size == want and at + size <= len(self.data), at, "size of a record")
            body = self.data[at + HEADER.size:at + size]
            need(check == crc(HEADER.pack(kind, size, 0, 0, back) + body), at, "CRC")
            (None, self.load_inode, self.load_map, self.load_name)[kind](at, body)
            prev, at = at, following

    def load_inode(self, at, body):
        ino, size, mode, flags = INODE.unpack(body)
        need(ino > ROOT and ino not in self.inodes and not flags, at, "inode")
        need(mode & 0o170000 in (REG, DIRECTORY), at, "type")
        need(mode & REG or not size, at, "size of a directory")
        need(ino < 1 << 32 and blocks_of(size) < 1 << 32, at, "range")
        self.inodes[ino] = mode, size
        if mode & DIRECTORY:
            self.names[ino] = {}

    def load_map(self, at, body):
        ino, base, count = MAP.unpack(body)
        mode, size = self.inodes.get(ino, (0, 0))
        need(mode & REG and count == blocks_of(size) and ino not in self.maps, at, "block map")
        need(base >= SUPER.size and base + count * EXTENT.size <= len(self.data), at,
             "place of a block map")
        self.maps[ino] = base

    def load_name(self, at, body):
        directory, ino, action, size, name = DIR.unpack(body)
        need(not any(name[size:]), at, "name is not followed by zeros")
        name = name[:size]
        names = self.names.get(directory)
        need(names is not None and name not in (b"", b".", b"..", b".cmd"), at, "name")
        need(b"/" not in name and b"\0" not in name, at, "bytes of a name")
        if action == ADD:
            need(name not in names and ino in self.inodes and ino != ROOT, at, "addition")
            names[name] = ino
            if ino in self.names:
                need(ino not in self.parents, at, "second parent")
                self.parents[ino] = directory
                while directory in self.parents:
                    need(directory != ino, at, "cycle")
                    directory = self.parents[directory]
        else:
            need(action == REMOVE and names.get(name) == ino and not self.names.get(ino), at,
                 "removal")
            del names[name]
            self.parents.pop(ino, None)

    def blocks(self, ino):
        """The present blocks; what they hold is checked."""
        size = self.inodes[ino][1]
        present = []
        for block in range(blocks_of(size) if ino in self.maps else 0):
            entry = self.maps[ino] + block * EXTENT.size
            low, high, stored, flags, check = EXTENT.unpack_from(self.data, entry)
            at = low | high << 32
            if not at or not stored:
                continue
            data = self.data[at:at + stored]
            need(len(data) == stored and crc(data) == check and not flags & ~LZ4, entry,
                 f"block {block} of inode {ino}")
            data = lz4_expand(data) if flags & LZ4 else data
            want = expected(ino, block)[:min(BLOCK, size - block * BLOCK)]
            need(data == want, entry, f"block {block} of inode {ino} holds something else")
            present.append(block)
        return present

    def show(self, directory=ROOT, path=""):
        for name, ino in self.names[directory].items():
            mode, size = self.inodes[ino]
            full = path + "/" + name.decode("latin-1")
            if mode & DIRECTORY:
                print(f"d {ino} {mode & 0o777:o} {full}")
                self.show(ino, full)
            else:
                print(f"f {ino} {mode & 0o777:o} {size} {full}", ranges(self.blocks(ino)))


def ranges(blocks):
    runs = []
    for block in blocks:
        if runs and runs[-1][1] == block - 1:
            runs[-1][1] = block
        else:
            runs.append([block, block])
    return ",".join(f"{a}-{b}" for a, b in runs) or "none"


FAULTS = []


def fault(name):
    """Registers a function that makes an image wrong and returns where."""
    def register(function):
        FAULTS.append((name, function))
        return function
    return register


def super_fault(name, **values):
    @fault(name)
    def _(image):
        image.set_super(**values)
        return 0


def link_fault(name, link):
    """The link to the next record, in one that is followed by another."""
    @fault(name)
    def _(image):
        at = image.last
        image.file(9, 0)
        struct.pack_into("<Q", image.data, at + 7, link(image, at))
        return at


def record_fault(name, make):
    fault(name)(make)


def byte_fault(name, offset, value):
    """A byte of a record that is followed by nothing."""
    @fault(name)
    def _(image):
        at = image.inode(9, 0)
        image.data[at + offset] = value
        return at


super_fault("wrong magic", magic=MAGIC + 1)
super_fault("version 2", version=2)
super_fault("version 0", version=0)
super_fault("superblock of another size", size=SUPER.size + 1)
super_fault("unknown feature flags", flags=2)
super_fault("another block size", block=8192)
super_fault("first record inside the superblock", first=8)
super_fault("first record at an offset that no image has", first=1 << 48)


@fault("image shorter than a superblock")
def _(image):
    del image.data[SUPER.size - 1:]
    return 0


byte_fault("record of type 0", 0, T_NONE)
byte_fault("record of an unknown type", 0, 9)
byte_fault("record of a type of another size", 0, T_MAP)
byte_fault("record size that is too small", 1, 22)
byte_fault("record size that is too large", 2, 1)
byte_fault("changed byte in an inode record", HEADER.size + 8, 1)
record_fault("wrong CRC", lambda image: image.inode(9, 0, bad_crc=1))
record_fault("wrong link back", lambda image: image.inode(9, 0, prev=40))
record_fault("link back of zero in a later record", lambda image: image.inode(9, 0, prev=0))
link_fault("link to itself", lambda image, at: at)
link_fault("link back", lambda image, at: SUPER.size)
link_fault("link into the record", lambda image, at: at + 10)
link_fault("link to an offset that no image has", lambda image, at: 1 << 48)
link_fault("link to the end of the numbers", lambda image, at: (1 << 64) - 1)


@fault("link back of something in the first record")
def _(image):
    del image.data[SUPER.size:]
    image.last = 0
    image.set_super()
    return image.inode(9, 0, prev=SUPER.size)


for number, what in ((0, "0"), (1, "of .cmd"), (2, "of the root"), (1 << 32, "of 33 bits"),
                     ((1 << 64) - 1, "of 64 bits"), (3, "that is taken")):
    record_fault(f"inode number {what}", lambda image, number=number: image.inode(number, 0))
record_fault("inode that is a FIFO", lambda image: image.inode(9, 0, 0o010444))
record_fault("inode without a type", lambda image: image.inode(9, 0, 0o444))
record_fault("directory with a size", lambda image: image.inode(9, 1, DIRECTORY))
record_fault("file too large", lambda image: image.inode(9, 1 << 44))
record_fault("file of 2^64 - 1 bytes", lambda image: image.inode(9, (1 << 64) - 1))
record_fault("unknown inode flags", lambda image: image.inode(9, 0, flags=1))


def map_fault(name, count, base=None, ino=9, size=5 * BLOCK):
    @fault(name)
    def _(image):
        image.inode(9, size)
        return image.map(ino, count, base)[0]


map_fault("block map with too few entries", 4)
map_fault("block map with too many entries", 6)
map_fault("block map without entries", 0)
map_fault("block map outside the image", 5, 1 << 40)
map_fault("block map at the end of the numbers", 5, (1 << 64) - 20)
map_fault("block map that ends outside the image", (1 << 32) - 1, 64)
map_fault("block map in the superblock", 5, 0)
map_fault("block map of an empty file", 1, size=0)
map_fault("block map of a directory", 1, ino=4)
map_fault("block map of an unknown inode", 5, ino=10)


@fault("second block map of a file")
def _(image):
    image.file(9, BLOCK)
    return image.map(9, 1)[0]


# Inode 3 is the file "file", 4 the directory "dir", 5 "dir/sub", 6 a directory
# without a name, 7 a file without one.
for bad, what in (("a/b", "with /"), ("a\0b", "with NUL"), (".", "."), ("..", ".."),
                  (".cmd", ".cmd")):
    record_fault(f"name {what}", lambda image, bad=bad: image.name(ROOT, 7, bad))
record_fault("empty name", lambda image: image.name(ROOT, 7, "x", length=0))
record_fault("directory action 0", lambda image: image.name(ROOT, 7, "x", action=0))
record_fault("unknown directory action", lambda image: image.name(ROOT, 7, "x", action=3))
record_fault("name that is taken", lambda image: image.name(ROOT, 7, "file"))
record_fault("name of an unknown inode", lambda image: image.name(ROOT, 99, "x"))
record_fault("name of an inode of 64 bits", lambda image: image.name(ROOT, 1 << 63, "x"))
record_fault("name of .cmd's inode", lambda image: image.name(ROOT, 1, "x"))
record_fault("name of the root", lambda image: image.name(4, ROOT, "x"))
record_fault("name in an unknown directory", lambda image: image.name(99, 7, "x"))
record_fault("name in a file", lambda image: image.name(3, 7, "x"))
record_fault("second parent", lambda image: image.name(ROOT, 5, "x"))
record_fault("directory in itself", lambda image: image.name(6, 6, "x"))
record_fault("removal of no name", lambda image: image.remove(ROOT, 3, "x"))
record_fault("removal of another inode's name", lambda image: image.remove(ROOT, 7, "file"))
record_fault("removal from a file", lambda image: image.remove(3, 7, "x"))
record_fault("removal of a directory with entries", lambda image: image.remove(ROOT, 4, "dir"))


@fault("cycle")
def _(image):
    image.directory(9, "a", 6)
    image.directory(10, "b", 9)
    return image.name(10, 6, "c")


def damage(directory):
    for number, (name, make) in enumerate(FAULTS):
        image = Image()
        image.file(3, BLOCK, "file")
        image.directory(4, "dir")
        image.directory(5, "sub", 4)
        image.directory(6)
        image.inode(7, 0)
        at = make(image)
        image.save(f"{directory}/{number}.img")
        print(at, name, sep="\t")


def damaged_blocks(path):
    image = Image()
    base = image.file(3, 16 * BLOCK, "file")
    good = lz4_words(expected(3, 0))
    image.store(base, 0, expected(3, 0))
    image.store(base, 1, expected(3, 1), check=1)
    image.store(base, 2, good, LZ4, check=1)
    image.store(base, 3, b"\xff" * 100, LZ4)
    image.store(base, 4, lz4_literals(expected(3, 4)[:-1]), LZ4)
    image.store(base, 5, lz4_literals(expected(3, 5) + b"x"), LZ4)
    image.store(base, 6, b"\x1fa\xff\xff" + length(0), LZ4)
    image.entry(base, 7, 1 << 47, BLOCK, check=1)
    image.entry(base, 8, 5, BLOCK)
    image.store(base, 9, expected(3, 9), flags=2)
    image.store(base, 10, expected(3, 10) + b"x" * 1000)
    image.store(base, 11, expected(3, 11)[:2000])
    image.store(base, 12, lz4_words(expected(3, 12)), LZ4)
    image.entry(base, 13, 0, BLOCK, check=0)
    image.entry(base, 14, 4000, 0, check=0)
    image.entry(base, 15, len(image.data) - 10, 4000, check=1)
    image.save(path)


def main(arguments):
    if len(arguments) != 2:
        sys.exit(__doc__)
    verb, path = arguments
    if verb == "check":
        try:
            Tree(path).show()
        except (Damaged, ValueError) as error:
            sys.exit(f"{path}: {error}")
        return
    {"write": write, "damage": damage, "blocks": damaged_blocks}[verb](path)


main(sys.argv[1:])
