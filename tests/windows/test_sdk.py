#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Our programs against Microsoft's own headers and import libraries, which scripts/build-windows-wdk.sh has fetched:
the sources compile with them, all sizes, offsets and numbers are those of mingw's headers, and every function that a
program imports is in Microsoft's library of that DLL. USBWARP_SDK: the fetched packages; USBWARP_WINDOWS: the build."""
import glob
import json
import os
import re
import struct
import subprocess
import sys
import tempfile

import pe
import wine
from wine import BUILT, ROOT, case, equal

SDK = os.environ.get("USBWARP_SDK", os.path.join(ROOT, "build", "wdk", "packages"))
BASE = ["clang", "--target=x86_64-w64-windows-gnu", "-std=gnu11", "-fms-extensions", "-Wall", "-Wextra", "-Werror"]
DEFINES = ["-DUNICODE", "-D_UNICODE", "-DWIN32_LEAN_AND_MEAN", "-DNTDDI_VERSION=0x0A000006", "-D_WIN32_WINNT=0x0A00",
           '-DUSBWARP_RELEASE="0"']
# Microsoft's headers and mingw's C library meet in one macro: as mingw has it, it cannot be combined with "static".
SHIM = ("#include <_mingw.h>\n#undef __forceinline\n"
        "#define __forceinline __inline__ __attribute__((__always_inline__))\n")


def folder(package, *parts):
    found = sorted(glob.glob(os.path.join(SDK, package, "*", "c", *parts)))
    if not found:
        sys.exit(f"no {package} in {SDK}: run scripts/build-windows-wdk.sh, or set USBWARP_SDK")
    return found[-1]


def overlay(directory):
    """Microsoft's headers call each other in any case, which only some file systems allow: a map for clang."""
    files = {}
    for part in ("um", "shared"):
        for path in glob.glob(os.path.join(folder("microsoft.windows.sdk.cpp", "Include", "*", part), "*.[hH]")):
            files[os.path.basename(path).lower()] = path
    tree = {"version": 0, "case-sensitive": "false", "roots": [{
        "name": "/microsoft", "type": "directory",
        "contents": [{"name": name, "type": "file", "external-contents": path} for name, path in sorted(files.items())]}]}
    with open(os.path.join(directory, "overlay.json"), "w", encoding="utf-8") as f:
        json.dump(tree, f)
    with open(os.path.join(directory, "shim.h"), "w", encoding="ascii") as f:
        f.write(SHIM)
    return ["-include", os.path.join(directory, "shim.h"), "-ivfsoverlay", os.path.join(directory, "overlay.json"),
            "-isystem", "/microsoft"]


@case
def programs_compile_with_microsofts_headers():
    with tempfile.TemporaryDirectory() as directory:
        microsoft = overlay(directory)
        subprocess.run(["x86_64-w64-mingw32-windmc", "-b", "-h", directory, "-r", directory,
                        os.path.join(ROOT, "host", "windows", "service", "messages.mc")], check=True)
        sources = glob.glob(os.path.join(ROOT, "host", "windows", "service", "*.c")) + [
            p for p in glob.glob(os.path.join(ROOT, "cli", "*.c")) if not p.endswith("_unix.c")]
        assert len(sources) > 20, sources
        wrong = []
        for source in sorted(sources):
            # What mingw lacks we declare ourselves; a second declaration beside Microsoft's is no mistake.
            folders = [directory, *(os.path.join(ROOT, *f) for f in (("include",), ("core",), ("host", "windows"), ("host", "common")))]
            done = subprocess.run([*BASE, "-Wno-inconsistent-dllimport", *DEFINES, *microsoft, *("-I" + f for f in folders),
                                   "-iquote", os.path.dirname(source),
                                   "-fsyntax-only", source], capture_output=True, text=True, check=False)
            if done.returncode:
                wrong.append(done.stderr)
        equal("".join(wrong)[:4000], "", "compiler")


def table(directory, name, *flags):
    out = os.path.join(directory, name)
    subprocess.run([*BASE, *DEFINES, *flags, "-Wno-macro-redefined", "-c", os.path.join(ROOT, "tests", "windows", "layout.c"),
                    "-o", out + ".o"], check=True)
    subprocess.run(["x86_64-w64-mingw32-objcopy", "-O", "binary", "-j", ".uwtab", out + ".o", out], check=True)
    with open(out, "rb") as f:
        data = f.read()
    rows = [struct.unpack_from("<88sQ", data, at) for at in range(0, len(data) - 95, 96)]
    return {name.rstrip(b"\0").decode(): value for name, value in rows if name.strip(b"\0")}


@case
def sizes_and_numbers_are_microsofts():
    with tempfile.TemporaryDirectory() as directory:
        ours, theirs = table(directory, "ours"), table(directory, "theirs", *overlay(directory))
        assert len(ours) > 100, len(ours)
        equal({k: (v, theirs.get(k)) for k, v in ours.items() if theirs.get(k) != v}, {}, "mingw's, Microsoft's")


def exported(library):
    """Names that an import library offers."""
    out = subprocess.run(["llvm-nm", "-g", "--defined-only", library], capture_output=True, text=True, check=False).stdout
    return set(re.findall(r" T (\S+)", out))


@case
def imports_are_in_microsofts_libraries():
    libraries = {os.path.basename(p).lower(): p for p in glob.glob(os.path.join(folder(
        "microsoft.windows.sdk.cpp.x64", "um", "x64"), "*"))}
    for program in ("UsbWarpService.exe", "UsbWarpController.exe"):
        needed = {}
        for dll, name in pe.PE(os.path.join(BUILT, program)).imports():
            needed.setdefault(dll, set()).add(name)
        # The C library of mingw's programs is in Windows, and in no SDK; the handler of exceptions comes from it there.
        needed.pop("msvcrt.dll")
        for dll, names in needed.items():
            offered = exported(libraries[dll.replace(".dll", ".lib")])
            assert len(offered) > 10, dll
            equal(sorted(names - offered - {"__C_specific_handler"}), [], f"{program}: not in {dll}")


if __name__ == "__main__":
    wine.main()
