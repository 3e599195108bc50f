#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""A guest started with the very words that usbwarp qemu-args prints: its region lies where it should, devices work."""
import os
import shlex
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import guest as lab  # noqa: E402
import stack  # noqa: E402
from lab import case, clean, equal, main  # noqa: E402


def printed(s, *vms):
    """What the shell would put in place of $(usbwarp qemu-args VM), once for each."""
    words = []
    for vm in vms:
        done = s.cli("qemu-args", vm)
        equal(done.stderr, "", "nothing has to be quoted")
        equal(done.stdout.split(), shlex.split(done.stdout), "as split at blanks")
        words += done.stdout.split()
    return words


def guest_of(s, *vms):
    files = {"/usbwarp.ko": stack.module(), "/sums": stack.program("sums")}
    return lab.Guest(extra_qemu=printed(s, *vms), files=files, modules=["cdc-acm", "/usbwarp.ko"])


def regions(g):
    """{PCI address: (first byte of the region, what the driver measured)} of the functions that the driver has taken."""
    found = {}
    for address in g.run("cd /sys/bus/pci/drivers/usbwarp && ls -d 0000:*").out.split():
        folder = f"/sys/bus/pci/devices/{address}"
        found[address] = (int(g.run(f"sed -n 3p {folder}/resource").out.split()[0], 16),
                          g.run(f"cat {folder}/usbwarp/mapping").out.split()[0])
    return found


def use_pico(s, g, vm):
    s.bind("pico-1", vm)
    g.wait_for("test -e /dev/ttyACM0")
    assert "20/20 sums right" in g.run("/sums /dev/ttyACM0 20", timeout=120).out
    for start, mapping in regions(g).values():
        assert start >= 1 << 32, f"the region is at {start:#x}, below 4 GiB"
        equal(mapping, "write-back", "mapping")


@case
def doorbell_as_printed():
    with stack.Stack(["pico"]) as s, guest_of(s, "vm1") as g:
        use_pico(s, g, "vm1")
        equal(len(regions(g)), 1, "regions")
        clean(g)


@case
def plain_memory_as_printed():
    """Both sides poll a file."""
    with stack.Stack(["pico"]) as s:
        path = s.file("region", 32 << 20)
        s.stop()
        s.vms = []
        s.options = ["--vm", f"vm1:file={path}"]
        s.start()
        with guest_of(s, "vm1") as g:
            use_pico(s, g, "vm1")
            clean(g)


@case
def two_links_in_one_guest():
    with stack.Stack(["pico"], vms=["vm1", "vm2"]) as s, guest_of(s, "vm1", "vm2") as g:
        use_pico(s, g, "vm2")
        equal(len(regions(g)), 2, "regions")
        clean(g)


if __name__ == "__main__":
    main()
