#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Runs test programs and adds up what they say of themselves: suite.sh TEST.py...
# One runs on each processor, since they mostly wait; USBWARP_JOBS is another number. They start in the order given, and
# what each has printed is shown when it has ended. The last line is "N passed, N failed".
set -u

# One test: its output into FOLDER/NAME, and then shown at once, lest two of them mix.
if [ "${1-}" = --one ]; then
	name=$(basename "$3" .py)
	echo "== $name starts"
	python3 "$3" >"$2/$name" 2>&1
	echo $? >"$2/$name.code"
	{ echo "== $name"; cat "$2/$name"; } >"$2/$name.shown"
	cat "$2/$name.shown"
	exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '%s\n' "$@" | xargs -r -P "${USBWARP_JOBS:-$(nproc)}" -n 1 "$0" --one "$work"

passed=0
failed=0
for test; do
	output=$work/$(basename "$test" .py)
	# A test that ends without its last line has failed in a way of its own.
	last=$(sed -n 's/^\([0-9][0-9]*\) passed, \([0-9][0-9]*\) failed$/\1 \2/p' "$output" | tail -n 1)
	[ -n "$last" ] || { failed=$((failed + 1)); continue; }
	passed=$((passed + ${last%% *}))
	failed=$((failed + ${last##* }))
	[ "$(cat "$output.code")" -eq 0 ] || [ "${last##* }" != 0 ] || failed=$((failed + 1))
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
