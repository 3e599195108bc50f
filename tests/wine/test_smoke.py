#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The whole of the Windows host under Wine, once: a device below a Windows driver stack answers a class driver in Linux."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from stack import WineStack, program  # noqa: E402
from lab import case, clean, equal, main  # noqa: E402


@case
def pico_answers_sums():
    with WineStack(["pico"]) as s, s.guest(files={"/sums": program("sums")}, modules=["cdc-acm"]) as g:
        s.bind("pico-1")
        g.wait_for("test -e /dev/ttyACM0")
        out = g.run("/sums /dev/ttyACM0 100", timeout=120).out
        assert "100/100 sums right" in out, out
        clean(g)


@case
def unbound_device_leaves_the_guest():
    with WineStack(["pico"]) as s, s.guest(modules=["cdc-acm"]) as g:
        s.bind("pico-1")
        g.wait_for("test -e /dev/ttyACM0")
        s.unbind("pico-1")
        g.wait_for("! test -e /dev/ttyACM0")
        equal(len(s.json("list")["devices"]), 1, "devices of the bus after the unbind")
        clean(g)


if __name__ == "__main__":
    main()
