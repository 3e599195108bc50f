# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Completion of usbwarp for bash. A new command needs a word in the first function and, where it has any, a line in the
# other two; tests/install/test_completion.py compares them with what usbwarp help says.

__usbwarp_commands()
{
	echo list bind move unbind status stats capture qemu-args version help
}

# The options of a command, or of none, beyond those that both have.
__usbwarp_options()
{
	[[ -z $1 ]] || echo --json
	case $1 in
	'') echo --version ;;
	list) echo --bus-ids --free --bound ;;
	bind) echo --vm --below --force ;;
	move) echo --vm --force ;;
	capture) echo --vm --write --snaplen --count --seconds ;;
	status) echo --vms ;;
	stats) echo --vm --all --watch ;;
	qemu-args) echo --libvirt ;;
	esac
}

# The words, one a line, that may follow a command as its argument, or as the value of an option.
__usbwarp_words()
{
	case $1 in
	bind) __usbwarp_ask list --bus-ids --free ;;
	move | unbind | stats | capture) __usbwarp_ask list --bus-ids --bound ;;
	qemu-args | --vm) __usbwarp_ask status --vms ;;
	help) __usbwarp_commands | tr ' ' '\n' ;;
	esac
}

# Asks the daemon that the command line names. One that hangs must not hang the prompt.
__usbwarp_ask()
{
	timeout 2 "${COMP_WORDS[0]/#~\//$HOME/}" ${socket:+--socket "${socket/#~\//$HOME/}"} "$@" 2>/dev/null
}

# Line by line and by prefix alone, since compgen -W would expand what it is given.
__usbwarp_offer()
{
	local word

	while read -r word; do
		[[ -z $word || $word != "$cur"* ]] || COMPREPLY+=("$word")
	done
}

# Sets command, argument and socket from the words before the cursor; "=" is a word of its own.
__usbwarp_parse()
{
	local i word

	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		--socket | --vm | --write | --snaplen | --count | --seconds)
			[[ ${COMP_WORDS[i + 1]} != = ]] || ((i++))
			((i++))
			((i >= COMP_CWORD)) || [[ $word != --socket ]] || socket=${COMP_WORDS[i]}
			;;
		-*) ;;
		*) if [[ -z $command ]]; then command=$word; else argument=$word; fi ;;
		esac
	done
}

__usbwarp()
{
	local cur=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command='' argument='' socket=''

	COMPREPLY=()
	if [[ $cur = '=' ]]; then
		cur=''
	elif [[ $previous = '=' ]]; then
		previous=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	__usbwarp_parse
	if [[ $previous = --socket || $previous = --write ]]; then
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
	elif [[ $previous = --snaplen || $previous = --count || $previous = --seconds ]]; then
		: # numbers
	elif [[ $previous = --vm ]]; then
		__usbwarp_offer < <(__usbwarp_words --vm)
	elif [[ $cur = -* ]]; then
		__usbwarp_offer < <({ __usbwarp_options "$command"; echo --socket --help; } | tr ' ' '\n')
	elif [[ -z $command ]]; then
		__usbwarp_offer < <(__usbwarp_commands | tr ' ' '\n')
	elif [[ -z $argument ]]; then
		__usbwarp_offer < <(__usbwarp_words "$command")
	fi
}

complete -F __usbwarp usbwarp
