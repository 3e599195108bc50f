#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Runs the tests with USB hardware that is not ours, or those whose names are given, and adds up: run-devices.sh [NAME]...
# One after another: each guest has both ends to emulate. The last line is "N passed, N failed".
set -u

here=$(CDPATH='' cd -- "$(dirname "$0")" && pwd)
[ $# -gt 0 ] || set -- libusb usbfs hardware disks audio gadgets tools hotplug sleep unplug guests board capture

log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0
failed=0
for name; do
	echo "== test_$name"
	code=0
	# tee hides the code that the test ends with, so the test says it itself.
	{ python3 "$here/test_$name.py" 2>&1; echo "exit code $?"; } | tee "$log"
	code=$(sed -n 's/^exit code \([0-9]*\)$/\1/p' "$log" | tail -n 1)
	# A test that ends without its last line has failed in a way of its own.
	last=$(sed -n 's/^\([0-9][0-9]*\) passed, \([0-9][0-9]*\) failed$/\1 \2/p' "$log" | tail -n 1)
	[ -n "$last" ] || { failed=$((failed + 1)); continue; }
	passed=$((passed + ${last%% *}))
	failed=$((failed + ${last##* }))
	[ "$code" = 0 ] || [ "${last##* }" != 0 ] || failed=$((failed + 1))
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
