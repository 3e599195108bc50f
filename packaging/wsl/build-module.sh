#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Builds usbwarp.ko for a WSL2 kernel, which has no package of headers: inside WSL, in this repository,
#
#	packaging/wsl/build-module.sh --download
#
# --source TREE     the kernel's sources at the right tag, instead of --download
# --download        fetch them from Microsoft's repository on GitHub, by git; asks before it does
# --yes             do not ask
# --kernel RELEASE  for another kernel than the one that runs, as its "uname -r" says; needs --config
# --config FILE     its configuration; by default /proc/config.gz
# --install         put the module where modprobe finds it and load it at each start; asks sudo
# --print           say what would be done, and do nothing
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
repository=https://github.com/microsoft/WSL2-Linux-Kernel.git
release=$(uname -r)
config=/proc/config.gz
source='' download='' yes='' install='' print=''

say() { printf 'build-module: %s\n' "$*"; }
die() { printf 'build-module: %s\n' "$*" >&2; exit 1; }

while [ $# -gt 0 ]; do
	case $1 in
	--source) source=$(realpath "${2:?}"); shift ;;
	--kernel) release=${2:?}; shift ;;
	--config) config=${2:?}; shift ;;
	--download) download=1 ;;
	--yes) yes=1 ;;
	--install) install=1 ;;
	--print) print=1 ;;
	--help) sed -n '3,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
	*) die "what is $1? See --help" ;;
	esac
	shift
done

# 6.6.87.2-microsoft-standard-WSL2 was built from the tag linux-msft-wsl-6.6.87.2.
case $release in
*-microsoft-standard-WSL2*) tag=linux-msft-wsl-${release%%-microsoft*} ;;
*) die "$release is no WSL2 kernel; for others, scripts/build-module.sh builds against the headers of the distribution" ;;
esac
case $release in
[1-5].*) die "$release loads no modules: update WSL (wsl --update), 6.6 and later do" ;;
esac
if [ -n "$print" ]; then
	say "kernel $release, tag $tag, sources ${source:-${download:+$repository}}"
	exit 0
fi

read_config()
{
	case $config in
	*.gz) zcat "$config" ;;
	*) cat "$config" ;;
	esac
}
[ -r "$config" ] || die "no $config: give the kernel's configuration with --config"
read_config | grep -q '^CONFIG_MODULES=y' || die "the kernel of $config loads no modules"

for tool in make gcc bc bison flex; do
	command -v "$tool" >/dev/null || die "no $tool: sudo apt install build-essential bc bison flex libelf-dev libssl-dev"
done

if [ -z "$source" ]; then
	[ -n "$download" ] || die "whence the sources of $tag? Give --source TREE or --download"
	source=$root/build/wsl/$tag
	if [ ! -e "$source/Makefile" ]; then
		say "fetches $tag from $repository, about 250 MB, into $source"
		if [ -z "$yes" ]; then
			printf 'Go on? [y/N] '
			read -r answer
			[ "$answer" = y ] || [ "$answer" = Y ] || exit 1
		fi
		git clone -q --depth 1 --branch "$tag" "$repository" "$source"
	fi
fi

out=$root/build/wsl/$release
kernel=$out/kernel
mkdir -p "$kernel"
read_config >"$kernel/.config"
# An empty LOCALVERSION keeps the build from adding "+" for a tree that is not at a tag.
make -s -C "$source" O="$kernel" LOCALVERSION= olddefconfig
built=$(make -s -C "$source" O="$kernel" LOCALVERSION= kernelrelease)
[ "$built" = "$release" ] || die "these sources and this configuration make $built, not $release"

# With checksums of symbols in it the module must agree with them, and only the whole kernel tells them.
if grep -q '^CONFIG_MODVERSIONS=y' "$kernel/.config"; then
	say 'this kernel checks the versions of symbols, so all of it is built once; this takes a while'
	make -s -C "$source" O="$kernel" LOCALVERSION= -j "$(nproc)" vmlinux modules
	"$root/scripts/build-module.sh" "$kernel" "$out" LOCALVERSION=
else
	make -s -C "$source" O="$kernel" LOCALVERSION= -j "$(nproc)" modules_prepare
	"$root/scripts/build-module.sh" "$kernel" "$out" LOCALVERSION= KBUILD_MODPOST_WARN=1
fi
say "$out/usbwarp.ko"

[ -n "$install" ] || exit 0
[ "$release" = "$(uname -r)" ] || die "not installed: $release does not run here"
keep=/usr/local/lib/usbwarp/$release
sudo install -D -m 644 "$out/usbwarp.ko" "$keep/usbwarp.ko"
sudo install -D -m 644 "$out/usbwarp.ko" "/lib/modules/$release/extra/usbwarp.ko"
sudo depmod "$release"
echo usbwarp | sudo tee /etc/modules-load.d/usbwarp.conf >/dev/null
sudo modprobe usbwarp
if [ "$(stat -f -c %T "/lib/modules/$release")" = overlayfs ]; then
	say "WSL forgets /lib/modules when it stops; a copy stays in $keep. For each start, in /etc/wsl.conf:"
	printf '[boot]\ncommand = modprobe -q usbcore; insmod %s\n' "$keep/usbwarp.ko"
fi
