#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The command line: exit codes, tables, JSON, help, suggestions, and daemons that are not there or talk nonsense."""
import json
import os
import re
import socket
import struct
import subprocess
import threading

from harness import (BIN, DEVICE, END, HEADER, LENGTHS, MAGIC, NO_DEVICE, VERSION, Daemon, Directory, case, cli, equal,
                     holds, main, padded)

COMMANDS = ["list", "bind", "unbind", "status", "stats", "qemu-args", "version", "help"]


@case
def help_is_everywhere():
    for words in (["help"], ["--help"], ["-h"]):
        out, err = cli(*words)
        equal(err, "", words)
        holds(out, *COMMANDS)
    for command in COMMANDS:
        out, _ = cli(command, "--help")
        holds(out, "Usage: usbwarp " + command, "--json", "--socket", "--help")
        equal(cli("help", command)[0], out, f"help {command}")
        assert max(map(len, out.splitlines())) <= 80, out


@case
def wrong_usage_is_code_2():
    for words, part in ((["list", "--frob"], "frob"), (["bind"], "which device"), (["unbind"], "which device"),
                        (["list", "x"], "what is x"), (["bind", "a", "b"], "what is b"), (["frob"], "no command frob"),
                        (["--frob"], "usbwarp help"), (["bind", "a" * 32], "31 bytes"),
                        (["bind", "a", "--vm", "b" * 40], "31"), (["help", "frob"], "frob"),
                        (["stats", "--watch", "--json"], "take one"), (["bind", "a", "--vm"], "vm"),
                        (["list", "--free", "--bound"], "take --free or --bound")):
        out, err = cli(*words, code=2)
        equal(out, "", f"stdout of {words}")
        holds(err, part)
    holds(cli(code=2)[0], "Usage:")


@case
def slips_get_a_suggestion():
    for typed, meant in (("lits", "list"), ("bnd", "bind"), ("unbid", "unbind"), ("statsu", "status"),
                         ("stat", "stats"), ("hepl", "help"), ("versoin", "version")):
        holds(cli(typed, code=2)[1], f"Did you mean usbwarp {meant}?")
    assert "Did you mean" not in cli("zzzzzz", code=2)[1]
    with Daemon(models=["pico", "zero"]) as d:
        holds(d.cli("bind", "pcio-1", code=1)[1], "no device pcio-1", "Did you mean pico-1?")
        assert "Did you mean" not in d.cli("bind", "7-2.4.1", code=1)[1]
        d.cli("bind", "pico-1")
        holds(d.cli("unbind", "pico-2", code=1)[1], "not bound", "Did you mean pico-1?")
        equal(d.json("bind", "pcio-1", code=1)["status"], "no-device", "JSON has no suggestion in its way")


@case
def no_daemon_is_code_3():
    with Directory() as d:
        missing, stale = os.path.join(d.path, "missing"), os.path.join(d.path, "stale")
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(stale)
        for path in (missing, stale):
            out, err = cli("--socket", path, "list", code=3)
            equal(out, "", "stdout")
            holds(err, "usbwarpd does not run", path, "--socket")
            equal(cli("list", code=3, env={"USBWARP_SOCKET": path}), (out, err), "the variable instead of the option")
            holds(cli("status", "--socket", path, code=3)[1], path)
        equal(json.loads(cli("--socket", missing, "list", "--json", code=3)[0])["status"], "unreachable", "JSON")
        holds(cli("--socket", "/" + "x" * 200, "list", code=3)[1], "File name too long")
        holds(cli("--socket", missing, "version")[0], "usbwarp ")


@case
def tables_are_aligned():
    with Daemon(models=["pico", "zero", "zero:speed=super"]) as d:
        d.cli("bind", "zero-2")
        lines = d.cli("list")[0].splitlines()
        for head in ("ID", "SPEED", "CLASS", "BOUND TO", "DESCRIPTION"):
            at = re.search(rf"(?<=  ){head}(?=  |$)", lines[0]).start()
            for line in lines[1:]:
                assert line[at - 2:at] == "  " and line[at] != " ", (head, line)
        holds(lines[3], "zero-2", "0525:a4a0", "super", "vendor", "vm1, port 16")
        equal([line.rstrip() for line in lines], lines, "no blanks at the ends")


@case
def json_is_json():
    with Daemon(models=["pico", "zero"]) as d:
        equal(d.json("bind", "pico-1"), {"status": "ok", "text": "pico-1 is at port 1 of VM vm1"}, "bind")
        listed = d.devices()["pico-1"]
        equal({k: listed[k] for k in ("vendor", "product", "speed", "state", "vm", "port", "backend")},
              {"vendor": "2e8a", "product": "0005", "speed": "full", "state": "attached", "vm": "vm1", "port": 1,
               "backend": "model"}, "list")
        status = d.json("status")
        equal([v["name"] for v in status["vms"]], ["vm1"], "VMs")
        equal([p["bus_id"] for p in status["vms"][0]["ports"]], ["pico-1"], "ports")
        equal((status["vms"][0]["phase"], status["daemon"]["usb"]), ("offered", False), "state")
        stats = d.json("stats")
        names = [c["name"] for c in stats["counters"]]
        equal([set(s["values"]) for s in stats["scopes"]], [set(names)] * 2, "counters of VM and port")
        assert all(c["unit"] and c["meaning"] for c in stats["counters"])
        equal(d.json("stats", "pico-1")["scopes"][0]["bus_id"], "pico-1", "one device")
        equal(d.json("unbind", "pico-1")["status"], "ok", "unbind")
        equal(d.json("unbind", "pico-1", code=1)["status"], "not-bound", "again")
        equal(set(d.json("version")), {"usbwarp", "daemon"}, "version")


@case
def watching_shows_what_a_second_brings():
    with Daemon(models=["pico"]) as d:
        d.cli("bind", "pico-1")
        with subprocess.Popen([os.path.join(BIN, "usbwarp"), "--socket", d.control, "stats", "--watch", "--all"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as p:
            said = p.stdout.readline()
            while "PER SECOND" not in said:
                said += p.stdout.readline()
            holds(said, "\x1b[H\x1b[2J", "VM vm1")
            equal(d.stop(), 0, "exit code of the daemon")
            holds(said + p.stdout.read(), "submissions", "pico-1")
            holds(p.stderr.read(), "went away")
            equal(p.wait(30), 3, "exit code when the daemon went away")


@case
def bus_ids_alone():
    with Daemon(models=["pico", "zero"]) as d:
        equal(d.cli("list", "--bus-ids")[0], "pico-1\nzero-1\n", "bus ids")


@case
def lists_of_one_kind():
    with Daemon(models=["pico", "zero"], vms=["vm1", "work"]) as d:
        equal(d.cli("list", "--bound")[0], "No device is bound.\n", "nothing is bound")
        d.cli("bind", "zero-1", "--vm", "work")
        equal(d.cli("list", "--bus-ids", "--free")[0], "pico-1\n", "free")
        equal(d.cli("list", "--bus-ids", "--bound")[0], "zero-1\n", "bound")
        equal([x["bus_id"] for x in d.json("list", "--free")["devices"]], ["pico-1"], "free, as JSON")
        holds(d.cli("list", "--bound")[0], "zero-1", "work, port")
        d.cli("bind", "pico-1", "--vm", "vm1")
        equal(d.cli("list", "--free", "--bus-ids")[0], "", "nothing is free")
        equal(d.cli("list", "--free")[0], "No device is free.\n", "nothing is free, for people")
        equal(d.cli("status", "--vms")[0], "vm1\nwork\n", "VMs")


@case
def refusals_are_code_1():
    with Daemon(models=["pico"], vms=["vm1", "vm2"]) as d:
        holds(d.cli("bind", "pico-1", code=1)[1], "--vm", "vm1", "vm2")
        holds(d.cli("bind", "pico-1", "--vm", "vm3", code=1)[1], "no VM vm3", "vm1", "vm2")
        holds(d.cli("bind", "pico-1", "--vm", "vm2")[0], "VM vm2")
        holds(d.cli("bind", "pico-1", "--vm", "vm1", code=1)[1], "bound to VM vm2 already")
        holds(d.cli("stats", "nothing", code=1)[1], "usbwarp list")


class Liar:
    """Listens as usbwarpd would, takes one command, and answers with given bytes."""

    def __init__(self, *answers):
        self.answers = answers

    def __enter__(self):
        self.directory = Directory().__enter__()
        self.path = os.path.join(self.directory.path, "control.sock")
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(self.path)
        self.socket.listen()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        return self

    def serve(self):
        for answer in self.answers:
            peer, _ = self.socket.accept()
            with peer:
                peer.recv(4096)
                peer.sendall(answer)

    def __exit__(self, *exc):
        self.thread.join(10)
        self.socket.close()
        self.directory.__exit__()


def record(kind, body, magic=MAGIC, version=VERSION, length=None):
    return HEADER.pack(magic, version, kind, 1, len(body) if length is None else length) + body


def end(status=0, said=b""):
    return record(END, struct.pack("<H6x", status) + padded(said, 512))


@case
def nonsense_from_the_daemon_is_noticed():
    for what, answer, code in (
            ("silence", b"", 3), ("half a header", b"UWCL\1\0", 3),
            ("another protocol", b"HTTP/1.1 400 Bad Request\r\n\r\n", 4),
            ("version", record(END, bytes(520), version=2), 4), ("type", record(999, b""), 4),
            ("length", record(END, bytes(519)), 4), ("huge length", record(END, b"", length=0xffffffff), 4),
            ("body cut off", record(END, bytes(519), length=520), 3), ("no end", record(DEVICE, bytes(208)), 3),
            ("a version of its own", end(2, b"other version"), 4)):
        with Liar(answer) as liar:
            out, err = cli("--socket", liar.path, "list", code=code)
            equal(out, "", what)
            assert err.startswith("usbwarp: ") and len(err) > 20, (what, err)


@case
def hostile_text_reaches_no_terminal():
    nasty = b"\x1b[31mred\x07 \xff\xfe \xc0\xaf \xed\xa0\x80 \xe2\x80\xae nice \xc3\xa9\xf0\x9f\x98\x80\x7f\n"
    device = padded(b"1-1\x1b[2J") + padded("usb") + bytes(32) + padded(nasty, 96) + bytes(16)
    endless = b"\xff" * LENGTHS[DEVICE]
    with Liar(record(DEVICE, device) + record(DEVICE, endless) + end()) as liar:
        out, _ = cli("--socket", liar.path, "list")
        equal([c for c in out if c != "\n" and (ord(c) < 0x20 or 0x7f <= ord(c) < 0xa0 or c == "\u202e")], [],
              "controls")
        holds(out, "red", "nice \u00e9\U0001f600")
    with Liar(record(DEVICE, device) + record(DEVICE, endless) + end()) as liar:
        raw, _ = cli("--socket", liar.path, "list", "--json")
        got = json.loads(raw)["devices"][0]
        holds(got["description"], "\x1b[31mred\x07", "\ufffd", "nice \u00e9\U0001f600\x7f\n")
        equal(got["bus_id"], "1-1\x1b[2J", "bus id")
        equal([c for c in raw if ord(c) < 0x20 and c != "\n"], [], "raw controls in JSON")
    with Liar(end(NO_DEVICE, b"there is no \x1b]0;title\x07device")) as liar:
        _, err = cli("--socket", liar.path, "status", code=1)
        assert "\x1b" not in err and "\x07" not in err, err


@case
def a_thousand_devices():
    one = padded("usb") + bytes(32) + padded("thing", 96) + bytes(16)
    answer = b"".join(record(DEVICE, padded(f"1-{i}") + one) for i in range(1000)) + end()
    with Liar(answer) as liar:
        equal(len(cli("--socket", liar.path, "list", "--bus-ids")[0].splitlines()), 1000, "lines")


if __name__ == "__main__":
    main()
