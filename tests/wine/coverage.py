#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Measures which lines of UsbWarp.sys and UsbWarpFilter.sys the tests in tests/wine execute.

    coverage.py [--merge] [--lines] [TEST[:CASE[,CASE]...]]...     TEST: all test_*.py that load the drivers, if none is named

    cmake -S host/windows -B build/windows-coverage -DUSBWARP_LAB=ON -DUSBWARP_COVERAGE=ON \\
          -DCMAKE_TOOLCHAIN_FILE=$PWD/host/windows/cmake/gcc.cmake && cmake --build build/windows-coverage

Counters of earlier runs are forgotten unless --merge is given (with no TEST but "none", only the report is made anew).
A test that fails is told and is a failure here, too. USBWARP_WINDOWS names another folder of binaries.

uncovered.txt, in the folder coverage, has a line for each thing that no test reaches, "FILE | FUNCTION | TEXT | REASON":
TEXT is part of the source line, or * for all of the function. The run fails when an uncovered line has no such line, when
one of them matches no source, or when less than LEAST percent of the lines are covered. Those numbers are of lines as the
compiler sees them at -Og; core/ and the laboratory's own drivers are not counted.
"""
import collections
import json
import os
import re
import shutil
import struct
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.abspath(os.environ.get("USBWARP_WINDOWS", os.path.join(ROOT, "build", "windows-coverage")))
RAW = os.path.join(BUILD, "coverage", "raw")
WHY = os.path.join(HERE, "coverage", "uncovered.txt")
GCOV, GCOV_TOOL = "x86_64-w64-mingw32-gcov", "x86_64-w64-mingw32-gcov-tool"
SOURCES = ("host/windows/driver/", "host/windows/filter/")
LEAST = 85.0
# Each driver and the builds of it that tests load; a line counts when one of them has executed it.
BUILDS = {"UsbWarp": ("UsbWarp", "UsbWarpUsbd"), "UsbWarpFilter": ("UsbWarpFilter", "UsbWarpFilterUsbd")}
# No driver of ours runs in these.
OTHERS = {"test_lab", "test_bus", "test_standin"}


class Bad(Exception):
    pass


# ---- running ----


def run_test(word):
    """Runs one test with its output shown; how many of its cases have passed and failed."""
    name, _, cases = word.partition(":")
    path = os.path.join(HERE, name if name.endswith(".py") else f"test_{name.removeprefix('test_')}.py")
    env = dict(os.environ, USBWARP_WINDOWS=BUILD, USBWARP_COVERAGE=RAW)
    print(f"== {os.path.basename(path)} {cases}", flush=True)
    done = subprocess.run([sys.executable, path, *(cases.split(",") if cases else [])], env=env, check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = done.stdout.decode("utf-8", "replace")
    print(text, end="", flush=True)
    found = re.findall(r"^(\d+) passed, (\d+) failed", text, re.M)
    passed, failed = map(int, found[-1]) if found else (0, 1)
    return passed, failed or (1 if done.returncode else 0)


def all_tests():
    names = sorted(n[:-3] for n in os.listdir(HERE) if re.fullmatch(r"test_\w+\.py", n))
    return [n for n in names if n not in OTHERS]


# ---- counters ----


def records(path):
    with open(path, "rb") as file:
        data = file.read()
    at = 0
    while at + 5 <= len(data):
        kind, size = struct.unpack_from("<cI", data, at)
        yield kind, data[at + 5:at + 5 + size]
        at += 5 + size


def stamp(data):
    """What .gcda and .gcno of one compilation have in common."""
    return bytes(data[8:12])


def unpack(path, folder, stamps):
    """Makes .gcda files of what a driver has written. What is wrong with it, or None."""
    files, name, whole = {}, None, False
    for kind, data in records(path):
        if kind == b"N":
            name = os.path.basename(data.decode())
            files[name] = bytearray()
        elif kind == b"D":
            files[name] += data
        whole = kind == b"E"
    if not whole:
        return "not whole"
    if any(stamp(data) != stamps.get(name[:-5]) for name, data in files.items()):
        return "of another build"
    os.makedirs(folder)
    for name, data in files.items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(data)
    return None


def merge(driver, notes, total):
    """Adds up all that one build of a driver has written, one look after another. {look: what is wrong with it, or None}"""
    stamps = {}
    for name in os.listdir(notes):
        if name.endswith(".gcno"):
            with open(os.path.join(notes, name), "rb") as file:
                stamps[name[:-5]] = stamp(file.read(12))
    one, both = total + ".one", total + ".both"
    for path in (total, one, both):
        shutil.rmtree(path, ignore_errors=True)
    looks = {}
    for name in sorted(n for n in os.listdir(RAW) if n.split("-")[0] == driver):
        looks[name] = unpack(os.path.join(RAW, name), one, stamps)
        if looks[name]:
            continue
        if not os.path.isdir(total):
            os.rename(one, total)
        else:
            done = subprocess.run([GCOV_TOOL, "merge", total, one, "-o", both], check=False, capture_output=True, text=True)
            if done.returncode:
                raise Bad(f"{name}: {done.stderr}")
            shutil.rmtree(total)
            shutil.rmtree(one)
            os.rename(both, total)
    return looks


def objects(build):
    """The folder of the objects and .gcno of one build of a driver."""
    for folder, _, files in os.walk(BUILD):
        if os.path.basename(folder) == build + ".dir" and any(f.endswith(".gcno") for f in files):
            return folder
    raise Bad(f"{build} was not built to be measured: see coverage.py --help")


def look(driver, lines):
    """lines: {file: {number: (count, function)}}, of one driver's files; how many looks count, of which build they may be."""
    reasons = collections.defaultdict(list)
    for build in BUILDS[driver]:
        for name, wrong in look_at_build(driver, build, lines).items():
            reasons[name].append(wrong)
    for name, wrong in reasons.items():
        if all(wrong):
            print(f"{name} is {wrong[0]} and does not count")
    return sum(not all(wrong) for wrong in reasons.values())


def look_at_build(driver, build, lines):
    folder, total = objects(build), os.path.join(BUILD, "coverage", build)
    looks = merge(driver, folder, total)
    if not os.path.isdir(total):
        return looks
    for name in os.listdir(folder):
        if name.endswith(".gcno"):
            shutil.copy(os.path.join(folder, name), total)
    names = sorted(n for n in os.listdir(total) if n.endswith(".gcda"))
    done = subprocess.run([GCOV, "--json-format", "--stdout", *names], cwd=total, check=True, capture_output=True, text=True)
    for text in done.stdout.splitlines():
        for file in json.loads(text)["files"]:
            add_file(file, lines)
    return looks


def add_file(file, lines):
    """A header's lines are of several objects: one that has executed it is enough."""
    name = source_name(file["file"])
    if not name:
        return
    functions = sorted((f["start_line"], f["end_line"], f["name"]) for f in file["functions"])
    for line in file["lines"]:
        number = line["line_number"]
        where = [f for first, end, f in functions if first <= number <= end]
        count, old = lines[name].get(number, (0, ""))
        lines[name][number] = (count + line["count"], where[-1] if where else old)


def source_name(path):
    found = [path[path.index(s) + len("host/windows/"):] for s in SOURCES if s in path]
    return found[0] if found else None


# ---- judging ----


class Reasons:
    def __init__(self, path):
        self.rows = []
        self.text = {}
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip() and not line.startswith("#"):
                    row = [w.strip() for w in line.split(" | ", 3)]
                    if len(row) != 4 or not all(row):
                        raise Bad(f"{path}:{number}: not FILE | FUNCTION | TEXT | REASON")
                    self.rows.append(row)

    def source(self, file):
        if file not in self.text:
            with open(os.path.join(ROOT, "host", "windows", file), encoding="utf-8") as source:
                self.text[file] = [""] + source.read().splitlines()
        return self.text[file]

    def of(self, file, function, number):
        for where, what, text, reason in self.rows:
            if where == file and what == function and (text == "*" or text in self.source(file)[number]):
                return reason
        return None

    def stale(self, lines):
        """Rows that are about nothing that there is."""
        for row in self.rows:
            where, what, text, _ = row
            numbers = [n for n, (_, function) in lines.get(where, {}).items() if function == what]
            if not any(text == "*" or text in self.source(where)[n] for n in numbers):
                yield " | ".join(row)


def table(lines):
    """Prints a line for each file and the totals; the percentage."""
    totals = collections.Counter()
    print(f"\n{'file':<24}{'lines':>7}{'covered':>9}{'%':>8}")
    for file in sorted(lines):
        all_lines, covered = len(lines[file]), sum(c > 0 for c, _ in lines[file].values())
        for key in (file.split("/")[0] + "/", "both"):
            totals[key, 0] += all_lines
            totals[key, 1] += covered
        print(f"{file:<24}{all_lines:>7}{covered:>9}{100 * covered / all_lines:>8.1f}")
    for key in ("driver/", "filter/", "both"):
        print(f"{key:<24}{totals[key, 0]:>7}{totals[key, 1]:>9}{100 * totals[key, 1] / max(1, totals[key, 0]):>8.1f}")
    return 100 * totals["both", 1] / max(1, totals["both", 0])


def uncovered(lines, reasons):
    """Prints what no test reaches, by function; how many lines have no reason."""
    unknown = 0
    for file in sorted(lines):
        groups = collections.defaultdict(list)
        for number, (count, function) in sorted(lines[file].items()):
            if not count:
                groups[function].append(number)
        for function, numbers in groups.items():
            print(f"\n{file}: {function}")
            for number in numbers:
                reason = reasons.of(file, function, number)
                unknown += reason is None
                print(f"{number:>6} {reasons.source(file)[number].strip():<70} -- {reason or 'NO REASON'}")
    return unknown


def main():
    words = sys.argv[1:]
    if "--help" in words:
        sys.exit(__doc__)
    merging = "--merge" in words
    tests = [w for w in words if not w.startswith("--")] or all_tests()
    if not merging:
        shutil.rmtree(RAW, ignore_errors=True)
    os.makedirs(RAW, exist_ok=True)
    for build in (b for builds in BUILDS.values() for b in builds):
        objects(build)
    passed = failed = 0
    for word in [w for w in tests if w != "none"]:
        ok, bad = run_test(word)
        passed += ok
        failed += bad
    lines = collections.defaultdict(dict)
    looks = [look(driver, lines) for driver in BUILDS]
    reasons = Reasons(WHY)
    unknown = uncovered(lines, reasons)
    percent = table(lines)
    stale = list(reasons.stale(lines))
    for row in stale:
        print(f"about nothing: {row}")
    for what, good in ((f"{percent:.1f} % of the lines are covered, {LEAST:.0f} are wanted", percent >= LEAST),
                       (f"{unknown} uncovered lines have no reason in uncovered.txt", not unknown),
                       (f"{len(stale)} lines of uncovered.txt are about nothing", not stale),
                       (f"{looks[0]} and {looks[1]} loadings were counted", all(looks))):
        print(f"{'ok' if good else 'FAILED'}: {what}")
        passed += good
        failed += not good
    print(f"{passed} passed, {failed} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    try:
        main()
    except Bad as error:
        print(f"{error}\n0 passed, 1 failed")
        sys.exit(1)
