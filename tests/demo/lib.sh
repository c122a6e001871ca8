# SPDX-License-Identifier: GPL-2.0-only
# A toolchain behind a line, and clang that runs from it: what the demo and the
# benchmark of start-ups share. Sourced, in a guest, by a script that has set
# "program" to the name that it fails under. What is timed uses memory only: the
# files are on a RAM disk, and the programs that take part are read beforehand.

demo_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$demo_dir/../../build
tree=/demo/tree disk=/demo/disk mnt=/demo/mnt
run=/run/demo
image=$disk/image
server=http://10.0.0.2
expected='9592 primes below 100000'
filled=/sys/kernel/tracing/events/incfs/incfs_block_filled/trigger
waits=/sys/kernel/tracing/events/incfs/incfs_read_done/trigger
loader=

say() { printf '%s\n' "$*"; }
die() { printf '%s: failed: %s\n' "$program" "$*" >&2; exit 1; }
now() { printf '%s' "${EPOCHREALTIME/./}"; }
ratio() { awk "BEGIN { printf \"%.1f\", ($1) / ($2) }"; }

stop_server() { kill "$(< "$run/nginx.pid")"; }

cleanup()
{
	local status=$?
	[ "$status" = 0 ] || tail -n 20 "$run"/*.log >&2 || true
	[ -z "$loader" ] || kill -KILL "$loader" || true
	[ ! -e "$run/nginx.pid" ] || stop_server || true
	exit "$status"
}
trap cleanup EXIT
trap 'say "$program: failed: line $LINENO: $BASH_COMMAND" >&2' ERR

# warm PROGRAM...: have these, and what they load, in memory
warm()
{
	local program
	for program; do
		program=$(command -v "$program")
		cat "$program" $(ldd "$program" | grep -o '/[^ ]*') > /dev/null
	done
}

setup()
{
	mkdir -p "$run" "$disk" "$mnt"
	"$demo_dir/tree" "$tree"
	# The server is to have it in memory.
	find "$tree" -type f -exec cat {} + > /dev/null
	# On the mount and in memory: the repository is on a file system that is not.
	cp "$build"/user/{incfs,incfs-bpf-loader} "$demo_dir"/primes.c "$run"
	insmod "$build/$(uname -r)/incfs.ko"
	modprobe brd rd_nr=1 rd_size=1048576
	"$demo_dir/net"
	sysctl -q net.ipv4.tcp_no_metrics_save=1
	ip netns exec server sysctl -q net.ipv4.tcp_no_metrics_save=1
	"$run/incfs" pack "$tree" 2> "$run/pack.log"
	ip netns exec server nginx -c "$demo_dir/nginx.conf"
	warm curl chroot mount umount cp ln xargs chmod awk "$run/incfs-bpf-loader"

	compiler=$(readlink -f /usr/bin/clang)
	files=$(grep -c '^f' "$tree/incfs.list")
	bytes=$(awk '/^f/ { n += $3 } END { print n }' "$tree/incfs.list")
	blocks=$(awk '/^f/ { n += int(($3 + 4095) / 4096) } END { print n }' "$tree/incfs.list")
}

# What has just ended may be held a moment longer, by a thread of the kernel that
# looks at its memory, and keep a file system busy.
unmount()
{
	local try
	for try in {1..100}; do
		umount "$@" 2> /dev/null && return
		sleep 0.1
	done
	umount "$@"
}

empty_disk()
{
	! mountpoint -q "$disk" || unmount "$disk"
	mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 /dev/ram0
	mount -o noatime /dev/ram0 "$disk"
}

# What the kernel counts from here on: blocks that arrive, and waits of readers.
count_events()
{
	uncount_events
	echo hist:keys=mount_id > "$filled"
	echo hist:keys=mount_id:vals=wait_ns > "$waits"
}

# The kernel warns of a module that is unloaded with a trigger on its events.
uncount_events()
{
	! grep -q ^hist "$filled" || echo '!hist:keys=mount_id' > "$filled"
	! grep -q ^hist "$waits" || echo '!hist:keys=mount_id:vals=wait_ns' > "$waits"
}

# hist TRIGGER FIELD: the sum of this field
hist()
{
	sed -nE "s/^\{.*$2: +([0-9]+).*/\\1/p" "${1%trigger}hist" |
		awk '{ n += $1 } END { print n + 0 }'
}

# compile ROOT: with the compiler of this root, and nothing else to be seen
compile()
{
	local root=$1 output
	mount -t proc proc "$root/proc"
	mount -t tmpfs tmpfs "$root/tmp"
	cp "$run/primes.c" "$root/tmp"
	TMPDIR=/tmp chroot "$root" "$compiler" -O2 -o /tmp/primes /tmp/primes.c ||
		die "the compiler in $root does not work"
	output=$(chroot "$root" /tmp/primes) || die "the program that it made does not run"
	[[ $output == "$expected"* ]] || die "the program printed '$output', not '$expected'"
}

after_compile()
{
	unmount "$1/tmp"
	unmount "$1/proc"
}

# download DIR: all files of the list, as one without us would get them
download()
{
	local dir=$1
	mkdir "$dir"
	curl -s "$server/incfs.list" > "$run/list"
	[ "$(head -n 1 "$run/list")" = 'incfs-list 2' ] || die "the list is of another version"
	awk -v server="$server" -v dir="$dir" '
		$1 == "f" { printf "url = \"%s/%s\"\noutput = \"%s/%s\"\n", server, $5, dir, $5 }
	' "$run/list" > "$run/curl.conf"
	curl -s --fail --parallel --parallel-max 16 --create-dirs -K "$run/curl.conf" ||
		die "curl could not download everything"
	cd "$dir"
	awk '$1 == "d" { print $5 }' "$run/list" | xargs mkdir -p
	awk '$1 == "f" && $2 ~ /[157]/ { print $5 }' "$run/list" | xargs chmod +x
	awk '$1 == "l" { print $5, $4 }' "$run/list" | xargs -n 2 ln
	cd /
}

# start_loader POLICY [OPTION]...
start_loader()
{
	local policy=$1
	shift
	exec 3< <(exec "$run/incfs-bpf-loader" run --source "$server" --image "$image" \
		--policy "$policy" "$@" "$mnt" 2> "$run/loader.log")
	loader=$!
	loader_says ready
}

loader_says()
{
	local line
	IFS= read -r line <&3 || die "the loader ended early"
	[[ $line == "incfs: $1: "* ]] || die "the loader said '$line', not '$1'"
}

stop_loader()
{
	kill -TERM "$loader"
	wait "$loader" || die "the loader ended with exit code $?"
	loader=
	exec 3<&-
	# It leaves what is busy.
	! mountpoint -q "$mnt" || unmount "$mnt"
}

# start_mounted POLICY [OPTION]...: from an empty image to the program's output;
# leaves the loader running, and sets took (in us), there, nr_waits and wait_ns.
start_mounted()
{
	empty_disk
	count_events
	started=$(now)
	start_loader "$@"
	compile "$mnt"
	took=$(($(now) - started))
	there=$(hist "$filled" hitcount)
	nr_waits=$(hist "$waits" hitcount)
	wait_ns=$(hist "$waits" wait_ns)
	after_compile "$mnt"
}

# start_plain: everything is downloaded first; sets took.
start_plain()
{
	empty_disk
	started=$(now)
	download "$disk/plain"
	compile "$disk/plain"
	took=$(($(now) - started))
	after_compile "$disk/plain"
}

# mount_alone: the image without a loader, from an empty page cache
mount_alone()
{
	unmount "$disk"
	mount -o noatime /dev/ram0 "$disk"
	mount -i -t incremental-fs -o backing_fd=9,max_files=65536 image "$mnt" 9<> "$image"
}
