# SPDX-License-Identifier: GPL-2.0-only
# Shared by the tests of the image tools; sourced after lib/tap.sh. The tool is the
# one with the sanitizers.
incfs=$INCFS_BUILD/tests/loader/incfs
image_py=$INCFS_TOP/tests/image.py

# image COMMAND [ARG]...: incfs image
image() { "$incfs" image "$@"; }

# number KEY IMAGE: what `info` counts
number()
{
	image info --json "$2" | python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}
