# SPDX-License-Identifier: GPL-2.0-only
"""How Wine is started: WINE, the words before a program's own, and SERVER. The environment variables WINE and WINESERVER
name others.

Wine's loader lies just below 2 GiB, and Linux puts a program's heap at random into the GiB behind it. One start in some two
thousand has its heap at 0x7ffe0000, where Windows' shared page has to be, and ends with code 1 and no word: so without
that randomness, where the system allows it.
"""
import os
import subprocess

PROGRAM = os.environ.get("WINE", "/usr/lib/wine/wine64")
SERVER = os.environ.get("WINESERVER", "/usr/lib/wine/wineserver64")
STILL = ["setarch", "-R"]


def _allowed():
    try:
        return subprocess.run([*STILL, "true"], check=False, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


WINE = [*STILL, PROGRAM] if _allowed() else [PROGRAM]
