#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Makes the lab guest's kernel, modules and base initramfs in build/guest, from Debian packages, without installing any.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
out=$top/build/guest
log=$out/mkguest.log

# Roots of the module closure: what tests use, not all there is, because the guest unpacks it at every boot.
modules="
	xhci_pci ehci_pci uhci_hcd ohci_pci usbmon usbtest
	cdc_acm ftdi_sio cp210x ch341 pl2303 usb-storage uas usbhid hid-generic evdev
	usbnet cdc_ether cdc_ncm rndis_host snd-usb-audio uvcvideo
	vhci_hcd usbip_host dummy_hcd libcomposite
	usb_f_acm usb_f_mass_storage usb_f_hid usb_f_ncm usb_f_ss_lb
	sd_mod sr_mod sg ext4 vfat isofs nls_ascii nls_cp437 nls_utf8 nls_iso8859-1
	loop crc32c_generic
"

say() { printf 'mkguest: %s\n' "$*"; }
die() { printf 'mkguest: %s\n' "$*" >&2; exit 1; }

# The module under test is built against the installed headers, so the guest runs exactly that kernel.
find_release()
{
	release=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 'linux-headers-6.1.*-amd64' 2>/dev/null |
		sed -n 's/^installed linux-headers-\(6\.1\.[0-9]*-[0-9]*-amd64\)$/\1/p' | sort -V | tail -n 1)
	[ -n "$release" ] || die "no linux-headers-6.1.*-amd64 installed: run scripts/setup.sh"
	version=$(dpkg-query -W -f '${Version}' "linux-headers-$release")
}

# fetch PACKAGE VERSION: leaves the package file in $out/debs and its name in $deb
fetch()
{
	deb=$out/debs/${1}_$(printf %s "$2" | sed 's/:/%3a/')
	for f in "$deb"_*.deb; do
		[ ! -f "$f" ] || { deb=$f; return; }
	done
	mkdir -p "$out/debs"
	if ! apt-cache show "$1=$2" >/dev/null 2>&1; then
		say "package lists do not know $1 $2: apt-get update"
		apt-get -qq update || sudo apt-get -qq update || die "apt-get update failed"
	fi
	say "download $1 $2"
	# apt's note that it does not drop its privileges for this folder is no error, but its real errors are.
	(cd "$out/debs" && apt-get -qq download "$1=$2" 2>"$log") || { cat "$log" >&2
		die "$1 $2 is not to be had; if the headers are old, upgrade linux-headers-amd64"; }
	for f in "$deb"_*.deb; do deb=$f; done
}

extract_kernel()
{
	[ "$(cat "$out/kernel.stamp" 2>/dev/null)" != "$release $version" ] || return 0
	fetch "linux-image-$release" "$version"
	say "extract kernel $release"
	rm -rf "$out/image" "$out/kernel.stamp"
	mkdir -p "$out/image"
	dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$out/image"
	# Uncompressed and entered through PVH: unpacking XZ costs the emulated CPU more than the rest of the boot.
	python3 - "$out/image/boot/vmlinuz-$release" "$out/vmlinux.new" <<-'EOF'
		import lzma, sys
		image = open(sys.argv[1], "rb").read()
		start = image.index(bytes.fromhex("fd377a585a00"))
		open(sys.argv[2], "wb").write(lzma.LZMADecompressor().decompress(image[start:]))
	EOF
	mv "$out/vmlinux.new" "$out/vmlinux" # at once: another test may be starting a guest
	depmod -b "$out/image" "$release"
	printf '%s\n' "$release" >"$out/release"
	printf '%s %s' "$release" "$version" >"$out/kernel.stamp"
}

# testusb is not packaged; one file of the kernel's source package is all that is taken.
get_testusb()
{
	testusb=$out/testusb-$version.c
	[ ! -s "$testusb" ] || return 0
	fetch linux-source-6.1 "$version"
	say "extract testusb.c"
	dpkg-deb --fsys-tarfile "$deb" | tar -xO ./usr/src/linux-source-6.1.tar.xz |
		xz -dcT0 | tar -xO --occurrence=1 linux-source-6.1/tools/usb/testusb.c >"$testusb.new" || [ -s "$testusb.new" ]
	mv "$testusb.new" "$testusb"
}

copy_modules()
{
	for m in $modules; do
		modprobe -d "$out/image" -S "$release" --show-depends "$m" >>"$root/closure" || die "no module $m in $release"
	done
	sed -n 's/^insmod \([^ ]*\).*/\1/p' "$root/closure" | sort -u | while read -r ko; do
		to=$root/lib/modules/$release/${ko#"$out/image/lib/modules/$release/"}
		mkdir -p "$(dirname "$to")"
		cp "$ko" "$to"
	done
	rm "$root/closure"
	cp "$out/image/lib/modules/$release/modules.order" "$out/image/lib/modules/$release"/modules.builtin* \
		"$root/lib/modules/$release/"
}

make_provoke()
{
	rm -rf "$out/provoke"
	cp -r "$here/provoke" "$out/provoke"
	make -s -C "/lib/modules/$release/build" M="$out/provoke" modules >"$log" 2>&1 || { cat "$log" >&2; die "provoke.ko"; }
	mkdir -p "$root/lib/modules/$release/extra"
	cp "$out/provoke/provoke.ko" "$root/lib/modules/$release/extra/"
}

# copy_program PATH: with the libraries it is linked to, at the same places
copy_program()
{
	for f in "$1" $(ldd "$1" | sed -n 's/.*[[:space:]]\(\/[^ ]*\) (0x.*/\1/p'); do
		mkdir -p "$root$(dirname "$f")"
		cp -L "$f" "$root$f"
	done
}

make_root()
{
	root=$out/root
	rm -rf "$root"
	mkdir -p "$root"
	for d in bin sbin usr/bin usr/sbin dev proc sys run tmp root mnt etc lib/modules lib64; do
		mkdir -p "$root/$d"
	done
	cp "$(command -v busybox)" "$root/bin/busybox"
	for applet in $(busybox --list); do
		[ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
	done
	ln -s ../bin/modprobe "$root/sbin/modprobe" # where the kernel itself calls it
	# Names of vendors come from the devices' own strings: this lsusb reads udev's 10 MiB database or none, never usb.ids.
	for p in lsusb mke2fs; do
		copy_program "$(PATH=$PATH:/usr/sbin:/sbin command -v $p)"
	done
	rm -f "$root/bin/mke2fs" # the real one knows ext4
	ln -s mke2fs "$root/usr/sbin/mkfs.ext4"
	cp "$here/init" "$root/init"
	${CC:-gcc} -std=gnu11 -O2 -Wall -Wextra -Werror -static -o "$root/sbin/agent" "$here/agent.c"
	${CC:-gcc} -O2 -w -static -pthread -o "$root/usr/bin/testusb" "$testusb"
	copy_modules
	make_provoke
	depmod -b "$root" "$release"
}

# Uncompressed: copying a few more MiB is cheaper than gunzip on the emulated CPU.
make_base()
{
	key=$(cat "$out/kernel.stamp" "$here/mkguest.sh" "$here/init" "$here/agent.c" "$here/provoke"/* | sha256sum)
	[ "$(cat "$out/base.stamp" 2>/dev/null)" != "$key" ] || { say "up to date ($release)"; return 0; }
	get_testusb
	say "make base initramfs"
	make_root
	(cd "$out/root" && find . -mindepth 1 | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet) >"$out/base.cpio.new"
	mv "$out/base.cpio.new" "$out/base.cpio"
	printf '%s' "$key" >"$out/base.stamp"
	say "done: $release, $(du -k "$out/base.cpio" | cut -f 1) KiB"
}

mkdir -p "$out"
exec 9>"$out/lock" # two test runs may begin at once
flock 9
find_release
if [ "${1-}" = --fetch-source ]; then # the debug kernel's sources are those of this one
	fetch linux-source-6.1 "$version" >&2
	printf '%s\n' "$deb"
	exit
fi
extract_kernel
make_base
