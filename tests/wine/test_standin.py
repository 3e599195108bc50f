#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The stand-ins for Hyper-V and what they find: a correct client raises no complaint, each wrong one raises its own."""
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [os.path.join(ROOT, "tests", folder) for folder in ("vm", "daemon", "wine/tools", "wine")]
import patch_imports  # noqa: E402
from broker import Broker  # noqa: E402
from guest import PATIENCE, Guest  # noqa: E402
from ivshmem import Qemu  # noqa: E402
from lab import case, equal, main  # noqa: E402
from harness import until  # noqa: E402
from loader import SERVER, WINE  # noqa: E402

BUILD = os.environ.get("USBWARP_WINDOWS", os.path.join(ROOT, "build", "windows-clang"))
DATA = 0xe000                   # where the default layout's data part begins: the client counts doorbells there

# The client's mistake, what must be said of it, and whether the device gets as far as being visible.
MISTAKES = [
    ("early", "hdv: HdvCreateSectionBackedMmioRange: before Memory Space Enable", True),
    ("writeable", "hdv: page 0 of the region is the host's, and mapped Writeable", True),
    ("readonly", "hdv: page 1 of the region is the guest's, and mapped without", True),
    ("hole", "hdv: the region is not mapped as a whole", False),
    ("twice", "hdv: HdvCreateSectionBackedMmioRange: page 1 is mapped already", True),
    ("executable", "hdv: HdvCreateSectionBackedMmioRange: pages 0 .* flags 2", False),
    ("offset", "hdv: page .* of the region shows page", True),
    ("address", "hdv: HdvDeliverGuestInterrupt: .* is not what the guest has programmed", True),
    ("data", "hdv: HdvDeliverGuestInterrupt: .* is not what the guest has programmed", True),
    ("ids", "hdv: configuration space: subsystem at 2e", True),
    ("bar", "hdv: GetDetails: BAR 0 is ffffe000", True),
    ("sizing", "hdv: configuration space: a sized BAR at 18", True),
    ("fixed", "hdv: configuration space: subsystem vendor at 2c is ffff", True),
    ("unstable", "hdv: configuration space: 3c reads differently twice", True),
    ("memory", "hdv: configuration space: command of a device that was just started", True),
    ("capability", "hdv: configuration space: no MSI capability", False),
    ("circle", "hdv: configuration space: the capabilities go in a circle", False),
    ("doorbell", "hdv: no doorbell was registered", False),
    ("any", "hdv: HdvRegisterDoorbell: .* never rings", False),
    ("overrun", r"hdv: ReadInterceptedMemory\(BAR 0, 0, 1\) wrote", True),
    ("refuse", "hdv: WriteInterceptedMemory.*80004005", True),
    ("intercept", "hdv: a guest's write to the host page went through", True),
    ("unpublished", "hdv: the guest would see a host page with this fault", True),
    ("range", "hdv: teardown: a section-backed range", True),
    ("registered", "hdv: teardown: the doorbell at c", True),
    ("host", "hdv: end of the process: a device host of vm1", True),
    ("dead", "hdv: HdvDeliverGuestInterrupt: .* was torn down", True),
    ("json", "hcs: HcsModifyComputeSystem: no JSON object", False),
    ("operation", "hcs: end of the process: an operation was not closed", True),
    ("system", "hcs: end of the process: a compute system was not closed", True),
    ("users", "section: CreateFileMappingW: the section admits S-1-5-32-545", True),
    ("descriptor", "section: CreateFileMappingW: the section has no DACL", True),
    ("named", "section: CreateFileMappingW: the section has a name", True),
]


class Wine:
    """A prefix, and the client beside its stand-ins."""

    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix="usbwarp-wine-")
        self.report_path = os.path.join(self.directory, "report")
        self.environment = dict(os.environ, WINEPREFIX=os.path.join(self.directory, "prefix"), WINEDEBUG="-all",
                                WINEDLLOVERRIDES="mscoree,mshtml=d", UWLAB_REPORT="Z:" + self.report_path,
                                UWLAB_TRACE="Z:" + self.report_path + ".trace", UWLAB_HDV_SETTLE="2000")
        self.environment.pop("DISPLAY", None)
        try:
            for name in ("vmdevicehost.dll", "computecore.dll", "uwlab_32.dll"):
                shutil.copy(os.path.join(BUILD, name), self.directory)
            patch_imports.patch_file(os.path.join(BUILD, "hdvtest.exe"), os.path.join(self.directory, "hdvtest.exe"),
                                     ["kernel32.dll=uwlab_32.dll"])
            subprocess.run([*WINE, "wineboot", "-i"], env=self.environment, check=True, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, timeout=120 * PATIENCE)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc):
        subprocess.run([SERVER, "-k"], env=self.environment, check=False, stderr=subprocess.DEVNULL)
        subprocess.run([SERVER, "-w"], env=self.environment, check=False, timeout=60)
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self, broker, *words):
        return subprocess.Popen([*WINE, os.path.join(self.directory, "hdvtest.exe"), *words], stdout=subprocess.PIPE,
                                env=dict(self.environment, **broker.environment()), stderr=subprocess.DEVNULL, text=True)

    def report(self, forget=True):
        """What was reported since the last call that forgot."""
        try:
            with open(self.report_path, encoding="utf-8") as f:
                text = f.read()
            if forget:
                os.unlink(self.report_path)
            return text
        except FileNotFoundError:
            return ""


class Session:
    """A run of the client against a VM of its own."""

    def __init__(self, wine, mistake="none", options=""):
        self.wine, self.mistake, self.options = wine, mistake, options

    def __enter__(self):
        self.broker = Broker(["vm1" + self.options])
        self.broker.__enter__()
        size = [str(self.broker.machines["vm1"].size)]
        self.client = self.wine.start(self.broker, self.mistake, *size)
        return self

    def __exit__(self, *exc):
        self.client.kill()
        self.client.communicate()
        self.broker.__exit__()

    def finish(self):
        """The client's last words and exit code, once the VM has ended."""
        out, _ = self.client.communicate(timeout=60 * PATIENCE)
        equal(self.broker.errors, [], "errors of the broker")
        return out.split(), self.client.returncode


def correct(wine, options=""):
    with Session(wine, options=options) as s:
        with Qemu(s.broker.socket()) as q:
            size = os.fstat(q.memory).st_size
            equal(size, s.broker.machines["vm1"].size, "bytes of the region")
            for n in range(1, 200):
                q.ring()
                assert q.interrupted(10 * PATIENCE), f"no interrupt for doorbell {n}"
                equal(struct.unpack_from("<I", os.pread(q.memory, 4, DATA))[0], n, "doorbells counted")
                if n % 50 == 0:
                    for command in ("msi", "mask", "memory", "intercept"):
                        s.broker.play("vm1", command)
        equal(s.finish(), (["attached", "done"], 0), "the client's end")
        equal(wine.report(), "", "reports of a correct client")


@case
def correct_client():
    with Wine() as wine:
        correct(wine)


@case
def correct_client_of_64_mib():
    with Wine() as wine:
        correct(wine, ":size=67108864")


def wrong(wine, mistake, words, visible):
    """What was reported, if it is not what it should be."""
    with Session(wine, mistake) as s:
        if visible:
            with Qemu(s.broker.socket()) as q:
                q.ring()
                time.sleep(0.1)
        else:
            with socket.socket(socket.AF_UNIX) as q:
                q.connect(s.broker.socket())
                until(lambda: re.search(words, wine.report(False)), f"{words!r} of {mistake}")
        s.finish()
    report = wine.report()
    return None if re.search("UWLAB: " + words, report) else f"{mistake}: want {words!r}, reported was:\n{report}"


@case
def each_mistake_is_reported():
    with Wine() as wine:
        failures = [f for f in (wrong(wine, *m) for m in MISTAKES) if f]
    equal(failures, [], "mistakes that were not found")


@case
def interrupt_storm_while_rewritten():
    """Interrupts go on while address, data, mask and enable change: each must be of what is in force, and none is lost."""
    with Wine() as wine, Session(wine) as s:
        with Qemu(s.broker.socket()) as q:
            for _ in range(5):
                s.broker.machines["vm1"].hosts[-1].send(18, s.broker.machines["vm1"], text="msi")
                for _ in range(100):
                    q.ring()
                    assert q.interrupted(10 * PATIENCE), "an interrupt was lost"
        s.finish()
        equal(wine.report(), "", "reports")


@case
def real_guest_rings():
    """A guest's kernel finds the device; its BAR shows the section, and its doorbell register rings."""
    with Wine() as wine, Session(wine) as s:
        with Guest(links=[s.broker.socket()]) as g:
            path = g.run("dirname $(grep -l 0x1110 /sys/bus/pci/devices/*/device)").out.strip()
            registers, _, region = [int(line.split()[0], 16) for line in g.run(f"head -3 {path}/resource").out.splitlines()]
            equal(g.run(f"devmem {region:#x} 64").out.strip(), "0x3150524157425355", "magic")
            g.run(f"devmem {registers + 12:#x} 32 0x10000")
            g.wait_for(f"devmem {region + DATA:#x} 32 | grep -q 1")
            s.broker.until(lambda: s.broker.machines["vm1"].raised == 1, "the interrupt")
        equal(s.finish(), (["attached", "done"], 0), "the client's end")
        equal(wine.report(), "", "reports")


if __name__ == "__main__":
    main()
