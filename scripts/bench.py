#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Benchmarks: the transport alone, then transfers in a guest beside the same guest's own emulated xHCI controller.

Method: all cases of a section are measured in turn, and that RUNS times; printed are the median, the least and the
greatest of the runs, and the ratio of the medians to the section's baseline. Absolute figures of an emulated CPU mean
little; the ratios are what to read. Do not run it beside a build.
"""
import argparse
import os
import re
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "vm"))

import stack  # noqa: E402

NODE = ("for d in /sys/bus/usb/devices/*; do [ \"$(cat $d/idVendor $d/idProduct 2>/dev/null | tr '\\n' :)\" = %s: ] && "
        "printf /dev/bus/usb/%%03d/%%03d $(cat $d/busnum) $(cat $d/devnum); done; true")
DISK = ("for b in /sys/block/sd*; do [ \"$(cat $b/device/vendor | tr -d ' ')\" %s QEMU ] && basename $b; done; true")


class Table:
    """Cases by name, each with the values of all runs."""

    def __init__(self, unit):
        self.unit, self.values = unit, {}

    def add(self, name, value):
        self.values.setdefault(name, []).append(value)

    def show(self, baseline):
        print(f"{'case':<58} {self.unit:>9} {'least':>9} {'greatest':>9} {'ratio':>7}")
        base = statistics.median(self.values[baseline])
        for name, runs in self.values.items():
            middle = statistics.median(runs)
            print(f"{name:<58} {middle:9.1f} {min(runs):9.1f} {max(runs):9.1f} {middle / base:7.2f}")


def number(pattern, text):
    found = re.search(pattern, text)
    if not found:
        raise SystemExit(f"bench: no {pattern!r} in: {text}")
    return float(found.group(1))


def control_case(guest, table, name, identity, count):
    node = guest.run(NODE % identity).out.strip()
    out = guest.run(f"/usbbench control {node} {count}", timeout=120).out
    table.add(name + ", p50", number(r"p50 ([\d.]+)", out))
    table.add(name + ", p99", number(r"p99 ([\d.]+)", out))


def bulk_case(guest, table, size, depth):
    node = guest.run(NODE % "0525:a4a0").out.strip()
    out = guest.run(f"/usbbench bulk {node} {size} {depth} {min(size * 2000, 256 << 20)}", timeout=240).out
    table.add(f"usbwarp, zero device, bulk IN, {size} bytes, depth {depth}", number(r"([\d.]+) MB/s", out))


def disk_case(guest, table, name, test, size):
    disk = guest.run(DISK % test).out.split()[0]
    out = guest.run(f"/readdisk /dev/{disk} {size} {(48 << 20) // size}", timeout=240).out
    table.add(f"{name}, disk, O_DIRECT reads of {size} bytes", number(r"([\d.]+) MB/s", out))


def vm_section(runs):
    models = ["zero:speed=super", "disk:file=@disk.img,size=64M,speed=super"]
    control, bulk = Table("us"), Table("MB/s")
    with stack.Stack(models) as s:
        image = s.file("qemu.img", 64 << 20)
        hardware = ["-device", "qemu-xhci,id=xhci,p2=8,p3=8", "-drive", f"if=none,id=stick,format=raw,file={image}",
                    "-device", "usb-storage,bus=xhci.0,drive=stick"]
        with s.guest(files={f"/{name}": stack.program(name) for name in ("usbbench", "readdisk")}, extra_qemu=hardware,
                     modules=["xhci-pci", "usb-storage", "sd_mod"]) as g:
            s.bind("zero-1")
            s.bind("disk-1")
            g.wait_for("test -b /dev/sda && test -b /dev/sdb")
            for i in range(runs):
                control_case(g, control, "xHCI emulated by QEMU, usb-storage (baseline)", "46f4:0001", 2000)
                control_case(g, control, "usbwarp, zero device", "0525:a4a0", 2000)
                for size in (65536, 262144, 1 << 20):
                    disk_case(g, bulk, "xHCI emulated by QEMU", "=", size)
                    disk_case(g, bulk, "usbwarp", "!=", size)
                for size, depth in ((512, 1), (512, 32), (16384, 8), (65536, 8), (1 << 20, 4)):
                    bulk_case(g, bulk, size, depth)
                print(f"run {i + 1} of {runs}", file=sys.stderr, flush=True)
            stats = s.cli("stats", "--vm", "vm1").stdout
    print("\n== control round trip in a guest (GET_DESCRIPTOR through usbfs)")
    control.show("xHCI emulated by QEMU, usb-storage (baseline), p50")
    print("\n== bulk throughput in a guest")
    bulk.show("xHCI emulated by QEMU, disk, O_DIRECT reads of 65536 bytes")
    print("\n== what the host counted meanwhile")
    print("\n".join("   " + line for line in stats.splitlines()))
    middle = statistics.median(control.values["usbwarp, zero device, p50"])
    print(f"\ncontrol round trip through usbwarp, median of p50: {middle:.1f} us ({'below' if middle < 100 else 'NOT below'} "
          "the aim of 100 us)")
    return middle < 100


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--only", choices=["transport", "vm"])
    arguments = parser.parse_args()
    if arguments.only != "vm":
        print("== transport: two threads, one region, no virtual machine", flush=True)
        subprocess.run([os.path.join(stack.BIN, "bench-transport"), "-r", str(arguments.runs)], check=True)
    if arguments.only != "transport" and not vm_section(arguments.runs):
        sys.exit(1)


if __name__ == "__main__":
    main()
