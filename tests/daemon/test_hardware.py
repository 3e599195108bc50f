#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The daemon and emulated USB hardware, both inside a guest: usbtest, hubs, unplugging, and a worker that dies."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "vm"))
from test_devices import BULK_CASES, run_usbtest  # noqa: E402
from hardware import BothEnds, find_disk  # noqa: E402
from test_libusb import storage  # noqa: E402
from lab import case, clean, equal, main  # noqa: E402

MODULES = ["usb-storage"]


def holds(text, *parts):
    for part in parts:
        if part not in text:
            raise AssertionError(f"no {part!r} in {text!r}")


def refused(both, words):
    """What the command line says when the daemon refuses."""
    done = both.guest.run("usbwarp --socket /run/usbwarp.sock " + words + " 2>&1", timeout=60, check=False)
    equal(done.code, 1, f"exit code of {words}: {done.out}")
    return done.out


def finish(both):
    """As BothEnds.finish, and no sanitizer has complained."""
    both.daemon.kill(15)
    both.daemon.wait(60)
    assert "Sanitizer" not in both.daemon.out and "runtime error:" not in both.daemon.out, both.daemon.out
    clean(both.guest)


def bound_storage(both):
    """The bus id of the stick, bound, and its disk there."""
    bus_id = both.bus_id("46f4")
    both.cli(f"bind {bus_id}")
    both.guest.wait_for(f"test -n \"$({find_disk()})\"")
    return bus_id


# The kernel's own source and sink, as a gadget on the controller that connects a host to itself.
GADGET = """modprobe -a configfs libcomposite usb_f_ss_lb dummy_hcd && mount -t configfs none /sys/kernel/config &&
mkdir /sys/kernel/config/usb_gadget/zero && cd /sys/kernel/config/usb_gadget/zero &&
echo 0x0525 >idVendor && echo 0xa4a0 >idProduct && echo 0x0200 >bcdUSB &&
mkdir strings/0x409 && echo Zero >strings/0x409/product && mkdir configs/c.1 functions/SourceSink.0 && ln -s functions/SourceSink.0 configs/c.1/ && echo dummy_udc.0 >UDC"""


@case
def usbtest_on_a_gadget():
    """Halts, unlinked and queued transfers, odd lengths, vendor requests: against a device that the kernel brings."""
    with BothEnds(lambda directory: []) as both:
        g = both.guest
        g.run("mkdir -p /sys/kernel/config; " + GADGET)
        g.wait_for("usbwarp --socket /run/usbwarp.sock list | grep -q 0525:a4a0")
        both.cli(f"bind {both.bus_id('0525')}")
        g.run("modprobe usbtest alt=0")
        g.wait_for("ls /sys/bus/usb/drivers/usbtest/ | grep -q :")
        for number in BULK_CASES:
            run_usbtest(g, number, "-c 16 -s 1024 -g 8 -v 512")
        # Two queues of 2 MiB in 1 MiB of kernel memory: what the kernel refuses is tried again, and nobody hears of it.
        g.run("echo 1 >/sys/module/usbcore/parameters/usbfs_memory_mb")
        for number in (27, 28):
            run_usbtest(g, number, "-c 2 -s 65536 -g 32")
        equal(json.loads(both.cli("stats --json"))["scopes"][0]["values"]["errors"], 0, "errors")
        finish(both)


@case
def lists_and_refusals():
    def hardware(directory):
        return storage(directory) + ["-device", "usb-hub,bus=xhci.0,port=2,id=hub",
                                     "-device", "usb-kbd,bus=xhci.0,port=2.3"]

    with BothEnds(hardware, MODULES) as both:
        listed = both.cli("list")
        holds(listed, "QEMU QEMU USB HARDDRIVE", "storage", "hub", "input")
        hub = next(line.split()[0] for line in listed.splitlines() if "0409:55aa" in line)
        holds(refused(both, f"bind {hub}"), f"{hub} is a hub", f"{hub}.3")
        bus_id = bound_storage(both)
        holds(refused(both, f"bind {bus_id}"), "bound to VM vm1 already")
        holds(both.cli("status"), bus_id, "46f4:0001", "kernel memory", "both sides poll")
        # Another program that has claimed the device makes the bind fail, and nothing else.
        other = both.guest.start("usbwarpd --control /run/other.sock --usb yes --vm other:socket=/run/o.sock")
        both.guest.wait_for("usbwarp --socket /run/other.sock status")
        done = both.guest.run(f"usbwarp --socket /run/other.sock bind {bus_id} 2>&1", timeout=60, check=False)
        equal(done.code, 1, done.out)
        holds(done.out, "cannot be opened", "another program uses it")
        both.guest.run(f"usbwarp --socket /run/other.sock list | grep {bus_id}")
        other.kill(15)
        assert "Sanitizer" not in other.wait(60).out, other.out
        both.cli(f"unbind {bus_id}")
        both.guest.wait_for(f"test -z \"$({find_disk()})\" && ls -d /sys/block/sd*")  # its own driver has it back
        finish(both)


@case
def unplugging_ends_transfers():
    with BothEnds(lambda d: storage(d)[:-1] + ["usb-storage,bus=xhci.0,drive=stick,id=plug"], MODULES) as both:
        g = both.guest
        bus_id = bound_storage(both)
        reader = g.start(f"dd if=/dev/$({find_disk()}) of=/dev/null bs=64k iflag=direct 2>&1")
        g.run("sleep 0.2")
        g.qmp("device_del", {"id": "plug"})
        reader.wait(60)
        g.wait_for(f"test -z \"$({find_disk()})\"")
        g.wait_for(f"usbwarp --socket /run/usbwarp.sock list | grep '^{bus_id} ' | grep -q awaited")
        assert f"{bus_id} was unplugged" in both.daemon.out, both.daemon.out
        both.cli("status")
        both.daemon.kill(15)
        both.daemon.wait(60)
        assert "Sanitizer" not in both.daemon.out, both.daemon.out
        clean(g)


@case
def a_dead_worker_gives_the_device_to_the_next():
    with BothEnds(storage, MODULES) as both:
        g = both.guest
        bus_id = bound_storage(both)
        reader = g.start(f"dd if=/dev/$({find_disk()}) of=/dev/null bs=64k iflag=direct 2>&1")
        g.run("sleep 0.2")
        g.run(f"kill -9 {json.loads(both.cli('status --json'))['daemon']['worker']}")
        reader.wait(60)
        g.wait_for("usbwarp --socket /run/usbwarp.sock status | grep -q 'restarted 1 times'")
        g.wait_for(f"usbwarp --socket /run/usbwarp.sock list | grep {bus_id} | grep -q 'vm1, port'")
        g.wait_for(f"test -n \"$({find_disk()})\"")
        g.run(f"dd if=/dev/$({find_disk()}) of=/dev/null bs=64k count=64 iflag=direct", timeout=60)
        finish(both)


if __name__ == "__main__":
    main()
