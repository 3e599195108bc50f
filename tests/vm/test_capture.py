#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What usbwarp capture writes while a guest works, as Wireshark's dissectors read it: endpoints, types, lengths, SCSI."""
import collections
import os
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import stack  # noqa: E402
from guest import PATIENCE  # noqa: E402
from lab import case, clean, equal, main  # noqa: E402
from test_devices import usbtest  # noqa: E402
from hardware import BothEnds, find_disk  # noqa: E402
from test_libusb import storage  # noqa: E402

FIELDS = {
    "frame": "frame.number", "time": "frame.time_epoch", "protocols": "frame.protocols", "id": "usb.urb_id",
    "event": "usb.urb_type", "type": "usb.transfer_type", "endpoint": "usb.endpoint_address", "device": "usb.device_address",
    "bus": "usb.bus_id", "status": "usb.urb_status", "length": "usb.urb_len", "data": "usb.data_len",
    "setup": "usb.bmRequestType", "request": "usb.setup.bRequest", "serial": "usbcom.control.request_code",
    "bad": "_ws.malformed", "expert": "_ws.expert.message",
    "packets": "usb.iso.numdesc", "iso_status": "usb.iso.iso_status", "iso_offset": "usb.iso.iso_off",
    "iso_length": "usb.iso.iso_len", "tag": "usbms.dCBWTag", "signature": "usbms.dCBWSignature", "csw": "usbms.dCSWStatus",
    "opcode": "scsi_sbc.opcode", "lba": "scsi_sbc.rdwr10.lba", "blocks": "scsi_sbc.rdwr10.xferlen",
    "product": "usb.idProduct", "configuration": "usb.bConfigurationValue",
}
Frame = collections.namedtuple("Frame", FIELDS)
ISOCH, INTERRUPT, CONTROL, BULK = 0, 1, 2, 3
IN_PROGRESS = -115


def number(word):
    return int(word, 0) if word else None


def dissect(path):
    """Each packet of the file as tshark understands it, and what tshark said."""
    command = ["tshark", "-n", "-r", path, "-T", "fields", "-E", "separator=/t", "-E", "aggregator=,"]
    for field in FIELDS.values():
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300 * PATIENCE,
                          env={**os.environ, "LC_ALL": "C.UTF-8"})
    frames = []
    for line in done.stdout.splitlines():
        frame = Frame(*line.split("\t"))
        equal(frame.protocols.startswith("usb"), True, f"protocols of {line}")
        numbers = {key: number(getattr(frame, key)) for key in ("frame", "type", "endpoint", "device", "bus", "status",
                                                               "length", "data")}
        frames.append(frame._replace(event=frame.event.strip("'"), **numbers))
    return frames


class Capture:
    """usbwarp capture while its block runs; frames are there behind it. cut: (endpoint, bytes) of a message's second part."""

    def __init__(self, s, *words, cut=None):
        self.stack, self.words, self.cut = s, words, cut
        self.path = tempfile.mkstemp(suffix=".pcapng", dir=s.directory)[1]

    def __enter__(self):
        self.process = subprocess.Popen([os.path.join(stack.BIN, "usbwarp"), "--socket", self.stack.control, "capture",
                                         "--write", self.path, *self.words], stderr=subprocess.PIPE, text=True)
        self.said = self.process.stderr.readline()
        equal("capturing" in self.said, True, self.said)
        return self

    def __exit__(self, kind, *exc):
        self.process.send_signal(signal.SIGINT)
        self.said = self.process.communicate(timeout=60 * PATIENCE)[1]
        if kind:
            return
        equal(self.process.returncode, 0, self.said)
        self.frames = dissect(self.path)
        equal(f"{len(self.frames)} packets written, 0 dropped" in self.said, True, self.said)
        bad = [f for f in self.frames if f.bad or "alformed" in f.protocols + f.expert]
        equal([f for f in bad if not self.cut or (f.endpoint, f.length) != self.cut], [], "malformed frames")


def count_of(frame):
    """Descriptors of an isochronous transfer; tshark names their number twice."""
    return number(frame.packets.split(",")[0])


def pairs(frames):
    """(submission, completion) of each transfer. Everything that was begun while capturing has ended, once."""
    begun, done = {}, []
    for f in frames:
        if f.event == "S":
            equal((f.id in begun, f.status), (False, IN_PROGRESS), f"submission {f}")
            begun[f.id] = f
            continue
        equal(f.event, "C", "event")
        s = begun.pop(f.id)
        equal((s.endpoint, s.type, s.device, s.bus), (f.endpoint, f.type, f.device, f.bus), f"pair {s} {f}")
        equal(float(s.time) <= float(f.time), True, "times go on")
        if f.endpoint & 0x80:
            want = 0, f.length
        else:
            want = s.length, 0
        table = 16 * (count_of(s) or 0)
        equal((s.data - table, f.data - table), want, f"bytes of {s} {f}")
        equal(f.length <= s.length, True, f"length of {f}")
        done.append((s, f))
    equal(list(begun.values()), [], "transfers without an end")
    return done


def requests(done):
    return [(number(s.setup), number(s.request)) for s, _ in done if s.type == CONTROL]


def enumerated(frames, product):
    """The guest has asked for what it always asks for, and the answers are dissected."""
    done = pairs(frames)
    equal({(0x80, 6), (0x00, 9)} <= set(requests(done)), True, f"GET_DESCRIPTOR, SET_CONFIGURATION in {requests(done)}")
    equal(product in {number(f.product) for f in frames}, True, "idProduct")
    equal(any(f.configuration for f in frames), True, "a configuration descriptor")
    return done


@case
def a_serial_prompt():
    with stack.Stack(["pico"]) as s, s.guest(files={"/sums": stack.program("sums")}, modules=["cdc-acm"]) as g:
        # A notification of ten bytes comes in packets of eight, in two transfers, and the dissector wants it in one.
        with Capture(s, cut=(0x81, 2)) as c:
            s.bind("pico-1")
            g.wait_for("test -e /dev/ttyACM0")
            assert "20/20 sums right" in g.run("/sums /dev/ttyACM0 20", timeout=120).out
            s.unbind("pico-1")
            g.wait_for("! test -e /dev/ttyACM0")
        clean(g)
    done = enumerated(c.frames, 0x0005)
    equal({(f.bus, f.device) for f in c.frames}, {(1, 1)}, "bus and device")
    coding = [s.data for s, _ in done if number(s.serial) == 0x20]
    equal((len(coding) > 0, set(coding)), (True, {7}), "SET_LINE_CODING")
    equal(0x22 in {number(s.serial) for s, _ in done}, True, "SET_CONTROL_LINE_STATE")
    out = [p for p in done if p[0].endpoint == 0x02]
    equal({s.type for s, _ in out}, {BULK}, "type of OUT")
    equal(sum(f.length for _, f in out) >= 20 * 4, True, "bytes of the sums")
    inward = [f for _, f in done if f.endpoint == 0x82]
    equal(any(f.status == 0 and f.length for f in inward), True, "answers")
    # Readers that wait when the device leaves.
    equal({f.status for _, f in done if f.endpoint & 0x0f and f.status} <= {-104, -108}, True, "ends of what waited")
    equal(INTERRUPT in {s.type for s, _ in done}, True, "notifications are asked for")


@case
def a_disk_is_dissected_as_scsi():
    size = 4 << 20
    with stack.Stack([f"disk:file=@disk.img,size={size}"]) as s, s.guest(modules=["usb-storage", "sd_mod"]) as g:
        with Capture(s, "disk-1") as c:
            s.bind("disk-1")
            g.wait_for("test -b /dev/sda")
            g.run("dd if=/dev/urandom of=/dev/sda bs=64k seek=3 count=1 oflag=direct 2>/dev/null; sync", timeout=120)
            g.run("dd if=/dev/sda of=/dev/null bs=64k skip=3 count=1 iflag=direct 2>/dev/null", timeout=120)
            s.unbind("disk-1")
            g.wait_for("! test -b /dev/sda")
        clean(g)
    done = pairs(c.frames)
    commands = [(number(f.opcode), number(f.lba), number(f.blocks)) for f in c.frames if f.signature]
    equal([(0x2a, 384, 128) in commands, (0x28, 384, 128) in commands], [True, True], f"write and read in {commands}")
    equal(commands[0][0], 0x12, f"INQUIRY is the first of {commands}")
    tags = [f.tag for f in c.frames if f.signature]
    equal(len(tags), len([f for f in c.frames if f.csw]), "a status for each command")
    equal(all("usbms" in f.protocols for s, f in done if f.type == BULK and f.endpoint & 0x80 and f.data and not f.status),
          True, "everything on the bulk endpoints is mass storage")
    equal(sum(s.length for s, _ in done if s.endpoint == 0x02 and s.length != 31), 65536, "bytes written")
    equal(max(f.length for _, f in done if f.endpoint == 0x81), 65536, "bytes read at once")


@case
def every_type_of_transfer():
    with stack.Stack(["zero"]) as s, s.guest() as g:
        with Capture(s) as c, Capture(s, "--snaplen", "88") as cut:
            s.bind("zero-1")
            usbtest(g, [1, 2, 9, 10, 13, 14], 0, "-c 8 -s 1024 -v 512")
            usbtest(g, [15, 16, 25, 26], 1, "-c 4 -s 2048 -g 4 -v 512")
        clean(g)
    done = enumerated(c.frames, 0xa4a0)
    for endpoint, kind in ((0x01, BULK), (0x81, BULK), (0x02, ISOCH), (0x82, ISOCH), (0x03, INTERRUPT), (0x83, INTERRUPT)):
        own = [(s, f) for s, f in done if s.endpoint == endpoint]
        equal({s.type for s, _ in own}, {kind}, f"type of endpoint {endpoint:02x}")
        # Case 13 halts the bulk endpoints, and looks whether they are.
        equal({f.status for _, f in own}, {0, -32} if kind == BULK else {0}, f"ends at {endpoint:02x}")
    lengths = {(f.status, f.length) for s, f in done if f.type == BULK}
    equal(lengths, {(0, 1024), (0, 512), (-32, 0)}, "bulk lengths: asked for, one packet while looking, halted")
    # Control requests that the host turns into calls of its own are seen as what they were.
    equal({(0x01, 0x0b), (0x02, 0x01), (0x00, 0x09)} - set(requests(done)), set(), "SET_INTERFACE, CLEAR_FEATURE, ...")
    equal(-32 in {f.status for s, f in done if s.type == CONTROL}, True, "a stall")
    isochronous([p for p in done if p[0].type == ISOCH])
    # Of two descriptors one has room, and it is whole; everything else about a packet is as it was.
    equal({f.packets for f in cut.frames if f.type == ISOCH}, {"2,1"}, "descriptors in 24 bytes")
    same = [[(f.id, f.event, f.status, f.length, f.request) for f in some] for some in (c.frames, cut.frames)]
    equal(same[0], same[1], "packets, whole and cut")


def isochronous(done):
    """Descriptors lie side by side and say as much as the transfer does."""
    for s, f in done:
        for end in (s, f):
            count = count_of(end)
            status = [int(word) for word in end.iso_status.split(",")]
            offsets, lengths = ([int(word) for word in words.split(",")] for words in (end.iso_offset, end.iso_length))
            equal((len(status), len(offsets), len(lengths), any(status)), (count, count, count, False), f"packets of {end}")
            equal(offsets, sorted(offsets), "offsets")
            equal(sum(lengths), end.length, f"lengths of {end}")


@case
def two_guests_are_two_buses():
    with stack.Stack(["pico", "pico"], vms=["vm1", "vm2"]) as s, s.guest("vm1", modules=["cdc-acm"]) as a, \
            s.guest("vm2", modules=["cdc-acm"]) as b:
        with Capture(s) as c:
            s.bind("pico-1", "vm2")
            b.wait_for("test -e /dev/ttyACM0")
            s.bind("pico-2", "vm1")
            a.wait_for("test -e /dev/ttyACM0")
            s.unbind("pico-1")
            s.unbind("pico-2")
        for g in (a, b):
            clean(g)
    for bus in (1, 2):
        enumerated([f for f in c.frames if f.bus == bus], 0x0005)


@case
def a_real_disk_that_is_unplugged():
    with BothEnds(lambda d: storage(d)[:-1] + ["usb-storage,bus=xhci.0,drive=stick,id=plug"], ["usb-storage"]) as both, \
            tempfile.TemporaryDirectory() as directory:
        g = both.guest
        bus_id = both.bus_id("46f4")
        capture = g.start(f"usbwarp --socket /run/usbwarp.sock capture {bus_id} --write /capture.pcapng 2>&1")
        capture.wait_for("capturing")
        both.cli(f"bind {bus_id}")
        g.wait_for(f"test -n \"$({find_disk()})\"")
        read = f"dd if=/dev/$({find_disk()}) of=/dev/null bs=64k iflag=direct"
        g.run(read + " count=1")
        reader = g.start(read + " 2>&1")
        g.run("sleep 0.2")
        g.qmp("device_del", {"id": "plug"})
        reader.wait(60)
        g.wait_for(f"test -z \"$({find_disk()})\"")
        capture.kill(signal.SIGINT)
        capture.wait(60)
        path = os.path.join(directory, "capture.pcapng")
        g.pull("/capture.pcapng", path)
        frames = dissect(path)
        equal(f"{len(frames)} packets written, 0 dropped" in capture.out, True, capture.out)
        clean(g)
    equal([f for f in frames if f.bad], [], "malformed frames")
    done = enumerated(frames, 0x0001)
    equal((0x00, 0x09) in requests(done), True, "SET_CONFIGURATION")
    ended = [(f.endpoint, f.status, f.length) for _, f in done if f.type == BULK]
    equal((0x81, 0, 65536) in ended, True, f"a piece of the disk among {ended}")
    equal(0x28 in {number(f.opcode) for f in frames if f.signature}, True, "READ(10)")


if __name__ == "__main__":
    if not shutil.which("tshark"):
        sys.exit("no tshark: scripts/setup.sh devices installs it")
    main()
