# SPDX-License-Identifier: GPL-2.0-only
"""Both ends in one guest: usbwarpd with libusb serves USB hardware that is not ours to usbwarp.ko beside it.

    with BothEnds(["-device", "usb-ccid,bus=xhci.0,id=reader"]) as both:
        both.bind("08e6")
        ...
        both.finish()

Two ivshmem-plain devices show the same file; the module takes the first, the daemon maps the second. No link here has
interrupts, so both sides poll. The hardware is QEMU's, behind the guest's own xHCI driver and usbfs, or gadgets of the
kernel's on dummy_hcd. What is "behind" is behind the virtual controller, what is "here" is what the daemon serves.
"""
import glob
import json
import os
import shutil
import struct
import sys
import tempfile

import guest as lab
import stack
from lab import clean, equal

REGION = 32 << 20
CONTROLLER = "qemu-xhci,id=xhci,p2=8,p3=8"
SOCKET = "/run/usbwarp.sock"
CYCLES = int(os.environ.get("USBWARP_CYCLES", "50"))


class BothEnds:
    """A guest with USB hardware, a region, and the daemon running inside it.

    hardware  QEMU arguments, or a function that gets a directory for its files and returns them.
    modules, files, smp, append: the guest's, beyond what every such guest has. options: the daemon's.
    outer     the socket of a daemon outside, whose devices are the hardware here; the module takes both regions.
    limit     MiB that usbfs has.
    """

    def __init__(self, hardware=(), modules=(), files=None, options="", outer=None, limit=16, **more):
        self.hardware, self.modules, self.files = hardware, modules, files or {}
        self.options, self.outer, self.limit, self.more = options, outer, limit, more

    def __enter__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="usbwarp-")
        self.region = os.path.join(self.directory.name, "region")
        with open(self.region, "wb") as f:
            f.truncate(REGION)
        hardware = self.hardware(self.directory.name) if callable(self.hardware) else self.hardware
        daemon, cli = (os.path.join(stack.BIN, name) for name in ("usbwarpd", "usbwarp"))
        self.guest = lab.Guest(
            links=[lab.Plain(self.region), lab.Plain(self.region)] + ([self.outer] if self.outer else []),
            extra_qemu=["-device", CONTROLLER, *hardware],
            files={"/usbwarp.ko": stack.module(), "/bin/usbwarpd": daemon, "/bin/usbwarp": cli, **self.files},
            modules=["xhci-pci", "sd_mod", *self.modules], **self.more)
        try:
            self.guest.__enter__()
            self.start()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, *exc):
        self.guest.__exit__(*exc)
        self.directory.cleanup()

    def start(self):
        g = self.guest
        functions = g.run("for d in /sys/bus/pci/devices/*; do [ \"$(cat $d/vendor) $(cat $d/device)\" = "
                          "'0x1af4 0x1110' ] && basename $d; done").out.split()
        equal(len(functions), 3 if self.outer else 2, "ivshmem functions")
        self.function, self.resource = functions[0], f"/sys/bus/pci/devices/{functions[1]}/resource2_wc"
        g.run(f"echo {self.limit} > /sys/module/usbcore/parameters/usbfs_memory_mb")
        self.start_daemon()
        g.run(f"insmod /usbwarp.ko devices={','.join([functions[0]] + functions[2:])}")

    def start_daemon(self):
        self.daemon = self.guest.start(f"usbwarpd --control {SOCKET} --usb yes --vm vm1:file={self.resource} {self.options}")
        self.guest.wait_for(f"usbwarp --socket {SOCKET} status")

    def path(self, name):
        """A file in the directory that goes with the guest."""
        return os.path.join(self.directory.name, name)

    # The command line

    def cli(self, words, check=True):
        return self.guest.run(f"usbwarp --socket {SOCKET} {words}", timeout=60, check=check).out

    def json(self, words):
        return json.loads(self.cli(words + " --json"))

    def bind(self, vendor, product=None):
        """Binds the device with that idVendor; returns its bus id and, once it is there, its name behind."""
        bus_id = self.bus_id(vendor, product)
        self.cli(f"bind {bus_id}")
        return bus_id, self.wait_device(vendor, product)

    def bus_id(self, vendor, product=None):
        """Bus id of the only device here with that idVendor, and idProduct."""
        return self.only(self.devices(False, vendor, product), f"devices of {vendor} here")

    def wait_device(self, vendor, product=None, timeout=60):
        """Waits for that device behind, with its interfaces; returns its name in sysfs."""
        self.guest.wait_for(f"[ -n \"$({self.search(True, vendor, product)})\" ]", timeout)
        name = self.only(self.devices(True, vendor, product), f"devices of {vendor} behind")
        self.guest.wait_for(f"ls -d /sys/bus/usb/devices/{name}:*", timeout)
        return name

    def wait_no_device(self, vendor, product=None, timeout=60):
        self.guest.wait_for(f"[ -z \"$({self.search(True, vendor, product)})\" ]", timeout)

    def devices(self, behind, vendor, product=None):
        return self.guest.run(self.search(behind, vendor, product)).out.split()

    def search(self, behind, vendor, product=None):
        match, other = ("echo", ":") if behind else (":", "echo")
        return (f"for d in /sys/bus/usb/devices/*-*; do case $d in *:*) continue;; esac; "
                f"[ \"$(cat $d/idVendor)\" = {vendor} ] || continue; "
                + (f"[ \"$(cat $d/idProduct)\" = {product} ] || continue; " if product else "")
                + f"case $(readlink -f $d) in */{self.function}/*) {match} ${{d##*/}};; *) {other} ${{d##*/}};; esac; done "
                "2>/dev/null")

    @staticmethod
    def only(names, what):
        equal(len(names), 1, f"{what} ({names})")
        return names[0]

    # What class drivers made of the devices behind

    def search_nodes(self, pattern):
        """A shell command that prints the last words of those paths in sysfs that lead behind: /sys/block/sd*."""
        return f"for p in {pattern}; do case $(readlink -f $p) in */{self.function}/*) echo ${{p##*/}};; esac; done"

    def nodes(self, pattern):
        return self.guest.run(self.search_nodes(pattern)).out.split()

    def wait_node(self, pattern, timeout=60):
        """Waits for the only one behind and returns its name."""
        self.guest.wait_for(f"[ -n \"$({self.search_nodes(pattern)})\" ]", timeout)
        return self.only(self.nodes(pattern), pattern)

    def wait_no_node(self, pattern, timeout=60):
        self.guest.wait_for(f"[ -z \"$({self.search_nodes(pattern)})\" ]", timeout)

    def drivers(self, name):
        """The drivers of a device's interfaces, in order; "-" for none."""
        return self.guest.run(f"for i in /sys/bus/usb/devices/{name}:*; do d=$(readlink $i/driver); echo ${{d##*/}}-; "
                              "done").out.replace("-\n", "\n").split("\n")[:-1]

    def descriptors(self, name):
        return self.guest.read(f"/sys/bus/usb/devices/{name}/descriptors")

    def usbfs(self, name):
        """The device's node."""
        return self.guest.run(f"printf /dev/bus/usb/%03d/%03d $(cat /sys/bus/usb/devices/{name}/busnum) "
                              f"$(cat /sys/bus/usb/devices/{name}/devnum)").out

    # Plugging

    def plug(self, device, ident, **properties):
        self.guest.qmp("device_add", {"driver": device, "id": ident, "bus": "xhci.0", **properties})

    def unplug(self, ident):
        self.guest.qmp("device_del", {"id": ident})
        self.guest.wait_event("DEVICE_DELETED", device=ident)

    # The end

    def ports(self):
        """Bus ids of the devices in the VM's ports."""
        return [port["bus_id"] for vm in self.json("status")["vms"] for port in vm["ports"] if port["bus_id"]]

    def finish(self, allow=None):
        """Ends the daemon, which must end well, and looks at the kernel's words."""
        self.daemon.kill(15)
        equal(self.daemon.wait(30).code, 0, "the daemon's exit code: " + self.daemon.out)
        clean(self.guest, allow)


def find_disk():
    """A shell command that prints the name of the disk behind the virtual controller, not the one on xHCI."""
    return ("for b in /sys/block/sd*; do p=$(readlink -f $b); while [ $p != / ]; do "
            "[ \"$(basename \"$(readlink $p/driver)\")\" = usbwarp ] && basename $b; p=$(dirname $p); done; done")


def program(name):
    """A program of this system for files=."""
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not path:
        raise stack.StackError(f"no {name}: run scripts/setup.sh devices")
    return path


def kernel_modules(*names):
    """Modules that the base system has not, for files=: {guest path: host path}, below /modules; load them in order."""
    root = os.path.join(lab.tree(), "image", "lib", "modules", "*", "kernel")
    found = {}
    for name in names:
        paths = glob.glob(os.path.join(root, "**", name + ".ko"), recursive=True)
        equal(len(paths), 1, f"modules of the name {name}")
        found[f"/modules/{name}.ko"] = paths[0]
    return found


def bulk_endpoints(descriptors, interface=0):
    """The first bulk OUT and bulk IN endpoint of an interface's first setting."""
    ends, at, here = {}, 18, False
    while at < len(descriptors):
        length, kind = descriptors[at], descriptors[at + 1]
        if kind == 4:
            here = tuple(descriptors[at + 2:at + 4]) == (interface, 0)
        elif kind == 5 and here and descriptors[at + 3] & 3 == 2:
            ends.setdefault(descriptors[at + 2] >> 7, descriptors[at + 2])
        at += length
    return ends[0], ends[1]


def talk(both, name, words, timeout=60):
    """Bulk messages to a device's first interface by usbfs: bytes are sent, a number reads that many. The answers."""
    out, in_ = bulk_endpoints(both.descriptors(name))
    text = " ".join(f"+{w}" if isinstance(w, int) else w.hex() for w in words)
    said = both.guest.run(f"/usbtalk {both.usbfs(name)} 0 {out} {in_} {text}", timeout).out
    return [bytes.fromhex(line) for line in said.splitlines()]


def events(raw):
    """struct input_event of a 64-bit kernel, without the time."""
    return [struct.unpack_from("<16xHHi", raw, at) for at in range(0, len(raw) - len(raw) % 24, 24)]
