#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The installer: the same bytes twice, the files of the build and no others; installed, upgraded, rolled back and removed
by Wine's msiexec. There a recorder stands in for the service and writes down what the installer asked of it, and when.
USBWARP_WINDOWS: the Windows build."""
import filecmp
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

import wine
from wine import BUILT, case, equal, holds

HERE = os.path.dirname(os.path.abspath(__file__))
MKMSI = os.path.join(wine.ROOT, "packaging", "windows", "mkmsi.py")
SERVICES = r"HKLM\SYSTEM\CurrentControlSet\Services"
FOLDER = ("Program Files", "UsbWarp")


def make(directory, version, out):
    subprocess.run([MKMSI, "--directory", directory, "--version", version, "--out", out], check=True)
    return out


def names():
    return subprocess.run([MKMSI, "--list"], check=True, capture_output=True, text=True).stdout.split()


class Lab:
    def start(self):
        self.wine = wine.Wine().__enter__()
        self.files = os.path.join(self.wine.directory, "files")
        shutil.copytree(BUILT, self.files, ignore=shutil.ignore_patterns("signed", "*.pdb"))
        wine.compile_tool(os.path.join(HERE, "recorder.c"), os.path.join(self.files, "UsbWarpService.exe"), "advapi32")
        self.old = make(self.files, "0.1.0", os.path.join(self.wine.directory, "old.msi"))
        self.new = make(self.files, "0.2.0", os.path.join(self.wine.directory, "new.msi"))
        self.before = self.registry()

    def msiexec(self, what, package, code=0):
        return self.wine.run("msiexec", what, wine.windows_path(package), "/qn", code=code)

    def record(self):
        """What the installer asked for since the last look."""
        path = self.wine.path("record.txt")
        if not os.path.exists(path):
            return []
        with open(path, encoding="ascii") as f:
            lines = f.read().splitlines()
        os.remove(path)
        return lines

    def fail(self, word):
        with open(self.wine.path("fail.txt"), "w", encoding="ascii") as f:
            f.write(word)

    def query(self, key):
        return self.wine.run("reg", "query", key, "/s", code=None)[0].decode("utf-8", "replace").replace("\r", "")

    def installed(self):
        text = self.query(r"HKLM\Software\Microsoft\Windows\CurrentVersion\Uninstall")
        return re.findall(r"DisplayName +REG_SZ +(UsbWarp)\n", text), re.findall(r"DisplayVersion +REG_SZ +(0\.\d\.0)\n", text)

    def registry(self):
        """Everything that an uninstall must put back, but for what Wine does by itself: it drops the key of the
        application log when that is empty, and leaves a semicolon at the end of PATH."""
        return {key: {line.rstrip(";") for line in self.query(key).split("\n") if not line.endswith("\\Application")} for key in (
            SERVICES, r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Environment",
            r"HKLM\Software\Microsoft\Windows\CurrentVersion\Uninstall", r"HKLM\Software\UsbWarp")}

    def gone(self):
        equal(os.path.exists(self.wine.path(*FOLDER)), False, "the folder is left")
        after = self.registry()
        for key, lines in self.before.items():
            equal(sorted(lines ^ after[key]), [], f"changes below {key}")


LAB = Lab()


@case
def the_same_files_give_the_same_bytes():
    with tempfile.TemporaryDirectory() as directory:
        copy = os.path.join(directory, "elsewhere")
        shutil.copytree(LAB.files, copy, copy_function=shutil.copyfile)
        time.sleep(1.1)
        again = make(copy, "0.1.0", os.path.join(directory, "again.msi"))
        assert filecmp.cmp(again, LAB.old, shallow=False), "the same files gave another package"
        with open(os.path.join(copy, "LICENSE.txt"), "a", encoding="ascii") as f:
            f.write("x")
        summary = subprocess.run(["msiinfo", "suminfo", make(copy, "0.1.0", again)], check=True, capture_output=True).stdout
        code = re.search(rb"UUID\): (\S+)", summary)[1]
        with open(LAB.old, "rb") as f:
            assert code not in f.read(), "another content has the same package code"


@case
def it_holds_the_files_of_the_build():
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["msiextract", "-C", directory, LAB.old], check=True, stdout=subprocess.DEVNULL)
        found = {name: os.path.join(where, name) for where, _, files in os.walk(directory) for name in files}
        equal(sorted(found), sorted(names() + ["usbwarp.exe"]), "files")
        for name, path in found.items():
            source = os.path.join(LAB.files, "UsbWarpController.exe" if name == "usbwarp.exe" else name)
            assert filecmp.cmp(path, source, shallow=False), name


@case
def installs_and_removes():
    LAB.msiexec("/i", LAB.old)
    count = len([name for name in names() if name.startswith("UsbWarp")])
    equal(LAB.record()[:1], [f"--install-drivers {count + 1}"], "with all files in place")
    for name in names():
        assert filecmp.cmp(LAB.wine.path(*FOLDER, name), os.path.join(LAB.files, name), shallow=False), name
    equal(LAB.installed(), (["UsbWarp"], ["0.1.0"]), "entry in the list of programs")
    holds(LAB.query(SERVICES + r"\UsbWarpService"), r"C:\Program Files\UsbWarp\UsbWarpService.exe", "LocalSystem",
          "Start    REG_DWORD    0x2")
    holds(LAB.query(SERVICES + r"\EventLog\Application\UsbWarp"), "EventMessageFile    REG_EXPAND_SZ    C:\\Program Files",
          "TypesSupported    REG_DWORD    0x7")
    holds(LAB.wine.run("cmd", "/c", "usbwarp --version")[0].decode(), "usbwarp 0.")
    LAB.msiexec("/x", LAB.old)
    equal([line for line in LAB.record() if line.startswith("--")], [f"--remove-drivers {count + 1}"], "before the files go")
    LAB.gone()


@case
def a_failure_puts_everything_back():
    LAB.fail("--install-drivers")
    try:
        LAB.msiexec("/i", LAB.old, code=91)
    finally:
        LAB.fail("")
    # Wine rolls back in the order of installing, so that the undoing action finds its program gone. Windows goes
    # backwards; that the action is a rollback one, and comes before what it undoes, is checked where the package is made.
    equal([line.split()[0] for line in LAB.record()], ["--install-drivers"], "asked for")
    LAB.gone()


@case
def an_upgrade_removes_the_former_drivers_first():
    LAB.msiexec("/i", LAB.old)
    LAB.record()
    LAB.msiexec("/i", LAB.new)
    equal([line.split()[0] for line in LAB.record() if line.startswith("--")], ["--remove-drivers", "--install-drivers"],
          "asked for")
    equal(LAB.installed(), (["UsbWarp"], ["0.2.0"]), "entry in the list of programs")
    LAB.msiexec("/i", LAB.old, code=None)
    equal(LAB.installed(), (["UsbWarp"], ["0.2.0"]), "no way back by the older package")
    LAB.record()
    LAB.msiexec("/x", LAB.new)
    LAB.record()
    LAB.gone()


@case
def the_real_service_installs():
    """Without the recorder. Wine's newdev.dll cannot remove drivers, nor the driver serve; so a prefix of its own, thrown
    away with what was installed."""
    with wine.Wine() as w, tempfile.TemporaryDirectory() as directory:
        w.run("msiexec", "/i", wine.windows_path(make(BUILT, "0.1.0", os.path.join(directory, "real.msi"))), "/qn")
        for name in names():
            assert filecmp.cmp(w.path(*FOLDER, name), os.path.join(BUILT, name), shallow=False), name
        for name, kind in (("UsbWarpService", ": 10 "), ("UsbWarp", ": 1 ")):
            holds(w.run("sc", "query", name)[0].decode(), kind)


def main():
    missing = [n for n in names() if n != "UsbWarpFilter.cat" and not os.path.exists(os.path.join(BUILT, n))]
    if missing:
        sys.exit(f"not in {BUILT}: {' '.join(missing)}; build them, or set USBWARP_WINDOWS")
    LAB.start()
    try:
        code = wine.run()
    finally:
        LAB.wine.__exit__()
    sys.exit(code)


if __name__ == "__main__":
    main()
