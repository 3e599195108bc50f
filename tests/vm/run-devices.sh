#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Runs the tests with USB hardware that is not ours, or those whose names are given, and adds up: run-devices.sh [NAME]...
set -u

here=$(CDPATH='' cd -- "$(dirname "$0")" && pwd)

# The long ones first, so that none of them is alone at the end.
[ $# -gt 0 ] || set -- unplug tools disks camera guests gadgets board hardware usbfs hotplug libusb audio sleep capture
for name; do
	printf '%s\n' "$here/test_$name.py"
done | xargs "$here/../suite.sh"
