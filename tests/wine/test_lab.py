#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The laboratory's own test: uwprobe.sys uses each part of the forwarding kernel, and commits each sin that it must see.

    test_lab.py [BUILD]      BUILD, or USBWARP_WINDOWS: where uwlabkrn.exe, uwprobe.sys and uwprobectl.exe are
"""
import os
import pathlib
import re
import sys
import time

import lab

ROOT = pathlib.Path(__file__).resolve().parents[2]
KERNEL = ROOT / "tests" / "wine" / "kernel"
sys.path.insert(0, str(KERNEL))
import check_imports  # noqa: E402
import gen  # noqa: E402

# What each of PROBE_SIN's numbers must be reported as, in the order of probe.h.
SINS = [
    r"UWLAB: IRQL 2: IoDeleteSymbolicLink is for 0 at most, called from uwprobe\.sys",
    r"UWLAB: IRQL 2: KeWaitForSingleObject would block",
    r"UWLAB: pool: bytes around a block of 13, tag Prpb, were written",
    r"UWLAB: pool: block of 13, tag Prpb, freed twice",
    r"UWLAB: KeReleaseSpinLock of \w+, which thread 0 holds",
    r"UWLAB: MDL \w+ freed while its pages are locked",
    r"UWLAB: request \w+, a driver's own, goes past its last completion routine",
    r"UWLAB: rundown protection \w+ released too often",
    r"UWLAB: IRQL 0 before, 2 after uwprobe\.sys",
    r"UWLAB: pool: 13 bytes, tag Prpb, left behind; allocated by uwprobe\.sys",
    r"UWLAB: remove lock \w+ released with tag \w+, which nobody took, by uwprobe\.sys",
    r"UWLAB: uwprobe\.sys\+\w+, function 14\.\d+, returned 0x103 and had not marked the request pending",
]
AFTERMATH = [r"UWLAB: KeReleaseSpinLock of \w+ at IRQL 0", r"UWLAB: .* leaves 1 blocks of 13 bytes behind"]
SIN_LEAK, SIN_POOL_FAILS = 9, 12


class Test:
    def __init__(self, wine, build):
        self.wine = wine
        self.tool = build / "uwprobectl.exe"
        self.failed = 0
        self.passed = 0

    def check(self, what, good):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAIL {what}")

    def says(self, pattern, start=0):
        """Is there such a line after line `start` of the log?"""
        try:
            self.wine.wait_log(pattern, timeout=3, start=start)
            return True
        except lab.Failed:
            return False

    def order(self, start, *patterns):
        """Do these lines follow one another after line `start`? The last one is waited for."""
        deadline = time.monotonic() + 3
        while not (found := self.in_order(start, patterns)) and time.monotonic() < deadline:
            time.sleep(0.05)
        return found

    def in_order(self, at, patterns):
        lines = self.wine.log()
        for pattern in patterns:
            while at < len(lines) and not re.search(pattern, lines[at]):
                at += 1
            if at >= len(lines):
                return False
            at += 1
        return True

    def basics(self):
        self.wine.start("uwprobe")
        self.wine.wait_log("probe: done")
        for line in self.wine.log():
            if line.startswith("probe: "):
                self.check(line, not line.startswith("probe: FAIL"))
        self.check("ten basics at least", sum(line.startswith("probe: ok") for line in self.wine.log()) >= 10)

    def files(self):
        start = len(self.wine.log())
        self.check("section and event", self.wine.run(self.tool, "section", check=False).returncode == 0)
        self.check("create, cleanup, close", self.order(start, "control create", "control cleanup", "control close"))
        self.check("cancelled", self.wine.run(self.tool, "pend", check=False).returncode == 0)
        self.check("cancel routine", self.says("probe: request cancelled"))
        self.check("ended by the close", self.wine.run(self.tool, "close", check=False).returncode == 0)

    def devices(self):
        found = [line for line in self.wine.control("stacks") if "uwprobe" in line]
        self.check("one stack", len(found) == 1 and found[0].startswith("ROOT\\UWPROBE\\0000 open=0"))
        instance = "ROOT\\UWPROBE\\0000"
        start = len(self.wine.log())
        self.check("notify", self.wine.run(self.tool, "notify", check=False).returncode == 0)
        self.check("cleanup comes with the open", self.order(start, "device create", "device cleanup", "device close"))
        start = len(self.wine.log())
        self.wine.control("sleep")
        self.wine.control("resume")
        self.check("sleep and resume", self.order(start, "system S3", "device D3 status 0", "system S0", "device D0 status 0"))
        start = len(self.wine.log())
        for verb in ("query-stop", "cancel-stop", "query-remove", "cancel-remove", "query-remove", "remove"):
            self.wine.control(f"{verb} {instance}")
        self.check("stop and removal", self.order(start, "pnp 5", "pnp 6", "pnp 1$", "pnp 3", "pnp 1$", "pnp 2"))
        start = len(self.wine.log())
        self.wine.control(f"setup {instance}")
        self.check("setup", self.order(start, "pnp 0", "ok enable") and len(self.wine.control("stacks")) == 1)
        self.wine.control(f"query-remove {instance}")
        self.wine.control(f"remove {instance}")

    def faults(self):
        self.wine.control("fault pool 2 0 uwprobe")
        ends = [self.wine.run(self.tool, "sin", SIN_POOL_FAILS, check=False).returncode for _ in range(3)]
        self.check("the second allocation fails", ends == [0, 1, 0])
        self.check("counted", "failed=1" in self.wine.control("counts")[0])
        self.wine.control("fault off")

    def sins(self):
        for number, pattern in enumerate(SINS):
            self.wine.expect(pattern)
            if number != SIN_LEAK:
                start = len(self.wine.log())
                self.wine.run(self.tool, "sin", number)
                self.check(f"sin {number} is seen", self.says(pattern, start))
        for pattern in AFTERMATH:
            self.wine.expect(pattern)

    def imports(self, build):
        """The probe's imports are reviewed; without one line of the list it is refused."""
        calls, wine = gen.read_calls(str(KERNEL / "calls.list")), gen.exports(check_imports.NTOSKRNL)
        probe = build / "uwprobe.sys"
        self.check("imports", not list(check_imports.judge(probe, calls, wine)))
        del calls["KeInsertQueueDpc"]
        self.check("an import that is not listed", [line.split(":")[0] for line in check_imports.judge(probe, calls, wine)]
                   == ["KeInsertQueueDpc"])

    def end(self):
        holder = self.wine.spawn(self.tool, "hold", "3000")
        self.check("opened", self.says("probe: control create", len(self.wine.log()) - 1))
        self.wine.run(self.tool, "sin", SIN_LEAK)
        start = len(self.wine.log())
        self.wine.stop("uwprobe")
        self.check("unloaded after the last close", self.order(start, "control close", "probe: unload"))
        holder.wait(30)
        self.check("the leak is seen", self.says(SINS[SIN_LEAK]))


def main():
    default = os.environ.get("USBWARP_WINDOWS", str(ROOT / "build" / "windows-clang"))
    build = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else default)
    with lab.Prefix(build) as wine:
        test = Test(wine, build)
        test.imports(build)
        wine.driver(build / "uwprobe.sys")
        wine.root_device("UWPROBE", "uwprobe")
        for step in (test.basics, test.files, test.devices, test.faults, test.sins, test.end):
            step()
        if test.failed:
            print("\n".join(wine.log()[-40:]))
    print(f"{test.passed} passed, {test.failed} failed")
    sys.exit(test.failed > 0)


if __name__ == "__main__":
    main()
