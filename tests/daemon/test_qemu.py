#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""usbwarp qemu-args: each form, each kind of link, each path that cannot be told, and QEMU's own opinion of the result."""
import json
import os
import shlex
import struct
import subprocess
import xml.etree.ElementTree as tree

from harness import VM, Daemon, Directory, case, cli, equal, holds, main, padded
from test_cli import Liar, end, record

SPACE = "http://libvirt.org/schemas/domain/qemu/1.0"
COMMAND_LINE = f"{{{SPACE}}}commandline"


def doorbell(vm, path, slot=1):
    return ["-device", f"pcie-root-port,id=usbwarp-port-{vm},chassis=250,slot={slot},pref64-reserve=2G",
            "-chardev", f"socket,id=usbwarp-door-{vm},path={path}",
            "-device", f"ivshmem-doorbell,id=usbwarp-link-{vm},bus=usbwarp-port-{vm},chardev=usbwarp-door-{vm},vectors=2"]


def plain(vm, path, size, slot=1):
    return ["-device", f"pcie-root-port,id=usbwarp-port-{vm},chassis=250,slot={slot},pref64-reserve=2G",
            "-object", f"memory-backend-file,id=usbwarp-memory-{vm},share=on,mem-path={path},size={size}",
            "-device", f"ivshmem-plain,id=usbwarp-link-{vm},bus=usbwarp-port-{vm},memdev=usbwarp-memory-{vm}"]


def libvirt_values(text):
    domain = tree.fromstring(f"<domain type='kvm' xmlns:qemu='{SPACE}'>{text}</domain>")
    return [arg.get("value") for arg in domain.find(COMMAND_LINE)]


@case
def one_line_for_a_shell():
    with Daemon() as d:
        out, err = d.cli("qemu-args")
        want = doorbell("vm1", d.socket())
        equal((out, err), (" ".join(want) + "\n", ""), "nothing needs quotes")
        equal(d.cli("qemu-args", "vm1")[0], out, "by name")
        equal(d.json("qemu-args"), {"vm": "vm1", "link": "ivshmem", "path": d.socket(), "arguments": want}, "JSON")
        equal(libvirt_values(d.cli("qemu-args", "--libvirt")[0]), want, "libvirt")
        holds(d.cli("qemu-args", "--libvirt")[0], f"xmlns:qemu='{SPACE}'")
        holds(d.cli("qemu-args", "--libvirt", "--json", code=2)[1], "take one")


@case
def which_vm():
    with Daemon(vms=["vm1", "work_2"]) as d:
        holds(d.cli("qemu-args", code=1)[1], "several", "vm1, work_2")
        holds(d.cli("qemu-args", "wrk", code=1)[1], "no VM wrk", "vm1, work_2")
        equal(d.json("qemu-args", "wrk", code=1)["status"], "no-vm", "JSON")
        equal(d.json("qemu-args", "work_2")["arguments"], doorbell("work_2", d.socket("work_2"), 2), "the second")


def shell(script, directory):
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, cwd=directory)
    return done.stdout.split("\n")[:-1]


@case
def odd_paths_are_quoted():
    """Commas are QEMU's matter, blanks and quotes the shell's, ampersands libvirt's."""
    with Directory() as directory:
        odd = os.path.join(directory.path, "it's <a> b & $c, d.sock")
        with Daemon(config=f"[vm vm1]\nsocket = {odd}\n".encode(), vms=[]) as d:
            want = doorbell("vm1", odd.replace(",", ",,"))
            out, err = d.cli("qemu-args")
            equal(shlex.split(out), want, "as Python's shell reads it")
            equal(shell(f"printf '%s\\n' {out}", directory.path), want, "as the shell reads it")
            holds(err, "eval", "$(...)")
            equal(d.json("qemu-args")["arguments"], want, "JSON")
            equal(libvirt_values(d.cli("qemu-args", "--libvirt")[0]), want, "libvirt")


@case
def a_file_is_plain_memory():
    with Directory() as directory:
        path = directory.file("region")
        os.truncate(path, 8 << 20)
        with Daemon(vms=["socket", f"polled:file={path}"]) as d:
            equal(d.json("qemu-args", "polled")["arguments"], plain("polled", path, 8 << 20, 2), "arguments")
            equal(d.json("qemu-args", "polled")["link"], "file", "link")


def status_of(name, path, kind):
    body = padded(name) + bytes(32) + padded(path, 128) + bytes(8) + struct.pack("<I", 32 << 20) + bytes(40)
    return record(VM, body + bytes([kind]) + bytes(256 - len(body) - 1)) + end()


@case
def what_cannot_be_told_is_refused():
    good = "/run/" + "x" * 118
    equal(len(good), 123, "the longest that is sure")
    for what, path, kind, part in (
            ("cut", good + "x", 0, "may have been cut"), ("cut in a character", good + "x" * 4, 1, "may have been cut"),
            ("relative", "vm1.sock", 0, "daemon's directory"), ("control", "/run/\x1b[2J", 0, "control characters"),
            ("inside", "/sys/bus/pci/devices/0000:00:05.0/resource2_wc", 1, "inside the VM"),
            ("Hyper-V", "", 2, "Hyper-V"), ("unknown", "/x", 3, "one release")):
        with Liar(status_of("vm1", path, kind)) as liar:
            out, err = cli("--socket", liar.path, "qemu-args", code=1)
            equal(out, "", what)
            holds(err, "vm1", part)
    with Liar(status_of("vm1", good, 0)) as liar:
        holds(cli("--socket", liar.path, "qemu-args")[0], f"path={good} ")
    with Liar(end()) as liar:
        holds(cli("--socket", liar.path, "qemu-args", code=1)[1], "no VM is served")


@case
def a_long_path_is_never_cut():
    with Directory() as directory:
        path = os.path.join(directory.path, "r" * 120)
        with open(path, "wb") as f:
            f.truncate(4 << 20)
        with Daemon(vms=[f"vm1:file={path}"]) as d:
            holds(d.cli("qemu-args", code=1)[1], "may have been cut")


@case
def qemu_takes_them():
    """Three VMs' arguments beside a root port of its own: QEMU starts, is seen on all links, and refuses migration."""
    with Directory() as directory:
        path = directory.file("region")
        os.truncate(path, 4 << 20)
        with Daemon(vms=["a", "b", f"c:file={path}"]) as d:
            arguments = [word for vm in "abc" for word in shlex.split(d.cli("qemu-args", vm)[0])]
            qemu = subprocess.Popen(
                ["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg", "-m", "64", "-nodefaults", "-display", "none",
                 "-nic", "none", "-S", "-qmp", "stdio", "-device", "pcie-root-port,id=other", *arguments],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            try:
                holds(qemu.stdout.readline(), "QMP")
                equal([d.vm(name)["present"] for name in "abc"], [True] * 3, "connected")
                blocked = [{"execute": "qmp_capabilities"}, {"execute": "migrate", "arguments": {"uri": "exec:cat"}}]
                print(*map(json.dumps, blocked), sep="\n", file=qemu.stdin, flush=True)
                equal(json.loads(qemu.stdout.readline()), {"return": {}}, "QMP")
                holds(qemu.stdout.readline(), "Migration is disabled when using feature 'peer mode' in device 'ivshmem'")
            finally:
                qemu.kill()
                equal(qemu.communicate()[1], "", "QEMU's words")


if __name__ == "__main__":
    main()
