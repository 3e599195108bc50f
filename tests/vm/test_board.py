#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""A board that is flashed: it leaves and comes back as another device, and stays with its guest, a hundred times.

The tool is dfu-util, which nobody here wrote: it asks the board to detach, and sends or fetches the firmware. Each step
is a run of its own, because its libusb learns of what came back from udev, which the lab's guest does without.
"""
import os
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from stack import Stack  # noqa: E402
from lab import case, clean, equal, main  # noqa: E402

CYCLES = int(os.environ.get("USBWARP_CYCLES", "100"))
RUN, FLASH = "1209:0001", "1209:0002"


def there(g, ident):
    g.wait_for(f"lsusb | grep -q {ident}")


def flash_once(g, number):
    g.run(f"dd if=/dev/urandom of=/tmp/firmware bs=1000 count={number % 7 + 1} 2>/dev/null")
    detach(g)
    # Its exit code is that of the reset, after which no device of this number is found: 74, though all has gone well.
    done = g.run(f"dfu-util -d {FLASH} -D /tmp/firmware", timeout=120, check=False)
    assert done.out.rstrip().endswith("Done!"), done.out
    there(g, RUN)


def detach(g):
    g.run(f"dfu-util -d {RUN} -e", timeout=60)
    there(g, FLASH)


def check_firmware(g):
    """What was sent is there after the board has been its other self; a reset of the bus ends it."""
    detach(g)
    g.run(f"rm -f /tmp/back; dfu-util -d {FLASH} -U /tmp/back -R; cmp /tmp/firmware /tmp/back", timeout=120)
    there(g, RUN)


@case
def a_board_is_flashed_again_and_again():
    with Stack(["board", "pico"]) as s:
        s.bind("board-1")
        s.bind("pico-1")
        with s.guest(modules=["cdc_acm"], files={"/usr/bin/dfu-util": shutil.which("dfu-util")}) as g:
            there(g, RUN)
            for i in range(CYCLES):
                flash_once(g, i)
                if i % 10 == 0:
                    check_firmware(g)
            listed = {d["bus_id"]: d for d in s.json("list")["devices"]}
            equal(listed["board-1"]["state"], "attached", "state at the end")
            equal(s.log().count("board-1 was unplugged"), 2 * CYCLES + 2 * ((CYCLES + 9) // 10), "times it left")
            g.run("test -c /dev/ttyACM0")
            clean(g)


@case
def a_hardware_id_follows_it_too():
    with Stack(["board"]) as s:
        s.cli("bind", "1209:*")
        with s.guest(files={"/usr/bin/dfu-util": shutil.which("dfu-util")}) as g:
            there(g, RUN)
            for i in range(3):
                flash_once(g, i)
            clean(g)


@case
def a_binding_of_one_identity_loses_the_other():
    with Stack(["board"]) as s:
        s.cli("bind", RUN)
        with s.guest(files={"/usr/bin/dfu-util": shutil.which("dfu-util")}) as g:
            there(g, RUN)
            g.run(f"dfu-util -d {RUN} -e", timeout=60)
            g.wait_for("! lsusb | grep -q 1209:")
            listed = {d["bus_id"]: d for d in s.json("list")["devices"]}
            equal((listed["board-1"]["state"], listed["board-1"]["product"]), ("free", "0002"), "as what it is now")
            s.bind("board-1")
            there(g, FLASH)
            clean(g)


if __name__ == "__main__":
    main()
