#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""A Wine prefix of its own, in which drivers are loaded above the forwarding kernel.

    with Prefix(build) as wine:
        wine.driver(build / "UsbWarp.sys")      # a laboratory copy is made and a service for it
        wine.start("UsbWarp")
        print(wine.run(build / "tool.exe", "argument").stdout)
        wine.stop("UsbWarp")

Leaving the block stops everything, checks that no process of the prefix is left, removes the prefix, and raises Violation
if the laboratory has reported one ("UWLAB:", "uwbus: REFUSED", or a crash), unless it was expected by expect().
"""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "tools"))
sys.path.append(os.path.dirname(os.path.abspath(__file__)))
import patch_imports  # noqa: E402
from loader import PROGRAM, SERVER, WINE  # noqa: E402

GROUP = "UsbWarp"
KERNEL = "ntoskrnl.exe=uwlabkrn.exe"
# A folder, in runs of tests/wine/coverage.py, and the drivers that count there.
COVERAGE = os.environ.get("USBWARP_COVERAGE")
COVERED = ("UsbWarp", "UsbWarpFilter")
# What a line of the debug output must not contain.
COMPLAINTS = re.compile(r"UWLAB:|uwbus: REFUSED|Unhandled exception|unimplemented function|page fault")
DEBUG_STRING = re.compile(r'warn:debugstr:\w+ (?:[0-9A-Fa-f]{8}:[0-9A-Fa-f]{8}: )?(?:L?"(?=.*"$))?(.*?)"?$')


class Violation(Exception):
    pass


class Failed(Exception):
    """A program that was expected to succeed did not."""


class Prefix:
    def __init__(self, build, env=None, debug="-all,+debugstr", keep=False):
        self.build = pathlib.Path(build)
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="uwlab-"))
        self.windows = self.root / "prefix" / "drive_c" / "windows"
        self.log_path = self.root / "log"
        self.report_path = self.root / "report"
        self.keep = keep
        self.expected = []
        self.seen = 0
        self.env = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
        self.env.update(WINEPREFIX=str(self.root / "prefix"), WINEDEBUG="-all", WINEDLLOVERRIDES="mscoree,mshtml=d",
                        UWLAB_REPORT=str(self.report_path))
        self.env.update(env or {})
        self.debug = debug
        self.anchor = None

    # ---- the prefix ----

    def __enter__(self):
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))     # a time limit must not leave the prefix behind
        try:
            self.create()
        except BaseException:
            self.close(check=False)
            raise
        return self

    def __exit__(self, kind, value, trace):
        self.close(check=kind is None)

    def create(self):
        self.server("-p0")  # wineserver in the background would outlive us by its default grace
        subprocess.run([*WINE, "wineboot", "-i"], env=self.env, check=True, timeout=180, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.server("-k")
        self.server("-w")
        shutil.copy(self.build / "uwlabkrn.exe", self.windows / "system32" / "uwlabkrn.exe")
        if COVERAGE:
            (self.windows / "uwcov").symlink_to(COVERAGE, target_is_directory=True)
        self.boot()

    def boot(self):
        """Starts the services, whose output is the log, and a process that keeps them."""
        env = dict(self.env, WINEDEBUG=self.debug)
        with open(self.log_path, "ab") as log:
            subprocess.run([*WINE, "wineboot"], env=env, check=True, timeout=120, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            self.anchor = subprocess.Popen([*WINE, "cmd", "/c", "pause"], env=env, stdin=subprocess.PIPE,
                                           stdout=subprocess.DEVNULL, stderr=log)

    def server(self, word):
        subprocess.run([SERVER, word], env=self.env, timeout=60, check=False, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def processes(self):
        """Process ids that have this prefix in their environment."""
        mark = f"WINEPREFIX={self.root / 'prefix'}".encode()
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit() and int(entry) != os.getpid():
                try:
                    with open(f"/proc/{entry}/environ", "rb") as file:
                        if mark in file.read().split(b"\0"):
                            found.append(int(entry))
                except OSError:
                    pass
        return found

    @staticmethod
    def has_begun(pid):
        """Wine's services may be starting one more process when the server ends, which then waits for a word of it for
        ever. There is nothing of ours in it: until a program begins to run, its command line is the loader's."""
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                return file.read().split(b"\0")[0] != PROGRAM.encode()
        except OSError:
            return False

    @staticmethod
    def describe(pid):
        """A process, and what each of its threads does: its state, and where in the kernel it waits."""
        def read(path):
            try:
                with open(f"/proc/{pid}/{path}", "rb") as file:
                    return file.read().replace(b"\0", b" ").decode("utf-8", "replace").strip()
            except OSError:
                return "?"

        try:
            threads = os.listdir(f"/proc/{pid}/task")
        except OSError:
            threads = []
        states = [f"{read(f'task/{t}/stat').rpartition(')')[2][:2].strip()} {read(f'task/{t}/wchan')}" for t in threads]
        return f"{pid} {read('cmdline')}: {', '.join(states)}"

    def write_coverage(self):
        """Makes drivers write what they have counted so far; what is unloaded has done so."""
        for name in COVERED:
            try:
                self.control(f"call {name}.sys uw_coverage")
            except (Failed, OSError, ValueError):
                pass  # it is not loaded

    def close(self, check=True):
        if COVERAGE:
            self.write_coverage()
        if self.anchor:
            self.anchor.stdin.close()
            self.anchor = None
        self.server("-k")
        self.server("-w")
        deadline = time.monotonic() + 10
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.05)
        survivors = [self.describe(pid) for pid in left if self.has_begun(pid)]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        complaints = self.complaints() if check else []
        if not self.keep:
            shutil.rmtree(self.root, ignore_errors=True)
        if check and survivors:
            raise Violation(f"{len(survivors)} processes survived the wineserver:\n" + "\n".join(survivors))
        if complaints:
            raise Violation("\n".join(complaints))

    # ---- what was said ----

    def log(self):
        """DbgPrint's lines, and what other programs of the session wrote."""
        lines = []
        with open(self.log_path, "rb") as file:
            for line in file.read().decode("utf-8", "replace").splitlines():
                found = DEBUG_STRING.search(line)
                lines.append(found.group(1).removesuffix("\\n") if found else line)
        return lines

    def reports(self):
        try:
            return self.report_path.read_text("utf-8", "replace").splitlines()
        except FileNotFoundError:
            return []

    def complaints(self):
        """Violations that nobody expected."""
        lines = [line for line in self.log() + self.reports() if COMPLAINTS.search(line)]
        return [line for line in lines if not any(re.search(pattern, line) for pattern in self.expected)]

    def expect(self, pattern):
        """A violation that matches is what the test is after."""
        self.expected.append(pattern)

    def wait_log(self, pattern, timeout=10, start=0):
        """The first line that matches, from line `start` on, waited for."""
        deadline = time.monotonic() + timeout
        while True:
            for line in self.log()[start:]:
                if re.search(pattern, line):
                    return line
            if time.monotonic() > deadline:
                raise Failed(f"no line like {pattern} in {timeout} s:\n" + "\n".join(self.log()[-30:]))
            time.sleep(0.05)

    # ---- programs ----

    def run(self, *words, check=True, timeout=60, env=None):
        """Runs a Windows program to its end; its output has Windows' line ends removed."""
        done = subprocess.run([*WINE, *map(str, words)], env=dict(self.env, **(env or {})), timeout=timeout, check=False,
                              stdin=subprocess.DEVNULL, capture_output=True)
        done.stdout = done.stdout.decode("utf-8", "replace").replace("\r\n", "\n")
        done.stderr = done.stderr.decode("utf-8", "replace").replace("\r\n", "\n")
        if check and done.returncode:
            raise Failed(f"{' '.join(map(str, words))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def spawn(self, *words, env=None, **kwargs):
        """Starts a Windows program; the caller ends it."""
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen([*WINE, *map(str, words)], env=dict(self.env, **(env or {})), **kwargs)

    def put(self, source, folder="system32", renames=()):
        """Copies a file into the Windows folder, its imports renamed, and returns its Windows path."""
        target = self.windows / folder / pathlib.Path(source).name
        target.parent.mkdir(parents=True, exist_ok=True)
        if renames:
            patch_imports.patch_file(source, target, renames)
        else:
            shutil.copy(source, target)
        return "C:\\windows\\" + "\\".join(target.relative_to(self.windows).parts)

    # ---- drivers and services ----

    def driver(self, source, name=None):
        """Makes a laboratory copy of a driver and its service."""
        path = self.put(source, "system32/drivers", [KERNEL])
        name = name or pathlib.Path(source).stem
        self.run("sc", "create", name, "binpath=", path, "type=", "kernel", "start=", "demand", "group=", GROUP)
        return name

    def root_device(self, name, service, number=0):
        """A devnode ROOT\\NAME\\0000 that Wine makes when its service starts."""
        key = f"HKLM\\System\\CurrentControlSet\\Enum\\ROOT\\{name}\\{number:04}"
        for value, kind, data in (("ClassGUID", "REG_SZ", "{4d36e97d-e325-11ce-bfc1-08002be10318}"), ("Class", "REG_SZ", "System"),
                                  ("HardwareID", "REG_MULTI_SZ", f"ROOT\\{name}"), ("Service", "REG_SZ", service),
                                  ("ConfigFlags", "REG_DWORD", "0"), ("DeviceDesc", "REG_SZ", name)):
            self.run("reg", "add", key, "/v", value, "/t", kind, "/d", data, "/f")
        return key

    def start(self, name, check=True):
        return self.run("net", "start", name, check=check)

    def stop(self, name, check=True):
        return self.run("net", "stop", name, check=check)

    def state(self, name):
        found = re.search(r"STATE\s*:\s*\d+\s+(\w+)", self.run("sc", "query", name, check=False).stdout)
        return found.group(1) if found else None

    # ---- the forwarding kernel's control ----

    def control(self, line, timeout=60):
        """Sends one command to the kernel (see tests/wine/kernel/README.md) and returns its answer's lines."""
        port = int((self.windows / "uwlab.port").read_text())
        with socket.create_connection(("127.0.0.1", port), timeout=timeout) as s:
            s.sendall(line.encode() + b"\n")
            data = b""
            while (piece := s.recv(65536)):
                data += piece
        lines = data.decode("utf-8", "replace").splitlines()
        if not lines or lines[-1] != "ok":
            raise Failed(f"{line}: {lines[-1] if lines else 'no answer'}")
        return lines[:-1]
