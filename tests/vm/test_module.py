#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The guest module by itself: which devices it takes, what it says of unusable ones, sleep, unplugging, a stopped host."""
import os
import re
import signal
import struct
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import guest as lab  # noqa: E402
import stack  # noqa: E402
from lab import case, clean, equal, main  # noqa: E402

MAGIC = 0x3150524157425355
MIB = 1 << 20

# The first lines of the host page, as include/usbwarp/proto.h has them.
FIELDS = {
    "magic": ("Q", MAGIC), "version_min": ("H", 1), "version_max": ("H", 1), "size": ("I", 4 * MIB), "features": ("Q", 15),
    "epoch": ("I", 1), "state": ("I", 0), "guest_page": ("I", 4096), "sub_ring": ("I", 8192), "comp_ring": ("I", 24576),
    "data": ("I", 57344), "data_size": ("I", 4 * MIB - 57344), "sub_slots": ("H", 256), "comp_slots": ("H", 512),
    "start": ("I", 0), "reserve": ("H", 16), "granule": ("H", 512), "transfers": ("I", 4096), "share": ("H", 32),
    "usb2_ports": ("B", 15), "usb3_ports": ("B", 15), "transfer_max": ("I", 512 << 10), "packets_max": ("H", 1024),
    "isoch_max": ("H", 128), "doorbell": ("I", 0), "link": ("I", 0),
}


def head(**changes):
    """A host page's head of a host that is down; changes name fields."""
    unknown = changes.keys() - FIELDS.keys()
    assert not unknown, unknown
    return b"".join(struct.pack("<" + kind, changes.get(name, value)) for name, (kind, value) in FIELDS.items())


# Each is one device of one guest: what its region says, and what the module must say of it (None: nothing at all).
REGIONS = [
    ("usable", head(), "region of 4 MiB"),
    ("no USB 3 ports", head(usb3_ports=0), "region of 4 MiB"),
    ("zeros", b"", None),
    ("somebody else's", b"\x7fELF" + bytes(60), None),
    ("version", head(version_min=2, version_max=9), "no version of the protocol"),
    ("size", head(size=8 * MIB), "larger than its mapping"),
    ("odd size", head(size=3 * MIB), "impossible size"),
    ("rings", head(sub_slots=0, comp_slots=0), "impossible ring sizes"),
    ("rings of odd sizes", head(sub_slots=255, comp_slots=510), "impossible ring sizes"),
    ("overlap", head(comp_ring=8192), "parts of the region overlap"),
    ("outside", head(data_size=4 * MIB), "parts of the region overlap"),
    ("over the host page", head(guest_page=0), "parts of the region overlap"),
    ("ports", head(usb2_ports=32), "impossible limits"),
    ("no transfers", head(transfers=0), "impossible limits"),
    ("ones", struct.pack("<Q", MAGIC) + b"\xff" * 120, "no version of the protocol"),
]


def addresses(g):
    """PCI addresses of the links, in order."""
    return g.run("grep -l 0x1110 /sys/bus/pci/devices/*/device | cut -d / -f 6").out.split()


def bound(g):
    return g.run("cd /sys/bus/pci/drivers/usbwarp && ls -d 0000:* 2>/dev/null; true").out.split()


@case
def takes_what_is_usable():
    with tempfile.TemporaryDirectory() as folder:
        links = []
        for n, (_, page, _) in enumerate(REGIONS):
            path = os.path.join(folder, str(n))
            with open(path, "wb") as f:
                f.write(page)
                f.truncate(4 * MIB)
            links.append(lab.Plain(path))
        with lab.Guest(links=links, files={"/usbwarp.ko": stack.module()}) as g:
            for _ in range(2):
                g.run("dmesg -c >/dev/null")
                g.load("/usbwarp.ko")
                log, at = g.dmesg(), addresses(g)
                equal(bound(g), at[:2], "devices that were taken")
                for address, (name, _, said) in zip(at, REGIONS):
                    lines = [line for line in log.splitlines() if f"usbwarp {address}" in line]
                    assert any(said in line for line in lines) if said else not lines, f"{name}: {lines}"
                equal(g.run("cat /proc/iomem | grep -c usbwarp").out.strip(), "4", "BARs that are claimed")
                equal(g.run("cat /sys/bus/pci/drivers/usbwarp/*/usbwarp/state").out.split(), ["waiting"] * 2, "state")
                g.run("rmmod usbwarp")
                equal(g.run("grep -c usbwarp /proc/iomem; true").out.strip(), "0", "BARs after the module")
            for n, link in enumerate(links):
                with open(link.path, "rb") as f:
                    equal(f.read(128), (REGIONS[n][1] + bytes(128))[:128], f"host page of {REGIONS[n][0]}")
            clean(g)


@case
def takes_one_of_two_on_one_region():
    with tempfile.NamedTemporaryFile() as f:
        f.write(head())
        f.truncate(4 * MIB)
        f.flush()
        with lab.Guest(links=[lab.Plain(f.name)] * 2, files={"/usbwarp.ko": stack.module()}) as g:
            g.load("/usbwarp.ko")
            at = addresses(g)
            equal(bound(g), at[:1], "devices that were taken")
            assert "shows the region of a device that is in use already" in g.dmesg()
            g.run("rmmod usbwarp")
            g.load(f"/usbwarp.ko devices=0000:ff:00.0,{at[1]}")
            equal(bound(g), at[1:], "device that was named")
            clean(g)


@case
def reports_itself():
    with stack.Stack(["pico"]) as s, s.guest() as g:
        at = addresses(g)[0]
        s.bind("pico-1")
        g.wait_for("lsusb | grep -q 2e8a:0005")
        read = lambda name: g.run(f"cat /sys/bus/pci/devices/{at}/usbwarp/{name}").out.strip()  # noqa: E731
        equal(read("state"), "running", "state")
        equal(read("wakeup_by"), "interrupts", "wakeup_by")
        assert re.fullmatch(r"write-back \d+\.\d", read("mapping")), read("mapping")
        size, free, lowest = map(int, read("coherent").split())
        assert 0 < lowest <= free <= size, read("coherent")
        counters = g.run(f"cat /sys/kernel/debug/usbwarp/{at}/counters").out
        assert re.search(r"^transfers +[1-9]", counters, re.M), counters
        host = g.run(f"cat /sys/kernel/debug/usbwarp/{at}/host_counters").out
        assert re.search(r"^transfers +[1-9]", host, re.M), host
        assert re.search(r"^p500 +[1-9]\d* ns", g.run(f"cat /sys/kernel/debug/usbwarp/{at}/latency").out, re.M)
        assert "connected enabled" in g.run(f"cat /sys/kernel/debug/usbwarp/{at}/ports").out
        clean(g)


def node(g, vendor):
    return g.run("for d in /sys/bus/usb/devices/*; do [ \"$(cat $d/idVendor 2>/dev/null)\" = " + vendor + " ] && "
                 "printf /dev/bus/usb/%03d/%03d $(cat $d/busnum) $(cat $d/devnum); done; true").out.strip()


@case
def long_urbs_and_streams():
    """URBs of many pieces, discarded at any stage, and bulk streams."""
    with stack.Stack(["zero:speed=super,pattern=1,streams=16"]) as s, \
            s.guest(files={"/usburbs": stack.program("usburbs")}, smp=2) as g:
        s.bind("zero-1")
        g.wait_for("lsusb | grep -q 0525:a4a0")
        for what in ("long 0", "long 1", "long 1048576", "long 1048577", "long 12582912", "discard 200", "streams 16",
                     "streams 2", "long 4194304"):
            out = g.run(f"/usburbs {node(g, '0525')} {what} 2>&1", timeout=120).out
            assert f"{what} right" in out, out
            assert not what.startswith("streams") or f"{what.split()[1]} streams" in out, out
        clean(g)


@case
def coherent_pool_runs_full():
    """Class drivers then get an error, not a crash."""
    with stack.Stack(["pico"]) as s, s.guest(module_options="coherent_kib=4", modules=["cdc-acm"]) as g:
        s.bind("pico-1")
        g.wait_for("lsusb | grep -q 2e8a:0005")
        g.wait_for("dmesg | grep -q 'cdc_acm.* failed with error -12'")
        size, free, lowest = map(int, g.run("cat /sys/bus/pci/devices/*/usbwarp/coherent").out.split())
        equal((size, free), (4096, 4096), "bytes of the pool, and free again")
        assert lowest < size
        clean(g)


@case
def sleeps_and_wakes():
    """Suspend of the whole guest down to its devices; what was connected keeps its drivers."""
    with stack.Stack(["pico", "disk:file=@disk.img,size=16M"]) as s, s.guest(modules=["cdc-acm", "usb-storage", "sd_mod"],
                                                                           files={"/sums": stack.program("sums")}) as g:
        s.bind("pico-1")
        s.bind("disk-1")
        g.wait_for("test -e /dev/ttyACM0 && test -b /dev/sda")
        g.run("dd if=/dev/urandom of=/dev/sda bs=1M count=2 2>/dev/null; echo devices > /sys/power/pm_test")
        before = g.run("md5sum < /dev/sda").out
        for state in ("freeze", "mem"):
            g.run(f"echo {state} > /sys/power/state", timeout=60)
            equal(g.run("echo 3 > /proc/sys/vm/drop_caches; md5sum < /dev/sda", timeout=60).out, before, "disk after " + state)
            assert "5/5 sums right" in g.run("/sums /dev/ttyACM0 5", timeout=60).out
        clean(g)


@case
def idle_devices_suspend():
    """Runtime suspend of single devices, and of the root hubs once all below them sleep."""
    with stack.Stack(["pico", "zero:speed=super"]) as s, s.guest(modules=["cdc-acm"],
                                                                files={"/sums": stack.program("sums")}) as g:
        s.bind("pico-1")
        s.bind("zero-1")
        g.wait_for("test -e /dev/ttyACM0 && lsusb | grep -q 0525:a4a0")
        g.run("cd /sys/bus/usb/devices; echo auto | tee */power/control; echo 0 | tee */power/autosuspend_delay_ms")
        for _ in range(5):
            g.wait_for("! grep -v suspended /sys/bus/usb/devices/[1-9]*-[1-9]/power/runtime_status")
            equal(g.run("grep -c 'link 3' /sys/kernel/debug/usbwarp/*/ports").out.strip(), "2", "suspended ports")
            g.wait_for("! grep -v suspended /sys/bus/usb/devices/usb*/power/runtime_status")
            assert "5/5 sums right" in g.run("/sums /dev/ttyACM0 5", timeout=60).out
            # cdc_acm leaves its device awake, because it asks for remote wake-up while it is open.
            g.run("lsusb -v -d 0525:a4a0 | grep -q bcdUSB && lsusb -v -d 2e8a:0005 | grep -q bcdUSB")
        s.unbind("pico-1")  # noticed though everything sleeps
        g.wait_for("! test -e /dev/ttyACM0")
        s.bind("pico-1")
        g.wait_for("test -e /dev/ttyACM0")
        assert "5/5 sums right" in g.run("/sums /dev/ttyACM0 5", timeout=60).out
        clean(g)


def unplug_while_reading(unplug):
    with stack.Stack(["pico", "disk:file=@disk.img,size=16M"]) as s, s.guest(modules=["usb-storage", "sd_mod"]) as g:
        s.bind("pico-1")
        s.bind("disk-1")
        g.wait_for("test -b /dev/sda")
        reader = g.start("while dd if=/dev/sda of=/dev/null bs=256k iflag=direct; do :; done")
        g.run("sleep 0.2")
        unplug(g)
        reader.wait(60)
        equal(bound(g), [], "devices after unplugging")
        g.run("rmmod usbwarp")
        clean(g)


@case
def device_is_unplugged():
    def unplug(g):
        g.qmp("device_del", {"id": "link0"})
        g.wait_event("DEVICE_DELETED", device="link0", timeout=60)

    unplug_while_reading(unplug)


@case
def device_is_removed():
    unplug_while_reading(lambda g: g.run(f"echo 1 > /sys/bus/pci/devices/{addresses(g)[0]}/remove", timeout=60))


@case
def host_stops_and_goes_on():
    """A worker that is stopped is given up after some seconds; when it goes on, devices come back by themselves."""
    with stack.Stack(["pico", "disk:file=@disk.img,size=16M"]) as s, s.guest(modules=["cdc-acm", "usb-storage", "sd_mod"],
                                                                           files={"/sums": stack.program("sums")}) as g:
        s.bind("pico-1")
        s.bind("disk-1")
        g.wait_for("test -e /dev/ttyACM0 && test -b /dev/sda")
        worker = s.json("status")["daemon"]["worker"]
        reader = g.start("while dd if=/dev/sda of=/dev/null bs=256k iflag=direct; do :; done")
        os.kill(worker, signal.SIGSTOP)
        try:
            g.wait_for("! test -e /dev/ttyACM0", timeout=60)
            reader.wait(60)
        finally:
            os.kill(worker, signal.SIGCONT)
        g.wait_for("test -e /dev/ttyACM0 && test -b /dev/sda", timeout=60)
        assert "5/5 sums right" in g.run("/sums /dev/ttyACM0 5", timeout=60).out
        clean(g)


if __name__ == "__main__":
    main()
