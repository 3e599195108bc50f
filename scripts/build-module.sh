#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Builds usbwarp.ko: build-module.sh [KERNEL_DIRECTORY [OUTPUT_DIRECTORY [MAKE_ARGUMENT...]]]
# The default kernel is the newest one whose headers are installed here; the default output is build/module.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
newest=$(find /usr/src /lib/modules -maxdepth 1 -name 'linux-headers-*-amd64' | sort -V | tail -n 1)
kernel=$(realpath "${1:-${newest:-/lib/modules/$(uname -r)/build}}")
out=$(realpath -m "${2:-$root/build/module}")
if [ $# -gt 2 ]; then shift 2; else shift $#; fi

if [ ! -e "$kernel/Makefile" ]; then
	echo "build-module: no kernel headers in $kernel: install linux-headers-amd64, or name their directory" >&2
	exit 1
fi

# Kbuild writes beside the sources; a tree of links to them keeps the real one clean.
tree=$out/tree
rm -rf "$tree/include" "$tree/core"
mkdir -p "$tree/guest/linux"
cp -as "$root/include" "$root/core" "$tree/"
find "$tree/guest/linux" -type l -delete
for file in "$root"/guest/linux/*.c "$root"/guest/linux/*.h "$root/guest/linux/Kbuild"; do
	ln -sf "$file" "$tree/guest/linux/"
done

make -s -C "$kernel" M="$tree/guest/linux" W=1 "$@" modules
cp "$tree/guest/linux/usbwarp.ko" "$out/usbwarp.ko.new"
mv "$out/usbwarp.ko.new" "$out/usbwarp.ko"
