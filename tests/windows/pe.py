# SPDX-License-Identifier: GPL-2.0-only
"""What a PE32+ file says about itself (the PE format, as Microsoft documents it)."""
import struct

WRITE, EXECUTE, DISCARDABLE = 0x80000000, 0x20000000, 0x02000000
HIGH_ENTROPY, DYNAMIC_BASE, NX, GUARD_CF, WDM_DRIVER = 0x20, 0x40, 0x100, 0x4000, 0x2000
NATIVE, CONSOLE = 1, 3
CF_INSTRUMENTED, CF_TABLE = 0x100, 0x400
REPRO = 16


class PE:
    def __init__(self, path):
        with open(path, "rb") as f:
            self.data = data = f.read()
        header = struct.unpack_from("<I", data, 0x3c)[0]
        if data[:2] != b"MZ" or data[header:header + 4] != b"PE\0\0":
            raise ValueError(f"{path} is no PE file")
        self.machine, count, self.time = struct.unpack_from("<HHI", data, header + 4)
        size = struct.unpack_from("<H", data, header + 20)[0]
        self.optional = at = header + 24
        if struct.unpack_from("<H", data, at)[0] != 0x20b:
            raise ValueError(f"{path} is not PE32+")
        self.base = struct.unpack_from("<Q", data, at + 24)[0]
        self.subsystem_version = struct.unpack_from("<HH", data, at + 48)
        self.checksum, self.subsystem, self.characteristics = struct.unpack_from("<IHH", data, at + 64)
        number = struct.unpack_from("<I", data, at + 108)[0]
        self.directories = [struct.unpack_from("<II", data, at + 112 + 8 * i) for i in range(number)]
        self.sections = []
        for i in range(count):
            name, virtual, address, raw, offset = struct.unpack_from("<8sIIII", data, at + size + 40 * i)
            flags = struct.unpack_from("<I", data, at + size + 40 * i + 36)[0]
            self.sections.append((name.rstrip(b"\0").decode(), address, max(virtual, raw), offset, flags))

    def offset(self, address):
        for _, start, size, offset, _ in self.sections:
            if start <= address < start + size:
                return address - start + offset
        raise ValueError(f"no section has address {address:#x}")

    def text(self, address):
        at = self.offset(address)
        return self.data[at:self.data.index(b"\0", at)].decode("ascii")

    def imports(self):
        """Sorted (dll, name), the DLL in lower case; an import by number is "#number"."""
        found, at = set(), self.offset(self.directories[1][0])
        while True:
            names, _, _, dll, addresses = struct.unpack_from("<IIIII", self.data, at)
            if not dll:
                return sorted(found)
            table = self.offset(names or addresses)
            while entry := struct.unpack_from("<Q", self.data, table)[0]:
                name = f"#{entry & 0xffff}" if entry >> 63 else self.text(entry + 2)
                found.add((self.text(dll).lower(), name))
                table += 8
            at += 20

    def debug_types(self):
        address, size = self.directories[6]
        if not size:
            return []
        at = self.offset(address)
        return [struct.unpack_from("<I", self.data, at + 28 * i + 12)[0] for i in range(size // 28)]

    def guard(self):
        """(flags, functions in the table) of control-flow guard; (0, 0) without a load configuration."""
        address, size = self.directories[10]
        if not size:
            return 0, 0
        at = self.offset(address)
        if struct.unpack_from("<I", self.data, at)[0] < 148:
            return 0, 0
        count = struct.unpack_from("<Q", self.data, at + 136)[0]
        return struct.unpack_from("<I", self.data, at + 144)[0], count

    def computed_checksum(self):
        """As MapFileAndCheckSum does: 16-bit words with carry, without the field itself, plus the length."""
        data = self.data + bytes(-len(self.data) % 2)
        field = (self.optional + 64) // 2
        total = sum(word for i, word in enumerate(struct.unpack(f"<{len(data) // 2}H", data)) if i not in (field, field + 1))
        while total >> 16:
            total = (total & 0xffff) + (total >> 16)
        return total + len(self.data)
