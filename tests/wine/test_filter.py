#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""UsbWarpFilter.sys above the virtual USB bus, with a kernel client (tests/wine/client) in the place of UsbWarp.sys.

    test_filter.py [CASE...]     USBWARP_WINDOWS: where the binaries are

Each request of the client is counted: one answered twice, or not at all, or after close, is a violation like any other.
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

ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("USBWARP_WINDOWS", os.path.join(ROOT, "build", "windows-clang"))
MODES = (("inline",), ("dpc",), ("delay", "0"), ("delay", "3"))



class Stack:
    """Bus, one model zero, its driver, the client. Leaving it unloads all, which the kernel looks at."""

    def __init__(self, model="zero:speed=high,pattern=1,serial=Z1", driver="UsbWarpFilter.sys"):
        self.wine = lab.Prefix(BUILD)
        self.model, self.driver = model, driver

    def __enter__(self):
        self.wine.__enter__()
        try:
            self.bus("install", self.wine.put(os.path.join(BUILD, "uwbus.sys"), "system32/drivers", [lab.KERNEL]))
            self.wine.driver(os.path.join(BUILD, self.driver))
            self.wine.start(self.wine.driver(os.path.join(BUILD, "uwclient.sys")))
            self.ident = self.plug(self.model)
        except BaseException:
            self.wine.close(check=False)
            raise
        return self

    def __exit__(self, kind, value, trace):
        if not kind:
            self.wine.stop("uwclient")
            self.bus("remove-bus")
        self.wine.__exit__(kind, value, trace)

    def bus(self, *words, check=True):
        return self.wine.run(os.path.join(BUILD, "busctl.exe"), *words, check=check).stdout

    def plug(self, model):
        ident = self.bus("plug", model).split()[1]
        self.bus("bind-service", ident, "UsbWarpFilter")
        self.ready()
        return ident

    def ready(self):
        """The bus says that a device has started before its driver has; the interface comes last."""
        deadline = time.monotonic() + 10
        while self.client("connect", check=False)[:2] != "ok":
            if time.monotonic() > deadline:
                raise AssertionError("the device's interface does not come")
            time.sleep(0.05)

    def client(self, *words, check=True, timeout=120):
        done = self.wine.run(os.path.join(BUILD, "clientctl.exe"), *words, check=False, timeout=timeout)
        if check and done.returncode:
            raise AssertionError(f"{words}: exit {done.returncode}\n{done.stdout}{done.stderr}" +
                                 "\n".join(self.wine.log()[-20:]))
        return done.stdout

    def begin(self, *words):
        """Starts a script that says when it is ready for what is to be done to it."""
        before = self.wine.log().count("uwclient: ready")
        client = self.wine.spawn(os.path.join(BUILD, "clientctl.exe"), *words, stdout=subprocess.PIPE)
        deadline = time.monotonic() + 20
        while self.wine.log().count("uwclient: ready") == before:
            if time.monotonic() > deadline or client.poll() is not None:
                raise AssertionError(client.communicate(timeout=60)[0].decode())
            time.sleep(0.02)
        return client

    @staticmethod
    def end(client):
        out = client.communicate(timeout=60)[0].decode()
        if client.returncode:
            raise AssertionError(out)


# The variant with a USBD handle, above a bus that then takes no other URBs.
USBD = os.path.join("usbd", "UsbWarpFilter.sys")
STREAMS = "zero:speed=super,pattern=1,streams=16,serial=Z1"
BASIC = ("connect", "enumerate", "configure", "bulk", "queue", "empty-packet", "control", "halt", "clear-busy", "reset")


@case
def every_verb():
    """Enumeration, configurations, all kinds of transfers, however the bus completes and wherever verbs are called."""
    with Stack() as s:
        for mode in MODES:
            s.bus("mode", *mode)
            for script in BASIC:
                s.client(script, 2, 1)
                s.client(script, 1, 2, "raised")


@case
def every_speed():
    for speed in ("full", "super"):
        with Stack(f"zero:speed={speed},pattern=1,serial=Z1") as s:
            for script in BASIC + ("iso", "iso-odd", "cancel-idle", "storm"):
                s.client(script)


@case
def isochronous():
    """Streams without and with gaps, as fast as the bus takes them and at their own pace."""
    for paced in ("", "paced,"):
        with Stack(f"zero:speed=high,{paced}pattern=1,serial=Z1") as s:
            for mode in MODES:
                s.bus("mode", *mode)
                s.client("iso", 1, 3)
                s.client("iso-odd", 1, 3, "raised")


@case
def cancel():
    """Cancelled in every state, by a bus that hears of it at once or late."""
    with Stack("zero:speed=high,paced,pattern=1,serial=Z1") as s:
        for mode in MODES:
            for late in ("0", "30"):
                s.bus("mode", *mode)
                s.bus("ignore-cancel", "1", late)
                s.client("cancel-idle", 2)
                s.client("storm", 1, 5)
                s.client("storm", 1, 6, "raised")


@case
def close_under_load():
    with Stack("zero:speed=high,paced,pattern=1,serial=Z1") as s:
        for mode in MODES:
            for late in ("0", "30"):
                s.bus("mode", *mode)
                s.bus("ignore-cancel", "1", late)
                s.client("close", 8, 3)
                s.client("close", 8, 4, "raised")


@case
def surprise_removal():
    """The plug is pulled; the client hears of it once, all is answered, and the next device is as good."""
    with Stack("zero:speed=high,paced,pattern=1,serial=Z1") as s:
        for mode in MODES:
            s.bus("mode", *mode)
            for script in ("unplug", "unplug-idle"):
                client = s.begin(script)
                s.bus("unplug", "1")
                s.end(client)
                s.bus("wait", "1", "absent")
                s.plug("zero:speed=high,paced,pattern=1,serial=Z1")
                s.client("enumerate")


@case
def sleep():
    """S3 and back: transfers end once, the configuration is there again, the owner is told."""
    with Stack() as s:
        for mode in MODES:
            s.bus("mode", *mode)
            client = s.begin("sleep")
            s.wine.control("sleep")
            s.wine.control("resume")
            s.end(client)
        s.wine.control("sleep")
        s.wine.control("resume")
        s.client("enumerate")


@case
def asked_to_leave():
    """Query, cancel, stop, remove and setup; not while somebody has the device."""
    with Stack() as s:
        for words in (("query-remove", "cancel-remove"), ("query-stop", "cancel-stop"),
                      ("query-stop", "stop", "start")):
            for word in words:
                s.wine.control(f"{word} {s.ident}")
            s.client("enumerate")
        client = s.begin("sleep")
        for word in ("query-remove", "query-stop"):
            try:
                s.wine.control(f"{word} {s.ident}")
            except lab.Failed as refused:
                equal("0x80000011" in str(refused), True, str(refused))
            else:
                raise AssertionError(f"{word} was granted")
        s.wine.control("sleep")
        s.wine.control("resume")
        s.end(client)
        s.client("enumerate")
        s.wine.control(f"query-remove {s.ident}")
        s.wine.control(f"remove {s.ident}")
        equal("FAIL" in s.client("enumerate", check=False), True, "a removed device cannot be used")
        s.wine.control(f"setup {s.ident}")
        s.ready()
        s.client("enumerate")


@case
def failing_bus():
    """What the bus fails comes back as an answer; a bus without memory is survived."""
    with Stack() as s:
        for status in ("0xc0000011", "0xc0000004", "0x80000800", "0xc0007000"):
            for n in (1, 2, 3, 5, 8, 13):
                s.bus("fail", "1", str(n), status)
                s.client("queue", 1, n, check=False)
                s.bus("fail", "1", "0", "0")
                if status == "0xc0007000":
                    s.bus("cycle", "1")
                    s.bus("wait", "1", "started")
                    s.ready()
            s.client("enumerate")
        s.bus("full", "1", "1")
        s.client("bulk", check=False)
        s.bus("full", "1", "0")
        s.client("bulk")


@case
def failing_memory():
    each_allocation_fails(("enumerate", "configure", "queue", "iso", "reset"))


def each_allocation_fails(scripts, driver="UsbWarpFilter.sys", model="zero:speed=high,pattern=1,serial=Z1", words=()):
    """Each allocation fails once: every request is answered all the same, and nothing is left behind."""
    with Stack(model, driver) as s:
        for script in scripts:
            n = 1
            while True:
                s.wine.control(f"fault pool,mdl,irp,work {n} 0 UsbWarpFilter")
                s.client(script, check=False)
                failed = int(re.search(r"failed=(\d+)", s.wine.control("counts")[0]).group(1))
                s.wine.control("fault off")
                if not failed:
                    break
                n += 1 if n < 20 else 7
            equal(n > 1, True, f"something of {script} can fail")
            s.client(script, *words)


@case
def with_a_handle():
    """Every verb and every end of the variant with a USBD handle: no URB but the handle's, none left when it is closed."""
    with Stack("zero:speed=high,paced,pattern=1,serial=Z1", USBD) as s:
        for mode in MODES:
            s.bus("mode", *mode)
            for script in BASIC + ("iso", "iso-odd", "cancel-idle", "storm", "close"):
                s.client(script, 1, 2, "raised", "chains")
        client = s.begin("sleep")
        s.wine.control("sleep")
        s.wine.control("resume")
        s.end(client)
        client = s.begin("unplug")
        s.bus("unplug", "1")
        s.end(client)
        s.bus("wait", "1", "absent")
        s.plug("zero:speed=high,paced,pattern=1,serial=Z1")
        s.client("enumerate")
        s.wine.control(f"query-remove {s.ident}")
        s.wine.control(f"remove {s.ident}")
        s.wine.control(f"setup {s.ident}")
        s.ready()
        s.client("enumerate")


@case
def failing_memory_with_a_handle():
    each_allocation_fails(("enumerate", "configure", "iso", "reset"), USBD, words=(1, 1, "chains"))
    each_allocation_fails(("streams-fail",), USBD, STREAMS)


@case
def streams():
    """Streams of each number that can be had, used, replaced, given back, and lost by whatever deconfigures a pipe."""
    with Stack(STREAMS, USBD) as s:
        for mode in MODES:
            s.bus("mode", *mode)
            for late in ("0", "30"):
                s.bus("ignore-cancel", "1", late)
                for script in ("streams", "streams-single", "streams-dropped", "streams-halted", "streams-waiting",
                               "streams-too-late"):
                    s.client(script, 1, 7)
                    s.client(script, 1, 8, "raised")
            client = s.begin("streams-interrupted")
            s.wine.control("sleep")
            s.wine.control("resume")
            s.end(client)
        for n in range(1, 16): # what opening the device asks for, fails first
            s.bus("fail", "1", str(n), "0xc0001000")
            s.client("streams-fail", check=False)
        s.bus("fail", "1", "0", "0")
        s.client("streams")
        client = s.begin("streams-interrupted")
        s.bus("unplug", "1")
        s.end(client)


@case
def chains_of_mdls():
    """Packets with gaps, a few in an URB: not copied where the stack below takes chains, copied where it does not."""
    for speed in ("full", "high", "super"):
        with Stack(f"zero:speed={speed},pattern=1,serial=Z1", USBD) as s:
            for mode in MODES:
                s.bus("mode", *mode)
                s.client("iso", 1, 3, "chains")
                s.client("iso-odd", 1, 3, "raised", "chains")
            s.bus("offer", "255", "0")
            s.bus("cycle", "1")
            s.bus("wait", "1", "started")
            s.ready()
            s.client("iso")


@case
def no_streams():
    """Refused where the controller has none, the device has none, or the driver is the one without a handle."""
    with Stack(STREAMS, USBD) as s:
        s.client("streams")
        s.bus("offer", "0", "0")
        s.bus("cycle", "1")
        s.bus("wait", "1", "started")
        s.ready()
        s.client("no-streams")
    with Stack(STREAMS) as s:
        s.client("no-streams")
    with Stack("zero:speed=super,pattern=1,serial=Z1", USBD) as s:
        s.client("no-streams")


if __name__ == "__main__":
    main()
