#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""fio writes disks behind the virtual controller and reads them back, each block with its checksum."""
import hashlib
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from hardware import BothEnds, program  # noqa: E402
from lab import case, equal, main  # noqa: E402

SIZE = 48 << 20
# Block size, and bytes that an emulated CPU writes and reads in seconds.
BLOCKS = [(512, 192 << 10), (4096, 1 << 20), (64 << 10, 8 << 20), (1 << 20, 40 << 20)]
DEPTHS = [1, 8, 32]


def image(directory):
    path = os.path.join(directory, "disk.img")
    with open(path, "wb") as f:
        f.truncate(SIZE)
    return ["-blockdev", f"driver=file,node-name=disk,filename={path}"]


def storage(directory):
    return [*image(directory), "-device", "usb-storage,bus=xhci.0,drive=disk"]


def high_speed_storage(directory):
    """Behind an EHCI, where super speed is not to be had."""
    return [*image(directory), "-device", "usb-ehci,id=ehci", "-device", "usb-storage,bus=ehci.0,drive=disk"]


def attached(directory):
    return [*image(directory), "-device", "usb-uas,bus=xhci.0,id=uas", "-device", "scsi-hd,bus=uas.0,drive=disk"]


def lab(hardware, *modules):
    return BothEnds(hardware, [*modules, "usb-storage", "sd_mod", "crc32c_generic"], {"/bin/fio": program("fio")},
                    memory=1024)


def write_and_verify(both, disk):
    for block, size in BLOCKS:
        for depth in DEPTHS:
            out = both.guest.run(
                f"fio --name=verify --filename=/dev/{disk} --direct=1 --ioengine=libaio --thread --rw=randwrite "
                f"--bs={block} --iodepth={depth} --size={size} --offset={SIZE - size} --randseed={block + depth} "
                "--verify=crc32c --verify_fatal=1 --verify_state_save=0 --output-format=json", timeout=300).out
            job = json.loads(out[out.index("{"):])["jobs"][0]
            equal([job["error"], job["write"]["io_bytes"], job["read"]["io_bytes"]], [0, size, size],
                  f"error, bytes written and verified, {block} bytes at depth {depth}")


def same_bytes(both, disk):
    """What the guest reads is what QEMU's image has."""
    with open(both.path("disk.img"), "rb") as f:
        want = hashlib.file_digest(f, "sha256").hexdigest()
    both.guest.run("echo 3 > /proc/sys/vm/drop_caches")
    equal(both.guest.run(f"sha256sum < /dev/{disk}", timeout=240).out.split()[0], want, "the disk")


def fill(hardware, vendor, driver, speed, *modules):
    with lab(hardware, *modules) as both:
        bus_id, name = both.bind(vendor)
        disk = both.wait_node("/sys/block/sd*")
        equal(both.drivers(name), [driver], "driver")
        equal(both.guest.read(f"/sys/bus/usb/devices/{name}/speed"), speed, "speed")
        write_and_verify(both, disk)
        same_bytes(both, disk)
        written = sum(size for _, size in BLOCKS) * len(DEPTHS)
        values = both.json(f"stats {bus_id}")["scopes"][0]["values"]
        assert values["bytes_moved"] >= 2 * written, f"{values['bytes_moved']} bytes moved for {written} written and read"
        if driver == "uas":
            streams_in_use(both, name)
        both.finish()


def streams_in_use(both, name):
    """uas takes as many commands at once as it got streams, less two; without streams at super speed it gives up."""
    depth = int(both.guest.run(f"cat /sys/bus/usb/devices/{name}:*/host*/scsi_host/host*/can_queue").out)
    assert depth >= 14, f"{depth} commands at once"


@case
def storage_at_super_speed():
    fill(storage, "46f4", "usb-storage", b"5000\n")


@case
def storage_at_high_speed():
    fill(high_speed_storage, "46f4", "usb-storage", b"480\n", "ehci-pci")


@case
def attached_scsi_with_streams():
    fill(attached, "46f4", "uas", b"5000\n", "uas")


if __name__ == "__main__":
    main()
