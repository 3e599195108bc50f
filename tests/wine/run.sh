#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Runs every test of the Windows host, or those whose names are given, and adds up: run.sh [NAME]...
# All but those that want Microsoft's SDK or PowerShell, which make windows-wdk fetches and runs.
set -u

here=$(CDPATH='' cd -- "$(dirname "$0")" && pwd)
passed=0
failed=0
log=$(mktemp)
trap 'rm -f "$log" "$log.code"' EXIT

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

for test in "$here"/../windows/test_*.py "$here"/test_*.py; do
	wanted "$test" "$@" || continue
	echo "== $(basename "$test")"
	{ python3 "$test" 2>&1; echo $? >"$log.code"; } | tee "$log"
	code=$(cat "$log.code")
	# A test that ends without its last line has failed in a way of its own.
	last=$(sed -n 's/^\([0-9][0-9]*\) passed, \([0-9][0-9]*\) failed$/\1 \2/p' "$log" | tail -n 1)
	[ -n "$last" ] || { failed=$((failed + 1)); continue; }
	passed=$((passed + ${last%% *}))
	failed=$((failed + ${last##* }))
	[ "$code" -eq 0 ] || [ "${last##* }" != 0 ] || failed=$((failed + 1))
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
