# SPDX-License-Identifier: GPL-2.0-only
"""QEMU's side of an ivshmem server, and in the region a guest driver small enough to misbehave on purpose.

    with Qemu(daemon.socket()) as q, Driver(q) as g:
        g.connected(1)
        g.control(1, GET_DEVICE, 18)
"""
import array
import mmap
import os
import select
import socket
import struct
import time

from harness import PATIENCE, equal, until

# include/usbwarp/proto.h
REGION_MAGIC = 0x3150524157425355
DOWN, RESETTING, READY = 0, 1, 2
HOST_EPOCH, HOST_STATE, HOST_HOT, HOT_CONSUMED = 24, 28, 128, 4
HELLO, SUBMIT, CANCEL, PORT_REQUEST, EVENT_ACK, STATS_REQUEST, BYE = 1, 2, 3, 4, 7, 8, 9
WELCOME, COMPLETE, EVENT, STATS_ANSWER, BYE_ANSWER = 65, 66, 67, 68, 69
CONTROL, ISOCH, BULK, INTERRUPT = 0, 1, 2, 3
PORT_RESET = 1
NONE, LOW, FULL, HIGH, SUPER = range(5)
ST_OK, ST_STALL, ST_CANCELLED, ST_NO_DEVICE, ST_INVALID = 0, 1, 2, 5, 8
SLOT = 64
GET_DEVICE = bytes([0x80, 6, 0, 1, 0, 0, 18, 0])
SET_CONFIGURATION_1 = bytes([0, 9, 1, 0, 0, 0, 0, 0])


class Refused(Exception):
    """The server closed before it had introduced itself."""


class Qemu:
    """What QEMU's ivshmem-doorbell device does with its server."""

    def __init__(self, path):
        self.path, self.fds = path, []

    def __enter__(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10 * PATIENCE)
        try:
            self.socket.connect(self.path)
            self.setup()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc):
        self.socket.close()
        for fd in self.fds:
            os.close(fd)
        self.fds = []

    def message(self):
        """(number, descriptor or None)"""
        data, ancillary = b"", []
        while len(data) < 8:
            more, rights, _, _ = self.socket.recvmsg(8 - len(data), socket.CMSG_SPACE(4))
            if not more:
                raise Refused()
            data += more
            for _, _, fds in rights:
                ancillary += array.array("i", fds)
        self.fds += ancillary
        return struct.unpack("<q", data)[0], ancillary[0] if ancillary else None

    def setup(self):
        equal(self.message(), (0, None), "version of the protocol")
        self.ident, fd = self.message()
        equal(fd, None, "descriptor beside the id")
        number, self.memory = self.message()
        equal((number, self.memory is not None), (-1, True), "memory")
        self.doorbells, self.interrupts = [], []
        while len(self.interrupts) < 2:
            peer, fd = self.message()
            assert fd is not None, "an eventfd is missing"
            (self.interrupts if peer == self.ident else self.doorbells).append(fd)
            if peer != self.ident:
                self.host = peer
        equal(len(self.doorbells), 2, "vectors of the host")
        for fd in self.doorbells + self.interrupts:
            os.set_blocking(fd, False)

    def ring(self):
        os.write(self.doorbells[0], struct.pack("<Q", 1))

    def interrupted(self, timeout, vector=0):
        """Waits for an interrupt and takes it."""
        if not select.select([self.interrupts[vector]], [], [], timeout)[0]:
            return False
        os.read(self.interrupts[vector], 8)
        return True

    def region(self):
        """(device, inode) of the memory, which must never change."""
        st = os.fstat(self.memory)
        return st.st_dev, st.st_ino


class Layout:
    """The fixed part of the host page."""
    FORM = struct.Struct("<QHHIQII5I2HIHHIH2BI2HII40x")
    NAMES = ("magic version_min version_max size features epoch state guest_page sub_ring comp_ring data data_size "
             "sub_slots comp_slots start reserve granule transfers share usb2_ports usb3_ports transfer_max "
             "packets_max isoch_max doorbell link").split()

    def __init__(self, page):
        for name, value in zip(self.NAMES, self.FORM.unpack_from(page)):
            setattr(self, name, value)
        equal(self.magic, REGION_MAGIC, "magic")


class Driver:
    """A guest driver in few words: one transfer at a time, polling."""

    def __init__(self, qemu, incarnation=1):
        self.qemu, self.incarnation = qemu, incarnation
        self.events, self.answers, self.uses = [], {}, 0
        self.seen = {}          # port: speed
        self.memory = None

    def __enter__(self):
        size = os.fstat(self.qemu.memory).st_size
        self.memory = mmap.mmap(self.qemu.memory, size)
        self.words = memoryview(self.memory).cast("I")
        self.layout = Layout(self.memory)
        equal(self.layout.size, size, "size of the region")
        equal(self.layout.doorbell, self.qemu.host << 16, "doorbell value")
        self.begin()
        return self

    def __exit__(self, *exc):
        self.put(self.layout.guest_page, 0)
        self.words.release()
        self.memory.close()

    # Words of shared memory, each read and written as a whole: struct would do it byte by byte

    def get(self, at):
        return self.words[at // 4]

    def put(self, at, value):
        self.words[at // 4] = value & 0xffffffff

    def state(self):
        return self.get(HOST_STATE)

    def epoch_now(self):
        return self.get(HOST_EPOCH)

    # Session

    def begin(self, hello=True):
        """Asks for an epoch with a new incarnation and works in it."""
        former = self.epoch_now()
        self.put(self.layout.guest_page, self.incarnation)
        self.qemu.ring()
        until(lambda: self.state() == READY and self.epoch_now() != former, "a new epoch")
        self.echo(hello)

    def echo(self, hello=True):
        """Works in the epoch that is on offer."""
        self.epoch = self.epoch_now()
        self.tx = self.rx = self.layout.start
        self.events, self.answers, self.seen = [], {}, {}
        for i in range(self.layout.sub_slots):
            position = self.layout.start + i
            at = self.layout.sub_ring + position % self.layout.sub_slots * SLOT
            self.memory[at:at + SLOT] = bytes(SLOT)
            self.put(at, position + 1 - self.layout.sub_slots)
        hot = self.layout.guest_page + HOST_HOT
        self.put(hot, self.layout.start)
        self.put(hot + HOT_CONSUMED, self.layout.start)
        self.put(self.layout.guest_page + 4, self.epoch)
        self.qemu.ring()
        if hello:
            self.send(HELLO, struct.pack("<HHIQ32s", 1, 1, self.incarnation, 0, b"test driver"))
            kind, _, body = self.receive()
            version, status, epoch = struct.unpack_from("<HHI", body)
            equal((kind, version, status, epoch), (WELCOME, 1, ST_OK, self.epoch), "welcome")

    def send(self, kind, body=b"", ident=0, flags=0, ring=True):
        slot = self.layout.sub_ring + self.tx % self.layout.sub_slots * SLOT
        struct.pack_into("<HBBII48s", self.memory, slot + 4, self.epoch & 0xffff, kind, flags, self.rx, ident, body)
        self.tx = self.tx + 1 & 0xffffffff
        self.put(slot, self.tx)
        if ring:
            self.qemu.ring()

    def poll(self):
        """The next completion as (type, id, body), or None."""
        slot = self.layout.comp_ring + self.rx % self.layout.comp_slots * SLOT
        if self.get(slot) != self.rx + 1 & 0xffffffff:
            return None
        epoch, kind, flags, _, ident, body = struct.unpack_from("<HBBII48s", self.memory, slot + 4)
        equal((epoch, flags), (self.epoch & 0xffff, 0), "epoch and flags of a completion")
        self.rx = self.rx + 1 & 0xffffffff
        self.put(self.layout.guest_page + HOST_HOT, self.rx)
        self.put(self.layout.guest_page + HOST_HOT + HOT_CONSUMED, self.rx)
        return kind, ident, body

    def receive(self, timeout=10):
        """The next completion; sleeps on the interrupt, so a missing one is noticed."""
        end = time.monotonic() + timeout * PATIENCE
        while True:
            message = self.poll()
            if message:
                return message
            if time.monotonic() > end:
                raise AssertionError(f"no completion; host state {self.state()}, epoch {self.epoch_now()}")
            self.qemu.interrupted(0.2)

    def take(self, timeout=10):
        """Receives one completion and files it: events are acknowledged, answers kept by id."""
        kind, ident, body = self.receive(timeout)
        if kind == EVENT:
            port, speed, _, seq = struct.unpack_from("<BBHI", body)
            self.seen[port] = speed
            self.send(EVENT_ACK, struct.pack("<B3xI", port, seq))
        else:
            assert ident not in self.answers, f"two answers to {ident:x}"
            self.answers[ident] = (kind, body)

    def connected(self, port, speed=None):
        """Waits until a device is at the port (speed NONE: until there is none)."""
        while True:
            now = self.seen.get(port, NONE)
            if now == speed or (speed is None and now != NONE):
                return now
            self.take()

    def answer(self, ident, timeout=10):
        """(status, why, actual) of a complete."""
        while ident not in self.answers:
            self.take(timeout)
        kind, body = self.answers.pop(ident)
        equal(kind, COMPLETE, "type of the answer")
        return struct.unpack_from("<HHI", body)

    def submit(self, port, endpoint, transfer, length, setup=bytes(8), data=0, interval=0):
        """Sends a submission; its id."""
        self.uses += 1
        ident = self.uses % 64 | self.uses << 16 & 0xffff0000
        body = struct.pack("<IIIHH8sBBBxH18x", data, length, 0, 0, 0, setup, port, endpoint, transfer, interval)
        self.send(SUBMIT, body, ident)
        return ident

    def control(self, port, setup, length=0):
        """A control transfer: (status, bytes of an IN data stage)."""
        status, _, actual = self.answer(self.submit(port, setup[0] & 0x80, CONTROL, length, setup))
        return status, self.memory[self.layout.data:self.layout.data + actual]

    def reset(self, port):
        self.uses += 1
        ident = 64 | self.uses << 16 & 0xffff0000
        self.send(PORT_REQUEST, struct.pack("<BB", port, PORT_RESET), ident)
        return self.answer(ident)[0]

    def vendor(self, port):
        """idVendor and idProduct of the device at a port, after a reset."""
        equal(self.reset(port), ST_OK, "port reset")
        status, descriptor = self.control(port, GET_DEVICE, 18)
        equal((status, len(descriptor)), (ST_OK, 18), "device descriptor")
        return struct.unpack_from("<HH", descriptor, 8)
