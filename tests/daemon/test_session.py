#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Sessions: a guest finds its devices, keeps them over the death of the worker, and does not disturb other guests."""
import os
import random
import resource
import signal
import struct
import time

import ivshmem
from harness import Daemon, Directory, case, equal, holds, main, until
from ivshmem import (BULK, DOWN, FULL, HIGH, NONE, READY, SET_CONFIGURATION_1, SLOT, ST_INVALID, ST_NO_DEVICE, ST_OK,
                     ST_STALL, SUPER, Driver, Qemu)

PICO, ZERO = (0x2e8a, 0x0005), (0x0525, 0xa4a0)
HOST_CONSUMED = ivshmem.HOST_HOT + ivshmem.HOT_CONSUMED
CYCLES = int(os.environ.get("USBWARP_CYCLES", "20"))


def kill_worker(d):
    """kill -9; returns when the next worker serves."""
    old = d.worker()
    os.kill(old, signal.SIGKILL)
    until(lambda: d.log().count("serving again") == d.json("status")["daemon"]["restarts"] > 0 and d.worker() != old,
          "the next worker", 20)


@case
def a_guest_finds_its_device():
    with Daemon(models=["pico"]) as d:
        d.cli("bind", "pico-1")
        with Qemu(d.socket()) as q, Driver(q) as g:
            equal(g.connected(1), FULL, "speed")
            equal(g.vendor(1), PICO, "device")
            vm = d.vm()
            equal((vm["phase"], vm["guest"], vm["epoch"]), ("running", "test driver", g.epoch), "status")
            out, _ = d.cli("status")
            holds(out, "running", '"test driver"', "pico-1", "attached")
            out, _ = d.cli("stats", "pico-1")
            holds(out, "transfers_ok", "bytes_moved", "latency")
        until(lambda: not d.vm()["present"], "QEMU's departure")


@case
def devices_come_and_go_while_the_guest_runs():
    with Daemon(models=["pico", "zero", "zero:speed=super"]) as d:
        with Qemu(d.socket()) as q, Driver(q) as g:
            for _ in range(5):
                d.cli("bind", "zero-1")
                equal(g.connected(1), HIGH, "speed")
                d.cli("bind", "zero-2")
                equal(g.connected(16), SUPER, "speed")
                equal(g.vendor(16), ZERO, "device")
                d.cli("unbind", "zero-1")
                g.connected(1, NONE)
                d.cli("unbind", "zero-2")
                g.connected(16, NONE)
            equal(g.control(1, ivshmem.GET_DEVICE, 18)[0], ST_NO_DEVICE, "an empty port")


@case
def unbinding_ends_transfers_once_each():
    with Daemon(models=["pico"]) as d:
        d.cli("bind", "pico-1")
        with Qemu(d.socket()) as q, Driver(q) as g:
            g.connected(1)
            g.vendor(1)
            equal(g.control(1, SET_CONFIGURATION_1)[0], ST_OK, "configuration")
            idle = [g.submit(1, 0x82, BULK, 64, data=4096 * (i + 1)) for i in range(8)]
            until(lambda: d.vm()["transfers"] >= 7, "transfers with the device")
            d.cli("unbind", "pico-1")
            done = {ident: g.answer(ident)[0] for ident in idle}
            equal({s for s in done.values() if s not in (ST_OK, ST_NO_DEVICE)}, set(), f"statuses {done}")
            g.connected(1, NONE)


@case
def the_worker_dies_and_nothing_is_lost():
    with Daemon(models=["pico", "zero"], options=["--poll", "0"]) as d:
        d.cli("bind", "zero-1")
        d.cli("bind", "pico-1")
        with Qemu(d.socket()) as q, Driver(q) as g:
            equal((g.connected(1), g.connected(2)), (HIGH, FULL), "speeds")
            region, epoch = q.region(), g.epoch
            os.kill(d.worker(), signal.SIGKILL)
            assert q.interrupted(10, vector=1), "the keeper did not interrupt the guest"
            until(lambda: g.state() == READY and g.epoch_now() != epoch, "the next epoch")
            equal(g.epoch_now() - epoch, 1, "epochs count on")
            g.echo()
            equal((g.connected(1), g.connected(2)), (HIGH, FULL), "the same ports")
            equal(g.vendor(2), PICO, "device")
        with Qemu(d.socket()) as q:
            equal(q.region(), region, "region")
        equal({b: v["port"] for b, v in d.devices().items()}, {"pico-1": 2, "zero-1": 1}, "bindings")
        holds(d.cli("status")[0], "restarted 1 times")
        holds(d.log(), "was killed by signal 9")


@case
def the_guest_sees_down_in_between():
    with Daemon(models=["pico"]) as d:
        d.cli("bind", "pico-1")
        with Qemu(d.socket()) as q, Driver(q) as g:
            for _ in range(3):  # the third death in short succession is answered with a pause
                kill_worker(d)
                until(lambda: g.state() == READY, "the host")
            os.kill(d.worker(), signal.SIGKILL)
            until(lambda: g.state() == DOWN, "DOWN")
            start = time.monotonic()
            until(lambda: g.state() == READY, "the next worker", 20)
            assert time.monotonic() - start > 0.2, "no pause after the fourth death"
            holds(d.log(), "in short succession")
            g.echo()
            g.connected(1)
            equal(g.vendor(1), PICO, "device")


@case
def qemu_comes_and_goes():
    with Daemon(models=["pico"]) as d:
        d.cli("bind", "pico-1")
        epochs = set()
        for i in range(CYCLES):
            with Qemu(d.socket()) as q, Driver(q, incarnation=100 + i) as g:
                g.connected(1)
                equal(g.vendor(1), PICO, "device")
                assert g.epoch not in epochs, "an epoch came twice"
                epochs.add(g.epoch)


@case
def a_second_qemu_is_turned_away():
    with Daemon(models=["pico"]) as d:
        d.cli("bind", "pico-1")
        with Qemu(d.socket()) as q, Driver(q) as g:
            g.connected(1)
            for _ in range(3):
                try:
                    with Qemu(d.socket()):
                        raise AssertionError("two QEMUs on one region")
                except (ivshmem.Refused, ConnectionResetError):
                    pass
            equal(g.vendor(1), PICO, "the first one is not disturbed")
        holds(d.log(), "a second QEMU was turned away")


@case
def a_guest_reboots():
    with Daemon(models=["pico"]) as d:
        d.cli("bind", "pico-1")
        with Qemu(d.socket()) as q, Driver(q) as g:
            for i in range(CYCLES):
                g.connected(1)
                equal(g.vendor(1), PICO, "device")
                g.incarnation = 1000 + i
                g.begin()


@case
def two_vms_are_apart():
    with Daemon(models=["pico", "zero"], vms=["vm1", "vm2"]) as d:
        d.cli("bind", "pico-1", "--vm", "vm1")
        d.cli("bind", "zero-1", "--vm", "vm2")
        with Qemu(d.socket("vm1")) as q1, Driver(q1) as g1, Qemu(d.socket("vm2")) as q2, Driver(q2) as g2:
            assert q1.region() != q2.region(), "one region for two VMs"
            equal((g1.connected(1), g2.connected(1)), (FULL, HIGH), "speeds")
            equal((g1.vendor(1), g2.vendor(1)), (PICO, ZERO), "devices")
            # One guest's lies end its own session only.
            epoch = g2.epoch
            g1.put(g1.layout.sub_ring + g1.tx % g1.layout.sub_slots * SLOT, 0xdeadbeef)
            q1.ring()
            until(lambda: g1.epoch_now() != g1.epoch, "a new epoch for the liar")
            equal(g2.vendor(1), ZERO, "the other guest")
            equal(g2.epoch_now(), epoch, "the other guest's epoch")
            d.cli("unbind", "pico-1")
            d.cli("bind", "pico-1", "--vm", "vm2")
            equal(g2.connected(2), FULL, "a device that changed its VM")
            equal(g2.vendor(2), PICO, "that device")


@case
def a_polled_link_says_so():
    with Directory() as directory:
        directory.file("region", bytes(4 << 20))
        with Daemon(models=["pico"], vms=["vm1:file=@region"], directory=directory.path) as d:
            d.cli("bind", "pico-1")
            holds(d.cli("status")[0], "file", "both sides poll", "4 MiB")
            vm = d.vm()
            equal((vm["link"], vm["doorbell"], vm["interrupt"], vm["size"]), ("file", False, False, 4 << 20), "status")
            with PolledQemu(os.path.join(directory.path, "region")) as q, Driver(q) as g:
                equal(g.connected(1), FULL, "speed")
                equal(g.vendor(1), PICO, "device")


class PolledQemu:
    """A region that is a file: no server, no doorbell, no interrupt."""

    def __init__(self, path):
        self.path, self.host = path, 0

    def __enter__(self):
        self.memory = os.open(self.path, os.O_RDWR)
        return self

    def __exit__(self, *exc):
        os.close(self.memory)

    def ring(self):
        pass

    @staticmethod
    def interrupted(timeout, vector=0):
        time.sleep(min(timeout, 0.001))
        return False


def scsi(g, port, command, data=b"", length=0):
    """A command to the disk at a port: (CSW status, bytes read). The medium is addressed in blocks of 512 bytes."""
    size = len(data) or length
    at = g.layout.data
    cbw = struct.pack("<4sIIBBB16s", b"USBC", 1, size, 0 if data else 0x80, 0, len(command), command)
    g.memory[at:at + 31] = cbw
    equal(g.answer(g.submit(port, 0x02, BULK, 31))[0], ST_OK, "CBW")
    moved = b""
    if size:
        g.memory[at + 4096:at + 4096 + len(data)] = data
        status, _, actual = g.answer(g.submit(port, 0x02 if data else 0x81, BULK, size, data=4096))
        moved = g.memory[at + 4096:at + 4096 + actual]
        if status == ST_STALL:
            endpoint = 0x02 if data else 0x81
            equal(g.control(port, bytes([2, 1, 0, 0, endpoint, 0, 0, 0]))[0], ST_OK, "clear halt")
    equal(g.answer(g.submit(port, 0x81, BULK, 13, data=8192))[0], ST_OK, "CSW")
    return g.memory[at + 8192 + 12], moved


def write_10(lba, blocks):
    return struct.pack(">BBIBHB", 0x2a, 0, lba, 0, blocks, 0)


@case
def a_full_disk_is_a_medium_error():
    """The file's limit stands for a full file system: a write beyond it fails."""
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 20, 64 << 20))

    with Directory() as directory:
        os.truncate(directory.file("disk"), 128 << 20)
        with Daemon(models=["disk:file=@disk"], directory=directory.path, before_exec=limit) as d:
            d.cli("bind", "disk-1")
            with Qemu(d.socket()) as q, Driver(q) as g:
                g.connected(1)
                g.vendor(1)
                equal(g.control(1, SET_CONFIGURATION_1)[0], ST_OK, "configuration")
                scsi(g, 1, bytes(6))  # the first command meets "medium may have changed"
                equal(scsi(g, 1, write_10(1, 1), b"x" * 512)[0], 0, "a write below the limit")
                equal(scsi(g, 1, write_10(200000, 1), b"x" * 512)[0], 1, "a write beyond it")
                _, sense = scsi(g, 1, bytes([3, 0, 0, 0, 18, 0]), length=18)
                equal(sense[2] & 0x0f, 3, f"sense key of a medium error in {sense.hex()}")
                equal(scsi(g, 1, write_10(2, 1), b"y" * 512)[0], 0, "the disk still works")
            holds(d.log(), "disk-1: ", "File too large")
            equal(d.json("status")["daemon"]["restarts"], 0, "restarts")
        with open(os.path.join(directory.path, "disk"), "rb") as f:
            equal(f.read(2048)[512:1536], b"x" * 512 + b"y" * 512, "what was written")


@case
def random_slots_harm_nobody_else():
    """What a hostile guest writes costs it its session at most."""
    rng = random.Random(1)
    with Daemon(models=["pico", "zero"], vms=["vm1", "vm2"]) as d:
        d.cli("bind", "pico-1", "--vm", "vm1")
        d.cli("bind", "zero-1", "--vm", "vm2")
        with Qemu(d.socket("vm1")) as q, Driver(q) as g:
            for i in range(300):
                body = struct.pack("<IIIHH8sBBBxH18x", 0, 18, 0, 0, 0, ivshmem.GET_DEVICE, 1, 0x80, 0, 0)
                slot = bytearray(struct.pack("<HBBII48s", g.epoch & 0xffff, rng.randrange(1, 12), 0, g.rx, i % 4096,
                                             body))
                for _ in range(rng.randint(0, 4)):
                    slot[rng.randrange(len(slot))] = rng.randrange(256)
                at = g.layout.sub_ring + g.tx % g.layout.sub_slots * SLOT
                g.memory[at + 4:at + SLOT] = bytes(slot)
                g.tx = g.tx + 1 & 0xffffffff
                g.put(at, g.tx)
                q.ring()
                until(lambda: g.get(HOST_CONSUMED) == g.tx or g.epoch_now() != g.epoch, "the host to read on")
                while g.state() == READY and g.epoch_now() == g.epoch and g.poll():
                    pass
                if g.epoch_now() != g.epoch or i % 50 == 49:
                    g.incarnation += 1
                    g.begin()
        with Qemu(d.socket("vm2")) as q, Driver(q) as g:
            g.connected(1)
            equal(g.vendor(1), ZERO, "the other VM's device")
        equal(d.json("status")["daemon"]["restarts"], 0, "restarts")
        with Qemu(d.socket("vm1")) as q, Driver(q, incarnation=77) as g:
            g.connected(1)
            equal(g.vendor(1), PICO, "its own device, after a new session")


@case
def an_impossible_submission_is_answered():
    with Daemon(models=["pico"]) as d:
        d.cli("bind", "pico-1")
        with Qemu(d.socket()) as q, Driver(q) as g:
            g.connected(1)
            ident = g.submit(1, 0x80, 0, 0xffffffff, ivshmem.GET_DEVICE)
            equal(g.answer(ident)[0], ST_INVALID, "length near 2^32")
            equal(g.vendor(1), PICO, "device")


def fewest(d, worker):
    """Descriptors of the worker without those of clients that are just leaving."""
    counts = []
    for _ in range(10):
        counts.append(d.descriptors(worker))
        time.sleep(0.01)
    return min(counts)


@case
def descriptors_do_not_leak():
    with Daemon(models=["pico", "zero"]) as d:
        def cycle(i):
            d.cli("bind", "pico-1")
            with Qemu(d.socket()) as q, Driver(q, incarnation=10 + i) as g:
                g.connected(1)
                d.cli("bind", "zero-1")
                g.connected(2)
            d.cli("unbind", "pico-1")
            d.cli("unbind", "zero-1")
            until(lambda: not d.vm()["present"], "QEMU's departure")

        cycle(0)
        worker = d.worker()
        before = d.descriptors(), fewest(d, worker)
        for i in range(CYCLES):
            cycle(i + 1)
        equal((d.descriptors(), fewest(d, worker)), before, "descriptors of keeper and worker")
        keeper = d.descriptors()
        for _ in range(3):
            kill_worker(d)
        equal(d.descriptors(), keeper, "descriptors of the keeper after three workers")
        equal(fewest(d, d.worker()), before[1], "descriptors of the fourth worker")


def cpu_and_switches(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rpartition(")")[2].split()
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        voluntary = next(int(line.split()[1]) for line in f if line.startswith("voluntary_ctxt"))
    return int(fields[11]) + int(fields[12]), voluntary


@case
def an_idle_daemon_does_nothing():
    with Daemon(models=["pico"]) as d:
        d.cli("bind", "pico-1")
        with Qemu(d.socket()) as q, Driver(q) as g:
            g.connected(1)
            g.vendor(1)
            worker = d.worker()
            time.sleep(0.3)
            for pid in (worker, d.process.pid):
                before = cpu_and_switches(pid)
                time.sleep(1)
                equal(cpu_and_switches(pid), before, "processor time and wake-ups of an idle second")


@case
def stop_tells_the_guest():
    with Daemon(models=["pico"]) as d:
        d.cli("bind", "pico-1")
        with Qemu(d.socket()) as q, Driver(q) as g:
            g.connected(1)
            g.vendor(1)
            equal(g.control(1, SET_CONFIGURATION_1)[0], ST_OK, "configuration")
            g.submit(1, 0x82, BULK, 64, data=4096)
            equal(d.stop(), 0, "exit code")
            equal(g.state(), DOWN, "state of the host")
            assert q.interrupted(1, vector=0), "the guest was not interrupted"


if __name__ == "__main__":
    main()
