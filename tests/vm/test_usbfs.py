#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What usbfs can do for real devices: isochronous transfers, streams, little memory, sleep.

QEMU has no device with isochronous IN, so there the hardware is usbwarp itself, one layer further out.
"""
import hashlib
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import stack  # noqa: E402
from hardware import BothEnds, find_disk  # noqa: E402
from test_libusb import storage  # noqa: E402
from test_devices import BULK_CASES, ISOCH_CASES  # noqa: E402
from lab import case, equal, main  # noqa: E402


def usbtest_of(both, node, alt, cases, arguments):
    g = both.guest
    g.run(f"modprobe -r usbtest; modprobe usbtest alt={alt}")
    g.wait_for("ls /sys/bus/usb/drivers/usbtest/ | grep -q :")
    for number in cases:
        out = g.run(f"testusb -D {node} -t {number} {arguments} 2>&1", timeout=300, check=False).out
        assert f"test {number}, " in out and "secs" in out, f"usbtest case {number}: {out}\n{g.console()[-3000:]}"


def layered(speed, alt, cases, arguments):
    """A model served to the guest, and from its usbfs served to the same guest once more."""
    with stack.Stack([f"zero:speed={speed}"]) as s, BothEnds(outer=s.socket()) as both:
        g = both.guest
        s.bind("zero-1")
        g.wait_for("lsusb | grep -q 0525:a4a0")
        outer = g.run("lsusb -d 0525:a4a0").out
        both.cli(f"bind {both.bus_id('0525')}")
        g.wait_for("test $(lsusb -d 0525:a4a0 | wc -l) = 2")
        inner = [line for line in g.run("lsusb -d 0525:a4a0").out.splitlines() if line not in outer]
        words = inner[0].replace(":", "").split()
        usbtest_of(both, f"/dev/bus/usb/{words[1]}/{words[3]}", alt, cases, arguments)
        both.finish()


@case
def isochronous_through_usbfs():
    """Both directions with hundreds of packets, some URBs in flight; usbtest checks what it reads."""
    layered("high", 1, ISOCH_CASES, "-c 16 -s 4096 -g 8 -v 512")


@case
def bulk_and_control_through_usbfs():
    layered("high", 0, BULK_CASES, "-c 16 -s 1024 -g 8 -v 512")


def attached(directory):
    image = os.path.join(directory, "disk.img")
    with open(image, "wb") as f:
        f.truncate(32 << 20)
    return ["-drive", f"if=none,id=disk,format=raw,file={image}", "-device", "usb-uas,id=uas,bus=xhci.0",
            "-device", "scsi-hd,bus=uas.0,drive=disk"]


def copy_there_and_back(both, image, mib):
    """Random bytes onto the inner disk in large direct writes, and back; the image must hold them too."""
    g = both.guest
    g.run(f"dd if=/dev/urandom of=/tmp/f bs=1M count={mib} 2>/dev/null", timeout=120)
    g.run(f"dd if=/tmp/f of=/dev/$({find_disk()}) bs=1M oflag=direct 2>/dev/null", timeout=240)
    g.run(f"dd if=/dev/$({find_disk()}) of=/tmp/g bs=1M count={mib} iflag=direct 2>/dev/null", timeout=240)
    g.run("cmp /tmp/f /tmp/g")
    with open(os.path.join(both.directory.name, image), "rb") as f:
        equal(hashlib.sha256(f.read(mib << 20)).hexdigest(), g.run("sha256sum < /tmp/f").out.split()[0], "image")


@case
def attached_scsi_with_streams():
    with BothEnds(attached, modules=["uas"]) as both:
        g, bus_id = both.guest, both.bus_id("46f4")
        both.cli(f"bind {bus_id}")
        g.wait_for(f"test -n \"$({find_disk()})\"")
        equal(g.run("ls /sys/bus/usb/drivers/uas | grep -c :").out.strip(), "1", "interfaces of uas")
        assert "support streams" not in g.dmesg(), g.dmesg()
        copy_there_and_back(both, "disk.img", 16)
        both.cli(f"unbind {bus_id}")
        g.wait_for(f"test -z \"$({find_disk()})\"")
        both.cli(f"bind {bus_id}")  # what the kernel knew of streams is gone with the former node
        g.wait_for(f"test -n \"$({find_disk()})\"")
        copy_there_and_back(both, "disk.img", 4)
        both.finish()


@case
def little_memory_in_the_kernel():
    """With 1 MiB for all of usbfs large transfers wait for each other and none fails."""
    with BothEnds(storage, modules=["usb-storage"], limit=1) as both:
        g = both.guest
        both.cli(f"bind {both.bus_id('46f4')}")
        g.wait_for(f"test -n \"$({find_disk()})\"")
        g.run(f"echo 1024 > /sys/block/$({find_disk()})/queue/max_sectors_kb")
        copy_there_and_back(both, "stick.img", 16)
        both.finish()


def keyboard(_directory):
    return ["-machine", "i8042=off", "-device", "usb-kbd,bus=xhci.0"]  # or a PS/2 keyboard would get the keys


@case
def keyboard_sleeps_and_wakes():
    """Suspended by the guest, on both buses; woken from the host's side, and by the guest itself."""
    with BothEnds(keyboard) as both:
        g, bus_id = both.guest, both.bus_id("0627")
        outer = f"/sys/bus/usb/devices/{bus_id}"
        both.cli(f"bind {bus_id}")
        g.wait_for("test $(lsusb -d 0627: | wc -l) = 2")
        g.load("usbhid")
        g.run("modprobe hid-generic; modprobe evdev; true")
        inner = g.run("for d in /sys/bus/usb/devices/*; do [ \"$(cat $d/idVendor 2>/dev/null)\" = 0627 ] && echo $d; done; "
                      "true").out.split()
        inner.remove(outer)
        equal(len(inner), 1, "keyboards behind the virtual controller")
        g.wait_for("ls -l /sys/class/input | grep -q '/usb.*/event'")
        event = g.run("ls -l /sys/class/input | grep '/usb.*/event'").out.split()[-1].split("/")[-1]
        # While no device of the host's sleeps, the guest keeps its own awake, and it works.
        control = f"cat {outer}/power/control"
        g.run(f"echo -1 > {outer}/power/autosuspend_delay_ms; cd {inner[0]}/power; echo enabled > wakeup; "
              "echo 0 > autosuspend_delay_ms; echo auto > control; sleep 1")
        equal(g.run(f"cat {inner[0]}/power/runtime_status; {control}").out.split(), ["active", "on"], "a host that never sleeps")
        g.run(f"echo 0 > {outer}/power/autosuspend_delay_ms")
        reader = g.start(f"head -c 24 /dev/input/{event} | wc -c")
        asleep = f"test \"$(cat {outer}/power/runtime_status {inner[0]}/power/runtime_status | sort -u)\" = suspended"
        g.run(f"echo on > {inner[0]}/power/control; echo auto > {inner[0]}/power/control")
        g.wait_for(asleep)
        equal(g.run(control).out.strip(), "auto", "the host's control of a device that sleeps")
        g.run(f"echo on > {inner[0]}/power/control")
        equal(g.run(control).out.strip(), "on", "the host's control of a device that is awake")
        g.run(f"echo auto > {inner[0]}/power/control")
        g.wait_for(asleep)
        # Whatever wakes the host's device, here its administrator, wakes the guest's, which is then to stay awake.
        g.run(f"echo 600000 > {inner[0]}/power/autosuspend_delay_ms; echo on > {outer}/power/control")
        g.wait_for(f"test \"$(cat {inner[0]}/power/runtime_status)\" = active")
        g.qmp("send-key", {"keys": [{"type": "qcode", "data": "a"}]})
        equal(reader.wait(60).out.strip(), "24", "bytes of the key's event")
        g.run(f"cd {inner[0]}/power; echo on > control; echo 0 > autosuspend_delay_ms; echo auto > control")
        g.wait_for(asleep)
        words = [g.run(f"cat {inner[0]}/{name}").out.strip() for name in ("busnum", "devnum")]
        assert "bcdUSB" in g.run(f"lsusb -v -s {words[0]}:{words[1]}").out
        g.wait_for(asleep)
        both.cli(f"unbind {bus_id}")
        g.wait_for("test $(lsusb -d 0627: | wc -l) = 1")
        g.wait_for(f"test \"$({control})\" = on")
        both.finish()


@case
def a_dead_worker_leaves_nothing_asleep():
    with BothEnds(keyboard, ["usbhid", "hid-generic", "evdev"]) as both:
        g, bus_id = both.guest, both.bus_id("0627")
        power = f"/sys/bus/usb/devices/{bus_id}/power"
        g.run(f"echo 0 > {power}/autosuspend_delay_ms")
        both.cli(f"bind --force {bus_id}")
        inner = "/sys/bus/usb/devices/" + both.wait_device("0627")
        g.run(f"cd {inner}/power; echo enabled > wakeup; echo 0 > autosuspend_delay_ms; echo auto > control")
        g.wait_for(f"test \"$(cat {power}/control {power}/runtime_status | xargs)\" = 'auto suspended'")
        g.run(f"echo 600000 > {inner}/power/autosuspend_delay_ms")  # once it is awake it is to stay so
        g.run(f"kill -9 {both.json('status')['daemon']['worker']}")
        g.wait_for(f"test \"$(cat {power}/control {power}/runtime_status | xargs)\" = 'on active'")
        both.finish()


@case
def a_key_wakes_its_keyboard():
    """Remote wake-up: both sides asleep, then a key, which is not lost. QEMU's controller cannot wake from D3, so it stays up."""
    with BothEnds(keyboard, ["usbhid", "hid-generic", "evdev"]) as both:
        g, bus_id = both.guest, both.bus_id("0627")
        outer = f"/sys/bus/usb/devices/{bus_id}"
        g.run("for d in /sys/bus/usb/devices/usb[12] /sys/bus/pci/devices/*; do echo on > $d/power/control; done")
        g.run(f"echo 0 > {outer}/power/autosuspend_delay_ms; echo auto > {outer}/power/control")
        both.cli(f"bind --force {bus_id}")
        inner = "/sys/bus/usb/devices/" + both.wait_device("0627")
        event = both.wait_node("/sys/class/input/event*")
        g.run(f"cd {inner}/power; echo enabled > wakeup; echo 1000 > autosuspend_delay_ms; echo auto > control")
        reader = g.start(f"head -c 288 /dev/input/{event} | wc -c")
        for _ in range(2):
            g.wait_for(f"test \"$(cat {outer}/power/runtime_status {inner}/power/runtime_status | sort -u)\" = suspended")
            g.qmp("send-key", {"keys": [{"type": "qcode", "data": "a"}]})
            g.wait_for(f"test \"$(cat {inner}/power/runtime_status)\" = active")
        equal(reader.wait(60).out.strip(), "288", "bytes of the keys' events")
        both.finish()


if __name__ == "__main__":
    main()
