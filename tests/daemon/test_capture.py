#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Captures: what passes between a guest and its devices is told as it was, and a reader costs nobody anything."""
import collections
import errno
import os
import pty
import signal
import stat
import struct
import subprocess
import time

import ivshmem
from harness import (BIN, CAPTURE, DATA, DEVICE, DROPPED, END, HEADER, LIST, MAGIC, MALFORMED, NO_DEVICE, NO_VM, OK,
                     PACKET, PATIENCE, VERSION, Control, Daemon, Directory, capture, case, cli, equal, holds, main, padded,
                     text, until)
from ivshmem import BULK, CONTROL, GET_DEVICE, NONE, ST_OK, Driver, Qemu
from test_cli import Liar, end, record

FORM = struct.Struct("<32s32sQQiIIIcBBBBBH8sHHI")
Packet = collections.namedtuple("Packet", "vm bus_id time id status length bytes captured event bus port endpoint transfer "
                                          "flags interval setup packets descriptors errors data lost")
SUBMITTED, COMPLETED = b"S", b"C"
GET_CONFIGURATION = bytes([0x80, 6, 0, 2, 0, 0, 9, 0])
HALF, BUFFER = 1 << 19, 4 << 20


class Capture(Control):
    """A capture that runs; packets() ends it and has all of it."""

    def __init__(self, daemon, **more):
        super().__init__(daemon)
        self.command(CAPTURE, capture(**more), 3)
        equal(self.record(), (DROPPED, 3, bytes(8)), "the first record")

    def packet(self):
        """The next packet, or the number of those dropped after the last one."""
        lost = 0
        kind, ident, body = self.record()
        if kind == DROPPED:
            lost = struct.unpack("<Q", body)[0]
            kind, ident, body = self.record()
        equal(ident, 3, "id")
        if kind == END:
            equal(body[:2], bytes(2), "status of the end")
            return lost
        equal(kind, PACKET, "kind of record")
        fields = FORM.unpack(body)
        data = b""
        while len(data) < fields[7]:
            kind, _, more = self.record()
            equal(kind, DATA, "kind of record")
            data += more
        packet = Packet(text(fields[0]), text(fields[1]), *fields[2:], data, lost)
        equal(len(data), packet.captured, "bytes")
        return packet

    def packets(self):
        """(all packets, number of those dropped behind them). The command that ends the capture is answered, too."""
        self.command(LIST, ident=8)
        got = []
        while isinstance(packet := self.packet(), Packet):
            got.append(packet)
        equal(self.answer(8)[0], OK, "the command behind a capture")
        return got, packet


def pairs(packets):
    """(submission, completion) of each; every transfer has both, in this order."""
    begun, done = {}, []
    for p in packets:
        if p.event == SUBMITTED:
            assert p.id not in begun, f"submitted twice: {p}"
            equal((p.status, p.lost), (-errno.EINPROGRESS, 0), "submission")
            begun[p.id] = p
        else:
            done.append((begun.pop(p.id), p))
            equal(p.time >= done[-1][0].time, True, "times go on")
    equal(begun, {}, "transfers without an end")
    return done


def configure(value):
    return bytes([0, 9, value, 0, 0, 0, 0, 0])


def seen(driver, port=1):
    """The device at a port, in its first configuration."""
    driver.connected(port)
    driver.vendor(port)
    status, descriptor = driver.control(port, GET_CONFIGURATION, 9)
    equal((status, driver.control(port, configure(descriptor[5]))[0]), (ST_OK, ST_OK), "configuration")


@case
def a_transfer_is_told_as_it_was():
    with Daemon(models=["zero:pattern=2"]) as d, Capture(d) as c:
        d.cli("bind", "zero-1")
        with Qemu(d.socket()) as q, Driver(q) as g:
            seen(g)
            data = bytes(range(256)) * 12
            g.memory[g.layout.data:g.layout.data + len(data)] = data
            equal(g.answer(g.submit(1, 0x01, BULK, len(data)))[0], ST_OK, "OUT")
            equal(g.answer(g.submit(1, 0x81, BULK, 700, data=8192))[0], ST_OK, "IN")
            moved = g.memory[g.layout.data + 8192:g.layout.data + 8192 + 700]
            equal(g.control(1, bytes([2, 1, 0, 0, 0x81, 0, 0, 0]))[0], ST_OK, "clear halt")
            assert g.control(1, bytes([0x80, 6, 0, 0x77, 0, 0, 9, 0]), 9)[0] != ST_OK, "a descriptor of no kind"
        now = time.time_ns()
        packets, lost = c.packets()
        equal(lost, 0, "lost")
        told = pairs(packets)
        for p in packets:
            equal((p.vm, p.bus_id, p.bus, p.port), ("vm1", "zero-1", 1, 1), "whose")
            equal(abs(now - p.time) < 60 * 10**9 * PATIENCE, True, "time")
        first, last = told[0]
        equal((first.transfer, first.endpoint, first.setup, first.length, first.data),
              (CONTROL, 0x80, GET_DEVICE, 18, b""), "GET_DESCRIPTOR")
        equal((last.status, last.length, last.bytes, last.data[8:12]), (0, 18, 18, struct.pack("<HH", 0x0525, 0xa4a0)), "its end")
        equal([(s.setup, s.endpoint, s.transfer, e.status) for s, e in told[2:3] + told[5:6]],
              [(configure(3), 0, CONTROL, 0), (bytes([2, 1, 0, 0, 0x81, 0, 0, 0]), 0, CONTROL, 0)], "verbs")
        out, inward = told[3], told[4]
        equal((out[0].data, out[0].transfer, out[0].endpoint, out[1].data, out[1].length),
              (data, BULK, 0x01, b"", len(data)), "OUT")
        equal((inward[0].length, inward[0].data, inward[1].data, inward[1].endpoint), (700, b"", moved, 0x81), "IN")
        equal((told[6][1].status, told[6][1].length), (-errno.EPIPE, 0), "a stall")
        equal(len(told), 7, "transfers")


@case
def refusals_name_their_reason():
    with Daemon(models=["pico"]) as d, Control(d) as c:
        for what, body, want in (("device", capture("pico-2"), NO_DEVICE), ("VM", capture(vm="vm2"), NO_VM),
                                 ("reserved byte", capture()[:-1] + b"\1", MALFORMED),
                                 ("endless name", b"x" * 32 + capture()[32:], MALFORMED),
                                 ("endless VM", padded("") + b"x" * 32 + capture()[64:], MALFORMED),
                                 ("bytes behind a name's end", padded(b"a\0b") + capture()[32:], MALFORMED),
                                 ("too short", capture()[:79], MALFORMED), ("no body", b"", MALFORMED),
                                 ("too long", capture() + b"\0", MALFORMED)):
            status, said, records = c.ask(CAPTURE, body)
            equal((status, records), (want, []), what)
            assert said, what
        equal(c.ask(LIST)[0], OK, "list")


@case
def commands_at_once_end_it_at_once():
    with Daemon(models=["pico"]) as d, Control(d) as c:
        message = HEADER.pack(MAGIC, VERSION, CAPTURE, 5, 80) + capture()
        c.send(message * 3 + HEADER.pack(MAGIC, VERSION, LIST, 6, 0))
        for _ in range(3):
            equal(c.answer(5), (OK, "", [(DROPPED, bytes(8))]), "an empty capture")
        equal(c.answer(6)[0], OK, "list")
        c.send(message)
        equal(c.record(), (DROPPED, 5, bytes(8)), "the first record")
        c.send(b"U")  # a part of a command will do
        equal(c.answer(5), (OK, "", []), "end")


@case
def only_what_was_asked_for():
    with Daemon(models=["pico", "zero", "zero"], vms=["vm1", "vm2"]) as d, Capture(d) as all_, \
            Capture(d, bus_id="pico-1") as pico, Capture(d, vm="vm2") as vm2, Capture(d, vm="vm2", bus_id="pico-1") as none, \
            Capture(d, snaplen=10) as short, Capture(d, snaplen=0) as empty:
        for bus_id, vm in (("pico-1", "vm1"), ("zero-1", "vm1"), ("zero-2", "vm2")):
            d.cli("bind", bus_id, "--vm", vm)
        with Qemu(d.socket("vm1")) as q1, Driver(q1) as g1, Qemu(d.socket("vm2")) as q2, Driver(q2) as g2:
            seen(g1, 1)
            seen(g1, 2)
            seen(g2, 1)
        everything = all_.packets()[0]
        equal(sorted({(p.vm, p.bus, p.bus_id, p.port) for p in everything}),
              [("vm1", 1, "pico-1", 1), ("vm1", 1, "zero-1", 2), ("vm2", 2, "zero-2", 1)], "all")
        equal(pico.packets(), ([p for p in everything if p.bus_id == "pico-1"], 0), "of a device")
        equal(vm2.packets(), ([p for p in everything if p.vm == "vm2"], 0), "of a VM")
        equal(none.packets(), ([], 0), "of a device of another VM")
        equal(short.packets()[0], [p._replace(captured=min(p.captured, 10), data=p.data[:10]) for p in everything], "cut")
        equal({p.captured for p in empty.packets()[0]}, {0}, "without data")


def resident(d):
    with open(f"/proc/{d.worker()}/status", encoding="ascii") as f:
        return int(next(line for line in f if line.startswith("RssAnon:")).split()[1]) << 10


@case
def a_reader_that_does_not_read_costs_its_buffer():
    with Daemon(models=["zero"]) as d:
        d.cli("bind", "zero-1")
        with Qemu(d.socket()) as q, Driver(q) as g:
            seen(g)
            with Capture(d) as deaf, Capture(d, bus_id="zero-1", snaplen=0) as other:
                before, count = resident(d), 40
                for _ in range(count):
                    equal(g.answer(g.submit(1, 0x81, BULK, HALF))[0], ST_OK, "a transfer")
                grown = resident(d) - before
                # The checked build's allocator keeps what was freed, so that its uses are found.
                equal(grown < 8 * BUFFER, True, f"{grown} bytes more in the worker")
                packets, lost = other.packets()
                equal((len(pairs(packets)), lost), (count, 0), "another reader")
                packets, lost = deaf.packets()
                equal(len(packets) + sum(p.lost for p in packets) + lost, 2 * count, "packets, written and dropped")
                kept = sum(p.captured for p in packets)
                equal(HALF < kept <= BUFFER + (1 << 20), True, f"{kept} bytes kept")
                # Small ones still fit behind a large one that did not.
                assert lost + sum(p.lost for p in packets) > count // 2, "hardly anything was dropped"
            with Capture(d) as c:
                equal(g.control(1, GET_DEVICE, 18)[0], ST_OK, "the device still works")
                equal(len(pairs(c.packets()[0])), 1, "a new capture")


@case
def a_reader_that_falls_behind_catches_up():
    with Daemon(models=["zero"]) as d:
        d.cli("bind", "zero-1")
        with Qemu(d.socket()) as q, Driver(q) as g, Capture(d) as c:
            seen(g)
            got = []
            for _ in range(8):
                for _ in range(12):
                    equal(g.answer(g.submit(1, 0x81, BULK, HALF))[0], ST_OK, "a transfer")
                got += [c.packet() for _ in range(4)]
            rest, lost = c.packets()
            got += rest
            total = 2 * (3 + 8 * 12)
            dropped = sum(p.lost for p in got) + lost
            equal(len(got) + dropped, total, "packets, written and dropped")
            assert 0 < dropped < total, dropped


@case
def readers_that_leave_early_cost_nothing():
    with Daemon(models=["zero"]) as d:
        d.cli("bind", "zero-1")
        with Qemu(d.socket()) as q, Driver(q) as g:
            seen(g)
            worker = d.worker()
            before = d.descriptors(worker)
            for i in range(30):
                with Capture(d) as c:
                    for _ in range(i % 3):
                        equal(g.answer(g.submit(1, 0x81, BULK, HALF))[0], ST_OK, "a transfer")
                    if i % 2:
                        c.packet() if i % 3 else c.command(LIST)
            equal(g.control(1, GET_DEVICE, 18)[0], ST_OK, "the device still works")
            until(lambda: d.descriptors(worker) <= before, "the descriptors to go")
            equal(d.json("status")["daemon"]["restarts"], 0, "restarts")


@case
def a_device_that_leaves_and_comes_back():
    with Daemon(models=["pico"]) as d, Capture(d, bus_id="pico-1") as c:
        d.cli("bind", "pico-1")
        with Qemu(d.socket()) as q, Driver(q) as g:
            for _ in range(2):
                seen(g)
                idle = [g.submit(1, 0x82, BULK, 64, data=4096 * (i + 1)) for i in range(8)]
                until(lambda: d.vm()["transfers"] >= 7, "transfers with the device")
                d.cli("unbind", "pico-1")
                for ident in idle:
                    g.answer(ident)
                g.connected(1, NONE)
                d.cli("bind", "pico-1")
            seen(g)
        packets, lost = c.packets()
        ends = collections.Counter(e.status for s, e in pairs(packets) if s.endpoint == 0x82)
        equal(lost, 0, "lost")
        equal(ends[-errno.ECONNRESET] + ends[-errno.ESHUTDOWN] >= 14, True, f"ends {ends}")


@case
def the_worker_dies_while_capturing():
    with Daemon(models=["pico"]) as d, Capture(d) as c:
        os.kill(d.worker(), signal.SIGKILL)
        assert c.closed(), "the connection stays"


# ---- the command line ----

def blocks(data):
    """(type, body) of each block of a file, whose form is checked."""
    at, found = 0, []
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        equal((length % 4, struct.unpack_from("<I", data, at + length - 4)[0]), (0, length), "length of a block")
        found.append((kind, data[at + 8:at + length - 4]))
        at += length
    equal(at, len(data), "end of the file")
    return found


SECTION, INTERFACE, STATISTICS, ENHANCED = 0x0a0d0d0a, 1, 5, 6


def packets_of(data):
    """The packets of a whole file."""
    found = blocks(data)
    kinds = [kind for kind, _ in found]
    equal((kinds[:2], kinds[-1], set(kinds[2:-1]) <= {ENHANCED}), ([SECTION, INTERFACE], STATISTICS, True), "blocks")
    equal(struct.unpack_from("<H", found[1][1])[0], 220, "link type")
    return [body[20:20 + struct.unpack_from("<I", body, 12)[0]] for kind, body in found if kind == ENHANCED]


class Program:
    """usbwarp capture, until it has begun."""

    def __init__(self, daemon, *words, stdout=subprocess.DEVNULL, begins=True):
        self.process = subprocess.Popen([os.path.join(BIN, "usbwarp"), "--socket", daemon.control, "capture", *words],
                                        stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE)
        if begins:
            holds(self.process.stderr.readline().decode(), "capturing", "Ctrl-C")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stderr.close()

    def end(self, number=None, code=0):
        """What it says at its end."""
        if number:
            self.process.send_signal(number)
        equal(self.process.wait(30 * PATIENCE), code, "exit code")
        return self.process.stderr.read().decode()


def read(path):
    with open(path, "rb") as f:
        return f.read()


@case
def a_file_is_written_and_ended():
    with Daemon(models=["zero"]) as d:
        path = os.path.join(d.directory, "a.pcapng")
        d.cli("bind", "zero-1")
        with Qemu(d.socket()) as q, Driver(q) as g:
            for number in (signal.SIGINT, signal.SIGTERM):
                with Program(d, "--write", path) as p:
                    seen(g)
                    for _ in range(10):
                        equal(g.answer(g.submit(1, 0x81, BULK, 100000))[0], ST_OK, "a transfer")
                    holds(p.end(number), "26 packets written, 0 dropped")
                packets = packets_of(read(path))
                equal((len(packets), packets[-1][64:]), (26, g.memory[g.layout.data:g.layout.data + 100000]), "packets")
                equal(stat.S_IMODE(os.stat(path).st_mode), 0o600, "rights")
            with Program(d, "--write", path, "--count", "2", "--json", "zero-1", stdout=subprocess.PIPE) as p:
                equal(g.control(1, GET_DEVICE, 18)[0], ST_OK, "a transfer")
                out, _ = p.process.communicate(timeout=30 * PATIENCE)
                equal((p.process.returncode, b'"packets": 2' in out), (0, True), f"count: {out}")
            equal(len(packets_of(read(path))), 2, "packets")
            with Program(d, "--write=" + path, "--seconds", "1", "--vm", "vm1", "--snaplen", "70") as p:
                equal(g.control(1, GET_DEVICE, 18)[0], ST_OK, "a transfer")
                holds(p.end(), "2 packets written, 0 dropped")
            equal([len(p) for p in packets_of(read(path))], [64, 70], "cut")


@case
def a_pipe_gets_packets_as_they_come():
    with Daemon(models=["zero"]) as d:
        d.cli("bind", "zero-1")
        with Qemu(d.socket()) as q, Driver(q) as g:
            with Program(d, stdout=subprocess.PIPE) as p:
                seen(g)
                out = p.process.stdout
                found = blocks(out.read(struct.unpack("<I", out.peek(8)[4:8])[0]))
                equal(found[0][0], SECTION, "first block")
                out.close()
                # Nobody reads any more: that is an end in good order, whether or not more packets come.
                holds(p.end(), "packets written")
            with Program(d, "--write", "-", stdout=subprocess.PIPE) as p:
                p.process.stdout.close()
                g.control(1, GET_DEVICE, 18)
                p.end()


@case
def what_cannot_be_is_said():
    with Daemon(models=["pico"]) as d:
        path = os.path.join(d.directory, "a.pcapng")
        with open(path, "wb") as f:
            f.write(b"old")
        holds(d.cli("capture", "pico-2", "--write", path, code=1)[1], "no such device", "Did you mean pico-1?")
        holds(d.cli("capture", "--vm", "vm2", "--write", path, code=1)[1], "no such VM")
        equal(read(path), b"old", "a refused capture's file")
        holds(d.cli("capture", "--write", d.directory + "/no/where", code=1)[1], "No such file or directory")
        holds(d.cli("capture", "--write", "/dev/full", "--seconds", "1", code=1)[1], "No space left")
        holds(d.cli("capture", "--json", code=2)[1], "--write FILE")
        for option in ("--snaplen=63", "--snaplen=262145", "--count=0", "--count=x", "--seconds=", "--seconds=-1",
                       "--count=99999999999999999999999"):
            holds(d.cli("capture", option, code=2)[1], "a number from")
        primary, terminal = pty.openpty()
        with Program(d, stdout=terminal, begins=False) as p:
            holds(p.end(code=2), "is a terminal", "wireshark -k -i -")
        os.close(primary)
        os.close(terminal)


@case
def a_daemon_that_goes_away_leaves_a_whole_file():
    with Daemon(models=["pico"]) as d:
        path = os.path.join(d.directory, "a.pcapng")
        with Program(d, "--write", path) as p:
            os.kill(d.worker(), signal.SIGKILL)
            holds(p.end(code=3), "went away")
        equal(packets_of(read(path)), [], "packets")


BEGUN = record(DROPPED, bytes(8))


def packet_of(captured, size=None, transfer=BULK, descriptors=0):
    """The record of a completion."""
    return record(PACKET, FORM.pack(padded("vm1"), padded("zero-1"), 1, 1, 0, captured, captured if size is None else size,
                                    captured, COMPLETED, 1, 1, 0x81, transfer, 0, 0, bytes(8), 0, descriptors, 0))


@case
def nonsense_from_the_daemon_is_noticed():
    with Directory() as directory:
        path = os.path.join(directory.path, "a.pcapng")
        for what, answer, code, count in (
                ("silence", b"", 3, None), ("a packet before the beginning", packet_of(0), 4, None),
                ("a daemon that cannot", end(3, b"unknown"), 1, None),
                ("another protocol", b"HTTP/1.1 400 Bad Request\r\n\r\n", 4, None),
                ("a good answer", BEGUN + packet_of(4) + record(DATA, b"data") + end(), 0, 1),
                ("in two parts", BEGUN + packet_of(4) + record(DATA, b"d") + record(DATA, b"ata") + end(), 0, 1),
                ("an end in the middle", BEGUN + packet_of(0) + packet_of(4) + end(), 4, 1),
                ("a packet in the middle", BEGUN + packet_of(4) + packet_of(4), 4, 0),
                ("more than there is", BEGUN + packet_of(4) + record(DATA, b"data!"), 4, 0),
                ("no bytes", BEGUN + packet_of(4) + record(DATA, b""), 4, 0),
                ("bytes of nothing", BEGUN + packet_of(0) + record(DATA, b"d"), 4, 1),
                ("more than its size", BEGUN + packet_of(4, 3), 4, 0), ("too long", BEGUN + packet_of(262081), 4, 0),
                ("more descriptors than bytes", BEGUN + packet_of(31, descriptors=2), 4, 0),
                ("a type that is none", BEGUN + packet_of(0, transfer=4), 4, 0),
                ("a cut record", BEGUN + packet_of(0)[:-1], 3, 0), ("another record", BEGUN + record(DEVICE, bytes(208)), 4, 0),
                ("another version", BEGUN + record(END, bytes(520), version=2), 4, 0),
                ("a huge length", BEGUN + record(END, b"", length=0xffffffff), 4, 0)):
            with Liar(answer) as liar:
                out, err = cli("--socket", liar.path, "capture", "--write", path, code=code)
            equal(out, "", what)
            assert not code or "usbwarp: " in err, (what, err)
            equal(len(packets_of(read(path))) if os.path.exists(path) else None, count, what)
            if count is not None:
                os.remove(path)
        with Liar(end(3, b"this UsbWarpService does not know the command")) as liar:
            holds(cli("--socket", liar.path, "capture", "--write", path, code=1)[1], "cannot capture", "Linux")


if __name__ == "__main__":
    main()
