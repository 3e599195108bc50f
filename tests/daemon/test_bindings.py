#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Bindings that are remembered, moved and forgotten, with model devices."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Daemon, Directory, case, equal, holds, main, until  # noqa: E402


def placed(d):
    """Where each bound device is."""
    return {b: (v["vm"], v["port"]) for b, v in d.devices().items() if v["state"] == "attached"}


def state(d, bus_id):
    return d.devices().get(bus_id, {}).get("state")


@case
def a_restart_binds_again():
    with Directory() as directory:
        options = ["--bindings", os.path.join(directory.path, "bindings")]
        with Daemon(models=["pico", "zero"], options=options, directory=directory.path) as d:
            d.cli("bind", "zero-1")
            d.cli("bind", "pico-1")
            d.cli("unbind", "zero-1")
            equal(placed(d), {"pico-1": ("vm1", 2)}, "before")
        with open(options[1], encoding="ascii") as f:
            equal([line for line in f if line[0] != "#"], ["pico-1 vm1 2\n"], "the file")
        with Daemon(models=["pico", "zero"], options=options, directory=directory.path) as d:
            equal(placed(d), {"pico-1": ("vm1", 2)}, "at the port it had")
            d.cli("unbind", "pico-1")
        with Daemon(models=["pico", "zero"], options=options, directory=directory.path) as d:
            equal(placed(d), {}, "after unbinding")


@case
def the_state_directory_of_systemd_is_used():
    with Directory() as directory:
        os.environ["STATE_DIRECTORY"] = directory.path
        try:
            with Daemon(models=["pico"], directory=directory.path) as d:
                d.cli("bind", "pico-1")
        finally:
            del os.environ["STATE_DIRECTORY"]
        assert os.path.exists(os.path.join(directory.path, "bindings"))


@case
def a_broken_file_loses_nothing():
    with Directory() as directory:
        path = directory.file("bindings", b"pico-1 vm1 1\nwhat is this?\nzero-1 nowhere 0\n")
        with Daemon(models=["pico", "zero"], options=["--bindings", path], directory=directory.path) as d:
            holds(d.log(), "bindings:2: not", "kept as", "zero-1 is not bound: there is no VM nowhere")
            equal(placed(d), {"pico-1": ("vm1", 1)}, "bound")
            equal((state(d, "zero-1"), d.devices()["zero-1"]["vm"]), ("awaited", "nowhere"), "of a VM that may come back")
            d.cli("bind", "zero-1", "--vm", "vm1")
        with open(path + ".bad", "rb") as f:
            holds(f.read().decode(), "what is this?")
        try:
            Daemon(options=["--bindings", directory.path], directory=directory.path).start()
        except AssertionError as e:
            holds(str(e), "ended with 1", "Is a directory")
        else:
            raise AssertionError("a directory was taken for a file")


@case
def a_full_disk_is_said_and_nothing_stops():
    with Directory() as directory:
        os.mkdir(os.path.join(directory.path, "bindings.new"))
        path = os.path.join(directory.path, "bindings")
        with Daemon(models=["pico"], options=["--bindings", path], directory=directory.path) as d:
            d.cli("bind", "pico-1")
            until(lambda: "will be forgotten at the daemon's end" in d.log(), "the complaint")
            equal(placed(d), {"pico-1": ("vm1", 1)}, "bound")


@case
def hardware_ids_bind_what_fits():
    with Daemon(models=["pico", "pico", "zero"]) as d:
        pico = d.devices()["pico-1"]
        pattern = f"{pico['vendor']}:*"
        d.cli("bind", pattern)
        until(lambda: len(placed(d)) == 2, "both to be bound")
        equal(set(placed(d)), {"pico-1", "pico-2"}, "bound")
        equal(d.devices()[pattern]["state"], "awaited", "the pattern itself")
        row = next(line.split() for line in d.cli("list")[0].splitlines() if line.startswith(pattern))
        equal(row[:5], [pattern, "-", "-", "-", "vm1,"], "the row of a pattern")
        holds(d.cli("bind", pattern, code=1)[1], "already")
        holds(d.cli("unbind", "pico-1")[0], "plugged in anew")
        equal(set(placed(d)), {"pico-2"}, "left alone")
        d.cli("bind", "pico-1")
        equal(set(placed(d)), {"pico-1", "pico-2"}, "bound by hand")
        holds(d.cli("unbind", pattern)[0], "1 devices have left")
        equal(set(placed(d)), {"pico-1"}, "its own binding stays")
        holds(d.cli("unbind", pattern, code=1)[1], "is not bound")
        holds(d.cli("bind", "zzzz:1", code=1)[1], "neither a bus id nor VENDOR:PRODUCT")


@case
def devices_move():
    with Daemon(models=["pico"], vms=["a", "b"]) as d:
        d.cli("bind", "pico-1", "--vm", "a")
        holds(d.cli("bind", "pico-1", "--vm", "b", code=1)[1], "bound to VM a already")
        d.cli("move", "pico-1", "--vm", "b")
        equal(placed(d), {"pico-1": ("b", 1)}, "moved")
        holds(d.cli("move", "pico-1", "--vm", "b", code=1)[1], "bound to VM b already")
        holds(d.cli("move", "pico-1", "--vm", "c", code=1)[1], "no VM c")
        d.cli("unbind", "pico-1")
        d.cli("move", "pico-1", "--vm", "a")
        equal(placed(d), {"pico-1": ("a", 1)}, "a free device moves, too")


@case
def hardware_ids_move_with_their_devices():
    with Daemon(models=["pico", "pico"], vms=["a", "b"]) as d:
        d.cli("bind", "2e8a:*", "--vm", "a")
        until(lambda: len(placed(d)) == 2, "both to be bound")
        holds(d.cli("bind", "2e8a:*", "--vm", "b", code=1)[1], "usbwarp move")
        d.cli("move", "2e8a:*", "--vm", "b")
        equal({vm for vm, _ in placed(d).values()}, {"b"}, "where they are")
        equal(len(placed(d)), 2, "devices that are bound")


@case
def a_new_worker_has_the_bindings():
    with Daemon(models=["pico", "zero"]) as d:
        d.cli("bind", "pico-1")
        d.cli("bind", "1209:*")
        os.kill(d.worker(), 9)
        until(lambda: "serving again" in d.log(), "the next worker")
        equal(placed(d), {"pico-1": ("vm1", 1)}, "bound")
        equal(d.devices()["1209:*"]["state"], "awaited", "waited for")


@case
def what_a_worker_said_before_it_died_counts():
    """The keeper is busy while the worker binds and dies; each answer that was given holds."""
    with Daemon(models=["pico", "zero", "zero", "zero"]) as d:
        worker = d.worker()
        os.kill(d.process.pid, signal.SIGSTOP)
        for bus_id in ("pico-1", "zero-1", "zero-2", "zero-3"):
            d.cli("bind", bus_id)
        os.kill(worker, signal.SIGKILL)
        os.kill(d.process.pid, signal.SIGCONT)
        until(lambda: "serving again" in d.log(), "the next worker")
        equal(sorted(placed(d)), ["pico-1", "zero-1", "zero-2", "zero-3"], "bound")


@case
def what_was_tried_again_is_not_tried_on_and_on():
    """A device finds no port, and has one a little later; then the worker comes to rest."""
    count = 16
    options = [word for n in range(1, count + 1) for word in ("--bind", f"pico-{n}")]
    with Daemon(models=["pico"] * count, options=options) as d:
        until(lambda: f"pico-{count} is not bound" in d.log(), "the last one to be refused")
        equal(len(placed(d)), count - 1, "ports")
        d.cli("unbind", "pico-1")
        until(lambda: f"pico-{count}" in placed(d), "the last one to be bound", timeout=30)

        def used():
            with open(f"/proc/{d.worker()}/stat", encoding="ascii") as f:
                return f.read().split()[13:15]

        def rests():
            before = used()
            time.sleep(0.5)
            return used() == before

        until(rests, "the worker to rest", timeout=30)


if __name__ == "__main__":
    main()
