#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Lies that docs/THREAT-MODEL.md lists and that other tests do not tell: memory, silence, floods, answers to nothing."""
import fcntl
import os
import socket
import struct
import threading
import time

from harness import PATIENCE, Daemon, case, equal, holds, main, until
from ivshmem import EVENT_ACK, FULL, ST_OK, Driver, Qemu

PICO = (0x2e8a, 0x0005)
# <linux/fcntl.h>; Python names them only since 3.12
F_GET_SEALS, SEAL_SEAL, SEAL_SHRINK, SEAL_GROW = 1034, 1, 2, 4


def counters(d, vm="vm1"):
    return next(s["values"] for s in d.json("stats", "--vm", vm)["scopes"] if not s["port"])


def resident(pid):
    """Bytes of memory that the process has for itself."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as f:
        _, pages, shared, *_ = map(int, f.read().split())
    return (pages - shared) * os.sysconf("SC_PAGE_SIZE")


@case
def memory_keeps_its_size():
    """A region that shrank under the daemon would end it by SIGBUS."""
    with Daemon(models=["pico"]) as d, Qemu(d.socket()) as q:
        seals = fcntl.fcntl(q.memory, F_GET_SEALS)
        equal(seals & (SEAL_SEAL | SEAL_SHRINK | SEAL_GROW), SEAL_SEAL | SEAL_SHRINK | SEAL_GROW, "seals")
        size = os.fstat(q.memory).st_size
        for other in (0, 4096, size - 4096, size + 4096):
            try:
                os.ftruncate(q.memory, other)
            except PermissionError:
                continue
            raise AssertionError(f"the region took the size {other}")
        d.cli("bind", "pico-1")
        with Driver(q) as g:
            g.connected(1)
            equal(g.vendor(1), PICO, "device")


@case
def qemu_never_reads():
    """Its socket is full from the start, so the introduction has nowhere to go."""
    with Daemon(models=["pico"], vms=["vm1", "vm2"]) as d:
        with socket.socket(socket.AF_UNIX) as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            deaf.connect(d.socket("vm1"))
            d.cli("bind", "pico-1", "--vm", "vm2")
            with Qemu(d.socket("vm2")) as q, Driver(q) as g:
                equal(g.connected(1), FULL, "speed")
                equal(g.vendor(1), PICO, "device")
        until(lambda: not d.vm()["present"], "QEMU's departure")
        with Qemu(d.socket("vm1")) as q, Driver(q):
            pass


@case
def doorbells_without_end():
    """One guest rings as fast as it can; another's transfers go on, and nothing grows."""
    with Daemon(models=["pico"], vms=["vm1", "vm2"]) as d:
        d.cli("bind", "pico-1", "--vm", "vm2")
        with Qemu(d.socket("vm1")) as noisy, Qemu(d.socket("vm2")) as q, Driver(q) as g:
            g.connected(1)
            equal(g.vendor(1), PICO, "device")
            before = resident(d.worker())
            stop = threading.Event()
            rung = [0]

            def ring():
                while not stop.is_set():
                    try:
                        noisy.ring()
                        rung[0] += 1
                    except BlockingIOError:  # the eventfd's count is at its end: nobody reads it
                        break

            thread = threading.Thread(target=ring)
            thread.start()
            try:
                end = time.monotonic() + 1 * PATIENCE
                while time.monotonic() < end or rung[0] < 10000:
                    equal(g.vendor(1), PICO, "device")
            finally:
                stop.set()
                thread.join()
            assert rung[0] >= 10000, f"only {rung[0]} kicks"
            wakeups = counters(d)["wakeups"]
            assert 0 < wakeups <= rung[0], f"{wakeups} wake-ups of {rung[0]} kicks"
            grown = resident(d.worker()) - before
            assert grown < 4 << 20, f"{grown} bytes more"


@case
def acks_of_nothing():
    """Each is counted as rejected and changes nothing; the true one still counts."""
    with Daemon(models=["pico"]) as d:
        d.cli("bind", "pico-1")
        with Qemu(d.socket()) as q, Driver(q) as g:
            g.connected(1)
            until(lambda: counters(d)["port_events"] == 1, "the event")
            rejected = counters(d)["rejected"]
            lies = [(1, 0), (1, 1), (1, 2), (1, 0xffffffff), (2, 1), (16, 7)]
            for port, seq in lies:
                g.send(EVENT_ACK, struct.pack("<B3xI", port, seq))
            equal(g.vendor(1), PICO, "device")
            equal(counters(d)["rejected"] - rejected, len(lies), "rejected")
            equal(g.answers, {}, "answers to an ack")
            d.cli("unbind", "pico-1")
            g.connected(1, 0)
            d.cli("bind", "pico-1")
            g.connected(1)
            equal(g.reset(1), ST_OK, "reset")
        holds(d.cli("status")[0], "pico-1")


if __name__ == "__main__":
    main()
