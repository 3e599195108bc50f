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
import struct
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from stack import DRIVER, FILTER, PARAMETERS, RENAMES, ROOT, SERVICE, SETTINGS, STANDINS, WineStack, wine  # noqa: E402
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

# What the service control manager is to do, as Windows keeps it: reset period, no message, no command, three actions,
# their offset; then SC_ACTION_RESTART and a time for each.
RECOVERY = [86400, 0, 0, 3, 20, 1, 1000, 1, 5000, 1, 60000]
SERVICES, EVENTS = WHOLE[0].lower(), WHOLE[0].lower() + r"\eventlog\application\usbwarp"

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
        for name in (*STANDINS, "uwlabadv.dll"):
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
        wine.patch_imports.patch_file(os.path.join(self.build, SERVICE + ".exe"), self.files / (SERVICE + ".exe"),
                                      [*RENAMES, "advapi32.dll=uwlabadv.dll"])
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

    def choose_by_hand(self, name, inf):
        """As somebody does in the Device Manager who takes a driver of the list, though it is not for this device."""
        self.prefix.run("C:\\windows\\setuptest.exe", "bind", self.instance(name), "C:\\windows\\inf\\" + inf)

    def program(self, *words, code=0):
        """The service's program, from where nothing installs it."""
        done = self.prefix.run(self.prefix.root / "files" / (SERVICE + ".exe"), *words, check=False, timeout=180)
        equal(done.returncode, code, f"{words}: {done.stdout}{done.stderr}{self.log()}; exit code")

    def install_by_hand(self):
        """The command line is installed by copying it."""
        folder = self.prefix.windows.parent / "Program Files" / "UsbWarp"
        folder.mkdir(exist_ok=True)
        shutil.copy(self.files / "UsbWarpController.exe", folder / "usbwarp.exe")
        self.program("--install")
        self.program("--install-drivers")
        self.prefix.start(SERVICE)
        self.answers()

    def uninstall_by_hand(self):
        self.running = False
        self.program("--remove-drivers")
        self.program("--uninstall")

    def kill(self):
        """The service's process ends without a chance to do anything."""
        self.running = False
        self.prefix.run("taskkill", "/f", "/im", SERVICE + ".exe")

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


@case
def bound_is_one_devnode_and_no_more():
    """Of two identical devices, and of all that Windows keeps of drivers and filters."""
    with Windows() as s:
        four_devices(s)
        s.install_by_hand()
        before = snapshot(s.prefix)
        s.bind("zero-1")
        after = snapshot(s.prefix)
        equal(s.driver_of("zero-1"), OURS, "bound")
        changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
        equal(changed, {s.node("zero-1"), WHOLE[-1].lower() + r"\bindings", SERVICES + r"\usbwarpfilter"}, "what a bind changes")
        equal([key for key in after if key.endswith(" filters")], [], "filters anywhere")
        s.unbind("zero-1")
        service = SERVICES + "\\usbwarpfilter"
        equal(differences(before, snapshot(s.prefix)), [f"new: {service} {after[service]}"], "changes after the unbind")
        s.uninstall_by_hand()


@case
def install_and_uninstall_by_hand():
    """The service's recovery and event source; and a former driver that somebody had chosen is the one that comes back."""
    with Windows() as s:
        four_devices(s)
        s.former("oem31.inf", '"By hand" = Other, USB\\NOBODY')
        s.choose_by_hand("zero-2", "oem31.inf")
        s.former("oem31.inf", '"Not this one" = Install, USB\\NOBODY2', '"By hand" = Other, USB\\NOBODY')
        equal(s.driver_of("zero-2"), ("uwprobe", "oem31.inf", "Other"), "chosen by hand")
        before = snapshot(s.prefix)
        s.install_by_hand()
        now = snapshot(s.prefix)
        service = now[SERVICES + "\\usbwarpservice"]
        actions = bytes.fromhex(service["failureactions"].removeprefix("hex:").replace(",", ""))
        equal(actions, struct.pack("<11I", *RECOVERY), "recovery")
        equal((service["failureactionsonnoncrashfailures"], service["start"]), ("dword:00000001", "dword:00000002"), "service")
        program = "Z:" + str(s.files / (SERVICE + ".exe")).replace("/", "\\")
        equal(now[EVENTS], {"eventmessagefile": program, "typessupported": "dword:00000007"}, "event source")
        s.bind("zero-2")
        s.bind("disk-1")
        s.unbind("zero-2")
        s.bind("zero-2")
        s.uninstall_by_hand()
        s.compare(before, "after the uninstall")


@case
def a_bind_that_was_killed_is_undone():
    """In each step: the journal tells the uninstall what the device had."""
    with Windows() as s:
        four_devices(s)
        before = snapshot(s.prefix)
        for name, step in (("zero-1", 2), ("zero-2", 4), ("disk-1", 5), ("pico-1", 4)):
            s.install_by_hand()
            s.prefix.run("reg", "delete", SETTINGS, "/v", "SetupStep", "/f", check=False)
            s.set("UWLAB_SETUP_HANG", step)
            asked = s.prefix.spawn(FOLDER + "\\usbwarp.exe", "bind", s.bus_id(name), stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
            s.until(lambda: s.log().count("waits to be killed") > 0, "the bind to be in its step")
            assert "step=binding" in s.prefix.run("reg", "query", r"HKLM\Software\UsbWarp\Bindings").stdout, "no journal"
            s.kill()
            asked.wait(60)
            s.forget("UWLAB_SETUP_HANG")
            os.remove(s.trace_path())
            s.uninstall_by_hand()
            equal(s.driver_of(name), ("", "", "") if name == "pico-1" else FORMER, f"{name}, killed in step {step}")
        s.compare(before, "after the last uninstall")


if __name__ == "__main__":
    main()
