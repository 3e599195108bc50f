#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The PowerShell scripts of the installer, by PowerShell on Linux and on an invented machine (machine.ps1): they parse, refuse
what they must, change what they say and undo exactly that. USBWARP_PWSH: PowerShell, which scripts/build-windows-wdk.sh has
fetched."""
import json
import os
import subprocess
import sys
import tempfile

from wine import ROOT, case, equal, holds, main

PWSH = os.environ.get("USBWARP_PWSH", os.path.join(ROOT, "build", "wdk", "tools", "pwsh"))
SCRIPTS = os.path.join(ROOT, "packaging", "windows")
RECORD = r"HKLM:\SOFTWARE\UsbWarp\TestSigning"
CODE_SIGNING = "extendedKeyUsage=critical,codeSigning"


def pwsh(*words):
    return subprocess.run([PWSH, "-NoProfile", "-NonInteractive", *words], check=False, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=120,
                          env=dict(os.environ, POWERSHELL_TELEMETRY_OPTOUT="1", DOTNET_CLI_TELEMETRY_OPTOUT="1", NO_COLOR="1"))


class Machine:
    """What a script sees of Windows, and a certificate to trust."""

    def __init__(self, **differences):
        self.state = {"administrator": True, "secure_boot": "off", "bitlocker": False, "test_mode": False, "trusted": [],
                      "started_in_test_mode": False, "bcdedit_code": 0, "registry": {}, **differences}

    def __enter__(self):
        self.directory = tempfile.TemporaryDirectory()
        self.certificate = self.make("good.cer", CODE_SIGNING)
        self.thumbprint = subprocess.run(["openssl", "x509", "-in", self.certificate, "-noout", "-fingerprint"], check=True,
                                         capture_output=True, text=True).stdout.split("=")[1].strip().replace(":", "")
        return self

    def __exit__(self, *exc):
        self.directory.cleanup()

    def make(self, name, usage):
        path = os.path.join(self.directory.name, name)
        words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=UsbWarp test signing",
                 "-keyout", path + ".key", "-out", path]
        subprocess.run(words + (["-addext", usage] if usage else []), check=True, capture_output=True)
        return path

    def make_old(self):
        """One that has ended: only openssl's authority makes such."""
        path = self.make("old.cer", CODE_SIGNING)
        with open(path + ".conf", "w", encoding="ascii") as f:
            f.write(f"[ca]\ndefault_ca=d\n[d]\ndatabase={path}.txt\nrand_serial=yes\ndefault_md=sha256\npolicy=p\n"
                    f"new_certs_dir={self.directory.name}\nx509_extensions=x\n[p]\ncommonName=supplied\n[x]\n{CODE_SIGNING}\n")
        open(path + ".txt", "w", encoding="ascii").close()
        subprocess.run(["openssl", "req", "-new", "-key", path + ".key", "-subj", "/CN=UsbWarp test signing", "-out", path + ".csr"],
                       check=True, capture_output=True)
        subprocess.run(["openssl", "ca", "-batch", "-selfsign", "-config", path + ".conf", "-keyfile", path + ".key", "-in",
                        path + ".csr", "-startdate", "20200101000000Z", "-enddate", "20200201000000Z", "-out", path, "-notext"],
                       check=True, capture_output=True)
        return path

    def run(self, script, code=0, **arguments):
        """What it said. code: that it must end with; 1 is a refusal."""
        path = os.path.join(self.directory.name, "machine.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump(self.state, f)
        done = pwsh("-File", os.path.join(ROOT, "tests", "windows", "machine.ps1"), "-Script",
                    os.path.join(SCRIPTS, script), "-StateFile", path, "-Arguments", json.dumps({"Confirm": False, **arguments}))
        with open(path, encoding="utf-8") as f:
            self.state = json.load(f)
        said = done.stdout + done.stderr
        equal(done.returncode, code, f"{script}: {said}")
        return said

    def install(self, code=0, **arguments):
        return self.run("Install-TestSigning.ps1", code, **{"Certificate": self.certificate, **arguments})

    def remove(self, code=0, **arguments):
        return self.run("Remove-TestSigning.ps1", code, **arguments)

    def untouched(self, test_mode=False):
        equal((self.state["trusted"], self.state["test_mode"], self.state["registry"]), ([], test_mode, {}), "the machine")


@case
def scripts_parse():
    names = sorted(n for n in os.listdir(SCRIPTS) if n.endswith((".ps1", ".psm1")))
    assert len(names) >= 4, names
    for name in names:
        done = pwsh("-Command", "$e = $null; [void][Management.Automation.Language.Parser]::ParseFile("
                    f"'{os.path.join(SCRIPTS, name)}', [ref]$null, [ref]$e); $e; exit $e.Count")
        equal(done.returncode, 0, f"{name}: {done.stdout}")


@case
def installs_and_undoes():
    with Machine() as m:
        holds(m.install(), "Secure Boot: Off", "BitLocker on the system's volume: off", "after the next restart")
        # In both stores: the invented one counts once for both.
        equal((m.state["trusted"], m.state["test_mode"]), ([m.thumbprint], True), "after the installation")
        equal(m.state["registry"][RECORD], {"Thumbprints": [m.thumbprint], "TurnedOn": 1}, "what was done")
        m.state["started_in_test_mode"] = True
        holds(m.install(), "on already")
        equal(m.state["registry"][RECORD], {"Thumbprints": [m.thumbprint], "TurnedOn": 1}, "what was done, twice")
        holds(m.remove(), "off after the next restart")
        m.untouched()


@case
def what_was_there_stays():
    """Test mode that somebody else had turned on, and another certificate."""
    with Machine(started_in_test_mode=True, test_mode=True, trusted=["OTHER"]) as m:
        m.install()
        equal(m.state["registry"][RECORD]["TurnedOn"], 0, "it was on")
        m.remove()
        equal((m.state["trusted"], m.state["test_mode"], m.state["registry"]), (["OTHER"], True, {}), "the machine")


@case
def uninstall_keeps_test_mode_for_later():
    """The uninstaller forgets certificates alone; the script, run later, still knows that test mode is its own."""
    with Machine() as m:
        m.install()
        m.remove(CertificatesOnly=True)
        equal((m.state["trusted"], m.state["test_mode"]), ([], True), "after the uninstaller")
        equal(m.state["registry"][RECORD], {"Thumbprints": [], "TurnedOn": 1}, "what is left to undo")
        m.remove()
        m.untouched()
        m.remove()
        m.untouched()


@case
def what_if_changes_nothing():
    with Machine(administrator=False, bitlocker=True) as m:
        holds(m.install(WhatIf=True), "What if", "BitLocker on the system's volume: on")
        m.untouched()
        m.remove(WhatIf=True)
        m.untouched()


@case
def refuses_with_a_reason():
    for differences, words in (({"administrator": False}, "elevated"), ({"secure_boot": "on"}, "Secure Boot is on"),
                               ({"bitlocker": True}, "-RecoveryKeyAtHand")):
        with Machine(**differences) as m:
            holds(m.install(code=1), words)
            m.untouched()
    with Machine(administrator=False) as m:
        holds(m.remove(code=1), "elevated")
    with Machine(bitlocker=True, secure_boot="none") as m:
        holds(m.install(RecoveryKeyAtHand=True), "Secure Boot: None")
        equal(m.state["test_mode"], True, "with the key at hand")
    with Machine(bcdedit_code=1) as m:
        holds(m.install(code=1), "bcdedit /set testsigning on failed with code 1")
        m.remove()
        m.untouched()


@case
def trusts_no_other_certificate():
    with Machine() as m:
        for usage in ("extendedKeyUsage=serverAuth", "extendedKeyUsage=codeSigning,serverAuth", None):
            holds(m.install(code=1, Certificate=m.make("other.cer", usage)), "for signing code alone")
            m.untouched()
        holds(m.install(code=1, Certificate=m.make_old()), "ended on")
        holds(m.install(code=1, Certificate=m.certificate + "x"), "good.cerx")
        m.untouched()


if __name__ == "__main__":
    if not os.path.exists(PWSH):
        sys.exit(f"no {PWSH}: run scripts/build-windows-wdk.sh, or set USBWARP_PWSH")
    main()
