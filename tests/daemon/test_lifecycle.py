#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Start and end of the daemon: sockets, locks, signals, rights, and files that are not as they should be."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from harness import BIN, Daemon, Directory, case, cli, equal, holds, main, until
from ivshmem import ST_OK, Driver, Qemu


def fails(daemon, *parts, code=1):
    """The daemon ends with code, says all parts, and leaves no socket of its own behind."""
    daemon.spawn()
    try:
        equal(daemon.process.wait(30), code, "exit code; log:\n" + daemon.log())
        holds(daemon.log(), *parts)
    finally:
        daemon.remove()
    return daemon.log() if os.path.exists(daemon.log_path) else ""


def ended(pid):
    """A process is no more; whose parent is dead may stay a zombie for a while."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return f.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_directory(test):
    """Hands test a directory."""
    def run():
        with Directory() as d:
            test(d)
    run.__name__ = test.__name__
    return case(run)


@test_directory
def a_second_daemon_is_refused(directory):
    with Daemon(models=["pico"], directory=directory.path) as d:
        d.cli("bind", "pico-1")
        fails(Daemon(directory=directory.path, vms=["other"]), "control.sock: another usbwarpd serves this socket")
        fails(Daemon(directory=directory.path, control="other.sock"), "vm1.sock: another usbwarpd serves this socket")
        equal(d.devices()["pico-1"]["state"], "attached", "the first daemon's binding")
        with Qemu(d.socket()) as q, Driver(q) as g:
            g.connected(1)


@test_directory
def a_stale_socket_is_removed(directory):
    d = Daemon(directory=directory.path).start()
    until(lambda: d.cli("status"), "an answer")
    worker = d.worker()
    d.process.kill()
    d.process.wait()
    until(lambda: ended(worker), "the worker to follow its keeper")
    assert os.path.exists(d.control) and os.path.exists(d.socket()), "sockets of a killed daemon"
    with Daemon(directory=directory.path) as again:
        again.cli("list")
        holds(again.log(), "removing the socket of a daemon that ended without cleaning up")


@test_directory
def what_is_no_socket_of_ours_is_left_alone(directory):
    path = directory.file("control.sock", b"precious")
    fails(Daemon(directory=directory.path), "control.sock: exists and is no socket")
    with open(path, "rb") as f:
        equal(f.read(), b"precious", "the file")
    os.remove(path)
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)
        s.listen()
        fails(Daemon(directory=directory.path), "control.sock: another program listens there")
        assert os.path.exists(path)


@test_directory
def impossible_places_are_named(directory):
    for control, part in (("none/control.sock", "No such file or directory"), ("x" * 120, "too long for a socket")):
        d = Daemon(directory=directory.path, control=control)
        d.log_path = os.path.join(directory.path, "log")
        fails(d, part)
    fails(Daemon(directory=directory.path, vms=["vm1:socket=/proc/x.sock"]), "/proc/x.sock: ")


@case
def the_default_directory_belongs_to_us():
    with tempfile.TemporaryDirectory() as runtime, tempfile.TemporaryDirectory() as programs:
        os.chmod(runtime, 0o755)
        os.chmod(programs, 0o755)  # where they were built may be closed to other users
        daemon, cli = (shutil.copy(os.path.join(BIN, name), programs) for name in ("usbwarpd", "usbwarp"))
        directory = os.path.join(runtime, "usbwarp")
        command = [daemon, "--config", "/dev/null", "--usb", "no"]
        env = {**os.environ, "XDG_RUNTIME_DIR": runtime}
        as_user = {} if os.geteuid() else {"user": 12345, "group": 12345, "extra_groups": []}
        if as_user:
            os.chown(runtime, 12345, 12345)
        os.mkdir(directory)
        os.chmod(directory, 0o777)
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=env, check=False, **as_user)
        equal(done.returncode, 1, done.stderr)
        holds(done.stderr, "nobody else may write to")
        os.rmdir(directory)
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env, **as_user) as p:
            until(lambda: os.path.exists(directory + "/control.sock"), "the socket")
            listed = subprocess.run([cli, "status"], capture_output=True, text=True, timeout=30, env=env,
                                    check=False, **as_user)
            equal((listed.returncode, "VM default" in listed.stdout), (0, True), listed.stdout + listed.stderr)
            p.send_signal(signal.SIGTERM)
            said = p.communicate(timeout=30)[1]
            equal(p.returncode, 0, said)
        equal(os.listdir(directory), [], "left behind")


@case
def signals_end_it():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        with Daemon(models=["pico"]) as d:
            d.cli("bind", "pico-1")
            equal(d.stop(number), 0, number)


@case
def a_second_signal_hastens():
    with Daemon() as d:
        worker = d.worker()
        os.kill(worker, signal.SIGSTOP)
        d.process.send_signal(signal.SIGTERM)
        until(lambda: "stopping" in d.log(), "the first signal's effect")
        start = time.monotonic()
        d.process.send_signal(signal.SIGTERM)
        d.process.wait(20)
        assert time.monotonic() - start < 3, "the second signal waited"


@case
def a_worker_that_hangs_is_killed():
    with Daemon() as d:
        os.kill(d.worker(), signal.SIGSTOP)
        equal(d.stop(), 0, "exit code")
        holds(d.log(), "the worker does not stop; killing it")


@case
def the_worker_follows_its_keeper():
    d = Daemon(models=["pico"]).start()
    try:
        worker = d.worker()
        d.process.kill()
        d.process.wait()
        until(lambda: ended(worker), "the worker's end")
        holds(d.log(), "the keeper is gone")
    finally:
        d.remove()


def open_files(pid):
    """What the descriptors of a process lead to; the one that is open for our question may vanish meanwhile."""
    found = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except FileNotFoundError:
            pass
    return found


@case
def the_worker_has_few_rights():
    with Daemon(models=["pico"]) as d:
        with open(f"/proc/{d.worker()}/status", encoding="ascii") as f:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in f)
        equal(status["NoNewPrivs"], "1", "no new privileges")
        if not os.geteuid():
            assert "0" not in status["Uid"].split(), status["Uid"]
            assert "0" not in status["Gid"].split(), status["Gid"]
            equal(status["Groups"].strip(), "", "groups")
            equal(int(status["CapEff"], 16) | int(status["CapPrm"], 16), 0, "capabilities")
        keeper, worker = open_files(d.process.pid), open_files(d.worker())
        assert any("signalfd" in f for f in keeper) and any(".lock" in f for f in keeper), keeper
        equal([f for f in worker if "signalfd" in f or ".lock" in f], [], "the keeper's own descriptors")


@case
def an_unknown_user_or_group_is_said():
    if os.geteuid():
        return
    fails(Daemon(options=["--user", "nosuchuser"]), "no user nosuchuser")
    fails(Daemon(options=["--group", "nosuchgroup"]), "no group nosuchgroup")
    fails(Daemon(vms=["vm1:socket=@a.sock,group=nosuchgroup"]), "a.sock: its group does not exist")


@case
def sockets_come_from_the_service_manager():
    with Directory() as directory, socket.socket(socket.AF_UNIX) as s:
        path = os.path.join(directory.path, "given.sock")
        s.bind(path)
        s.listen()
        command = [os.path.join(BIN, "usbwarpd"), "--config", "/dev/null", "--usb", "no", "--control", "/nonexistent/x",
                   "--vm", f"a:socket={directory.path}/a.sock"]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(os.path.join(directory.path, "notify"))
            notify.settimeout(20)
            os.chmod(os.path.join(directory.path, "notify"), 0o777)
            script = f"exec 3<&{s.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\""
            env = {**os.environ, "NOTIFY_SOCKET": os.path.join(directory.path, "notify")}
            with subprocess.Popen(["sh", "-c", script, "sh", *command], pass_fds=[s.fileno()], stderr=subprocess.PIPE,
                                  text=True, env=env) as p:
                equal(notify.recv(100), b"READY=1", "readiness")
                cli("--socket", path, "status")
                p.terminate()
                equal(notify.recv(100), b"STOPPING=1", "the end")
                said = p.communicate(timeout=30)[1]
                equal(p.returncode, 0, said)
        assert os.path.exists(path), "the service manager's socket was removed"


@case
def the_journal_gets_priorities():
    with Directory() as directory:
        log = directory.file("log")
        st = os.stat(log)
        env = {**os.environ, "JOURNAL_STREAM": f"{st.st_dev}:{st.st_ino}"}
        with open(log, "ab") as f:
            command = [os.path.join(BIN, "usbwarpd"), "--config", "/dev/null", "--control", "/nonexistent/x"]
            done = subprocess.run(command, stderr=f, env=env, timeout=30, check=False)
        equal(done.returncode, 1, "exit code")
        with open(log, encoding="ascii") as f:
            lines = f.read().splitlines()
        assert lines and all(line[0] == "<" and line[2] == ">" for line in lines), lines
        holds("\n".join(lines), "<3>/nonexistent/x")


@test_directory
def disks_and_their_files(directory):
    def disk(options, *parts):
        fails(Daemon(models=["disk:" + options], directory=directory.path), *parts)

    disk("file=@missing", "disk-1: ", "missing: No such file or directory; with size=SIZE it would be made")
    disk("file=@none/x,size=1M", "none/x: No such file or directory")
    disk("file=@missing,readonly,size=1M", "missing: No such file or directory")
    disk("file=/dev/null", "/dev/null: is neither a file nor a block device")
    directory.file("empty")
    disk("file=@empty", "empty: is too small for a disk; size=SIZE makes it larger")
    disk("file=@empty,readonly,size=1M", "empty: is too small for a disk")
    directory.file("small", bytes(1 << 16))
    with Daemon(models=["disk:file=@small"], directory=directory.path) as d:
        d.cli("bind", "disk-1")
        fails(Daemon(models=["disk:file=@small"], directory=directory.path, control="c2.sock", vms=["vm2"]),
              "small: another disk uses this file")
    fails(Daemon(models=["disk:file=@small"] * 2, directory=directory.path), "another disk uses this file")
    with Daemon(models=["disk:file=@small,readonly"] * 2, directory=directory.path) as d:
        d.cli("bind", "disk-2")
    with Daemon(models=["disk:file=@new,,file,size=8M,speed=high"], directory=directory.path) as d:
        equal(d.devices()["disk-1"]["speed"], "high", "speed")
        st = os.stat(os.path.join(directory.path, "new,file"))
        equal((st.st_size, st.st_mode & 0o777), (8 << 20, 0o600), "size and mode of a new file")


@test_directory
def regions_from_files(directory):
    def vm(options, *parts):
        fails(Daemon(vms=["vm1:" + options], directory=directory.path), *parts)

    vm("file=@missing", "vm vm1: ", "missing: No such file or directory")
    directory.file("odd", bytes(5 << 20))
    vm("file=@odd", "odd: its size must be a power of two")
    directory.file("small", bytes(1 << 20))
    vm("file=@small", "small: its size must be a power of two")
    vm("file=@small,size=4M", "small: its size must be a power of two")


@case
def bindings_of_the_configuration():
    config = b"bind = zero-1\nbind = nothing-1\nbind = pico-1@vm9\nbind = pico-1@vm1\n"
    with Daemon(models=["pico", "zero"], config=config) as d:
        listed = d.devices()
        equal({b: v["port"] for b, v in listed.items()}, {"zero-1": 1, "pico-1": 2, "nothing-1": 0}, "ports")
        equal(listed["nothing-1"]["state"], "awaited", "a device that is not there")
        with Qemu(d.socket()) as q, Driver(q) as g:
            g.connected(2)
            equal(g.reset(2), ST_OK, "reset")


if __name__ == "__main__":
    main()
