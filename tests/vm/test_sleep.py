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
                               modules=["usb-storage", "sd_mod", "/usbwarp.ko"])
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


@case
def devices_are_there_after_sleep():
    with TwoMachines() as m:
        g = m.guest
        m.cli("bind 46f4:*")
        m.cli("bind 0627:*")
        g.wait_for("[ -b /dev/sda ] && lsusb | grep -q 0627:")
        g.run("dd if=/dev/urandom of=/tmp/f bs=1M count=4 2>/dev/null; dd if=/tmp/f of=/dev/sda bs=1M oflag=direct")
        for _ in range(3):
            m.sleep()
            g.wait_for("dd if=$(ls /dev/sd?) of=/tmp/g bs=1M count=4 iflag=direct 2>/dev/null && cmp /tmp/f /tmp/g", timeout=120)
            g.wait_for("lsusb | grep -q 0627:", timeout=120)
            equal(g.run("lsusb | grep -c -e 0627: -e 46f4:").out.strip(), "2", "devices in the guest, without ghosts")
            listed = [line for line in m.cli("list").splitlines() if "vm1, port" in line]
            equal(len(listed), 2, "devices that are bound: " + m.cli("list"))
        m.daemon.kill(15)
        equal(m.daemon.wait(30).code, 0, "the daemon's exit code: " + m.daemon.out)
        clean(g)
        clean(m.host)


if __name__ == "__main__":
    main()
