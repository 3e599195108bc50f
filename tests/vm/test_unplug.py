#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Devices are pulled out while their class drivers work, and plugged in again on the same port: they come back by
themselves, because the daemon remembers what was bound. USBWARP_CYCLES says how often."""
import os
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import test_audio  # noqa: E402
from hardware import CYCLES, BothEnds, program  # noqa: E402
from lab import case, equal, main  # noqa: E402

BINDINGS = "--bindings /tmp/bindings"


def cycle(both, device, ident, vendor, pattern, work, **properties):
    """work(node): starts what uses the device and returns its job once bytes flow."""
    g = both.guest
    both.plug(device, ident, port="1", **properties)
    g.wait_for(f"[ -n \"$({both.search(False, vendor)})\" ]")
    bus_id, _ = both.bind(vendor)
    for n in range(CYCLES):
        both.wait_device(vendor)
        job = work(both.wait_node(pattern))
        both.unplug(ident)
        job.wait(60)
        both.wait_no_device(vendor)
        both.wait_no_node(pattern)
        equal(both.devices(True, vendor) + both.devices(False, vendor), [], f"ghosts after {n + 1} times")
        both.plug(device, ident, port="1", **properties)
    both.wait_node(pattern)
    equal(both.ports(), [bus_id], "devices in ports")
    both.finish()


@case
def disk_under_fio():
    def image(directory):
        with open(os.path.join(directory, "disk.img"), "wb") as f:
            f.truncate(32 << 20)
        return ["-blockdev", f"driver=file,node-name=disk,filename={directory}/disk.img"]

    with BothEnds(image, ["usb-storage"], {"/bin/fio": program("fio")}, BINDINGS, memory=1024) as both:
        def work(node):
            job = both.guest.start(f"fio --name=f --filename=/dev/{node} --direct=1 --ioengine=libaio --thread --rw=randrw "
                                   "--bs=64k --iodepth=8 --time_based --runtime=300 --size=32M")
            both.guest.wait_for(f"[ $(awk '{{print $1 + $5}}' /sys/block/{node}/stat) -gt 50 ]")
            return job
        cycle(both, "usb-storage", "stick", "46f4", "/sys/block/sd*", work, drive="disk")


@case
def serial_port_with_traffic():
    def line(directory):
        return ["-chardev", f"socket,id=line,path={directory}/serial.sock,server=on,wait=off"]

    with BothEnds(line, ["ftdi_sio"], options=BINDINGS) as both, socket.socket(socket.AF_UNIX) as far:
        far.connect(both.path("serial.sock"))

        def work(node):
            g = both.guest
            g.run(f"rm -f /tmp/got; stty -F /dev/{node} raw -echo")
            job = g.start(f"cat /dev/{node} > /tmp/got")
            g.run("sleep 0.3")
            far.sendall(bytes(2048))
            g.wait_for("[ -s /tmp/got ]")
            return job
        cycle(both, "usb-serial", "cable", "0403", "/sys/class/tty/ttyUSB*", work, chardev="line", **{"always-plugged": True})


@case
def sound_card_while_it_plays():
    def sound(directory):
        return ["-audiodev", f"wav,id=sound,path={directory}/out.wav"]

    with BothEnds(sound, ["snd-usb-audio"], test_audio.files(), BINDINGS) as both:
        def work(node):
            number = node.removeprefix("card")
            job = both.guest.start(f"aplay -q -D hw:{number} -f S16_LE -c 2 -r 48000 -t raw /dev/zero")
            both.guest.wait_for(f"grep -q RUNNING /proc/asound/card{number}/pcm0p/sub0/status")
            return job
        cycle(both, "usb-audio", "card", "46f4", "/sys/class/sound/card*", work, audiodev="sound")


if __name__ == "__main__":
    main()
