#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Proves that the debug kernel's checkers work and are heard: a slow test, not part of the quick ones."""
from guest import Guest
from lab import case, clean, equal, main


def provoked(what, want):
    with Guest(kernel="debug", modules=["provoke"]) as g:
        clean(g)
        g.start(f"echo {what} >/sys/module/provoke/parameters/do")
        g.wait_console(want)
        assert any(want in line for line in g.clean_log()), g.clean_log()


@case
def debug_lockdep():
    provoked("lockdep", "possible circular locking dependency")


@case
def debug_kasan():
    provoked("kasan", "BUG: KASAN")


@case
def debug_atomic_sleep():
    provoked("atomic_sleep", "BUG: sleeping function called from invalid context")


@case
def debug_leak():
    with Guest(kernel="debug", modules=["provoke"]) as g:
        equal(g.leaks(), "", "leaks of the base system")
        g.run("echo leak >/sys/module/provoke/parameters/do")
        assert "do_leak" in g.leaks()
        assert any("new suspected memory leaks" in line for line in g.clean_log())


@case
def debug_two_processors():
    with Guest(kernel="debug", smp=2) as g:
        g.run("modprobe -a xhci_pci dummy_hcd usb-storage uas cdc_acm usbhid usbtest ftdi_sio snd-usb-audio uvcvideo")
        g.run("rmmod dummy_hcd")
        g.poweroff()
        clean(g)


if __name__ == "__main__":
    main(kernel="debug")
