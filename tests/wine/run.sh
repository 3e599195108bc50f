#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Runs every test of the Windows host, or those whose names are given, and adds up: run.sh [NAME]...
# All but those that want Microsoft's SDK or PowerShell, which make windows-wdk fetches and runs.
set -u

here=$(CDPATH='' cd -- "$(dirname "$0")" && pwd)

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
	wanted "$test" "$@" && printf '%s\n' "$test"
done | xargs "$here/../suite.sh"
