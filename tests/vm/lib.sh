# SPDX-License-Identifier: GPL-2.0-only
# Shared by the scripts of the test bed; sourced, not run.

vm_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$vm_dir/../.." && pwd)
cache=${INCFS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/incfs}

# Everything that a root is made from; a change of any of it makes another root.
root_inputs=("$vm_dir/root" "$vm_dir/packages")

PATH=$PATH:/usr/sbin:/sbin

say() { printf '%s\n' "${0##*/}: $*" >&2; }
die() { say "$*"; exit 1; }

if [ "$(id -u)" = 0 ]; then
	as_root=()
else
	as_root=(sudo)
fi

# inputs_key FILE...: a short name for the contents of these files
inputs_key() { cat "$@" | sha256sum | cut -c1-12; }

# The directory of the guest root: tree/ is the root itself, beside it is what
# is derived from it.
root_path() { printf '%s\n' "$cache/root-$(inputs_key "${root_inputs[@]}")"; }

# install_missing COMMAND=PACKAGE...: packages for the commands that are not there
install_missing() {
	local pair missing=()
	for pair; do
		case ${pair%%=*} in
		/*) [ -e "${pair%%=*}" ] || missing+=("${pair#*=}") ;;
		*) command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}") ;;
		esac
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	say "installing on this machine: ${missing[*]}"
	# Fails also when a source that has nothing to do with us is broken; whether
	# the packages can be had is what the install says.
	"${as_root[@]}" apt-get -q update >&2 || say "apt-get update complained, going on"
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qy install \
		--no-install-recommends "${missing[@]}" >&2
}
