#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The manual of the loader: well formed, and of the same commands and options as its help.
. "$(dirname "$0")/lib/tap.sh"
requires mandoc
page=$INCFS_TOP/docs/incfs-bpf-loader.8

# "LETTER NAME ARGUMENT" of each option: in the help, and in the manual
helped()
{
	incfs-bpf-loader run --help |
		sed -nE 's/^ +(-(.), )?--([a-z-]+)( [A-Za-z.=]+)?($|  .*)/\2 \3\4/p' |
		grep -v '^h help$' | sort
}
printed()
{
	sed -nE '/^\.Sh DESC/,/^\.Sh SIG/s/^\.It (Fl (.) , )?Fl \\-([a-z-]+)( Ar ([A-Za-z.=]+))?$/\2 \3 \5/p' "$page" |
		sed 's/ $//' | sort
}

ok 'the manual is well formed' mandoc -Tlint -W warning "$page"
is 'a synopsis for each command' \
	"$(sed -nE '/^\.Sh SYN/,/^\.Sh DESC/s/^\.Nm incfs-bpf-loader //p' "$page" | sort -u)" \
	"$(incfs-bpf-loader --help | sed -nE 's/^  ([a-z-]+) .*/\1/p' | sort)"
is 'the options of help and manual are the same' "$(printed)" "$(helped)"
[ "$(helped | wc -l)" -gt 20 ]
tap_result $? 'there are many'
is 'the manual of the tools is referred to' "$(grep -c '^\.Xr incfs 1' "$page")" 2
done_testing
