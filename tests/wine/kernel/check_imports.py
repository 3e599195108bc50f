#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Refuses drivers with an import that the laboratory neither implements nor has reviewed.

    check_imports.py [--wine NTOSKRNL] DRIVER.sys...

Each function of ntoskrnl.exe must be in calls.list; what is passed to Wine there must be no stub of Wine's. Of other DLLs
only hal.dll is allowed, with the few functions named here. Laboratory copies (uwlabkrn.exe) are judged the same.
"""
import os
import sys

sys.dont_write_bytecode = True
import gen  # noqa: E402
from patch_imports import BadImage, Image  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
NTOSKRNL = "/usr/lib/x86_64-linux-gnu/wine/x86_64-windows/ntoskrnl.exe"
HAL = {"KeQueryPerformanceCounter", "KeStallExecutionProcessor"}    # both work in Wine
KERNELS = {"ntoskrnl.exe", "uwlabkrn.exe"}


def judge(path, calls, wine):
    """Lines that say what is wrong with one driver."""
    with open(path, "rb") as file:
        imports = list(Image(file.read()).functions())
    if not any(dll.lower() in KERNELS for dll, _ in imports):
        yield "imports nothing of the kernel"
    for dll, name in imports:
        call = calls.get(name)
        if dll.lower() == "hal.dll" and name in HAL:
            continue
        if dll.lower() not in KERNELS:
            yield f"{dll}: {name}: not a DLL that a driver of ours may use"
        elif call is None:
            yield f"{name}: neither implemented nor reviewed; see calls.list"
        elif call.who == "wine" and wine.get(name, True):
            yield f"{name}: passed on, but Wine has not implemented it"


def main():
    words = sys.argv[1:]
    ntoskrnl = NTOSKRNL
    if words[:1] == ["--wine"]:
        ntoskrnl, words = words[1], words[2:]
    if not words:
        sys.exit(__doc__)
    calls = gen.read_calls(os.path.join(HERE, "calls.list"))
    wine = gen.exports(ntoskrnl)
    wrong = 0
    for path in words:
        try:
            for line in judge(path, calls, wine):
                print(f"{path}: {line}")
                wrong += 1
        except (BadImage, OSError) as error:
            print(f"{path}: {error}")
            wrong += 1
    print(f"check_imports: {len(words)} drivers, {wrong} wrong")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
