#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The stand-ins for driver installation: what they do to a devnode on the virtual bus, what they report, how they fail."""
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from stack import BUILD, FILTER, ROOT, SETTINGS, STANDINS, wine  # noqa: E402
from lab import case, equal, main  # noqa: E402

INF = r"C:\windows\inf\oem77.inf"
FORMER = r"C:\windows\inf\oem78.inf"
RENAMES = ["kernel32.dll=uwlab_32.dll", "setupapi.dll=uwlabset.dll", "cfgmgr32.dll=uwlabcfg.dll"]
# The former driver is our filter by another name of an INF: what counts is which INF and section the devnode names.
FORMER_INF = r"""[Version]
Signature = "$WINDOWS NT$"
Class = USB
ClassGuid = {36fc9e60-c465-11cf-8056-444553540000}
Provider = "Former"
DriverVer = 01/02/2020,4.3.2.1
[Manufacturer]
"Maker" = Models, NTamd64
[Models.NTamd64]
"Former driver" = Install, %s
[Install.NTamd64]
[Install.NTamd64.Services]
AddService = UsbWarpFilter, 2, Service
[Service]
ServiceType = 1
StartType = 3
ErrorControl = 1
"""
MISTAKES = [
    ("restart", "setup: CM_Query_And_Remove_SubTree: flags 1"),
    ("window", "setup: CM_Query_And_Remove_SubTree: flags 2"),
    ("both", "setup: DiInstallDevice: flags 4 and a driver"),
    ("flags", "setup: DiInstallDevice: flags 10"),
    ("foreign", "setup: DiInstallDevice: the driver is not of SetupDiEnumDriverInfo's"),
    ("unlisted", "setup: SetupDiSetSelectedDriver: the driver is not in the list"),
    ("nobody", "setup: DiInstallDevice: no device of that set"),
    ("inf", r"setup: SetupDiBuildDriverInfoList: DI_ENUMSINGLEINF with C:.nowhere.inf"),
    ("store", "setup: DiInstallDevice: .* is not in the driver store"),
    ("setup", "setup: CM_Setup_DevNode: flags 5"),
    ("disable", "setup: CM_Disable_DevNode"),
]


class Lab:
    """A prefix with the bus, one pico in it, and a copy of the client."""

    def __enter__(self):
        self.prefix = wine.Prefix(BUILD)
        self.prefix.__enter__()
        try:
            self.fill()
        except BaseException:
            self.prefix.close(check=False)
            raise
        return self

    def __exit__(self, kind, value, trace):
        if not kind:
            self.bus("remove-bus")
        self.prefix.__exit__(kind, value, trace)

    def fill(self):
        folder = self.prefix.root / "prefix" / "drive_c" / "usbwarp"
        folder.mkdir()
        for name in STANDINS:
            (folder / name).write_bytes(open(os.path.join(BUILD, name), "rb").read())
        wine.patch_imports.patch_file(os.path.join(BUILD, "setuptest.exe"), folder / "setuptest.exe", RENAMES)
        inf = os.path.join(ROOT, "packaging", "windows", "UsbWarpFilter.inf")
        (self.prefix.windows / "inf" / "oem77.inf").write_bytes(open(inf, "rb").read())
        (folder / "elsewhere.inf").write_bytes(open(inf, "rb").read())
        self.prefix.driver(os.path.join(BUILD, FILTER + ".sys"))
        self.bus("install", self.prefix.put(os.path.join(BUILD, "uwbus.sys"), "system32/drivers", [wine.KERNEL]))
        self.ident = self.bus("plug", "pico").split()[1]
        hardware = self.registry("HardwareID").split("\\0")[0]
        (self.prefix.windows / "inf" / "oem78.inf").write_text(FORMER_INF % hardware)
        self.set("UWLAB_REPORT", self.prefix.report_path)

    def bus(self, *words):
        return self.prefix.run(os.path.join(BUILD, "busctl.exe"), *words).stdout

    def set(self, name, value):
        self.prefix.run("reg", "add", SETTINGS, "/v", name, "/d", str(value), "/f")

    def forget(self, name):
        self.prefix.run("reg", "delete", SETTINGS, "/v", name, "/f")

    def setup(self, what, *words, code=0):
        done = self.prefix.run("C:\\usbwarp\\setuptest.exe", what, self.ident, *words, check=False)
        equal(done.returncode, code, f"{what} {words}: {done.stdout}{done.stderr}; exit code")
        return done.stdout

    def registry(self, name, key=None):
        key = key or "HKLM\\System\\CurrentControlSet\\Enum\\" + self.ident
        found = re.search(rf"{name}\s+REG_\w+\s+(.*)", self.prefix.run("reg", "query", key, "/v", name, check=False).stdout)
        return found.group(1).strip() if found else ""

    def software(self, name):
        return self.registry(name, "HKLM\\System\\CurrentControlSet\\Control\\Class\\" + self.registry("Driver"))

    def state(self):
        line = [line for line in self.bus("list").splitlines() if self.ident in line]
        return line[0].split()[3]

    def driver(self):
        """(service, INF, section, class) of the devnode."""
        return (self.registry("Service"), self.software("InfPath"), self.software("InfSection"),
                self.registry("ClassGUID").lower())


OURS = ("UsbWarpFilter", "oem77.inf", "Bound", "{88bae032-5a81-49f0-bc3d-a4ff138216d6}")
THEIRS = ("UsbWarpFilter", "oem78.inf", "Install", "{36fc9e60-c465-11cf-8056-444553540000}")


@case
def bound_and_restored():
    with Lab() as s:
        equal((s.registry("Service"), s.state()), ("", "plugged"), "a device without a driver")
        s.setup("best")
        equal((s.driver(), s.state()), (THEIRS, "started"), "Windows' choice")
        s.setup("bind", INF)
        equal((s.driver(), s.state()), (OURS, "started"), "bound")
        equal(s.software("ProviderName"), "UsbWarp", "provider")
        s.setup("restore", FORMER)
        equal((s.driver(), s.state()), (THEIRS, "started"), "restored")
        equal(s.software("DriverVersion"), "4.3.2.1", "version")
        s.setup("null")
        equal((s.registry("Service"), s.software("InfPath")), ("", ""), "no driver")
        assert "problem 28" in s.setup("status")


@case
def lists_of_drivers():
    """The excluded driver shows only when it is asked for, and fits no device."""
    with Lab() as s:
        ours = "USB device bound to a virtual machine (UsbWarp) by UsbWarp, UsbWarp"
        equal([line for line in s.setup("drivers", INF).splitlines() if " by " in line],
              ["class, excluded too: " + ours], "drivers of our INF")
        equal(s.setup("drivers", FORMER).count("Former driver by Former, Maker"), 4, "drivers of the former INF")


@case
def steps_fail_as_planned():
    """Each step of a bind fails once; the steps before it have been done."""
    want = [("remove", ""), ("null", ""), ("null", ""), ("install", ""), ("install", "UsbWarpFilter"),
            ("setup", "UsbWarpFilter")]
    with Lab() as s:
        for n, (step, service) in enumerate(want, 1):
            s.setup("null")
            s.prefix.run("reg", "add", SETTINGS, "/v", "SetupStep", "/t", "REG_DWORD", "/d", "0", "/f")
            s.set("UWLAB_SETUP_FAIL", n)
            out = s.setup("bind", INF, code=1)
            assert re.search(rf"^{step}: error", out, re.M), f"step {n}: {out}"
            equal(s.registry("Service"), service, f"service after step {n} failed")
        s.set("UWLAB_SETUP_FAIL", 0)
        s.setup("bind", INF)
        equal((s.driver(), s.state()), (OURS, "started"), "bound in the end")


@case
def veto_and_reboot():
    with Lab() as s:
        s.set("UWLAB_VETO", "6:USB\\SOMEBODY")
        assert "vetoed: 6 USB\\SOMEBODY" in s.setup("bind", INF, code=1)
        equal(s.registry("Service"), "", "service after a veto")
        s.forget("UWLAB_VETO")
        s.set("UWLAB_REBOOT", 1)
        assert "reboot" in s.setup("bind", INF)


@case
def mistakes_are_reported():
    with Lab() as s:
        for mistake, words in MISTAKES:
            s.prefix.expect(words)
            inf = r"C:\usbwarp\elsewhere.inf" if mistake == "store" else INF
            before = len(s.prefix.reports())
            s.setup("wrong", inf, mistake)
            new = s.prefix.reports()[before:]
            assert any(re.search(words, line) for line in new), f"{mistake}: want {words!r}, reported was {new}"


@case
def failed_start_is_told():
    """A devnode whose driver does not start has a problem, one without a driver another."""
    with Lab() as s:
        assert "problem 28" in s.setup("status")
        s.setup("bind", INF)
        assert "problem 0" in s.setup("status")


if __name__ == "__main__":
    main()
