#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Stands between QEMU and the stand-ins of Hyper-V under Wine: what the hypervisor would be.

    with Broker(["vm1", "vm2:owner=Hyper-V:size=67108864"]) as b:
        b.socket("vm1")     the Unix socket that QEMU's ivshmem-doorbell connects to
        b.environment()     what the Wine side must have in its environment

A VM is a file in /dev/shm, its region, and a socket, its ivshmem server. It runs while a QEMU is connected. QEMU is kept
waiting in its start until the device is visible: until the Windows side has mapped the region into its BAR and registered
a doorbell. After QEMU's end the VM has exited; the next QEMU is let in when all of the Windows side's connections
for the former one have gone, and then the region is zero, as a new section would be.

The Windows side connects to a TCP port on loopback, named by UWLAB_BROKER. A message has 192 bytes, little-endian:
u32 type, u32 number of the VM, u64 a, b, c, 160 bytes of text padded with zero bytes.

| type         | from    | meaning |
|--------------|---------|---------|
| 1 HELLO      | Windows | first; a: version 1; b: role, 1 computecore.dll, 2 vmdevicehost.dll (a device host for this VM) |
| 2 VISIBLE    | Windows | a: 1 the device's memory is mapped and its doorbell registered, 0 no longer |
| 3 DOORBELL   | Windows | a: value that the guest writes to the doorbell register; b: 1 registered, 0 unregistered |
| 4 INTERRUPT  | Windows | a: vector of the guest to raise |
| 5 PLAYED     | Windows | answer to PLAY; a: 0 done, else an error |
| 6 HANDLES    | Windows | a: handles to this compute system that are open now |
| 16 VM        | broker  | to role 1, at once and at each change; a: 1 runs, 0 has ended; b: bytes of the region; text: name, owner, GUID |
| 17 RUNG      | broker  | to role 2: the guest rang its doorbell |
| 18 PLAY      | broker  | to role 2: what the guest is to do next, in text: "msi", "mask", "memory", "intercept" |
| 19 SYNC      | broker  | to role 1, once after the first VM messages: all VMs have been told |
"""
import array
import ctypes
import mmap
import os
import select
import shutil
import socket
import struct
import tempfile
import threading
import time
import uuid

MESSAGE = struct.Struct("<IIQQQ160s")
HELLO, VISIBLE, DOORBELL, INTERRUPT, PLAYED, HANDLES, VM, RUNG, PLAY, SYNC = 1, 2, 3, 4, 5, 6, 16, 17, 18, 19
ROLE_HCS, ROLE_HDV = 1, 2
VECTORS = 2
GUEST_PEER = 0
SIZE = 32 << 20
SHM = "/dev/shm"
LIBC = ctypes.CDLL(None, use_errno=True)
PUNCH_HOLE_KEEP_SIZE = 3


class BrokerError(Exception):
    """What was asked of the broker cannot be done now."""


class Machine:
    """One VM: its region, its ivshmem server and who is connected to it."""

    def __init__(self, number, text, directory, prefix):
        self.number = number
        self.name, *options = text.split(":")
        options = dict(o.split("=", 1) for o in options)
        self.owner = options.get("owner", "WSL")
        self.size = int(options.get("size", SIZE))
        self.fixed = uuid.uuid5(uuid.NAMESPACE_OID, self.name)
        self.ident = self.fixed
        self.path = prefix + self.name
        self.region = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.ftruncate(self.region, self.size)
        self.kick = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.interrupts = [os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in range(VECTORS)]
        self.socket = os.path.join(directory, self.name + ".sock")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.socket)
        self.listener.listen(2)
        self.qemu = self.waiting = None         # the QEMU that runs; one that came before the former had been let go
        self.introduced = None                  # the doorbell value that QEMU was introduced with
        self.visible, self.trigger, self.handles = False, None, 0
        self.hosts = []                         # connections of device hosts
        self.rung = self.raised = self.starts = 0

    def zero(self):
        """The pages go, the size stays: the region is shared, nobody who has it mapped may meet its end."""
        if LIBC.fallocate(self.region, PUNCH_HOLE_KEEP_SIZE, ctypes.c_long(0), ctypes.c_long(self.size)):
            raise OSError(ctypes.get_errno(), "fallocate")

    def introduce(self):
        """Lets QEMU's start go on. The host's id is what the guest is told to write."""
        host = self.trigger >> 16
        if host == GUEST_PEER or self.trigger & 0xffff >= VECTORS or host > 0xffff:
            raise BrokerError(f"{self.name}: {self.trigger:#x} does not ring ivshmem's doorbell")
        numbers = [(0, None), (GUEST_PEER, None), (-1, self.region)]
        numbers += [(host, self.kick)] * VECTORS + [(GUEST_PEER, fd) for fd in self.interrupts]
        for number, fd in numbers:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))] if fd is not None else []
            self.qemu.sendmsg([struct.pack("<q", number)], rights)
        self.introduced = self.trigger

    def close(self):
        for s in (self.listener, self.qemu, self.waiting):
            if s:
                s.close()
        for fd in [self.region, self.kick] + self.interrupts:
            os.close(fd)
        for path in (self.path, self.socket):
            os.unlink(path)


class Line:
    """A connection of a stand-in."""

    def __init__(self, s):
        self.socket, self.role, self.machine, self.buffer = s, None, None, b""
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, kind, machine, a=0, b=0, text=""):
        try:
            self.socket.sendall(MESSAGE.pack(kind, machine.number if machine else 0, a, b, 0, text.encode()))
        except OSError:
            pass  # its end is seen by the loop


def abandoned(s):
    """Has nobody but Wine's server the other end of this connection any more?"""
    try:
        ends = [f"0100007F:{port:04X}" for port in (s.getpeername()[1], s.getsockname()[1])]
    except OSError:
        return False  # it has been reset, which is seen elsewhere
    with open("/proc/net/tcp", encoding="ascii") as f:
        inodes = [words[9] for words in map(str.split, f) if words[1:3] == ends]
    holders = []
    for entry in os.listdir("/proc"):
        try:
            files = os.listdir(f"/proc/{entry}/fd") if entry.isdigit() else []
            if any(os.readlink(f"/proc/{entry}/fd/{f}") == f"socket:[{i}]" for f in files for i in inodes):
                with open(f"/proc/{entry}/comm", encoding="ascii") as f:
                    holders.append(f.read().strip())
        except OSError:
            pass  # it has just ended, or closed that
    return bool(holders) and all(name.startswith("wineserver") for name in holders)


class Broker:
    """One thread that waits for all of it; errors are kept in self.errors, which a test must find empty."""

    def __init__(self, vms=("vm1",)):
        self.texts, self.errors = list(vms), []
        self.machines, self.lines, self.handlers = {}, [], {}
        self.changed = threading.Condition(threading.RLock())
        self.played, self.thread = [], None

    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix="uwlab-")
        self.prefix = os.path.join(SHM, os.path.basename(self.directory) + "-")
        for i, text in enumerate(self.texts):
            machine = Machine(i, text, self.directory, self.prefix)
            self.machines[machine.name] = machine
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.wake = os.eventfd(0, os.EFD_NONBLOCK)
        self.epoll = select.epoll()
        self.watch(self.listener, self.accept_line)
        self.watch(self.wake, None)
        for machine in self.machines.values():
            self.watch(machine.listener, lambda m=machine: self.accept_qemu(m))
            self.watch(machine.kick, lambda m=machine: self.ring(m))
        self.thread = threading.Thread(target=self.loop, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *exc):
        os.eventfd_write(self.wake, 1)
        self.thread.join()
        for line in self.lines:
            line.socket.close()
        self.listener.close()
        self.epoll.close()
        os.close(self.wake)
        for machine in self.machines.values():
            machine.close()
        shutil.rmtree(self.directory)

    # For tests

    def socket(self, vm="vm1"):
        return self.machines[vm].socket

    def port(self):
        return self.listener.getsockname()[1]

    def environment(self):
        return {"UWLAB_BROKER": str(self.port()), "UWLAB_REGION": "Z:" + self.prefix.replace("/", "\\")}

    def region(self, vm="vm1"):
        """The bytes of that VM's region now."""
        machine = self.machines[vm]
        with mmap.mmap(machine.region, machine.size, prot=mmap.PROT_READ) as m:
            return bytes(m)

    def state(self):
        """For a person who wonders why a guest does not start."""
        with self.changed:
            return [f"broker: {m.name}: QEMU {'runs' if m.qemu else 'waits' if m.waiting else 'is not there'}, "
                    f"{'' if m.introduced else 'not '}introduced, device {'' if m.visible else 'not '}visible, "
                    f"doorbell {m.trigger}, {len(m.hosts)} device hosts" for m in self.machines.values()
                    ] + [f"broker: {len(self.lines)} lines"] + [f"broker: {e}" for e in self.errors]

    def until(self, condition, what, timeout=20):
        end = time.monotonic() + timeout
        with self.changed:
            while not condition():
                left = end - time.monotonic()
                if left <= 0:
                    raise BrokerError("waited in vain for " + what)
                self.changed.wait(left)

    def play(self, vm, command, timeout=30):
        """Has the guest's PCI driver, as the stand-in plays it, do something; fails if that failed."""
        machine = self.machines[vm]
        with self.changed:
            self.played = []
            if not machine.hosts:
                raise BrokerError(f"{vm} has no device host")
            machine.hosts[-1].send(PLAY, machine, text=command)
        self.until(lambda: self.played, "the answer to " + command, timeout)
        if self.played[0]:
            raise BrokerError(f"{command}: {self.played[0]:#x}")

    # The loop

    def watch(self, what, handler):
        fd = what if isinstance(what, int) else what.fileno()
        self.handlers[fd] = handler
        self.epoll.register(fd, select.EPOLLIN | select.EPOLLRDHUP)

    def forget(self, what):
        self.epoll.unregister(what.fileno())
        del self.handlers[what.fileno()]
        what.close()

    def loop(self):
        while True:
            self.drop_abandoned()
            for fd, _ in self.epoll.poll(1.0):
                if fd == self.wake:
                    return
                with self.changed:
                    try:
                        if fd in self.handlers:
                            self.handlers[fd]()
                    except Exception as e:  # a broker that has died would hang every test
                        self.errors.append(repr(e))
                    self.changed.notify_all()

    def ring(self, machine):
        os.eventfd_read(machine.kick)
        machine.rung += 1
        for line in machine.hosts:
            line.send(RUNG, machine)

    # QEMU

    def accept_qemu(self, machine):
        s, _ = machine.listener.accept()
        if machine.qemu or machine.hosts:
            if machine.waiting:
                machine.waiting.close()
            machine.waiting = s
            return
        self.begin(machine, s)

    def begin(self, machine, s):
        machine.qemu, machine.waiting = s, None
        machine.starts += 1
        machine.ident = uuid.uuid4() if machine.owner == "WSL" else machine.fixed
        self.watch(s, lambda: self.lose_qemu(machine))
        self.tell(machine)

    def lose_qemu(self, machine):
        """QEMU sends nothing, so whatever can be read is its end."""
        self.forget(machine.qemu)
        machine.qemu = machine.introduced = None
        self.tell(machine)
        self.settle(machine)

    def tell(self, machine, lines=None):
        for line in self.lines if lines is None else lines:
            if line.role == ROLE_HCS:
                line.send(VM, machine, 1 if machine.qemu else 0, machine.size,
                          f"{machine.name} {machine.owner} {machine.ident}")

    def settle(self, machine):
        """After each change: a visible device lets QEMU in; a VM that has ended on both sides may begin again."""
        if machine.qemu and machine.introduced is None and machine.visible and machine.trigger:
            machine.introduce()
        if not machine.qemu and not machine.hosts:
            machine.zero()
            if machine.waiting:
                self.begin(machine, machine.waiting)

    # The Windows side

    def accept_line(self):
        s, _ = self.listener.accept()
        line = Line(s)
        self.lines.append(line)
        self.watch(s, lambda: self.read_line(line))

    def read_line(self, line):
        try:
            data = line.socket.recv(65536)
        except OSError:
            data = b""
        if not data:
            self.lose_line(line)
            return
        line.buffer += data
        while len(line.buffer) >= MESSAGE.size:
            message, line.buffer = line.buffer[:MESSAGE.size], line.buffer[MESSAGE.size:]
            self.take(line, *MESSAGE.unpack(message)[:4])

    def drop_abandoned(self):
        """Wine's server now and then keeps a socket of a process that was killed, and its end is never seen."""
        with self.changed:
            for machine in self.machines.values():
                for line in machine.hosts[:] if machine.waiting else []:
                    if abandoned(line.socket):
                        self.lose_line(line)

    def lose_line(self, line):
        self.forget(line.socket)
        self.lines.remove(line)
        machine = line.machine
        if machine and line in machine.hosts:
            machine.hosts.remove(line)
            if not machine.hosts:
                machine.visible, machine.trigger = False, None
            self.settle(machine)

    def take(self, line, kind, number, a, b):
        if line.role is None and kind != HELLO:
            raise BrokerError("a stand-in did not say hello")
        machine = list(self.machines.values())[number]
        if kind == HELLO:
            self.welcome(line, machine, b)
        elif kind == VISIBLE:
            machine.visible = bool(a)
        elif kind == DOORBELL:
            machine.trigger = a if b else None
            if b and machine.introduced not in (None, a):
                raise BrokerError(f"{machine.name}: the doorbell's value changed from {machine.introduced:#x} to {a:#x}")
        elif kind == INTERRUPT:
            machine.raised += 1
            os.eventfd_write(machine.interrupts[a], 1)
        elif kind == PLAYED:
            self.played.append(a)
        elif kind == HANDLES:
            machine.handles = a
        self.settle(machine)

    def welcome(self, line, machine, role):
        line.role = role
        if role == ROLE_HDV:
            line.machine = machine
            machine.hosts.append(line)
            return
        for each in self.machines.values():
            self.tell(each, [line])
        line.send(SYNC, None)
