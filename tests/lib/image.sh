# SPDX-License-Identifier: GPL-2.0-only
# Shared by the tests of the image tools; sourced after lib/tap.sh. The tool is the
# one with the sanitizers: what they find ends it with 99.
incfs=$INCFS_BUILD/tests/loader/incfs
image_py=$INCFS_TOP/tests/image.py
export ASAN_OPTIONS=exitcode=99 UBSAN_OPTIONS=exitcode=99 LSAN_OPTIONS=exitcode=99

# image COMMAND [ARG]...: incfs image
image() { "$incfs" image "$@"; }

# number KEY IMAGE: what `info` counts
number()
{
	image info --json "$2" |
		python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}

# tree IMAGE: what the script finds in it
tree() { "$image_py" check "$1"; }

# script: an image by the script's own means, as the Python on standard input says
script()
{
	{
		sed '/^main(sys.argv/d' "$image_py"
		cat
	} | python3 -
}
