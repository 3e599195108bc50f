#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""usbwarpd with libusb serves USB hardware that QEMU emulates: the short tests of what test_storage.py and others have."""
import hashlib
import os
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from hardware import BothEnds  # noqa: E402
from lab import case, equal, main  # noqa: E402

CYCLES = int(os.environ.get("USBWARP_CYCLES", "20"))


def storage(directory):
    image = os.path.join(directory, "stick.img")
    with open(image, "wb") as f:
        f.truncate(32 << 20)
    return ["-drive", f"if=none,id=stick,format=raw,file={image}", "-device", "usb-storage,bus=xhci.0,drive=stick"]


@case
def storage_survives_bind_cycles():
    with BothEnds(storage, ["usb-storage", "sd_mod", "ext4"]) as both:
        g, (bus_id, _) = both.guest, both.bind("46f4")
        disk = "/dev/" + both.wait_node("/sys/block/sd*")
        g.run(f"mke2fs -q -F {disk} && mkdir -p /mnt", timeout=120)
        digest = ""
        for i in range(CYCLES):
            g.run(f"mount {disk} /mnt", timeout=60)
            if i:
                equal(g.run("sha256sum < /mnt/f", timeout=60).out, digest, f"file after {i} cycles")
            g.run("dd if=/dev/urandom of=/mnt/f bs=64k count=24 2>/dev/null; sync", timeout=60)
            digest = g.run("sha256sum < /mnt/f", timeout=60).out
            g.run("umount /mnt", timeout=60)
            both.cli(f"unbind {bus_id}")
            both.wait_no_node("/sys/block/sd*")
            both.cli(f"bind {bus_id}")
            disk = "/dev/" + both.wait_node("/sys/block/sd*")
        both.finish()


def serial(directory):
    path = os.path.join(directory, "serial.sock")
    return ["-chardev", f"socket,id=line,path={path},server=on,wait=off",
            "-device", "usb-serial,bus=xhci.0,chardev=line,always-plugged=on"]


@case
def serial_carries_data_both_ways():
    with BothEnds(serial, ["ftdi_sio"]) as both, socket.socket(socket.AF_UNIX) as line:
        g = both.guest
        line.settimeout(60)
        line.connect(both.path("serial.sock"))
        both.bind("0403")
        tty = "/dev/" + both.wait_node("/sys/class/tty/ttyUSB*")
        g.run(f"stty -F {tty} raw -echo 115200")
        sent = bytes(range(256)) * 16
        reader = g.start(f"head -c {len(sent)} {tty} | sha256sum")
        g.run("sleep 0.3")
        line.sendall(sent)
        assert hashlib.sha256(sent).hexdigest() in reader.wait(60).out
        g.write("/tmp/out", sent)
        g.run(f"cat /tmp/out > {tty}", timeout=60)
        got = b""
        while len(got) < len(sent):
            got += line.recv(65536)
        equal(got, sent, "bytes from the guest")
        both.finish()


if __name__ == "__main__":
    main()
