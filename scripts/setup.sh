#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Installs the Debian packages that building, the demo and the tests need, if any is missing.
set -eu

# One line each: groups that want it, package, reason.
packages()
{
	cat <<-'EOF'
		build  gcc                   the daemon, the command line and the guest module
		build  libc6-dev             headers and the static C library; only recommended by gcc
		build  make                  the build
		build  cmake                 embedding into CMake projects
		build  pkg-config            finds the libraries below
		build  libusb-1.0-0-dev      the daemon's access to USB devices
		build  libinih-dev           the configuration file
		build  libsystemd-dev        readiness and watchdog messages, socket activation
		build  libudev-dev           tells when USB devices come and go
		build  linux-headers-amd64   the guest module
		build  kmod                  depmod and modprobe
		vm     qemu-system-x86       the guest
		vm     busybox-static        the guest's user space
		vm     cpio                  the guest's initramfs
		vm     xz-utils              unpacks kernel and sources
		vm     python3               drives the guest
		vm     usbutils              lsusb, for the guest
		vm     e2fsprogs             mke2fs, for the guest
		check  libcmocka-dev         unit tests
		check  clang                 sanitizers and the fuzzers
		check  libclang-rt-14-dev    their run-time library; only recommended by clang
		check  sparse                endian and lock annotations of the guest module
		check  shellcheck            the scripts
		check  spin                  checks the models of barriers and epochs
		check  zsh                   tests of its completion
		check  systemd               tests of the units, by its own tools and in the guest
		check  udev                  tests of the udev rules in the guest
		check  dkms                  the module's sources, as DKMS builds them
		check  man-db                the lint of the manual pages
		check  git                   tests that look at tracked files only
		win    cmake                 the build of the Windows host
		win    make                  the same
		win    clang                 the packaged drivers and programs
		win    lld                   links them: control-flow guard, PDB
		win    llvm                  its resource compiler and manifest tool, for the check of the Visual Studio branch
		win    clang-tools-14        clang-cl, for the same
		win    gcc-mingw-w64-x86-64  headers and libraries of Windows, and a second compiler
		win    mingw-w64-tools       import libraries from definition files (gendef)
		win    python3               the catalog and the installer's tables
		win    openssl               a key for test signatures
		win    osslsigncode          signs and verifies
		win    wixl                  the Windows installer
		win    msitools              looks into that installer
		wine   wine64                executes the Windows side
		wine   wine64-tools          winedump, to look at what was built
		devices tshark               reads captures, to see what Wireshark makes of them
		devices fio                  writes and verifies disks, in the guest
		devices alsa-utils           aplay and arecord, for the guest
		devices v4l-utils            v4l2-ctl films, in the guest
		devices dfu-util             flashes the board model, in the guest
		devices bzip2                unpacks libusb's sources
		debug  flex                  the debug kernel's configuration language
		debug  bison                 the same
		debug  bc                    the debug kernel's time constants
		debug  mmdebstrap            a chroot for kernels that want a newer compiler
		debug  libelf-dev            the debug kernel's objtool
	EOF
}

groups_of()
{
	case $1 in
	demo) echo build vm ;;
	windows) echo win ;;
	test) echo build vm check win wine ;;
	devices) echo build vm check devices ;;
	all) echo build vm check win wine devices debug ;;
	*) die "usage: setup.sh [--print] [demo|windows|test|devices|all]" ;;
	esac
}

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

wanted()
{
	for group in $groups; do
		packages | sed -n "s/^$group  *//p"
	done
}

missing()
{
	for p in $(wanted | cut -d ' ' -f 1); do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || printf '%s ' "$p"
	done
}

# Waits for another apt instead of failing, asks nothing, and shows its words only when all has failed.
apt()
{
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=600 "$@" </dev/null >>"$log" 2>&1
}

known()
{
	for p in "$@"; do
		apt-cache policy "$p" 2>/dev/null | grep -q '^ *Candidate: *[0-9]' || return 1
	done
}

install_missing()
{
	command -v apt-get >/dev/null || die "this is no Debian system; missing: $*"
	sudo=
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null || die "neither root nor sudo, so these cannot be installed: $*"
		sudo=sudo
	fi
	log=$(mktemp)
	trap 'rm -f "$log"' EXIT
	say "install: $*"
	# An update that fails for one source of several may still do; whether it did, the installation tells.
	known "$@" || apt update || true
	# Old package lists name versions that the archive has dropped, so one failure is a reason to update.
	apt install --no-install-recommends "$@" || { apt update || true; apt install --no-install-recommends "$@"; } || {
		tail -n 40 "$log" >&2
		die "apt could not install: $* (its words are above; is the Debian archive in sources.list, and within reach?)"
	}
	say "done"
}

print=
[ "${1-}" != --print ] || { print=1; shift; }
groups=$(groups_of "${1-all}")
if [ -n "$print" ]; then
	wanted
	exit
fi
set -f
# shellcheck disable=SC2046 # package names have no blanks
set -- $(missing)
if [ $# = 0 ]; then
	say "nothing to install"
else
	install_missing "$@"
fi
