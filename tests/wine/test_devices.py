#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The cases of tests/vm/test_devices.py, word for word, with the Windows host under Wine in place of the Linux one."""
import functools
import os
import sys
import types

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import stack  # noqa: E402
import lab  # noqa: E402
import runner  # noqa: E402

# What is measured there is the Linux daemon's processor time.
ELSEWHERE = ["idle_device_costs_nothing"]
# A frame's milliseconds. An isochronous packet that comes too late for its frame is lost, as on a wire; but a guest under
# emulation, Wine and a virtual bus on two processors are late where a computer would not be.
FRAME = 10


def repeat(path):
    """The cases of a test of tests/vm whose stack is ours."""
    shim = types.ModuleType("stack")
    shim.Stack = functools.partial(stack.WineStack, slow=FRAME)
    shim.program, shim.StackError = stack.program, stack.StackError
    sys.modules["stack"] = shim
    try:
        stack._load("repeated", path)
    finally:
        sys.modules["stack"] = stack
    return [case for case in runner.cases("repeated") if case.__name__ not in ELSEWHERE]


if __name__ == "__main__":
    lab.main(functions=repeat("vm/test_devices.py"))
