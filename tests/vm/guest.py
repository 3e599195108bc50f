# SPDX-License-Identifier: GPL-2.0-only
"""Boots a Linux guest under QEMU's software emulation, runs commands in it and reads what its kernel complains about.

    with Guest(links=["/run/usbwarp/vm1.sock"], files={"/usbwarp.ko": "build/usbwarp.ko"}) as g:
        g.load("/usbwarp.ko")
        print(g.run("lsusb").out)
        assert not g.clean_log()

Nothing of a guest has a name in the host's file system: sockets are inherited pairs, the initramfs, the console log
and QEMU's messages are memfds, and QEMU dies with the process that started it. So nothing can be left behind.
"""
import ctypes
import dataclasses
import json
import os
import re
import select
import shlex
import signal
import socket
import stat
import struct
import subprocess
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.join(os.path.dirname(os.path.dirname(HERE)), "build")
HELLO = b"\nusbwarp-agent-1\n"
FRAME = struct.Struct("<IHBB")
FRAME_MAX = 16384
MARK = 0x5A

# What a clean log may not contain. Benign boot messages of these kernels match none of them.
COMPLAINTS = re.compile(
    r"WARNING: |\bBUG\b|\bOops\b|Call Trace|general protection fault|Kernel panic|nobody cared"
    r"|possible (circular|recursive|irq|deadlock)|inconsistent lock state|suspicious RCU|held lock freed|bad unlock balance"
    r"|INFO: (trying to register|possible|HARDIRQ|SOFTIRQ|task .* blocked|rcu)|rcu: INFO|lock held when returning"
    r"|soft lockup|hard LOCKUP|sleeping function called|scheduling while atomic|KASAN|KFENCE|UBSAN|refcount_t:"
    r"|kmemleak: [1-9]|list_(add|del) corruption|unregister_netdevice|page allocation failure|Out of memory"
    r"|BOGUS urb|DMA-API: \S+ \S+: |cannot create duplicate|agent: ")

# For machines slower than a developer's: every time limit is multiplied by this.
PATIENCE = float(os.environ.get("USBWARP_PATIENCE", "1"))
KERNEL = os.environ.get("USBWARP_KERNEL", "debian")

# Beyond a console that hides nothing and a panic that ends QEMU, these only save boot time: self-tests, certificates,
# statistics and calibrations that no test looks at. rodata=off would save as much again, and hide writes to constants.
KERNEL_ARGUMENTS = (
    "console=ttyS0 ignore_loglevel panic=-1 tsc=reliable no_timer_check lpj=5000000 nokaslr mitigations=off "
    "cryptomgr.notests initcall_blacklist=crypto_kdf108_init,load_system_certificate_list,slab_sysfs_init")


class GuestError(Exception):
    """The guest, or a command in it, did not do what was asked."""


class GuestTimeout(GuestError):
    """A command or the boot took longer than its caller allowed."""


@dataclasses.dataclass
class Doorbell:
    """An ivshmem-doorbell link: the socket of a server that listens already."""
    path: str
    vectors: int = 2


@dataclasses.dataclass
class Plain:
    """An ivshmem-plain link: a file whose size is the region's; several links may share one file."""
    path: str


class Result:
    """What a finished command wrote (stdout and stderr in order) and its exit code (negative: the signal)."""

    def __init__(self, code, raw):
        self.code, self.raw = code, raw

    @property
    def out(self):
        return self.raw.decode("utf-8", "replace")

    def __iter__(self):
        return iter((self.out, self.code))

    def __repr__(self):
        return f"Result(code={self.code}, out={self.out!r})"


class Job:
    """A command running in the guest; its log is kept on the host and so outlives the guest."""

    def __init__(self, guest, ident, cmd):
        self.guest, self.ident, self.cmd = guest, ident, cmd
        self.raw, self.code, self.lost, self.acks = bytearray(), None, None, 0

    @property
    def out(self):
        with self.guest.changed:
            return bytes(self.raw).decode("utf-8", "replace")

    @property
    def done(self):
        return self.code is not None

    def wait(self, timeout=60):
        """The Result; GuestTimeout if the command still runs by then (it goes on running)."""
        self.guest._until(lambda: self.done or self.lost, timeout, f"command still runs: {self.cmd}", self)
        if self.lost:
            raise GuestError(f"{self.lost} while it ran: {self.cmd}\n{self.out}")
        return Result(self.code, bytes(self.raw))

    def wait_for(self, text, timeout=60):
        """Waits until the log contains text; fails if the command ends before."""
        self.guest._until(lambda: text.encode() in self.raw or self.done or self.lost, timeout,
                          f"no {text!r} from: {self.cmd}", self)
        if text.encode() not in self.raw:
            raise GuestError(f"ended ({self.lost or self.code}) without {text!r}: {self.cmd}\n{self.out}")

    def feed(self, data, timeout=60):
        """Writes to the command's stdin (start(..., stdin=True)); returns when the guest took it all."""
        for i in range(0, len(data), FRAME_MAX):
            want = self.acks + 1
            self.guest._send(self.ident, b"I", data[i:i + FRAME_MAX])
            self.guest._until(lambda: self.acks >= want or self.lost, timeout, f"stdin not read: {self.cmd}", self)

    def end_of_input(self):
        self.guest._send(self.ident, b"E", b"")

    def kill(self, sig=signal.SIGKILL):
        """Signals the command and what it started."""
        if not self.done and not self.lost:
            self.guest._send(self.ident, b"K", bytes([sig]))


def tree(kernel=None):
    """The folder with that kernel, its user space (root) and, for a kernel built here, the build tree (linux)."""
    kernel = kernel or KERNEL
    return os.path.join(BUILD, "guest" if kernel == "debian" else "guest-" + kernel)


def libraries(path):
    """The shared libraries of a dynamic program, as {guest path: host path}; nothing for a script or a static one."""
    with open(path, "rb") as f:
        if f.read(4) != b"\x7fELF":
            return {}
    ldd = subprocess.run(["ldd", path], capture_output=True, text=True, check=False)
    return {m: os.path.realpath(m) for m in re.findall(r"(/\S+) \(0x", ldd.stdout)}


class Cpio:
    """Writes the newc archive that the kernel unpacks over the base initramfs."""

    def __init__(self):
        self.out, self.dirs, self.inode = bytearray(), set(), 0x10000

    def _entry(self, name, mode, data):
        self.inode += 1
        name = name.encode() + b"\0"
        fields = (self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
        self.out += b"070701" + b"".join(b"%08X" % f for f in fields) + name
        self.out += bytes(-len(self.out) % 4) + data
        self.out += bytes(-len(self.out) % 4)

    def add(self, guest_path, host_path):
        name = guest_path.strip("/")
        parts = name.split("/")[:-1]
        for i in range(1, len(parts) + 1):
            parent = "/".join(parts[:i])
            if parent not in self.dirs:
                self.dirs.add(parent)
                self._entry(parent, 0o40755, b"")
        with open(host_path, "rb") as f:
            data = f.read()
            self._entry(name, 0o100000 | stat.S_IMODE(os.fstat(f.fileno()).st_mode), data)

    def bytes(self):
        if not self.inode:
            return b""
        self._entry("TRAILER!!!", 0, b"")
        return bytes(self.out)


LIBC = ctypes.CDLL(None)  # here, because loading between fork and exec may wait for another thread's lock for ever


def _die_with_parent():
    LIBC.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Guest:
    """One virtual machine. Use it as a context manager; every argument has a default that suits most tests.

    links      Doorbell(...), Plain(...) or a path: a socket is a doorbell link, a file a plain one. Link N is the PCI
               device with QEMU id "linkN".
    files      {guest path: host path}, added over the base system; libraries of dynamic programs come along.
    modules    loaded once booted, in order: module names, or guest paths of .ko files, each with parameters.
    extra_qemu more QEMU arguments. append: more kernel arguments.
    kernel     "debian" or "debug" (mkdebugkernel.sh); without it USBWARP_KERNEL decides, so that one run can do either.
    no_reboot  a reboot or panic of the guest ends QEMU (a reset() by the host never does).
    console    a host file that keeps the console log; without it the log goes with the guest.
    """

    def __init__(self, links=(), extra_qemu=(), files=None, modules=(), smp=1, memory=None, kernel=None,
                 append="", no_reboot=True, console=None, boot_timeout=120, accel="tcg,thread=multi"):
        self.links, self.extra_qemu, self.files, self.modules = links, list(extra_qemu), files or {}, list(modules)
        self.kernel, self.accel, self.boot_timeout = kernel or KERNEL, accel, boot_timeout
        debug = self.kernel == "debug"
        self.smp, self.memory, self.append, self.no_reboot = smp, memory or (1024 if debug else 512), append, no_reboot
        self.patience = PATIENCE * (4 if debug else 1)
        self.console_path = console
        self.process, self.reader, self.jobs, self.events, self.replies = None, None, {}, [], {}
        self.boots, self.dead, self.last_id, self.synced = 0, None, 0, False
        self.console_text = self.stderr_text = ""
        self.changed = threading.Condition()
        self.sending = threading.Lock()

    # Life

    def __enter__(self):
        try:
            return self.boot()
        except BaseException:
            self.kill()
            raise

    def __exit__(self, *exc):
        self.kill()

    def boot(self):
        """Starts QEMU and waits for the agent."""
        self._start()
        self.wait_boot(1)
        for m in self.modules:
            self.load(m)
        return self

    def wait_boot(self, boots, timeout=None):
        """Waits until the guest has come up that many times since it was started."""
        self._until(lambda: self.boots >= boots, timeout or self.boot_timeout, "the guest did not boot")

    def reset(self):
        """Presses the reset button and waits for the boot. Commands running then are lost."""
        boots = self.boots
        if self.no_reboot:
            self.qmp("set-action", {"reboot": "reset"})
        self.qmp("system_reset")
        self.wait_boot(boots + 1)
        if self.no_reboot:
            self.qmp("set-action", {"reboot": "shutdown"})
        for m in self.modules:
            self.load(m)

    def poweroff(self, timeout=60):
        """Shuts down from inside and waits for QEMU's end."""
        self.start("sync; poweroff -f")
        try:
            self.process.wait(timeout * self.patience)
        except subprocess.TimeoutExpired:
            raise GuestTimeout("the guest did not power off\n" + self._tail()) from None
        self.kill()

    def kill(self):
        """Ends QEMU at once, as a host's power cut would; harmless when it has ended. The log stays readable."""
        if not self.process:
            return
        self.process.kill()
        self.process.wait()
        if self.reader:
            self.reader.join()
        self.process = None
        self.console_text, self.stderr_text = self.console(), self._stderr()
        for fd in self.console_fd, self.stderr_fd:
            os.close(fd)
        self.agent.close()
        self.monitor.close()
        if self.console_path:
            with open(self.console_path, "w", encoding="utf-8") as f:
                f.write(self.console_text)

    # Commands

    def run(self, cmd, timeout=60, check=True, stdin=None):
        """Runs a shell command to its end. check: a non-zero exit is a GuestError. Unpacks as (output, code)."""
        job = self.start(cmd, stdin=stdin is not None)
        try:
            if stdin is not None:
                job.feed(stdin, timeout)
                job.end_of_input()
            result = job.wait(timeout)
        except GuestTimeout:
            job.kill()
            raise
        if check and result.code:
            raise GuestError(f"exit code {result.code} from: {cmd}\n{result.out}")
        return result

    def start(self, cmd, stdin=False):
        """Starts a shell command in the background and returns its Job."""
        with self.changed:
            self.last_id += 1
            job = self.jobs[self.last_id] = Job(self, self.last_id, cmd)
        self._send(job.ident, b"P" if stdin else b"R", cmd.encode())
        return job

    def push(self, host_path, guest_path):
        """Copies a small file into the running guest: the line carries about 100 KB/s, large files belong into files=."""
        with open(host_path, "rb") as f:
            self.write(guest_path, f.read())
        self.run(f"chmod {stat.S_IMODE(os.stat(host_path).st_mode):o} {shlex.quote(guest_path)}")

    def pull(self, guest_path, host_path):
        with open(host_path, "wb") as f:
            f.write(self.read(guest_path))

    def write(self, guest_path, data):
        self.run(f"cat >{shlex.quote(guest_path)}", stdin=data)

    def read(self, guest_path):
        return self.run(f"cat {shlex.quote(guest_path)}").raw

    def load(self, module):
        """Loads "name params..." with modprobe, or "/path.ko params..." after the modules it depends on."""
        name = module.split()[0]
        if name.startswith("/"):
            self.run(f"for d in $(modinfo -F depends {name} | tr , ' '); do modprobe $d || exit; done; insmod {module}")
        else:
            self.run(f"modprobe {module}")

    def wait_for(self, condition, timeout=60):
        """Waits until a shell command succeeds: `g.wait_for("[ -b /dev/sda ]")`."""
        self.run(f"until {condition}; do sleep 0.05; done", timeout)

    # The kernel's words

    def dmesg(self):
        return self.run("dmesg").out

    def console(self):
        """All that the kernel printed since the start, resets included."""
        return self._slurp(self.console_fd) if self.process else self.console_text

    def wait_console(self, text, timeout=60):
        """Waits until the console log contains text; works with a guest that no longer answers, too."""
        deadline = time.monotonic() + timeout * self.patience
        while text not in self.console():
            if time.monotonic() > deadline:
                raise GuestTimeout(f"no {text!r} on the console\n{self._tail()}")
            time.sleep(0.05)

    def clean_log(self, allow=None):
        """The lines of the console log that no clean run may have; allow: a regular expression of expected ones."""
        lines = (line for line in self.console().splitlines() if COMPLAINTS.search(line))
        return [line for line in lines if not (allow and re.search(allow, line))]

    def leaks(self):
        """What the debug kernel's kmemleak holds for lost. Twice, because the first scan only makes suspects."""
        return self.run("cd /sys/kernel/debug; echo scan >kmemleak; sleep 6; echo scan >kmemleak; cat kmemleak", 600).out

    # QEMU

    def qmp(self, cmd, args=None, timeout=30):
        """A QMP command's return value; its error is a GuestError."""
        with self.changed:
            self.last_id += 1
            ident = self.last_id
        self._qmp_send({"execute": cmd, "arguments": args or {}, "id": ident})
        self._until(lambda: ident in self.replies, timeout, f"no answer to {cmd}")
        reply = self.replies.pop(ident)
        if "error" in reply:
            raise GuestError(f"{cmd}: {reply['error']['desc']}")
        return reply["return"]

    def wait_event(self, name, timeout=30, **fields):
        """Waits for a QMP event (also one that came earlier) whose data has these fields, and takes it."""
        def find():
            for e in self.events:
                if e["event"] == name and fields.items() <= e.get("data", {}).items():
                    return e
            return None
        self._until(find, timeout, f"no event {name}")
        event = find()
        self.events.remove(event)
        return event

    # Inside

    def _start(self):
        base = tree(self.kernel)
        if not os.path.exists(os.path.join(base, "base.cpio")):
            make = "mkguest.sh" if self.kernel == "debian" else "mkdebugkernel.sh"
            raise GuestError(f"no guest in {base}: make it with tests/vm/{make}")
        self.agent, agent = socket.socketpair()
        self.monitor, monitor = socket.socketpair()
        self.console_fd = os.memfd_create("console")
        self.stderr_fd = os.memfd_create("qemu-stderr")
        initrd = self._initrd(os.path.join(base, "base.cpio"))
        with agent, monitor:
            self._spawn(base, agent.fileno(), monitor.fileno(), initrd)
        os.close(initrd)
        self.reader = threading.Thread(target=self._read_loop, daemon=True)
        self.reader.start()
        self._qmp_send({"execute": "qmp_capabilities"})

    def _spawn(self, base, agent, monitor, initrd):
        args = self._arguments(base) + [
            "-initrd", f"/proc/self/fd/{initrd}",
            "-chardev", f"file,id=console,append=on,path=/proc/self/fd/{self.console_fd}",
            "-serial", "chardev:console",
            "-chardev", f"socket,id=agent,fd={agent}", "-serial", "chardev:agent",
            "-chardev", f"socket,id=qmp,fd={monitor}", "-mon", "chardev=qmp,mode=control",
        ] + self.extra_qemu
        # The kernel sends the parent-death signal when the starting thread ends, so only the main thread may ask for it.
        main = threading.current_thread() is threading.main_thread()
        self.process = subprocess.Popen(
            args, stdin=subprocess.DEVNULL, stdout=self.stderr_fd, stderr=self.stderr_fd,
            pass_fds=(agent, monitor, initrd, self.console_fd), start_new_session=True,
            preexec_fn=_die_with_parent if main else None)

    def _arguments(self, base):
        append = f"{KERNEL_ARGUMENTS} {self.append}".strip()
        args = ["qemu-system-x86_64", "-no-user-config", "-nodefaults", "-display", "none", "-nic", "none",
                "-machine", "q35,sata=off,smbus=off,vmport=off", "-accel", self.accel, "-cpu", "max",
                "-smp", str(self.smp), "-m", str(self.memory),
                "-kernel", os.path.join(base, "vmlinux"), "-append", append]
        if self.no_reboot:
            args.append("-no-reboot")
        for n, link in enumerate(self.links):
            args += self._link(n, link)
        return args

    @staticmethod
    def _link(n, link):
        if isinstance(link, str):
            link = Doorbell(link) if stat.S_ISSOCK(os.stat(link).st_mode) else Plain(link)
        # Behind a root port with a window of its own the BAR lies above 4 GiB, where no MTRR makes it uncachable.
        args = ["-device", f"pcie-root-port,id=port{n},chassis={n + 1},pref64-reserve=2G"]
        if isinstance(link, Doorbell):
            return args + ["-chardev", f"socket,id=door{n},path={link.path}",
                           "-device", f"ivshmem-doorbell,id=link{n},bus=port{n},chardev=door{n},vectors={link.vectors}"]
        size = os.stat(link.path).st_size
        return args + ["-object", f"memory-backend-file,id=mem{n},share=on,mem-path={link.path},size={size}",
                       "-device", f"ivshmem-plain,id=link{n},bus=port{n},memdev=mem{n}"]

    def _initrd(self, base):
        cpio, files = Cpio(), {}
        for guest_path, host_path in self.files.items():
            files.update(libraries(host_path))
            files[guest_path] = host_path
        for guest_path, host_path in files.items():
            cpio.add(guest_path, host_path)
        fd = os.memfd_create("initrd")
        with open(base, "rb") as f, os.fdopen(fd, "wb", closefd=False) as out:
            out.write(f.read())
            out.write(bytes(-out.tell() % 4))
            out.write(cpio.bytes())
        return fd

    def _send(self, ident, kind, data):
        if len(data) > FRAME_MAX:
            raise GuestError("a command is too long; push a script")
        with self.sending:
            try:
                self.agent.sendall(FRAME.pack(ident, len(data), kind[0], MARK) + data)
            except OSError:
                pass  # the reader sees QEMU's end too and says so to whoever waits

    def _qmp_send(self, message):
        try:
            self.monitor.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            pass

    def _until(self, condition, timeout, what, job=None):
        """Waits for a condition that the reader thread makes true; the guest's death ends the wait."""
        timeout *= self.patience
        deadline = time.monotonic() + timeout
        with self.changed:
            while not condition():
                left = deadline - time.monotonic()
                if self.dead:
                    raise GuestError(f"{self.dead}; {what}\n{self._tail(job)}")
                if left <= 0:
                    raise GuestTimeout(f"{what} (after {timeout:g} s)\n{self._tail(job)}")
                self.changed.wait(left)

    def _tail(self, job=None, lines=40):
        said = bytes(job.raw).decode("utf-8", "replace") if job else ""
        console = "\n".join(self.console().splitlines()[-lines:])
        return f"{said}\n--- QEMU\n{self._stderr()}\n--- console\n{console}"

    @staticmethod
    def _slurp(fd):
        return os.pread(fd, os.fstat(fd).st_size, 0).decode("utf-8", "replace").replace("\r", "")

    def _stderr(self):
        return self._slurp(self.stderr_fd) if self.process else self.stderr_text

    # The reader thread

    def _read_loop(self):
        buffers = {self.agent: bytearray(), self.monitor: bytearray()}
        poll = select.poll()
        by_fd = {s.fileno(): s for s in buffers}
        for fd in by_fd:
            poll.register(fd, select.POLLIN)
        while by_fd:
            for fd, _ in poll.poll():
                s = by_fd[fd]
                try:
                    data = s.recv(65536)
                except OSError:
                    data = b""
                if not data:
                    poll.unregister(fd)
                    del by_fd[fd]
                    continue
                buffers[s] += data
                with self.changed:
                    if s is self.agent:
                        self._take_agent(buffers[s])
                    else:
                        self._take_qmp(buffers[s], buffers[self.agent])
                    self.changed.notify_all()
        with self.changed:
            self._lose_jobs("QEMU ended")
            self.dead = "QEMU ended"
            self.changed.notify_all()

    def _take_agent(self, buf):
        while True:
            if not self.synced:
                at = buf.find(HELLO)
                del buf[:at + len(HELLO) if at >= 0 else max(0, len(buf) - len(HELLO))]
                if at < 0:
                    return
                self.synced = True
                self.boots += 1
            if len(buf) < FRAME.size:
                return
            ident, size, kind, mark = FRAME.unpack_from(buf)
            if mark != MARK or size > FRAME_MAX:
                self._lose_jobs("the agent's line lost its frames")
                continue
            if len(buf) < FRAME.size + size:
                return
            payload = bytes(buf[FRAME.size:FRAME.size + size])
            del buf[:FRAME.size + size]
            self._frame(ident, chr(kind), payload)

    def _frame(self, ident, kind, payload):
        job = self.jobs.get(ident)
        if not job:
            return
        if kind == "O":
            job.raw += payload
        elif kind == "A":
            job.acks += 1
        elif kind == "X":
            job.code = os.waitstatus_to_exitcode(struct.unpack("<i", payload)[0])
            del self.jobs[ident]

    def _take_qmp(self, buf, agent_buf):
        while b"\n" in buf:
            line, _, rest = bytes(buf).partition(b"\n")
            buf[:] = rest
            message = json.loads(line)
            if "id" in message:
                self.replies[message["id"]] = message
            elif "event" in message:
                self.events.append(message)
                if message["event"] == "RESET":
                    agent_buf.clear()
                    self._lose_jobs("the guest was reset")

    def _lose_jobs(self, why):
        self.synced = False
        for job in self.jobs.values():
            job.lost = why
        self.jobs.clear()
