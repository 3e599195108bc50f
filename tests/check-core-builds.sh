#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Compiles core and models as user code with gcc and clang, and the core as NT kernel code with mingw, without a warning.
# A compiler that is not installed is named and passed over.
set -u

here=$(CDPATH='' cd -- "$(dirname "$0")/.." && pwd)
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
failed=0

# compile NAME COMPILER FLAGS...: the last argument is the source.
compile()
{
	name=$1
	shift
	command -v "$1" >/dev/null || { echo "skip $name: no $1"; return; }
	if "$@" -Werror -I"$here/include" -I"$here/core" -c -o "$out/o" >"$out/log" 2>&1 && [ ! -s "$out/log" ]; then
		echo "ok   $name"
	else
		failed=$((failed + 1))
		echo "FAIL $name"
		cat "$out/log"
	fi
}

user='-std=gnu11 -O2 -Wall -Wextra -Wshadow'
# The flags of a WDM driver, with the driver kit's headers of mingw.
nt='-std=gnu11 -O2 -Wall -Wextra -Wno-multichar -ffreestanding -fno-stack-protector -fno-builtin -DUW_NT_KERNEL
    -D_WIN64 -D_AMD64_ -DNTDDI_VERSION=0x0A000000 -D_WIN32_WINNT=0x0A00 -isystem /usr/x86_64-w64-mingw32/include/ddk'

# shellcheck disable=SC2086 # flags are words
for compiler in gcc clang; do
	compile "core, user code, $compiler" $compiler $user "$here/core/core.c"
	compile "core, freestanding, $compiler" $compiler $user -ffreestanding "$here/core/core.c"
	for model in "$here"/models/*.c; do
		compile "models/${model##*/}, $compiler" $compiler $user -I"$here/models" "$model"
	done
done
# shellcheck disable=SC2086
compile 'core, NT kernel code, mingw' x86_64-w64-mingw32-gcc $nt "$here/core/core.c"

# The script must be able to fail: a warning is an error.
echo 'int f(void) { int unused; return 0; }' >"$out/warns.c"
# shellcheck disable=SC2086
if gcc $user -Werror -c -o "$out/o" "$out/warns.c" >/dev/null 2>&1; then
	failed=$((failed + 1))
	echo 'FAIL a warning passed'
fi
[ "$failed" -eq 0 ]
