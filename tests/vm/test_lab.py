#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Proves the lab itself: what the other VM tests rely on, each with something it must notice."""
import array
import glob
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading

from guest import Doorbell, Guest, GuestError, GuestTimeout, Plain, tree
from lab import case, clean, equal, main

HERE = os.path.dirname(os.path.abspath(__file__))
MIB = 1 << 20


def stick(path):
    """QEMU's own USB stick on its own xHCI: hardware of which nothing was written here."""
    return ["-device", "qemu-xhci,p2=8,id=xhci", "-drive", f"if=none,id=disk,format=raw,file={path}",
            "-device", "usb-storage,bus=xhci.0,drive=disk,id=stick"]


def random_file(folder, size):
    path = os.path.join(folder, "data")
    with open(path, "wb") as f:
        f.write(os.urandom(size))
    return path


def read_file(path):
    with open(path, "rb") as f:
        return f.read()


@case
def commands():
    with Guest() as g:
        equal(g.run("echo out; echo err >&2").out, "out\nerr\n", "both streams")
        equal(g.run("exit 3", check=False).code, 3, "exit code")
        equal(g.run("kill -9 $$", check=False).code, -9, "signal")
        equal(g.run("cat", stdin=b"").raw, b"", "empty input")
        try:
            g.run("false")
            raise AssertionError("a failing command passed")
        except GuestError:
            pass
        data = os.urandom(60_000)
        g.write("/tmp/data", data)
        equal(g.read("/tmp/data") == data, True, "random bytes there and back")
        clean(g)


@case
def background_and_timeout():
    with Guest() as g:
        job = g.start("echo begun; read line; echo got $line; sleep 1000", stdin=True)
        job.wait_for("begun")
        equal(g.run("echo meanwhile").out, "meanwhile\n", "a second command")
        job.feed(b"words\n")
        job.wait_for("got words")
        job.kill(signal.SIGTERM)
        equal(job.wait().code, -signal.SIGTERM, "killed")
        try:
            g.run("echo said; sleep 1000 & wait", timeout=1)
            raise AssertionError("no timeout")
        except GuestTimeout as e:
            assert "said" in str(e), e
        g.run("! pidof sleep")
        clean(g)


@case
def overlay():
    with tempfile.TemporaryDirectory() as d:
        script = os.path.join(d, "hello")
        with open(script, "w", encoding="ascii") as f:
            f.write("#!/bin/sh\necho hello\n")
        os.chmod(script, 0o755)
        [module] = glob.glob(tree() + "/root/lib/modules/*/kernel/drivers/usb/storage/usb-storage.ko")
        files = {"/opt/a/hello": script, "/usr/bin/openssl": "/usr/bin/perl", "/tests/storage.ko": module}
        with Guest(files=files, modules=["/tests/storage.ko delay_use=0"]) as g:
            equal(g.run("/opt/a/hello").out, "hello\n", "script")
            equal(g.run("openssl -e 'print 6 * 7'").out, "42", "dynamic program with its libraries")
            equal(g.run("cat /sys/module/usb_storage/parameters/delay_use").out, "0\n", "module with its dependencies")
            g.push(script, "/run/pushed")
            equal(g.run("/run/pushed").out, "hello\n", "pushed")
            g.pull("/run/pushed", script + ".back")
            equal(read_file(script + ".back"), read_file(script), "pulled")
            clean(g)


@case
def storage():
    with tempfile.TemporaryDirectory() as d:
        path = random_file(d, 8 * MIB)
        with Guest(extra_qemu=stick(path), modules=["xhci_pci", "usb-storage delay_use=0", "sd_mod"]) as g:
            g.wait_for("[ -b /dev/sda ]")
            assert "46f4:0001" in g.run("lsusb").out, g.run("lsusb").out
            sector = g.run("dd if=/dev/sda bs=512 skip=4321 count=1 2>/dev/null").raw
            equal(sector, read_file(path)[4321 * 512:4322 * 512], "sector 4321")
            digest = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout.split()[0]
            equal(g.run("sha256sum </dev/sda").out.split()[0], digest, "the whole stick")
            g.qmp("device_del", {"id": "stick"})
            g.wait_event("DEVICE_DELETED", device="stick")
            g.wait_for("[ ! -e /dev/sda ]")
            clean(g)


@case
def filesystems():
    with tempfile.TemporaryDirectory() as d:
        path = random_file(d, 16 * MIB)
        with Guest(extra_qemu=stick(path), modules=["xhci_pci", "usb-storage delay_use=0", "sd_mod"]) as g:
            g.wait_for("[ -b /dev/sda ]")
            for make, kind in ("mkfs.ext4 -q -F", "ext4"), ("mkdosfs", "vfat"):
                g.run(f"{make} /dev/sda && mount -t {kind} /dev/sda /mnt && echo kept >/mnt/f"
                      f" && umount /mnt && mount -t {kind} /dev/sda /mnt && grep kept /mnt/f && umount /mnt")
            clean(g)


# The gadget that usbtest is made for, from configfs: g_zero itself is not in Debian's kernel.
GADGET = """
    set -e
    modprobe -a dummy_hcd usb_f_ss_lb
    mount -t configfs none /sys/kernel/config
    mkdir /sys/kernel/config/usb_gadget/zero
    cd /sys/kernel/config/usb_gadget/zero
    echo 0x0525 >idVendor
    echo 0xa4a0 >idProduct
    mkdir configs/c.1 functions/SourceSink.0
    ln -s functions/SourceSink.0 configs/c.1/
    echo dummy_udc.0 >UDC
"""


@case
def usbtest_and_gadget():
    with Guest() as g:
        g.run(GADGET)
        g.run("modprobe usbtest alt=0")
        g.wait_for("ls /sys/bus/usb/drivers/usbtest/ | grep -q :")
        for n in 0, 1, 2, 9, 10:
            out = g.run(f"testusb -a -t {n} -c 5 -s 512").out
            assert f"test {n}," in out, out  # a test that was skipped prints nothing
        g.run("echo >/sys/kernel/config/usb_gadget/zero/UDC")
        clean(g)


@case
def two_processors_and_reset():
    with Guest(smp=2, modules=["usbmon"]) as g:
        equal(g.run("nproc").out, "2\n", "processors")
        g.write("/tmp/old", b"x")
        job = g.start("sleep 1000")
        g.reset()
        g.run("[ ! -e /tmp/old ] && [ -e /sys/module/usbmon ]")
        try:
            job.wait()
            raise AssertionError("a command outlived the reset")
        except GuestError:
            pass
        g.poweroff()
        clean(g)


@case
def reboot_from_inside():
    with Guest(no_reboot=False) as g:
        g.start("reboot -f")
        g.wait_boot(2)
        equal(g.run("echo again").out, "again\n", "second life")


def bar2(g, n):
    """The sysfs folder of link n's PCI device and the address of its region."""
    paths = g.run("grep -l 0x1af4 /sys/bus/pci/devices/*/vendor").out.split()
    paths = [p for p in map(os.path.dirname, paths) if g.run(f"cat {p}/device").out.strip() == "0x1110"]
    return paths[n], int(g.run(f"sed -n 3p {paths[n]}/resource").out.split()[0], 16)


@case
def plain_links():
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as f:
        f.truncate(32 * MIB)
        f.write(b"from the host")
        f.flush()
        with Guest(links=[f.name, Plain(f.name)]) as g:
            for n in 0, 1:
                path, address = bar2(g, n)
                assert address >= 1 << 32, hex(address)
                g.run(f"echo 1 >{path}/enable")
                equal(g.run(f"devmem {address:#x} 32").out.strip(), "0x6D6F7266", "what the host wrote")
            g.run(f"devmem {address + 4096:#x} 32 0x12345678")
            equal(g.run(f"devmem {bar2(g, 0)[1] + 4096:#x} 32").out.strip(), "0x12345678", "seen in the other device")
            clean(g)
        f.seek(4096)
        equal(f.read(4), b"\x78\x56\x34\x12", "what the guest wrote")


def serve_doorbell(listener, region, bells):
    """The part of ivshmem's server that one QEMU needs: region, a peer 1 with its bells, the guest as peer 0."""
    def message(value, fd=None):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))] if fd is not None else []
        connection.sendmsg([struct.pack("<q", value)], rights)

    connection, _ = listener.accept()
    with connection:
        message(0)
        message(0)
        message(-1, region)
        for bell in bells[2:]:
            message(1, bell)
        for bell in bells[:2]:
            message(0, bell)
        connection.recv(1)  # until QEMU ends


@case
def doorbell_link():
    with tempfile.TemporaryDirectory() as d, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.join(d, "s"))
        listener.listen()
        region = os.memfd_create("region")
        os.truncate(region, 4 * MIB)
        bells = [os.eventfd(0) for _ in range(4)]
        server = threading.Thread(target=serve_doorbell, args=(listener, region, bells))
        server.start()
        with Guest(links=[Doorbell(os.path.join(d, "s"))]) as g:
            path, address = bar2(g, 0)
            assert address >= 1 << 32, hex(address)
            g.run(f"echo 1 >{path}/enable")
            registers = int(g.run(f"head -n 1 {path}/resource").out.split()[0], 16)
            g.run(f"devmem {registers + 12:#x} 32 {1 << 16 | 1:#x}")  # doorbell: peer 1, vector 1
            equal(os.eventfd_read(bells[3]), 1, "the bell rang")
            clean(g)
        server.join()
        for fd in [region] + bells:
            os.close(fd)


@case
def sees_complaints():
    # A guest for each: what sleeps with a lock has a wrong count of locks from then on, and may spin for ever.
    for what, said, line in (
            ("warn", "do_warn+", "WARNING: "),
            ("atomic_sleep", "do_atomic_sleep+", "scheduling while atomic|sleeping function called"),
            ("oops", "do_oops+", "BUG: kernel NULL pointer|general protection fault")):  # the latter with KASAN
        with Guest(modules=["provoke"]) as g:
            clean(g)
            g.start(f"echo {what} >/sys/module/provoke/parameters/do")
            g.wait_console(said)
            assert any(re.search(line, found) for found in g.clean_log()), (what, g.clean_log())
            equal(g.clean_log(allow="."), [], "allowed lines")


@case
def sees_hung_task():
    with Guest(modules=["provoke"]) as g:
        g.run("echo 1 >/proc/sys/kernel/hung_task_timeout_secs")
        g.start("echo hang >/sys/module/provoke/parameters/do")
        g.wait_console("blocked for more than")
        assert g.clean_log()


@case
def sees_panic():
    with Guest() as g:
        try:
            g.run("echo c >/proc/sysrq-trigger")
            raise AssertionError("the guest survived a panic")
        except GuestError:
            pass
        assert any("Kernel panic" in line for line in g.clean_log()), g.console()[-2000:]


@case
def bad_arguments_are_explained():
    try:
        with Guest(extra_qemu=["-device", "no-such-device"]):
            pass
        raise AssertionError("QEMU took a device that does not exist")
    except GuestError as e:
        assert "no-such-device" in str(e), e


@case
def nothing_left_behind():
    """QEMU ends with its test, even when that is killed in a way that it cannot notice."""
    code = ("import os, signal, sys; sys.path.insert(0, %r); from guest import Guest\n"
            "with Guest() as g:\n print(g.process.pid, flush=True); os.kill(os.getpid(), signal.%s)\n")
    for name in "SIGKILL", "SIGINT":
        out = subprocess.run([sys.executable, "-c", code % (HERE, name)], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, check=False).stdout
        try:
            fd = os.pidfd_open(int(out))
        except ProcessLookupError:
            continue
        signal.pidfd_send_signal(fd, 0)  # a process that is ending may still have its number
        assert select.select([fd], [], [], 10)[0], f"QEMU outlived {name}"
        os.close(fd)


if __name__ == "__main__":
    main()
