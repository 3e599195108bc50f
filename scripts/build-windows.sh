#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Builds the Windows host: build-windows.sh [OUTPUT], by default build/windows.
#
# Clang's programs and drivers are the ones that are packaged; GCC compiles the same, as a second opinion. OUTPUT gets the
# unsigned files with their PDBs, which are the same bytes in every build, and OUTPUT/signed the ones to install: signed,
# with catalog and installer. Installs nothing here; scripts/setup.sh does.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
out=$(realpath -m "${1:-$root/build/windows}")
package=$root/packaging/windows

# compile COMPILER: everything that this tree has, below build/windows-COMPILER.
compile()
{
	cmake -S "$root/host/windows" -B "$root/build/windows-$1" -DCMAKE_TOOLCHAIN_FILE="$root/host/windows/cmake/$1.cmake" \
		-DUSBWARP_LAB="${USBWARP_LAB:-OFF}" >/dev/null
	cmake --build "$root/build/windows-$1" -j "${JOBS:-$(nproc)}" -- --no-print-directory
}

compile clang
compile gcc

rm -rf "$out"
mkdir -p "$out"
for name in UsbWarp.sys UsbWarpFilter.sys UsbWarpService.exe UsbWarpController.exe; do
	for file in "$name" "${name%.*}.pdb"; do
		[ ! -e "$root/build/windows-clang/$file" ] || cp "$root/build/windows-clang/$file" "$out/"
	done
done
cp "$package/UsbWarpFilter.inf" "$package"/*.ps1 "$package"/*.psm1 "$out/"
# Notepad shows it.
sed 's/$/\r/' "$root/LICENSE" >"$out/LICENSE.txt"

missing=
for name in $("$package/mkmsi.py" --list); do
	case $name in
	UsbWarpFilter.cat) ;;
	*) [ -e "$out/$name" ] || missing="$missing $name" ;;
	esac
done
if [ -n "$missing" ]; then
	echo "build-windows: nothing is packaged, since this tree did not make:$missing" >&2
	exit 1
fi
"$package/mkcat.py" --inf "$out/UsbWarpFilter.inf"
"$package/sign.sh" "$out" "$out/signed"
echo "build-windows: $out/signed/UsbWarp.msi, for machines in test mode"
