#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The slow tests: a million seeded runs of the loop test on all CPUs, then every fault cycle in full.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
runs=${USBWARP_SOAK_RUNS:-1000000}
cpus=$(nproc)
share=$(((runs + cpus - 1) / cpus))
seed=${USBWARP_SOAK_SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}

echo "soak: $runs runs of the loop test from seed $seed, on $cpus processes"
pids=
for i in $(seq 0 $((cpus - 1))); do
	"$root/build/tests/loop/loop" --seed "$((seed + i * share))" --runs "$share" &
	pids="$pids $!"
done
for pid in $pids; do
	wait "$pid"
done
USBWARP_ROUNDS=1 "$root/tests/vm/test_faults.py"
