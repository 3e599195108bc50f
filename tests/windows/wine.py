# SPDX-License-Identifier: GPL-2.0-only
"""A Wine prefix of one's own for tests of user programs, gone with its user."""
import os
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILT = os.environ.get("USBWARP_WINDOWS", os.path.join(ROOT, "build", "windows"))
PATIENCE = float(os.environ.get("USBWARP_PATIENCE", "1"))  # multiplies every timeout
sys.path += [os.path.join(ROOT, "tests"), os.path.join(ROOT, "tests", "wine")]
from loader import SERVER, WINE  # noqa: E402
from runner import case, equal, main, run  # noqa: E402 F401


def holds(text, *parts):
    """Every part stands in text."""
    for part in parts:
        if part not in text:
            raise AssertionError(f"no {part!r} in {text!r}")


def until(condition, what, timeout=20):
    end = time.monotonic() + timeout * PATIENCE
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain for {what}")
        time.sleep(0.05)


class Wine:
    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix="usbwarp-wine-")
        self.environment = {k: v for k, v in os.environ.items() if k != "DISPLAY"} | {
            "WINEPREFIX": os.path.join(self.directory, "prefix"), "WINEDEBUG": "-all",
            "WINEDLLOVERRIDES": "mscoree,mshtml=d"}
        try:
            self.keeper = None
            self.run("wineboot", "-i")
            # Something that runs all the time: without it Wine starts its services for each program anew. They keep
            # what they inherit, so nothing else may start before they have this one's.
            self.keeper = subprocess.Popen([*WINE, "cmd", "/c", "echo ready&pause"], env=self.environment,
                                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            if b"ready" not in self.keeper.stdout.readline():
                raise AssertionError("Wine does not start")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc):
        if self.keeper:
            self.keeper.kill()
            self.keeper.stdin.close()
            self.keeper.stdout.close()
            self.keeper.wait()
        subprocess.run([SERVER, "-k"], env=self.environment, check=False, timeout=60 * PATIENCE,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        subprocess.run([SERVER, "-w"], env=self.environment, check=False, timeout=60 * PATIENCE,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.directory, ignore_errors=True)

    def path(self, *parts):
        """Of a file in the prefix, below drive C."""
        return os.path.join(self.directory, "prefix", "drive_c", *parts)

    def run(self, *words, code=0, env=None, timeout=120):
        """Runs a Windows program; its (stdout, stderr) as bytes. code None: any will do."""
        done = subprocess.run([*WINE, *words], capture_output=True, check=False, timeout=timeout * PATIENCE,
                              stdin=subprocess.DEVNULL, env=self.environment | (env or {}))
        if code is not None and done.returncode != code:
            raise AssertionError(f"{' '.join(words)}: code {done.returncode}, want {code}\n"
                                 f"{done.stdout.decode(errors='replace')}{done.stderr.decode(errors='replace')}")
        return done.stdout, done.stderr

    def spawn(self, *words):
        return subprocess.Popen([*WINE, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                stdin=subprocess.DEVNULL, env=self.environment)


def windows_path(path):
    """Wine shows the root as drive Z."""
    return "Z:" + os.path.abspath(path).replace("/", "\\")


def compile_tool(source, to, *libraries):
    subprocess.run(["x86_64-w64-mingw32-gcc", "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-o", to, source,
                    *("-l" + name for name in libraries)], check=True)
