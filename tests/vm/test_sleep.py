#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""A host that sleeps and wakes: its devices are there again in the guest, once each, and work.

Host and guest are two virtual machines whose PCI devices show the same file; the host's has the USB hardware.
"""
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import guest as lab  # noqa: E402
import stack  # noqa: E402
from hardware import CONTROLLER, SOCKET  # noqa: E402
from lab import case, clean, equal, main  # noqa: E402

REGION, DISK = 32 << 20, 16 << 20


class TwoMachines:
    """host: runs usbwarpd on hardware of QEMU's. guest: has the module."""

    def __enter__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="usbwarp-")
        self.path = os.path.join(self.directory.name, "region")
        image = os.path.join(self.directory.name, "disk.img")
        for path, size in (self.path, REGION), (image, DISK):
            with open(path, "wb") as f:
                f.truncate(size)
        self.host = lab.Guest(
            links=[lab.Plain(self.path)], modules=["xhci-pci", "usb-storage", "sd_mod"],
            files={name: os.path.join(stack.BIN, os.path.basename(name)) for name in ("/bin/usbwarpd", "/bin/usbwarp")},
            extra_qemu=["-device", CONTROLLER, "-drive", f"if=none,id=disk,format=raw,file={image}",
                        "-device", "usb-storage,bus=xhci.0,drive=disk", "-device", "usb-tablet,bus=xhci.0"])
        self.guest = lab.Guest(links=[lab.Plain(self.path)], files={"/usbwarp.ko": stack.module()},
                               modules=["usb-storage", "sd_mod", "usbhid", "hid-generic", "evdev", "/usbwarp.ko"])
        try:
            self.host.__enter__()
            resource = self.host.run("ls /sys/bus/pci/devices/*/resource2_wc").out.strip()
            self.daemon = self.host.start(f"usbwarpd --control {SOCKET} --usb yes --vm vm1:file={resource}")
            self.host.wait_for(f"usbwarp --socket {SOCKET} status")
            self.guest.__enter__()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, *exc):
        self.guest.__exit__(*exc)
        self.host.__exit__(*exc)
        self.directory.cleanup()

    def cli(self, words):
        return self.host.run(f"usbwarp --socket {SOCKET} {words}", timeout=60).out

    def sleep(self):
        """The kernel's own test: processes are frozen, devices suspended one after the other, and resumed after 5 s."""
        self.host.run("echo devices > /sys/power/pm_test; echo freeze > /sys/power/state", timeout=120)


class Tablet:
    """Its driver has one transfer pending as long as somebody reads, and a sleep ends it."""

    def __init__(self, machines):
        self.host, self.guest = machines.host, machines.guest
        self.guest.wait_for("ls -d /sys/bus/usb/devices/*:*/*/input/input*/event*")
        event = self.guest.run("ls -d /sys/bus/usb/devices/*:*/*/input/input*/event*").out.split()[-1].rsplit("/", 1)[-1]
        self.reader = self.guest.start(f"exec cat /dev/input/{event} > /tmp/events")
        self.x = 0
        self.points()

    def points(self):
        """A move arrives; not always the first one, which may find the device half awake."""
        before = self.guest.run("stat -c %s /tmp/events").out
        for _ in range(50):
            self.x = (self.x + 1000) % 30000
            self.host.qmp("input-send-event", {"events": [{"type": "abs", "data": {"axis": "x", "value": self.x}}]})
            if self.guest.run("sleep 0.2; stat -c %s /tmp/events").out != before:
                return
        assert not self.reader.done, "the tablet has gone"
        raise AssertionError("the tablet is mute")


@case
def devices_are_there_after_sleep():
    with TwoMachines() as m:
        g = m.guest
        m.cli("bind 46f4:*")
        m.cli("bind 0627:*")
        g.wait_for("[ -b /dev/sda ] && lsusb | grep -q 0627:")
        g.run("dd if=/dev/urandom of=/tmp/f bs=1M count=4 2>/dev/null; dd if=/tmp/f of=/dev/sda bs=1M oflag=direct")
        tablet = Tablet(m)
        for _ in range(3):
            m.sleep()
            g.wait_for("dd if=$(ls /dev/sd?) of=/tmp/g bs=1M count=4 iflag=direct 2>/dev/null && cmp /tmp/f /tmp/g", timeout=120)
            g.wait_for("lsusb | grep -q 0627:", timeout=120)
            tablet.points()
            equal(g.run("lsusb | grep -c -e 0627: -e 46f4:").out.strip(), "2", "devices in the guest, without ghosts")
            listed = [line for line in m.cli("list").splitlines() if "vm1, port" in line]
            equal(len(listed), 2, "devices that are bound: " + m.cli("list"))
        m.daemon.kill(15)
        equal(m.daemon.wait(30).code, 0, "the daemon's exit code: " + m.daemon.out)
        clean(g)
        clean(m.host)


if __name__ == "__main__":
    main()
