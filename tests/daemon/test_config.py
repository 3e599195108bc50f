#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Options and configuration: what is wrong is said with file and line, all of it, before anything is touched."""
import os
import subprocess

from harness import BIN, Daemon, Directory, case, equal, holds, main


def usbwarpd(*words, code=0, env=None):
    """Runs usbwarpd to its end; (stdout, stderr)."""
    done = subprocess.run([os.path.join(BIN, "usbwarpd"), *words], capture_output=True, text=True, check=False,
                          timeout=60, env={**os.environ, **(env or {})})
    equal(done.returncode, code, f"code of usbwarpd {' '.join(words)}\n{done.stdout}{done.stderr}")
    return done.stdout, done.stderr


def check(content, code=0):
    """--check-config of a file with this content; stderr, with "FILE" for its name."""
    with Directory() as d:
        path = d.file("c", content.encode() if isinstance(content, str) else content)
        out, err = usbwarpd("--config", path, "--check-config", code=code)
        equal(bool(out), not code, "stdout")
        return err.replace(path, "FILE")


def complaint(content, *parts):
    """The file has exactly one thing wrong, on its last line unless parts say otherwise."""
    err = check(content, code=2)
    equal(err.count("\n"), 1, f"complaints: {err}")
    holds(err, *parts)
    return err


@case
def help_and_version():
    out, err = usbwarpd("--help")
    equal(err, "", "stderr")
    holds(out, "Usage: usbwarpd", "--config FILE", "--check-config", "--vm NAME", "--model KIND", "--breaker-threshold")
    assert max(map(len, out.splitlines())) <= 110, out
    holds(usbwarpd("--version")[0], "usbwarpd ")


@case
def good_files_are_good():
    equal(check(""), "", "empty")
    equal(check("# only a comment\n\n; and another\n"), "", "comments")
    equal(check("poll = 0\n"), "", "no section")
    equal(check("""
[usbwarpd]
control = /run/x.sock
usb = no
poll = 100
model = pico
model = zero:speed=super,pattern=1,paced
bind = pico-1@a
rate = 0
log = debug
[vm a]
socket = /run/a.sock
size = 64M
[vm b]
file = /dev/shm/b
"""), "", "everything")


@case
def wrong_values_name_file_and_line():
    complaint("usb = no\npoll = fast\n", 'FILE:2: poll is a number from 0 to 1000000, not "fast"')
    complaint("poll = 1000001", "FILE:1: poll is a number")
    complaint("poll = -1", "FILE:1: poll is a number")
    complaint("poll = 5 apples", "FILE:1: poll is a number")
    complaint("poll = 99999999999999999999999", "FILE:1: poll is a number")
    complaint("poll =", "FILE:1: poll is a number")
    complaint("usb = perhaps", "FILE:1: usb is one of: yes no")
    complaint("log = loud", "FILE:1: log is one of: error warning")
    complaint("control =", "FILE:1: control needs a value")
    complaint("frob = 1", 'FILE:1: there is no key "frob"', "usbwarpd.conf(5)")
    complaint("[frob]\nx = 1", "FILE:2: there is no section [frob]")
    complaint("[vm a]\nx = 1", 'FILE:2: has no "x"; it has: socket group file size')
    complaint("[vm a b]\nsize = 4M", "FILE:2:", "no name")
    complaint("[vm a]\nsize = 3M", "FILE:2: size is a number from 4194304")
    complaint("[vm a]\nsize = 512M", "FILE:2: size is a number")
    complaint("[vm a]\nsize = 18014398509481984K", "FILE:2: size is a number")
    complaint("[vm a]\nsize = 5M", "vm a: size is a power of two")
    complaint("[vm a]\nfile = /x\nsocket = /y", "vm a: file excludes socket")
    complaint("[vm a]\nsocket = /x\n[vm b]\nsocket = /x", "vm a and vm b: the same socket")
    complaint("[vm a]\nfile = /x\n[vm b]\nfile = /x", "vm a and vm b: the same file")
    complaint("model = frob", "FILE:1: model frob is unknown; there are: pico zero disk board")
    complaint("model = ../x", "FILE:1: model", "is no name")
    complaint("model = pico:frob=1", 'FILE:1: model has no "frob"')
    complaint("model = pico:pattern=1", "FILE:1: model pico does not heed pattern")
    complaint("model = zero:pattern=3", "FILE:1: model pattern is a number from 0 to 2")
    complaint("model = zero:speed=low", "FILE:1: model speed is one of: full high super")
    complaint("model = disk", "FILE:1: model disk needs file=PATH")
    complaint("model = disk:file=", "FILE:1: model file needs a value")
    complaint("bind = ", "FILE:1: bind", "is neither a bus id nor VENDOR:PRODUCT")
    complaint("bind = 12345:1", "FILE:1: bind", "is neither a bus id nor VENDOR:PRODUCT")
    complaint("bind = 1:g", "FILE:1: bind", "is neither a bus id nor VENDOR:PRODUCT")
    complaint("allow = ", "FILE:1: allow", "needs id=, class= or port=")
    complaint("deny = vendor=1", 'FILE:1: deny has no "vendor"; it has: id class port')
    complaint("deny = class=123", "FILE:1: deny class is a class code")
    complaint("deny = id=046d", "FILE:1: deny id is VENDOR:PRODUCT")
    complaint("allow = port=usb1", "FILE:1: allow port is a bus id")
    complaint("bindings = ", "FILE:1: bindings needs a value")
    complaint("bind = a@b@c", "FILE:1: bind", "is no name")
    complaint("just words\n", "FILE:1: neither a [section] nor key = value")
    complaint("[vm a\n", "FILE:1: neither a [section] nor key = value")
    complaint("poll = " + "1" * 300 + "\n", "FILE:1: the line is too long")


@case
def all_that_is_wrong_is_said_at_once():
    err = check("poll = x\n\nusb = y\n# a comment\n[vm a]\nsize = z\n", code=2)
    equal([line.split(": ")[1] for line in err.splitlines()], ["FILE:1", "FILE:3", "FILE:6"], "lines")


@case
def options_are_checked_like_the_file():
    holds(usbwarpd("--config", "/dev/null", "--poll", "x", "--usb", "y", code=2)[1], "--poll is a number",
          "--usb is one of")
    holds(usbwarpd("--config", "/dev/null", "--vm", "a:size=5M", "--check-config", code=2)[1], "power of two")
    holds(usbwarpd("--frob", code=2)[1], "usbwarpd --help")
    holds(usbwarpd("frob", code=2)[1], "frob", "not an option")
    holds(usbwarpd("--config", "/nonexistent/x", code=2)[1], "/nonexistent/x: No such file")
    holds(usbwarpd("--config", "/", code=2)[1], "Is a directory")
    many = [word for i in range(17) for word in ("--vm", f"v{i}")]
    holds(usbwarpd("--config", "/dev/null", "--check-config", *many, code=2)[1], "more than 16 VMs")
    usbwarpd("--config", "/dev/null", "--check-config", *many[:-2])
    many = ["--model", "pico"] * 65
    holds(usbwarpd("--config", "/dev/null", "--check-config", *many, code=2)[1], "more than 64 models")


@case
def options_come_after_the_file():
    with Daemon(config=b"poll = 7\n", options=["--poll", "9"]) as d:
        equal(d.vm()["poll_ns"], 9000, "poll")
    with Daemon(config=b"poll = 7\nrate = 5\nburst = 6\nbreaker-threshold = 0\nbreaker-cooldown = 8\n") as d:
        vm = d.vm()
        equal([vm[k] for k in ("poll_ns", "rate", "burst", "breaker_threshold", "breaker_cooldown_ms")],
              [7000, 5, 6, 0, 8], "values")


@case
def random_files_never_crash_it():
    import random
    rng = random.Random(int(os.environ.get("USBWARP_SEED", "1")))
    parts = ["[vm a]", "[usbwarpd]", "[", "]", "=", "poll", "model", "pico", "disk:file=", ",", ",,", ":", "\n", " ",
             "size", "4M", "\0", "\xff", "vm", "bind", "@", "x" * 250, ";", "#", "%s", "\t", "socket=",
             "99999999999999999999"]
    with Directory() as d:
        for _ in range(150):
            content = "".join(rng.choices(parts, k=rng.randint(1, 30))).encode("latin-1")
            path = d.file("c", content)
            done = subprocess.run([os.path.join(BIN, "usbwarpd"), "--config", path, "--check-config"],
                                  capture_output=True, check=False, timeout=60)
            if done.returncode not in (0, 2) or b"Sanitizer" in done.stderr or b"runtime error" in done.stderr:
                raise AssertionError(f"{content!r}: {done.returncode} {done.stderr!r}")


if __name__ == "__main__":
    main()
