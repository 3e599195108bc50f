# SPDX-License-Identifier: GPL-2.0-only
"""What a test program of ours is: functions marked @case, one line each, and "N passed, N failed" as the last line.

    from runner import case, equal, main

    @case
    def storage_appears():
        ...

    if __name__ == "__main__":
        main()

Arguments of such a program name the cases to run (any part of a name will do); --list prints the names.
"""
import sys
import time
import traceback

_cases = []


def case(function):
    """Marks a test. It passes when it returns and fails when it raises."""
    _cases.append(function)
    return function


def cases(module="__main__"):
    """The cases of one module: those that a test takes over from another are not its own."""
    return [f for f in _cases if f.__module__ == module]


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


def run(functions=None):
    """Runs this program's cases, or those functions, as far as the command line names them; the code to exit with."""
    names = sys.argv[1:]
    functions = cases() if functions is None else functions
    if names == ["--list"]:
        print("\n".join(f.__name__ for f in functions))
        return 0
    chosen = [f for f in functions if not names or any(n in f.__name__ for n in names)]
    failed = len(chosen) - sum(_run(f) for f in chosen)
    print(f"{len(chosen) - failed} passed, {failed} failed", flush=True)
    return 1 if failed or not chosen else 0


def main(functions=None):
    sys.exit(run(functions))
