#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Picture and sound of a webcam, through usbfs and the module: v4l2-ctl and arecord miss no frame and no sample.

No hardware of QEMU's has isochronous IN. The camera is a model that a daemon outside serves to the guest, whose usbfs it
then goes through to the same guest once more; the drivers and the programs are Linux's own.
"""
import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import stack  # noqa: E402
from hardware import BothEnds, program  # noqa: E402
from test_audio import files  # noqa: E402
from lab import case, equal, main  # noqa: E402

WIDTH, HEIGHT, FRAMES = 160, 120, 60
RATE, SECONDS = 48000, 4
VIDEO = "/sys/class/video4linux/video*"


class Filming:
    """The camera behind both layers, with its drivers. video and card: what they made of it."""

    def __init__(self, speed):
        self.stack = stack.Stack([f"camera:speed={speed}"])

    def __enter__(self):
        self.stack.__enter__()
        try:
            self.both = BothEnds(modules=["uvcvideo", "snd-usb-audio"], outer=self.stack.socket(),
                                 files={"/bin/v4l2-ctl": program("v4l2-ctl"), "/bin/arecord": program("arecord"), **files()})
            self.both.__enter__()
        except BaseException:
            self.stack.__exit__(*sys.exc_info())
            raise
        self.stack.bind("camera-1")
        g = self.both.guest
        g.wait_for("ls /dev/video0 /sys/class/sound/card0")  # its first drivers, which give it away
        self.both.bind("1209")
        self.video = self.find_video()
        self.card = self.both.wait_node("/sys/class/sound/card*").removeprefix("card")
        return self

    def __exit__(self, *exc):
        self.both.__exit__(*exc)
        self.stack.__exit__(*exc)

    def find_video(self):
        """The node of the picture, of two: uvcvideo makes another for metadata."""
        search = self.both.search_nodes(VIDEO)
        self.both.guest.wait_for(f"test $({search} | wc -l) = 2")
        return self.both.guest.run(f"for v in $({search}); do grep -q 0 /sys/class/video4linux/$v/index && echo $v; done; "
                                   "true").out.strip()

    def film(self):
        """The numbers of the frames, each of which is looked at as a whole."""
        self.both.guest.run(f"v4l2-ctl -d /dev/{self.video} --stream-mmap=16 --stream-count={FRAMES} --stream-to=/tmp/film",
                            timeout=120)
        film = self.both.guest.read("/tmp/film")
        size = WIDTH * HEIGHT * 2
        equal(len(film), FRAMES * size, "bytes of the film")
        frames = [film[at:at + size] for at in range(0, len(film), size)]
        for number, frame in enumerate(frames):
            assert frame == picture(frame[0]), f"frame {number} of the film is damaged"
        return [frame[0] for frame in frames]

    def record(self):
        self.both.guest.run(f"arecord -q -D hw:{self.card} -f S16_LE -c 1 -r {RATE} -d {SECONDS} -t raw /tmp/sound", timeout=120)
        return [sample for sample, in struct.iter_unpack("<H", self.both.guest.read("/tmp/sound"))]


def picture(number):
    """What the model shows in the frame of that number."""
    return bytes((x + y + number & 255) if not part else 64 + y if x % 2 == 0 else 192 - y
                 for y in range(HEIGHT) for x in range(WIDTH) for part in (0, 1))


def follow_each_other(numbers, modulus, what):
    jumps = [(at, a, b) for at, (a, b) in enumerate(zip(numbers, numbers[1:])) if b != (a + 1) % modulus]
    equal(jumps, [], f"jumps among {len(numbers)} {what}")


def films_and_records(speed):
    with Filming(speed) as f:
        for _ in range(2):  # the second time streams are opened anew
            follow_each_other(f.film(), 256, "frames")
            sound = f.record()
            equal(len(sound), RATE * SECONDS, "samples")
            follow_each_other(sound, 65536, "samples")
        f.both.finish()


@case
def film_and_sound_at_high_speed():
    films_and_records("high")


@case
def film_and_sound_at_full_speed():
    films_and_records("full")


@case
def film_and_sound_at_once():
    """Both streams run on one device, and neither disturbs the other."""
    with Filming("high") as f:
        g = f.both.guest
        sound = g.start(f"arecord -q -D hw:{f.card} -f S16_LE -c 1 -r {RATE} -d 6 -t raw /tmp/both")
        follow_each_other(f.film(), 256, "frames")
        equal(sound.wait(120).code, 0, "arecord")
        follow_each_other([sample for sample, in struct.iter_unpack("<H", g.read("/tmp/both"))], 65536, "samples")
        f.both.finish()


@case
def unplugged_while_it_films():
    with Filming("high") as f:
        g = f.both.guest
        film = g.start(f"v4l2-ctl -d /dev/{f.video} --stream-mmap --stream-count=0 --stream-to=/dev/null")
        g.run("sleep 2")
        f.stack.cli("unbind", "camera-1")
        film.wait(60)
        f.both.wait_no_node(VIDEO)
        f.stack.bind("camera-1")
        f.video = f.find_video()
        follow_each_other(f.film(), 256, "frames")
        f.both.finish()


if __name__ == "__main__":
    main()
