#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Gadgets of the kernel's own on dummy_hcd, used by the kernel's class drivers behind the virtual controller.

dummy_hcd fails every isochronous URB, so nothing here has any.
"""
import hashlib
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from hardware import BothEnds, events  # noqa: E402
from lab import case, equal, main  # noqa: E402

VENDOR, PRODUCT = "0525", "a4a0"
GADGET = "/sys/kernel/config/usb_gadget/g"

# A keyboard's report descriptor: eight modifier bits, a byte, six keys (HID 1.11, appendix B.1, without the LEDs).
KEYBOARD = bytes.fromhex("05010906a101050719e029e71500250175019508810295017508810395067508150025650507190029658100c0")


class Gadget(BothEnds):
    """Both ends, and one gadget with one function, bound."""

    def __init__(self, function, *modules, attributes=None, prepare="true", speed="high-speed"):
        super().__init__(modules=["libcomposite", "dummy_hcd is_super_speed=1", *modules])
        self.function_name, self.attributes, self.prepare, self.speed = function, attributes or {}, prepare, speed

    def start(self):
        super().start()
        folder = f"{GADGET}/functions/{self.function_name}"
        values = "".join(f"printf %b '{value}' > {folder}/{name}\n" for name, value in self.attributes.items())
        self.guest.run(f"""set -e
            mount -t configfs configfs /sys/kernel/config
            mkdir {GADGET} && cd {GADGET}
            echo 0x{VENDOR} > idVendor; echo 0x{PRODUCT} > idProduct; echo {self.speed} > max_speed
            mkdir strings/0x409 configs/c.1 && echo gadget > strings/0x409/product
            {self.prepare}
            mkdir {folder}
            {values}
            ln -s {folder} configs/c.1/
            ls /sys/class/udc | head -n 1 > UDC""")
        self.guest.wait_for(f"[ -n \"$({self.search(False, VENDOR, PRODUCT)})\" ]")
        here = self.descriptors(self.bus_id(VENDOR, PRODUCT))
        _, self.name = self.bind(VENDOR, PRODUCT)
        equal(self.descriptors(self.name), here, "descriptors")


@case
def serial_gadget():
    """128 KiB each way through cdc_acm."""
    with Gadget("acm.0", "cdc-acm") as both:
        g = both.guest
        tty = "/dev/" + both.wait_node("/sys/class/tty/ttyACM*")
        g.run(f"for t in {tty} /dev/ttyGS0; do stty -F $t raw -echo; done")
        g.run("dd if=/dev/urandom of=/tmp/sent bs=1k count=128 2>/dev/null")
        want = g.run("sha256sum < /tmp/sent").out
        for source, sink in (("/dev/ttyGS0", tty), (tty, "/dev/ttyGS0")):
            reader = g.start(f"head -c 131072 {sink} | sha256sum")
            g.run(f"sleep 0.5; cat /tmp/sent > {source}", timeout=120)
            equal(reader.wait(120).out, want, f"from {source} to {sink}")
        both.finish()


def storage_gadget(speed, said):
    prepare = "dd if=/dev/zero of=/tmp/backing bs=1M count=32 2>/dev/null"
    with Gadget("mass_storage.0", "usb-storage", "sd_mod", "ext4", attributes={"lun.0/file": "/tmp/backing"},
                prepare=prepare, speed=speed) as both:
        g, disk = both.guest, "/dev/" + both.wait_node("/sys/block/sd*")
        equal(g.read(f"/sys/bus/usb/devices/{both.name}/speed"), said, "speed")
        g.run(f"mke2fs -q -F {disk} && mount {disk} /mnt", timeout=240)
        want = g.run("dd if=/dev/urandom of=/mnt/f bs=64k count=64 2>/dev/null; sha256sum < /mnt/f", timeout=240).out
        g.run(f"umount /mnt; echo 3 > /proc/sys/vm/drop_caches; mount {disk} /mnt", timeout=240)
        equal(g.run("sha256sum < /mnt/f; umount /mnt", timeout=240).out, want, "the file")
        g.run("sync; echo 3 > /proc/sys/vm/drop_caches")
        equal(g.run(f"sha256sum < {disk}", timeout=240).out, g.run("sha256sum < /tmp/backing", timeout=240).out, "the disk")
        both.finish()


@case
def storage_gadget_at_high_speed():
    storage_gadget("high-speed", b"480\n")


@case
def storage_gadget_at_super_speed():
    storage_gadget("super-speed", b"5000\n")


@case
def network_gadget():
    """NCM; the gadget's card stands in a network namespace, or the kernel would not ask the cable."""
    with Gadget("ncm.0", "cdc_ncm") as both:
        g, card = both.guest, both.wait_node("/sys/class/net/*")
        assert "cdc_ncm" in both.drivers(both.name), both.drivers(both.name)
        other = g.run(f"cat {GADGET}/functions/ncm.0/ifname").out.strip()
        assert other != card, f"{other} and {card}"
        g.start("unshare -n sh -c 'echo $$ > /tmp/inside; exec sleep 100000'")
        g.wait_for("[ -s /tmp/inside ]")
        inside = "nsenter -n -t $(cat /tmp/inside) "
        g.run(f"ip link set {other} netns $(cat /tmp/inside); ip link set {card} up; ip addr add 10.9.0.1/24 dev {card}")
        g.run(f"{inside} ip link set {other} up; {inside} ip addr add 10.9.0.2/24 dev {other}")
        out = g.run("ping -c 20 -i 0.1 -s 1400 10.9.0.2", timeout=120).out
        assert "20 packets received" in out, out
        g.run("dd if=/dev/urandom of=/tmp/sent bs=64k count=32 2>/dev/null; mkfifo /tmp/silence")
        want = g.run("sha256sum < /tmp/sent").out
        # A listener whose input ends would end the talk in the middle; this one's has neither bytes nor an end.
        for listener, caller, address in ((inside, "", "10.9.0.2"), ("", inside, "10.9.0.1")):
            job = g.start(f"{listener} nc -l -p 99 <> /tmp/silence | sha256sum")
            g.run(f"sleep 1; {caller} nc {address} 99 < /tmp/sent", timeout=240)
            equal(job.wait(60).out, want, f"file to {address}")
        both.finish()


@case
def keyboard_gadget():
    octal = "".join(f"\\0{byte:o}" for byte in KEYBOARD)
    with Gadget("hid.0", "usbhid", "hid-generic", "evdev",
                attributes={"protocol": 1, "subclass": 1, "report_length": 8, "report_desc": octal}) as both:
        g, node = both.guest, both.wait_node("/sys/class/input/event*")
        reader = g.start(f"cat /dev/input/{node} > /tmp/events")
        g.run("sleep 0.5")
        want = []
        for usage, code in [(4, 30), (5, 48), (6, 46), (40, 28)] * 10:
            for down in (1, 0):
                g.run(f"printf '%b' '\\0\\0\\0{usage if down else 0:o}\\0\\0\\0\\0\\0' > /dev/hidg0")
                want += [(4, 4, 0x70000 + usage), (1, code, down), (0, 0, 0)]
        g.wait_for(f"[ $(stat -c %s /tmp/events) -ge {24 * len(want)} ]")
        equal([e for e in events(g.read("/tmp/events")) if e[:2] != (1, 0)], want, "events")
        reader.kill()
        both.finish()


CASES = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 17, 18, 19, 20, 21, 24, 27, 28, 29]


def usbtest(speed, packet):
    with Gadget("SourceSink.0", speed=speed) as both:
        g = both.guest
        g.run("modprobe usbtest")
        g.wait_for(f"[ -e /sys/bus/usb/drivers/usbtest/{both.name}:1.0 ]")
        node = both.usbfs(both.name)
        for number in CASES:
            out = g.run(f"testusb -D {node} -t {number} -c 32 -s {4 * packet} -g 8 -v {packet} 2>&1", timeout=240, check=False).out
            assert re.search(rf"test {number},\s+\d+\.\d+ secs", out), f"case {number}: {out}\n{g.console()[-3000:]}"
        both.finish()


@case
def usbtest_at_high_speed():
    usbtest("high-speed", 512)


@case
def usbtest_at_super_speed():
    usbtest("super-speed", 1024)


if __name__ == "__main__":
    main()
