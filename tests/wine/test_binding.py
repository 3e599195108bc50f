#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Binding a device whose installation goes wrong: whatever step fails, the device has its former driver or ours, never none."""
import contextlib
import os
import re
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from stack import FILTER, SETTINGS, WineStack  # noqa: E402
from lab import case, equal, main  # noqa: E402

STEPS_AT_MOST = 12


@contextlib.contextmanager
def running(s, vm="vm1"):
    """A VM that has begun to run and goes no further."""
    with socket.socket(socket.AF_UNIX) as qemu:
        qemu.connect(s.socket(vm))
        s.until(lambda: any(v["present"] for v in s.json("status")["vms"]), "the VM to be served")
        yield


def service(s, name):
    """The service of the devnode, as the registry has it."""
    line = [line for line in s.bus("list").stdout.splitlines() if line.startswith(str(s.devices[name]) + " ")]
    key = "HKLM\\System\\CurrentControlSet\\Enum\\" + line[0].split()[2]
    found = re.search(r"Service\s+REG_SZ\s+(\S+)", s.prefix.run("reg", "query", key, "/v", "Service", check=False).stdout)
    return found.group(1) if found else ""


def steps(s):
    """How many steps the setup calls have had since fail_at."""
    out = s.prefix.run("reg", "query", SETTINGS, "/v", "SetupStep").stdout
    return int(re.search(r"REG_DWORD\s+(\S+)", out).group(1), 16)


def fail_at(s, step):
    s.prefix.run("reg", "add", SETTINGS, "/v", "SetupStep", "/t", "REG_DWORD", "/d", "0", "/f")
    s.set("UWLAB_SETUP_FAIL", step)


@case
def each_step_fails_once():
    """A bind that fails says so and leaves no driver of ours; the next one succeeds. A failed unbind is repeated."""
    with WineStack(["pico"]) as s, running(s):
        failures = 0
        for step in range(1, STEPS_AT_MOST):
            fail_at(s, step)
            done = s.cli("bind", "pico-1", check=False)
            if steps(s) < step:
                break
            equal(service(s, "pico-1"), "" if done.returncode else FILTER, f"service after step {step} failed")
            failures += done.returncode != 0
            fail_at(s, 0)
            if done.returncode:
                s.bind("pico-1")
            equal(service(s, "pico-1"), FILTER, "service when bound")
            s.unbind("pico-1")
            equal(service(s, "pico-1"), "", "service when unbound")
        assert failures >= 4, f"only {failures} failed steps were noticed"


@case
def veto_changes_nothing():
    with WineStack(["pico"]) as s, running(s):
        s.set("UWLAB_VETO", "6:USB\\SOMEBODY")
        done = s.cli("bind", "pico-1", check=False)
        assert done.returncode and "USB\\SOMEBODY" in done.stderr, done.stderr
        equal(service(s, "pico-1"), "", "service after a veto")
        s.forget("UWLAB_VETO")
        s.bind("pico-1")
        equal(service(s, "pico-1"), FILTER, "service when bound")


@case
def reboot_rolls_back():
    with WineStack(["pico"]) as s, running(s):
        s.set("UWLAB_REBOOT", 1)
        assert s.cli("bind", "pico-1", check=False).returncode
        equal(service(s, "pico-1"), "", "service after Windows wanted to be restarted")


if __name__ == "__main__":
    main()
