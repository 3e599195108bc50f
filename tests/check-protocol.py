#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""
Compares docs/PROTOCOL.md with include/usbwarp/proto.h, through the compiler.

Each table row becomes a line of a C program that carries the row's line number in the document, so a field that does
not exist is reported by the compiler at the row that names it. The program prints what sizeof and offsetof say, and
this script compares. A struct's rows must follow each other without a gap from 0 to its size: so no field can be
missing in the document. Enumerators and macros are listed from the header and must all have a row.

With --self-test the script breaks copies of both files in many ways and demands that each break is found.
"""
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DOCUMENT = os.path.join(ROOT, "docs", "PROTOCOL.md")
HEADER = os.path.join(ROOT, "include", "usbwarp", "proto.h")
CC = os.environ.get("CC", "cc")

STRUCT = re.compile(r"^#+ .*`struct (uw_\w+)` \((\d+) bytes\)$")
ENUM = re.compile(r"^#+ .*`enum (uw_\w+)`$")
FIELD_HEAD = ["offset", "size", "field"]
VALUE_HEAD = ["name", "value"]
NAME = re.compile(r"^`([\w.]+)`$")
CONSTANT = re.compile(r"UW_[A-Z0-9_]+")


class Report:
    def __init__(self, quiet=False):
        self.quiet, self.passed, self.failed = quiet, 0, 0

    def check(self, good, text):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            if not self.quiet:
                print(f"FAIL {text}")
        return good

    def say(self, text):
        if not self.quiet:
            print(text)


class Row:
    def __init__(self, line, name, numbers):
        self.line, self.name, self.numbers = line, name, numbers


class Document:
    """The tables of the document: structs, and everything that has a name and a value."""

    def __init__(self, text, report):
        self.structs = {}  # name: (line, size, rows)
        self.enums = {}    # name: rows
        self.values = {}   # name: row, of constants and enumerators
        self.given = {}    # name: row, of defaults
        self.hex = re.findall(r"^```hex\n(.*?)^```$", text, re.M | re.S)
        self.report = report
        self.parse(text.split("\n"))

    def parse(self, lines):
        kind, name, columns = None, None, None
        for at, line in enumerate(lines, 1):
            struct, enum = STRUCT.match(line), ENUM.match(line)
            if struct:
                kind, name = "struct", struct.group(1)
                self.report.check(name not in self.structs, f"PROTOCOL.md:{at}: struct {name} described twice")
                self.structs[name] = (at, int(struct.group(2)), [])
            elif enum:
                kind, name = "enum", enum.group(1)
                self.report.check(name not in self.enums, f"PROTOCOL.md:{at}: enum {name} described twice")
                self.enums[name] = []
            elif line.startswith("#"):
                kind, name = None, None
            if not line.startswith("|"):
                columns = None
                continue
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if columns is None:
                columns = cells
            elif not set(line) <= set("|- "):
                self.row(at, kind, name, columns, cells)

    def row(self, at, kind, name, columns, cells):
        if columns[:3] == FIELD_HEAD and kind == "struct":
            field = NAME.match(cells[2])
            if self.report.check(field and cells[0].isdigit() and cells[1].isdigit(),
                                 f"PROTOCOL.md:{at}: not a field's row"):
                self.structs[name][2].append(Row(at, field.group(1), (int(cells[0]), int(cells[1]))))
        elif columns[:2] == VALUE_HEAD:
            self.value(at, kind, name, cells)

    def value(self, at, kind, name, cells):
        what = NAME.match(cells[0])
        try:
            number = int(cells[1], 0)
        except ValueError:
            what = None
        if not self.report.check(what is not None, f"PROTOCOL.md:{at}: not a value's row"):
            return
        row = Row(at, what.group(1), (number,))
        if "." in row.name or row.name.startswith("UW_PROBE"):
            self.given[row.name] = row
            return
        self.report.check(row.name not in self.values, f"PROTOCOL.md:{at}: {row.name} has two rows")
        self.values[row.name] = row
        if kind == "enum":
            self.enums[name].append(row)


class Header:
    """The names that the header defines. Values and offsets are the compiler's business."""

    def __init__(self, path, report):
        text = re.sub(r"/\*.*?\*/", "", open(path, encoding="utf-8").read(), flags=re.S)
        self.structs = re.findall(r"^\s*struct (uw_\w+) \{", text, re.M)
        self.enums = {name: re.findall(r"^\s*(\w+)(?: =[^,\n]*)?,?[ \t]*$", body, re.M)
                      for name, body in re.findall(r"^enum (uw_\w+) \{\n(.*?)^\};", text, re.M | re.S)}
        listed = subprocess.run([CC, "-E", "-dM", path], capture_output=True, text=True, check=True).stdout
        self.macros = [name for name in re.findall(r"^#define (UW_\w+) \S", listed, re.M)]
        report.check(self.structs and self.enums and self.macros, "the header defines nothing that this script can see")


def build(source, include, report):
    """Compiles and runs a program. A line that does not compile is reported and left out: it has no output."""
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "program")
        while True:
            run = subprocess.run([CC, "-std=gnu11", "-I", include, "-I", ROOT, "-I", os.path.join(ROOT, "core"),
                                  "-x", "c", "-", "-o", program],
                                 input="\n".join(source), capture_output=True, text=True, check=False)
            if run.returncode == 0:
                break
            wrong = {int(n) for n in re.findall(r"^PROTOCOL\.md:(\d+):\d+: error", run.stderr, re.M)}
            keep = []
            for at in range(0, len(source)):
                mark = re.match(r'#line (\d+) "PROTOCOL.md"', source[at - 1]) if at else None
                keep.append("" if mark and int(mark.group(1)) in wrong else source[at])
            if keep == source:
                report.check(False, "the header does not compile:\n" + run.stderr)
                return {}
            source = keep
            for error in re.findall(r"^PROTOCOL\.md:\d+:\d+: error.*$", run.stderr, re.M):
                report.check(False, error)
        out = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    return {int(line.split()[0]): [int(n) for n in line.split()[1:]] for line in out.split("\n") if line}


def say_row(line, *expressions):
    """Two lines of C: print the row's line number, and what the compiler says it should contain."""
    values = ", ".join(f"(unsigned long long)({e})" for e in expressions)
    return [f'#line {line} "PROTOCOL.md"', f'printf("%d{" %llu" * len(expressions)}\\n", {line}, {values});']


def layout_program(document):
    source = ["#include <stdio.h>", "#include <stddef.h>", '#include "usbwarp/proto.h"', "int main(void) {"]
    for name, (line, _, rows) in document.structs.items():
        source += say_row(line, f"sizeof(struct {name})")
        for row in rows:
            source += say_row(row.line, f"offsetof(struct {name}, {row.name})",
                              f"sizeof(((struct {name} *)0)->{row.name})")
    for row in document.values.values():
        source += say_row(row.line, row.name)
    return source + ["return 0; }"]


def check_structs(document, header, said, report):
    for name in header.structs:
        report.check(name in document.structs, f"struct {name} has no table in PROTOCOL.md")
    for name, (line, size, rows) in document.structs.items():
        report.check(said.get(line) == [size], f"PROTOCOL.md:{line}: struct {name} has {said.get(line)} bytes, not {size}")
        end = 0
        for row in rows:
            offset, bytes_ = row.numbers
            report.check(said.get(row.line) == [offset, bytes_],
                         f"PROTOCOL.md:{row.line}: {name}.{row.name} says {offset}, {bytes_}; the compiler says "
                         f"{said.get(row.line)}")
            report.check(offset == end, f"PROTOCOL.md:{row.line}: {name}.{row.name} begins at {offset}, the row above "
                                        f"ends at {end}: a field is missing")
            end = offset + bytes_
        report.check(end == size, f"PROTOCOL.md:{line}: the rows of struct {name} end at {end}, the struct at {size}")
        report.say(f"struct {name}: {len(rows)} fields, {size} bytes")


def check_values(document, header, said, report):
    known = set(header.macros)
    for name, members in header.enums.items():
        known.update(members)
        rows = [row.name for row in document.enums.get(name, [])]
        report.check(name in document.enums, f"enum {name} has no table in PROTOCOL.md")
        report.check(sorted(rows) == sorted(members),
                     f"enum {name}: only in the header {sorted(set(members) - set(rows))}, only in the document "
                     f"{sorted(set(rows) - set(members))}")
        report.say(f"enum {name}: {len(rows)} values")
    for name in header.macros:
        report.check(name in document.values, f"{name} has no row in PROTOCOL.md")
    for row in document.values.values():
        report.check(row.name in known, f"PROTOCOL.md:{row.line}: {row.name} is not in the header")
        report.check(said.get(row.line) == list(row.numbers),
                     f"PROTOCOL.md:{row.line}: {row.name} is {said.get(row.line)}, not {row.numbers[0]}")
    report.say(f"constants: {len(header.macros)}")


def check_mentions(text, document, header, report):
    """Names in running text: none that the header does not know."""
    known = set(document.values) | set(document.given) | {f"enum {e}" for e in header.enums}
    names = sorted(set(re.findall(r"`(UW_[A-Z0-9_]+)`", text)))
    for name in names:
        report.check(name in known, f"PROTOCOL.md speaks of {name}, which nothing defines")
    report.say(f"names in the text: {len(names)}")


DEFAULTS = r"""
#include <stdio.h>
#include "core.c"
int main(void) {
struct uw_layout layout; struct uw_host_limits limits;
uw_layout_default(&layout, UW_REGION_DEFAULT); uw_host_limits_default(&limits);
"""

# The example of the document, made by the core's own encoder.
EXAMPLE = r"""
struct uw_slot slot; const unsigned char setup[8] = { 0x80, 6, 0, 1, 0, 0, 18, 0 };
struct uw_ask ask = { .type = UW_SUB_SUBMIT, .id = UW_ID(3, 1), .port = 1 };
struct uw_answer answer = { .type = UW_COMP_COMPLETE, .id = UW_ID(3, 1) };
ask.u.submit.data = 4096; ask.u.submit.length = 18; ask.u.submit.endpoint = 0x80; uw_copy(ask.u.submit.setup, setup, 8);
answer.u.complete.actual = 18;
uw_ask_encode(&ask, &slot); uw_msg_stamp(&slot, 7, 2); slot.tag = 3;
printf("1000000"); for (int i = 0; i < 64; i++) printf(" %u", ((unsigned char *)&slot)[i]); puts("");
struct uw_ask back; printf("1000002 %d\n", uw_ask_decode(&slot, &layout, &back));
uw_answer_encode(&answer, &slot); uw_msg_stamp(&slot, 7, 3); slot.tag = 3;
printf("1000001"); for (int i = 0; i < 64; i++) printf(" %u", ((unsigned char *)&slot)[i]); puts("");
"""


def check_core(document, include, report):
    source = DEFAULTS.split("\n") + EXAMPLE.split("\n")
    for row in document.given.values():
        source += say_row(row.line, row.name)
    said = build(source + ["return 0; }"], include, report)
    for row in document.given.values():
        report.check(said.get(row.line) == list(row.numbers),
                     f"PROTOCOL.md:{row.line}: {row.name} is {said.get(row.line)}, not {row.numbers[0]}")
    report.check(len(document.given) > 0, "PROTOCOL.md has no defaults")
    report.check(len(document.hex) == 2, "PROTOCOL.md has no two examples")
    for at, block in enumerate(document.hex):
        report.check(said.get(1000000 + at) == [int(byte, 16) for byte in block.split()],
                     f"example {at + 1} is not what the core writes: {said.get(1000000 + at)}")
    report.check(said.get(1000002) == [0], "the core refuses the example")
    report.say(f"defaults: {len(document.given)}, examples: {len(document.hex)}")


def compare(document_path, header_path, report):
    text = open(document_path, encoding="utf-8").read()
    include = os.path.dirname(os.path.dirname(header_path))
    document, header = Document(text, report), Header(header_path, report)
    said = build(layout_program(document), include, report)
    check_structs(document, header, said, report)
    check_values(document, header, said, report)
    check_mentions(text, document, header, report)
    check_core(document, include, report)
    return report


# What --self-test breaks: which file, pattern, replacement, what it stands for. Each must be found.
BREAKS = [
    ("doc", r"^\| 8 \| 4 \| `consumed` \| position \| see", "| 12 | 4 | `consumed` | position | see", "an offset"),
    ("doc", r"^\| 16 \| 8 \| `setup`", "| 16 | 4 | `setup`", "a size"),
    ("doc", r"`interval` \| frames", "`intervall` | frames", "a field that is not there"),
    ("doc", r"^\| 28 \| 2 \| `interval`.*\n", "", "a missing field"),
    ("doc", r"^\| 30 \| 18 \| `reserved1`.*\n", "", "a missing last field"),
    ("doc", r"`struct uw_event` \(48 bytes\)", "`struct uw_event` (40 bytes)", "a struct's size"),
    ("doc", r"`struct uw_event` \(48 bytes\)", "an event", "a missing struct"),
    ("doc", r"^\| `UW_SUB_BYE` \| 9", "| `UW_SUB_BYE` | 10", "an enumerator's value"),
    ("doc", r"^\| `UW_ST_LATE`.*\n", "", "a missing enumerator"),
    ("doc", r"^\| `UW_FEATURE_STATS` \| 4", "| `UW_FEATURE_STATS` | 5", "a macro's value"),
    ("doc", r"^\| `UW_STREAMS_MAX`.*\n", "", "a missing macro"),
    ("doc", r"^\| `UW_SUB_BYE` \|", "| `UW_SUB_FAREWELL` |", "an enumerator that is not there"),
    ("doc", r"^### `enum uw_speed`$", "### Speeds", "a missing enum"),
    ("doc", r"`UW_HOST_READY` \| 2 \|", "`UW_HOST_READY` | two |", "a value that is no number"),
    ("doc", r"rejected with `UW_WHY_SETUP`", "rejected with `UW_WHY_ADDRESS`", "a name in the text"),
    ("doc", r"^\| `layout.share` \| 32", "| `layout.share` | 64", "a default"),
    ("doc", r"^03 00 00 00 07 00 02", "03 00 00 00 07 00 03", "the example"),
    ("header", r"uw_le32 length;      /\* bytes, 0", "uw_le32 size;      /* bytes, 0", "a renamed field"),
    ("header", r"uw_u8 port;          /\* 1\.\.ports \*/\n(\s*)uw_u8 endpoint;",
     r"uw_u8 endpoint;\n\1uw_u8 port;", "two fields changed over"),
    ("header", r"uw_u8 reserved1\[18\];", "uw_u8 hint; uw_u8 reserved1[17];", "a new field"),
    ("header", r"UW_WHY_STATE = 17,", "UW_WHY_STATE = 17, UW_WHY_MORE,\n", "a new enumerator"),
    ("header", r"UW_ST_LATE = 11,", "UW_ST_LATE = 14,", "another value"),
    ("header", r"#define UW_SLOTS_MIN 16u", "#define UW_SLOTS_MIN 32u", "another macro value"),
    ("header", r"#define UW_NAME 32u", "#define UW_NAME 32u\n#define UW_NEW 1u", "a new macro"),
    ("header", r"^/\* One entry of an iso", "struct uw_new {\n\tuw_u8 a;\n};\n/* One entry of an iso", "a new struct"),
    ("header", r"^enum uw_request \{", "enum uw_new {\n\tUW_NEW_A = 1,\n};\nenum uw_request {", "a new enum"),
]


def broken(kind, pattern, replacement, folder):
    """Copies of both files, one of them broken; the header's own assertions are taken out, to test this script alone."""
    paths = {"doc": os.path.join(folder, "PROTOCOL.md"), "header": os.path.join(folder, "usbwarp", "proto.h")}
    os.makedirs(os.path.dirname(paths["header"]), exist_ok=True)
    for what, source in (("doc", DOCUMENT), ("header", HEADER)):
        text = open(source, encoding="utf-8").read()
        if what == "header":
            text = re.sub(r"^UW_(AT|IS)\(.*\n", "", text, flags=re.M)
        if what == kind:
            text, count = re.subn(pattern, replacement, text, count=1, flags=re.M)
            if count != 1:
                return None
        with open(paths[what], "w", encoding="utf-8") as f:
            f.write(text)
    return paths


def self_test(report):
    with tempfile.TemporaryDirectory() as folder:
        whole = broken("none", "", "", folder)
        found = compare(whole["doc"], whole["header"], Report(quiet=True))
        report.check(found.failed == 0, "unbroken copies are refused")
        for kind, pattern, replacement, what in BREAKS:
            paths = broken(kind, pattern, replacement, folder)
            if not report.check(paths is not None, f"nothing to break for: {what} ({kind})"):
                continue
            found = compare(paths["doc"], paths["header"], Report(quiet=True))
            if report.check(found.failed > 0, f"not found: {what} ({kind})"):
                report.say(f"found: {what} ({kind})")


def main():
    report = Report()
    if sys.argv[1:] == ["--self-test"]:
        self_test(report)
    elif not sys.argv[1:]:
        compare(DOCUMENT, HEADER, report)
    else:
        sys.exit(__doc__)
    print(f"{report.passed} passed, {report.failed} failed")
    sys.exit(report.failed != 0)


if __name__ == "__main__":
    main()
