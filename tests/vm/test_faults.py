#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Sides that vanish: module unloads, killed workers, guest resets. The other side recovers without a person.

Every case does a tenth of its full number of rounds, or the share that USBWARP_ROUNDS names (1 in the soak).
"""
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import stack  # noqa: E402
from lab import case, clean, equal, main  # noqa: E402

SHARE = float(os.environ.get("USBWARP_ROUNDS", "0.1"))  # of the full number
FILES = ["pico", "disk:file=@disk.img,size=16M,speed=super"]
MODULES = ["cdc-acm", "usb-storage", "sd_mod"]


def rounds(full):
    return max(3, int(full * SHARE))


def devices_there(g):
    g.wait_for("test -e /dev/ttyACM0 && test -b /dev/sda", timeout=60)


def sums_right(g, count=5):
    out = g.run(f"/sums /dev/ttyACM0 {count}", timeout=60).out
    assert f"{count}/{count} sums right" in out, out


def descriptors(s):
    """Of the worker and of the keeper. A client that just left may still be being closed, so the least of some counts."""
    return tuple(min(len(os.listdir(f"/proc/{pid}/fd")) for _ in range(20) if not time.sleep(0.05))
                 for pid in (worker(s), s.daemon.pid))


def worker(s):
    return s.json("status")["daemon"]["worker"]


def started(**more):
    s = stack.Stack(FILES)
    return s, {"files": {"/sums": stack.program("sums"), "/usbmap": stack.program("usbmap")}, "modules": MODULES, **more}


def free_memory(g):
    """Slab and vmalloc bytes that nobody frees under pressure, after the caches have been dropped."""
    g.run("echo 3 > /proc/sys/vm/drop_caches; sleep 1")
    text = g.run("grep -E 'SUnreclaim|VmallocUsed' /proc/meminfo").out
    return sum(int(n) for n in re.findall(r"(\d+) kB", text))


@case
def module_reloads():
    s, how = started()
    with s, s.guest(**how) as g:
        s.bind("pico-1")
        s.bind("disk-1")
        devices_there(g)
        count = rounds(100)
        middle = 0
        for i in range(count):
            reader = g.start("dd if=/dev/sda of=/dev/null bs=256k iflag=direct; dd if=/dev/sda of=/dev/null bs=64k iflag=direct")
            if i % 3:
                g.run("sleep 0.0%d" % (i % 10))
            g.run("rmmod usbwarp", timeout=60)
            reader.wait(60)
            g.run("insmod /usbwarp.ko")
            devices_there(g)
            if i == count // 2:
                middle = free_memory(g)
                fds = descriptors(s)
        sums_right(g)
        grown = free_memory(g) - middle
        assert grown < 40 * (count - count // 2) + 2000, f"{grown} kB more kernel memory after {count} reloads"
        equal(descriptors(s), fds, "descriptors of the daemon")
        clean(g)


@case
def worker_killed_during_transfers():
    s, how = started()
    with s, s.guest(**how) as g:
        s.bind("pico-1")
        s.bind("disk-1")
        devices_there(g)
        fds = descriptors(s)
        for _ in range(rounds(50)):
            reader = g.start("dd if=/dev/sda of=/dev/null bs=1M iflag=direct count=64")
            g.run("sleep 0.05")
            old = worker(s)
            os.kill(old, signal.SIGKILL)
            reader.wait(60)
            s.until(lambda: s.cli("status", check=False).returncode == 0 and worker(s) != old, "a new worker")
            devices_there(g)
            sums_right(g, 2)
        equal(descriptors(s), fds, "descriptors of the daemon")
        clean(g)


@case
def guest_resets():
    s, how = started()
    with s, s.guest(**how) as g:
        s.bind("pico-1")
        s.bind("disk-1")
        devices_there(g)
        fds = descriptors(s)
        for _ in range(rounds(20)):
            g.start("dd if=/dev/sda of=/dev/null bs=1M iflag=direct count=64")
            g.run("sleep 0.05")
            g.reset()
            devices_there(g)
            sums_right(g, 2)
            clean(g)
        equal(descriptors(s), fds, "descriptors of the daemon")


@case
def guest_killed_and_started_again():
    s, how = started()
    with s:
        s.bind("pico-1")
        s.bind("disk-1")
        for _ in range(3):
            with s.guest(**how) as g:
                devices_there(g)
                sums_right(g, 2)
                g.start("dd if=/dev/sda of=/dev/null bs=1M iflag=direct count=64")
                g.run("sleep 0.05")
                clean(g)
                g.kill()


def pico_node(g):
    return g.run("for d in /sys/bus/usb/devices/*; do [ \"$(cat $d/idVendor 2>/dev/null)\" = 2e8a ] && "
                 "printf /dev/bus/usb/%03d/%03d $(cat $d/busnum) $(cat $d/devnum); done; true").out.strip()


@case
def usbfs_mapping_outlives_the_module():
    s, how = started()
    with s, s.guest(**how) as g:
        s.bind("pico-1")
        s.bind("disk-1")
        devices_there(g)
        node = pico_node(g)
        for i in range(rounds(30)):
            mark = f"usbfs mapping {os.getpid()} {i}"
            job = g.start(f"/usbmap {node} '{mark}'", stdin=True)
            job.wait_for("descriptor 12 01")
            at = s.region().find(mark.encode())
            assert at > 0 and at % 4096 == 1024, f"the mapping is no page of the region ({at})"
            g.run("rmmod usbwarp", timeout=60)
            job.feed(b"\n")
            assert "still mapped 12" in job.wait(30).out
            g.run("insmod /usbwarp.ko")
            devices_there(g)
            sums_right(g, 2)
            node = pico_node(g)
        clean(g)


@case
def daemon_restarts():
    """The region itself is a new one then, so the guest's QEMU must come again; until then its ports are empty."""
    s, how = started()
    with s:
        s.bind("pico-1")
        with s.guest(**how) as g:
            g.wait_for("test -e /dev/ttyACM0")
            s.stop()
            g.wait_for("! test -e /dev/ttyACM0", timeout=60)
            clean(g)
            g.run("rmmod usbwarp", timeout=60)
            clean(g)
        s.start()
        s.bind("pico-1")
        with s.guest(**how) as g:
            g.wait_for("test -e /dev/ttyACM0")
            sums_right(g)
            clean(g)


if __name__ == "__main__":
    main()
