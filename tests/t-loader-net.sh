#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The loader over a network that is not that of the machine: HTTPS with HTTP/2, passwords,
# headers, a proxy; lost packets, a line that is cut; mirrors; a limited rate.
# timeout: 500
. "$(dirname "$0")/lib/tap.sh"
. "$(dirname "$0")/loader/lib.sh"
requires ip tc nginx openssl

ip netns add away
cleanup ip netns del away
ip link add here type veth peer name there netns away
ip addr add 10.9.9.1/24 dev here
ip link set here up
ip -n away addr add 10.9.9.2/24 dev there
ip -n away link set there up
ip -n away link set lo up

make_tree src
sums src > want
incfs pack src 2> /dev/null
incfs pack -o bundle src 2> /dev/null
mkdir mnt www
ln -s ../src ../bundle www/
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test \
	-addext subjectAltName=IP:10.9.9.2 -keyout key.pem -out cert.pem 2> /dev/null
printf 'me:%s\n' "$(openssl passwd -apr1 secret)" > passwords
nginx_conf <<END
	log_format kind '\$server_protocol \$connection \$status \$http_x_token \$uri';
	access_log $PWD/nginx/access.log kind;
	root $PWD/www;
	server {
		listen 10.9.9.2:443 ssl http2;
		ssl_certificate $PWD/cert.pem;
		ssl_certificate_key $PWD/key.pem;
	}
	server { listen 10.9.9.2:80; }
	server {
		listen 10.9.9.2:81;
		auth_basic x;
		auth_basic_user_file $PWD/passwords;
	}
	server { listen 10.9.9.2:82; location / { return 302 http://10.9.9.2:80\$request_uri; } }
END
ip netns exec away nginx -p "$PWD/nginx" -c "$PWD/nginx/conf" -e "$PWD/nginx/error.log" 2> /dev/null &
server=$!
ok 'the server is up' wait_for 20 curl -so /dev/null http://10.9.9.2/

# whole NAME ARG...: everything comes, and is right
whole()
{
	local name=$1
	shift
	rm -f image nginx/access.log
	kill -USR1 $server
	ok "$name" timeout 120 incfs-bpf-loader run -x -k -i image "$@" mnt
	is '... every file is equal to its source' "$(sums mnt)" "$(cat want)"
	umount mnt
}
whole 'HTTPS, with a certificate of our own' --cacert cert.pem -s https://10.9.9.2/src
is '... by HTTP/2' "$(awk '/src/ { print $1 }' nginx/access.log | sort -u)" HTTP/2.0
is '... over one connection, but for the list' \
	"$(awk '/src/ && !/incfs/ { print $2 }' nginx/access.log | sort -u | wc -l)" 1
whole 'a bundle by HTTPS' --cacert cert.pem -s https://10.9.9.2/bundle
exits 124 'a server that nobody vouches for' timeout 10 incfs-bpf-loader run -x -i none -s https://10.9.9.2/src mnt
like '... is said' "$tap_output" 'no list of files:.*certificate'
exits 1 'no certificates' incfs-bpf-loader run --cacert none -i none -s https://10.9.9.2/src mnt
like '... is said' "$tap_output" "can't read 'none'"

exits 1 'without a password' incfs-bpf-loader run -i none -s http://10.9.9.2:81/src mnt
like '... nothing is to be had' "$tap_output" 401
echo 'machine 10.9.9.2 login me password secret' > netrc
whole 'with a password' --netrc netrc -s http://10.9.9.2:81/src
echo 'X-Token: abc' > headers
whole 'a header of our own' --header-file headers -s http://10.9.9.2/src
is '... is sent with each request' "$(awk '/src/ { print $4 }' nginx/access.log | sort -u)" abc
echo nonsense > headers
exits 1 'a line that is no header' incfs-bpf-loader run --header-file headers -i none -s http://10.9.9.2/src mnt
whole 'a server that sends us elsewhere' -s http://10.9.9.2:82/src
whole 'a proxy' --proxy http://10.9.9.2:80 -s http://nowhere.invalid/src

# A line that loses packets, and is cut.
tc qdisc add dev here root netem delay 5ms loss 2% rate 40mbit
ip netns exec away tc qdisc add dev there root netem delay 5ms loss 2% rate 40mbit
whole 'a line that loses packets' -s http://10.9.9.2/src
rm -f image out copy
incfs-bpf-loader run -s http://10.9.9.2/bundle -i image --stall-timeout 3 --limit-rate 200K mnt > out 2>&1 &
loader=$!
wait_for 60 grep -q ready: out
cat mnt/lib/random > copy &
reader=$!
wait_for 60 [ -s copy ]
ip link set here down
sleep 8
is 'while the line is cut a reader waits' "$(kill -0 $reader; echo $?)" 0
ok 'that is said' grep -q "can't fetch" out
ip link set here up
ok 'then it goes on' wait_for 120 cmp copy src/lib/random
wait $reader
is 'to its end' $? 0
ok 'all the rest comes' wait_for 120 grep -q complete: out
is 'and is right' "$(sums mnt)" "$(cat want)"
kill $loader
wait $loader
tc qdisc del dev here root
ip netns exec away tc qdisc del dev there root

# A mirror here, and the line is cut: nobody notices.
rm -f image out copy
serve src
here=$server
incfs-bpf-loader run -v --no-background -s http://10.9.9.2/src -s $url -i image mnt > out 2>&1 &
loader=$!
wait_for 60 grep -q ready: out
head -c 100000 mnt/lib/random | cmp - <(head -c 100000 src/lib/random)
ip link set here down
ok 'with a mirror a reader goes on' timeout 60 cmp mnt/lib/random src/lib/random
ip link set here up
kill $here
is 'with either' "$(timeout 100 cat mnt/lib/text | sha256sum)" "$(sha256sum < src/lib/text)"
kill $loader
wait $loader
is 'the loader ends well' $? 0

# The rate: what has come after a while is no more than it allows, readers apart.
rm -f image out
incfs-bpf-loader run -s http://10.9.9.2/src -i image --limit-rate 100K mnt > out 2>&1 &
loader=$!
wait_for 60 grep -q ready: out
sleep 5
incfs status -j mnt > status
read -r fetched ms < <(python3 -c 'import json
d = json.load(open("status")); print(d["bytes_fetched"], d["uptime_ms"])')
[ "$fetched" -gt 0 ] && [ "$fetched" -le $((102400 * ms / 1000 + 262144)) ]
tap_result $? "a limited rate is kept: $fetched bytes in $ms ms"
kill $loader
wait $loader
server=
done_testing
