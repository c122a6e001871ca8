# SPDX-License-Identifier: GPL-2.0-only
# Shared by the loader's tests; sourced after lib/tap.sh.

# The servers' port; tests do not run side by side.
port=8099
url=http://127.0.0.1:$port
server=

# nginx_conf: nginx/conf, which keeps all in nginx/, of what http {} is to have
nginx_conf()
{
	mkdir -p nginx
	cat > nginx/conf <<-END
	daemon off;
	master_process off;
	pid $PWD/nginx/pid;
	error_log $PWD/nginx/error.log;
	events { }
	http {
		client_body_temp_path $PWD/nginx;
		proxy_temp_path $PWD/nginx;
		fastcgi_temp_path $PWD/nginx;
		uwsgi_temp_path $PWD/nginx;
		scgi_temp_path $PWD/nginx;
		sendfile off;
		$(cat)
	}
	END
}

# serve DIR: nginx on $port
serve()
{
	nginx_conf <<-END
		access_log $PWD/nginx/access.log;
		server { listen 127.0.0.1:$port; root $(realpath "$1"); }
	END
	nginx -p "$PWD/nginx" -c "$PWD/nginx/conf" -e "$PWD/nginx/error.log" &
	server=$!
	wait_for_server
}

# serve_faulty DIR [TIMES]: the server with faults; what it is asked is in requests
serve_faulty()
{
	"$INCFS_TOP/tests/loader/faulty.py" "$1" $port "${@:2}" >> requests &
	server=$!
	wait_for_server
}

wait_for_server() { wait_for 20 curl -so /dev/null $url/; }

stop_server()
{
	[ -z "$server" ] || { kill "$server" && wait "$server"; } 2>/dev/null
	server=
}
cleanup stop_server

# make_tree DIR: files of all kinds
make_tree()
{
	mkdir -p "$1/lib/deep/er" "$1/odd names" "$1/empty dir"
	seq 200000 > "$1/lib/text"
	head -c 1000001 /dev/urandom > "$1/lib/random"
	head -c 4096 /dev/urandom > "$1/lib/deep/er/block"
	head -c 4097 /dev/zero > "$1/lib/deep/zeros"
	: > "$1/lib/empty"
	echo odd > "$1/odd names/ä%20?#&+\"'\\ "$'\n\x01'
	ln -s deep "$1/lib/shallow"
	ln -s ../lib/text "$1/empty dir/text"
	ln "$1/lib/random" "$1/zzz"
	chmod 755 "$1/lib/text"
}

# sums DIR: checksums of all files that can be read there
sums() { (cd "$1" && find -L . -type f ! -name .cmd ! -name incfs.list -print0 | sort -z | xargs -0 sha256sum); }
