#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What UsbWarp leaves behind: a Windows whose registry is as before after install, bind, unbind and uninstall.

"As before" is a list, not every value: all of Services (event sources too), CoDeviceInstallers, each UpperFilters and
LowerFilters, co-installers, certificate stores, the list of programs, PATH, our own keys, files of drivers and their INFs,
and of each USB devnode the service, class, INF, section and provider of its driver. How a driver's software key is
numbered is not on the list, but that there is one for each devnode that has a driver, and no other, is.
"""
import os
import re
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from stack import BUILD, DRIVER, FILTER, PARAMETERS, RENAMES, ROOT, SERVICE, STANDINS, WineStack, wine  # noqa: E402
from lab import case, equal, main  # noqa: E402

PACKAGING = os.path.join(ROOT, "packaging", "windows")
CONTROL = r"HKEY_LOCAL_MACHINE\System\CurrentControlSet"
ENUM, CLASSES = CONTROL + r"\Enum", CONTROL + r"\Control\Class"
WHOLE = [CONTROL + r"\Services", CONTROL + r"\Control\CoDeviceInstallers", CONTROL + r"\Control\Session Manager\Environment",
         r"HKEY_LOCAL_MACHINE\Software\Microsoft\SystemCertificates",
         r"HKEY_LOCAL_MACHINE\Software\Microsoft\EnterpriseCertificates",
         r"HKEY_CURRENT_USER\Software\Microsoft\SystemCertificates",
         r"HKEY_LOCAL_MACHINE\Software\Microsoft\Windows\CurrentVersion\Uninstall", r"HKEY_LOCAL_MACHINE\Software\UsbWarp"]
OF_A_NODE = ["Service", "ClassGUID", "Class", "ConfigFlags", "UpperFilters", "LowerFilters"]
OF_ITS_DRIVER = ["InfPath", "InfSection", "ProviderName", "DriverDesc", "DriverVersion", "MatchingDeviceId"]
FILTERS = re.compile(r"upperfilters|lowerfilters|coinstallers32", re.IGNORECASE)
FOLDER = "C:\\Program Files\\UsbWarp"
OURS, FORMER = ("UsbWarpFilter", "UsbWarpFilter.inf", "Bound"), ("uwprobe", "oem30.inf", "Install")
NO_CLASS = '"{00000000-0000-0000-0000-000000000000}"'

# The bus itself; and the key of the application log, which Wine drops when it is empty.
LABORATORY = re.compile(r"\\services\\uwbus|\\eventlog\\application$")

# A former driver that Windows would choose by itself, and one that only a person chooses: it names no id of the device.
FORMER_INF = r"""[Version]
Signature = "$WINDOWS NT$"
Class = Sample
ClassGuid = {78a1c341-4539-11d3-b88d-00c04fad5171}
Provider = "Former"
DriverVer = 01/02/2020,4.3.2.1
[Manufacturer]
"Maker" = Models, NTamd64
[Models.NTamd64]
%s
[Install.NTamd64]
[Install.NTamd64.Services]
AddService = uwprobe, 2, Service
[Other.NTamd64]
[Other.NTamd64.Services]
AddService = uwprobe, 2, Service
[Service]
ServiceType = 1
StartType = 3
ErrorControl = 1
"""


def readable(value):
    """A value as it is exported; an expandable text without the semicolon that Wine leaves at the end of PATH."""
    if not value.startswith("hex(2):"):
        return value
    return bytes.fromhex(value[7:].replace(",", "")).decode("utf-16-le").rstrip("\0").rstrip(";")


class Registry:
    """What `reg export` says, keys and names in small letters."""

    def __init__(self, prefix):
        self.prefix = prefix

    def export(self, key):
        """{key: {name: value as it is written there}} of the key and all below it; nothing if there is none."""
        path = self.prefix.root / "export.reg"
        path.unlink(missing_ok=True)
        name = "Z:" + str(path).replace("/", "\\")
        if self.prefix.run("reg", "export", key, name, "/y", check=False).returncode:
            return {}
        keys, values = {}, None
        for line in re.sub(r"\\\n +", "", path.read_text("utf-16").replace("\r\n", "\n")).split("\n"):
            if line.startswith("["):
                values = keys.setdefault(line[1:-1].lower(), {})
            elif (found := re.match(r'(?:"((?:[^"\\]|\\.)*)"|@)=(.*)$', line)):
                values[(found[1] or "").lower()] = readable(found[2])
        return keys


def pick(values, names):
    """Those of the values that say something: what is empty, zero or no class says as much as what is missing."""
    found = {name: values.get(name.lower()) for name in names}
    return {name: value for name, value in found.items() if value not in (None, '""', "dword:00000000", NO_CLASS)}


def snapshot(prefix):
    """The list, as one dictionary of key or file to its values."""
    registry = Registry(prefix)
    state = {}
    for key in WHOLE:
        state.update({k: v for k, v in registry.export(key).items() if not LABORATORY.search(k)})
    nodes, classes = registry.export(ENUM), registry.export(CLASSES)
    for key, values in (nodes | classes).items():
        if (found := {name: value for name, value in values.items() if FILTERS.fullmatch(name)}):
            state[key + " filters"] = found
    used = set()
    for key, values in nodes.items():
        if not key.startswith(ENUM.lower() + "\\usb\\vid_") or "hardwareid" not in values:
            continue
        driver = (CLASSES + "\\" + values.get("driver", '""')[1:-1].replace("\\\\", "\\")).lower()
        used.add(driver)
        state[key] = pick(values, OF_A_NODE) | pick(classes.get(driver, {}), OF_ITS_DRIVER)
    state["software keys of no devnode"] = {k: v for k, v in classes.items() if k not in used and pick(v, ["InfPath"])}
    for folder in ("inf", "system32/drivers"):
        state[folder] = {str(p.relative_to(prefix.windows)): p.stat().st_size
                         for p in (prefix.windows / folder).rglob("*") if p.is_file() and not p.suffix.lower() == ".pnf"}
    return state


def differences(before, after):
    """One line for each value that differs."""
    lines = []
    for key in sorted(before.keys() | after.keys()):
        a, b = before.get(key), after.get(key)
        if a is None or b is None:
            lines.append(f"{'new' if a is None else 'gone'}: {key} {a or b}")
            continue
        lines += [f"{key}: {name}: {a.get(name)} -> {b.get(name)}" for name in sorted(a.keys() | b.keys())
                  if a.get(name) != b.get(name)]
    return lines


class Windows(WineStack):
    """A Windows with devices and their drivers, in which UsbWarp is yet to be installed: by its installer, or by hand."""

    ended = False

    def install(self):
        """The laboratory alone. The stand-ins are the system's, the drivers' files where the driver store would be."""
        self.files = self.prefix.root / "files"
        self.files.mkdir()
        for name in STANDINS:
            self.prefix.put(os.path.join(self.build, name))
        self.prefix.put(os.path.join(self.build, FILTER + ".sys"), "system32/drivers", [wine.KERNEL])
        self.prefix.driver(os.path.join(self.build, "uwprobe.sys"))
        self.bus("install", self.prefix.put(os.path.join(self.build, "uwbus.sys"), "system32/drivers", [wine.KERNEL]))
        wine.patch_imports.patch_file(os.path.join(self.build, "setuptest.exe"), self.prefix.windows / "setuptest.exe",
                                      RENAMES[:3])
        self.registry(PARAMETERS, "discover", "100")
        self.registry(PARAMETERS, "log", "debug")
        self.prefix.run("reg", "add", PARAMETERS, "/v", "vm", "/t", "REG_MULTI_SZ", "/d", "vm1=vm1", "/f")
        self.stage()

    def stage(self):
        """What is packaged, with the laboratory's names of imports."""
        for name in (FILTER, DRIVER):
            wine.patch_imports.patch_file(os.path.join(self.build, name + ".sys"), self.files / (name + ".sys"), [wine.KERNEL])
        wine.patch_imports.patch_file(os.path.join(self.build, SERVICE + ".exe"), self.files / (SERVICE + ".exe"), RENAMES)
        shutil.copy(os.path.join(self.build, "UsbWarpController.exe"), self.files)
        for name in os.listdir(PACKAGING):
            if name.endswith((".inf", ".ps1", ".psm1")):
                shutil.copy(os.path.join(PACKAGING, name), self.files)
        shutil.copy(os.path.join(ROOT, "LICENSE"), self.files / "LICENSE.txt")
        subprocess.run([os.path.join(PACKAGING, "mkcat.py"), "--inf", self.files / "UsbWarpFilter.inf"], check=True,
                       stdout=subprocess.DEVNULL)

    def start(self, timeout=20):
        """Nothing of ours is there."""

    def unload(self):
        if not self.ended:
            self.bus("remove-bus")

    # Devices as they are before

    def instance(self, name):
        line = [line for line in self.bus("list").stdout.splitlines() if line.startswith(str(self.devices[name]) + " ")]
        return line[0].split()[2]

    def node(self, name):
        """The key of a device, as a snapshot calls it."""
        return (ENUM + "\\" + self.instance(name)).lower()

    def former(self, inf, *models):
        (self.prefix.windows / "inf" / inf).write_text(FORMER_INF % "\n".join(models))

    def choose(self, name):
        """The driver that Windows would choose, which the device would have had since it was first plugged in."""
        self.prefix.run("C:\\windows\\setuptest.exe", "best", self.instance(name))

    def driver_of(self, name):
        """(service, INF, section) of a device."""
        found = snapshot(self.prefix)[self.node(name)]
        return tuple(found.get(key, '""')[1:-1] for key in ("Service", "InfPath", "InfSection"))

    # The product

    def answers(self):
        self.running = True
        self.until(lambda: self.cli("status", check=False).returncode == 0, "the service to answer")

    def msi(self):
        path = self.files / "UsbWarp.msi"
        if not path.exists():
            subprocess.run([os.path.join(PACKAGING, "mkmsi.py"), "--directory", self.files, "--version", "0.1.0", "--out", path],
                           check=True)
        return "Z:" + str(path).replace("/", "\\")

    def msiexec(self, what, code=0):
        done = self.prefix.run("msiexec", what, self.msi(), "/qn", check=False, timeout=180)
        equal(done.returncode, code, f"msiexec {what}: {done.stdout}{done.stderr}; exit code")

    def cli(self, *words, check=True):
        words = [self.bus_id(w) for w in words]
        done = self.prefix.run(FOLDER + "\\usbwarp.exe", *words, check=False)
        assert not check or not done.returncode, f"usbwarp {words}: {done.stdout}{done.stderr}{self.log()}"
        return done

    def end(self):
        """All devices go, and with the last one its driver, as in Windows; Wine lets a deleted service go only then."""
        self.bus("remove-bus")
        self.ended = True
        self.prefix.stop(FILTER, check=False)
        self.until(lambda: self.prefix.state(FILTER) is None, "the service of the driver to go", 10)

    def compare(self, before, what):
        self.end()
        equal(differences(before, snapshot(self.prefix)), [], f"changes {what}")


def four_devices(s):
    """One without a driver, two of one kind and one of another whose driver Windows has chosen."""
    for model in ("pico", "zero", "zero", "disk:size=1048576,file=@disk"):
        s.plug(model)
    models = [f'"Former {name}" = Install, {s.instance(name).rsplit(chr(92), 1)[0]}' for name in ("zero-1", "disk-1")]
    s.former("oem30.inf", *models)
    for name in ("zero-1", "zero-2", "disk-1"):
        s.choose(name)
        equal(s.driver_of(name), FORMER, f"{name}, before")


@case
def installer_leaves_the_registry_as_it_was():
    """One device is unbound, one stays bound, one bound one is unplugged, one is not touched."""
    with Windows() as s:
        four_devices(s)
        before = snapshot(s.prefix)
        s.msiexec("/i")
        s.answers()
        for name in ("pico-1", "zero-1", "disk-1"):
            s.bind(name)
            equal(s.driver_of(name), OURS, f"{name}, bound")
        s.unbind("zero-1")
        equal(s.driver_of("zero-1"), FORMER, "unbound")
        s.bind("zero-1")
        s.unbind("pico-1")
        s.unplug("disk-1")
        s.running = False
        s.msiexec("/x")
        s.bus("plug", "disk:file=" + s.directory + "/disk,serial=disk1", str(s.devices["disk-1"]))
        s.choose("disk-1")
        s.compare(before, "after the uninstall")


if __name__ == "__main__":
    main()
