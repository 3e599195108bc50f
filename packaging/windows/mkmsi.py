#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Makes the installer: mkmsi.py --directory DIR --version X.Y.Z --out FILE.msi

DIR has the files that UsbWarp.wxs names. wixl makes the database; what it cannot say is added and what it gets wrong is
corrected here by msibuild, and then checked. The same files give the same bytes: times and identifiers come from them.
"""
import argparse
import hashlib
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
UPGRADE_CODE = uuid.UUID("5D2C3F0E-6F0B-4B57-9A55-1D6B5B0C9E41") # also in UsbWarp.wxs
EPOCH = 1767225600 # 2026-01-01: the time that all files and the summary carry
EVENTS = "SYSTEM\\CurrentControlSet\\Services\\EventLog\\Application\\UsbWarp"

# "=-*": set on install, remove on uninstall, in the system's environment; "[~];" keeps what is there and comes last.
PATH_TABLE = ("Environment\tName\tValue\tComponent_\r\n"
              "s72\tl255\tL255\ts72\r\n"
              "Environment\tEnvironment\r\n"
              "Path\t=-*PATH\t[~];[INSTALLDIR]\tController\r\n")

REGISTRY_TABLE = ("Registry\tRoot\tKey\tName\tValue\tComponent_\r\n"
                  "s72\ti2\tl255\tL255\tL0\ts72\r\n"
                  "Registry\tRegistry\r\n"
                  f"EventMessageFile\t2\t{EVENTS}\tEventMessageFile\t#%[INSTALLDIR]UsbWarpService.exe\tService\r\n"
                  f"TypesSupported\t2\t{EVENTS}\tTypesSupported\t#7\tService\r\n")

FORGET = ("[System64Folder]WindowsPowerShell\\v1.0\\powershell.exe -NoProfile -NonInteractive -ExecutionPolicy Bypass "
          "-File Remove-TestSigning.ps1 -CertificatesOnly -Confirm:$false")

QUERIES = [
    "INSERT INTO InstallExecuteSequence (Action, Sequence) VALUES ('RemoveRegistryValues', 2600)",
    "INSERT INTO InstallExecuteSequence (Action, Sequence) VALUES ('WriteRegistryValues', 5000)",
    "INSERT INTO InstallExecuteSequence (Action, Sequence) VALUES ('RemoveEnvironmentStrings', 3300)",
    "INSERT INTO InstallExecuteSequence (Action, Sequence) VALUES ('WriteEnvironmentStrings', 5200)",
    # wixl removes the former version in the middle, after our drivers: its uninstall would take them away again.
    "UPDATE InstallExecuteSequence SET Sequence = 1501 WHERE Action = 'RemoveExistingProducts'",
    # wixl makes rollback actions immediate ones: exe in a file 18, go on 64, rollback 256, in the script 1024, SYSTEM 2048.
    "UPDATE CustomAction SET Type = 3410 WHERE Action = 'UndoInstallDrivers'",
    "UPDATE CustomAction SET Type = 3410 WHERE Action = 'UndoRemoveDrivers'",
    # A command line with a folder to run in 34, go on 64, in the script 1024, SYSTEM 2048.
    "INSERT INTO CustomAction (Action, Type, Source, Target) VALUES ('ForgetCertificates', 3170, 'INSTALLDIR', "
    f"'{FORGET}')",
    "INSERT INTO InstallExecuteSequence (Action, Condition, Sequence) VALUES ('ForgetCertificates', "
    "'REMOVE=\"ALL\" AND NOT UPGRADINGPRODUCTCODE', 1903)",
]


def run(*words, cwd=None):
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"mkmsi: {' '.join(words)}\n{done.stdout}{done.stderr}")
    return done.stdout


def braced(identifier):
    return "{" + str(identifier).upper() + "}"


def wanted_files():
    with open(os.path.join(HERE, "UsbWarp.wxs"), encoding="utf-8") as f:
        return sorted(set(re.findall(r'Source="([^"]+)"', f.read())))


def stage(directory, to):
    """Copies with one time for all; a digest of names and contents."""
    digest = hashlib.sha256()
    for name in wanted_files():
        path = os.path.join(to, name)
        shutil.copyfile(os.path.join(directory, name), path)
        os.chmod(path, 0o644)
        os.utime(path, (EPOCH, EPOCH))
        with open(path, "rb") as f:
            digest.update(name.encode() + b"\0" + hashlib.sha256(f.read()).digest())
    return digest.hexdigest()


def table(msi, work, name, content):
    path = os.path.join(work, name + ".idt")
    with open(path, "w", encoding="ascii", newline="") as f:
        f.write(content)
    run("msibuild", msi, "-i", path)


def add_tables(msi, work):
    table(msi, work, "Environment", PATH_TABLE)
    table(msi, work, "Registry", REGISTRY_TABLE)
    for query in QUERIES:
        run("msibuild", msi, "-q", query)


def fix_summary(msi, digest):
    """The package code and the two times, in place: a summary has them in fields of fixed size."""
    summary = run("msiinfo", "suminfo", msi)
    code = re.search(r"Revision number \(UUID\): (\{[0-9A-Fa-f-]{36}\})", summary)[1].encode()
    with open(msi, "rb") as f:
        data = f.read()
    if data.count(code) != 1:
        sys.exit("mkmsi: the package code is not where it was expected")
    data = data.replace(code, braced(uuid.uuid5(UPGRADE_CODE, digest)).encode())
    # VT_FILETIME and 100 ns since 1601, of this year's decade: the top bytes are enough to know one.
    time = struct.pack("<Q", (EPOCH + 11644473600) * 10000000)
    data, count = re.subn(rb"\x40\x00\x00\x00(?=.{6}[\xd0-\xef]\x01)" + rb".{8}", b"\x40\0\0\0" + time, data,
                          flags=re.DOTALL)
    if count != 2:
        sys.exit(f"mkmsi: {count} times in the summary, expected 2")
    with open(msi, "wb") as f:
        f.write(data)


def rows(msi, name):
    return [line.split("\t") for line in run("msiinfo", "export", msi, name).replace("\r", "").split("\n")[3:] if line]


def check(msi):
    order = {row[0]: int(row[2]) for row in rows(msi, "InstallExecuteSequence")}
    for first, then in (("InstallInitialize", "RemoveExistingProducts"), ("RemoveExistingProducts", "InstallFiles"),
                        ("StopServices", "UndoRemoveDrivers"), ("UndoRemoveDrivers", "RemoveDrivers"),
                        ("RemoveDrivers", "DeleteServices"), ("RemoveDrivers", "RemoveFiles"),
                        ("InstallServices", "UndoInstallDrivers"), ("UndoInstallDrivers", "InstallDrivers"),
                        ("InstallDrivers", "StartServices"), ("WriteEnvironmentStrings", "InstallFinalize")):
        if order[first] >= order[then]:
            sys.exit(f"mkmsi: {first} does not come before {then}")
    types = {row[0]: int(row[1]) for row in rows(msi, "CustomAction")}
    if types != {"InstallDrivers": 3090, "RemoveDrivers": 3090, "UndoInstallDrivers": 3410, "UndoRemoveDrivers": 3410,
                 "ForgetCertificates": 3170}:
        sys.exit(f"mkmsi: types of the actions: {types}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--directory")
    parser.add_argument("--version")
    parser.add_argument("--out")
    parser.add_argument("--list", action="store_true", help="print the files that are needed, and do nothing")
    given = parser.parse_args()
    if given.list:
        print("\n".join(wanted_files()))
        return
    if not (given.directory and given.version and given.out):
        parser.error("--directory, --version and --out are needed")
    missing = [name for name in wanted_files() if not os.path.exists(os.path.join(given.directory, name))]
    if missing:
        sys.exit(f"mkmsi: not in {given.directory}: {' '.join(missing)}")
    with tempfile.TemporaryDirectory() as work:
        digest = stage(given.directory, work)
        msi = os.path.join(work, "UsbWarp.msi")
        product = braced(uuid.uuid5(UPGRADE_CODE, given.version))
        run("wixl", "-a", "x64", "-D", f"Version={given.version}", "-D", f"ProductCode={product.strip('{}')}",
            "-o", msi, os.path.join(HERE, "UsbWarp.wxs"), cwd=work)
        add_tables(msi, work)
        fix_summary(msi, given.version + digest)
        check(msi)
        shutil.copyfile(msi, given.out)


if __name__ == "__main__":
    main()
