#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Builds the example and test programs of Debian's libusb, from its source package, in build/libusb..
set -eu

top=$(CDPATH='' cd -- "$(dirname "$0")/../.." && pwd)
out=$top/build/libusb

die() { printf 'get-libusb: %s\n' "$*" >&2; exit 1; }

# Source packages have a place of their own here, so that the system's package lists stay as they are.
fetch()
{
	mkdir -p "$out/lists/partial" "$out/sources"
	for list in /etc/apt/sources.list.d/*.sources; do
		[ ! -e "$list" ] || sed 's/^Types:.*/Types: deb-src/' "$list" >"$out/sources/${list##*/}"
	done
	for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[ ! -e "$list" ] || sed -n 's/^deb\(-src\)\{0,1\} /deb-src /p' "$list" >"$out/sources/${list##*/}"
	done
	set -- -qq -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$out/sources" \
		-o "Dir::State::Lists=$out/lists" -o APT::Sandbox::User=root
	(cd "$out" && apt-get "$@" update && apt-get "$@" --download-only source libusb-1.0) >"$out/log" 2>&1 || {
		cat "$out/log" >&2
		die "the source package libusb-1.0 is not to be had"
	}
}

build()
{
	rm -rf "$out/source"
	mkdir -p "$out/source" "$out/bin"
	tar -xjf "$out"/libusb-1.0_*.orig.tar.bz2 -C "$out/source" --strip-components=1
	: >"$out/source/config.h"
	cflags=$(pkg-config --cflags libusb-1.0)
	for program in examples/listdevs examples/testlibusb examples/xusb tests/stress; do
		extra=
		[ "$program" != tests/stress ] || extra=$out/source/tests/testlib.c
		# shellcheck disable=SC2086 # flags are words
		${CC:-gcc} -O2 -w -pthread $cflags -I"$out/source" -I"$out/source/libusb" -DPLATFORM_POSIX -include unistd.h '-DPRINTF_FORMAT(a,b)=' \
			-o "$out/bin/${program##*/}" "$out/source/$program.c" $extra -lusb-1.0
	done
}

[ ! -e "$out/done" ] || exit 0
fetch
build
touch "$out/done"
