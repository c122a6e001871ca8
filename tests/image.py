#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Images in format v1, written and read by what docs/format.md says alone.

Nothing here is shared with the module or the tools, so that a mistake of theirs
about the format is not made here as well.

  image.py write FILE        an image with all that the format of 2019 allows
  image.py attrs FILE        one with attributes and symbolic links as well
  image.py check FILE        check it whole, print its tree, its present blocks
                             and its attributes
  image.py compare FILE DIR  is DIR what is in it, with zeros for what is absent?
  image.py damage DIR        an image for each fault that a reader has to refuse,
                             and print NAME and the OFFSET that is to be told
  image.py damage-attrs DIR  the same, for faults in attributes
  image.py blocks FILE       a sound image with stored blocks that are damaged

What a block holds follows from inode and index, as in lib/incfs.c.
"""
import binascii
import os
import stat
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
ATTRS = struct.Struct("<QqIIIH")
ITEM = struct.Struct("<BBH")
T_NONE, T_INODE, T_MAP, T_DIR, T_ATTRS = range(5)
ADD, REMOVE = 1, 2
ROOT = 2
REG, DIRECTORY, SYMLINK = 0o100000, 0o040000, 0o120000
LZ4 = 1
F_ATTRS = 1
TARGET, KEY, XATTR = 1, 2, 3
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


def item(kind, value, name=b"", cut=0):
    return ITEM.pack(kind, len(name), len(value) + cut) + name + value


class Image:
    """A writer that does as it is told, also what is wrong."""

    def __init__(self, flags=0):
        self.data = bytearray(SUPER.size)
        self.last = 0
        self.set_super(flags=flags)

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

    def attrs(self, ino, items=b"", mode=0o644, uid=0, gid=0, mtime=0, nsec=0, end=b"\1", **more):
        body = ATTRS.pack(ino, mtime, nsec, uid, gid, mode) + items + end
        return self.record(T_ATTRS, body, **more)

    def symlink(self, ino, target, name=None, parent=ROOT, **more):
        self.inode(ino, len(target), SYMLINK | 0o777)
        self.attrs(ino, item(TARGET, target), mode=0o777, **more)
        if name:
            self.name(parent, ino, name)

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


def write_attrs(path):
    image = Image(F_ATTRS)
    image.inode(10, 2 * BLOCK + 5)
    image.attrs(10, item(KEY, bytes(range(256)) * 2) + item(XATTR, b"", b"user.empty") +
                item(XATTR, b"\0\xff" * 300, b"user.\xe4"), 0o4751, 12, 34, 1234567890, 999999999)
    _, base = image.map(10, 3)
    image.name(ROOT, 10, "program")
    for block in range(3):
        data = expected(10, block)[:BLOCK if block < 2 else 5]
        image.store(base, block, lz4_literals(data) if block & 1 else data, block & 1)
    image.inode(11, 0, DIRECTORY)
    image.attrs(11, item(XATTR, b"v", b"user.dir"), 0o1775, 1, 2, -1, 1)
    image.name(ROOT, 11, "dir")
    image.symlink(12, b"../program", "link", 11, uid=5, gid=6, mtime=1 << 31, nsec=7)
    image.name(ROOT, 12, "\udce4\tlink".encode(errors="surrogateescape"))
    image.symlink(13, b"x" * (BLOCK - HEADER.size - ATTRS.size - ITEM.size - 1), "long")
    image.symlink(14, b"/nowhere/\xff")
    # No attributes beside others that have some, and a mode that a mount reduces.
    image.inode(15, 0, REG | 0o4755)
    image.name(11, 15, "plain")
    image.name(11, 10, "again")
    image.inode(16, 0, REG | 0o444)
    image.attrs(16, b"".join(item(XATTR, b"", b"user.%d" % n) for n in range(128)), 0o400)
    image.name(11, 16, "many")
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
        self.attrs = {}
        self.named = {ROOT}
        self.load()

    def load(self):
        need(len(self.data) >= SUPER.size, 0, "no superblock")
        magic, version, size, flags, at, block = SUPER.unpack_from(self.data)
        need((magic, version, size, block) == (MAGIC, 1, SUPER.size, BLOCK), 0, "superblock")
        need(flags & 0xFFFF in (0, F_ATTRS), 0, "features")
        self.has_attrs = flags & F_ATTRS
        prev = 0
        while at:
            need(at > prev and at + HEADER.size <= len(self.data), at, "link")
            kind, size, check, following, back = HEADER.unpack_from(self.data, at)
            need(back == prev, at, "link back")
            need(kind != T_ATTRS or self.has_attrs, at, "attributes without the feature")
            want = {T_INODE: 45, T_MAP: 43, T_DIR: 296, T_ATTRS: max(54, min(size, 4096))}.get(kind)
            need(size == want and at + size <= len(self.data), at, "size of a record")
            body = self.data[at + HEADER.size:at + size]
            need(check == crc(HEADER.pack(kind, size, 0, 0, back) + body), at, "CRC")
            (None, self.load_inode, self.load_map, self.load_name, self.load_attrs)[kind](at, body)
            prev, at = at, following

    def load_inode(self, at, body):
        ino, size, mode, flags = INODE.unpack(body)
        need(ino > ROOT and ino not in self.inodes and not flags, at, "inode")
        kind = stat.S_IFMT(mode)
        need(kind in (REG, DIRECTORY) or self.has_attrs and kind == SYMLINK, at, "type")
        need(kind != DIRECTORY or not size, at, "size of a directory")
        need(kind != SYMLINK or 0 < size < BLOCK, at, "size of a target")
        need(ino < 1 << 32 and blocks_of(size) < 1 << 32, at, "range")
        self.inodes[ino] = kind | mode & 0o555, size
        if kind == DIRECTORY:
            self.names[ino] = {}

    def load_map(self, at, body):
        ino, base, count = MAP.unpack(body)
        mode, size = self.inodes.get(ino, (0, 0))
        need(stat.S_ISREG(mode) and count == blocks_of(size) and ino not in self.maps, at,
             "block map")
        need(base >= SUPER.size and base + count * EXTENT.size <= len(self.data), at,
             "place of a block map")
        self.maps[ino] = base

    def load_items(self, at, body):
        items, xattrs = {}, {}
        while body:
            need(len(body) >= ITEM.size, at, "item")
            kind, name_len, value_len = ITEM.unpack_from(body)
            name = body[ITEM.size:ITEM.size + name_len]
            value = body[ITEM.size + name_len:ITEM.size + name_len + value_len]
            body = body[ITEM.size + name_len:]
            need(len(value) == value_len, at, "length of an item")
            body = body[value_len:]
            if kind == XATTR:
                need(name.startswith(b"user.") and len(name) > 5 and b"\0" not in name, at, "xattr")
                need(name not in xattrs, at, "xattr twice")
                xattrs[name] = value
            else:
                need(kind in (TARGET, KEY) and not name and kind not in items and value, at, "item")
                need(kind == KEY and len(value) <= 512 or kind == TARGET and b"\0" not in value, at,
                     "value")
                items[kind] = value
        need(len(items) + len(xattrs) <= 128, at, "number of items")
        return items, xattrs

    def load_attrs(self, at, body):
        ino, mtime, nsec, uid, gid, mode = ATTRS.unpack_from(body)
        need(ino in self.inodes and ino not in self.named and ino not in self.attrs, at,
             "inode of attributes")
        need(body[-1] == 1 and nsec < 10 ** 9 and not mode & ~0o7777, at, "attributes")
        items, xattrs = self.load_items(at, body[ATTRS.size:-1])
        kind, size = stat.S_IFMT(self.inodes[ino][0]), self.inodes[ino][1]
        need(len(items.get(TARGET, b"")) == size if kind == SYMLINK else TARGET not in items, at,
             "target")
        self.inodes[ino] = kind | mode, size
        self.attrs[ino] = uid, gid, mtime * 10 ** 9 + nsec, items, xattrs

    def load_name(self, at, body):
        directory, ino, action, size, name = DIR.unpack(body)
        need(not any(name[size:]), at, "name is not followed by zeros")
        name = name[:size]
        names = self.names.get(directory)
        need(names is not None and name not in (b"", b".", b"..", b".cmd"), at, "name")
        need(b"/" not in name and b"\0" not in name, at, "bytes of a name")
        if action == ADD:
            need(name not in names and ino in self.inodes and ino != ROOT, at, "addition")
            need(ino in self.attrs or not stat.S_ISLNK(self.inodes[ino][0]), at, "no target")
            names[name] = ino
            self.named.add(ino)
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
        return list(self.contents(ino))

    def contents(self, ino):
        """What they hold, by block."""
        size = self.inodes[ino][1]
        present = {}
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
            present[block] = data
        return present

    def show(self, directory=ROOT, path=""):
        for name, ino in self.names[directory].items():
            mode, size = self.inodes[ino]
            full = path + "/" + name.decode("latin-1")
            if stat.S_ISDIR(mode):
                print(f"d {ino} {mode & 0o7777:o} {full}")
                self.show_attrs(ino)
                self.show(ino, full)
            elif stat.S_ISLNK(mode):
                print(f"l {ino} {mode & 0o7777:o} {size} {full}")
                self.show_attrs(ino)
            else:
                print(f"f {ino} {mode & 0o7777:o} {size} {full}", ranges(self.blocks(ino)))
                self.show_attrs(ino)

    def show_attrs(self, ino):
        if ino in self.attrs:
            uid, gid, mtime, items, xattrs = self.attrs[ino]
            print(f"  {uid} {gid} {mtime}", *(f"{kind}={value.hex()}" for kind, value in
                                              sorted(items.items()) + sorted(xattrs.items())))

    def compare(self, path, directory=ROOT, seen=None):
        """Is what lies at this path what the directory holds?"""
        seen = {} if seen is None else seen
        names = self.names[directory]
        need(set(os.listdir(path)) - {b".cmd"} == set(names), path, "names")
        for name, ino in names.items():
            full = path + b"/" + name
            real = os.lstat(full)
            mode, size = self.inodes[ino]
            need(seen.setdefault(ino, real.st_ino) == real.st_ino, full, "links")
            need(stat.S_IFMT(real.st_mode) == stat.S_IFMT(mode), full, "type")
            if stat.S_ISLNK(mode):
                need(os.readlink(full) == self.attrs[ino][3][TARGET], full, "target")
            else:
                if os.geteuid() or ino not in self.attrs:
                    mode &= ~0o6000
                need(real.st_mode == mode, full, f"mode {real.st_mode:o}, not {mode:o}")
            self.compare_attrs(full, ino, real)
            if stat.S_ISDIR(mode):
                self.compare(full, ino, seen)
            elif stat.S_ISREG(mode):
                need(real.st_size == size, full, "size")
                self.compare_data(full, ino)

    def compare_data(self, path, ino):
        present = self.contents(ino)
        with open(path, "rb") as file:
            for block in range(blocks_of(self.inodes[ino][1])):
                data = file.read(BLOCK)
                need(data == present.get(block, bytes(BLOCK))[:len(data)], path, f"block {block}")

    def compare_attrs(self, path, ino, real):
        if ino not in self.attrs:
            return
        uid, gid, mtime, _, xattrs = self.attrs[ino]
        need(os.geteuid() or (real.st_uid, real.st_gid) == (uid, gid), path, "owner")
        need(real.st_mtime_ns == mtime, path, f"time {real.st_mtime_ns}, not {mtime}")
        if not stat.S_ISLNK(real.st_mode):
            found = {name.encode(errors="surrogateescape"): os.getxattr(path, name)
                     for name in os.listxattr(path) if name.startswith("user.")}
            need(found == xattrs, path, "extended attributes")


def ranges(blocks):
    runs = []
    for block in blocks:
        if runs and runs[-1][1] == block - 1:
            runs[-1][1] = block
        else:
            runs.append([block, block])
    return ",".join(f"{a}-{b}" for a, b in runs) or "none"


FAULTS, ATTR_FAULTS = [], []


def fault(name, faults=FAULTS):
    """Registers a function that makes an image wrong and returns where."""
    def register(function):
        faults.append((name, function))
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


# The same with inode 8, a symbolic link without attributes and without a name.
def attr_fault(name, make):
    fault(name, ATTR_FAULTS)(make)


def items_fault(name, *items, ino=7):
    attr_fault(name, lambda image: image.attrs(ino, b"".join(items)))


for bad, what in ((99, "an unknown inode"), (ROOT, "the root"), (3, "an inode with a name"),
                  (1, ".cmd"), (1 << 63, "an inode of 64 bits")):
    attr_fault(f"attributes of {what}", lambda image, bad=bad: image.attrs(bad))
attr_fault("nanoseconds of a second", lambda image: image.attrs(7, nsec=10 ** 9))
attr_fault("mode of 13 bits", lambda image: image.attrs(7, mode=0o10000))
attr_fault("another end of attributes", lambda image: image.attrs(7, end=b"\2"))
attr_fault("attributes too short", lambda image: image.attrs(7, end=b""))
attr_fault("attributes too long", lambda image: image.attrs(7, item(XATTR, bytes(4040), b"user.x")))
items_fault("item cut off in its head", b"\3\6")
items_fault("item cut off in its name", ITEM.pack(XATTR, 7, 0) + b"user.x")
items_fault("item cut off in its value", item(XATTR, b"12", b"user.x", 1))
items_fault("unknown item", item(4, b"x"))
items_fault("item of type 0", item(0, b"x"))
items_fault("key with a name", item(KEY, b"x", b"name"))
items_fault("empty key", item(KEY, b""))
items_fault("key too long", item(KEY, bytes(513)))
items_fault("two keys", item(KEY, b"x"), item(KEY, b"y"))
items_fault("attribute of the system", item(XATTR, b"x", b"trusted.x"))
items_fault("attribute without a name", item(XATTR, b"x", b"user."))
items_fault("attribute with NUL in its name", item(XATTR, b"x", b"user.a\0b"))
items_fault("attribute twice", item(XATTR, b"x", b"user.x"), item(KEY, b"k"),
            item(XATTR, b"y", b"user.x"))
items_fault("items too many", *(item(XATTR, b"", b"user.%d" % n) for n in range(129)))
items_fault("target of a file", item(TARGET, b"x"))
items_fault("target of a directory", item(TARGET, b"x"), ino=6)
items_fault("symbolic link with attributes but no target", item(KEY, b"x"), ino=8)
items_fault("empty target", item(TARGET, b""), ino=8)
items_fault("target with NUL", item(TARGET, b"a\0b"), ino=8)
items_fault("target with a name", item(TARGET, b"abc", b"x"), ino=8)
items_fault("two targets", item(TARGET, b"abc"), item(TARGET, b"abc"), ino=8)
items_fault("target shorter than its inode says", item(TARGET, b"ab"), ino=8)
items_fault("target longer than its inode says", item(TARGET, b"abcd"), ino=8)
attr_fault("symbolic link of size 0", lambda image: image.inode(9, 0, SYMLINK | 0o777))
attr_fault("symbolic link too long", lambda image: image.inode(9, BLOCK, SYMLINK | 0o777))
attr_fault("block map of a symbolic link", lambda image: image.map(8, 1)[0])
attr_fault("name of a symbolic link without target", lambda image: image.name(ROOT, 8, "x"))
attr_fault("name in a symbolic link", lambda image: image.name(8, 7, "x"))


@fault("second attributes", ATTR_FAULTS)
def _(image):
    image.attrs(7)
    return image.attrs(7)


@fault("attributes without the feature", ATTR_FAULTS)
def _(image):
    image.__init__()
    image.inode(9, 0)
    return image.attrs(9)


@fault("symbolic link without the feature", ATTR_FAULTS)
def _(image):
    image.__init__()
    return image.inode(9, 1, SYMLINK | 0o777)


def damage(directory, faults=FAULTS):
    for number, (name, make) in enumerate(faults):
        image = Image(F_ATTRS if faults is ATTR_FAULTS else 0)
        image.file(3, BLOCK, "file")
        image.directory(4, "dir")
        image.directory(5, "sub", 4)
        image.directory(6)
        image.inode(7, 0)
        if faults is ATTR_FAULTS:
            image.inode(8, 3, SYMLINK | 0o777)
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
    verb, path, directory = (arguments + [None, None, None])[:3]
    if len(arguments) != (3 if verb == "compare" else 2):
        sys.exit(__doc__)
    try:
        if verb == "check":
            Tree(path).show()
        elif verb == "compare":
            Tree(path).compare(os.fsencode(directory))
        elif verb == "damage-attrs":
            damage(path, ATTR_FAULTS)
        else:
            {"write": write, "attrs": write_attrs, "damage": damage,
             "blocks": damaged_blocks}[verb](path)
    except (Damaged, ValueError) as error:
        sys.exit(f"{path}: {error}")


main(sys.argv[1:])
