# SPDX-License-Identifier: GPL-2.0-only
"""The product as a whole for VM tests and the demo: a daemon, its command line, and a guest on its socket.

    with Stack(["pico", "zero:speed=super"]) as s:
        s.bind("pico-1")
        with s.guest() as g:
            ...

Everything lies in one temporary directory that is removed at the end; leftovers() says whether a process, socket or
shared file stayed behind.
"""
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

import guest as lab

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BIN = os.environ.get("USBWARP_BIN", os.path.join(ROOT, "build"))
MODULE = os.path.join(ROOT, "build", "module")


class StackError(Exception):
    """The daemon or the command line did not do what was asked."""


KERNEL = os.environ.get("USBWARP_KERNEL", "debian")


def module(kernel=KERNEL):
    """The guest module built for that kernel."""
    path = os.path.join(MODULE if kernel == "debian" else MODULE + "-" + kernel, "usbwarp.ko")
    if not os.path.exists(path):
        raise StackError(f"{path} is missing; scripts/build-module.sh makes it")
    return path


def program(name):
    """A test program for the guest, compiled statically when its source is newer."""
    source = os.path.join(HERE, "programs", name + ".c")
    target = os.path.join(ROOT, "build", "programs", name)
    if not os.path.exists(target) or os.path.getmtime(target) < os.path.getmtime(source):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        temporary = f"{target}.{os.getpid()}"
        subprocess.run(["cc", "-static", "-O2", "-Wall", "-Wextra", "-Werror", source, "-o", temporary, "-lpthread"],
                       check=True)
        os.rename(temporary, target)
    return target


class Stack:
    """A running usbwarpd with its own control socket and VMs (by default one, "vm1")."""

    def __init__(self, models=(), vms=("vm1",), options=(), usb=False):
        self.models, self.vms, self.options, self.usb = list(models), list(vms), list(options), usb
        self.daemon = None

    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix="usbwarp-")
        self.control = os.path.join(self.directory, "control.sock")
        self.log_path = os.path.join(self.directory, "daemon.log")
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc):
        try:
            self.stop()
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)

    def socket(self, vm="vm1"):
        return os.path.join(self.directory, vm + ".sock")

    def file(self, name, size):
        """A file of that many zero bytes in the stack's directory."""
        path = os.path.join(self.directory, name)
        with open(path, "wb") as f:
            f.truncate(size)
        return path

    def arguments(self):
        arguments = ["--control", self.control, "--usb", "yes" if self.usb else "no"]
        for vm in self.vms:
            arguments += ["--vm", f"{vm}:socket={self.socket(vm)}"]
        for model in self.models:
            arguments += ["--model", model.replace("@", self.directory + "/")]
        return arguments + self.options

    def start(self, timeout=20):
        with open(self.log_path, "ab") as log:
            self.daemon = subprocess.Popen([os.path.join(BIN, "usbwarpd")] + self.arguments(), stdin=subprocess.DEVNULL,
                                           stdout=log, stderr=log)
        self.until(lambda: self.cli("status", check=False).returncode == 0, "the daemon to answer", timeout)

    def stop(self, timeout=20):
        """Ends the daemon as systemd would; its exit code must be 0."""
        if not self.daemon:
            return
        daemon, self.daemon = self.daemon, None
        daemon.send_signal(signal.SIGTERM)
        try:
            code = daemon.wait(timeout * lab.PATIENCE)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
            raise StackError("the daemon did not end:\n" + self.log()) from None
        if code:
            raise StackError(f"the daemon ended with {code}:\n" + self.log())

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def cli(self, *words, check=True):
        done = subprocess.run([os.path.join(BIN, "usbwarp"), "--socket", self.control, *words], capture_output=True,
                              text=True, check=False)
        if check and done.returncode:
            raise StackError(f"usbwarp {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}\n{self.log()}")
        return done

    def json(self, *words):
        return json.loads(self.cli(*words, "--json").stdout)

    def bind(self, bus_id, vm=None):
        self.cli("bind", bus_id, *(["--vm", vm] if vm else []))

    def unbind(self, bus_id):
        self.cli("unbind", bus_id)

    def region(self, vm="vm1"):
        """The bytes of that VM's region now, as the keeper's descriptor shows them."""
        folder = f"/proc/{self.daemon.pid}/fd"
        for fd in os.listdir(folder):
            if re.search(rf"/memfd:\S*{re.escape(vm)}\b", os.readlink(os.path.join(folder, fd))):
                with open(os.path.join(folder, fd), "rb") as f:
                    return f.read()
        raise StackError(f"no region of {vm} among the keeper's descriptors")

    def until(self, condition, what, timeout=20):
        end = time.monotonic() + timeout * lab.PATIENCE
        while not condition():
            if self.daemon and self.daemon.poll() is not None:
                raise StackError(f"the daemon ended with {self.daemon.returncode} while waiting for {what}:\n{self.log()}")
            if time.monotonic() > end:
                raise StackError(f"waited in vain for {what}:\n{self.log()}")
            time.sleep(0.02)

    def guest(self, vm="vm1", files=None, module_options="", kernel=KERNEL, load=True, **more):
        """A guest of that VM with usbwarp.ko at /usbwarp.ko, loaded unless told otherwise."""
        files = {"/usbwarp.ko": module(kernel), **(files or {})}
        modules = list(more.pop("modules", ()))
        if load:
            modules += ["/usbwarp.ko " + module_options if module_options else "/usbwarp.ko"]
        return lab.Guest(links=[self.socket(vm)], files=files, modules=modules, kernel=kernel, **more)


def leftovers(directory):
    """Processes of ours, and files of that stack, that should be gone."""
    left = glob.glob(directory)
    for entry in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(entry, "rb") as f:
                words = f.read().split(b"\0")
        except OSError:
            continue
        if any(directory.encode() in w for w in words):
            left.append(entry.split("/")[2] + ": " + b" ".join(words).decode("utf-8", "replace"))
    return left
