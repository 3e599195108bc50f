#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The control socket: what it answers, and that malformed, hostile and impatient clients harm nobody."""
import grp
import os
import random
import socket
import struct
import threading

from harness import (BAD_VERSION, BIND, BODY_MAX, BOUND, COUNTER, DAEMON, DENIED, DEVICE, BUSY, HEADER, LIST, MAGIC,
                     MALFORMED, NO_DEVICE, NO_PORT, NO_VM, NOT_BOUND, OK, PATIENCE, PORT, STATS, STATUS, UNBIND,
                     UNKNOWN, VALUES, VERSION, VM, Control, Daemon, bind, case, equal, holds, main, padded, stats, text,
                     unbind, until)

SEED = int(os.environ.get("USBWARP_SEED", "1"))


def alive(daemon):
    """The daemon still serves, with the same worker, and has lost no binding."""
    with Control(daemon) as c:
        status, _, records = c.ask(LIST)
        equal(status, OK, "list")
        bound = [text(body[:32]) for kind, body in records if kind == DEVICE and body[64]]
    equal(bound, ["pico-1"], "bindings")
    equal(daemon.json("status")["daemon"]["restarts"], 0, "restarts")


def bound_daemon(**more):
    d = Daemon(models=["pico", "zero"], **more)
    return d


@case
def every_command_answers_in_its_form():
    with bound_daemon() as d, Control(d) as c:
        status, said, records = c.ask(LIST)
        equal((status, said), (OK, ""), "list")
        equal([(kind, text(body[:32])) for kind, body in records], [(DEVICE, "pico-1"), (DEVICE, "zero-1")], "devices")
        status, said, _ = c.ask(BIND, bind("pico-1"))
        equal(status, OK, said)
        holds(said, "pico-1", "port 1", "vm1")
        status, _, records = c.ask(STATUS)
        equal((status, [k for k, _ in records]), (OK, [DAEMON, VM, PORT]), "status")
        status, _, records = c.ask(STATS, stats())
        kinds = [k for k, _ in records]
        equal(kinds.count(VALUES), 2, "scopes")
        indices = [struct.unpack_from("<H", body)[0] for kind, body in records if kind == COUNTER]
        equal(indices, list(range(len(indices))), "counters in order")
        values = next(body for kind, body in records if kind == VALUES)
        equal(values[65], len(indices), "values are as many as counters")
        status, said, _ = c.ask(UNBIND, unbind("pico-1"))
        equal(status, OK, said)


@case
def refusals_name_their_reason():
    with bound_daemon(vms=["vm1", "vm2"]) as d, Control(d) as c:
        equal(c.ask(BIND, bind("pico-1"))[0], NO_VM, "which VM")
        equal(c.ask(BIND, bind("pico-1", "vm3"))[0], NO_VM, "unknown VM")
        equal(c.ask(BIND, bind("pico-9", "vm1"))[0], NO_DEVICE, "unknown device")
        equal(c.ask(BIND, bind("pico-1", "vm1"))[0], OK, "bind")
        for vm in ("vm1", "vm2"):
            status, said, _ = c.ask(BIND, bind("pico-1", vm))
            equal(status, BOUND, said)
            holds(said, "vm1")
        equal(c.ask(UNBIND, unbind("zero-1"))[0], NOT_BOUND, "unbind of a free device")
        equal(c.ask(UNBIND, unbind("nothing"))[0], NOT_BOUND, "unbind of nothing")
        equal(c.ask(STATS, stats(vm="vm3"))[0], NO_VM, "stats of no VM")
        equal(c.ask(STATS, stats(bus_id="zero-1"))[0], NOT_BOUND, "stats of a free device")
        equal(c.ask(STATS, stats(vm="vm2", bus_id="pico-1"))[0], NOT_BOUND, "stats of a device of another VM")
        equal(c.ask(STATS, stats(bus_id="pico-1"))[0], OK, "stats of a device")


@case
def ports_run_out():
    with Daemon(models=["zero"] * 17 + ["zero:speed=super"]) as d, Control(d) as c:
        for i in range(1, 16):
            equal(c.ask(BIND, bind(f"zero-{i}"))[0], OK, f"device {i}")
        status, said, _ = c.ask(BIND, bind("zero-16"))
        equal(status, NO_PORT, said)
        equal(c.ask(BIND, bind("zero-18"))[0], OK, "a super-speed port is still free")
        equal(c.ask(UNBIND, unbind("zero-3"))[0], OK, "unbind")
        status, said, _ = c.ask(BIND, bind("zero-16"))
        equal(status, OK, said)
        holds(said, "port 3")


def malformed_commands():
    """(what, bytes, status, does the connection end)"""
    def head(kind=LIST, length=0, magic=MAGIC, version=VERSION):
        return HEADER.pack(magic, version, kind, 7, length)

    good = bind("pico-1")
    yield "magic", head(magic=0x12345678), MALFORMED, True
    yield "byte order", head(magic=0x5557434C), MALFORMED, True
    yield "version 0", head(version=0), BAD_VERSION, True
    yield "version 2", head(version=2), BAD_VERSION, True
    yield "too long", head(BIND, BODY_MAX + 1), MALFORMED, True
    yield "length near 2^32", head(BIND, 0xFFFFFFFF), MALFORMED, True
    yield "length near 2^31", head(BIND, 0x7FFFFFF8), MALFORMED, True
    yield "command 0", head(0), UNKNOWN, False
    yield "command 9", head(9), UNKNOWN, False
    yield "command 65535", head(65535), UNKNOWN, False
    yield "an answer's type", head(256, 520) + bytes(520), UNKNOWN, False
    yield "unknown, with a body", head(77, 1024) + bytes(1024), UNKNOWN, False
    yield "list with a body", head(LIST, 4) + bytes(4), MALFORMED, False
    yield "bind without a body", head(BIND, 0), MALFORMED, False
    yield "bind too short", head(BIND, 79) + good[:79], MALFORMED, False
    yield "bind too long", head(BIND, 81) + good + b"\0", MALFORMED, False
    yield "reserved byte", head(BIND, 80) + good[:-1] + b"\1", MALFORMED, False
    yield "empty bus id", head(BIND, 80) + bytes(80), MALFORMED, False
    yield "endless bus id", head(BIND, 80) + b"a" * 32 + bytes(48), MALFORMED, False
    yield "endless VM", head(BIND, 80) + padded("pico-1") + b"a" * 32 + bytes(16), MALFORMED, False
    yield "bytes behind a name's end", head(BIND, 80) + padded(b"pico-1\0x") + bytes(48), MALFORMED, False
    yield "unbind's reserved bytes", head(UNBIND, 48) + padded("pico-1") + b"\xff" * 16, MALFORMED, False
    yield "endless names in stats", head(STATS, 80) + b"x" * 80, MALFORMED, False


@case
def malformed_messages_get_an_error():
    with bound_daemon() as d:
        d.cli("bind", "pico-1")
        for what, data, want, ends in malformed_commands():
            with Control(d) as c:
                c.send(data)
                status, said, records = c.answer()
                equal((status, records), (want, []), what)
                assert said, what
                if ends:
                    assert c.closed(), what
                else:
                    equal(c.ask(LIST)[0], OK, f"list after {what}")
            alive(d)


@case
def bus_ids_are_no_paths():
    with bound_daemon() as d, Control(d) as c:
        for bus_id in ["../../../etc", "1-1/../1-2", "usb1", "1-0:1.0", "%s%n%s%n", "1-1.", "-1", "1-"]:
            status, said, _ = c.ask(BIND, bind(bus_id))
            equal(status, NO_DEVICE, f"{bus_id!r}: {said}")
        for bus_id in [b"\x1b[2J", b"\xff" * 15, b"a b", b"a\n"]:
            status, said, _ = c.ask(BIND, bind(bus_id))
            equal(status, MALFORMED, f"{bus_id!r}: {said}")


@case
def messages_come_in_any_pieces():
    with bound_daemon() as d, Control(d) as c:
        message = HEADER.pack(MAGIC, VERSION, STATS, 9, 80) + stats()
        for byte in message:
            c.send(bytes([byte]))
        equal(c.answer(9)[0], OK, "byte by byte")
        c.send(message * 20)
        for _ in range(20):
            equal(c.answer(9)[0], OK, "many at once")


@case
def clients_that_leave_early_cost_nothing():
    with bound_daemon() as d:
        d.cli("bind", "pico-1")
        before = d.descriptors(d.worker())
        head = HEADER.pack(MAGIC, VERSION, BIND, 1, 80)
        for data in (b"", b"U", head, head + b"x" * 40,
                     HEADER.pack(MAGIC, VERSION, STATS, 1, 80) + stats()):
            for _ in range(50):
                with Control(d) as c:
                    c.send(data)
        alive(d)
        until(lambda: d.descriptors(d.worker()) <= before, "the descriptors to go")


@case
def a_client_that_never_reads_does_not_stop_others():
    with bound_daemon() as d:
        d.cli("bind", "pico-1")
        with Control(d) as deaf:
            message = HEADER.pack(MAGIC, VERSION, STATS, 9, 80) + stats()
            deaf.socket.settimeout(0.5)
            try:
                for _ in range(100000):
                    deaf.send(message)
            except TimeoutError:
                pass
            else:
                raise AssertionError("the daemon takes commands without end")
            alive(d)
            with open(f"/proc/{d.worker()}/status", encoding="ascii") as f:
                size = int(next(line for line in f if line.startswith("RssAnon:")).split()[1])
            equal(size < 300000, True, f"{size} KiB in the worker")
        alive(d)


@case
def many_clients_at_once():
    with bound_daemon() as d:
        d.cli("bind", "pico-1")
        failures = []

        def work():
            try:
                with Control(d) as c:
                    for _ in range(50):
                        equal(c.ask(STATUS)[0], OK, "status")
                        equal(c.ask(BIND, bind("pico-1"))[0], BOUND, "bind")
            except Exception as e:
                failures.append(e)

        threads = [threading.Thread(target=work) for _ in range(16)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        equal(failures, [], "failures")
        alive(d)


@case
def too_many_clients_are_told_so():
    with bound_daemon() as d:
        clients = [Control(d) for _ in range(64)]
        for c in clients:
            equal(c.ask(LIST)[0], OK, "list")
        with Control(d) as late:
            equal(late.answer(0)[0], BUSY, "the 65th")
            assert late.closed()
        clients.pop().__exit__()
        until(lambda: d.cli("list"), "room again")
        for c in clients:
            c.__exit__()


def as_stranger(groups, verdict):
    """Runs verdict in a process without any right but these groups; its result. Only root can become a stranger."""
    pid = os.fork()
    if not pid:
        good = False
        try:
            os.setgroups(groups)
            os.setgid(12345)
            os.setuid(12345)
            good = verdict()
        finally:
            os._exit(0 if good else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@case
def strangers_are_refused():
    def refused():
        with Control(d) as c:
            status, said, _ = c.answer(0)
            return status == DENIED and "usbwarp" in said and c.closed()

    if os.geteuid():
        return
    with bound_daemon() as d:
        os.chmod(d.control, 0o666)
        equal(as_stranger([], refused), True, "a stranger was refused")
        equal(d.cli("list")[1], "", "root")


@case
def members_of_the_group_are_served():
    def served():
        with Control(d) as c:
            return c.ask(LIST)[0] == OK

    if os.geteuid():
        return
    with bound_daemon(options=["--group", "daemon"]) as d:
        gid = grp.getgrnam("daemon").gr_gid
        equal((os.stat(d.control).st_gid, os.stat(d.control).st_mode & 0o777), (gid, 0o660), "group and mode")
        equal(as_stranger([54321, gid], served), True, "a member was served")
        try:
            equal(as_stranger([54321], served), False, "somebody else was not")
        finally:
            equal(d.cli("list")[1], "", "root")


@case
def only_the_owner_reaches_the_socket():
    with bound_daemon() as d:
        equal(os.stat(d.control).st_mode & 0o007, 0, "rights of others")
        equal(os.stat(d.socket()).st_mode & 0o077, 0, "rights of others at the VM's socket")


@case
def random_bytes_end_in_an_error():
    rng = random.Random(SEED)
    with bound_daemon() as d:
        d.cli("bind", "pico-1")
        templates = [HEADER.pack(MAGIC, VERSION, kind, 3, len(body)) + body for kind, body in
                     ((LIST, b""), (BIND, bind("pico-1")), (STATUS, b""), (STATS, stats()))]
        for _ in range(600):
            data = bytearray(b"".join(rng.choices(templates, k=rng.randint(1, 4))))
            for _ in range(rng.randint(1, 6)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            # A change may have made a valid unbind; then there is nothing wrong with its effect.
            with Control(d) as c:
                c.send(data[:rng.randint(1, len(data))])
                c.socket.shutdown(socket.SHUT_WR)
                c.socket.settimeout(10 * PATIENCE)
                try:
                    while c.socket.recv(65536):
                        pass
                except ConnectionResetError:
                    pass
        equal(d.json("status")["daemon"]["restarts"], 0, f"restarts, seed {SEED}")


if __name__ == "__main__":
    main()
