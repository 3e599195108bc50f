#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What make install has installed, under a real systemd: process 1 of a guest with emulated USB hardware.

The guest's root is that of the lab with this machine's systemd and udev added, and the installed files at their places.
The daemon runs in its sandbox inside the guest and serves the guest's USB hardware to the module beside it.
"""
import os
import re
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
for folder in ("vm", "daemon"):
    sys.path.insert(0, os.path.join(os.path.dirname(HERE), folder))
import guest as lab  # noqa: E402
import stack  # noqa: E402
from hardware import REGION, find_disk  # noqa: E402
from harness import holds  # noqa: E402
from lab import case, clean, equal, main  # noqa: E402
from test_install import FILES, staged  # noqa: E402
from test_libusb import storage  # noqa: E402

PROGRAMS = """
/lib/systemd/systemd /lib/systemd/systemd-journald /lib/systemd/systemd-shutdown /usr/bin/systemctl /usr/bin/journalctl
/usr/bin/systemd-tmpfiles /usr/bin/systemd-sysusers /usr/bin/udevadm /usr/bin/systemd-analyze
""".split()
UNITS = """
basic.target sysinit.target sockets.target paths.target timers.target slices.target shutdown.target umount.target
multi-user.target local-fs.target local-fs-pre.target swap.target final.target systemd-journald.service
systemd-journald.socket systemd-journald-dev-log.socket systemd-sysusers.service systemd-tmpfiles-setup.service
systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-udev-trigger.service
""".split()

MADE = {
    "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "/etc/group": "root:x:0:\ntty:x:5:\nkvm:x:36:\n",
    "/etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    "/etc/os-release": "ID=lab\nNAME=lab\n",
    # A member of the group and a stranger.
    "/usr/lib/sysusers.d/lab.conf": "u member 900\nu stranger 901\nm member usbwarp\n",
    "/etc/systemd/system/sysinit.target.d/lab.conf":
        "[Unit]\nWants=systemd-journald.service systemd-sysusers.service systemd-tmpfiles-setup.service "
        "systemd-udevd.service systemd-udev-trigger.service\n",
    "/etc/systemd/system/default.target":
        "[Unit]\nRequires=basic.target\nAfter=basic.target\nWants=agent.service usbwarpd.socket\n",
    "/etc/systemd/system/agent.service":
        "[Unit]\nAfter=basic.target usbwarpd.socket\n[Service]\nExecStart=/sbin/agent /dev/ttyS1\nStandardError=tty\n"
        "TTYPath=/dev/ttyS0\nEnvironment=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root\n",
    # The image is on the state directory, VM b's socket is for a group, and VM a is this guest: its region is polled.
    "/etc/usbwarp/usbwarpd.conf":
        "[usbwarpd]\nmodel = disk:file=/var/lib/usbwarp/stick.img,size=8M\n[vm b]\ngroup = kvm\n",
    # As docs/INSTALL.md says for a daemon inside the VM that it serves.
    "/etc/inside.conf": "[Service]\nExecStartPre=+/bin/sh -c 'echo 1 >/sys/bus/pci/devices/DEVICE/enable'\n",
}


class Machine:
    """A guest with systemd, the installed files, a stick on its xHCI, and two links on one region."""

    def __enter__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="usbwarp-")
        region = os.path.join(self.directory.name, "region")
        with open(region, "wb") as f:
            f.truncate(REGION)
        self.guest = lab.Guest(
            links=[lab.Plain(region), lab.Plain(region)], memory=768, append="rdinit=/lib/systemd/systemd",
            extra_qemu=["-device", "qemu-xhci,id=xhci,p2=8,p3=8", *storage(self.directory.name)],
            files=self.files(), modules=["xhci-pci", "usb-storage", "sd_mod"])
        try:
            self.guest.__enter__()
        except BaseException:
            self.__exit__()
            raise
        return self.guest

    def __exit__(self, *exc):
        self.guest.__exit__(*exc)
        self.directory.cleanup()

    def files(self):
        files = {path: path for path in PROGRAMS}
        files["/lib/systemd/systemd-udevd"] = "/usr/bin/udevadm"
        files.update({f"/lib/systemd/system/{unit}": f"/lib/systemd/system/{unit}" for unit in UNITS})
        files.update({"/" + name: staged(name) for name in FILES})
        files["/usbwarp.ko"] = stack.module()
        for n, (path, text) in enumerate(MADE.items()):
            made = os.path.join(self.directory.name, f"made{n}")
            with open(made, "w", encoding="utf-8") as f:
                f.write(text)
            os.chmod(made, 0o644)
            files[path] = made
        return files


def journal(g):
    return g.run("journalctl -b --no-pager -o cat -u usbwarpd.service").out


def said(g, command, code=0):
    done = g.run(f"{command} 2>&1", check=False)
    equal(done.code, code, f"{command}: {done.out}\n{journal(g)}")
    return done.out


def bus_id(g):
    """The stick's; nothing else is plugged in."""
    return said(g, "usbwarp list | grep 46f4:").split()[0]


@case
def the_socket_starts_the_service():
    with Machine() as g:
        equal(said(g, "stat -c '%a %U %G' /run/usbwarp/control.sock").split(), ["660", "root", "usbwarp"], "socket")
        equal(said(g, "systemctl is-active usbwarpd.service", 3).strip(), "inactive", "before")
        listed = said(g, "su -s /bin/sh -c 'usbwarp list' member")
        holds(listed, "disk-1", "46f4:")
        equal(said(g, "systemctl is-active usbwarpd.service").strip(), "active", "after")
        holds(said(g, "su -s /bin/sh -c 'usbwarp list' stranger", 3), "permission denied", "group usbwarp")
        equal(said(g, "stat -c '%a %U %G' /run/usbwarp/b.sock").split(), ["660", "root", "kvm"], "the VM's socket")
        equal(said(g, "stat -c '%a %U' /var/lib/usbwarp /var/lib/usbwarp/stick.img").split(), ["700", "root", "600", "root"],
              "state")
        worker = re.search(r'"worker": (\d+)', said(g, "usbwarp status --json"))[1]
        status = said(g, f"cat /proc/{worker}/status")
        usbwarp = said(g, "id -u usbwarp").strip()
        equal(set(re.search(r"Uid:\t(.*)", status)[1].split()), {usbwarp}, "the worker's user")
        equal(re.findall(r"(?:CapEff|CapBnd|Seccomp|NoNewPrivs):\t(\w+)", status)[0], "0" * 16, "its capabilities")
        holds(status, "Seccomp:\t2", "NoNewPrivs:\t1")
        clean(g)


def sleeps_with_its_guest(g, outer):
    """power/control follows the guest, though sysfs is read-only for the service but there."""
    outer = f"/sys/bus/usb/devices/{outer}/power"
    inner = g.run(f"readlink -f /sys/block/$({find_disk()})/device/../../../..").out.strip()
    states = f"cat {outer}/control {outer}/runtime_status | xargs"
    equal(g.run(states).out.strip(), "on active", "before")
    g.run(f"echo 0 >{outer}/autosuspend_delay_ms; echo {os.path.basename(inner)}:1.0 >/sys/bus/usb/drivers/usb-storage/unbind")
    g.run(f"echo 0 >{inner}/power/autosuspend_delay_ms; echo auto >{inner}/power/control")
    g.wait_for(f"test \"$({states})\" = 'auto suspended'")
    g.run(f"echo on >{inner}/power/control")
    equal(g.run(states).out.strip(), "on active", "woken by the guest")


@case
def a_real_device_through_the_sandbox():
    """Bound, read through the module, by one worker and by the next, and given back."""
    with Machine() as g:
        function = g.run("grep -l 0x1110 /sys/bus/pci/devices/*/device | cut -d / -f 6").out.split()
        g.run("cd /etc/systemd/system && mkdir usbwarpd.service.d && "
              f"sed s/DEVICE/{function[1]}/ /etc/inside.conf >usbwarpd.service.d/inside.conf")
        g.run(f"printf '[vm a]\\nfile = /sys/bus/pci/devices/{function[1]}/resource2_wc\\n' >>/etc/usbwarp/usbwarpd.conf")
        g.run("systemctl daemon-reload")
        said(g, "systemctl start usbwarpd")
        g.run(f"insmod /usbwarp.ko devices={function[0]}")
        stick = bus_id(g)
        said(g, f"su -s /bin/sh -c 'usbwarp bind {stick} --vm a' member")
        g.wait_for(f"test -n \"$({find_disk()})\"")
        g.run(f"dd if=/dev/$({find_disk()}) of=/dev/null bs=64k count=64 iflag=direct", timeout=120)
        g.run("kill -9 $(usbwarp status --json | sed -n 's/.*\"worker\": \\([0-9]*\\).*/\\1/p')")
        g.wait_for("usbwarp status | grep -q 'restarted 1 times'")
        g.wait_for(f"usbwarp list | grep {stick} | grep -q 'a, port'")
        g.wait_for(f"test -n \"$({find_disk()})\"")
        g.run(f"dd if=/dev/$({find_disk()}) of=/dev/null bs=64k count=64 iflag=direct", timeout=120)
        sleeps_with_its_guest(g, stick)
        said(g, f"usbwarp unbind {stick}")
        g.wait_for(f"test -z \"$({find_disk()})\" && ls -d /sys/block/sd*")
        assert "not permitted" not in journal(g), journal(g)
        clean(g)


@case
def stopped_and_started_again():
    with Machine() as g:
        said(g, "systemctl start usbwarpd")
        said(g, f"usbwarp bind {bus_id(g)} --vm b")
        said(g, "systemctl stop usbwarpd.service")
        equal(said(g, "systemctl show -p Result -p ExecMainStatus usbwarpd").split(), ["Result=success", "ExecMainStatus=0"],
              "end")
        equal(said(g, "ls /run/usbwarp").split(), ["control.sock"], "the socket stays, and nothing else")
        g.wait_for("ls -d /sys/block/sd*")
        holds(said(g, "usbwarp status"), "VM b")
        equal(said(g, "systemctl is-active usbwarpd.service").strip(), "active", "started again")
        said(g, "systemctl stop usbwarpd.socket usbwarpd.service")
        equal(said(g, "ls /run/usbwarp").split(), [], "no socket")
        holds(said(g, "usbwarp list", 3), "does not run")
        clean(g)


@case
def the_sandbox_refuses():
    """A block device and a home are out of reach, a bad configuration is not tried again, and the log says why."""
    with Machine() as g:
        g.wait_for("test -b /dev/sda")
        for line, why in (("model = disk:file=/dev/sda", "/dev/sda: Operation not permitted"),
                          ("model = disk:file=/root/x.img,size=8M", "/root/x.img: "),
                          ("model = disk:file=/etc/x.img,size=8M", "/etc/x.img: Read-only file system")):
            g.run(f"printf '[usbwarpd]\\n{line}\\n' >/etc/usbwarp/usbwarpd.conf")
            said(g, "systemctl start usbwarpd.service", 1)
            holds(journal(g), why)
            g.run("systemctl stop usbwarpd.service; systemctl reset-failed")
        g.run("echo nonsense=1 >/etc/usbwarp/usbwarpd.conf")
        said(g, "systemctl start usbwarpd.service", 1)
        equal(said(g, "systemctl show -p NRestarts -p ExecMainStatus usbwarpd").split(),
              ["NRestarts=0", "ExecMainStatus=2"], "a bad configuration")
        clean(g)


@case
def the_kernel_lends_more_memory_to_usbfs():
    with Machine() as g:
        value = "/sys/module/usbcore/parameters/usbfs_memory_mb"
        g.wait_for(f"test $(cat {value}) = 256")
        g.run(f"echo 32 >{value}; udevadm trigger --action=add --type=subsystems --settle")
        equal(g.run(f"cat {value}").out.strip(), "32", "what somebody has chosen")
        g.run(f"echo 16 >{value}; udevadm trigger --action=add --type=subsystems --settle")
        equal(g.run(f"cat {value}").out.strip(), "256", "the default")
        assert "60-usbwarp" not in g.run("journalctl -b --no-pager -o cat").out, "udev complains"
        clean(g)


if __name__ == "__main__":
    main()
