# SPDX-License-Identifier: MIT
# Completion for incfs and incfs-bpf-loader in bash. What there is to be completed is what
# the programs' own help lists, so that the two can't differ.

_incfs()
{
	local cur=${COMP_WORDS[COMP_CWORD]} command=("${COMP_WORDS[0]}") help i
	help=$("${command[@]}" --help 2> /dev/null)
	# As far as words name commands, of which some have commands of their own.
	for ((i = 1; i < COMP_CWORD; i++)); do
		grep -qE -- "^  ${COMP_WORDS[i]//[^a-z-]/.} " <<< "$help" || break
		command+=("${COMP_WORDS[i]}")
		help=$("${command[@]}" --help 2> /dev/null)
	done
	if [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W \
			"$(sed -nE 's/^ +(-., )?(--[a-z-]+).*/\2/p' <<< "$help")" -- "$cur")
	elif ((i == COMP_CWORD)); then
		# Nothing of the kind: names of files, by default.
		mapfile -t COMPREPLY < <(compgen -W \
			"$(sed -nE 's/^  ([a-z][a-z-]*) .*/\1/p' <<< "$help")" -- "$cur")
	fi
}
complete -o default -F _incfs incfs incfs-bpf-loader
