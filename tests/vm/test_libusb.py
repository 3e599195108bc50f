#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Both ends in one guest: usbwarpd with libusb serves USB hardware that QEMU emulates to usbwarp.ko beside it.

Two ivshmem-plain devices show the same file; the module takes the first, the daemon maps the second. No link here has
interrupts, so both sides poll. Writes go to hardware nobody here wrote, through the guest's xHCI driver and usbfs.
"""
import hashlib
import os
import socket
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import guest as lab  # noqa: E402
import stack  # noqa: E402
from lab import case, clean, equal, main  # noqa: E402

REGION = 32 << 20
CYCLES = int(os.environ.get("USBWARP_CYCLES", "20"))


class BothEnds:
    """A guest with emulated USB hardware, a region, and the daemon running inside it."""

    def __init__(self, hardware, options="", modules=()):
        self.hardware, self.options, self.modules = hardware, options, list(modules)

    def __enter__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="usbwarp-")
        self.region = os.path.join(self.directory.name, "region")
        with open(self.region, "wb") as f:
            f.truncate(REGION)
        daemon, cli = (os.path.join(stack.BIN, name) for name in ("usbwarpd", "usbwarp"))
        self.guest = lab.Guest(
            links=[lab.Plain(self.region), lab.Plain(self.region)],
            extra_qemu=["-device", "qemu-xhci,id=xhci,p2=8,p3=8", *self.hardware(self.directory.name)],
            files={"/usbwarp.ko": stack.module(), "/bin/usbwarpd": daemon, "/bin/usbwarp": cli},
            modules=["xhci-pci", "usb-storage", "sd_mod", "ext4", "ftdi_sio", *self.modules])
        try:
            self.guest.__enter__()
            self.start()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, *exc):
        self.guest.__exit__(*exc)
        self.directory.cleanup()

    def start(self):
        g = self.guest
        functions = g.run("for d in /sys/bus/pci/devices/*; do [ \"$(cat $d/vendor) $(cat $d/device)\" = "
                          "'0x1af4 0x1110' ] && basename $d; done").out.split()
        equal(len(functions), 2, "ivshmem functions")
        self.resource = f"/sys/bus/pci/devices/{functions[1]}/resource2_wc"
        self.start_daemon()
        g.run(f"insmod /usbwarp.ko devices={functions[0]}")

    def start_daemon(self):
        self.daemon = self.guest.start("usbwarpd --control /run/usbwarp.sock --usb yes "
                                       f"--vm vm1:file={self.resource} {self.options}")
        self.guest.wait_for("usbwarp --socket /run/usbwarp.sock status")

    def cli(self, words):
        return self.guest.run("usbwarp --socket /run/usbwarp.sock " + words, timeout=60).out

    def bus_id(self, vendor):
        """Bus id of the emulated device with that idVendor on the guest's own xHCI."""
        lines = [line.split()[0] for line in self.cli("list").splitlines() if vendor + ":" in line]
        equal(len(lines), 1, f"devices of vendor {vendor} in {self.cli('list')}")
        return lines[0]

    def finish(self):
        self.daemon.kill(15)
        self.daemon.wait(30)
        clean(self.guest)


def storage(directory):
    image = os.path.join(directory, "stick.img")
    with open(image, "wb") as f:
        f.truncate(32 << 20)
    return ["-drive", f"if=none,id=stick,format=raw,file={image}", "-device", "usb-storage,bus=xhci.0,drive=stick"]


@case
def storage_survives_bind_cycles():
    with BothEnds(storage) as both:
        g, bus_id = both.guest, both.bus_id("46f4")
        both.cli(f"bind {bus_id}")
        g.wait_for(f"test -n \"$({find_disk()})\"")
        g.run(f"mke2fs -q -F /dev/$({find_disk()}) && mkdir -p /mnt", timeout=120)
        digest = ""
        for i in range(CYCLES):
            g.run(f"mount /dev/$({find_disk()}) /mnt", timeout=60)
            if i:
                equal(g.run("sha256sum < /mnt/f", timeout=60).out, digest, f"file after {i} cycles")
            g.run("dd if=/dev/urandom of=/mnt/f bs=64k count=24 2>/dev/null; sync", timeout=60)
            digest = g.run("sha256sum < /mnt/f", timeout=60).out
            g.run("umount /mnt", timeout=60)
            both.cli(f"unbind {bus_id}")
            g.wait_for(f"test -z \"$({find_disk()})\"")
            both.cli(f"bind {bus_id}")
            g.wait_for(f"test -n \"$({find_disk()})\"")
        both.finish()


def find_disk():
    """A shell command that prints the name of the disk behind the virtual controller, not the one on xHCI."""
    return ("for b in /sys/block/sd*; do p=$(readlink -f $b); while [ $p != / ]; do "
            "[ \"$(basename \"$(readlink $p/driver)\")\" = usbwarp ] && basename $b; p=$(dirname $p); done; done")


def serial(directory):
    path = os.path.join(directory, "serial.sock")
    return ["-chardev", f"socket,id=line,path={path},server=on,wait=off",
            "-device", "usb-serial,bus=xhci.0,chardev=line,always-plugged=on"]


@case
def serial_carries_data_both_ways():
    with BothEnds(serial) as both, socket.socket(socket.AF_UNIX) as line:
        g = both.guest
        line.settimeout(60)
        line.connect(os.path.join(both.directory.name, "serial.sock"))
        both.cli(f"bind {both.bus_id('0403')}")
        g.wait_for("readlink -f /sys/class/tty/ttyUSB0 | grep -q usb")
        g.run("stty -F /dev/ttyUSB0 raw -echo 115200")
        sent = bytes(range(256)) * 16
        reader = g.start(f"head -c {len(sent)} /dev/ttyUSB0 | sha256sum")
        g.run("sleep 0.3")
        line.sendall(sent)
        assert hashlib.sha256(sent).hexdigest() in reader.wait(60).out
        g.write("/tmp/out", sent)
        g.run("cat /tmp/out > /dev/ttyUSB0", timeout=60)
        got = b""
        while len(got) < len(sent):
            got += line.recv(65536)
        equal(got, sent, "bytes from the guest")
        both.finish()


if __name__ == "__main__":
    main()
