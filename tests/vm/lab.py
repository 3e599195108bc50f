# SPDX-License-Identifier: GPL-2.0-only
"""What VM tests have in common: the runner of tests/runner.py, behind the building of the guest, and a clean kernel log.

    from lab import case, clean, main

    @case
    def storage_appears():
        with Guest(...) as g:
            ...
            clean(g)

    if __name__ == "__main__":
        main()
"""
import os
import subprocess
import sys

from guest import KERNEL

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.dirname(HERE))
import runner  # noqa: E402
from runner import case, equal  # noqa: E402 F401


def clean(guest, allow=None):
    """Fails if the guest's kernel complained since its start; allow: a regular expression of expected lines."""
    lines = guest.clean_log(allow)
    if lines:
        raise AssertionError("kernel complaints:\n" + "\n".join(lines) + "\n--- console\n" + guest.console()[-8000:])


def main(kernel=KERNEL, functions=None):
    if "--list" not in sys.argv:
        subprocess.run([os.path.join(HERE, "mkdebugkernel.sh" if kernel == "debug" else "mkguest.sh")], check=True)
    runner.main(functions)
