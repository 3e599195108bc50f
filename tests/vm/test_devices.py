#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Ordinary class drivers of the guest's kernel use model devices through the whole product."""
import hashlib
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import stack  # noqa: E402
from lab import case, clean, equal, main  # noqa: E402

# Cases of the kernel's usbtest driver, by what the alternate setting must have.
BULK_CASES = [*range(0, 15), 17, 18, 19, 20, 21, 24, 27, 28, 29]
ISOCH_CASES = [15, 16, 22, 23]
INTERRUPT_CASES = [25, 26]


def run_usbtest(guest, number, arguments):
    """A case counts only when it printed its time: unsupported ones are skipped in silence by testusb."""
    out = guest.run(f"testusb -a -t {number} {arguments} 2>&1", timeout=240, check=False).out
    if not re.search(rf"test {number},\s+\d+\.\d+ secs", out):
        raise AssertionError(f"usbtest case {number} did not run to its end: {out}\n{guest.console()[-3000:]}")


def usbtest(guest, cases, alt, arguments="-c 64 -s 1024 -g 8 -v 512"):
    guest.run(f"modprobe -r usbtest; modprobe usbtest alt={alt}")
    guest.wait_for("ls /sys/bus/usb/drivers/usbtest/ | grep -q :")
    for number in cases:
        run_usbtest(guest, number, arguments)


@case
def pico_answers_sums():
    with stack.Stack(["pico"]) as s, s.guest(files={"/sums": stack.program("sums")}, modules=["cdc-acm"]) as g:
        s.bind("pico-1")
        g.wait_for("test -e /dev/ttyACM0")
        out = g.run("/sums /dev/ttyACM0 100", timeout=120).out
        assert "100/100 sums right" in out, out
        clean(g)


def write_disk(speed):
    size = 32 << 20
    with stack.Stack([f"disk:file=@disk.img,size={size},speed={speed}"]) as s, \
            s.guest(modules=["usb-storage", "sd_mod", "ext4"]) as g:
        s.bind("disk-1")
        g.wait_for("test -b /dev/sda")
        g.run("mke2fs -q -F /dev/sda && mkdir -p /mnt && mount /dev/sda /mnt", timeout=120)
        out = g.run("dd if=/dev/urandom of=/mnt/f bs=64k count=64 2>/dev/null; sync; sha256sum < /mnt/f", timeout=120).out
        g.run("umount /mnt; echo 3 > /proc/sys/vm/drop_caches; mount /dev/sda /mnt", timeout=120)
        equal(g.run("sha256sum < /mnt/f", timeout=120).out, out, "file after a new mount")
        g.run("umount /mnt")
        want = g.run(f"dd if=/dev/sda bs=1M count={size >> 20} 2>/dev/null | sha256sum", timeout=240).out.split()[0]
        image = os.path.join(s.directory, "disk.img")
        equal(sha256(image), want, "backing file")
        clean(g)


def sha256(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


@case
def disk_at_high_speed():
    write_disk("high")


@case
def disk_at_super_speed():
    write_disk("super")


@case
def disk_at_full_speed():
    write_disk("full")


@case
def usbtest_at_high_speed():
    with stack.Stack(["zero"]) as s, s.guest() as g:
        s.bind("zero-1")
        usbtest(g, BULK_CASES, 0)
        usbtest(g, ISOCH_CASES + INTERRUPT_CASES, 1)
        clean(g)


@case
def usbtest_at_super_speed():
    with stack.Stack(["zero:speed=super"]) as s, s.guest() as g:
        s.bind("zero-1")
        usbtest(g, BULK_CASES, 0)
        clean(g)


@case
def usbtest_with_two_processors():
    with stack.Stack(["zero"]) as s, s.guest(smp=2) as g:
        s.bind("zero-1")
        usbtest(g, [9, 10, 11, 12, 13, 24, 27, 28], 0)
        clean(g)


@case
def bind_and_unbind_while_open():
    with stack.Stack(["pico"]) as s, s.guest(files={"/sums": stack.program("sums")}, modules=["cdc-acm"]) as g:
        for _ in range(10):
            s.bind("pico-1")
            g.wait_for("test -e /dev/ttyACM0")
            reader = g.start("cat /dev/ttyACM0 > /dev/null")
            s.unbind("pico-1")
            reader.wait(20)
            g.wait_for("! test -e /dev/ttyACM0")
        s.bind("pico-1")
        g.wait_for("test -e /dev/ttyACM0")
        assert "20/20 sums right" in g.run("/sums /dev/ttyACM0 20").out
        clean(g)


@case
def two_guests_each_its_own_device():
    files = {"/sums": stack.program("sums")}
    with stack.Stack(["pico", "pico"], vms=["vm1", "vm2"]) as s, s.guest("vm1", files, modules=["cdc-acm"]) as a, \
            s.guest("vm2", files, modules=["cdc-acm"]) as b:
        s.bind("pico-1", "vm1")
        s.bind("pico-2", "vm2")
        for g in (a, b):
            g.wait_for("test -e /dev/ttyACM0")
            assert "20/20 sums right" in g.run("/sums /dev/ttyACM0 20").out
        assert s.cli("bind", "pico-1", "--vm", "vm2", check=False).returncode == 1
        clean(a)
        clean(b)


@case
def idle_device_costs_nothing():
    """Ten seconds with an idle serial port open: at most five kicks and interrupts, and no measurable CPU time."""
    with stack.Stack(["pico"]) as s, s.guest(modules=["cdc-acm"]) as g:
        s.bind("pico-1")
        g.wait_for("test -e /dev/ttyACM0")
        g.run("stty -F /dev/ttyACM0 raw -echo")  # or tty and prompt would echo each other for ever
        g.start("cat /dev/ttyACM0 > /dev/null")
        g.run("sleep 4")
        before, cpu = kicks(s), cpu_seconds(s)
        g.run("sleep 10")
        used = cpu_seconds(s) - cpu
        moved = kicks(s) - before
        assert moved <= 5, f"{moved} kicks and interrupts in 10 s"
        assert used <= 0.05, f"{used} s of CPU in 10 s"
        clean(g)


def kicks(s):
    """Kicks in both directions, as usbwarp stats shows them for the VM."""
    values = s.json("stats", "--vm", "vm1")["scopes"][0]["values"]
    return values["kicks"] + values["wakeups"]


def cpu_seconds(s):
    """User and system time of the daemon's processes."""
    total = 0
    for pid in [s.daemon.pid, s.json("status")["daemon"]["worker"]]:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
