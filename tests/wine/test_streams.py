#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Bulk streams from a guest's program to a device below Windows' USB stack, by the drivers with a USBD handle.

    test_streams.py [CASE...]    USBWARP_WINDOWS: where the binaries are
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from stack import WineStack, program  # noqa: E402
from lab import case, main  # noqa: E402

ZERO = "zero:speed=super,pattern=1,streams=16"


def usburbs(g, what, check=True):
    node = g.run("for d in /sys/bus/usb/devices/*; do grep -qs 0525 $d/idVendor && "
                 "printf /dev/bus/usb/%03d/%03d $(cat $d/busnum) $(cat $d/devnum); done; true").out.strip()
    out = g.run(f"/usburbs {node} {what} 2>&1", check=check, timeout=120).out
    assert not check or f"{what} right" in out, out
    return out


def guest(s):
    return s.guest(files={"/usburbs": program("usburbs")}, smp=2)


@case
def from_a_guest():
    """As many streams as the guest asks for and the device has, and a plain endpoint before, between and after."""
    with WineStack([ZERO], variant="usbd") as s, guest(s) as g:
        s.bind("zero-1")
        g.wait_for("lsusb | grep -q 0525:a4a0")
        for what in ("long 1048577", "streams 16", "streams 2", "streams 7", "long 65536"):
            out = usburbs(g, what)
            assert not what.startswith("streams") or f"{what.split()[1]} streams" in out, out


@case
def refused_where_there_are_none():
    """A controller without streams: the guest is told so when it asks for them, and loses nothing else."""
    with WineStack(variant="usbd") as s, guest(s) as g:
        s.bus("offer", "0", "0")
        s.bind(s.plug(ZERO))
        g.wait_for("lsusb | grep -q 0525:a4a0")
        out = usburbs(g, "streams 16", check=False)
        assert "alloc streams" in out, out
        usburbs(g, "long 65536")


@case
def not_offered_without_a_handle():
    """The drivers that are packaged: the guest's own host controller says that it has no streams."""
    with WineStack([ZERO]) as s, guest(s) as g:
        s.bind("zero-1")
        g.wait_for("lsusb | grep -q 0525:a4a0")
        out = usburbs(g, "streams 16", check=False)
        assert "alloc streams" in out, out
        usburbs(g, "long 65536")


if __name__ == "__main__":
    main()
