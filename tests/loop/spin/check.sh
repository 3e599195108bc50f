#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Proves the models of the barriers, and that they fail with any one of the fences left out or words out of order.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# errors MODEL [DEFINE]: searches every state, prints how many errors there are
errors()
{
	spin -a ${2:+"-D$2"} "$here/$1.pml"
	cc -O2 -DSAFETY -DMEMLIM=2000 -w -o pan pan.c
	./pan -m100000 >log || true
	grep -q 'max search depth too small' log && { cat log; exit 1; }
	sed -n 's/.*errors: \([0-9]*\).*/\1/p' log
}

status=0

# check MODEL [DEFINE]: right as it is, wrong with the define
check()
{
	found=$(errors "$@")
	expected=$([ $# -gt 1 ] && echo 1 || echo 0)
	states=$(sed -n 's/^ *\([0-9]*\) states, stored.*/\1/p' log)
	echo "$*: $found errors in $states states"
	[ "$found" = "$expected" ] || { echo "expected $expected"; cat log; status=1; }
}

check barriers
for fence in NO_TX_KICK NO_RX_SLEEP NO_RX_TELL NO_TX_WAIT; do
	check barriers "$fence"
done
check epochs
for order in READY_FIRST EPOCH_READ_FIRST NO_RESETTING; do
	check epochs "$order"
done
exit $status
