#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""aplay plays to QEMU's USB sound card behind the virtual controller; QEMU's WAV file has every frame, once, in order.

The same is played without usbwarp first, by the same guest on the same xHCI, so that what QEMU loses by itself is known.
"""
import glob
import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from hardware import BothEnds, program  # noqa: E402
from lab import case, equal, main  # noqa: E402

RATE, SECONDS = 48000, 4
STEP, ROUND = 64, 511


def files():
    found = {"/bin/aplay": program("aplay")}
    for path in ["/usr/share/alsa/alsa.conf", *glob.glob("/usr/share/alsa/cards/aliases.conf"),
                 "/usr/share/alsa/cards/USB-Audio.conf", *glob.glob("/usr/share/alsa/pcm/*.conf")]:
        found[path] = path
    return found


def card(directory):
    return ["-audiodev", f"wav,id=sound,path={directory}/out.wav,out.frequency={RATE}",
            "-device", "usb-audio,bus=xhci.0,audiodev=sound"]


def frames():
    """Each frame tells its number, and none is silence: left is 1 to 511 steps again and again, right counts the rounds."""
    return [(STEP * (n % ROUND + 1), STEP * (n // ROUND + 1)) for n in range(RATE * SECONDS)]


def play(both):
    both.guest.run(f"aplay -q -D hw:$({CARD.format(both.search_nodes('/sys/class/sound/card*'))}) -f S16_LE -c 2 -r {RATE} "
                   "-t raw /tmp/pcm", timeout=120)
    both.guest.run("sleep 1")


CARD = "n=$({}); echo ${{n#card}}"


def recorded(path):
    """The frames of QEMU's file that are not silence. The header is of no use while QEMU runs: 44 bytes."""
    with open(path, "rb") as f:
        data = f.read()[44:]
    return [frame for frame in struct.iter_unpack("<hh", data[:len(data) & ~3]) if frame != (0, 0)]


def numbers(got):
    """The numbers of the frames. QEMU's volume is a factor near 1, and steps are wide enough to survive it."""
    factor = max(left for left, _ in got) / (STEP * ROUND)
    return [round(left / factor / STEP) - 1 + ROUND * (round(right / factor / STEP) - 1) for left, right in got]


def difference(got, count):
    """In words: what is missing of the frames that were played, and what is there twice or in a wrong place."""
    steps = [(a, b) for a, b in zip(got, got[1:]) if b != a + 1]
    return f"{len(got)} of {count} frames, {count - len(set(got))} missing, {len(got) - len(set(got))} twice, jumps {steps[:8]}"


def listen(bound):
    with BothEnds(card, ["snd-usb-audio"], files()) as both:
        if bound:
            both.bind("46f4")
            both.wait_node("/sys/class/sound/card*")
        want = frames()
        both.guest.write("/tmp/pcm", b"".join(struct.pack("<hh", *frame) for frame in want))
        if bound:
            play(both)
        else:
            both.guest.run(f"aplay -q -D hw:0 -f S16_LE -c 2 -r {RATE} -t raw /tmp/pcm; sleep 1", timeout=120)
        both.finish()
        got = numbers(recorded(both.path("out.wav")))
        return got == list(range(len(want))), difference(got, len(want))


@case
def playback_loses_no_frame():
    right, words = listen(False)
    print(f"without usbwarp: {words}")
    behind, more = listen(True)
    print(f"behind usbwarp: {more}")
    equal([right, behind], [True, True], "all frames, without usbwarp and behind it")


if __name__ == "__main__":
    main()
