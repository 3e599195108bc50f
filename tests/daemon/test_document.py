#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Compares docs/CONTROL.md with include/usbwarp/ctl.h through the compiler, and the man pages with the programs."""
import os
import re
import subprocess
import tempfile

from harness import BIN, ROOT, case, equal, main

HEADER = os.path.join(ROOT, "include", "usbwarp", "ctl.h")
SECTION = re.compile(r"^### `(struct|enum) (uw_ctl_\w+)`(?: \((\d+) bytes\))?\n\n((?:\|.*\n)+)", re.M)
ROW = re.compile(r"^\| (\d+) \| (\d+) \| `(\w+)` \|", re.M)
VALUE = re.compile(r"^\| `(UW_CTL_\w+)` \| (\w+) \|", re.M)


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as f:
        return f.read()


def assertions(document):
    """C that compiles only if the document is right."""
    for kind, name, size, table in SECTION.findall(document):
        if kind == "struct":
            yield f'_Static_assert(sizeof(struct {name}) == {size}, "{name}");'
            end = 0
            for at, bytes_, field in ROW.findall(table):
                equal(int(at), end, f"gap before {name}.{field}")
                end += int(bytes_)
                yield f'_Static_assert(__builtin_offsetof(struct {name}, {field}) == {at}, "{name}.{field}");'
                yield f'_Static_assert(sizeof(((struct {name} *)0)->{field}) == {bytes_}, "{name}.{field}");'
            equal(end, int(size), f"end of {name}")
    for name, value in VALUE.findall(document):
        yield f'_Static_assert({name} == {value}, "{name}");'


def compiles(document):
    with tempfile.NamedTemporaryFile("w", suffix=".c") as f:
        f.write('#include "usbwarp/ctl.h"\n' + "\n".join(assertions(document)))
        f.flush()
        command = [os.environ.get("CC", "cc"), "-std=gnu11", "-fsyntax-only", "-I" + os.path.join(ROOT, "include"),
                   f.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stderr


@case
def control_md_matches_the_header():
    document, header = read("docs", "CONTROL.md"), read("include", "usbwarp", "ctl.h")
    good, said = compiles(document)
    assert good, said
    described = {name for _, name, _, _ in SECTION.findall(document)}
    equal(described, set(re.findall(r"^(?:struct|enum) (uw_ctl_\w+) \{", header, re.M)), "structs and enums")
    names = set(re.findall(r"^(?:\t|#define )(UW_CTL_\w+) ", header, re.M))
    equal(set(n for n, _ in VALUE.findall(document)), names - {"UW_CTL_STATUS_COUNT"}, "names with a value")


@case
def a_wrong_document_is_noticed():
    document = read("docs", "CONTROL.md")
    for good, bad in (("| 4 | 2 | `version` |", "| 4 | 2 | `verison` |"), ("`UW_CTL_BUSY` | 11", "`UW_CTL_BUSY` | 12"),
                      ("`struct uw_ctl_vm` (256 bytes)", "`struct uw_ctl_vm` (260 bytes)")):
        assert good in document, good
        try:
            noticed = not compiles(document.replace(good, bad))[0]
        except AssertionError:
            noticed = True
        assert noticed, bad


def words_of(page):
    """The text of a manual page: macros and escapes away."""
    return re.sub(r"\\f[BIRP]|\\&", "", page).replace("\\-", "-")


def help_of(*command):
    done = subprocess.run([os.path.join(BIN, command[0]), *command[1:]], capture_output=True, text=True, check=True)
    return done.stdout


@case
def man_pages_name_every_option():
    daemon, conf = words_of(read("docs", "man", "usbwarpd.8")), words_of(read("docs", "man", "usbwarpd.conf.5"))
    options = re.findall(r"^  (--[\w-]+)", help_of("usbwarpd", "--help"), re.M)
    assert len(options) > 15, options
    for option in options:
        assert re.search(rf"{option}\b", daemon), f"usbwarpd.8 lacks {option}"
        if option not in ("--config", "--check-config", "--help", "--version"):
            assert re.search(rf"^\.TP\n\.BI? {option[2:]}\b", conf, re.M), f"usbwarpd.conf.5 lacks {option[2:]}"
    page = words_of(read("docs", "man", "usbwarp.1"))
    for command in re.findall(r"^  ([a-z-]+) +", help_of("usbwarp", "help"), re.M):
        assert f"usbwarp {command}" in page or f"B {command}" in page, f"usbwarp.1 lacks {command}"
        for option in re.findall(r"^  (--[\w-]+)", help_of("usbwarp", command, "--help"), re.M):
            assert option in page, f"usbwarp.1 lacks {option} of {command}"


@case
def man_pages_are_well_formed():
    for name in ("usbwarp.1", "usbwarpd.8", "usbwarpd.conf.5"):
        page = read("docs", "man", name)
        assert page.startswith('.\\" SPDX-License-Identifier: GPL-2.0-only\n'), name
        headings = re.findall(r'^\.SH "?(.*?)"?$', page, re.M)
        equal({"NAME", "SYNOPSIS", "DESCRIPTION", "SEE ALSO"} - set(headings), set(), name)
        equal([line for line in page.splitlines() if line != line.rstrip() or len(line) > 120], [], name)


if __name__ == "__main__":
    main()
