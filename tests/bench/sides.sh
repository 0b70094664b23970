# SPDX-License-Identifier: Apache-2.0
# The sides that tests/bench/engine.sh holds against each other, each a proxy with one thread in front of the same origin, and `load`, which
# gives one of them work and says what CPU its processes took. Sourced after daemon.sh. What is not installed is left out and said.
#
# Two CPUs: the sides have one, client and origin the other. All show a P-256 certificate, verify the origin's, and open TLS 1.3 with OpenSSL's own
# order of ciphers on both ends; none resumes a session. Peers decide nothing and log nothing; egret decides and records.
#
#   nginx, haproxy    re-encrypt for one fixed origin; both keep connections to it and share them
#   squid             bumps, asked by CONNECT; sslsplit and mitmproxy mint for a fixed origin (sslsplit 0.5: TLS 1.2 at most)
ORIGIN=$EVIL PORT=8443 SINK=8444 NAME=node.test
SIDE_CPU=${SIDE_CPU:-0} LOAD_CPU=${LOAD_CPU:-1}
BIG_MIB=64
LOAD=$BUILD/tests/bench/bench_load
declare -A SIDE_PID=() SIDE_PORT=() SIDE_CONNECT=() JOB_DIR=() JOB_ASKED=()
SIDES=()
ulimit -n "$(ulimit -Hn)"

on_sides() { taskset -c "$SIDE_CPU" nsenter --net="/run/netns/$HOSTNS" "$@"; }
side() { # name, port, command...: started, and counted among the sides
	local name=$1 port=$2
	shift 2
	spawn taskset -c "$SIDE_CPU" nsenter --net="/run/netns/$HOSTNS" "$@" >"$TMP/$name.out" 2>&1
	SIDE_PID[$name]=$SPAWNED SIDE_PORT[$name]=$port
	if wait_for 20 "port_open in_host 198.51.100.1 $port"; then
		SIDES+=("$name")
	else
		diag "$name did not start: $(tail -n 3 "$TMP/$name.out" | tr '\n' ' ')"
	fi
}

bench_origin() {
	head -c 1024 /dev/zero | tr '\0' x >"$TMP/www/api.test/1k"
	head -c $((BIG_MIB << 20)) /dev/zero >"$TMP/www/api.test/big"
	cat >"$TMP/bench.conf" <<-CONF
		daemon off; pid $TMP/bench.pid; error_log $TMP/bench.log error; worker_processes 1; worker_rlimit_nofile 19000;
		events { worker_connections 18000; }
		http {
		  access_log off; tcp_nodelay on; sendfile on; output_buffers 2 128k; ssl_buffer_size 16k; keepalive_timeout 900s; keepalive_requests 1000000000;
		  client_body_temp_path $TMP/www/nginx/b2; proxy_temp_path $TMP/www/nginx/p2; fastcgi_temp_path $TMP/www/nginx/f2;
		  uwsgi_temp_path $TMP/www/nginx/u2; scgi_temp_path $TMP/www/nginx/s2;
		  ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache off; ssl_session_tickets off; open_file_cache max=10; root $TMP/www/api.test;
		  server { listen $ORIGIN:$PORT ssl http2 backlog=4096; ssl_certificate $TMP/good.pem; ssl_certificate_key $TMP/good.key; }
		}
	CONF
	spawn taskset -c "$LOAD_CPU" nsenter --net="/run/netns/$ORIGINNS" nginx -p "$TMP/www" -e "$TMP/bench.log" -c "$TMP/bench.conf" >/dev/null 2>&1
	cat "$TMP/outside.pem" "$TMP/other.pem" >"$TMP/both-ca.pem"
	{
		echo "$ORIGIN $NAME"
		for ((i = 0; i < 10000; i++)); do echo "$ORIGIN n$i.cold.test"; done
	} >"$TMP/bench.hosts"
	wait_port in_host $ORIGIN $PORT
}
bench_sink() { # what takes uploads and throws them away
	command -v node >/dev/null || return 1
	spawn taskset -c "$LOAD_CPU" nsenter --net="/run/netns/$ORIGINNS" node -e '
		const fs = require("fs"), [cert, key, port, host] = process.argv.slice(1)
		require("https").createServer({ cert: fs.readFileSync(cert), key: fs.readFileSync(key) }, (q, s) => {
			q.resume(); q.on("end", () => s.end("all")) }).listen(+port, host)' "$TMP/good.pem" "$TMP/good.key" $SINK $ORIGIN
	wait_port in_host $ORIGIN $SINK
}

# ---- peers ----

have() { # side, its program
	command -v "$2" >/dev/null || [ -x "/usr/sbin/$2" ] || {
		echo "$1: $2 is not installed, left out"
		return 1
	}
}
side_nginx() {
	cat >"$TMP/nginx-side.conf" <<-CONF
		daemon off; pid $TMP/nginx-side.pid; error_log $TMP/nginx-side.log error; worker_processes 1; worker_rlimit_nofile 19000;
		events { worker_connections 18000; }
		http {
		  access_log off; tcp_nodelay on; keepalive_timeout 900s; keepalive_requests 1000000000;
		  client_body_temp_path $TMP/www/nginx/b3; proxy_temp_path $TMP/www/nginx/p3; fastcgi_temp_path $TMP/www/nginx/f3;
		  uwsgi_temp_path $TMP/www/nginx/u3; scgi_temp_path $TMP/www/nginx/s3;
		  upstream o { server $ORIGIN:$PORT; keepalive 512; keepalive_requests 1000000000; keepalive_timeout 900s; }
		  server {
		    listen 198.51.100.1:8451 ssl http2 backlog=4096; ssl_certificate $TMP/good.pem; ssl_certificate_key $TMP/good.key;
		    ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache off; ssl_session_tickets off;
		    location / {
		      proxy_pass https://o; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host \$http_host;
		      proxy_ssl_server_name on; proxy_ssl_name $NAME; proxy_ssl_verify on; proxy_ssl_trusted_certificate $TMP/outside.pem;
		      proxy_ssl_protocols TLSv1.2 TLSv1.3; proxy_ssl_session_reuse off; proxy_buffers 16 16k; proxy_buffer_size 16k; proxy_max_temp_file_size 0;
		    }
		  }
		}
	CONF
	side nginx 8451 nginx -p "$TMP/www" -e "$TMP/nginx-side.log" -c "$TMP/nginx-side.conf"
}
side_haproxy() {
	have haproxy haproxy || return
	cat "$TMP/good.pem" "$TMP/good.key" >"$TMP/both.pem"
	# H2 has a frontend of its own, so that its backend may speak it too.
	cat >"$TMP/haproxy.cfg" <<-CONF
		global
		  nbthread 1
		  maxconn 9000
		  ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets
		  tune.ssl.cachesize 0
		defaults
		  mode http
		  http-reuse always
		  timeout connect 10s
		  timeout client 900s
		  timeout server 900s
		frontend f
		  bind 198.51.100.1:8452 ssl crt $TMP/both.pem alpn http/1.1
		  default_backend b
		frontend f2
		  bind 198.51.100.1:8453 ssl crt $TMP/both.pem alpn h2
		  default_backend b2
		backend b
		  server o $ORIGIN:$PORT ssl verify required ca-file $TMP/outside.pem sni str($NAME) verifyhost $NAME no-ssl-reuse
		backend b2
		  server o $ORIGIN:$PORT ssl alpn h2 verify required ca-file $TMP/outside.pem sni str($NAME) verifyhost $NAME no-ssl-reuse
	CONF
	side haproxy 8452 haproxy -db -f "$TMP/haproxy.cfg"
}
minting_ca() { cat "$TMP/other.key" "$TMP/other.pem" >"$TMP/mint.pem"; }
side_squid() {
	local helper=/usr/lib/squid/security_file_certgen
	have squid squid || return
	[ -x $helper ] || { echo "squid: built without OpenSSL (squid-openssl), left out"; return; }
	minting_ca
	$helper -c -s "$TMP/squid-db" -M 64MB >/dev/null 2>&1
	chmod -R a+rwX "$TMP/squid-db"
	: >"$TMP/squid.log"
	chmod a+rw "$TMP/squid.log" "$TMP/mint.pem"
	cat >"$TMP/squid.conf" <<-CONF
		http_port 198.51.100.1:8454 ssl-bump tls-cert=$TMP/mint.pem generate-host-certificates=on dynamic_cert_mem_cache_size=64MB
		sslcrtd_program $helper -s $TMP/squid-db -M 64MB
		sslcrtd_children 5 startup=1 idle=1
		tls_outgoing_options cafile=$TMP/outside.pem
		ssl_bump bump all
		http_access allow all
		cache deny all
		cache_mem 8 MB
		access_log none
		cache_store_log none
		cache_log $TMP/squid.log
		pid_filename none
		hosts_file $TMP/bench.hosts
		via off
		client_idle_pconn_timeout 900 seconds
		server_idle_pconn_timeout 900 seconds
		shutdown_lifetime 0 seconds
		max_filedescriptors 19000
	CONF
	SIDE_CONNECT[squid]=1
	side squid 8454 squid --foreground -f "$TMP/squid.conf"
}
side_sslsplit() {
	have sslsplit sslsplit || return
	side sslsplit 8455 env SSL_CERT_FILE="$TMP/outside.pem" sslsplit -c "$TMP/other.pem" -k "$TMP/other.key" -K "$TMP/good.key" \
		-o VerifyPeer=yes -u root ssl 198.51.100.1 8455 $ORIGIN $PORT
}
side_mitmproxy() {
	have mitmproxy mitmdump || return
	minting_ca
	mkdir -p "$TMP/mitm"
	cp "$TMP/mint.pem" "$TMP/mitm/mitmproxy-ca.pem"
	cp "$TMP/other.pem" "$TMP/mitm/mitmproxy-ca-cert.pem"
	side mitmproxy 8456 /usr/bin/mitmdump -q --mode reverse:https://$ORIGIN:$PORT --listen-host 198.51.100.1 -p 8456 --set confdir="$TMP/mitm" \
		--set ssl_insecure=true --set upstream_cert=false --set keep_host_header=true --set stream_large_bodies=1m --set flow_detail=0
}

# ---- egret: each side a job of its own, with its own policy, below one egretd ----

egret_daemon() {
	local limits='"connections": 8192, "keepalive_ms": 900000, "upstream_idle": 512, "upstream_idle_ms": 900000, "leaf_cache": 16384'
	sed -i "s|\"$NAME\": \[\"$GOOD\"\]|\"$NAME\": [\"$ORIGIN\"]|" "$TMP/egret.json"
	daemon_config "\"limits\": { $limits }"
	sed -i "s|\"$NAME\": \[\"$GOOD\"\]|\"$NAME\": [\"$ORIGIN\"]|" "$TMP/egret.json"
	cat >"$TMP/asked.sh" <<'SH'
#!/bin/bash
# In the job: runs what is asked, one after the other.
ulimit -n "$(ulimit -Hn)"
for ((i = 0; ; i++)); do
	until [ -e "$1/ask.$i" ]; do
		[ ! -e "$1/end" ] || exit 0
		sleep 0.02
	done
	bash "$1/ask.$i" >"$1/out.$i" 2>&1
done
SH
	chmod 755 "$TMP/asked.sh"
}
egret_side() { # side (installed as a policy of that name)
	local before dir=$TMP/job-$1
	mkdir -p "$dir"
	before=$(egret_pids egret-proxy)
	JOB_OPTS=(--label "repo=$1" --label event=push)
	JOB_TIMEOUT=36000 daemon_job "$TMP/asked.sh" "$dir" >"$dir/job.out" 2>&1 &
	PIDS+=("$!")
	JOB_DIR[$1]=$dir JOB_ASKED[$1]=0
	wait_for 20 "[ \"\$(egret_pids egret-proxy | wc -w)\" -gt $(wc -w <<<"$before") ]" || { fail "a job of $1 started" "$(cat "$dir/job.out" "$TMP/egretd.log")"; return 1; }
	SIDE_PID[$1]=$(comm -13 <(sort <<<"$before") <(egret_pids egret-proxy | sort))
	AUDIT_PID=$(egret_pids egret-audit)
	for p in ${SIDE_PID[$1]} $AUDIT_PID $(egret_pids egretd) $(egret_pids egret-broker); do taskset -apc "$SIDE_CPU" "$p" >/dev/null; done
	SIDES+=("$1")
}
egrets_end() {
	local one
	for one in "${JOB_DIR[@]}"; do touch "$one/end"; done
	wait_for 20 '[ -z "$(egret_pids egret-proxy)" ]'
	daemon_stop
}

# ---- work ----

tree() { # pid: it and all below it
	local p
	echo "$1"
	for p in $(cat /proc/"$1"/task/*/children 2>/dev/null); do tree "$p"; done
}
tree_ns() { # pid: CPU of its tree, by the scheduler's own count; 0 without one
	local p files=()
	[ -n "${1:-}" ] || { echo 0; return; }
	for p in $(tree "$1"); do files+=(/proc/"$p"/task/*/schedstat); done
	cat "${files[@]}" 2>/dev/null | awk '{ s += $1 } END { printf "%.0f\n", s }'
}
tree_private() { # pid: KiB that its tree has alone
	local p
	for p in $(tree "$1"); do cat "/proc/$p/smaps_rollup" 2>/dev/null; done | awk '/^Private_/ { s += $2 } END { print s + 0 }'
}
# What a side's client is started as: in the job, or beside the peers.
client() { # side, command...: in the background
	local name=$1 n
	shift
	if [ -n "${JOB_DIR[$name]:-}" ]; then
		n=${JOB_ASKED[$name]}
		JOB_ASKED[$name]=$((n + 1))
		echo "exec taskset -c $LOAD_CPU $*" >"${JOB_DIR[$name]}/ask.new"
		mv "${JOB_DIR[$name]}/ask.new" "${JOB_DIR[$name]}/ask.$n"
	else
		SSL_CERT_FILE=$TMP/both-ca.pem taskset -c "$LOAD_CPU" nsenter --net="/run/netns/$HOSTNS" "$@" >"$TMP/client.out" 2>&1 &
	fi
}
LOADS=0
STEM=
# Starts a load and waits until it stands: what it does to memory can be seen before load_end.
load_begin() { # side, way, connections, count, path, [name, first number]
	local name=$1 host=${6:-$NAME} address=198.51.100.1 port=${SIDE_PORT[$1]:-} connect=()
	LOADS=$((LOADS + 1))
	STEM=$TMP/load.$LOADS
	[ -n "$port" ] || address=$ORIGIN port=$PORT
	[ "$5" != /sink ] || port=$SINK
	[ -z "${SIDE_CONNECT[$name]:-}" ] || connect=(-c "$host:$PORT")
	client "$name" "$LOAD" -a $address -p "$port" -n "$host" -w "$STEM" "${connect[@]}" -s "${7:-0}" "$2" "$3" "$4" "$5"
	wait_for 120 "[ -e '$STEM.ready' ]" || { fail "a load of $name stood" "$(cat "$TMP/client.out" "${JOB_DIR[$name]:-/nowhere}"/out.* 2>/dev/null | tail -n 5)"; return 1; }
}
# Lets it work: UNITS, TOOK (seconds), CPU_NS of the side, AUDIT_NS beside it, SAID (what TLS it got).
load_go() { # side
	local a b c d audit= failed why
	[ -z "${JOB_DIR[$1]:-}" ] || audit=$AUDIT_PID
	a=$(tree_ns "${SIDE_PID[$1]:-}") c=$(tree_ns "$audit")
	touch "$STEM.go"
	wait_for "${LOAD_TIMEOUT:-120}" "[ -e '$STEM.done' ]" || { fail "a load of $1 was done"; return 1; }
	b=$(tree_ns "${SIDE_PID[$1]:-}") d=$(tree_ns "$audit")
	read -r UNITS TOOK failed SAID why <"$STEM.done"
	CPU_NS=$((b - a)) AUDIT_NS=$((d - c))
	[ "$failed" = 0 ] || { fail "a load of $1 went well" "$why"; return 1; }
}
load_end() { # side
	touch "$STEM.go" "$STEM.end" # idle was never told to go
	[ -n "${JOB_DIR[$1]:-}" ] || wait $! 2>/dev/null
}
load() {
	load_begin "$@" && load_go "$1"
	local r=$?
	load_end "$1"
	return $r
}
