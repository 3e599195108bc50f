# SPDX-License-Identifier: GPL-2.0-only
"""A runner for VM tests: functions marked @case, one line each, and "N passed, N failed" as the last line.

    from lab import case, clean, main

    @case
    def storage_appears():
        with Guest(...) as g:
            ...
            clean(g)

    if __name__ == "__main__":
        main()

Arguments of such a program name the cases to run (any part of a name will do); --list prints the names.
"""
import os
import subprocess
import sys
import time
import traceback

from guest import KERNEL

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = []


def case(function):
    """Marks a test. It passes when it returns and fails when it raises."""
    CASES.append(function)
    return function


def clean(guest, allow=None):
    """Fails if the guest's kernel complained since its start; allow: a regular expression of expected lines."""
    lines = guest.clean_log(allow)
    if lines:
        raise AssertionError("kernel complaints:\n" + "\n".join(lines) + "\n--- console\n" + guest.console()[-8000:])


def equal(got, want, what=""):
    if got != want:
        raise AssertionError(f"{what}: got {got!r}, want {want!r}")


def _run(function):
    start = time.monotonic()
    try:
        function()
    except Exception:  # KeyboardInterrupt ends the run instead
        print(f"FAIL {function.__name__}", flush=True)
        traceback.print_exc(file=sys.stdout)
        return False
    print(f"ok   {function.__name__} ({time.monotonic() - start:.1f} s)", flush=True)
    return True


def main(kernel=KERNEL):
    names = sys.argv[1:]
    if names == ["--list"]:
        print("\n".join(f.__name__ for f in CASES))
        return
    chosen = [f for f in CASES if not names or any(n in f.__name__ for n in names)]
    subprocess.run([os.path.join(HERE, "mkdebugkernel.sh" if kernel == "debug" else "mkguest.sh")], check=True)
    failed = len(chosen) - sum(_run(f) for f in chosen)
    print(f"{len(chosen) - failed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed or not chosen else 0)
