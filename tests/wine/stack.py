# SPDX-License-Identifier: GPL-2.0-only
"""The Windows host as a whole, under Wine: both drivers, the service, the command line, a virtual USB bus and a guest.

    with WineStack(["pico", "zero:speed=super"]) as s:
        s.bind("pico-1")
        with s.guest() as g:
            ...

The interface is that of tests/vm/stack.py. A device's name here is its model and its number among those of that model,
which bus_id() turns into what the service calls it. Leaving the block stops the service, which must say so in time, unloads
the drivers, and fails for anything that a stand-in, the forwarding kernel, the bus or the broker has found.
"""
import importlib.util
import json
import os
import shutil
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [os.path.join(ROOT, "tests", folder) for folder in ("vm", "wine", "wine/tools")]
import guest as lab  # noqa: E402
from broker import Broker  # noqa: E402

BUILD = os.environ.get("USBWARP_WINDOWS", os.path.join(ROOT, "build", "windows-clang"))


def _load(name, path):
    """A module of tests/wine or tests/vm whose name both folders use."""
    spec = importlib.util.spec_from_file_location(name, os.path.join(ROOT, "tests", path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


wine = _load("wine_lab", "wine/lab.py")
linux = _load("linux_stack", "vm/stack.py")
StackError, program = linux.StackError, linux.program

STANDINS = ("vmdevicehost.dll", "computecore.dll", "uwlab_32.dll", "uwlabset.dll", "uwlabcfg.dll", "uwlnew.dll")
RENAMES = ["kernel32.dll=uwlab_32.dll", "setupapi.dll?=uwlabset.dll", "cfgmgr32.dll?=uwlabcfg.dll", "newdev.dll?=uwlnew.dll"]
SERVICE, DRIVER, FILTER, INF = "UsbWarpService", "UsbWarp", "UsbWarpFilter", "oem77.inf"
PARAMETERS = r"HKLM\SOFTWARE\UsbWarp\Parameters"
SETTINGS = r"HKLM\Software\UwLab"


class WineStack:
    """A running UsbWarpService with its drivers and VMs (by default one, "vm1", which WSL owns). slow: real milliseconds
    that a frame of the bus takes. variant: the folder of other drivers, "usbd" for those with a USBD handle."""

    def __init__(self, models=(), vms=("vm1",), options=None, settings=None, build=BUILD, debug="-all,+debugstr", slow=1,
                 variant=""):
        self.models, self.vms, self.options, self.build = list(models), list(vms), dict(options or {}), build
        self.settings, self.debug, self.slow, self.variant = dict(settings or {}), debug, slow, variant
        self.broker = self.prefix = None
        self.running, self.devices, self.counts = False, {}, {}

    def __enter__(self):
        try:
            self.open()
        except BaseException as e:
            log = self.log() if self.prefix else ""
            self.close(check=False)
            if isinstance(e, (wine.Failed, StackError)):
                raise StackError(f"{e}\n{log}") from e
            raise
        return self

    def __exit__(self, kind, *rest):
        if kind and not issubclass(kind, StackError):  # which tells it itself
            print("\n".join(["--- log", self.log()[-8000:], *self.broker.state()]))
        self.close(check=kind is None)

    # Making it

    def open(self):
        self.broker = Broker([self.describe(i, vm) for i, vm in enumerate(self.vms)])
        self.broker.__enter__()
        settings = {"UWLAB_HDV_SETTLE": "10000", **self.broker.environment(), **self.settings}
        self.prefix = wine.Prefix(self.build, env=settings, debug=self.debug)
        self.prefix.__enter__()
        self.directory = str(self.prefix.root)
        settings.update(UWLAB_REPORT=str(self.prefix.report_path), UWLAB_TRACE=self.trace_path())
        for name, value in settings.items():
            self.set(name, value)
        self.install()
        self.start()
        for model in self.models:
            self.plug(model)

    @staticmethod
    def describe(number, vm):
        """All but the first VM are not WSL's, of which there is only one."""
        return vm if number == 0 or ":owner=" in vm else vm + ":owner=Hyper-V"

    def install(self):
        """What the installer does, with the laboratory's copies."""
        folder = self.prefix.root / "prefix" / "drive_c" / "usbwarp"
        folder.mkdir()
        for name in STANDINS:
            shutil.copy(os.path.join(self.build, name), folder)
        wine.patch_imports.patch_file(os.path.join(self.build, SERVICE + ".exe"), folder / (SERVICE + ".exe"), RENAMES)
        shutil.copy(os.path.join(self.build, "UsbWarpController.exe"), folder)
        shutil.copy(os.path.join(ROOT, "packaging", "windows", "UsbWarpFilter.inf"), self.prefix.windows / "inf" / INF)
        self.prefix.driver(os.path.join(self.build, self.variant, FILTER + ".sys"))
        self.prefix.driver(os.path.join(self.build, self.variant, DRIVER + ".sys"))
        bus = self.prefix.put(os.path.join(self.build, "uwbus.sys"), "system32/drivers", [wine.KERNEL])
        self.bus("install", bus)
        self.bus("slow", str(self.slow))
        self.registry(r"HKLM\SOFTWARE\UsbWarp", "Inf", INF)
        for name, value in {"discover": "100", "log": "debug", **self.options}.items():
            self.registry(PARAMETERS, name, value)
        names = [vm.split(":")[0] for vm in self.vms]
        self.prefix.run("reg", "add", PARAMETERS, "/v", "vm", "/t", "REG_MULTI_SZ", "/d", "\\0".join(f"{n}={n}" for n in names),
                        "/f")
        self.prefix.run("sc", "create", SERVICE, "binpath=", "C:\\usbwarp\\UsbWarpService.exe", "start=", "demand")

    def start(self, timeout=20):
        self.prefix.start(SERVICE)
        self.running = True
        self.until(lambda: self.cli("status", check=False).returncode == 0, "the service to answer", timeout)

    def stop(self):
        """Stops the service as the SCM does."""
        self.running = False
        self.prefix.stop(SERVICE)
        self.until(lambda: self.prefix.state(SERVICE) == "STOPPED", "the service to stop")

    def close(self, check=True):
        problems = []
        for step in (self.stop if self.running else None, self.unload if self.prefix and check else None):
            try:
                if step:
                    step()
            except Exception as e:
                problems.append(repr(e))
        if self.prefix:
            self.log_at_end = self.log()
            try:
                self.prefix.close(check=check)
            except wine.Violation as e:
                problems.append(str(e))
        if self.broker:
            problems += self.broker.errors
            self.broker.__exit__(None, None, None)
        if check and problems:
            raise StackError("\n".join(problems) + "\n--- log\n" + self.log_at_end[-8000:])

    def unload(self):
        self.bus("remove-bus")
        if self.prefix.state(DRIVER) == "RUNNING":  # the service starts it with the first VM
            self.prefix.stop(DRIVER)

    # The laboratory

    def registry(self, key, name, value):
        self.prefix.run("reg", "add", key, "/v", name, "/d", value, "/f")

    def set(self, name, value):
        """A setting of the stand-ins; most are read at each use."""
        self.registry(SETTINGS, name, str(value))

    def forget(self, name):
        self.prefix.run("reg", "delete", SETTINGS, "/v", name, "/f", check=False)

    def bus(self, *words, check=True):
        return self.prefix.run(os.path.join(self.build, "busctl.exe"), *words, check=check)

    def plug(self, model):
        """Plugs a model in; its name from now on."""
        kind, _, keys = model.partition(":")
        self.counts[kind] = self.counts.get(kind, 0) + 1
        name = f"{kind}-{self.counts[kind]}"
        pairs = [k for k in keys.replace("@", self.directory + "/").split(",") if k]
        for pair in pairs:
            self.make_file(pair, pairs)
        if not any(p.startswith("serial=") for p in pairs):
            pairs.append("serial=" + name.replace("-", ""))
        port = int(self.bus("plug", f"{kind}:{','.join(pairs)}").stdout.split()[0])
        self.devices[name] = port
        return name

    def make_file(self, pair, pairs):
        """The Linux daemon makes a disk's file of the size that is given; the bus opens one that is there."""
        key, _, path = pair.partition("=")
        size = [p.partition("=")[2] for p in pairs if p.startswith("size=")]
        if key == "file" and size and not os.path.exists(path):
            with open(path, "wb") as f:
                f.truncate(int(size[0]))

    def unplug(self, name):
        self.bus("unplug", str(self.devices[name]))

    def bus_id(self, name):
        """What the service calls the device that was plugged in under that name: by hub and port."""
        return f"1-{self.devices[name]}" if name in self.devices else name

    # The product

    def cli(self, *words, check=True):
        words = [self.bus_id(w) for w in words]
        done = self.prefix.run("C:\\usbwarp\\UsbWarpController.exe", *words, check=False)
        if check and done.returncode:
            raise StackError(f"usbwarp {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}\n{self.log()}")
        return done

    def json(self, *words):
        return json.loads(self.cli(*words, "--json").stdout)

    def bind(self, bus_id, vm=None):
        self.cli("bind", bus_id, *(["--vm", vm] if vm else []))

    def unbind(self, bus_id):
        self.cli("unbind", bus_id)

    def socket(self, vm="vm1"):
        return self.broker.socket(vm)

    def region(self, vm="vm1"):
        return self.broker.region(vm)

    def trace_path(self):
        return str(self.prefix.root / "trace")

    def log(self):
        """What the drivers, the service and the stand-ins said."""
        text = "\n".join(self.prefix.log())
        try:
            with open(self.trace_path(), encoding="utf-8", errors="replace") as f:
                text += "\n--- stand-ins\n" + f.read()
        except OSError:
            pass
        return text

    def until(self, condition, what, timeout=20):
        end = time.monotonic() + timeout * lab.PATIENCE
        while not condition():
            if time.monotonic() > end:
                raise StackError(f"waited in vain for {what}:\n{self.log()}")
            time.sleep(0.1)

    def guest(self, vm="vm1", files=None, module_options="", kernel=linux.KERNEL, load=True, **more):
        """A guest of that VM with usbwarp.ko at /usbwarp.ko, loaded unless told otherwise."""
        files = {"/usbwarp.ko": linux.module(kernel), **(files or {})}
        modules = list(more.pop("modules", ()))
        if load:
            modules += ["/usbwarp.ko " + module_options if module_options else "/usbwarp.ko"]
        return lab.Guest(links=[self.socket(vm)], files=files, modules=modules, kernel=kernel, **more)
