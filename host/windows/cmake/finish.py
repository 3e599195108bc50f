#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Finishes what lld linked: finish.py FILE FILE.pdb

lld names a PDB by a hash of its content, which has each compiler's command line and so the path of the build. Here
the name (RSDS GUID) and the time stamps become a hash of the program itself, in both files, so that the same sources give
the same program everywhere and the debugger still finds its PDB. The checksum is written, too: lld 14 leaves it 0.
"""
import hashlib
import struct
import sys


def offset_of(data, sections, count, address):
    for i in range(count):
        _, _, start, size, raw = struct.unpack_from("<8sIIII", data, sections + 40 * i)
        if start <= address < start + size:
            return address - start + raw
    raise SystemExit("finish: an address outside of all sections")


def checksum(data):
    data = bytes(data) + bytes(-len(data) % 2)
    total = sum(struct.unpack(f"<{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def finish(data, pdb):
    header = struct.unpack_from("<I", data, 0x3c)[0]
    count, optional = struct.unpack_from("<H", data, header + 6)[0], header + 24
    sections = optional + struct.unpack_from("<H", data, header + 20)[0]
    address, size = struct.unpack_from("<II", data, optional + 112 + 6 * 8)
    directory = offset_of(data, sections, count, address)
    stamps, guid = [header + 8], None
    for entry in range(directory, directory + size, 28):
        kind, length, _, where = struct.unpack_from("<IIII", data, entry + 12)
        stamps.append(entry + 4)
        if kind == 2 and data[where:where + 4] == b"RSDS":
            guid = where + 4
    if guid is None:
        raise SystemExit("finish: no PDB is named")
    former = bytes(data[guid:guid + 16])
    data[guid:guid + 16] = bytes(16)
    for at in stamps + [optional + 64]:
        struct.pack_into("<I", data, at, 0)
    digest = hashlib.sha256(data).digest()
    data[guid:guid + 16] = digest[:16]
    for at in stamps:
        data[at:at + 4] = digest[16:20]
    struct.pack_into("<I", data, optional + 64, checksum(data) + len(data))
    if pdb.count(former) != 1:
        raise SystemExit("finish: the PDB has another name")
    return pdb.replace(former, digest[:16])


def main():
    program, symbols = sys.argv[1:]
    with open(program, "rb") as f:
        data = bytearray(f.read())
    with open(symbols, "rb") as f:
        pdb = finish(data, f.read())
    with open(program, "wb") as f:
        f.write(data)
    with open(symbols, "wb") as f:
        f.write(pdb)


if __name__ == "__main__":
    main()
