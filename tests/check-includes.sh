#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Checks who includes whom, where systems may be told apart, how long files and functions are, and that each source file
# says its licence. --self-test breaks each of these rules in a copy of its own and must notice.
set -u

here=$(CDPATH='' cd -- "$(dirname "$0")/.." && pwd)
root=$here
failed=0

fail()
{
	failed=$((failed + 1))
	echo "FAIL $*"
}

# C sources below the given folders, as paths from the root.
sources()
{
	for folder; do
		[ -d "$root/$folder" ] && (cd "$root" && find "$folder" -name '*.[ch]' -not -name '*.mod.c' | sort)
	done
}

# "file name" for each #include "name".
quoted()
{
	sources "$@" | while read -r file; do
		sed -n 's/^[ \t]*#[ \t]*include[ \t]*"\([^"]*\)".*/\1/p' "$root/$file" | sed "s|^|$file |"
	done
}

bracketed()
{
	sources "$@" | while read -r file; do
		sed -n 's/^[ \t]*#[ \t]*include[ \t]*<\([^>]*\)>.*/\1/p' "$root/$file" | sed "s|^|$file |"
	done
}

# Is name, as folder's files write it, in one of the folders after it?
found_in()
{
	name=$1
	shift
	for folder; do
		[ -e "$root/$folder/$name" ] && return 0
	done
	return 1
}

# Each quoted include of folder $1 lies in folder $1 or in one of the others.
may_include()
{
	quoted "$1" | while read -r file name; do
		case $name in
		../../core/core.c) [ "$file" = guest/linux/core.c ] && continue ;;
		*..*) ;;
		*) found_in "$name" "$@" && continue ;;
		esac
		echo "$file: may not include \"$name\""
	done
}

check_folders()
{
	may_include include/usbwarp
	may_include core include
	may_include models core include
	may_include cli include
	may_include guest/linux core include
	may_include host/common core include
	may_include host/linux core include models host/common
	for folder in host/windows/driver host/windows/filter host/windows/service; do
		[ -d "$root/$folder" ] && may_include "$folder" core include models host/windows host/common
	done
	return 0
}

# The core is freestanding: system headers in core/port alone, and core/port in base.h alone.
check_core()
{
	bracketed core include | while read -r file name; do
		case $file:$name in
		core/port/*) ;;
		include/*:stdint.h | include/*:stddef.h) ;;
		*) echo "$file: may not include <$name>" ;;
		esac
	done
	quoted core models cli host guest bench tests | while read -r file name; do
		case $file:$name in
		core/base.h:*) ;;
		*:port/* | *:*/port/*) echo "$file: core/port is for core/base.h alone" ;;
		esac
	done
}

# word $1 stands in no source but those that match the pattern $2.
only_in()
{
	sources core include models cli host guest bench tests | while read -r file; do
		# shellcheck disable=SC2254 # a pattern is what is wanted
		case $file in
		$2) continue ;;
		esac
		grep -qw -- "$1" "$root/$file" && echo "$file: $1 belongs into $2 alone"
	done
}

check_systems()
{
	for word in _WIN32 _WIN64 __KERNEL__ _MSC_VER; do
		only_in $word 'core/port/*.h' | grep -v '^core/base.h:'
	done
	only_in LINUX_VERSION_CODE guest/linux/compat.h
}

# No file of folder $1 has more than $2 lines.
at_most()
{
	sources "$1" | while read -r file; do
		lines=$(wc -l <"$root/$file")
		[ "$lines" -le "$2" ] || echo "$file: $lines lines, $2 at most"
	done
}

check_lengths()
{
	at_most core 500 ''
	at_most core/port 80
	for folder in include models cli host guest bench tests; do
		at_most "$folder" 800
	done
	sources core | while read -r file; do
		awk -v file="$file" '
			/^{/ { start = NR }
			/^}/ && start { if (NR - start + 1 > 60) print file ":" start ": a function of " NR - start + 1 " lines"
				start = 0 }' "$root/$file"
	done
}

check_licences()
{
	(cd "$root" && find . \( -path ./build -o -path ./.git -o -path ./out \) -prune -o -type f \( -name '*.[ch]' -o -name '*.sh' \
		-o -name '*.py' -o -name CMakeLists.txt -o -name Kbuild \) -print | sort) | sed 's|^\./||' | while read -r file; do
		head -n 3 "$root/$file" | grep -q 'SPDX-License-Identifier: GPL-2.0-only' || echo "$file: no SPDX line"
	done
}

check_all()
{
	check_folders
	check_core
	check_systems
	check_lengths
	check_licences
}

# A small tree that keeps every rule.
good_tree()
{
	rm -rf "$root"
	mkdir -p "$root/core/port" "$root/include/usbwarp" "$root/guest/linux" "$root/host/linux" "$root/cli" "$root/models"
	line='/* SPDX-License-Identifier: GPL-2.0-only */'
	for file in core/base.h core/a.h core/a.c core/port/user.h include/usbwarp/proto.h guest/linux/compat.h \
		guest/linux/core.c host/linux/main.c host/linux/own.h cli/main.c cli/show.h models/model.h; do
		echo "$line" >"$root/$file"
	done
	echo '#include "port/user.h"' >>"$root/core/base.h"
	echo '#ifdef __KERNEL__' >>"$root/core/base.h"
	echo '#include <string.h>' >>"$root/core/port/user.h"
	echo '#include "usbwarp/proto.h"' >>"$root/core/port/user.h"
	echo '#include "a.h"' >>"$root/core/a.c"
	echo '#if LINUX_VERSION_CODE' >>"$root/guest/linux/compat.h"
	echo '#include "../../core/core.c"' >>"$root/guest/linux/core.c"
	printf '#include "own.h"\n#include "model.h"\n#include "a.h"\n' >>"$root/host/linux/main.c"
}

# The rule must notice what $2 does to the tree, in a line with the words of $3.
must_notice()
{
	good_tree
	(cd "$root" && eval "$2")
	if check_all | grep -q -- "$3"; then
		echo "ok   $1"
	else
		fail "not noticed: $1"
	fi
}

self_test()
{
	root=$(mktemp -d)/tree
	good_tree
	[ -z "$(check_all)" ] || fail "a good tree: $(check_all)"
	must_notice 'the core includes a system header' 'echo "#include <stdio.h>" >>core/a.c' 'a.c: may not include <stdio.h>'
	must_notice 'proto.h includes more than types' 'echo "#include <string.h>" >>include/usbwarp/proto.h' 'proto.h: may not'
	must_notice 'the core includes the host' 'echo "#include \"own.h\"" >>core/a.c' 'a.c: may not include "own.h"'
	must_notice 'the host includes the command line' 'echo "#include \"show.h\"" >>host/linux/main.c' 'may not include "show.h"'
	must_notice 'the guest includes models' 'echo "#include \"model.h\"" >>guest/linux/core.c' 'may not include "model.h"'
	must_notice 'the command line includes the core' 'echo "#include \"a.h\"" >>cli/main.c' 'may not include "a.h"'
	must_notice 'a path that climbs' 'echo "#include \"../core/a.h\"" >>models/model.h' 'may not include "../core/a.h"'
	must_notice 'a second user of a port' 'echo "#include \"port/user.h\"" >>core/a.c' 'core/port is for core/base.h'
	must_notice 'Windows in the core' 'echo "#ifdef _WIN32" >>core/a.c' 'a.c: _WIN32'
	must_notice 'Windows in the host' 'echo "#ifdef _MSC_VER" >>host/linux/main.c' 'main.c: _MSC_VER'
	must_notice 'the kernel in the core' 'echo "#ifdef __KERNEL__" >>core/a.h' 'a.h: __KERNEL__'
	must_notice 'kernel versions outside compat.h' 'echo "#if LINUX_VERSION_CODE" >>guest/linux/core.c' 'LINUX_VERSION_CODE'
	must_notice 'a long file of the core' 'yes "/**/" | head -n 501 >>core/a.c' 'a.c: 503 lines, 500'
	must_notice 'a long port' 'yes "/**/" | head -n 80 >>core/port/user.h' 'user.h: 8[0-9] lines, 80'
	must_notice 'a long file' 'yes "/**/" | head -n 801 >>cli/main.c' 'main.c: 802 lines, 800'
	must_notice 'a long function' '{ echo "void f(void)"; echo "{"; yes "	;" | head -n 59; echo "}"; } >>core/a.c' 'function of 61'
	must_notice 'no licence' 'echo >cli/main.c' 'main.c: no SPDX'
	rm -rf "${root%/tree}"
}

if [ "${1:-}" = --self-test ]; then
	self_test
else
	report=$(check_all)
	[ -z "$report" ] || { echo "$report"; failed=$(echo "$report" | wc -l); }
fi
[ "$failed" -eq 0 ] && echo "check-includes: ok"
[ "$failed" -eq 0 ]
