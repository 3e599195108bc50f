#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Builds and runs the tests of UsbWarpFilter.sys that need no Windows. Argument: a build directory, else one of its own.
set -eu

here=$(CDPATH='' cd -- "$(dirname "$0")" && pwd)
build=${1:-$(mktemp -d)}
[ $# -gt 0 ] || trap 'rm -rf "$build"' EXIT
cmake -S "$here" -B "$build" >"$build.log" 2>&1 || { cat "$build.log"; exit 1; }
rm -f "$build.log"
cmake --build "$build" -- -s
ctest --test-dir "$build" --output-on-failure
