#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""libusb's own programs on devices behind the virtual controller, and the steps that USB/IP's self-test takes."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import stack  # noqa: E402
from hardware import BothEnds  # noqa: E402
from lab import case, equal, main  # noqa: E402

PROGRAMS = os.path.join(stack.ROOT, "build", "libusb", "bin")
MARK = b"first block of the disk" + bytes(489)


def storage(directory):
    image = os.path.join(directory, "disk.img")
    with open(image, "wb") as f:
        f.write(MARK)
        f.truncate(32 << 20)
    return ["-blockdev", f"driver=file,node-name=disk,filename={image}", "-device", "usb-storage,bus=xhci.0,drive=disk",
            "-device", "usb-ccid,bus=xhci.0", "-device", "usb-tablet,bus=xhci.0"]


class Tools(BothEnds):
    """libusb's programs with three devices, all bound."""

    def __init__(self):
        subprocess.run([os.path.join(stack.HERE, "get-libusb.sh")], check=True)
        files = {"/bin/" + name: os.path.join(PROGRAMS, name) for name in ("listdevs", "testlibusb", "xusb", "stress")}
        super().__init__(storage, ["usb-storage", "sd_mod", "usbhid", "hid-generic", "evdev"], files)

    def start(self):
        super().start()
        self.names = {vendor: self.bind(vendor)[1] for vendor in ("46f4", "08e6", "0627")}

    def behind(self, command, timeout=120):
        """Runs it where sysfs shows no USB devices but those behind: these programs take the first of an id."""
        links = " ".join(f"/sys/devices/pci0000:00/*/{self.function}/usb*/{name}" for name in self.names.values())
        script = (f"set -e; found=$(ls -d {links}); mount -t tmpfs none /sys/bus/usb/devices; "
                  f"for d in $found; do ln -s $d /sys/bus/usb/devices/; done; {command}")
        return self.guest.run(f"unshare -m sh -c '{script}' 2>&1", timeout).out


@case
def listdevs_lists_what_is_behind():
    with Tools() as both:
        lines = both.behind("listdevs").splitlines()
        equal(sorted(line.split()[0].split(":")[0] for line in lines), ["0627", "08e6", "46f4"], "vendors")
        paths = {line.split(":")[0]: line.split("path: ")[1] for line in lines}
        equal(paths, {vendor: name.split("-")[1] for vendor, name in both.names.items()}, "ports")
        both.finish()


@case
def testlibusb_reads_all_descriptors():
    with Tools() as both:
        out = both.behind("testlibusb -v")
        for word in ("46F4", "08E6", "0627", "QEMU USB Tablet", "QEMU USB CCID"):
            assert word in out, f"no {word} in {out}"
        equal(out.count("bConfigurationValue"), 3, "configurations")
        both.finish()


@case
def xusb_reads_the_disk():
    """SCSI by libusb, under the nose of usb-storage, which has its disk back afterwards."""
    with Tools() as both:
        g, name = both.guest, both.names["46f4"]
        disk = both.wait_node("/sys/block/sd*")
        out = both.behind(f"cd /tmp; xusb -i -k -b block {product(both, name)}")
        for word in ('"QEMU ":"QEMU HAR"', "Max LBA: 0000FFFF, Block Size: 00000200", "READ: received 512 bytes",
                     "Mass Storage Status: 00 (Success)", "speed: 5000"):
            assert word in squeeze(out), f"no {word} in {out}"
        assert "Failed" not in out, out
        equal(g.read("/tmp/block"), MARK, "the block")
        disk = both.wait_node("/sys/block/sd*")
        equal(g.run(f"head -c 512 /dev/{disk}").raw, MARK, "the block by usb-storage")
        both.finish()


def product(both, name):
    return ":".join(both.guest.run(f"cat /sys/bus/usb/devices/{name}/id{word}").out.strip() for word in ("Vendor", "Product"))


def squeeze(text):
    return " ".join(text.split())


@case
def xusb_reads_other_devices():
    with Tools() as both:
        for vendor, words in (("08e6", ["Class.SubClass.Protocol: 0B.00.00", "QEMU USB CCID"]),
                              ("0627", ["Class.SubClass.Protocol: 03.", "QEMU USB Tablet"])):
            out = squeeze(both.behind(f"xusb -i {product(both, both.names[vendor])}"))
            for word in words:
                assert word in out, f"no {word} in {out}"
            assert "Failed" not in out, out
        both.finish()


@case
def stress_of_libusb_passes():
    with Tools() as both:
        out = both.behind("stress", timeout=1200)
        for word in ("Ran 4 tests", "Passed 4 tests", "Failed 0 tests", "Error in 0 tests"):
            assert word in out, out
        both.finish()


@case
def steps_of_a_life():
    """Each step twice: the second is refused with words, and leaves things as the first did."""
    with BothEnds(storage, ["usb-storage", "sd_mod"]) as both:
        g, bus_id = both.guest, both.bus_id("46f4")
        here, both_sides = both.descriptors(bus_id), range(3)
        g.wait_for("[ -b /dev/sda ]")
        for _ in both_sides:
            assert bus_id in both.cli("list --bus-ids").split()
            equal([both.ports(), both.drivers(bus_id)], [[], ["usb-storage"]], "before")
            refused(both, f"unbind {bus_id}", "not bound")
            both.cli(f"bind {bus_id}")
            name = both.wait_device("46f4")
            both.wait_node("/sys/block/sd*")
            refused(both, f"bind {bus_id}", "bound")
            equal([both.ports(), both.drivers(bus_id)], [[bus_id], ["usbfs"]], "bound")
            equal(both.descriptors(name), here, "descriptors")
            both.cli(f"unbind {bus_id}")
            both.wait_no_device("46f4")
            refused(both, f"unbind {bus_id}", "not bound")
            g.wait_for(f"[ -e /sys/bus/usb/drivers/usb-storage/{bus_id}:1.0 ]")
        refused(both, "bind 99-9", "99-9")
        refused(both, "bind usb1", "usb1")
        equal(both.ports(), [], "at the end")
        both.finish()


def refused(both, words, because):
    result = both.guest.run(f"usbwarp --socket /run/usbwarp.sock {words}", check=False)
    assert result.code == 1 and because in result.out, f"{words}: {result.code} {result.out}"


if __name__ == "__main__":
    main()
