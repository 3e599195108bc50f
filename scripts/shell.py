#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The demo's guest with a prompt: every line typed runs in the guest, lines that begin with ! run usbwarp on the host."""
import os
import shlex
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "vm"))

import guest as lab  # noqa: E402
import stack  # noqa: E402

HELP = """A guest with usbwarp.ko, and a daemon with the model devices pico-1, zero-1 and disk-1; pico-1 is bound.
  lsusb -t                      any command of the guest
  !list  !status  !bind disk-1  usbwarp on the host
  talk                          a conversation with /dev/ttyACM0: try 6*7; an empty line ends it
  exit
"""


def host(stacked, line):
    done = stacked.cli(*shlex.split(line), check=False)
    print(done.stdout + done.stderr, end="")


def talk(guest):
    """One job holds the port open, so that the prompt keeps its state."""
    job = guest.start("stty -F /dev/ttyACM0 raw -echo; dd if=/dev/ttyACM0 bs=64 & cat > /dev/ttyACM0; kill %1", stdin=True)
    shown = 0
    while True:
        try:
            line = input("pico> ")
        except EOFError:
            line = ""
        if not line:
            break
        job.feed(line.encode() + b"\r")
        guest.run("sleep 0.2")
        out = job.out
        print(out[shown:].replace("\r", ""))
        shown = len(out)
    job.kill()


def step(stacked, guest, line):
    if line == "talk":
        talk(guest)
    elif line.startswith("!"):
        host(stacked, line[1:])
    elif line:
        result = guest.run(line, timeout=600, check=False)
        print(result.out, end="" if result.out.endswith("\n") else "\n")
        if result.code:
            print(f"(exit code {result.code})")


def main():
    models = ["pico", "zero", "disk:file=@disk.img,size=64M"]
    with stack.Stack(models) as stacked, stacked.guest(
            files={"/sums": stack.program("sums")}, modules=["cdc-acm", "usb-storage", "sd_mod", "ext4"]) as guest:
        stacked.bind("pico-1")
        guest.wait_for("test -e /dev/ttyACM0")
        print(HELP)
        while True:
            try:
                line = input("guest# ").strip()
            except (EOFError, KeyboardInterrupt):
                break
            if line in ("exit", "quit"):
                break
            try:
                step(stacked, guest, line)
            except (lab.GuestError, stack.StackError, ValueError) as error:
                print(error)
    print()


if __name__ == "__main__":
    main()
