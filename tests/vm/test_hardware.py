#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Devices that QEMU emulates, used by the kernel's own class drivers behind the virtual controller."""
import hashlib
import os
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import stack  # noqa: E402
from hardware import BothEnds, events, talk  # noqa: E402
from lab import case, equal, main  # noqa: E402

TEXT = 256 << 10


def same_descriptors(both, vendor, product=None):
    """Binds; what the guest reads of the device is what this side read before. Returns its name behind."""
    here = both.descriptors(both.bus_id(vendor, product))
    bus_id, name = both.bind(vendor, product)
    equal(both.descriptors(name), here, f"descriptors of {bus_id}")
    return name


# Serial

def serial(directory):
    path = os.path.join(directory, "serial.sock")
    return ["-chardev", f"socket,id=line,path={path},server=on,wait=off",
            "-device", "usb-serial,bus=xhci.0,chardev=line,always-plugged=on"]


class Line:
    """The far end of the cable: sends as fast as the guest takes it and takes all the time, or QEMU would stand still."""

    def __init__(self, line, data, count):
        self.line, self.data, self.count, self.got = line, data, count, bytearray()
        self.threads = [threading.Thread(target=f, daemon=True) for f in (self.send, self.take)]
        for thread in self.threads:
            thread.start()

    def send(self):
        self.line.sendall(self.data)

    def take(self):
        while len(self.got) < self.count:
            piece = self.line.recv(65536)
            if not piece:
                return
            self.got += piece

    def join(self, timeout):
        for thread in self.threads:
            thread.join(timeout)


@case
def serial_both_ways_at_once():
    """A quarter of a MiB each way at the same time, and the reader stands still for a while: flow control holds it all."""
    with BothEnds(serial, ["ftdi_sio"]) as both, socket.socket(socket.AF_UNIX) as line:
        g = both.guest
        line.connect(both.path("serial.sock"))
        same_descriptors(both, "0403")
        tty = "/dev/" + both.wait_node("/sys/class/tty/ttyUSB*")
        g.run(f"stty -F {tty} raw -echo 115200 crtscts")
        down, up = os.urandom(TEXT), os.urandom(TEXT)
        g.write("/tmp/up", up)
        reader = g.start(f"head -c {TEXT} {tty} > /tmp/down & echo $! > /tmp/reader; wait $!; sha256sum < /tmp/down")
        g.wait_for("[ -s /tmp/reader ]")
        far = Line(line, down, TEXT)
        writer = g.start(f"cat /tmp/up > {tty}")
        g.wait_for("[ $(stat -c %s /tmp/down) -gt 8192 ]", timeout=120)
        g.run("kill -STOP $(cat /tmp/reader); sleep 2; kill -CONT $(cat /tmp/reader)")
        equal(writer.wait(240).code, 0, "the writer")
        equal(reader.wait(240).out.split()[0], hashlib.sha256(down).hexdigest(), "bytes to the guest")
        far.join(60)
        equal(bytes(far.got) == up, True, "bytes from the guest")
        both.finish()


# Network

def net(directory):
    """Port 81 gives a file, port 82 takes one; there is nothing else in this network."""
    with open(os.path.join(directory, "down"), "wb") as f:
        f.write(os.urandom(4 << 20))
    return ["-netdev", f"user,id=net,restrict=on,guestfwd=tcp:10.0.2.100:81-cmd:cat {directory}/down,"
            f"guestfwd=tcp:10.0.2.100:82-cmd:dd of={directory}/up bs=64k", "-device", "usb-net,bus=xhci.0,netdev=net"]


def use_network(configuration, driver):
    with BothEnds(net, ["cdc_ether", "rndis_host"]) as both:
        g = both.guest
        name = same_descriptors(both, "0525")
        g.run(f"echo {configuration} > /sys/bus/usb/devices/{name}/bConfigurationValue")
        both.guest.wait_for(f"[ -n \"$({both.search_nodes('/sys/class/net/*')})\" ]")
        assert driver in both.drivers(name), both.drivers(name)
        card = both.wait_node("/sys/class/net/*")
        g.run(f"ip link set {card} up; ip addr add 10.0.2.15/24 dev {card}")
        out = g.run("ping -c 20 -i 0.1 -s 1400 10.0.2.2", timeout=120).out
        assert "20 packets received" in out, out
        g.run("nc 10.0.2.100 81 < /dev/null > /tmp/down", timeout=240)
        with open(both.path("down"), "rb") as f:
            want = hashlib.file_digest(f, "sha256").hexdigest()
        equal(g.run("sha256sum < /tmp/down").out.split()[0], want, "the file that came")
        g.run("nc 10.0.2.100 82 < /tmp/down", timeout=240)
        equal(arrived(both.path("up"), want), want, "the file that went")
        both.finish()


def arrived(path, want):
    """The checksum of a file that somebody is still writing."""
    for _ in range(100):
        if os.path.exists(path):
            with open(path, "rb") as f:
                got = hashlib.file_digest(f, "sha256").hexdigest()
            if got == want:
                break
        time.sleep(0.2)
    return got


@case
def net_by_cdc_ether():
    use_network(1, "cdc_ether")


@case
def net_by_rndis():
    use_network(2, "rndis_host")


# Input

EV_SYN, EV_KEY, EV_REL, EV_ABS, EV_MSC = 0, 1, 2, 3, 4


def send(both, *actions):
    both.guest.qmp("input-send-event", {"events": [{"type": kind, "data": data} for kind, data in actions]})


def key(code, down):
    return "key", {"down": down, "key": {"type": "qcode", "data": code}}


def button(which, down):
    return "btn", {"down": down, "button": which}


def rel(axis, value):
    return "rel", {"axis": axis, "value": value}


def absolute(axis, value):
    return "abs", {"axis": axis, "value": value}


def watch(device, vendor, rounds):
    """Binds an input device; each round sends actions and must bring exactly those events, and no others."""
    with BothEnds(["-device", f"{device},bus=xhci.0"], ["usbhid", "hid-generic", "evdev"]) as both:
        g = both.guest
        same_descriptors(both, vendor)
        node = both.wait_node("/sys/class/input/event*")
        reader = g.start(f"cat /dev/input/{node} > /tmp/events")
        g.run("sleep 1")
        want = []
        for actions, expected in rounds:
            send(both, *actions)
            want += expected
            g.wait_for(f"[ $(stat -c %s /tmp/events) -ge {24 * len(want)} ]")
        g.run("sleep 1")
        equal(events(g.read("/tmp/events")), want, "events")
        reader.kill()
        both.finish()


def pressed(scan, code, down):
    return [(EV_MSC, 4, scan), (EV_KEY, code, down), (EV_SYN, 0, 0)]


@case
def keyboard_types():
    rounds = []
    for name, usage, code in [("a", 4, 30), ("z", 29, 44), ("1", 30, 2), ("ret", 40, 28), ("shift", 225, 42),
                              ("f12", 69, 88), ("up", 82, 103)]:
        scan = 0x70000 + usage
        rounds.append(([key(name, True), key(name, False)], pressed(scan, code, 1) + pressed(scan, code, 0)))
    watch("usb-kbd", "0627", rounds * 4)


@case
def mouse_moves():
    moves = [([rel("x", x), rel("y", y)], [(EV_REL, a, v) for a, v in ((0, x), (1, y)) if v] + [(EV_SYN, 0, 0)])
             for x, y in [(5, 7), (-3, 0), (0, 100), (127, -127)]]
    clicks = [([button(which, down)], [(EV_MSC, 4, 0x90000 + usage), (EV_KEY, 0x110 + usage - 1, int(down)), (EV_SYN, 0, 0)])
              for which, usage in [("left", 1), ("right", 2), ("middle", 3)] for down in (True, False)]
    watch("usb-mouse", "0627", (moves + clicks) * 4)


@case
def tablet_points():
    points = [([absolute("x", x), absolute("y", y)], [(EV_ABS, 0, x), (EV_ABS, 1, y), (EV_SYN, 0, 0)])
              for x, y in [(100, 200), (32767, 1), (1, 32767), (16384, 16383)]]
    clicks = [([button("left", down)], [(EV_MSC, 4, 0x90001), (EV_KEY, 0x110, int(down)), (EV_SYN, 0, 0)])
              for down in (True, False)]
    watch("usb-tablet", "0627", (points + clicks) * 4)


# Devices without a driver in the kernel

def ccid(kind, parameters=bytes(3), sequence=0):
    """A message to a card reader's slot 0: CCID revision 1.1, chapter 6.1."""
    return struct.pack("<BIBB", kind, 0, 0, sequence) + parameters


@case
def card_reader_answers():
    """GetSlotStatus and IccPowerOn of a reader without a card, the same behind as here."""
    asked = [word for n in range(20) for word in (ccid(0x65, sequence=n), 64)] + [ccid(0x62, sequence=99), 64]
    with BothEnds(["-device", "usb-ccid,bus=xhci.0"], files={"/usbtalk": stack.program("usbtalk")}) as both:
        here = talk(both, both.bus_id("08e6"), asked)
        name = same_descriptors(both, "08e6")
        behind = talk(both, name, asked)
        equal(behind, here, "answers")
        for n, answer in enumerate(behind[:-1]):
            equal(answer[:7], struct.pack("<BIBB", 0x81, 0, 0, n), "RDR_to_PC_SlotStatus")
            equal(answer[7] & 3, 2, "no card is present")
        equal(behind[-1][7] >> 6, 1, "power for a card that is not there fails")
        both.finish()


PTP_COMMAND, PTP_DATA, PTP_RESPONSE = 1, 2, 3
GET_DEVICE_INFO, OPEN_SESSION, GET_STORAGE_IDS, GET_OBJECT_HANDLES, GET_OBJECT = 0x1001, 0x1002, 0x1004, 0x1007, 0x1009


def ptp(code, transaction, *parameters):
    return struct.pack(f"<IHHI{len(parameters)}I", 12 + 4 * len(parameters), PTP_COMMAND, code, transaction, *parameters)


def ask(both, name, code, transaction, *parameters, data=True):
    """One operation; the bytes of its data phase."""
    answers = talk(both, name, [ptp(code, transaction, *parameters), *([1 << 20] if data else []), 512])
    equal(struct.unpack_from("<IHHI", answers[-1])[1:], (PTP_RESPONSE, 0x2001, transaction), f"response to {code:x}")
    if not data:
        return b""
    equal(struct.unpack_from("<IHHI", answers[0]), (len(answers[0]), PTP_DATA, code, transaction), f"data of {code:x}")
    return answers[0][12:]


class Reader:
    """Takes a PTP data set apart."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self, size):
        self.at += size
        return int.from_bytes(self.data[self.at - size:self.at], "little")

    def numbers(self, size):
        return [self.number(size) for _ in range(self.number(4))]

    def text(self):
        size = 2 * self.number(1)
        self.at += size
        return self.data[self.at - size:self.at].decode("utf-16le").rstrip("\0")


def check_device_info(data):
    r = Reader(data)
    equal(r.number(2), 100, "standard version")
    r.number(4), r.number(2), r.text(), r.number(2)
    assert {GET_DEVICE_INFO, OPEN_SESSION, GET_OBJECT} <= set(r.numbers(2)), "operations"
    for _ in range(4):
        r.numbers(2)
    equal([r.text(), r.text()], ["QEMU", "QEMU filesharing"], "manufacturer and model")
    r.text(), r.text()
    equal(r.at, len(data), "length of the data set")


@case
def media_device_gives_its_file():
    content = os.urandom(300000)

    def share(directory):
        folder = os.path.join(directory, "share")
        os.mkdir(folder)
        with open(os.path.join(folder, "file"), "wb") as f:
            f.write(content)
        return ["-device", f"usb-mtp,bus=xhci.0,rootdir={folder},desc=share"]

    with BothEnds(share, files={"/usbtalk": stack.program("usbtalk")}) as both:
        name = same_descriptors(both, "46f4")
        ask(both, name, OPEN_SESSION, 0, 1, data=False)
        check_device_info(ask(both, name, GET_DEVICE_INFO, 1))
        storage = Reader(ask(both, name, GET_STORAGE_IDS, 2)).numbers(4)
        equal(len(storage), 1, "storages")
        objects = Reader(ask(both, name, GET_OBJECT_HANDLES, 3, storage[0], 0, 0xffffffff)).numbers(4)
        equal(len(objects), 1, "objects")
        equal(ask(both, name, GET_OBJECT, 4, objects[0]) == content, True, "content of the file")
        both.finish()


# A hub

@case
def hub_is_refused_and_named():
    below = ["-device", "usb-hub,bus=xhci.0,port=1", "-device", "usb-kbd,bus=xhci.0,port=1.1",
             "-device", "usb-ccid,bus=xhci.0,port=1.3"]
    with BothEnds(below, ["usbhid", "hid-generic", "evdev"]) as both:
        both.guest.wait_for("[ -e /sys/bus/usb/devices/1-1.3:1.0 ]")
        said = both.cli("bind 1-1", check=False)
        for word in ("hub", "1-1.1", "1-1.3"):
            assert word in said, said
        equal(both.ports(), [], "devices in ports")
        same_descriptors(both, "0627")
        both.wait_node("/sys/class/input/event*")
        same_descriptors(both, "08e6")
        equal(sorted(both.ports()), ["1-1.1", "1-1.3"], "devices in ports")
        both.finish()


if __name__ == "__main__":
    main()
