#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Writes the unsigned catalog of a driver package, which osslsigncode then signs.

    mkcat.py --inf UsbWarpFilter.inf --directory DIR --out DIR/UsbWarpFilter.cat
    mkcat.py --show FILE.cat

A catalog is a PKCS #7 signedData whose content is a certificate trust list (OID 1.3.6.1.4.1.311.10.1) of the package's
files. Of each file there are two members, by SHA-256 and by SHA-1 (the second form of the format, CATALOG_LIST_MEMBER2,
which Windows 8 and later read). A PE file is hashed as Authenticode does, without checksum and signature, so that it may
be signed before or after; all others byte by byte. The INF says which files, hardware ids and system version. Nothing
here depends on the time or the machine: two runs write the same bytes.
"""
import argparse
import hashlib
import os
import re
import struct
import sys

SIGNED_DATA = "1.2.840.113549.1.7.2"
TRUST_LIST = "1.3.6.1.4.1.311.10.1"
CATALOG_LIST = "1.3.6.1.4.1.311.12.1.1"
CATALOG_LIST_MEMBER2 = "1.3.6.1.4.1.311.12.1.3"
NAME_VALUE = "1.3.6.1.4.1.311.12.2.1"
MEMBER_INFO2 = "1.3.6.1.4.1.311.12.2.3"
INDIRECT_DATA = "1.3.6.1.4.1.311.2.1.4"
PE_IMAGE = "1.3.6.1.4.1.311.2.1.15"
FLAT_FILE = "1.3.6.1.4.1.311.2.1.25"
SHA256 = "2.16.840.1.101.3.4.2.1"

FLAGS = 0x10010001 # mscat.h: CRYPTCAT_ATTR_AUTHENTICATED | CRYPTCAT_ATTR_DATAASCII | CRYPTCAT_ATTR_NAMEASCII


# ---- DER ----

def tagged(tag, *parts):
    body = b"".join(parts)
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(size)]) + size + body


def sequence(*parts):
    return tagged(0x30, *parts)


def set_of(*parts):
    return tagged(0x31, *sorted(parts))


def integer(value):
    return tagged(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def octets(value):
    return tagged(0x04, value)


def oid(dotted):
    first, second, *rest = map(int, dotted.split("."))
    body = bytes([40 * first + second])
    for number in rest:
        part = bytes([number & 0x7f])
        while number := number >> 7:
            part = bytes([0x80 | number & 0x7f]) + part
        body += part
    return tagged(0x06, body)


def bmp(text):
    return tagged(0x1e, text.encode("utf-16-be"))


NULL = tagged(0x05)


# ---- hashes ----

def pe_pieces(data):
    """The parts of a PE file that Authenticode hashes; None: no PE file."""
    if data[:2] != b"MZ" or len(data) < 0x40:
        return None
    header = struct.unpack_from("<I", data, 0x3c)[0]
    if data[header:header + 4] != b"PE\0\0":
        return None
    optional = header + 24
    directories = optional + {0x10b: 96, 0x20b: 112}[struct.unpack_from("<H", data, optional)[0]]
    checksum, security = optional + 64, directories + 4 * 8
    where, size = struct.unpack_from("<II", data, security)
    end = where if size else len(data)
    # Signing pads the file to whole 8 bytes before it appends the signature: the hash includes the padding.
    padding = bytes(-end % 8) if not size else b""
    return [data[:checksum], data[checksum + 4:security], data[security + 8:end], padding]


def hashed(data, algorithm):
    digest = hashlib.new(algorithm)
    for piece in pe_pieces(data) or [data]:
        digest.update(piece)
    return digest.digest()


# ---- the INF ----

def parse_inf(text):
    """Sections by lower-case name: lists of (key, value); strings are replaced."""
    sections, current = {}, None
    for line in text.splitlines():
        line = re.sub(r'("[^"]*")|;.*', lambda m: m[1] or "", line).strip()
        if line.startswith("["):
            current = sections.setdefault(line.strip("[]").lower(), [])
        elif line and current is not None:
            key, _, value = line.partition("=")
            current.append((key.strip(), value.strip()))
    strings = {k.lower(): v.strip('"') for k, v in sections.get("strings", [])}

    def replace(word):
        return re.sub(r"%([^%]+)%", lambda m: strings.get(m[1].lower(), m[0]), word).strip('"')

    return {name: [(replace(k), replace(v)) for k, v in lines] for name, lines in sections.items()}


def version_of(decoration):
    """How catalogs call the system that a models section is for: (OS, OSAttr). A minimum build has no place there."""
    match = re.fullmatch(r"(?i)NTamd64\.(\d+)\.(\d+)(?:\.\.\.\d+)?", decoration)
    if not match:
        raise SystemExit(f"mkcat: no idea which Windows {decoration} is")
    return f"_v{match[1]}{match[2]}_X64", f"2:{match[1]}.{match[2]}"


class Package:
    def __init__(self, inf):
        with open(inf, "rb") as f:
            data = f.read()
        sections = parse_inf(data.decode("utf-16" if data[:2] == b"\xff\xfe" else "utf-8-sig"))
        self.files = [os.path.basename(inf)] + [name for name, _ in sections["sourcedisksfiles"]]
        self.systems, self.attributes, self.ids = [], [], []
        for _, value in sections["manufacturer"]:
            models, *decorations = [word.strip() for word in value.split(",")]
            for decoration in decorations:
                system, attribute = version_of(decoration)
                self.systems.append(system)
                self.attributes.append(attribute)
                for _, model in sections[f"{models}.{decoration}".lower()]:
                    self.ids += [word.strip().lower() for word in model.split(",")[1:]]
        version = dict((k.lower(), v) for k, v in sections["version"])
        self.catalog = version["catalogfile"]
        month, day, year = version["driverver"].split(",")[0].split("/")
        self.date = f"{year[2:]}{month}{day}000000Z"


# ---- the catalog ----

def name_value(name, value):
    return sequence(bmp(name), integer(FLAGS), octets((value + "\0").encode("utf-16-le")))


def attribute(kind, value):
    return sequence(oid(kind), set_of(value))


def indirect_data(data):
    link = tagged(0xa2, tagged(0x80)) # SpcLink: file, of an empty name
    if pe_pieces(data):
        what = sequence(oid(PE_IMAGE), sequence(tagged(0x03, b"\x05\xa0"), tagged(0xa0, link)))
    else:
        what = sequence(oid(FLAT_FILE), link)
    return sequence(what, sequence(sequence(oid(SHA256), NULL), octets(hashed(data, "sha256"))))


def members(name, data, systems):
    common = [attribute(MEMBER_INFO2, tagged(0x82)),
              attribute(NAME_VALUE, name_value("File", name.lower())),
              attribute(NAME_VALUE, name_value("OSAttr", ",".join(systems)))]
    return [(hashed(data, "sha1"), set_of(*common)),
            (hashed(data, "sha256"), set_of(*common, attribute(INDIRECT_DATA, indirect_data(data))))]


def extensions(package):
    values = [("OS", ",".join(package.systems))]
    values += [(f"HWID{i + 1}", name) for i, name in reversed(list(enumerate(package.ids)))]
    return tagged(0xa0, sequence(*(sequence(oid(NAME_VALUE), octets(name_value(k, v)))
                                   for k, v in values)))


def catalog(package, directory):
    entries = []
    for name in package.files:
        with open(os.path.join(directory, name), "rb") as f:
            entries += members(name, f.read(), package.attributes)
    body = b"".join(sequence(octets(tag), attributes) for tag, attributes in sorted(entries))
    trust_list = sequence(
        sequence(oid(CATALOG_LIST)),
        octets(hashlib.sha256(body).digest()[:16]), # a name for this list: the same for the same content
        tagged(0x17, package.date.encode()),
        sequence(oid(CATALOG_LIST_MEMBER2), NULL),
        sequence(body), extensions(package))
    return sequence(oid(SIGNED_DATA), tagged(0xa0, sequence(
        integer(1), set_of(), sequence(oid(TRUST_LIST), tagged(0xa0, trust_list)), set_of())))


# ---- reading one back ----

def items(der):
    """(tag, body) of each element of a constructed value's body."""
    at, found = 0, []
    while at < len(der):
        tag, size, at = der[at], der[at + 1], at + 2
        if size & 0x80:
            count = size & 0x7f
            size, at = int.from_bytes(der[at:at + count], "big"), at + count
        if at + size > len(der):
            raise ValueError("an element ends behind its container")
        found.append((tag, der[at:at + size]))
        at += size
    return found


def body_of(der, *path):
    for index in path:
        der = items(der)[index][1]
    return der


def read_members(data):
    """{hash: {name: value}} of a catalog, signed or not."""
    trust_list = body_of(data, 0, 1, 0, 2, 1, 0)
    wanted = body_of(oid(NAME_VALUE), 0)
    result = {}
    for _, member in items(items(trust_list)[4][1]):
        (_, tag), (_, attributes) = items(member)
        values = {}
        for _, one in items(attributes):
            (_, kind), (_, content) = items(one)
            if kind == wanted:
                (_, name), _, (_, value) = items(body_of(content, 0))
                values[name.decode("utf-16-be")] = value.decode("utf-16-le").rstrip("\0")
        result[tag] = values
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--inf")
    parser.add_argument("--directory", help="where the INF's files are; the INF's by default")
    parser.add_argument("--out")
    parser.add_argument("--show", help="print a catalog's members instead")
    given = parser.parse_args()
    if given.show:
        with open(given.show, "rb") as f:
            for tag, values in sorted(read_members(f.read()).items(), key=lambda m: (m[1].get("File", ""), m[0])):
                print(values.get("File", "?"), values.get("OSAttr", "?"), tag.hex())
        return
    if not given.inf:
        parser.error("which INF?")
    package = Package(given.inf)
    directory = given.directory or os.path.dirname(given.inf) or "."
    out = given.out or os.path.join(directory, package.catalog)
    if os.path.basename(out) != package.catalog:
        sys.exit(f"mkcat: the INF calls its catalog {package.catalog}")
    with open(out, "wb") as f:
        f.write(catalog(package, directory))


if __name__ == "__main__":
    main()
