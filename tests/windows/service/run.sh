#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Builds and runs, natively, the tests of what in the Windows service needs no Windows. With sanitizers, because these
# parts read what guests, devices and the registry wrote.
set -eu

here=$(CDPATH='' cd -- "$(dirname "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/../../.." && pwd)
service=$root/host/windows/service
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

for source in "$here"/test_*.c; do
	name=$(basename "$source" .c)
	"${CC:-cc}" -std=gnu11 -g -O1 -Wall -Wextra -Werror -fsanitize=address,undefined -fno-sanitize-recover=all \
		-I"$root/include" -I"$root/core" -I"$root/tests/windows" -iquote "$service" -o "$out/$name" "$source" \
		"$service/config.c" "$service/hcsjson.c" "$service/mmio.c" "$service/pci.c" "$service/record.c" \
		"$service/usbid.c" "$root/core/core.c" -lcmocka
	"$out/$name"
done
