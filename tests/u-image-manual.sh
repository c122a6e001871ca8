#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The manual of incfs: well formed, and of the same commands and options as the
# program's own help.
. "$(dirname "$0")/lib/tap.sh"
. "$(dirname "$0")/lib/image.sh"
requires mandoc
page=$INCFS_TOP/docs/incfs.1

ok 'the manual is well formed' mandoc -Tlint -W warning "$page"

# commands COMMAND...: those that its help lists
commands() { "$incfs" "$@" --help | sed -nE 's/^  ([a-z-]+) .*/\1/p'; }

# helped COMMAND...: "SHORT LONG ARGUMENT" of each option in its help
helped()
{
	"$incfs" "$@" --help |
		sed -nE 's/^  -(.), --([a-z-]+)( [A-Za-z.=]+)?($|  .*)/\1 \2\3/p' | grep -v '^h help$' | sort
}

# printed SECTION: the same from the manual
printed()
{
	sed -n "/^\.Sh $1\$/,/^\.Sh /p" "$page" |
		sed -nE 's/^\.It Fl (.) , Fl \\-([a-z-]+)( Ar ([A-Za-z.=]+))?$/\1 \2 \4/; t print; b; : print; s/ $//; p' | sort
}

# value ARG: what an option takes for it
value() { case $1 in N | MS) echo 1 ;; *) echo x ;; esac; }

all=()
for command in $(commands); do
	case $command in
	image | policy)
		for sub in $(commands "$command"); do
			all+=("$command $sub")
		done ;;
	*) all+=("$command") ;;
	esac
done
is 'the manual has a section for each command' \
	"$(sed -nE '/DESCRIPTION/,/EXIT STATUS/s/^\.Sh (.*)$/\1/p' "$page" |
		grep -vx 'DESCRIPTION\|EXIT STATUS' | sort)" \
	"$(printf '%s\n' "${all[@]^^}" | sort)"
is 'and a synopsis' "$(sed -n '/^\.Sh SYNOPSIS/,/^\.Sh DESC/s/^\.Nm incfs //p' "$page" | sort)" \
	"$(printf '%s\n' "${all[@]}" | sort)"
for command in "${all[@]}"; do
	is "$command: options of help and manual are the same" "$(helped $command)" \
		"$(printed "${command^^}")"
	is "$command: its synopsis has them" "$(sed -n "/^\.Nm incfs $command\$/,/^\.Nm\|^\.Sh/p" "$page" |
		sed -nE 's/^\.Op Fl ([a-zA-Z0-9]+).*/\1/p' | grep -o . | sort | xargs)" \
		"$(helped $command | cut -c1 | xargs)"
	while read -r short long arg; do
		[ -n "$short" ] || continue
		ok "$command: -$short is taken" "$incfs" $command "-$short" ${arg:+$(value "$arg")} --help
		ok "$command: --$long is" "$incfs" $command "--$long" ${arg:+$(value "$arg")} --help
	done <<< "$(helped $command)"
	ok "$command: -h is" "$incfs" $command -h
done
done_testing
