#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What was built for Windows: properties of the PE files, what they import, the INF, catalog and signatures.
USBWARP_WINDOWS: the packaged build; its sibling windows-gcc, or USBWARP_WINDOWS_GCC: the second compiler's."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

import pe
import wine
from wine import BUILT, ROOT, case, equal

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = os.path.join(ROOT, "packaging", "windows")
sys.path.insert(0, PACKAGE)
import mkcat  # noqa: E402 # pylint: disable=wrong-import-position

GCC = os.environ.get("USBWARP_WINDOWS_GCC", os.path.join(ROOT, "build", "windows-gcc"))
DRIVERS, PROGRAMS = ["UsbWarp.sys", "UsbWarpFilter.sys"], ["UsbWarpService.exe", "UsbWarpController.exe"]


def every(names=None):
    """(path, PE) of each binary of both compilers."""
    for directory in (BUILT, GCC):
        for name in names or DRIVERS + PROGRAMS:
            path = os.path.join(directory, name)
            yield path, pe.PE(path)


def listed(name):
    """{(dll, name)} of a committed list."""
    with open(os.path.join(HERE, name), encoding="ascii") as f:
        return {tuple(line.split()[:2]) for line in f if line.strip() and not line.startswith("#")}


def known_since(name):
    with open(os.path.join(HERE, name), encoding="ascii") as f:
        return [line.split() for line in f if line.strip() and not line.startswith("#")]


@case
def sections_are_written_or_executed():
    for path, file in every():
        for name, _, _, _, flags in file.sections:
            assert not (flags & pe.WRITE and flags & pe.EXECUTE), f"{path}: {name} is writable and executable"


@case
def headers_ask_for_protection():
    for path, file in every():
        driver = path.endswith(".sys")
        equal(file.machine, 0x8664, path)
        equal(file.subsystem, pe.NATIVE if driver else pe.CONSOLE, f"{path}: subsystem")
        wanted = pe.HIGH_ENTROPY | pe.DYNAMIC_BASE | pe.NX
        equal(file.characteristics & wanted, wanted, f"{path}: characteristics")
        assert file.directories[5][1], f"{path}: no relocations, so that it cannot be moved"
        if driver:
            equal(file.subsystem_version, (10, 0), f"{path}: subsystem version")
            assert file.characteristics & pe.WDM_DRIVER, f"{path}: no WDM driver"
            equal(file.checksum, file.computed_checksum(), f"{path}: checksum, without which Windows loads no driver")


@case
def packaged_drivers_guard_their_calls():
    for name in DRIVERS:
        file = pe.PE(os.path.join(BUILT, name))
        flags, count = file.guard()
        equal(flags & (pe.CF_INSTRUMENTED | pe.CF_TABLE), pe.CF_INSTRUMENTED | pe.CF_TABLE, f"{name}: guard flags")
        assert count > 0 and file.characteristics & pe.GUARD_CF, f"{name}: {count} functions, {file.characteristics:#x}"


@case
def no_time_and_no_path_is_inside():
    for path, file in every():
        assert file.time == 0 or pe.REPRO in file.debug_types(), f"{path}: a time, {file.time}"
        assert abs(file.time - time.time()) > 86400, f"{path}: the time of the build"
        for word in (ROOT, os.path.expanduser("~") + "/", tempfile.gettempdir() + "/"):
            assert len(word) < 4 or word.encode() not in file.data, f"{path}: {word} is inside"


@case
def drivers_import_what_windows_10_1809_exports():
    allowed = listed("ntoskrnl-1809.txt")
    for path, file in every(DRIVERS):
        unknown = [entry for entry in file.imports() if entry not in allowed]
        equal(unknown, [], f"{path}: not in ntoskrnl-1809.txt")


@case
def programs_import_what_windows_10_1809_exports():
    allowed = listed("user-1809.txt")
    for path, file in every(PROGRAMS):
        unknown = [entry for entry in file.imports() if entry not in allowed]
        equal(unknown, [], f"{path}: not in user-1809.txt")


@case
def the_lists_hold_what_is_needed_and_no_more():
    for name, files in (("ntoskrnl-1809.txt", DRIVERS), ("user-1809.txt", PROGRAMS)):
        used = {entry for _, file in every(files) for entry in file.imports()}
        equal(sorted(listed(name) - used), [], f"{name}: imported by nothing any more")
        rows = known_since(name)
        equal([row for row in rows if len(row) != 3], [], f"{name}: dll, name, since")
        equal([tuple(r[:2]) for r in rows], sorted({tuple(r[:2]) for r in rows}), f"{name}: sorted, each once")
        for row in rows:
            version = tuple(map(int, row[2].split(".")))
            assert version <= (10, 0, 17763), f"{row} came after 1809"


def inf_sections():
    with open(os.path.join(BUILT, "UsbWarpFilter.inf"), "rb") as f:
        raw = f.read()
    return raw, mkcat.parse_inf(raw.decode("ascii"))


@case
def the_inf_is_whole():
    raw, sections = inf_sections()
    equal(raw.count(b"\n"), raw.count(b"\r\n"), "lines end as Windows' do")
    equal(re.findall(r"%\w+%", re.sub(r"%13%", "", str(sections))), [], "strings that are not defined")
    version = {k.lower(): v for k, v in sections["version"]}
    equal((version["signature"], version["class"], version["classguid"].upper(), version["catalogfile"],
           version["pnplockdown"]),
          ("$WINDOWS NT$", "USBDevice", "{88BAE032-5A81-49F0-BC3D-A4FF138216D6}", "UsbWarpFilter.cat", "1"), "[Version]")
    with open(os.path.join(ROOT, "host", "windows", "CMakeLists.txt"), encoding="ascii") as f:
        release = re.search(r"project\(.* VERSION (\S+)", f.read())[1]
    assert re.fullmatch(r"\d\d/\d\d/\d{4},\d+\.\d+\.\d+\.\d+", version["driverver"]), version["driverver"]
    equal(version["driverver"].split(",")[1], release + ".0", "DriverVer is the release")
    sections_used = {"version", "sourcedisksnames", "sourcedisksfiles", "destinationdirs", "manufacturer", "controlflags",
                     "strings"}
    models, *decorations = [w.strip() for w in sections["manufacturer"][0][1].split(",")]
    for decoration in decorations:
        name = f"{models}.{decoration}".lower()
        sections_used.add(name)
        ((_, model),) = sections[name]
        install, hardware = [w.strip() for w in model.split(",")]
        equal(hardware, "USBWARP\\BoundDevice", "the one hardware id, which no device has")
        copy = dict((k.lower(), v) for k, v in sections[f"{install}.nt".lower()])["copyfiles"]
        ((_, service),) = sections[f"{install}.nt.services".lower()]
        name, flags, section = [w.strip() for w in service.split(",")]
        equal((name, int(flags, 16)), ("UsbWarpFilter", 2), "AddService, as the function driver")
        sections_used |= {f"{install}.nt".lower(), f"{install}.nt.services".lower(), copy.lower(), section.lower()}
        values = {k.lower(): v for k, v in sections[section.lower()]}
        equal((values["servicetype"], values["starttype"], values["errorcontrol"], values["servicebinary"]),
              ("1", "3", "1", "%13%\\UsbWarpFilter.sys"), "the service")
        equal([k for k, _ in sections[copy.lower()]], [k for k, _ in sections["sourcedisksfiles"]], "files")
    equal(set(sections), sections_used, "sections: no more and no fewer")
    equal(sections["destinationdirs"], [("DefaultDestDir", "13")], "the driver store")
    equal(sections["controlflags"], [("ExcludeFromSelect", "*")], "not in the lists that people choose from")


@case
def the_catalog_has_both_hashes_of_both_files():
    with tempfile.TemporaryDirectory() as directory:
        for name in ("UsbWarpFilter.inf", "UsbWarpFilter.sys"):
            shutil.copy(os.path.join(BUILT, name), directory)
        catalog = make_catalog(directory)
        found = mkcat.read_members(catalog)
        want = {}
        for name in ("UsbWarpFilter.inf", "UsbWarpFilter.sys"):
            with open(os.path.join(directory, name), "rb") as f:
                data = f.read()
            for algorithm in ("sha1", "sha256"):
                want[mkcat.hashed(data, algorithm)] = {"File": name.lower(), "OSAttr": "2:10.0"}
        equal(found, want, "members")
        with open(os.path.join(directory, "UsbWarpFilter.inf"), "rb") as f:
            flat = subprocess.run(["sha256sum"], stdin=f, capture_output=True, check=True).stdout.split()[0].decode()
        assert bytes.fromhex(flat) in found, "sha256sum has another idea of the INF"
        equal(make_catalog(directory), catalog, "the same files, the same catalog")
        done = subprocess.run(["openssl", "asn1parse", "-inform", "DER"], input=catalog, capture_output=True, check=False)
        equal(done.returncode, 0, "openssl reads it")


def make_catalog(directory):
    subprocess.run([os.path.join(PACKAGE, "mkcat.py"), "--inf", os.path.join(directory, "UsbWarpFilter.inf")], check=True)
    with open(os.path.join(directory, "UsbWarpFilter.cat"), "rb") as f:
        return f.read()


def verified(path, certificate, catalog=None):
    more = ["-c", catalog] if catalog else []
    return subprocess.run(["osslsigncode", "verify", "-CAfile", certificate, *more, "-in", path], capture_output=True,
                          check=False).returncode == 0


@case
def signatures_hold_and_changes_break_them():
    with tempfile.TemporaryDirectory() as directory:
        before = set(os.listdir("/dev/shm"))
        subprocess.run([os.path.join(PACKAGE, "sign.sh"), BUILT, directory], check=True)
        equal([n for n in set(os.listdir("/dev/shm")) - before if n.startswith("usbwarp-sign")], [], "the key is left")
        certificate = os.path.join(directory, "certificate.pem")
        subprocess.run(["openssl", "x509", "-inform", "DER", "-in", os.path.join(directory, "UsbWarpTest.cer"), "-out",
                        certificate], check=True)
        catalog = os.path.join(directory, "UsbWarpFilter.cat")
        for name in DRIVERS + PROGRAMS + ["UsbWarpFilter.cat", "UsbWarp.msi"]:
            path = os.path.join(directory, name)
            assert verified(path, certificate), name
            with open(path, "rb") as f:
                data = f.read()
            assert b"PRIVATE KEY" not in data, name
            if name.endswith(".sys"):
                file = pe.PE(path)
                equal(file.checksum, file.computed_checksum(), f"{name}: checksum after signing")
        driver = os.path.join(directory, "UsbWarpFilter.sys")
        assert verified(driver, certificate, catalog), "the driver by its catalog"
        assert verified(os.path.join(BUILT, "UsbWarpFilter.sys"), certificate, catalog), "the unsigned one is the same to it"
        assert not verified(os.path.join(directory, "UsbWarp.sys"), certificate, catalog), "a driver that it does not name"
        with open(driver, "r+b") as f:
            f.seek(0x600)
            byte = f.read(1)[0]
            f.seek(0x600)
            f.write(bytes([byte ^ 1]))
        assert not verified(driver, certificate), "a changed driver"
        assert not verified(driver, certificate, catalog), "a changed driver by its catalog"


@case
def another_directory_gives_the_same_bytes():
    """The sources as they are, copied to a path of another length, built anew by clang."""
    with tempfile.TemporaryDirectory() as directory:
        tree = os.path.join(directory, "some", "other", "place")
        os.makedirs(tree)
        names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True,
                               text=True).stdout.split("\n")
        for name in filter(lambda n: n and os.path.isfile(os.path.join(ROOT, n)), names):
            os.makedirs(os.path.dirname(os.path.join(tree, name)), exist_ok=True)
            shutil.copy(os.path.join(ROOT, name), os.path.join(tree, name))
        for where, target in ((ROOT, "one"), (tree, "two")):
            out = os.path.join(directory, target)
            subprocess.run(["cmake", "-S", "host/windows", "-B", out, "-DCMAKE_TOOLCHAIN_FILE=" +
                            os.path.join(where, "host/windows/cmake/clang.cmake")], cwd=where, check=True,
                           stdout=subprocess.DEVNULL)
            for name in DRIVERS + PROGRAMS:
                subprocess.run(["cmake", "--build", out, "--target", os.path.splitext(name)[0]], check=True,
                               stdout=subprocess.DEVNULL)
        for name in DRIVERS + PROGRAMS:
            with open(os.path.join(directory, "one", name), "rb") as f, open(os.path.join(directory, "two", name), "rb") as g:
                assert f.read() == g.read(), f"{name} differs"


if __name__ == "__main__":
    absent = [p for d in (BUILT, GCC) for p in (os.path.join(d, n) for n in DRIVERS + PROGRAMS) if not os.path.exists(p)]
    if absent:
        sys.exit(f"not built: {' '.join(absent)}; set USBWARP_WINDOWS")
    wine.main()
