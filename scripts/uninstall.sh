#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Removes what an installation has put in place, by its manifests: uninstall.sh BUILD_DIRECTORY... DESTDIR as it was then.
# Configuration, bindings and disk images are nobody's but the administrator's, and stay.
set -eu

found=
for manifest in $(for build in "$@"; do echo "$build"/install_manifest*.txt; done); do
	[ -e "$manifest" ] || continue
	found=1
	while read -r file || [ -n "$file" ]; do
		rm -fv -- "${DESTDIR-}$file"
		# Directories that are ours alone: of documents, of DKMS.
		folder=$(dirname "$file")
		while case $folder in */usbwarp | */usbwarp/* | */usbwarp-*) ;; *) false ;; esac; do
			rmdir "${DESTDIR-}$folder" 2>/dev/null || break
			folder=$(dirname "$folder")
		done
	done <"$manifest"
	rm -f "$manifest"
done
[ -n "$found" ] || { echo "uninstall: no manifest in $*: nothing was installed from there" >&2; exit 1; }
