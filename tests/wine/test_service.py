#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""UsbWarpService under Wine: its pipe, binding and what goes wrong with it, and what outlives service and VM."""
import os
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from stack import BUILD, ROOT, SERVICE, WineStack  # noqa: E402
from lab import case, clean, equal, main  # noqa: E402

EVENTS = r"HKLM\System\CurrentControlSet\Services\EventLog\Application\UsbWarp"
BINDINGS = r"HKLM\SOFTWARE\UsbWarp\Bindings"
DEVNODE = r"HKLM\System\CurrentControlSet\Enum\USB\VID_2E8A&PID_0005\PICO1"
INSTANCE = r"USB\VID_2E8A&PID_0005\PICO1"


def query(s, key, *words):
    return s.prefix.run("reg", "query", key, *words, check=False).stdout


def driver(s):
    """The service of the device's driver; empty: it has none."""
    words = query(s, DEVNODE, "/v", "Service").split()
    return words[-1] if "REG_SZ" in words[:-1] else ""


def enumerated(s, name):
    """How often the bus has reported the device."""
    line = [line for line in s.bus("list").stdout.splitlines() if line.startswith(f"{s.devices[name]} ")]
    return int(line[0].split()[-1])


def recorded(s):
    return "step=" in query(s, BINDINGS)


def program(s, *words):
    return s.prefix.run("C:\\usbwarp\\UsbWarpService.exe", *words, check=False)


def device(s):
    return s.json("list")["devices"][0]


def attempt(s, *words):
    done = s.cli(*words, check=False)
    return done.returncode, done.stdout + done.stderr


@case
def pipe_answers_lies():
    with WineStack() as s:
        done = s.prefix.run(os.path.join(BUILD, "pipefuzz.exe"), "300", check=False)
        equal(done.returncode, 0, "exit code of pipefuzz: " + done.stdout)
        assert " 300 clients, 0 failures" in done.stdout, done.stdout


@case
def hub_tells_speed_and_cycles():
    """Speeds come from the hub, before any driver of ours has seen the device. An unbind asks the drivers first."""
    with WineStack(["pico", "zero:speed=super", "zero:speed=high", "zero:speed=full"]) as s:
        speeds = {d["bus_id"]: d["speed"] for d in s.json("list")["devices"]}
        equal(speeds, {"1-1": "full", "1-2": "super", "1-3": "high", "1-4": "full"}, "speeds")
        s.bind("pico-1")
        cycled = enumerated(s, "pico-1")
        s.unbind("pico-1")
        assert f"{INSTANCE}: its drivers agreed and are removed" in s.log(), s.log()
        # By the former driver's installation, by the hub, and by the set-up at the end.
        equal(enumerated(s, "pico-1") - cycled, 3, "times that the device came back")


@case
def veto_changes_nothing():
    with WineStack(["pico"]) as s:
        s.set("UWLAB_VETO", "6:TERMINAL.EXE")
        code, text = attempt(s, "bind", "pico-1")
        assert code and "TERMINAL.EXE" in text, text
        equal((driver(s), recorded(s)), ("", False), "driver and record after a veto")
        s.forget("UWLAB_VETO")
        s.bind("pico-1")
        equal((driver(s), recorded(s)), ("UsbWarpFilter", True), "driver and record after a bind")
        s.set("UWLAB_VETO", "6:TERMINAL.EXE")
        code, text = attempt(s, "unbind", "pico-1")
        assert code and "TERMINAL.EXE" in text, text
        s.forget("UWLAB_VETO")
        s.unbind("pico-1")
        equal((driver(s), recorded(s)), ("", False), "driver and record after an unbind")


@case
def reboot_rolls_back():
    with WineStack(["pico"]) as s:
        s.set("UWLAB_REBOOT", "1")
        code, text = attempt(s, "bind", "pico-1")
        s.forget("UWLAB_REBOOT")
        assert code and "restarted" in text, text
        equal((driver(s), recorded(s)), ("", False), "driver and record after Windows wanted a reboot")


@case
def each_step_may_fail():
    """Whatever fails, the device has its former driver afterwards, or is bound, and nothing is between."""
    with WineStack(["pico"]) as s:
        failed = 0
        for step in range(1, 8):
            s.forget("SetupStep")
            s.set("UWLAB_SETUP_FAIL", str(step))
            code, text = attempt(s, "bind", "pico-1")
            s.forget("UWLAB_SETUP_FAIL")
            want = ("", False) if code else ("UsbWarpFilter", True)
            equal((driver(s), recorded(s)), want, f"driver and record after step {step} failed: {text}")
            failed += code != 0
            if not code:
                s.unbind("pico-1")
        assert failed >= 4, f"only {failed} of the failures were told"
        s.bind("pico-1")


def interrupted(s, step, more):
    """Writes what a service that dies would leave, while none runs."""
    lines = [f"step={step}", "port=1", "remember=port", "vm=vm1", "bus-id=1-1", f"instance={INSTANCE}", *more]
    s.prefix.run("reg", "add", BINDINGS, "/v", INSTANCE, "/t", "REG_MULTI_SZ", "/d", "\\0".join(lines), "/f")


@case
def journal_is_finished_at_the_start():
    with WineStack(["pico"]) as s:
        s.bind("pico-1")
        s.stop()
        interrupted(s, "binding", [])
        s.start()
        s.until(lambda: "step=bound" in query(s, BINDINGS), "the bind to be finished")
        equal(driver(s), "UsbWarpFilter", "driver after the bind was finished")
        s.stop()
        interrupted(s, "restoring", [])
        s.start()
        s.until(lambda: not recorded(s), "the unbind to be finished")
        equal(driver(s), "", "driver after the unbind was finished")
        s.stop()
        interrupted(s, "binding", [])
        s.start()
        s.until(lambda: not recorded(s), "the bind that had not begun to be undone")
        equal((driver(s), device(s)["vm"]), ("", ""), "driver and VM of a device whose bind had not begun")


@case
def binding_outlives_service_and_vm():
    with WineStack(["pico"]) as s:
        s.bind("pico-1")
        with s.guest(modules=["cdc-acm"]) as g:
            g.wait_for("test -e /dev/ttyACM0")
            clean(g)
        with s.guest(modules=["cdc-acm"]) as g:
            g.wait_for("test -e /dev/ttyACM0")
            s.stop()
            g.wait_for("! test -e /dev/ttyACM0")
            s.start()
            equal(device(s)["bus_id"], "1-1", "the bound device after a restart")
            g.wait_for("test -e /dev/ttyACM0")
            clean(g)
        with s.guest(modules=["cdc-acm"]) as g:
            g.wait_for("test -e /dev/ttyACM0")
            clean(g)


@case
def device_that_is_plugged_again_comes_back():
    with WineStack(["pico"]) as s, s.guest(modules=["cdc-acm"]) as g:
        s.bind("pico-1")
        g.wait_for("test -e /dev/ttyACM0")
        s.unplug("pico-1")
        g.wait_for("! test -e /dev/ttyACM0")
        s.until(lambda: recorded(s), "the record to stay")
        s.plug("pico:serial=pico1")
        g.wait_for("test -e /dev/ttyACM0")
        clean(g)


@case
def drivers_are_installed_and_removed():
    """As Windows Installer runs it; the removal finds a device that is bound, and one that is absent."""
    with WineStack(["pico", "zero"]) as s:
        folder = s.prefix.root / "prefix" / "drive_c" / "usbwarp"
        shutil.copy(os.path.join(ROOT, "packaging", "windows", "UsbWarpFilter.inf"), folder)
        s.bind("pico-1")
        s.bind("zero-1")
        s.unplug("zero-1")
        s.stop()
        for again in range(2):
            equal(program(s, "--install-drivers").returncode, 0, "exit code of --install-drivers")
        query_inf = query(s, r"HKLM\SOFTWARE\UsbWarp", "/v", "Inf")
        assert "oem" in query_inf, query_inf
        assert "UsbWarpService.exe" in query(s, EVENTS), "no event source"
        done = program(s, "--remove-drivers")
        equal(done.returncode, 0, "exit code of --remove-drivers: " + done.stdout + done.stderr)
        equal((driver(s), recorded(s)), ("", False), "driver and record after the removal")
        assert "UsbWarpFilter" not in query(s, r"HKLM\System\CurrentControlSet\Enum\USB", "/s"), "a devnode has our driver"
        assert "EventMessageFile" not in query(s, EVENTS), "the event source stays"
        equal(program(s, "--remove-drivers").returncode, 0, "exit code of a second --remove-drivers")
        assert s.prefix.run("sc", "query", "UsbWarp", check=False).returncode, "UsbWarp.sys is still a service"
        s.unload = lambda: s.bus("remove-bus")  # there is nothing else left to unload


@case
def service_says_who_it_is():
    with WineStack() as s:
        equal(s.prefix.state(SERVICE), "RUNNING", "state of the service")
        status = s.json("status")
        equal([vm["name"] for vm in status["vms"]], ["vm1"], "VMs")


if __name__ == "__main__":
    main()
