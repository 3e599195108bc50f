#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Builds in build/guest-debug a kernel with lockdep, KASAN and their like for the lab guest: minutes once, then seconds.
#
# Debian packages no such kernel (its -dbg packages are symbols, -rt has no lockdep). Sources are Debian's, of the same
# version as the ordinary guest, and user space is that guest's own. Build modules for it with
#     make -C build/guest-debug/linux M=... modules
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
guest=$top/build/guest
out=$top/build/guest-debug
src=$out/linux
log=$out/mkdebugkernel.log
jobs=$(nproc)

say() { printf 'mkdebugkernel: %s\n' "$*"; }
die() { printf 'mkdebugkernel: %s\n' "$*" >&2; exit 1; }

# quietly WHAT COMMAND...: output into the log, shown only on failure
quietly()
{
	what=$1
	shift
	"$@" >>"$log" 2>&1 || { tail -n 30 "$log" >&2; die "$what failed; all of it is in $log"; }
}

kmake() { make -s -C "$src" -j "$jobs" ARCH=x86_64 LOCALVERSION=-debug "$@"; }

check_tools()
{
	for tool in flex bison bc; do
		command -v $tool >/dev/null || die "$tool is missing: run scripts/setup.sh all"
	done
	[ -e /usr/include/gelf.h ] || die "libelf-dev is missing: run scripts/setup.sh all"
}

# The code of other architectures and the graphics drivers' register tables are half of the tree and not even looked at.
unpack()
{
	rm -rf "$src" "$src.new"
	mkdir -p "$src.new"
	deb=$(cd "$here" && ./mkguest.sh --fetch-source)
	say "unpack sources"
	dpkg-deb --fsys-tarfile "$deb" | tar -xO ./usr/src/linux-source-6.1.tar.xz | xz -dcT0 |
		tar -x -C "$src.new" --strip-components 1 \
			--exclude 'linux-source-6.1/arch/[!x]*.[chS]' --exclude 'linux-source-6.1/arch/*.dts*' \
			--exclude 'linux-source-6.1/drivers/gpu/drm/amd/include/*'
	# PVH's C code runs before KASAN's shadow is mapped. The other early files are exempted there, this one was forgotten,
	# and its question whether this is Xen calls a string function that cannot be exempted without losing its checks.
	echo 'KASAN_SANITIZE := n' >>"$src.new/arch/x86/platform/pvh/Makefile"
	sed -i 's/= xen_cpuid_base()/= 0/' "$src.new/arch/x86/platform/pvh/enlighten.c"
	# usbtest sets its timer up once, on the stack, and destroys it in each round of a loop.
	sed -i -e '/^static int perform_sglist/,/^}/ { /timer_setup_on_stack/d' \
		-e 's/^\t*mod_timer(&timeout/\t\ttimer_setup_on_stack(\&timeout.timer, sg_timeout, 0);\n&/ }' \
		"$src.new/drivers/usb/misc/usbtest.c"
	mv "$src.new" "$src"
}

# A misspelt option or an unmet dependency is dropped silently by the merge, and with it a checker.
configure()
{
	quietly "tinyconfig" kmake tinyconfig
	(cd "$src" && quietly "configuration" ./scripts/kconfig/merge_config.sh -m .config "$here/debug.config")
	quietly "olddefconfig" kmake olddefconfig
	sed -n 's/^\(CONFIG_[A-Z0-9_]*\)=n$/# \1 is not set/p; /^CONFIG_.*=[^n]/p; /^CONFIG_.*=n./p' "$here/debug.config" |
		while read -r line; do
			case $line in
			"#"*) name=${line#\# }; name=${name% is not set}; ! grep -q "^$name=" "$src/.config" || echo "$line" ;;
			*) grep -qxF "$line" "$src/.config" || echo "$line" ;;
			esac
		done >"$out/unmet"
	[ ! -s "$out/unmet" ] || { cat "$out/unmet" >&2; die "the options above did not come true"; }
}

build()
{
	say "build with $jobs jobs (its progress: tail -f $log)"
	quietly "kernel build" nice make -C "$src" -j "$jobs" ARCH=x86_64 LOCALVERSION=-debug vmlinux modules
	cp "$src/vmlinux" "$out/vmlinux.new"
	mv "$out/vmlinux.new" "$out/vmlinux"
}

make_base()
{
	release=$(kmake kernelrelease)
	root=$out/root
	rm -rf "$root"
	cp -a "$guest/root" "$root"
	rm -rf "$root/lib/modules"
	quietly "modules_install" kmake modules_install INSTALL_MOD_PATH="$root" DEPMOD=true
	rm -rf "$out/provoke"
	cp -r "$here/provoke" "$out/provoke"
	quietly "provoke.ko" kmake M="$out/provoke" modules
	mkdir -p "$root/lib/modules/$release/extra"
	cp "$out/provoke/provoke.ko" "$root/lib/modules/$release/extra/"
	rm -f "$root/lib/modules/$release/build" "$root/lib/modules/$release/source"
	depmod -b "$root" "$release"
	(cd "$root" && find . -mindepth 1 | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet) >"$out/base.cpio.new"
	mv "$out/base.cpio.new" "$out/base.cpio"
	printf '%s\n' "$release" >"$out/release"
}

# once STAMP FUNCTION...: runs the functions unless STAMP still stands for what is there
once()
{
	stamp=$out/$1.stamp
	key=$2
	shift 2
	[ "$(cat "$stamp" 2>/dev/null)" != "$key" ] || return 0
	rm -f "$stamp"
	for step in "$@"; do
		$step
	done
	printf '%s' "$key" >"$stamp"
}

check_tools
"$here/mkguest.sh"
mkdir -p "$out"
exec 8>"$out/lock"
flock 8
: >"$log"
once source "$(cat "$guest/kernel.stamp"; sed -n '/^unpack/,/^}/p' "$0")" unpack
once build "$(cat "$out/source.stamp" "$here/debug.config" | sha256sum)" configure build
once base "$(cat "$out/build.stamp" "$guest/base.stamp")" make_base
say "done: $(cat "$out/release")"
