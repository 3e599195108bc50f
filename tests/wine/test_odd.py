#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What real devices and services seldom do to the drivers: peers that dawdle or fail, too many sessions, a trace session.

    test_odd.py [CASE...]        USBWARP_WINDOWS: where the binaries are
"""
import contextlib
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]
import lab  # noqa: E402
import test_filter  # noqa: E402
from runner import case, equal, main  # noqa: E402
from stack import WineStack, program  # noqa: E402
from test_driver import DRIVER, Host, built, kill, release  # noqa: E402

ODD = "ROOT\\UWODD\\0000"


class OddHost(Host):
    """UsbWarp.sys with a peer that does as it is told, and no bus."""

    def __enter__(self):
        super().__enter__()
        try:
            self.wine.driver(built("uwodd.sys"))
            self.wine.root_device("UWODD", "uwodd")
            self.wine.start("uwodd")
            self.wait_devices(1)
        except BaseException:
            self.wine.close(check=False)
            raise
        return self

    def __exit__(self, kind, value, trace):
        if not kind:
            if self.wine.state(DRIVER) == "RUNNING":
                self.wine.stop(DRIVER)
            self.wine.control(f"query-remove {ODD}")
            self.wine.control(f"remove {ODD}")
        super().__exit__(kind, value, trace)

    def odd(self, name):
        self.wine.control(f"call uwodd.sys odd_{name}")

    def opens(self):
        """Whether the peer is open, and how often it has been."""
        before = len(self.wine.log())
        self.odd("say")
        found = re.search(r"open (\d+) opens (\d+)", self.wine.wait_log("uwodd: open", start=before))
        return int(found.group(1)), int(found.group(2))

    def until_opened(self, times):
        self.until(lambda: self.opens()[1] >= times, f"{times} opens")

    def until_closed(self):
        self.until(lambda: self.opens()[0] == 0, "the peer to be closed")

    @staticmethod
    def until(condition, what):
        deadline = time.monotonic() + 15
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"waited in vain for {what}")
            time.sleep(0.05)

    @contextlib.contextmanager
    def asking(self, name):
        """A guest that asks for the device and has not got it yet."""
        guest = self.wine.spawn("ntguest.exe", "hold", name, "first", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL)
        try:
            yield guest
        finally:
            kill(guest)


# ---- events ----


def heard(h):
    return {name: int(count) for name, count in (line.split() for line in h.wine.control("etw"))}


@case
def events():
    """A trace session hears what it has asked for, each event as it describes itself; the kernel looks at that."""
    with Host(bus=True) as h:
        equal(heard(h), {}, "events without a session")
        h.wine.control("etw 5 0")
        h.guest("device", "vm", "first", 5)
        all_events = heard(h)
        for name, least in (("Session", 2), ("Attach", 2), ("Transfer", 6)):
            assert all_events.get(name, 0) >= least, (name, all_events)
        h.wine.control("etw state")
        h.wine.control("etw 4 1")
        h.guest("device", "vm", "first", 5)
        fewer = heard(h)
        equal(fewer["Transfer"], all_events["Transfer"], "transfers when only sessions are wanted")
        assert fewer["Session"] > all_events["Session"], fewer
        h.wine.control("etw 0")
        h.guest("run", "vm")
        equal(heard(h), fewer, "events when nobody listens")
        h.wine.control("etw 5 0")
        h.wine.stop(DRIVER)
        h.wine.start(DRIVER)
        h.wait_devices(1)
        assert heard(h).get("Device", 0) >= 1, heard(h)


@case
def lies_are_heard():
    with Host() as h:
        h.wine.control("etw 5 0")
        h.guest("hostile", "bad", 1, 4000, timeout=120)
        assert heard(h).get("Fault", 0) >= 1, heard(h)


# ---- too much ----


@case
def as_many_sessions_as_there_may_be():
    with Host() as h:
        h.ctl("requests")
        out = h.wine.run("ntmore.exe", "sessions", timeout=180).stdout
        equal(out, "", "complaints")
        h.guest("run", "after")


@case
def names_that_cannot_be_opened():
    with Host() as h:
        equal(h.wine.run("ntmore.exe", "names").stdout, "", "complaints")


@case
def requests_that_nobody_would_send():
    """The filter driver is kernel code's alone, and refuses what it does not know."""
    with Host(bus=True) as h:
        h.wine.start(h.wine.driver(built("uwodd.sys")))
        for ask in ("odd_ask_filter", "odd_ask_driver"):
            before = len(h.wine.log())
            h.wine.control(f"call uwodd.sys {ask}")
            h.wine.wait_log("uwodd: asked", start=before)
        h.wine.stop("uwodd")
        h.guest("device", "vm", "first", 3)


# ---- peers ----


@case
def peer_speaks():
    """Wake-up and lost power reach a session, and nobody when nobody has the device open."""
    with OddHost() as h:
        h.odd("speak")
        guest = h.hold("vm", "first")
        for _ in range(3):
            h.odd("speak")
        release(guest)
        h.odd("speak")
        equal(h.wait_devices(1, port=0)[0]["vm"], "", "who has it")


@case
def peer_does_not_open():
    with OddHost() as h:
        h.odd("fail_open")
        done = h.wine.run("ntguest.exe", "device", "vm", "first", 1, check=False)
        assert "attach: 0x" in done.stderr, done.stderr
        h.wait_devices(1, port=0)
        h.odd("normal")
        release(h.hold("vm", "first"))


@case
def asker_goes_while_the_peer_opens():
    """Killed, or asked to let go, while open runs: the device is closed again and free."""
    with OddHost() as h:
        for round_ in range(2):
            times = h.opens()[1]
            h.odd("slow_open")
            if round_:
                h.odd("fail_open")
            with h.asking("killed"):
                h.until_opened(times + 1)
            h.wait_devices(1, port=0)
            h.until_closed()
            h.until(lambda: h.devices()[0]["vm"] == "", "the device to be free")
            h.odd("normal")
        release(h.hold("vm", "first"))


@case
def peer_goes_while_it_opens():
    """Gone while open runs: what has just been opened is closed, whoever asked is told."""
    with OddHost() as h:
        h.odd("slow_open")
        times = h.opens()[1]
        with h.asking("vm"):
            h.until_opened(times + 1)
            h.odd("gone")
            h.until(lambda: h.opens()[0] == 0 and h.devices()[0]["vm"] == "", "the device to be free")
        h.odd("normal")
        h.until_closed()
        release(h.hold("vm", "first"))


@case
def peer_goes_with_a_transfer():
    with OddHost() as h:
        equal(h.guest("drop", "vm", "first").splitlines()[-1], "DOWN", "what a guest sees at the end")
        guest = h.hold("vm", "first")
        h.odd("gone")
        h.until(lambda: h.devices()[0]["vm"] == "", "the device to be free")
        release(guest)
        release(h.hold("vm", "first"))


@case
def interface_comes_back_before_it_is_gone():
    """The interface goes and comes while a session has the device and its close takes time."""
    with OddHost() as h:
        for slow in (False, True):
            guest = h.hold("vm", "first")
            if slow:
                h.odd("slow_close")
            h.odd("flap")
            h.until(lambda: [d["vm"] for d in h.devices()] == [""], "the device to be there and free")
            h.odd("normal")
            release(guest)
            release(h.hold("vm", "first"))


@case
def peer_connects_late_or_not_at_all():
    with OddHost() as h:
        for mode, count in (("connect_later", 1), ("refuse", 0), ("connect_to_nothing", 0), ("normal", 1)):
            h.odd(mode)
            h.odd("hide")
            h.wait_devices(0)
            h.odd("show")
            if not count:
                time.sleep(0.3)
            h.wait_devices(count)
        release(h.hold("vm", "first"))


@case
def sleep_with_a_device():
    """The host sleeps while a session has the device: the session lives and the device is the same."""
    with Host(bus=True) as h:
        guest = h.hold("vm", "first")
        for _ in range(2):
            h.wine.control("sleep")
            h.wine.control("resume")
        equal(h.wait_devices(1, port=1)[0]["vm"], "vm", "who has it")
        release(guest)
        h.guest("device", "vm", "first", 3)


# ---- guests ----


@case
def guest_away_for_longer_than_is_waited_for():
    """The device is closed, stays bound, and is opened again for the guest that comes."""
    with WineStack(["pico"], options={"orphan": "1000"}) as s:
        with s.guest(files={"/sums": program("sums")}, modules=["cdc-acm"]) as g:
            s.bind("pico-1")
            g.wait_for("test -e /dev/ttyACM0")
            for _ in range(2):
                g.run("rmmod usbwarp")
                time.sleep(3)
                g.run("insmod /usbwarp.ko")
                g.wait_for("test -e /dev/ttyACM0", timeout=60)
                out = g.run("/sums /dev/ttyACM0 5", timeout=60).out
                assert "5/5 sums right" in out, out


# ---- the filter driver's worse days ----


def device_key(s):
    return f"HKLM\\System\\CurrentControlSet\\Enum\\{s.ident}"


def try_control(s, line):
    """False: refused."""
    try:
        s.wine.control(line)
    except lab.Failed:
        return False
    return True


@case
def each_call_of_an_arrival_fails_once():
    """A device whose driver cannot be added or started is left alone, and comes up when memory is back."""
    for driver in ("UsbWarpFilter.sys", test_filter.USBD):
        with test_filter.Stack(driver=driver) as s:
            s.wine.run("reg", "add", device_key(s), "/v", "LocationInformation", "/d", "Port_#0003.Hub_#0001", "/f")
            for number in range(1, 80):
                if any(line.startswith(s.ident) for line in s.wine.control("stacks")):
                    try_control(s, f"query-remove {s.ident}")
                    try_control(s, f"remove {s.ident}")
                s.wine.control(f"fault all {number} 0 UsbWarpFilter")
                try_control(s, f"setup {s.ident}")
                failed = int(re.search(r" failed=(\d+) ", s.wine.control("counts")[0]).group(1))
                s.wine.control("fault off")
                if not failed:
                    break
            assert 6 <= number < 79, number
            s.ready()
            for number in range(1, 10):
                s.wine.control(f"query-remove {s.ident}")
                s.wine.control(f"remove {s.ident}")
                s.bus("fail", "1", number, "0xc0000011")
                if not try_control(s, f"setup {s.ident}"):
                    s.bus("fail", "1", "0", "0")
                    try_control(s, f"remove {s.ident}")
                    s.wine.control(f"setup {s.ident}")
                s.bus("fail", "1", "0", "0")
                s.ready()
            s.client("enumerate")


@case
def device_that_does_not_answer():
    """Every endpoint says NAK for ever: what the driver asks itself ends after a while, and the device is given up for now."""
    with test_filter.Stack() as s:
        s.bus("nak", "1", "2")
        assert "FAIL" in s.client("enumerate", check=False)
        s.bus("nak", "1", "0")
        s.client("enumerate")


@case
def requests_that_the_stack_refuses():
    """A pipe that the stack does not know, or a function: its lengths are not believed."""
    with test_filter.Stack() as s:
        for status in ("0x80000600", "0xc0000e00"):
            for number in (3, 8, 20):
                s.bus("fail", "1", number, status)
                s.client("queue", 1, number, check=False)
                s.bus("fail", "1", "0", "0")
            s.client("enumerate")


@case
def alternate_setting_after_sleep():
    """What the guest had chosen is chosen again; the plug is pulled under a bus that answers late."""
    with test_filter.Stack() as s:
        client = s.begin("unplug")
        s.wine.control("sleep")
        s.wine.control("resume")
        s.wine.control("sleep")
        s.wine.control("resume")
        s.bus("mode", "delay", "300")
        time.sleep(0.5)
        s.bus("unplug", "1")
        s.end(client)
        s.bus("mode", "inline")
        s.bus("wait", "1", "absent")


# ---- frames of several packets ----


class FastStack(test_filter.Stack):
    """A zero with eight isochronous packets in a frame, as cameras have it."""

    def bus(self, *words, check=True):
        if words[0] == "install":
            words = ("install", self.wine.put(built("uwfast.sys"), "system32/drivers", [lab.KERNEL]))
        return super().bus(*words, check=check)


@case
def submissions_that_are_no_whole_frames():
    for speed in ("high", "super"):
        with FastStack(f"zero:speed={speed},pattern=1,serial=Z1") as s:
            for mode in test_filter.MODES:
                s.bus("mode", *mode)
                s.client("frames", 1, 3)
                s.client("frames", 1, 4, "raised")
                s.client("frame-waits")


def frames_copied(driver, *flags):
    """The part of the bytes that was copied."""
    with FastStack("zero:speed=high,pattern=1,serial=Z1", driver) as s:
        for mode in test_filter.MODES:
            s.bus("mode", *mode)
            s.client("frames", 1, 3, *flags)
            s.client("frames", 1, 4, "raised", *flags)
            out = s.client("frame-waits")
    moved, copied = map(int, re.search(r"(\d+) bytes, (\d+) copied", out).groups())
    return copied / moved


@case
def frames_joined_of_several_submissions():
    """Their ends lie apart: a copy without a USBD handle, a chain of MDLs with one, but for the frames that are filled up."""
    with_copies, with_chains = frames_copied("UsbWarpFilter.sys"), frames_copied(test_filter.USBD, "chains")
    assert with_copies > 0.5 and with_chains < 0.1, (with_copies, with_chains)


@case
def whole_frames_under_load():
    with FastStack("zero:speed=high,paced,pattern=1,serial=Z1") as s:
        for late in ("0", "30"):
            s.bus("ignore-cancel", "1", late)
            for script, rounds in (("iso-odd", 1), ("storm", 2), ("close", 4), ("frame-waits", 1)):
                s.client(script, rounds, 3)
                s.client(script, rounds, 4, "raised")
        client = s.begin("unplug")
        s.bus("unplug", "1")
        s.end(client)


@case
def memory_fails_in_a_frame():
    for driver in ("UsbWarpFilter.sys", test_filter.USBD):
        with FastStack("zero:speed=high,pattern=1,serial=Z1", driver) as s:
            for n in range(1, 60, 3):
                s.wine.control(f"fault pool,mdl,irp {n} 0 UsbWarpFilter")
                s.client("frames", check=False)
                s.wine.control("fault off")
            s.client("frames")


def _main():
    put = Host.__enter__

    def enter(self):
        host = put(self)
        self.wine.put(built("ntmore.exe"))
        return host
    Host.__enter__ = enter
    main()


if __name__ == "__main__":
    _main()
