#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What the benchmark makes of figures: ratios, bounds that are met and missed, before
# and now, the document and its chart. The figures are made up.
. "$(dirname "$0")/lib/tap.sh"
requires python3

# figure GROUP SETUP MEASURE VALUE
figure() { printf '{"group": "%s", "setup": "%s", "measure": "%s", "value": %s}\n' "$@"; }

# reads SETUP SEQUENTIAL RANDOM MMAP: cold ones; warm ones cost the same in all
reads()
{
	figure reads "$1" "cold sequential" "$2"
	figure reads "$1" "cold random 4 KiB" "$3"
	figure reads "$1" "cold mmap" "$4"
	figure reads "$1" "warm sequential" 700
}

figures()
{
	reads ext4 4000 8000 4000
	reads "erofs raw" 6000 16000 6000
	reads "erofs lz4" 18000 56000 18000
	reads "erofs lz4, direct" 20000 50000 20000
	reads "squashfs lz4" 60000 130000 60000
	reads "fuse splice" 11000 31000 11000
	reads "incfs raw" 6000 12000 6000
	reads "incfs raw, verify=once" 4240 8800 4400
	reads "incfs lz4" 15300 25000 16000
	figure calls ext4 stat 6000
	figure calls "incfs raw" stat 5900
	figure miss "incfs, fault" instructions 30000
	figure miss "fuse, fault" instructions 33000
	figure fill raw "64 a call" 12500
	figure memory "incfs raw" "page cache over size" 1.001
}

mkdir -p top/tests/bench top/docs bench
cp "$INCFS_TOP"/tests/bench/{report,chart,benchmarks.md.in} top/tests/bench
export INCFS_BUILD=$PWD
report() { top/tests/bench/report "$1" 64 "$2" 'QEMU 1.2.3' 6.12.9-x 7.3.1-x; }

figures | sed 's/12500/25000/; s/15300/30600/' > bench/6.12.9-x.figures
figures > bench/7.3.1-x.figures
ok 'figures of before are kept' report before 1111111
ok 'only of what is ours' python3 -c '
import json
run = json.load(open("top/tests/bench/before.json"))["figures"]["6.12.9-x"]
assert run["reads"]["incfs lz4"]["cold sequential"] == 30600
assert run["fill"]["raw"]["64 a call"] == 25000
assert not [setup for setup in run["reads"] if not setup.startswith("incfs")]
assert "fuse, fault" not in run["miss"]'

figures > bench/6.12.9-x.figures
echo 'fanotify is left out: no such thing' > bench/6.12.9-x.left
ok 'a run whose bounds are missed is reported, and no failure' report full 2222222
said=$tap_output
# row NAME [KERNEL]: of the bounds, with single spaces
row() { tr -s ' ' <<< "$said" | grep -F "| $1 |" | grep -E 'met|MISSED|not measured' | sed -n "${2-1}p"; }
is 'a bound of 6.12 that is missed' "$(row 'incfs raw: cold sequential')" \
	'| incfs raw: cold sequential | ext4 | 1.400 | 1.000 | 1.500 | 1.500 | MISSED by 0.100 |'
is 'the same value keeps that of 7' "$(row 'incfs raw: cold sequential' 2)" \
	'| incfs raw: cold sequential | ext4 | 1.650 | 1.000 | 1.500 | 1.500 | met |'
is 'what is as large as the bound keeps it' "$(row 'incfs raw, verify=once: cold sequential')" \
	'| incfs raw, verify=once: cold sequential | ext4 | 1.060 | 1.000 | 1.060 | 1.060 | met |'
is 'LZ4 is compared with the better mode, sequential' "$(row 'incfs lz4: cold sequential')" \
	'| incfs lz4: cold sequential | erofs lz4 or erofs lz4, direct | 0.850 | 0.750 | 1.700 | 0.850 | met |'
is 'and random' "$(row 'incfs lz4: cold random 4 KiB')" \
	'| incfs lz4: cold random 4 KiB | erofs lz4 or erofs lz4, direct | 0.450 | 0.350 | 0.500 | 0.500 | MISSED by 0.050 |'
is 'a bound in instructions' "$(row 'fill, raw: 64 a call')" \
	'| fill, raw: 64 a call | | 12,000 | 8,000 | 25,000 | 12,500 | MISSED by 500 |'
is 'what was not measured is no bound that is met' "$(row 'miss: incfs, read')" \
	'| miss: incfs, read | fuse, read | 1.000 | 0.750 | | | not measured |'
like 'they are counted' "$said" '3 of these bounds are missed'
like 'the best peer of what is compressed is compressed' "$(tr -s ' ' <<< "$said")" \
	'\| incfs lz4 \| 0.85 of erofs lz4 \| 0.50 of erofs lz4, direct \|'
like 'before and now' "$(tr -s ' ' <<< "$said")" \
	'\| incfs lz4: cold sequential \| 30,600 \| 15,300 \| -50.0 % \| 7.65 \| 3.83 \|'
like 'what was left out is said' "$said" '- fanotify is left out: no such thing'

ok 'the document has all of it' grep -q '^| incfs raw, verify=once' top/docs/benchmarks.md
like 'also what it was compared with' "$(cat top/docs/benchmarks.md)" '1111111'
is 'and no place without its text' "$(grep -o '@[a-z]*@' top/docs/benchmarks.md)" ''
ok 'the JSON says by what and when' python3 -c '
import json
info = json.load(open("bench/full.json"))["info"]
assert info["kernels"] == ["6.12.9-x", "7.3.1-x"] and info["commit"] == "2222222"
assert info["machine"] == "QEMU 1.2.3" and info["compilers"] and info["date"]'

ok 'the chart is drawn' top/tests/bench/chart bench/full.json chart.svg
ok 'it is well-formed' python3 -c '
import re
stack = []
for close, name, empty in re.findall(r"<(/?)([a-z]+)[^<>]*?(/?)>", open("chart.svg").read()):
    if close:
        assert stack.pop() == name
    elif not empty:
        stack.append(name)
assert not stack'
is 'a bar for each setup, way and kernel, and the paper' \
	"$(grep -cE '<rect|class="(peer|plain|ours)" d=' chart.svg)" $((6 * 3 * 2 + 1))
is 'it needs nothing else' "$(grep -E '<script|href|url\(|@import' chart.svg)" ''

rm bench/*.left
ok 'in nanoseconds' report native 3333333
like 'those are said to be' "$tap_output" 'per 4 KiB, nanoseconds'
ok 'and no bounds in instructions' test -z "$(grep MISSED <<< "$tap_output")"
echo '{"group": "reads", "setup": "x"}' > bench/6.12.9-x.figures
exits 1 'a figure without a value is an error' report quick 1111111
done_testing
