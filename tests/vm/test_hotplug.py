#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Devices that come and go, and what is bound when they do: by port, by hardware id, against rules and good sense."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import stack  # noqa: E402
from hardware import BothEnds, bulk_endpoints, find_disk, kernel_modules  # noqa: E402
from lab import case, equal, main  # noqa: E402

CYCLES = 4


def image(directory, name):
    path = os.path.join(directory, name)
    with open(path, "wb") as f:
        f.truncate(16 << 20)
    return ["-drive", f"if=none,id={name},format=raw,file={path}"]


def drives(directory):
    # Without the keyboard that every PC has, a USB keyboard can be the last one.
    return image(directory, "one") + ["-machine", "i8042=off",
        "-chardev", "null,id=line", "-netdev", "hubport,id=net,hubid=0", "-device", "usb-hub,bus=xhci.0,port=4,id=hub"]


class Plugs:
    """BothEnds, with devices that are plugged in and pulled out by name."""

    def __init__(self, options="", modules=(), files=None):
        self.both = BothEnds(drives, ["usb-storage", "ftdi_sio", "ext4", *modules], files, options=options)

    def __enter__(self):
        self.both.__enter__()
        self.guest = self.both.guest
        self.cli = self.both.cli
        return self

    def __exit__(self, *exc):
        self.both.__exit__(*exc)

    def add(self, name, driver="usb-storage", port="1", **more):
        if driver == "usb-storage":
            more["drive"] = name
        if driver == "usb-serial":
            more.update(chardev="line", **{"always-plugged": True})
        if driver == "usb-net":
            more["netdev"] = "net"
        self.guest.qmp("device_add", {"driver": driver, "id": name, "bus": "xhci.0", "port": port, **more})

    def remove(self, name):
        self.guest.qmp("device_del", {"id": name})
        self.guest.wait_event("DEVICE_DELETED", device=name)

    def refused(self, words):
        done = self.guest.run(f"usbwarp --socket /run/usbwarp.sock {words} 2>&1", timeout=60, check=False)
        equal(done.code, 1, f"exit code of {words}: {done.out}")
        return done.out

    def state(self, bus_id):
        lines = [line for line in self.cli("list").splitlines() if line.split()[0] == bus_id]
        return lines[0] if lines else ""

    def wait_state(self, bus_id, words):
        self.guest.wait_for(f"usbwarp --socket /run/usbwarp.sock list | grep '^{bus_id} ' | grep -q '{words}'")

    def bus_id(self, vendor):
        self.guest.wait_for(f"usbwarp --socket /run/usbwarp.sock list | grep -q '{vendor}:'")
        return self.both.bus_id(vendor)


def disk_there(p):
    p.guest.wait_for(f"test -n \"$({find_disk()})\"")


@case
def what_is_pulled_out_comes_back():
    with Plugs() as p:
        p.add("tablet", "usb-tablet")
        bus_id = p.bus_id("0627")
        p.cli(f"bind {bus_id}")
        for _ in range(CYCLES):
            p.wait_state(bus_id, "vm1, port")
            p.guest.wait_for("lsusb | grep -c 0627 | grep -qx 2")
            p.remove("tablet")
            p.guest.wait_for("! lsusb | grep -q 0627")
            p.wait_state(bus_id, "awaited")
            p.add("tablet", "usb-tablet")
        p.wait_state(bus_id, "vm1, port")
        port = p.state(bus_id).split("port ")[1].split()[0]
        equal(port, "1", "the same port, each time")
        p.both.finish()


@case
def another_device_at_the_port_is_bound():
    """What a board does that is to be flashed: it leaves, and comes back as something else at the same port."""
    with Plugs() as p:
        p.add("tablet", "usb-tablet")
        bus_id = p.bus_id("0627")
        p.cli(f"bind {bus_id}")
        p.wait_state(bus_id, "vm1, port")
        for _ in range(3):
            p.remove("tablet")
            p.add("line", "usb-serial")
            p.guest.wait_for("lsusb | grep -c 0403 | grep -qx 2")
            p.remove("line")
            p.add("tablet", "usb-tablet")
            p.guest.wait_for("lsusb | grep -c 0627 | grep -qx 2")
        p.both.finish()


@case
def hardware_ids_follow_any_port():
    # The rules keep the daemon from what it serves itself, which in this lab appears beside the devices.
    with Plugs("--allow port=1-* --allow port=2-* --deny all") as p:
        p.cli("bind 0627:*")
        p.add("a", "usb-tablet", port="1")
        p.guest.wait_for("lsusb | grep -c 0627 | grep -qx 2")
        p.add("b", "usb-mouse", port="2")
        p.guest.wait_for("lsusb | grep -c 0627 | grep -qx 4")
        p.remove("a")
        p.guest.wait_for("lsusb | grep -c 0627 | grep -qx 2")
        p.add("a", "usb-tablet", port="3")
        p.guest.wait_for("lsusb | grep -c 0627 | grep -qx 4")
        p.cli("unbind '0627:*'")
        p.guest.wait_for("lsusb | grep -c 0627 | grep -qx 2")
        p.both.finish()


@case
def rules_and_hubs():
    with Plugs("--deny id=0627:*,port=*-4.1 --allow port=*-4.* --deny class=03") as p:
        p.add("a", "usb-tablet", port="4.1")
        p.add("b", "usb-tablet", port="4.2")
        p.add("c", "usb-tablet", port="1")
        p.guest.wait_for("lsusb | grep -c 0627 | grep -qx 3")
        hub = p.both.bus_id("0409")
        bus = hub.split("-")[0]
        out = p.refused(f"bind {hub}")
        assert f"{hub} is a hub" in out and f"{hub}.1" in out and f"{hub}.2" in out, out
        assert "deny = id=0627:*,port=*-4.1" in p.refused(f"bind {hub}.1")
        assert "deny = class=03" in p.refused(f"bind {bus}-1")
        done = p.guest.run(f"usbwarp --socket /run/usbwarp.sock bind --below {hub} 2>&1", timeout=60, check=False)
        equal(done.code, 1, done.out)
        assert f"{hub}.1 may not be bound" in done.out and f"{hub}.2 is at port" in done.out, done.out
        assert "no free device below" in p.refused(f"bind --below {bus}-1")
        p.both.finish()


@case
def what_the_host_lives_on_is_refused():
    with Plugs(modules=["usbhid", "hid-generic", "evdev"]) as p:
        g = p.guest
        p.add("one", port="1")
        bus_id = p.bus_id("46f4")
        g.wait_for("ls /sys/block/sda")
        g.run("mke2fs -q -F /dev/sda && mkdir -p /mnt && mount /dev/sda /mnt", timeout=120)
        assert "the file system at /mnt lies on it" in p.refused(f"bind {bus_id}")
        g.run("umount /mnt && dd if=/dev/zero of=/dev/sda bs=1M count=8 2>/dev/null && mkswap /dev/sda && swapon /dev/sda")
        assert "swaps to /dev/sda" in p.refused(f"bind {bus_id}")
        g.run("swapoff /dev/sda")
        p.cli(f"bind {bus_id}")
        disk_there(p)
        p.cli(f"unbind {bus_id}")
        p.add("keys", "usb-kbd", port="2")
        keys = p.bus_id("0627")
        g.wait_for("grep -q 'QEMU USB Keyboard' /proc/bus/input/devices")
        assert "the host's last keyboard" in p.refused(f"bind {keys}")
        p.add("more", "usb-kbd", port="3")
        g.wait_for("grep -c 'QEMU USB Keyboard' /proc/bus/input/devices | grep -qx 2")
        p.cli(f"bind {keys}")
        p.cli(f"unbind {keys}")
        p.remove("more")
        g.wait_for("grep -c 'QEMU USB Keyboard' /proc/bus/input/devices | grep -qx 1")
        p.cli(f"bind --force {keys}")
        p.wait_state(keys, "vm1, port")
        p.both.finish()


@case
def the_host_s_network_is_refused():
    """Also where the route names an interface that lies on the device's, as bridges and bonds do."""
    with Plugs(modules=["cdc_ether"], files=kernel_modules("macvlan")) as p:
        g = p.guest
        g.run("insmod /modules/macvlan.ko")
        p.add("card", "usb-net")
        card = p.bus_id("0525")
        g.wait_for("ls /sys/class/net | grep -q usb0")
        g.run("ip link set usb0 up; ip addr add 10.9.9.1/24 dev usb0")
        for route in ("ip route {} default dev usb0", "ip -6 route {} default dev usb0"):
            g.run(route.format("add"))
            assert "default route goes through its interface usb0" in p.refused(f"bind {card}")
            g.run(route.format("del"))
        g.run("ip link add link usb0 name top type macvlan; ip link set top up; ip route add default dev top")
        assert "default route goes through its interface top" in p.refused(f"bind {card}")
        g.run("ip route del default dev top")
        p.cli(f"bind {card}")
        p.wait_state(card, "vm1, port")
        p.both.finish()


@case
def bindings_outlive_daemons():
    with Plugs("--bindings /run/bindings") as p:
        p.add("a", "usb-tablet")
        bus_id = p.bus_id("0627")
        p.cli(f"bind {bus_id}")
        p.wait_state(bus_id, "vm1, port")
        p.both.daemon.kill(15)
        p.both.daemon.wait(60)
        p.remove("a")
        p.both.start_daemon()
        p.wait_state(bus_id, "awaited")
        p.add("a", "usb-tablet")
        p.wait_state(bus_id, "vm1, port")
        p.both.daemon.kill(9)
        p.guest.wait_for("! pidof usbwarpd")
        p.both.start_daemon()
        p.wait_state(bus_id, "vm1, port")
        p.both.finish()


@case
def what_another_program_uses_is_tried_again():
    with Plugs(files={"/usbtalk": stack.program("usbtalk")}) as p:
        p.both.daemon.kill(15)
        p.both.daemon.wait(60)
        p.add("a", "usb-ccid")
        p.guest.wait_for("lsusb -d 08e6:")
        name = p.both.bus_id("08e6")
        out, in_ = bulk_endpoints(p.both.descriptors(name))
        # It waits for an answer to a question that it has not asked: for 20 seconds, the interface is its own.
        user = p.guest.start(f"exec /usbtalk {p.both.usbfs(name)} 0 {out} {in_} +64")
        p.guest.wait_for(f"[ \"$(readlink /sys/bus/usb/devices/{name}:1.0/driver | sed 's|.*/||')\" = usbfs ]")
        p.both.options = "--bind 08e6:* --deny port=3-*"
        p.both.start_daemon()
        p.both.daemon.wait_for("another program uses it")
        user.kill(9)
        user.wait(30)
        p.wait_state(name, "vm1, port")
        p.both.finish()


if __name__ == "__main__":
    main()
