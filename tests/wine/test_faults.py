#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Parts of the Windows host that vanish while transfers run: devices, service, drivers, guests, the machine's power.

Every case does a tenth of its full number of rounds, or the share that USBWARP_ROUNDS names. Binding is against stand-ins
of Windows' setup functions.
"""
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from stack import SERVICE, DRIVER, WineStack, program  # noqa: E402
from lab import case, clean, equal, main  # noqa: E402

SHARE = float(os.environ.get("USBWARP_ROUNDS", "0.1"))
DISK = "disk:file=@disk.img,size=16777216,speed=super"
BOTH = ["pico", DISK]
MODULES = ["cdc-acm", "usb-storage", "sd_mod"]
READ = "dd if=/dev/sda of=/dev/null bs=256k iflag=direct count=64 2>/dev/null"


def rounds(full):
    return max(3, int(full * SHARE))


def guest(s, vm="vm1"):
    return s.guest(vm, files={"/sums": program("sums")}, modules=MODULES)


def devices_there(g):
    g.wait_for("test -e /dev/ttyACM0 && test -b /dev/sda", timeout=60)


def sums_right(g, count=5):
    out = g.run(f"/sums /dev/ttyACM0 {count}", timeout=60).out
    assert f"{count}/{count} sums right" in out, out


def bind_both(s, g):
    s.bind("pico-1")
    s.bind("disk-1")
    devices_there(g)


@case
def unbind_and_bind_during_transfers():
    with WineStack(BOTH) as s, guest(s) as g:
        bind_both(s, g)
        for i in range(rounds(50)):
            reader = g.start(READ)
            if i % 3:
                g.run(f"sleep 0.0{i % 10}")
            s.unbind("disk-1")
            reader.wait(60)
            g.wait_for("! test -b /dev/sda", timeout=60)
            s.bind("disk-1")
            devices_there(g)
            g.run(READ, timeout=60)
        sums_right(g)
        clean(g)


@case
def unplugged_and_back_during_transfers():
    """By surprise, as a pulled cable; what comes back at the same port is bound again without a command."""
    with WineStack(BOTH) as s, guest(s) as g:
        bind_both(s, g)
        port = s.devices["disk-1"]
        model = DISK.replace("@", s.directory + "/") + ",serial=disk1"
        for i in range(rounds(50)):
            reader = g.start(READ)
            if i % 3:
                g.run(f"sleep 0.0{i % 10}")
            s.bus("unplug", str(port))
            reader.wait(60)
            g.wait_for("! test -b /dev/sda", timeout=60)
            s.bus("plug", model, str(port))
            devices_there(g)
        g.run(READ, timeout=60)
        sums_right(g)
        clean(g)


@case
def service_killed():
    """The session ends with its handle; a started service knows its bindings, and the next guest has its devices."""
    with WineStack(BOTH) as s:
        with guest(s) as g:
            bind_both(s, g)
        for _ in range(rounds(10)):
            with guest(s) as g:
                devices_there(g)
                reader = g.start(READ)
                g.run("sleep 0.02")
                os.kill(pid_of(s, SERVICE), signal.SIGKILL)
                reader.wait(60)
                g.wait_for("! test -e /dev/ttyACM0 && ! test -b /dev/sda", timeout=60)
                clean(g)
            s.start()  # Wine's SCM learns of the death by this; Windows' would restart the service
        with guest(s) as g:
            devices_there(g)
            sums_right(g)
            clean(g)


def pid_of(s, name):
    """Of the process, as Linux counts."""
    for pid in s.prefix.processes():
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if name.encode() + b".exe" in f.read():
                    return pid
        except OSError:
            continue
    raise AssertionError(f"no process of {name}")


@case
def drivers_reloaded():
    """The service stopped, UsbWarp.sys unloaded and loaded: the devices stay ours, and come back by themselves."""
    with WineStack(BOTH) as s:
        with guest(s) as g:
            bind_both(s, g)
        for _ in range(rounds(10)):
            s.stop()
            s.prefix.stop(DRIVER)
            s.until(lambda: s.prefix.state(DRIVER) == "STOPPED", "UsbWarp.sys to be unloaded")
            s.start()  # and with the next VM the driver
            with guest(s) as g:
                devices_there(g)
                sums_right(g, 2)
                clean(g)


@case
def guest_resets():
    with WineStack(BOTH) as s, guest(s) as g:
        bind_both(s, g)
        for _ in range(rounds(20)):
            g.start(READ)
            g.run("sleep 0.05")
            g.reset()
            devices_there(g)
            sums_right(g, 2)
            clean(g)


@case
def module_reloads():
    with WineStack(BOTH) as s, guest(s) as g:
        bind_both(s, g)
        for i in range(rounds(30)):
            reader = g.start(READ)
            g.run("sleep 0.0%d" % (i % 10))
            g.run("rmmod usbwarp", timeout=60)
            reader.wait(60)
            g.run("insmod /usbwarp.ko")
            devices_there(g)
        sums_right(g)
        clean(g)


@case
def guest_killed_and_started_again():
    with WineStack(BOTH) as s:
        with guest(s) as g:
            bind_both(s, g)
        for _ in range(rounds(10)):
            with guest(s) as g:
                devices_there(g)
                sums_right(g, 2)
                g.start(READ)
                g.run("sleep 0.05")
                clean(g)
                g.kill()


@case
def sleep_and_resume():
    """S3 and back through all device stacks: in flight fails once, the guest resets the devices and goes on."""
    with WineStack(BOTH) as s, guest(s) as g:
        bind_both(s, g)
        for i in range(rounds(20)):
            reader = g.start(READ)
            g.run("sleep 0.0%d" % (i % 10))
            equal(s.prefix.control("sleep"), [], "refusals")
            equal(s.prefix.control("resume"), [], "refusals")
            reader.wait(120)
            devices_there(g)
            sums_right(g, 2)
            g.run(READ, timeout=120)
        clean(g)


if __name__ == "__main__":
    main()
