#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Writes the .def file of a DLL that forwards every export of another one but those that it replaces.

    forward.py kernel32 CreateFileMappingW=UwlabCreateFileMappingW > uwlab_32.def

The list of exports is read from Wine's own builtin, so that whatever a program may import is there.
"""
import glob
import struct
import sys


def builtin(name):
    for pattern in ("/usr/lib/x86_64-linux-gnu/wine/x86_64-windows", "/usr/lib*/wine/x86_64-windows", "/opt/wine*/lib*/wine/x86_64-windows"):
        for path in glob.glob(f"{pattern}/{name}.dll"):
            with open(path, "rb") as f:
                return f.read()
    sys.exit(f"{name}.dll is not among Wine's builtins")


class Image:
    """Just enough of a PE file to list its exports."""

    def __init__(self, data):
        self.data = data
        pe = struct.unpack_from("<I", data, 0x3c)[0]
        sections, optional = struct.unpack_from("<H12xH", data, pe + 6)
        at = pe + 24 + optional
        self.sections = [struct.unpack_from("<4I", data, at + 40 * i + 8) for i in range(sections)]
        self.exports = struct.unpack_from("<I", data, pe + 24 + 112)[0]

    def offset(self, rva):
        for size, start, raw, where in self.sections:
            if start <= rva < start + max(size, raw):
                return where + rva - start
        sys.exit(f"no section has {rva:#x}")

    def names(self):
        count, _, names = struct.unpack_from("<3I", self.data, self.offset(self.exports) + 24)
        for i in range(count):
            at = self.offset(struct.unpack_from("<I", self.data, self.offset(names) + 4 * i)[0])
            yield self.data[at:self.data.index(b"\0", at)].decode()


def main():
    module, *replaced = sys.argv[1:]
    own = dict(r.split("=") if "=" in r else (r, r) for r in replaced)
    print("EXPORTS")
    for name in Image(builtin(module)).names():
        if name not in own:
            print(f"  {name} = {module}.{name}")
    for name, target in own.items():
        print(f"  {name} = {target}" if name != target else f"  {name}")


if __name__ == "__main__":
    main()
