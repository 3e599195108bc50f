#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Several guests at once: devices move between them while they are used, and what befalls one leaves the other alone."""
import os
import random
import re
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import stack  # noqa: E402
from lab import case, clean, equal, main  # noqa: E402

MOVES = int(os.environ.get("USBWARP_MOVES", "200"))
BLOCK, BLOCKS, MAGIC = 512, 2048, 0x74617277
DEVICES = ["pico-1", "pico-2", "disk-1", "disk-2"]
MODULES = ["cdc-acm", "usb-storage", "sd_mod"]
# A device that is moved away in the middle of use is missed by its drivers, and they say so.
MISSED = r"I/O error|Synchroniz|DID_NO_CONNECT"


def stamped(path, disk):
    with open(path, "wb") as f:
        for block in range(BLOCKS):
            f.write(struct.pack("<4I", MAGIC, disk, block, 0) * (BLOCK // 16))


def rounds_of(path, disk):
    """How often blocks were written; each one is of that disk, in its place and of one piece."""
    total = 0
    with open(path, "rb") as f:
        for block in range(BLOCKS):
            data = f.read(BLOCK)
            equal(data, data[:16] * (BLOCK // 16), f"block {block} of disk {disk}")
            magic, owner, number, count = struct.unpack("<4I", data[:16])
            equal((magic, owner, number), (MAGIC, disk, block), f"stamp of block {block} of disk {disk}")
            total += count
    return total


class Pair:
    """A daemon with two VMs and four devices, and both guests with traffic on whatever they have."""

    def __init__(self):
        self.stack = stack.Stack(["pico", "pico", "disk:file=@one.img,speed=super", "disk:file=@two.img"],
                                 vms=["vm1", "vm2"])

    def __enter__(self):
        s = self.stack
        s.start, start = lambda: None, s.start
        s.__enter__()
        self.images = [os.path.join(s.directory, name) for name in ("one.img", "two.img")]
        for i, path in enumerate(self.images):
            stamped(path, i + 1)
        start()
        files = {"/traffic": stack.program("traffic")}
        self.guests = {}
        try:
            for vm in ("vm1", "vm2"):
                self.guests[vm] = s.guest(vm=vm, files=files, modules=MODULES).__enter__()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, *exc):
        for g in self.guests.values():
            g.__exit__(*exc)
        self.stack.__exit__(*exc)

    def start_traffic(self):
        self.jobs = {vm: g.start("/traffic /tmp/stop") for vm, g in self.guests.items()}

    def stop_traffic(self):
        """What each guest did: reads, writes, sums, visits."""
        done = {}
        for vm, g in self.guests.items():
            g.run("touch /tmp/stop")
            result = self.jobs[vm].wait(120)
            equal(result.code, 0, f"traffic in {vm}: {result.out}")
            done[vm] = [int(n) for n in re.findall(r"\d+", result.out.splitlines()[-1])]
        return done


@case
def devices_move_under_traffic():
    with Pair() as p:
        s, where = p.stack, {}
        seed = int(os.environ.get("USBWARP_SEED", time.time()))
        print("seed", seed)
        draw = random.Random(seed)
        for i, device in enumerate(DEVICES):
            where[device] = f"vm{i % 2 + 1}"
            s.bind(device, where[device])
        p.start_traffic()
        for _ in range(MOVES):
            device = draw.choice(DEVICES)
            where[device] = "vm2" if where[device] == "vm1" else "vm1"
            s.cli("move", device, "--vm", where[device])
            time.sleep(draw.choice((0, 0.05, 0.3, 1)))
        time.sleep(3)
        done = p.stop_traffic()
        print(done)
        equal({d["bus_id"]: d["vm"] for d in s.json("list")["devices"]}, where, "places at the end")
        for vm, counts in done.items():
            assert all(counts), f"{vm} did nothing of some kind: {counts}"
        assert sum(rounds_of(path, i + 1) for i, path in enumerate(p.images)) >= sum(c[1] for c in done.values())
        for g in p.guests.values():
            clean(g, MISSED)


@case
def one_guest_may_fail():
    """A guest that is killed, and one whose module is unloaded under load: the other one's traffic goes on."""
    with Pair() as p:
        s = p.stack
        for device, vm in zip(DEVICES, ("vm1", "vm2", "vm1", "vm2")):
            s.bind(device, vm)
        p.start_traffic()
        time.sleep(2)
        other = p.guests["vm2"]
        for _ in range(5):
            other.run("rmmod usbwarp; insmod /usbwarp.ko", timeout=120)
            time.sleep(1)
        p.guests["vm2"].kill()
        time.sleep(2)
        p.guests["vm1"].run("cat /proc/diskstats > /tmp/before")
        p.guests["vm1"].wait_for("! cmp -s /tmp/before /proc/diskstats")
        del p.guests["vm2"]
        done = p.stop_traffic()
        assert all(done["vm1"]), done
        clean(p.guests["vm1"])


if __name__ == "__main__":
    main()
