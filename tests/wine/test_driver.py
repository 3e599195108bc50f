#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""UsbWarp.sys: every request of a program, sessions that end in any way, devices that come and go under them.

    test_driver.py [CASE...]        USBWARP_WINDOWS: where the binaries are
"""
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]
import lab  # noqa: E402
from runner import case, equal, main  # noqa: E402

BUILD = os.environ.get("USBWARP_WINDOWS", os.path.join(os.path.dirname(os.path.dirname(HERE)), "build", "windows-clang"))
PICO = r"USB\VID_2E8A&PID_0005\e6614c775b1d0a2f"
DRIVER, FILTER = "UsbWarp", "UsbWarpFilter"



def built(name):
    return os.path.join(BUILD, name)


class Host:
    """A prefix with UsbWarp.sys started; with a bus and a bound Pico if asked for. The driver has to be unloadable."""

    def __init__(self, bus=False):
        self.wine = lab.Prefix(BUILD)
        self.bus = bus

    def __enter__(self):
        self.wine.__enter__()
        try:
            for tool in ("ntctl.exe", "ntguest.exe"):
                self.wine.put(built(tool))
            if self.bus:
                self.busctl("install", self.wine.put(built("uwbus.sys"), "system32/drivers", [lab.KERNEL]))
                self.wine.driver(built(FILTER + ".sys"))
            self.wine.driver(built(DRIVER + ".sys"))
            self.wine.start(DRIVER)
            if self.bus:
                self.plug()
        except BaseException:
            self.wine.close(check=False)
            raise
        return self

    def __exit__(self, kind, value, trace):
        if not kind:
            if self.wine.state(DRIVER) == "RUNNING":
                self.wine.stop(DRIVER)
            if self.bus:
                self.busctl("remove-bus")
        self.wine.__exit__(kind, value, trace)

    def busctl(self, *words):
        return self.wine.run(built("busctl.exe"), *words).stdout

    def plug(self):
        self.busctl("plug", "pico")
        self.busctl("bind-service", PICO, FILTER)
        self.wait_devices(1)

    def ctl(self, *words, **kwargs):
        return self.wine.run("ntctl.exe", *words, **kwargs).stdout

    def guest(self, *words, **kwargs):
        return self.wine.run("ntguest.exe", *words, **kwargs).stdout

    def devices(self):
        """A dictionary for each device that the driver knows."""
        found = []
        for line in self.ctl("devices").splitlines():
            words = line.split(" ")
            found.append({"link": words[0], "id": words[1], "port": int(words[5]), "state": int(words[7]), "vm": words[9]})
        return found

    def wait_devices(self, count, port=None, timeout=10):
        deadline = time.monotonic() + timeout
        while True:
            devices = self.devices()
            if len(devices) == count and all(port is None or d["port"] == port for d in devices):
                return devices
            if time.monotonic() > deadline:
                raise AssertionError(f"{count} devices (port {port}) wanted, there are {devices}")
            time.sleep(0.05)

    def hold(self, *words):
        """A session, and perhaps a device in it, kept until the program ends."""
        guest = self.wine.spawn("ntguest.exe", "hold", *words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        said = guest.stdout.readline(), guest.stdout.readline()
        if not said[1].startswith(b"HELD"):
            guest.kill()
            raise AssertionError(f"hold said {said}")
        return guest


class PeerHost(Host):
    """UsbWarp.sys with scripted devices of uwpeer.sys, and no bus."""
    PEERS = 4   # of each speed one for each of two sessions

    def __enter__(self):
        super().__enter__()
        try:
            self.wine.driver(built("uwpeer.sys"))
            for number in range(self.PEERS):
                self.wine.root_device("UWPEER", "uwpeer", number)
            self.wine.start("uwpeer")
            self.wait_devices(self.PEERS)
        except BaseException:
            self.wine.close(check=False)
            raise
        return self

    def __exit__(self, kind, value, trace):
        if not kind:
            self.wine.stop(DRIVER)
            for number in range(self.PEERS):
                self.wine.control(f"query-remove ROOT\\UWPEER\\{number:04}")
                self.wine.control(f"remove ROOT\\UWPEER\\{number:04}")
            self.wine.stop("uwpeer")
        super().__exit__(kind, value, trace)


def release(guest):
    """Lets a held session say bye."""
    out = guest.communicate(timeout=30)[0]
    equal((guest.returncode, out.strip()), (0, b"DONE"), "end of a held session")


def kill(guest):
    guest.kill()
    guest.wait(timeout=30)
    guest.stdin.close()
    guest.stdout.close()


# ---- requests ----


@case
def every_rule_of_a_request():
    with Host() as h:
        for _ in range(3):
            out = h.ctl("requests", timeout=120)
            assert ", 0 failed" in out and int(out.split()[0]) > 300, out


@case
def random_requests():
    with Host() as h:
        for seed in range(1, 9):
            h.ctl("random", seed, 1500, timeout=120)
        h.ctl("requests")


@case
def started_and_stopped_often():
    with Host() as h:
        for _ in range(10):
            h.wine.stop(DRIVER)
            h.wine.start(DRIVER)
        h.guest("run", "again")


# ---- sessions ----


@case
def guests_come_and_go():
    with Host() as h:
        for name in ("one", "two", "one"):
            h.guest("run", name)
        h.guest("reboot", "one", 200, timeout=120)


@case
def handle_closed_under_a_guest():
    with Host() as h:
        for _ in range(5):
            equal(h.guest("drop", "dropped").splitlines()[-1], "DOWN", "what a guest sees at the end")


@case
def several_sessions_at_once():
    with Host() as h:
        guests = [h.hold(f"vm{i}") for i in range(5)]
        h.guest("run", "between")
        kill(guests[2])
        release(guests[0])
        kill(guests[4])
        h.guest("run", "between")
        release(guests[3])
        release(guests[1])


@case
def unloaded_when_the_last_handle_goes():
    with Host() as h:
        guest = h.hold("held")
        stop = h.wine.spawn("net", "stop", DRIVER, stdout=subprocess.DEVNULL)
        time.sleep(1)
        kill(guest)
        equal(stop.wait(timeout=30), 0, "exit of net stop")
        equal(h.wine.state(DRIVER), "STOPPED", "state")


# ---- devices ----


@case
def device_answers():
    with Host(bus=True) as h:
        out = h.guest("device", "vm", "first", 300, timeout=120)
        assert "DEVICE 2e8a:0005 port 1" in out, out
        equal(h.devices()[0]["vm"], "", "who has the device after the session")


@case
def device_of_one_session_alone():
    with Host(bus=True) as h:
        guest = h.hold("holder", "first")
        device = h.wait_devices(1, port=1)[0]
        equal(device["vm"], "holder", "who has it")
        done = h.wine.run("ntguest.exe", "device", "other", device["link"].upper(), 1, check=False)
        assert "attach: 0x7" in done.stderr, done.stderr  # bound already
        release(guest)
        h.guest("device", "other", device["link"].upper(), 1)


@case
def attached_and_detached_with_transfers():
    with Host(bus=True) as h:
        for mode in (("inline",), ("dpc",), ("delay", "2")):
            h.busctl("mode", *mode)
            h.guest("cycle", "vm", "first", 40, timeout=120)


@case
def killed_and_dropped_with_a_device():
    with Host(bus=True) as h:
        for _ in range(3):
            guest = h.hold("killed", "first")
            kill(guest)
            h.wait_devices(1, port=0)
            equal(h.guest("drop", "dropped", "first").splitlines()[-1], "DOWN", "what a guest sees at the end")
            h.wait_devices(1, port=0)
        h.guest("device", "vm", "first", 5)


@case
def unplugged_under_a_session():
    with Host(bus=True) as h:
        for _ in range(3):
            guest = h.hold("vm", "first")
            h.busctl("unplug", "1")
            h.wait_devices(0)
            h.busctl("plug", "pico", "1")
            h.wait_devices(1, port=0)
            release(guest)
            h.guest("device", "vm", "first", 3)


@case
def windows_takes_it_back():
    """A removal that is asked for is granted although a guest has the device; cancelled, the device is there again."""
    with Host(bus=True) as h:
        guest = h.hold("vm", "first")
        h.wine.control(f"query-remove {PICO}")
        equal(h.devices(), [], "devices while a removal is under way")
        h.wine.control(f"cancel-remove {PICO}")
        h.wait_devices(1, port=0)
        h.guest("device", "other", "first", 3)
        h.wine.control(f"query-remove {PICO}")
        h.wine.control(f"remove {PICO}")
        h.wait_devices(0)
        h.wine.control(f"setup {PICO}")
        h.wait_devices(1)
        h.guest("device", "other", "first", 3)
        release(guest)


@case
def driver_unloaded_below_a_device():
    """UsbWarp.sys goes and comes back; UsbWarpFilter.sys stays and is found again."""
    with Host(bus=True) as h:
        for _ in range(3):
            h.wine.stop(DRIVER)
            h.wine.start(DRIVER)
            h.wait_devices(1, port=0)
            h.guest("device", "vm", "first", 3)


@case
def hostile_guests():
    """Whatever a guest writes: no violation, the next guest comes up, and the device still answers."""
    with Host(bus=True) as h:
        for seed in range(1, 6):
            h.guest("hostile", "bad", seed, 4000, timeout=120)
            h.guest("hostile", "bad", seed + 10, 4000, "first", timeout=120)
            h.wait_devices(1, port=0)
        h.guest("device", "good", "first", 10)


@case
def hostile_vectors():
    """The tables of tests/fuzz, with the answers that the core gives: thousands of lies, each of them judged."""
    with PeerHost() as h:
        out = h.wine.run(built("nthostile.exe"), timeout=900).stdout
        found = re.search(r"^(\d+) vectors, (\d+) wrong$", out, re.MULTILINE)
        assert found and int(found.group(1)) >= 4000, out
        equal(int(found.group(2)), 0, out)


# ---- when Windows refuses ----


def failed(h):
    """Calls that have failed as planned."""
    return int(re.search(r" failed=(\d+) ", h.wine.control("counts")[0]).group(1))


def failures(h, words, limit):
    """Lets each call of the driver's that may fail do so, one a run, until a run has none left to fail."""
    for number in range(1, limit):
        h.wine.control(f"fault all {number} 0 {DRIVER}.sys")
        h.wine.run(*words, check=False, timeout=60)
        none_left = failed(h) == 0
        h.wine.control("fault off")
        if none_left:
            return number - 1
    raise AssertionError(f"after {limit} failures there are still more")


@case
def every_call_of_a_session_fails_once():
    with Host() as h:
        count = failures(h, ["ntguest.exe", "run", "vm"], 60)
        assert count >= 8, count
        h.guest("run", "vm")


@case
def every_call_with_a_device_fails_once():
    with Host(bus=True) as h:
        count = failures(h, ["ntguest.exe", "device", "vm", "first", 3], 80)
        assert count >= 8, count
        h.wait_devices(1, port=0)
        h.guest("device", "vm", "first", 3)


@case
def every_call_of_a_start_fails_once():
    """The bus keeps the process, and with it the plan, alive while the driver is not loaded."""
    with Host(bus=True) as h:
        for number in range(1, 60):
            if h.wine.state(DRIVER) == "RUNNING":
                h.wine.stop(DRIVER)
            h.wine.control(f"fault all {number} 0 {DRIVER}.sys")
            h.wine.start(DRIVER, check=False)
            time.sleep(0.2)  # the device is connected to by a work item
            none_left = failed(h) == 0
            h.wine.control("fault off")
            if none_left:
                break
        assert 8 <= number < 59, number
        h.wait_devices(1)
        h.guest("device", "vm", "first", 3)


if __name__ == "__main__":
    main()
