#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The virtual USB bus: names that Windows would give, devices that come and go, and its test of its own rules.

    test_bus.py [CASE...]        USBWARP_WINDOWS: where the binaries are
"""
import os
import re
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]
import lab  # noqa: E402
from runner import case, equal, main  # noqa: E402

BUILD = os.environ.get("USBWARP_WINDOWS", os.path.join(os.path.dirname(os.path.dirname(HERE)), "build", "windows-clang"))
PICO = r"USB\VID_2E8A&PID_0005\e6614c775b1d0a2f"
ENUM = "HKLM\\SYSTEM\\CurrentControlSet\\Enum\\"
MODES = (("inline",), ("dpc",), ("delay", "0"), ("delay", "3"))



class Bus:
    """A prefix with the bus in it, which has to be removable in the end."""

    def __init__(self):
        self.wine = lab.Prefix(BUILD)

    def __enter__(self):
        self.wine.__enter__()
        try:
            self.ctl("install", self.wine.put(os.path.join(BUILD, "uwbus.sys"), "system32/drivers", [lab.KERNEL]))
        except BaseException:
            self.wine.close(check=False)
            raise
        return self

    def __exit__(self, kind, value, trace):
        if not kind:
            self.ctl("remove-bus")
        self.wine.__exit__(kind, value, trace)

    def ctl(self, *words, check=True):
        done = self.wine.run(os.path.join(BUILD, "busctl.exe"), *words, check=check)
        return done.stdout if check else done

    def plug(self, model, *port):
        number, ident = self.ctl("plug", model, *port).split()
        return int(number), ident

    def list(self):
        """{port: (model, id, state, speed)} and the number of refused URBs."""
        first, *rest = self.ctl("list").splitlines()
        return {int(w[0]): tuple(w[1:5]) for w in map(str.split, rest)}, int(first.split()[-1])

    def value(self, ident, name):
        found = re.search(rf"{name}\s+REG_\w+\s+(.*)", self.wine.run("reg", "query", ENUM + ident, "/v", name).stdout)
        return found.group(1).strip()


@case
def frames_may_be_slow():
    """Frames last as long as asked for, whatever the machine is doing; and nobody sees the clock jump."""
    with Bus() as bus:
        def frame():
            return int(re.search(r" frame (\d+) ", bus.ctl("list"))[1])

        first = frame()
        time.sleep(0.5)
        assert frame() - first >= 499, "frames of a millisecond"
        bus.ctl("slow", "50")
        began, first = time.monotonic(), frame()
        time.sleep(0.5)
        count, least = frame() - first, 9
        most = (time.monotonic() - began) * 1000 / 50 + 1
        assert least <= count <= most, f"{count} frames, {least} to {most}"
        for n in ("0", "1001"):
            assert bus.ctl("slow", n, check=False).returncode == 1, n
        bus.ctl("plug", "pico")
        assert bus.ctl("slow", "2", check=False).returncode == 1, "with a device"


@case
def rules_hold():
    """Right URBs are taken, wrong ones refused with one line each; in each way to complete, at each speed."""
    with Bus() as bus:
        bus.wine.expect("uwbus: REFUSED")
        for mode in MODES:
            bus.ctl("mode", *mode)
            passed, failed, skipped = map(int, re.findall(r"(\d+) \w+", bus.ctl("selftest").splitlines()[0]))
            equal((failed, skipped), (0, 0), f"mode {mode}: failed and skipped of {passed}")
            assert passed >= 400, passed
        _, refused = bus.list()
        lines = [line for line in bus.wine.log() if "uwbus: REFUSED" in line]
        equal(len(lines), refused, "lines about refused URBs")
        assert refused > 100 * len(MODES), refused


@case
def names_are_windows_own():
    with Bus() as bus:
        equal(bus.plug("pico"), (1, PICO), "the pico")
        equal(bus.value(PICO, "HardwareID"), r"USB\VID_2E8A&PID_0005&REV_0100\0USB\VID_2E8A&PID_0005", "hardware ids")
        equal(bus.value(PICO, "CompatibleIds"),
              r"USB\DevClass_EF&SubClass_02&Prot_01\0USB\DevClass_EF&SubClass_02\0USB\DevClass_EF\0USB\COMPOSITE",
              "compatible ids of a composite device")
        assert re.fullmatch(r"\{[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}\}",
                            bus.value(PICO, "ContainerId"))
        path = bus.wine.root / "disk"
        path.write_bytes(bytes(1 << 20))
        _, disk = bus.plug(f"disk:file={path},serial=ABC123")
        equal(disk, r"USB\VID_0525&PID_A4A5\ABC123", "the disk")
        equal(bus.value(disk, "CompatibleIds"),
              r"USB\Class_08&SubClass_06&Prot_50\0USB\Class_08&SubClass_06\0USB\Class_08", "compatible ids of a disk")
        equal(bus.plug("zero:noserial,speed=super", "9"), (9, r"USB\VID_0525&PID_A4A0\5&2A7C1B0&0&9"), "by hub and port")
        devices, refused = bus.list()
        equal({port: (d[0], d[3]) for port, d in devices.items()},
              {1: ("pico", "full"), 2: ("disk", "high"), 9: ("zero", "super")}, "the list")
        equal(refused, 0, "refused URBs")


@case
def devices_come_and_go():
    with Bus() as bus:
        bus.plug("pico")
        equal(bus.ctl("plug", "pico", check=False).returncode, 1, "a second device of the same name")
        equal(bus.ctl("plug", "zero", "1", check=False).returncode, 1, "a second device at one port")
        equal(bus.ctl("plug", "zero:speed=low", check=False).returncode, 2, "a speed that models do not have")
        bus.ctl("cycle", "1")
        equal(bus.list()[0][1][1], PICO, "the same after a cycle")
        equal(bus.ctl("replug", "1", "zero:serial=dfu").split()[1], r"USB\VID_0525&PID_A4A0\dfu", "another one")
        equal(bus.ctl("replug", "1", "pico").split()[1], PICO, "and back")
        bus.ctl("unplug", "1")
        equal(bus.list()[0], {}, "after the unplug")
        bus.plug("pico")
        bus.ctl("remove", "1")
        equal(bus.list()[0], {}, "after the removal")
        equal(bus.ctl("unplug", "1", check=False).returncode, 1, "an unplug of nothing")


@case
def many_times():
    """Neither memory nor devnodes are lost; the forwarding kernel says so when the driver is unloaded."""
    with Bus() as bus:
        for turn in range(5):
            for port in range(1, 16):
                bus.plug(f"zero:serial=n{port}", str(port))
            equal(len(bus.list()[0]), 15, "devices")
            equal(bus.ctl("plug", "pico", check=False).returncode, 1, "a sixteenth device")
            for port in range(1, 16):
                bus.ctl("cycle" if turn == 2 else "unplug", str(port))
            if turn == 2:
                for port in range(1, 16):
                    bus.ctl("unplug", str(port))
            equal(bus.list()[0], {}, "devices that are left")


@case
def service_drives_a_device():
    """UsbWarpFilter.sys becomes the function driver, is surprised, comes back, and lets go."""
    with Bus() as bus:
        bus.wine.driver(os.path.join(BUILD, "UsbWarpFilter.sys"))
        bus.plug("pico")
        bus.ctl("bind-service", PICO, "UsbWarpFilter")
        equal(bus.list()[0][1][2], "started", "state")
        bus.ctl("cycle", "1")
        bus.ctl("wait", "1", "started")
        bus.ctl("remove", "1")
        bus.plug("pico")
        bus.ctl("wait", "1", "started")
        bus.ctl("unplug", "1")
        bus.plug("pico")
        bus.ctl("unbind-service", PICO)
        equal(bus.list()[0][1][2], "plugged", "state after the unbind")
        equal(bus.list()[1], 0, "refused URBs")


@case
def misused_handles_are_noticed():
    """Each rule of a USBD handle that a driver breaks is one line, of the bus or of the stand-in for usbdex.lib."""
    with Bus() as bus:
        bus.wine.driver(os.path.join(BUILD, "uwmisuse.sys"))
        _, ident = bus.plug("zero:serial=Z1")
        bus.ctl("nak", "1", "2")
        for rule in ("REFUSED an URB that is none of the handle's", "usbdex: URB .* freed, which is none of the handle's",
                     "REFUSED an URB with more packets than were allocated", "REFUSED an URB that was not assigned by USBD_",
                     "REFUSED an URB that was allocated for another kind of request", "REFUSED an URB that is under way already",
                     "usbdex: USBD_QueryUsbCapability at IRQL 2", "usbdex: a handle closed with URBs that were not freed"):
            bus.wine.expect(rule)
        bus.ctl("bind-service", ident, "uwmisuse")
        bus.ctl("wait", "1", "started")
        bus.ctl("remove", "1")
        bus.wine.wait_log("URBs that were not freed")
        said = "\n".join(bus.wine.log())
        for rule in bus.wine.expected:
            equal(len(re.findall(rule, said)), 1, rule)


if __name__ == "__main__":
    main()
