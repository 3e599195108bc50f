#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What make install puts where, judged by the tools that will read it; socket activation; users with and without the group."""
import functools
import grp
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "daemon"))
from harness import BIN, PATIENCE, REPORT, ROOT, Daemon, Directory, case, cli, equal, holds, main, until  # noqa: E402

EXPOSURE = 25  # of 100, as systemd-analyze counts; a root daemon with devices cannot have much less
FILES = """
usr/bin/usbwarp
usr/lib/systemd/system/usbwarpd.service
usr/lib/systemd/system/usbwarpd.socket
usr/lib/sysusers.d/usbwarp.conf
usr/lib/tmpfiles.d/usbwarp.conf
usr/lib/udev/rules.d/60-usbwarp.rules
usr/sbin/usbwarpd
usr/share/bash-completion/completions/usbwarp
usr/share/doc/usbwarp/examples/usbwarpd.conf
usr/share/man/man1/usbwarp.1
usr/share/man/man5/usbwarpd.conf.5
usr/share/man/man8/usbwarpd.8
usr/share/zsh/site-functions/_usbwarp
""".split()


def run(*words, code=0, **more):
    """stdout and stderr in one; the exit code must be code."""
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                          timeout=600 * PATIENCE, **more)
    equal(done.returncode, code, f"{words}\n{done.stdout}")
    return done.stdout


def make(target, folder, *words, code=0):
    return run("make", "-s", "-C", ROOT, f"BUILD={folder}/build", f"DESTDIR={folder}/root", "PREFIX=/usr", target, *words,
               code=code)


@functools.cache
def stage():
    """An installation for /usr in a directory, made once; (the directory as root, a function that goes there)."""
    folder = tempfile.TemporaryDirectory(prefix="usbwarp-")
    make("install", folder.name)
    return folder


def staged(*path):
    return os.path.join(stage().name, "root", *path)


def files_below(folder):
    return sorted(os.path.relpath(os.path.join(at, name), folder) for at, _, names in os.walk(folder) for name in names)


@case
def everything_is_installed():
    equal(files_below(staged()), FILES, "files")
    for name in FILES:
        want = 0o755 if "/bin/" in name or "/sbin/" in name else 0o644
        equal(os.stat(staged(name)).st_mode & 0o7777, want, name)
    holds(run(staged("usr/bin/usbwarp"), "--version"), "usbwarp ")
    holds(run(staged("usr/sbin/usbwarpd"), "--version"), "usbwarpd ")


@case
def uninstall_removes_what_was_installed():
    with Directory() as d:
        make("install", d.path)
        make("install-dkms", d.path)
        kept = os.path.join(d.path, "root", "etc", "usbwarp", "usbwarpd.conf")
        os.makedirs(os.path.dirname(kept))
        with open(kept, "w", encoding="utf-8") as f:
            f.write("# somebody's\n")
        make("uninstall", d.path)
        equal(files_below(os.path.join(d.path, "root")), ["etc/usbwarp/usbwarpd.conf"], "files that stay")
        for gone in ("usr/share/doc/usbwarp", "usr/src"):
            left = [at for at, _, _ in os.walk(os.path.join(d.path, "root", gone)) if "usbwarp" in at[len(d.path):]]
            equal(left, [], "directories of ours")
        holds(make("uninstall", d.path, code=2), "nothing was installed from there")


# ---- systemd's own opinion ----

def units(folder):
    """The units beside each other, with the program where it lies now."""
    for name in ("usbwarpd.service", "usbwarpd.socket"):
        with open(staged("usr/lib/systemd/system", name), encoding="utf-8") as f:
            text = f.read()
        with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
            f.write(text.replace("/usr/sbin/usbwarpd", staged("usr/sbin/usbwarpd")))
    return os.path.join(folder, "usbwarpd.service"), os.path.join(folder, "usbwarpd.socket")


@case
def units_are_verified():
    with Directory() as d:
        env = {**os.environ, "MANPATH": staged("usr/share/man")}
        equal(run("systemd-analyze", "verify", *units(d.path), env=env), "", "what is wrong with the units")
        with open(units(d.path)[0], "a", encoding="utf-8") as f:
            f.write("[Service]\nNoSuchKey=1\n")
        holds(run("systemd-analyze", "verify", os.path.join(d.path, "usbwarpd.service"), env=env), "NoSuchKey")


@case
def the_sandbox_is_tight():
    with Directory() as d:
        service, _ = units(d.path)
        judge = ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}"]
        run(*judge, service)
        with open(service, encoding="utf-8") as f:
            text = f.read()
        with open(service, "w", encoding="utf-8") as f:
            f.write(re.sub(r"^(SystemCallFilter|CapabilityBoundingSet)=.*\n", "", text, flags=re.M))
        run(*judge, service, code=1)


@case
def user_group_and_directory_are_made():
    with Directory() as d:
        os.makedirs(os.path.join(d.path, "etc"))
        run("systemd-sysusers", f"--root={d.path}", staged("usr/lib/sysusers.d/usbwarp.conf"))
        with open(os.path.join(d.path, "etc", "passwd"), encoding="utf-8") as f:
            user = next(line.split(":") for line in f if line.startswith("usbwarp:"))
        with open(os.path.join(d.path, "etc", "group"), encoding="utf-8") as f:
            group = next(line.split(":") for line in f if line.startswith("usbwarp:"))
        equal((user[3], user[6].strip()), (group[2], "/usr/sbin/nologin"), "group and shell of the user")
        assert 0 < int(user[2]) < 1000, user
        run("systemd-tmpfiles", "--create", f"--root={d.path}", staged("usr/lib/tmpfiles.d/usbwarp.conf"))
        equal(os.stat(os.path.join(d.path, "run", "usbwarp")).st_mode & 0o7777, 0o755, "/run/usbwarp")


# ---- documents ----

@case
def manual_pages_have_no_warnings():
    env = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80", "MANROFFSEQ": ""}
    for name in FILES:
        if "/man/" in name:
            out = run("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", staged(name), env=env)
            equal(re.findall(r"^(?:troff|groff|grotty|man|<standard).*", out, re.M), [], name)
    with Directory() as d:
        bad = d.file("bad.1", b".TH BAD 1\n.SH NAME\nbad \\- x\n.NOSUCHMACRO\n")
        holds(run("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", bad, env=env), "NOSUCHMACRO")


@case
def the_example_is_a_configuration():
    """As it is, and with every line of it in force."""
    example = staged("usr/share/doc/usbwarp/examples/usbwarpd.conf")
    with Directory() as d, open(example, encoding="utf-8") as f:
        text = f.read()
        lines = re.findall(r"^;", text, re.M)
        assert len(lines) >= 5, text
        full = d.file("full.conf", re.sub(r"^;", "", text, flags=re.M).encode())
        for path in (example, full):
            holds(run(staged("usr/sbin/usbwarpd"), "--check-config", "--config", path), "is good")


@case
def dkms_builds_the_module():
    with Directory() as d:
        make("install-dkms", d.path)
        source = os.path.join(d.path, "root", "usr", "src")
        name, version = os.listdir(source)[0].split("-")
        kernel = sorted(k for k in os.listdir("/lib/modules") if os.path.exists(f"/lib/modules/{k}/build/Makefile"))[-1]
        trees = [f"--sourcetree={source}", f"--dkmstree={d.path}/dkms", f"--installtree={d.path}/modules"]
        os.makedirs(os.path.join(d.path, "dkms"))
        for verb in ("add", "build"):
            run("dkms", verb, "-m", name, "-v", version, "-k", kernel, *trees)
        built = [f for f in files_below(os.path.join(d.path, "dkms")) if "/module/usbwarp.ko" in f and kernel in f]
        equal(len(built), 1, "modules")


# ---- socket activation, and who may ----

class Activated(Daemon):
    """A daemon that gets its control socket from systemd-socket-activate at the first connection."""

    def spawn(self):
        with open(self.log_path, "ab") as log:
            self.before = log.tell()
            self.process = subprocess.Popen(
                ["systemd-socket-activate", "-l", self.control, os.path.join(BIN, "usbwarpd"), *self.arguments()],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        until(lambda: os.path.exists(self.control), "the socket")
        assert not os.path.exists(self.socket()), "the daemon did not wait for a connection"
        cli("--socket", self.control, "status")

    def __exit__(self, kind, *exc):
        try:
            equal(self.stop(), 0, "exit code; log:\n" + self.log())
            assert os.path.exists(self.control), "the service manager's socket was removed"
            assert not os.path.exists(self.socket()), "the VM's socket was left behind"
            equal(REPORT.findall(self.log()), [], "reports in the log")
        finally:
            self.remove()


@case
def the_first_connection_starts_it():
    with Activated(models=["pico"]) as d:
        d.cli("bind", "pico-1")
        equal(d.devices()["pico-1"]["vm"], "vm1", "bound")
        equal(os.stat(d.socket()).st_mode & 0o777, 0o600, "the VM's socket")
        os.kill(d.worker(), 9)
        until(lambda: " serving again" in d.log(), "the next worker")
        equal(d.devices()["pico-1"]["vm"], "vm1", "bound by the next worker, which serves the same socket")


def as_user(groups, *words):
    """Exit code, stdout and stderr of the command line, run by a user without any right but these groups."""
    done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, check=False, user=12345, group=12345,
                          extra_groups=groups, timeout=60 * PATIENCE)
    return done.returncode, done.stdout, done.stderr


PROGRAM = os.path.join(tempfile.gettempdir(), f"usbwarp-{os.getpid()}")  # where every user can execute it


@case
def the_group_decides_who_may():
    """root starts it as a service does; a member of the group does everything, a stranger is told which group to join."""
    if os.geteuid():
        return
    group = grp.getgrnam("daemon").gr_gid
    shutil.copy(os.path.join(BIN, "usbwarp"), PROGRAM)
    os.chmod(PROGRAM, 0o755)
    try:
        with Daemon(models=["pico"], options=["--group", "daemon"]) as d:
            where = ("--socket", d.control)
            equal(as_user([group], *where, "bind", "pico-1")[0], 0, "a member binds")
            holds(as_user([group], *where, "list")[1], "vm1, port 1")
            code, out, err = as_user([], *where, "list")
            equal((code, out), (3, ""), "a stranger")
            holds(err, "permission denied", "group usbwarp")
        with Activated(models=["pico"], options=["--group", "daemon"]) as d:
            os.chmod(d.control, 0o666)  # whoever made the socket too open: the daemon judges for itself
            where = ("--socket", d.control)
            equal(as_user([group], *where, "unbind", "pico-1")[0], 1, "a member is heard; nothing was bound")
            equal(as_user([group], *where, "bind", "pico-1")[0], 0, "a member binds")
            code, _, err = as_user([], *where, "unbind", "pico-1")
            equal(code, 1, "a stranger")
            holds(err, "only root", "group usbwarp")
            equal(d.devices()["pico-1"]["vm"], "vm1", "still bound")
    finally:
        os.unlink(PROGRAM)


if __name__ == "__main__":
    main()
