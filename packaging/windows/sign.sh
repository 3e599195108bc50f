#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Signs a Windows build for machines in test mode: sign.sh BUILT SIGNED makes SIGNED from the unsigned files in BUILT, with
# the driver package's catalog and the installer.
#
# Without USBWARP_CERTIFICATE and USBWARP_KEY (PEM files of yours) it makes a key for this one run, in memory, and forgets
# it at the end: whoever trusts the certificate on a test machine trusts these files and nothing that is signed later.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
built=$(realpath "$1")
mkdir -p "$2"
signed=$(realpath "$2")
days=${USBWARP_CERTIFICATE_DAYS:-90}
version=$(sed -n 's/^project(.* VERSION \([0-9.]*\).*/\1/p' "$here/../../host/windows/CMakeLists.txt")

work=$(mktemp -d -p /dev/shm usbwarp-sign.XXXXXX 2>/dev/null || mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
chmod 700 "$work"

make_key()
{
	certificate=$work/certificate.pem
	key=$work/key.pem
	openssl req -x509 -newkey rsa:3072 -nodes -sha256 -days "$days" -keyout "$key" -out "$certificate" \
		-subj "/CN=UsbWarp test signing $(date -u +%Y-%m-%d)" \
		-addext basicConstraints=critical,CA:FALSE \
		-addext keyUsage=critical,digitalSignature \
		-addext extendedKeyUsage=critical,codeSigning 2>/dev/null
}

# sign FILE: in place.
sign()
{
	rm -f "$work/out"
	osslsigncode sign -h sha256 -n UsbWarp -certs "$certificate" -key "$key" -in "$1" -out "$work/out" >"$work/log" 2>&1 ||
		{ cat "$work/log" >&2; exit 1; }
	mv "$work/out" "$1"
	osslsigncode verify -CAfile "$certificate" -in "$1" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
}

if [ -n "${USBWARP_CERTIFICATE:-}" ] && [ -n "${USBWARP_KEY:-}" ]; then
	certificate=$USBWARP_CERTIFICATE
	key=$USBWARP_KEY
else
	make_key
fi

for name in $("$here/mkmsi.py" --list) UsbWarpFilter.inf; do
	[ "$name" = UsbWarpFilter.cat ] || cp "$built/$name" "$signed/"
done
for name in "$signed"/*.exe "$signed"/*.sys; do
	sign "$name"
done
"$here/mkcat.py" --inf "$signed/UsbWarpFilter.inf"
sign "$signed/UsbWarpFilter.cat"
osslsigncode verify -CAfile "$certificate" -c "$signed/UsbWarpFilter.cat" -in "$signed/UsbWarpFilter.sys" >"$work/log" 2>&1 ||
	{ cat "$work/log" >&2; exit 1; }
"$here/mkmsi.py" --directory "$signed" --version "$version" --out "$signed/UsbWarp.msi"
sign "$signed/UsbWarp.msi"
openssl x509 -in "$certificate" -outform DER -out "$signed/UsbWarpTest.cer"
