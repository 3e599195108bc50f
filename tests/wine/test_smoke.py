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


@case
def region_above_4_gib():
    """With a 64-bit BAR, 64 MiB, and the VM's guest playing its PCI driver's part while transfers run."""
    with WineStack(["pico"], vms=["vm1:size=67108864"], options={"bar64": "yes", "size": "64M"}) as s, \
            s.guest(files={"/sums": program("sums")}, modules=["cdc-acm"]) as g:
        s.bind("pico-1")
        g.wait_for("test -e /dev/ttyACM0")
        job = g.start("/sums /dev/ttyACM0 300")
        for command in ("msi", "mask", "memory", "intercept", "msi"):
            s.broker.play("vm1", command)
        out = job.wait(120).out
        assert "300/300 sums right" in out, out
        clean(g)


@case
def vm_comes_back():
    """QEMU is killed in the middle and started anew: the service serves the new VM, and the binding is there again."""
    with WineStack(["pico"]) as s:
        for _ in range(2):
            with s.guest(files={"/sums": program("sums")}, modules=["cdc-acm"]) as g:
                if not any(d["vm"] for d in s.json("list")["devices"]):
                    s.bind("pico-1")
                g.wait_for("test -e /dev/ttyACM0")
                assert "20/20 sums right" in g.run("/sums /dev/ttyACM0 20").out
                clean(g)


if __name__ == "__main__":
    main()
