#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What of the description for Visual Studio can be seen without it: FindWdk.cmake finds an invented driver kit and takes
the newest whole one, and the branch for ClangCL configures, with clang-cl and such a kit, and refuses to go without."""
import os
import shutil
import subprocess
import tempfile

import wine
from wine import ROOT, case, equal, holds

WINDOWS = os.path.join(ROOT, "host", "windows")
CLANG_CL = shutil.which("clang-cl") or "/usr/lib/llvm-14/bin/clang-cl"


def kit(directory, *versions):
    root = os.path.join(directory, "Windows Kits", "10")
    for version in versions:
        whole = not version.endswith("-broken")
        version = version.split("-", maxsplit=1)[0]
        for path in (f"Include/{version}/km/ntddk.h", f"Lib/{version}/km/x64/ntoskrnl.lib")[:2 if whole else 1]:
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="ascii"):
                pass
    return root


def find(root):
    with tempfile.TemporaryDirectory() as directory:
        script = os.path.join(directory, "find.cmake")
        with open(script, "w", encoding="ascii") as f:
            f.write(f'list(APPEND CMAKE_MODULE_PATH "{WINDOWS}/cmake")\nfind_package(Wdk)\n'
                    'message("${Wdk_FOUND}|${Wdk_VERSION}|${Wdk_LIBRARY_DIR}|${Wdk_INCLUDE_DIRS}")\n')
        done = subprocess.run(["cmake", f"-DWDK_ROOT={root}", "-P", script], capture_output=True, text=True, check=True)
        return done.stderr.strip().split("\n")[-1].split("|")


@case
def the_newest_whole_kit_is_found():
    with tempfile.TemporaryDirectory() as directory:
        root = kit(directory, "10.0.9999.0", "10.0.22621.0", "10.0.26100.0-broken")
        found, version, library, include = find(root)
        equal((found, version), ("TRUE", "10.0.22621.0"), "kit")
        equal(library, root + "/Lib/10.0.22621.0/km/x64", "libraries")
        holds(include, root + "/Include/10.0.22621.0/km;", "shared")
        equal(find(directory)[0], "FALSE", "where there is none")


def configure(directory, root, *options):
    return subprocess.run(
        ["cmake", "-S", WINDOWS, "-B", os.path.join(directory, "build"), f"-DWDK_ROOT={root}",
         "-DCMAKE_SYSTEM_NAME=Windows", "-DCMAKE_SYSTEM_PROCESSOR=AMD64", f"-DCMAKE_C_COMPILER={CLANG_CL}",
         "-DCMAKE_C_COMPILER_TARGET=x86_64-pc-windows-msvc", "-DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY",
         "-DCMAKE_LINKER=lld-link", "-DCMAKE_MT=llvm-mt", "-DCMAKE_RC_COMPILER=llvm-rc", *options],
        capture_output=True, text=True, check=False)


def generated(directory):
    commands = ""
    for where, _, names in os.walk(os.path.join(directory, "build")):
        for name in names:
            if name in ("flags.make", "link.txt", "build.make"):
                with open(os.path.join(where, name), encoding="utf-8") as f:
                    commands += f.read()
    return commands


@case
def the_branch_for_visual_studio_configures():
    with tempfile.TemporaryDirectory() as directory:
        holds(configure(directory, directory).stderr, "Could NOT find Wdk")
        shutil.rmtree(os.path.join(directory, "build"))
        done = configure(directory, kit(directory, "10.0.26100.0"))
        equal(done.returncode, 0, done.stderr)
        commands = generated(directory)
        holds(commands, "/kernel", "/DRIVER:WDM", "/GUARD:CF", "ntoskrnl.lib", "km/x64", "mc.exe", "newdev.lib", "usbd.c",
              "usbdex.lib")
        assert "-municode" not in commands and "mingw" not in commands and "finish.py" not in commands and "RTC1" not in commands
        done = configure(directory, kit(directory, "10.0.26100.0"), "-DUSBWARP_USBD=OFF")
        equal(done.returncode, 0, done.stderr)
        commands = generated(directory)
        holds(commands, "legacy.c")
        assert "usbdex.lib" not in commands


if __name__ == "__main__":
    wine.main()
