#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The demo: boots a Linux guest, binds a serial device and a disk to it, and shows a person what happens."""
import hashlib
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "vm"))

import stack  # noqa: E402  (the path above makes it importable)

DISK = 64 << 20
TALK = re.compile(r"usbwarp|usb \d|hub |cdc_acm|usb-storage|scsi|sd[a-z]")


def title(text):
    print(f"\n== {text}", flush=True)


def indent(text, keep=None):
    for line in text.splitlines():
        if not keep or keep.search(line):
            print("   " + line.rstrip())


def kernel_messages(guest):
    title("the guest's kernel")
    indent(guest.dmesg(), TALK)
    title("lsusb -t, in the guest")
    indent(guest.run("lsusb -t").out)


def sums(guest):
    title("/dev/ttyACM0 answers")
    out = guest.run("/sums /dev/ttyACM0 100", timeout=120).out
    indent(out)
    return re.search(r"\d+/\d+ sums right", out).group(0)


def file_on_disk(guest, image):
    """A file system made and a file written in the guest, then read on the host without mounting anything."""
    title("a file system on the bound disk")
    guest.run("mke2fs -q -F /dev/sda && mkdir -p /mnt && mount /dev/sda /mnt", timeout=120)
    out = guest.run("dd if=/dev/urandom of=/mnt/file bs=64k count=256 2>&1 && sha256sum /mnt/file && umount /mnt && sync",
                    timeout=240).out
    indent(out)
    with tempfile.NamedTemporaryFile() as copy:
        subprocess.run(["debugfs", "-R", f"dump /file {copy.name}", image], check=True, capture_output=True,
                       env={**os.environ, "PATH": os.environ.get("PATH", "") + ":/sbin:/usr/sbin"})
        with open(copy.name, "rb") as f:
            digest = hashlib.sha256(f.read()).hexdigest()
    print(f"   {digest}  the same file, read from the backing file on the host")
    return digest in out


def throughput(guest):
    title("reading the disk in the guest, past its page cache")
    for size in (65536, 1 << 20):
        indent(guest.run(f"/readdisk /dev/sda {size} {(48 << 20) // size}", timeout=120).out)


def counters(stacked, guest):
    title("what the host counted (usbwarp stats)")
    indent(stacked.cli("stats").stdout)
    title("what the guest counted (debugfs)")
    text = guest.run("grep -h . /sys/kernel/debug/usbwarp/*/counters /sys/kernel/debug/usbwarp/*/latency").out
    indent(text, re.compile(r"[1-9]\d* \w+$"))
    moved, copied = (int(re.search(rf"{name} +(\d+)", text).group(1)) for name in ("bytes_moved", "bytes_copied"))
    print(f"   of {moved} bytes moved, the guest copied {copied} once and {moved - copied} not at all")


def run(stacked):
    image = os.path.join(stacked.directory, "disk.img")
    with stacked.guest(files={f"/{name}": stack.program(name) for name in ("sums", "readdisk")},
                       modules=["cdc-acm", "usb-storage", "sd_mod", "ext4"]) as guest:
        title("usbwarp bind pico-1; usbwarp bind disk-1")
        stacked.bind("pico-1")
        stacked.bind("disk-1")
        indent(stacked.cli("list").stdout)
        guest.wait_for("test -e /dev/ttyACM0 && test -b /dev/sda")
        kernel_messages(guest)
        right = sums(guest)
        equal = file_on_disk(guest, image)
        throughput(guest)
        counters(stacked, guest)
        complaints = guest.clean_log()
        guest.poweroff()
    return right, equal, complaints


def main():
    print("UsbWarp demo: two model devices on this host, used by a Linux guest through shared memory.")
    with stack.Stack(["pico", f"disk:file=@disk.img,size={DISK}"]) as stacked:
        directory = stacked.directory
        right, equal, complaints = run(stacked)
    left = stack.leftovers(directory)
    title("verdict")
    print(f"   {right}")
    print(f"   files {'equal' if equal else 'DIFFER'} in the guest and on the host")
    print(f"   kernel log {'clean' if not complaints else 'NOT clean: ' + complaints[0]}")
    print(f"   left behind: {', '.join(left) or 'nothing'}")
    good = right == "100/100 sums right" and equal and not complaints and not left
    print("   everything worked" if good else "   NOT everything worked")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
