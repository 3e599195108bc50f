#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Builds usbwarp.ko: build-module.sh [KERNEL_DIRECTORY [OUTPUT_DIRECTORY [MAKE_ARGUMENT...]]]
# The default kernel is the newest one whose headers are installed here; the default output is build/module.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
newest=$(find /usr/src /lib/modules -maxdepth 1 -name 'linux-headers-*-amd64' | sort -V | tail -n 1)
kernel=${1:-${newest:-/lib/modules/$(uname -r)/build}}
out=${2:-$root/build/module}
if [ $# -gt 2 ]; then shift 2; else shift $#; fi

if [ ! -e "$kernel/Makefile" ]; then
	echo "build-module: no kernel headers in $kernel: install linux-headers-amd64, or name their directory" >&2
	exit 1
fi

# Kbuild writes beside the sources; a tree of links keeps the real one clean.
mkdir -p "$out/tree"
rm -rf "$out/tree/include" "$out/tree/core"
cp -asf "$root/include" "$root/core" "$out/tree/"
mkdir -p "$out/tree/guest"
cp -asf "$root/guest/linux" "$out/tree/guest/"
find "$out/tree" -xtype l -delete

make -s -C "$kernel" M="$out/tree/guest/linux" W=1 "$@" modules
cp "$out/tree/guest/linux/usbwarp.ko" "$out/usbwarp.ko.new"
mv "$out/usbwarp.ko.new" "$out/usbwarp.ko"
