#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Checks the Markdown files: links and their anchors lead somewhere, files, functions and test cases that are named exist,
# COUNTERS.md is current, nothing is said that does not belong there. --self-test breaks each of these and must notice.
# shellcheck disable=SC2013,SC2016,SC2086 # words are what is wanted; backquotes are Markdown's
set -u

here=$(CDPATH='' cd -- "$(dirname "$0")/.." && pwd)
root=$here
passed=0
failed=0

pass()
{
	passed=$((passed + 1))
}

fail()
{
	failed=$((failed + 1))
	echo "FAIL $*"
}

# Markdown files, as paths from the root; what was built or fetched is not ours.
documents()
{
	(cd "$root" && find . \( -path ./build -o -path ./.git \) -prune -o -name '*.md' -print | sed 's|^\./||' | sort)
}

# A document without its fenced blocks and without what stands in backquotes, so that code is not taken for links.
prose()
{
	awk '/^ *```/ { fence = !fence; next } !fence' "$root/$1"
}

# The anchors of a document's headings, made as GitHub makes them.
anchors()
{
	prose "$1" | sed -n 's/^##* *//p' | tr '[:upper:]' '[:lower:]' | sed 's/[^a-z0-9 _-]//g; s/ /-/g'
}

check_link()
{
	target=${2%%#*}
	path=$1
	[ -z "$target" ] || path=$(dirname "$1")/$target
	path=$(echo "$path" | sed 's|^\./||; :a; s|[^/.][^/]*/\.\./||; ta')
	if [ ! -e "$root/$path" ]; then
		fail "$1: link to $2, which is not there"
	elif [ "$2" = "$target" ] || anchors "$path" | grep -qxF -- "${2#*#}"; then
		pass
	else
		fail "$1: link to $2, but there is no such heading"
	fi
}

check_links()
{
	for link in $(prose "$1" | sed 's/`[^`]*`//g' | grep -oE '\]\([^) ]+\)' | sed 's/^](//; s/)$//'); do
		case $link in
		http://* | https://* | mailto:*) ;;
		*) check_link "$1" "$link" ;;
		esac
	done
}

# `folder/file.ext` and `folder/file.ext:name`: the file is there, and the name is a word in it. Without a folder, a file
# of that name is anywhere.
check_name()
{
	file=${2%%:*}
	name=${2#*:}
	case $file in
	*/*) files=$(cd "$root" && ls -d "$file" 2>/dev/null) ;;
	*) files=$(cd "$root" && find core guest host include models cli tests scripts -name "$file" 2>/dev/null) ;;
	esac
	if [ -z "$files" ]; then
		fail "$1: names $file, which is not there"
	elif [ "$name" != "$2" ] && ! (cd "$root" && grep -qw -- "$name" $files); then
		fail "$1: names $name in $file, which does not know it"
	else
		pass
	fi
}

check_names()
{
	for token in $(prose "$1" | grep -oE '`([a-z][A-Za-z0-9_.-]*/)*[A-Za-z0-9_.-]+\.(c|h|sh|py|md|S|in|mk)(:[A-Za-z0-9_]+)?`' |
		tr -d '`' | sort -u); do
		case $token in
		build/* | linux/* | asm/*) ;;
		*) check_name "$1" "$token" ;;
		esac
	done
}

# `uw_something`: somebody defines it.
check_identifiers()
{
	for name in $(prose "$1" | grep -oE '`uw_[a-z0-9_]+' | tr -d '`' | sort -u); do
		if (cd "$root" && grep -rqw --include='*.[ch]' -- "$name" core guest host include models cli tests 2>/dev/null); then
			pass
		else
			fail "$1: names $name, which nothing defines"
		fi
	done
}

check_licence()
{
	if head -3 "$root/$1" | grep -q 'SPDX-License-Identifier: GPL-2.0-only'; then
		pass
	else
		fail "$1: no SPDX line"
	fi
}

# Numbers of issues, paths and addresses of the machine it was written on, and notes to oneself. The patterns are
# written so that they do not match themselves.
check_text()
{
	found=$(grep -nE '(^|[^][A-Za-z0-9_&(/`])#[0-9]+\b|(^|[^A-Za-z0-9_.])/(wor[k]|roo[t]|hom[e])/|(192\.168|172\.(1[6-9]|2[0-9]|3[01]))\.[0-9]+\.[0-9]+|TOD[O]|FIXM[E]|XX[X]|Lorem' "$root/$1")
	if [ -z "$found" ]; then
		pass
	else
		fail "$1: says what does not belong there:
$found"
	fi
}

# Hosts that documents may point to: where specifications and systems are at home.
check_hosts()
{
	for host in $(grep -oE 'https?://[^/ )>"`]+' "$root/$1" | sed 's|.*//||' | sort -u); do
		case $host in
		*.kernel.org | *.usb.org | usb.org | *.qemu.org | *.debian.org | *.microsoft.com | *.wikipedia.org | github.com | \
			*.freedesktop.org | libusb.info | libvirt.org | *.mesonbuild.com | spdx.org) pass ;;
		*) fail "$1: points to $host" ;;
		esac
	done
}

check_counters()
{
	if "$root/scripts/gen-counters.sh" --print | cmp -s - "$root/docs/COUNTERS.md"; then
		pass
	else
		fail "docs/COUNTERS.md is not what scripts/gen-counters.sh makes of core/stats.h; run it"
	fi
	if grep '| nobody |' "$root/docs/COUNTERS.md"; then
		fail "docs/COUNTERS.md lists counters that nobody keeps"
	else
		pass
	fi
}

check_all()
{
	count=0
	for document in $(documents); do
		check_licence "$document"
		check_links "$document"
		check_names "$document"
		check_identifiers "$document"
		check_text "$document"
		check_hosts "$document"
		count=$((count + 1))
	done
	[ "$count" -gt 0 ] || fail "no documents"
	check_counters
	echo "documents: $count, checks: $((passed + failed))"
}

# ---- self-test ----

plant()
{
	rm -rf "$tree"
	mkdir -p "$tree/docs" "$tree/scripts" "$tree/host/linux" "$tree/guest/linux"
	cp -r "$here/core" "$here/include" "$tree/"
	for side in host guest; do
		cp "$here/$side"/linux/*.c "$tree/$side/linux/"
	done
	cp "$here/scripts/gen-counters.sh" "$tree/scripts/"
	"$tree/scripts/gen-counters.sh"
	cat > "$tree/docs/PROTOCOL.md" <<-'END'
		<!-- SPDX-License-Identifier: GPL-2.0-only -->
		# A title, with `code` in it
		## 11. Statistics
		[self](#11-statistics) [other](COUNTERS.md#counters) [up](../core/ring.c) `core/ring.c:uw_tx_put`
	END
}

# What was broken, and a line that the check must say about it.
expect()
{
	out=$("$0" --root "$tree") && status=0 || status=1
	if [ "$status" = 1 ] && echo "$out" | grep -q -- "$2"; then
		pass
		echo "found: $1"
	else
		fail "not found: $1"
	fi
	plant
}

self_test()
{
	tree=$(mktemp -d)
	trap 'rm -rf "$tree"' EXIT
	page=$tree/docs/PROTOCOL.md
	plant
	if "$0" --root "$tree" > /dev/null; then pass; else fail "the unbroken tree is refused"; fi
	echo '[gone](nowhere.md)' >> "$page"
	expect "a dead link" 'nowhere.md, which is not there'
	echo '[gone](COUNTERS.md#nothing)' >> "$page"
	expect "a dead anchor" 'no such heading'
	echo '`core/rings.c`' >> "$page"
	expect "a file that is not there" 'names core/rings.c'
	echo '`core/ring.c:uw_tx_fly`' >> "$page"
	expect "a function that is not there" 'names uw_tx_fly'
	echo '`ring.c:uw_tx_fly`' >> "$page"
	expect "the same without a folder" 'names uw_tx_fly'
	echo '`uw_tx_fly`' >> "$page"
	expect "a name that nothing defines" 'which nothing defines'
	sed -i 1d "$page"
	expect "a missing licence" 'no SPDX line'
	echo 'see issue #''17' >> "$page"
	expect "a number of an issue" 'does not belong'
	echo 'lies in /wor''k/tree' >> "$page"
	expect "a path of a machine" 'does not belong'
	echo 'TOD''O: say more' >> "$page"
	expect "a note to oneself" 'does not belong'
	echo 'from https://registry.internal/x' >> "$page"
	expect "a host that nobody knows" 'points to registry.internal'
	sed -i 's/"submissions read from/"Submissions read from/' "$tree/core/stats.h"
	expect "COUNTERS.md out of date" 'COUNTERS.md is not what'
	sed -i 's/^\tX(submissions/\tX(nothing, "x", "y") \\\n&/' "$tree/core/stats.h"
	"$tree/scripts/gen-counters.sh"
	expect "a counter that nobody keeps" 'that nobody keeps'
}

case ${1:-} in
'') check_all ;;
--self-test) self_test ;;
--root)
	root=$2
	check_all
	;;
*)
	echo "usage: $0 [--self-test | --root DIR]" >&2
	exit 2
	;;
esac
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
