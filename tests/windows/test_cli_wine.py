#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""UsbWarpController.exe under Wine against usbwarp: given the same answers, they print the same bytes.

A small program serves the pipe in Wine and relays to this process, so that the Unix socket of a real usbwarpd, or of a
server that lies, answers both programs. USBWARP_BIN: where usbwarp and usbwarpd are; USBWARP_WINDOWS: the Windows build.
"""
import json
import os
import re
import select
import socket
import subprocess
import sys
import threading

import wine
from wine import case, equal, holds, until

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(wine.ROOT, "tests", "daemon"))
import harness  # noqa: E402 # pylint: disable=wrong-import-position
from harness import DEVICE, END, NO_DEVICE, VALUES  # noqa: E402 # pylint: disable=wrong-import-position
import ivshmem  # noqa: E402 # pylint: disable=wrong-import-position
import test_capture as captures  # noqa: E402 # pylint: disable=wrong-import-position
import test_cli as unix  # noqa: E402 # pylint: disable=wrong-import-position

PROGRAM = os.path.join(wine.BUILT, "UsbWarpController.exe")
PIPE = "\\\\.\\pipe\\"
SYSTEM_PIPE = PIPE + "ProtectedPrefix\\Administrators\\UsbWarp"


class Relay:
    """A TCP port of this machine whose connections go on to a Unix socket."""

    def __init__(self):
        self.target, self.clients, self.bytes = None, 0, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            peer, _ = self.listener.accept()
            self.clients += 1
            threading.Thread(target=self.relay, args=(peer, self.target), daemon=True).start()

    def relay(self, peer, target):
        with peer, socket.socket(socket.AF_UNIX) as server:
            server.connect(target)
            ways = {peer: server, server: peer}
            while server in ways:
                for ready in select.select(list(ways), [], [])[0]:
                    try:
                        data = ready.recv(65536)
                        self.bytes += len(data)
                        if data:
                            ways[ready].sendall(data)
                    except OSError:
                        data = b""
                    if not data:
                        if ready is peer:
                            server.shutdown(socket.SHUT_WR)
                        del ways[ready]


class Lab:
    """Wine with the bridge on some pipe."""

    def start(self):
        self.wine = wine.Wine().__enter__()
        self.tool = os.path.join(self.wine.directory, "pipebridge.exe")
        wine.compile_tool(os.path.join(HERE, "pipebridge.c"), self.tool, "ws2_32", "advapi32")
        self.relay = Relay()
        self.bridges = [self.bridge(PIPE + "test")]

    def arguments(self, pipe):
        return [pipe, str(self.relay.port)]

    def bridge(self, pipe):
        process = self.wine.spawn(self.tool, *self.arguments(pipe))
        equal(process.stdout.readline().strip(), b"ready", "the bridge")
        return process

    def stop(self):
        for process in self.bridges:
            process.kill()
            process.wait()
            process.stdout.close()
        self.wine.__exit__()

    def cli(self, *words, code=0, pipe="test", env=None):
        where = ["--socket", pipe] if pipe else []
        return self.wine.run(PROGRAM, *where, *words, code=code, env=env)

    def same(self, target, *words, code=0):
        """Both programs, the same answers: what they print, as bytes."""
        self.relay.target = target
        here = subprocess.run([os.path.join(harness.BIN, "usbwarp"), "--socket", target, *words], capture_output=True,
                              check=False, timeout=60 * wine.PATIENCE)
        equal(here.returncode, code, f"{words}: {here.stderr!r}")
        there = self.cli(*words, code=code)
        equal(there, (here.stdout, here.stderr), f"{words}")
        return there


LAB = Lab()


@case
def real_answers_print_the_same():
    with harness.Daemon(models=["pico", "zero"]) as d:
        for words, code in ((["list"], 0), (["list", "--json"], 0), (["list", "--bus-ids"], 0), (["bind", "pico-1"], 0),
                            (["bind", "pico-1"], 1), (["bind", "pcio-1"], 1), (["bind", "pcio-1", "--json"], 1),
                            (["bind", "zero-1", "--vm", "nobody"], 1), (["unbind", "zero-1"], 1),
                            (["unbind", "zero-1", "--json"], 1), (["list"], 0), (["list", "--json"], 0)):
            if words[0] == "bind" and code == 0:
                holds(d.cli(*words)[0], "pico-1")
                continue
            shown = LAB.same(d.control, *words, code=code)
            assert shown[code != 0 and "--json" not in words], words
        for words in (["stats"], ["stats", "--all"], ["stats", "--json"], ["stats", "pico-1", "--all"],
                      ["stats", "--vm", "vm1"]):
            out, _ = LAB.same(d.control, *words)
            assert out, words
        LAB.relay.target = d.control
        holds(LAB.cli("bind", "zero-1")[0].decode(), "zero-1")
        equal(d.devices()["zero-1"]["vm"], "vm1", "bound from Windows")
        holds(LAB.cli("unbind", "zero-1")[0].decode(), "zero-1")
        equal(d.devices()["zero-1"]["vm"], "", "unbound from Windows")
        status = json.loads(LAB.cli("status", "--json")[0])
        equal((status["daemon"]["name"], len(status["vms"][0]["ports"])), ("usbwarpd", 1), "status")
        # Its first line has an age, which differs from call to call.
        equal(LAB.cli("status")[0].decode().split("\n")[2:], d.cli("status")[0].split("\n")[2:], "status")
        holds(LAB.cli("version")[0].decode(), "usbwarp ", "usbwarpd ")


@case
def invented_answers_print_the_same():
    nasty = b"\x1b[31mred\x07 \xff\xfe \xc0\xaf \xe2\x80\xae nice \xc3\xa9\xf0\x9f\x98\x80\x7f\r\n\t"
    device = harness.padded(b"1-1\x1b[2J") + harness.padded("usb") + bytes(32) + harness.padded(nasty, 96) + bytes(16)
    odd = b"".join(unix.record(DEVICE, harness.padded(f"1-{i}") + harness.padded("usb") + harness.padded("vm" * (i % 3)) +
                               harness.padded("\u65e5\u672c " * i, 96)[:96] + bytes([i] * 12) + bytes(4))
                   for i in range(1, 9))
    many = b"".join(unix.record(DEVICE, harness.padded(f"1-{i}") + device[32:]) for i in range(300))
    values = harness.padded("vm") + bytes(32) + bytes([0, 64]) + bytes(6) + b"\xff" * 552
    for answer in (unix.record(DEVICE, device) + unix.end(), odd + unix.end(), many + unix.end(), unix.end()):
        for words in (["list"], ["list", "--json"]):
            with unix.Liar(answer, answer) as liar:
                LAB.same(liar.path, *words)
    with unix.Liar(*2 * [unix.record(VALUES, values) + unix.end()]) as liar:
        LAB.same(liar.path, "stats", "--json")
    with unix.Liar(*2 * [unix.end(NO_DEVICE, b"there is no \x1b]0;title\x07device \xc3\xa9")]) as liar:
        LAB.same(liar.path, "status", code=1)


@case
def nonsense_is_noticed_the_same():
    for answer, code in ((b"", 3), (b"UWCL\1\0", 3), (b"HTTP/1.1 400 Bad Request\r\n\r\n", 4),
                         (unix.record(END, bytes(520), version=2), 4), (unix.record(999, b""), 4),
                         (unix.record(END, b"", length=0xffffffff), 4),
                         (unix.record(END, bytes(519), length=520), 3), (unix.record(DEVICE, bytes(208)), 3)):
        with unix.Liar(answer, answer) as liar:
            LAB.relay.target = liar.path
            _, want = harness.cli("--socket", liar.path, "list", code=code)
            out, err = LAB.cli("list", code=code)
            equal((out, err.decode()), (b"", want.replace("usbwarpd", "UsbWarpService")), f"{answer[:20]!r}")


@case
def words_mean_the_same():
    for words, code in ((["help"], 0), (["--help"], 0), (["-h"], 0), (["list", "--help"], 0), (["help", "bind"], 0),
                        (["stats", "-h"], 0), ([], 2), (["lits"], 2), (["list", "--frob"], 2), (["list", "-x"], 2),
                        (["bind"], 2), (["bind", "a", "b"], 2), (["bind", "a" * 32], 2), (["bind", "a", "--vm"], 2),
                        (["stats", "--watch", "--json"], 2), (["list", "--json=1"], 2), (["bind", "\u00e9" * 16], 2),
                        (["capture", "--help"], 0), (["capture", "--snaplen=1"], 2), (["capture", "--json"], 2),
                        (["--version"], 0), (["frob"], 2)):
        want = harness.cli(*words, code=code)
        out, err = LAB.cli(*words, code=code, pipe=None)
        equal((out.decode(), err.decode()), tuple(w.replace("usbwarpd", "UsbWarpService") for w in want), f"{words}")


@case
def nobody_there_is_code_3():
    out, err = LAB.cli("list", code=3, pipe=None)
    equal(out, b"", "stdout")
    holds(err.decode(), "sc start UsbWarpService", SYSTEM_PIPE, "--socket")
    equal(LAB.cli("list", code=3, pipe="missing"), LAB.cli("list", code=3, pipe=None, env={"USBWARP_SOCKET": "missing"}),
          "the variable instead of the option")
    equal(json.loads(LAB.cli("list", "--json", code=3, pipe="missing")[0])["status"], "unreachable", "JSON")
    holds(LAB.cli("list", code=3, pipe="caf\u00e9")[1].decode("utf-8"), PIPE + "caf\u00e9")
    for name in ("\\\\server\\pipe\\x", "C:/x", PIPE, "x" * 400):
        holds(LAB.cli("list", code=3, pipe=name)[1].decode(), "no name of a pipe")


@case
def only_the_service_is_believed():
    """Somebody else on the service's pipe gets no byte; the service itself, and a pipe that was named, are served."""
    LAB.bridges.append(LAB.bridge(SYSTEM_PIPE))
    with unix.Liar(b"", unix.end()) as liar:
        LAB.relay.target = liar.path
        clients, sent = LAB.relay.clients, LAB.relay.bytes
        _, err = LAB.cli("list", code=3, pipe=None)
        holds(err.decode(), "nothing was sent", "which is process 0")
        until(lambda: LAB.relay.clients == clients + 1, "the client")
        equal(LAB.relay.bytes, sent, "bytes said to a stranger")
        holds(LAB.cli("list", pipe=SYSTEM_PIPE)[0].decode(), "No USB devices")
    stranger = LAB.bridges.pop()
    stranger.kill()
    stranger.wait()
    stranger.stdout.close()
    command = " ".join([wine.windows_path(LAB.tool), *LAB.arguments(SYSTEM_PIPE), "service"])
    LAB.wine.run("sc", "create", "UsbWarpService", "binPath=", command, "type=", "own", "start=", "demand")
    LAB.wine.run("sc", "start", "UsbWarpService")
    with unix.Liar(unix.end()) as liar:
        LAB.relay.target = liar.path
        holds(until(lambda: LAB.cli("list", pipe=None, code=None)[0], "the service").decode(), "No USB devices")
    LAB.wine.run("sc", "stop", "UsbWarpService", code=None)


@case
def a_server_may_identify_and_no_more():
    """Wine lets each server impersonate, so the arguments are what can be seen here."""
    _, trace = LAB.cli("list", code=3, pipe="missing", env={"WINEDEBUG": "+file"})
    (attributes,) = set(re.findall(rb'CreateFileW L".*missing" .* attributes 0x([0-9a-f]+)', trace))
    equal(int(attributes, 16), 0x40000000 | 0x100000 | 0x10000, "overlapped, SECURITY_SQOS_PRESENT, IDENTIFICATION")


@case
def watching_ends_with_the_service():
    with harness.Daemon(models=["zero"]) as d:
        LAB.relay.target = d.control
        process = LAB.wine.spawn(PROGRAM, "--socket", "test", "stats", "--watch", "--all")
        text = b""
        while text.count(b"\x1b[H\x1b[2J") < 2:
            more = os.read(process.stdout.fileno(), 65536)
            assert more, text
            text += more
        holds(text.decode(), "PER SECOND", "VM vm1")
        d.stop()
        equal(process.wait(20 * wine.PATIENCE), 3, "exit code")
        process.stdout.close()


@case
def captures_are_written_and_ended():
    """The service does not capture; a daemon at the other end of the pipe shows that the program could."""
    with unix.Liar(unix.end(3, b"unknown")) as liar:
        LAB.relay.target = liar.path
        holds(LAB.cli("capture", code=1)[1].decode(), "UsbWarpService cannot capture", "Linux")
    with harness.Daemon(models=["zero"]) as d:
        LAB.relay.target = d.control
        d.cli("bind", "zero-1")
        process = LAB.wine.spawn(PROGRAM, "--socket", "test", "capture", "--seconds", "3")
        data = process.stdout.read(24)
        with ivshmem.Qemu(d.socket()) as q, ivshmem.Driver(q) as g:
            g.connected(1)
            equal(g.control(1, ivshmem.GET_DEVICE, 18)[0], ivshmem.ST_OK, "a transfer")
        data += process.stdout.read()
        equal(process.wait(20 * wine.PATIENCE), 0, "exit code")
        process.stdout.close()
        equal([len(packet) for packet in captures.packets_of(data)], [64, 64 + 18], "packets")
        path = os.path.join(LAB.wine.directory, "a.pcapng")
        _, err = LAB.cli("capture", "--write", wine.windows_path(path), "--seconds", "1")
        holds(err.decode(), "0 packets written, 0 dropped")
        equal(captures.packets_of(captures.read(path)), [], "packets")


def main():
    if not os.path.exists(PROGRAM):
        sys.exit(f"no {PROGRAM}: build it, or set USBWARP_WINDOWS")
    LAB.start()
    try:
        code = wine.run()
    finally:
        LAB.stop()
    sys.exit(code)


if __name__ == "__main__":
    main()
