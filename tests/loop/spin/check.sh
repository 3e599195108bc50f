#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Proves the model of the barriers, and that it fails with any one of the fences left out.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# errors [DEFINE]: searches every state, prints how many errors there are
errors()
{
	spin -a ${1:+"-D$1"} "$here/barriers.pml"
	cc -O2 -DSAFETY -DMEMLIM=2000 -w -o pan pan.c
	./pan -m100000 >log || true
	grep -q 'max search depth too small' log && { cat log; exit 1; }
	sed -n 's/.*errors: \([0-9]*\).*/\1/p' log
}

status=0
for fence in '' NO_TX_KICK NO_RX_SLEEP NO_RX_TELL NO_TX_WAIT; do
	found=$(errors "$fence")
	expected=$([ -n "$fence" ] && echo 1 || echo 0)
	states=$(sed -n 's/^ *\([0-9]*\) states, stored.*/\1/p' log)
	echo "${fence:-all fences}: $found errors in $states states"
	[ "$found" = "$expected" ] || { echo "expected $expected"; cat log; status=1; }
done
exit $status
