#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Writes docs/COUNTERS.md from the table in core/stats.h and the places that count. --print writes it to the output.
set -eu
cd "$(dirname "$0")/.."
document=docs/COUNTERS.md

# Which side a file that counts belongs to.
files_of()
{
	for file in core/*.c host/*/*.c guest/*/*.c; do
		grep -qs 'UW_COUNT(' "$file" || continue
		case $file in
		core/host*.c | core/xfer.c | host/*) side=host ;;
		core/guest*.c | core/urb.c | guest/*) side=guest ;;
		*)
			echo "$0: $file counts; say in this script for which side" >&2
			exit 1
			;;
		esac
		[ "$side" != "$1" ] || echo "$file"
	done
}

kept_by()
{
	sides=
	# shellcheck disable=SC2086 # lists of files
	{
		grep -qE "UW_COUNT\([^,]+, $1," $host_files && sides=host
		grep -qE "UW_COUNT\([^,]+, $1," $guest_files && sides="${sides:+$sides, }guest"
	}
	echo "${sides:-nobody}"
}

table()
{
	program=$(mktemp)
	trap 'rm -f "$program"' EXIT
	cat <<-'C' | ${CC:-cc} -std=gnu11 -I include -I core -x c - -o "$program"
		#include <stdio.h>
		#include "stats.c"
		int main(void)
		{
			for (int i = 0; i < UW_STAT_COUNT; i++)
				printf("%d\t%s\t%s\t%s\n", i, uw_counter_text[i].name, uw_counter_text[i].unit, uw_counter_text[i].meaning);
		}
	C
	tab=$(printf '\t')
	"$program" | while IFS="$tab" read -r index name unit meaning; do
		# shellcheck disable=SC2016 # backquotes for the reader, not for the shell
		printf '| %s | `%s` | %s | %s | %s |\n' "$index" "$name" "$unit" "$(kept_by "$name")" "$meaning"
	done
}

page()
{
	cat <<-'EOT'
		<!-- SPDX-License-Identifier: GPL-2.0-only -->
		<!-- Made by scripts/gen-counters.sh from core/stats.h. Edit that table, then run the script. -->
		# Counters

		Each end of a session keeps these, and the host keeps some for each device besides. They start at 0 with the program
		or module and never go back. The index is what a [stats request](PROTOCOL.md#11-statistics) asks by; new counters are
		added at the end.

		The host's stand in `usbwarp stats`, the guest's in debugfs (`usbwarp/<PCI address>/counters`), and there also the
		host's as the guest fetched them (`host_counters`). The claim that bytes are not copied is the ratio of `bytes_copied`
		to `bytes_moved`.

		| index | name | unit | kept by | meaning |
		|---|---|---|---|---|
	EOT
	table
}

host_files=$(files_of host)
guest_files=$(files_of guest)
if [ "${1:-}" = --print ]; then
	page
else
	text=$(page)
	printf '%s\n' "$text" > "$document"
fi
