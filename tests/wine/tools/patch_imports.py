#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Renames imported DLLs in a Windows binary to names of the same length, and proves that nothing else changed.

    patch_imports.py IN OUT OLD=NEW [OLD=NEW ...]

Each OLD must be imported (a name with a question mark after it, OLD?=NEW, may be absent); names compare without case.
The proof compares both files byte by byte: they may differ inside the zero-terminated names of the import and delay
import descriptors alone, and each of these names must read as it was asked for. The checksum in the header is left as it
is: nothing in the laboratory looks at it, and a stale one shows that this is a laboratory's copy.
"""
import struct
import sys


class BadImage(Exception):
    pass


class Image:
    """The few parts of a PE file that lead to the names of imported DLLs."""

    def __init__(self, data):
        self.data = data
        if data[:2] != b"MZ":
            raise BadImage("not an executable")
        pe = self.u32(0x3C)
        if data[pe:pe + 4] != b"PE\0\0":
            raise BadImage("no PE header")
        sections, optional = struct.unpack_from("<H", data, pe + 6)[0], struct.unpack_from("<H", data, pe + 20)[0]
        magic = struct.unpack_from("<H", data, pe + 24)[0]
        if magic not in (0x10B, 0x20B):
            raise BadImage("unknown optional header")
        self.directories = pe + 24 + (112 if magic == 0x20B else 96)
        self.directory_count = self.u32(self.directories - 4)
        table = pe + 24 + optional
        self.sections = [struct.unpack_from("<IIII", data, table + 40 * i + 8) for i in range(sections)]

    def u32(self, offset):
        return struct.unpack_from("<I", self.data, offset)[0]

    def offset(self, rva):
        for size, base, raw_size, raw in self.sections:
            if base <= rva < base + max(size, raw_size) and rva - base < raw_size:
                return raw + rva - base
        raise BadImage(f"address {rva:#x} is not in the file")

    def name(self, offset):
        end = self.data.index(b"\0", offset)
        return self.data[offset:end].decode("ascii")

    def names(self):
        """(file offset, name) of each imported DLL."""
        for directory, size, field in ((1, 20, 12), (13, 32, 4)):
            if directory >= self.directory_count or not self.u32(self.directories + 8 * directory):
                continue
            at = self.offset(self.u32(self.directories + 8 * directory))
            while any(self.data[at:at + size]):
                offset = self.offset(self.u32(at + field))
                yield offset, self.name(offset)
                at += size

    def functions(self):
        """(DLL, function) of each import by name; an import by number is '#number'."""
        if self.directory_count < 2 or not self.u32(self.directories + 8):
            return
        at = self.offset(self.u32(self.directories + 8))
        while any(self.data[at:at + 20]):
            dll = self.name(self.offset(self.u32(at + 12)))
            thunk = self.offset(self.u32(at) or self.u32(at + 16))
            while (entry := struct.unpack_from("<Q", self.data, thunk)[0]):
                yield dll, f"#{entry & 0xFFFF}" if entry >> 63 else self.name(self.offset(entry) + 2)
                thunk += 8
            at += 20


def patch(data, renames):
    """The patched bytes; renames maps lower-case names to (new name, must be there)."""
    out = bytearray(data)
    found = set()
    for offset, name in Image(data).names():
        if name.lower() in renames:
            new = renames[name.lower()][0]
            out[offset:offset + len(new)] = new.encode("ascii")
            found.add(name.lower())
    missing = [old for old, (_, needed) in renames.items() if needed and old not in found]
    if missing:
        raise BadImage("does not import " + ", ".join(missing))
    return bytes(out)


def prove(before, after, renames):
    """Raises unless after is before with the names replaced as asked, and nothing else."""
    if len(before) != len(after):
        raise BadImage("the size has changed")
    allowed = set()
    new_names = list(Image(after).names())
    for (offset, name), (new_offset, new) in zip(Image(before).names(), new_names, strict=True):
        if offset != new_offset or new != renames.get(name.lower(), (name, True))[0]:
            raise BadImage(f"{name} became {new}")
        if name.lower() in renames:
            allowed.update(range(offset, offset + len(name)))
    stray = [i for i, (a, b) in enumerate(zip(before, after)) if a != b and i not in allowed]
    if stray:
        raise BadImage(f"{len(stray)} other bytes differ, the first at {stray[0]:#x}")
    wanted = [(renames.get(dll.lower(), (dll, True))[0], function) for dll, function in Image(before).functions()]
    if wanted != list(Image(after).functions()):
        raise BadImage("imported functions differ")


def parse(words):
    renames = {}
    for word in words:
        old, new = word.split("=", 1)
        needed = not old.endswith("?")
        old = old.rstrip("?").lower()
        if len(old) != len(new) or not new.isascii():
            raise BadImage(f"{old} and {new} are not of the same length")
        renames[old] = (new, needed)
    return renames


def patch_file(source, target, words):
    renames = parse(words)
    with open(source, "rb") as file:
        before = file.read()
    with open(target, "wb") as file:
        file.write(patch(before, renames))
    with open(target, "rb") as file:
        prove(before, file.read(), renames)


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    try:
        patch_file(sys.argv[1], sys.argv[2], sys.argv[3:])
    except (BadImage, OSError, ValueError) as error:
        sys.exit(f"{sys.argv[1]}: {error}")


if __name__ == "__main__":
    main()
