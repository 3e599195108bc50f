# SPDX-License-Identifier: GPL-2.0-only
"""A daemon in a temporary directory, its command line, and its control socket byte by byte.

    with Daemon(models=["pico"]) as d:
        d.cli("bind", "pico-1")
        with Control(d) as c:
            print(c.ask(LIST))

The end of a Daemon is a check too: it must stop with code 0, leave no socket behind, and its log may not contain a
sanitizer's report.
"""
import glob
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.append(os.path.join(ROOT, "tests"))
import runner  # noqa: E402
from runner import case, equal  # noqa: E402 F401

BIN = os.environ.get("USBWARP_BIN", os.path.join(ROOT, "build", "checked"))
PATIENCE = float(os.environ.get("USBWARP_PATIENCE", "1"))  # multiplies every timeout
REPORT = re.compile(r"ERROR: \w*Sanitizer|runtime error:|SUMMARY: \w*Sanitizer")

# include/usbwarp/ctl.h
HEADER = struct.Struct("<IHHII")
MAGIC, VERSION, BODY_MAX = 0x4C435755, 1, 1024
LIST, BIND, UNBIND, STATUS, STATS, CAPTURE = 1, 2, 3, 4, 5, 6
END, DAEMON, DEVICE, VM, PORT, COUNTER, VALUES, DROPPED, PACKET, DATA = range(256, 266)
LENGTHS = {END: 520, DAEMON: 112, DEVICE: 208, VM: 256, PORT: 176, COUNTER: 200, VALUES: 624, DROPPED: 8, PACKET: 120}
(OK, MALFORMED, BAD_VERSION, UNKNOWN, DENIED, NO_DEVICE, NO_VM, BOUND, NOT_BOUND, NO_PORT, HUB, BUSY,
 FAILED) = range(13)

def main():
    if not os.path.exists(os.path.join(BIN, "usbwarpd")):
        sys.exit(f"no usbwarpd in {BIN}: build it, or set USBWARP_BIN")
    runner.main()


def holds(text, *parts):
    """Every part stands in text."""
    for part in parts:
        if part not in text:
            raise AssertionError(f"no {part!r} in {text!r}")


def until(condition, what, timeout=10):
    end = time.monotonic() + timeout * PATIENCE
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain for {what}")
        time.sleep(0.01)


class Directory:
    """A temporary directory that goes away with its user."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="usbwarp-")
        os.chmod(self.path, 0o755)
        return self

    def __exit__(self, *exc):
        shutil.rmtree(self.path, ignore_errors=True)

    def file(self, name, content=b""):
        path = os.path.join(self.path, name)
        with open(path, "wb") as f:
            f.write(content)
        return path


class Daemon:
    """A running usbwarpd. models and vms as on its command line; "@" stands for the directory."""

    def __init__(self, models=(), vms=("vm1",), options=(), directory=None, control="control.sock", config=b"",
                 before_exec=None):
        self.models, self.vms, self.options, self.config = list(models), list(vms), list(options), config
        self.owned = directory is None
        self.directory = directory or Directory().__enter__().path
        self.control = os.path.join(self.directory, control)
        self.log_path = self.control + ".log"
        self.before_exec, self.process = before_exec, None

    def socket(self, vm="vm1"):
        return os.path.join(self.directory, vm + ".sock")

    def arguments(self):
        config = os.path.join(self.directory, "test.conf")
        with open(config, "wb") as f:
            f.write(self.config)
        words = ["--config", config, "--control", self.control, "--usb", "no"]
        for vm in self.vms:
            words += ["--vm", vm.replace("@", self.directory + "/") if ":" in vm else f"{vm}:socket={self.socket(vm)}"]
        for model in self.models:
            words += ["--model", model.replace("@", self.directory + "/")]
        return words + self.options

    def spawn(self):
        with open(self.log_path, "ab") as log:
            self.before = log.tell()  # an earlier daemon in the same directory may have written there
            self.process = subprocess.Popen([os.path.join(BIN, "usbwarpd")] + self.arguments(), stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, preexec_fn=self.before_exec)

    def start(self):
        self.spawn()
        until(lambda: self.process.poll() is not None or " ready, worker " in self.log(), "the daemon to be ready", 20)
        if self.process.poll() is not None:
            raise AssertionError(f"the daemon ended with {self.process.returncode}:\n{self.log()}")
        return self

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.remove()
            raise

    def __exit__(self, kind, *exc):
        try:
            code = self.stop()
            if kind is None:
                equal(code, 0, "exit code; log:\n" + self.log())
                sockets = (self.control, *map(self.socket, self.vms))
                equal(glob.glob(self.directory + "/*.sock*.lock") + [p for p in sockets if os.path.exists(p)], [],
                      "left behind")
            elif kind is not KeyboardInterrupt:
                print("--- log of the daemon\n" + self.log())
            equal(REPORT.findall(self.log()), [], "reports in the log:\n" + self.log())
        finally:
            self.remove()

    def remove(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.owned:
            shutil.rmtree(self.directory, ignore_errors=True)

    def stop(self, number=signal.SIGTERM):
        """Asks for the end and waits for it; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(30 * PATIENCE)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            f.seek(self.before)
            return f.read()

    def cli(self, *words, code=0, **more):
        """Runs usbwarp; its (stdout, stderr). The exit code must be code."""
        return cli("--socket", self.control, *words, code=code, **more)

    def json(self, *words, code=0):
        return json.loads(self.cli(*words, "--json", code=code)[0])

    def worker(self):
        return self.json("status")["daemon"]["worker"]

    def devices(self):
        return {d["bus_id"]: d for d in self.json("list")["devices"]}

    def vm(self, name="vm1"):
        return next(v for v in self.json("status")["vms"] if v["name"] == name)

    def descriptors(self, pid=None):
        return len(os.listdir(f"/proc/{pid or self.process.pid}/fd"))


def cli(*words, code=0, env=None):
    done = subprocess.run([os.path.join(BIN, "usbwarp"), *words], capture_output=True, check=False,
                          timeout=60 * PATIENCE, env={**os.environ, **(env or {})})
    out, err = done.stdout.decode("utf-8"), done.stderr.decode("utf-8")
    if done.returncode != code or REPORT.search(err):
        raise AssertionError(f"usbwarp {' '.join(words)}: code {done.returncode}, want {code}\n{out}{err}")
    return out, err


def text(field):
    """A fixed field as text: everything behind its end is zero."""
    value, zero, rest = field.partition(b"\0")
    if not zero or rest.strip(b"\0"):
        raise AssertionError(f"not a padded text: {field!r}")
    return value.decode("utf-8")


def padded(word, size=32):
    word = word.encode() if isinstance(word, str) else word
    return word + bytes(size - len(word))


def bind(bus_id, vm=""):
    return padded(bus_id) + padded(vm) + bytes(16)


def unbind(bus_id):
    return padded(bus_id) + bytes(16)


def stats(vm="", bus_id=""):
    return padded(vm) + padded(bus_id) + bytes(16)


def capture(bus_id="", vm="", snaplen=0xffffffff):
    return padded(bus_id) + padded(vm) + struct.pack("<I12x", snaplen)


class Control:
    """A connection to the control socket on which anything can be said."""

    def __init__(self, daemon):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10 * PATIENCE)
        self.socket.connect(daemon.control)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def command(self, kind, body=b"", ident=7, magic=MAGIC, version=VERSION, length=None):
        self.send(HEADER.pack(magic, version, kind, ident, len(body) if length is None else length) + body)

    def read(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise EOFError(f"closed after {len(data)} of {count} bytes")
            data += more
        return data

    def record(self):
        """(type, id, body) of the next record, whose form is checked."""
        magic, version, kind, ident, length = HEADER.unpack(self.read(HEADER.size))
        equal((magic, version), (MAGIC, VERSION), "header")
        if kind == DATA:
            equal(0 < length <= BODY_MAX, True, f"length {length} of data")
        else:
            equal(length, LENGTHS[kind], f"length of record {kind}")
        return kind, ident, self.read(length)

    def answer(self, ident=7):
        """(status, text, records) of a whole answer."""
        records = []
        while True:
            kind, got, body = self.record()
            equal(got, ident, "id")
            if kind == END:
                equal(body[2:8], bytes(6), "reserved bytes")
                return struct.unpack_from("<H", body)[0], text(body[8:]), records
            records.append((kind, body))

    def ask(self, kind, body=b"", ident=7):
        self.command(kind, body, ident)
        return self.answer(ident)

    def closed(self):
        """True once the daemon has closed, and nothing more was said."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True
