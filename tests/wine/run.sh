#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Runs every test of the Windows host, or those whose names are given, and adds up: run.sh [NAME]...
# All but those that want Microsoft's SDK or PowerShell, which make windows-wdk fetches and runs.
# One runs on each processor, since they mostly wait; USBWARP_JOBS is another number. Each is shown when it has ended.
set -u

here=$(CDPATH='' cd -- "$(dirname "$0")" && pwd)

# One test: its output into FOLDER/NAME, and then shown.
if [ "${1-}" = --one ]; then
	name=$(basename "$3" .py)
	python3 "$3" >"$2/$name" 2>&1
	echo $? >"$2/$name.code"
	{ echo "== $name"; cat "$2/$name"; } >"$2/$name.shown"
	cat "$2/$name.shown"
	exit 0
fi

# Is this one of the names, or are there none?
wanted()
{
	name=$(basename "$1" .py)
	shift
	[ $# -gt 0 ] || { [ "$name" != test_sdk ] && [ "$name" != test_powershell ]; return; }
	for word; do
		[ "$word" != "${name#test_}" ] || return 0
	done
	return 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for test in "$here"/../windows/test_*.py "$here"/test_*.py; do
	wanted "$test" "$@" && printf '%s\n' "$test"
done | xargs -P "${USBWARP_JOBS:-$(nproc)}" -n 1 "$0" --one "$work"

passed=0
failed=0
for code in "$work"/*.code; do
	[ -e "$code" ] || break
	# A test that ends without its last line has failed in a way of its own.
	last=$(sed -n 's/^\([0-9][0-9]*\) passed, \([0-9][0-9]*\) failed$/\1 \2/p' "${code%.code}" | tail -n 1)
	[ -n "$last" ] || { failed=$((failed + 1)); continue; }
	passed=$((passed + ${last%% *}))
	failed=$((failed + ${last##* }))
	[ "$(cat "$code")" -eq 0 ] || [ "${last##* }" != 0 ] || failed=$((failed + 1))
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
