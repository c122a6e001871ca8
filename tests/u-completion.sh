#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What bash completes is what the programs take.
. "$(dirname "$0")/lib/tap.sh"
. "$INCFS_TOP/loader/completion.bash"

# completed WORD...: what the last word may become
completed()
{
	COMP_WORDS=("$@")
	COMP_CWORD=$(($# - 1))
	COMPREPLY=()
	_incfs
	printf '%s\n' "${COMPREPLY[@]}" | sort | paste -sd ' '
}
is 'commands' "$(completed incfs '')" "$(incfs --help | sed -nE 's/^  ([a-z-]+) .*/\1/p' | sort | paste -sd ' ')"
like 'there are many' "$(completed incfs '')" 'extract|image.*pack.*policy'
is 'by their beginning' "$(completed incfs ma)" map
is 'commands of commands' "$(completed incfs image '')" 'check compact dump extract info'
is 'by their beginning too' "$(completed incfs policy sh)" show
is 'options' "$(completed incfs image check --)" '--all --help --quiet --repair'
is 'of a command' "$(completed incfs map --o)" --output
is 'nothing of a name of a file' "$(completed incfs map x)" ''
is 'nothing of what there is not' "$(completed incfs nonsense x)" ''
is 'options after arguments' "$(completed incfs map --rows 3 x --h)" --help
is 'of the loader' "$(completed incfs-bpf-loader r)" run
is 'and its options' "$(completed incfs-bpf-loader run --limit)" '--limit-image --limit-rate'
all=$(completed incfs-bpf-loader run -- | wc -w)
is 'all of them' "$all" "$(incfs-bpf-loader run --help | grep -cE '^ +(-., )?--')"
[ "$all" -gt 20 ]
tap_result $? "which are $all"
is 'an odd word does no harm' "$(completed incfs '$(touch made)' '*' x)" ''
is 'indeed' "$(ls)" ''
done_testing
