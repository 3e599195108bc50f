#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Builds usbwarp.ko against several kernels' headers with all warnings and sparse; a warning is a failure.
#
#   kernel-matrix.sh [5.10|6.1|6.12|sid|all]...     default: 5.10 6.1 6.12
#
# Headers are unpacked below build/headers, from the Debian mirrors that this machine's apt uses, and not installed.
# Modules are left in build/modules/KERNEL/usbwarp.ko. sid builds in a chroot, because its headers need its compiler.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
headers=$top/build/headers
modules=$top/build/modules
mkdir -p "$headers" "$modules"

say() { printf 'kernel-matrix: %s\n' "$*"; }
die() { printf 'kernel-matrix: %s\n' "$*" >&2; exit 1; }

# repo SUITE: this machine's Debian mirror that carries such a suite
repo()
{
	case $1 in *-security) want=security ;; *) want=main ;; esac
	apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' 'Origin: Debian' | sort -u |
		while read -r uri suite; do
			case $suite in *-security) have=security ;; *) have=main ;; esac
			[ $have = $want ] && { echo "$uri"; break; }
		done
}

# apt_for SUITE TOOL ARGUMENT...: an apt tool in a world of its own that knows this suite alone
apt_for()
{
	suite=$1 tool=$2
	shift 2
	world=$headers/apt-$suite
	mkdir -p "$world/lists/partial" "$world/cache/archives/partial"
	"$tool" -o Dir::Etc::sourcelist="$world/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$world/lists" \
		-o Dir::Cache="$world/cache" -o APT::Sandbox::User= "$@"
}

update()
{
	world=$headers/apt-$1
	mkdir -p "$world"
	uri=$(repo "$1")
	[ -n "$uri" ] || die "no Debian mirror in this machine's apt sources for $1"
	printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$uri" "$1" >"$world/sources.list"
	apt_for "$1" apt-get -qq update || die "apt-get update for $1 failed"
}

# newest SUITE PATTERN: the newest header package whose name is PATTERN-amd64
newest()
{
	apt_for "$1" apt-cache search --names-only "^linux-headers-$2-amd64\$" | sed 's/ .*//' | sort -V | tail -n 1
}

# closure SUITE PACKAGE: the header packages that PACKAGE needs, itself included
closure()
{
	apt_for "$1" apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
		--no-enhances "$2" | grep -E '^linux-(headers|kbuild)-' | sort -u
}

# The links between header packages are absolute in one place: the Makefile that includes the common one.
unpack()
{
	root=$1
	shift
	for deb in "$@"; do
		dpkg-deb -x "$deb" "$root"
	done
	sed -i "s#^include /usr/src#include $root/usr/src#" "$root"/usr/src/linux-headers-*-amd64/Makefile
}

# fetch NAME SUITE PATTERN: leaves the headers in build/headers/NAME and the path of the build folder in NAME.path
fetch()
{
	name=$1 suite=$2 pattern=$3
	[ ! -s "$headers/$name.path" ] || return 0
	update "$suite"
	package=$(newest "$suite" "$pattern")
	[ -n "$package" ] || die "$suite has no linux-headers-$pattern-amd64"
	say "fetch $package from $suite"
	debs=$headers/debs-$name
	rm -rf "${headers:?}/$name" "$debs"
	mkdir -p "$headers/$name" "$debs"
	for p in $(closure "$suite" "$package"); do
		(cd "$debs" && apt_for "$suite" apt-get -qq download "$p" 2>"$debs/log") || { cat "$debs/log" >&2
			die "cannot download $p"; }
	done
	unpack "$headers/$name" "$debs"/*.deb
	rm -rf "$debs"
	echo "$headers/$name/usr/src/$package" >"$headers/$name.path"
}

# copy NAME: the sources, where the build may leave its files
copy()
{
	rm -rf "$modules/$1/src"
	mkdir -p "$modules/$1/src"
	for d in include core guest; do
		cp -r "$top/$d" "$modules/$1/src/"
	done
	find "$modules/$1/src" \( -name '*.o' -o -name '*.ko' -o -name '*.mod*' -o -name '.*.cmd' \) -delete
}

# judge NAME LOG: a warning of the compiler or of sparse is a failure
judge()
{
	grep -vE 'Skipping BTF|the compiler differs|The kernel was built by|You are using' "$2" >"$2.judged" || true
	if grep -nE 'warning|error|undefined' "$2.judged"; then
		die "$1: not clean"
	fi
	[ -s "$modules/$1/src/guest/linux/usbwarp.ko" ] || { cat "$2"; die "$1: no module"; }
	cp "$modules/$1/src/guest/linux/usbwarp.ko" "$modules/$1/usbwarp.ko"
	say "ok: $(modinfo -F vermagic "$modules/$1/usbwarp.ko")"
}

# build NAME KDIR: out of tree, every warning, sparse, and without the debug information that pahole would be needed for
build()
{
	copy "$1"
	log=$modules/$1/build.log
	make -C "$2" M="$modules/$1/src/guest/linux" W=1 C=1 CHECK="sparse -D__CHECK_ENDIAN__" \
		CC="${CC:-gcc}" CONFIG_DEBUG_INFO_BTF_MODULES= modules >"$log" 2>&1 || { cat "$log"; die "$1: build failed"; }
	judge "$1" "$log"
}

# chroot_for NAME SUITE: a Debian of that suite with kernel headers and their compiler, in build/headers/NAME
chroot_for()
{
	root=$headers/$1
	[ ! -e "$root.done" ] || return 0
	command -v mmdebstrap >/dev/null || die "mmdebstrap is not installed"
	say "make a chroot of $2"
	rm -rf "$root"
	# A mirror that is a snapshot has release files that have run out.
	mmdebstrap --mode=root --variant=apt --aptopt='Acquire::Check-Valid-Until "false"' \
		--include=linux-headers-amd64,make "$2" "$root" \
		"deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(repo "$2") $2 main" >"$root.log" 2>&1 ||
		{ cat "$root.log" >&2; die "no chroot of $2"; }
	: >"$root.done"
}

# in_chroot NAME COMMAND: with /proc, which the headers' makefiles read, and this run's sources at /src, for no longer
in_chroot()
{
	root=$headers/$1
	unshare --mount sh -eu -c '
		mount -t proc proc "$1/proc"
		mkdir -p "$1/src"
		mount --bind "$2" "$1/src"
		exec chroot "$1" sh -c "$3"' sh "$root" "$modules/$1/src" "$2"
}

build_in_chroot()
{
	copy "$1"
	log=$modules/$1/build.log
	in_chroot "$1" "make -C /usr/src/linux-headers-*-amd64 M=/src/guest/linux W=1 CONFIG_DEBUG_INFO_BTF_MODULES= modules" \
		>"$log" 2>&1 || { cat "$log"; die "$1: build failed"; }
	judge "$1" "$log"
}

installed()
{
	release=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 'linux-headers-6.1.*-amd64' 2>/dev/null |
		sed -n 's/^installed linux-headers-\(6\.1\.[0-9]*-[0-9]*-amd64\)$/\1/p' | sort -V | tail -n 1)
	[ -n "$release" ] || die "no linux-headers-6.1.*-amd64 installed: run scripts/setup.sh"
	echo "/usr/src/linux-headers-$release"
}

one()
{
	case $1 in
	5.10) fetch 5.10 bullseye-security '5\.10\.0-[0-9]+' && build 5.10 "$(cat "$headers/5.10.path")" ;;
	6.1) build 6.1 "$(installed)" ;;
	6.12) fetch 6.12 bookworm-security '6\.12\.[0-9]+\+deb12' && build 6.12 "$(cat "$headers/6.12.path")" ;;
	sid) chroot_for sid sid && build_in_chroot sid ;;
	*) die "unknown kernel $1" ;;
	esac
}

[ $# -gt 0 ] || set -- 5.10 6.1 6.12
[ "$1" != all ] || set -- 5.10 6.1 6.12 sid
for kernel in "$@"; do
	one "$kernel"
done
